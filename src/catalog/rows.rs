//! What is read of a database's catalog, as plain rows. Oids are the server's.

/// An object's number, within its kind.
pub type Oid = u32;

/// All that a picture is made of.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// Schemas: number and name.
    pub schemas: Vec<(Oid, Box<[u8]>)>,
    /// Functions, the server's own too.
    pub functions: Vec<Function>,
    /// Relations of users, rowtypes' composites too.
    pub relations: Vec<Relation>,
    /// Parent and child, of partitioned tables and of inheritance.
    pub children: Vec<(Oid, Oid)>,
    /// What the rules of a view and the policies of a table name.
    pub definitions: Vec<Definition>,
    /// Operators, the server's own too.
    pub operators: Vec<Operator>,
    /// Casts, the server's own too.
    pub casts: Vec<Cast>,
    /// Types of users, rowtypes of tables and enums left out.
    pub types: Vec<Type>,
    /// A relation or composite, and the type of a user's that a column of it has.
    pub columns: Vec<(Oid, Oid)>,
    /// Functions behind the operator classes of users by which values are sorted and hashed.
    pub comparing: Vec<Oid>,
}

/// A function, procedure, aggregate or window function.
#[derive(Debug, Clone, Default)]
pub struct Function {
    /// Its number.
    pub oid: Oid,
    /// Its schema.
    pub schema: Oid,
    /// Its name.
    pub name: Box<[u8]>,
    /// An aggregate, which is what its functions are; its own label says nothing.
    pub is_aggregate: bool,
    /// Declared volatile.
    pub is_volatile: bool,
    /// Marked as unsafe in parallel.
    pub is_unsafe: bool,
    /// Belongs to an extension.
    pub is_extensions: bool,
    /// What its text is written in.
    pub language: Language,
    /// Its text as it was written; empty where it has none that matters.
    pub body: Box<[u8]>,
    /// What its parsed text and its defaults name.
    pub names: References,
    /// The functions of an aggregate.
    pub steps: Vec<Oid>,
    /// Types of its arguments and of what it returns.
    pub types: Vec<Oid>,
    /// It takes a row or anything as its only argument: `x.f` may mean it.
    pub is_column: bool,
}

/// What a function is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// C, or a name of the server's own code.
    #[default]
    Machine,
    /// The server's own code that came with a range type of a user's and makes its values. What
    /// that runs is the type's.
    Maker,
    /// SQL.
    Sql,
    /// PL/pgSQL.
    Plpgsql,
    /// Another that the server trusts not to leave the database.
    Trusted,
    /// Another that may do anything.
    Untrusted,
}

/// A relation of users.
#[derive(Debug, Clone, Default)]
pub struct Relation {
    /// Its number.
    pub oid: Oid,
    /// Its schema.
    pub schema: Oid,
    /// Its name, which is its rowtype's too.
    pub name: Box<[u8]>,
    /// What it is.
    pub kind: RelationKind,
    /// How long it lives.
    pub persistence: Persistence,
    /// Its rowtype, whose name is the relation's.
    pub rowtype: Oid,
}

/// What a relation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RelationKind {
    /// A table, partitioned or not, or a materialized view.
    #[default]
    Table,
    /// A view.
    View,
    /// A foreign table.
    Foreign,
    /// A sequence.
    Sequence,
    /// A composite type: no relation that a statement reads.
    Composite,
}

/// How long a relation lives, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Persistence {
    /// On every server.
    #[default]
    Permanent,
    /// On the server that wrote it.
    Unlogged,
    /// In one session.
    Temporary,
}

/// What a rule, policy or check says.
#[derive(Debug, Clone, Default)]
pub struct Definition {
    /// The relation that it belongs to.
    pub relation: Oid,
    /// What it names.
    pub names: References,
}

/// What a parsed expression or query names, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Functions and aggregates.
    pub functions: Vec<Oid>,
    /// Operators.
    pub operators: Vec<Oid>,
    /// Relations, sequences too.
    pub relations: Vec<Oid>,
    /// Types that something is made into.
    pub types: Vec<Oid>,
    /// It locks rows.
    pub locks: bool,
}

/// An operator.
#[derive(Debug, Clone, Default)]
pub struct Operator {
    /// Its number.
    pub oid: Oid,
    /// Its spelling.
    pub symbol: Box<[u8]>,
    /// What it calls.
    pub function: Oid,
    /// What the planner calls for its estimates.
    pub estimates: Vec<Oid>,
}

/// A cast.
#[derive(Debug, Clone, Default)]
pub struct Cast {
    /// From this type.
    pub source: Oid,
    /// To this type.
    pub target: Oid,
    /// By this function; `None`: by output and input, or as it is.
    pub function: Option<Oid>,
    /// The server does it unasked.
    pub is_implicit: bool,
}

/// A type of users.
#[derive(Debug, Clone, Default)]
pub struct Type {
    /// Its number.
    pub oid: Oid,
    /// Its name.
    pub name: Box<[u8]>,
    /// Functions that run as a value is read, written, made.
    pub functions: Vec<Oid>,
    /// What a value of it is made of: elements, base, bounds.
    pub parts: Vec<Oid>,
    /// What the checks of a domain name.
    pub checks: References,
    /// Has its own input and output.
    pub is_base: bool,
}

//! What stands against functions and relations by what their rows say, before it is looked at
//! what they run.

use super::{
    Trust,
    rows::{Function, Language, Oid, Persistence, Relation, RelationKind},
};
use crate::sql::{Builtin, Obstacle, builtin, harmless};

/// Oids below this are the server's own objects.
const FIRST_OF_USERS: Oid = 16384;
/// `pg_catalog`.
const PG_CATALOG: Oid = 11;
/// `refcursor`.
const REFCURSOR: Oid = 1790;

/// Functions of extensions that only throw dice, sorted.
const DICE: &[&[u8]] = &[
    b"gen_random_bytes",
    b"gen_random_uuid",
    b"gen_salt",
    b"pgp_pub_encrypt",
    b"pgp_pub_encrypt_bytea",
    b"pgp_sym_encrypt",
    b"pgp_sym_encrypt_bytea",
    b"uuid_generate_v1",
    b"uuid_generate_v1mc",
    b"uuid_generate_v4",
];

/// One of the server's own, not of an extension that put its functions beside them.
pub(super) fn is_own(function: &Function) -> bool {
    function.oid < FIRST_OF_USERS && function.schema == PG_CATALOG
}

/// C that came with an extension, and is not on the silent list.
pub(super) fn is_machinery(function: &Function) -> bool {
    let denied = builtin(&function.name) == Some(Builtin::Denied);
    function.is_extensions && function.language == Language::Machine && !denied
}

/// One of the server's own that is not what the table says of its name.
pub(super) fn is_changed(function: &Function) -> bool {
    is_own(function)
        && match builtin(&function.name) {
            Some(Builtin::Passes) => own_by_label(function).is_some(),
            // A server that is newer than the table.
            None => true,
            Some(Builtin::Denied | Builtin::Server | Builtin::Volatile) => false,
        }
}

/// What stands against one of the server's own by what its row says.
fn own_by_label(function: &Function) -> Option<Obstacle> {
    let labelled = function.is_volatile || function.is_unsafe;
    let replaced = match function.language {
        Language::Machine | Language::Maker | Language::Sql => false,
        Language::Plpgsql | Language::Trusted | Language::Untrusted => true,
    };
    let stands = labelled && !harmless(&function.name) || replaced;
    stands.then_some(Obstacle::VolatileFunction)
}

/// What stands against a function before it is looked at what it runs.
pub(super) fn by_label(function: &Function, trust: Trust) -> Option<Obstacle> {
    match builtin(&function.name) {
        Some(Builtin::Denied) => return Some(Obstacle::DeniedFunction),
        Some(Builtin::Server) => return Some(Obstacle::ServerFunction),
        Some(Builtin::Volatile) if is_own(function) => return Some(Obstacle::VolatileFunction),
        Some(Builtin::Volatile | Builtin::Passes) | None => {}
    }
    if is_own(function) {
        return own_by_label(function);
    }
    if trust == Trust::Primary && !function.is_extensions {
        return Some(Obstacle::UserFunction);
    }
    if function.is_aggregate {
        return None;
    }
    let dice = function.is_extensions && DICE.binary_search(&&*function.name).is_ok();
    let foreign = match function.language {
        // C that came with an extension is the extension's word; other C is nobody's.
        Language::Machine => !function.is_extensions,
        Language::Untrusted => true,
        Language::Maker | Language::Sql | Language::Plpgsql | Language::Trusted => false,
    };
    // A cursor would be left open where it ran.
    let opens = function.types.contains(&REFCURSOR);
    let stands = function.is_volatile && !dice || foreign || opens;
    stands.then_some(Obstacle::VolatileFunction)
}

/// What stands against a relation before it is looked at what it is made of.
pub(super) fn by_kind(relation: &Relation) -> Option<Obstacle> {
    match (relation.kind, relation.persistence) {
        (_, Persistence::Temporary) => Some(Obstacle::TemporaryRelation),
        (RelationKind::Sequence, _) => Some(Obstacle::SequenceRelation),
        (RelationKind::Foreign, _) => Some(Obstacle::ForeignRelation),
        (_, Persistence::Unlogged) => Some(Obstacle::UnloggedRelation),
        (
            RelationKind::Table | RelationKind::View | RelationKind::Composite,
            Persistence::Permanent,
        ) => None,
    }
}

//! Which loads are compared.

/// How pgbench sends its statements (`-M`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// The simple protocol.
    Simple,
    /// Parse, Bind, Describe, Execute, Sync each time.
    Extended,
    /// Parse once, then Bind, Describe, Execute, Sync of a named statement.
    Prepared,
}

impl Mode {
    /// As `-M` wants it.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Extended => "extended",
            Self::Prepared => "prepared",
        }
    }
}

/// What is special about a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Clients stay connected.
    Steady,
    /// A connection per transaction (`-C`).
    Reconnect,
    /// The ambassador may use two workers: throughput, not cost.
    TwoWorkers,
    /// The same row is asked for in [`SPELLINGS`] spellings in turns, not in one.
    Rotating,
    /// The proxies reach Postgres by TLS; clients reach them without.
    Tls,
    /// Clients in [`GROUPS`] groups, each with an `application_name` and a `TimeZone` of its own.
    Groups,
    /// Each client has an `application_name`, a `search_path` and a `TimeZone` of its own.
    Own,
    /// As many programs as in [`Kind::Own`], and no settings: what those are compared with.
    Same,
    /// By TLS likewise, but one client and one large result: what a MiB of it takes stands where
    /// others have a transaction.
    TlsCopy,
}

/// So many fingerprints has a rotating case.
pub const SPELLINGS: u32 = 1000;

/// So many groups of clients has a [`Kind::Groups`] case.
pub const GROUPS: u32 = 8;

impl Kind {
    /// How many pgbenches share the clients: settings are those of a program.
    pub fn programs(self, clients: u32) -> u32 {
        match self {
            Self::Groups => GROUPS,
            Self::Own | Self::Same => clients,
            Self::Steady
            | Self::Reconnect
            | Self::TwoWorkers
            | Self::Rotating
            | Self::Tls
            | Self::TlsCopy => 1,
        }
    }

    /// What the environment of the program `number` says of settings.
    pub fn settings(self, number: u32) -> Vec<(&'static str, String)> {
        let name = ("PGAPPNAME", format!("group {number}"));
        let zone = ("PGTZ", format!("<+{number:02}>-{number}"));
        let path = format!("-csearch_path=public,group_{number}");
        match self {
            Self::Groups => vec![name, zone],
            Self::Own => vec![name, zone, ("PGOPTIONS", path)],
            Self::Steady
            | Self::Reconnect
            | Self::TwoWorkers
            | Self::Rotating
            | Self::Same
            | Self::Tls
            | Self::TlsCopy => Vec::new(),
        }
    }
}

/// One load, run by every peer in every round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    /// How the tables and `--only` call it.
    pub name: &'static str,
    /// The protocol.
    pub mode: Mode,
    /// pgbench's clients.
    pub clients: u32,
    /// What is special about it.
    pub kind: Kind,
}

impl Case {
    /// One client, simple protocol.
    pub const SIMPLE_1: Self = Self::steady("simple-1", Mode::Simple, 1);
    /// Twice the pool, simple protocol: the case most bounds are about.
    pub const SIMPLE_32: Self = Self::steady("simple-32", Mode::Simple, 32);
    /// Far more clients than connections.
    pub const SIMPLE_200: Self = Self::steady("simple-200", Mode::Simple, 200);
    /// Twice the pool, extended protocol.
    pub const EXTENDED_32: Self = Self::steady("extended-32", Mode::Extended, 32);
    /// Twice the pool, named statements.
    pub const PREPARED_32: Self = Self::steady("prepared-32", Mode::Prepared, 32);
    /// A connection per transaction.
    pub const CONNECT: Self = Self {
        name: "connect-8",
        mode: Mode::Simple,
        clients: 8,
        kind: Kind::Reconnect,
    };
    /// Throughput with a second worker.
    pub const TWO_WORKERS: Self = Self {
        name: "workers2-32",
        mode: Mode::Simple,
        clients: 32,
        kind: Kind::TwoWorkers,
    };

    /// Another statement each time, of a thousand.
    pub const ROTATING_32: Self = Self {
        name: "rotating-32",
        mode: Mode::Simple,
        clients: 32,
        kind: Kind::Rotating,
    };

    /// Twice the pool, simple protocol, by TLS.
    pub const TLS_32: Self = Self {
        name: "tls-32",
        mode: Mode::Simple,
        clients: 32,
        kind: Kind::Tls,
    };
    /// One large result by TLS.
    pub const TLS_COPY: Self = Self {
        name: "tls-copy",
        mode: Mode::Simple,
        clients: 1,
        kind: Kind::TlsCopy,
    };

    /// Twice the pool, in eight groups that differ in their settings.
    pub const GROUPS_32: Self = Self::with(Kind::Groups, "groups-32", 32);
    /// As many clients as connections, each with settings of its own.
    pub const OWN_16: Self = Self::with(Kind::Own, "own-16", 16);
    /// The same without settings.
    pub const SAME_16: Self = Self::with(Kind::Same, "same-16", 16);

    /// Where it is measured what the verdicts cost.
    pub const JUDGED: [Self; 4] = [
        Self::SIMPLE_32,
        Self::EXTENDED_32,
        Self::PREPARED_32,
        Self::ROTATING_32,
    ];

    /// Every case, in the order of the table.
    pub const ALL: [Self; 17] = [
        Self::SIMPLE_1,
        Self::SIMPLE_32,
        Self::SIMPLE_200,
        Self::steady("extended-1", Mode::Extended, 1),
        Self::EXTENDED_32,
        Self::steady("extended-200", Mode::Extended, 200),
        Self::steady("prepared-1", Mode::Prepared, 1),
        Self::PREPARED_32,
        Self::steady("prepared-200", Mode::Prepared, 200),
        Self::CONNECT,
        Self::TWO_WORKERS,
        Self::ROTATING_32,
        Self::GROUPS_32,
        Self::SAME_16,
        Self::OWN_16,
        Self::TLS_32,
        Self::TLS_COPY,
    ];

    const fn with(kind: Kind, name: &'static str, clients: u32) -> Self {
        Self {
            kind,
            ..Self::steady(name, Mode::Simple, clients)
        }
    }

    const fn steady(name: &'static str, mode: Mode, clients: u32) -> Self {
        Self {
            name,
            mode,
            clients,
            kind: Kind::Steady,
        }
    }

    /// The case with as many clients and the simple protocol.
    pub fn in_simple(self) -> Option<Self> {
        let same = |case: &Self| {
            case.mode == Mode::Simple && case.clients == self.clients && case.kind == self.kind
        };
        Self::ALL.into_iter().find(same)
    }
}

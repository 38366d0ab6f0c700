//! What a text may do to the session beyond its own answer.

use std::fmt;
use std::ops::BitOr;
use std::ops::BitOrAssign;

/// A small set of facts about a text. A bit that is set means "may": a name alone sets it.
/// A bit that is not set is a promise about the text, not about the functions that it calls.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Touches(u32);

macro_rules! touches {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl Touches {
            $($(#[$doc])* pub const $name: Touches = Touches(1 << $bit);)*
        }
        const NAMES: &[(&str, Touches)] = &[$((stringify!($name), Touches::$name),)*];
    };
}

touches! {
    /// Changes a setting for the session: SET, RESET of one, SET SESSION CHARACTERISTICS, SET ROLE,
    /// SET SESSION AUTHORIZATION, `set_config`. Not SET LOCAL, SET TRANSACTION, SET CONSTRAINTS,
    /// RESET ALL.
    SETTING = 0;
    /// Reads a setting by name: SHOW, `current_setting`, `pg_settings`.
    SETTING_READ = 1;
    /// Takes an advisory lock for the session (the `_xact_` ones end with the transaction).
    ADVISORY_LOCK = 2;
    /// Gives advisory locks back.
    ADVISORY_UNLOCK = 3;
    /// Makes or names a temporary object.
    TEMP = 4;
    /// LISTEN.
    LISTEN = 5;
    /// Reads which channels the session listens to.
    LISTENING_READ = 6;
    /// NOTIFY or `pg_notify`.
    NOTIFY = 7;
    /// DECLARE … WITH HOLD: a cursor that outlives its transaction.
    CURSOR = 8;
    /// CLOSE.
    CLOSE = 9;
    /// PREPARE of a statement in SQL.
    PREPARE = 10;
    /// Runs a statement prepared under a name: EXECUTE, also below EXPLAIN or CREATE TABLE AS.
    EXECUTE = 11;
    /// DEALLOCATE.
    DEALLOCATE = 12;
    /// DISCARD.
    DISCARD = 13;
    /// Reads which statements or cursors the session has.
    PREPARED_READ = 14;
    /// `nextval` or `setval`.
    SEQUENCE_USE = 15;
    /// `currval` or `lastval`.
    SEQUENCE_READ = 16;
    /// LOAD of a library.
    LOAD = 17;
    /// Asks who the session is: its process id, or what names it.
    IDENTITY = 18;
    /// Begins, ends or divides a transaction.
    TRANSACTION = 19;
    /// PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED.
    TWO_PHASE = 20;
    /// CREATE, ALTER or DROP of a database.
    DATABASE = 21;
    /// CREATE, ALTER or DROP of anything.
    DDL = 22;
    /// CALL or DO: code whose text says nothing.
    CALL = 23;
    /// `setseed`.
    SEED = 24;
    /// `pg_export_snapshot`.
    SNAPSHOT = 25;
    /// A replication origin of the session.
    ORIGIN = 26;
    /// Something here was not understood: a U&"…" name, whose letters may hide any of the above,
    /// or a quote or comment that does not end. Hold the text for unknown.
    UNCLEAR = 27;
    /// RESET ALL: leaves no setting of the session's own.
    RESET_ALL = 28;
    /// UNLISTEN.
    UNLISTEN = 29;
    /// Calls what may be a user's function.
    FUNCTION = 30;
}

impl Touches {
    /// Nothing at all.
    pub const NONE: Touches = Touches(0);

    /// Whether nothing is touched.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether any of `these` is touched.
    pub const fn any(self, these: Touches) -> bool {
        self.0 & these.0 != 0
    }

    /// All but these.
    pub const fn without(self, these: Touches) -> Touches {
        Touches(self.0 & !these.0)
    }

    /// Both sets together; for constants, where `|` cannot stand.
    pub const fn and(self, these: Touches) -> Touches {
        Touches(self.0 | these.0)
    }
}

impl BitOr for Touches {
    type Output = Touches;

    fn bitor(self, these: Touches) -> Touches {
        self.and(these)
    }
}

impl BitOrAssign for Touches {
    fn bitor_assign(&mut self, these: Touches) {
        *self = self.and(these);
    }
}

impl fmt::Debug for Touches {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = NAMES.iter().filter(|(_, bit)| self.any(*bit));
        out.debug_set()
            .entries(named.map(|(name, _)| name))
            .finish()
    }
}

//! What kind of transaction a text or a setting asks for.

/// How a transaction is kept apart from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// For the server the same as READ COMMITTED.
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Isolation {
    /// The value of `default_transaction_isolation`.
    fn of(value: &[u8]) -> Option<Self> {
        let is = |name: &str| value.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("read uncommitted") => Some(Self::ReadUncommitted),
            () if is("read committed") => Some(Self::ReadCommitted),
            () if is("repeatable read") => Some(Self::RepeatableRead),
            () if is("serializable") => Some(Self::Serializable),
            () => None,
        }
    }
}

/// What has been said of a transaction; `None`: nothing, so that the session's default holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mode {
    pub isolation: Option<Isolation>,
    pub read_only: Option<bool>,
    pub deferrable: Option<bool>,
}

impl Mode {
    /// What the values of these settings make of every transaction that says nothing itself:
    /// `default_transaction_isolation`, `_read_only` and `_deferrable`, by their whole names.
    pub fn of_settings<'a>(value: impl Fn(&[u8]) -> Option<&'a [u8]>) -> Self {
        Self {
            isolation: value(b"default_transaction_isolation").and_then(Isolation::of),
            read_only: value(b"default_transaction_read_only").and_then(boolean),
            deferrable: value(b"default_transaction_deferrable").and_then(boolean),
        }
    }

    /// This, and what `former` says that this says nothing of.
    #[must_use]
    pub fn over(self, former: Self) -> Self {
        Self {
            isolation: self.isolation.or(former.isolation),
            read_only: self.read_only.or(former.read_only),
            deferrable: self.deferrable.or(former.deferrable),
        }
    }

    /// Whether a standby could run all of such a transaction, whatever is in it: what writes fails
    /// there as it fails on the primary. A standby has no SERIALIZABLE.
    pub fn is_for_standbys(self) -> bool {
        self.read_only == Some(true) && self.isolation != Some(Isolation::Serializable)
    }
}

/// As the server reads it: any beginning of a word that is no other's.
///
/// Source: `parse_bool_with_len` of the server.
fn boolean(value: &[u8]) -> Option<bool> {
    let begins = |word: &str, least: usize| {
        let head = word.as_bytes().get(..value.len());
        value.len() >= least && head.is_some_and(|head| head.eq_ignore_ascii_case(value))
    };
    match () {
        () if begins("true", 1) || begins("yes", 1) || begins("on", 2) || begins("1", 1) => {
            Some(true)
        }
        () if begins("false", 1) || begins("no", 1) || begins("off", 2) || begins("0", 1) => {
            Some(false)
        }
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boolean_is_any_beginning_of_its_word_that_is_no_other_s() {
        for yes in ["t", "TRUE", "y", "yes", "on", "1"] {
            assert_eq!(boolean(yes.as_bytes()), Some(true), "{yes}");
        }
        for no in ["f", "fal", "N", "no", "of", "OFF", "0"] {
            assert_eq!(boolean(no.as_bytes()), Some(false), "{no}");
        }
        for neither in ["", "o", "truer", "11", "offf", "maybe"] {
            assert_eq!(boolean(neither.as_bytes()), None, "{neither}");
        }
    }

    #[test]
    fn what_is_said_of_a_transaction_goes_over_what_its_session_says_of_all() {
        let session = Mode::of_settings(|name| match name {
            b"default_transaction_read_only" => Some(b"on"),
            b"default_transaction_isolation" => Some(b"Repeatable Read"),
            _ => None,
        });
        assert!(session.is_for_standbys());
        let writes = Mode {
            read_only: Some(false),
            ..Mode::default()
        };
        assert!(!writes.over(session).is_for_standbys());
        let strict = Mode {
            isolation: Some(Isolation::Serializable),
            ..Mode::default()
        };
        let both = strict.over(session);
        assert_eq!(both.read_only, Some(true));
        assert!(!both.is_for_standbys());
        assert!(!Mode::default().is_for_standbys());
    }
}

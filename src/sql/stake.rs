//! What is in doubt when the answer to a text never comes?

use super::kind::Kind;

/// What a text may have done by the time its connection is lost.
///
/// As far as the text shows: what a function does that a SELECT calls is not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stake {
    /// It may write. Outside a transaction block that takes effect as it ends.
    pub writes: bool,
    /// It makes what a transaction block did take effect.
    pub commits: bool,
    /// It may leave a transaction block open.
    pub opens: bool,
}

impl Stake {
    /// Nothing.
    pub const NONE: Self = Self {
        writes: false,
        commits: false,
        opens: false,
    };

    /// That of a statement of this kind; `reads` where it is a query or copies out.
    pub(super) fn of(kind: Kind, reads: bool) -> Self {
        let (writes, commits, opens) = match kind {
            Kind::Begin => (false, false, true),
            Kind::Commit { chain } => (false, true, chain),
            Kind::PrepareTransaction => (false, true, false),
            Kind::Rollback { chain } => (false, false, chain),
            Kind::CommitPrepared
            | Kind::RollbackPrepared
            | Kind::Execute(_)
            | Kind::Notify(_)
            | Kind::Call
            | Kind::Do
            | Kind::CreateTemp
            | Kind::Database => (true, false, false),
            Kind::Copy | Kind::Other => (!reads, false, false),
            Kind::Empty
            | Kind::RollbackTo(_)
            | Kind::Savepoint(_)
            | Kind::Release(_)
            | Kind::Set { .. }
            | Kind::Reset(_)
            | Kind::ResetAll
            | Kind::Discard(_)
            | Kind::Deallocate(_)
            | Kind::Prepare { .. }
            | Kind::Listen(_)
            | Kind::Unlisten(_)
            | Kind::Declare { .. }
            | Kind::Close(_)
            | Kind::Fetch
            | Kind::Show
            | Kind::Load => (false, false, false),
        };
        Self {
            writes,
            commits,
            opens,
        }
    }

    /// Both together, in any order.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            writes: self.writes || other.writes,
            commits: self.commits || other.commits,
            opens: self.opens || other.opens,
        }
    }

    /// That of a text so far, and of the statement `kind` that follows in it.
    #[must_use]
    pub(super) fn then(self, kind: Kind, next: Self) -> Self {
        let ends = matches!(
            kind,
            Kind::Commit { .. } | Kind::Rollback { .. } | Kind::PrepareTransaction
        );
        Self {
            opens: next.opens || self.opens && !ends,
            ..self.and(next)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::read;
    use super::*;

    fn stake(text: &str) -> (bool, bool, bool) {
        let Stake {
            writes,
            commits,
            opens,
        } = read(text.as_bytes()).stake;
        (writes, commits, opens)
    }

    #[test]
    fn queries_have_nothing_at_stake() {
        for text in [
            "select 1",
            "/* c */ SELECT 1",
            "((select 1) union (select 2))",
            "values (1)",
            "table t",
            "with x as (select 1) select * from x",
            "show work_mem",
            "copy (select a from t) to stdout",
            "fetch all from c",
            "savepoint a",
            "rollback",
            "",
        ] {
            assert_eq!(stake(text), (false, false, false), "{text}");
        }
    }

    #[test]
    fn whatever_may_write_is_at_stake() {
        for text in [
            "insert into t values (1)",
            "/* c */ update t set a = 1",
            "with x as (delete from t returning *) select * from x",
            "select 1 into t",
            "/* c */ select 1 into t",
            "copy t (a) from stdin",
            "create table t ()",
            "call p()",
            "do ''",
            "select 1; delete from t",
            "execute p",
            "commit prepared 'x'",
        ] {
            assert_eq!(stake(text), (true, false, false), "{text}");
        }
    }

    #[test]
    fn a_text_may_commit_and_may_leave_a_transaction_open() {
        assert_eq!(stake("begin"), (false, false, true));
        assert_eq!(stake("end"), (false, true, false));
        assert_eq!(stake("prepare transaction 'x'"), (false, true, false));
        assert_eq!(stake("commit and chain"), (false, true, true));
        assert_eq!(stake("rollback and chain"), (false, false, true));
        assert_eq!(
            stake("begin; update t set a = 1; commit"),
            (true, true, false)
        );
        assert_eq!(stake("commit; begin"), (false, true, true));
        assert_eq!(stake("begin; savepoint a; rollback"), (false, false, false));
    }
}

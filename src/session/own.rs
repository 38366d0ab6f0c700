//! Settings of ours: `ambassador.route` and its like.
//!
//! To the server they are custom settings like any other, which it keeps through transactions and
//! savepoints, shows, and tells by `current_setting`; so they go with the session as all its
//! settings do ([`super::look`]). That it knows one which nobody has set, and that a RESET leads
//! somewhere, a session that names one gets their defaults on its connections from then on, as if
//! its start-up had said so. What the server would take and we do not is refused here.

use super::{
    Fault, Session, adopt, fault, forward::Step, ledger::Reply, role::Role, splice::Splice,
};
use crate::protocol::{
    Parameters,
    backend::Status,
    frontend::{self, Kind},
};
use crate::route::Wish;
use crate::sql::{self, Deed, OWN_PREFIX, Own, Reading, Touches};

/// Where requests go that say nothing else.
pub(super) const ROUTE: &[u8] = b"ambassador.route";
/// Wherever they would go without it.
const AUTO: &str = "auto";

/// Makes `ambassador.route` known to a connection that is in a transaction, up to its end.
const DECLARE: &[u8] = b"SELECT pg_catalog.set_config('ambassador.route', 'auto', true)";

/// What a value of `ambassador.route` asks for; `None`: nothing that there is. A server that has
/// forgotten a custom setting says that it is empty.
pub(super) fn wish(value: &[u8]) -> Option<Wish> {
    let is = |word: &str| value.eq_ignore_ascii_case(word.as_bytes());
    match () {
        () if is(AUTO) || is("") => Some(Wish::None),
        () if is("primary") => Some(Wish::Primary),
        () if is("replica") => Some(Wish::Replica),
        () => None,
    }
}

/// What a session asks for that has these settings.
pub(super) fn wish_in(settings: &Parameters) -> Wish {
    settings.get(ROUTE).and_then(wish).unwrap_or_default()
}

/// What a text asks for by setting it; `None`: it does not.
pub(super) fn wish_set(text: &[u8]) -> Option<Wish> {
    let set = |own: &Own| match &own.deed {
        Deed::Sets(Some(value)) if *own.name == *"route" => wish(value.as_bytes()),
        Deed::Sets(_) | Deed::Names | Deed::Reads => None,
    };
    let named = sql::may_name_own(text).then(|| sql::own(text))?;
    named.iter().rev().find_map(set)
}

/// Whether these settings of a start-up can be had.
pub(super) fn check(parameters: &Parameters, database: impl Fn() -> String) -> Result<(), Fault> {
    for (name, value) in parameters.iter() {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if let Some(name) = name.strip_prefix(OWN_PREFIX) {
            judge(name, Some(&String::from_utf8_lossy(value)), &database)?;
        }
    }
    Ok(())
}

/// Whether there is such a setting, and such a value of it; `None`: that is not known.
fn judge(name: &str, value: Option<&str>, database: impl Fn() -> String) -> Result<(), Fault> {
    let is_one = |value: &str| !value.is_empty() && wish(value.as_bytes()).is_some();
    match (name, value) {
        ("route", Some(value)) if !is_one(value) => Err(Fault::BadRoute {
            value: value.to_owned(),
        }),
        ("route", _) => Ok(()),
        ("shard" | "shard_key", _) => Err(Fault::NoSharding {
            database: database(),
            setting: format!("{OWN_PREFIX}{name}"),
        }),
        _ => Err(Fault::UnknownSetting {
            name: format!("{OWN_PREFIX}{name}"),
        }),
    }
}

impl Session {
    /// Heeds what a text does with settings of ours, before it is sent. Gives what becomes of its
    /// message where it is refused.
    #[inline]
    pub(super) fn heed_own(
        &mut self,
        kind: Kind,
        reading: &Reading,
        text: impl FnOnce(&Self) -> Vec<u8>,
        splice: &mut Splice<'_>,
    ) -> Option<Step> {
        if !may_concern(reading) {
            return None;
        }
        let text = text(self);
        let named = self.named_own(&text)?;
        if self.is_resetting() {
            // Not before the connection can be made to fit.
            if kind != Kind::Bind {
                self.flow.reading = Some(*reading);
            }
            return Some(Step::Hold);
        }
        if kind == Kind::Parse {
            // It sets nothing yet.
            return None;
        }
        self.judge_own(kind, &named, splice)
    }

    #[cold]
    fn named_own(&mut self, text: &[u8]) -> Option<Vec<Own>> {
        let named = sql::may_name_own(text).then(|| sql::own(text));
        let named = named.filter(|named| !named.is_empty())?;
        if named.iter().any(|own| *own.name == *"route") && self.identity.start.get(ROUTE).is_none()
        {
            let with = |settings: &Parameters| {
                let mut settings = settings.clone();
                settings.set(ROUTE, AUTO.as_bytes());
                settings
            };
            let wanted = with(&self.identity.parameters);
            self.identity.start = with(&self.identity.start).into();
            self.become_of(wanted);
            // Elsewhere it is made to fit before the request.
            self.flow.declaring =
                self.flow.status == Status::InTransaction && self.flow.begun.is_none();
            self.flow.resetting |= self.lease.is_some();
        }
        Some(named)
    }

    fn judge_own(&mut self, kind: Kind, named: &[Own], splice: &mut Splice<'_>) -> Option<Step> {
        for own in named {
            let judged = match &own.deed {
                Deed::Sets(value) => {
                    judge(&own.name, value.as_deref(), || fault::database(&self.pool))
                }
                Deed::Names => judge(&own.name, None, || fault::database(&self.pool)),
                // The server says what it has.
                Deed::Reads => Ok(()),
            };
            if let Err(fault) = judged {
                return self.refuse_text(kind, fault, splice);
            }
        }
        None
    }

    /// Has the connection know the setting that was named for the first time while it is in a
    /// transaction: there it is not made to fit before the next one. Nothing else is under way.
    pub(super) fn declare(&mut self, out: &mut Vec<u8>) {
        let inside = self.flow.status == Status::InTransaction;
        let Some(lease) = self.lease.as_mut().filter(|_| inside) else {
            return;
        };
        let mut registry = self.shared.registry.borrow_mut();
        let statement = registry.statement(self.identity.scope, &frontend::parse_rest(DECLARE));
        let ledger = &mut self.ledger;
        adopt::supply(lease, &statement, ledger, out, Role::Guards);
        frontend::put_bind_text(out, &statement.name, &[]);
        ledger.owe(Reply::Bind, Role::Guards);
        frontend::put_execute(out);
        ledger.owe(Reply::Execute, Role::Guards);
        // Once in a transaction: its end takes it back, and what the session wears is put on then.
        let mut wearing = (*lease.memory.wearing).clone();
        wearing.set(ROUTE, b"");
        lease.memory.wearing = wearing.into();
    }
}

/// Whether settings of any kind are a text's concern. Of several statements, SET LOCAL shows in
/// nothing else.
#[inline]
pub(super) fn may_concern(reading: &Reading) -> bool {
    let touched = Touches::SETTING.and(Touches::SETTING_READ);
    reading.touches.any(touched)
        || reading.count > 1
        || matches!(reading.first, sql::Kind::Set { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_start_up_asks_of_us_is_had_or_refused() {
        let asks = |name: &str, value: &str| {
            let mut parameters = Parameters::default();
            parameters.set(b"application_name", b"x");
            parameters.set(name.as_bytes(), value.as_bytes());
            let judged = check(&parameters, || "d".to_owned());
            judged.map_err(|fault| fault.sqlstate().to_string())
        };
        for value in ["primary", "REPLICA", "auto"] {
            assert_eq!(asks("Ambassador.Route", value), Ok(()));
        }
        assert_eq!(asks("ambassador.route", "standby"), Err("22023".to_owned()));
        assert_eq!(asks("ambassador.route", ""), Err("22023".to_owned()));
        assert_eq!(asks("ambassador.shard", "1"), Err("0A000".to_owned()));
        assert_eq!(asks("ambassador.rout", "auto"), Err("42704".to_owned()));
    }
}

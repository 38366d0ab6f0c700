//! Commands that mean the session and would, sent as they are, hit what sessions share.
//!
//! A session without a connection of its own has nothing on any: what DISCARD ALL and
//! DEALLOCATE would destroy there belongs to others, and RESET would go back to the server's
//! default instead of the client's start-up value. In their place goes a command that
//! does no harm and runs in the same states, and the tag is put back.

use super::{
    Keep, Session, Spelling,
    acts::Acts,
    adopt::is_identity,
    change::{Change, Effect, Forgets, Forgotten, Restores},
    names, pin,
    sabotage::{Part, without},
};
use crate::protocol::{Parameters, backend::Status};
use crate::sql;
use crate::sql::{Discard, Kind, Reading, Target, What};

/// The tag of that command.
pub(super) const DISCARD_ALL: &str = "DISCARD ALL";

/// Runs everywhere, changes nothing: a shared connection does not listen to that.
const HARMLESS: &[u8] = b"UNLISTEN _ambassador_nobody";

/// What DISCARD ALL does that a shared connection can take; elsewhere nothing.
const UNLISTEN: &[u8] = b"UNLISTEN *";

/// Settings that clients leave alone, one of them with a name as long as ALL.
const UNSET: &[&[u8]] = &[b"jit", b"geqo", b"enable_sort", b"debug_print_plan"];

/// What is sent in place of a command.
pub(super) struct Substitute {
    /// `None`: the command itself.
    pub text: Option<Vec<u8>>,
    pub change: Change,
}

impl Substitute {
    fn harmless(tag: &'static str, forgets: Forgets) -> Self {
        Self::instead(HARMLESS.to_owned(), tag, forgets)
    }

    /// What takes back all settings of a session that has them from its own picture alone.
    fn restoring(tag: &'static str, restores: Restores, forgets: Forgets) -> Self {
        let mut substitute = Self::harmless(tag, forgets);
        substitute.change.restores = restores;
        substitute
    }

    fn instead(text: Vec<u8>, tag: &'static str, forgets: Forgets) -> Self {
        Self {
            text: Some(text),
            change: Change {
                tag: Some(tag),
                restores: Restores::Nothing,
                effect: Effect::None,
                forgets,
                forgotten: Forgotten::default(),
                acts: Acts::new(),
            },
        }
    }

    pub(super) fn itself(effect: Effect) -> Self {
        let forgets = match effect.deallocates() {
            true => Forgets::All,
            false => Forgets::Nothing,
        };
        Self {
            text: None,
            change: Change {
                tag: None,
                restores: Restores::Nothing,
                effect,
                forgets,
                forgotten: Forgotten::default(),
                acts: Acts::new(),
            },
        }
    }
}

impl Session {
    /// What to send in place of this text; `None`: itself, and nothing is to be noted.
    #[inline]
    pub(super) fn substitute(&self, reading: &Reading, text: &[u8]) -> Option<Substitute> {
        if without(Part::Substitute) {
            return None;
        }
        if reading.count != 1 {
            return self.of_several(reading, text);
        }
        if let Kind::Discard(what) = reading.first {
            return self.discard(what);
        }
        if let Kind::Reset(what) = reading.first {
            return self.reset(what, text);
        }
        if let Kind::Deallocate(target) = reading.first {
            return self.deallocate(target, text);
        }
        (reading.first == Kind::ResetAll).then(|| self.reset_all())
    }

    fn is_shared(&self) -> bool {
        self.flow.keep == Keep::No
    }

    fn is_outside(&self) -> bool {
        self.flow.status == Status::Idle && !self.ledger.may_have_run()
    }

    fn discard(&self, what: Discard) -> Option<Substitute> {
        match (what, self.is_shared(), self.is_outside()) {
            (Discard::All, true, true) => {
                let all = Restores::Everything;
                let mut substitute = Substitute::restoring(DISCARD_ALL, all, Forgets::All);
                substitute.text = Some(UNLISTEN.to_owned());
                Some(substitute)
            }
            // In a transaction it fails by itself.
            (Discard::All, _, _) => Some(Substitute::itself(Effect::DiscardAll)),
            (Discard::Temp, true, _) => {
                Some(Substitute::harmless("DISCARD TEMP", Forgets::Nothing))
            }
            (Discard::Sequences, true, _) => {
                Some(Substitute::harmless("DISCARD SEQUENCES", Forgets::Nothing))
            }
            (Discard::Temp | Discard::Sequences | Discard::Plans, _, _) => None,
        }
    }

    fn reset_all(&self) -> Substitute {
        match self.resets_here() {
            true => Substitute::restoring("RESET", Restores::Settings, Forgets::Nothing),
            false => Substitute::itself(Effect::ResetAll),
        }
    }

    /// Whether RESET ALL need not leave: nothing is set, or no transaction could undo it.
    pub(super) fn resets_here(&self) -> bool {
        self.is_shared() && (self.has_set_nothing() || self.is_outside())
    }

    /// RESET of a start-up setting goes back to the client's start-up value.
    fn reset(&self, what: What, text: &[u8]) -> Option<Substitute> {
        let name = what.setting(text)?;
        let value = self.identity.start.get(&name)?;
        let text = if is_identity(&name) {
            [b"SET ", name.as_slice(), b" TO ", &quoted(value)].concat()
        } else {
            [
                &b"SET "[..],
                &identifier(&name),
                b" TO ",
                &listed(&name, value),
            ]
            .concat()
        };
        Some(Substitute::instead(text, "RESET", Forgets::Nothing))
    }

    /// As [`several`], but for RESET ALL where the connection is shared: that is replaced.
    fn of_several(&self, reading: &Reading, text: &[u8]) -> Option<Substitute> {
        let mut substitute = several(reading, text)?;
        if substitute.change.effect == Effect::ResetAll
            && self.is_shared()
            && self.has_set_nothing()
            && pin::reason(reading).is_none()
            && let Some(text) = without_reset_all(text, &self.identity.parameters)
        {
            substitute.text = Some(text);
            substitute.change.effect = Effect::None;
        }
        Some(substitute)
    }

    fn deallocate(&self, target: Target, text: &[u8]) -> Option<Substitute> {
        match target {
            Target::All if self.is_shared() => {
                Some(Substitute::harmless("DEALLOCATE ALL", Forgets::All))
            }
            Target::All => Some(Substitute::itself(Effect::DeallocateAll)),
            Target::One(name) => {
                let name = name.fold(text);
                // A session with a connection to itself may listen there: it goes as it is (`acts`).
                let acts = self.identity.spelling == Spelling::Standard && !names::is_ours(&name);
                if (self.is_shared() || !acts) && self.names.any(&name).is_some() {
                    let forgets = Forgets::One(name.into());
                    return Some(Substitute::harmless("DEALLOCATE", forgets));
                }
                // Nobody deallocates what is ours by guessing its name.
                names::is_ours(&name).then(|| {
                    let text = [b"DEALLOCATE ", &*identifier(&names::upstream(&name))].concat();
                    Substitute::instead(text, "DEALLOCATE", Forgets::Nothing)
                })
            }
        }
    }

    /// Drops what the command that is sent now will have dropped, should it not fail.
    pub(super) fn forget(&mut self, change: &mut Change) {
        // What RESET ALL takes off a shared connection is back should its transaction fail.
        if change.effect == Effect::ResetAll && self.is_shared() {
            self.flow.tainted = true;
        }
        if change.effect == Effect::DiscardAll {
            self.flow.pinned_anew = None;
            self.flow.watch = None;
        }
        let restores = change.restores != Restores::Nothing;
        self.flow.resetting |= restores && !self.has_set_nothing();
        let forgotten = match &change.forgets {
            Forgets::Nothing => return,
            Forgets::One(name) => self.names.take(name).into_iter().collect(),
            Forgets::All => self.names.take_all().collect(),
        };
        change.forgotten.names = forgotten;
        if change.effect.deallocates()
            && let Some(lease) = &mut self.lease
        {
            change.forgotten.prepared = lease.memory.take_statements();
        }
    }

    /// The command has failed: all is as it was.
    pub(super) fn remember(&mut self, forgotten: Forgotten) {
        for one in forgotten.names {
            self.names.put_back(one);
        }
        if let Some(lease) = &mut self.lease {
            lease.memory.restore_statements(forgotten.prepared);
        }
    }
}

/// Of several statements none is replaced: what they take from the connection is noted, and made
/// anew before the next request. DISCARD ALL is not among them, it fails beside others.
pub(super) fn several(reading: &Reading, text: &[u8]) -> Option<Substitute> {
    if !reading
        .touches
        .any(sql::Touches::RESET_ALL.and(sql::Touches::DEALLOCATE))
    {
        return None;
    }
    let (mut resets, mut deallocates) = (false, false);
    for statement in sql::statements(text) {
        resets |= statement.kind == Kind::ResetAll;
        deallocates |= statement.kind == Kind::Deallocate(Target::All);
    }
    let effect = match (resets, deallocates) {
        (true, true) => Effect::ResetAndDeallocateAll,
        (true, false) => Effect::ResetAll,
        (false, true) => Effect::DeallocateAll,
        (false, false) => return None,
    };
    Some(Substitute::itself(effect))
}

/// Does in its place, and in as many bytes, what RESET ALL does to who has set nothing. `None`:
/// the client's start-up set each of the settings that could be named instead.
fn without_reset_all(text: &[u8], parameters: &Parameters) -> Option<Vec<u8>> {
    let name = UNSET.iter().find(|name| parameters.get(name).is_none())?;
    let mut out = text.to_vec();
    let resets = sql::statements(text).filter(|statement| statement.kind == Kind::ResetAll);
    let spans: Vec<sql::Span> = resets.map(|statement| statement.span).collect();
    for span in spans.iter().rev() {
        let mut command = [b"RESET ", *name].concat();
        // What stands behind it keeps its place: errors tell theirs by it.
        command.resize(command.len().max(span.end - span.start), b' ');
        out.splice(span.start..span.end, command);
    }
    Some(out)
}

/// A custom name has dots, and each part is an identifier.
fn identifier(name: &[u8]) -> Vec<u8> {
    let quote = |part: &[u8]| {
        let part = part.iter().flat_map(|&byte| match byte {
            b'"' => vec![b'"', b'"'],
            other => vec![other],
        });
        [vec![b'"'], part.collect(), vec![b'"']].concat()
    };
    let parts: Vec<Vec<u8>> = name.split(|&byte| byte == b'.').map(quote).collect();
    parts.join(&b'.')
}

fn quoted(value: &[u8]) -> Vec<u8> {
    let doubled = value.iter().flat_map(|&byte| match byte {
        b'\'' => vec![b'\'', b'\''],
        b'\\' => vec![b'\\', b'\\'],
        other => vec![other],
    });
    [b" E'".to_vec(), doubled.collect(), b"'".to_vec()].concat()
}

/// SET quotes a single literal for a list-valued setting as one element; in a start-up value the
/// commas separate. Such a value is set element by element as it was written.
fn listed(name: &[u8], value: &[u8]) -> Vec<u8> {
    let lists: [&[u8]; 4] = [
        b"search_path",
        b"datestyle",
        b"temp_tablespaces",
        b"session_preload_libraries",
    ];
    let is_list = lists.iter().any(|list| name.eq_ignore_ascii_case(list));
    if !is_list || value.is_empty() {
        return quoted(value);
    }
    let mut elements = split_list(value);
    if name.eq_ignore_ascii_case(b"datestyle") {
        // Half a DateStyle would keep the other half of the one that goes.
        elements.insert(0, b"default".to_vec());
    }
    let elements: Vec<Vec<u8>> = elements.iter().map(|one| quoted(one)).collect();
    elements.join(&b',')
}

/// The elements of a list of identifiers as the server's `SplitIdentifierString` reads it.
fn split_list(value: &[u8]) -> Vec<Vec<u8>> {
    let mut elements = Vec::new();
    let mut element = Vec::new();
    let mut in_quotes = false;
    let mut quoted = false;
    let mut bytes = value.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if in_quotes && bytes.peek() == Some(&b'"') => {
                bytes.next();
                element.push(b'"');
            }
            b'"' => {
                in_quotes = !in_quotes;
                quoted = true;
            }
            b',' if !in_quotes => {
                elements.push(std::mem::take(&mut element));
                quoted = false;
            }
            byte if !in_quotes && byte.is_ascii_whitespace() => {}
            byte if !in_quotes => element.push(byte.to_ascii_lowercase()),
            byte => element.push(byte),
        }
    }
    if quoted || !element.is_empty() || elements.is_empty() {
        elements.push(element);
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_names_are_quoted_as_the_server_reads_them() {
        assert_eq!(quoted(b"it's \\"), b" E'it''s \\\\'");
        assert_eq!(identifier(b"app.we\"ird"), b"\"app\".\"we\"\"ird\"");
    }

    #[test]
    fn reset_all_among_others_is_replaced_in_its_place() {
        let mut parameters = Parameters::default();
        let replaced = |text: &[u8], parameters: &Parameters| {
            without_reset_all(text, parameters)
                .map(|text| String::from_utf8_lossy(&text).into_owned())
        };
        let text = b"CLOSE ALL; RESET ALL; select 'reset all'; reset /* */ all;";
        assert_eq!(
            replaced(text, &parameters).as_deref(),
            Some("CLOSE ALL; RESET jit; select 'reset all'; RESET jit      ;")
        );
        parameters.set(b"jit", b"off");
        assert_eq!(
            replaced(b"RESET ALL; select 1", &parameters).as_deref(),
            Some("RESET geqo; select 1")
        );
        for name in UNSET {
            parameters.set(name, b"off");
        }
        assert_eq!(replaced(b"RESET ALL; select 1", &parameters), None);
    }

    #[test]
    fn a_list_is_set_element_by_element() {
        assert_eq!(
            listed(b"search_path", b"Public, \"My, Schema\""),
            b" E'public', E'My, Schema'"
        );
        assert_eq!(listed(b"search_path", b""), b" E''");
        assert_eq!(listed(b"DateStyle", b"SQL"), b" E'default', E'sql'");
        assert_eq!(listed(b"work_mem", b"1,2"), b" E'1,2'");
    }
}

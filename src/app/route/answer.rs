//! What is to be told of one text.

use crate::route::{Case, Catalog, Decision, Rules, Wish, decide};
use crate::sql::{self, Class, Finding, Fingerprint, Hint, Judgement, Known, Obstacle, Strings};

/// What is told of a print is the same for every seed.
const SEED: u64 = 0;

/// What judges every text alike.
pub struct Judge<'a> {
    /// The database's own names, if they were asked for.
    pub known: Option<&'a Known>,
    pub rules: Rules,
    /// How many values were given for parameters.
    pub params: usize,
}

/// One text, judged.
pub struct Answer<'a> {
    pub judge: &'a Judge<'a>,
    pub finding: Finding,
    pub judgement: Judgement,
    pub decision: Decision,
    /// Where it would go, were there replicas.
    pub split: Decision,
    pub wish: Wish,
    /// Words of hints that mean nothing.
    pub unheard: Vec<Box<str>>,
    pub fingerprint: Option<Fingerprint>,
}

impl Answer<'_> {
    /// As it is shown everywhere.
    pub fn fingerprint(&self) -> String {
        let shown = self.fingerprint.as_ref().map(ToString::to_string);
        shown.unwrap_or_default()
    }
}

impl<'a> Judge<'a> {
    pub fn answer(&'a self, text: &[u8]) -> Answer<'a> {
        let finding = find(text);
        let judgement = sql::judge(&finding, self.known);
        // With plain strings the standard ones, there is always one.
        let print = sql::fingerprint(text, Strings::Standard, SEED);
        let hint = print.and_then(|print| print.hint);
        let hint = hint.map(|part| Hint::read(text, part)).unwrap_or_default();
        let wish = Wish::of(&hint);
        let case = Case {
            finding: &finding,
            judgement: &judgement,
            wish,
            catalog: match self.known {
                Some(_) => Catalog::Known,
                None => Catalog::Assumed,
            },
        };
        let decision = decide(&case, &self.rules);
        let split = Rules {
            backends: 2,
            has_replicas: true,
            ..self.rules
        };
        Answer {
            judge: self,
            decision,
            split: decide(&case, &split),
            wish,
            unheard: hint.unknown,
            fingerprint: print.map(|print| print.fingerprint),
            finding,
            judgement,
        }
    }
}

/// A text in another encoding may be anything.
fn find(text: &[u8]) -> Finding {
    let finding = sql::find(text);
    if std::str::from_utf8(text).is_ok() {
        return finding;
    }
    Finding {
        class: Class::Unknown,
        obstacle: Some(Obstacle::Unparsable),
        functions: Vec::new(),
        relations: Vec::new(),
        ..finding
    }
}

//! What does an operator's text ask for?

use super::{fault::Fault, show::Topic};
use crate::protocol::backend::Status;
use crate::sql::{Name, Scanner, Strings, Token, TokenKind};

/// One statement of the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Show(Topic),
    Act(Act),
    /// `SELECT 1`, as drivers ask to see whether anybody is there.
    Number(i64),
    /// What drivers say to set up and to clean up: taken, and answered with this tag.
    Quiet(&'static str),
    /// BEGIN, COMMIT and ROLLBACK, which drivers say around everything: there is nothing to undo.
    Transaction(&'static str, Status),
}

/// What changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// `None`: every database.
    Pause(Option<String>),
    Resume(Option<String>),
    Reconnect(Option<String>),
    KillClient(u64),
    Shutdown,
}

impl Act {
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Pause(_) => "PAUSE",
            Self::Resume(_) => "RESUME",
            Self::Reconnect(_) => "RECONNECT",
            Self::KillClient(_) => "KILL_CLIENT",
            Self::Shutdown => "SHUTDOWN",
        }
    }
}

/// Reads every statement of a text; comments and empty statements do not count. A statement that
/// is none of ours is its own error: those before it are run.
pub fn read(text: &[u8]) -> Vec<Result<Command, Fault>> {
    let mut scanner = Scanner::new(text, Strings::Standard);
    let (mut commands, mut words) = (Vec::new(), Vec::new());
    loop {
        let token = scanner.significant();
        match token {
            Some(token) if token.kind != TokenKind::Semicolon => words.push(word(text, token)),
            Some(_) | None => {
                if !words.is_empty() {
                    commands.push(command(&words));
                    words.clear();
                }
                if token.is_none() {
                    return commands;
                }
            }
        }
    }
}

/// A token that counts.
struct Word {
    /// As a name: lower case unless it was quoted.
    name: String,
    kind: TokenKind,
}

fn word(text: &[u8], token: Token) -> Word {
    let name = if token.kind.is_name() {
        Name { span: token.span }.fold(text)
    } else if token.kind == TokenKind::String {
        // Its quotes apart: PgBouncer takes no such names, and people write them all the same.
        let written = token.span.of(text);
        let inside = written
            .strip_prefix(b"'")
            .and_then(|rest| rest.strip_suffix(b"'"));
        inside.unwrap_or(written).to_owned()
    } else {
        token.span.of(text).to_owned()
    };
    Word {
        name: String::from_utf8_lossy(&name).into_owned(),
        kind: token.kind,
    }
}

fn command(words: &[Word]) -> Result<Command, Fault> {
    if words.iter().any(|word| word.kind == TokenKind::Parameter) {
        return Err(Fault::Parameters);
    }
    let mut names = words.iter().map(|word| word.name.as_str());
    let verb = match words.first() {
        Some(first) if first.kind == TokenKind::Word => names.next().unwrap_or_default(),
        Some(_) | None => "",
    };
    let rest: Vec<&str> = names.collect();
    match (verb, rest.as_slice()) {
        ("show", [topic]) => topic_of(topic).map(Command::Show),
        ("pause", rest) => Ok(Command::Act(Act::Pause(optional(rest)?))),
        ("resume", rest) => Ok(Command::Act(Act::Resume(optional(rest)?))),
        ("reconnect", rest) => Ok(Command::Act(Act::Reconnect(optional(rest)?))),
        ("kill_client", [id]) => match id.parse() {
            Ok(id) => Ok(Command::Act(Act::KillClient(id))),
            Err(_) => Err(Fault::NoSuchClient {
                id: (*id).to_owned(),
            }),
        },
        ("shutdown", []) => Ok(Command::Act(Act::Shutdown)),
        ("select", [number]) if words.get(1).is_some_and(is_number) => number
            .parse()
            .map(Command::Number)
            .map_err(|_| Fault::Query),
        ("select" | "with" | "values" | "table", _) => Err(Fault::Query),
        ("set", [_, ..]) => Ok(Command::Quiet("SET")),
        ("reset", [_, ..]) => Ok(Command::Quiet("RESET")),
        ("discard", [_]) => Ok(Command::Quiet("DISCARD ALL")),
        ("unlisten", [_]) => Ok(Command::Quiet("UNLISTEN")),
        ("close", ["all"]) => Ok(Command::Quiet("CLOSE CURSOR ALL")),
        ("deallocate", ["all"]) => Ok(Command::Quiet("DEALLOCATE ALL")),
        ("begin", _) => Ok(Command::Transaction("BEGIN", Status::InTransaction)),
        ("start", ["transaction", ..]) => Ok(Command::Transaction(
            "START TRANSACTION",
            Status::InTransaction,
        )),
        ("commit" | "end", _) => Ok(Command::Transaction("COMMIT", Status::Idle)),
        ("rollback" | "abort", _) => Ok(Command::Transaction("ROLLBACK", Status::Idle)),
        (
            "reload" | "disable" | "enable" | "kill" | "breaker" | "suspend" | "wait_close"
            | "shutdown",
            _,
        ) => Err(Fault::NotYet { what: said(words) }),
        _ => Err(Fault::Unknown { what: said(words) }),
    }
}

fn is_number(word: &Word) -> bool {
    word.kind == TokenKind::Number
}

fn optional(rest: &[&str]) -> Result<Option<String>, Fault> {
    match rest {
        [] => Ok(None),
        [name] => Ok(Some((*name).to_owned())),
        [_, more @ ..] => Err(Fault::Unknown {
            what: more.join(" "),
        }),
    }
}

fn topic_of(name: &str) -> Result<Topic, Fault> {
    if let Some(topic) = Topic::find(name) {
        return Ok(topic);
    }
    let what = format!("SHOW {}", name.to_uppercase());
    match name {
        "retries" => Err(Fault::NotYet { what }),
        _ => Err(Fault::Unknown { what }),
    }
}

/// The beginning of what was said, for the message.
fn said(words: &[Word]) -> String {
    let names: Vec<&str> = words.iter().map(|word| word.name.as_str()).collect();
    let said = names.join(" ");
    said.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Command> {
        let commands = read(text.as_bytes()).into_iter();
        commands.filter_map(Result::ok).collect()
    }

    #[test]
    fn case_comments_and_semicolons_do_not_matter() {
        let text = "/* a; b */ Show -- pools\n POOLS ;; pause; PAUSE \"Db\";pause 'Db'; ";
        assert_eq!(
            all(text),
            [
                Command::Show(Topic::Pools),
                Command::Act(Act::Pause(None)),
                Command::Act(Act::Pause(Some("Db".to_owned()))),
                Command::Act(Act::Pause(Some("Db".to_owned()))),
            ]
        );
        assert!(read(b" ; -- nothing").is_empty());
    }

    #[test]
    fn what_is_no_command_is_said_to_be_unknown_or_not_there_yet() {
        let fault = |text: &[u8]| read(text).remove(0).err();
        assert!(matches!(fault(b"frobnicate"), Some(Fault::Unknown { .. })));
        assert!(matches!(
            fault(b"show nothing"),
            Some(Fault::Unknown { .. })
        ));
        assert!(matches!(fault(b"pause a b"), Some(Fault::Unknown { .. })));
        assert!(matches!(
            fault(b"'show' pools"),
            Some(Fault::Unknown { .. })
        ));
        assert!(matches!(fault(b"reload"), Some(Fault::NotYet { .. })));
        assert!(matches!(fault(b"kill_client $1"), Some(Fault::Parameters)));
        assert!(matches!(fault(b"select * from t"), Some(Fault::Query)));
    }

    #[test]
    fn what_drivers_say_unasked_is_taken() {
        for text in [
            "set extra_float_digits = 3",
            "BEGIN",
            "discard all",
            "select 1",
        ] {
            assert_eq!(all(text).len(), 1, "{text}");
        }
    }
}

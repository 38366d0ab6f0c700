//! Conversations as they stand in `fixtures/wire`. The format is told in the module above.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::lexer::{Token, tokens};
use crate::wire;

/// Who speaks when a line does not say.
pub const USUAL: char = 'A';

/// How connections are pooled.
const MODES: [&str; 3] = ["transaction", "session", "statement"];

#[derive(Debug, Clone)]
pub struct Conversation {
    /// The folder.
    pub kind: String,
    pub name: String,
    /// Modes in which it is known to differ, and why.
    pub pending: Vec<(String, String)>,
    /// Modes in which it makes sense.
    pub modes: Vec<String>,
    /// Numbers of tables differ from play to play.
    pub masks_oids: bool,
    /// Where in the server's source an error arose is not in those that others say in its words.
    pub masks_source: bool,
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone)]
pub struct Line {
    pub client: char,
    pub text: String,
    /// File and line.
    pub place: String,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A message, kept until the next line that is none.
    Say(Vec<u8>),
    /// What was said so far goes out in a write of its own.
    Send,
    Open,
    /// Open, start-up, and everything up to ReadyForQuery.
    Connect(Vec<u8>),
    /// So many ReadyForQuery.
    Ready(usize),
    /// Up to a message of this tag.
    Until(u8),
    Byte,
    Closed,
    /// Closes the socket without a word.
    Vanish,
    /// Asks to cancel what a client runs; something may be wrong with the key.
    Cancel {
        whose: char,
        key: Key,
    },
    /// Past whoever is played through.
    Direct(String),
    /// Until this is true.
    Wait(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Right,
    Wrong,
    OfNobody,
    Longer,
    Empty,
}

/// The whole library, in the order of kinds and names.
///
/// # Panics
/// With every mistake in it.
pub fn library() -> Vec<Conversation> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wire");
    let mut all = Vec::new();
    let mut mistakes = Vec::new();
    for folder in sorted(&root) {
        if !folder.is_dir() {
            continue;
        }
        for file in sorted(&folder) {
            let text = fs::read_to_string(&file).unwrap();
            let kind = folder.file_name().unwrap().to_string_lossy();
            let name = file.strip_prefix(&root).unwrap().display().to_string();
            match conversations(&kind, &name, &text) {
                Ok(some) => all.extend(some),
                Err(wrong) => mistakes.extend(wrong),
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    all
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What a file holds.
///
/// # Errors
/// Every mistake, with its place.
pub fn conversations(kind: &str, file: &str, text: &str) -> Result<Vec<Conversation>, Vec<String>> {
    let mut found: Vec<Conversation> = Vec::new();
    let mut mistakes = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", number + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("== ") {
            found.push(Conversation::new(kind, name));
            continue;
        }
        let Some(conversation) = found.last_mut() else {
            mistakes.push(format!("{place}: before the first =="));
            continue;
        };
        if let Err(wrong) = conversation.add(line, &place) {
            mistakes.push(format!("{place}: {wrong}"));
        }
    }
    if mistakes.is_empty() {
        Ok(found)
    } else {
        Err(mistakes)
    }
}

impl Conversation {
    fn new(kind: &str, name: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            pending: Vec::new(),
            modes: MODES.map(str::to_owned).to_vec(),
            masks_oids: false,
            masks_source: false,
            lines: Vec::new(),
        }
    }

    fn add(&mut self, line: &str, place: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["modes", modes @ ..] => {
                self.modes = modes.iter().map(|&mode| mode.to_owned()).collect();
                return Ok(());
            }
            ["mask", "oids"] => {
                self.masks_oids = true;
                return Ok(());
            }
            ["mask", "source"] => {
                self.masks_source = true;
                return Ok(());
            }
            ["pending", ..] => return self.add_pending(line),
            _ => {}
        }
        let (client, text) = match line.as_bytes() {
            [client, b':', b' ', ..] => (char::from(*client), line[3..].trim()),
            _ => (USUAL, line),
        };
        act(&fill(text, &mut |_| "1".to_owned()), "db")?;
        if opens_a_transaction(text) {
            self.modes.retain(|mode| mode != "statement");
        }
        self.lines.push(Line {
            client,
            text: text.to_owned(),
            place: place.to_owned(),
        });
        Ok(())
    }

    /// `pending [mode …] "why"`: in every mode, when none is named.
    fn add_pending(&mut self, line: &str) -> Result<(), String> {
        let mut modes = Vec::new();
        let mut why = None;
        for token in tokens(line)?.into_iter().skip(1) {
            match token {
                Token::Word(mode) => modes.push(mode),
                Token::Text(text) => why = Some(String::from_utf8_lossy(&text).into_owned()),
                Token::List(_) => return Err("no list here".to_owned()),
            }
        }
        let why = why.ok_or("pending: why?")?;
        if modes.is_empty() {
            modes.extend(MODES.map(str::to_owned));
        }
        let modes = modes.into_iter().map(|mode| (mode, why.clone()));
        self.pending.extend(modes);
        Ok(())
    }

    /// Why it is known to differ in this mode.
    pub fn pending_in(&self, mode: &str) -> Option<&str> {
        let mut pending = self.pending.iter();
        let found = pending.find(|(one, _)| one == mode);
        found.map(|(_, why)| why.as_str())
    }

    pub fn fits(&self, mode: &str) -> bool {
        self.modes.iter().any(|one| one == mode)
    }

    /// Whether it moves more bytes than one-byte writes do in good time.
    pub fn is_large(&self) -> bool {
        let large = |line: &Line| {
            let act = act(&fill(&line.text, &mut |_| "1".to_owned()), "db");
            matches!(act, Ok(Act::Say(bytes) | Act::Connect(bytes)) if bytes.len() > 5000)
        };
        self.lines.iter().any(large)
    }
}

/// In statement mode there are no transaction blocks.
fn opens_a_transaction(text: &str) -> bool {
    if !text.starts_with("Query") && !text.starts_with("Parse") {
        return false;
    }
    let text = text.to_ascii_lowercase();
    let mut statements = text.split([';', '"']).map(str::trim_start);
    statements.any(|one| one.starts_with("begin") || one.starts_with("start transaction"))
}

/// Puts values in the place of `{names}`.
pub fn fill(text: &str, value: &mut dyn FnMut(&str) -> String) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let name = after.split_once('}');
        match name.filter(|(name, _)| *name == "db" || name.ends_with(".pid")) {
            Some((name, after)) => {
                filled.push_str(&value(name));
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

/// Reads a line that has no more `{names}` in it, for a play in this database.
///
/// # Errors
/// What is wrong with it.
pub fn act(text: &str, database: &str) -> Result<Act, String> {
    let tokens = tokens(text)?;
    let mut args = Args::new(&tokens);
    let verb = args.word()?;
    let act = match verb.as_str() {
        "Query" => Act::Say(wire::message(b'Q', &args.string()?)),
        "Parse" => Act::Say(parse(&mut args)?),
        "Bind" => Act::Say(bind(&mut args)?),
        "Describe" => Act::Say(wire::message(b'D', &target(&mut args)?)),
        "Close" => Act::Say(wire::message(b'C', &target(&mut args)?)),
        "Execute" => Act::Say(execute(&mut args)?),
        "Call" => Act::Say(call(&mut args)?),
        "CopyData" => Act::Say(wire::message(b'd', &args.name()?)),
        "CopyFail" => Act::Say(wire::message(b'f', &args.string()?)),
        "CopyDone" => Act::Say(wire::copy_done()),
        "Flush" => Act::Say(wire::flush()),
        "Sync" => Act::Say(wire::sync()),
        "Terminate" => Act::Say(wire::terminate()),
        "Message" => {
            let tag = args.name()?[0];
            Act::Say(wire::message(tag, &args.name()?))
        }
        "Bytes" => Act::Say(args.name()?),
        "SSLRequest" => Act::Say(wire::request(80_877_103)),
        "GSSENCRequest" => Act::Say(wire::request(80_877_104)),
        "Startup" => Act::Say(startup(&mut args, None)?),
        "connect" => Act::Connect(startup(&mut args, Some(database))?),
        "open" => Act::Open,
        "send" => Act::Send,
        "ready" => Act::Ready(args.number_or(1)?),
        "until" => Act::Until(tag(&args.word()?)?),
        "byte" => Act::Byte,
        "closed" => Act::Closed,
        "vanish" => Act::Vanish,
        "Cancel" => cancel(&mut args)?,
        "direct" | "given" => Act::Direct(args.sql()?),
        "wait" => Act::Wait(args.sql()?),
        "running" => Act::Wait(running(&args.sql()?, "state = 'active'")),
        "sleeping" => Act::Wait(running(&args.sql()?, "wait_event = 'PgSleep'")),
        "blocked" => Act::Wait(running(&args.sql()?, "wait_event_type = 'Lock'")),
        _ => return Err(format!("what is {verb}?")),
    };
    args.end()?;
    Ok(act)
}

/// Somebody runs a query with these words in it. Not the one who asks.
fn running(words: &str, how: &str) -> String {
    let words = words.replace('\'', "''");
    format!(
        "select count(*) > 0 from pg_stat_activity where position('{words}' in query) > 0 and {how} \
         and datname = current_database() and pid <> pg_backend_pid()"
    )
}

fn parse(args: &mut Args<'_>) -> Result<Vec<u8>, String> {
    let mut body = args.string()?;
    body.extend(args.string()?);
    let mut types = Vec::new();
    while let Some(name) = args.maybe_word() {
        types.push(oid(&name)?);
    }
    body.extend(count(types.len()));
    body.extend(types.iter().flat_map(|oid| oid.to_be_bytes()));
    Ok(wire::message(b'P', &body))
}

fn oid(name: &str) -> Result<u32, String> {
    let known = [
        ("unknown", 0),
        ("bool", 16),
        ("bytea", 17),
        ("int8", 20),
        ("int2", 21),
        ("int4", 23),
        ("text", 25),
        ("float8", 701),
        ("date", 1082),
    ];
    let found = known.iter().find(|(one, _)| *one == name);
    match found {
        Some((_, oid)) => Ok(*oid),
        None => name.parse().map_err(|_| format!("what type is {name}?")),
    }
}

fn bind(args: &mut Args<'_>) -> Result<Vec<u8>, String> {
    let mut body = args.string()?;
    body.extend(args.string()?);
    let values = args.list()?;
    let (mut input, mut output) = (Vec::new(), Vec::new());
    let mut formats = &mut input;
    while let Some(word) = args.maybe_word() {
        match word.as_str() {
            "in" => formats = &mut input,
            "out" => formats = &mut output,
            other => formats.push(format(other)?),
        }
    }
    body.extend(formats_of(&input));
    body.extend(values_of(&values));
    body.extend(formats_of(&output));
    Ok(wire::message(b'B', &body))
}

fn call(args: &mut Args<'_>) -> Result<Vec<u8>, String> {
    let mut body = oid(&args.word()?)?.to_be_bytes().to_vec();
    let values = args.list()?;
    let (mut input, mut output) = (Vec::new(), 0);
    while let Some(word) = args.maybe_word() {
        match word.as_str() {
            "in" => {}
            "out" => output = format(&args.word()?)?,
            other => input.push(format(other)?),
        }
    }
    body.extend(formats_of(&input));
    body.extend(values_of(&values));
    body.extend(output.to_be_bytes());
    Ok(wire::message(b'F', &body))
}

/// `t` text, `b` binary, or a number.
fn format(word: &str) -> Result<u16, String> {
    match word {
        "t" => Ok(0),
        "b" => Ok(1),
        other => other
            .parse()
            .map_err(|_| format!("what format is {other}?")),
    }
}

fn formats_of(formats: &[u16]) -> Vec<u8> {
    let mut bytes = count(formats.len()).to_vec();
    bytes.extend(formats.iter().flat_map(|format| format.to_be_bytes()));
    bytes
}

fn values_of(values: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = count(values.len()).to_vec();
    for value in values {
        match value {
            None => bytes.extend((-1i32).to_be_bytes()),
            Some(value) => {
                bytes.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
                bytes.extend(value);
            }
        }
    }
    bytes
}

fn count(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap().to_be_bytes()
}

fn target(args: &mut Args<'_>) -> Result<Vec<u8>, String> {
    let kind = match args.word()?.as_str() {
        "statement" => b'S',
        "portal" => b'P',
        other => return Err(format!("a statement or a portal, not {other}")),
    };
    Ok([vec![kind], args.string()?].concat())
}

fn execute(args: &mut Args<'_>) -> Result<Vec<u8>, String> {
    let portal = args.string()?;
    let rows = u32::try_from(args.number_or(0)?).unwrap();
    Ok(wire::message(
        b'E',
        &[portal, rows.to_be_bytes().to_vec()].concat(),
    ))
}

/// `[version 3.2] [bare] name=value …`; as the superuser of the play's database, unless it is bare.
fn startup(args: &mut Args<'_>, database: Option<&str>) -> Result<Vec<u8>, String> {
    let mut version = wire::VERSION;
    let mut pairs: Vec<Vec<u8>> = Vec::new();
    let mut who = match database {
        Some(database) => vec![("user", "postgres"), ("database", database)],
        None => Vec::new(),
    };
    while let Some(token) = args.next() {
        match token {
            Token::Word(word) if word == "version" => {
                let text = args.word()?;
                let (major, minor) = text.split_once('.').ok_or("version 3.0")?;
                let part = |text: &str| text.parse::<i32>().map_err(|_| "version 3.0".to_owned());
                version = (part(major)? << 16) + part(minor)?;
            }
            Token::Word(word) if word == "bare" => who.clear(),
            Token::Word(word) => {
                let (name, value) = word.split_once('=').ok_or("name=value")?;
                who.retain(|(usual, _)| *usual != name);
                pairs.push([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
            }
            Token::Text(text) => {
                let at = text
                    .iter()
                    .position(|byte| *byte == b'=')
                    .ok_or("name=value")?;
                pairs.push([&text[..at], b"\0", &text[at + 1..], b"\0"].concat());
            }
            Token::List(_) => return Err("no list here".to_owned()),
        }
    }
    let who = who
        .iter()
        .map(|(name, value)| format!("{name}\0{value}\0").into_bytes());
    let mut body = version.to_be_bytes().to_vec();
    body.extend(who.chain(pairs).flatten());
    body.push(0);
    let len = u32::try_from(body.len() + 4).unwrap();
    Ok([&len.to_be_bytes()[..], &body].concat())
}

fn cancel(args: &mut Args<'_>) -> Result<Act, String> {
    let whose = args.word()?.chars().next().unwrap_or(USUAL);
    let key = match args.maybe_word().as_deref() {
        None => Key::Right,
        Some("wrong") => Key::Wrong,
        Some("nobody") => Key::OfNobody,
        Some("longer") => Key::Longer,
        Some("empty") => Key::Empty,
        Some(other) => return Err(format!("what key is {other}?")),
    };
    Ok(Act::Cancel { whose, key })
}

fn tag(name: &str) -> Result<u8, String> {
    let known = [
        ("ParseComplete", b'1'),
        ("BindComplete", b'2'),
        ("CloseComplete", b'3'),
        ("NoData", b'n'),
        ("PortalSuspended", b's'),
        ("RowDescription", b'T'),
        ("ParameterDescription", b't'),
        ("DataRow", b'D'),
        ("CommandComplete", b'C'),
        ("EmptyQueryResponse", b'I'),
        ("ErrorResponse", b'E'),
        ("NoticeResponse", b'N'),
        ("NotificationResponse", b'A'),
        ("ParameterStatus", b'S'),
        ("CopyInResponse", b'G'),
        ("CopyOutResponse", b'H'),
        ("CopyData", b'd'),
        ("CopyDone", b'c'),
        ("FunctionCallResponse", b'V'),
        ("BackendKeyData", b'K'),
    ];
    let found = known.iter().find(|(one, _)| *one == name);
    found.map(|(_, tag)| *tag).ok_or(format!("what is {name}?"))
}

struct Args<'a> {
    tokens: std::slice::Iter<'a, Token>,
}

impl<'a> Args<'a> {
    fn new(tokens: &'a [Token]) -> Self {
        Self {
            tokens: tokens.iter(),
        }
    }

    fn next(&mut self) -> Option<Token> {
        self.tokens.next().cloned()
    }

    fn word(&mut self) -> Result<String, String> {
        self.maybe_word().ok_or("a word is missing".to_owned())
    }

    fn maybe_word(&mut self) -> Option<String> {
        match self.tokens.as_slice().first() {
            Some(Token::Word(word)) => {
                self.tokens.next();
                Some(word.clone())
            }
            _ => None,
        }
    }

    /// A name or a text, as it is.
    fn name(&mut self) -> Result<Vec<u8>, String> {
        match self.next() {
            Some(Token::Word(word)) => Ok(word.into_bytes()),
            Some(Token::Text(text)) => Ok(text),
            Some(Token::List(_)) | None => Err("a name or a text is missing".to_owned()),
        }
    }

    /// With the zero byte that ends it in a message.
    fn string(&mut self) -> Result<Vec<u8>, String> {
        let mut name = self.name()?;
        name.push(0);
        Ok(name)
    }

    fn sql(&mut self) -> Result<String, String> {
        Ok(String::from_utf8_lossy(&self.name()?).into_owned())
    }

    fn list(&mut self) -> Result<Vec<Option<Vec<u8>>>, String> {
        match self.tokens.as_slice().first() {
            Some(Token::List(values)) => {
                self.tokens.next();
                Ok(values.clone())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn number_or(&mut self, usual: usize) -> Result<usize, String> {
        match self.maybe_word() {
            None => Ok(usual),
            Some(word) => word.parse().map_err(|_| format!("{word} is no number")),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        match self.next() {
            None => Ok(()),
            Some(token) => Err(format!("what is {token:?} doing here?")),
        }
    }
}

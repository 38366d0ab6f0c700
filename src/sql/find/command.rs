//! What class of work a statement is, by its first words.

use super::super::kind::{Discard, Kind, Target, What};
use super::super::read::Statement;
use super::super::scan::TokenKind;
use super::super::verdict::{Class, Effect, Obstacle};
use super::Gathered;
use super::keys;
use super::piece::{LONGEST_KEYWORD, Piece, pieces};
use super::walk::{makes_temporary, named, walk};

/// Gathers what one statement of `text` says.
pub(super) fn statement(
    text: &[u8],
    statement: &Statement,
    values: &keys::Values,
    gathered: &mut Gathered,
) {
    let pieces = pieces(text, statement.span);
    let broken = |piece: &Piece<'_>| {
        matches!(piece.kind, TokenKind::Other | TokenKind::Unterminated)
            || piece.kind.is_name() && piece.bytes.len() > LONGEST_NAME
    };
    if pieces.iter().any(broken) {
        return gathered.unknown();
    }
    keys::keys(&pieces, values, &mut gathered.keys);
    match statement.kind == Kind::Other {
        true => command(&pieces, gathered),
        false => known(text, statement.kind, &pieces, gathered),
    }
}

/// The server cuts names to 63 bytes; nobody writes such ones.
const LONGEST_NAME: usize = 4096;

/// A statement whose kind has been read already.
fn known(text: &[u8], kind: Kind, pieces: &[Piece<'_>], gathered: &mut Gathered) {
    let string = |bytes: Vec<u8>| {
        String::from_utf8_lossy(&bytes)
            .into_owned()
            .into_boxed_str()
    };
    match kind {
        Kind::Empty | Kind::Other => {}
        Kind::Begin
        | Kind::Commit { .. }
        | Kind::Rollback { .. }
        | Kind::RollbackTo(_)
        | Kind::Savepoint(_)
        | Kind::Release(_)
        | Kind::PrepareTransaction
        | Kind::CommitPrepared
        | Kind::RollbackPrepared => {
            gathered.class(Class::Transaction, Some(Obstacle::Transaction));
        }
        Kind::Set { local, what, .. } => set(text, local, what, pieces, gathered),
        Kind::Reset(what) => set(text, false, what, pieces, gathered),
        Kind::ResetAll => {
            gathered.class(Class::Session, Some(Obstacle::Session));
            gathered.effect(Effect::Set("all".into()));
        }
        Kind::Discard(what) => discard(what, gathered),
        Kind::Deallocate(target) => {
            gathered.class(Class::Prepare, Some(Obstacle::Prepare));
            let name = match target {
                Target::All => String::new().into_boxed_str(),
                Target::One(name) => string(name.fold(text)),
            };
            gathered.effect(Effect::Prepare(name));
        }
        Kind::Prepare { name, body } => {
            let body = super::piece::pieces(text, body);
            let mut inner = Gathered::default();
            command(&body, &mut inner);
            gathered.class(Class::Prepare, Some(Obstacle::Prepare));
            gathered.effect(Effect::Prepare(string(name.fold(text))));
            gathered.names_of(inner);
        }
        Kind::Execute(_) => {
            gathered.class(Class::Prepare, Some(Obstacle::Prepare));
            gathered.effect(Effect::Anything);
            walk(pieces.get(2..).unwrap_or_default(), gathered);
        }
        Kind::Listen(_) | Kind::Unlisten(_) => {
            gathered.class(Class::Listen, Some(Obstacle::Listen));
            gathered.effect(Effect::Listen);
        }
        Kind::Notify(_) => gathered.class(Class::Listen, Some(Obstacle::Listen)),
        Kind::Declare { hold, .. } => declare(hold, pieces, gathered),
        Kind::Close(_) | Kind::Fetch => gathered.class(Class::Cursor, Some(Obstacle::Cursor)),
        Kind::Copy => copy(pieces, gathered),
        Kind::Show => gathered.class(Class::Utility, Some(Obstacle::Session)),
        Kind::Load => {
            gathered.class(Class::Session, Some(Obstacle::Session));
            gathered.effect(Effect::Anything);
        }
        Kind::Call | Kind::Do => {
            gathered.class(Class::Call, Some(Obstacle::Call));
            gathered.effect(Effect::Anything);
            if kind == Kind::Call {
                walk(pieces.get(1..).unwrap_or_default(), gathered);
            }
        }
        Kind::CreateTemp => {
            gathered.effect(Effect::Temp);
            define(pieces, gathered);
        }
        Kind::Database => define(pieces, gathered),
    }
}

fn set(text: &[u8], local: bool, what: What, pieces: &[Piece<'_>], gathered: &mut Gathered) {
    match what {
        What::Transaction | What::Snapshot | What::Constraints => {
            return gathered.class(Class::Transaction, Some(Obstacle::Transaction));
        }
        What::SessionCharacteristics => {
            gathered.class(Class::Session, Some(Obstacle::Session));
            return characteristics(pieces, gathered);
        }
        What::Setting(_)
        | What::TimeZone
        | What::Names
        | What::Schema
        | What::Role
        | What::SessionAuthorization
        | What::XmlOption
        | What::Catalog => {}
    }
    gathered.class(Class::Session, Some(Obstacle::Session));
    let name = what.setting(text).unwrap_or_default();
    let name = String::from_utf8_lossy(&name).into();
    gathered.effect(match local {
        true => Effect::SetLocal(name),
        false => Effect::Set(name),
    });
}

/// SET SESSION CHARACTERISTICS AS TRANSACTION: each of its modes has a setting.
fn characteristics(pieces: &[Piece<'_>], gathered: &mut Gathered) {
    for (word, setting) in [
        ("isolation", "default_transaction_isolation"),
        ("read", "default_transaction_read_only"),
        ("deferrable", "default_transaction_deferrable"),
    ] {
        let after_level = |at: usize| at > 0 && pieces.get(at - 1).is_some_and(|p| p.is("level"));
        let is = |(at, piece): (usize, &Piece<'_>)| piece.is(word) && !after_level(at);
        if pieces.iter().enumerate().any(is) {
            gathered.effect(Effect::Set(setting.into()));
        }
    }
}

fn discard(what: Discard, gathered: &mut Gathered) {
    gathered.class(Class::Session, Some(Obstacle::Session));
    match what {
        Discard::All => {
            for effect in [
                Effect::Set("all".into()),
                Effect::Temp,
                Effect::AdvisoryLock,
                Effect::Listen,
                Effect::Prepare("".into()),
                Effect::CursorHold,
                Effect::Sequence,
            ] {
                gathered.effect(effect);
            }
        }
        Discard::Sequences => gathered.effect(Effect::Sequence),
        Discard::Temp => gathered.effect(Effect::Temp),
        Discard::Plans => {}
    }
}

/// The cursor's query is judged, but fetched where the cursor is.
fn declare(hold: bool, pieces: &[Piece<'_>], gathered: &mut Gathered) {
    let query = pieces.iter().position(|piece| piece.is("for"));
    let query = query.and_then(|at| pieces.get(at + 1..));
    walk(query.unwrap_or_default(), gathered);
    gathered.class(Class::Cursor, Some(Obstacle::Cursor));
    if hold {
        gathered.effect(Effect::CursorHold);
    }
}

/// COPY of a table or a query, in or out, over the wire or by the server itself.
fn copy(pieces: &[Piece<'_>], gathered: &mut Gathered) {
    let mut depth = 0_usize;
    let direction = pieces.iter().position(|piece| {
        if piece.kind == TokenKind::Open {
            depth += 1;
        } else if piece.kind == TokenKind::Close {
            depth = depth.saturating_sub(1);
        }
        depth == 0 && piece.is_any(&["from", "to"])
    });
    let Some(direction) = direction else {
        return gathered.unknown();
    };
    let (what, rest) = pieces.split_at(direction);
    let what = what.get(1..).unwrap_or_default();
    match what {
        [first, ..] if first.kind == TokenKind::Open => walk(what, gathered),
        [first, what @ ..] if first.is("binary") && !what.is_empty() => target(what, gathered),
        _ => target(what, gathered),
    }
    let wire = rest
        .get(1)
        .is_some_and(|to| to.is_any(&["stdout", "stdin"]));
    let out = rest.first().is_some_and(|piece| piece.is("to"));
    match (out, wire) {
        (true, true) => gathered.class(Class::CopyOut, None),
        (true, false) => gathered.class(Class::CopyOut, Some(Obstacle::ServerFile)),
        (false, _) => gathered.class(Class::CopyIn, Some(Obstacle::CopyIn)),
    }
}

/// A statement that no kind leads.
fn command(pieces: &[Piece<'_>], gathered: &mut Gathered) {
    let Some(first) = pieces.first() else { return };
    if first.kind == TokenKind::Open {
        return query(pieces, gathered);
    }
    let mut buffer = [0; LONGEST_KEYWORD];
    match first.keyword(&mut buffer) {
        "select" | "values" | "table" | "with" | "insert" | "update" | "delete" | "merge" => {
            query(pieces, gathered);
        }
        "truncate" => {
            targets(pieces, gathered);
            gathered.class(Class::Write, Some(Obstacle::Write));
        }
        "explain" => match explained(pieces) {
            // Which the server does not take, and which could go on as long as the text.
            [again, ..] if again.is("explain") => gathered.unknown(),
            explained => command(explained, gathered),
        },
        "lock" => {
            targets(pieces, gathered);
            gathered.class(Class::Utility, Some(Obstacle::Utility));
        }
        "analyse" | "analyze" | "checkpoint" | "reindex" | "vacuum" => {
            gathered.class(Class::Utility, Some(Obstacle::Utility));
        }
        "show" => gathered.class(Class::Utility, Some(Obstacle::Session)),
        "alter" | "cluster" | "comment" | "create" | "drop" | "grant" | "import" | "reassign"
        | "refresh" | "revoke" | "security" => define(pieces, gathered),
        // Reached below EXPLAIN and PREPARE alone.
        "execute" => {
            gathered.class(Class::Prepare, Some(Obstacle::Prepare));
            gathered.effect(Effect::Anything);
        }
        "declare" => declare(false, pieces, gathered),
        _ => gathered.unknown(),
    }
}

fn query(pieces: &[Piece<'_>], gathered: &mut Gathered) {
    gathered.class(Class::Read, None);
    walk(pieces, gathered);
    // The view passes it on to set_config.
    let settings = |relation: &super::Named| &*relation.name == b"pg_settings";
    if gathered.class == Some(Class::Write) && gathered.relations.list.iter().any(settings) {
        gathered.effect(Effect::Anything);
    }
}

/// What EXPLAIN explains.
fn explained<'p, 'a>(pieces: &'p [Piece<'a>]) -> &'p [Piece<'a>] {
    let mut rest = pieces.get(1..).unwrap_or_default();
    while let [first, after @ ..] = rest
        && first.is_any(&["analyze", "analyse", "verbose"])
    {
        rest = after;
    }
    let options = rest
        .first()
        .is_some_and(|piece| piece.kind == TokenKind::Open)
        && !rest.get(1).is_some_and(|next| {
            next.kind == TokenKind::Open || next.is_any(&["select", "values", "table", "with"])
        });
    let close = rest.iter().position(|piece| piece.kind == TokenKind::Close);
    match (options, close) {
        (true, Some(close)) => rest.get(close + 1..).unwrap_or_default(),
        _ => rest,
    }
}

/// What a definition names, and what the query in it reads.
fn define(pieces: &[Piece<'_>], gathered: &mut Gathered) {
    gathered.class(Class::Ddl, Some(Obstacle::Ddl));
    let object = pieces
        .iter()
        .take(6)
        .position(|piece| piece.is_any(&["table", "view", "sequence", "index", "into"]));
    let Some(object) = object else { return };
    let mut rest = pieces.get(object + 1..).unwrap_or_default();
    while let [first, after @ ..] = rest
        && first.is_any(&["if", "not", "exists", "only", "concurrently"])
    {
        rest = after;
    }
    target(rest, gathered);
    let marks = pieces.get(..object).unwrap_or_default();
    let is_marked = |piece: &Piece<'_>| piece.is_any(&["temp", "temporary"]);
    let creates = pieces.first().is_some_and(|piece| piece.is("create"));
    if creates && (marks.iter().any(is_marked) || makes_temporary(rest)) {
        gathered.effect(Effect::Temp);
    }
    let body = rest.iter().position(|piece| piece.is("as"));
    let body = body.and_then(|at| rest.get(at + 1..)).unwrap_or_default();
    let begins = |piece: &Piece<'_>| {
        piece.kind == TokenKind::Open || piece.is_any(&["select", "values", "table", "with"])
    };
    if body.first().is_some_and(begins) {
        walk(body, gathered);
    } else if body.first().is_some_and(|piece| piece.is("execute")) {
        gathered.effect(Effect::Anything);
    }
}

/// The relation whose name begins here.
fn target(pieces: &[Piece<'_>], gathered: &mut Gathered) {
    let parts = pieces
        .iter()
        .enumerate()
        .take_while(|(at, piece)| match at % 2 {
            0 => piece.kind.is_name(),
            _ => piece.kind == TokenKind::Dot,
        });
    let parts = pieces.get(..parts.count()).unwrap_or_default();
    if !parts.is_empty() {
        gathered.relations.put(named(parts));
    }
}

/// The relations of TRUNCATE and LOCK.
fn targets(pieces: &[Piece<'_>], gathered: &mut Gathered) {
    let mut rest = pieces.get(1..).unwrap_or_default();
    loop {
        while let [first, after @ ..] = rest
            && first.is_any(&["table", "only"])
        {
            rest = after;
        }
        target(rest, gathered);
        let Some(comma) = rest.iter().position(|piece| piece.kind == TokenKind::Comma) else {
            return;
        };
        rest = rest.get(comma + 1..).unwrap_or_default();
    }
}

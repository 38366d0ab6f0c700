//! `pg-ambassador route`: what does a statement do, where does it go, and why?
//! Judges with the very functions that a session judges with, and runs nothing.

mod answer;
mod catalog;
mod explain;
mod json;

use std::{
    io::{self, BufRead, Write},
    os::unix::ffi::OsStrExt,
    process::ExitCode,
};

use self::answer::{Answer, Judge};
use crate::config::{Config, Format, Route};
use crate::route::Rules;
use crate::server::Database;

/// What stands for standard input.
const STDIN: &[u8] = b"-";
/// What ends a text there.
const END: u8 = 0;
/// A slip of usage.
const USAGE: u8 = 2;

/// Answers for the text of the command line, or for each that standard input brings.
pub fn route(config: &Config, asked: &Route) -> ExitCode {
    // They are about connections.
    for warning in config.warnings.iter().filter(|_| asked.connect) {
        eprintln!("warning: {warning}");
    }
    let database = match pick(&config.server.databases, asked.database.as_deref()) {
        Ok(database) => database,
        Err(slip) => {
            eprintln!("pg-ambassador: {slip}");
            return ExitCode::from(USAGE);
        }
    };
    let known = match asked
        .connect
        .then(|| catalog::read(config, database, asked))
    {
        Some(Ok(known)) => Some(known),
        None => None,
        Some(Err(wrong)) => {
            eprintln!("pg-ambassador: {wrong}");
            return ExitCode::FAILURE;
        }
    };
    let judge = Judge {
        known: known.as_deref(),
        rules: Rules::of(&database.backends, database.routing.reads),
        params: asked.param.len(),
    };
    match answer_all(asked, &judge) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads the answers any more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pg-ambassador: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer_all(asked: &Route, judge: &Judge<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let text = asked.sql.as_bytes();
    if text != STDIN {
        let answer = judge.answer(text);
        let told = match asked.format {
            Format::Json => json::line(&answer),
            Format::Text => explain::whole(&answer),
        };
        out.write_all(told.as_bytes())?;
        return out.flush();
    }
    let mut input = io::stdin().lock();
    while let Some(text) = next(&mut input)? {
        let answer: Answer<'_> = judge.answer(&text);
        let told = match asked.format {
            Format::Json => json::line(&answer),
            Format::Text => explain::line(&answer),
        };
        out.write_all(told.as_bytes())?;
        // Who asks one by one waits for each.
        out.flush()?;
    }
    Ok(())
}

/// The next text, an empty one too. What follows the last NUL is one if it is not empty.
fn next(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    if input.read_until(END, &mut text)? == 0 {
        return Ok(None);
    }
    if text.last() == Some(&END) {
        text.pop();
    }
    Ok(Some(text))
}

/// The database that is meant: as a client's name is looked up, or the only one.
fn pick<'a>(databases: &'a [Database], name: Option<&str>) -> Result<&'a Database, String> {
    let names: Vec<&str> = databases.iter().map(Database::entry).collect();
    let Some(name) = name else {
        return match databases {
            [only] => Ok(only),
            _ => Err(format!(
                "which database? --database with one of: {}",
                names.join(", ")
            )),
        };
    };
    let named = |database: &&Database| database.name.as_deref() == Some(name);
    let any = |database: &&Database| database.name.is_none();
    let found = databases.iter().find(named);
    found.or_else(|| databases.iter().find(any)).ok_or_else(|| {
        format!(
            "there is no database {name:?} in the file, which has: {}",
            names.join(", ")
        )
    })
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    reason = "in a test a failed step is a failed test"
)]
mod tests {
    use super::*;

    fn texts(mut input: &[u8]) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| next(&mut input).unwrap()).collect()
    }

    #[test]
    fn every_text_before_a_nul_is_one_an_empty_one_too() {
        let none: Vec<Vec<u8>> = Vec::new();
        assert_eq!(texts(b""), none);
        assert_eq!(texts(b"\0"), [b""]);
        assert_eq!(texts(b"a\0"), [b"a"]);
        assert_eq!(texts(b"a\0b"), [b"a", b"b"]);
        let several: [&[u8]; 4] = [b"", b"a\nb", b"", b"\xff"];
        assert_eq!(texts(b"\0a\nb\0\0\xff\0"), several);
    }
}

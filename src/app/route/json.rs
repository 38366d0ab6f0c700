//! An answer for programs: one object, one line, its keys in the order of the contract.

use core::fmt::Write;

use super::answer::Answer;
use crate::sql::Named;

/// The line, with its end. Writing to a text cannot fail, so the results say nothing.
pub fn line(answer: &Answer<'_>) -> String {
    let (finding, decision) = (&answer.finding, &answer.decision);
    let effects = finding.effects.iter().map(ToString::to_string);
    let functions = finding.functions.iter().map(shown);
    let mut out = String::new();
    let _ = write!(out, "{{\"class\":\"{}\"", finding.class.name());
    let _ = write!(out, ",\"replica_safe\":{}", decision.replica_safe);
    let _ = write!(out, ",\"role\":\"{}\"", decision.role.name());
    let _ = write!(out, ",\"shard\":null");
    let _ = write!(out, ",\"reason\":\"{}\"", decision.reason.name());
    array(&mut out, "effects", effects);
    array(&mut out, "functions", functions);
    let _ = write!(out, ",\"fingerprint\":\"{}\"", answer.fingerprint());
    let _ = writeln!(out, ",\"statements\":{}}}", finding.statements);
    out
}

/// A name as it is told: with its schema, if one was written.
pub fn shown(named: &Named) -> String {
    let name = String::from_utf8_lossy(&named.name);
    match &named.schema {
        Some(schema) => format!("{}.{name}", String::from_utf8_lossy(schema)),
        None => name.into_owned(),
    }
}

fn array(out: &mut String, key: &str, items: impl Iterator<Item = String>) {
    let _ = write!(out, ",\"{key}\":[");
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        string(out, &item);
    }
    out.push(']');
}

/// RFC 8259: quotes, backslashes and control characters are escaped; nothing else needs to be.
fn string(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0'..='\x1f' => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    reason = "in a test a failed step is a failed test"
)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_name_holds_is_read_back() {
        for text in ["", "lower", "a\"b\\c", "\n\t\0\x1f\x7f", "é😀", "\u{2028}"] {
            let mut out = String::new();
            string(&mut out, text);
            assert!(!out.contains('\n'));
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}

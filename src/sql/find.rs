//! Reads a text for all that it says about what it will do. Runs once per fingerprint.

use super::read;
use super::verdict::Class;
use super::verdict::Finding;
use super::verdict::Obstacle;

/// What this text says it will do, with `standard_conforming_strings` on.
pub fn find(text: &[u8]) -> Finding {
    let reading = read(text);
    Finding {
        class: Class::Unknown,
        statements: reading.count,
        touches: reading.touches,
        stake: reading.stake,
        effects: Vec::new(),
        relations: Vec::new(),
        functions: Vec::new(),
        operators: Vec::new(),
        words: Vec::new(),
        obstacle: Some(Obstacle::Unparsable),
        is_literal: false,
    }
}

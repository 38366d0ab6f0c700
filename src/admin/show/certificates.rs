//! SHOW CERTIFICATES.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{
    super::{
        House,
        table::{Cell, Column, Row, number, text},
    },
    Facts,
    time::of_unix,
};
use crate::net::tls::{Paper, State};

pub const COLUMNS: &[Column] = &[
    text("file"),
    text("used_for"),
    text("subject"),
    text("issuer"),
    text("serial"),
    text("not_before"),
    text("not_after"),
    number("days_left"),
    text("error"),
];

/// A row for each certificate in use, in the order of the files.
pub fn rows(facts: &Facts<'_, impl House>) -> Vec<Row> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs().cast_signed());
    let states = facts.house.papers();
    let row = |state: &State, paper: &Paper| {
        let left = (paper.not_after - now).div_euclid(24 * 60 * 60);
        vec![
            paper.file.display().to_string().into(),
            format!("{}.{}", state.table, paper.key).into(),
            paper.subject.clone().into(),
            paper.issuer.clone().into(),
            paper.serial.clone().into(),
            of_unix(paper.not_before).into(),
            of_unix(paper.not_after).into(),
            Cell::Number(left),
            state.why_refused.clone().into(),
        ]
    };
    states
        .iter()
        .flat_map(|state| state.papers.iter().map(move |paper| row(state, paper)))
        .collect()
}

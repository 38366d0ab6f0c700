//! The families that tell of certificates.

use std::collections::BTreeMap;

use super::{
    Figures, number,
    page::{Kind, Page},
};

pub(super) fn certificates(page: &mut Page, figures: &Figures) {
    page.family(
        "tls_certificate_expiry_timestamp_seconds",
        Kind::Gauge,
        "When the first of a file's certificates in use expires, in seconds since 1970.",
    );
    let mut first: BTreeMap<String, i64> = BTreeMap::new();
    for paper in figures.papers.iter().flat_map(|state| &state.papers) {
        let end = first.entry(paper.file.display().to_string());
        let end = end.or_insert(paper.not_after);
        *end = paper.not_after.min(*end);
    }
    for (file, end) in first {
        page.sample(&[("file", &file)], number(u64::try_from(end).unwrap_or(0)));
    }
    page.family(
        "tls_reloads_total",
        Kind::Counter,
        "Times that certificates were read anew because their files had changed (ok), or were of no use (failed).",
    );
    for state in &figures.papers {
        let table = ("table", state.table.as_str());
        page.sample(&[table, ("result", "ok")], number(state.renewed));
        page.sample(&[table, ("result", "failed")], number(state.refused));
    }
    page.family(
        "tls_files_refused",
        Kind::Gauge,
        "1 while the files as they are now are of no use, and the certificates of before stay in use.",
    );
    for state in &figures.papers {
        let refused = u64::from(state.why_refused.is_some());
        page.sample(&[("table", &state.table)], number(refused));
    }
}

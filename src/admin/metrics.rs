//! The metrics, by their names, in Prometheus' text format.

mod page;

use page::{Kind, Page};

/// Of the format, version 0.0.4.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is told of the process as a whole.
#[derive(Debug, Clone)]
pub struct Process {
    pub version: &'static str,
    /// The same for the same configuration; below 2^53, which a metric's value keeps exactly.
    pub config_hash: u64,
}

/// Writes all that is known.
pub async fn render(process: &Process) -> String {
    let mut page = Page::default();
    about_the_process(&mut page, process);
    page.finish()
}

fn about_the_process(page: &mut Page, process: &Process) {
    page.family(
        "build_info",
        Kind::Gauge,
        "Always 1; the version is a label.",
    );
    page.sample(&[("version", process.version)], 1.0);
    page.family(
        "config_hash",
        Kind::Gauge,
        "A number that is the same where the configuration is the same; secrets do not count.",
    );
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    page.sample(&[], process.config_hash as f64);
}

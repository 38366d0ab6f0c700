//! The text format itself: families, samples, labels.
//! See <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use core::fmt::Write;

use crate::telemetry::counters::{BOUNDS, Times};

/// In front of every name.
const PREFIX: &str = "ambassador_";

/// What Prometheus may do with a family's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Labels of one sample, in order.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// A page in the making. Writing to a text cannot fail, so the results say nothing.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    /// The family that samples go to.
    name: &'static str,
}

impl Page {
    /// Begins a family; the samples that follow are its.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        self.name = name;
        let word = kind.word();
        let _ = writeln!(self.text, "# HELP {PREFIX}{name} {help}");
        let _ = writeln!(self.text, "# TYPE {PREFIX}{name} {word}");
    }

    /// One value of the family.
    pub fn sample(&mut self, labels: Labels<'_>, value: f64) {
        self.line("", labels, None, value);
    }

    /// The whole of one histogram of the family.
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact up to 2^53, for whole numbers"
    )]
    pub fn histogram(&mut self, labels: Labels<'_>, times: &Times) {
        let mut count = 0;
        let bounds = BOUNDS.iter().map(|&micros| seconds(micros).to_string());
        let bounds = bounds.chain(["+Inf".to_owned()]);
        for (bound, bucket) in bounds.zip(times.buckets) {
            count += bucket;
            self.line("_bucket", labels, Some(&bound), count as f64);
        }
        self.line("_sum", labels, None, seconds(times.sum));
        self.line("_count", labels, None, count as f64);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: f64) {
        let _ = write!(self.text, "{PREFIX}{}{suffix}", self.name);
        let bound = bound.map(|bound| ("le", bound));
        let mut opened = false;
        for (name, value) in labels.iter().copied().chain(bound) {
            self.text.push(if opened { ',' } else { '{' });
            opened = true;
            let _ = write!(self.text, "{name}=\"");
            escape(&mut self.text, value);
            self.text.push('"');
        }
        if opened {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    pub fn finish(self) -> String {
        self.text
    }
}

#[expect(clippy::cast_precision_loss, reason = "285 years are exact")]
pub fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// A label's value: backslash, quote and line feed are escaped, nothing else.
fn escape(text: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            letter => text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_adds_its_buckets_up() {
        let mut times = Times {
            sum: 2_500_300,
            ..Times::default()
        };
        times.buckets[0] = 3;
        times.buckets[16] = 1;
        let mut page = Page::default();
        page.family("wait_seconds", Kind::Histogram, "How long.");
        page.histogram(&[("database", "a")], &times);
        let text = page.finish();
        let name = "ambassador_wait_seconds";
        for line in [
            "_bucket{database=\"a\",le=\"0.0001\"} 3\n",
            "_bucket{database=\"a\",le=\"10\"} 3\n",
            "_bucket{database=\"a\",le=\"+Inf\"} 4\n",
            "_sum{database=\"a\"} 2.5003\n",
            "_count{database=\"a\"} 4\n",
        ] {
            assert!(text.contains(&format!("{name}{line}")), "{line} in {text}");
        }
    }

    #[test]
    fn a_family_is_introduced_and_its_labels_are_escaped() {
        let mut page = Page::default();
        page.family("pool_size", Kind::Gauge, "How many.");
        page.sample(&[("database", "a\\b\"c\nd"), ("user", "é")], 2.0);
        page.sample(&[], 0.5);
        assert_eq!(
            page.finish(),
            "# HELP ambassador_pool_size How many.\n\
             # TYPE ambassador_pool_size gauge\n\
             ambassador_pool_size{database=\"a\\\\b\\\"c\\nd\",user=\"é\"} 2\n\
             ambassador_pool_size 0.5\n"
        );
    }
}

//! A page of metrics, read as strictly as the format is written.
//! Never forgives: what Prometheus would guess at is a failed test here.

use std::collections::{BTreeMap, HashSet};

/// Labels in the order of their names.
pub type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Labels,
    pub value: f64,
}

#[derive(Debug, Default)]
pub struct Scrape {
    /// Each family's type.
    pub families: BTreeMap<String, String>,
    pub samples: Vec<Sample>,
}

impl Scrape {
    /// Every line ends; every family has one HELP, then one TYPE, then its samples and nobody
    /// else's; no sample comes twice; histograms add up.
    #[track_caller]
    pub fn parse(page: &str) -> Self {
        assert!(page.ends_with('\n'), "the last line does not end");
        let mut scrape = Self::default();
        let mut seen = HashSet::new();
        let mut helped: Option<String> = None;
        let mut family = String::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(is_name(name) && !help.trim().is_empty(), "{line}");
                helped = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(helped.take().as_deref(), Some(name), "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                let ends_in_total = name.ends_with("_total");
                assert_eq!(kind == "counter", ends_in_total, "{line}");
                family = name.to_owned();
                let former = scrape.families.insert(family.clone(), kind.to_owned());
                assert!(former.is_none(), "a second time: {line}");
            } else {
                assert!(helped.is_none(), "HELP without TYPE before: {line}");
                let sample = sample(line);
                let histogram = scrape.families[&family] == "histogram";
                assert_eq!(base(&sample.name, histogram), family, "{line}");
                assert!(sample.name.starts_with("ambassador_"), "{line}");
                let key = (sample.name.clone(), sample.labels.clone());
                assert!(seen.insert(key), "a second time: {line}");
                scrape.samples.push(sample);
            }
        }
        scrape.check_histograms();
        scrape
    }

    /// The value of exactly this series; 0 when it is not there.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Labels = owned(labels);
        let mut all = self.samples.iter();
        let found = all.find(|sample| sample.name == name && sample.labels == wanted);
        found.map_or(0.0, |sample| sample.value)
    }

    /// The sum over all series that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted = owned(labels);
        let has = |sample: &&Sample| {
            let mut wanted = wanted.iter();
            sample.name == name && wanted.all(|(key, value)| sample.labels.get(key) == Some(value))
        };
        let found = self.samples.iter().filter(has);
        found.map(|sample| sample.value).sum()
    }

    #[track_caller]
    fn check_histograms(&self) {
        let histograms = self
            .families
            .iter()
            .filter(|(_, kind)| *kind == "histogram");
        for (name, _) in histograms {
            let of = |suffix: &str| {
                let name = format!("{name}{suffix}");
                self.samples.iter().filter(move |one| one.name == name)
            };
            for count in of("_count") {
                let same = |one: &&Sample| {
                    let mut labels = one.labels.clone();
                    labels.remove("le").is_some() && labels == count.labels
                };
                let buckets: Vec<&Sample> = of("_bucket").filter(same).collect();
                let bounds: Vec<f64> = buckets
                    .iter()
                    .map(|one| number(&one.labels["le"]))
                    .collect();
                assert!(
                    bounds.is_sorted() && bounds.last() == Some(&f64::INFINITY),
                    "{name}"
                );
                assert!(buckets.is_sorted_by(|a, b| a.value <= b.value), "{name}");
                assert_eq!(buckets.last().unwrap().value, count.value, "{name}");
                let sums: Vec<&Sample> = of("_sum")
                    .filter(|one| one.labels == count.labels)
                    .collect();
                assert_eq!(sums.len(), 1, "{name}");
            }
            assert_eq!(of("_sum").count(), of("_count").count(), "{name}");
        }
    }
}

fn owned(labels: &[(&str, &str)]) -> Labels {
    let labels = labels.iter();
    labels
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn base(name: &str, histogram: bool) -> &str {
    let suffixes = ["_bucket", "_sum", "_count"];
    let stripped = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
    match stripped {
        Some(stripped) if histogram => stripped,
        _ => name,
    }
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        text => text.parse().unwrap(),
    }
}

#[track_caller]
fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap();
    let (name, rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest, line),
        None => (Labels::new(), rest),
    };
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    Sample {
        name: name.to_owned(),
        labels,
        value: number(value),
    }
}

#[track_caller]
fn labels<'a>(mut rest: &'a str, line: &str) -> (Labels, &'a str) {
    let mut found = Labels::new();
    loop {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        assert!(is_name(name), "{line}");
        let (value, after) = value(after, line);
        assert!(
            found.insert(name.to_owned(), value).is_none(),
            "twice: {line}"
        );
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => {
                return (
                    found,
                    after.strip_prefix('}').unwrap_or_else(|| panic!("{line}")),
                );
            }
        }
    }
}

/// Up to the closing quote, with what is escaped put back.
#[track_caller]
fn value<'a>(text: &'a str, line: &str) -> (String, &'a str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    loop {
        match letters.next().unwrap_or_else(|| panic!("no end: {line}")) {
            (at, '"') => return (value, &text[at + 1..]),
            (_, '\\') => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, letter @ ('\\' | '"'))) => value.push(letter),
                other => panic!("escaped {other:?}: {line}"),
            },
            (_, letter) => value.push(letter),
        }
    }
}

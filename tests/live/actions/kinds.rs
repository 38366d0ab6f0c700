//! The kinds of things that a session does, as they stand in `kinds.txt`, and the words that they
//! leave open, from `words.txt`.

use std::sync::LazyLock;

use fastrand::Rng;

/// A kind of text. Each is said in every manner: see [`super::step`].
pub struct Kind {
    pub name: &'static str,
    /// How often, against the others.
    pub weight: u32,
    pub texts: Vec<&'static str>,
    /// Texts that are not compared yet.
    pub pending: Vec<&'static str>,
}

/// All of them.
///
/// # Panics
/// Where the file is not as it says.
pub fn kinds() -> &'static [Kind] {
    static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
        let sections = sections(include_str!("kinds.txt"));
        sections.map(|(title, lines)| kind(title, lines)).collect()
    });
    &KINDS
}

fn kind(title: &'static str, mut lines: Vec<&'static str>) -> Kind {
    let (name, weight) = title.split_once(", ").unwrap();
    let mut pending = Vec::new();
    if let Some(at) = lines.iter().position(|line| line.starts_with("pending: ")) {
        pending = lines.split_off(at);
        pending.retain(|line| !line.starts_with("pending: "));
    }
    Kind {
        name,
        weight: weight.parse().unwrap(),
        texts: lines,
        pending,
    }
}

/// `== title`, and the lines below it.
fn sections(file: &'static str) -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let parts = file.split("\n== ").skip(1);
    parts.map(|part| {
        let mut lines = part.lines().filter(|line| !line.is_empty());
        (lines.next().unwrap(), lines.collect())
    })
}

/// The text with a word in the place of each `{name}`; `{me}` is the client's letter.
///
/// # Panics
/// Where a name is unknown.
pub fn fill(rng: &mut Rng, me: char, text: &str) -> String {
    static WORDS: LazyLock<Vec<(&str, Vec<&str>)>> =
        LazyLock::new(|| sections(include_str!("words.txt")).collect());
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap();
        filled.push_str(before);
        match name {
            "nothing" => {}
            "blank" => filled.push(' '),
            "me" => filled.push(me),
            name => {
                let words = WORDS.iter().find(|(one, _)| *one == name);
                let (_, words) = words.unwrap_or_else(|| panic!("what is {{{name}}}?"));
                filled.push_str(rng.choice(words).unwrap());
            }
        }
        rest = after;
    }
    filled + rest
}

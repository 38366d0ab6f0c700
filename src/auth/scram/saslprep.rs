//! SASLprep (RFC 4013) with the deviations of Postgres' `pg_saslprep` (src/common/saslprep.c).
//!
//! `stringprep::saslprep` follows the RFC and so disagrees with the verifiers that a Postgres has
//! stored: there the prohibitions apply to the characters before their normalisation (U+1F130
//! would become a permitted `A`, but is itself unassigned in Unicode 3.2), and what maps to
//! nothing at all is prohibited too. Hence its tables are used here, not its procedure.

use stringprep::tables;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// The most that NFKC can lengthen UTF-8 (Unicode, UAX 15: U+FDFA).
const LARGEST_GROWTH: usize = 11;

/// The bytes to stretch. What SASLprep prohibits is used as it is.
pub(super) fn prepare(password: &str) -> Zeroizing<Vec<u8>> {
    let prepared = (!password.is_ascii())
        .then(|| normalise(password))
        .flatten();
    prepared.unwrap_or_else(|| Zeroizing::new(password.as_bytes().to_vec()))
}

/// `None`: prohibited.
fn normalise(password: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mapped = map(password);
    let prohibited = |c: &char| is_prohibited(*c) || tables::unassigned_code_point(*c);
    if mapped.is_empty() || mapped.iter().any(prohibited) || mixes_directions(&mapped) {
        return None;
    }
    // Room for all from the start: a buffer that moves leaves its old bytes behind.
    let room = password.len().saturating_mul(LARGEST_GROWTH);
    let mut normal = Zeroizing::new(Vec::with_capacity(room));
    for c in mapped.iter().copied().nfkc() {
        normal.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(normal)
}

/// RFC 4013, 2.1. U+200B is in both tables; Postgres, too, asks first whether it is a space.
fn map(password: &str) -> Zeroizing<Vec<char>> {
    let mut mapped = Zeroizing::new(Vec::with_capacity(password.len()));
    for c in password.chars() {
        if tables::non_ascii_space_character(c) {
            mapped.push(' ');
        } else if !tables::commonly_mapped_to_nothing(c) {
            mapped.push(c);
        }
    }
    mapped
}

/// RFC 4013, 2.3.
fn is_prohibited(c: char) -> bool {
    tables::non_ascii_space_character(c)
        || tables::ascii_control_character(c)
        || tables::non_ascii_control_character(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::surrogate_code(c)
        || tables::inappropriate_for_plain_text(c)
        || tables::inappropriate_for_canonical_representation(c)
        || tables::change_display_properties_or_deprecated(c)
        || tables::tagging_character(c)
}

/// RFC 3454, section 6: text from right to left begins and ends so, and has nothing from left to
/// right within.
fn mixes_directions(text: &[char]) -> bool {
    let leftward = |c: &char| tables::bidi_r_or_al(*c);
    text.iter().any(leftward)
        && (text.iter().any(|c| tables::bidi_l(*c))
            || !text.first().is_some_and(leftward)
            || !text.last().is_some_and(leftward))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Postgres makes of it, or `None` for "used as it is".
    fn agrees(password: &str, prepared: Option<&str>) {
        let expected = prepared.unwrap_or(password);
        assert_eq!(*prepare(password), expected.as_bytes(), "{password:?}");
    }

    #[test]
    fn the_examples_of_rfc_4013_come_out_as_there() {
        agrees("I\u{ad}X", Some("IX"));
        agrees("user", None);
        agrees("USER", None);
        agrees("\u{aa}", Some("a"));
        agrees("\u{2168}", Some("IX"));
    }

    #[test]
    fn what_is_prohibited_is_used_as_it_is() {
        agrees("\u{7}", None);
        agrees("\u{627}1", None);
        agrees("\u{7}\u{2168}", None);
    }

    #[test]
    fn odd_spaces_become_plain_ones() {
        agrees("a\u{a0}b\u{200b}c\u{3000}", Some("a b c "));
    }

    #[test]
    fn prohibitions_look_at_the_characters_before_their_normalisation() {
        agrees("\u{1f130}", None);
        agrees("\u{340}a", None);
    }

    #[test]
    fn what_maps_to_nothing_is_used_as_it_is() {
        agrees("\u{ad}", None);
        agrees("", None);
    }

    #[test]
    fn the_longest_growth_fits_the_room() {
        assert_eq!(prepare("\u{fdfa}").len(), "\u{fdfa}".len() * LARGEST_GROWTH);
    }
}

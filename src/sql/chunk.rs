//! Eight bytes of a text at once, in the bits of one number.
//! Byte by byte a short word costs more in mispredicted ends than in reading.

/// What a number has in each of its bytes.
const fn every(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The bit that marks a byte in the answers below.
const MARK: u64 = every(0x80);

/// The bytes of `text` from `at` on, the first the lowest; zeros behind the end.
#[inline(always)]
pub(super) fn load(text: &[u8], at: usize) -> u64 {
    if let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        return u64::from_le_bytes(*chunk);
    }
    load_last(text, at)
}

/// The last seven bytes or fewer.
fn load_last(text: &[u8], at: usize) -> u64 {
    let left = text.len().saturating_sub(at);
    if left == 0 {
        return 0;
    }
    if let Some(chunk) = text.last_chunk() {
        return u64::from_le_bytes(*chunk) >> (64 - 8 * left);
    }
    let rest = text.get(at..).unwrap_or_default();
    rest.iter()
        .rev()
        .fold(0, |chunk, byte| chunk << 8 | u64::from(*byte))
}

/// How many of the lowest bytes are marked before one that is not.
#[inline(always)]
pub(super) fn leading(marks: u64) -> usize {
    ((!marks & MARK).trailing_zeros() / 8) as usize
}

/// How many of the lowest bytes there are before one that is this ASCII one; 8 if none is.
#[inline(always)]
pub(super) fn before(chunk: u64, byte: u8) -> usize {
    (equal(chunk, byte).trailing_zeros() / 8) as usize
}

/// The lowest `count` bytes, at most seven.
#[inline(always)]
pub(super) fn lowest(chunk: u64, count: usize) -> u64 {
    chunk & ((1 << (8 * count)) - 1)
}

/// Marks bytes from `first` to `last`, both ASCII. The sums below never carry into the next byte.
#[inline(always)]
fn between(chunk: u64, first: u8, last: u8) -> u64 {
    let ascii = chunk & !MARK;
    let from = ascii + every(0x80 - first);
    let behind = ascii + every(0x7f - last);
    from & !behind & !chunk & MARK
}

/// Marks bytes that a name or keyword goes on with: letters, digits, `_`, `$` and all from 128 on.
#[inline(always)]
pub(super) fn in_word(chunk: u64) -> u64 {
    let ascii = chunk & !MARK;
    let lower = ascii | every(0x20);
    // Each sum's highest bit says that the byte is none of its kind.
    let letter = (lower + every(0x7f - b'z')) | !(lower + every(0x80 - b'a'));
    let digit = (ascii + every(0x7f - b'9')) | !(ascii + every(0x80 - b'0'));
    let underscore = (ascii ^ every(b'_')) + !MARK;
    let dollar = (ascii ^ every(b'$')) + !MARK;
    !(letter & digit & underscore & dollar) & MARK | chunk & MARK
}

/// Marks digits.
#[inline(always)]
pub(super) fn digits(chunk: u64) -> u64 {
    between(chunk, b'0', b'9')
}

/// Marks upper-case letters of ASCII.
#[inline(always)]
pub(super) fn upper(chunk: u64) -> u64 {
    between(chunk, b'A', b'Z')
}

/// With the marked upper-case letters in lower case.
#[inline(always)]
pub(super) fn lowered(chunk: u64, upper: u64) -> u64 {
    chunk | upper >> 2
}

/// Marks bytes that are this ASCII one.
#[inline(always)]
fn equal(chunk: u64, byte: u8) -> u64 {
    let other = chunk ^ every(byte);
    !((other & !MARK) + !MARK) & !other & MARK
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a wrong length is a failed test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marks(chunk: [u8; 8], is: impl Fn(u8) -> bool) -> u64 {
        u64::from_le_bytes(chunk.map(|byte| if is(byte) { 0x80 } else { 0 }))
    }

    proptest! {
        #[test]
        fn bytes_are_marked_as_if_looked_at_one_by_one(bytes: [u8; 8]) {
            let chunk = u64::from_le_bytes(bytes);
            prop_assert_eq!(upper(chunk), marks(bytes, |byte| byte.is_ascii_uppercase()));
            prop_assert_eq!(digits(chunk), marks(bytes, |byte| byte.is_ascii_digit()));
            prop_assert_eq!(equal(chunk, b'\''), marks(bytes, |byte| byte == b'\''));
            prop_assert_eq!(in_word(chunk), marks(bytes, |byte| {
                byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 128
            }));
            prop_assert_eq!(lowered(chunk, upper(chunk)).to_le_bytes(), bytes.map(|byte| byte.to_ascii_lowercase()));
        }

        #[test]
        fn what_lies_behind_the_end_is_zero(text in prop::collection::vec(any::<u8>(), 0..20), at in 0..24_usize) {
            let mut padded = text.clone();
            padded.resize(40, 0);
            let chunk = load(&text, at);
            prop_assert_eq!(&chunk.to_le_bytes()[..], &padded[at..at + 8]);
        }
    }

    #[test]
    fn every_byte_is_marked_rightly() {
        for byte in 0..=u8::MAX {
            let word = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 128;
            assert_eq!(in_word(every(byte)), if word { MARK } else { 0 }, "{byte}");
        }
    }

    #[test]
    fn marked_bytes_are_counted_from_the_first() {
        assert_eq!(leading(digits(load(b"12a4", 0))), 2);
        assert_eq!(leading(digits(load(b"12345678", 0))), 8);
        assert_eq!(leading(digits(load(b"", 0))), 0);
        assert_eq!(lowest(load(b"12a45678", 0), 2), load(b"12", 0));
    }
}

//! The words that a text is made of for its fingerprint.

/// The highest byte of a last word: its lowest three bits are the number of bytes in it. No
/// control character can stand in a name or an operator, so no other word ends as these do.
pub(super) const WORD: u64 = 0x08 << 56;
pub(super) const MARK: u64 = 0x10 << 56;
pub(super) const QUOTED: u64 = 0x18 << 56;

pub(super) const VALUE: u64 = 0x01 << 56;
pub(super) const VERBATIM: u64 = 0x02 << 56;
/// For `last` alone: a name that is not looked at again.
pub(super) const NAME: u64 = 0;

#[inline(always)]
pub(super) const fn end(mark: u64, length: usize) -> u64 {
    mark | (length as u64) << 56
}

pub(super) const fn spell(mark: u64, text: &[u8]) -> u64 {
    let (mut word, mut rest) = (end(mark, text.len()), text);
    while let [others @ .., byte] = rest {
        word |= (*byte as u64) << (others.len() * 8);
        rest = others;
    }
    word
}

pub(super) const OPEN: u64 = spell(MARK, b"(");
pub(super) const CLOSE: u64 = spell(MARK, b")");
pub(super) const OPEN_BRACKET: u64 = spell(MARK, b"[");
pub(super) const CLOSE_BRACKET: u64 = spell(MARK, b"]");
pub(super) const COMMA: u64 = spell(MARK, b",");
pub(super) const SEMICOLON: u64 = spell(MARK, b";");
pub(super) const DOT: u64 = spell(MARK, b".");

pub(super) const IN: u64 = spell(WORD, b"in");
pub(super) const ARRAY: u64 = spell(WORD, b"array");
pub(super) const VALUES: u64 = spell(WORD, b"values");

/// Whether what follows this is the first of an element or argument.
#[inline(always)]
pub(super) fn begins_element(last: u64) -> bool {
    matches!(last, OPEN | OPEN_BRACKET | COMMA)
}

pub(super) fn is_constant(word: u64) -> bool {
    const NULL: u64 = spell(WORD, b"null");
    const TRUE: u64 = spell(WORD, b"true");
    const FALSE: u64 = spell(WORD, b"false");
    matches!(word, NULL | TRUE | FALSE)
}

/// Keywords of up to seven letters that an operand follows, never an operator.
pub(super) const BEFORE_OPERANDS: [u64; 24] = [
    spell(WORD, b"select"),
    spell(WORD, b"where"),
    spell(WORD, b"and"),
    spell(WORD, b"or"),
    spell(WORD, b"not"),
    spell(WORD, b"case"),
    spell(WORD, b"when"),
    spell(WORD, b"then"),
    spell(WORD, b"else"),
    spell(WORD, b"between"),
    spell(WORD, b"in"),
    spell(WORD, b"like"),
    spell(WORD, b"ilike"),
    spell(WORD, b"having"),
    spell(WORD, b"on"),
    spell(WORD, b"by"),
    spell(WORD, b"limit"),
    spell(WORD, b"offset"),
    spell(WORD, b"fetch"),
    spell(WORD, b"default"),
    spell(WORD, b"to"),
    spell(WORD, b"from"),
    spell(WORD, b"all"),
    spell(WORD, b"using"),
];

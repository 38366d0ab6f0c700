//! A statement, cut into what the walk steps over.

use super::super::name::Name;
use super::super::scan::{Scanner, Span, Strings, TokenKind};

/// One token; a UESCAPE clause belongs to the token that it is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub kind: TokenKind,
    pub bytes: &'a [u8],
    /// Where it begins in the whole text.
    pub start: usize,
}

/// The longest keyword has 17 letters.
pub(super) const LONGEST_KEYWORD: usize = 24;

impl<'a> Piece<'a> {
    /// Whether this is that word, written without quotes. `word` is in lower case.
    pub fn is(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.bytes.eq_ignore_ascii_case(word.as_bytes())
    }

    pub fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    /// An unquoted word in lower case; nothing for what is too long to be a keyword.
    pub fn keyword<'b>(&self, buffer: &'b mut [u8; LONGEST_KEYWORD]) -> &'b str {
        let room = buffer.get_mut(..self.bytes.len());
        let Some(room) = room.filter(|_| self.kind == TokenKind::Word) else {
            return "";
        };
        room.copy_from_slice(self.bytes);
        room.make_ascii_lowercase();
        std::str::from_utf8(room).unwrap_or("")
    }

    /// The name that the server makes of it.
    pub fn name(&self) -> Box<[u8]> {
        let span = Span {
            start: 0,
            end: self.bytes.len(),
        };
        Name { span }.fold(self.bytes).into()
    }

    /// What a plain literal means; none for one with escapes.
    pub fn literal(&self) -> Option<&'a str> {
        let inside = match (self.kind, self.bytes) {
            (TokenKind::String | TokenKind::EscapeString, bytes) => {
                let from = bytes.iter().position(|byte| *byte == b'\'')? + 1;
                bytes.get(from..bytes.len().checked_sub(1)?)?
            }
            _ => return None,
        };
        let plain = !inside.iter().any(|byte| matches!(byte, b'\'' | b'\\'));
        std::str::from_utf8(inside).ok().filter(|_| plain)
    }
}

/// The pieces of `text` within this span.
pub(super) fn pieces(text: &[u8], span: Span) -> Vec<Piece<'_>> {
    let base = span.start;
    let text = span.of(text);
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let mut scan = Scanner::new(text, Strings::Standard);
    let mut starts = 0;
    while let Some(token) = scan.significant() {
        let piece = Piece {
            kind: token.kind,
            bytes: token.span.of(text),
            start: base + token.span.start,
        };
        if let [.., unicode, clause] = pieces.as_mut_slice()
            && clause.is("uescape")
            && matches!(
                unicode.kind,
                TokenKind::UnicodeName | TokenKind::UnicodeString
            )
        {
            if piece.kind != TokenKind::String || piece.bytes.len() != 3 {
                // Another spelling of the escape: what it names is not read.
                unicode.kind = TokenKind::Other;
            }
            unicode.bytes = text.get(starts..token.span.end).unwrap_or_default();
            pieces.pop();
            continue;
        }
        if matches!(
            piece.kind,
            TokenKind::UnicodeName | TokenKind::UnicodeString
        ) {
            starts = token.span.start;
        }
        pieces.push(piece);
    }
    pieces
}

//! A frame is a tag byte, a length word that counts itself, and a body.

/// Bytes of tag and length word.
pub const HEADER: usize = 5;

/// The first five bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub tag: u8,
    /// Bytes of the whole frame, tag and length word included; at least [`HEADER`].
    pub len: usize,
}

/// A length word that cannot be: below four, or above what a signed word holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame announces an invalid length")]
pub struct BadLength;

/// Reads a header without consuming it; `None`: fewer than five bytes are here.
#[inline]
pub fn peek(bytes: &[u8]) -> Result<Option<Header>, BadLength> {
    let Some((&[tag, a, b, c, d], _)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    match u32::from_be_bytes([a, b, c, d]) {
        length @ 4..=0x7fff_ffff => Ok(Some(Header {
            tag,
            len: length as usize + 1,
        })),
        _ => Err(BadLength),
    }
}

/// Appends one frame whose body `fill` writes; the length word is put in afterwards.
pub fn write(out: &mut Vec<u8>, tag: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[tag, 0, 0, 0, 0]);
    fill(out);
    let length = u32::try_from(out.len() - start - 1).unwrap_or(u32::MAX);
    if let Some(word) = out.get_mut(start + 1..start + HEADER) {
        word.copy_from_slice(&length.to_be_bytes());
    }
}

/// Appends a zero-terminated string.
pub fn put_cstr(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.push(0);
}

/// Splits a zero-terminated string off the front; `None`: there is no terminator.
pub fn split_cstr(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(0, bytes)?;
    let (text, rest) = bytes.split_at(end);
    Some((text, rest.get(1..)?))
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test"
)]
mod tests {
    use super::*;

    #[test]
    fn a_header_shows_the_length_of_the_whole_frame() {
        let header = peek(&[b'Q', 0, 0, 0, 9, 1]).unwrap().unwrap();
        assert_eq!((header.tag, header.len), (b'Q', 10));
    }

    #[test]
    fn four_bytes_are_not_yet_a_header() {
        assert_eq!(peek(&[b'Q', 0, 0, 0]), Ok(None));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        assert_eq!(peek(&[b'Q', 0, 0, 0, 3]), Err(BadLength));
        assert_eq!(peek(&[b'Q', 0xff, 0xff, 0xff, 0xff]), Err(BadLength));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = vec![7];
        write(&mut out, b'Q', |out| put_cstr(out, b"select 1"));
        let header = peek(&out[1..]).unwrap().unwrap();
        assert_eq!((header.tag, header.len), (b'Q', out.len() - 1));
        assert_eq!(split_cstr(&out[6..]), Some((&b"select 1"[..], &[][..])));
    }
}

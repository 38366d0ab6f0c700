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

/// Follows a stream that somebody else passes on, and sees where its frames begin.
#[derive(Debug, Default)]
pub struct Walk {
    /// Bytes of the frame under way that have not come yet.
    missing: usize,
    /// The beginning of a header whose end has not come yet.
    head: Vec<u8>,
    lost: bool,
}

impl Walk {
    /// Takes the stream's next bytes and shows the tag of each frame that begins in them.
    pub fn pass(&mut self, mut bytes: &[u8], mut begins: impl FnMut(u8)) {
        while !bytes.is_empty() && !self.lost {
            let skipped = self.missing.min(bytes.len());
            self.missing -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let wanted = (HEADER - self.head.len()).min(bytes.len());
            let (head, rest) = bytes.split_at(wanted);
            self.head.extend_from_slice(head);
            bytes = rest;
            match peek(&self.head) {
                Ok(Some(header)) => {
                    self.missing = header.len - HEADER;
                    self.head.clear();
                    begins(header.tag);
                }
                Ok(None) => {}
                Err(BadLength) => self.lost = true,
            }
        }
    }

    /// Whether the stream is between two frames.
    pub fn is_between(&self) -> bool {
        self.missing == 0 && self.head.is_empty() && !self.lost
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
    fn a_walk_sees_the_same_frames_however_the_stream_is_cut() {
        let mut stream = Vec::new();
        for (tag, body) in [(b'd', 9), (b'c', 0), (b'Z', 1), (b'X', 0)] {
            write(&mut stream, tag, |out| out.resize(out.len() + body, b'x'));
        }
        let ends = [14, 19, 25, 30];
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let (mut walk, mut seen) = (Walk::default(), Vec::new());
                for part in [&stream[..first], &stream[first..second]] {
                    walk.pass(part, |tag| seen.push(tag));
                }
                assert_eq!(walk.is_between(), second == 0 || ends.contains(&second));
                walk.pass(&stream[second..], |tag| seen.push(tag));
                assert_eq!(seen, b"dcZX");
                assert!(walk.is_between());
            }
        }
    }

    #[test]
    fn a_walk_that_meets_an_impossible_length_sees_nothing_more() {
        let (mut walk, mut seen) = (Walk::default(), 0);
        walk.pass(&[b'd', 0, 0, 0, 3, b'c', 0, 0, 0, 4], |_| seen += 1);
        assert_eq!((seen, walk.is_between()), (0, false));
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

//! Bytes on their way from one side to the other: whole runs as they came, and what is put
//! between them.

/// Walks over what was read, and gathers what is to be written. As long as nothing is inserted
/// or left out, what is written is the very slice that was read.
pub struct Splice<'a> {
    input: &'a [u8],
    /// Where the run that goes on unchanged begins.
    from: usize,
    at: usize,
    out: &'a mut Vec<u8>,
}

impl<'a> Splice<'a> {
    /// `out` must be empty; it is used only if something is inserted or left out.
    pub fn new(input: &'a [u8], out: &'a mut Vec<u8>) -> Self {
        Self {
            input,
            from: 0,
            at: 0,
            out,
        }
    }

    /// What has not been decided yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    /// Lets the next bytes through.
    #[inline]
    pub fn pass(&mut self, len: usize) {
        self.at += len;
    }

    /// Leaves the next bytes out.
    pub fn skip(&mut self, len: usize) {
        self.insert();
        self.at += len;
        self.from = self.at;
    }

    /// Nothing of what has been gathered is to be written.
    pub fn forget(&mut self) {
        self.out.clear();
        self.from = self.at;
    }

    /// Where to write what is to come between the bytes before and those after.
    pub fn insert(&mut self) -> &mut Vec<u8> {
        let run = self.input.get(self.from..self.at).unwrap_or_default();
        self.out.extend_from_slice(run);
        self.from = self.at;
        self.out
    }

    /// What is to be written.
    #[inline]
    pub fn finish(mut self) -> &'a [u8] {
        if self.out.is_empty() {
            return self.input.get(self.from..self.at).unwrap_or_default();
        }
        self.insert();
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_whole_is_not_copied() {
        let mut out = Vec::new();
        let input = b"abcdef";
        let mut splice = Splice::new(input, &mut out);
        splice.pass(4);
        assert_eq!(splice.rest(), b"ef");
        let written = splice.finish();
        assert_eq!((written, written.as_ptr()), (&b"abcd"[..], input.as_ptr()));
    }

    #[test]
    fn insertions_and_gaps_keep_their_place() {
        let mut out = Vec::new();
        let mut splice = Splice::new(b"abcdef", &mut out);
        splice.pass(1);
        splice.insert().extend_from_slice(b"-");
        splice.pass(1);
        splice.skip(2);
        splice.insert().extend_from_slice(b"+");
        splice.pass(2);
        assert_eq!(splice.finish(), b"a-b+ef");
    }

    #[test]
    fn leaving_out_the_beginning_needs_no_copy() {
        let mut out = Vec::new();
        let mut splice = Splice::new(b"abc", &mut out);
        splice.skip(1);
        splice.pass(2);
        assert_eq!(splice.finish(), b"bc");
    }
}

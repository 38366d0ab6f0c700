//! Buffers that all sessions of a worker use in turn, so that an idle one owns none.

use std::cell::{Cell, RefCell};

/// Bytes read at once.
pub const READ: usize = 64 * 1024;

/// Small buffers kept for those who have to hold something for a while.
const SPARE: usize = 64;
/// Larger ones are not kept.
const SMALL: usize = 1024;

/// One buffer to read into and one to put a write together in.
///
/// A session takes a buffer for the length of one poll and puts it back. If it panics in between,
/// the next one gets a new buffer.
#[derive(Default)]
pub struct Scratch {
    input: Cell<Vec<u8>>,
    output: Cell<Vec<u8>>,
    spare: RefCell<Vec<Vec<u8>>>,
}

impl Scratch {
    /// The buffer to read into, [`READ`] bytes long.
    #[inline]
    pub fn take_input(&self) -> Vec<u8> {
        let buffer = self.input.take();
        if buffer.is_empty() {
            return vec![0; READ];
        }
        buffer
    }

    #[inline]
    pub fn put_input(&self, buffer: Vec<u8>) {
        self.input.set(buffer);
    }

    /// A buffer for what has to be held, empty.
    pub fn take_spare(&self) -> Vec<u8> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps a buffer that was held for whoever holds something next.
    pub fn put_spare(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if buffer.capacity() > 0 && buffer.capacity() <= SMALL && spare.len() < SPARE {
            buffer.clear();
            spare.push(buffer);
        }
    }

    /// An empty buffer with room in it.
    #[inline]
    pub fn take_output(&self) -> Vec<u8> {
        self.output.take()
    }

    #[inline]
    pub fn put_output(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        buffer.shrink_to(4 * READ);
        self.output.set(buffer);
    }
}

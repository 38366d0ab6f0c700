//! Verdicts that were found before, by the print of their text.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;

use super::fingerprint::Print;

/// What may be remembered of a text.
pub trait Cached {
    /// Roughly the memory it holds, in bytes, itself included.
    fn bytes(&self) -> usize;

    /// It hangs on the value of a literal: not another text's of the same print.
    fn is_literal(&self) -> bool;
}

impl<V: Cached> Cached for std::rc::Rc<V> {
    fn bytes(&self) -> usize {
        (**self).bytes() + size_of::<Self>()
    }

    fn is_literal(&self) -> bool {
        (**self).is_literal()
    }
}

/// A bounded memory of verdicts. Where it is full, one goes that was not asked for lately: a
/// hand goes around (CLOCK), and what was asked for since it last came by is spared once.
///
/// Each verdict has two more numbers: its *context*, part of its key (what else can change it:
/// who knows that gives each combination a number), and the *epoch* of the catalog by which it
/// was found. In another epoch it is forgotten when it is asked for.
#[derive(Debug)]
pub struct Verdicts<V> {
    index: HashMap<Key, usize, BuildHasherDefault<Ready>>,
    slots: Vec<Option<Slot<V>>>,
    /// Slots that are empty.
    empty: Vec<usize>,
    hand: usize,
    limits: Limits,
    bytes: usize,
    hits: u64,
    misses: u64,
}

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Verdicts.
    pub entries: usize,
    /// Their memory and what it takes to find them, roughly.
    pub bytes: usize,
}

impl Default for Limits {
    /// 4096 verdicts in 8 MiB.
    fn default() -> Self {
        Limits {
            entries: 4096,
            bytes: 8 << 20,
        }
    }
}

/// Texts whose form has more bytes than this are not remembered: such a one was made by a
/// program, in one piece with its values or with names of its own, and will hardly come again.
pub const LONGEST: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    fingerprint: u64,
    check: u64,
    context: u64,
}

#[derive(Debug)]
struct Slot<V> {
    key: Key,
    epoch: u64,
    verdict: V,
    bytes: usize,
    /// Asked for since the hand came by.
    is_used: bool,
}

impl<V: Cached> Verdicts<V> {
    /// An empty memory.
    pub fn new(limits: Limits) -> Self {
        Verdicts {
            index: HashMap::default(),
            slots: Vec::new(),
            empty: Vec::new(),
            hand: 0,
            limits,
            bytes: 0,
            hits: 0,
            misses: 0,
        }
    }

    /// What was found for this print in this context and epoch.
    #[inline]
    pub fn get(&mut self, print: &Print, context: u64, epoch: u64) -> Option<&V> {
        let key = Key::new(print, context);
        let found = self.index.get(&key).copied();
        if let Some(at) = found
            && self.epoch(at) != Some(epoch)
        {
            self.forget(at);
        }
        let slot = found.and_then(|at| self.slots.get_mut(at)?.as_mut());
        match slot {
            Some(slot) => {
                self.hits += 1;
                slot.is_used = true;
                Some(&slot.verdict)
            }
            None => {
                self.misses += 1;
                None
            }
        }
    }

    /// Remembers a verdict, unless it hangs on a literal's value, or its text is unsound, too
    /// long, or too much for this memory. Says whether it did.
    pub fn insert(&mut self, print: &Print, context: u64, epoch: u64, verdict: V) -> bool {
        let bytes = verdict.bytes() + OVERHEAD + size_of::<Slot<V>>();
        let is_kept = print.is_sound
            && print.length <= LONGEST
            && !verdict.is_literal()
            && bytes <= self.limits.bytes / 8
            && self.limits.entries > 0;
        if !is_kept {
            return false;
        }
        let key = Key::new(print, context);
        if let Some(at) = self.index.get(&key).copied() {
            self.forget(at);
        }
        while self.len() >= self.limits.entries || self.bytes + bytes > self.limits.bytes {
            self.evict();
        }
        self.place(Slot {
            key,
            epoch,
            verdict,
            bytes,
            is_used: false,
        });
        true
    }

    /// Forgets everything; the counts stay.
    pub fn clear(&mut self) {
        self.index.clear();
        self.slots.clear();
        self.empty.clear();
        self.bytes = 0;
    }

    /// All that are remembered.
    pub fn iter(&self) -> impl Iterator<Item = &V> {
        self.slots.iter().flatten().map(|slot| &slot.verdict)
    }

    /// How many verdicts are remembered.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The memory they take, roughly.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How often there was one.
    pub fn hits(&self) -> u64 {
        self.hits
    }

    /// How often there was none.
    pub fn misses(&self) -> u64 {
        self.misses
    }

    fn epoch(&self, at: usize) -> Option<u64> {
        Some(self.slots.get(at)?.as_ref()?.epoch)
    }

    fn place(&mut self, slot: Slot<V>) {
        self.bytes += slot.bytes;
        let at = self.empty.pop().unwrap_or(self.slots.len());
        self.index.insert(slot.key, at);
        match self.slots.get_mut(at) {
            Some(empty) => *empty = Some(slot),
            None => self.slots.push(Some(slot)),
        }
    }

    fn forget(&mut self, at: usize) {
        if let Some(slot) = self.slots.get_mut(at).and_then(Option::take) {
            self.index.remove(&slot.key);
            self.bytes -= slot.bytes;
            self.empty.push(at);
        }
    }

    /// Forgets one verdict. Each step of the hand makes up for one use before, so that this is
    /// a few steps on the whole.
    fn evict(&mut self) {
        while !self.is_empty() {
            let at = self.hand;
            self.hand = if at + 1 < self.slots.len() { at + 1 } else { 0 };
            match self.slots.get_mut(at).and_then(Option::as_mut) {
                Some(slot) if !slot.is_used => return self.forget(at),
                Some(slot) => slot.is_used = false,
                None => {}
            }
        }
    }
}

impl Key {
    #[inline]
    fn new(print: &Print, context: u64) -> Key {
        Key {
            fingerprint: print.fingerprint.bits(),
            check: print.check,
            context,
        }
    }
}

/// Of the table, for each verdict.
const OVERHEAD: usize = 2 * (size_of::<Key>() + size_of::<usize>());

/// A print is a hash already; by its second half, which nobody outside can choose.
impl std::hash::Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.check ^ self.context);
    }
}

/// Passes on what is a hash already.
#[derive(Debug, Default)]
struct Ready(u64);

impl Hasher for Ready {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 ^= hash;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a missing print is a failed test")]
#[path = "cache_tests.rs"]
mod tests;

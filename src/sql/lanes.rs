//! Two hashes of the same words, each of eight bytes, side by side.

/// What has been mixed so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lanes {
    /// The same in every process, for ever.
    one: u64,
    /// Another in every process: nobody can make two texts agree in it who does not know the key.
    two: u64,
    /// How many words.
    words: usize,
}

/// What the second lane is mixed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    start: u64,
    times: u64,
}

// The first of them are wyhash's; odd, and half of their bits set.
const START: u64 = 0xa076_1d64_78bd_642f;
const TIMES: u64 = 0xe703_7ed1_a0b4_28db;
const END: u64 = 0x8ebc_6af0_9c88_c6e3;

impl Key {
    /// The key of this seed, which should be 64 random bits.
    #[inline(always)]
    pub fn new(seed: u64) -> Key {
        Key {
            start: seed.rotate_left(32) ^ START,
            times: (seed ^ END) | 1,
        }
    }
}

impl Lanes {
    /// Nothing mixed yet.
    #[inline(always)]
    pub fn new(key: Key) -> Lanes {
        Lanes {
            one: START,
            two: key.start,
            words: 0,
        }
    }

    #[inline(always)]
    pub fn mix(&mut self, key: Key, word: u64) {
        self.one = fold(self.one ^ word, TIMES);
        self.two = fold(self.two ^ word, key.times);
        self.words += 1;
    }

    /// Mixes what has been mixed apart.
    pub fn absorb(&mut self, key: Key, apart: Lanes) {
        self.one = fold(self.one ^ apart.one, END);
        self.two = fold(self.two.rotate_left(32) ^ apart.two, key.times);
        self.words += apart.words;
    }

    /// Both hashes.
    pub fn end(self, key: Key) -> (u64, u64) {
        let words = self.words as u64;
        let one = fold(self.one ^ words, END);
        let two = fold(self.two ^ words, key.times ^ key.start);
        (one, two)
    }

    /// How many words have been mixed.
    pub fn words(self) -> usize {
        self.words
    }
}

/// All bits of the product, in half as many.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the halves of the product")]
fn fold(word: u64, times: u64) -> u64 {
    let product = u128::from(word) * u128::from(times);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a wrong index is a failed test")]
mod tests {
    use super::*;

    fn mixed(seed: u64, words: &[u64]) -> (u64, u64) {
        let key = Key::new(seed);
        let mut lanes = Lanes::new(key);
        for word in words {
            lanes.mix(key, *word);
        }
        lanes.end(key)
    }

    #[test]
    fn the_first_lane_knows_no_seed_and_the_second_nothing_else() {
        assert_eq!(mixed(1, &[7, 8]).0, mixed(2, &[7, 8]).0);
        assert_ne!(mixed(1, &[7, 8]).1, mixed(2, &[7, 8]).1);
    }

    #[test]
    fn every_bit_of_every_word_changes_about_half_of_both() {
        let words = [0x6d61_6e65, 0x0a00_0000_0000_6469];
        let before = mixed(5, &words);
        for bit in 0..128 {
            let mut other = words;
            other[bit / 64] ^= 1 << (bit % 64);
            let after = mixed(5, &other);
            for changed in [before.0 ^ after.0, before.1 ^ after.1] {
                assert!(
                    (12..=52).contains(&changed.count_ones()),
                    "{bit}: {changed:x}"
                );
            }
        }
    }

    #[test]
    fn the_order_and_the_number_of_words_count() {
        assert_ne!(mixed(1, &[7, 8]), mixed(1, &[8, 7]));
        assert_ne!(mixed(1, &[7, 0]), mixed(1, &[7]));
    }
}

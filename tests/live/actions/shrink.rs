//! The shortest script that still does what a long one did.

use std::time::{Duration, Instant};

/// Leaves out whatever can be left out while it `still` holds: halves, then less and less, then
/// what `smaller` makes of each item. Ends where nothing more can go, or in time.
pub fn shrunk<T: Clone>(
    mut items: Vec<T>,
    smaller: impl Fn(&T) -> Vec<T>,
    mut still: impl FnMut(&[T]) -> bool,
    patience: Duration,
) -> Vec<T> {
    let begun = Instant::now();
    let mut chunk = items.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        let before = items.len();
        // From the end: what is last did it, and what was before may have prepared it.
        while at < items.len() {
            if begun.elapsed() > patience {
                return items;
            }
            let end = items.len() - at;
            let start = end.saturating_sub(chunk);
            let fewer = [&items[..start], &items[end..]].concat();
            if still(&fewer) {
                items = fewer;
            } else {
                at += chunk;
            }
        }
        if chunk > 1 || items.len() == before {
            chunk /= 2;
        }
    }
    let mut at = 0;
    while at < items.len() {
        let found = smaller(&items[at]).into_iter().find(|less| {
            let mut other = items.clone();
            other[at] = less.clone();
            begun.elapsed() < patience && still(&other)
        });
        match found {
            Some(less) => items[at] = less,
            None => at += 1,
        }
    }
    items
}

#[test]
fn only_what_it_takes_is_left() {
    let all: Vec<u32> = (0..100).collect();
    let still = |items: &[u32]| items.iter().any(|one| one % 50 > 41) && items.contains(&7);
    let smaller = |one: &u32| if *one > 45 { vec![one - 1] } else { Vec::new() };
    let left = shrunk(all, smaller, still, Duration::from_secs(60));
    assert_eq!(left, [7, 42]);
}

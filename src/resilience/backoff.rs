//! Exponential backoff with full jitter, and lifetimes that do not all end together.

use core::time::Duration;

/// The share of a jittered lifetime that is left to the dice.
const SPREAD: f64 = 0.1;

/// Waits that double with every attempt, up to a limit.
///
/// Full jitter: the wait is anywhere between nothing and the ceiling of its attempt.
/// Peers that failed together then come back spread out rather than together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The ceiling of the first wait.
    pub base: Duration,
    /// No ceiling is above it, also not the first.
    pub max: Duration,
}

impl Backoff {
    /// How long to wait before the try after `attempt` (0: the first that failed).
    ///
    /// `dice` is a throw from 0 to 1; what lies outside counts as the nearer end, NaN as 1.
    pub fn delay(&self, attempt: u32, dice: f64) -> Duration {
        share(self.ceiling(attempt), dice)
    }

    /// The longest that [`Backoff::delay`] can say: `base` doubled `attempt` times, at most `max`.
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let mut ceiling = self.base.min(self.max);
        for _ in 0..attempt {
            // Ends after 94 rounds at the latest: so many doublings lead from 1 ns to Duration::MAX.
            if ceiling >= self.max || ceiling.is_zero() {
                break;
            }
            ceiling = ceiling.saturating_mul(2).min(self.max);
        }
        ceiling
    }
}

/// A lifetime between 0.9 and 1.0 of `duration`: what began together need not end together.
///
/// Only ever shorter, so that a configured limit stays a limit. `dice` as for [`Backoff::delay`].
pub fn jittered(duration: Duration, dice: f64) -> Duration {
    duration.saturating_sub(share(share(duration, SPREAD), dice))
}

/// `fraction` of `whole`, in total: `Duration::mul_f64` panics where this saturates.
fn share(whole: Duration, fraction: f64) -> Duration {
    let fraction = if fraction.is_nan() { 1.0 } else { fraction };
    if fraction >= 1.0 {
        return whole;
    }
    let part = whole.as_secs_f64() * fraction.max(0.0);
    Duration::try_from_secs_f64(part).map_or(whole, |part| part.min(whole))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USUAL: Backoff = Backoff {
        base: Duration::from_millis(20),
        max: Duration::from_secs(1),
    };

    #[test]
    fn the_ceiling_doubles_until_the_limit() {
        let ceilings = [0, 1, 2, 5, 6, 7, u32::MAX].map(|attempt| USUAL.ceiling(attempt));
        let millis = [20, 40, 80, 640, 1000, 1000, 1000].map(Duration::from_millis);
        assert_eq!(ceilings, millis);
    }

    #[test]
    fn the_dice_choose_between_nothing_and_the_ceiling() {
        assert_eq!(USUAL.delay(1, 0.0), Duration::ZERO);
        assert_eq!(USUAL.delay(1, 0.5), Duration::from_millis(20));
        assert_eq!(USUAL.delay(1, 1.0), Duration::from_millis(40));
    }

    #[test]
    fn a_base_above_the_limit_is_held_to_the_limit() {
        let odd = Backoff {
            base: Duration::from_secs(5),
            max: Duration::from_secs(1),
        };
        assert_eq!(odd.ceiling(0), Duration::from_secs(1));
    }

    #[test]
    fn no_base_means_no_wait() {
        let none = Backoff {
            base: Duration::ZERO,
            max: Duration::from_secs(1),
        };
        assert_eq!(none.delay(u32::MAX, 1.0), Duration::ZERO);
    }

    #[test]
    fn dice_that_are_no_dice_count_as_the_nearer_end() {
        assert_eq!(USUAL.delay(0, -1.0), Duration::ZERO);
        assert_eq!(USUAL.delay(0, f64::NEG_INFINITY), Duration::ZERO);
        assert_eq!(USUAL.delay(0, 7.0), USUAL.base);
        assert_eq!(USUAL.delay(0, f64::INFINITY), USUAL.base);
        assert_eq!(USUAL.delay(0, f64::NAN), USUAL.base);
    }

    #[test]
    fn a_jittered_lifetime_is_up_to_a_tenth_shorter() {
        let hour = Duration::from_secs(3600);
        assert_eq!(jittered(hour, 0.0), hour);
        assert_eq!(jittered(hour, 1.0), Duration::from_secs(3240));
        assert_eq!(jittered(Duration::ZERO, 1.0), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn nothing_overflows_and_no_limit_is_passed(
            base: Duration, max: Duration, attempt: u32, dice: f64,
        ) {
            let backoff = Backoff { base, max };
            prop_assert!(backoff.delay(attempt, dice) <= max);
            prop_assert!(backoff.ceiling(attempt) <= backoff.ceiling(attempt.saturating_add(1)));
            prop_assert!(jittered(base, dice) <= base);
        }
    }
}

//! Moments as operators read them.

use std::time::{Duration, Instant, SystemTime};

const DAY: u64 = 24 * 60 * 60;

/// A moment of the past by the clock on the wall, as PgBouncer writes it.
pub fn written(moment: Instant) -> String {
    let ago = Instant::now().saturating_duration_since(moment);
    let then = SystemTime::now().checked_sub(ago);
    let since = then.and_then(|then| then.duration_since(SystemTime::UNIX_EPOCH).ok());
    calendar(since.unwrap_or_default())
}

/// The same of seconds since 1970; what was before that reads as its first moment.
pub fn of_unix(seconds: i64) -> String {
    calendar(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Source: "chrono-Compatible Low-Level Date Algorithms" (H. Hinnant), `civil_from_days`.
fn calendar(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (days, second) = (seconds / DAY, seconds % DAY);
    // Years that begin in March, from one that 400 divides, have their odd day at the end.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + next;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_the_calendar_has_them() {
        let at = |seconds| calendar(Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(at(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(at(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(at(1_795_190_400), "2026-11-20 16:00:00 UTC");
        assert_eq!(at(4_107_542_399), "2100-02-28 23:59:59 UTC");
        assert_eq!(at(4_107_542_400), "2100-03-01 00:00:00 UTC");
    }
}

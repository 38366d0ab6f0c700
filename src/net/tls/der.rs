//! The little of ASN.1's DER (X.690) that certificates are read with.

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;

/// A value's tag and its content.
pub(super) type Value<'a> = (u8, &'a [u8]);

/// Values one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Der<'a>(pub &'a [u8]);

impl<'a> Der<'a> {
    /// The next value's content, if its tag is this one.
    pub fn content(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let (found, content) = ahead.next()?;
        (found == tag).then(|| {
            *self = ahead;
            content
        })
    }

    /// The next value's parts, if its tag is this one.
    pub fn enter(&mut self, tag: u8) -> Option<Self> {
        self.content(tag).map(Der)
    }
}

impl<'a> Iterator for Der<'a> {
    type Item = Value<'a>;

    /// `None`: the end, or what is no value; its length is then not believed.
    fn next(&mut self) -> Option<Value<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = after;
            let more = |so_far: usize, &byte: &u8| {
                (so_far < 1 << 24).then_some(so_far << 8 | usize::from(byte))
            };
            bytes.iter().try_fold(0, more)?
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

/// Seconds since 1970 of a UTCTime or GeneralizedTime as certificates have them (RFC 5280,
/// 4.1.2.5): to the second, and in UTC.
pub(super) fn seconds((tag, text): Value<'_>) -> Option<i64> {
    let text = str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let (year, rest) = match tag {
        UTC_TIME if text.len() == 12 => {
            let year: i64 = text.get(..2)?.parse().ok()?;
            (year + if year < 50 { 2000 } else { 1900 }, text.get(2..)?)
        }
        GENERALIZED_TIME if text.len() == 14 => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    let (hour, minute, second) = (part(4)?, part(6)?, part(8)?);
    let sound = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
    if !digits || !sound {
        return None;
    }
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar. The year is taken to begin in March,
/// so that the day that it may have more is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a day since 1970-01-01.
pub(super) fn day(since: i64) -> (i64, i64, i64) {
    let since = since + 719_468;
    let (era, of_era) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_what_is_none_is_not() {
        let utc = |text: &str| seconds((UTC_TIME, text.as_bytes()));
        let general = |text: &str| seconds((GENERALIZED_TIME, text.as_bytes()));
        assert_eq!(utc("700101000000Z"), Some(0));
        assert_eq!(utc("240229235959Z"), Some(1_709_251_199));
        assert_eq!(utc("491231235959Z"), Some(2_524_607_999));
        assert_eq!(general("20240229235959Z"), Some(1_709_251_199));
        assert_eq!(general("99991231235959Z"), Some(253_402_300_799));
        for wrong in ["", "Z", "240229235959", "2402302359-9Z", "241329235959Z"] {
            assert_eq!(utc(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_day_has_its_date() {
        let mut former = (0, 0, 0);
        for since in -200_000..200_000 {
            let (year, month, of_month) = day(since);
            assert_eq!(days(year, month, of_month), since);
            assert!((year, month, of_month) > former || since == -200_000);
            former = (year, month, of_month);
        }
        assert_eq!(day(19_782), (2024, 2, 29));
    }

    #[test]
    fn lengths_are_not_believed() {
        for wrong in [
            &b"\x04\x05four"[..],
            b"\x04\x84\xff\xff\xff\xff",
            b"\x04\x88\x01\0\0\0\0\0\0\0",
            b"\x04",
            b"\x04\x82\x01",
        ] {
            assert_eq!(Der(wrong).next(), None, "{wrong:?}");
        }
        let mut long = vec![OCTET_STRING, 0x81, 200];
        long.resize(203, 7);
        assert_eq!(Der(&long).content(OCTET_STRING).unwrap().len(), 200);
    }
}

//! How a server's log is cut into segments and pages.

use super::Position;

/// Bytes before the first record of a segment, and of any other page ("xlog_internal.h":
/// SizeOfXLogLongPHD, SizeOfXLogShortPHD).
const OF_SEGMENT: u64 = 40;
const OF_PAGE: u64 = 24;

/// Bytes of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub segment: u64,
    pub page: u64,
}

impl Layout {
    /// Where the last record ends, if the next one begins there. Where that is a new page, a server
    /// names the place behind the page's header, which who replays reaches with the next record
    /// only: an idle primary would be ahead for ever.
    pub fn end_of_last(self, next: Position) -> Position {
        let within = |whole: u64| next.checked_rem(whole).unwrap_or(0);
        match (within(self.segment), within(self.page)) {
            (OF_SEGMENT, _) => next - OF_SEGMENT,
            (_, OF_PAGE) => next - OF_PAGE,
            (_, _) => next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_nothing_that_could_be_missed() {
        let layout = Layout {
            segment: 1 << 24,
            page: 1 << 13,
        };
        let (segment, page) = (3 << 24, 5 << 13);
        for (next, end) in [
            (segment + 40, segment),
            (segment + page + 24, segment + page),
            // A record that goes over the boundary ends there.
            (segment + page + 40, segment + page + 40),
            (segment + 48, segment + 48),
            (segment, segment),
            (0, 0),
        ] {
            assert_eq!(layout.end_of_last(next), end);
        }
    }
}

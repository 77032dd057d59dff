//! Whole numbers as Redis reads them: digits and at most a minus, nothing before or after, no leading
//! zero.
use super::answers::{not_an_integer, refused};
use crate::base::error::Result;

/// `None` for what Redis does not take for a number, and for one beyond 64 bits.
pub fn parse(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if !matches!(digits, [b'1'..=b'9', ..]) && text != b"0" {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub fn whole(text: &[u8]) -> Result<i64> {
    parse(text).ok_or_else(not_an_integer)
}

/// A number of elements.
pub fn positive(text: &[u8]) -> Result<usize> {
    parse(text)
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| refused("value is out of range, must be positive"))
}

/// A place in something of this length; a negative one counts from the end.
pub fn place(at: i64, length: usize) -> Option<usize> {
    let at = if at < 0 { at.checked_add_unsigned(length as u64)? } else { at };
    usize::try_from(at).ok().filter(|at| *at < length)
}

/// The part from one place to another, both included, as `start..end`; empty where they miss it.
pub fn span(start: i64, end: i64, length: usize) -> (usize, usize) {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let from_start = |at: i64| if at < 0 { at + length } else { at };
    let start = from_start(start).max(0);
    let end = from_start(end).min(length - 1);
    if start > end {
        return (0, 0);
    }
    (usize::try_from(start).unwrap_or(0), usize::try_from(end + 1).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_digits_are_a_number() {
        for (text, number) in [
            ("0", Some(0)),
            ("-7", Some(-7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            (" 1", None),
            ("1 ", None),
            ("1.0", None),
            ("1e3", None),
        ] {
            assert_eq!(parse(text.as_bytes()), number, "{text:?}");
        }
    }

    #[test]
    fn places_and_spans_stay_inside() {
        assert_eq!(place(0, 3), Some(0));
        assert_eq!(place(-3, 3), Some(0));
        for missing in [3, -4, i64::MIN, i64::MAX] {
            assert_eq!(place(missing, 3), None, "{missing}");
        }
        for (start, end, expected) in [
            (0, -1, (0, 3)),
            (-2, -1, (1, 3)),
            (i64::MIN, i64::MAX, (0, 3)),
            (1, 0, (0, 0)),
            (3, 9, (0, 0)),
            (0, -9, (0, 0)),
        ] {
            assert_eq!(span(start, end, 3), expected, "{start} {end}");
        }
        assert_eq!(span(0, -1, 0), (0, 0));
    }
}

//! Lifetimes as users write them: seconds, or a number with a unit.
use std::time::Duration;

/// Reads `90`, `90s`, `5m`, `1h` or `7d`. None when it is neither, or too large to count.
pub fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = match text.char_indices().next_back()? {
        (_, '0'..='9') => (text, 1),
        (at, 's') => (&text[..at], 1),
        (at, 'm') => (&text[..at], 60),
        (at, 'h') => (&text[..at], 3_600),
        (at, 'd') => (&text[..at], 86_400),
        _ => return None,
    };
    whole_number(digits)?.checked_mul(unit).map(Duration::from_secs)
}

/// Digits and nothing else: no sign, no space, no exponent.
pub fn whole_number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

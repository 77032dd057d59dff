//! Patterns as `SCAN`, `HSCAN`, `SSCAN` and `KEYS` take them: `*`, `?`, `[abc]`, `[^a]`, `[a-z]`, and a
//! backslash before what stands for itself. Source: the behaviour of Redis 7.0, its oddities included:
//! a class without its bracket goes to the end, a range the wrong way round is turned, and nothing but
//! `*` and the empty pattern matches an empty text.

/// Whether a pattern matches the whole text.
///
/// After a star it is enough to go back to the last one: where that fails, an earlier one would have to
/// take more, which leaves less to the last. So the time is bounded by the product of the lengths.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    if pattern == b"*" {
        return true;
    }
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&byte) = text.get(read) {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            star = Some((at, read));
        } else if let Some(next) = step(pattern, at, byte) {
            at = next;
            read += 1;
        } else if let Some((after, from)) = star {
            // The star takes one byte more.
            at = after;
            read = from + 1;
            star = Some((after, read));
        } else {
            return false;
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}

/// What follows in the pattern when the part that begins here matches a byte. It is no star.
fn step(pattern: &[u8], at: usize, byte: u8) -> Option<usize> {
    match pattern.get(at..)? {
        [] => None,
        [b'?', ..] => Some(at + 1),
        [b'[', class @ ..] => {
            let (matched, length) = in_class(class, byte);
            matched.then_some(at + 1 + length)
        }
        [b'\\', literal, ..] => (*literal == byte).then_some(at + 2),
        [literal, ..] => (*literal == byte).then_some(at + 1),
    }
}

/// Whether a byte is in the class that begins here, behind its bracket, and how long that is.
fn in_class(class: &[u8], byte: u8) -> (bool, usize) {
    let not = class.first() == Some(&b'^');
    let mut at = usize::from(not);
    let mut found = false;
    while let Some(rest) = class.get(at..).filter(|rest| !rest.is_empty()) {
        match rest {
            [b'\\', literal, ..] => {
                found |= *literal == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [from, b'-', to, ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= *literal == byte;
                at += 1;
            }
            [] => break,
        }
    }
    (found != not, at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(pattern: &str, texts: &[&str], expected: bool) {
        for text in texts {
            let matched = matches(pattern.as_bytes(), text.as_bytes());
            assert_eq!(matched, expected, "{pattern:?} and {text:?}");
        }
    }

    #[test]
    fn each_sign_matches_what_redis_says() {
        all("*", &["", "a", "a*b"], true);
        all("a?c", &["abc", "a?c"], true);
        all("a?c", &["ac", "abbc"], false);
        all("a*c", &["ac", "abc", "acbc"], true);
        all("a*c", &["a", "c", "acb"], false);
        all("[abc]x", &["ax", "cx"], true);
        all("[abc]x", &["dx", "x"], false);
        all("[^a]", &["b", "^"], true);
        all("[^a]", &["a", ""], false);
        all("[b-d]", &["b", "c", "d"], true);
        all("[d-b]", &["b", "c", "d"], true);
        all("[b-d]", &["a", "e", "-"], false);
        all("[a\\]]", &["a", "]"], true);
        all("\\*", &["*"], true);
        all("\\*", &["a", "\\*"], false);
        all("", &[""], true);
        all("", &["a"], false);
    }

    #[test]
    fn oddities_are_those_of_redis() {
        all("[ab", &["a", "b"], true);
        all("[ab", &["[ab", "c"], false);
        all("[", &["[", "a"], false);
        all("[^", &["a"], true);
        all("[]", &["]", "a"], false);
        all("[a-]", &["a", "_", "]"], true);
        all("a\\", &["a\\"], true);
        all("**", &[""], false);
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_longer_than_its_length_says() {
        let pattern = "a*".repeat(500) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(10_000).as_bytes()));
    }

    /// As it is defined: a star takes nothing, or one byte and then goes on.
    fn by_definition(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([b'*', rest @ ..], _) if by_definition(rest, text) => true,
            ([b'*', ..], [_, less @ ..]) => by_definition(pattern, less),
            ([b'*', ..], []) => false,
            ([], text) => text.is_empty(),
            (_, []) => false,
            (_, [byte, less @ ..]) => step(pattern, 0, *byte)
                .is_some_and(|next| by_definition(pattern.get(next..).unwrap_or_default(), less)),
        }
    }

    proptest! {
        #[test]
        fn going_back_to_the_last_star_is_enough(
            pattern in "[ab*?]{0,7}|[ab*?\\[\\]^\\\\-]{0,7}",
            text in "[ab\\[-]{1,7}",
        ) {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(matches(pattern, text), by_definition(pattern, text));
        }
    }
}

//! Patterns as `SCAN`, `HSCAN`, `SSCAN` and `KEYS` take them: `*`, `?`, `[abc]`, `[^a]`, `[a-z]`, and a
//! backslash before what stands for itself. Source: the behaviour of Redis 7.0, its oddities included:
//! a class without its bracket goes to the end, a range the wrong way round is turned, and nothing but
//! `*` and the empty pattern matches an empty text.
//!
//! Of bytes, as Redis takes them, or of characters.

/// Whether a pattern matches the whole text.
///
/// After a star it is enough to go back to the last one: where that fails, an earlier one would have to
/// take more, which leaves less to the last. So the time is bounded by the product of the lengths.
pub fn matches<T: Copy + Ord + From<u8>>(pattern: &[T], text: &[T]) -> bool {
    let star = |at: usize| pattern.get(at) == Some(&T::from(b'*'));
    if pattern.len() == 1 && star(0) {
        return true;
    }
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut at, mut read) = (0, 0);
    let mut last: Option<(usize, usize)> = None;
    while let Some(&unit) = text.get(read) {
        if star(at) {
            at += 1;
            last = Some((at, read));
        } else if let Some(next) = step(pattern, at, unit) {
            at = next;
            read += 1;
        } else if let Some((after, from)) = last {
            // The star takes one more.
            at = after;
            read = from + 1;
            last = Some((after, read));
        } else {
            return false;
        }
    }
    (at..pattern.len()).all(star)
}

/// A pattern of characters for texts of which each character is written by `put`: it matches at least what the
/// pattern matches.
pub fn loosened(pattern: &str, put: &dyn Fn(char, &mut Vec<u8>)) -> Vec<u8> {
    let pattern: Vec<char> = pattern.chars().collect();
    let (mut out, mut at) = (Vec::with_capacity(pattern.len()), 0);
    while let Some(&unit) = pattern.get(at) {
        match (unit, pattern.get(at + 1)) {
            ('*', _) => {
                out.push(b'*');
                at += 1;
            }
            ('?', _) => {
                out.extend_from_slice(b"?*");
                at += 1;
            }
            ('[', _) => {
                out.extend_from_slice(b"?*");
                at += 1 + in_class(pattern.get(at + 1..).unwrap_or_default(), '\0').1;
            }
            ('\\', Some(&literal)) => {
                put(literal, &mut out);
                at += 2;
            }
            _ => {
                put(unit, &mut out);
                at += 1;
            }
        }
    }
    out
}

/// What follows in the pattern when the part that begins here matches. It is no star.
fn step<T: Copy + Ord + From<u8>>(pattern: &[T], at: usize, unit: T) -> Option<usize> {
    let is = |sign: u8, part: T| part == T::from(sign);
    match pattern.get(at..)? {
        [] => None,
        [sign, ..] if is(b'?', *sign) => Some(at + 1),
        [sign, class @ ..] if is(b'[', *sign) => {
            let (matched, length) = in_class(class, unit);
            matched.then_some(at + 1 + length)
        }
        [sign, literal, ..] if is(b'\\', *sign) => (*literal == unit).then_some(at + 2),
        [literal, ..] => (*literal == unit).then_some(at + 1),
    }
}

/// Whether something is in the class that begins here, behind its bracket, and how long that is.
fn in_class<T: Copy + Ord + From<u8>>(class: &[T], unit: T) -> (bool, usize) {
    let is = |sign: u8, part: T| part == T::from(sign);
    let not = class.first().is_some_and(|first| is(b'^', *first));
    let mut at = usize::from(not);
    let mut found = false;
    while let Some(rest) = class.get(at..).filter(|rest| !rest.is_empty()) {
        match rest {
            [sign, literal, ..] if is(b'\\', *sign) => {
                found |= *literal == unit;
                at += 2;
            }
            [sign, ..] if is(b']', *sign) => {
                at += 1;
                break;
            }
            [from, dash, to, ..] if is(b'-', *dash) => {
                found |= (*from.min(to)..=*from.max(to)).contains(&unit);
                at += 3;
            }
            [literal, ..] => {
                found |= *literal == unit;
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

    #[test]
    fn a_character_is_one_however_many_bytes_it_takes() {
        let matched = |pattern: &str, text: &str| {
            let [pattern, text] = [pattern, text].map(|text| text.chars().collect::<Vec<_>>());
            matches(&pattern, &text)
        };
        assert!(matched("a?c", "aäc") && matched("[ä-ö]", "ö") && matched("\\🜁*", "🜁ab"));
        assert!(!matched("a??c", "aäc") && !matched("[ä]", "ö"));
    }

    proptest! {
        #[test]
        fn a_loosened_pattern_matches_what_the_pattern_matches(
            pattern in "[abä*?]{0,7}|[abä*?\\[\\]^\\\\-]{0,7}",
            text in "[abä\\[-]{1,7}",
        ) {
            // Each character as two bytes.
            let put = |unit: char, out: &mut Vec<u8>| out.extend([b'<', (unit as u32 % 25) as u8 + b'A']);
            let loose = loosened(&pattern, &put);
            let [units, chars] = [&pattern, &text].map(|text| text.chars().collect::<Vec<_>>());
            let mut written = Vec::new();
            chars.iter().for_each(|&unit| put(unit, &mut written));
            prop_assert!(!matches(&units, &chars) || matches(&loose, &written));
        }

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

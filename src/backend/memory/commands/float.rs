//! Numbers as `INCRBYFLOAT` reckons with them: C's `long double` as it is on x86-64, 64 bits of
//! mantissa, and 17 places behind the point. A double would answer 0.30000000000000004 where a server
//! answers 0.3, and whole decimals would differ from a server as soon as a number is large.
//!
//! Sources: the x87 extended format; C's `strtold` and `%.17Lf`, both correctly rounded; what Redis 7.0
//! refuses and which zeros it leaves away. Hexadecimal floats are not read.
use std::fmt;

/// The longest text that is taken for a number.
const LONGEST: usize = 5 * 1024 - 1;
/// A number of more bits before its point is infinite.
const TOO_LARGE: i64 = 16_384;
/// Below this power of two a number is zero, which Redis does not take for one either.
const TOO_SMALL: i64 = -16_446;
/// 10^17, for the places behind the point.
const PLACES: u128 = 100_000_000_000_000_000;

/// `mantissa` × 2^`exponent`. The mantissa's highest bit is set, unless the number is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long {
    negative: bool,
    mantissa: u64,
    exponent: i64,
}

impl Long {
    pub const ZERO: Self = Self { negative: false, mantissa: 0, exponent: 0 };
    const INFINITE: Self = Self { mantissa: 1 << 63, exponent: i64::MAX, ..Self::ZERO };

    /// `None` for what Redis does not take for a number.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (negative, text) = signed(text);
        if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
            return Some(Self { negative, ..Self::INFINITE });
        }
        let (digits, power) = decimal(text)?;
        let number = binary(&digits, power)?;
        Some(Self { negative, ..number })
    }

    pub fn is_finite(&self) -> bool {
        self.exponent != Self::INFINITE.exponent
    }

    /// The sum, `None` when it has no end.
    pub fn plus(self, other: Self) -> Option<Self> {
        if !self.is_finite() || !other.is_finite() {
            return None;
        }
        if self.mantissa == 0 || other.mantissa == 0 {
            return Some(if self.mantissa == 0 { other } else { self });
        }
        let self_first = (self.exponent, self.mantissa) >= (other.exponent, other.mantissa);
        let (large, small) = if self_first { (self, other) } else { (other, self) };
        // Below the mantissas there is room for 62 bits; of what is lower still, only whether there is
        // anything counts.
        let (upper, lower) = (u128::from(large.mantissa) << 62, u128::from(small.mantissa) << 62);
        let distance = u32::try_from(large.exponent - small.exponent).unwrap_or(u32::MAX);
        let shifted = lower.checked_shr(distance).unwrap_or(0);
        let inexact = shifted.checked_shl(distance).unwrap_or(0) != lower;
        let sum = if large.negative == small.negative {
            upper + shifted
        } else {
            upper - shifted - u128::from(inexact)
        };
        let sum = rounded(sum, inexact, large.exponent - 62);
        let fits = sum.exponent + 64 <= TOO_LARGE;
        fits.then_some(Self { negative: large.negative && sum.mantissa != 0, ..sum })
    }
}

/// Without an exponent, and without zeros that say nothing.
impl fmt::Display for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.exponent >= 0 {
            let mut whole = Large::from(self.mantissa);
            whole.times_two(usize::try_from(self.exponent).unwrap_or(0));
            whole.into_decimal()
        } else {
            let scaled = u128::from(self.mantissa) * PLACES;
            let bits = u32::try_from(-self.exponent).unwrap_or(u32::MAX);
            let places = shifted_and_rounded(scaled, bits);
            let text = format!("{}.{:017}", places / PLACES, places % PLACES);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        let minus = if self.negative && text != "0" { "-" } else { "" };
        write!(f, "{minus}{text}")
    }
}

fn signed(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

/// The digits without a point, and the power of ten by which they are multiplied.
fn decimal(text: &[u8]) -> Option<(Vec<u8>, i64)> {
    let (number, power) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (text.get(..at)?, exponent(text.get(at + 1..)?)?),
        None => (text, 0),
    };
    let point = number.iter().position(|byte| *byte == b'.');
    let (whole, places) = match point {
        Some(at) => (number.get(..at)?, number.get(at + 1..)?),
        None => (number, number.get(number.len()..)?),
    };
    let digits = [whole, places].concat();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((digits, power - places.len() as i64))
}

/// The number behind an `e`; one that is far too large is cut short.
fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = signed(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: i64, digit: &u8| (sum * 10 + i64::from(*digit - b'0')).min(1_000_000);
    let size = digits.iter().fold(0, add);
    Some(if negative { -size } else { size })
}

/// `digits` × 10^`power`, rounded to 64 bits; `None` when that is infinite, or zero without being it.
fn binary(digits: &[u8], power: i64) -> Option<Long> {
    let Some(first) = digits.iter().position(|digit| *digit != b'0') else {
        return Some(Long::ZERO);
    };
    let digits = digits.get(first..)?;
    // What is out of reach by far is not reckoned out.
    if !(-4_960..=4_940).contains(&(digits.len() as i64 + power)) {
        return None;
    }
    let mut number = Large::default();
    digits.iter().for_each(|digit| number.times_plus(10, u32::from(digit - b'0')));
    let tens = usize::try_from(power.unsigned_abs()).ok()?;
    let (mut scale, mut inexact) = (0, false);
    if power >= 0 {
        factors(tens).for_each(|factor| number.times_plus(factor, 0));
    } else {
        // So far up that the quotient has more bits than the mantissa: 10 is less than 2^(10/3).
        let up = (tens * 10 / 3 + 68).saturating_sub(number.bits());
        number.times_two(up);
        factors(tens).for_each(|divisor| inexact |= number.divide(divisor) != 0);
        scale = up;
    }
    let (top, cut, more) = number.top();
    let number = rounded(top, inexact || more, cut as i64 - scale as i64);
    let fits = number.exponent + 64 <= TOO_LARGE && number.exponent + 63 >= TOO_SMALL;
    fits.then_some(number)
}

/// 10^`tens` as factors of at most 10^9.
fn factors(tens: usize) -> impl Iterator<Item = u32> {
    let whole = std::iter::repeat_n(1_000_000_000, tens / 9);
    whole.chain((0..tens % 9).map(|_| 10))
}

/// `value` × 2^`exponent` with 64 bits, to the nearest, a tie to the even one. `inexact` says that it
/// stands for slightly more.
fn rounded(value: u128, inexact: bool, exponent: i64) -> Long {
    if value == 0 {
        return Long::ZERO;
    }
    let bits = 128 - value.leading_zeros();
    if bits <= 64 {
        let mantissa = (value as u64) << (64 - bits);
        return Long { negative: false, mantissa, exponent: exponent - i64::from(64 - bits) };
    }
    let cut = bits - 64;
    let (whole, rest, half) = (value >> cut, value & ((1u128 << cut) - 1), 1u128 << (cut - 1));
    let up = rest > half || (rest == half && (inexact || whole & 1 == 1));
    let whole = whole + u128::from(up);
    let exponent = exponent + i64::from(cut);
    match u64::try_from(whole) {
        Ok(mantissa) => Long { negative: false, mantissa, exponent },
        // All bits were set.
        Err(_) => Long { negative: false, mantissa: 1 << 63, exponent: exponent + 1 },
    }
}

/// `value` / 2^`bits`, to the nearest, a tie to the even one. The value has less than 127 bits, and
/// `bits` is not 0.
fn shifted_and_rounded(value: u128, bits: u32) -> u128 {
    if bits >= 128 {
        return 0;
    }
    let (whole, rest, half) = (value >> bits, value & ((1u128 << bits) - 1), 1u128 << (bits - 1));
    whole + u128::from(rest > half || (rest == half && whole & 1 == 1))
}

/// A whole number of any size: its limbs, the lowest first, the highest not zero.
#[derive(Default)]
struct Large(Vec<u32>);

impl From<u64> for Large {
    fn from(number: u64) -> Self {
        let mut large = Self(vec![number as u32, (number >> 32) as u32]);
        large.shorten();
        large
    }
}

impl Large {
    fn bits(&self) -> usize {
        self.0.last().map_or(0, |last| self.0.len() * 32 - last.leading_zeros() as usize)
    }

    fn times_plus(&mut self, factor: u32, add: u32) {
        let mut carry = u64::from(add);
        for limb in &mut self.0 {
            let sum = u64::from(*limb) * u64::from(factor) + carry;
            *limb = sum as u32;
            carry = sum >> 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn times_two(&mut self, times: usize) {
        self.times_plus(1 << (times % 32), 0);
        let mut limbs = vec![0; times / 32];
        limbs.append(&mut self.0);
        self.0 = limbs;
        self.shorten();
    }

    /// Answers what is left over.
    fn divide(&mut self, divisor: u32) -> u32 {
        let divisor = u64::from(divisor);
        let mut rest = 0u64;
        for limb in self.0.iter_mut().rev() {
            let part = (rest << 32) | u64::from(*limb);
            *limb = (part / divisor) as u32;
            rest = part % divisor;
        }
        self.shorten();
        rest as u32
    }

    /// The highest limbs, more than 96 bits if there are so many; how many bits are below them, and
    /// whether any of those is set.
    fn top(&self) -> (u128, usize, bool) {
        let (below, top) = self.0.split_at(self.0.len().saturating_sub(4));
        let value = top.iter().rev().fold(0u128, |sum, limb| (sum << 32) | u128::from(*limb));
        (value, below.len() * 32, below.iter().any(|limb| *limb != 0))
    }

    fn into_decimal(mut self) -> String {
        let mut groups = Vec::new();
        while !self.0.is_empty() {
            groups.push(self.divide(1_000_000_000));
        }
        let mut groups = groups.into_iter().rev();
        let mut text = groups.next().unwrap_or(0).to_string();
        groups.for_each(|group| text.push_str(&format!("{group:09}")));
        text
    }

    fn shorten(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(one: &str, other: &str) -> String {
        let (one, other) = (Long::parse(one.as_bytes()), Long::parse(other.as_bytes()));
        one.zip(other)
            .map(|(one, other)| {
                one.plus(other).map_or("infinite".to_owned(), |sum| sum.to_string())
            })
            .unwrap_or("no number".to_owned())
    }

    /// What a server answered.
    #[test]
    fn sums_are_those_of_a_server() {
        for (one, other, expected) in [
            ("0.1", "0.2", "0.3"),
            ("10.5", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("1000", "0.1", "1000.09999999999999998"),
            ("123456789.123456789", "0", "123456789.12345678899873747"),
            ("1e23", "0", "100000000000000000000000"),
            ("18446744073709551616", "1", "18446744073709551616"),
            ("1e-17", "0", "0.00000000000000001"),
            ("4.9e-18", "0", "0"),
            ("-4.9e-18", "0", "0"),
            ("0.1", "-0.1", "0"),
            ("-0", "-0", "0"),
            (".5", "5.", "5.5"),
            ("1.19e4932", "1.19e4932", "no number"),
            ("1.18e4932", "1.18e4932", "infinite"),
            ("inf", "1", "infinite"),
            ("1e-4951", "0", "no number"),
            ("1e-4950", "0", "0"),
        ] {
            assert_eq!(sum(one, other), expected, "{one} + {other}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", ".", "e5", "1e", "1e+", "abc", " 1", "1 ", "--1", "1.2.3", "nan", "1e5000"]
        {
            assert_eq!(Long::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Long::parse("1".repeat(LONGEST + 1).as_bytes()), None);
    }

    proptest! {
        /// Small whole numbers, and halves, quarters and so on of them, are exact.
        #[test]
        fn exact_sums_are_exact(a in -(1i64 << 40)..1 << 40, b in -(1i64 << 40)..1 << 40, n in 0u32..12) {
            let scale = (1u64 << n) as f64;
            let text = |number: i64| {
                let all = format!("{:.12}", number as f64 / scale);
                all.trim_end_matches('0').trim_end_matches('.').to_owned()
            };
            prop_assert_eq!(sum(&text(a), &text(b)), text(a + b));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+.e0-9]{0,12}|[0-9]{0,80}", other in "[-+.e0-9]{0,12}") {
            sum(&text, &other);
        }
    }
}

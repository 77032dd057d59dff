//! Strings and counters.
use bytes::Bytes;

use super::Command;
use super::answers::{
    bytes_or_nil, flag, integer, not_a_float, not_finite, ok, overflow, refused, syntax,
};
use super::float::Long;
use super::number::{span, whole};
use super::times::Scale;
use crate::backend::Raw;
use crate::backend::memory::data::Data;
use crate::base::error::Result;

/// The longest string that Redis keeps unless it is told otherwise, 512 MB.
const LONGEST: usize = 512 * 1024 * 1024;
/// The digits of a 64-bit number, and its sign.
const DIGITS: usize = 20;

pub fn get(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    Ok(bytes_or_nil(command.read(&args[1])?))
}

/// Another type is nothing here.
pub fn get_many(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let read = |key: &Bytes| bytes_or_nil(command.read(key).unwrap_or_default());
    Ok(Raw::Array(args[1..].iter().map(read).collect()))
}

pub fn length(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    Ok(integer(command.read::<Bytes>(&args[1])?.map_or(0, Bytes::len)))
}

pub fn range(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let (start, end) = (whole(&args[2])?, whole(&args[3])?);
    let bytes = command.read::<Bytes>(&args[1])?.cloned().unwrap_or_default();
    // An end that lies before the text is its beginning: so it is on servers before Redis 8.
    let before = -i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let (start, end) = match (start < 0, end < 0) {
        (true, true) if start > end => (0, 0),
        (_, true) => span(start, end.max(before), bytes.len()),
        _ => span(start, end, bytes.len()),
    };
    Ok(Raw::Bytes(bytes.slice(start..end)))
}

/// What `SET` and `GETEX` are told besides key and value.
#[derive(Default)]
struct Wishes<'a> {
    /// Only where there is a value, or only where there is none.
    only: Option<bool>,
    answer_old: bool,
    keep_expiry: bool,
    persist: bool,
    lifetime: Option<(&'a Bytes, Scale)>,
}

impl<'a> Wishes<'a> {
    /// What contradicts an earlier word is a syntax error.
    fn read(words: &'a [Bytes], setting: bool) -> Result<Self> {
        let mut wishes = Self::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let word = word.to_ascii_uppercase();
            let lifeless = wishes.lifetime.is_none();
            match word.as_slice() {
                b"NX" if setting && wishes.only != Some(true) => wishes.only = Some(false),
                b"XX" if setting && wishes.only != Some(false) => wishes.only = Some(true),
                b"GET" if setting => wishes.answer_old = true,
                b"KEEPTTL" if setting && lifeless => wishes.keep_expiry = true,
                b"PERSIST" if !setting && lifeless => wishes.persist = true,
                word => {
                    let free = !wishes.keep_expiry && !wishes.persist;
                    let scale = Scale::named(word).filter(|_| free).ok_or_else(syntax)?;
                    let time = rest.next().ok_or_else(syntax)?;
                    if wishes.lifetime.is_some_and(|(_, other)| other != scale) {
                        return Err(syntax());
                    }
                    wishes.lifetime = Some((time, scale));
                }
            }
        }
        Ok(wishes)
    }

    fn end_of_life(&self, command: &Command<'_>) -> Result<Option<u64>> {
        self.lifetime.map(|(time, scale)| command.end_of_life(time, scale)).transpose()
    }
}

pub fn set(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let wishes = Wishes::read(&args[3..], true)?;
    let until = wishes.end_of_life(command)?;
    // Only who asks for the old value minds its type.
    let old = if wishes.answer_old { get(command)? } else { Raw::Nil };
    let before = command.entry(&args[1]).map(|entry| entry.expires_at);
    let done = wishes.only.is_none_or(|present| present == before.is_some());
    if done {
        let expires_at = if wishes.keep_expiry { before.flatten() } else { until };
        command.put(&args[1], Data::Bytes(args[2].clone()), expires_at)?;
    }
    Ok(match (wishes.answer_old, done) {
        (true, _) => old,
        (false, true) => ok(),
        (false, false) => Raw::Nil,
    })
}

pub fn set_for(command: &mut Command<'_>, scale: Scale) -> Result<Raw> {
    let args = command.args;
    let until = command.end_of_life(&args[2], scale)?;
    command.put(&args[1], Data::Bytes(args[3].clone()), Some(until))?;
    Ok(ok())
}

pub fn set_absent(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let absent = command.entry(&args[1]).is_none();
    if absent {
        command.put(&args[1], Data::Bytes(args[2].clone()), None)?;
    }
    Ok(flag(absent))
}

pub fn set_many(command: &mut Command<'_>) -> Result<Raw> {
    put_all(command).map(|()| ok())
}

pub fn set_many_absent(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    if args.len().is_multiple_of(2) {
        return Err(command.arity());
    }
    if args[1..].iter().step_by(2).any(|key| command.entry(key).is_some()) {
        return Ok(flag(false));
    }
    put_all(command).map(|()| flag(true))
}

/// All or nothing: what might be refused is refused before the first is written.
fn put_all(command: &mut Command<'_>) -> Result<()> {
    let args = command.args;
    if args.len().is_multiple_of(2) {
        return Err(command.arity());
    }
    for pair in args[1..].chunks_exact(2) {
        command.room_for(&pair[0], pair[1].len())?;
    }
    for pair in args[1..].chunks_exact(2) {
        command.put(&pair[0], Data::Bytes(pair[1].clone()), None)?;
    }
    Ok(())
}

pub fn get_and_set(command: &mut Command<'_>) -> Result<Raw> {
    let old = get(command)?;
    let args = command.args;
    command.put(&args[1], Data::Bytes(args[2].clone()), None)?;
    Ok(old)
}

pub fn get_and_delete(command: &mut Command<'_>) -> Result<Raw> {
    let old = get(command)?;
    let args = command.args;
    command.remove(&args[1]);
    Ok(old)
}

pub fn get_and_expire(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let wishes = Wishes::read(&args[2..], false)?;
    let value = get(command)?;
    if value == Raw::Nil {
        return Ok(value);
    }
    if let Some(until) = wishes.end_of_life(command)? {
        command.expire(&args[1], Some(until));
    } else if wishes.persist {
        command.expire(&args[1], None);
    }
    Ok(value)
}

pub fn append(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let tail = &args[2];
    let length = command.change_or_create(&args[1], tail.len(), |bytes: &mut Bytes| {
        *bytes = [&**bytes, &**tail].concat().into();
        bytes.len()
    })?;
    Ok(integer(length))
}

pub fn set_range(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let (offset, patch) = (whole(&args[2])?, &args[3]);
    let offset = usize::try_from(offset).map_err(|_| refused("offset is out of range"))?;
    let held = command.read::<Bytes>(&args[1])?.map_or(0, Bytes::len);
    if patch.is_empty() {
        return Ok(integer(held));
    }
    let end = offset.saturating_add(patch.len());
    if end > LONGEST {
        return Err(refused("string exceeds maximum allowed size (proto-max-bulk-len)"));
    }
    // Before so many bytes are made.
    command.room_for(&args[1], end)?;
    let length = command.change_or_create(&args[1], end, |bytes: &mut Bytes| {
        let length = bytes.len().max(end);
        let mut whole = Vec::with_capacity(length);
        whole.extend_from_slice(bytes);
        whole.resize(length, 0);
        whole[offset..end].copy_from_slice(patch);
        *bytes = whole.into();
        length
    })?;
    Ok(integer(length))
}

pub fn count(command: &mut Command<'_>, by: i64) -> Result<Raw> {
    let args = command.args;
    let base = command.read::<Bytes>(&args[1])?.map_or(Ok(0), |bytes| whole(bytes))?;
    let sum = base.checked_add(by).ok_or_else(overflow)?;
    rewrite(command, &sum.to_string(), DIGITS)?;
    Ok(Raw::Integer(sum))
}

pub fn increase_by(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    count(command, whole(&args[2])?)
}

pub fn decrease_by(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let by = whole(&args[2])?;
    count(command, by.checked_neg().ok_or_else(|| refused("decrement would overflow"))?)
}

pub fn increase_by_float(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let held = command.read::<Bytes>(&args[1])?;
    let base = held.map_or(Some(Long::ZERO), |bytes| Long::parse(bytes)).ok_or_else(not_a_float)?;
    let by = Long::parse(&args[2]).ok_or_else(not_a_float)?;
    let text = base.plus(by).ok_or_else(not_finite)?.to_string();
    rewrite(command, &text, text.len())?;
    Ok(Raw::Bytes(text.into()))
}

/// Writes a counter over, at most so many bytes longer than before; its expiry stays.
fn rewrite(command: &mut Command<'_>, text: &str, grows: usize) -> Result<()> {
    let args = command.args;
    command.change_or_create(&args[1], grows, |bytes: &mut Bytes| {
        // Of exactly its length: a text may come with room to spare.
        *bytes = Bytes::copy_from_slice(text.as_bytes());
    })
}

#[cfg(test)]
mod tests {
    use crate::backend::memory::commands::bench::Bench;

    #[test]
    fn what_is_set_depends_on_what_is_there() {
        let mut bench = Bench::new();
        for (line, answer) in [
            ("SET k a XX", "nil"),
            ("SET k a NX GET", "nil"),
            ("SET k b NX", "nil"),
            ("SET k b GET", "a"),
            ("SET k c EX 100", "OK"),
            ("SET k d KEEPTTL", "OK"),
            ("TTL k", "100"),
            ("GETEX k PERSIST", "d"),
            ("TTL k", "-1"),
            ("GETEX k EX 5 EX 6", "d"),
            ("TTL k", "6"),
            ("GETSET k e", "d"),
            ("TTL k", "-1"),
            ("MSETNX k 1 l 2", "0"),
            ("MSETNX l 1 m 2", "1"),
            ("MGET k l m none", "[e 1 2 nil]"),
            ("GETDEL k", "e"),
            ("GETDEL k", "nil"),
        ] {
            assert_eq!(bench.ask(line), answer, "{line}");
        }
    }

    #[test]
    fn words_that_contradict_each_other_are_a_syntax_error() {
        let mut bench = Bench::new();
        for line in [
            "SET k v NX XX",
            "SET k v EX 1 PX 1",
            "SET k v EX 1 KEEPTTL",
            "SET k v KEEPTTL PX 1",
            "SET k v EX",
            "SET k v PERSIST",
            "SET k v WHAT",
            "GETEX k PERSIST EX 1",
            "GETEX k NX",
        ] {
            assert_eq!(bench.ask(line), "ERR syntax error", "{line}");
        }
        assert_eq!(bench.ask("EXISTS k"), "0");
    }

    #[test]
    fn parts_of_a_string_are_read_and_written() {
        let mut bench = Bench::new();
        for (line, answer) in [
            ("SETRANGE k 3 de", "5"),
            ("GETRANGE k 3 -1", "de"),
            ("SETRANGE k 0 abc", "5"),
            ("GETRANGE k 0 -1", "abcde"),
            ("GETRANGE k -2 9", "de"),
            ("GETRANGE k 4 1", ""),
            ("GETRANGE k 0 -9", "a"),
            ("GETRANGE k -1 -9", ""),
            ("GETRANGE none 0 -1", ""),
            ("APPEND k f", "6"),
            ("SETRANGE none 5 ", "0"),
            ("EXISTS none", "0"),
            ("APPEND none ", "0"),
            ("EXISTS none", "1"),
            ("SETRANGE k -1 x", "ERR offset is out of range"),
            (
                "SETRANGE k 536870912 x",
                "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            ),
            ("STRLEN k", "6"),
        ] {
            assert_eq!(bench.ask(line), answer, "{line}");
        }
    }

    #[test]
    fn counters_refuse_what_would_overflow_and_what_is_no_number() {
        let mut bench = Bench::new();
        for (line, answer) in [
            ("INCR n", "1"),
            ("DECRBY n 3", "-2"),
            ("INCRBY n 9223372036854775807", "9223372036854775805"),
            ("INCRBY n 3", "ERR increment or decrement would overflow"),
            ("DECRBY n -9223372036854775808", "ERR decrement would overflow"),
            ("INCRBY n 1.5", "ERR value is not an integer or out of range"),
            ("SET w 01", "OK"),
            ("INCR w", "ERR value is not an integer or out of range"),
            ("INCRBYFLOAT w 0.5", "1.5"),
            ("INCRBYFLOAT w x", "ERR value is not a valid float"),
            ("INCRBYFLOAT w inf", "ERR increment would produce NaN or Infinity"),
            ("GET w", "1.5"),
            ("INCRBYFLOAT f 3.0e3", "3000"),
        ] {
            assert_eq!(bench.ask(line), answer, "{line}");
        }
    }
}

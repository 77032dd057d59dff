//! Hashes.
use bytes::Bytes;

use super::answers::{
    copies, copy, copy_or_nil, flag, integer, not_a_float, not_finite, ok, overflow, refused,
};
use super::float::Long;
use super::number::{parse, whole};
use super::{Command, lengths};
use crate::backend::Raw;
use crate::backend::memory::data::Hash;
use crate::base::error::Result;

/// The digits of a 64-bit number, and its sign.
const DIGITS: usize = 20;

pub fn get(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let hash = command.read::<Hash>(&args[1])?;
    Ok(copy_or_nil(hash.and_then(|hash| hash.get(&args[2]))))
}

pub fn get_many(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let hash = command.read::<Hash>(&args[1])?;
    let value = |field: &Bytes| copy_or_nil(hash.and_then(|hash| hash.get(field)));
    Ok(Raw::Array(args[2..].iter().map(value).collect()))
}

pub fn all(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    Ok(Raw::Map(match command.read::<Hash>(&args[1])? {
        Some(hash) => hash.iter().map(|(field, value)| (copy(field), copy(value))).collect(),
        None => Vec::new(),
    }))
}

pub fn fields(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let hash = command.read::<Hash>(&args[1])?;
    Ok(copies(hash.into_iter().flat_map(|hash| hash.iter()).map(|(field, _)| field)))
}

pub fn values(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let hash = command.read::<Hash>(&args[1])?;
    Ok(copies(hash.into_iter().flat_map(|hash| hash.iter()).map(|(_, value)| value)))
}

pub fn exists(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let hash = command.read::<Hash>(&args[1])?;
    Ok(flag(hash.is_some_and(|hash| hash.get(&args[2]).is_some())))
}

pub fn length(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    Ok(integer(command.read::<Hash>(&args[1])?.map_or(0, Hash::len)))
}

pub fn value_length(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let hash = command.read::<Hash>(&args[1])?;
    Ok(integer(hash.and_then(|hash| hash.get(&args[2])).map_or(0, <[u8]>::len)))
}

pub fn set(command: &mut Command<'_>) -> Result<Raw> {
    insert_all(command).map(integer)
}

pub fn set_many(command: &mut Command<'_>) -> Result<Raw> {
    insert_all(command).map(|_| ok())
}

/// Answers how many fields are new.
fn insert_all(command: &mut Command<'_>) -> Result<usize> {
    let args = command.args;
    if !args.len().is_multiple_of(2) {
        return Err(command.arity());
    }
    let pairs = &args[2..];
    let grows = pairs.len() / 2 * Hash::FIELD + lengths(pairs);
    command.change_or_create(&args[1], grows, |hash: &mut Hash| {
        pairs.chunks_exact(2).filter(|pair| hash.insert(&pair[0], &pair[1])).count()
    })
}

pub fn set_absent(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let (field, value) = (&args[2], &args[3]);
    let grows = Hash::FIELD + field.len() + value.len();
    let done = command.change_or_create(&args[1], grows, |hash: &mut Hash| {
        hash.get(field).is_none() && hash.insert(field, value)
    })?;
    Ok(flag(done))
}

pub fn delete(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let gone = command.change(&args[1], 0, |hash: &mut Hash| {
        args[2..].iter().filter(|field| hash.remove(field)).count()
    })?;
    Ok(integer(gone.unwrap_or(0)))
}

pub fn increase_by(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let field = &args[2];
    let by = whole(&args[3])?;
    let grows = Hash::FIELD + field.len() + DIGITS;
    let sum = command.change_or_create(&args[1], grows, |hash: &mut Hash| -> Result<i64> {
        let base = match hash.get(field) {
            Some(value) => parse(value).ok_or_else(|| refused("hash value is not an integer"))?,
            None => 0,
        };
        let sum = base.checked_add(by).ok_or_else(overflow)?;
        hash.insert(field, sum.to_string().as_bytes());
        Ok(sum)
    })??;
    Ok(Raw::Integer(sum))
}

pub fn increase_by_float(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let field = &args[2];
    let by = Long::parse(&args[3]).ok_or_else(not_a_float)?;
    if !by.is_finite() {
        return Err(refused("value is NaN or Infinity"));
    }
    let base = match command.read::<Hash>(&args[1])?.and_then(|hash| hash.get(field)) {
        Some(value) => Long::parse(value).ok_or_else(|| refused("hash value is not a float"))?,
        None => Long::ZERO,
    };
    let text = base.plus(by).ok_or_else(not_finite)?.to_string();
    let grows = Hash::FIELD + field.len() + text.len();
    command
        .change_or_create(&args[1], grows, |hash: &mut Hash| hash.insert(field, text.as_bytes()))?;
    Ok(Raw::Bytes(text.into()))
}

#[cfg(test)]
mod tests {
    use crate::backend::memory::commands::bench::Bench;

    #[test]
    fn fields_are_written_and_read() {
        let mut bench = Bench::new();
        for (line, answer) in [
            ("HGETALL h", "{}"),
            ("HKEYS h", "[]"),
            ("HSET h b 1 a 2", "2"),
            ("HSET h b 3 c 4", "1"),
            ("HMSET h c 5", "OK"),
            ("HSETNX h c 6", "0"),
            ("HSETNX h d 7", "1"),
            ("HGETALL h", "{a:2 b:3 c:5 d:7}"),
            ("HKEYS h", "[a b c d]"),
            ("HVALS h", "[2 3 5 7]"),
            ("HGET h none", "nil"),
            ("HMGET h a none d", "[2 nil 7]"),
            ("HMGET none a b", "[nil nil]"),
            ("HEXISTS h a", "1"),
            ("HSTRLEN h a", "1"),
            ("HSTRLEN h none", "0"),
            ("HDEL h a none b", "2"),
            ("HLEN h", "2"),
            ("HSET h a", "ERR wrong number of arguments for 'hset' command"),
        ] {
            assert_eq!(bench.ask(line), answer, "{line}");
        }
    }

    #[test]
    fn fields_count() {
        let mut bench = Bench::new();
        for (line, answer) in [
            ("HINCRBY h n 9223372036854775807", "9223372036854775807"),
            ("HINCRBY h n 1", "ERR increment or decrement would overflow"),
            ("HINCRBY h n x", "ERR value is not an integer or out of range"),
            ("HINCRBYFLOAT h f 0.1", "0.1"),
            ("HINCRBYFLOAT h f 0.2", "0.3"),
            ("HINCRBYFLOAT h f inf", "ERR value is NaN or Infinity"),
            ("HINCRBY h f 1", "ERR hash value is not an integer"),
            ("HSET h w abc", "1"),
            ("HINCRBYFLOAT h w 1", "ERR hash value is not a float"),
            ("HGETALL h", "{f:0.3 n:9223372036854775807 w:abc}"),
        ] {
            assert_eq!(bench.ask(line), answer, "{line}");
        }
    }
}

//! Sets. Where Redis takes members by chance, the first ones are taken here.
use std::collections::BTreeSet;

use bytes::Bytes;

use super::answers::{copies, copy, copy_or_nil, flag, integer, own, refused, syntax};
use super::number::{positive, whole};
use super::{Command, lengths};
use crate::backend::Raw;
use crate::backend::memory::data::{Set, Typed};
use crate::base::error::Result;

/// With a negative number `SRANDMEMBER` answers so many members, one several times over. It asks for
/// memory by a number alone, so there is an end.
const MOST_REPEATED: u64 = 1 << 20;

pub fn add(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let members = &args[2..];
    let grows = members.len() * Set::MEMBER + lengths(members);
    let added = command.change_or_create(&args[1], grows, |set: &mut Set| {
        members.iter().filter(|member| set.insert(member)).count()
    })?;
    Ok(integer(added))
}

pub fn remove(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let gone = command.change(&args[1], 0, |set: &mut Set| {
        args[2..].iter().filter(|member| set.remove(member)).count()
    })?;
    Ok(integer(gone.unwrap_or(0)))
}

pub fn contains(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let set = command.read::<Set>(&args[1])?;
    Ok(flag(has(set, &args[2])))
}

pub fn contains_many(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let set = command.read::<Set>(&args[1])?;
    Ok(Raw::Array(args[2..].iter().map(|member| flag(has(set, member))).collect()))
}

fn has(set: Option<&Set>, member: &[u8]) -> bool {
    set.is_some_and(|set| set.contains(member))
}

pub fn members(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let set = command.read::<Set>(&args[1])?;
    Ok(copies(set.into_iter().flat_map(|set| set.iter())))
}

pub fn length(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    Ok(integer(command.read::<Set>(&args[1])?.map_or(0, Set::len)))
}

pub fn pop(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let wanted = match args {
        [_, _] => None,
        [_, _, count] => Some(positive(count)?),
        _ => return Err(syntax()),
    };
    let length = command.read::<Set>(&args[1])?.map_or(0, Set::len);
    let Some(wanted) = wanted else {
        let member = command.change(&args[1], 0, |set: &mut Set| set.pop())?.flatten();
        return Ok(member.map_or(Raw::Nil, own));
    };
    let members = command.change(&args[1], 0, |set: &mut Set| {
        (0..wanted.min(length)).filter_map(|_| set.pop()).map(own).collect::<Vec<_>>()
    })?;
    Ok(Raw::Array(members.unwrap_or_default()))
}

/// `SRANDMEMBER`.
pub fn some(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let wanted = match args {
        [_, _] => None,
        [_, _, count] => Some(whole(count)?),
        _ => return Err(syntax()),
    };
    let set = command.read::<Set>(&args[1])?;
    let mut members = set.into_iter().flat_map(|set| set.iter());
    let Some(wanted) = wanted else { return Ok(copy_or_nil(members.next())) };
    if let Ok(wanted) = usize::try_from(wanted) {
        return Ok(copies(members.take(wanted)));
    }
    let times = wanted.unsigned_abs();
    if times > MOST_REPEATED {
        return Err(refused("value is out of range"));
    }
    Ok(Raw::Array(match members.next() {
        Some(member) => (0..times).map(|_| copy(member)).collect(),
        None => Vec::new(),
    }))
}

pub fn move_member(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let (from, to, member) = (&args[1], &args[2], &args[3]);
    if command.entry(from).is_none() {
        return Ok(flag(false));
    }
    let there = has(command.read::<Set>(from)?, member);
    command.read::<Set>(to)?;
    if from == to || !there {
        return Ok(flag(there));
    }
    // It is put there before it is taken away: the other set may be refused.
    let grows = Set::MEMBER + member.len();
    command.change_or_create(to, grows, |set: &mut Set| set.insert(member))?;
    command.change(from, 0, |set: &mut Set| set.remove(member))?;
    Ok(flag(true))
}

/// What becomes of several sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Union,
    Intersection,
    Difference,
}

pub fn combine(command: &mut Command<'_>, how: How) -> Result<Raw> {
    let args = command.args;
    let members = combined(command, &args[1..], how)?;
    Ok(Raw::Array(members.into_iter().map(own).collect()))
}

/// Keeps what becomes of several sets in place of whatever stands under the first key.
pub fn store(command: &mut Command<'_>, how: How) -> Result<Raw> {
    let args = command.args;
    let members = combined(command, &args[2..], how)?;
    if members.is_empty() {
        command.remove(&args[1]);
        return Ok(Raw::Integer(0));
    }
    let mut set = Set::default();
    members.iter().for_each(|member| {
        set.insert(member);
    });
    command.put(&args[1], set.into_data(), None)?;
    Ok(integer(members.len()))
}

fn combined(command: &mut Command<'_>, keys: &[Bytes], how: How) -> Result<Vec<Box<[u8]>>> {
    for key in keys {
        command.read::<Set>(key)?;
    }
    let command = &*command;
    let sets: Vec<Option<&Set>> = keys.iter().map(|key| command.peek::<Set>(key)).collect();
    let Some((first, others)) = sets.split_first() else { return Ok(Vec::new()) };
    let firsts = first.iter().flat_map(|set| set.iter());
    let all: BTreeSet<&[u8]> = match how {
        How::Union => firsts.chain(others.iter().flatten().flat_map(|set| set.iter())).collect(),
        How::Intersection => {
            firsts.filter(|member| others.iter().all(|set| has(*set, member))).collect()
        }
        How::Difference => {
            firsts.filter(|member| !others.iter().any(|set| has(*set, member))).collect()
        }
    };
    Ok(all.into_iter().map(Box::from).collect())
}

#[cfg(test)]
mod tests {
    use crate::backend::memory::commands::bench::Bench;

    #[test]
    fn members_come_and_go() {
        let mut bench = Bench::new();
        for (line, answer) in [
            ("SADD u b a b", "2"),
            ("SADD u a c", "1"),
            ("SMEMBERS u", "[a b c]"),
            ("SMEMBERS none", "[]"),
            ("SISMEMBER u a", "1"),
            ("SMISMEMBER u a x", "[1 0]"),
            ("SMISMEMBER none a x", "[0 0]"),
            ("SREM u a x", "1"),
            ("SCARD u", "2"),
            ("SRANDMEMBER u", "b"),
            ("SRANDMEMBER u 9", "[b c]"),
            ("SRANDMEMBER u -3", "[b b b]"),
            ("SRANDMEMBER none", "nil"),
            ("SRANDMEMBER none 2", "[]"),
            ("SRANDMEMBER u -9223372036854775808", "ERR value is out of range"),
            ("SPOP u", "b"),
            ("SPOP u 0", "[]"),
            ("SPOP u -1", "ERR value is out of range, must be positive"),
            ("SPOP u 1 2", "ERR syntax error"),
            ("SPOP u 9", "[c]"),
            ("SPOP u", "nil"),
            ("EXISTS u", "0"),
        ] {
            assert_eq!(bench.ask(line), answer, "{line}");
        }
    }

    #[test]
    fn sets_are_combined_and_kept() {
        let mut bench = Bench::new();
        bench.all(&["SADD u a b c", "SADD v b c d", "SET s text EX 100"]);
        for (line, answer) in [
            ("SUNION u v none", "[a b c d]"),
            ("SINTER u v", "[b c]"),
            ("SINTER u none", "[]"),
            ("SDIFF u v none", "[a]"),
            ("SDIFF none u", "[]"),
            ("SUNIONSTORE s u v", "4"),
            ("TTL s", "-1"),
            ("SMEMBERS s", "[a b c d]"),
            ("SINTERSTORE s s v u", "2"),
            ("SMEMBERS s", "[b c]"),
            ("SDIFFSTORE s s v", "0"),
            ("EXISTS s", "0"),
            ("SMOVE u v a", "1"),
            ("SMOVE u v a", "0"),
            ("SMOVE u u b", "1"),
            ("SMOVE none u b", "0"),
            ("SMEMBERS v", "[a b c d]"),
        ] {
            assert_eq!(bench.ask(line), answer, "{line}");
        }
    }
}

//! Keys whatever they hold: existence, type, names, expiry.
use bytes::Bytes;

use super::Command;
use super::answers::{flag, integer, no_such_key, ok, refused, syntax, text, unsupported};
use super::number::whole;
use super::times::Scale;
use crate::backend::Raw;
use crate::backend::memory::entry::{Entry, Standing};
use crate::base::error::Result;

pub fn ping(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    match args {
        [_] => Ok(text("PONG")),
        [_, word] => Ok(Raw::Bytes(word.clone())),
        _ => Err(command.arity()),
    }
}

pub fn echo(command: &mut Command<'_>) -> Result<Raw> {
    Ok(Raw::Bytes(command.args[1].clone()))
}

pub fn size(command: &mut Command<'_>) -> Result<Raw> {
    Ok(integer(command.store.len()))
}

pub fn delete(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    Ok(integer(args[1..].iter().filter(|key| command.remove(key)).count()))
}

/// A key that is named twice counts twice.
pub fn exists(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let (store, moment) = (&*command.store, command.moment);
    let there = args[1..].iter().filter(|key| {
        let key = moment.keys.raw(key);
        store.peek(&key, moment.now).is_some()
    });
    Ok(integer(there.count()))
}

pub fn touch(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    Ok(integer(args[1..].iter().filter(|key| command.entry(key).is_some()).count()))
}

pub fn kind(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    Ok(text(command.entry(&args[1]).map_or("none", |entry| entry.data.kind())))
}

pub fn rename(command: &mut Command<'_>) -> Result<Raw> {
    moved(command, true).map(|_| ok())
}

pub fn rename_absent(command: &mut Command<'_>) -> Result<Raw> {
    moved(command, false).map(flag)
}

/// Moves what stands under a key, with its expiry; answers whether it did.
fn moved(command: &mut Command<'_>, replace: bool) -> Result<bool> {
    let args = command.args;
    let (from, to) = (&args[1], &args[2]);
    let weight = command.entry(from).map(|entry| entry.data.weight()).ok_or_else(no_such_key)?;
    if from == to || (!replace && command.entry(to).is_some()) {
        return Ok(false);
    }
    // The other name may be longer.
    command.room_for(to, weight)?;
    let from = command.moment.keys.raw(from);
    let Some(entry) = command.store.remove(&from, command.moment.now) else {
        return Err(no_such_key());
    };
    command.keep(to, Entry { standing: Standing::Clean, ..entry })?;
    Ok(true)
}

pub fn copy(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let mut replace = false;
    let mut rest = args[3..].iter();
    while let Some(word) = rest.next() {
        if word.eq_ignore_ascii_case(b"REPLACE") {
            replace = true;
        } else if word.eq_ignore_ascii_case(b"DB") && rest.next().is_some() {
            return Err(unsupported("memory has one database"));
        } else {
            return Err(syntax());
        }
    }
    let (from, to) = (&args[1], &args[2]);
    if from == to {
        return Err(refused("source and destination objects are the same"));
    }
    let Some(entry) = command.entry(from).cloned() else { return Ok(flag(false)) };
    if !replace && command.entry(to).is_some() {
        return Ok(flag(false));
    }
    command.keep(to, Entry { standing: Standing::Clean, ..entry })?;
    Ok(flag(true))
}

/// When a new expiry takes effect.
#[derive(Default)]
struct Conditions {
    absent: bool,
    present: bool,
    later: bool,
    sooner: bool,
}

impl Conditions {
    fn read(words: &[Bytes]) -> Result<Self> {
        let mut conditions = Self::default();
        for word in words {
            match word.to_ascii_uppercase().as_slice() {
                b"NX" => conditions.absent = true,
                b"XX" => conditions.present = true,
                b"GT" => conditions.later = true,
                b"LT" => conditions.sooner = true,
                _ => {
                    let word = String::from_utf8_lossy(word);
                    return Err(refused(&format!("Unsupported option {word}")));
                }
            }
        }
        let Self { absent, present, later, sooner } = conditions;
        if absent && (present || later || sooner) {
            return Err(refused("NX and XX, GT or LT options at the same time are not compatible"));
        }
        if later && sooner {
            return Err(refused("GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// No expiry is later than any.
    fn allow(&self, now: Option<u64>, then: u64) -> bool {
        let Self { absent, present, later, sooner } = *self;
        !(absent && now.is_some()
            || present && now.is_none()
            || later && now.is_none_or(|now| then <= now)
            || sooner && now.is_some_and(|now| then >= now))
    }
}

pub fn expire(command: &mut Command<'_>, scale: Scale) -> Result<Raw> {
    let args = command.args;
    let conditions = Conditions::read(&args[3..])?;
    let until = command.boot_time(whole(&args[2])?, scale)?;
    let Some(before) = command.entry(&args[1]).map(|entry| entry.expires_at) else {
        return Ok(flag(false));
    };
    Ok(flag(conditions.allow(before, until) && command.expire(&args[1], Some(until))))
}

pub fn persist(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let expires = command.entry(&args[1]).is_some_and(|entry| entry.expires_at.is_some());
    Ok(flag(expires && command.expire(&args[1], None)))
}

/// What is left of a key's life, to the nearest of these units.
pub fn time_left(command: &mut Command<'_>, unit: u64) -> Result<Raw> {
    let args = command.args;
    let now = command.moment.now;
    Ok(Raw::Integer(match command.entry(&args[1]).map(|entry| entry.expires_at) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => {
            let left = at.saturating_sub(now).saturating_add(unit / 2) / unit;
            i64::try_from(left).unwrap_or(i64::MAX)
        }
    }))
}

impl Command<'_> {
    /// Gives a key another expiry, or none; answers whether there is such a key.
    pub(super) fn expire(&mut self, key: &[u8], until: Option<u64>) -> bool {
        self.store.expire(&self.moment.keys.raw(key), until, self.moment.now)
    }
}

#[cfg(test)]
mod tests {
    use crate::backend::memory::commands::bench::Bench;

    #[test]
    fn a_new_expiry_takes_effect_where_its_conditions_hold() {
        let mut bench = Bench::new();
        bench.all(&["RPUSH l a"]);
        for (line, changed) in [
            ("EXPIRE l 100 XX", "0"),
            ("EXPIRE l 100 GT", "0"),
            ("EXPIRE l 100 LT", "1"),
            ("EXPIRE l 50 NX", "0"),
            ("EXPIRE l 50 GT", "0"),
            ("EXPIRE l 200 XX GT", "1"),
            ("PEXPIRE l 300000 LT", "0"),
            ("EXPIRE none 10", "0"),
        ] {
            assert_eq!(bench.ask(line), changed, "{line}");
        }
        assert_eq!(bench.ask("TTL l"), "200");
        assert_eq!(bench.ask("PERSIST l"), "1");
        assert_eq!(bench.ask("PERSIST l"), "0");
        assert_eq!(bench.ask("LRANGE l 0 -1"), "[a]");
        let both = "ERR NX and XX, GT or LT options at the same time are not compatible";
        assert_eq!(bench.ask("EXPIRE l 1 NX LT"), both);
        assert_eq!(bench.ask("EXPIRE l 1 ZZ"), "ERR Unsupported option ZZ");
    }

    #[test]
    fn what_expires_is_gone_and_what_changes_in_place_keeps_its_expiry() {
        let mut bench = Bench::new();
        bench.all(&["RPUSH l a", "EXPIRE l 10", "HSET h f v", "PEXPIRE h 10000"]);
        bench.all(&["SET n 1 EX 10"]);
        bench.wait(9);
        bench.all(&["RPUSH l b", "HSET h g w", "INCR n", "APPEND n 0"]);
        assert_eq!(bench.ask("GET n"), "20");
        bench.wait(1);
        assert_eq!(bench.ask("EXISTS l h n"), "0");
        assert_eq!(bench.ask("RPUSH l c"), "1");
        assert_eq!(bench.ask("TTL l"), "-1");
    }

    #[test]
    fn a_time_that_has_passed_removes_the_key() {
        let mut bench = Bench::new();
        bench.all(&["SET a 1", "SET b 1"]);
        assert_eq!(bench.ask("EXPIRE a 0"), "1");
        assert_eq!(bench.ask("PEXPIRE b -5"), "1");
        assert_eq!(bench.ask("EXISTS a b"), "0");
    }

    #[test]
    fn a_name_moves_with_its_expiry_and_a_copy_has_one_of_its_own() {
        let mut bench = Bench::new();
        bench.all(&["SADD u a", "EXPIRE u 100", "SET s v"]);
        assert_eq!(bench.ask("RENAMENX u s"), "0");
        assert_eq!(bench.ask("RENAME u s"), "OK");
        assert_eq!(bench.ask("TTL s"), "100");
        assert_eq!(bench.ask("COPY s t"), "1");
        bench.all(&["PERSIST t", "SADD t b"]);
        assert_eq!(bench.ask("SMEMBERS s"), "[a]");
        assert_eq!(bench.ask("COPY s t"), "0");
        assert_eq!(bench.ask("COPY s t REPLACE"), "1");
        assert_eq!(bench.ask("TTL t"), "100");
        assert_eq!(bench.ask("RENAME none x"), "ERR no such key");
        assert_eq!(bench.ask("COPY s t DB 1"), "memory has one database");
    }
}

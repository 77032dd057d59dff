//! The raw commands that memory can run: strings and counters. Any other is refused by name.
//! Meaning and error texts follow the Redis command reference; differences stand in docs/parity.md.
use bytes::Bytes;

use super::Moment;
use super::store::{Entry, Standing, Store};
use crate::backend::Raw;
use crate::base::error::{Error, ErrorKind, Result};

pub fn run(store: &mut Store, args: &[Bytes], moment: &Moment<'_>) -> Result<Raw> {
    let name = args.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    let mut command = Command { store, moment, args };
    match name.as_slice() {
        b"PING" => Ok(command.bytes(1).map_or_else(|| text("PONG"), Raw::Bytes)),
        b"ECHO" => command.need(2).map(|()| Raw::Bytes(args[1].clone())),
        b"GET" => command.need(2).map(|()| command.get(&args[1])),
        b"MGET" => Ok(Raw::Array(args[1..].iter().map(|key| command.get(key)).collect())),
        b"STRLEN" => command.need(2).map(|()| match command.get(&args[1]) {
            Raw::Bytes(value) => integer(value.len()),
            _ => Raw::Integer(0),
        }),
        b"SET" => command.set(),
        b"SETEX" => command.set_for(1_000_000),
        b"PSETEX" => command.set_for(1_000),
        b"SETNX" => {
            command.need(3)?;
            let absent = command.get(&args[1]) == Raw::Nil;
            if absent {
                command.put(&args[1], args[2].clone(), None)?;
            }
            Ok(Raw::Integer(i64::from(absent)))
        }
        b"MSET" => {
            if args.len() < 3 || args.len().is_multiple_of(2) {
                return Err(arity(&name));
            }
            for pair in args[1..].chunks_exact(2) {
                command.put(&pair[0], pair[1].clone(), None)?;
            }
            Ok(text("OK"))
        }
        b"GETDEL" => {
            command.need(2)?;
            let value = command.get(&args[1]);
            command.remove(&args[1]);
            Ok(value)
        }
        b"DEL" | b"UNLINK" => {
            Ok(integer(args[1..].iter().filter(|key| command.remove(key)).count()))
        }
        b"EXISTS" => {
            Ok(integer(args[1..].iter().filter(|key| command.get(key) != Raw::Nil).count()))
        }
        b"TYPE" => command
            .need(2)
            .map(|()| text(if command.get(&args[1]) == Raw::Nil { "none" } else { "string" })),
        b"INCR" => command.add(Some(1)),
        b"DECR" => command.add(Some(-1)),
        b"INCRBY" => command.add(None),
        b"DECRBY" => {
            command.need(3)?;
            let by = number(&args[2])?.checked_neg().ok_or_else(not_a_number)?;
            command.add(Some(by))
        }
        b"EXPIRE" => command.expire(1_000_000),
        b"PEXPIRE" => command.expire(1_000),
        b"PERSIST" => command.persist(),
        b"TTL" => command.ttl(1_000_000),
        b"PTTL" => command.ttl(1_000),
        b"DBSIZE" => Ok(integer(command.store.len())),
        _ => Err(Error::new(
            ErrorKind::Unsupported,
            format!("memory does not know the command {}", String::from_utf8_lossy(&name)),
        )),
    }
}

struct Command<'a> {
    store: &'a mut Store,
    moment: &'a Moment<'a>,
    args: &'a [Bytes],
}

impl Command<'_> {
    fn need(&self, count: usize) -> Result<()> {
        if self.args.len() == count { Ok(()) } else { Err(arity(&self.args[0])) }
    }

    fn bytes(&self, at: usize) -> Option<Bytes> {
        self.args.get(at).cloned()
    }

    fn entry(&mut self, key: &[u8]) -> Option<Entry> {
        self.store.get(&self.moment.keys.raw(key), self.moment.now).cloned()
    }

    fn get(&mut self, key: &[u8]) -> Raw {
        self.entry(key).map_or(Raw::Nil, |entry| Raw::Bytes(entry.payload))
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        let key = self.moment.keys.raw(key);
        self.store.drop_lease(&key);
        self.store.remove(&key, self.moment.now).is_some()
    }

    fn put(&mut self, key: &[u8], payload: Bytes, expires_at: Option<u64>) -> Result<()> {
        let key = self.moment.keys.raw(key);
        self.store.drop_lease(&key);
        let stamp = self.moment.stamps.next();
        let entry = Entry { payload, format: 0, stamp, expires_at, standing: Standing::Clean };
        self.store
            .set(&key, entry, self.moment.now)
            .map(|_| ())
            .map_err(|_| Error::new(ErrorKind::Full, "the value is larger than memory's limit"))
    }

    fn set(&mut self) -> Result<Raw> {
        if self.args.len() < 3 {
            return Err(arity(b"SET"));
        }
        let (key, value) = (self.args[1].clone(), self.args[2].clone());
        let old = self.entry(&key);
        let (mut expires_at, mut only, mut answer_old) = (None, None, false);
        let mut at = 3;
        while at < self.args.len() {
            let word = self.args[at].to_ascii_uppercase();
            match word.as_slice() {
                b"NX" | b"XX" => only = Some(word.as_slice() == b"XX"),
                b"GET" => answer_old = true,
                b"KEEPTTL" => expires_at = old.as_ref().and_then(|entry| entry.expires_at),
                b"EX" | b"PX" => {
                    at += 1;
                    let unit = if word.as_slice() == b"EX" { 1_000_000 } else { 1_000 };
                    expires_at = Some(self.deadline(at, unit)?);
                }
                _ => return Err(syntax()),
            }
            at += 1;
        }
        let before = old.as_ref().map_or(Raw::Nil, |entry| Raw::Bytes(entry.payload.clone()));
        let done = only.is_none_or(|present| present == old.is_some());
        if done {
            self.put(&key, value, expires_at)?;
        }
        Ok(match (answer_old, done) {
            (true, _) => before,
            (false, true) => text("OK"),
            (false, false) => Raw::Nil,
        })
    }

    fn set_for(&mut self, unit: u64) -> Result<Raw> {
        self.need(4)?;
        let until = self.deadline(2, unit)?;
        self.put(&self.args[1].clone(), self.args[3].clone(), Some(until))?;
        Ok(text("OK"))
    }

    fn deadline(&self, at: usize, unit: u64) -> Result<u64> {
        let time = number(self.args.get(at).ok_or_else(syntax)?)?;
        match u64::try_from(time) {
            Ok(time) if time > 0 => Ok(self.moment.now.saturating_add(time.saturating_mul(unit))),
            _ => Err(Error::new(ErrorKind::Data, "Redis answers: ERR invalid expire time")),
        }
    }

    fn add(&mut self, by: Option<i64>) -> Result<Raw> {
        let by = match by {
            Some(by) => by,
            None => {
                self.need(3)?;
                number(&self.args[2])?
            }
        };
        if self.args.len() < 2 {
            return Err(arity(&self.args[0]));
        }
        let key = self.args[1].clone();
        let old = self.entry(&key);
        let base = old.as_ref().map_or(Ok(0), |entry| number(&entry.payload))?;
        let sum = base.checked_add(by).ok_or_else(not_a_number)?;
        self.put(&key, sum.to_string().into(), old.and_then(|entry| entry.expires_at))?;
        Ok(Raw::Integer(sum))
    }

    fn expire(&mut self, unit: u64) -> Result<Raw> {
        self.need(3)?;
        let time = number(&self.args[2])?;
        let key = self.args[1].clone();
        let Some(entry) = self.entry(&key) else { return Ok(Raw::Integer(0)) };
        match u64::try_from(time) {
            Ok(time) if time > 0 => {
                let until = self.moment.now.saturating_add(time.saturating_mul(unit));
                self.put(&key, entry.payload, Some(until))?;
            }
            // A time in the past removes the key, as on the server.
            _ => {
                self.remove(&key);
            }
        }
        Ok(Raw::Integer(1))
    }

    fn persist(&mut self) -> Result<Raw> {
        self.need(2)?;
        let key = self.args[1].clone();
        match self.entry(&key) {
            Some(entry) if entry.expires_at.is_some() => {
                self.put(&key, entry.payload, None)?;
                Ok(Raw::Integer(1))
            }
            _ => Ok(Raw::Integer(0)),
        }
    }

    fn ttl(&mut self, unit: u64) -> Result<Raw> {
        self.need(2)?;
        let now = self.moment.now;
        Ok(match self.entry(&self.args[1].clone()).map(|entry| entry.expires_at) {
            None => Raw::Integer(-2),
            Some(None) => Raw::Integer(-1),
            Some(Some(at)) => {
                // Redis rounds to the nearest unit.
                let left = (at.saturating_sub(now) + unit / 2) / unit;
                Raw::Integer(i64::try_from(left).unwrap_or(i64::MAX))
            }
        })
    }
}

fn text(text: &'static str) -> Raw {
    Raw::Bytes(Bytes::from_static(text.as_bytes()))
}

fn integer(count: usize) -> Raw {
    Raw::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

fn number(bytes: &[u8]) -> Result<i64> {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(not_a_number)
}

fn not_a_number() -> Error {
    Error::new(ErrorKind::Data, "Redis answers: ERR value is not an integer or out of range")
}

fn syntax() -> Error {
    Error::new(ErrorKind::Data, "Redis answers: ERR syntax error")
}

fn arity(name: &[u8]) -> Error {
    let name = String::from_utf8_lossy(name).to_lowercase();
    Error::new(
        ErrorKind::Data,
        format!("Redis answers: ERR wrong number of arguments for '{name}' command"),
    )
}

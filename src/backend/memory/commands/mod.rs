//! The raw commands that memory can run: strings, counters, hashes, lists, sets, expiry, patterns. Any
//! other is refused by name.
//!
//! Meaning and error texts follow Redis 7.0. `tests/differential.rs` holds them against a server, and
//! docs/parity.md names the differences.
pub mod answers;
#[cfg(test)]
mod bench;
mod float;
mod hashes;
mod keyspace;
mod lists;
mod number;
mod scan;
mod sets;
mod strings;
mod times;

use bytes::Bytes;

pub use self::answers::wrong_type;
use self::answers::{full, refused, unsupported};
use super::Moment;
use super::data::{Data, End, Typed};
use super::entry::{Entry, OVERHEAD, Standing};
use super::store::{Evicted, Store};
use crate::backend::Raw;
use crate::backend::policy::Meta;
use crate::base::error::{Error, Result};
use crate::base::stamp::Stamp;

type Run = fn(&mut Command<'_>) -> Result<Raw>;

/// Each command with the number of its words, its name included; a negative number is the least.
/// Sorted by name.
const COMMANDS: &[(&str, i8, Run)] = &[
    ("APPEND", 3, strings::append),
    ("COPY", -3, keyspace::copy),
    ("DBSIZE", 1, keyspace::size),
    ("DECR", 2, |command| strings::count(command, -1)),
    ("DECRBY", 3, strings::decrease_by),
    ("DEL", -2, keyspace::delete),
    ("ECHO", 2, keyspace::echo),
    ("EXISTS", -2, keyspace::exists),
    ("EXPIRE", -3, |command| keyspace::expire(command, times::EX)),
    ("EXPIREAT", -3, |command| keyspace::expire(command, times::EXAT)),
    ("GET", 2, strings::get),
    ("GETDEL", 2, strings::get_and_delete),
    ("GETEX", -2, strings::get_and_expire),
    ("GETRANGE", 4, strings::range),
    ("GETSET", 3, strings::get_and_set),
    ("HDEL", -3, hashes::delete),
    ("HEXISTS", 3, hashes::exists),
    ("HGET", 3, hashes::get),
    ("HGETALL", 2, hashes::all),
    ("HINCRBY", 4, hashes::increase_by),
    ("HINCRBYFLOAT", 4, hashes::increase_by_float),
    ("HKEYS", 2, hashes::fields),
    ("HLEN", 2, hashes::length),
    ("HMGET", -3, hashes::get_many),
    ("HMSET", -4, hashes::set_many),
    ("HSCAN", -3, scan::hash),
    ("HSET", -4, hashes::set),
    ("HSETNX", 4, hashes::set_absent),
    ("HSTRLEN", 3, hashes::value_length),
    ("HVALS", 2, hashes::values),
    ("INCR", 2, |command| strings::count(command, 1)),
    ("INCRBY", 3, strings::increase_by),
    ("INCRBYFLOAT", 3, strings::increase_by_float),
    ("KEYS", 2, scan::matching),
    ("LINDEX", 3, lists::get),
    ("LINSERT", 5, lists::insert),
    ("LLEN", 2, lists::length),
    ("LMOVE", 5, lists::move_piece),
    ("LPOP", -2, |command| lists::pop(command, End::Left)),
    ("LPUSH", -3, |command| lists::push(command, End::Left)),
    ("LPUSHX", -3, |command| lists::push_present(command, End::Left)),
    ("LRANGE", 4, lists::range),
    ("LREM", 4, lists::remove),
    ("LSET", 4, lists::set),
    ("LTRIM", 4, lists::trim),
    ("MGET", -2, strings::get_many),
    ("MSET", -3, strings::set_many),
    ("MSETNX", -3, strings::set_many_absent),
    ("PERSIST", 2, keyspace::persist),
    ("PEXPIRE", -3, |command| keyspace::expire(command, times::PX)),
    ("PEXPIREAT", -3, |command| keyspace::expire(command, times::PXAT)),
    ("PING", -1, keyspace::ping),
    ("PSETEX", 4, |command| strings::set_for(command, times::PX)),
    ("PTTL", 2, |command| keyspace::time_left(command, 1_000)),
    ("RENAME", 3, keyspace::rename),
    ("RENAMENX", 3, keyspace::rename_absent),
    ("RPOP", -2, |command| lists::pop(command, End::Right)),
    ("RPOPLPUSH", 3, lists::pop_and_push),
    ("RPUSH", -3, |command| lists::push(command, End::Right)),
    ("RPUSHX", -3, |command| lists::push_present(command, End::Right)),
    ("SADD", -3, sets::add),
    ("SCAN", -2, scan::keys),
    ("SCARD", 2, sets::length),
    ("SDIFF", -2, |command| sets::combine(command, sets::How::Difference)),
    ("SDIFFSTORE", -3, |command| sets::store(command, sets::How::Difference)),
    ("SET", -3, strings::set),
    ("SETEX", 4, |command| strings::set_for(command, times::EX)),
    ("SETNX", 3, strings::set_absent),
    ("SETRANGE", 4, strings::set_range),
    ("SINTER", -2, |command| sets::combine(command, sets::How::Intersection)),
    ("SINTERSTORE", -3, |command| sets::store(command, sets::How::Intersection)),
    ("SISMEMBER", 3, sets::contains),
    ("SMEMBERS", 2, sets::members),
    ("SMISMEMBER", -3, sets::contains_many),
    ("SMOVE", 4, sets::move_member),
    ("SPOP", -2, sets::pop),
    ("SRANDMEMBER", -2, sets::some),
    ("SREM", -3, sets::remove),
    ("SSCAN", -3, scan::set),
    ("STRLEN", 2, strings::length),
    ("SUNION", -2, |command| sets::combine(command, sets::How::Union)),
    ("SUNIONSTORE", -3, |command| sets::store(command, sets::How::Union)),
    ("TOUCH", -2, keyspace::touch),
    ("TTL", 2, |command| keyspace::time_left(command, 1_000_000)),
    ("TYPE", 2, keyspace::kind),
    ("UNLINK", -2, keyspace::delete),
];

/// Runs one command. The keys of journalled values that were evicted to make room are added to
/// `evicted`.
pub fn run(
    store: &mut Store,
    args: &[Bytes],
    moment: &Moment<'_>,
    evicted: &mut Vec<Box<[u8]>>,
) -> Result<Raw> {
    let word = args.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    let place = COMMANDS.binary_search_by(|(name, ..)| name.as_bytes().cmp(word.as_slice()));
    let Some(&(name, words, run)) = place.ok().and_then(|at| COMMANDS.get(at)) else {
        let word = String::from_utf8_lossy(&word);
        return Err(unsupported(format!("memory does not know the command {word}")));
    };
    let mut command = Command { store, moment, args, evicted, name };
    let least = usize::from(words.unsigned_abs());
    if args.len() < least || (words > 0 && args.len() > least) {
        return Err(command.arity());
    }
    run(&mut command)
}

/// A command under way. There are as many words as its line in the table asks for.
pub struct Command<'a> {
    store: &'a mut Store,
    moment: &'a Moment<'a>,
    args: &'a [Bytes],
    evicted: &'a mut Vec<Box<[u8]>>,
    name: &'static str,
}

impl Command<'_> {
    /// The refusal of a wrong number of words.
    fn arity(&self) -> Error {
        let name = self.name.to_ascii_lowercase();
        refused(&format!("wrong number of arguments for '{name}' command"))
    }

    /// The live entry of a key, which counts as used.
    fn entry(&mut self, key: &[u8]) -> Option<&Entry> {
        self.store.get(&self.moment.keys.raw(key), self.moment.now)
    }

    /// What stands under a key, if it is of this type; `None` when nothing does. Counts as used.
    fn read<D: Typed>(&mut self, key: &[u8]) -> Result<Option<&D>> {
        match self.entry(key) {
            None => Ok(None),
            Some(entry) => D::of(&entry.data).map(Some).ok_or_else(wrong_type),
        }
    }

    /// As `read`, for several keys at once. Another type is nothing, and nothing counts as used.
    fn peek<D: Typed>(&self, key: &[u8]) -> Option<&D> {
        let entry = self.store.peek(&self.moment.keys.raw(key), self.moment.now)?;
        D::of(&entry.data)
    }

    /// Keeps this in place of whatever stands under a key.
    fn put(&mut self, key: &[u8], data: Data, expires_at: Option<u64>) -> Result<()> {
        let stamp = Stamp { process: 0, ..self.moment.stamps.next() };
        let meta = Meta { stamp, expires_at, ..Meta::default() };
        self.keep(key, Entry::new(data, &meta, Standing::Clean))
    }

    fn keep(&mut self, key: &[u8], entry: Entry) -> Result<()> {
        let key = self.moment.keys.raw(key);
        let evicted = self.store.set(&key, entry, self.moment.now).map_err(|_| full())?;
        self.note(evicted);
        Ok(())
    }

    /// Changes what stands under a key, whose expiry stays; `None` when nothing does. `grows` is by how
    /// many bytes it may grow, at most; with more the entry can be lost.
    fn change<D: Typed, T>(
        &mut self,
        key: &[u8],
        grows: usize,
        change: impl FnOnce(&mut D) -> T,
    ) -> Result<Option<T>> {
        let key = self.moment.keys.raw(key);
        let typed = |data: &mut Data| D::of_mut(data).map(change);
        match self.store.update(&key, grows, self.moment.now, typed) {
            Err(_) => Err(full()),
            Ok(None) => Ok(None),
            Ok(Some((None, _))) => Err(wrong_type()),
            Ok(Some((answer, evicted))) => {
                self.note(evicted);
                Ok(answer)
            }
        }
    }

    /// As `change`, on something new when nothing stands there. An empty collection is not kept.
    fn change_or_create<D: Typed, T>(
        &mut self,
        key: &[u8],
        grows: usize,
        change: impl FnOnce(&mut D) -> T,
    ) -> Result<T> {
        if self.read::<D>(key)?.is_some() {
            return self
                .change::<D, T>(key, grows, change)?
                .ok_or_else(|| Error::internal("an entry went between two looks at it"));
        }
        let mut fresh = D::default();
        let answer = change(&mut fresh);
        let data = fresh.into_data();
        if !data.is_spent() {
            self.put(key, data, None)?;
        }
        Ok(answer)
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        self.store.remove(&self.moment.keys.raw(key), self.moment.now).is_some()
    }

    /// Refuses what would not fit even alone, for commands that must not stop half-way.
    fn room_for(&self, key: &[u8], weight: usize) -> Result<()> {
        let key = self.moment.keys.raw(key).len();
        let needed = key.saturating_add(weight).saturating_add(OVERHEAD);
        if needed > self.store.limit() { Err(full()) } else { Ok(()) }
    }

    fn note(&mut self, evicted: Evicted) {
        self.evicted.extend(evicted.journalled);
    }
}

/// The bytes of some words together.
fn lengths(words: &[Bytes]) -> usize {
    words.iter().map(Bytes::len).sum()
}

#[cfg(test)]
mod tests {
    use super::bench::Bench;
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_a_look_up_finds_everything() {
        assert!(COMMANDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_wrong_number_of_words_is_refused_for_every_command() {
        let mut bench = Bench::new();
        for (name, words, _) in COMMANDS {
            let least = usize::from(words.unsigned_abs());
            let mut wrong = vec![least - 1];
            wrong.extend((*words > 0).then_some(least + 1));
            for count in wrong.into_iter().filter(|count| *count > 0) {
                let line = format!("{name}{}", " 1".repeat(count - 1));
                let expected = format!(
                    "ERR wrong number of arguments for '{}' command",
                    name.to_ascii_lowercase()
                );
                assert_eq!(bench.ask(&line), expected, "{line}");
            }
        }
    }

    #[test]
    fn a_key_of_another_type_is_refused_and_stays_as_it_is() {
        let mut bench = Bench::new();
        bench.all(&["SET s v", "HSET h f v", "RPUSH l a", "SADD u a"]);
        for line in [
            "GET h",
            "APPEND l x",
            "INCR u",
            "INCRBYFLOAT h 1",
            "HGET s f",
            "HSET l f v",
            "HSCAN u 0",
            "LPUSH s x",
            "LRANGE h 0 -1",
            "LMOVE l s LEFT LEFT",
            "SADD h x",
            "SUNION u l",
            "SMOVE u s a",
        ] {
            assert!(bench.ask(line).starts_with("WRONGTYPE "), "{line}");
        }
        assert_eq!(bench.ask("GET s"), "v");
        assert_eq!(bench.ask("HGETALL h"), "{f:v}");
        assert_eq!(bench.ask("LRANGE l 0 -1"), "[a]");
        assert_eq!(bench.ask("SMEMBERS u"), "[a]");
    }

    #[test]
    fn a_collection_that_became_empty_is_gone() {
        let mut bench = Bench::new();
        bench.all(&["HSET h f v", "HDEL h f", "RPUSH l a", "LPOP l", "SADD u a", "SREM u a"]);
        assert_eq!(bench.ask("EXISTS h l u"), "0");
        assert_eq!(bench.ask("DBSIZE"), "0");
    }

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing() {
        let mut bench = Bench::limited(2 * OVERHEAD);
        let long = "x".repeat(2 * OVERHEAD);
        bench.all(&["RPUSH l a"]);
        for line in [
            format!("RPUSH l {long}"),
            format!("SET l {long}"),
            format!("HSET h f {long}"),
            format!("MSET a 1 b {long}"),
            "SETRANGE s 100000 x".to_owned(),
        ] {
            assert_eq!(bench.ask(&line), "the value is larger than memory's limit", "{line}");
        }
        assert_eq!(bench.ask("LRANGE l 0 -1"), "[a]");
        assert_eq!(bench.ask("EXISTS h a b s"), "0");
    }

    #[test]
    fn an_unknown_command_is_named() {
        assert_eq!(Bench::new().ask("zadd z 1 a"), "memory does not know the command ZADD");
    }
}

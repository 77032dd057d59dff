//! Walking over keys, fields and members, by pattern.
use bytes::Bytes;

use super::Command;
use super::answers::{copies, copy, refused, syntax, text};
use super::number::whole;
use crate::backend::Raw;
use crate::backend::memory::data::{Hash, Set};
use crate::backend::memory::entry::Entry;
use crate::base::error::Result;
use crate::base::glob::matches;

/// Each page reads every key of the store, so a walk has no more pages than this, however small they
/// were asked for.
const MOST_PAGES: usize = 64;

/// What a walk was told besides its cursor.
struct Walk<'a> {
    pattern: &'a [u8],
    kind: Option<&'a Bytes>,
    count: usize,
}

impl<'a> Walk<'a> {
    fn read(words: &'a [Bytes], with_type: bool) -> Result<Self> {
        let mut walk = Self { pattern: b"*", kind: None, count: 10 };
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let value = rest.next().ok_or_else(syntax)?;
            match word.to_ascii_uppercase().as_slice() {
                b"MATCH" => walk.pattern = value,
                b"TYPE" if with_type => walk.kind = Some(value),
                b"COUNT" => {
                    let count = usize::try_from(whole(value)?).map_err(|_| syntax())?;
                    walk.count = Some(count).filter(|count| *count > 0).ok_or_else(syntax)?;
                }
                _ => return Err(syntax()),
            }
        }
        Ok(walk)
    }
}

fn cursor(word: &[u8]) -> Result<u64> {
    std::str::from_utf8(word)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| refused("invalid cursor"))
}

/// `SCAN`. Whole keys, with the prefix, in the order of their places, which never change: so a key that
/// stays is met exactly once, whatever comes and goes meanwhile.
pub fn keys(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let from = cursor(&args[1])?;
    let walk = Walk::read(&args[2..], true)?;
    let page = walk.count.max(command.store.len().div_ceil(MOST_PAGES));
    let mut found: Vec<(u64, &[u8], &Entry)> = command
        .store
        .live(command.moment.now)
        .map(|(key, entry)| (place(key), key, entry))
        .filter(|(at, ..)| *at > from)
        .collect();
    let rest = found.len();
    if rest > page {
        found.select_nth_unstable_by_key(page - 1, |(at, ..)| *at);
        // Keys of one place stand on one page.
        let last = found[page - 1].0;
        found.retain(|(at, ..)| *at <= last);
    }
    let next = if found.len() < rest { found.iter().map(|(at, ..)| *at).max() } else { None };
    found.sort_unstable_by_key(|(at, ..)| *at);
    let wanted = found.into_iter().filter(|(_, key, entry)| {
        let of_kind =
            walk.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(entry.data.kind().as_bytes()));
        of_kind && matches(walk.pattern, key)
    });
    let names = copies(wanted.map(|(_, key, _)| key));
    Ok(Raw::Array(vec![Raw::Bytes(next.unwrap_or(0).to_string().into()), names]))
}

/// A key's place in a walk. Never 0, where walks begin and end, and small enough for a JS number, which
/// is what some callers make of a cursor.
fn place(key: &[u8]) -> u64 {
    // FNV-1a: keys that share a place cost a longer page and nothing else.
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 12) + 1
}

/// `KEYS`. It reads what is in this process, so it blocks no server.
pub fn matching(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let live = command.store.live(command.moment.now).map(|(key, _)| key);
    Ok(copies(live.filter(|key| matches(&args[1], key))))
}

/// All fields on one page.
pub fn hash(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    cursor(&args[2])?;
    let Some(hash) = command.read::<Hash>(&args[1])? else { return Ok(whole_page(Vec::new())) };
    let walk = Walk::read(&args[3..], false)?;
    let fields = hash.iter().filter(|(field, _)| matches(walk.pattern, field));
    Ok(whole_page(fields.flat_map(|(field, value)| [copy(field), copy(value)]).collect()))
}

/// All members on one page.
pub fn set(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    cursor(&args[2])?;
    let Some(set) = command.read::<Set>(&args[1])? else { return Ok(whole_page(Vec::new())) };
    let walk = Walk::read(&args[3..], false)?;
    let members = set.iter().filter(|member| matches(walk.pattern, member));
    Ok(whole_page(members.map(copy).collect()))
}

fn whole_page(items: Vec<Raw>) -> Raw {
    Raw::Array(vec![text("0"), Raw::Array(items)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::memory::commands::bench::Bench;

    /// All keys that a walk meets; `between` runs after each page.
    fn walk(bench: &mut Bench, words: &str, between: impl Fn(&mut Bench)) -> Vec<String> {
        let (mut cursor, mut met) = ("0".to_owned(), Vec::new());
        loop {
            let page = bench.ask(&format!("SCAN {cursor}{words}"));
            let (next, keys) = page[1..page.len() - 1].split_once(' ').unwrap();
            met.extend(keys[1..keys.len() - 1].split_whitespace().map(str::to_owned));
            if next == "0" {
                met.sort();
                return met;
            }
            cursor = next.to_owned();
            between(bench);
        }
    }

    #[test]
    fn a_walk_meets_every_key_that_stays_exactly_once() {
        let mut bench = Bench::new();
        for key in 0..300 {
            bench.all(&[&format!("SET k{key} v")]);
        }
        let met = walk(&mut bench, " COUNT 7", |bench| {
            let gone = bench.ask("DBSIZE");
            bench.all(&[&format!("SET new{gone} v"), "DEL k299 k298"]);
        });
        for key in 0..298 {
            assert_eq!(met.iter().filter(|met| **met == format!("p:k{key}")).count(), 1, "{key}");
        }
    }

    #[test]
    fn a_walk_meets_what_was_asked_for() {
        let mut bench = Bench::new();
        bench.all(&["SET s1 v", "SET s2 v", "RPUSH l1 a", "SADD u1 a", "HSET h1 f v"]);
        for (words, expected) in [
            (" MATCH p:s?", "p:s1 p:s2"),
            (" MATCH s?", ""),
            (" MATCH *1 TYPE string", "p:s1"),
            (" TYPE LIST COUNT 1", "p:l1"),
            (" TYPE stream", ""),
        ] {
            assert_eq!(walk(&mut bench, words, |_| ()).join(" "), expected, "{words}");
        }
        assert_eq!(bench.ask("KEYS p:[lu]*").len(), "[p:l1 p:u1]".len());
        assert_eq!(bench.ask("KEYS [lu]*"), "[]");
    }

    #[test]
    fn a_walk_over_many_keys_has_few_pages() {
        let mut bench = Bench::limited(10 << 20);
        for key in 0..2_000 {
            bench.all(&[&format!("SET k{key} v")]);
        }
        let pages = std::cell::Cell::new(0);
        assert_eq!(walk(&mut bench, " COUNT 1", |_| pages.set(pages.get() + 1)).len(), 2_000);
        assert!(pages.get() <= MOST_PAGES);
    }

    #[test]
    fn fields_and_members_come_on_one_page() {
        let mut bench = Bench::new();
        bench.all(&["HSET h a 1 b 2 ab 3", "SADD u a b ab"]);
        for (line, answer) in [
            ("HSCAN h 0", "[0 [a 1 ab 3 b 2]]"),
            ("HSCAN h 0 MATCH a* COUNT 1", "[0 [a 1 ab 3]]"),
            ("HSCAN none 0 WHAT", "[0 []]"),
            ("HSCAN h 0 TYPE string", "ERR syntax error"),
            ("SSCAN u 7 MATCH *b", "[0 [ab b]]"),
            ("SSCAN u x", "ERR invalid cursor"),
            ("SSCAN u 0 COUNT 0", "ERR syntax error"),
            ("SSCAN u 0 COUNT x", "ERR value is not an integer or out of range"),
            ("SCAN 0 MATCH", "ERR syntax error"),
        ] {
            assert_eq!(bench.ask(line), answer, "{line}");
        }
    }
}

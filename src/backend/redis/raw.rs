//! Raw commands: which may go over the shared connection, and where the key prefix belongs.
use std::time::Duration;

use bytes::Bytes;

use super::key_table::{COMMANDS, KeySpec};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::keys::Keys;

/// A command that is ready to be sent.
#[derive(Debug)]
pub struct Prepared {
    pub args: Vec<Bytes>,
    /// The first key, by which its connection is chosen.
    pub key: Option<Bytes>,
    /// It may hold its connection for long, so it gets one of its own.
    pub blocking: Option<Wait>,
}

/// How long a command asks to wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wait {
    For(Duration),
    Ever,
}

/// Checks a command and puts the prefix before its keys.
pub fn prepare(args: &[Bytes], keys: &Keys) -> Result<Prepared> {
    let name = args.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    let Ok(name) = String::from_utf8(name) else { return Err(unknown("(not text)")) };
    if let Some(reason) = refusal(&name, args) {
        return Err(Error::new(ErrorKind::Unsupported, format!("{name} is refused: {reason}")));
    }
    let Ok(at) = COMMANDS.binary_search_by(|(known, _)| (*known).cmp(name.as_str())) else {
        return Err(unknown(&name));
    };
    let positions = positions(COMMANDS[at].1, args)?;
    let key = positions.first().map(|&at| keys.raw(&args[at]));
    let mut args = args.to_vec();
    for at in positions {
        args[at] = keys.raw(&args[at]);
    }
    let waits = waits_for(&name, &args);
    Ok(Prepared { blocking: waits.map(wait), args, key })
}

fn unknown(name: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "the command {name} is not in the key table, so its keys could not be given the prefix"
        ),
    )
}

/// Commands that would change or occupy the shared connection, or reach beyond the key prefix.
fn refusal(name: &str, args: &[Bytes]) -> Option<&'static str> {
    let sub = args.get(1).map(|arg| arg.to_ascii_uppercase()).unwrap_or_default();
    match name {
        "MULTI" | "EXEC" | "DISCARD" | "WATCH" | "UNWATCH" | "SELECT" | "AUTH" | "HELLO"
        | "QUIT" | "RESET" | "ASKING" | "READONLY" | "READWRITE" => {
            Some("it would change the state of a connection that all callers share")
        }
        "SUBSCRIBE" | "PSUBSCRIBE" | "SSUBSCRIBE" | "UNSUBSCRIBE" | "PUNSUBSCRIBE"
        | "SUNSUBSCRIBE" | "MONITOR" | "SYNC" | "PSYNC" => {
            Some("it would turn the shared connection into a stream")
        }
        "KEYS" => Some("it blocks the server; use SCAN"),
        "FLUSHALL" | "FLUSHDB" | "SWAPDB" => Some("it reaches beyond the key prefix"),
        "SHUTDOWN" | "DEBUG" | "FAILOVER" | "MIGRATE" => Some("it is an administrator's command"),
        "CLIENT" if matches!(sub.as_slice(), b"REPLY" | b"TRACKING" | b"CACHING" | b"NO-EVICT") => {
            Some("it would change the state of a connection that all callers share")
        }
        _ => None,
    }
}

/// The argument in which a blocking command says how long, and how many seconds its unit has.
fn waits_for<'a>(name: &str, args: &'a [Bytes]) -> Option<(Option<&'a Bytes>, f64)> {
    match name {
        "BLMOVE" | "BLPOP" | "BRPOP" | "BRPOPLPUSH" | "BZPOPMAX" | "BZPOPMIN" => {
            Some((args.last(), 1.0))
        }
        "BLMPOP" | "BZMPOP" => Some((args.get(1), 1.0)),
        "WAIT" => Some((args.get(2), 0.001)),
        "XREAD" | "XREADGROUP" => Some((args.get(find(args, b"BLOCK")? + 1), 0.001)),
        _ => None,
    }
}

/// What can't be read is refused by the server, at once.
fn wait((arg, unit): (Option<&Bytes>, f64)) -> Wait {
    let text = arg.and_then(|arg| std::str::from_utf8(arg).ok());
    match text.and_then(|text| text.parse::<f64>().ok()) {
        Some(0.0) => Wait::Ever,
        Some(time) => Wait::For(Duration::try_from_secs_f64(time * unit).unwrap_or_default()),
        None => Wait::For(Duration::ZERO),
    }
}

fn positions(spec: KeySpec, args: &[Bytes]) -> Result<Vec<usize>> {
    let count = args.len();
    Ok(match spec {
        KeySpec::None => Vec::new(),
        KeySpec::Range(first, last, step) => {
            let first = usize::try_from(first).unwrap_or(0);
            let last = match usize::try_from(last) {
                Ok(last) => last.min(count.saturating_sub(1)),
                Err(_) => count.saturating_sub(usize::from(last.unsigned_abs())),
            };
            let step = usize::try_from(step).unwrap_or(1).max(1);
            (first..=last).step_by(step).filter(|&at| at > 0 && at < count).collect()
        }
        KeySpec::Counted(at) => counted(at, args)?,
        KeySpec::StoreCounted(at) => {
            let mut found = counted(at, args)?;
            found.insert(0, 1);
            found
        }
        KeySpec::Streams => {
            let Some(at) = find(args, b"STREAMS") else { return Ok(Vec::new()) };
            let half = (count - at - 1) / 2;
            (at + 1..at + 1 + half).collect()
        }
        KeySpec::Usage => match args.get(1) {
            Some(sub) if sub.eq_ignore_ascii_case(b"USAGE") && count > 2 => vec![2],
            _ => Vec::new(),
        },
        KeySpec::Sort => named(args, &[b"STORE"]),
        KeySpec::GeoStore => named(args, &[b"STORE", b"STOREDIST"]),
    })
}

fn counted(at: usize, args: &[Bytes]) -> Result<Vec<usize>> {
    let number = args
        .get(at)
        .and_then(|arg| std::str::from_utf8(arg).ok())
        .and_then(|text| text.parse::<usize>().ok())
        .filter(|&number| number < args.len() - at);
    match number {
        Some(number) => Ok((at + 1..=at + number).collect()),
        None => Err(Error::invalid(
            format!("args[{at}]"),
            "this argument counts the keys that follow it, and there are not that many",
        )),
    }
}

fn named(args: &[Bytes], words: &[&[u8]]) -> Vec<usize> {
    let first = (args.len() > 1).then_some(1);
    let is_word = |arg: &Bytes| words.iter().any(|word| arg.eq_ignore_ascii_case(word));
    let after = (3..args.len()).filter(|&at| is_word(&args[at - 1]));
    first.into_iter().chain(after).collect()
}

fn find(args: &[Bytes], word: &[u8]) -> Option<usize> {
    args.iter().position(|arg| arg.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixed(command: &str) -> String {
        let args: Vec<Bytes> =
            command.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        let prepared = prepare(&args, &Keys::new("p:")).unwrap();
        let words: Vec<_> =
            prepared.args.iter().map(|arg| std::str::from_utf8(arg).unwrap()).collect();
        words.join(" ")
    }

    #[test]
    fn the_prefix_reaches_every_key_and_nothing_else() {
        assert_eq!(prefixed("get a"), "get p:a");
        assert_eq!(prefixed("MSET a 1 b 2"), "MSET p:a 1 p:b 2");
        assert_eq!(prefixed("DEL a b c"), "DEL p:a p:b p:c");
        assert_eq!(prefixed("BLPOP a b 0"), "BLPOP p:a p:b 0");
        assert_eq!(prefixed("EVAL s 2 a b c"), "EVAL s 2 p:a p:b c");
        assert_eq!(
            prefixed("ZUNIONSTORE d 2 a b WEIGHTS 1 2"),
            "ZUNIONSTORE p:d 2 p:a p:b WEIGHTS 1 2"
        );
        assert_eq!(prefixed("XREAD COUNT 2 STREAMS a b 0 0"), "XREAD COUNT 2 STREAMS p:a p:b 0 0");
        assert_eq!(prefixed("SORT a LIMIT 0 1 STORE b"), "SORT p:a LIMIT 0 1 STORE p:b");
        assert_eq!(prefixed("XGROUP CREATE a g 0"), "XGROUP CREATE p:a g 0");
        assert_eq!(prefixed("OBJECT ENCODING a"), "OBJECT ENCODING p:a");
        assert_eq!(prefixed("MEMORY USAGE a"), "MEMORY USAGE p:a");
        assert_eq!(prefixed("MEMORY STATS"), "MEMORY STATS");
        assert_eq!(prefixed("PING"), "PING");
    }

    #[test]
    fn a_blocking_command_says_how_long_it_waits() {
        for (command, wait) in [
            ("GET a", None),
            ("BLPOP a b 0", Some(Wait::Ever)),
            ("BLPOP a 0.5", Some(Wait::For(Duration::from_millis(500)))),
            ("BLMPOP 2 1 a LEFT", Some(Wait::For(Duration::from_secs(2)))),
            ("XREAD BLOCK 20 STREAMS a 0", Some(Wait::For(Duration::from_millis(20)))),
            ("XREAD STREAMS a 0", None),
            ("BLPOP a soon", Some(Wait::For(Duration::ZERO))),
        ] {
            let args: Vec<Bytes> =
                command.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
            assert_eq!(prepare(&args, &Keys::new("p:")).unwrap().blocking, wait, "{command}");
        }
    }

    #[test]
    fn the_table_is_sorted_so_that_a_look_up_finds_everything() {
        assert!(COMMANDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn commands_that_would_break_the_shared_connection_are_refused_with_a_reason() {
        for command in
            ["SUBSCRIBE a", "MULTI", "SELECT 1", "FLUSHALL", "KEYS *", "CLIENT REPLY OFF"]
        {
            let args: Vec<Bytes> =
                command.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
            let error = prepare(&args, &Keys::new("p:")).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unsupported, "{command}");
        }
    }

    #[test]
    fn a_false_key_count_is_an_error_and_no_panic() {
        for count in ["9", "x", "18446744073709551615", "-1"] {
            let args = [
                Bytes::from("EVAL"),
                Bytes::from("s"),
                Bytes::from(count.to_owned()),
                Bytes::from("a"),
            ];
            assert!(prepare(&args, &Keys::new("p:")).is_err(), "{count}");
        }
    }
}

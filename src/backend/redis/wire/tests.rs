use crate::backend::rate::{Act, Algorithm, Limiter, Mode, Policy, Verb};
use std::sync::Arc;

use proptest::prelude::*;
use redis::Arg;

use super::super::script;
use super::*;
use crate::backend::Lease;
use crate::backend::Scope;
use crate::backend::change::Change;
use crate::backend::message::{Bounds, Kept, Message};
use crate::backend::session::{self, Deed, Delta, Outage};
use crate::base::clock::ManualClock;
use crate::base::slot::slot;

fn wire(prefix: &str) -> Wire {
    let json = serde_json::json!({ "options": { "keyPrefix": prefix }, "env": {} }).to_string();
    let clock = Arc::new(ManualClock::at(1));
    Wire {
        keys: Keys::new(prefix),
        stamps: Arc::new(Stamps::new(clock, 1)),
        config: Arc::new(crate::config::from_json(&json).unwrap()),
        gates: Arc::default(),
        announces: AtomicBool::new(false),
    }
}

/// The same instance with live writes that compare.
fn fenced(wire: &Wire) -> Wire {
    let config = Config { fenced_writes: true, ..(*wire.config).clone() };
    let (keys, stamps) = (wire.keys.clone(), wire.stamps.clone());
    let announces = AtomicBool::new(false);
    Wire { config: Arc::new(config), keys, stamps, gates: Arc::default(), announces }
}

fn parts(cmd: &Cmd) -> Vec<Vec<u8>> {
    cmd.args_iter()
        .map(|arg| match arg {
            Arg::Simple(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        })
        .collect()
}

fn value() -> Value {
    Value { payload: Bytes::from_static(b"v"), ..Value::default() }
}

/// Every script call that an instance can make for a key and a tag, in the order of the scripts.
fn script_calls(wire: &Wire, key: &Bytes, tag: &str) -> Vec<Cmd> {
    let stamp = Stamp { micros: 1, process: 1 };
    let lease = Lease { token: 1, start: stamp };
    let (key, marker) = (key.clone(), wire.keys.marker(tag.as_bytes()));
    let ask = Ask { token: 1, tags: Tags::new([tag]).unwrap(), ..Ask::default() };
    let fill = Operation::Fill { key: key.clone(), lease, value: value(), ttl_ms: Some(1) };
    let hold = Operation::Hold { key: key.clone(), token: 1, lease_ms: 1 };
    let expire = Operation::Expire { key: key.clone(), stamp };
    let invalidate = Operation::Invalidate { key: marker, removal: Removal::Delete, stamp };
    let set = Operation::Set { key: key.clone(), value: value(), ttl_ms: None, stamp };
    let delete = Operation::Delete { key: key.clone(), stamp };
    let (args, number) = (Vec::new(), wire.stamps.numbers.next());
    let add = Operation::Change { key: key.clone(), args, change: Change::Add(1), stamp, number };

    let mut lease = Pipeline::new();
    assert_eq!(wire.encode_lease(&key, &ask, Some(stamp), &mut lease), 2);
    let lease: Vec<Cmd> = lease.cmd_iter().cloned().collect();
    let [mark, lease] = <[Cmd; 2]>::try_from(lease).unwrap();
    let mut pipeline = Pipeline::new();
    pipeline.add_command(lease);
    wire.encode(&fill, Sending::Live, &mut pipeline);
    wire.encode(&hold, Sending::Live, &mut pipeline);
    wire.encode(&expire, Sending::Live, &mut pipeline);
    pipeline.add_command(mark);
    wire.encode(&invalidate, Sending::Live, &mut pipeline);
    fenced(wire).encode(&set, Sending::Live, &mut pipeline);
    wire.encode(&set, Sending::Again, &mut pipeline);
    wire.encode(&delete, Sending::Again, &mut pipeline);
    wire.encode(&add, Sending::Live, &mut pipeline);
    pipeline.add_command(wire.note_clear(&Scope::Prefix(key.clone()), stamp));
    rates(wire, tag, &mut pipeline);
    sessions(wire, tag, &mut pipeline);
    messages(wire, &key, &mut pipeline);
    pipeline.cmd_iter().cloned().collect()
}

/// A message that is kept, and a look at a room.
fn messages(wire: &Wire, key: &Bytes, out: &mut Pipeline) {
    let kept = Some(Kept { ms: 1, most: 1 });
    let message = Message { rest: Bytes::new(), kept, sharded: false };
    let bounds = Bounds { of_one: 1, of_all: 1 };
    let (user, status) = (Bytes::new(), Bytes::new());
    for operation in [
        Operation::Publish { key: key.clone(), channel: key.clone(), message, bounds },
        Operation::Presence { key: key.clone(), user, status, ms: 1 },
    ] {
        wire.encode(&operation, Sending::Live, out);
    }
}

/// A user's session with all beside it, in whatever family.
fn sessions(wire: &Wire, family: &str, out: &mut Pipeline) {
    let tail = format!("u{}.{}", "a".repeat(22), "b".repeat(43));
    let key = wire.keys.session(family, &tail);
    let all = wire.keys.session_user(family, &tail[..23], ":epoch");
    let stamp = Stamp { micros: 1, process: 1 };
    let write = Deed::Write { delta: Delta::default(), version: None, most: 0 };
    let to = Bytes::from(format!("{}.{}", &tail[..23], "c".repeat(43)));
    let end_all = Deed::EndAll { stamp, keep: Some(tail.into()), absolute_ms: 1 };
    let (end, moves) =
        (Deed::End { stamp, absolute_ms: 600_000 }, Deed::Move { stamp, to, grace_ms: 1 });
    for (key, deed) in [(&key, write), (&key, end), (&all, end_all), (&key, moves)] {
        let ask =
            session::Ask { deed, outage: Outage::Local, logins: true, known_ms: 1, brief: false };
        wire.encode_session(key, &ask, out);
    }
}

/// The call for keys of a limiter that share a shard.
fn rates(wire: &Wire, limiter: &str, out: &mut Pipeline) {
    let policy = Policy {
        name: "p".into(),
        id: *b"test",
        algorithm: Algorithm::FixedWindow,
        limit: 1.0,
        window: 1.0,
        step: 0.0,
        mode: Mode::Local,
    };
    let limiter = Limiter::new(limiter.to_owned(), vec![policy], true);
    let keys: Vec<Bytes> = (0..100)
        .map(|at| wire.keys.limit("rate_limit", &limiter.name, &format!("{{k}}{at}"), 128))
        .collect();
    let act = Act { verb: Verb::Peek, at: 0, number: 0 };
    let mut group = Group::new(&limiter, 1);
    let together = keys.iter().filter(|key| slot(key) == slot(&keys[0]));
    together.for_each(|key| group.add(key, &[(&act, false, false)], 0));
    out.add_command(group.command());
}

proptest! {
    #[test]
    fn the_keys_of_every_script_hash_to_one_slot(
        prefix in prop_oneof![Just("ai-chatbot:"), Just(""), Just("{app}:"), Just("x{tag}y:")],
        family in ".{0,10}",
        name in ".{0,30}",
        tag in ".{0,30}",
    ) {
        let wire = wire(prefix);
        let key = wire.keys.entry(&family, &name);
        let calls = script_calls(&wire, &key, &tag);
        prop_assert_eq!(calls.len(), script::ALL.len());
        for (script, cmd) in script::ALL.iter().zip(calls) {
            let words = parts(&cmd);
            prop_assert_eq!(&words[0], b"EVALSHA");
            prop_assert_eq!(&words[1], script.sha().as_bytes(), "the calls cover the scripts in order");
            let count: usize = std::str::from_utf8(&words[2]).unwrap().parse().unwrap();
            prop_assert!(count >= 1);
            prop_assert!(script.name != "rate.lua" || count > 1);
            prop_assert!(!script.name.starts_with("session") || count > 1);
            for part in &words[3..3 + count] {
                prop_assert_eq!(slot(part), slot(&words[3]), "{}", script.name);
            }
        }
    }
}

#[test]
fn a_live_write_is_a_plain_command_and_a_repeated_one_compares() {
    let wire = wire("p:");
    let key = wire.keys.entry("cache", "a");
    let stamp = wire.stamps.next();

    let set = Operation::Set { key: key.clone(), value: value(), ttl_ms: Some(5), stamp };
    let delete = Operation::Delete { key, stamp };
    let name = |operation: &Operation, repeated| {
        let mut pipeline = Pipeline::new();
        let replies = wire.encode(
            operation,
            if repeated { Sending::Again } else { Sending::Live },
            &mut pipeline,
        );
        let names: Vec<_> = pipeline
            .cmd_iter()
            .map(|cmd| String::from_utf8(parts(cmd)[0].clone()).unwrap())
            .collect();
        assert_eq!(names.len(), replies);
        names.join(" ")
    };
    let mut pipeline = Pipeline::new();
    fenced(&wire).encode(&set, Sending::Live, &mut pipeline);
    fenced(&wire).encode(&delete, Sending::Live, &mut pipeline);
    assert!(pipeline.cmd_iter().all(|cmd| parts(cmd)[0] == b"EVALSHA"));
    assert_eq!(name(&set, false), "SET");
    assert_eq!(name(&delete, false), "SET UNLINK", "the tombstone goes first");
    assert_eq!(name(&set, true), "EVALSHA");
    assert_eq!(name(&delete, true), "EVALSHA");
}

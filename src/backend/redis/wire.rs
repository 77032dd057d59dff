//! Operations as Redis commands, and Redis' answers as replies.
use std::collections::BTreeSet;

use bytes::Bytes;
use redis::{Cmd, Pipeline, Value as Resp};

use super::failure;
use super::gates::Gates;
use super::script::{CHANGE, FILL, LEASE, LIVE_SET, NOTE_CLEAR, REPLAY_DELETE, REPLAY_SET};
use crate::backend::change::{Change, Entry, KNOWN_MS};
use crate::backend::intent::{Intent, Outcome, Wish};
use crate::backend::{Answer, Lease, Operation, Raw, Reply, Value};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::keys::Keys;
use crate::base::plant::Plant;
use crate::base::stamp::{Stamp, Stamps};
use crate::codec::envelope::{self, Decoded, Payload};
use crate::config::{Config, SyncMode};

/// What encoding and decoding need to know of the instance.
pub struct Wire {
    pub keys: Keys,
    pub stamps: std::sync::Arc<Stamps>,
    pub config: std::sync::Arc<Config>,
    pub gates: std::sync::Arc<Gates>,
}

/// A value that was read, with what the keeper of copies needs.
pub struct Read {
    pub payload: Payload,
    pub format: u8,
    pub stamp: Stamp,
    pub expires: Option<u64>,
}

impl Wire {
    /// Adds an operation's commands to a pipeline; answers how many replies it will have.
    /// A call that was sent before goes as a comparing script, since it is no longer live.
    pub fn encode(&self, operation: &Operation, repeated: bool, out: &mut Pipeline) -> usize {
        match operation {
            Operation::Get { key } | Operation::Load { key, .. } => {
                out.add_command(command(&[b"GET", key]));
                1
            }
            Operation::Exists { key } => {
                out.add_command(command(&[b"EXISTS", key]));
                1
            }
            Operation::Set { key, value, ttl_ms, stamp } => {
                if repeated {
                    out.add_command(self.replay_set(key, value, *ttl_ms, *stamp, b"newest", true));
                } else if self.config.fenced_writes {
                    out.add_command(self.live_set(key, value, *ttl_ms, *stamp));
                } else {
                    out.add_command(self.set(key, value, *ttl_ms, *stamp));
                }
                1
            }
            Operation::Delete { key, stamp } => {
                if repeated || self.config.fenced_writes {
                    out.add_command(self.replay_delete(key, *stamp));
                    return 1;
                }
                if self.config.planted == Some(Plant::NoTombstone) {
                    out.add_command(command(&[b"UNLINK", key]));
                    return 1;
                }
                let ttl = self.config.tombstone_ttl.as_millis().to_string();
                let tomb = envelope::tombstone(self.stamps.settle(*stamp));
                out.add_command(command(&[
                    b"SET",
                    &self.keys.side(key),
                    &tomb,
                    b"PX",
                    ttl.as_bytes(),
                ]));
                out.add_command(command(&[b"UNLINK", key]));
                2
            }
            Operation::Fill { key, lease, value, ttl_ms } => {
                let envelope = self.envelope(value, *ttl_ms, lease.start);
                out.add_command(FILL.call(
                    &[key, &self.keys.side(key)],
                    &[
                        &lease.token.to_be_bytes(),
                        lease.start.micros.to_string().as_bytes(),
                        &envelope,
                        ttl_ms.unwrap_or(0).to_string().as_bytes(),
                    ],
                ));
                1
            }
            Operation::Change { key, change, stamp, number, .. } => {
                let (change, number) = (change.clone(), number.clone());
                let entry = Entry { number, stamp: *stamp, sent: repeated, change };
                out.add_command(self.changes(key, &[entry], b"live", true));
                1
            }
            Operation::Command { args } => {
                out.add_command(words(args));
                1
            }
            Operation::Pipeline { commands } => {
                for args in commands {
                    out.add_command(words(args));
                }
                commands.len()
            }
            // Scans several times; it is no pipeline. See `clear.rs`.
            Operation::Clear { .. } => 0,
        }
    }

    /// The second step of a load that found nothing.
    pub fn encode_lease(&self, key: &Bytes, token: u64, out: &mut Pipeline) -> usize {
        let ms = LEASE_MS.to_string();
        out.add_command(
            LEASE.call(&[key, &self.keys.side(key)], &[&token.to_be_bytes(), ms.as_bytes()]),
        );
        1
    }

    /// `certain` says that nothing that this intent depends on may be forgotten.
    pub fn encode_intent(&self, intent: &Intent, now: u64, certain: bool, out: &mut Pipeline) {
        let remaining = match &intent.wish {
            Wish::Change(changes) => {
                let entries = changes.entries();
                out.add_command(self.changes(&intent.key, entries, b"replay", certain));
                return;
            }
            Wish::Delete => None,
            Wish::Set { expires_at, .. } => {
                Some(expires_at.map(|at| at.saturating_sub(now) / 1000))
            }
        };
        let planted = self.config.planted;
        if planted == Some(Plant::ExpiredIsForgotten) && remaining == Some(Some(0)) {
            out.add_command(command(&[b"EXISTS", b""]));
            return;
        }
        let (remaining, mode) = match planted {
            Some(Plant::FullLifetime) => (remaining.map(|ms| ms.map(|_| 3_600_000)), self.mode()),
            Some(Plant::NoComparison) => (remaining, b"overwrite".as_slice()),
            _ => (remaining, self.mode()),
        };
        out.add_command(match (&intent.wish, remaining) {
            (Wish::Set { value, .. }, Some(None | Some(1..))) => self.replay_set(
                &intent.key,
                value,
                remaining.flatten(),
                intent.stamp,
                mode,
                certain,
            ),
            // A value that expired while Redis was away leaves only "delete older than".
            _ => self.replay_delete(&intent.key, intent.stamp),
        });
    }

    /// Changes of one key, in order, in one step.
    fn changes(&self, key: &Bytes, entries: &[Entry], mode: &[u8], certain: bool) -> Cmd {
        let record = self.keys.record(key).unwrap_or_else(|| self.keys.side(key));
        let own = self.stamps.process();
        // Our own first: the floor is about them.
        let others = entries.iter().map(|entry| entry.stamp.process).filter(|&other| other != own);
        let processes: Vec<u64> =
            std::iter::once(own).chain(others.collect::<BTreeSet<_>>()).collect();
        let ids: Vec<Bytes> =
            processes.iter().map(|&process| Keys::ids(&record, process)).collect();
        let mut keys: Vec<&[u8]> = vec![key, &record];
        keys.extend(ids.iter().map(Bytes::as_ref));
        let flag = |yes: bool| if yes { "1" } else { "0" };
        let (life, floor) = (KNOWN_MS.to_string(), self.stamps.numbers.floor().to_string());
        let mut cmd = CHANGE
            .call(&keys, &[mode, flag(certain).as_bytes(), life.as_bytes(), floor.as_bytes()]);
        for entry in entries {
            let place = |stamp: Stamp| {
                let stamp = self.stamps.settle(stamp);
                (stamp.micros, stamp.process)
            };
            let (process, number) = entry.id();
            let ids = processes.iter().position(|&other| other == process).unwrap_or(0);
            cmd.arg(3 + ids).arg(number).arg(flag(entry.sent));
            match &entry.change {
                Change::Add(by) => {
                    cmd.arg("add").arg(1).arg(*by);
                }
                Change::Fields(fields) => {
                    cmd.arg("fields").arg(5 * fields.len());
                    for (field, (value, stamp)) in fields {
                        let (micros, process) = place(*stamp);
                        let (kept, value) = (flag(value.is_some()), value.as_deref());
                        cmd.arg(field.as_ref()).arg(value.unwrap_or_default());
                        cmd.arg(kept).arg(micros).arg(process);
                    }
                }
                Change::Members(members) => {
                    cmd.arg("members").arg(4 * members.len());
                    for (member, (is, stamp)) in members {
                        let (micros, process) = place(*stamp);
                        cmd.arg(member.as_ref()).arg(flag(*is)).arg(micros).arg(process);
                    }
                }
                Change::Push { head, values } => {
                    cmd.arg(if *head { "head" } else { "tail" }).arg(values.len());
                    values.iter().for_each(|value| {
                        cmd.arg(value.as_ref());
                    });
                }
            }
        }
        cmd
    }

    /// Notes that a family is cleared, for as long as tombstones live.
    pub fn note_clear(&self, prefix: &[u8], stamp: Stamp) -> Cmd {
        let micros = self.stamps.settle(stamp).micros.to_string();
        let kept = self.config.tombstone_ttl.as_millis().to_string();
        NOTE_CLEAR.call(&[&self.keys.clears()], &[prefix, micros.as_bytes(), kept.as_bytes()])
    }

    /// Asks what was cleared lately.
    pub fn ask_clears(&self) -> Cmd {
        command(&[b"HGETALL", &self.keys.clears()])
    }

    pub fn replay_delete(&self, key: &Bytes, stamp: Stamp) -> Cmd {
        let stamp = self.stamps.settle(stamp);
        REPLAY_DELETE.call(
            &[key, &self.keys.side(key)],
            &[
                stamp.micros.to_string().as_bytes(),
                stamp.process.to_string().as_bytes(),
                &envelope::tombstone(stamp),
                self.config.tombstone_ttl.as_millis().to_string().as_bytes(),
            ],
        )
    }

    /// How journalled sets settle with what they find. A repeated live write always yields to what is
    /// newer, whatever was chosen for outages.
    fn mode(&self) -> &'static [u8] {
        match self.config.sync_mode {
            SyncMode::Overwrite => b"overwrite",
            SyncMode::IfAbsent => b"if-absent",
            SyncMode::Newest | SyncMode::Off => b"newest",
        }
    }

    fn replay_set(
        &self,
        key: &Bytes,
        value: &Value,
        ttl_ms: Option<u64>,
        stamp: Stamp,
        mode: &[u8],
        write_absent: bool,
    ) -> Cmd {
        let settled = self.stamps.settle(stamp);
        REPLAY_SET.call(
            &[key, &self.keys.side(key)],
            &[
                settled.micros.to_string().as_bytes(),
                settled.process.to_string().as_bytes(),
                &self.envelope(value, ttl_ms, stamp),
                ttl_ms.unwrap_or(0).to_string().as_bytes(),
                mode,
                if write_absent { b"1" } else { b"0" },
            ],
        )
    }

    /// A live write that yields to what is newer.
    fn live_set(&self, key: &Bytes, value: &Value, ttl_ms: Option<u64>, stamp: Stamp) -> Cmd {
        let settled = self.stamps.settle(stamp);
        LIVE_SET.call(
            &[key, &self.keys.side(key)],
            &[
                settled.micros.to_string().as_bytes(),
                settled.process.to_string().as_bytes(),
                &self.envelope(value, ttl_ms, stamp),
                ttl_ms.unwrap_or(0).to_string().as_bytes(),
            ],
        )
    }

    fn set(&self, key: &Bytes, value: &Value, ttl_ms: Option<u64>, stamp: Stamp) -> Cmd {
        let envelope = self.envelope(value, ttl_ms, stamp);
        match ttl_ms {
            None => command(&[b"SET", key, &envelope]),
            Some(ms) => command(&[b"SET", key, &envelope, b"PX", ms.to_string().as_bytes()]),
        }
    }

    fn envelope(&self, value: &Value, ttl_ms: Option<u64>, stamp: Stamp) -> Bytes {
        let expires =
            ttl_ms.map(|ms| self.stamps.server_micros().saturating_add(ms.saturating_mul(1000)));
        envelope::encode(
            &value.payload,
            value.format,
            self.stamps.settle(stamp),
            expires,
            value.compress,
        )
    }

    /// The newer stamp that a comparing live write met.
    pub fn fenced_off(
        &self,
        operation: &Operation,
        repeated: bool,
        replies: &[Resp],
    ) -> Option<u64> {
        if !self.config.fenced_writes || repeated {
            return None;
        }
        match (operation, replies) {
            (Operation::Set { .. }, [Resp::Int(newer @ 1..)]) => Some(newer.unsigned_abs()),
            (Operation::Delete { .. }, [Resp::Int(newer @ ..=-1)]) => Some(newer.unsigned_abs()),
            _ => None,
        }
    }

    /// A stored value as it is read. Notes its stamp, so that own later writes stand above it.
    pub fn read(&self, stored: Vec<u8>) -> Result<Read> {
        Ok(match envelope::decode(Bytes::from(stored))? {
            Decoded::Managed { payload, format, stamp, expires } => {
                self.stamps.observe(stamp);
                Read { payload, format, stamp, expires }
            }
            // A foreign value has no stamp: everything managed is newer.
            Decoded::Foreign(bytes) => Read {
                payload: Payload::Plain(bytes),
                format: 0,
                stamp: Stamp::default(),
                expires: None,
            },
        })
    }
}

/// How long a load may take before its fill is refused.
const LEASE_MS: u64 = 120_000;

/// The answer to a lease request.
pub enum LeaseAnswer {
    Value(Vec<u8>),
    Taken(Lease),
}

pub fn lease_answer(value: Resp, token: u64, process: u64) -> Result<LeaseAnswer> {
    let Resp::Array(items) = value else { return Err(unexpected()) };
    match <[Resp; 2]>::try_from(items) {
        Ok([Resp::Int(1), Resp::BulkString(stored)]) => Ok(LeaseAnswer::Value(stored)),
        Ok([Resp::Int(0), Resp::Int(start)]) => {
            let micros = u64::try_from(start).unwrap_or(0);
            Ok(LeaseAnswer::Taken(Lease { token, start: Stamp { micros, process } }))
        }
        _ => Err(unexpected()),
    }
}

/// The answer to an operation without a value to read.
pub fn simple_answer(operation: &Operation, repeated: bool, mut replies: Vec<Resp>) -> Answer {
    match operation {
        Operation::Pipeline { .. } => {
            return Ok(Reply::Raw(Raw::Array(replies.into_iter().map(raw).collect())));
        }
        Operation::Command { .. } => {
            return match replies.pop().map(raw) {
                Some(Raw::Error(error)) => Err(*error),
                Some(value) => Ok(Reply::Raw(value)),
                None => Err(unexpected()),
            };
        }
        _ => {}
    }
    let last = replies.pop().unwrap_or(Resp::Nil);
    if let (Operation::Change { .. }, Resp::BulkString(text)) = (operation, &last) {
        let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        return number.map(|number| Reply::Raw(Raw::Integer(number))).ok_or_else(unexpected);
    }
    if let Resp::ServerError(error) = &last {
        return Err(failure::from_server(error));
    }
    // A delete whose tombstone was refused: the value is gone, and others may not learn of it. A server
    // without room refuses every tombstone, and what it frees by the removal counts for more.
    if let Some(Resp::ServerError(error)) = replies.first() {
        let error = failure::from_server(error);
        if error.kind != ErrorKind::Full {
            return Err(failure::maybe_applied(error));
        }
    }
    Ok(match (operation, last) {
        (Operation::Set { .. }, Resp::Int(code)) if repeated => Reply::Flag(code >= 0),
        // A comparing live write says 0 when it was written.
        (Operation::Set { .. }, Resp::Okay | Resp::Int(0)) => Reply::Flag(true),
        (
            Operation::Delete { .. } | Operation::Exists { .. } | Operation::Fill { .. },
            Resp::Int(n),
        ) => Reply::Flag(n > 0),
        _ => return Err(unexpected()),
    })
}

pub fn outcome(value: &Resp) -> std::result::Result<Outcome, Error> {
    match value {
        Resp::Int(1) => Ok(Outcome::Applied),
        // A delete that met something newer says how new it is.
        Resp::Int(0 | ..=-3) => Ok(Outcome::Superseded),
        Resp::Int(_) => Ok(Outcome::Conflict),
        Resp::ServerError(error) => Err(failure::from_server(error)),
        _ => Err(unexpected()),
    }
}

/// The families that were cleared lately, each with the microseconds of its last clear.
pub fn clears(reply: Resp) -> Result<Vec<(Bytes, u64)>> {
    let pairs = match reply {
        Resp::Map(pairs) => pairs,
        Resp::ServerError(error) => return Err(failure::from_server(&error)),
        _ => return Err(unexpected()),
    };
    let read = |(prefix, noted): (Resp, Resp)| {
        let (Resp::BulkString(prefix), Resp::BulkString(noted)) = (prefix, noted) else {
            return None;
        };
        let (stamp, _) = std::str::from_utf8(&noted).ok()?.split_once(':')?;
        Some((Bytes::from(prefix), stamp.parse().ok()?))
    };
    Ok(pairs.into_iter().filter_map(read).collect())
}

/// A raw answer. Push data never arrives here.
pub fn raw(value: Resp) -> Raw {
    match value {
        Resp::Nil => Raw::Nil,
        Resp::Int(number) => Raw::Integer(number),
        Resp::BulkString(bytes) => Raw::Bytes(bytes.into()),
        Resp::SimpleString(text) => Raw::Bytes(text.into()),
        Resp::Okay => Raw::Bytes(Bytes::from_static(b"OK")),
        Resp::Double(number) => Raw::Double(number),
        Resp::Boolean(flag) => Raw::Boolean(flag),
        Resp::VerbatimString { text, .. } => Raw::Bytes(text.into()),
        Resp::BigNumber(digits) => Raw::Bytes(digits.into()),
        Resp::Array(items) | Resp::Set(items) | Resp::Push { data: items, .. } => {
            Raw::Array(items.into_iter().map(raw).collect())
        }
        Resp::Map(pairs) => {
            Raw::Map(pairs.into_iter().map(|(key, value)| (raw(key), raw(value))).collect())
        }
        Resp::Attribute { data, .. } => raw(*data),
        Resp::ServerError(error) => Raw::Error(Box::new(failure::from_server(&error))),
        _ => Raw::Nil,
    }
}

pub fn command(args: &[&[u8]]) -> Cmd {
    let mut cmd = Cmd::with_capacity(args.len(), args.iter().map(|arg| arg.len()).sum());
    for arg in args {
        cmd.arg(*arg);
    }
    cmd
}

pub fn words(args: &[Bytes]) -> Cmd {
    let mut cmd = Cmd::with_capacity(args.len(), args.iter().map(Bytes::len).sum());
    for arg in args {
        cmd.arg(arg.as_ref());
    }
    cmd
}

pub fn unexpected() -> Error {
    Error::new(ErrorKind::Data, "Redis sent an answer of an unexpected shape")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use redis::Arg;

    use super::*;
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
        }
    }

    /// The same instance with live writes that compare.
    fn fenced(wire: &Wire) -> Wire {
        let config = Config { fenced_writes: true, ..(*wire.config).clone() };
        let (keys, stamps) = (wire.keys.clone(), wire.stamps.clone());
        Wire { config: Arc::new(config), keys, stamps, gates: Arc::default() }
    }

    fn parts(cmd: &Cmd) -> Vec<Vec<u8>> {
        cmd.args_iter()
            .map(|arg| match arg {
                Arg::Simple(bytes) => bytes.to_vec(),
                _ => Vec::new(),
            })
            .collect()
    }

    /// Every script call that an instance can make for a key, by the script's name.
    fn script_calls(wire: &Wire, key: &Bytes) -> Vec<(&'static str, Cmd)> {
        let value = Value { payload: Bytes::from_static(b"v"), format: 0, compress: false };
        let stamp = Stamp { micros: 1, process: 1 };
        let lease = Lease { token: 1, start: stamp };
        let mut pipeline = Pipeline::new();
        wire.encode_lease(key, 1, &mut pipeline);
        let fill =
            Operation::Fill { key: key.clone(), lease, value: value.clone(), ttl_ms: Some(1) };
        wire.encode(&fill, false, &mut pipeline);
        let set = Operation::Set { key: key.clone(), value, ttl_ms: None, stamp };
        fenced(wire).encode(&set, false, &mut pipeline);
        wire.encode(&set, true, &mut pipeline);
        wire.encode(&Operation::Delete { key: key.clone(), stamp }, true, &mut pipeline);
        let (change, args) = (Change::Add(1), Vec::new());
        let number = wire.stamps.numbers.next();
        let add = Operation::Change { key: key.clone(), args, change, stamp, number };
        wire.encode(&add, false, &mut pipeline);
        pipeline.add_command(wire.note_clear(key, stamp));
        let names: Vec<_> = super::super::script::ALL.iter().map(|script| script.name).collect();
        names.into_iter().zip(pipeline.cmd_iter().cloned().collect::<Vec<_>>()).collect()
    }

    proptest! {
        #[test]
        fn the_keys_of_every_script_hash_to_one_slot(
            prefix in prop_oneof![Just("ai-chatbot:"), Just(""), Just("{app}:"), Just("x{tag}y:")],
            family in ".{0,10}",
            name in ".{0,30}",
        ) {
            let wire = wire(prefix);
            let key = wire.keys.entry(&family, &name);
            let calls = script_calls(&wire, &key);
            prop_assert_eq!(calls.len(), super::super::script::ALL.len());
            for (name, cmd) in calls {
                let words = parts(&cmd);
                prop_assert_eq!(&words[0], b"EVALSHA");
                let script = super::super::script::ALL.iter().find(|script| script.name == name).unwrap();
                prop_assert_eq!(&words[1], script.sha().as_bytes(), "the calls cover the scripts in order");
                let count: usize = std::str::from_utf8(&words[2]).unwrap().parse().unwrap();
                prop_assert!(count >= 1);
                for part in &words[3..3 + count] {
                    prop_assert_eq!(slot(part), slot(&words[3]), "{}", name);
                }
            }
        }
    }

    #[test]
    fn a_live_write_is_a_plain_command_and_a_repeated_one_compares() {
        let wire = wire("p:");
        let key = wire.keys.entry("cache", "a");
        let stamp = wire.stamps.next();
        let value = Value { payload: Bytes::from_static(b"v"), format: 0, compress: false };
        let set = Operation::Set { key: key.clone(), value, ttl_ms: Some(5), stamp };
        let delete = Operation::Delete { key, stamp };
        let name = |operation: &Operation, repeated| {
            let mut pipeline = Pipeline::new();
            let replies = wire.encode(operation, repeated, &mut pipeline);
            let names: Vec<_> = pipeline
                .cmd_iter()
                .map(|cmd| String::from_utf8(parts(cmd)[0].clone()).unwrap())
                .collect();
            assert_eq!(names.len(), replies);
            names.join(" ")
        };
        let mut pipeline = Pipeline::new();
        fenced(&wire).encode(&set, false, &mut pipeline);
        fenced(&wire).encode(&delete, false, &mut pipeline);
        assert!(pipeline.cmd_iter().all(|cmd| parts(cmd)[0] == b"EVALSHA"));
        assert_eq!(name(&set, false), "SET");
        assert_eq!(name(&delete, false), "SET UNLINK", "the tombstone goes first");
        assert_eq!(name(&set, true), "EVALSHA");
        assert_eq!(name(&delete, true), "EVALSHA");
    }
}

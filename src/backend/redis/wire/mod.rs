//! Operations as Redis commands; in `replays.rs` what is replayed, in `answers.rs` Redis' answers as replies.
mod answers;
mod messages;
mod rates;
mod replays;
mod sessions;

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use redis::{Cmd, Pipeline, Value as Resp};

pub use self::answers::*;
use self::messages::publish;
pub use self::rates::{Group, MOST_IN_GROUP, Said, decision, said};
use super::gates::Gates;
use super::script::{EXPIRE, FILL, HOLD, INVALIDATE, LEASE, LIVE_SET, MARK, PRESENCE};
use crate::backend::change::Entry;
use crate::backend::message::LATE;
use crate::backend::policy::CLOCK_ERROR;
use crate::backend::{Ask, Meta, Operation, Removal, Tags, Value, Verdict};
use crate::base::error::Result;
use crate::base::keys::Keys;
use crate::base::plant::Plant;
use crate::base::stamp::{Stamp, Stamps};
use crate::codec::envelope::{self, Decoded, Header, Payload};
use crate::config::Config;

/// What encoding and decoding need to know of the instance.
pub struct Wire {
    pub keys: Keys,
    pub stamps: std::sync::Arc<Stamps>,
    pub config: std::sync::Arc<Config>,
    pub gates: std::sync::Arc<Gates>,
    /// Whether processes tell each other what they change.
    pub announces: AtomicBool,
}

/// How an operation is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    Live,
    /// Live, while an invalidation of our own is on its way: what comes behind it must not be covered by it.
    Behind,
    /// It was sent before and is no longer live: it goes as a comparing script.
    Again,
}

/// A value that was read, with what the keeper of copies needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    pub payload: Payload,
    pub header: Header,
    pub tags: Tags,
}

impl Read {
    /// What is known of a value by its head.
    pub fn of_head(header: Header) -> Result<Self> {
        let tags = Tags::read(&header.tags).ok_or_else(unexpected)?;
        Ok(Self { payload: Payload::default(), header, tags })
    }
}

impl Wire {
    /// Adds an operation's commands to a pipeline; answers how many replies it will have.
    pub fn encode(&self, operation: &Operation, how: Sending, out: &mut Pipeline) -> usize {
        let repeated = how == Sending::Again;
        match operation {
            Operation::Get { key, .. } | Operation::Load { key, .. } => {
                out.add_command(command(&[b"GET", key]));
                1
            }
            // The head of a value tells whether it is fresh; of what has none, that it is there has to do.
            Operation::Exists { key } => {
                let last = (envelope::HEAD - 1).to_string();
                out.add_command(command(&[b"EXISTS", key]));
                out.add_command(command(&[b"GETRANGE", key, b"0", last.as_bytes()]));
                2
            }
            Operation::Set { key, value, ttl_ms, stamp } => {
                // It is written wherever it does not meet anything newer: it is on its way still.
                let marks = self.marks(&value.policy.tags, *stamp, *ttl_ms, repeated, out);
                if repeated {
                    out.add_command(self.replay_set(key, value, *ttl_ms, *stamp, b"newest", true));
                } else if self.config.fenced_writes || (how == Sending::Behind && marks > 0) {
                    out.add_command(self.live_set(key, value, *ttl_ms, *stamp, how));
                } else {
                    out.add_command(self.set(key, value, *ttl_ms, *stamp));
                }
                marks + 1
            }
            Operation::Expire { key, stamp } => {
                let live = !repeated && !self.config.fenced_writes;
                out.add_command(self.expire(key, *stamp, live));
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
            Operation::Hold { key, token, lease_ms } => {
                let ms = lease_ms.to_string();
                let side = self.keys.side(key);
                let taken = LEASE_MS.to_string();
                out.add_command(
                    HOLD.call(&[&side], &[&token.to_be_bytes(), ms.as_bytes(), taken.as_bytes()]),
                );
                1
            }
            Operation::Invalidate { key, removal, stamp } => {
                let mut stamp = *stamp;
                if repeated {
                    // So much later than it was taken, as any other.
                    stamp.micros = self.stamps.settle(stamp).micros + CLOCK_ERROR;
                    self.stamps.observe(stamp);
                }
                out.add_command(self.invalidate(key, *removal, stamp, !repeated));
                1
            }
            Operation::Fill { key, lease, value, ttl_ms } => {
                let marks = self.marks(&value.policy.tags, lease.start, *ttl_ms, false, out);
                if self.config.planted == Some(Plant::LeaseIsIgnored) {
                    out.add_command(self.set(key, value, *ttl_ms, lease.start));
                    return marks + 1;
                }
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
                marks + 1
            }
            Operation::Change { key, change, stamp, number, .. } => {
                let (change, number) = (change.clone(), number.clone());
                let entry = Entry { number, stamp: *stamp, sent: repeated, change };
                out.add_command(self.changes(key, &[entry], b"live", true));
                1
            }
            Operation::Rate { key, limiter, act } => {
                let mut group = Group::new(limiter, self.stamps.process());
                group.add(key, &[(act, false, repeated)], 0);
                out.add_command(group.command());
                1
            }
            Operation::Session { key, ask } => self.encode_session(key, ask, out),
            Operation::Publish { key, channel, message, .. } => {
                let mark = if repeated { LATE } else { b"" };
                out.add_command(publish(key, channel, message, mark));
                1
            }
            Operation::Stream { key, after, count } => {
                let count = count.to_string();
                out.add_command(match after {
                    Some(after) => {
                        let from = [b"(", after.as_ref()].concat();
                        command(&[b"XRANGE", key, &from, b"+", b"COUNT", count.as_bytes()])
                    }
                    None => command(&[b"XREVRANGE", key, b"+", b"-", b"COUNT", count.as_bytes()]),
                });
                1
            }
            Operation::Presence { key, user, status, ms } => {
                out.add_command(PRESENCE.call(&[key], &[user, status, ms.to_string().as_bytes()]));
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

    /// Adds the word to other processes of what this changes, where they need it. Answers whether it did.
    pub fn announce(&self, key: Option<&Bytes>, out: &mut Pipeline) -> bool {
        let Some(key) = key.filter(|_| self.announces.load(Ordering::Acquire)) else {
            return false;
        };
        out.add_command(self.announcement(Some(key)));
        true
    }

    /// The second step of a load that found nothing fresh: `seen` is the stamp of what it found.
    pub fn encode_lease(
        &self,
        key: &Bytes,
        ask: &Ask,
        seen: Option<Stamp>,
        out: &mut Pipeline,
    ) -> usize {
        let lasts = Some(ask.lasts_ms).filter(|&ms| ms > 0);
        let marks = self.marks(&ask.tags, Stamp::default(), lasts, false, out);
        let how: &[u8] = match (ask.force, ask.share) {
            (true, _) => b"force",
            (false, true) => b"share",
            (false, false) => b"wait",
        };
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&seen.unwrap_or_default().micros.to_be_bytes());
        bytes[8..].copy_from_slice(&seen.unwrap_or_default().process.to_be_bytes());
        out.add_command(LEASE.call(
            &[key, &self.keys.side(key)],
            &[
                &ask.token.to_be_bytes(),
                LEASE_MS.to_string().as_bytes(),
                ask.lease_ms.to_string().as_bytes(),
                if seen.is_some() { &bytes } else { b"" },
                how,
            ],
        ));
        marks + 1
    }

    /// Asks what markers say.
    pub fn encode_markers(&self, markers: &[(Bytes, u32)], out: &mut Pipeline) -> usize {
        for (marker, _) in markers {
            out.add_command(command(&[b"GET", marker]));
        }
        markers.len()
    }

    /// Makes sure of the markers of what is written; answers how many there are.
    fn marks(
        &self,
        tags: &Tags,
        stamp: Stamp,
        ttl_ms: Option<u64>,
        certain: bool,
        out: &mut Pipeline,
    ) -> usize {
        let mut count = 0;
        // Nothing is loaded yet: 0.
        let stamp = if stamp == Stamp::default() { stamp } else { self.stamps.settle(stamp) };
        for tag in tags.iter() {
            let marker = self.keys.marker(tag);
            out.add_command(MARK.call(
                &[&marker, &self.keys.shard_of(&marker)],
                &[
                    stamp.micros.to_string().as_bytes(),
                    ttl_ms.unwrap_or(0).to_string().as_bytes(),
                    if certain { b"1" } else { b"0" },
                ],
            ));
            count += 1;
        }
        count
    }

    fn invalidate(&self, marker: &Bytes, removal: Removal, stamp: Stamp, live: bool) -> Cmd {
        let how: &[u8] = match removal {
            Removal::Delete => b"delete",
            Removal::Expire => b"expire",
        };
        let keep = self.config.tombstone_ttl.as_millis().max(MARKER_MS);
        INVALIDATE.call(
            &[marker, &self.keys.shard_of(marker)],
            &[
                self.stamps.settle(stamp).micros.to_string().as_bytes(),
                how,
                keep.to_string().as_bytes(),
                CLOCK_ERROR.to_string().as_bytes(),
                if live { b"1" } else { b"0" },
            ],
        )
    }

    /// A live one makes stale whatever stands there, as a live delete removes it.
    fn expire(&self, key: &Bytes, stamp: Stamp, live: bool) -> Cmd {
        let stamp = self.stamps.settle(stamp);
        EXPIRE.call(
            &[key, &self.keys.side(key)],
            &[
                stamp.micros.to_string().as_bytes(),
                stamp.process.to_string().as_bytes(),
                &envelope::tombstone(stamp),
                self.config.tombstone_ttl.as_millis().to_string().as_bytes(),
                if live { b"1" } else { b"0" },
            ],
        )
    }

    /// Gives back whatever lease stands at a key.
    pub fn void_lease(&self, key: &Bytes) -> Cmd {
        HOLD.call(&[&self.keys.side(key)], &[b"", b"0", b"0"])
    }

    /// A live write that yields to what is newer.
    fn live_set(
        &self,
        key: &Bytes,
        value: &Value,
        ttl_ms: Option<u64>,
        stamp: Stamp,
        how: Sending,
    ) -> Cmd {
        let settled = self.stamps.settle(stamp);
        let ahead = (CLOCK_ERROR + 1).to_string();
        LIVE_SET.call(
            &[key, &self.keys.side(key)],
            &[
                settled.micros.to_string().as_bytes(),
                settled.process.to_string().as_bytes(),
                &self.envelope(value, ttl_ms, stamp),
                ttl_ms.unwrap_or(0).to_string().as_bytes(),
                if how == Sending::Behind { ahead.as_bytes() } else { b"" },
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
        let now = self.stamps.server_micros();
        let after = |ms: u64| now.saturating_add(ms.saturating_mul(1000));
        let header = Header {
            format: value.format,
            stamp: self.stamps.settle(stamp),
            expires: ttl_ms.map(after),
            // What is stale already is so by every clock.
            fresh_until: value.policy.fresh_ms.map(|ms| if ms == 0 { 1 } else { after(ms) }),
            load_ms: value.policy.load_ms,
            tags: Bytes::copy_from_slice(value.policy.tags.stored()),
        };
        envelope::encode(&value.payload, &header, value.compress)
    }

    /// What a live write met that is newer than it is: another value, where live writes compare, or an
    /// invalidation of one of its tags.
    pub fn fenced_off(
        &self,
        operation: &Operation,
        repeated: bool,
        replies: &[Resp],
    ) -> Option<u64> {
        if repeated {
            return None;
        }
        let newer = match (operation, replies) {
            (Operation::Set { .. }, [.., Resp::Int(newer @ 1..)]) => Some(newer.unsigned_abs()),
            // It was written above what the markers say.
            (Operation::Set { .. }, [.., Resp::Int(..=-1)]) => return None,
            _ if !self.config.fenced_writes => None,
            (Operation::Delete { .. } | Operation::Expire { .. }, [Resp::Int(newer @ ..=-1)]) => {
                Some(newer.unsigned_abs())
            }
            _ => None,
        };
        if newer.is_some() {
            return newer;
        }
        let Operation::Set { stamp, .. } = operation else { return None };
        let (_, marks) = replies.split_last()?;
        let newest = marks.iter().filter_map(|reply| marked(reply).ok());
        let newest = newest.map(|marker| marker.newest()).max()?;
        (newest >= self.stamps.settle(*stamp).micros).then_some(newest)
    }

    /// What a value is worth by its own account, whatever its tags say.
    pub fn freshness(&self, read: &Read) -> Verdict {
        let now = self.stamps.server_micros();
        match read.header.fresh_until {
            Some(at) if at <= now => Verdict::Stale,
            _ => Verdict::Fresh,
        }
    }

    /// What memory keeps of a value besides its payload.
    pub fn meta(&self, read: &Read) -> Meta {
        let Header { format, stamp, expires, fresh_until, load_ms, tags: _ } = &read.header;
        let to_boot = |at: u64| self.stamps.to_boot(at);
        Meta {
            format: *format,
            stamp: *stamp,
            expires_at: expires.map(to_boot),
            fresh_until: fresh_until.map(to_boot),
            load_ms: *load_ms,
            tags: read.tags.clone(),
        }
    }

    /// How long ago something was written.
    pub fn age_ms(&self, stamp: Stamp) -> u64 {
        match stamp.micros {
            0 => 0,
            micros => self.stamps.server_micros().saturating_sub(micros) / 1000,
        }
    }

    /// A stored value as it is read. Notes its stamp, so that own later writes stand above it.
    pub fn read(&self, stored: Vec<u8>) -> Result<Read> {
        Ok(match envelope::decode(Bytes::from(stored))? {
            Decoded::Managed { payload, header } => {
                self.stamps.observe(header.stamp);
                Read { payload, ..Read::of_head(header)? }
            }
            // A foreign value has no stamp: everything managed is newer.
            Decoded::Foreign(bytes) => Read {
                payload: Payload::Plain(bytes),
                header: Header::default(),
                tags: Tags::default(),
            },
        })
    }
}

/// How long a load may take before its fill is refused, from when its lease was given or kept last.
const LEASE_MS: u64 = 120_000;
/// For how long at least an invalidation is known: what waits somewhere and has the tag may come that much later.
const MARKER_MS: u128 = 86_400_000;

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

#[cfg(test)]
mod tests;

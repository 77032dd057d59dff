//! The records of a journal file.
//!
//! | bytes | content |
//! |---|---|
//! | 0..4 | length of the body, little endian |
//! | 4..8 | CRC-32 of the body |
//! | 8.. | body: one byte for the kind, then its fields, little endian; the last field takes what is left |
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};

use super::super::journal::Invalidation;
use super::{changes, messages, rates, sessions};
use crate::backend::change::Entry;
use crate::backend::intent::{EndAll, Intent, Wish};
use crate::backend::message::Held;
use crate::backend::rate::{Due, Limiter};
use crate::backend::redis::Identity;
use crate::backend::{Policy, Removal, Scope, Tags, Value};
use crate::base::stamp::Stamp;

/// A record as it is written.
pub enum Record<'a> {
    Begin(&'a Begin),
    Clocks(&'a Clocks),
    /// A set or what removes was taken. Changes become a record each.
    Intent(&'a Intent),
    /// A change of a raw key was taken.
    Change {
        key: &'a Bytes,
        entry: &'a Entry,
    },
    /// A key of a limiter was charged.
    Charge {
        key: &'a Bytes,
        limiter: &'a Limiter,
        due: &'a Due,
    },
    /// A message was published.
    Message {
        key: &'a Bytes,
        channel: &'a Bytes,
        held: &'a Held,
    },
    /// A message was told, or given up.
    Told {
        key: &'a Bytes,
        stamp: Stamp,
    },
    Invalidation {
        scope: &'a Scope,
        stamp: Stamp,
    },
    /// The changes of a key that were taken until here may reach the server.
    Sent {
        key: &'a [u8],
    },
    /// The replay of a change ended.
    Done {
        key: &'a Bytes,
        id: (u64, u64),
    },
    /// The replay of a key's intent ended; what is not newer is done.
    Settled {
        key: &'a [u8],
        stamp: Stamp,
    },
    Invalidated {
        scope: &'a Scope,
        stamp: Stamp,
    },
    /// Sets in the scope that are not newer are gone.
    Covered {
        scope: &'a Scope,
        stamp: Stamp,
    },
    /// Everything under the prefix was given up on request.
    Forgotten {
        prefix: &'a [u8],
    },
    /// All that an earlier generation held stands above.
    Complete,
}

/// A record as it is read.
#[derive(Debug, PartialEq)]
pub enum Read {
    Begin(Begin),
    Clocks(Clocks),
    Intent(Intent),
    Change { key: Bytes, entry: Entry },
    Charge { key: Bytes, limiter: Arc<Limiter>, due: Due },
    Message { key: Bytes, channel: Bytes, held: Held },
    Told { key: Bytes, stamp: Stamp },
    Sent { key: Bytes },
    Done { key: Bytes, id: (u64, u64) },
    Invalidation(Invalidation),
    Settled { key: Bytes, stamp: Stamp },
    Invalidated(Invalidation),
    Covered(Invalidation),
    Forgotten { prefix: Bytes },
    Complete,
}

/// Whose file this is. A file of another version is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// The first generation needs no `Complete`.
    pub generation: u32,
    /// The machine's boot; empty where the system doesn't tell.
    pub boot: String,
}

/// How the clocks stood when intents began to be taken, and which server was known then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    pub boot_micros: u64,
    /// The wall clock. It is used across a reboot only.
    pub wall_micros: u64,
    /// The server's clock minus the boot clock; 0 before the first contact.
    pub offset: i64,
    pub server: Option<Identity>,
}

pub const VERSION: u8 = 2;
pub const HEADER: usize = 8;
/// No record is longer: a value of 512 MB and its key.
const LONGEST: usize = 600 * 1024 * 1024;

impl Record<'_> {
    /// Adds the record's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if let Self::Intent(Intent { key, wish: Wish::Change(changes), .. }) = self {
            let entries = changes.entries().iter();
            return entries.for_each(|entry| Record::Change { key, entry }.encode(out));
        }
        if let Self::Intent(Intent { key, wish: Wish::Publish(waiting), .. }) = self {
            let channel = &waiting.channel;
            return waiting.iter().for_each(|held| {
                Record::Message { key, channel, held }.encode(out);
            });
        }
        if let Self::Intent(Intent { key, wish: Wish::Rate(owed), .. }) = self {
            let limiter = &owed.limiter;
            let acts = owed.acts().iter();
            return acts.for_each(|due| Record::Charge { key, limiter, due }.encode(out));
        }
        let start = out.len();
        out.put_bytes(0, HEADER);
        self.body(out);
        let length = u32::try_from(out.len() - start - HEADER).unwrap_or(u32::MAX);
        let sum = crc32fast::hash(out.get(start + HEADER..).unwrap_or_default());
        if let Some(mut header) = out.get_mut(start..start + HEADER) {
            header.put_u32_le(length);
            header.put_u32_le(sum);
        }
    }

    fn body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Begin(Begin { generation, boot }) => {
                out.put_u8(0);
                out.put_u8(VERSION);
                out.put_u32_le(*generation);
                out.put_slice(boot.as_bytes());
            }
            Self::Clocks(clocks) => {
                out.put_u8(1);
                out.put_u64_le(clocks.boot_micros);
                out.put_u64_le(clocks.wall_micros);
                out.put_i64_le(clocks.offset);
                if let Some(server) = &clocks.server {
                    out.put_u64_le(server.evicted_keys);
                    put_text(out, server.run_id.as_deref());
                    put_text(out, server.life.as_deref());
                }
            }
            Self::Intent(Intent { key, stamp, wish: Wish::Delete }) => {
                put_stamped(out, 2, *stamp, key);
            }
            Self::Intent(Intent {
                key,
                stamp,
                wish: Wish::Set { value, expires_at, fresh_until, expired, since: _ },
            }) => {
                out.put_u8(3);
                put_stamp(out, *stamp);
                put_stamp(out, expired.as_deref().copied().unwrap_or_default());
                out.put_u64_le(expires_at.unwrap_or(0));
                // 0 is a moment of its own: it was stale at once.
                out.put_u64_le(fresh_until.unwrap_or(u64::MAX));
                out.put_u32_le(value.policy.load_ms);
                out.put_u8(value.format);
                out.put_u8(u8::from(value.compress));
                let tags = value.policy.tags.stored();
                out.put_u16_le(u16::try_from(tags.len()).unwrap_or(u16::MAX));
                out.put_slice(tags);
                out.put_u32_le(u32::try_from(key.len()).unwrap_or(u32::MAX));
                out.put_slice(key);
                out.put_slice(&value.payload);
            }
            Self::Intent(Intent { key, stamp, wish: Wish::Expire }) => {
                put_stamped(out, 13, *stamp, key);
            }
            Self::Intent(Intent { key, wish: Wish::Invalidate(removals), .. }) => {
                out.put_u8(14);
                out.put_u8(u8::try_from(removals.len()).unwrap_or(u8::MAX));
                for (removal, stamp) in removals {
                    out.put_u8(u8::from(*removal == Removal::Expire));
                    put_stamp(out, *stamp);
                }
                out.put_slice(key);
            }
            Self::Intent(Intent {
                wish: Wish::Change(_) | Wish::Rate(_) | Wish::Publish(_),
                ..
            }) => {}
            Self::Message { key, channel, held: Held { stamp, message } } => {
                out.put_u8(20);
                put_stamp(out, *stamp);
                changes::put_text(out, key);
                changes::put_text(out, channel);
                messages::put(out, message);
            }
            Self::Told { key, stamp } => put_stamped(out, 21, *stamp, key),
            Self::Intent(Intent { key, stamp, wish: Wish::Session(delta) }) => {
                out.put_u8(16);
                put_stamp(out, *stamp);
                out.put_u32_le(u32::try_from(key.len()).unwrap_or(u32::MAX));
                out.put_slice(key);
                sessions::put(out, delta);
            }
            Self::Intent(Intent { key, stamp, wish: Wish::End(ms) }) => {
                out.put_u8(17);
                put_stamp(out, *stamp);
                out.put_u64_le(*ms);
                out.put_slice(key);
            }
            Self::Intent(Intent { key, stamp, wish: Wish::EndAll(end) }) => {
                out.put_u8(18);
                put_stamp(out, *stamp);
                out.put_u64_le(end.absolute_ms);
                put_stamp(out, end.others.unwrap_or_default());
                changes::put_text(out, end.keep.as_deref().unwrap_or_default());
                out.put_slice(key);
            }
            Self::Charge { key, limiter, due } => {
                out.put_u8(15);
                out.put_u32_le(u32::try_from(key.len()).unwrap_or(u32::MAX));
                out.put_slice(key);
                rates::put(out, limiter, due);
            }
            Self::Change { key, entry } => {
                out.put_u8(10);
                out.put_u32_le(u32::try_from(key.len()).unwrap_or(u32::MAX));
                out.put_slice(key);
                changes::put(out, entry);
            }
            Self::Sent { key } => {
                out.put_u8(11);
                out.put_slice(key);
            }
            Self::Done { key, id: (process, number) } => {
                out.put_u8(12);
                out.put_u64_le(*process);
                out.put_u64_le(*number);
                out.put_slice(key);
            }
            Self::Invalidation { scope, stamp } => put_stamped(out, 4, *stamp, &scope.text()),
            Self::Settled { key, stamp } => put_stamped(out, 5, *stamp, key),
            Self::Invalidated { scope, stamp } => put_stamped(out, 6, *stamp, &scope.text()),
            Self::Covered { scope, stamp } => put_stamped(out, 7, *stamp, &scope.text()),
            Self::Forgotten { prefix } => {
                out.put_u8(8);
                out.put_slice(prefix);
            }
            Self::Complete => out.put_u8(9),
        }
    }
}

/// Whether these bytes begin with a whole record, understood or not.
pub fn is_whole(bytes: &Bytes) -> bool {
    whole(bytes).is_some()
}

/// The next record of a file, and how many bytes it took. `None` at the end, also where the end is torn.
pub fn next(bytes: &Bytes) -> Option<(Read, usize)> {
    let (body, end) = whole(bytes)?;
    Some((read(body)?, end))
}

/// The body of the next record, and where it ends.
fn whole(bytes: &Bytes) -> Option<(Bytes, usize)> {
    let mut header = bytes.get(..HEADER)?;
    let (length, sum) = (usize::try_from(header.get_u32_le()).ok()?, header.get_u32_le());
    if length > LONGEST {
        return None;
    }
    let end = HEADER + length;
    let body = bytes.get(HEADER..end)?;
    if crc32fast::hash(body) != sum {
        return None;
    }
    Some((bytes.slice(HEADER..end), end))
}

fn read(mut body: Bytes) -> Option<Read> {
    let kind = body.try_get_u8().ok()?;
    Some(match kind {
        0 => {
            if body.try_get_u8().ok()? != VERSION {
                return None;
            }
            let generation = body.try_get_u32_le().ok()?;
            Read::Begin(Begin { generation, boot: String::from_utf8(body.to_vec()).ok()? })
        }
        1 => Read::Clocks(Clocks {
            boot_micros: body.try_get_u64_le().ok()?,
            wall_micros: body.try_get_u64_le().ok()?,
            offset: body.try_get_i64_le().ok()?,
            server: match body.try_get_u64_le() {
                Ok(evicted_keys) => Some(Identity {
                    evicted_keys,
                    run_id: get_text(&mut body)?,
                    life: get_text(&mut body)?,
                    version: String::new(),
                }),
                Err(_) => None,
            },
        }),
        2 => {
            let stamp = get_stamp(&mut body)?;
            Read::Intent(Intent { key: body, stamp, wish: Wish::Delete })
        }
        3 => {
            let stamp = get_stamp(&mut body)?;
            let expired = Some(get_stamp(&mut body)?)
                .filter(|&stamp| stamp != Stamp::default())
                .map(Box::new);
            let expires_at = Some(body.try_get_u64_le().ok()?).filter(|&at| at > 0);
            let fresh_until = Some(body.try_get_u64_le().ok()?).filter(|&at| at < u64::MAX);
            let load_ms = body.try_get_u32_le().ok()?;
            let format = body.try_get_u8().ok()?;
            let compress = body.try_get_u8().ok()? == 1;
            let length = usize::from(body.try_get_u16_le().ok()?);
            let tags = Tags::read(body.get(..length)?)?;
            body.advance(length);
            let length = usize::try_from(body.try_get_u32_le().ok()?).ok()?;
            if length > body.len() {
                return None;
            }
            // Each owns its bytes: a slice would keep the whole file.
            let key = Bytes::copy_from_slice(&body.split_to(length));
            let payload = Bytes::copy_from_slice(&body);
            let policy = Policy { load_ms, tags, ..Policy::default() };
            let value = Value { payload, format, compress, policy };
            // Who adopts it works out since when.
            let wish = Wish::Set { value, expires_at, fresh_until, since: 0, expired };
            Read::Intent(Intent { key, stamp, wish })
        }
        4 => Read::Invalidation(get_scope(body)?),
        5 => Read::Settled { stamp: get_stamp(&mut body)?, key: body },
        6 => Read::Invalidated(get_scope(body)?),
        7 => Read::Covered(get_scope(body)?),
        8 => Read::Forgotten { prefix: body },
        9 => Read::Complete,
        10 => {
            let key = changes::get_text(&mut body)?;
            Read::Change { key, entry: changes::get(&mut body)? }
        }
        11 => Read::Sent { key: body },
        12 => {
            let id = (body.try_get_u64_le().ok()?, body.try_get_u64_le().ok()?);
            Read::Done { key: body, id }
        }
        13 => {
            let stamp = get_stamp(&mut body)?;
            Read::Intent(Intent { key: body, stamp, wish: Wish::Expire })
        }
        14 => {
            let count = body.try_get_u8().ok()?;
            let mut removals = Vec::with_capacity(usize::from(count));
            for _ in 0..count {
                let removal = match body.try_get_u8().ok()? {
                    0 => Removal::Delete,
                    _ => Removal::Expire,
                };
                removals.push((removal, get_stamp(&mut body)?));
            }
            let stamp = removals.iter().map(|(_, stamp)| *stamp).max()?;
            Read::Intent(Intent { key: body, stamp, wish: Wish::Invalidate(removals) })
        }
        15 => {
            let key = changes::get_text(&mut body)?;
            let (limiter, due) = rates::get(&mut body)?;
            Read::Charge { key, limiter, due }
        }
        16 => {
            let stamp = get_stamp(&mut body)?;
            let key = changes::get_text(&mut body)?;
            let wish = Wish::Session(Box::new(sessions::get(&mut body)?));
            Read::Intent(Intent { key, stamp, wish })
        }
        17 => {
            let stamp = get_stamp(&mut body)?;
            let wish = Wish::End(body.try_get_u64_le().ok()?);
            Read::Intent(Intent { key: body, stamp, wish })
        }
        18 => {
            let stamp = get_stamp(&mut body)?;
            let absolute_ms = body.try_get_u64_le().ok()?;
            let others = Some(get_stamp(&mut body)?).filter(|&at| at != Stamp::default());
            let keep = Some(changes::get_text(&mut body)?).filter(|keep| !keep.is_empty());
            let wish = Wish::EndAll(EndAll { absolute_ms, keep, others });
            Read::Intent(Intent { key: body, stamp, wish })
        }
        // 19 was a message in another shape.
        20 => {
            let stamp = get_stamp(&mut body)?;
            let key = changes::get_text(&mut body)?;
            let channel = changes::get_text(&mut body)?;
            let message = messages::get(&mut body)?;
            Read::Message { key, channel, held: Held { stamp, message } }
        }
        21 => Read::Told { stamp: get_stamp(&mut body)?, key: body },
        _ => return None,
    })
}

pub fn put_stamp(out: &mut Vec<u8>, stamp: Stamp) {
    out.put_u64_le(stamp.micros);
    out.put_u64_le(stamp.process);
}

fn put_stamped(out: &mut Vec<u8>, kind: u8, stamp: Stamp, rest: &[u8]) {
    out.put_u8(kind);
    put_stamp(out, stamp);
    out.put_slice(rest);
}

fn put_text(out: &mut Vec<u8>, text: Option<&str>) {
    let text = text.unwrap_or_default();
    out.put_u16_le(u16::try_from(text.len()).unwrap_or(0));
    if text.len() <= usize::from(u16::MAX) {
        out.put_slice(text.as_bytes());
    }
}

pub fn get_stamp(body: &mut Bytes) -> Option<Stamp> {
    Some(Stamp { micros: body.try_get_u64_le().ok()?, process: body.try_get_u64_le().ok()? })
}

fn get_scope(mut body: Bytes) -> Option<Invalidation> {
    let stamp = get_stamp(&mut body)?;
    Some(Invalidation { scope: Scope::read(&body), stamp })
}

/// `Some(None)`: there is none.
fn get_text(body: &mut Bytes) -> Option<Option<String>> {
    let length = usize::from(body.try_get_u16_le().ok()?);
    if length > body.len() {
        return None;
    }
    let text = String::from_utf8(body.split_to(length).to_vec()).ok()?;
    Some(Some(text).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::message::{Kept, Message};
    use crate::backend::session::{Delta, Field, Fields, Head};
    use proptest::prelude::*;

    fn any_intent() -> impl Strategy<Value = Intent> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        let wish = prop_oneof![
            Just(Wish::Delete),
            Just(Wish::Expire),
            (
                bytes(),
                any::<u8>(),
                any::<bool>(),
                prop::option::of(1..u64::MAX),
                prop::option::of(0..u64::MAX),
                any::<u32>(),
                prop::collection::vec(".{0,9}", 0..4),
                prop::option::of((any::<u64>(), 1..u64::MAX)),
            )
                .prop_map(
                    |(
                        payload,
                        format,
                        compress,
                        expires_at,
                        fresh_until,
                        load_ms,
                        tags,
                        expired,
                    )| {
                        let tags = Tags::new(tags.iter().map(String::as_str)).unwrap();
                        let policy = Policy { load_ms, tags, ..Policy::default() };
                        let value = Value { payload, format, compress, policy };
                        let expired =
                            expired.map(|(micros, process)| Box::new(Stamp { micros, process }));
                        Wish::Set { value, expires_at, fresh_until, since: 0, expired }
                    }
                ),
        ];
        (bytes(), any::<u64>(), any::<u64>(), wish).prop_map(|(key, micros, process, wish)| {
            Intent { key, stamp: Stamp { micros, process }, wish }
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_a_torn_or_damaged_end_is_no_record(
            intent in any_intent(), cut in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>(),
        ) {
            let mut out = Vec::new();
            Record::Intent(&intent).encode(&mut out);
            let whole = Bytes::from(out.clone());
            prop_assert_eq!(next(&whole), Some((Read::Intent(intent), whole.len())));
            prop_assert_eq!(next(&whole.slice(..cut.index(whole.len()))), None);
            out[flip.index(whole.len())] ^= 1;
            prop_assert_eq!(next(&Bytes::from(out)), None);
        }
    }

    #[test]
    fn an_invalidation_of_a_tag_is_read_as_it_was_written() {
        let stamp = |micros| Stamp { micros, process: 7 };
        let removals = vec![(Removal::Expire, stamp(3)), (Removal::Delete, stamp(9))];
        let key = Bytes::from_static(b"h:tag:{01}:t");
        let intent = Intent { key, stamp: stamp(9), wish: Wish::Invalidate(removals) };
        let mut out = Vec::new();
        Record::Intent(&intent).encode(&mut out);
        assert_eq!(next(&out.into()).unwrap().0, Read::Intent(intent));
    }

    #[test]
    fn what_waits_of_sessions_and_messages_is_read_as_it_was_written() {
        let stamp = |micros| Stamp { micros, process: 7 };
        let key = || Bytes::from_static(b"session:{01}:u");
        let field =
            |value: Option<&'static str>| Field { stamp: stamp(3), value: value.map(Bytes::from) };
        let fields = Fields::from([(":a".into(), field(Some("{}"))), (":b".into(), field(None))]);
        let user = Bytes::from_static(b"ann");
        let head = Some(Head { user, created: stamp(2), absolute_ms: 9 });
        let from = vec![Bytes::from_static(b"u.h"), Bytes::from_static(b"u.i")];
        let (born, seen) = (Some(stamp(2)), Some(stamp(4)));
        let whole = Delta { head, born, seen, behind: 3, from, lead_ms: 5, fields };
        let touch = Delta { seen: Some(stamp(5)), ..Delta::default() };
        let end_all = |keep: Option<&'static str>, others| {
            Wish::EndAll(EndAll { absolute_ms: 5, keep: keep.map(Bytes::from), others })
        };
        for wish in [
            Wish::Session(Box::new(whole)),
            Wish::Session(Box::new(touch)),
            Wish::End(77),
            end_all(None, None),
            end_all(Some("u.h"), Some(stamp(1))),
        ] {
            let intent = Intent { key: key(), stamp: stamp(9), wish };
            let mut out = Vec::new();
            Record::Intent(&intent).encode(&mut out);
            assert_eq!(next(&out.into()).unwrap().0, Read::Intent(intent));
        }
        let kept = Some(Kept { ms: 7, most: 8 });
        for kept in [None, kept] {
            let message = Message { rest: "\"id\":\"1\"}".into(), kept, sharded: true };
            let held = Held { stamp: stamp(4), message };
            let (key, channel) = (key(), Bytes::from_static(b"c"));
            let mut out = Vec::new();
            Record::Message { key: &key, channel: &channel, held: &held }.encode(&mut out);
            assert_eq!(next(&out.into()).unwrap().0, Read::Message { key, channel, held });
        }
    }

    #[test]
    fn clocks_carry_the_server_that_was_known() {
        let server = Identity {
            run_id: Some("run".into()),
            life: None,
            evicted_keys: 3,
            version: String::new(),
        };
        for server in [None, Some(server)] {
            let clocks = Clocks { boot_micros: 1, wall_micros: 2, offset: -3, server };
            let mut out = Vec::new();
            Record::Clocks(&clocks).encode(&mut out);
            assert_eq!(next(&out.into()).unwrap().0, Read::Clocks(clocks));
        }
    }
}

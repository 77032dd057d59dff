//! What memory and the journal hold, out as data and in again: for a deploy that keeps its fallback, or a
//! look at what an outage left. JS gives the public form and its checks; here it is rows.
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::durable::changes;
use super::fallback::Fallback;
use crate::backend::Value;
use crate::backend::change::Changes;
use crate::backend::intent::{Intent, Wish};
use crate::backend::memory::store::{Data, Entry, Standing};
use crate::base::clock::boot_id;
use crate::base::error::{Error, Result};
use crate::base::stamp::Stamp;

/// A value, with its place in the order of writes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    family: String,
    key: String,
    /// Text, or hex where the bytes are none.
    payload: String,
    hex: bool,
    format: u8,
    /// What is left of its lifetime, ms.
    ttl_ms: Option<u64>,
    /// Microseconds and process; none = it counts as written now.
    stamp: Option<(u64, u64)>,
    /// It was acknowledged, and waits for the replay.
    pending: bool,
}

/// A delete that waits for the replay; without a key it is of the whole family.
#[derive(Debug, Serialize, Deserialize)]
pub struct Removal {
    family: String,
    key: Option<String>,
    stamp: Option<(u64, u64)>,
}

/// A change of a raw key that waits for the replay.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeRow {
    /// Without the prefix of all keys; text, or hex where the bytes are none.
    key: String,
    hex: bool,
    /// As a journal file holds it, in hex.
    record: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Rows {
    values: Vec<Row>,
    removals: Vec<Removal>,
    changes: Vec<ChangeRow>,
    /// The machine's boot, from which stamps count that were taken before the first contact.
    boot: String,
}

impl Fallback {
    /// All managed values in memory, and all that waits for the replay.
    pub fn export(&self) -> Rows {
        let now = self.clock.micros();
        let mut local = self.local.lock();
        local.journal.share_changes();
        let mut rows = Rows { boot: boot_id(), ..Rows::default() };
        for intent in local.journal.intents() {
            if let Wish::Change(changes) = &intent.wish {
                let changes = changes.clone().moved(&|stamp| self.stamps.settle(stamp));
                let rest = intent.key.strip_prefix(self.keys.raw(b"").as_ref());
                let (key, hex) = text_or_hex(rest.unwrap_or_default());
                rows.changes.extend(changes.entries().iter().map(|entry| {
                    let mut record = Vec::new();
                    changes::put(&mut record, entry);
                    ChangeRow { key: key.clone(), hex, record: to_hex(&record) }
                }));
                continue;
            }
            let Some((family, key)) = self.keys.parts(&intent.key) else { continue };
            let stamp = self.portable(intent.stamp);
            match &intent.wish {
                Wish::Set { value, expires_at, .. } if expires_at.is_none_or(|at| at > now) => {
                    let ttl_ms = expires_at.map(|at| (at - now).div_ceil(1000));
                    rows.values.push(row(family, key, value, ttl_ms, stamp, true));
                }
                _ => rows.removals.push(Removal { family, key: Some(key), stamp }),
            }
        }
        for invalidation in local.journal.invalidations() {
            let Some((family, _)) = self.keys.parts(&invalidation.prefix) else { continue };
            let stamp = self.portable(invalidation.stamp);
            rows.removals.push(Removal { family, key: None, stamp });
        }
        for (key, entry) in local.store.live(now) {
            // The others stand in the journal, or are no managed values.
            let Some(payload) = entry.bytes().filter(|_| entry.standing == Standing::Clean) else {
                continue;
            };
            let Some((family, name)) = self.keys.parts(key) else { continue };
            let value = Value { payload: payload.clone(), format: entry.format, compress: true };
            let ttl_ms = entry.expires_at.map(|at| at.saturating_sub(now).div_ceil(1000));
            let stamp = self.portable(entry.stamp);
            rows.values.push(row(family, name, &value, ttl_ms, stamp, false));
        }
        rows
    }

    /// Puts what was exported in the place of the copies in memory. What waits for its replay goes into the
    /// journal, unless something newer of its key waits there. Copies count only while memory answers: a
    /// server that answers knows better.
    pub fn import(&self, text: &str) -> Result<()> {
        let rows: Rows = serde_json::from_str(text)
            .map_err(|error| Error::invalid("data", format!("data can't be read: {error}")))?;
        let boot = boot_id();
        let here = !boot.is_empty() && rows.boot == boot;
        let now = self.clock.micros();
        let mut local = self.local.lock();
        local.store.clear_clean();
        local.bump_all();
        for Removal { family, key, stamp } in rows.removals {
            let stamp = self.stamp_of(stamp, here);
            match key {
                Some(key) => {
                    let key = self.keys.entry(&family, &key);
                    local.void(&key, Some(stamp), now);
                    if self.journals() {
                        local.journal.adopt(Intent { key, stamp, wish: Wish::Delete });
                    }
                }
                None => {
                    let prefix = self.keys.family(&family);
                    local.clear(&prefix, stamp, now);
                    if self.journals() {
                        local.journal.invalidate(prefix, stamp);
                    }
                }
            }
        }
        let on_memory = local.on_memory() || self.redis.is_none();
        for row in rows.values {
            let (stamp, key) =
                (self.stamp_of(row.stamp, here), self.keys.entry(&row.family, &row.key));
            let value = Value {
                payload: if row.hex { unhex(&row.payload)? } else { row.payload.into() },
                format: row.format,
                compress: true,
            };
            let expires_at = row.ttl_ms.map(|ms| now.saturating_add(ms.saturating_mul(1000)));
            if local.journal.newest(&key) >= Some(stamp) {
                continue;
            }
            let pending = row.pending && self.journals();
            if on_memory {
                let (payload, format) = (value.payload.clone(), value.format);
                let standing = if pending { Standing::Journalled } else { Standing::Clean };
                let data = Data::Bytes(payload);
                let entry = Entry { data, format, stamp, expires_at, standing };
                let _ = local.store.set(&key, entry, now);
            }
            if pending {
                let wish = Wish::Set { value, expires_at, since: self.since(stamp) };
                local.journal.adopt(Intent { key, stamp, wish });
            }
        }
        for row in rows.changes.into_iter().filter(|_| self.journals()) {
            let key = if row.hex { unhex(&row.key)? } else { row.key.into() };
            let key = self.keys.raw(&key);
            let wrong = || Error::invalid("data", "data holds a change that can't be read");
            let entry = changes::get(&mut unhex(&row.record)?).ok_or_else(wrong)?;
            let changes: Changes = std::iter::once(entry).collect();
            let mut changes =
                changes.moved(&|stamp| self.stamp_of(Some((stamp.micros, stamp.process)), here));
            // Whoever gave it out may have sent it.
            changes.mark_sent();
            let Some(stamp) = changes.last().map(|entry| entry.stamp) else { continue };
            local.journal.adopt(Intent { key, stamp, wish: Wish::Change(changes) });
        }
        drop(local);
        if let Some(redis) = &self.redis {
            redis.catch_up();
        }
        Ok(())
    }

    /// When a write of this stamp was acknowledged, on this boot clock, as far as stamps tell.
    pub(super) fn since(&self, stamp: Stamp) -> u64 {
        let age = self.stamps.server_micros().saturating_sub(self.stamps.settle(stamp).micros);
        self.clock.micros().saturating_sub(age)
    }

    /// A stamp as another process can read it, as far as the server's clock is known.
    fn portable(&self, stamp: Stamp) -> Option<(u64, u64)> {
        let stamp = self.stamps.settle(stamp);
        Some((stamp.micros, stamp.process))
    }

    /// What has no place in the order of writes here counts as written now.
    fn stamp_of(&self, stamp: Option<(u64, u64)>, here: bool) -> Stamp {
        match stamp.map(|(micros, process)| Stamp { micros, process }) {
            Some(stamp) if here || !stamp.is_early() => {
                self.stamps.observe(stamp);
                stamp
            }
            _ => self.stamps.next(),
        }
    }
}

fn row(
    family: String,
    key: String,
    value: &Value,
    ttl_ms: Option<u64>,
    stamp: Option<(u64, u64)>,
    pending: bool,
) -> Row {
    let (payload, hex) = text_or_hex(&value.payload);
    Row { family, key, payload, hex, format: value.format, ttl_ms, stamp, pending }
}

fn text_or_hex(bytes: &[u8]) -> (String, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (to_hex(bytes), true),
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<Bytes> {
    let wrong = || Error::invalid("data", "data holds bytes that are no hex text");
    let pairs = text.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        (pair.len() == 2).then(|| u8::from_str_radix(pair, 16).ok())?
    });
    bytes.collect::<Option<Vec<u8>>>().map(Bytes::from).ok_or_else(wrong)
}

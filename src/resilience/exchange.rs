//! What memory and the journal hold, out as data and in again: for a deploy that keeps its fallback, or a
//! look at what an outage left. JS gives the public form and its checks; here it is rows.
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::durable::changes;
use super::durable::record::{self, Read, Record};
use super::fallback::Fallback;
use super::journal::Invalidation;
use super::local::Local;
use crate::backend::change::Changes;
use crate::backend::intent::{Intent, Wish};
use crate::backend::memory::store::{Data, Entry, Standing};
use crate::backend::{Meta, Policy, Scope, Tags, Value};
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
    /// For how long it is fresh; none = as long as it lives.
    #[serde(default)]
    fresh_ms: Option<u64>,
    #[serde(default)]
    load_ms: u32,
    #[serde(default)]
    tags: Vec<String>,
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
    /// Invalidations of other kinds, as a journal file holds them, in hex.
    invalidations: Vec<String>,
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
            // This process charges it itself, and publishes it.
            if let Wish::Rate(_) | Wish::Publish(_) = intent.wish {
                continue;
            }
            if matches!(
                intent.wish,
                Wish::Expire
                    | Wish::Invalidate(_)
                    | Wish::Session(_)
                    | Wish::End(_)
                    | Wish::EndAll(_)
            ) {
                let intent = intent.clone().moved(&|stamp| self.stamps.settle(stamp));
                rows.invalidations.push(in_hex(&Record::Intent(&intent)));
                continue;
            }
            let Some((family, key)) = self.keys.parts(&intent.key) else { continue };
            let stamp = self.portable(intent.stamp);
            match &intent.wish {
                Wish::Set { value, expires_at, fresh_until, expired, .. }
                    if expires_at.is_none_or(|at| at > now) =>
                {
                    let left = |at: u64| at.saturating_sub(now).div_ceil(1000);
                    let lives = (expires_at.map(left), fresh_until.map(left));
                    rows.values.push(row((family, key), value, lives, stamp, true));
                    if let Some(stamp) = expired.as_deref().map(|&stamp| self.stamps.settle(stamp))
                    {
                        let (key, wish) = (intent.key.clone(), Wish::Expire);
                        let expire = Intent { key, stamp, wish };
                        rows.invalidations.push(in_hex(&Record::Intent(&expire)));
                    }
                }
                _ => rows.removals.push(Removal { family, key: Some(key), stamp }),
            }
        }
        for invalidation in local.journal.invalidations() {
            let stamp = self.portable(invalidation.stamp);
            let family = match &invalidation.scope {
                Scope::Prefix(prefix) => self.keys.parts(prefix),
                Scope::Pattern { .. } | Scope::Tagged(_) => None,
            };
            match family {
                Some((family, _)) => rows.removals.push(Removal { family, key: None, stamp }),
                None => {
                    let stamp = self.stamps.settle(invalidation.stamp);
                    let record = Record::Invalidation { scope: &invalidation.scope, stamp };
                    rows.invalidations.push(in_hex(&record));
                }
            }
        }
        for (key, entry) in local.store.live(now) {
            // The others stand in the journal, or are no managed values.
            let Some(payload) = entry.bytes().filter(|_| entry.standing == Standing::Clean) else {
                continue;
            };
            let Some((family, name)) = self.keys.parts(key) else { continue };
            let Meta { format, expires_at, fresh_until, load_ms, tags, .. } = entry.meta();
            let policy = Policy { load_ms, tags, ..Policy::default() };
            let value = Value { payload: payload.clone(), format, compress: true, policy };
            let left = |at: u64| at.saturating_sub(now).div_ceil(1000);
            let lives = (expires_at.map(left), fresh_until.map(left));
            let stamp = self.portable(entry.stamp);
            rows.values.push(row((family, name), &value, lives, stamp, false));
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
                    let scope = Scope::Prefix(self.keys.family(&family));
                    local.store.remove_scope(&scope, stamp, now);
                    if self.journals() {
                        local.journal.invalidate(scope, stamp);
                    }
                }
            }
        }
        let on_memory = local.on_memory() || self.redis.is_none();
        for row in rows.values {
            let (stamp, key) =
                (self.stamp_of(row.stamp, here), self.keys.entry(&row.family, &row.key));
            let tags = Tags::new(row.tags.iter().map(String::as_str));
            let tags = tags.ok_or_else(|| Error::invalid("data", "data holds too many tags"))?;
            let value = Value {
                payload: if row.hex { unhex(&row.payload)? } else { row.payload.into() },
                format: row.format,
                compress: true,
                policy: Policy { load_ms: row.load_ms, tags, ..Policy::default() },
            };
            let after = |ms: u64| now.saturating_add(ms.saturating_mul(1000));
            let (expires_at, fresh_until) = (row.ttl_ms.map(after), row.fresh_ms.map(after));
            if local.journal.newest(&key) >= Some(stamp) {
                continue;
            }
            let pending = row.pending && self.journals();
            if on_memory {
                let standing = if pending { Standing::Journalled } else { Standing::Clean };
                let data = Data::Bytes(value.payload.clone());
                let (format, policy) = (value.format, &value.policy);
                let (load_ms, tags) = (policy.load_ms, policy.tags.clone());
                let meta = Meta { format, stamp, expires_at, fresh_until, load_ms, tags };
                let _ = local.store.set(&key, Entry::new(data, &meta, standing), now);
            }
            if pending {
                let since = self.since(stamp);
                let wish = Wish::Set { value, expires_at, fresh_until, since, expired: None };
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
        for text in rows.invalidations {
            self.invalidate_again(&mut local, unhex(&text)?, here)?;
        }
        drop(local);
        if let Some(redis) = &self.redis {
            redis.catch_up();
        }
        Ok(())
    }

    fn invalidate_again(&self, local: &mut Local, record: Bytes, here: bool) -> Result<()> {
        let wrong = || Error::invalid("data", "data holds an invalidation that can't be read");
        let (now, moved) = (self.clock.micros(), |stamp: Stamp| {
            self.stamp_of(Some((stamp.micros, stamp.process)), here)
        });
        match record::next(&record).ok_or_else(wrong)?.0 {
            // Nothing beyond our own keys is touched.
            Read::Intent(intent) if intent.key.starts_with(self.keys.all()) => {
                let intent = intent.moved(&moved);
                match &intent.wish {
                    Wish::Expire => {
                        local.store.make_stale(&intent.key, now);
                    }
                    // Only a marker's key has any.
                    Wish::Invalidate(removals) if intent.key.starts_with(&self.keys.markers()) => {
                        for (removal, stamp) in removals {
                            let marker = removal.marker(stamp.micros);
                            local.store.raise_marker(&intent.key, marker);
                        }
                    }
                    Wish::Session(_) => {}
                    Wish::End(_) | Wish::EndAll(_) => local.heed_end(&intent, &self.moment()),
                    _ => return Err(wrong()),
                }
                match intent.wish {
                    // It is about a value that may wait itself.
                    Wish::Expire if self.journals() => {
                        local.journal.expire(intent.key, intent.stamp, &self.keys);
                    }
                    _ if self.journals() => local.journal.adopt(intent),
                    _ => {}
                }
            }
            Read::Invalidation(Invalidation { scope, stamp })
                if scope.is_within(self.keys.all()) =>
            {
                let stamp = moved(stamp);
                local.store.remove_scope(&scope, stamp, now);
                if self.journals() {
                    local.journal.invalidate(scope, stamp);
                }
            }
            _ => return Err(wrong()),
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
    (family, key): (String, String),
    value: &Value,
    (ttl_ms, fresh_ms): (Option<u64>, Option<u64>),
    stamp: Option<(u64, u64)>,
    pending: bool,
) -> Row {
    let (payload, hex) = text_or_hex(&value.payload);
    let tags = value.policy.tags.iter();
    let tags = tags.map(|tag| String::from_utf8_lossy(tag).into_owned()).collect();
    let (format, load_ms) = (value.format, value.policy.load_ms);
    Row { family, key, payload, hex, format, ttl_ms, fresh_ms, load_ms, tags, stamp, pending }
}

fn in_hex(record: &Record<'_>) -> String {
    let mut out = Vec::new();
    record.encode(&mut out);
    to_hex(&out)
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

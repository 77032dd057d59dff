//! The bounded memory store: one map for the embedded default, the near cache and the fallback.
//!
//! Pure and single-threaded: time is an argument (`now`, microseconds on a monotonic clock), and
//! whoever shares the store puts a lock around it. Each method is one atomic step.
//!
//! What must never happen: more bytes than the limit; a journalled entry dropped for room while a
//! clean one stays; an expired entry given out; a load filling a key that was written or deleted
//! since the load began.
use std::sync::Arc;

use lru::LruCache;

pub use super::entry::{Entry, Standing};
use super::expiry::{Expiry, Record};
use crate::base::stamp::Stamp;

/// How many loads may hold a lease at once. The oldest is dropped for a new one; its load still
/// answers, but does not fill.
pub const MAX_LEASES: usize = 65_536;

/// The bytes of all leased keys together; these are not counted in [`Store::bytes`].
pub const MAX_LEASE_BYTES: usize = 16 * 1024 * 1024;

/// What had to go so that an entry could be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// How many clean entries went; nobody has to know which.
    pub clean: usize,
    /// Each is owed: its intent becomes "delete older than". In the order in which they went.
    pub journalled: Vec<Box<[u8]>>,
}

/// The entry alone exceeds the limit, so nothing was changed: what stood under its key before still
/// stands. A cache that wrote elsewhere removes that key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// What the entry weighs, with its key and overhead.
    pub needed: usize,
    pub limit: usize,
}

/// Sizes now, and counts since the store was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub entries: usize,
    pub bytes: usize,
    /// Dropped for room, clean and journalled.
    pub evicted: u64,
    /// Those of `evicted` behind which an intent stood.
    pub evicted_journalled: u64,
    /// Dropped because their time had come, whoever noticed it.
    pub expired: u64,
}

/// An entry with its place in the expiry order.
struct Slot {
    entry: Entry,
    record: Option<Record>,
}

type Shelf = LruCache<Arc<[u8]>, Slot>;

pub struct Store {
    /// A key is on one shelf at most. Two shelves, so that the clean entry used longest ago is found
    /// at once however many journalled ones were used before it.
    clean: Shelf,
    journalled: Shelf,
    expiry: Expiry,
    leases: Leases,
    bytes: usize,
    limit: usize,
    evicted: u64,
    evicted_journalled: u64,
    expired: u64,
}

impl Store {
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            clean: LruCache::unbounded(),
            journalled: LruCache::unbounded(),
            expiry: Expiry::new(),
            leases: Leases::new(),
            bytes: 0,
            limit: limit_bytes,
            evicted: 0,
            evicted_journalled: 0,
            expired: 0,
        }
    }

    /// The live entry, which counts as used. One lookup for a clean one, as long as nothing in the
    /// store waits to be swept.
    pub fn get(&mut self, key: &[u8], now: u64) -> Option<&Entry> {
        self.drop_if_expired(key, now);
        match self.clean.get(key) {
            Some(slot) => Some(&slot.entry),
            None => self.journalled.get(key).map(|slot| &slot.entry),
        }
    }

    /// The live entry, which does not count as used.
    pub fn peek(&self, key: &[u8], now: u64) -> Option<&Entry> {
        self.slot(key).map(|slot| &slot.entry).filter(|entry| !entry.is_expired(now))
    }

    /// Keeps an entry in place of what stands under the key, and destroys the key's lease. Room is
    /// made by dropping expired entries first, then clean ones, then journalled ones, those used
    /// longest ago first.
    ///
    /// An entry that is expired already only removes what stood there.
    pub fn set(&mut self, key: &[u8], entry: Entry, now: u64) -> Result<Evicted, Full> {
        let needed = entry.weight(key);
        let Some(room) = self.limit.checked_sub(needed) else {
            return Err(Full { needed, limit: self.limit });
        };
        self.leases.drop_key(key);
        self.take_out(key);
        if entry.is_expired(now) {
            self.expired += 1;
            return Ok(Evicted::default());
        }
        let evicted = self.make_room(room, now);
        let key: Arc<[u8]> = Arc::from(key);
        let record = entry.expires_at.map(|at| self.expiry.insert(at, Arc::clone(&key)));
        self.bytes += needed;
        self.shelf(entry.standing).put(key, Slot { entry, record });
        Ok(evicted)
    }

    /// Takes the live entry out, and destroys the key's lease even when nothing is stored.
    pub fn remove(&mut self, key: &[u8], now: u64) -> Option<Entry> {
        self.leases.drop_key(key);
        let entry = self.take_out(key)?;
        if entry.is_expired(now) {
            self.expired += 1;
            return None;
        }
        Some(entry)
    }

    /// Says that the intent of this stamp was replayed: its entry may be dropped from now on. A
    /// newer entry under the key stays journalled. The entry counts as used.
    pub fn mark_clean(&mut self, key: &[u8], stamp: Stamp) {
        if self.journalled.peek(key).is_none_or(|slot| slot.entry.stamp != stamp) {
            return;
        }
        if let Some((key, mut slot)) = self.journalled.pop_entry(key) {
            slot.entry.standing = Standing::Clean;
            self.clean.put(key, slot);
        }
        if self.journalled.is_empty() {
            // A map never shrinks; after an outage its table would stay as large as the outage was.
            self.journalled = LruCache::unbounded();
        }
    }

    /// Frees expired entries, those due longest first, and says how many. A number below `at_most`
    /// means that none is left.
    pub fn sweep(&mut self, now: u64, at_most: usize) -> usize {
        let mut swept = 0;
        while swept < at_most && self.drop_first_due(now) {
            swept += 1;
        }
        swept
    }

    /// When the next entry expires; in the past when there is something to sweep.
    pub fn next_expiry(&self) -> Option<u64> {
        self.expiry.next()
    }

    /// Removes all that begins so, destroys the leases of all keys that begin so, stored or not, and
    /// answers the keys that were live, in no particular order. Reads every key of the store.
    pub fn remove_prefix(&mut self, prefix: &[u8], now: u64) -> Vec<Box<[u8]>> {
        self.leases.drop_prefix(prefix);
        let stored: Vec<Arc<[u8]>> = self
            .slots()
            .map(|(key, _)| key)
            .filter(|key| key.starts_with(prefix))
            .cloned()
            .collect();
        let mut live = Vec::new();
        for key in stored {
            if self.remove(&key, now).is_some() {
                live.push(Box::from(&*key));
            }
        }
        live
    }

    /// The live keys that begin so, in no particular order. Reads every key of the store.
    pub fn keys_with_prefix(&self, prefix: &[u8], now: u64) -> Vec<Box<[u8]>> {
        self.slots()
            .filter(|(key, slot)| key.starts_with(prefix) && !slot.entry.is_expired(now))
            .map(|(key, _)| Box::from(&**key))
            .collect()
    }

    /// The live entries that are clean, in no particular order.
    pub fn clean_entries(&self, now: u64) -> impl Iterator<Item = (&[u8], &Entry)> {
        let entries = self.clean.iter().map(|(key, slot)| (key.as_ref(), &slot.entry));
        entries.filter(move |(_, entry)| !entry.is_expired(now))
    }

    /// Drops all clean entries. Leases stay: forgetting a copy is no delete.
    pub fn clear_clean(&mut self) {
        let clean = std::mem::replace(&mut self.clean, LruCache::unbounded());
        for (key, slot) in &clean {
            self.bytes -= slot.entry.weight(key);
            if let Some(record) = slot.record {
                self.expiry.remove(record);
            }
        }
    }

    /// How many entries are held, those included that are expired and not yet swept.
    pub fn len(&self) -> usize {
        self.clean.len() + self.journalled.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The weight of all entries held; never above the limit.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn stats(&self) -> Stats {
        Stats {
            entries: self.len(),
            bytes: self.bytes,
            evicted: self.evicted,
            evicted_journalled: self.evicted_journalled,
            expired: self.expired,
        }
    }

    /// Gives the key's lease to the load with this token; a load that held it before lost it.
    pub fn take_lease(&mut self, key: &[u8], token: u64) {
        self.leases.take(key, token);
    }

    /// Whether this token holds the key's lease; if so the lease is used up. A fill asks this and
    /// then sets, under one lock.
    pub fn use_lease(&mut self, key: &[u8], token: u64) -> bool {
        self.leases.consume(key, token)
    }

    pub fn drop_lease(&mut self, key: &[u8]) {
        self.leases.drop_key(key);
    }

    fn shelf(&mut self, standing: Standing) -> &mut Shelf {
        match standing {
            Standing::Clean => &mut self.clean,
            Standing::Journalled => &mut self.journalled,
        }
    }

    fn slot(&self, key: &[u8]) -> Option<&Slot> {
        self.clean.peek(key).or_else(|| self.journalled.peek(key))
    }

    fn slots(&self) -> impl Iterator<Item = (&Arc<[u8]>, &Slot)> {
        self.clean.iter().chain(self.journalled.iter())
    }

    fn take_out(&mut self, key: &[u8]) -> Option<Entry> {
        let slot = self.clean.pop(key).or_else(|| self.journalled.pop(key))?;
        Some(self.forget(key, slot))
    }

    /// Settles the accounts of a slot that has left its shelf. Whatever leaves one passes here.
    fn forget(&mut self, key: &[u8], slot: Slot) -> Entry {
        let Slot { entry, record } = slot;
        if let Some(record) = record {
            self.expiry.remove(record);
        }
        self.bytes -= entry.weight(key);
        entry
    }

    fn drop_if_expired(&mut self, key: &[u8], now: u64) {
        if !self.expiry.any_due(now) {
            return;
        }
        if self.slot(key).is_some_and(|slot| slot.entry.is_expired(now)) {
            self.take_out(key);
            self.expired += 1;
        }
    }

    fn drop_first_due(&mut self, now: u64) -> bool {
        let Some(key) = self.expiry.first_due(now) else { return false };
        self.expired += 1;
        self.take_out(&key).is_some()
    }

    /// Drops entries until the rest weighs no more than `room`.
    fn make_room(&mut self, room: usize, now: u64) -> Evicted {
        let mut evicted = Evicted::default();
        while self.bytes > room {
            if self.drop_first_due(now) {
                continue;
            }
            if let Some((key, slot)) = self.clean.pop_lru() {
                self.forget(&key, slot);
                evicted.clean += 1;
            } else if let Some((key, slot)) = self.journalled.pop_lru() {
                self.forget(&key, slot);
                self.evicted_journalled += 1;
                evicted.journalled.push(Box::from(&*key));
            } else {
                break;
            }
            self.evicted += 1;
        }
        evicted
    }

    /// Counts everything anew: bytes, entries that expire, expiry records, keys on both shelves.
    #[cfg(test)]
    pub fn audit(&self) -> (usize, usize, usize, usize) {
        let bytes = self.slots().map(|(key, slot)| slot.entry.weight(key)).sum();
        let expiring = self.slots().filter(|(_, slot)| slot.entry.expires_at.is_some()).count();
        let twice = self.clean.iter().filter(|(key, _)| self.journalled.contains(*key)).count();
        (bytes, expiring, self.expiry.len(), twice)
    }
}

/// The right to fill, one token per key. Only what stands here fills: a lease lost to the bound
/// refuses a fill, it never allows one.
struct Leases {
    /// Read without counting as used, so that its order is that of taking.
    tokens: LruCache<Box<[u8]>, u64>,
    bytes: usize,
}

impl Leases {
    fn new() -> Self {
        Self { tokens: LruCache::unbounded(), bytes: 0 }
    }

    fn take(&mut self, key: &[u8], token: u64) {
        self.drop_key(key);
        self.bytes += key.len();
        self.tokens.put(Box::from(key), token);
        while self.tokens.len() > MAX_LEASES || self.bytes > MAX_LEASE_BYTES {
            let Some((oldest, _)) = self.tokens.pop_lru() else { break };
            self.bytes -= oldest.len();
        }
    }

    fn consume(&mut self, key: &[u8], token: u64) -> bool {
        let stands = self.tokens.peek(key) == Some(&token);
        if stands {
            self.drop_key(key);
        }
        stands
    }

    fn drop_key(&mut self, key: &[u8]) {
        if self.tokens.pop(key).is_some() {
            self.bytes -= key.len();
        }
    }

    fn drop_prefix(&mut self, prefix: &[u8]) {
        let keys: Vec<Box<[u8]>> = self
            .tokens
            .iter()
            .map(|(key, _)| key)
            .filter(|key| key.starts_with(prefix))
            .cloned()
            .collect();
        for key in keys {
            self.drop_key(&key);
        }
    }
}

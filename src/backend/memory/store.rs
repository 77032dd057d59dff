//! The bounded memory store: one map for the embedded default, the near cache and the fallback.
//!
//! Pure and single-threaded: time is an argument (`now`, microseconds on a monotonic clock), and
//! whoever shares the store puts a lock around it. Each method is one atomic step.
//!
//! What must never happen: more bytes than the limit; a journalled entry dropped for room while a
//! clean one stays; an expired entry given out; a load filling a key that was written or deleted
//! since the load began.
use std::sync::Arc;

use bytes::BytesMut;
use lru::LruCache;

pub use super::data::{Data, End, Hash, List, Set};
pub use super::entry::{Entry, Standing, Terms};
use super::expiry::{Expiry, Record};
use super::leases::Leases;
pub use super::leases::{MAX_LEASE_BYTES, MAX_LEASES, Taken};
pub use super::markers::Markers;
pub use super::marks::Marks;
use super::messages::Messages;
pub use super::outcome::{Evicted, Full, Owned, Stats};
use super::rates::Rates;
use super::sessions::Sessions;
use crate::backend::policy::{Marker, Verdict};
use crate::backend::scope::Scope;
use crate::base::keys::Keys;
use crate::base::stamp::Stamp;

/// How much limits may take, of as much as the store may take besides.
const RATES_PERCENT: usize = 32;
/// How much sessions may.
const SESSIONS_PERCENT: usize = 50;
/// How much streams of messages may.
const MESSAGES_PERCENT: usize = 20;

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
    /// What is known of tags.
    pub markers: Markers,
    pub marks: Arc<Marks>,
    /// What limits are charged; bounded by itself.
    pub rates: Rates,
    /// The sessions; bounded by themselves.
    pub sessions: Sessions,
    /// Streams of messages; bounded by themselves.
    pub messages: Messages,
    owned: Vec<Owned>,
    /// A marker's name, while it is looked for.
    scratch: BytesMut,
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
            markers: Markers::default(),
            marks: Arc::new(Marks::default()),
            rates: Rates::new(limit_bytes / 100 * RATES_PERCENT),
            sessions: Sessions::new(limit_bytes / 100 * SESSIONS_PERCENT),
            messages: Messages::new(limit_bytes / 100 * MESSAGES_PERCENT),
            owned: Vec::new(),
            scratch: BytesMut::new(),
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

    /// The live entry, which counts as used, and what it is worth. Under a link every marker of its tags has to
    /// be known, or nothing is answered; without one what is known here has to do.
    pub fn judged(
        &mut self,
        key: &[u8],
        now: u64,
        keys: &Keys,
        link: Option<u32>,
    ) -> Option<(&Entry, Verdict)> {
        self.drop_if_expired(key, now);
        let slot = match self.clean.get_mut(key) {
            Some(slot) => slot,
            None => self.journalled.get_mut(key)?,
        };
        let stamp = slot.entry.stamp;
        let own = if slot.entry.is_stale(now) { Verdict::Stale } else { Verdict::Fresh };
        let state = self.markers.state(link.is_some());
        let terms = slot.entry.terms.as_deref_mut();
        let Some(terms) = terms.filter(|terms| !terms.tags.is_empty() && terms.checked != state)
        else {
            return Some((&slot.entry, own));
        };
        let (mut worst, mut all_known) = (Marker::default(), true);
        for tag in terms.tags.iter() {
            keys.write_marker(tag, &mut self.scratch);
            let (marker, known) = match link {
                Some(link) => self.markers.look(&self.scratch, link),
                None => (self.markers.guess(&self.scratch), true),
            };
            worst = worst.max(marker);
            all_known &= known;
        }
        let by_tags = worst.verdict(stamp);
        if by_tags != Verdict::Gone && !all_known {
            return None;
        }
        if by_tags == Verdict::Fresh {
            terms.checked = state;
        }
        Some((&slot.entry, own.max(by_tags)))
    }

    /// The copy that stands there, behind which no intent does.
    pub fn copy(&mut self, key: &[u8]) -> Option<&mut Entry> {
        self.clean.peek_mut(key).map(|slot| &mut slot.entry)
    }

    /// Says that the entry of this stamp is what the server has, under a link. It stays where it is.
    pub fn relink(&mut self, key: &[u8], link: u32, linked_at: u32) {
        if let Some(slot) = self.clean.peek_mut(key) {
            slot.entry.link = link;
            slot.entry.linked_at = linked_at;
            // What is vouched for falls with the next word about it, whoever's that is.
            if link != 0 {
                slot.entry.echo = 0;
            }
        }
    }

    /// What a tag's marker says at least, from now on.
    pub fn raise_marker(&mut self, key: &bytes::Bytes, marker: Marker) {
        self.markers.raise(key, marker);
        self.marks.bump_tags();
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
        let kept = self.keep_copy(key, entry, now)?;
        self.leases.drop_key(key);
        Ok(kept)
    }

    /// The same for a copy of what stands elsewhere: that it was read says nothing to a load that is under way.
    pub fn keep_copy(&mut self, key: &[u8], entry: Entry, now: u64) -> Result<Evicted, Full> {
        let needed = entry.weight(key);
        let Some(room) = self.limit.checked_sub(needed) else {
            return Err(Full { needed, limit: self.limit });
        };
        self.take_out(key);
        if entry.is_expired(now) {
            self.expired += 1;
            return Ok(Evicted::default());
        }
        let evicted = self.make_room(room, now);
        let key: Arc<[u8]> = Arc::from(key);
        let record = entry.expires_at.map(|at| self.expiry.insert(at, Arc::clone(&key)));
        self.bytes += needed;
        self.own(entry.owner, needed);
        self.shelf(entry.standing).put(key, Slot { entry, record });
        Ok(evicted)
    }

    /// Changes a live entry's data in place, and destroys the key's lease. Stamp, standing and expiry
    /// stay. Answers what the change answers, and `None` when there is no entry. One whose last element
    /// was taken out goes. Room for what was added is made as for a set, never at the expense of the
    /// entry itself.
    ///
    /// `grows` is by how many bytes the change may add to the weight, at most. What might not fit then
    /// is tried on a copy, so that a refusal changes nothing; a change that adds more than it said
    /// can lose the entry.
    pub fn update<T>(
        &mut self,
        key: &[u8],
        grows: usize,
        now: u64,
        change: impl FnOnce(&mut Data) -> T,
    ) -> Result<Option<(T, Evicted)>, Full> {
        self.drop_if_expired(key, now);
        let Some(slot) = self.slot(key) else { return Ok(None) };
        if slot.entry.weight(key).saturating_add(grows) <= self.limit {
            return Ok(self.rework(key, now, change));
        }
        let mut tried = slot.entry.clone();
        let answer = change(&mut tried.data);
        let needed = tried.weight(key);
        if needed > self.limit {
            return Err(Full { needed, limit: self.limit });
        }
        Ok(self.rework(key, now, |data| {
            *data = tried.data;
            answer
        }))
    }

    /// Gives a live entry another expiry, or none, and destroys the key's lease. A moment that has come
    /// already removes the entry. Answers whether there was one.
    pub fn expire(&mut self, key: &[u8], expires_at: Option<u64>, now: u64) -> bool {
        if expires_at.is_some_and(|at| at <= now) {
            return self.remove(key, now).is_some();
        }
        self.drop_if_expired(key, now);
        let Some((key, mut slot)) = self.pull(key) else { return false };
        self.leases.drop_key(&key);
        self.marks.bump(&key);
        if let Some(record) = slot.record {
            self.expiry.remove(record);
        }
        slot.record = expires_at.map(|at| self.expiry.insert(at, Arc::clone(&key)));
        slot.entry.expires_at = expires_at;
        self.shelf(slot.entry.standing).put(key, slot);
        true
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

    /// Lets go of a copy.
    pub fn drop_copy(&mut self, key: &[u8]) {
        self.take_out(key);
    }

    /// Makes the live entry stale, and destroys the key's lease even when nothing is stored. Answers whether
    /// there was one.
    pub fn make_stale(&mut self, key: &[u8], now: u64) -> bool {
        self.leases.drop_key(key);
        self.drop_if_expired(key, now);
        let Some((key, mut slot)) = self.pull(key) else { return false };
        self.marks.bump(&key);
        let before = slot.entry.weight(&key);
        slot.entry.expire();
        let grown = slot.entry.weight(&key) - before;
        self.bytes += grown;
        self.owned_mut(slot.entry.owner).bytes += grown;
        self.shelf(slot.entry.standing).put(key, slot);
        self.make_room(self.limit, now);
        true
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

    /// Says that a change of this entry waits for its replay: it is not dropped for want of room.
    pub fn mark_journalled(&mut self, key: &[u8]) {
        if let Some((key, mut slot)) = self.clean.pop_entry(key) {
            slot.entry.standing = Standing::Journalled;
            self.journalled.put(key, slot);
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

    /// Removes all in a scope that is not newer than a stamp, destroys the leases of all keys in it, stored or
    /// not, and answers how many entries went that were live. Reads every key of the store.
    pub fn remove_scope(&mut self, scope: &Scope, stamp: Stamp, now: u64) -> usize {
        self.leases.drop_where(|key| scope.may_cover(key));
        let stored: Vec<Arc<[u8]>> = self
            .slots()
            .filter(|(key, slot)| {
                slot.entry.stamp <= stamp && scope.covers(key, slot.entry.tags().is_some())
            })
            .map(|(key, _)| key)
            .cloned()
            .collect();
        stored.iter().filter(|key| self.remove(key, now).is_some()).count()
    }

    /// The live keys that begin so, in no particular order. Reads every key of the store.
    pub fn keys_with_prefix(&self, prefix: &[u8], now: u64) -> Vec<Box<[u8]>> {
        self.live(now)
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, _)| Box::from(key))
            .collect()
    }

    /// The live entries, in no particular order. None of them counts as used.
    pub fn live(&self, now: u64) -> impl Iterator<Item = (&[u8], &Entry)> {
        self.slots()
            .filter(move |(_, slot)| !slot.entry.is_expired(now))
            .map(|(key, slot)| (&**key, &slot.entry))
    }

    /// Drops all clean entries. Leases stay: forgetting a copy is no delete.
    pub fn clear_clean(&mut self) {
        let clean = std::mem::replace(&mut self.clean, LruCache::unbounded());
        for (key, slot) in clean {
            self.forget(&key, slot);
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

    /// What is held for an owner, and what of it was dropped for room.
    pub fn owned(&self, owner: u16) -> Owned {
        self.owned.get(usize::from(owner)).copied().unwrap_or_default()
    }

    /// Gives the key's lease to the load with this token, until then; a load that held it before lost it.
    pub fn take_lease(&mut self, key: &[u8], token: u64, until: u64) {
        self.leases.take(key, token, until);
    }

    /// Who has the key's lease, and until when it is left to him.
    pub fn lease(&self, key: &[u8]) -> Option<Taken> {
        self.leases.of(key)
    }

    /// Leaves the lease to its holder until then. Answers whether it stood.
    pub fn keep_lease(&mut self, key: &[u8], token: u64, until: u64) -> bool {
        self.leases.keep(key, token, until)
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

    fn own(&mut self, owner: u16, bytes: usize) {
        let owned = self.owned_mut(owner);
        owned.entries += 1;
        owned.bytes += bytes;
    }

    fn owned_mut(&mut self, owner: u16) -> &mut Owned {
        let at = usize::from(owner);
        if self.owned.len() <= at {
            self.owned.resize(at + 1, Owned::default());
        }
        &mut self.owned[at]
    }

    fn slot(&self, key: &[u8]) -> Option<&Slot> {
        self.clean.peek(key).or_else(|| self.journalled.peek(key))
    }

    fn slots(&self) -> impl Iterator<Item = (&Arc<[u8]>, &Slot)> {
        self.clean.iter().chain(self.journalled.iter())
    }

    /// A slot off its shelf; whoever takes one puts it back or settles its accounts.
    fn pull(&mut self, key: &[u8]) -> Option<(Arc<[u8]>, Slot)> {
        self.clean.pop_entry(key).or_else(|| self.journalled.pop_entry(key))
    }

    fn take_out(&mut self, key: &[u8]) -> Option<Entry> {
        let (_, slot) = self.pull(key)?;
        Some(self.forget(key, slot))
    }

    /// Changes an entry off its shelf, where the room that it needs can't be made by dropping it.
    fn rework<T>(
        &mut self,
        key: &[u8],
        now: u64,
        change: impl FnOnce(&mut Data) -> T,
    ) -> Option<(T, Evicted)> {
        let (key, mut slot) = self.pull(key)?;
        self.leases.drop_key(&key);
        self.marks.bump(&key);
        let before = slot.entry.weight(&key);
        self.bytes -= before;
        self.disown(slot.entry.owner, before);
        let answer = change(&mut slot.entry.data);
        slot.entry.data.trim();
        let needed = slot.entry.weight(&key);
        let room = self.limit.checked_sub(needed).filter(|_| !slot.entry.data.is_spent());
        let Some(room) = room else {
            if let Some(record) = slot.record {
                self.expiry.remove(record);
            }
            return Some((answer, Evicted::default()));
        };
        let evicted = self.make_room(room, now);
        self.bytes += needed;
        self.own(slot.entry.owner, needed);
        self.shelf(slot.entry.standing).put(key, slot);
        Some((answer, evicted))
    }

    /// Settles the accounts of a slot that has left its shelf for good.
    fn forget(&mut self, key: &[u8], slot: Slot) -> Entry {
        let Slot { entry, record } = slot;
        if let Some(record) = record {
            self.expiry.remove(record);
        }
        let weight = entry.weight(key);
        self.bytes -= weight;
        self.disown(entry.owner, weight);
        self.marks.bump(key);
        entry
    }

    fn disown(&mut self, owner: u16, bytes: usize) {
        let owned = self.owned_mut(owner);
        owned.entries -= 1;
        owned.bytes -= bytes;
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
                self.owned_mut(slot.entry.owner).evicted += 1;
                self.forget(&key, slot);
                evicted.clean += 1;
            } else if let Some((key, slot)) = self.journalled.pop_lru() {
                self.owned_mut(slot.entry.owner).evicted += 1;
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
        let weight = |key: &[u8], entry: &Entry| {
            entry.weight(key) - entry.data.weight() + entry.data.recount()
        };
        let bytes = self.slots().map(|(key, slot)| weight(key, &slot.entry)).sum();
        let expiring = self.slots().filter(|(_, slot)| slot.entry.expires_at.is_some()).count();
        let twice = self.clean.iter().filter(|(key, _)| self.journalled.contains(*key)).count();
        (bytes, expiring, self.expiry.len(), twice)
    }
}

//! The intents taken while degraded: for each key the last one, and the invalidations of families.
//!
//! Changes of raw keys that merge are kept together, all of them in order; see `changes.rs`.
//!
//! Bounded by bytes. When room is short the oldest sets lose their values and become "delete what is
//! older"; when even that does not fit, a set or a change is refused, so that its caller is told. Deletes are never
//! dropped: beyond the bound they are collapsed into an invalidation of their family.
//!
//! Long, because every step weighs what it moves, and writes it down, by the same few private ones.
mod changes;
mod messages;
mod rates;
pub mod removals;
mod sessions;
#[cfg(test)]
mod tests;
mod weight;

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use lru::LruCache;

use self::messages::waiting;
pub use self::weight::{OVERHEAD, value_bytes};
use self::weight::{payload, sheddable, weight};
use super::durable::{Log, Record, Snapshot};
use crate::backend::Scope;
use crate::backend::intent::{Intent, Wish};
use crate::backend::message::Waiting;
use crate::backend::scopes::Scopes;
use crate::base::plant::Plant;
use crate::base::stamp::Stamp;

/// What the invalidation of a scope costs besides its text, which it has twice.
const INVALIDATION: usize = 400;
/// Everything in a scope that is older than the stamp goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidation {
    pub scope: Scope,
    pub stamp: Stamp,
}

/// An ordered map that never shrinks by itself; in the order in which the intents came.
type Shelf = LruCache<Bytes, Intent>;

#[derive(Debug)]
pub struct Journal {
    limit: usize,
    bytes: usize,
    /// The part of `bytes` that is payloads of sets.
    payloads: usize,
    deletes: Shelf,
    sets: Shelf,
    changes: Shelf,
    /// What keys of limiters were charged, and its bytes, which `bytes` does not count.
    rates: Shelf,
    rate_bytes: usize,
    /// Changes of sessions.
    sessions: Shelf,
    /// What ended sessions; they are neither dropped nor collapsed.
    revocations: Shelf,
    /// Messages, by the keys of their channels' streams, and how many of them may be given up.
    messages: Shelf,
    /// The keys of which messages are on their way.
    out: HashSet<Bytes>,
    plain: usize,
    invalidations: Scopes<Stamp>,
    /// Those that are being carried out.
    under_way: Scopes<Stamp>,
    dropped: u64,
    collapsed: u64,
    /// Intents that were taken out and whose replay has not ended.
    taken: usize,
    /// The same as far as the log still has them; empty without one.
    replaying: BTreeMap<(Bytes, Stamp), Intent>,
    /// The most that waited at once since nothing did.
    most: usize,
    /// Where every change is written down as well.
    log: Option<Log>,
}

impl Journal {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: 0,
            payloads: 0,
            deletes: LruCache::unbounded(),
            sets: LruCache::unbounded(),
            changes: LruCache::unbounded(),
            rates: LruCache::unbounded(),
            rate_bytes: 0,
            sessions: LruCache::unbounded(),
            revocations: LruCache::unbounded(),
            messages: LruCache::unbounded(),
            out: HashSet::new(),
            plain: 0,
            invalidations: Scopes::default(),
            under_way: Scopes::default(),
            dropped: 0,
            collapsed: 0,
            taken: 0,
            replaying: BTreeMap::new(),
            most: 0,
            log: None,
        }
    }

    /// Writes every change down from now on.
    pub fn keep_in(&mut self, log: Log) {
        self.log = Some(log);
    }

    /// Nothing is written down any more.
    pub fn leave_log(&mut self) -> Option<Log> {
        self.log.take()
    }

    pub fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    /// Intents that are not settled, those on their way included.
    pub fn depth(&self) -> usize {
        self.owed() + self.taken
    }

    /// Intents that wait.
    pub fn owed(&self) -> usize {
        self.shelves().map(LruCache::len).into_iter().sum::<usize>() + self.invalidations.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets that lost their value, or were refused, for want of room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Deletes that were collapsed into invalidations of their families.
    pub fn collapsed(&self) -> u64 {
        self.collapsed
    }

    /// The stamp of the intent that waits longest.
    pub fn oldest(&self) -> Option<Stamp> {
        let first = |shelf: &Shelf| shelf.peek_lru().map(|(_, intent)| intent.stamp);
        let cleared = self.invalidations.iter().map(|(_, stamp)| *stamp);
        let changed =
            self.changes.peek_lru().and_then(|(_, intent)| changes::of(intent)?.entries().first());
        let changed = changed.map(|entry| entry.stamp);
        let others = [&self.deletes, &self.sets, &self.rates, &self.sessions, &self.revocations];
        let first = others.into_iter().filter_map(first);
        // The channel that was quiet longest need not be the one that waits longest.
        let told = self.messages.iter().filter_map(|(_, intent)| waiting(intent)?.oldest());
        cleared.chain(first).chain(changed).chain(told).min()
    }

    /// The set or the delete that waits for this key.
    pub fn peek(&self, key: &[u8]) -> Option<&Intent> {
        self.sets.peek(key).or_else(|| self.deletes.peek(key))
    }

    /// Whether anything waits for this key.
    pub fn holds(&self, key: &[u8]) -> bool {
        self.shelves().iter().any(|shelf| shelf.contains(key))
    }

    /// The intents that wait: what removes first, of each kind in the order in which they came.
    pub fn intents(&self) -> impl Iterator<Item = &Intent> {
        self.shelves().into_iter().flat_map(|shelf| shelf.iter().rev()).map(|(_, intent)| intent)
    }

    /// In the order in which they are replayed.
    fn shelves(&self) -> [&Shelf; 7] {
        [
            &self.revocations,
            &self.deletes,
            &self.sets,
            &self.sessions,
            &self.changes,
            &self.messages,
            &self.rates,
        ]
    }

    /// Those that wait, the oldest first.
    pub fn invalidations(&self) -> Vec<Invalidation> {
        removals::listed(&self.invalidations)
    }

    /// What the log would hold, had it never failed: all that waits or is on its way.
    pub fn snapshot(&self) -> Snapshot {
        let intents = self.replaying.values().chain(self.intents());
        let mut invalidations = removals::listed(&self.under_way);
        invalidations.extend(self.invalidations());
        Snapshot { invalidations, intents: intents.cloned().collect() }
    }

    /// The newest stamp that is known of this key: of its own intent, or of an invalidation over it.
    pub fn newest(&self, key: &[u8]) -> Option<Stamp> {
        let over = self.invalidations.over(key, false).map(|(_, stamp)| *stamp);
        over.chain(self.peek(key).map(newest)).max()
    }

    /// Makes room for a set of so many bytes: the oldest sets lose their values. Answers false, and
    /// counts it as dropped, when it does not fit even so.
    pub fn make_room(&mut self, key: &[u8], payload: usize) -> bool {
        let needed = OVERHEAD + key.len() + payload;
        if self.bytes - self.payloads + needed > self.limit {
            self.dropped += 1;
            return false;
        }
        self.shed(self.limit - needed);
        true
    }

    /// Takes a set, unless it does not fit; then it is counted and refused.
    pub fn set(&mut self, intent: Intent) -> bool {
        if !self.make_room(&intent.key, payload(&intent)) {
            return false;
        }
        self.write(|| Record::Intent(&intent));
        self.forget(&intent.key);
        self.put(intent);
        true
    }

    /// What waits and is older than a clear of somebody else is settled; answers which sets, and how many
    /// changes.
    pub fn supersede(
        &mut self,
        older: &dyn Fn(&[u8], bool, Stamp) -> bool,
    ) -> (Vec<(Bytes, Stamp)>, usize) {
        let is_old = |(key, intent): &(&Bytes, &Intent)| older(key, tagged(intent), intent.stamp);
        let covered = self.sets.iter().filter(is_old);
        let covered: Vec<_> = covered.map(|(key, intent)| (key.clone(), intent.stamp)).collect();
        for (key, stamp) in &covered {
            self.write(|| Record::Settled { key, stamp: *stamp });
            self.settle_set(key, &|tagged, stamp| older(key, tagged, stamp));
        }
        let changes = self.forget_changes(&|key, stamp| older(key, false, stamp), true);
        self.note_empty();
        (covered, changes)
    }

    /// What waits for this key, but for messages, which go in parts.
    pub fn take(&mut self, key: &[u8]) -> Option<Intent> {
        if self.messages.contains(key) {
            return None;
        }
        let intent = self.pop(key)?;
        self.take_out(&intent);
        Some(intent)
    }

    /// Some intents, deletes before sets and these before changes, of each kind those first that came
    /// first; bounded by number and by bytes, but at least one, if there is one.
    pub fn take_some(&mut self, at_most: usize, bytes: usize) -> Vec<Intent> {
        let kind = self.shelves().iter().position(|shelf| !shelf.is_empty());
        match kind {
            Some(0 | 1) => self.take_deletes(at_most),
            Some(2) => self.take_from(|journal| &mut journal.sets, at_most, bytes),
            Some(3) => self.take_from(|journal| &mut journal.sessions, at_most, bytes),
            Some(4) => self.take_from(|journal| &mut journal.changes, at_most, bytes),
            Some(5) => self.take_messages(at_most, bytes),
            Some(_) => self.take_from(|journal| &mut journal.rates, at_most, bytes),
            None => Vec::new(),
        }
    }

    /// What removes: ends of sessions, then deletes.
    pub fn take_deletes(&mut self, at_most: usize) -> Vec<Intent> {
        if !self.revocations.is_empty() {
            return self.take_ends(at_most);
        }
        self.take_from(|journal| &mut journal.deletes, at_most, usize::MAX)
    }

    fn take_from(
        &mut self,
        shelf: fn(&mut Self) -> &mut Shelf,
        at_most: usize,
        bytes: usize,
    ) -> Vec<Intent> {
        let mut taken = Vec::new();
        let mut room = bytes;
        while taken.len() < at_most
            && let Some((_, next)) = shelf(self).peek_lru()
        {
            let weight = weight(next);
            if weight > room && !taken.is_empty() {
                break;
            }
            room = room.saturating_sub(weight);
            if let Some((_, intent)) = shelf(self).pop_lru() {
                self.take_out(&intent);
                taken.push(intent);
            }
        }
        taken
    }

    /// The replay of an intent that was taken ended.
    pub fn settle(&mut self, intent: &Intent) {
        if let Wish::Change(changes) = &intent.wish {
            let (key, entries) = (&intent.key, changes.entries());
            entries.iter().for_each(|entry| self.write(|| Record::Done { key, id: entry.id() }));
        }
        match &intent.wish {
            // Others of its channel may wait.
            Wish::Publish(waiting) => waiting.iter().for_each(|held| {
                self.write(|| Record::Told { key: &intent.key, stamp: held.stamp });
            }),
            _ => self.write(|| Record::Settled { key: &intent.key, stamp: intent.stamp }),
        }
        self.take_back(intent);
        self.note_empty();
    }

    /// Takes back an intent whose replay did not end, unless a newer one came for its key. It was
    /// counted as kept once already, so it is not refused now. It is the first of those that wait.
    pub fn put_back(&mut self, mut intent: Intent) {
        let before = self.take_back(&intent);
        if let Wish::Change(changes) = &mut intent.wish {
            changes.mark_sent();
            return self.put_before(intent);
        }
        if let Wish::Invalidate(_) = intent.wish {
            return self.put_removals(intent);
        }
        if let Wish::Rate(owed) = &mut intent.wish {
            owed.mark_sent();
            return self.put_charges(intent);
        }
        match intent.wish {
            Wish::Session(_) => return self.put_session(intent),
            Wish::End(_) | Wish::EndAll(_) => return self.put_end(intent),
            Wish::Publish(_) => return self.put_part(intent, before.as_ref()),
            _ => {}
        }
        let mut intent = self.expired_meanwhile(intent);
        if self.is_outdated(&intent) {
            match self.left_of(&intent) {
                Some(left) => intent = left,
                None => return self.note_empty(),
            }
        }
        let key = intent.key.clone();
        self.forget(&key);
        self.put(intent);
        self.sets.demote(&key);
        self.deletes.demote(&key);
    }

    /// Takes over what another process left behind, unless something newer is known here.
    pub fn adopt(&mut self, intent: Intent) {
        match intent.wish {
            Wish::Change(_) => return self.adopt_changes(intent),
            Wish::Rate(_) => {
                self.write(|| Record::Intent(&intent));
                return self.put_charges(intent);
            }
            Wish::Invalidate(_) => {
                self.write(|| Record::Intent(&intent));
                return self.put_removals(intent);
            }
            Wish::Session(_) => {
                self.write(|| Record::Intent(&intent));
                return self.put_session(intent);
            }
            Wish::End(_) | Wish::EndAll(_) => return self.end_session(intent),
            Wish::Publish(_) => return self.adopt_messages(intent),
            Wish::Expire
                if self.sets.peek(&intent.key).is_some_and(|set| set.stamp < intent.stamp) =>
            {
                return self.expire_waiting(&intent.key, intent.stamp);
            }
            _ => {}
        }
        let mut intent = self.expired_meanwhile(intent);
        if self.is_outdated(&intent) {
            match self.left_of(&intent) {
                Some(left) => intent = left,
                None => return,
            }
        }
        self.write(|| Record::Intent(&intent));
        self.forget(&intent.key);
        self.put(intent);
        self.shed(self.limit);
    }

    /// Whether families wait to be invalidated, or sessions to be ended, which goes before anybody reads from the server.
    pub fn has_invalidations(&self) -> bool {
        !self.invalidations.is_empty() || !self.revocations.is_empty()
    }

    /// Drops every intent under a prefix, on request.
    pub fn forget_prefix(&mut self, prefix: &[u8]) {
        self.write(|| Record::Forgotten { prefix });
        let keys = self.intents().map(|intent| intent.key.clone());
        let keys: Vec<Bytes> = keys.filter(|key| key.starts_with(prefix)).collect();
        for key in keys {
            self.forget(&key);
        }
        self.replaying.retain(|(key, _), _| !key.starts_with(prefix));
        self.note_empty();
    }

    /// For tests: loses what was just taken.
    pub fn plant(&mut self, plant: Plant, key: Option<&Bytes>) {
        match (plant, key) {
            (Plant::DeletesAreForgotten, Some(key)) => {
                if let Some(intent) = self.deletes.pop(key) {
                    self.unweigh(&intent);
                }
            }
            (Plant::ClearsAreForgotten, None) => self.invalidations = Scopes::default(),
            _ => {}
        }
    }

    fn is_outdated(&self, intent: &Intent) -> bool {
        let newer = self.peek(&intent.key).is_some_and(|newer| newer.stamp >= intent.stamp);
        // A delete stays even so: its tombstone tells others what the invalidation would not.
        let covered = matches!(intent.wish, Wish::Set { .. })
            && self
                .invalidations
                .over(&intent.key, tagged(intent))
                .any(|(_, stamp)| *stamp >= intent.stamp);
        newer || covered
    }

    /// The oldest sets lose their values until no more than so many bytes are held.
    fn shed(&mut self, room: usize) {
        while self.bytes > room
            && let Some((_, set)) = self.sets.pop_lru()
        {
            self.unweigh(&set);
            self.dropped += 1;
            // What remains is "delete what is older".
            let intent = Intent { stamp: newest(&set), wish: Wish::Delete, ..set };
            self.write(|| Record::Intent(&intent));
            self.put(intent);
        }
    }

    fn put(&mut self, intent: Intent) {
        match &intent.wish {
            Wish::Rate(_) => self.rate_bytes += weight(&intent),
            _ => self.bytes += weight(&intent),
        }
        self.payloads += sheddable(&intent);
        self.plain += waiting(&intent).map_or(0, Waiting::plain);
        let shelf = match intent.wish {
            Wish::Delete | Wish::Expire | Wish::Invalidate(_) => &mut self.deletes,
            Wish::Set { .. } => &mut self.sets,
            Wish::Change(_) => &mut self.changes,
            Wish::Rate(_) => &mut self.rates,
            Wish::Session(_) => &mut self.sessions,
            Wish::End(_) | Wish::EndAll(_) => &mut self.revocations,
            Wish::Publish(_) => &mut self.messages,
        };
        shelf.put(intent.key.clone(), intent);
        self.most = self.most.max(self.owed());
    }

    fn forget(&mut self, key: &[u8]) {
        if let Some(intent) = self.pop(key) {
            self.unweigh(&intent);
        }
    }

    fn pop(&mut self, key: &[u8]) -> Option<Intent> {
        let shelves = [
            &mut self.sets,
            &mut self.deletes,
            &mut self.sessions,
            &mut self.revocations,
            &mut self.changes,
            &mut self.messages,
            &mut self.rates,
        ];
        shelves.into_iter().find_map(|shelf| shelf.pop(key))
    }

    fn take_out(&mut self, intent: &Intent) {
        if let Wish::Change(_) = intent.wish {
            self.write(|| Record::Sent { key: &intent.key });
        }
        self.unweigh(intent);
        self.lend(intent);
    }

    /// It is on its way from now on, and not weighed any more.
    fn lend(&mut self, intent: &Intent) {
        self.taken += 1;
        if let Wish::Publish(_) = intent.wish {
            self.out.insert(intent.key.clone());
        }
        if self.log.is_some() {
            self.replaying.insert((intent.key.clone(), intent.stamp), intent.clone());
        }
    }

    /// The opposite, but for the weight. Answers it as it was sent, where the log still has it.
    fn take_back(&mut self, intent: &Intent) -> Option<Intent> {
        self.taken = self.taken.saturating_sub(1);
        if let Wish::Publish(_) = intent.wish {
            self.out.remove(&intent.key);
        }
        self.log.as_ref()?;
        self.replaying.remove(&(intent.key.clone(), intent.stamp))
    }

    fn unweigh(&mut self, intent: &Intent) {
        match &intent.wish {
            Wish::Rate(_) => self.rate_bytes -= weight(intent),
            _ => self.bytes -= weight(intent),
        }
        self.payloads -= sheddable(intent);
        self.plain -= waiting(intent).map_or(0, Waiting::plain);
    }

    fn write<'a>(&self, record: impl FnOnce() -> Record<'a>) {
        if let Some(log) = &self.log {
            log.write(&record());
        }
    }

    /// Nothing is owed any more: the log begins anew, and tables that an outage made large are let go.
    fn note_empty(&mut self) {
        if self.depth() > 0 {
            return;
        }
        if let Some(log) = &self.log {
            log.begin_anew();
        }
        if std::mem::take(&mut self.most) > 1_000 {
            self.sets = LruCache::unbounded();
            self.deletes = LruCache::unbounded();
            self.changes = LruCache::unbounded();
            self.rates = LruCache::unbounded();
            self.sessions = LruCache::unbounded();
            self.revocations = LruCache::unbounded();
            self.messages = LruCache::unbounded();
        }
    }
}

/// The newest of what is asked for a key.
fn newest(intent: &Intent) -> Stamp {
    expired_at(intent).map_or(intent.stamp, |expired| intent.stamp.max(expired))
}

/// When the value that a set brings was made stale.
fn expired_at(set: &Intent) -> Option<Stamp> {
    match &set.wish {
        Wish::Set { expired, .. } => expired.as_deref().copied(),
        _ => None,
    }
}

/// Whether an intent brings a value with tags.
fn tagged(intent: &Intent) -> bool {
    matches!(&intent.wish, Wish::Set { value, .. } if !value.policy.tags.is_empty())
}

//! Changes of raw keys that merge: those of a key wait together, all of them in order.
use bytes::Bytes;

use super::super::durable::Record;
use super::{Journal, weight};
use crate::backend::change::{Change, Changes, Entry};
use crate::backend::intent::{Intent, Wish};
use crate::backend::scopes::Scopes;
use crate::base::stamp::Stamp;

impl Journal {
    /// Whether changes wait for this key.
    pub fn changes(&self, key: &[u8]) -> bool {
        self.changes.contains(key)
    }

    /// Whether there is room for a change; makes it.
    pub fn has_room_for(&mut self, key: &[u8], change: &Change) -> bool {
        let takes = self.changes.peek(key).and_then(of).is_none_or(|waiting| waiting.takes(change));
        takes && self.make_room(key, Entry::weight(change))
    }

    /// Takes a change of a raw key, behind those that wait there. There is room for it.
    pub fn change(&mut self, key: &Bytes, entry: Entry) {
        self.write(|| Record::Change { key, entry: &entry });
        let (stamp, one) = (entry.stamp, |entry| Changes::from_iter([entry]));
        let Some(intent) = self.changes.get_mut(key) else {
            return self.put(Intent { key: key.clone(), stamp, wish: Wish::Change(one(entry)) });
        };
        let before = weight(intent);
        if let Wish::Change(changes) = &mut intent.wish {
            changes.push(entry);
        }
        intent.stamp = stamp.max(intent.stamp);
        self.bytes = self.bytes - before + weight(intent);
    }

    /// Somebody else may send the changes that wait from now on, so they stay as they are.
    pub fn share_changes(&mut self) {
        for (key, intent) in &mut self.changes {
            if let Wish::Change(changes) = &mut intent.wish {
                changes.mark_sent();
            }
            if let Some(log) = &self.log {
                log.write(&Record::Sent { key });
            }
        }
    }

    pub(super) fn forget_changes(
        &mut self,
        older: &dyn Fn(&[u8], Stamp) -> bool,
        told: bool,
    ) -> usize {
        let is_old = |key: &[u8], entry: &Entry| older(key, entry.stamp);
        let touched = self.changes.iter().filter(|(key, intent)| {
            of(intent).is_some_and(|all| all.entries().iter().any(|entry| is_old(key, entry)))
        });
        let mut forgotten = 0;
        for key in touched.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            let Some(mut intent) = self.changes.pop(&key) else { continue };
            self.unweigh(&intent);
            let Wish::Change(changes) = &mut intent.wish else { continue };
            for entry in changes.entries().iter().filter(|entry| told && is_old(&key, entry)) {
                self.write(|| Record::Done { key: &key, id: entry.id() });
            }
            let before = changes.entries().len();
            changes.forget(&|entry| is_old(&key, entry));
            forgotten += before - changes.entries().len();
            if !changes.is_empty() {
                self.put(intent);
            }
        }
        forgotten
    }

    /// Those that wait already, or are on their way, are not taken twice.
    pub(super) fn adopt_changes(&mut self, mut intent: Intent) {
        let on_its_way = self.replaying.values().filter(|other| other.key == intent.key);
        let known = on_its_way.chain(self.changes.peek(&intent.key)).filter_map(of);
        let known: Vec<_> = known.flat_map(Changes::entries).map(Entry::id).collect();
        let Wish::Change(changes) = &mut intent.wish else { return };
        let cleared = |stamp: Stamp| {
            let over = |all: &Scopes<Stamp>| {
                all.over(&intent.key, false).any(|(_, cleared)| *cleared >= stamp)
            };
            over(&self.invalidations) || over(&self.under_way)
        };
        changes.forget(&|entry| known.contains(&entry.id()) || cleared(entry.stamp));
        if !changes.is_empty() {
            self.write(|| Record::Intent(&intent));
            self.put_before(intent);
        }
    }

    /// Changes that may have reached the server go before those that came meanwhile.
    pub(super) fn put_before(&mut self, mut former: Intent) {
        let later = self.changes.pop(&former.key);
        if let Some(later) = &later {
            self.unweigh(later);
        }
        let Wish::Change(changes) = &mut former.wish else { return };
        if let Some(Intent { wish: Wish::Change(mut later), stamp, .. }) = later {
            later.put_before(std::mem::take(changes));
            *changes = later;
            former.stamp = former.stamp.max(stamp);
        }
        self.put(former);
    }
}

/// What waits in an intent of changes.
pub(super) fn of(intent: &Intent) -> Option<&Changes> {
    match &intent.wish {
        Wish::Change(changes) => Some(changes),
        _ => None,
    }
}

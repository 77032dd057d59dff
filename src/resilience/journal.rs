//! The intents taken while degraded: for each key the last one, and the invalidations of families.
//!
//! Deletes are never dropped. Sets are bounded by bytes: one that does not fit is refused, so that its
//! caller is told, instead of one that was acknowledged being lost.
use std::collections::HashMap;

use bytes::Bytes;

use crate::backend::intent::{Intent, Wish};
use crate::base::stamp::Stamp;

/// What an intent costs beside its key and payload: map node, stamp, expiry.
const OVERHEAD: usize = 96;

/// Everything that begins so and is older than the stamp goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidation {
    pub prefix: Bytes,
    pub stamp: Stamp,
}

#[derive(Debug, Default)]
pub struct Journal {
    limit: usize,
    bytes: usize,
    deletes: HashMap<Bytes, Intent>,
    sets: HashMap<Bytes, Intent>,
    invalidations: Vec<Invalidation>,
    dropped: u64,
    /// Intents that were taken out and whose replay has not ended.
    taken: usize,
}

impl Journal {
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Intents that are not settled, those on their way included.
    pub fn depth(&self) -> usize {
        self.owed() + self.taken
    }

    /// Intents that wait.
    pub fn owed(&self) -> usize {
        self.deletes.len() + self.sets.len() + self.invalidations.len()
    }

    /// The newest stamp that is known of this key: of its own intent, or of an invalidation over it.
    pub fn newest(&self, key: &[u8]) -> Option<Stamp> {
        let own = self.sets.get(key).or_else(|| self.deletes.get(key)).map(|intent| intent.stamp);
        let over = self.invalidations.iter().filter(|other| key.starts_with(&other.prefix));
        over.map(|other| other.stamp).chain(own).max()
    }

    /// Whether a set of so many bytes would be taken. Counts it as dropped when not.
    pub fn has_room(&mut self, key: &[u8], payload: usize) -> bool {
        let fits = self.bytes + OVERHEAD + key.len() + payload <= self.limit;
        self.dropped += u64::from(!fits);
        fits
    }

    /// So many replays ended, one way or the other.
    pub fn settled(&mut self, count: usize) {
        self.taken = self.taken.saturating_sub(count);
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes a set, unless it does not fit; then it is counted and refused.
    pub fn set(&mut self, intent: Intent) -> bool {
        if self.bytes + weight(&intent) > self.limit {
            self.dropped += 1;
            return false;
        }
        self.forget(&intent.key);
        self.bytes += weight(&intent);
        self.sets.insert(intent.key.clone(), intent);
        true
    }

    /// Takes a delete; always.
    pub fn delete(&mut self, key: Bytes, stamp: Stamp) {
        self.forget(&key);
        let intent = Intent { key: key.clone(), stamp, wish: Wish::Delete };
        self.bytes += weight(&intent);
        self.deletes.insert(key, intent);
    }

    /// Takes an invalidation of a family; it settles every earlier set in it.
    pub fn invalidate(&mut self, prefix: Bytes, stamp: Stamp) {
        self.forget_sets(&prefix, stamp);
        let within =
            |other: &Invalidation| other.prefix.starts_with(&prefix) && other.stamp <= stamp;
        let same = self.invalidations.iter().find(|other| other.prefix == prefix);
        if same.is_some_and(|same| same.stamp > stamp) {
            return;
        }
        self.invalidations.retain(|other| !within(other));
        self.invalidations.push(Invalidation { prefix, stamp });
    }

    /// Sets under a prefix that are not newer than this are settled: they are gone.
    pub fn forget_sets(&mut self, prefix: &[u8], stamp: Stamp) {
        let covered: Vec<Bytes> = self
            .sets
            .iter()
            .filter(|(key, intent)| key.starts_with(prefix) && intent.stamp <= stamp)
            .map(|(key, _)| key.clone())
            .collect();
        for key in covered {
            self.forget(&key);
        }
    }

    /// The set behind this key lost its value: what remains is "delete older than".
    pub fn downgrade(&mut self, key: &[u8]) {
        if let Some((key, intent)) = self.sets.remove_entry(key) {
            self.bytes -= weight(&intent);
            self.dropped += 1;
            self.delete(key, intent.stamp);
        }
    }

    pub fn take(&mut self, key: &[u8]) -> Option<Intent> {
        let intent = self.sets.remove(key).or_else(|| self.deletes.remove(key))?;
        self.bytes -= weight(&intent);
        self.taken += 1;
        Some(intent)
    }

    /// Some sets, bounded by number and by bytes; at least one, if there is one.
    pub fn take_sets(&mut self, at_most: usize, bytes: usize) -> Vec<Intent> {
        let mut room = bytes;
        let fits = |(at, (_, intent)): &(usize, (&Bytes, &Intent))| {
            let weight = weight(intent);
            let fits = *at == 0 || weight <= room;
            room = room.saturating_sub(weight);
            fits
        };
        let some = self.sets.iter().take(at_most).enumerate().take_while(fits);
        let keys: Vec<Bytes> = some.map(|(_, (key, _))| key.clone()).collect();
        keys.iter().filter_map(|key| self.take(key)).collect()
    }

    pub fn take_deletes(&mut self, at_most: usize) -> Vec<Intent> {
        let keys: Vec<Bytes> = self.deletes.keys().take(at_most).cloned().collect();
        keys.iter().filter_map(|key| self.take(key)).collect()
    }

    pub fn take_invalidation(&mut self) -> Option<Invalidation> {
        if self.invalidations.is_empty() {
            return None;
        }
        self.taken += 1;
        Some(self.invalidations.remove(0))
    }

    pub fn put_back_invalidation(&mut self, invalidation: Invalidation) {
        self.settled(1);
        self.invalidate(invalidation.prefix, invalidation.stamp);
    }

    /// Takes back an intent whose replay did not end, unless a newer one came for its key.
    /// It was counted as kept once already, so it is not refused now.
    pub fn put_back(&mut self, intent: Intent) {
        self.settled(1);
        let newer = self.sets.get(&intent.key).or_else(|| self.deletes.get(&intent.key));
        // A delete stays even so: its tombstone tells others what the invalidation would not.
        let covered = matches!(intent.wish, Wish::Set { .. })
            && self
                .invalidations
                .iter()
                .any(|other| intent.key.starts_with(&other.prefix) && other.stamp >= intent.stamp);
        if newer.is_some_and(|newer| newer.stamp >= intent.stamp) || covered {
            return;
        }
        self.forget(&intent.key);
        self.bytes += weight(&intent);
        match intent.wish {
            Wish::Delete => self.deletes.insert(intent.key.clone(), intent),
            Wish::Set { .. } => self.sets.insert(intent.key.clone(), intent),
        };
    }

    /// Whether families wait to be invalidated, which goes before anybody reads from the server.
    pub fn has_invalidations(&self) -> bool {
        !self.invalidations.is_empty()
    }

    /// Drops every intent under a prefix, on request.
    pub fn forget_prefix(&mut self, prefix: &[u8]) {
        let keys: Vec<Bytes> = self.sets.keys().chain(self.deletes.keys()).cloned().collect();
        for key in keys.iter().filter(|key| key.starts_with(prefix)) {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: &[u8]) {
        for map in [&mut self.sets, &mut self.deletes] {
            if let Some(intent) = map.remove(key) {
                self.bytes -= weight(&intent);
            }
        }
    }
}

fn weight(intent: &Intent) -> usize {
    let payload = match &intent.wish {
        Wish::Delete => 0,
        Wish::Set { value, .. } => value.payload.len(),
    };
    OVERHEAD + intent.key.len() + payload
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Value;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn stamp(micros: u64) -> Stamp {
        Stamp { micros, process: 1 }
    }

    fn set(key: u8, micros: u64, size: usize) -> Intent {
        let value = Value { payload: vec![0; size].into(), format: 0, compress: true };
        let key = Bytes::from(format!("f:{key}"));
        Intent { key, stamp: stamp(micros), wish: Wish::Set { value, expires_at: None } }
    }

    proptest! {
        #[test]
        fn each_key_keeps_its_last_intent_and_every_byte_is_accounted_for(
            steps in proptest::collection::vec((0u8..4, 0u8..6, 0usize..200), 0..60),
        ) {
            let mut journal = Journal::new(usize::MAX);
            let mut model: BTreeMap<u8, bool> = BTreeMap::new();
            for (at, (kind, key, size)) in steps.into_iter().enumerate() {
                let micros = at as u64 + 1;
                match kind {
                    0 => { journal.delete(Bytes::from(format!("f:{key}")), stamp(micros)); model.insert(key, false); }
                    1 => { prop_assert!(journal.set(set(key, micros, size))); model.insert(key, true); }
                    2 => {
                        let taken = journal.take(format!("f:{key}").as_bytes());
                        prop_assert_eq!(taken.is_some(), model.contains_key(&key));
                        if let Some(intent) = taken { journal.put_back(intent); }
                    }
                    _ => { journal.invalidate(Bytes::from_static(b"f:"), stamp(micros)); model.retain(|_, set| !*set); }
                }
            }
            let sets = model.values().filter(|set| **set).count();
            prop_assert_eq!(journal.sets.len(), sets);
            prop_assert_eq!(journal.deletes.len(), model.len() - sets);
            while let Some(intent) = journal.take_sets(1, 1).pop().or_else(|| journal.take_deletes(1).pop()) {
                drop(intent);
            }
            prop_assert_eq!(journal.bytes(), 0);
        }
    }

    #[test]
    fn a_set_that_does_not_fit_is_refused_and_a_delete_never_is() {
        let mut journal = Journal::new(300);
        assert!(journal.set(set(1, 1, 100)));
        assert!(!journal.set(set(2, 2, 100)));
        assert_eq!(journal.dropped(), 1);
        for key in 0..100u8 {
            journal.delete(Bytes::from(format!("f:{key}")), stamp(3));
        }
        assert_eq!(journal.depth(), 100);
    }

    #[test]
    fn an_intent_that_comes_back_yields_to_a_newer_one() {
        let mut journal = Journal::new(usize::MAX);
        journal.delete(Bytes::from_static(b"f:1"), stamp(5));
        journal.put_back(set(1, 4, 10));
        assert!(journal.sets.is_empty());
        journal.invalidate(Bytes::from_static(b"g:"), stamp(9));
        journal.put_back(Intent { key: Bytes::from_static(b"g:1"), ..set(1, 8, 1) });
        assert!(journal.sets.is_empty());
    }
}

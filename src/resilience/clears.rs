//! Clears by other processes. A tombstone stands only where there was a key; a set that waits here for an
//! absent key of a family that somebody cleared meanwhile is told by the server's list of clears.
//!
//! The list is read before sets are replayed: what is older than a clear is not written any more. It is read
//! again when they are: what a clear in between may have missed is removed.
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::fallback::Fallback;
use crate::backend::redis::Replayer;
use crate::base::error::Result;
use crate::base::stamp::Stamp;
use crate::config::SyncMode;

/// The families that were cleared lately, each with the microseconds of its last clear.
#[derive(Debug, Default)]
struct Clears {
    by_prefix: HashMap<Bytes, u64>,
    lengths: BTreeSet<usize>,
}

impl Clears {
    fn new(list: Vec<(Bytes, u64)>) -> Self {
        let lengths = list.iter().map(|(prefix, _)| prefix.len()).collect();
        Self { by_prefix: list.into_iter().collect(), lengths }
    }

    /// The last clear over a key.
    fn over(&self, key: &[u8]) -> Option<u64> {
        let heads = self.lengths.iter().map_while(|&length| key.get(..length));
        heads.filter_map(|head| self.by_prefix.get(head).copied()).max()
    }
}

/// Sets that were replayed. Dropped before they are looked after, whatever broke in, they go back.
struct Replayed<'a> {
    fallback: &'a Fallback,
    sets: HashMap<Bytes, Stamp>,
}

impl<'a> Replayed<'a> {
    fn taken_from(fallback: &'a Fallback) -> Self {
        Self { fallback, sets: std::mem::take(&mut *fallback.replayed_sets.lock()) }
    }
}

impl Drop for Replayed<'_> {
    fn drop(&mut self) {
        if self.sets.is_empty() {
            return;
        }
        let mut sets = self.fallback.replayed_sets.lock();
        for (key, stamp) in self.sets.drain() {
            // The older one is the more careful.
            let known = sets.entry(key).or_insert(stamp);
            *known = stamp.min(*known);
        }
    }
}

impl Fallback {
    /// Before sets are replayed, and after that.
    pub(super) async fn heed_clears(&self, replayer: &mut Replayer) -> Result<()> {
        // Where replays don't compare, they don't yield to clears either.
        if self.config.sync_mode != SyncMode::Newest {
            self.replayed_sets.lock().clear();
            return Ok(());
        }
        // What is replayed from here on is looked after the next time.
        let mut replayed = Replayed::taken_from(self);
        let clears = Clears::new(replayer.clears().await?);
        let newest = clears.by_prefix.values().max().copied().unwrap_or(0);
        self.stamps.observe(Stamp { micros: newest, process: 0 });
        let older = |key: &[u8], stamp: Stamp| {
            clears.over(key).filter(|&micros| self.stamps.settle(stamp).micros <= micros)
        };
        let mut local = self.local.lock();
        let now = self.clock.micros();
        let (dropped, changes) = local.journal.supersede(&|key, stamp| older(key, stamp).is_some());
        for (key, stamp) in &dropped {
            local.void(key, Some(*stamp), now);
        }
        self.resync.superseded.fetch_add((dropped.len() + changes) as u64, Ordering::Relaxed);
        for (key, stamp) in std::mem::take(&mut replayed.sets) {
            if let Some(micros) = older(&key, stamp)
                && !local.journal.holds(&key)
            {
                let stamp = Stamp { micros, process: u64::MAX };
                local.void(&key, Some(stamp), now);
                local.journal.delete(key, stamp, &|key| self.keys.family_of(key));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_clear_over_a_key_is_found_among_prefixes_of_every_length() {
        let list = [("a:", 5), ("a:b:", 9), ("c:", 7), ("a:b:c:longer", 11)];
        let list = list.map(|(prefix, micros)| (Bytes::from_static(prefix.as_bytes()), micros));
        let clears = Clears::new(list.to_vec());
        for (key, over) in
            [("a:x", Some(5)), ("a:b:x", Some(9)), ("c:", Some(7)), ("c", None), ("d:x", None)]
        {
            assert_eq!(clears.over(key.as_bytes()), over, "{key}");
        }
    }
}

//! Clears by other processes. A tombstone stands only where there was a key; a set that waits here for an
//! absent key of a family that somebody cleared meanwhile is told by the server's list of clears.
//!
//! The list is read before sets are replayed: what is older than a clear is not written any more. It is read
//! again when they are: what a clear in between may have missed is removed.
use std::collections::HashMap;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::fallback::Fallback;
use crate::backend::Scope;
use crate::backend::redis::Replayer;
use crate::backend::scopes::Scopes;
use crate::base::error::Result;
use crate::base::stamp::Stamp;
use crate::config::SyncMode;

/// What was cleared lately, each with the microseconds of its last clear.
#[derive(Debug)]
struct Clears(Scopes<u64>);

impl Clears {
    fn new(list: Vec<(Scope, u64)>) -> Self {
        Self(list.into_iter().collect())
    }

    fn newest(&self) -> u64 {
        self.0.iter().map(|(_, micros)| *micros).max().unwrap_or(0)
    }

    /// The last clear over a key.
    fn over(&self, key: &[u8], tagged: bool) -> Option<u64> {
        self.0.over(key, tagged).map(|(_, micros)| *micros).max()
    }
}

/// Sets that were replayed. Dropped before they are looked after, whatever broke in, they go back.
struct Replayed<'a> {
    fallback: &'a Fallback,
    sets: HashMap<Bytes, (Stamp, bool)>,
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
        for (key, (stamp, tagged)) in self.sets.drain() {
            // The older one is the more careful.
            let known = sets.entry(key).or_insert((stamp, tagged));
            *known = (stamp.min(known.0), tagged | known.1);
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
        let depth = self.local.lock().journal.depth();
        if depth > 0 {
            self.begin_by_hand(depth);
        }
        // What is replayed from here on is looked after the next time.
        let mut replayed = Replayed::taken_from(self);
        let clears = Clears::new(replayer.clears().await?);
        self.stamps.observe(Stamp { micros: clears.newest(), process: 0 });
        let older = |key: &[u8], tagged: bool, stamp: Stamp| {
            clears.over(key, tagged).filter(|&micros| self.stamps.settle(stamp).micros <= micros)
        };
        let mut local = self.local.lock();
        let now = self.clock.micros();
        let (dropped, changes) =
            local.journal.supersede(&|key, tagged, stamp| older(key, tagged, stamp).is_some());
        for (key, stamp) in &dropped {
            local.void(key, Some(*stamp), now);
        }
        self.resync.superseded.fetch_add((dropped.len() + changes) as u64, Ordering::Relaxed);
        for (key, (stamp, tagged)) in std::mem::take(&mut replayed.sets) {
            if let Some(micros) = older(&key, tagged, stamp)
                && !local.journal.holds(&key)
            {
                let stamp = Stamp { micros, process: u64::MAX };
                local.void(&key, Some(stamp), now);
                local.journal.delete(key, stamp, &self.keys);
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
        let scope = |prefix: &'static str| Scope::Prefix(Bytes::from_static(prefix.as_bytes()));
        let mut list = list.map(|(prefix, micros)| (scope(prefix), micros)).to_vec();
        let (head, pattern) = (Bytes::from_static(b"d:"), "*:y".to_owned());
        list.push((Scope::Pattern { head, pattern }, 8));
        let clears = Clears::new(list);
        for (key, over) in [
            ("a:x", Some(5)),
            ("a:b:x", Some(9)),
            ("c:", Some(7)),
            ("c", None),
            ("d:x", None),
            ("d:x:y", Some(8)),
        ] {
            assert_eq!(clears.over(key.as_bytes(), false), over, "{key}");
        }
    }
}

//! Clears by other processes. A tombstone stands only where there was a key; a set that waits here for an
//! absent key of a family that somebody cleared meanwhile is told by the server's list of clears.
use std::collections::HashMap;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::fallback::Fallback;
use super::journal::Invalidation;
use crate::backend::redis::Replayer;
use crate::base::error::Result;
use crate::base::stamp::Stamp;

/// The clears that no set of ours can have missed, by prefix, in microseconds.
pub type Known = HashMap<Bytes, u64>;

impl Fallback {
    /// Before anything is replayed: what was cleared since it was written is not written any more.
    pub(super) async fn settle_cleared(&self, replayer: &mut Replayer) -> Result<()> {
        let clears = replayer.clears().await?;
        let mut local = self.local.lock();
        let now = self.clock.micros();
        for (prefix, micros) in &clears {
            self.stamps.observe(Stamp { micros: *micros, process: 0 });
            let older = |stamp: Stamp| self.stamps.settle(stamp).micros <= *micros;
            let dropped = local.journal.supersede(prefix, &older);
            for (key, stamp) in &dropped {
                local.void(key, Some(*stamp), now);
            }
            self.resync.superseded.fetch_add(dropped.len() as u64, Ordering::Relaxed);
        }
        drop(local);
        // What was replayed before an outage broke in may have missed some of them.
        if !self.unchecked.load(Ordering::Acquire) {
            *self.known_clears.lock() = clears.into_iter().collect();
        }
        Ok(())
    }

    /// After sets were replayed: a clear that came in between is carried out once more.
    pub(super) async fn repeat_clears(&self, replayer: &mut Replayer) -> Result<()> {
        // What is replayed from here on is looked after the next time.
        self.unchecked.store(false, Ordering::Release);
        let asked = replayer.clears().await;
        if asked.is_err() {
            self.unchecked.store(true, Ordering::Release);
        }
        let clears = asked?;
        let mut known = self.known_clears.lock();
        let mut local = self.local.lock();
        let now = self.clock.micros();
        for (prefix, micros) in &clears {
            if known.get(prefix) < Some(micros) {
                let stamp = Stamp { micros: *micros, process: u64::MAX };
                self.stamps.observe(stamp);
                local.clear(prefix, stamp, now);
                local.journal.invalidate(prefix.clone(), stamp);
            }
        }
        *known = clears.into_iter().collect();
        Ok(())
    }

    /// A clear of our own: our older sets are settled by it.
    pub(super) fn know_clear(&self, Invalidation { prefix, stamp }: &Invalidation) {
        let micros = self.stamps.settle(*stamp).micros;
        let mut known = self.known_clears.lock();
        let newest = known.entry(prefix.clone()).or_default();
        *newest = (*newest).max(micros);
    }
}

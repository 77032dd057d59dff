//! What the app is told of an outage and of the replay after it.
use std::sync::atomic::Ordering;

use super::fallback::Fallback;
use crate::backend::redis::{Change, State};

/// How often the progress of a re-sync is told.
const PROGRESS: u64 = 250_000;

impl Fallback {
    /// How far a re-sync has come, a few times a second.
    pub(super) fn tell_progress(&self, remaining: usize, now: u64) {
        let told = &self.resync.told_at;
        let running = self.resync.running.load(Ordering::Relaxed);
        if !running || remaining == 0 || now < told.load(Ordering::Relaxed) + PROGRESS {
            return;
        }
        told.store(now, Ordering::Relaxed);
        self.emit(serde_json::json!({
            "type": "resync-progress",
            "replayed": self.resync.replayed.load(Ordering::Relaxed),
            "remaining": remaining,
        }));
    }

    pub(super) fn tell(&self, change: &Change, depth: usize) {
        let reason = change.reason.as_deref();
        // The two steps of a return are one state to users.
        if change.from.name() != change.to.name() {
            self.emit(serde_json::json!({
                "type": "state-change",
                "from": change.from.name(),
                "to": change.to.name(),
                "reason": reason,
            }));
        }
        let was_live = change.from.live() || change.from == State::Suspect;
        match change.to {
            State::Online => {
                self.tell_connected();
                if change.from == State::Resyncing {
                    self.emit(serde_json::json!({ "type": "backend-recovered" }));
                }
            }
            State::Resyncing => {
                self.tell_connected();
                // One that was asked for while the server answers has no return before it.
                if change.from == State::Online && self.by_hand.load(Ordering::Acquire) {
                    self.begin_resync(depth);
                }
            }
            State::Invalidating if self.syncs() => self.begin_resync(depth),
            State::Degraded => {
                self.break_off();
                if was_live {
                    self.away.store(true, Ordering::Relaxed);
                    self.emit(
                        serde_json::json!({ "type": "backend-disconnected", "reason": reason }),
                    );
                }
                self.tell_degraded(change, reason);
            }
            State::Forced => {
                self.break_off();
                self.tell_degraded(change, reason);
            }
            _ => {}
        }
    }

    /// A re-sync that is under way comes to no end.
    fn break_off(&self) {
        if self.resync.running.swap(false, Ordering::Relaxed) {
            self.resync.last_failed.store(true, Ordering::Relaxed);
        }
    }

    /// One that was asked for in the middle of a return that would have replayed nothing by itself.
    pub(super) fn begin_by_hand(&self, depth: usize) {
        if self.by_hand.load(Ordering::Acquire) && !self.resync.running.load(Ordering::Relaxed) {
            self.begin_resync(depth);
        }
    }

    fn begin_resync(&self, depth: usize) {
        for counter in [
            &self.resync.replayed,
            &self.resync.conflicts,
            &self.resync.superseded,
            &self.resync.failed,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        self.resync.running.store(true, Ordering::Relaxed);
        self.resync.began_at.store(self.clock.micros(), Ordering::Relaxed);
        self.emit(serde_json::json!({ "type": "resync-start", "depth": depth }));
    }

    fn tell_connected(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            self.emit(serde_json::json!({ "type": "backend-connected" }));
        }
    }

    /// Only when memory did not answer before already.
    fn tell_degraded(&self, change: &Change, reason: Option<&str>) {
        if !change.from.on_memory() {
            self.emit(serde_json::json!({ "type": "backend-degraded", "reason": reason }));
        }
    }
}

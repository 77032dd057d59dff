//! What the supervisor asks of the fallback layer: copies for an outage, and the replay after it.
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::fallback::Fallback;
use super::journal::Invalidation;
use super::local::Local;
use crate::backend::change::{Changes, KNOWN_MS};
use crate::backend::intent::{Intent, Outcome, Wish};
use crate::backend::memory::store::{Data, Entry, Standing};
use crate::backend::redis::{Change, Failure, Identity, Keeper, Owed, Passing, Replayer, State};
use crate::backend::{Answer, Call, Operation, Reply};
use crate::base::error::Result;
use crate::base::plant::Plant;
use crate::base::stamp::Stamp;

const DELETE_BATCH: usize = 512;
/// A batch of sets is bounded by bytes too: it shares its connection with live calls.
const SET_BYTES: usize = 256 * 1024;
/// How often the progress of a re-sync is told.
const PROGRESS: u64 = 250_000;

/// Deletes or an invalidation on their way. Dropped before they are done, they go back.
struct Taken<'a> {
    fallback: &'a Fallback,
    invalidation: Option<Invalidation>,
    deletes: Vec<Intent>,
}

impl<'a> Taken<'a> {
    fn some(fallback: &'a Fallback) -> Self {
        let mut local = fallback.local.lock();
        let invalidation = local.journal.take_invalidation();
        let deletes = match invalidation {
            Some(_) => Vec::new(),
            None => local.journal.take_deletes(DELETE_BATCH),
        };
        Self { fallback, invalidation, deletes }
    }

    fn done(&mut self, outcomes: &[Outcome]) {
        let mut local = self.fallback.local.lock();
        self.deletes.drain(..).for_each(|intent| local.journal.settle(&intent));
        if let Some(invalidation) = self.invalidation.take() {
            local.journal.settle_invalidation(&invalidation);
        }
        drop(local);
        outcomes.iter().for_each(|outcome| self.fallback.count(Some(*outcome)));
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut local = self.fallback.local.lock();
        if let Some(invalidation) = self.invalidation.take() {
            local.journal.put_back_invalidation(invalidation);
        }
        self.deletes.drain(..).for_each(|intent| local.journal.put_back(intent));
    }
}

impl Keeper for Fallback {
    fn sending(&self, call: &Call) -> std::result::Result<u32, Answer> {
        let mut local = self.local.lock();
        match &call.operation {
            Operation::Clear { prefix, stamp } => {
                local.clear(prefix, *stamp, self.clock.micros());
                local.journal.forget_sets(prefix, *stamp);
                local.bump_all();
                Ok(0)
            }
            Operation::Fill { key, lease, .. } => {
                if call.attempts == 0 && !local.store.use_lease(key, lease.token) {
                    // Deleted or written here meanwhile, though the server may not know it yet.
                    return Err(Ok(Reply::Flag(false)));
                }
                Ok(local.mark(key))
            }
            operation => {
                let Some(key) = operation.key() else { return Ok(0) };
                if operation.writes() {
                    local.void(key, operation.stamp(), self.clock.micros());
                }
                Ok(local.mark(key))
            }
        }
    }

    fn leasing(&self, key: &Bytes, token: u64) {
        self.local.lock().store.take_lease(key, token);
    }

    fn keep(&self, values: &mut dyn Iterator<Item = Passing<'_>>) {
        let mut values = values.peekable();
        if values.peek().is_none() || !self.config.fallback_enabled {
            return;
        }
        let now = self.clock.micros();
        let mut local = self.local.lock();
        // No copy may take the room of what waits for its replay.
        if local.on_memory() || local.journal.owed() > 0 {
            return;
        }
        for Passing { key, seen, payload, late, format, stamp, expires_at } in values {
            if local.mark(key) != seen || expires_at.is_some_and(|at| at <= now) {
                continue;
            }
            // A foreign value has no stamp by which it could be told from the one that is kept.
            let managed = stamp != Stamp::default();
            if managed && local.store.peek(key, now).is_some_and(|entry| entry.stamp == stamp) {
                continue;
            }
            let Some(payload) = payload.cloned() else {
                // Only where there is one: a removal would void a load's lease.
                if local.store.peek(key, now).is_some() {
                    local.store.remove(key, now);
                }
                continue;
            };
            if late && local.store.peek(key, now).is_some() {
                continue;
            }
            let data = Data::Bytes(payload);
            let entry = Entry { data, format, stamp, expires_at, standing: Standing::Clean };
            let _ = local.store.set(key, entry, now);
        }
    }

    fn unanswered(&self, calls: Vec<(Call, Failure)>) {
        self.settle_unanswered(calls);
    }

    fn changed(&self, change: &Change) {
        let mut local = self.local.lock();
        if change.to != State::Resyncing {
            // `go_live` made that step already, under this lock.
            local.state = change.to;
        }
        self.on_memory.store(local.on_memory(), Ordering::Release);
        let depth = local.journal.depth();
        drop(local);
        self.tell(change, depth);
    }

    fn invalidate(&self, mut replayer: Replayer) -> BoxFuture<'static, Result<()>> {
        let Some(this) = self.this.upgrade() else { return Box::pin(async { Ok(()) }) };
        Box::pin(async move {
            if !this.syncs() {
                return Ok(());
            }
            this.heed_clears(&mut replayer).await?;
            loop {
                let mut taken = Taken::some(&this);
                let outcomes = if let Some(invalidation) = &taken.invalidation {
                    vec![replayer.clear(&invalidation.prefix, invalidation.stamp).await?]
                } else if taken.deletes.is_empty() {
                    return Ok(());
                } else {
                    replayer.deletes(&taken.deletes).await?
                };
                taken.done(&outcomes);
            }
        })
    }

    fn owes(&self) -> Owed {
        let local = self.local.lock();
        match (self.syncs(), local.journal.has_invalidations(), local.journal.owed()) {
            (false, _, _) | (true, false, 0) => Owed::Nothing,
            (true, true, _) => Owed::Invalidations,
            (true, false, _) => Owed::Intents,
        }
    }

    fn go_live(&self) -> bool {
        let mut local = self.local.lock();
        // A delete that came in the meantime goes before its own key's next operation.
        if self.syncs() && local.journal.has_invalidations() {
            return false;
        }
        local.state = State::Resyncing;
        // Copies that nobody keeps coherent are dropped; what waits for its replay stays, in case the
        // server goes away again before its turn comes.
        local.store.clear_clean();
        local.bump_all();
        self.on_memory.store(local.on_memory(), Ordering::Release);
        true
    }

    fn take_intent(&self, key: &Bytes) -> Option<Intent> {
        if !self.syncs() {
            return None;
        }
        self.local.lock().journal.take(key)
    }

    fn answers_itself(&self, key: &Bytes, resting: bool) -> bool {
        let local = self.local.lock();
        local.journal.covers(key) || (resting && local.journal.holds(key))
    }

    fn take_intents(&self, at_most: usize) -> Vec<Intent> {
        if !self.syncs() {
            return Vec::new();
        }
        self.local.lock().journal.take_some(at_most, SET_BYTES)
    }

    fn replayed(&self, ended: Vec<(Intent, Option<Outcome>)>) {
        if ended.is_empty() {
            return;
        }
        let now = self.clock.micros();
        let mut local = self.local.lock();
        let mut replayed_sets = self.replayed_sets.lock();
        for (intent, outcome) in ended {
            if matches!(intent.wish, Wish::Set { .. }) && outcome != Some(Outcome::Superseded) {
                replayed_sets.insert(intent.key.clone(), intent.stamp);
            }
            match outcome {
                Some(Outcome::Applied) => {
                    local.journal.settle(&intent);
                    local.store.mark_clean(&intent.key, intent.stamp);
                    let_go_of(&mut local, &intent, now);
                }
                Some(Outcome::Superseded | Outcome::Conflict) => {
                    local.journal.settle(&intent);
                    let_go_of(&mut local, &intent, now);
                    if local.store.peek(&intent.key, now).is_some_and(|e| e.stamp == intent.stamp) {
                        local.store.remove(&intent.key, now);
                    }
                }
                None => local.journal.put_back(intent),
            }
            self.count(outcome);
        }
        let remaining = local.journal.depth();
        drop((replayed_sets, local));
        self.tell_progress(remaining, now);
    }

    fn resynced(&self) {
        let by_hand = self.by_hand.swap(false, Ordering::AcqRel);
        let now = self.clock.micros();
        self.forget_fate(now);
        if !(by_hand || self.syncs()) {
            return;
        }
        self.resync.last_at.store(self.stamps.server_micros() / 1000, Ordering::Relaxed);
        self.resync.last_failed.store(false, Ordering::Relaxed);
        if self.resync.running.swap(false, Ordering::Relaxed) {
            let began = self.resync.began_at.load(Ordering::Relaxed);
            let took = now.saturating_sub(began) / 1000;
            self.resync.took_ms.store(took, Ordering::Relaxed);
            self.emit(serde_json::json!({
                "type": "resync-end",
                "replayed": self.resync.replayed.load(Ordering::Relaxed),
                "conflicts": self.resync.conflicts.load(Ordering::Relaxed),
                "failed": self.resync.failed.load(Ordering::Relaxed),
                "durationMs": took,
            }));
        }
    }

    fn met(&self, identity: &Identity) {
        let now = self.clock.micros();
        if let Some(log) = self.local.lock().journal.log() {
            log.met(identity);
        }
        self.uncertain.lock().meet(identity, now);
        self.forget_fate(now);
    }

    fn may_have_missed_clears(&self) -> bool {
        !self.replayed_sets.lock().is_empty()
    }

    fn heed_clears(&self, mut replayer: Replayer) -> BoxFuture<'static, Result<()>> {
        let Some(this) = self.this.upgrade() else { return Box::pin(async { Ok(()) }) };
        Box::pin(async move { Self::heed_clears(&this, &mut replayer).await })
    }

    fn missed(&self, refused: bool) {
        self.uncertain.lock().miss(refused, self.clock.micros());
    }

    fn may_write_absent(&self, intent: &Intent) -> bool {
        let since = match &intent.wish {
            Wish::Delete => return true,
            Wish::Change(changes) => return self.may_repeat(changes),
            Wish::Set { since, .. } => *since,
        };
        let ttl = u64::try_from(self.config.tombstone_ttl.as_micros()).unwrap_or(u64::MAX);
        self.config.writes_uncertain
            || self.config.planted == Some(Plant::AgeIsIgnored)
            || self.uncertain.lock().may_write_absent(since, ttl, self.clock.micros())
    }
}

/// What memory made of a raw key is worth nothing when the server knows its changes.
fn let_go_of(local: &mut Local, intent: &Intent, now: u64) {
    if matches!(intent.wish, Wish::Change(_)) && !local.journal.changes(&intent.key) {
        local.store.remove(&intent.key, now);
    }
}

impl Fallback {
    /// What happened while nothing was owed decides nothing.
    fn forget_fate(&self, now: u64) {
        let local = self.local.lock();
        if local.journal.depth() == 0 {
            self.uncertain.lock().settle(now);
        }
    }

    /// Whether the server still knows which of these it has carried out.
    fn may_repeat(&self, changes: &Changes) -> bool {
        let oldest = changes.entries().iter().map(|entry| self.since(entry.stamp)).min();
        let age = self.clock.micros().saturating_sub(oldest.unwrap_or(u64::MAX));
        self.config.writes_uncertain
            || (age < KNOWN_MS * 1000 && !self.uncertain.lock().was_emptied())
    }

    fn syncs(&self) -> bool {
        let automatic =
            self.config.auto_sync && self.config.sync_mode != crate::config::SyncMode::Off;
        automatic || self.by_hand.load(Ordering::Acquire)
    }

    fn count(&self, outcome: Option<Outcome>) {
        let counter = match outcome {
            Some(Outcome::Applied) => &self.resync.replayed,
            Some(Outcome::Superseded) => &self.resync.superseded,
            Some(Outcome::Conflict) => &self.resync.conflicts,
            None => &self.resync.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How far a re-sync has come, a few times a second.
    fn tell_progress(&self, remaining: usize, now: u64) {
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

    fn tell(&self, change: &Change, depth: usize) {
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
                if self.resync.running.swap(false, Ordering::Relaxed) {
                    self.resync.last_failed.store(true, Ordering::Relaxed);
                }
                if was_live {
                    self.away.store(true, Ordering::Relaxed);
                    self.emit(
                        serde_json::json!({ "type": "backend-disconnected", "reason": reason }),
                    );
                }
                self.tell_degraded(change, reason);
            }
            State::Forced => self.tell_degraded(change, reason),
            _ => {}
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

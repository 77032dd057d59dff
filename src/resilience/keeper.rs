//! What the supervisor asks of the fallback layer: copies for an outage, and the replay after it.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::fallback::Fallback;
use super::journal::Journal;
use super::local::Local;
use super::near::seconds;
use crate::backend::change::{Changes, KNOWN_MS};
use crate::backend::intent::{Intent, Next, Outcome, Wish};
use crate::backend::memory::store::{Data, Entry, Marks, Standing};
use crate::backend::message::Audience;
use crate::backend::rate::Told;
use crate::backend::redis::{Change, Failure, Identity, Keeper, Owed, Passing, Replayer, State};
use crate::backend::session::{Known, Seen};
use crate::backend::{Answer, Call, Marker, Operation, Reply, Scope, Tags};
use crate::base::error::Result;
use crate::base::plant::Plant;
use crate::base::stamp::Stamp;

pub(super) const BATCH: usize = 512;
/// A batch of what brings values is bounded by bytes too: it shares its connection with live calls.
const BATCH_BYTES: usize = 256 * 1024;

impl Keeper for Fallback {
    fn sending(&self, call: &Call) -> std::result::Result<u32, Answer> {
        let mut local = self.local.lock();
        match &call.operation {
            Operation::Clear { scope, stamp } => {
                local.store.remove_scope(scope, *stamp, self.clock.micros());
                local.journal.forget_sets(scope, *stamp);
                local.bump_all();
                Ok(0)
            }
            Operation::Fill { key, lease, .. } => {
                if call.attempts == 0 && !local.store.use_lease(key, lease.token) {
                    // Deleted or written here meanwhile, though the server may not know it yet.
                    return Err(Ok(Reply::Flag(false)));
                }
                Ok(local.store.marks.of(key))
            }
            operation => {
                let Some(key) = operation.key() else { return Ok(0) };
                if operation.writes() {
                    local.void(key, operation.stamp(), self.clock.micros());
                }
                // Whoever writes finds out as well how others are to hear of it.
                let managed = operation.writes()
                    || matches!(operation, Operation::Get { .. } | Operation::Load { .. });
                if managed
                    && local.near.want(&|| self.keys.family_of(key), key)
                    && let Some(redis) = &self.redis
                {
                    redis.watch_more();
                }
                Ok(local.store.marks.of(key))
            }
        }
    }

    fn lease_asked(&self, key: &Bytes, token: u64) {
        let mut local = self.local.lock();
        // Whatever is deleted or written here from now on destroys it; that of another load does as well.
        if local.store.lease(key).is_none() {
            local.store.take_lease(key, token, 0);
        }
    }

    fn lease_given(&self, key: &Bytes, token: u64) {
        let mut local = self.local.lock();
        // Deleted or written here since it was asked for: then it is worth nothing.
        if local.store.lease(key).is_some() {
            // The server decides until when.
            local.store.take_lease(key, token, 0);
        }
    }

    fn markers(&self, tags: &Tags) -> (Marker, Vec<Bytes>) {
        let local = self.local.lock();
        let link = local.near.open(self.clock.micros()).unwrap_or(0);
        let (mut least, mut unknown) = (Marker::default(), Vec::new());
        for tag in tags.iter() {
            let key = self.keys.marker(tag);
            let (marker, known) = local.store.markers.look(&key, link);
            least = least.max(marker);
            if !known {
                unknown.push(key);
            }
        }
        (least, unknown)
    }

    fn mark_of(&self, key: &Bytes) -> u32 {
        self.local.lock().store.marks.of(key)
    }

    fn learn_markers(&self, learnt: &[(&Bytes, u32, Option<Marker>)]) {
        let mut local = self.local.lock();
        let before = local.store.markers.state(true);
        for &(key, seen, marker) in learnt {
            let Some(marker) = marker else { continue };
            // Own later writes stand above it.
            self.stamps.observe(Stamp { micros: marker.newest(), process: 0 });
            // One that changed since it was asked for is known no better than before.
            let stands = local.store.marks.of(key) == seen;
            let link = local.near.link_of(key).filter(|_| stands).unwrap_or(0);
            local.store.markers.learn(key, marker, link);
        }
        if local.store.markers.state(true) != before {
            local.store.marks.bump_tags();
        }
    }

    fn watched(&self) -> Vec<Bytes> {
        self.local.lock().near.wanted().to_vec()
    }

    fn link_opened(&self, covered: Vec<Bytes>, until: u64) {
        let mut local = self.local.lock();
        // What was read before is no copy that this link vouches for.
        local.bump_all();
        local.store.markers.doubt_all();
        local.near.opened(covered, until);
        local.store.marks.open(true);
    }

    fn link_covers(&self, covered: Vec<Bytes>) {
        let mut local = self.local.lock();
        local.bump_all();
        local.near.covers(covered);
    }

    fn link_lives(&self, until: u64) {
        let mut local = self.local.lock();
        local.near.lives(until);
        let open = local.near.open(self.clock.micros()).is_some();
        local.store.marks.open(open);
    }

    fn link_closed(&self) {
        let mut local = self.local.lock();
        local.near.closed();
        local.store.marks.open(false);
    }

    fn invalidated(&self, key: Option<&Bytes>) {
        let mut local = self.local.lock();
        match key {
            Some(key) => self.forget_copy(&mut local, key),
            // The server was emptied.
            None => {
                local.store.clear_clean();
                local.store.markers.doubt_all();
                local.bump_all();
            }
        }
    }

    fn cleared(&self, scope: &Scope, stamp: Stamp) {
        let mut local = self.local.lock();
        local.store.remove_scope(scope, stamp, self.clock.micros());
        local.bump_all();
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
        for Passing { key, seen, payload, late, meta, read, owner } in values {
            let stands = if read {
                local.store.marks.of(key) == seen
            } else {
                // What was written is kept unless another own write is on its way; that somebody else may have
                // changed it is what the link tells.
                local.store.marks.writes(key) <= 1
            };
            if !stands || meta.expires_at.is_some_and(|at| at <= now) {
                // It is not what was read, whatever else came between.
                if read && payload.is_none() && local.store.marks.writes(key) == 0 {
                    local.store.drop_copy(key);
                }
                continue;
            }
            let link = local.near.link_of(key).filter(|_| read).unwrap_or(0);
            // A foreign value has no stamp by which it could be told from the one that is kept.
            let managed = meta.stamp != Stamp::default();
            let same = |entry: &Entry| {
                let fresh_until = entry.terms.as_deref().and_then(|terms| terms.fresh_until);
                managed && entry.stamp == meta.stamp && near(fresh_until, meta.fresh_until)
            };
            if local.store.peek(key, now).is_some_and(same) {
                local.store.relink(key, link, seconds(now));
                continue;
            }
            let Some(payload) = payload.cloned() else {
                local.store.drop_copy(key);
                continue;
            };
            if late && local.store.peek(key, now).is_some() {
                continue;
            }
            let mut entry = Entry::new(Data::Bytes(payload), meta, Standing::Clean);
            (entry.link, entry.linked_at, entry.owner) = (link, seconds(now), owner);
            if !read {
                entry.echo = local.near.echo_of(key, Marks::place(key));
            }
            let _ = local.store.keep_copy(key, entry, now);
        }
    }

    fn limited(&self, told: Vec<Told>) {
        let now = self.clock.micros();
        let mut local = self.local.lock();
        if local.on_memory() {
            return;
        }
        let mut granted = false;
        for told in told {
            granted |= told.seen.granted > 0;
            local.store.rates.learn(told, now);
        }
        drop(local);
        if granted {
            self.return_unused();
        }
    }

    fn audience(&self) -> Option<Arc<dyn Audience>> {
        Self::audience(self)
    }

    fn known_session(&self, key: &Bytes) -> Option<Known> {
        self.local.lock().store.sessions.known(key)
    }

    fn sessions(&self, seen: Vec<Seen>) {
        let moment = self.moment();
        let mut local = self.local.lock();
        if local.on_memory() || !self.config.fallback_enabled {
            return;
        }
        seen.into_iter().for_each(|seen| local.store.sessions.learn(seen, &moment));
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
        local.degraded_at = match local.on_memory() {
            true => local.degraded_at.or(Some(self.clock.micros())),
            false => None,
        };
        self.on_memory.store(local.on_memory(), Ordering::Release);
        let (depth, on_memory) = (local.journal.depth(), local.on_memory());
        drop(local);
        if let Some(audience) = Self::audience(self) {
            audience.turned(on_memory);
        }
        self.tell(change, depth);
    }

    fn invalidate(&self, mut replayer: Replayer) -> BoxFuture<'static, Result<()>> {
        let Some(this) = self.this.upgrade() else { return Box::pin(async { Ok(()) }) };
        Box::pin(async move { Self::remove_first(&this, &mut replayer).await })
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
        local.store.markers.doubt_all();
        local.store.rates.forget_ahead();
        local.bump_all();
        self.on_memory.store(local.on_memory(), Ordering::Release);
        true
    }

    fn take_intent(&self, key: &Bytes) -> Option<Intent> {
        self.take_out(|journal| journal.take(key), Option::is_some)?
    }

    fn answers_itself(&self, key: &Bytes, resting: bool) -> bool {
        let local = self.local.lock();
        local.journal.covers(key) || (resting && local.journal.holds(key))
    }

    fn next_messages(&self, key: &Bytes) -> Next {
        let next = |journal: &mut Journal| journal.next_messages(key, BATCH, BATCH_BYTES);
        self.take_out(next, |next| matches!(next, Next::Part(_))).unwrap_or(Next::Nothing)
    }

    fn take_intents(&self, at_most: usize) -> Vec<Intent> {
        let some = |journal: &mut Journal| journal.take_some(at_most, BATCH_BYTES);
        self.take_out(some, |taken| !taken.is_empty()).unwrap_or_default()
    }

    fn replayed(&self, ended: Vec<(Intent, Option<Outcome>)>) {
        if ended.is_empty() {
            return;
        }
        let now = self.clock.micros();
        let mut local = self.local.lock();
        let mut replayed_sets = self.replayed_sets.lock();
        for (intent, outcome) in ended {
            if let Wish::Set { value, .. } = &intent.wish
                && outcome != Some(Outcome::Superseded)
            {
                let tagged = !value.policy.tags.is_empty();
                replayed_sets.insert(intent.key.clone(), (intent.stamp, tagged));
            }
            match outcome {
                Some(Outcome::Applied) => {
                    local.journal.settle(&intent);
                    local.store.mark_clean(&intent.key, intent.stamp);
                    let_go_of(&mut local, &intent, now);
                    if let Wish::Session(_) = intent.wish
                        && !local.journal.holds(&intent.key)
                    {
                        local.store.sessions.settled(&intent.key, now);
                    }
                }
                Some(Outcome::Superseded | Outcome::Conflict) => {
                    local.journal.settle(&intent);
                    let_go_of(&mut local, &intent, now);
                    if let Wish::Session(_) = intent.wish {
                        local.store.sessions.forget(&intent.key);
                    }
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

    fn asked_by_hand(&self) {
        self.by_hand.store(true, Ordering::Release);
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
            Wish::Delete
            | Wish::Expire
            | Wish::Rate(_)
            | Wish::Session(_)
            | Wish::End(_)
            | Wish::EndAll(_)
            | Wish::Publish(_) => return true,
            Wish::Invalidate(removals) => {
                let oldest = removals.iter().map(|&(_, stamp)| self.since(stamp)).min();
                oldest.unwrap_or_default()
            }
            Wish::Change(changes) => return self.may_repeat(changes),
            Wish::Set { since, .. } => *since,
        };
        let ttl = u64::try_from(self.config.tombstone_ttl.as_micros()).unwrap_or(u64::MAX);
        self.config.writes_uncertain
            || self.config.planted == Some(Plant::AgeIsIgnored)
            || self.uncertain.lock().may_write_absent(since, ttl, self.clock.micros())
    }
}

/// Whether two ends of freshness are one, read at two moments through a clock that drifts.
fn near(one: Option<u64>, other: Option<u64>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.abs_diff(other) < 50_000,
        _ => false,
    }
}

/// What memory made of a raw key is worth nothing when the server knows its changes.
fn let_go_of(local: &mut Local, intent: &Intent, now: u64) {
    if matches!(intent.wish, Wish::Change(_)) && !local.journal.changes(&intent.key) {
        local.store.remove(&intent.key, now);
    }
}

impl Fallback {
    /// Somebody changed a key on the server.
    fn forget_copy(&self, local: &mut Local, key: &Bytes) {
        if key.starts_with(&self.keys.markers()) {
            local.store.markers.doubt(key);
            local.store.marks.bump_tags();
            local.bump(key);
            return;
        }
        let (on_memory, link) = (local.on_memory(), local.near.link_of(key).unwrap_or(0));
        if local.store.marks.is_written(key) {
            local.near.heard_early(Marks::place(key));
        }
        match local.store.copy(key) {
            // Our own write is told of, too: its value stays, for an outage.
            Some(entry) if entry.link == 0 && entry.echo != 0 && entry.echo == link => {
                entry.echo = 0;
            }
            Some(_) if !on_memory => local.forget_copy(key),
            _ => {}
        }
        local.bump(key);
    }

    /// Takes something out of the journal, to be replayed. One that was asked for by hand begins with it.
    fn take_out<Taken>(
        &self,
        take: impl FnOnce(&mut Journal) -> Taken,
        is_any: impl FnOnce(&Taken) -> bool,
    ) -> Option<Taken> {
        if !self.syncs() {
            return None;
        }
        let mut local = self.local.lock();
        let depth = local.journal.depth();
        let taken = take(&mut local.journal);
        drop(local);
        if is_any(&taken) {
            self.begin_by_hand(depth);
        }
        Some(taken)
    }

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

    pub(super) fn syncs(&self) -> bool {
        let automatic =
            self.config.auto_sync && self.config.sync_mode != crate::config::SyncMode::Off;
        automatic || self.by_hand.load(Ordering::Acquire)
    }

    pub(super) fn count(&self, outcome: Option<Outcome>) {
        let counter = match outcome {
            Some(Outcome::Applied) => &self.resync.replayed,
            Some(Outcome::Superseded) => &self.resync.superseded,
            Some(Outcome::Conflict) => &self.resync.conflicts,
            None => &self.resync.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

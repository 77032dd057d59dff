//! What memory holds of an endpoint: the store, the journal, and who answers now. One lock guards all
//! three, so that an operation and the flip of the state never overlap.
use bytes::Bytes;

use super::journal::{Journal, value_bytes};
use super::near::Near;
use crate::backend::change;
use crate::backend::intent::{Intent, Wish};
use crate::backend::memory::store::{Data, Entry, Standing, Store};
use crate::backend::memory::{self, Moment};
use crate::backend::rate::{Due, Outcome, Verb};
use crate::backend::redis::State;
use crate::backend::{Answer, Ask, Meta, Operation, Reply, Source, Value, Verdict};
use crate::base::error::{Applied, Error, ErrorKind};
use crate::base::stamp::Stamp;
use crate::config::{Config, NearCache};

pub struct Local {
    pub store: Store,
    pub journal: Journal,
    pub near: Near,
    pub state: State,
    /// Memory by request; takes effect before the supervisor hears of it.
    pub forced: bool,
    /// Since when memory answers for the server, and for how long its copies may.
    pub degraded_at: Option<u64>,
    max_stale: u64,
}

impl Local {
    pub fn new(config: &Config) -> Self {
        let mut store = Store::new(config.memory_limit_bytes);
        store.rates.share_among(config.instances.unwrap_or(1));
        Self {
            store,
            journal: Journal::new(config.journal_limit_bytes),
            near: Near::new(config.near_cache != NearCache::Off, config.near_max_age),
            state: State::Idle,
            forced: false,
            degraded_at: None,
            max_stale: u64::try_from(config.max_stale_degraded.as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// Whether memory answers now.
    pub fn on_memory(&self) -> bool {
        self.forced || self.state.on_memory()
    }

    /// Voids what was read of this key and not kept yet.
    pub fn bump(&mut self, key: &[u8]) {
        self.store.marks.bump(key);
    }

    pub fn bump_all(&mut self) {
        self.store.marks.bump_all();
    }

    /// The answer of a copy, without asking the server: only one that the link vouches for, and that no own
    /// write is about to change.
    pub fn near(&mut self, operation: &Operation, moment: &Moment<'_>) -> Option<Reply> {
        let (Operation::Get { key, .. }
        | Operation::Exists { key }
        | Operation::Load { key, ask: Ask { force: false, refresh: false, .. } }) = operation
        else {
            return None;
        };
        let link = self.near.open(moment.now)?;
        let marks = self.store.marks.clone();
        if marks.is_written(key) {
            return None;
        }
        let entry = self.store.peek(key, moment.now)?;
        let linked_at = entry.linked_at;
        if entry.link != link || self.near.left(linked_at, moment.now) == 0 {
            return None;
        }
        let (entry, verdict) = self.store.judged(key, moment.now, moment.keys, Some(link))?;
        if verdict != Verdict::Fresh {
            return None;
        }
        if matches!(operation, Operation::Exists { .. }) {
            return Some(Reply::Flag(true));
        }
        let mut found = memory::found(entry, verdict, moment).ok()?;
        found.source = Source::Near;
        found.keep_ms = Some(self.near.left(linked_at, moment.now));
        marks.note(key, &mut found);
        Some(Reply::Entry(found))
    }

    /// A raw change in memory, with its entry in the journal. `sent`: it may have reached the server.
    pub fn apply_change(
        &mut self,
        operation: &Operation,
        sent: bool,
        moment: &Moment<'_>,
    ) -> Answer {
        let Operation::Change { key, change, stamp, number, .. } = operation else {
            return self.plainly(operation, moment);
        };
        let applied = if sent { Applied::Unknown } else { Applied::No };
        if !self.journal.has_room_for(key, change) {
            let text = "the journal has no room for this change";
            return Err(Error::new(ErrorKind::Full, text).applied(applied));
        }
        // What memory refuses, the server would refuse too, or never learn of.
        let answer = self.plainly(operation, moment).map_err(|error| error.applied(applied))?;
        // It may not be evicted as long as it waits.
        self.store.mark_journalled(key);
        let (number, change) = (number.clone(), change.clone());
        let entry = change::Entry { number, stamp: *stamp, sent, change };
        self.journal.change(key, entry);
        Ok(answer)
    }

    /// An act of a limiter in memory, with what it charges in the journal. `sent`: it may have reached the server.
    pub fn apply_rate(&mut self, operation: &Operation, sent: bool, moment: &Moment<'_>) -> Answer {
        let Operation::Rate { key, limiter, act } = operation else {
            return self.plainly(operation, moment);
        };
        let decided = self.plainly(operation, moment);
        let Ok(Reply::Decision(decision)) = &decided else { return decided };
        let charges = match act.verb {
            Verb::Peek | Verb::Return { .. } => false,
            Verb::Take { .. } | Verb::Renew(_) => decision.outcome == Outcome::Done,
            // The server may know of what this process doesn't.
            Verb::Settle { .. } | Verb::Refund(_) | Verb::Reset => true,
        };
        if charges {
            let mut act = act.clone();
            if act.number == 0 || !sent {
                act.number = moment.stamps.next_act();
            }
            let (stamp, process) = (moment.stamps.next(), moment.stamps.process());
            self.journal.charge(key, limiter, Due { act, stamp, process, sent });
        }
        decided
    }

    /// An operation in memory, with its intent in the journal. One that comes late, after something
    /// newer was answered for its key, changes nothing: it is settled by what is newer.
    pub fn apply_journalled(&mut self, operation: &Operation, moment: &Moment<'_>) -> Answer {
        let merges = matches!(operation, Operation::Invalidate { .. });
        if let (Some(key), Some(stamp), false) = (operation.key(), operation.stamp(), merges) {
            let stored = self.store.peek(key, moment.now).map(|entry| entry.stamp);
            if self.journal.newest(key).max(stored).is_some_and(|newest| newest > stamp) {
                return Ok(Reply::Flag(matches!(operation, Operation::Set { .. })));
            }
        }
        match operation {
            Operation::Set { key, value, ttl_ms, stamp } => {
                self.write(operation, key, value, *ttl_ms, *stamp, moment)
            }
            Operation::Fill { key, value, ttl_ms, lease } => {
                if self.store.lease(key).is_none_or(|taken| taken.token != lease.token) {
                    return Ok(Reply::Flag(false));
                }
                self.write(operation, key, value, *ttl_ms, lease.start, moment)
            }
            Operation::Delete { key, stamp } => {
                let waited = self.waiting(key, moment.now).is_some();
                self.journal.delete(key.clone(), *stamp, moment.keys);
                let removed = self.plainly(operation, moment);
                if waited { Ok(Reply::Flag(true)) } else { removed }
            }
            Operation::Expire { key, stamp } => {
                let waited = self.waiting(key, moment.now).is_some();
                self.journal.expire(key.clone(), *stamp, moment.keys);
                let made = self.plainly(operation, moment);
                if waited { Ok(Reply::Flag(true)) } else { made }
            }
            Operation::Invalidate { key, removal, stamp } => {
                let stamp = moment.invalidation(*stamp);
                self.journal.invalidate_tag(key.clone(), *removal, stamp, moment.keys);
                // From the same moment on as everywhere after the replay.
                self.store.raise_marker(key, removal.marker(stamp.micros));
                Ok(Reply::Flag(true))
            }
            Operation::Clear { scope, stamp } => {
                self.journal.invalidate(scope.clone(), *stamp);
                self.plainly(operation, moment)
            }
            Operation::Get { key, .. }
            | Operation::Load { key, .. }
            | Operation::Exists { key } => {
                self.drop_if_old(key, moment.now);
                if self.store.peek(key, moment.now).is_none()
                    && let Some(entry) = self.waiting(key, moment.now)
                {
                    // The store had no room for it; what waits is put there for this one answer.
                    let _ = self.store.set(key, entry, moment.now);
                }
                self.plainly(operation, moment)
            }
            _ => self.plainly(operation, moment),
        }
    }

    /// An operation on what is kept in this process alone. It is told apart by its keys.
    pub fn apply_local(&mut self, operation: &Operation, moment: &Moment<'_>) -> Answer {
        memory::apply(&mut self.store, operation, moment, false, &mut Vec::new())
    }

    fn plainly(&mut self, operation: &Operation, moment: &Moment<'_>) -> Answer {
        memory::apply(&mut self.store, operation, moment, true, &mut Vec::new())
    }

    /// A copy that nobody vouches for serves only so long.
    fn drop_if_old(&mut self, key: &[u8], now: u64) {
        let Some(since) = self.degraded_at else { return };
        let is_copy = |entry: &Entry| entry.standing == Standing::Clean;
        if now.saturating_sub(since) > self.max_stale
            && self.store.peek(key, now).is_some_and(is_copy)
        {
            let lease = self.store.lease(key);
            self.store.remove(key, now);
            // Growing old is no delete.
            if let Some(lease) = lease {
                self.store.take_lease(key, lease.token, lease.until);
            }
        }
    }

    /// The value that waits for its replay: the store may have had no room for it, the journal has it.
    fn waiting(&self, key: &[u8], now: u64) -> Option<Entry> {
        let intent = self.journal.peek(key)?;
        let Wish::Set { value, expires_at, fresh_until, expired, .. } = &intent.wish else {
            return None;
        };
        if expires_at.is_some_and(|at| at <= now) {
            return None;
        }
        let meta = Meta {
            format: value.format,
            stamp: intent.stamp,
            expires_at: *expires_at,
            fresh_until: if expired.is_some() { Some(0) } else { *fresh_until },
            load_ms: value.policy.load_ms,
            tags: value.policy.tags.clone(),
        };
        Some(Entry::new(Data::Bytes(value.payload.clone()), &meta, Standing::Journalled))
    }

    fn write(
        &mut self,
        operation: &Operation,
        key: &Bytes,
        value: &Value,
        ttl_ms: Option<u64>,
        stamp: Stamp,
        moment: &Moment<'_>,
    ) -> Answer {
        let policy = &value.policy;
        if !self.journal.make_room(key, value_bytes(value)) {
            let Operation::Fill { lease, .. } = operation else { return Ok(Reply::Flag(false)) };
            self.store.use_lease(key, lease.token);
            return Err(memory::full());
        }
        // What memory evicts for it is still in the journal, if it waits for its replay.
        let answer = self.plainly(operation, moment);
        if answer == Ok(Reply::Flag(true)) {
            let after = |ms: u64| moment.now.saturating_add(ms.saturating_mul(1000));
            let (expires_at, fresh_until) = (ttl_ms.map(after), policy.fresh_ms.map(after));
            let (value, since) = (value.clone(), moment.now);
            let wish = Wish::Set { value, expires_at, fresh_until, since, expired: None };
            self.journal.set(Intent { key: key.clone(), stamp, wish });
        }
        answer
    }

    /// Drops the copy of a key that somebody changes beside the cache, whoever it is. A load that is under way
    /// keeps its lease.
    pub fn forget_copy(&mut self, key: &[u8]) {
        if self.store.copy(key).is_some() {
            self.store.drop_copy(key);
        }
        self.bump(key);
    }

    /// Drops the copy of a key that is written now, unless something newer stands there.
    pub fn void(&mut self, key: &[u8], stamp: Option<Stamp>, now: u64) {
        let newer = self.store.peek(key, now).is_some_and(|entry| Some(entry.stamp) > stamp);
        if !newer {
            self.store.remove(key, now);
        }
        self.store.drop_lease(key);
        self.bump(key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::{Found, Removal, Scope};
    use crate::base::clock::ManualClock;
    use crate::base::keys::Keys;
    use crate::base::stamp::Stamps;

    struct Bench {
        local: Local,
        stamps: Stamps,
        keys: Keys,
    }

    impl Bench {
        fn new() -> Self {
            let stamps = Stamps::new(Arc::new(ManualClock::at(1)), 7);
            Self {
                local: Local::new(&crate::config::from_json("{}").unwrap()),
                stamps,
                keys: Keys::new("p:"),
            }
        }

        fn run(&mut self, operation: &Operation) -> Answer {
            let moment = Moment { now: 5, stamps: &self.stamps, keys: &self.keys };
            self.local.apply_journalled(operation, &moment)
        }

        fn set(&self, text: &'static str, stamp: Stamp) -> Operation {
            let value = Value { payload: text.into(), ..Value::default() };
            Operation::Set { key: self.key(), value, ttl_ms: None, stamp }
        }

        fn delete(&self, stamp: Stamp) -> Operation {
            Operation::Delete { key: self.key(), stamp }
        }

        fn clear(&self, stamp: Stamp) -> Operation {
            Operation::Clear { scope: Scope::Prefix(self.keys.family("f")), stamp }
        }

        fn key(&self) -> Bytes {
            self.keys.entry("f", "a")
        }

        fn read(&mut self) -> Option<Bytes> {
            match self.run(&Operation::Get { key: self.key(), stale: false }) {
                Ok(Reply::Entry(Found { payload, .. })) => Some(payload),
                _ => None,
            }
        }
    }

    #[test]
    fn a_write_that_comes_late_does_not_cover_what_was_answered_after_it() {
        let mut bench = Bench::new();
        let (early, late) = (bench.stamps.next(), bench.stamps.next());
        let delete = bench.delete(late);
        bench.run(&delete).unwrap();
        let set = bench.set("old", early);
        assert_eq!(bench.run(&set), Ok(Reply::Flag(true)), "it was settled, by what is newer");
        assert_eq!(bench.read(), None);
        assert!(matches!(bench.local.journal.take(&bench.key()).unwrap().wish, Wish::Delete));
    }

    #[test]
    fn a_delete_that_comes_late_leaves_the_newer_value() {
        let mut bench = Bench::new();
        let (early, late) = (bench.stamps.next(), bench.stamps.next());
        let set = bench.set("new", late);
        bench.run(&set).unwrap();
        let delete = bench.delete(early);
        bench.run(&delete).unwrap();
        assert_eq!(bench.read().unwrap(), "new");
    }

    #[test]
    fn a_clear_that_comes_late_leaves_newer_values_and_takes_older_ones() {
        let mut bench = Bench::new();
        let (first, second, third) =
            (bench.stamps.next(), bench.stamps.next(), bench.stamps.next());
        let old = bench.set("old", first);
        bench.run(&old).unwrap();
        let clear = bench.clear(second);
        assert_eq!(bench.run(&clear), Ok(Reply::Count(1)));
        let new = bench.set("new", third);
        bench.run(&new).unwrap();
        assert_eq!(bench.run(&clear), Ok(Reply::Count(0)));
        assert_eq!(bench.read().unwrap(), "new");
        assert_eq!(bench.run(&old), Ok(Reply::Flag(true)));
        assert_eq!(bench.read().unwrap(), "new");
    }

    #[test]
    fn a_set_that_comes_late_does_not_undo_an_expiry() {
        let mut bench = Bench::new();
        let stamps = [bench.stamps.next(), bench.stamps.next(), bench.stamps.next()];
        let (first, late) = (bench.set("first", stamps[0]), bench.set("late", stamps[1]));
        bench.run(&first).unwrap();
        let expire = Operation::Expire { key: bench.key(), stamp: stamps[2] };
        assert_eq!(bench.run(&expire), Ok(Reply::Flag(true)));
        assert_eq!(bench.run(&late), Ok(Reply::Flag(true)));
        assert_eq!(bench.read(), None, "whichever of the two is there, it is stale");
    }

    #[test]
    fn an_expiry_that_comes_late_leaves_the_newer_value_fresh() {
        let mut bench = Bench::new();
        let (early, late) = (bench.stamps.next(), bench.stamps.next());
        let set = bench.set("new", late);
        bench.run(&set).unwrap();
        let expire = Operation::Expire { key: bench.key(), stamp: early };
        bench.run(&expire).unwrap();
        assert_eq!(bench.read().unwrap(), "new");
    }

    #[test]
    fn an_invalidation_of_a_tag_that_comes_late_leaves_the_newer_one() {
        let mut bench = Bench::new();
        let stamps = [bench.stamps.next(), bench.stamps.next()];
        let key = bench.keys.marker(b"t");
        for stamp in [stamps[1], stamps[0]] {
            let removal = Removal::Delete;
            bench.run(&Operation::Invalidate { key: key.clone(), removal, stamp }).unwrap();
        }
        let waits = bench.local.journal.take(&key).unwrap();
        let Wish::Invalidate(removals) = &waits.wish else { panic!("{waits:?}") };
        assert!(matches!(removals[..], [(Removal::Delete, stamp)] if stamp >= stamps[1]));
    }

    #[test]
    fn a_set_that_the_journal_refuses_changes_nothing() {
        let mut bench = Bench::new();
        let set = bench.set("kept", bench.stamps.next());
        bench.run(&set).unwrap();
        bench.local.journal = Journal::new(0);
        let refused = bench.set("refused", bench.stamps.next());
        assert_eq!(bench.run(&refused), Ok(Reply::Flag(false)));
        assert_eq!(bench.read().unwrap(), "kept");
        assert_eq!(bench.local.journal.dropped(), 1);
    }
}

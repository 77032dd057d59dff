//! What memory holds of an endpoint: the store, the journal, and who answers now. One lock guards all
//! three, so that an operation and the flip of the state never overlap.
use bytes::Bytes;

use super::journal::Journal;
use crate::backend::change::Entry;
use crate::backend::intent::{Intent, Wish};
use crate::backend::memory::store::Store;
use crate::backend::memory::{self, Moment};
use crate::backend::redis::State;
use crate::backend::{Answer, Found, Operation, Reply, Source, Value};
use crate::base::error::{Applied, Error, ErrorKind};
use crate::base::stamp::Stamp;

/// Marks of keys, so that a value read before an own write is not kept after it. Keys share marks by
/// hash; a shared one only means that a copy is not kept.
const MARKS: usize = 4096;

pub struct Local {
    pub store: Store,
    pub journal: Journal,
    pub state: State,
    /// Memory by request; takes effect before the supervisor hears of it.
    pub forced: bool,
    marks: Box<[u32]>,
}

impl Local {
    pub fn new(memory_limit: usize, journal_limit: usize) -> Self {
        Self {
            store: Store::new(memory_limit),
            journal: Journal::new(journal_limit),
            state: State::Idle,
            forced: false,
            marks: vec![0; MARKS].into_boxed_slice(),
        }
    }

    /// Whether memory answers now.
    pub fn on_memory(&self) -> bool {
        self.forced || self.state.on_memory()
    }

    pub fn mark(&self, key: &[u8]) -> u32 {
        self.marks[place(key)]
    }

    /// Voids what was read of this key and not kept yet. `u32::MAX` is never a mark.
    pub fn bump(&mut self, key: &[u8]) {
        let mark = &mut self.marks[place(key)];
        *mark = (*mark + 1) % u32::MAX;
    }

    pub fn bump_all(&mut self) {
        for mark in &mut self.marks {
            *mark = (*mark + 1) % u32::MAX;
        }
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
        let entry = Entry { number, stamp: *stamp, sent, change };
        self.journal.change(key, entry);
        Ok(answer)
    }

    /// An operation in memory, with its intent in the journal. One that comes late, after something
    /// newer was answered for its key, changes nothing: it is settled by what is newer.
    pub fn apply_journalled(&mut self, operation: &Operation, moment: &Moment<'_>) -> Answer {
        if let (Some(key), Some(stamp)) = (operation.key(), operation.stamp()) {
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
                self.write(operation, key, value, *ttl_ms, lease.start, moment)
            }
            Operation::Delete { key, stamp } => {
                let waited = self.waiting(key, moment.now).is_some();
                self.journal.delete(key.clone(), *stamp, &|key| moment.keys.family_of(key));
                let removed =
                    memory::apply(&mut self.store, operation, moment, true, &mut Vec::new());
                if waited { Ok(Reply::Flag(true)) } else { removed }
            }
            Operation::Clear { prefix, stamp } => {
                self.journal.invalidate(prefix.clone(), *stamp);
                Ok(Reply::Count(self.clear(prefix, *stamp, moment.now)))
            }
            Operation::Get { key } | Operation::Load { key, .. } | Operation::Exists { key }
                if self.store.peek(key, moment.now).is_none() =>
            {
                match self.waiting(key, moment.now) {
                    Some(_) if matches!(operation, Operation::Exists { .. }) => {
                        Ok(Reply::Flag(true))
                    }
                    Some(found) => Ok(Reply::Entry(found)),
                    None => self.plainly(operation, moment),
                }
            }
            _ => self.plainly(operation, moment),
        }
    }

    fn plainly(&mut self, operation: &Operation, moment: &Moment<'_>) -> Answer {
        memory::apply(&mut self.store, operation, moment, true, &mut Vec::new())
    }

    /// The value that waits for its replay: the store may have had no room for it, the journal has it.
    fn waiting(&self, key: &[u8], now: u64) -> Option<Found> {
        let Wish::Set { value, expires_at, .. } = &self.journal.peek(key)?.wish else {
            return None;
        };
        if expires_at.is_some_and(|at| at <= now) {
            return None;
        }
        Some(Found {
            payload: value.payload.clone(),
            format: value.format,
            ttl_ms: expires_at.map(|at| (at - now).div_ceil(1000)),
            source: Source::Memory,
        })
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
        if !self.journal.make_room(key, value.payload.len()) {
            return Ok(Reply::Flag(false));
        }
        // What memory evicts for it is still in the journal, if it waits for its replay.
        let answer = self.plainly(operation, moment);
        if answer == Ok(Reply::Flag(true)) {
            let expires_at = ttl_ms.map(|ms| moment.now.saturating_add(ms.saturating_mul(1000)));
            let wish = Wish::Set { value: value.clone(), expires_at, since: moment.now };
            self.journal.set(Intent { key: key.clone(), stamp, wish });
        }
        answer
    }

    /// Removes what begins so and is not newer than the stamp; answers how many went.
    pub fn clear(&mut self, prefix: &[u8], stamp: Stamp, now: u64) -> u64 {
        let newer: Vec<_> = self
            .store
            .keys_with_prefix(prefix, now)
            .into_iter()
            .filter_map(|key| {
                let entry = self.store.peek(&key, now)?;
                (entry.stamp > stamp).then(|| (key, entry.clone()))
            })
            .collect();
        let gone = self.store.remove_prefix(prefix, now).len() - newer.len();
        for (key, entry) in newer {
            // What was there fits again.
            let _ = self.store.set(&key, entry, now);
        }
        gone as u64
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

fn place(key: &[u8]) -> usize {
    // FNV-1a: no secrecy needed, a crowded mark costs a copy and nothing else.
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Its low bits alone are alike for keys that are alike.
    usize::try_from((hash ^ (hash >> 29) ^ (hash >> 43)) % MARKS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::Found;
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
            Self { local: Local::new(1 << 20, 1 << 20), stamps, keys: Keys::new("p:") }
        }

        fn run(&mut self, operation: &Operation) -> Answer {
            let moment = Moment { now: 5, stamps: &self.stamps, keys: &self.keys };
            self.local.apply_journalled(operation, &moment)
        }

        fn set(&self, text: &'static str, stamp: Stamp) -> Operation {
            let value =
                Value { payload: Bytes::from_static(text.as_bytes()), format: 0, compress: true };
            Operation::Set { key: self.key(), value, ttl_ms: None, stamp }
        }

        fn delete(&self, stamp: Stamp) -> Operation {
            Operation::Delete { key: self.key(), stamp }
        }

        fn clear(&self, stamp: Stamp) -> Operation {
            Operation::Clear { prefix: self.keys.family("f"), stamp }
        }

        fn key(&self) -> Bytes {
            self.keys.entry("f", "a")
        }

        fn read(&mut self) -> Option<Bytes> {
            match self.run(&Operation::Get { key: self.key() }) {
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

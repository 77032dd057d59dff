//! What memory holds of an endpoint: the store, the journal, and who answers now. One lock guards all
//! three, so that an operation and the flip of the state never overlap.
use bytes::Bytes;

use super::journal::Journal;
use crate::backend::intent::{Intent, Wish};
use crate::backend::memory::store::Store;
use crate::backend::memory::{self, Moment};
use crate::backend::redis::State;
use crate::backend::{Answer, Operation, Reply, Value};
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
                self.journal.delete(key.clone(), *stamp);
                memory::apply(&mut self.store, operation, moment, true, &mut Vec::new())
            }
            Operation::Clear { prefix, stamp } => {
                self.journal.invalidate(prefix.clone(), *stamp);
                Ok(Reply::Count(self.clear(prefix, *stamp, moment.now)))
            }
            _ => memory::apply(&mut self.store, operation, moment, true, &mut Vec::new()),
        }
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
        if !self.journal.has_room(key, value.payload.len()) {
            return Ok(Reply::Flag(false));
        }
        let mut evicted = Vec::new();
        let answer = memory::apply(&mut self.store, operation, moment, true, &mut evicted);
        // An evicted value whose intent waits leaves only "delete older than".
        for key in evicted {
            self.journal.downgrade(&key);
        }
        if answer == Ok(Reply::Flag(true)) {
            let expires_at = ttl_ms.map(|ms| moment.now.saturating_add(ms.saturating_mul(1000)));
            let wish = Wish::Set { value: value.clone(), expires_at };
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
    usize::try_from(hash % MARKS as u64).unwrap_or(0)
}

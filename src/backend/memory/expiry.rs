//! Which entry expires when, so that memory is freed without anybody reading the key.
//!
//! Exactly one record per entry that expires: a record is removed with its entry, never left to be
//! skipped later, so overwriting one key for ever costs one record.
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names one record: when it is due, and which of those that are due then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Record {
    at: u64,
    id: u64,
}

#[derive(Debug)]
pub(super) struct Expiry {
    records: BTreeMap<Record, Arc<[u8]>>,
    last_id: u64,
    /// The time of the first record, `u64::MAX` when there is none: each read asks for it, and this
    /// spares the read a walk down the tree.
    earliest: u64,
}

impl Expiry {
    pub fn new() -> Self {
        Self { records: BTreeMap::new(), last_id: 0, earliest: u64::MAX }
    }

    /// Notes that a key is due at a time. The caller keeps the answer and gives it back to
    /// [`remove`](Self::remove) when the entry goes.
    pub fn insert(&mut self, at: u64, key: Arc<[u8]>) -> Record {
        self.last_id = self.last_id.wrapping_add(1);
        let record = Record { at, id: self.last_id };
        self.records.insert(record, key);
        self.earliest = self.earliest.min(at);
        record
    }

    pub fn remove(&mut self, record: Record) {
        self.records.remove(&record);
        if record.at == self.earliest {
            self.earliest = self.next().unwrap_or(u64::MAX);
        }
    }

    /// Whether anything at all is due.
    pub fn any_due(&self, now: u64) -> bool {
        self.earliest <= now
    }

    /// The key of the first record, if it is due. The record stays until it is removed.
    pub fn first_due(&self, now: u64) -> Option<Arc<[u8]>> {
        let (record, key) = self.records.first_key_value()?;
        (record.at <= now).then(|| Arc::clone(key))
    }

    pub fn next(&self) -> Option<u64> {
        self.records.first_key_value().map(|(record, _)| record.at)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.records.len()
    }
}

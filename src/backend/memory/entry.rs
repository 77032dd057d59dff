//! What the memory store keeps of a value, and what it weighs.
use std::fmt;

use bytes::Bytes;

use super::data::{Data, Typed};
use crate::base::stamp::Stamp;

/// Whether the store may forget an entry without anybody having to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A copy: it may be dropped.
    Clean,
    /// An intent of the journal stands behind it: who drops it turns that intent into "delete older
    /// than".
    Journalled,
}

/// One value.
///
/// A payload must own its bytes alone: a slice of a larger buffer keeps the whole buffer alive, and
/// only the slice is weighed.
#[derive(Clone)]
pub struct Entry {
    /// A managed value is `Data::Bytes`; raw commands keep the other types.
    pub data: Data,
    pub format: u8,
    pub stamp: Stamp,
    /// Microseconds on the monotonic clock. At this very moment it is expired; `None` never is.
    pub expires_at: Option<u64>,
    pub standing: Standing,
}

impl Entry {
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// The payload of a managed value or a string; `None` for any other type.
    pub fn bytes(&self) -> Option<&Bytes> {
        Bytes::of(&self.data)
    }

    /// The bytes that this entry counts for under a key.
    pub fn weight(&self, key: &[u8]) -> usize {
        key.len().saturating_add(self.data.weight()).saturating_add(OVERHEAD)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { data, format, stamp, expires_at, standing } = self;
        f.debug_struct("Entry")
            .field("data", data)
            .field("format", format)
            .field("stamp", stamp)
            .field("expires_at", expires_at)
            .field("standing", standing)
            .finish()
    }
}

/// What an entry weighs besides its key and its data, in bytes. The same for each, with an expiry or
/// without, so that the sum stays exact. Collections add their own; see [`Data::weight`].
///
/// On a 64-bit target with glibc's allocator (8 bytes before each block, sizes in steps of 16) it
/// covers, at their worst:
///
/// | what | bytes |
/// |---|---|
/// | LRU node: key handle, entry (80) with its `Bytes` handle, expiry record's name, two links | 144 |
/// | slot in each of the two maps (17 each) at the lowest load after a map doubled (7/16) | 78 |
/// | expiry record (time, id, key handle; 32) in a tree whose nodes hold 5 of 11 | 80 |
/// | two counts before the shared key (16), and what the allocator adds | 39 |
/// | what the allocator adds to the payload (31), and the header it shares once cloned (32) | 63 |
///
/// Not covered: the old table for the moment in which a map doubles, the table of a map that held many
/// more entries before, and leases. `tests/allocator.rs` holds this against an allocator.
pub const OVERHEAD: usize = 404;

// A larger entry would not fit what the table says of its node.
const _: () = assert!(size_of::<Entry>() <= 80);

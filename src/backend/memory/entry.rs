//! What the memory store keeps of a value, and what it weighs.
use std::fmt;

use bytes::Bytes;

use super::data::{Data, Typed};
use crate::backend::policy::{Meta, Tags};
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
    /// The link under which it is known to be what the server has; 0: none.
    pub link: u32,
    /// Since when, in seconds of the monotonic clock.
    pub linked_at: u32,
    /// The link that will yet tell of this very write, of our own; 0: none.
    pub echo: u32,
    /// Whose it is, for the counts.
    pub owner: u16,
    /// Most have none.
    pub terms: Option<Box<Terms>>,
}

/// What else an entry is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// At this very moment it is stale; `None`: never before it expires.
    pub fresh_until: Option<u64>,
    pub load_ms: u32,
    pub tags: Tags,
    /// The state of all markers at which its tags were last found good.
    pub checked: u64,
}

impl Entry {
    /// Whether it was written past the managers: no process put its stamp on it.
    pub fn is_raw(&self) -> bool {
        self.stamp.process == 0 || self.bytes().is_none()
    }

    pub fn new(data: Data, meta: &Meta, standing: Standing) -> Self {
        let Meta { format, stamp, expires_at, fresh_until, load_ms, tags } = meta;
        let plain = fresh_until.is_none() && *load_ms == 0 && tags.is_empty();
        let terms =
            Terms { fresh_until: *fresh_until, load_ms: *load_ms, tags: tags.clone(), checked: 0 };
        Self {
            data,
            format: *format,
            stamp: *stamp,
            expires_at: *expires_at,
            standing,
            link: 0,
            linked_at: 0,
            echo: 0,
            owner: 0,
            terms: (!plain).then(|| Box::new(terms)),
        }
    }

    pub fn meta(&self) -> Meta {
        let terms = self.terms.as_deref();
        Meta {
            format: self.format,
            stamp: self.stamp,
            expires_at: self.expires_at,
            fresh_until: terms.and_then(|terms| terms.fresh_until),
            load_ms: terms.map_or(0, |terms| terms.load_ms),
            tags: self.tags().cloned().unwrap_or_default(),
        }
    }

    /// `None` when it has none.
    pub fn tags(&self) -> Option<&Tags> {
        self.terms.as_deref().map(|terms| &terms.tags).filter(|tags| !tags.is_empty())
    }

    pub fn is_stale(&self, now: u64) -> bool {
        let until = self.terms.as_deref().and_then(|terms| terms.fresh_until);
        until.is_some_and(|at| at <= now)
    }

    /// Makes it stale from the first moment on.
    pub fn expire(&mut self) {
        let terms = self.terms.get_or_insert_with(|| {
            let tags = Tags::default();
            Box::new(Terms { fresh_until: None, load_ms: 0, tags, checked: 0 })
        });
        terms.fresh_until = Some(0);
    }

    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// The payload of a managed value or a string; `None` for any other type.
    pub fn bytes(&self) -> Option<&Bytes> {
        Bytes::of(&self.data)
    }

    /// The bytes that this entry counts for under a key.
    pub fn weight(&self, key: &[u8]) -> usize {
        let terms = self.terms.as_deref().map_or(0, |terms| match terms.tags.stored().len() {
            0 => TERMS,
            tags => TERMS + TAGS + tags,
        });
        key.len().saturating_add(self.data.weight()).saturating_add(OVERHEAD + terms)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { data, format, stamp, expires_at, standing, link, linked_at, echo, owner, terms } =
            self;
        f.debug_struct("Entry")
            .field("data", data)
            .field("format", format)
            .field("stamp", stamp)
            .field("expires_at", expires_at)
            .field("standing", standing)
            .field("link", link)
            .field("linked_at", linked_at)
            .field("echo", echo)
            .field("owner", owner)
            .field("terms", terms)
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
/// | LRU node: key handle, entry (96) with its `Bytes` handle, expiry record's name, two links | 160 |
/// | slot in each of the two maps (17 each) at the lowest load after a map doubled (7/16) | 78 |
/// | expiry record (time, id, key handle; 32) in a tree whose nodes hold 5 of 11 | 80 |
/// | two counts before the shared key (16), and what the allocator adds | 39 |
/// | what the allocator adds to the payload (31), and the header it shares once cloned (32) | 63 |
///
/// Not covered: the old table for the moment in which a map doubles, the table of a map that held many
/// more entries before, and leases. `tests/allocator.rs` holds this against an allocator.
pub const OVERHEAD: usize = 420;

/// What an entry's terms weigh (64), with what the allocator adds.
pub const TERMS: usize = 88;
/// What its tags weigh besides their names: the counts of whoever shares them, and what the allocator adds.
pub const TAGS: usize = 48;

// A larger entry would not fit what the table says of its node.
const _: () = assert!(size_of::<Entry>() <= 96 && size_of::<Terms>() <= 64);

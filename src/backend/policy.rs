//! What a managed value is bound to besides its key: how long it is fresh, its tags, what its load took.
//!
//! Each tag has a **marker**: values older than one moment are gone, values older than another are stale, and
//! of values older than a third nobody knows, so they are gone as well. A value is as good as the worst of its
//! markers says, and one whose marker is missing is gone, since nobody knows what it would have said.
use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use crate::base::stamp::Stamp;

/// The most bytes that the tags of one value may take, as they are stored. A read of a value's head sees
/// them all.
pub const TAGS_LIMIT: usize = 4000;

/// The names of a value's tags, as they are stored: for each a length (2 bytes, big endian) and its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Option<Arc<[u8]>>);

impl Tags {
    /// `None` when they take too many bytes.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut out = BytesMut::new();
        for name in names {
            out.put_u16(u16::try_from(name.len()).ok()?);
            out.put_slice(name.as_bytes());
        }
        (out.len() <= TAGS_LIMIT).then(|| Self::exactly(&out))
    }

    /// Reads what is stored; `None` when it is damaged. Keeps bytes of its own.
    pub fn read(stored: &[u8]) -> Option<Self> {
        let mut rest = stored;
        while !rest.is_empty() {
            let (_, left) = split(rest)?;
            rest = left;
        }
        Some(Self::exactly(stored))
    }

    fn exactly(stored: &[u8]) -> Self {
        Self((!stored.is_empty()).then(|| Arc::from(stored)))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn stored(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.stored();
        std::iter::from_fn(move || {
            let (name, left) = split(rest)?;
            rest = left;
            Some(name)
        })
    }

    /// These and others, each once.
    pub fn with(&self, others: &Self) -> Self {
        if self.is_empty() {
            return others.clone();
        }
        let mut out = BytesMut::from(self.stored());
        for name in others.iter().filter(|&name| self.iter().all(|own| own != name)) {
            out.put_u16(u16::try_from(name.len()).unwrap_or(0));
            out.put_slice(name);
        }
        Self::exactly(&out)
    }
}

fn split(stored: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = stored.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// By how much a process' idea of the server's clock may differ from the server's, in microseconds: half of the
/// round trip by which it is learnt, where the shortest one takes no more than 50 ms. An invalidation counts from
/// so much later.
pub const CLOCK_ERROR: u64 = 25_000;

/// What comes with a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How long it is fresh, ms from when it is written; `None`: as long as it lives.
    pub fresh_ms: Option<u64>,
    /// What its load took, ms.
    pub load_ms: u32,
    pub tags: Tags,
    /// Whose it is, for the counts of this process; 0: nobody's.
    pub owner: u16,
}

/// What memory keeps of a value besides its payload. Times are on the boot clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    pub format: u8,
    pub stamp: Stamp,
    pub expires_at: Option<u64>,
    /// `None`: as long as it lives.
    pub fresh_until: Option<u64>,
    pub load_ms: u32,
    pub tags: Tags,
}

/// What a tag's marker says, in microseconds of the server's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marker {
    /// Values that are not newer are gone.
    pub deleted: u64,
    /// Values that are not newer are stale.
    pub expired: u64,
    /// Until when an invalidation may have been forgotten: values that are not newer are gone. It may fall.
    pub unknown: u64,
}

impl Marker {
    /// What both say.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            deleted: self.deleted.max(other.deleted),
            expired: self.expired.max(other.expired),
            unknown: self.unknown.max(other.unknown),
        }
    }

    /// The moment above which a value is fresh.
    pub fn newest(self) -> u64 {
        self.deleted.max(self.expired).max(self.unknown)
    }

    /// What it will always say, whatever turns up.
    #[must_use]
    pub fn certain(self) -> Self {
        Self { unknown: 0, ..self }
    }

    pub fn verdict(self, stamp: Stamp) -> Verdict {
        if stamp.micros <= self.deleted.max(self.unknown) {
            Verdict::Gone
        } else if stamp.micros <= self.expired {
            Verdict::Stale
        } else {
            Verdict::Fresh
        }
    }
}

/// Whether an invalidation removes what it covers or leaves it as stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Removal {
    Delete,
    Expire,
}

impl Removal {
    pub fn marker(self, micros: u64) -> Marker {
        match self {
            Self::Delete => Marker { deleted: micros, ..Marker::default() },
            Self::Expire => Marker { expired: micros, ..Marker::default() },
        }
    }
}

/// What a value is worth now. Ordered from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Fresh,
    /// Served only to whoever takes what is old.
    Stale,
    /// Never served.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tags_are_read_as_they_were_written(names in prop::collection::vec(".{0,30}", 0..12)) {
            let tags = Tags::new(names.iter().map(String::as_str)).unwrap();
            let read: Vec<_> = tags.iter().map(|name| String::from_utf8(name.to_vec()).unwrap()).collect();
            prop_assert_eq!(&read, &names);
            prop_assert_eq!(Tags::read(tags.stored()), Some(tags));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(tags) = Tags::read(&bytes) {
                prop_assert_eq!(tags.iter().map(|name| name.len() + 2).sum::<usize>(), bytes.len());
            }
        }
    }

    #[test]
    fn tags_together_hold_each_name_once() {
        let tags = |names: &[&str]| Tags::new(names.iter().copied()).unwrap();
        assert_eq!(tags(&["a", "b"]).with(&tags(&["b", "c"])), tags(&["a", "b", "c"]));
        assert_eq!(Tags::default().with(&tags(&["a"])), tags(&["a"]));
    }

    #[test]
    fn tags_that_take_too_much_room_are_none() {
        let long = "x".repeat(TAGS_LIMIT);
        assert_eq!(Tags::new([long.as_str()]), None);
    }

    #[test]
    fn the_worst_of_what_a_marker_says_counts() {
        let marker = Marker { deleted: 5, expired: 9, unknown: 0 };
        let at = |micros| marker.verdict(Stamp { micros, process: 1 });
        assert_eq!(
            [5, 6, 9, 10].map(at),
            [Verdict::Gone, Verdict::Stale, Verdict::Stale, Verdict::Fresh]
        );
    }
}

//! How much may be on its way at once. What exceeds it is refused before it costs anything, so that a
//! server that is slow for a while never becomes a process that is out of memory.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::base::error::{Error, ErrorKind};

#[derive(Debug)]
pub struct Limits {
    most: usize,
    most_bytes: usize,
    count: AtomicUsize,
    bytes: AtomicUsize,
    refused: AtomicU64,
}

impl Limits {
    pub fn new(most: usize, most_bytes: usize) -> Arc<Self> {
        let (count, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { most, most_bytes, count, bytes, refused: AtomicU64::new(0) })
    }

    /// Takes room for one operation. A single one may be larger than the bound, when it is alone.
    pub fn admit(self: &Arc<Self>, bytes: usize) -> Result<Permit, Error> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let permit = Permit { limits: Arc::clone(self), bytes };
        if count < self.most && (count == 0 || held.saturating_add(bytes) <= self.most_bytes) {
            return Ok(permit);
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Error::new(
            ErrorKind::Overloaded,
            format!(
                "{count} operations of {held} bytes wait for Redis; at most {} of {} bytes may",
                self.most, self.most_bytes
            ),
        ))
    }

    /// Operations on their way now.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// The room of one operation; given back when it is dropped, however the operation ended.
#[derive(Debug)]
pub struct Permit {
    limits: Arc<Limits>,
    bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limits.count.fetch_sub(1, Ordering::Relaxed);
        self.limits.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_the_count_or_the_bytes_is_refused_and_room_comes_back() {
        let limits = Limits::new(2, 100);
        let first = limits.admit(60).unwrap();
        assert_eq!(limits.admit(60).unwrap_err().kind, ErrorKind::Overloaded, "too many bytes");
        let second = limits.admit(40).unwrap();
        assert_eq!(limits.admit(0).unwrap_err().kind, ErrorKind::Overloaded, "too many");
        assert_eq!((limits.count(), limits.bytes(), limits.refused()), (2, 100, 2));
        drop((first, second));
        assert_eq!((limits.count(), limits.bytes()), (0, 0));
    }

    #[test]
    fn one_that_is_alone_may_be_larger_than_the_bound() {
        let limits = Limits::new(2, 100);
        let large = limits.admit(1_000).unwrap();
        assert!(limits.admit(1).is_err());
        drop(large);
        assert!(limits.admit(1).is_ok());
    }
}

//! The cache manager: names become keys, sizes are bounded, answers are counted.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::backend::{Answer, Lease, Operation, Reply, Value};
use crate::base::error::{Error, Result};
use crate::base::keys::Keys;
use crate::base::random;
use crate::base::stamp::{Stamp, Stamps};
use crate::config::Config;

/// The longest key that is taken as it is; a longer name belongs under its hash.
pub const KEY_LIMIT: usize = 64 * 1024;
/// A hundred years: beyond this a TTL is a mistake.
pub const TTL_LIMIT_MS: u64 = 100 * 366 * 86_400 * 1000;

/// Counts since the start or the last reset.
#[derive(Debug, Default)]
pub struct CacheStats {
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    pub sets: AtomicU64,
    pub deletes: AtomicU64,
    pub errors: AtomicU64,
}

/// How an answer is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    Not,
    Read,
    Write,
    Fill,
    Removal,
}

impl CacheStats {
    pub fn count(&self, counted: Counted, answer: &Answer) {
        let counter = match (counted, answer) {
            (Counted::Not, _) => return,
            (_, Err(_)) => &self.errors,
            (Counted::Read, Ok(Reply::Entry(_) | Reply::Flag(true))) => &self.hits,
            (Counted::Read, Ok(_)) => &self.misses,
            (Counted::Write | Counted::Fill, Ok(Reply::Flag(true))) => &self.sets,
            // Neither Redis nor memory took it.
            (Counted::Write, Ok(_)) => &self.errors,
            (Counted::Removal, Ok(Reply::Flag(true))) => &self.deletes,
            // A refused fill is no error: a delete came first. Nor is it one that nothing was there.
            (Counted::Fill | Counted::Removal, Ok(_)) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn reset(&self) {
        let Self { hits, misses, sets, deletes, errors } = self;
        for counter in [hits, misses, sets, deletes, errors] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    pub fn view(&self) -> serde_json::Value {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        serde_json::json!({
            "hits": read(&self.hits),
            "misses": read(&self.misses),
            "sets": read(&self.sets),
            "deletes": read(&self.deletes),
            "errors": read(&self.errors),
        })
    }
}

/// How a value came and how it is to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    pub format: u8,
    pub compress: bool,
    /// Negative: no expiry.
    pub ttl_ms: f64,
}

/// Builds the operations of managed values. Stamps are given here, where the call enters.
pub struct Cache {
    pub keys: Keys,
    pub stamps: Arc<Stamps>,
    pub config: Arc<Config>,
}

impl Cache {
    pub fn key(&self, family: &str, name: &str, hashed: bool) -> Result<Bytes> {
        if name.is_empty() {
            return Err(Error::invalid("key", "a key must not be empty"));
        }
        if hashed {
            return Ok(self.keys.hashed(family, name));
        }
        if name.len() > KEY_LIMIT {
            return Err(Error::invalid(
                "key",
                format!("a key of {} bytes is over the limit of {KEY_LIMIT}", name.len()),
            ));
        }
        Ok(self.keys.entry(family, name))
    }

    pub fn get(&self, key: Bytes) -> Operation {
        Operation::Get { key }
    }

    pub fn set(&self, key: Bytes, payload: Bytes, keep: Keep) -> Result<Operation> {
        let (value, ttl_ms) = self.value(payload, keep)?;
        Ok(Operation::Set { key, value, ttl_ms, stamp: self.stamps.next() })
    }

    pub fn delete(&self, key: Bytes) -> Operation {
        Operation::Delete { key, stamp: self.stamps.next() }
    }

    pub fn exists(&self, key: Bytes) -> Operation {
        Operation::Exists { key }
    }

    pub fn load(&self, key: Bytes) -> Operation {
        Operation::Load { key, token: random::bits() | 1 }
    }

    pub fn fill(&self, key: Bytes, token: &str, payload: Bytes, keep: Keep) -> Result<Operation> {
        let lease = parse_lease(token)?;
        let (value, ttl_ms) = self.value(payload, keep)?;
        Ok(Operation::Fill { key, lease, value, ttl_ms })
    }

    pub fn clear(&self, family: &str) -> Operation {
        Operation::Clear { prefix: self.keys.family(family), stamp: self.stamps.next() }
    }

    fn value(&self, payload: Bytes, keep: Keep) -> Result<(Value, Option<u64>)> {
        let limit = self.config.max_value_bytes;
        if payload.len() > limit {
            return Err(Error::invalid(
                "value",
                format!("a value of {} bytes is over the limit of {limit}", payload.len()),
            ));
        }
        let Keep { format, compress, ttl_ms } = keep;
        Ok((Value { payload, format, compress }, ttl(ttl_ms)?))
    }
}

/// A TTL in milliseconds; negative is none.
fn ttl(ms: f64) -> Result<Option<u64>> {
    if ms < 0.0 {
        return Ok(None);
    }
    let rounded = ms.ceil();
    if rounded >= 1.0 && rounded <= TTL_LIMIT_MS as f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        return Ok(Some(rounded as u64));
    }
    Err(Error::invalid("ttl", format!("a TTL of {ms} ms is not between 1 ms and 100 years")))
}

/// A lease crosses to JS and back as text.
pub fn lease_text(lease: Lease) -> String {
    format!("{:x}-{:x}-{:x}", lease.token, lease.start.micros, lease.start.process)
}

fn parse_lease(text: &str) -> Result<Lease> {
    let mut parts = text.split('-').map(|part| u64::from_str_radix(part, 16));
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Ok(token)), Some(Ok(micros)), Some(Ok(process))) => {
            Ok(Lease { token, start: Stamp { micros, process } })
        }
        _ => Err(Error::invalid("token", "this is no lease")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_lease_survives_its_way_through_js(token in any::<u64>(), micros in any::<u64>(), process in any::<u64>()) {
            let lease = Lease { token, start: Stamp { micros, process } };
            prop_assert_eq!(parse_lease(&lease_text(lease)).unwrap(), lease);
        }
    }

    #[test]
    fn ttls_that_mean_nothing_are_refused() {
        for ms in [f64::NAN, f64::INFINITY, 0.0, 200.0 * 366.0 * 86_400_000.0] {
            assert!(ttl(ms).is_err(), "{ms}");
        }
        assert_eq!(ttl(-1.0).unwrap(), None);
        assert_eq!(ttl(0.5).unwrap(), Some(1));
        assert_eq!(ttl(30.0 * 86_400_000.0).unwrap(), Some(2_592_000_000));
    }
}

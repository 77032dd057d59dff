//! The cache manager: names become keys, sizes are bounded, answers are counted.
use std::sync::Arc;

use bytes::Bytes;

use crate::backend::policy::TAGS_LIMIT;
use crate::backend::{Ask, Lease, Operation, Policy, Removal, Scope, Tags, Value};
use crate::base::error::{Error, Result};
use crate::base::keys::Keys;
use crate::base::random;
use crate::base::stamp::{Stamp, Stamps};
use crate::config::Config;

/// The longest key that is taken as it is; a longer name belongs under its hash.
pub const KEY_LIMIT: usize = 64 * 1024;
/// A hundred years: beyond this a TTL is a mistake.
pub const TTL_LIMIT_MS: u64 = 100 * 366 * 86_400 * 1000;

/// How a value came and how it is to be kept.
#[derive(Clone, Debug)]
pub struct Keep {
    pub format: u8,
    pub compress: bool,
    /// Negative: no expiry.
    pub ttl_ms: f64,
    /// Negative: fresh as long as it lives.
    pub fresh_ms: f64,
    pub load_ms: f64,
    pub tags: Tags,
    pub owner: u16,
}

/// Builds the operations of managed values. Stamps are given here, where the call enters.
pub struct Cache {
    pub keys: Keys,
    pub stamps: Arc<Stamps>,
    pub config: Arc<Config>,
}

impl Cache {
    /// `local` tells apart what is kept in this process alone.
    pub fn key(&self, family: &str, name: &str, hashed: bool, local: bool) -> Result<Bytes> {
        if name.is_empty() {
            return Err(Error::invalid("key", "a key must not be empty"));
        }
        if !hashed && name.len() > KEY_LIMIT {
            return Err(Error::invalid(
                "key",
                format!("a key of {} bytes is over the limit of {KEY_LIMIT}", name.len()),
            ));
        }
        let key = match hashed {
            true => self.keys.hashed(family, name),
            false => self.keys.entry(family, name),
        };
        Ok(if local { self.keys.local(&key) } else { key })
    }

    pub fn tags<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<Tags> {
        Tags::new(names).ok_or_else(|| {
            let text = format!(
                "the tags take too much room with those of their namespaces; allowed: {TAGS_LIMIT} bytes together"
            );
            Error::invalid("options.tags", text)
        })
    }

    pub fn set(&self, key: Bytes, payload: Bytes, keep: Keep) -> Result<Operation> {
        let (value, ttl_ms) = self.value(payload, keep)?;
        Ok(Operation::Set { key, value, ttl_ms, stamp: self.stamps.next() })
    }

    pub fn delete(&self, key: Bytes) -> Operation {
        Operation::Delete { key, stamp: self.stamps.next() }
    }

    pub fn expire(&self, key: Bytes) -> Operation {
        Operation::Expire { key, stamp: self.stamps.next() }
    }

    /// Takes the lease for itself; the rest is as it was asked.
    pub fn load(&self, key: Bytes, ask: Ask) -> Operation {
        Operation::Load { key, ask: Ask { token: random::bits() | 1, ..ask } }
    }

    pub fn fill(&self, key: Bytes, token: &str, payload: Bytes, keep: Keep) -> Result<Operation> {
        let lease = parse_lease(token)?;
        let (value, ttl_ms) = self.value(payload, keep)?;
        Ok(Operation::Fill { key, lease, value, ttl_ms })
    }

    pub fn hold(&self, key: Bytes, token: &str, lease_ms: f64) -> Result<Operation> {
        let token = parse_lease(token)?.token;
        Ok(Operation::Hold { key, token, lease_ms: whole_ms(lease_ms) })
    }

    pub fn invalidate(&self, tag: &str, removal: Removal) -> Operation {
        let key = self.keys.marker(tag.as_bytes());
        Operation::Invalidate { key, removal, stamp: self.stamps.next() }
    }

    /// Without a pattern the whole family.
    pub fn clear(&self, family: &str, pattern: Option<&str>, local: bool) -> Operation {
        let scope = match pattern {
            None => Scope::Prefix(self.keys.family(family)),
            Some(pattern) => Scope::matching(&self.keys, family, pattern),
        };
        let scope = if local { scope.local(&self.keys) } else { scope };
        Operation::Clear { scope, stamp: self.stamps.next() }
    }

    fn value(&self, payload: Bytes, keep: Keep) -> Result<(Value, Option<u64>)> {
        let limit = self.config.max_value_bytes;
        if payload.len() > limit {
            return Err(Error::invalid(
                "value",
                format!("a value of {} bytes is over the limit of {limit}", payload.len()),
            ));
        }
        let Keep { format, compress, ttl_ms, fresh_ms, load_ms, tags, owner } = keep;
        let fresh_ms = (fresh_ms >= 0.0).then(|| whole_ms(fresh_ms));
        let load_ms = u32::try_from(whole_ms(load_ms)).unwrap_or(u32::MAX);
        let policy = Policy { fresh_ms, load_ms, tags, owner };
        Ok((Value { payload, format, compress, policy }, ttl(ttl_ms)?))
    }
}

/// Milliseconds as JS counts them; what is no such number is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a float saturates, which is what is wanted"
)]
pub fn whole_ms(ms: f64) -> u64 {
    (ms.ceil() as u64).min(TTL_LIMIT_MS)
}

/// A TTL in milliseconds; negative is none.
fn ttl(ms: f64) -> Result<Option<u64>> {
    if ms < 0.0 {
        return Ok(None);
    }
    let rounded = ms.ceil();
    if rounded >= 1.0 && rounded <= TTL_LIMIT_MS as f64 {
        return Ok(Some(whole_ms(ms)));
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

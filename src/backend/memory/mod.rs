//! The embedded store: the default where nothing is configured, and what answers during an outage.
//! `store.rs` is the bounded structure; here operations are given their meaning on it.
mod commands;
mod data;
mod entry;
mod expiry;
mod leases;
mod outcome;
pub mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::Mutex;

use self::store::{Data, Entry, Standing, Store};
use super::{
    Answer, Backend, Call, Early, Found, Lease, Operation, Reply, Source, Value, settle_all,
};
use crate::base::clock::Clock;
use crate::base::keys::Keys;
use crate::base::stamp::{Stamp, Stamps};

/// When and for whom an operation runs.
pub struct Moment<'a> {
    /// On the boot clock.
    pub now: u64,
    pub stamps: &'a Stamps,
    pub keys: &'a Keys,
}

/// Runs one operation. `journalled` says that an intent of the journal stands behind what is written;
/// the keys of such values that were evicted to make room are added to `evicted`.
pub fn apply(
    store: &mut Store,
    operation: &Operation,
    moment: &Moment<'_>,
    journalled: bool,
    evicted: &mut Vec<Box<[u8]>>,
) -> Answer {
    let now = moment.now;
    Ok(match operation {
        Operation::Get { key } => match store.get(key, now) {
            Some(entry) => Reply::Entry(found(entry, now)?),
            None => Reply::Nothing,
        },
        Operation::Exists { key } => Reply::Flag(store.peek(key, now).is_some()),
        Operation::Set { key, value, ttl_ms, stamp } => {
            store.drop_lease(key);
            let entry = entry(value, *stamp, *ttl_ms, now, journalled);
            Reply::Flag(keep(store, key, entry, now, evicted))
        }
        Operation::Delete { key, .. } => {
            store.drop_lease(key);
            Reply::Flag(store.remove(key, now).is_some())
        }
        Operation::Load { key, token } => match store.get(key, now) {
            Some(entry) => Reply::Entry(found(entry, now)?),
            None => {
                store.take_lease(key, *token);
                Reply::Lease(Lease { token: *token, start: moment.stamps.next() })
            }
        },
        Operation::Fill { key, lease, value, ttl_ms } => {
            if !store.use_lease(key, lease.token) {
                return Ok(Reply::Flag(false));
            }
            // What raw commands left there is not a load's to replace, as on the server.
            let stays = |entry: &Entry| entry.bytes().is_none() || entry.stamp >= lease.start;
            if store.peek(key, now).is_some_and(stays) {
                return Ok(Reply::Flag(false));
            }
            let entry = entry(value, lease.start, *ttl_ms, now, journalled);
            Reply::Flag(keep(store, key, entry, now, evicted))
        }
        Operation::Clear { prefix, .. } => {
            Reply::Count(store.remove_prefix(prefix, now).len() as u64)
        }
        Operation::Command { args } | Operation::Change { args, .. } => {
            Reply::Raw(commands::run(store, args, moment, evicted)?)
        }
        Operation::Pipeline { commands } => Reply::Raw(super::Raw::Array(
            commands
                .iter()
                .map(|args| {
                    commands::run(store, args, moment, evicted)
                        .unwrap_or_else(|error| super::Raw::Error(Box::new(error)))
                })
                .collect(),
        )),
    })
}

fn entry(value: &Value, stamp: Stamp, ttl_ms: Option<u64>, now: u64, journalled: bool) -> Entry {
    Entry {
        data: Data::Bytes(value.payload.clone()),
        format: value.format,
        stamp,
        expires_at: ttl_ms.map(|ms| now.saturating_add(ms.saturating_mul(1000))),
        standing: if journalled { Standing::Journalled } else { Standing::Clean },
    }
}

fn keep(
    store: &mut Store,
    key: &[u8],
    entry: Entry,
    now: u64,
    evicted: &mut Vec<Box<[u8]>>,
) -> bool {
    match store.set(key, entry, now) {
        Ok(gone) => {
            evicted.extend(gone.journalled);
            true
        }
        Err(_) => false,
    }
}

/// An entry as managers see it. What is no managed value is refused, as the server does it.
fn found(entry: &Entry, now: u64) -> crate::base::error::Result<Found> {
    Ok(Found {
        payload: entry.bytes().cloned().ok_or_else(commands::wrong_type)?,
        format: entry.format,
        ttl_ms: entry.expires_at.map(|at| at.saturating_sub(now).div_ceil(1000)),
        source: Source::Memory,
    })
}

/// The store as a backend of its own: memory for good.
pub struct Memory {
    pub store: Mutex<Store>,
    pub stamps: Arc<Stamps>,
    pub clock: Arc<dyn Clock>,
    pub keys: Keys,
}

impl Memory {
    pub fn new(limit: usize, stamps: Arc<Stamps>, clock: Arc<dyn Clock>, keys: Keys) -> Self {
        Self { store: Mutex::new(Store::new(limit)), stamps, clock, keys }
    }

    fn run(&self, operation: &Operation) -> Answer {
        let moment = Moment { now: self.clock.micros(), stamps: &self.stamps, keys: &self.keys };
        apply(&mut self.store.lock(), operation, &moment, false, &mut Vec::new())
    }
}

impl Backend for Memory {
    fn now(&self, operation: Operation, _: bool) -> Early {
        Early::Answer(self.run(&operation))
    }

    fn submit(&self, calls: Vec<Call>) {
        settle_all(calls.into_iter().map(|call| {
            let answer = self.run(&call.operation);
            (call.settler, answer)
        }));
    }
}

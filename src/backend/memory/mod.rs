//! The embedded store: the default where nothing is configured, and what answers during an outage.
//! `store.rs` is the bounded structure; here operations are given their meaning on it.
pub mod ahead;
mod commands;
mod data;
mod entry;
mod expiry;
mod leases;
mod markers;
mod marks;
pub mod messages;
mod outcome;
pub mod rates;
pub mod sessions;
pub mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

pub use self::commands::answers::full;
use self::store::{Data, Entry, Standing, Store};
use super::policy::CLOCK_ERROR;
use super::{
    Answer, Ask, Backend, Call, Early, Found, Lease, Loading, Marker, Meta, Operation, Reach,
    Reply, Source, Value, Verdict, settle_all,
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

impl Moment<'_> {
    /// From when on an invalidation counts: what others have written until now may carry a stamp so far ahead.
    /// Own later writes stand above it.
    pub fn invalidation(&self, stamp: Stamp) -> Stamp {
        let micros = stamp.micros.max(self.stamps.server_micros() + CLOCK_ERROR);
        self.stamps.observe(Stamp { micros, process: 0 });
        Stamp { micros, ..stamp }
    }

    /// How long ago something of this stamp was written.
    pub fn age_ms(&self, stamp: Stamp) -> u64 {
        match self.stamps.settle(stamp).micros {
            0 => 0,
            micros => self.stamps.server_micros().saturating_sub(micros) / 1000,
        }
    }
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
        Operation::Get { key, stale } => match store.judged(key, now, moment.keys, None) {
            Some((entry, verdict)) if verdict == Verdict::Fresh || served(*stale, verdict) => {
                Reply::Entry(found(entry, verdict, moment)?)
            }
            _ => Reply::Nothing,
        },
        Operation::Exists { key } => {
            let judged = store.judged(key, now, moment.keys, None);
            Reply::Flag(judged.is_some_and(|(_, verdict)| verdict == Verdict::Fresh))
        }
        Operation::Set { key, value, ttl_ms, stamp } => {
            store.drop_lease(key);
            let entry = entry(value, *stamp, *ttl_ms, now, journalled);
            Reply::Flag(keep(store, key, entry, now, evicted))
        }
        Operation::Delete { key, .. } => {
            store.drop_lease(key);
            Reply::Flag(store.remove(key, now).is_some())
        }
        Operation::Expire { key, .. } => match store.peek(key, now) {
            // What raw commands left there can't be stale, as on the server.
            Some(entry) if entry.is_raw() => Reply::Flag(store.remove(key, now).is_some()),
            _ => Reply::Flag(store.make_stale(key, now)),
        },
        Operation::Load { key, ask } => return load(store, key, ask, moment),
        Operation::Hold { key, token, lease_ms } => Reply::Flag(match lease_ms {
            0 => store.use_lease(key, *token),
            ms => store.keep_lease(key, *token, after(now, *ms)),
        }),
        Operation::Invalidate { key, removal, stamp } => {
            store.raise_marker(key, removal.marker(moment.invalidation(*stamp).micros));
            Reply::Flag(true)
        }
        Operation::Fill { key, lease, value, ttl_ms } => {
            if !store.use_lease(key, lease.token) {
                return Ok(Reply::Flag(false));
            }
            // What raw commands left there is not a load's to replace, as on the server.
            let stays = |entry: &Entry| entry.is_raw() || entry.stamp >= lease.start;
            if store.peek(key, now).is_some_and(stays) {
                return Ok(Reply::Flag(false));
            }
            let tags = value.policy.tags.iter();
            let markers = tags.map(|tag| store.markers.guess(&moment.keys.marker(tag)));
            // What was invalidated while it was loaded is not worth keeping.
            if markers.fold(Marker::default(), Marker::max).newest() >= lease.start.micros {
                return Ok(Reply::Flag(false));
            }
            let entry = entry(value, lease.start, *ttl_ms, now, journalled);
            // Told apart from one that came too late.
            if !keep(store, key, entry, now, evicted) {
                return Err(full());
            }
            Reply::Flag(true)
        }
        Operation::Clear { scope, stamp } => {
            Reply::Count(store.remove_scope(scope, *stamp, now) as u64)
        }
        Operation::Rate { key, limiter, act } => {
            let decision = store.rates.apply(key, limiter, &act.verb, now, journalled);
            Reply::Decision(Box::new(decision))
        }
        Operation::Publish { key, message, .. } => {
            if let Some(kept) = message.kept.filter(|_| !journalled) {
                store.messages.keep(key, message, kept, now);
            }
            Reply::Flag(true)
        }
        Operation::Stream { key, after, count } => {
            Reply::Raw(super::Raw::Array(store.messages.read(key, after.as_deref(), *count, now)))
        }
        Operation::Presence { key, user, status, ms } => {
            if !user.is_empty() {
                store.messages.note(key, user, status, *ms, now);
                return Ok(Reply::Raw(super::Raw::Array(Vec::new())));
            }
            Reply::Raw(super::Raw::Array(store.messages.present(key, now)))
        }
        Operation::Session { key, ask } => {
            return store.sessions.apply(key, ask, moment, journalled);
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

/// Whether a read that takes what is stale takes this.
fn served(stale: bool, verdict: Verdict) -> bool {
    stale && verdict == Verdict::Stale
}

fn after(now: u64, ms: u64) -> u64 {
    now.saturating_add(ms.saturating_mul(1000))
}

fn load(store: &mut Store, key: &Bytes, ask: &Ask, moment: &Moment<'_>) -> Answer {
    let now = moment.now;
    let mut stale = None;
    if let Some((entry, verdict)) = store.judged(key, now, moment.keys, None) {
        if verdict == Verdict::Fresh && !ask.force && !ask.refresh {
            return Ok(Reply::Entry(found(entry, verdict, moment)?));
        }
        if verdict != Verdict::Gone {
            stale = Some(Box::new(found(entry, Verdict::Stale, moment)?));
        }
    }
    let held = store.lease(key).filter(|taken| taken.until > now && taken.token != ask.token);
    let token = match held {
        Some(taken) if !(ask.force || ask.share) => {
            let wait_ms = (taken.until - now).div_ceil(1000);
            let holder = taken.token;
            return Ok(Reply::Loading(Loading { wait_ms, holder, stale, ..Loading::default() }));
        }
        Some(taken) => taken.token,
        None => ask.token,
    };
    store.take_lease(key, token, after(now, ask.lease_ms));
    let lease = Some(Lease { token, start: moment.stamps.next() });
    Ok(Reply::Loading(Loading { lease, stale, ..Loading::default() }))
}

fn entry(value: &Value, stamp: Stamp, ttl_ms: Option<u64>, now: u64, journalled: bool) -> Entry {
    let meta = Meta {
        format: value.format,
        stamp,
        expires_at: ttl_ms.map(|ms| after(now, ms)),
        fresh_until: value.policy.fresh_ms.map(|ms| after(now, ms)),
        load_ms: value.policy.load_ms,
        tags: value.policy.tags.clone(),
    };
    let standing = if journalled { Standing::Journalled } else { Standing::Clean };
    let owner = value.policy.owner;
    Entry { owner, ..Entry::new(Data::Bytes(value.payload.clone()), &meta, standing) }
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
pub fn found(
    entry: &Entry,
    verdict: Verdict,
    moment: &Moment<'_>,
) -> crate::base::error::Result<Found> {
    let now = moment.now;
    let left = |at: u64| at.saturating_sub(now).div_ceil(1000);
    let terms = entry.terms.as_deref();
    Ok(Found {
        payload: entry.bytes().cloned().ok_or_else(commands::wrong_type)?,
        format: entry.format,
        ttl_ms: entry.expires_at.map(left),
        source: Source::Memory,
        fresh_ms: match verdict {
            Verdict::Fresh => terms.and_then(|terms| terms.fresh_until).map(left),
            Verdict::Stale | Verdict::Gone => Some(0),
        },
        age_ms: moment.age_ms(entry.stamp),
        load_ms: terms.map_or(0, |terms| terms.load_ms),
        keep_ms: None,
        mark: None,
        tagged: entry.tags().map(|_| 0),
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
    fn now(&self, operation: Operation, _: Reach) -> Early {
        Early::Answer(self.run(&operation))
    }

    fn submit(&self, calls: Vec<Call>) {
        settle_all(calls.into_iter().map(|call| {
            let answer = self.run(&call.operation);
            (call.settler, answer)
        }));
    }
}

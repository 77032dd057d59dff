//! What the replies of one pipeline bring about, gathered before anything of it is handed out.
use std::collections::HashMap;

use bytes::Bytes;

use super::items::Item;
use super::landing::overwrites;
use super::wire::Read;
use super::{Keeper, Passing, Wire, failure};
use crate::backend::intent::Outcome;
use crate::backend::rate::Told;
use crate::backend::session::Seen;
use crate::backend::{
    Answer, Call, Found, Loading, Meta, Operation, Reply, Source, Verdict, settle_all,
};
use crate::base::error::{Error, ErrorKind};

/// Gathers what one pipeline brings about.
pub(super) struct Landing {
    /// On the boot clock.
    pub now: u64,
    /// Unfolded off the I/O thread, so that others may have overtaken it.
    late: bool,
    pub answers: Vec<(Call, Answer)>,
    pub kept: Vec<Kept>,
    /// Keys that hold nothing, or what is not handed over: no copy of what they held may answer later, unless it
    /// says the same.
    pub missed: Vec<(Bytes, u32, Meta)>,
    /// Calls that have another question.
    pub further: Vec<Item>,
    pub again: Vec<Item>,
    /// Comparing live writes that met something newer.
    pub fenced: Vec<Call>,
    /// Keys of which a later write was carried out, and how many of those it covers.
    later: HashMap<Bytes, usize>,
    /// What the server said of limits.
    pub limited: Vec<Told>,
    /// What it said of sessions.
    pub sessions: Vec<Seen>,
    pub failed: Option<Error>,
    pub reopen: bool,
    /// The server has no room for what is replayed.
    pub full: bool,
    /// Keys whose values are better read in the slow lane from now on.
    pub large: Vec<Bytes>,
    /// Unfolding these takes long: the others' answers don't wait for it.
    pub folded: Vec<Arrived>,
}

/// A value that is kept aside.
pub(super) struct Kept {
    /// Its place among the answers.
    pub at: usize,
    pub seen: u32,
    pub meta: Meta,
    /// It was read, not written.
    pub read: bool,
}

/// A value that was read, and who asked.
pub(super) struct Arrived {
    pub call: Call,
    pub seen: u32,
    pub read: Read,
    pub verdict: Verdict,
    /// It is the old value of a load that goes on: who has the lease, or for how long.
    pub loading: Option<Loading>,
}

impl Kept {
    fn passing<'a>(
        &'a self,
        (call, answer): &'a (Call, Answer),
        late: bool,
    ) -> Option<Passing<'a>> {
        let payload = match (call.operation.value(), answer) {
            (Some(value), _) => &value.payload,
            (None, Ok(Reply::Entry(found))) => &found.payload,
            (None, Ok(Reply::Loading(loading))) => &loading.stale.as_ref()?.payload,
            _ => return None,
        };
        let (key, payload) = (call.operation.key()?, Some(payload));
        let Self { seen, meta, read, .. } = self;
        Some(Passing { key, seen: *seen, payload, late, meta, read: *read, owner: call.owner })
    }
}

impl Landing {
    pub fn new(now: u64, late: bool) -> Self {
        Self {
            now,
            late,
            answers: Vec::new(),
            kept: Vec::new(),
            missed: Vec::new(),
            further: Vec::new(),
            again: Vec::new(),
            fenced: Vec::new(),
            later: HashMap::new(),
            limited: Vec::new(),
            sessions: Vec::new(),
            failed: None,
            reopen: false,
            full: false,
            large: Vec::new(),
            folded: Vec::new(),
        }
    }

    /// Live writes that met something newer don't go again when a later one of their key was carried out.
    pub fn overtaken(&mut self, later: &Call) {
        if !self.fenced.is_empty()
            && let Some(key) = overwrites(&later.operation)
        {
            self.later.insert(key.clone(), self.fenced.len());
        }
    }

    /// Those that go again; the others are settled.
    pub fn take_fenced(&mut self) -> Vec<Call> {
        let later = std::mem::take(&mut self.later);
        let mut place = 0;
        let mut over = |call: &mut Call| {
            place += 1;
            call.operation.key().and_then(|key| later.get(key)).is_some_and(|&upto| place <= upto)
        };
        let over: Vec<Call> = self.fenced.extract_if(.., &mut over).collect();
        self.answers.extend(over.into_iter().map(|call| (call, Ok(Reply::Flag(true)))));
        std::mem::take(&mut self.fenced)
    }

    pub fn open(&mut self, arrived: Arrived, wire: &Wire) {
        let Arrived { call, seen, read, verdict, loading } = arrived;
        let meta = wire.meta(&read);
        let found = read.payload.unfold(wire.config.max_value_bytes).map(|payload| Found {
            payload,
            format: meta.format,
            ttl_ms: meta.expires_at.map(|at| at.saturating_sub(self.now).div_ceil(1000).max(1)),
            source: Source::Redis,
            fresh_ms: match verdict {
                Verdict::Fresh => {
                    meta.fresh_until.map(|at| at.saturating_sub(self.now).div_ceil(1000).max(1))
                }
                Verdict::Stale | Verdict::Gone => Some(0),
            },
            age_ms: wire.age_ms(meta.stamp),
            load_ms: meta.load_ms,
            keep_ms: None,
            mark: None,
            tagged: (!meta.tags.is_empty()).then_some(0),
        });
        if found.is_ok() {
            self.kept.push(Kept { at: self.answers.len(), seen, meta, read: true });
        }
        let answer = match loading {
            None => found.map(Reply::Entry),
            // What can't be read is loaded anew all the same.
            Some(loading) => {
                Ok(Reply::Loading(Loading { stale: found.ok().map(Box::new), ..loading }))
            }
        };
        self.answers.push((call, answer));
    }

    /// Hands the answers out, and their values to whoever keeps copies. Gives back what is to be unfolded.
    pub fn settle(self, keeper: Option<&dyn Keeper>, wire: &Wire) -> Vec<Arrived> {
        let Self { answers, kept, missed, folded, late, limited, sessions, .. } = self;
        if let Some(keeper) = keeper {
            // Before it is unfolded, only what it replaces is known.
            let metas: Vec<Meta> = folded.iter().map(|arrived| wire.meta(&arrived.read)).collect();
            let announced = folded.iter().zip(&metas).filter_map(|(arrived, meta)| {
                let (key, seen) = (arrived.call.operation.key()?, arrived.seen);
                let owner = arrived.call.owner;
                Some(Passing { key, seen, payload: None, late: false, meta, read: true, owner })
            });
            let gone = missed.iter().map(|(key, seen, meta)| {
                let seen = *seen;
                Passing { key, seen, payload: None, late: false, meta, read: true, owner: 0 }
            });
            let whole = kept.iter().filter_map(|kept| kept.passing(answers.get(kept.at)?, late));
            keeper.keep(&mut whole.chain(announced).chain(gone));
            if !limited.is_empty() {
                keeper.limited(limited);
            }
            if !sessions.is_empty() {
                keeper.sessions(sessions);
            }
        }
        settle_all(answers.into_iter().map(|(call, answer)| (call.settler, answer)));
        folded
    }

    /// A replay's error. Answers how it ended: not at all, when the server or the script is gone or there
    /// is no room; else as a conflict, since trying again would end the same way.
    pub fn note(&mut self, error: Error) -> Option<Outcome> {
        if failure::forgot_script(&error) {
            self.reopen = true;
            None
        } else if failure::means_unavailable(&error) {
            self.failed = Some(error);
            None
        } else if error.kind == ErrorKind::Full {
            self.full = true;
            None
        } else {
            Some(Outcome::Conflict)
        }
    }
}

/// The value that a call has written.
pub(super) fn written(call: &Call, seen: u32, at: usize) -> Option<Kept> {
    let (ttl_ms, stamp) = match &call.operation {
        Operation::Set { ttl_ms, stamp, .. } => (ttl_ms, *stamp),
        Operation::Fill { ttl_ms, lease, .. } => (ttl_ms, lease.start),
        _ => return None,
    };
    let after = |ms: u64| call.since.saturating_add(ms.saturating_mul(1000));
    let value = call.operation.value()?;
    let meta = Meta {
        format: value.format,
        stamp,
        expires_at: ttl_ms.map(after),
        fresh_until: value.policy.fresh_ms.map(after),
        load_ms: value.policy.load_ms,
        tags: value.policy.tags.clone(),
    };
    Some(Kept { at, seen, meta, read: false })
}

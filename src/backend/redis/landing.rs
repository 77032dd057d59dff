//! What becomes of the replies: answers, copies, leases, and the errors that say more than their call.
use bytes::Bytes;
use redis::{RedisResult, Value as Resp};

use super::hub::Hub;
use super::state::State;
use super::traffic::Item;
use super::wire::{self, LeaseAnswer};
use super::{Copy, Wire, failure};
use crate::backend::intent::Outcome;
use crate::backend::{Answer, Call, Operation, Reply, Settler, Value, settle_all};
use crate::base::error::Error;
use crate::codec::envelope::Payload;

/// What unfolds to more bytes is unfolded off the I/O thread.
const OFF_THREAD: usize = 64 * 1024;
/// A value of so many bytes on the wire is read in the slow lane the next time.
const LARGE_READ: usize = 1024 * 1024;

/// Gathers what one pipeline brings about.
#[derive(Default)]
pub struct Landing {
    answers: Vec<(Settler, Answer)>,
    copies: Vec<Copy>,
    leases: Vec<Call>,
    again: Vec<Item>,
    failed: Option<Error>,
    reopen: bool,
    /// Keys whose values are better read in the slow lane from now on.
    large: Vec<Bytes>,
    /// Unfolding these takes long: the others' answers don't wait for it.
    folded: Vec<Arrived>,
}

/// A value that was read, and who asked.
struct Arrived {
    call: Call,
    seen: u32,
    read: wire::Read,
}

impl Arrived {
    /// The answer, and the copy that is kept aside for an outage.
    fn open(self, wire: &Wire) -> (Settler, Answer, Option<Copy>) {
        let Self { call, seen, read } = self;
        let wire::Read { payload, format, stamp, expires } = read;
        let payload = match payload.unfold(wire.config.max_value_bytes) {
            Ok(payload) => payload,
            Err(error) => return (call.settler, Err(error), None),
        };
        let copy = call.operation.key().map(|key| Copy {
            key: key.clone(),
            seen,
            value: Value { payload: payload.clone(), format, compress: true },
            stamp,
            expires_at: expires.map(|at| wire.stamps.to_boot(at)),
        });
        (call.settler, Ok(Reply::Entry(wire.found(payload, format, expires))), copy)
    }
}

impl Landing {
    /// A replay's error. Answers how it ended: not at all, when the server or the script is gone; else
    /// as a conflict, since trying again would end the same way.
    fn note(&mut self, error: Error) -> Option<Outcome> {
        if error.cause.as_deref().is_some_and(|cause| cause.starts_with("NOSCRIPT")) {
            self.reopen = true;
            None
        } else if failure::means_unavailable(&error) {
            self.failed = Some(error);
            None
        } else {
            Some(Outcome::Conflict)
        }
    }
}

impl Hub {
    /// A pipeline was answered, or its connection broke.
    pub fn landed(&mut self, number: u64, result: RedisResult<Vec<Resp>>) {
        let Some(batch) = self.batches.remove(&number) else { return };
        if let Some(link) = self.links.iter_mut().find(|link| link.id == batch.link) {
            link.outstanding = link.outstanding.saturating_sub(batch.items.len());
            link.busy_since = self.shared.clock.micros();
        }
        self.lane.landed(self.batches.keys().next().copied());
        let values = match result {
            Ok(values) => values,
            Err(error) => {
                self.orphans.extend(batch.items);
                match self.state {
                    State::Online | State::Resyncing => {
                        self.suspect(failure::from_redis(&error).message);
                    }
                    // Decided soon, by the dial or by the return that is under way.
                    State::Idle | State::Connecting | State::Suspect | State::Invalidating => {}
                    State::Degraded | State::Forced | State::Closed => self.hand_back(),
                }
                return;
            }
        };
        let mut landing = Landing::default();
        let mut ended = Vec::new();
        let mut values = values.into_iter();
        for item in batch.items {
            match item {
                Item::Replay(intent) => {
                    self.replaying = self.replaying.saturating_sub(1);
                    match wire::outcome(&values.next().unwrap_or(Resp::Nil)) {
                        Ok(outcome) => ended.push((intent, Some(outcome))),
                        Err(error) => ended.push((intent, landing.note(error))),
                    }
                }
                Item::Call { call, leasing, seen, replies } => {
                    self.land(
                        call,
                        leasing,
                        seen,
                        &mut values.by_ref().take(replies),
                        &mut landing,
                    );
                }
            }
        }
        if let Some(keeper) = self.shared.keeper() {
            keeper.replayed(ended);
        }
        self.settle_landing(landing);
        self.take_grown();
        self.pump_replay();
    }

    /// Settles one call that was sent by itself.
    pub fn land_alone(&mut self, call: Call, seen: u32, replies: Vec<Resp>) {
        let mut landing = Landing::default();
        self.land(call, false, seen, &mut replies.into_iter(), &mut landing);
        self.settle_landing(landing);
    }

    /// Hands out what a landing gathered, and draws its conclusions.
    pub fn settle_landing(&mut self, landing: Landing) {
        if let Some(keeper) = self.shared.keeper() {
            keeper.keep(landing.copies);
        }
        landing.large.iter().for_each(|key| self.lane.remember(key));
        settle_all(landing.answers);
        for arrived in landing.folded {
            let shared = self.shared.clone();
            tokio::task::spawn_blocking(move || {
                let (settler, answer, copy) = arrived.open(&shared.wire);
                if let Some(keeper) = shared.keeper() {
                    keeper.keep(copy.into_iter().collect());
                }
                settler.settle(answer);
            });
        }
        self.ask_for_leases(landing.leases);
        self.orphans.extend(landing.again);
        if matches!(self.state, State::Degraded | State::Forced) {
            self.hand_back();
        }
        match landing.failed {
            Some(error) if self.state.live() || self.state == State::Suspect => self.degrade(error),
            _ if landing.reopen => self.suspect("the server forgot the scripts".to_owned()),
            _ => {}
        }
    }

    pub fn land(
        &self,
        call: Call,
        leasing: bool,
        seen: u32,
        replies: &mut impl Iterator<Item = Resp>,
        out: &mut Landing,
    ) {
        let wire = &self.shared.wire;
        let repeated = call.attempts > 0;
        let stored = match &call.operation {
            Operation::Load { token, .. } if leasing => {
                let value = replies.next().unwrap_or(Resp::Nil);
                if let Resp::ServerError(error) = &value {
                    return self.refuse(call, leasing, seen, failure::from_server(error), out);
                }
                match wire::lease_answer(value, *token, wire.stamps.process()) {
                    Ok(LeaseAnswer::Value(stored)) => Some(stored),
                    Ok(LeaseAnswer::Taken(lease)) => {
                        // Own later writes stand above what this load brings.
                        wire.stamps.observe(lease.start);
                        out.answers.push((call.settler, Ok(Reply::Lease(lease))));
                        return;
                    }
                    Err(error) => {
                        out.answers.push((call.settler, Err(error)));
                        return;
                    }
                }
            }
            Operation::Get { .. } | Operation::Load { .. } => match replies.next() {
                Some(Resp::BulkString(stored)) => Some(stored),
                Some(Resp::Nil) if matches!(call.operation, Operation::Load { .. }) => {
                    out.leases.push(call);
                    return;
                }
                Some(Resp::Nil) => {
                    out.answers.push((call.settler, Ok(Reply::Nothing)));
                    return;
                }
                Some(Resp::ServerError(error)) => {
                    return self.refuse(call, leasing, seen, failure::from_server(&error), out);
                }
                _ => {
                    out.answers.push((call.settler, Err(wire::unexpected())));
                    return;
                }
            },
            _ => None,
        };
        let Some(stored) = stored else {
            return match wire::simple_answer(&call.operation, repeated, replies.collect()) {
                Ok(reply) => {
                    // A repeated write may have been settled by something newer: no copy of it.
                    if reply == Reply::Flag(true) && !repeated {
                        out.copies.extend(self.written(&call, seen));
                    }
                    out.answers.push((call.settler, Ok(reply)));
                }
                Err(error) => self.refuse(call, leasing, seen, error, out),
            };
        };
        match wire.read(stored) {
            Ok(read) => self.hand_over(Arrived { call, seen, read }, out),
            Err(error) => out.answers.push((call.settler, Err(error))),
        }
    }

    fn hand_over(&self, arrived: Arrived, out: &mut Landing) {
        let payload = &arrived.read.payload;
        if let (Payload::Plain(bytes) | Payload::Zstd(bytes), Some(key)) =
            (payload, arrived.call.operation.key())
            && bytes.len() > LARGE_READ
        {
            out.large.push(key.clone());
        }
        if payload.unfolds_to() > OFF_THREAD {
            out.folded.push(arrived);
            return;
        }
        let (settler, answer, copy) = arrived.open(&self.shared.wire);
        out.copies.extend(copy);
        out.answers.push((settler, answer));
    }

    /// A server's error for one call.
    pub fn refuse(&self, call: Call, leasing: bool, seen: u32, error: Error, out: &mut Landing) {
        let forgot = error.cause.as_deref().is_some_and(|cause| cause.starts_with("NOSCRIPT"));
        let raw = matches!(call.operation, Operation::Command { .. } | Operation::Pipeline { .. });
        if !raw && (forgot || failure::means_unavailable(&error)) {
            let replies = 0;
            out.again.push(Item::Call { call, leasing, seen, replies });
            if forgot {
                out.reopen = true;
            } else {
                out.failed = Some(error);
            }
            return;
        }
        out.answers.push((call.settler, Err(error)));
    }

    pub fn written(&self, call: &Call, seen: u32) -> Option<Copy> {
        let (key, value, ttl_ms, stamp) = match &call.operation {
            Operation::Set { key, value, ttl_ms, stamp } => (key, value, ttl_ms, *stamp),
            Operation::Fill { key, value, ttl_ms, lease } => (key, value, ttl_ms, lease.start),
            _ => return None,
        };
        let expires_at = ttl_ms.map(|ms| call.since.saturating_add(ms.saturating_mul(1000)));
        Some(Copy { key: key.clone(), seen, value: value.clone(), stamp, expires_at })
    }
}

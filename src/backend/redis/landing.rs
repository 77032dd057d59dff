//! What becomes of the replies: answers, copies, leases, and the errors that say more than their call.
use std::collections::HashMap;

use bytes::Bytes;
use redis::{RedisResult, Value as Resp};

use super::hub::Hub;
use super::items::Item;
use super::state::State;
use super::wire::{self, LeaseAnswer};
use super::{Keeper, Passing, Wire, failure};
use crate::backend::intent::{Intent, Outcome};
use crate::backend::{Answer, Call, Found, Operation, Reply, Source, settle_all};
use crate::base::error::{Applied, Error, ErrorKind};
use crate::base::stamp::Stamp;
use crate::codec::envelope::Payload;

/// What unfolds to more bytes is unfolded off the I/O thread.
const OFF_THREAD: usize = 64 * 1024;
/// A value of so many bytes on the wire is read in the slow lane the next time.
const LARGE_READ: usize = 1024 * 1024;
/// How often a comparing live write tries to be the last one.
const FENCED_MOST: u32 = 16;

/// Gathers what one pipeline brings about.
pub struct Landing {
    /// On the boot clock.
    now: u64,
    /// Unfolded off the I/O thread, so that others may have overtaken it.
    late: bool,
    answers: Vec<(Call, Answer)>,
    kept: Vec<Kept>,
    /// Keys that hold nothing: no copy of what they held may answer later.
    missed: Vec<(Bytes, u32)>,
    leases: Vec<Call>,
    again: Vec<Item>,
    /// Comparing live writes that met something newer.
    fenced: Vec<Call>,
    failed: Option<Error>,
    reopen: bool,
    /// The server has no room for what is replayed.
    full: bool,
    /// Keys whose values are better read in the slow lane from now on.
    large: Vec<Bytes>,
    /// Unfolding these takes long: the others' answers don't wait for it.
    folded: Vec<Arrived>,
}

/// An answer whose value is kept aside for an outage.
struct Kept {
    /// Its place among the answers.
    at: usize,
    seen: u32,
    stamp: Stamp,
    expires_at: Option<u64>,
}

impl Kept {
    fn passing<'a>(&self, (call, answer): &'a (Call, Answer), late: bool) -> Option<Passing<'a>> {
        let (payload, format) = match (&call.operation, answer) {
            (Operation::Set { value, .. } | Operation::Fill { value, .. }, _) => {
                (&value.payload, value.format)
            }
            (_, Ok(Reply::Entry(found))) => (&found.payload, found.format),
            _ => return None,
        };
        let &Self { seen, stamp, expires_at, .. } = self;
        let (key, payload) = (call.operation.key()?, Some(payload));
        Some(Passing { key, seen, payload, late, format, stamp, expires_at })
    }
}

/// A value that was read, and who asked.
struct Arrived {
    call: Call,
    seen: u32,
    read: wire::Read,
}

impl Arrived {
    /// Before it is unfolded, only what it replaces is known.
    fn announced(&self) -> Option<Passing<'_>> {
        let key = self.call.operation.key()?;
        let wire::Read { format, stamp, .. } = self.read;
        let (seen, payload, late, expires_at) = (self.seen, None, false, None);
        Some(Passing { key, seen, payload, late, format, stamp, expires_at })
    }
}

impl Landing {
    fn new(now: u64, late: bool) -> Self {
        Self {
            now,
            late,
            answers: Vec::new(),
            kept: Vec::new(),
            missed: Vec::new(),
            leases: Vec::new(),
            again: Vec::new(),
            fenced: Vec::new(),
            failed: None,
            reopen: false,
            full: false,
            large: Vec::new(),
            folded: Vec::new(),
        }
    }

    fn open(&mut self, Arrived { call, seen, read }: Arrived, wire: &Wire) {
        let wire::Read { payload, format, stamp, expires } = read;
        let answer = payload.unfold(wire.config.max_value_bytes).map(|payload| {
            let expires_at = expires.map(|at| wire.stamps.to_boot(at));
            self.kept.push(Kept { at: self.answers.len(), seen, stamp, expires_at });
            let ttl_ms = expires_at.map(|at| at.saturating_sub(self.now).div_ceil(1000).max(1));
            Reply::Entry(Found { payload, format, ttl_ms, source: Source::Redis })
        });
        self.answers.push((call, answer));
    }

    /// Hands the answers out, and their values to whoever keeps copies. Gives back what is to be unfolded.
    fn settle(self, keeper: Option<&dyn Keeper>) -> Vec<Arrived> {
        let Self { answers, kept, missed, folded, late, .. } = self;
        if let Some(keeper) = keeper {
            let whole = kept.iter().filter_map(|kept| kept.passing(answers.get(kept.at)?, late));
            let announced = folded.iter().filter_map(Arrived::announced);
            let gone = missed.iter().map(|(key, seen)| Passing {
                key,
                seen: *seen,
                payload: None,
                late: false,
                format: 0,
                stamp: Stamp::default(),
                expires_at: None,
            });
            keeper.keep(&mut whole.chain(announced).chain(gone));
        }
        settle_all(answers.into_iter().map(|(call, answer)| (call.settler, answer)));
        folded
    }

    /// A replay's error. Answers how it ended: not at all, when the server or the script is gone or there
    /// is no room; else as a conflict, since trying again would end the same way.
    fn note(&mut self, error: Error) -> Option<Outcome> {
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
                self.orphans.add(number, batch.items);
                match self.state {
                    State::Online | State::Resyncing => {
                        // One connection that broke is one failure, whatever was on it.
                        self.breaker.failed(1, self.now());
                        self.suspect(failure::from_redis(&error).message);
                    }
                    // Decided soon, by the dial or by the return that is under way.
                    State::Idle | State::Connecting | State::Suspect | State::Invalidating => {}
                    State::Degraded | State::Forced | State::Closed => self.hand_back(),
                }
                return;
            }
        };
        let (outstanding, now) = (self.outstanding(), self.now());
        self.spin.landed(outstanding, now);
        self.breaker.answered(batch.items.len(), now);
        self.land_all(number, batch.items, values);
        self.take_grown();
        self.pump_replay();
    }

    /// Settles what was sent by itself.
    pub fn land_alone(&mut self, mut item: Item, values: Vec<Resp>) {
        if let Item::Call { replies, .. } = &mut item {
            *replies = values.len();
        }
        self.land_all(0, vec![item], values);
        self.pump_replay();
    }

    fn land_all(&mut self, number: u64, items: Vec<Item>, values: Vec<Resp>) {
        let mut landing = Landing::new(self.now(), false);
        let mut ended = Vec::new();
        // Intents that the server did not take, by their keys: what was asked of these right behind them is
        // answered from what still waits, unless it was a write, which settles them.
        let mut untaken: HashMap<Bytes, Intent> = HashMap::new();
        let mut owed = Vec::new();
        let mut values = values.into_iter();
        for item in items {
            match item {
                Item::Replay(intent) => {
                    self.replaying = self.replaying.saturating_sub(1);
                    let reply = values.next().unwrap_or(Resp::Nil);
                    match wire::outcome(&reply).map_or_else(|error| landing.note(error), Some) {
                        Some(outcome) => ended.push((intent, Some(outcome))),
                        None => {
                            untaken.insert(intent.key.clone(), intent);
                        }
                    }
                }
                Item::Call { call, leasing, seen, replies } => {
                    let replies: Vec<Resp> = values.by_ref().take(replies).collect();
                    let refused = replies.iter().any(|reply| matches!(reply, Resp::ServerError(_)));
                    // A change that went through does not settle those before it.
                    let merged = matches!(call.operation, Operation::Change { .. }) && !refused;
                    let key =
                        call.operation.key().filter(|key| untaken.contains_key(*key) && !merged);
                    if let Some(key) = key.cloned() {
                        let done = call.operation.writes() && !refused;
                        match untaken.remove(&key) {
                            Some(intent) if done => ended.push((intent, Some(Outcome::Superseded))),
                            Some(intent) => {
                                untaken.insert(key, intent);
                                owed.push(call);
                                continue;
                            }
                            None => {}
                        }
                    }
                    self.land(call, leasing, seen, &mut replies.into_iter(), &mut landing);
                }
            }
        }
        ended.extend(untaken.into_values().map(|intent| (intent, None)));
        if let Some(keeper) = self.shared.keeper() {
            keeper.replayed(ended);
        }
        self.unanswered(owed, Applied::No);
        self.settle_landing(number, landing);
    }

    /// Hands out what a landing gathered, and draws its conclusions.
    fn settle_landing(&mut self, number: u64, mut landing: Landing) {
        let leases = std::mem::take(&mut landing.leases);
        let again = std::mem::take(&mut landing.again);
        let fenced = std::mem::take(&mut landing.fenced);
        let (failed, reopen, full) = (landing.failed.take(), landing.reopen, landing.full);
        landing.large.iter().for_each(|key| self.lane.remember(key));
        for arrived in landing.settle(self.shared.keeper().as_deref()) {
            let shared = self.shared.clone();
            tokio::task::spawn_blocking(move || {
                let mut landing = Landing::new(shared.clock.micros(), true);
                landing.open(arrived, &shared.wire);
                landing.settle(shared.keeper().as_deref());
            });
        }
        self.ask_for_leases(leases);
        if self.state.live() {
            self.dispatch(fenced);
        } else {
            self.orphans.add(number, fenced.into_iter().map(Item::fresh));
        }
        self.orphans.add(number, again);
        if matches!(self.state, State::Degraded | State::Forced) {
            self.hand_back();
        }
        match failed {
            Some(error) if self.state.live() || self.state == State::Suspect => self.degrade(error),
            _ if full => self.rest(),
            _ if reopen => self.suspect("the server forgot the scripts".to_owned()),
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
                        out.answers.push((call, Ok(Reply::Lease(lease))));
                        return;
                    }
                    Err(error) => {
                        out.answers.push((call, Err(error)));
                        return;
                    }
                }
            }
            Operation::Get { .. } | Operation::Load { .. } => match replies.next() {
                Some(Resp::BulkString(stored)) => Some(stored),
                Some(Resp::Nil) if matches!(call.operation, Operation::Load { .. }) => {
                    out.missed.extend(call.operation.key().map(|key| (key.clone(), seen)));
                    out.leases.push(call);
                    return;
                }
                Some(Resp::Nil) => {
                    out.missed.extend(call.operation.key().map(|key| (key.clone(), seen)));
                    out.answers.push((call, Ok(Reply::Nothing)));
                    return;
                }
                Some(Resp::ServerError(error)) => {
                    return self.refuse(call, leasing, seen, failure::from_server(&error), out);
                }
                _ => {
                    out.answers.push((call, Err(wire::unexpected())));
                    return;
                }
            },
            _ => None,
        };
        let Some(stored) = stored else {
            let replies: Vec<Resp> = replies.collect();
            if let Some(newer) = wire.fenced_off(&call.operation, repeated, &replies) {
                return self.fence(call, newer, out);
            }
            return match wire::simple_answer(&call.operation, repeated, replies) {
                Ok(reply) => {
                    // A repeated write may have been settled by something newer: no copy of it.
                    let is_gone = matches!(call.operation, Operation::Exists { .. })
                        && reply == Reply::Flag(false);
                    out.missed.extend(
                        call.operation.key().filter(|_| is_gone).map(|key| (key.clone(), seen)),
                    );
                    if reply == Reply::Flag(true) && !repeated {
                        out.kept.extend(written(&call, seen, out.answers.len()));
                    }
                    out.answers.push((call, Ok(reply)));
                }
                Err(error) => self.refuse(call, leasing, seen, error, out),
            };
        };
        match wire.read(stored) {
            Ok(read) => self.hand_over(Arrived { call, seen, read }, out),
            Err(error) => out.answers.push((call, Err(error))),
        }
    }

    /// A live write that met something newer: it is later than that, so it goes again with a stamp above.
    fn fence(&self, mut call: Call, newer: u64, out: &mut Landing) {
        let stamps = &self.shared.wire.stamps;
        stamps.observe(Stamp { micros: newer, process: 0 });
        call.fenced += 1;
        if call.fenced > FENCED_MOST {
            let error =
                Error::new(ErrorKind::Conflict, "other writes of this key came first each time");
            out.answers.push((call, Err(error)));
            return;
        }
        call.operation.restamp(stamps.next());
        out.fenced.push(call);
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
        out.open(arrived, &self.shared.wire);
    }

    /// A server's error for one call.
    pub fn refuse(&self, call: Call, leasing: bool, seen: u32, error: Error, out: &mut Landing) {
        let forgot = failure::forgot_script(&error);
        if !call.operation.is_raw() && (forgot || failure::means_unavailable(&error)) {
            let replies = 0;
            out.again.push(Item::Call { call, leasing, seen, replies });
            if forgot {
                out.reopen = true;
            } else {
                out.failed = Some(error);
            }
            return;
        }
        // What its user may not do may have been denied when the change was done already.
        let is_change = matches!(call.operation, Operation::Change { .. });
        let denied = is_change && error.kind == ErrorKind::Auth;
        let error = if denied { failure::maybe_applied(error) } else { error };
        out.answers.push((call, Err(error)));
    }
}

/// The value that a call has written.
fn written(call: &Call, seen: u32, at: usize) -> Option<Kept> {
    let (ttl_ms, stamp) = match &call.operation {
        Operation::Set { ttl_ms, stamp, .. } => (ttl_ms, *stamp),
        Operation::Fill { ttl_ms, lease, .. } => (ttl_ms, lease.start),
        _ => return None,
    };
    let expires_at = ttl_ms.map(|ms| call.since.saturating_add(ms.saturating_mul(1000)));
    Some(Kept { at, seen, stamp, expires_at })
}

//! What becomes of the replies: answers, copies, leases, and the errors that say more than their call.
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use bytes::Bytes;
use redis::{RedisResult, Value as Resp};

use super::failure;
use super::gathered::{Landing, written};
use super::hub::Hub;
use super::items::{Item, Step};
use super::state::State;
use super::wire;
use crate::backend::intent::{Intent, Outcome};
use crate::backend::rate::{Outcome as Taken, Told, Verb};
use crate::backend::session::Deed;
use crate::backend::{Call, Meta, Operation, Reply, settle_all};
use crate::base::error::{Applied, Error, ErrorKind, Result};
use crate::base::stamp::Stamp;

/// How often a live write that met something newer tries to be the last one.
const FENCED_MOST: u32 = 16;

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
        let (Item::Call { replies, announced, .. } | Item::Replay { replies, announced, .. }) =
            &mut item;
        *replies = values.len() - usize::from(*announced);
        self.land_all(0, vec![item], values);
        self.pump_replay();
    }

    fn land_all(&mut self, number: u64, items: Vec<Item>, values: Vec<Resp>) {
        let mut landing = Landing::new(self.now(), false);
        let mut ended = Vec::new();
        // Intents that the server did not take, by their keys: what was asked of these right behind them is
        // answered from what still waits, unless it was a write, which settles them.
        let mut untaken: HashMap<Bytes, Vec<Intent>> = HashMap::new();
        let mut owed = Vec::new();
        // What a call of the script of limits said of the keys that share it.
        let mut said = None;
        let mut charged = false;
        let keeper = self.shared.keeper().filter(|_| self.state == State::Resyncing);
        let mut values = values.into_iter();
        for item in items {
            match item {
                Item::Replay { mut intent, replies, announced } => {
                    self.came_back(&intent);
                    let replies: Vec<Resp> = values.by_ref().take(replies).collect();
                    values.by_ref().take(usize::from(announced)).for_each(drop);
                    let stamp = self.shared.wire.stamps.settle(intent.stamp);
                    let ended_so = wire::outcome(&intent, stamp, &replies);
                    match ended_so.map_or_else(|error| landing.note(error), Some) {
                        Some(outcome) => ended.push((intent, Some(outcome))),
                        None => {
                            wire::leave_untaken(&mut intent, &replies);
                            untaken.entry(intent.key.clone()).or_default().push(intent);
                        }
                    }
                }
                Item::Call { call, replies, .. }
                    if matches!(call.operation, Operation::Rate { .. }) =>
                {
                    if replies > 0 {
                        said = values.next().map(wire::said);
                    }
                    let decided_here = self.land_rate(call, said.as_mut(), &mut landing);
                    charged |= decided_here.is_some();
                    owed.extend(decided_here);
                }
                Item::Call { call, step, seen, replies, announced } => {
                    let replies: Vec<Resp> = values.by_ref().take(replies).collect();
                    values.by_ref().take(usize::from(announced)).for_each(drop);
                    let refused = replies.iter().any(|reply| matches!(reply, Resp::ServerError(_)));
                    // A change that went through does not settle those before it. It stands, as does a message that was told,
                    // and what was read of those that are kept.
                    let stands = match call.operation {
                        Operation::Change { .. } | Operation::Publish { .. } => !refused,
                        Operation::Stream { .. } => true,
                        _ => false,
                    };
                    let key =
                        call.operation.key().filter(|key| untaken.contains_key(*key) && !stands);
                    if let Some(key) = key.cloned() {
                        let done = call.operation.writes() && !refused;
                        match untaken.remove(&key) {
                            Some(intents) if done => ended.extend(
                                intents.into_iter().map(|one| (one, Some(Outcome::Superseded))),
                            ),
                            Some(intents) => {
                                untaken.insert(key, intents);
                                owed.push(call);
                                continue;
                            }
                            None => {}
                        }
                    }
                    // What goes before it was refused meanwhile: the server does not know better, or it goes again behind that.
                    let asked = match call.operation {
                        Operation::Publish { .. } if refused => self.shared.keeper(),
                        _ => keeper.clone().filter(|_| reads(&call.operation)),
                    };
                    let behind = asked
                        .zip(call.operation.key())
                        .is_some_and(|(keeper, key)| keeper.answers_itself(key, true));
                    if behind {
                        owed.push(call);
                        continue;
                    }
                    if !refused {
                        landing.overtaken(&call);
                    }
                    self.land(call, step, seen, replies, &mut landing);
                }
            }
        }
        // What comes back stands before what waits, so the last one goes first.
        let untaken = untaken.into_values().flat_map(|intents| intents.into_iter().rev());
        ended.extend(untaken.map(|intent| (intent, None)));
        if let Some(keeper) = self.shared.keeper() {
            keeper.replayed(ended);
        }
        self.unanswered(owed, Applied::No);
        self.settle_landing(number, landing);
        if charged {
            self.catch_up();
        }
    }

    /// Hands out what a landing gathered, and draws its conclusions.
    fn settle_landing(&mut self, number: u64, mut landing: Landing) {
        let further = std::mem::take(&mut landing.further);
        let again = std::mem::take(&mut landing.again);
        let fenced = landing.take_fenced();
        let (failed, reopen, full) = (landing.failed.take(), landing.reopen, landing.full);
        landing.large.iter().for_each(|key| self.lane.remember(key));
        let wire = self.shared.wire.clone();
        for arrived in landing.settle(self.shared.keeper().as_deref(), &wire) {
            let shared = self.shared.clone();
            tokio::task::spawn_blocking(move || {
                let mut landing = Landing::new(shared.clock.micros(), true);
                landing.open(arrived, &shared.wire);
                landing.settle(shared.keeper().as_deref(), &shared.wire);
            });
        }
        self.ask_further(further);
        let (overtaken, fenced) = self.part_overtaken(fenced);
        settle_all(overtaken.into_iter().map(|call| (call.settler, Ok(Reply::Flag(true)))));
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
        mut call: Call,
        step: Step,
        seen: u32,
        replies: Vec<Resp>,
        out: &mut Landing,
    ) {
        let reads = matches!(
            call.operation,
            Operation::Get { .. } | Operation::Load { .. } | Operation::Exists { .. }
        );
        if reads {
            return self.land_read(call, step, seen, replies, out);
        }
        let wire = &self.shared.wire;
        if let Operation::Session { key, ask } = &call.operation {
            let learnt = match step {
                Step::Confirm(known) => wire.session_confirmed(key, ask, &known, replies),
                _ => wire.session_answer(key, ask, replies).map(Some),
            };
            match learnt {
                Ok(Some((reply, seen))) => {
                    out.sessions.extend(seen);
                    out.answers.push((call, Ok(reply)));
                }
                // It is another meanwhile.
                Ok(None) => {
                    let (step, replies, announced) = (Step::First, 0, false);
                    out.further.push(Item::Call { call, step, seen, replies, announced });
                }
                Err(error) => self.refuse(call, seen, error, out),
            }
            return;
        }
        let repeated = call.attempts > 0;
        // What is written from now on is not covered by it.
        if let (Operation::Invalidate { .. }, [Resp::Int(micros)]) =
            (&call.operation, replies.as_slice())
        {
            let micros = micros.unsigned_abs();
            wire.stamps.observe(Stamp { micros, process: 0 });
            self.invalidated_at.fetch_max(micros, Ordering::Relaxed);
        }
        // It was written with another stamp.
        if let (Operation::Set { stamp, .. }, Some(Resp::Int(below @ ..=-1)), false) =
            (&call.operation, replies.last(), repeated)
        {
            let micros = below.unsigned_abs();
            let written = Stamp { micros, ..*stamp };
            wire.stamps.observe(written);
            if self.may_be_over(micros) {
                return self.fence(call, micros, out);
            }
            call.operation.restamp(written);
        }
        if let Some(newer) = wire.fenced_off(&call.operation, repeated, &replies) {
            return self.fence(call, newer, out);
        }
        match wire::simple_answer(&call.operation, repeated, replies) {
            Ok(reply) => {
                // A repeated write may have been settled by something newer: no copy of it.
                if reply == Reply::Flag(true) && !repeated {
                    out.kept.extend(written(&call, seen, out.answers.len()));
                }
                // What came between made every copy old.
                if let (Operation::Fill { key, .. }, Reply::Flag(false)) = (&call.operation, &reply)
                {
                    out.missed.push((key.clone(), seen, Meta::default()));
                }
                out.answers.push((call, Ok(reply)));
            }
            Err(error) => self.refuse(call, seen, error, out),
        }
    }

    /// The next of those that share a call. Gives back one for which the server has no room: somebody else decides.
    fn land_rate(
        &self,
        call: Call,
        said: Option<&mut Result<wire::Said>>,
        out: &mut Landing,
    ) -> Option<Call> {
        let Operation::Rate { key, limiter, act } = &call.operation else { return None };
        let said = match said {
            Some(Ok(said)) => said.take(),
            Some(Err(error)) => Err(error.clone()),
            None => Err(wire::unexpected()),
        };
        let decided = said.and_then(|(outcome, seen)| {
            let takes = matches!(act.verb, Verb::Take { .. });
            // It was allowed when it was sent before.
            let outcome = if takes && outcome == Taken::Known { Taken::Done } else { outcome };
            Ok((wire::decision(limiter, act, outcome, &seen)?, seen))
        });
        match decided {
            Ok((decision, seen)) => {
                let refused = decision.outcome == Taken::Refused;
                let (key, limiter) = (key.clone(), limiter.clone());
                let (verb, since) = (act.verb.clone(), call.since);
                out.limited.push(Told { key, limiter, verb, seen, refused, since });
                out.answers.push((call, Ok(Reply::Decision(Box::new(decision)))));
            }
            Err(error) if error.kind == ErrorKind::Full => return Some(call),
            Err(error) => self.refuse(call, 0, error, out),
        }
        None
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

    /// Those of which a later write of the same key is on its way already, and the others.
    fn part_overtaken(&self, fenced: Vec<Call>) -> (Vec<Call>, Vec<Call>) {
        if fenced.is_empty() {
            return (Vec::new(), fenced);
        }
        let sent = self.batches.values().flat_map(|batch| &batch.items);
        let calls = sent.chain(self.lane.items()).filter_map(|item| match item {
            Item::Call { call, .. } => Some(call),
            Item::Replay { .. } => None,
        });
        let later: HashSet<&Bytes> =
            calls.chain(&self.held).filter_map(|call| overwrites(&call.operation)).collect();
        let is_over = |call: &Call| call.operation.key().is_some_and(|key| later.contains(key));
        fenced.into_iter().partition(is_over)
    }

    /// Whether an invalidation of our own may count from later on than this, though it was sent before: on another
    /// connection it may arrive later.
    fn may_be_over(&self, micros: u64) -> bool {
        let first = self.batches.keys().next();
        let on_its_way = first.is_some_and(|&first| first < self.invalidated_before);
        (on_its_way && self.links.len() > 1)
            || micros <= self.invalidated_at.load(Ordering::Relaxed)
    }

    /// A server's error for one call.
    pub fn refuse(&self, call: Call, seen: u32, error: Error, out: &mut Landing) {
        let forgot = failure::forgot_script(&error);
        if !call.operation.is_raw() && (forgot || failure::means_unavailable(&error)) {
            let replies = 0;
            let (step, announced) = (Step::First, false);
            out.again.push(Item::Call { call, step, seen, replies, announced });
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

/// Whether it tells what a key holds, and changes nothing.
fn reads(operation: &Operation) -> bool {
    match operation {
        Operation::Get { .. } | Operation::Exists { .. } => true,
        Operation::Session { ask, .. } => ask.deed == Deed::Read,
        _ => false,
    }
}

/// The key of which this settles every earlier write.
pub(super) fn overwrites(operation: &Operation) -> Option<&Bytes> {
    let writes = matches!(
        operation,
        Operation::Set { .. } | Operation::Delete { .. } | Operation::Expire { .. }
    );
    operation.key().filter(|_| writes)
}

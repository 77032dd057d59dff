//! How calls are sent: one pipeline per connection for all that came together, in the order of each key.
use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use redis::{Pipeline, RedisResult, Value as Resp};

use super::gates::Place;
use super::grouped::Rates;
use super::hub::{Hub, micros};
use super::items::{Batch, Item, Step, is_large_write, runs_script};
use super::state::State;
use super::wire::{self, Sending};
use super::{Keeper, failure, raw};
use crate::backend::change::is_read;
use crate::backend::intent::{Intent, Next, Wish};
use crate::backend::session::{Deed, Known};
use crate::backend::{Call, Operation, settle_all};
use crate::base::error::{Applied, Error, ErrorKind};
use crate::base::slot::slot;

/// From so many outstanding calls on, another connection of the pool is opened.
const GROW_AT: usize = 4096;

pub(super) type Flight = Pin<Box<dyn Future<Output = (u64, RedisResult<Vec<Resp>>)> + Send>>;

impl Hub {
    /// Sends calls that came together.
    pub fn dispatch(&mut self, calls: Vec<Call>) {
        if calls.is_empty() {
            return;
        }
        if self.grown.is_some() {
            self.held.extend(calls);
            return;
        }
        let mut outgoing = self.outgoing(calls.len());
        let mut refused = Vec::new();
        let mut owed = Vec::new();
        let mut rates = Rates::default();
        let keeper = self.shared.keeper();
        // Who knows what the server does not know yet: of managed keys, and of raw ones.
        let owing = keeper.as_ref().filter(|_| self.state == State::Resyncing);
        let owing_raw = owing.filter(|_| self.shared.config.merges_raw);
        let resting = self.rest_until.is_some() || !self.knows_clears;
        for mut call in calls {
            if let Operation::Publish { key, .. } = &call.operation
                && let Some(behind) = self.behind.get_mut(key)
            {
                behind.push(call);
                continue;
            }
            // That is answered from what waits. Only the server knows what a channel keeps, and no clear is about messages.
            let rests = match call.operation {
                Operation::Stream { .. } => None,
                Operation::Publish { .. } => Some(self.rest_until.is_some()),
                _ => Some(resting),
            };
            if let Some(((keeper, key), rests)) = owing.zip(call.operation.key()).zip(rests)
                && keeper.answers_itself(key, rests)
            {
                owed.push(call);
                continue;
            }
            let (mut intent, more) = self.goes_before(owing, &call.operation);
            if let (Operation::Publish { key, .. }, true) = (&call.operation, more) {
                let at = self.link_of(Some(key));
                intent.into_iter().for_each(|intent| self.add_replay(&mut outgoing[at], intent));
                self.behind.entry(key.clone()).or_default().push(call);
                continue;
            }
            let replays_in_lane =
                intent.as_ref().is_some_and(|intent| self.replays_in_lane(intent));
            if self.lane.wants(&call.operation) || replays_in_lane {
                intent.into_iter().for_each(|intent| self.lane.push(Item::replay(intent)));
                self.lane.push(Item::fresh(call));
                continue;
            }
            let mut at = 0;
            match &mut call.operation {
                Operation::Clear { .. } => {
                    self.clears.push(call);
                    continue;
                }
                // A raw read of what the server does not know yet.
                Operation::Command { args }
                    if owing_raw.is_some()
                        && is_read(args)
                        && owing_raw.zip(args.get(1)).is_some_and(|(keeper, key)| {
                            keeper.answers_itself(&self.shared.wire.keys.raw(key), resting)
                        }) =>
                {
                    owed.push(call);
                    continue;
                }
                Operation::Command { args } => match raw::prepare(args, &self.shared.wire.keys) {
                    Ok(raw::Prepared { args, blocking: Some(wait), .. }) => {
                        self.start_blocking(call, args, wait);
                        continue;
                    }
                    Ok(prepared) => {
                        at = self.link_of(prepared.key.as_ref());
                        *args = prepared.args;
                        // A raw read sees the changes that were made before it.
                        intent = self.take_intent(owing_raw, prepared.key.as_ref());
                    }
                    Err(error) => {
                        refused.push((call.settler, Err(error)));
                        continue;
                    }
                },
                Operation::Pipeline { commands } => {
                    match prepare_all(commands, &self.shared.wire.keys) {
                        Ok(prepared) => *commands = prepared,
                        Err(error) => {
                            refused.push((call.settler, Err(error)));
                            continue;
                        }
                    }
                }
                operation => at = self.link_of(operation.key()),
            }
            if let Some(intent) = intent {
                self.add_replay(&mut outgoing[at], intent);
            }
            if let Operation::Rate { .. } = call.operation {
                rates.add(at, call, &self.shared.wire.stamps);
                continue;
            }
            let mut seen = 0;
            if let Some(keeper) = &keeper {
                match keeper.sending(&call) {
                    Ok(mark) => seen = mark,
                    Err(answer) => {
                        refused.push((call.settler, answer));
                        continue;
                    }
                }
            }
            let how = self.how(&call);
            let (pipeline, items) = &mut outgoing[at];
            let wire = &self.shared.wire;
            let (step, replies) = match known_session(keeper.as_ref(), &call.operation) {
                Some((key, known)) => (Step::Confirm(known), wire.confirm_session(key, pipeline)),
                None => (Step::First, wire.encode(&call.operation, how, pipeline)),
            };
            let announced = wire.announce(call.operation.changes(), pipeline);
            items.push(Item::Call { call, step, seen, replies, announced });
        }
        rates.send(&mut outgoing, self.shared.wire.stamps.process());
        settle_all(refused);
        self.unanswered(owed, Applied::No);
        self.send(outgoing);
        // Not before the others are on their way: what the lane sends waits for what came earlier.
        self.start_lane();
        self.start_clears();
        self.grow_if_busy();
    }

    fn how(&mut self, call: &Call) -> Sending {
        if call.attempts > 0 {
            return Sending::Again;
        }
        if let Operation::Invalidate { .. } = call.operation {
            self.invalidated_before = self.next_batch + self.links.len() as u64;
        }
        let first = self.batches.keys().next().map_or(self.next_batch, |&first| first);
        if first < self.invalidated_before { Sending::Behind } else { Sending::Live }
    }

    /// What waits for a key, to be sent before the key's next operation.
    fn take_intent(
        &mut self,
        keeper: Option<&Arc<dyn Keeper>>,
        key: Option<&Bytes>,
    ) -> Option<Intent> {
        let intent = keeper.zip(key).and_then(|(keeper, key)| keeper.take_intent(key));
        intent.iter().for_each(|intent| self.went(intent));
        intent
    }

    /// What waits and goes before this, and whether more waits behind that: messages go in parts.
    fn goes_before(
        &mut self,
        owing: Option<&Arc<dyn Keeper>>,
        operation: &Operation,
    ) -> (Option<Intent>, bool) {
        let Some((keeper, key)) = owing.zip(operation.key()) else { return (None, false) };
        if !matches!(operation, Operation::Publish { .. } | Operation::Stream { .. }) {
            return (self.take_intent(Some(keeper), Some(key)), false);
        }
        if self.rest_until.is_some() {
            return (None, false);
        }
        if self.parts > 0 {
            return (None, keeper.answers_itself(key, true));
        }
        match keeper.next_messages(key) {
            Next::Nothing => (None, false),
            Next::Later => (None, true),
            Next::Part(intent) => {
                self.went(&intent);
                (Some(intent), keeper.answers_itself(key, true))
            }
        }
    }

    /// An empty pipeline for each connection, for so many calls in all.
    pub fn outgoing(&self, calls: usize) -> Vec<(Pipeline, Vec<Item>)> {
        let links = self.links.len().max(1);
        let each = calls.div_ceil(links);
        (0..links).map(|_| (Pipeline::with_capacity(each), Vec::with_capacity(each))).collect()
    }

    pub fn link_of(&self, key: Option<&Bytes>) -> usize {
        match key {
            Some(key) if self.links.len() > 1 => usize::from(slot(key)) % self.links.len(),
            _ => 0,
        }
    }

    pub fn add_replay(&self, (pipeline, items): &mut (Pipeline, Vec<Item>), intent: Intent) {
        let may = self.shared.keeper().is_none_or(|keeper| keeper.may_write_absent(&intent));
        let replies = self.shared.wire.encode_intent(&intent, self.now(), may, pipeline);
        let announced = self.shared.wire.announce(intent.changes(), pipeline);
        items.push(Item::Replay { intent, replies, announced });
    }

    pub fn send(&mut self, outgoing: Vec<(Pipeline, Vec<Item>)>) {
        let now = self.now();
        for (at, (pipeline, items)) in outgoing.into_iter().enumerate() {
            if items.is_empty() {
                continue;
            }
            let Some(link) = self.links.get_mut(at) else {
                self.orphans.add(self.next_batch, items);
                continue;
            };
            let number = self.next_batch;
            self.next_batch += 1;
            if link.outstanding == 0 {
                link.busy_since = now;
            }
            link.outstanding += items.len();
            let mut connection = link.connection.clone();
            let gates = self.shared.wire.gates.clone();
            let mut flight: Flight = Box::pin(async move {
                let count = pipeline.len();
                if let Err(error) = gates.pass(Place::Calls).await {
                    return (number, Err(error));
                }
                (number, connection.send_packed_commands(&pipeline, 0, count).await)
            });
            let runs_script = items.iter().any(
                |item| matches!(item, Item::Call { call, .. } if runs_script(&call.operation)),
            );
            self.batches.insert(number, Batch { link: link.id, items, sent_at: now, runs_script });
            // Polled once here: the connection takes what is handed to it in the order of the first
            // polls, and the order of one key's operations is promised.
            match first_poll(&mut flight) {
                Poll::Ready(done) => self.flights.push(Box::pin(std::future::ready(done))),
                Poll::Pending => self.flights.push(flight),
            }
        }
        let outstanding = self.outstanding();
        self.spin.sent(outstanding, now);
    }

    pub fn outstanding(&self) -> usize {
        self.links.iter().map(|link| link.outstanding).sum()
    }

    /// Sends again what was sent on a connection that broke.
    pub fn resend(&mut self, items: Vec<Item>) {
        let most = self.shared.config.max_retries;
        let (now, timeout) = (self.now(), micros(self.shared.config.command_timeout));
        let mut outgoing = self.outgoing(items.len());
        let mut given_up = Vec::new();
        let mut cleared = Vec::new();
        // The channels of which one was given up: those that came later go behind it.
        let mut over: HashSet<Bytes> = HashSet::new();
        for item in items {
            match item {
                Item::Replay { mut intent, .. } => {
                    if let Wish::Change(changes) = &mut intent.wish {
                        changes.mark_sent();
                    }
                    let at = self.link_of(Some(&intent.key));
                    self.add_replay(&mut outgoing[at], intent);
                }
                Item::Call { mut call, seen, .. } => {
                    call.attempts += 1;
                    let late = now.saturating_sub(call.since) > timeout;
                    let channel = match &call.operation {
                        Operation::Publish { key, .. } => Some(key),
                        _ => None,
                    };
                    let follows = channel.is_some_and(|key| over.contains(key));
                    if call.operation.is_raw() || late || call.attempts > most || follows {
                        over.extend(channel.cloned());
                        given_up.push(call);
                    } else if matches!(call.operation, Operation::Clear { .. }) {
                        cleared.push(call);
                    } else if is_large_write(&call.operation) {
                        self.lane.push(Item::fresh(call));
                    } else {
                        let at = self.link_of(call.operation.key());
                        let (pipeline, items) = &mut outgoing[at];
                        let wire = &self.shared.wire;
                        let replies = wire.encode(&call.operation, Sending::Again, pipeline);
                        let announced = wire.announce(call.operation.changes(), pipeline);
                        items.push(Item::Call {
                            call,
                            step: Step::First,
                            seen,
                            replies,
                            announced,
                        });
                    }
                }
            }
        }
        self.send(outgoing);
        self.clears.extend(cleared);
        self.start_clears();
        self.give_up(given_up);
    }

    /// Calls that a well server did not answer: a raw one may have been carried out; a managed write
    /// goes into the journal and is replayed at once, with its old stamp.
    pub fn give_up(&mut self, calls: Vec<Call>) {
        if calls.is_empty() {
            return;
        }
        self.shared.view.lock().last_error.get_or_insert_with(|| {
            Error::new(ErrorKind::Unavailable, "the connection broke before the answer came")
        });
        self.unanswered(calls, Applied::Unknown);
        self.catch_up();
    }

    /// Asks what calls ask that take more than one question.
    pub fn ask_further(&mut self, items: Vec<Item>) {
        if items.is_empty() {
            return;
        }
        if self.state.on_memory() {
            let calls = items.into_iter().filter_map(Item::into_call).collect();
            return self.unanswered(calls, Applied::No);
        }
        if !self.state.live() {
            let calls = items.into_iter().filter_map(Item::into_call);
            self.orphans.add(self.next_batch, calls.map(Item::fresh));
            return;
        }
        let keeper = self.shared.keeper();
        let mut outgoing = self.outgoing(items.len());
        for mut item in items {
            let Item::Call { call, step, seen, replies, .. } = &mut item else { continue };
            let at = self.link_of(call.operation.key());
            let (pipeline, sent) = &mut outgoing[at];
            *replies = match (&call.operation, step) {
                (Operation::Load { key, ask }, Step::Lease(found)) => {
                    if let Some(keeper) = &keeper {
                        *seen = keeper.mark_of(key);
                        keeper.lease_asked(key, ask.token);
                    }
                    let found = found.as_ref().map(|(read, ..)| read.header.stamp);
                    self.shared.wire.encode_lease(key, ask, found, pipeline)
                }
                (_, Step::Check(_, markers)) => {
                    for (key, mark) in markers.iter_mut() {
                        *mark = keeper.as_ref().map_or(0, |keeper| keeper.mark_of(key));
                    }
                    self.shared.wire.encode_markers(markers, pipeline)
                }
                (operation, _) => self.shared.wire.encode(operation, Sending::Again, pipeline),
            };
            sent.push(item);
        }
        self.send(outgoing);
    }

    /// Calls whose deadline passed although bytes still move.
    pub fn expire(&mut self, now: u64) {
        let timeout = micros(self.shared.config.command_timeout);
        let late: Vec<u64> = self
            .batches
            .iter()
            .take_while(|(_, batch)| now.saturating_sub(batch.sent_at) > timeout)
            .map(|(&number, _)| number)
            .collect();
        for number in late {
            let Some(batch) = self.batches.remove(&number) else { continue };
            let mut calls = Vec::new();
            for item in batch.items {
                match item {
                    Item::Call { call, .. } => calls.push(call),
                    replay @ Item::Replay { .. } => self.orphans.add(number, [replay]),
                }
            }
            self.shared.view.lock().last_error =
                Some(Error::new(ErrorKind::Timeout, "Redis did not answer before the deadline"));
            self.breaker.failed(calls.len(), now);
            self.suspect("a deadline passed".to_owned());
            self.unanswered(calls, Applied::Unknown);
            self.take_grown();
        }
    }

    pub fn grow_if_busy(&mut self) {
        let outstanding = self.outstanding();
        if self.links.len() < self.shared.config.pool_size
            && self.growing.is_none()
            && self.grown.is_none()
            && outstanding > GROW_AT * self.links.len()
        {
            let dialer = self.dialer.clone();
            self.growing = Some(Box::pin(async move { dialer.dial_beside().await }));
        }
    }

    pub fn grown_by(&mut self, result: crate::base::error::Result<super::link::Link>) {
        // A refusal is no reason to worry: the connections at hand go on.
        if let Ok(link) = result
            && self.state.live()
        {
            self.grown = Some(link);
            self.take_grown();
        }
    }

    /// Keys move to other connections now, so nothing may be outstanding on the old ones.
    pub fn take_grown(&mut self) {
        if self.batches.is_empty()
            && let Some(link) = self.grown.take()
        {
            self.links.push(link);
            self.shared.view.lock().connections = self.links.len();
            let held: Vec<Call> = self.held.drain(..).collect();
            self.dispatch(held);
            self.pump_replay();
        }
    }

    /// A command that may hold its connection for long gets one of its own.
    pub fn start_blocking(&mut self, call: Call, args: Vec<Bytes>, wait: raw::Wait) {
        let dialer = self.dialer.clone();
        let mut outage = self.outage.subscribe();
        let patience = self.shared.config.command_timeout;
        let late = async move {
            match wait {
                raw::Wait::For(time) => tokio::time::sleep(time + patience).await,
                raw::Wait::Ever => std::future::pending().await,
            }
        };
        tokio::spawn(async move {
            let operation = Operation::Command { args };
            let answered = async {
                let mut link = dialer.dial_beside().await?;
                dialer.pass(Place::Blocking).await?;
                let mut pipeline = Pipeline::new();
                if let Operation::Command { args } = &operation {
                    pipeline.add_command(wire::words(args));
                }
                let replies = link
                    .connection
                    .send_packed_commands(&pipeline, 0, 1)
                    .await
                    .map_err(|error| failure::maybe_applied(failure::from_redis(&error)))?;
                wire::simple_answer(&operation, false, replies)
            };
            let answer = tokio::select! {
                answer = answered => answer,
                _ = outage.changed() => Err(failure::maybe_applied(Error::unavailable("it went away"))),
                () = late => Err(failure::maybe_applied(Error::new(
                    ErrorKind::Timeout,
                    "Redis did not answer before the deadline",
                ))),
            };
            call.settler.settle(answer);
        });
    }
}

fn prepare_all(
    commands: &[Vec<Bytes>],
    keys: &crate::base::keys::Keys,
) -> crate::base::error::Result<Vec<Vec<Bytes>>> {
    let mut out = Vec::with_capacity(commands.len());
    for (at, args) in commands.iter().enumerate() {
        let mut prepared = raw::prepare(args, keys)?;
        if prepared.blocking.is_some() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "commands[{at}] may block; call it alone, so that it gets its own connection"
                ),
            ));
        }
        out.push(std::mem::take(&mut prepared.args));
    }
    Ok(out)
}

/// Polls a future once, whatever budget the task has left: what must be handed over first is.
fn first_poll<T>(future: &mut Pin<Box<dyn Future<Output = T> + Send>>) -> Poll<T> {
    let mut polled = std::pin::pin!(tokio::task::unconstrained(future));
    polled.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a future once; answers whether it ended.
pub(super) fn poll_once<T>(future: &mut Pin<Box<dyn Future<Output = T> + Send>>) -> bool {
    first_poll(future).is_ready()
}

/// What is known of a session that is to be read.
fn known_session<'a>(
    keeper: Option<&Arc<dyn Keeper>>,
    operation: &'a Operation,
) -> Option<(&'a Bytes, Known)> {
    match operation {
        Operation::Session { key, ask } if ask.deed == Deed::Read => {
            Some((key, keeper?.known_session(key)?))
        }
        _ => None,
    }
}

//! The supervisor: the one task that owns an endpoint's connections and its state.
//!
//! Everything that happens arrives here as an event and is handled to its end before the next, so no
//! lock guards the state. Nothing in here waits: what takes time is a future in one of the sets.
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::{UnboundedReceiver, error::TryRecvError};
use tokio::sync::watch;

use super::dial::Dialer;
use super::lane::Lane;
use super::link::Link;
use super::state::{Change, State};
use super::traffic::{Batch, Flight, Item};
use super::{Failure, Message, Replayer, Shared};
use crate::backend::{Call, Raw, Reply, Settler, settle_all};
use crate::base::error::{Applied, Error, Result};
use crate::base::random;

const MILLI: u64 = 1000;
const REDIAL_FIRST: u64 = 50 * MILLI;
const REDIAL_MOST: u64 = 5_000 * MILLI;
/// Where nothing is configured, localhost is only looked at now and then.
const REDIAL_UNCONFIGURED: u64 = 30_000 * MILLI;
/// How often deadlines and silence are looked at while something is outstanding.
const WATCH: u64 = 50 * MILLI;
const TIME_EVERY: u64 = 5_000 * MILLI;
/// A timer that is so late says that this process did not run.
const STALL: u64 = 100 * MILLI;
/// A server that stayed up for less is flapping: the next return is held back, each time for longer.
const STEADY: u64 = 10_000 * MILLI;
const HOLD_MOST: u64 = 30_000 * MILLI;

/// How something that ran beside ended.
pub(super) enum SideJob {
    /// It kept the connection of this number busy.
    Kept(u64),
    Invalidated,
    Other,
}

pub(super) struct Hub {
    pub shared: Arc<Shared>,
    pub dialer: Arc<Dialer>,
    lost: UnboundedReceiver<u64>,
    pub state: State,
    pub links: Vec<Link>,
    /// Calls that wait for a verdict.
    waiting: VecDeque<Call>,
    /// Sent on a connection that broke, before it is known whether the server is well.
    pub orphans: Vec<Item>,
    verdicts: Vec<Settler>,
    resyncs: Vec<Settler>,
    pub batches: BTreeMap<u64, Batch>,
    pub next_batch: u64,
    pub flights: FuturesUnordered<Flight>,
    dial: Option<BoxFuture<'static, Result<Link>>>,
    /// An extra connection of the pool that is being opened.
    pub growing: Option<BoxFuture<'static, Result<Link>>>,
    pub grown: Option<Link>,
    pub held: VecDeque<Call>,
    verdict_by: Option<u64>,
    redial_at: Option<u64>,
    backoff: u64,
    hold: u64,
    online_since: u64,
    returning: Option<BoxFuture<'static, (Link, Result<()>)>>,
    /// The server's numbers of connections that we had; killed before anything is replayed.
    old_clients: Vec<i64>,
    pub replaying: usize,
    pub lane: Lane,
    /// What runs beside.
    pub side_jobs: FuturesUnordered<BoxFuture<'static, SideJob>>,
    /// Changes when the server goes away, for those who wait for a single answer.
    pub outage: watch::Sender<u64>,
    close_by: Option<u64>,
    /// When the timer should have fired.
    due: u64,
    /// When this process last came back from not running: others' silence counts from there.
    stalled_at: u64,
    /// When the server's time was asked for last.
    time_at: u64,
    /// Whether invalidations are being carried out beside live traffic.
    pub invalidating: bool,
}

impl Hub {
    pub fn new(shared: Arc<Shared>, dialer: Arc<Dialer>, lost: UnboundedReceiver<u64>) -> Self {
        Self {
            shared,
            dialer,
            lost,
            state: State::Idle,
            links: Vec::new(),
            waiting: VecDeque::new(),
            orphans: Vec::new(),
            verdicts: Vec::new(),
            resyncs: Vec::new(),
            batches: BTreeMap::new(),
            next_batch: 0,
            flights: FuturesUnordered::new(),
            dial: None,
            growing: None,
            grown: None,
            held: VecDeque::new(),
            verdict_by: None,
            redial_at: None,
            backoff: REDIAL_FIRST,
            hold: 0,
            online_since: 0,
            returning: None,
            old_clients: Vec::new(),
            replaying: 0,
            lane: Lane::default(),
            side_jobs: FuturesUnordered::new(),
            outage: watch::Sender::new(0),
            close_by: None,
            due: 0,
            stalled_at: 0,
            time_at: 0,
            invalidating: false,
        }
    }

    pub async fn run(mut self, mut messages: UnboundedReceiver<Message>) {
        let timer = tokio::time::sleep(Duration::from_secs(3600));
        tokio::pin!(timer);
        let mut armed = false;
        loop {
            if let Some(wait) = self.next_wake() {
                let at = self.now() + wait;
                if !armed || at + WATCH < self.due {
                    let wait = Duration::from_micros(wait);
                    timer.as_mut().reset(tokio::time::Instant::now() + wait);
                    self.due = at;
                    armed = true;
                }
            }
            tokio::select! {
                message = messages.recv(), if self.close_by.is_none() => match message {
                    Some(message) => self.take(message, &mut messages),
                    None => self.take(Message::Close, &mut messages),
                },
                Some((batch, result)) = self.flights.next() => self.landed(batch, result),
                Some(id) = self.lost.recv() => self.link_lost(id),
                result = poll_option(&mut self.dial) => {
                    self.dial = None;
                    self.dialled(result);
                }
                result = poll_option(&mut self.growing) => {
                    self.growing = None;
                    self.grown_by(result);
                }
                (link, result) = poll_option(&mut self.returning) => {
                    self.returning = None;
                    self.returned(link, result);
                }
                done = self.lane.next() => self.lane_done(done),
                Some(job) = self.side_jobs.next() => self.side_job_done(job),
                () = &mut timer, if armed => {
                    armed = false;
                    self.watch();
                }
            }
            if self.close_by.is_some_and(|by| self.quiet() || self.now() >= by) {
                self.end();
                return;
            }
        }
    }

    pub fn now(&self) -> u64 {
        self.shared.clock.micros()
    }

    fn quiet(&self) -> bool {
        self.batches.is_empty() && self.lane.is_empty() && self.side_jobs.is_empty()
    }

    fn next_wake(&self) -> Option<u64> {
        let now = self.now();
        let watched = !self.quiet() || !self.waiting.is_empty() || self.close_by.is_some();
        let redial_at = self.redial_at.filter(|_| self.state == State::Degraded);
        [watched.then_some(now + WATCH), self.verdict_by, redial_at]
            .into_iter()
            .flatten()
            .min()
            .map(|at| at.saturating_sub(now).max(MILLI))
    }

    fn take(&mut self, message: Message, more: &mut UnboundedReceiver<Message>) {
        match message {
            Message::Calls(mut calls) => {
                // Ticks that came together are sent together.
                let mut rest = None;
                while calls.len() < 1024 {
                    match more.try_recv() {
                        Ok(Message::Calls(next)) => calls.extend(next),
                        Ok(other) => {
                            rest = Some(other);
                            break;
                        }
                        Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                    }
                }
                self.enter(calls);
                if let Some(other) = rest {
                    self.take(other, more);
                }
            }
            Message::Touch => self.start(),
            Message::Verdict(settler) => {
                self.start();
                if matches!(self.state, State::Connecting | State::Suspect) {
                    self.verdicts.push(settler);
                } else {
                    settler.settle(Ok(self.verdict()));
                }
            }
            Message::Reconnect(settler) => self.reconnect(settler),
            Message::Resync(settler) => {
                self.resyncs.push(settler);
                match self.state {
                    State::Online | State::Resyncing => self.catch_up(),
                    // Asked for by hand, it is worth a try now; the dial decides.
                    State::Degraded => self.redial(0),
                    State::Idle => self.start(),
                    State::Connecting | State::Suspect | State::Invalidating => {}
                    State::Forced | State::Closed => self.answer_resyncs(),
                }
            }
            Message::Force(forced) => self.force(forced),
            Message::Close => {
                if self.close_by.is_none() {
                    // What was handed over before is still sent; nobody waits for it any more.
                    self.close_by = Some(self.now() + 1_000 * MILLI);
                }
            }
        }
    }

    fn enter(&mut self, calls: Vec<Call>) {
        match self.state {
            State::Online | State::Resyncing => self.dispatch(calls),
            State::Idle => {
                self.waiting.extend(calls);
                self.start();
            }
            State::Connecting | State::Suspect => self.waiting.extend(calls),
            _ => self.unanswered(calls, Applied::No),
        }
    }

    /// The first dial; a no-op later.
    fn start(&mut self) {
        if self.state == State::Idle {
            self.step(State::Connecting, None);
            self.verdict_by = Some(self.now() + 2 * micros(self.shared.config.silence));
            self.redial(0);
        }
    }

    /// Dials, unless a dial is under way. `hold` keeps back a server that flaps.
    fn redial(&mut self, hold: u64) {
        self.redial_at = None;
        if self.dial.is_some() {
            return;
        }
        self.shared.view.lock().attempts += 1;
        let dialer = self.dialer.clone();
        self.dial = Some(Box::pin(async move {
            let link = dialer.dial().await?;
            // It is believed when it has answered three times more.
            for _ in 0..3 {
                let mut connection = link.connection.clone();
                let command = redis::cmd("PING");
                let ping = connection.send_packed_command(&command);
                match tokio::time::timeout(Duration::from_millis(500), ping).await {
                    Ok(Ok(redis::Value::ServerError(error))) => {
                        return Err(super::failure::from_server(&error));
                    }
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return Err(super::failure::from_redis(&error)),
                    Err(_) => return Err(Error::unavailable("it does not answer PING")),
                }
            }
            if hold > 0 {
                tokio::time::sleep(Duration::from_micros(hold)).await;
            }
            Ok(link)
        }));
    }

    fn dialled(&mut self, result: Result<Link>) {
        let link = match result {
            Ok(link) => link,
            Err(error) => return self.dial_failed(error),
        };
        self.backoff = REDIAL_FIRST;
        self.note_connected(&link);
        match self.state {
            State::Connecting => {
                if let Some(keeper) = self.shared.keeper() {
                    keeper.met(&link.identity);
                }
                self.links = vec![link];
                self.online(None, Vec::new());
            }
            State::Suspect => self.replace_by(link),
            State::Degraded => self.return_by(link),
            // Another one serves already.
            _ => self.old_clients.push(link.client_id),
        }
    }

    fn dial_failed(&mut self, error: Error) {
        self.shared.view.lock().last_error = Some(error.clone());
        match self.state {
            State::Connecting | State::Suspect => self.degrade(error),
            State::Degraded => {
                self.schedule_redial();
                self.answer_verdicts();
                self.answer_resyncs();
            }
            _ => {}
        }
    }

    fn schedule_redial(&mut self) {
        let wait = if self.shared.config.configured {
            let wait = self.backoff / 2 + random::up_to(self.backoff / 2);
            self.backoff = (self.backoff * 2).min(REDIAL_MOST);
            wait
        } else {
            REDIAL_UNCONFIGURED
        };
        self.redial_at = Some(self.now() + wait);
    }

    /// The server is well; calls go there, those first that were sent before.
    pub fn online(&mut self, reason: Option<String>, again: Vec<Item>) {
        self.verdict_by = None;
        self.online_since = self.now();
        self.step(State::Online, reason);
        self.shared.view.lock().connections = self.links.len();
        self.answer_verdicts();
        self.resend(again);
        let waiting: Vec<Call> = self.waiting.drain(..).collect();
        self.dispatch(waiting);
        self.start_lane();
        self.catch_up();
    }

    fn side_job_done(&mut self, job: SideJob) {
        match job {
            SideJob::Kept(id) => {
                if let Some(link) = self.links.iter_mut().find(|link| link.id == id) {
                    link.outstanding = link.outstanding.saturating_sub(1);
                }
                // It may have left an intent behind.
                self.catch_up();
            }
            SideJob::Invalidated => {
                self.invalidating = false;
                self.caught_up();
            }
            SideJob::Other => {}
        }
    }

    pub fn is_asked_to_resync(&self) -> bool {
        !self.resyncs.is_empty()
    }

    /// A fresh connection answers, so only the old ones are replaced: nobody notices.
    fn replace_by(&mut self, link: Link) {
        self.forget_links();
        self.kill_old(&link);
        self.links = vec![link];
        let orphans = std::mem::take(&mut self.orphans);
        self.online(Some("a fresh connection answers".to_owned()), orphans);
    }

    /// Closes what is open; what was sent there waits as orphans.
    fn forget_links(&mut self) {
        for link in self.links.drain(..) {
            self.old_clients.push(link.client_id);
        }
        if let Some(client) = self.lane.abort() {
            self.old_clients.push(client);
        }
        self.growing = None;
        self.grown = None;
        self.flights.clear();
        for batch in std::mem::take(&mut self.batches).into_values() {
            self.orphans.extend(batch.items);
        }
        let held: Vec<Call> = self.held.drain(..).collect();
        self.waiting.extend(held);
    }

    fn kill_old(&mut self, link: &Link) {
        let ids = std::mem::take(&mut self.old_clients);
        let mut connection = link.connection.clone();
        if ids.is_empty() {
            return;
        }
        let mut kills = redis::Pipeline::new();
        for id in &ids {
            kills.cmd("CLIENT").arg("KILL").arg("ID").arg(*id);
        }
        let mut sent: BoxFuture<'static, SideJob> = Box::pin(async move {
            // Refusals are the server's right; most of these are gone already.
            let _ = connection.send_packed_commands(&kills, 0, ids.len()).await;
            SideJob::Other
        });
        // Polled once, so that it stands before everything that is sent from now on.
        if !super::traffic::poll_once(&mut sent) {
            self.side_jobs.push(sent);
        }
    }

    /// Nobody answers any more: everything in flight is handed back at once.
    pub fn degrade(&mut self, error: Error) {
        if !matches!(self.state, State::Degraded | State::Forced | State::Closed) {
            let steady = self.now().saturating_sub(self.online_since) > STEADY;
            let was_online = self.online_since != 0;
            self.hold = match (was_online, steady) {
                (false, _) | (_, true) => 0,
                (true, false) => (self.hold * 2).clamp(250 * MILLI, HOLD_MOST),
            };
            self.step(State::Degraded, Some(error.message.clone()));
        }
        self.shared.view.lock().last_error = Some(error);
        self.verdict_by = None;
        self.outage.send_modify(|count| *count += 1);
        self.forget_links();
        self.hand_back();
        if self.dial.is_none() {
            self.schedule_redial();
        }
        self.answer_verdicts();
        self.answer_resyncs();
    }

    pub fn hand_back(&mut self) {
        let orphans = std::mem::take(&mut self.orphans);
        let mut calls = Vec::new();
        let mut replays = Vec::new();
        for item in orphans {
            match item {
                Item::Call { call, .. } => calls.push(call),
                Item::Replay(intent) => replays.push((intent, None)),
            }
        }
        self.replaying = 0;
        if let Some(keeper) = self.shared.keeper() {
            keeper.replayed(replays);
        }
        calls.extend(self.lane.drain());
        self.unanswered(calls, Applied::Unknown);
        let waiting: Vec<Call> = self.waiting.drain(..).collect();
        self.unanswered(waiting, Applied::No);
    }

    /// Hands calls to the layer above, which answers from memory what it can.
    pub fn unanswered(&mut self, calls: Vec<Call>, applied: Applied) {
        if calls.is_empty() {
            return;
        }
        let reason = self.shared.view.lock().last_error.clone();
        let error =
            reason.unwrap_or_else(|| Error::unavailable("no server answers")).applied(applied);
        let failure = Failure { error };
        match self.shared.keeper() {
            Some(keeper) => {
                keeper.unanswered(calls.into_iter().map(|call| (call, failure.clone())).collect());
            }
            None => {
                settle_all(calls.into_iter().map(|call| (call.settler, Err(failure.error.clone()))))
            }
        }
    }

    /// Something is wrong with a connection; a fresh one decides whether it is the server.
    pub fn suspect(&mut self, reason: String) {
        if !self.state.live() {
            return;
        }
        self.step(State::Suspect, Some(reason));
        self.verdict_by = Some(self.now() + micros(self.shared.config.silence));
        self.redial(0);
    }

    fn link_lost(&mut self, id: u64) {
        if self.lane.lost(id) {
            return;
        }
        if self.links.iter().any(|link| link.id == id) {
            self.suspect("the connection was closed".to_owned());
        }
    }

    /// The server is back after an outage.
    fn return_by(&mut self, link: Link) {
        let Some(keeper) = self.shared.keeper() else {
            self.links = vec![link];
            return self.online(None, Vec::new());
        };
        self.step(State::Invalidating, None);
        self.kill_old(&link);
        let (wire, dialer) = (self.shared.wire.clone(), self.dialer.clone());
        let timeout = self.shared.config.command_timeout;
        self.returning = Some(Box::pin(async move {
            let mut connection = link.connection.clone();
            // Asked again also on a connection that was kept: the server may have been emptied.
            let identity = tokio::time::timeout(timeout, dialer.identify(&mut connection)).await;
            let result = match identity {
                Ok(Ok(identity)) => {
                    keeper.met(&identity);
                    keeper.invalidate(Replayer { connection, wire }).await
                }
                Ok(Err(error)) => Err(error),
                Err(_) => Err(Error::unavailable("it does not answer in time")),
            };
            (link, result)
        }));
    }

    fn returned(&mut self, link: Link, result: Result<()>) {
        if let Err(error) = result {
            self.old_clients.push(link.client_id);
            drop(link);
            return self.degrade(error);
        }
        let live = self.shared.keeper().is_none_or(|keeper| keeper.go_live());
        if !live {
            return self.return_by(link);
        }
        self.links = vec![link];
        self.online_since = self.now();
        self.step(State::Resyncing, None);
        self.shared.view.lock().connections = self.links.len();
        self.answer_verdicts();
        let orphans = std::mem::take(&mut self.orphans);
        self.resend(orphans);
        self.start_lane();
        self.pump_replay();
    }

    /// Memory by request. What is on its way is settled by memory at once; the connections are closed,
    /// so that nothing of it arrives later.
    fn force(&mut self, forced: bool) {
        if forced {
            if self.state == State::Forced {
                return;
            }
            self.step(State::Forced, Some("by request".to_owned()));
            self.verdict_by = None;
            self.redial_at = None;
            self.dial = None;
            self.returning = None;
            self.outage.send_modify(|count| *count += 1);
            self.forget_links();
            self.hand_back();
            self.answer_verdicts();
            self.answer_resyncs();
        } else if self.state == State::Forced {
            self.step(State::Degraded, Some("no longer forced".to_owned()));
            self.redial(0);
        }
    }

    fn reconnect(&mut self, settler: Settler) {
        match self.state {
            State::Idle => self.start(),
            State::Online | State::Resyncing => {
                self.step(State::Suspect, Some("by request".to_owned()));
                self.verdict_by = Some(self.now() + 2 * micros(self.shared.config.silence));
                self.redial(0);
            }
            State::Degraded => {
                self.backoff = REDIAL_FIRST;
                self.redial(self.hold);
            }
            State::Connecting | State::Suspect => {}
            _ => return settler.settle(Ok(self.verdict())),
        }
        self.verdicts.push(settler);
    }

    /// Looks at deadlines and at silence.
    fn watch(&mut self) {
        let now = self.now();
        let late = now.saturating_sub(self.due);
        if late > STALL {
            // A starved process or a suspended laptop: it was us who said nothing.
            self.stalled_at = now;
            self.verdict_by = self.verdict_by.map(|by| by + late);
        }
        if self.verdict_by.is_some_and(|by| now >= by) {
            self.verdict_by = None;
            // The dial goes on; those who wait are answered from memory.
            let error = Error::unavailable("it does not answer in time");
            self.shared.view.lock().last_error = Some(error.clone());
            self.degrade(error);
        }
        if self.redial_at.is_some_and(|at| now >= at) && self.state == State::Degraded {
            self.redial(self.hold);
        }
        if self.state.live() {
            let silence = micros(self.shared.config.silence);
            let stalled = self.stalled_at;
            let lane_silent = self
                .lane
                .last_moved()
                .is_some_and(|moved| now.saturating_sub(moved.max(stalled)) > silence);
            let silent = lane_silent
                || self.links.iter().any(|link| {
                    link.outstanding > 0
                        && now.saturating_sub(
                            link.meter.last_moved().max(link.busy_since).max(stalled),
                        ) > silence
                });
            if silent {
                self.suspect("the connection fell silent".to_owned());
            }
        }
        self.expire(now);
        self.refresh_time(now);
        let timeout = micros(self.shared.config.command_timeout);
        let late =
            self.waiting.iter().filter(|call| now.saturating_sub(call.since) > timeout).count();
        if late > 0 {
            let late: Vec<Call> = self.waiting.drain(..late).collect();
            self.unanswered(late, Applied::No);
        }
    }

    /// The server's clock drifts from ours; its time is asked for again now and then while it is used.
    fn refresh_time(&mut self, now: u64) {
        let Some(link) = self.links.first() else { return };
        if !self.state.live() || now.saturating_sub(self.time_at) < TIME_EVERY {
            return;
        }
        self.time_at = now;
        let (mut connection, dialer) = (link.connection.clone(), self.dialer.clone());
        self.side_jobs.push(Box::pin(async move {
            dialer.learn_time(&mut connection).await;
            SideJob::Other
        }));
    }

    pub fn step(&mut self, to: State, reason: Option<String>) {
        if self.state == to {
            return;
        }
        let change = Change { from: self.state, to, reason };
        self.state = to;
        self.shared.view.lock().state = to;
        if let Some(keeper) = self.shared.keeper() {
            keeper.changed(&change);
        }
    }

    fn note_connected(&self, link: &Link) {
        let mut view = self.shared.view.lock();
        let now = self.shared.wire.stamps.server_micros() / MILLI;
        if view.connected_at.is_some() {
            view.reconnected_at = Some(now);
        }
        view.connected_at = Some(now);
        view.last_error = None;
        view.attempts = 0;
        view.version = Some(link.identity.version.clone());
    }

    fn verdict(&self) -> Reply {
        let text = |text: &str| Raw::Bytes(text.to_owned().into());
        Reply::Raw(Raw::Map(vec![
            (text("state"), text(self.state.name())),
            (text("available"), Raw::Boolean(self.state.live())),
        ]))
    }

    fn answer_verdicts(&mut self) {
        let verdict = self.verdict();
        settle_all(self.verdicts.drain(..).map(|settler| (settler, Ok(verdict.clone()))));
    }

    pub fn answer_resyncs(&mut self) {
        let verdict = self.verdict();
        settle_all(self.resyncs.drain(..).map(|settler| (settler, Ok(verdict.clone()))));
    }

    /// The last act: whatever is left is settled, then the connections close.
    fn end(&mut self) {
        self.step(State::Closed, None);
        self.forget_links();
        let orphans = std::mem::take(&mut self.orphans);
        let sent = orphans.into_iter().filter_map(|item| match item {
            Item::Call { call, .. } => Some(call),
            Item::Replay(_) => None,
        });
        let left = sent.chain(self.waiting.drain(..)).chain(self.lane.drain());
        settle_all(left.map(|call| (call.settler, Err(Error::closed()))));
        settle_all(
            self.verdicts
                .drain(..)
                .chain(self.resyncs.drain(..))
                .map(|settler| (settler, Err(Error::closed()))),
        );
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

async fn poll_option<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

//! The supervisor: the one task that owns an endpoint's connections and its state.
//!
//! Everything that happens arrives here as an event and is handled to its end before the next, so no
//! lock guards the state. Nothing in here waits: what takes time is a future in one of the sets.
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::{UnboundedReceiver, error::TryRecvError};
use tokio::sync::watch;

use super::breaker::Breaker;
use super::dial::Dialer;
use super::items::{Batch, Item, Orphans};
use super::lane::Lane;
use super::link::{Former, Link};
use super::spin::Spin;
use super::state::{Change, State};
use super::traffic::Flight;
use super::{Message, Shared};
use crate::backend::{Call, Raw, Reply, Settler, settle_all};
use crate::base::error::{Applied, Error, Result};

pub(super) const MILLI: u64 = 1000;

/// How something that ran beside ended.
pub(super) enum SideJob {
    /// It kept the connection of this number busy.
    Kept(u64),
    /// Clears were heeded: those by others, and with them what waits to be invalidated here. Whether all
    /// went well.
    Heeded(bool),
    Other,
}

pub(super) struct Hub {
    pub shared: Arc<Shared>,
    pub dialer: Arc<Dialer>,
    pub lost: UnboundedReceiver<u64>,
    pub state: State,
    pub links: Vec<Link>,
    /// Calls that wait for a verdict.
    pub waiting: VecDeque<Call>,
    /// Sent on a connection that broke, before it is known whether the server is well.
    pub orphans: Orphans,
    pub verdicts: Vec<Settler>,
    pub resyncs: Vec<Settler>,
    pub batches: BTreeMap<u64, Batch>,
    pub next_batch: u64,
    /// Our own invalidations were sent in batches before this one.
    pub invalidated_before: u64,
    /// From when on the last one of our own counts.
    pub invalidated_at: AtomicU64,
    pub flights: FuturesUnordered<Flight>,
    pub dial: Option<BoxFuture<'static, Result<Link>>>,
    /// An extra connection of the pool that is being opened.
    pub growing: Option<BoxFuture<'static, Result<Link>>>,
    pub grown: Option<Link>,
    pub held: VecDeque<Call>,
    pub verdict_by: Option<u64>,
    pub redial_at: Option<u64>,
    pub backoff: u64,
    pub hold: u64,
    pub online_since: u64,
    pub returning: Option<BoxFuture<'static, (Link, Result<()>)>>,
    /// Connections that we had; killed before anything is replayed.
    pub old_clients: Vec<Former>,
    pub replaying: usize,
    /// How many of these are parts of what waits to be published.
    pub parts: usize,
    /// Whether a re-sync began that has not ended: a connection that is replaced in its midst does not end it.
    pub resyncing: bool,
    pub lane: Lane,
    /// What runs beside.
    pub side_jobs: FuturesUnordered<BoxFuture<'static, SideJob>>,
    /// Changes when the server goes away, for those who wait for a single answer.
    pub outage: watch::Sender<u64>,
    /// By which connection the server is known that serves, for the one that tells of changes; 0 while it is not well.
    pub live: watch::Sender<u64>,
    serving: u64,
    pub close_by: Option<u64>,
    /// When the timer should have fired.
    pub due: u64,
    /// When this process last came back from not running: others' silence counts from there.
    pub stalled_at: u64,
    /// When the server's time was asked for last.
    pub time_at: u64,
    pub spin: Spin,
    /// Whether clears are being heeded beside live traffic.
    pub invalidating: bool,
    /// What others cleared was looked for since intents came up.
    pub knows_clears: bool,
    /// Clears that wait for the replays under way.
    pub clears: Vec<Call>,
    /// What is published where more waits for its replay than goes at once, by the key.
    pub behind: BTreeMap<Bytes, Vec<Call>>,
    /// Whose turn came last.
    pub followed: Bytes,
    /// Until then nothing is replayed: the server takes nothing more.
    pub rest_until: Option<u64>,
    pub breaker: Breaker,
}

impl Hub {
    pub fn new(shared: Arc<Shared>, dialer: Arc<Dialer>, lost: UnboundedReceiver<u64>) -> Self {
        Self {
            breaker: Breaker::new(shared.config.breaker),
            shared,
            dialer,
            lost,
            state: State::Idle,
            links: Vec::new(),
            waiting: VecDeque::new(),
            orphans: Orphans::default(),
            verdicts: Vec::new(),
            resyncs: Vec::new(),
            batches: BTreeMap::new(),
            next_batch: 0,
            invalidated_before: 0,
            invalidated_at: AtomicU64::new(0),
            flights: FuturesUnordered::new(),
            dial: None,
            growing: None,
            grown: None,
            held: VecDeque::new(),
            verdict_by: None,
            redial_at: None,
            backoff: super::redial::FIRST,
            hold: 0,
            online_since: 0,
            returning: None,
            old_clients: Vec::new(),
            replaying: 0,
            parts: 0,
            resyncing: false,
            lane: Lane::default(),
            side_jobs: FuturesUnordered::new(),
            outage: watch::Sender::new(0),
            live: watch::Sender::new(0),
            serving: 0,
            close_by: None,
            due: 0,
            stalled_at: 0,
            time_at: 0,
            spin: Spin::new(),
            invalidating: false,
            knows_clears: false,
            clears: Vec::new(),
            behind: BTreeMap::new(),
            followed: Bytes::new(),
            rest_until: None,
        }
    }

    pub async fn run(mut self, mut messages: UnboundedReceiver<Message>) {
        let timer = tokio::time::sleep(Duration::from_secs(3600));
        tokio::pin!(timer);
        let mut armed = false;
        loop {
            if let Some(wait) = self.next_wake() {
                let at = self.now() + wait;
                if !armed || at + super::watch::EVERY < self.due {
                    let wait = Duration::from_micros(wait);
                    timer.as_mut().reset(tokio::time::Instant::now() + wait);
                    self.due = at;
                    armed = true;
                }
            }
            let spins = self.spin.goes_on(self.now());
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
                // Whatever the runtime knows of by now comes first.
                () = tokio::task::yield_now(), if spins => {}
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

    pub fn quiet(&self) -> bool {
        self.batches.is_empty()
            && self.lane.is_empty()
            && self.clears.is_empty()
            && self.behind.is_empty()
            && self.side_jobs.is_empty()
    }

    pub fn take(&mut self, message: Message, more: &mut UnboundedReceiver<Message>) {
        match message {
            Message::Calls(mut calls) => {
                self.spin.called();
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
                if let Some(keeper) = self.shared.keeper() {
                    keeper.asked_by_hand();
                }
                match self.state {
                    State::Online | State::Resyncing => {
                        // Of what waited until now nobody has looked whether it was cleared.
                        self.knows_clears = false;
                        self.catch_up();
                    }
                    // Asked for by hand, it is worth a try now; the dial decides.
                    State::Degraded => {
                        self.redial(0);
                        self.answer_in_time();
                    }
                    State::Idle => self.start(),
                    State::Connecting | State::Suspect | State::Invalidating => {}
                    State::Forced | State::Closed => self.answer_resyncs(),
                }
            }
            Message::CatchUp => match self.state {
                State::Online | State::Resyncing => {
                    // What came up may be older than what was looked at.
                    self.knows_clears = false;
                    self.catch_up();
                }
                _ => self.start(),
            },
            Message::Force(forced) => self.force(forced),
            Message::Close => {
                if self.close_by.is_none() {
                    // What was handed over before is still sent; nobody waits for it any more.
                    self.close_by = Some(self.now() + 1_000 * MILLI);
                }
            }
        }
    }

    pub fn enter(&mut self, calls: Vec<Call>) {
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
    pub fn start(&mut self) {
        if self.state == State::Idle {
            self.step(State::Connecting, None);
            self.answer_in_time();
            self.redial(0);
        }
    }

    /// Whoever waits for a verdict waits no longer than this, though the dial may go on.
    fn answer_in_time(&mut self) {
        self.verdict_by = Some(self.now() + 2 * micros(self.shared.config.silence));
    }

    pub fn side_job_done(&mut self, job: SideJob) {
        match job {
            SideJob::Kept(id) => {
                if let Some(link) = self.links.iter_mut().find(|link| link.id == id) {
                    link.outstanding = link.outstanding.saturating_sub(1);
                }
                // It may have left an intent behind.
                self.catch_up();
            }
            SideJob::Heeded(done) => {
                self.invalidating = false;
                self.knows_clears |= done;
                if done {
                    self.catch_up();
                } else if self.state.live() {
                    self.rest();
                    self.pump_replay();
                }
            }
            SideJob::Other => {}
        }
    }

    pub fn is_asked_to_resync(&self) -> bool {
        !self.resyncs.is_empty()
    }

    pub fn reconnect(&mut self, settler: Settler) {
        match self.state {
            State::Idle => self.start(),
            State::Online | State::Resyncing => {
                self.step(State::Suspect, Some("by request".to_owned()));
                self.answer_in_time();
                self.redial(0);
            }
            State::Degraded => {
                self.backoff = super::redial::FIRST;
                self.redial(self.hold);
                self.answer_in_time();
            }
            State::Connecting | State::Suspect => {}
            _ => return settler.settle(Ok(self.verdict())),
        }
        self.verdicts.push(settler);
    }

    pub fn step(&mut self, to: State, reason: Option<String>) {
        if self.state == to {
            return;
        }
        let change = Change { from: self.state, to, reason };
        self.state = to;
        self.resyncing = match to {
            State::Resyncing => true,
            State::Suspect => self.resyncing,
            _ => false,
        };
        self.shared.view.lock().state = to;
        self.tell_near();
        if let Some(keeper) = self.shared.keeper() {
            keeper.changed(&change);
        }
    }

    /// A fresh connection is the one that serves.
    pub fn serve_by(&mut self, link: Link) {
        let run_id = link.identity.run_id.clone();
        let mut before = self.dialer.serving.lock();
        // Whatever was told by another server is about other values.
        if run_id.is_none() || *before != run_id {
            self.serving = link.id;
        }
        *before = run_id;
        drop(before);
        self.links = vec![link];
        self.tell_near();
    }

    fn tell_near(&self) {
        let live = self.state.live() || self.state == State::Suspect;
        let serving = if live { self.serving } else { 0 };
        self.live.send_if_modified(|before| std::mem::replace(before, serving) != serving);
    }

    pub fn verdict(&self) -> Reply {
        let text = |text: &str| Raw::Bytes(text.to_owned().into());
        Reply::Raw(Raw::Map(vec![
            (text("state"), text(self.state.name())),
            (text("available"), Raw::Boolean(self.state.live())),
        ]))
    }

    pub fn answer_verdicts(&mut self) {
        let verdict = self.verdict();
        settle_all(self.verdicts.drain(..).map(|settler| (settler, Ok(verdict.clone()))));
    }

    pub fn answer_resyncs(&mut self) {
        let verdict = self.verdict();
        settle_all(self.resyncs.drain(..).map(|settler| (settler, Ok(verdict.clone()))));
    }

    /// The last act: whatever is left is settled, then the connections close.
    pub fn end(&mut self) {
        self.step(State::Closed, None);
        self.forget_links();
        let orphans = self.orphans.take();
        let sent = orphans.into_iter().chain(self.lane.drain()).filter_map(|item| match item {
            Item::Call { call, .. } => Some(call),
            Item::Replay { .. } => None,
        });
        let behind = std::mem::take(&mut self.behind).into_values().flatten();
        let left = sent.chain(behind).chain(self.waiting.drain(..)).chain(self.clears.drain(..));
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

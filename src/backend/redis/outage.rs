//! Going and coming back: from Online over Suspect to Degraded, and the return over the journal.
use futures_util::future::BoxFuture;

use super::hub::{Hub, MILLI, SideJob, micros};
use super::items::Item;
use super::link::Link;
use super::state::State;
use super::{Failure, Replayer};
use crate::backend::{Call, settle_all};
use crate::base::error::{Applied, Error, Result};

/// A server that stayed up for less is flapping: the next return is held back, each time for longer.
const STEADY: u64 = 10_000 * MILLI;
const HOLD_MOST: u64 = 30_000 * MILLI;
/// A server that failed too many calls is given so long at least.
const TRIPPED: u64 = 1_000 * MILLI;

impl Hub {
    /// The server is well; calls go there, those first that were sent before.
    pub fn online(&mut self, reason: Option<String>, again: Vec<Item>) {
        if let Some(why) = self.breaker.trips(self.now()) {
            // It answers a dial, and yet not what is asked of it.
            self.orphans.add(0, again);
            return self.degrade(Error::unavailable(why));
        }
        self.verdict_by = None;
        self.online_since = self.now();
        // What waits for its replay goes before its own key's next operation, those below included.
        self.knows_clears = false;
        // A re-sync of which the last replay was answered meanwhile has its end still to come.
        let resyncs = self.resyncing || self.owes();
        let state = if resyncs { State::Resyncing } else { State::Online };
        self.step(state, reason);
        self.shared.view.lock().connections = self.links.len();
        self.answer_verdicts();
        self.resend(again);
        let waiting: Vec<Call> = self.waiting.drain(..).collect();
        self.dispatch(waiting);
        self.start_lane();
        self.catch_up();
    }

    /// A fresh connection answers, so only the old ones are replaced: nobody notices.
    pub fn replace_by(&mut self, link: Link) {
        if let Some(keeper) = self.shared.keeper() {
            // It may be another one than before: restarted so fast that nobody was refused.
            keeper.met(&link.identity);
        }
        self.forget_links();
        self.kill_old(&link);
        self.serve_by(link);
        let orphans = self.orphans.take();
        self.online(Some("a fresh connection answers".to_owned()), orphans);
    }

    /// Closes what is open; what was sent there waits as orphans.
    pub fn forget_links(&mut self) {
        for mut link in self.links.drain(..) {
            self.old_clients.extend(link.former());
            link.ends_gently = self.state == State::Closed;
        }
        self.old_clients.extend(self.lane.abort());
        self.growing = None;
        self.grown = None;
        self.flights.clear();
        for (number, batch) in std::mem::take(&mut self.batches) {
            self.orphans.add(number, batch.items);
        }
        // What was held back came before what waits.
        self.held.append(&mut self.waiting);
        std::mem::swap(&mut self.held, &mut self.waiting);
    }

    pub fn kill_old(&mut self, link: &Link) {
        let former = std::mem::take(&mut self.old_clients);
        let ids: Vec<i64> =
            former.iter().filter(|one| one.is_of(link)).map(|one| one.client).collect();
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
            let never_online = self.online_since == 0;
            // A return that failed is no time during which the server was well.
            let returning = self.state == State::Invalidating;
            let tripped = self.breaker.trips(self.now()).is_some();
            self.breaker.reset();
            if steady && !returning {
                self.hold = 0;
            }
            self.hold = if tripped {
                (self.hold * 2).clamp(TRIPPED, HOLD_MOST)
            } else if !returning && (never_online || steady) {
                0
            } else {
                (self.hold * 2).clamp(250 * MILLI, HOLD_MOST)
            };
        }
        let reason = error.message.clone();
        self.shared.view.lock().last_error = Some(error);
        self.verdict_by = None;
        self.rest_until = None;
        self.outage.send_modify(|count| *count += 1);
        self.forget_links();
        // What was asked before goes to memory before anything that is asked of memory from now on.
        self.hand_back();
        if !matches!(self.state, State::Forced | State::Closed) {
            self.step(State::Degraded, Some(reason));
        }
        if self.dial.is_none() {
            self.schedule_redial();
        }
        self.answer_verdicts();
        self.answer_resyncs();
    }

    pub fn hand_back(&mut self) {
        let orphans = self.orphans.take();
        let mut calls = Vec::new();
        let mut replays = Vec::new();
        for item in orphans.into_iter().chain(self.lane.drain()) {
            match item {
                Item::Call { call, .. } => calls.push(call),
                Item::Replay { intent, .. } => replays.push((intent, None)),
            }
        }
        (self.replaying, self.parts) = (0, 0);
        // What comes back stands before what waits, so the last one goes first.
        replays.reverse();
        if let Some(keeper) = self.shared.keeper() {
            keeper.replayed(replays);
        }
        self.unanswered(calls, Applied::Unknown);
        let behind = std::mem::take(&mut self.behind).into_values().flatten();
        let waiting: Vec<Call> =
            behind.chain(self.waiting.drain(..)).chain(self.clears.drain(..)).collect();
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

    pub fn link_lost(&mut self, id: u64) {
        if self.lane.lost(id) {
            return;
        }
        if let Some(link) = self.links.iter().find(|link| link.id == id) {
            // Its calls come back one by one; together they are one failure.
            let failures = usize::from(link.outstanding > 0 && self.state.live());
            self.breaker.failed(failures, self.now());
            self.suspect("the connection was closed".to_owned());
        }
    }

    /// The server is back after an outage.
    pub fn return_by(&mut self, link: Link) {
        let Some(keeper) = self.shared.keeper() else {
            self.serve_by(link);
            return self.online(None, Vec::new());
        };
        self.verdict_by = None;
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

    pub fn returned(&mut self, link: Link, result: Result<()>) {
        if let Err(error) = result {
            self.old_clients.extend(link.former());
            drop(link);
            return self.degrade(error);
        }
        let live = self.shared.keeper().is_none_or(|keeper| keeper.go_live());
        if !live {
            return self.return_by(link);
        }
        self.serve_by(link);
        self.online_since = self.now();
        self.knows_clears = true;
        self.step(State::Resyncing, None);
        self.shared.view.lock().connections = self.links.len();
        self.answer_verdicts();
        let orphans = self.orphans.take();
        self.resend(orphans);
        self.start_lane();
        self.pump_replay();
    }

    /// Memory by request. What is on its way is settled by memory at once; the connections are closed,
    /// so that nothing of it arrives later.
    pub fn force(&mut self, forced: bool) {
        if forced {
            if self.state == State::Forced {
                return;
            }
            self.step(State::Forced, Some("by request".to_owned()));
            self.verdict_by = None;
            self.rest_until = None;
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
}

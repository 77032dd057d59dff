//! What the supervisor looks at as time passes: deadlines, silence, the next dial.
use super::hub::{Hub, MILLI, SideJob, micros};
use super::state::State;
use crate::backend::Call;
use crate::base::error::{Applied, Error};

/// How often deadlines and silence are looked at while something is outstanding.
pub(super) const EVERY: u64 = 50 * MILLI;
const TIME_EVERY: u64 = 5_000 * MILLI;
/// A timer that is so late says that this process did not run.
const STALL: u64 = 100 * MILLI;

impl Hub {
    pub fn next_wake(&self) -> Option<u64> {
        let now = self.now();
        let watched = !self.quiet() || !self.waiting.is_empty() || self.close_by.is_some();
        let redial_at = self.redial_at.filter(|_| self.state == State::Degraded);
        [watched.then_some(now + EVERY), self.verdict_by, self.rest_until, redial_at]
            .into_iter()
            .flatten()
            .min()
            .map(|at| at.saturating_sub(now).max(MILLI))
    }

    /// Looks at deadlines and at silence.
    pub fn watch(&mut self) {
        let now = self.now();
        let late = now.saturating_sub(self.due);
        if late > STALL {
            // A starved process or a suspended laptop: it was us who said nothing.
            self.stalled_at = now;
            self.verdict_by = self.verdict_by.map(|by| by + late);
        }
        if self.verdict_by.is_some_and(|by| now >= by) {
            self.verdict_by = None;
            // The dial goes on; those who wait are answered without it.
            let error = Error::unavailable("it does not answer in time");
            self.shared.view.lock().last_error = Some(error.clone());
            self.degrade(error);
        }
        if self.redial_at.is_some_and(|at| now >= at) && self.state == State::Degraded {
            self.redial(self.hold);
        }
        if self.rest_until.is_some_and(|at| now >= at) {
            self.rest_until = None;
            self.catch_up();
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
            // While a script runs the server answers nobody; the script's own deadline bounds that.
            let busy = self.batches.values().any(|batch| batch.runs_script);
            if silent && !busy {
                self.suspect("the connection fell silent".to_owned());
            }
        }
        self.expire(now);
        if self.state.live()
            && let Some(why) = self.breaker.trips(now)
        {
            self.degrade(Error::unavailable(why));
        }
        self.refresh_time(now);
        let timeout = micros(self.shared.config.command_timeout);
        // The journal has from here what waited for replays.
        let is_late = |call: &mut Call| now.saturating_sub(call.since) > timeout;
        let waits = self.behind.values_mut().chain(std::iter::once(&mut self.clears));
        let late: Vec<Call> = waits.flat_map(|calls| calls.extract_if(.., is_late)).collect();
        if !late.is_empty() {
            self.behind.retain(|_, calls| !calls.is_empty());
            self.unanswered(late, Applied::No);
            self.catch_up();
        }
        let late =
            self.waiting.iter().filter(|call| now.saturating_sub(call.since) > timeout).count();
        if late > 0 {
            let late: Vec<Call> = self.waiting.drain(..late).collect();
            self.unanswered(late, Applied::No);
        }
    }

    /// The server's clock drifts from ours, and only what befell it since the last look tells what an
    /// outage did: both are asked for now and then while it is used.
    pub fn refresh_time(&mut self, now: u64) {
        let Some(link) = self.links.first() else { return };
        if !self.state.live() || now.saturating_sub(self.time_at) < TIME_EVERY {
            return;
        }
        self.time_at = now;
        let (mut connection, dialer) = (link.connection.clone(), self.dialer.clone());
        let keeper = self.shared.keeper();
        self.side_jobs.push(Box::pin(async move {
            // A connection that broke is noticed by itself.
            let _ = dialer.learn_time(&mut connection, None).await;
            if let (Ok(identity), Some(keeper)) = (dialer.identify(&mut connection).await, keeper) {
                keeper.met(&identity);
            }
            SideJob::Other
        }));
    }
}

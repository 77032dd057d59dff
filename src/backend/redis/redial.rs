//! Dialling, for ever: one dial at a time, and what its outcome means in each state.
use std::time::Duration;

use super::gates::Place;
use super::hub::{Hub, MILLI};
use super::link::Link;
use super::state::State;
use crate::base::error::{Error, Result};
use crate::base::random;

pub(super) const FIRST: u64 = 50 * MILLI;
const MOST: u64 = 5_000 * MILLI;
/// A dial that is refused costs next to nothing, and whoever waits for a restart waits for this.
const MOST_REFUSED: u64 = 750 * MILLI;
/// Where nothing is configured, localhost is only looked at now and then.
const UNCONFIGURED: u64 = 30_000 * MILLI;

impl Hub {
    /// Dials, unless a dial is under way. `hold` keeps back a server that flaps.
    pub fn redial(&mut self, hold: u64) {
        self.redial_at = None;
        if self.dial.is_some() {
            return;
        }
        self.shared.view.lock().attempts += 1;
        let (dialer, patience) = (self.dialer.clone(), self.shared.config.silence);
        self.dial = Some(Box::pin(async move {
            let link = dialer.dial().await?;
            // It is believed when it has answered three times more.
            for _ in 0..3 {
                let mut connection = link.connection.clone();
                let command = redis::cmd("PING");
                let ping = async {
                    dialer.gates.pass(Place::Probe).await?;
                    connection.send_packed_command(&command).await
                };
                match tokio::time::timeout(patience, ping).await {
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

    pub fn dialled(&mut self, result: Result<Link>) {
        let link = match result {
            Ok(link) => link,
            Err(error) => return self.dial_failed(error),
        };
        self.backoff = FIRST;
        self.note_connected(&link);
        match self.state {
            State::Connecting => {
                if let Some(keeper) = self.shared.keeper() {
                    keeper.met(&link.identity);
                }
                self.serve_by(link);
                self.online(None, Vec::new());
            }
            State::Suspect => self.replace_by(link),
            State::Degraded => self.return_by(link),
            // Another one serves already.
            _ => self.old_clients.extend(link.former()),
        }
    }

    pub fn dial_failed(&mut self, error: Error) {
        self.shared.view.lock().last_error = Some(error.clone());
        let refused = super::dial::was_refused(&error);
        if let Some(keeper) = self.shared.keeper() {
            keeper.missed(refused);
        }
        if refused {
            self.backoff = self.backoff.min(MOST_REFUSED);
        }
        match self.state {
            State::Connecting | State::Suspect => self.degrade(error),
            State::Degraded => {
                self.verdict_by = None;
                self.schedule_redial();
                self.answer_verdicts();
                self.answer_resyncs();
            }
            _ => {}
        }
    }

    pub fn schedule_redial(&mut self) {
        let wait = if self.shared.config.configured {
            let wait = self.backoff / 2 + random::up_to(self.backoff / 2);
            self.backoff = (self.backoff * 2).min(MOST);
            wait
        } else {
            UNCONFIGURED
        };
        self.redial_at = Some(self.now() + wait);
    }

    pub fn note_connected(&self, link: &Link) {
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
}

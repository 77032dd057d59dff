//! The journal's way back to the server, beside live traffic.
use super::hub::{Hub, SideJob};
use super::lane::is_large;
use super::state::State;
use super::traffic::Item;
use super::{Owed, Replayer};
use crate::backend::intent::{Intent, Outcome};

/// How many intents are on their way at once.
const BATCH: usize = 512;

impl Hub {
    pub fn replay_now(&mut self, intent: Intent) {
        let mut outgoing = self.outgoing(1);
        let at = self.link_of(Some(&intent.key));
        self.replaying += 1;
        self.add_replay(&mut outgoing[at], intent);
        self.send(outgoing);
    }

    /// Where intents came up although the server answers: they are replayed like after an outage.
    pub fn catch_up(&mut self) {
        match self.shared.keeper().map(|keeper| keeper.owes()) {
            Some(Owed::Intents) if self.state == State::Online => {
                self.step(State::Resyncing, None);
                self.pump_replay();
            }
            Some(Owed::Invalidations) if self.state.live() => self.invalidate_beside(),
            Some(Owed::Nothing) if self.state == State::Online => self.caught_up(),
            _ => self.pump_replay(),
        }
    }

    /// Answers those who asked for a re-sync.
    pub fn caught_up(&mut self) {
        if self.is_asked_to_resync()
            && let Some(keeper) = self.shared.keeper()
        {
            keeper.resynced();
            self.answer_resyncs();
        }
    }

    /// Carries out invalidations that a broken connection left behind, beside live traffic: each removes
    /// only what is older than itself.
    pub fn invalidate_beside(&mut self) {
        let Some((keeper, link)) = self.shared.keeper().zip(self.links.first()) else { return };
        if self.invalidating {
            return;
        }
        self.invalidating = true;
        let connection = link.connection.clone();
        let replayer = Replayer { connection, wire: self.shared.wire.clone() };
        let mut outage = self.outage.subscribe();
        self.side_jobs.push(Box::pin(async move {
            tokio::select! {
                // What fails goes back to the journal, and waits for the next return.
                _ = keeper.invalidate(replayer) => {}
                _ = outage.changed() => {}
            }
            SideJob::Invalidated
        }));
    }

    /// Replays the journal in batches, between live traffic.
    pub fn pump_replay(&mut self) {
        if self.state != State::Resyncing || self.replaying > 0 {
            return;
        }
        let Some(keeper) = self.shared.keeper() else { return };
        let intents = keeper.take_intents(BATCH);
        if intents.is_empty() {
            keeper.resynced();
            self.answer_resyncs();
            return self.online(None, Vec::new());
        }
        self.replaying += intents.len();
        let mut outgoing = self.outgoing(intents.len());
        for intent in intents {
            if is_large(&intent) {
                self.queue_in_lane(Item::Replay(intent));
                continue;
            }
            let at = self.link_of(Some(&intent.key));
            self.add_replay(&mut outgoing[at], intent);
        }
        self.send(outgoing);
    }

    /// Replays that ended, or came back.
    pub fn replayed(&mut self, ended: Vec<(Intent, Option<Outcome>)>) {
        self.replaying = self.replaying.saturating_sub(ended.len());
        if let Some(keeper) = self.shared.keeper() {
            keeper.replayed(ended);
        }
        self.pump_replay();
    }
}

//! The journal's way back to the server, beside live traffic.
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::hub::{Hub, MILLI, SideJob};
use super::items::Item;
use super::state::State;
use super::{Keeper, Owed, Replayer};
use crate::backend::intent::{Intent, Next, Outcome};
use crate::base::error::Result;

/// How many intents are on their way at once.
const BATCH: usize = 512;
/// How long the replay waits when the server takes nothing more.
const REST: u64 = 1_000 * MILLI;

impl Hub {
    /// Whether anything waits for its replay, is on its way, or was replayed and not looked after.
    pub fn owes(&self) -> bool {
        let waits = self.shared.keeper().is_some_and(|keeper| {
            keeper.owes() != Owed::Nothing || keeper.may_have_missed_clears()
        });
        waits || self.replaying > 0
    }

    /// Where intents came up although the server answers: they are replayed like after an outage.
    pub fn catch_up(&mut self) {
        let Some(keeper) = self.shared.keeper() else { return };
        if self.state == State::Online {
            if !self.owes() {
                return self.caught_up();
            }
            self.step(State::Resyncing, None);
            self.knows_clears = false;
        }
        if self.state.live() && keeper.owes() == Owed::Invalidations {
            self.invalidate_beside();
        }
        self.pump_replay();
    }

    /// The server can't take what is replayed now. Live operations go on; the replay waits a while, and
    /// so does nobody who asked for it.
    pub fn rest(&mut self) {
        self.rest_until = Some(self.now() + REST);
        self.answer_resyncs();
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
        // A set that is on its way behind it could bring back what it removes.
        if self.invalidating || self.rest_until.is_some() || self.replaying > 0 {
            return;
        }
        self.beside(|keeper, replayer| keeper.invalidate(replayer));
    }

    /// Replays the journal in batches, between live traffic.
    pub fn pump_replay(&mut self) {
        self.start_clears();
        self.pump();
        self.follow();
    }

    fn pump(&mut self) {
        if self.state != State::Resyncing || self.replaying > 0 || self.rest_until.is_some() {
            return;
        }
        let Some(keeper) = self.shared.keeper() else { return };
        if self.invalidating || keeper.owes() == Owed::Invalidations {
            // Its end leads here again.
            return self.invalidate_beside();
        }
        if !self.knows_clears && keeper.owes() != Owed::Nothing {
            return self.heed_clears();
        }
        let intents = keeper.take_intents(BATCH);
        if intents.is_empty() && keeper.may_have_missed_clears() {
            return self.heed_clears();
        }
        if intents.is_empty() {
            keeper.resynced();
            self.answer_resyncs();
            return self.step(State::Online, None);
        }
        self.replaying += intents.len();
        let mut outgoing = self.outgoing(intents.len());
        for intent in intents {
            if self.replays_in_lane(&intent) {
                self.lane.push(Item::replay(intent));
                continue;
            }
            let at = self.link_of(Some(&intent.key));
            self.add_replay(&mut outgoing[at], intent);
        }
        self.send(outgoing);
        self.start_lane();
    }

    /// Sends the next part of what waits where others publish meanwhile, and these when nothing is left before them.
    fn follow(&mut self) {
        if self.behind.is_empty() || !self.state.live() {
            return;
        }
        let Some(keeper) = self.shared.keeper() else { return };
        let keys: Vec<Bytes> = self.behind.keys().cloned().collect();
        let mut outgoing = self.outgoing(keys.len());
        let mut free = Vec::new();
        for key in keys {
            // While the replay rests they wait with the others.
            let rests = self.rest_until.is_some();
            let next = if rests { Next::Nothing } else { keeper.next_messages(&key) };
            let is_last = match next {
                Next::Nothing => true,
                Next::Later => false,
                Next::Part(intent) => {
                    self.replaying += 1;
                    let at = self.link_of(Some(&key));
                    self.add_replay(&mut outgoing[at], intent);
                    !keeper.answers_itself(&key, true)
                }
            };
            if is_last {
                free.extend(self.behind.remove(&key).into_iter().flatten());
            }
        }
        self.send(outgoing);
        self.dispatch(free);
    }

    /// Looks what others cleared, before sets are replayed and after that. Its end leads to the replay again.
    fn heed_clears(&mut self) {
        self.beside(|keeper, replayer| keeper.heed_clears(replayer));
    }

    /// Runs something of the keeper's beside live traffic, until the server goes. Batches wait for its end.
    fn beside(
        &mut self,
        work: impl FnOnce(&dyn Keeper, Replayer) -> BoxFuture<'static, Result<()>>,
    ) {
        let Some((keeper, link)) = self.shared.keeper().zip(self.links.first()) else { return };
        self.invalidating = true;
        let connection = link.connection.clone();
        let work = work(&*keeper, Replayer { connection, wire: self.shared.wire.clone() });
        let mut outage = self.outage.subscribe();
        self.side_jobs.push(Box::pin(async move {
            let done = tokio::select! {
                // What fails goes back to the journal.
                done = work => done.is_ok(),
                _ = outage.changed() => false,
            };
            SideJob::Heeded(done)
        }));
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

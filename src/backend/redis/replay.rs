//! The journal's way back to the server, beside live traffic.
use std::ops::Bound;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::hub::{Hub, MILLI, SideJob};
use super::items::Item;
use super::state::State;
use super::{Keeper, Owed, Replayer};
use crate::backend::intent::{Intent, Next, Outcome, Wish};
use crate::base::error::Result;

/// How many intents are on their way at once.
const BATCH: usize = 512;
/// How many bytes of messages go at once, about.
const BYTES: usize = 256 * 1024;
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

    /// It is on its way.
    pub fn went(&mut self, intent: &Intent) {
        self.replaying += 1;
        self.parts += usize::from(matches!(intent.wish, Wish::Publish(_)));
    }

    /// The opposite, however it ended.
    pub fn came_back(&mut self, intent: &Intent) {
        self.replaying = self.replaying.saturating_sub(1);
        let parts = usize::from(matches!(intent.wish, Wish::Publish(_)));
        self.parts = self.parts.saturating_sub(parts);
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
            if keeper.owes() != Owed::Nothing {
                return;
            }
            keeper.resynced();
            self.answer_resyncs();
            return self.step(State::Online, None);
        }
        intents.iter().for_each(|intent| self.went(intent));
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

    /// Sends the next part of what waits where others publish meanwhile, and these when nothing is left before them. All that
    /// are on their way come back before the next go, so that the others that wait have their turn, too.
    fn follow(&mut self) {
        let rests = self.rest_until.is_some();
        let goes = self.state.live() && self.grown.is_none() && (self.parts == 0 || rests);
        if self.behind.is_empty() || !goes {
            return;
        }
        let Some(keeper) = self.shared.keeper() else { return };
        let (before, after) = (..=self.followed.clone(), self.followed.clone());
        let after = self.behind.range((Bound::Excluded(after), Bound::Unbounded));
        let keys = after.chain(self.behind.range(before)).map(|(key, _)| key.clone());
        let keys: Vec<Bytes> = keys.collect();
        let mut outgoing = self.outgoing(keys.len());
        let (mut free, mut room) = (Vec::new(), BYTES);
        for key in keys {
            if room == 0 {
                break;
            }
            // While the replay rests they wait with the others.
            let next = if rests { Next::Nothing } else { keeper.next_messages(&key) };
            let is_last = match next {
                Next::Nothing => true,
                Next::Later => false,
                Next::Part(intent) => {
                    if let Wish::Publish(waiting) = &intent.wish {
                        room = room.saturating_sub(waiting.bytes());
                    }
                    self.went(&intent);
                    let at = self.link_of(Some(&key));
                    self.add_replay(&mut outgoing[at], intent);
                    !keeper.answers_itself(&key, true)
                }
            };
            if is_last {
                free.extend(self.behind.remove(&key).into_iter().flatten());
            }
            self.followed = key;
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
        ended.iter().for_each(|(intent, _)| self.came_back(intent));
        if let Some(keeper) = self.shared.keeper() {
            keeper.replayed(ended);
        }
        self.pump_replay();
    }
}

//! Limits while the server is well: what this process decides by what was taken ahead or is known to be refused, and what
//! is given back.
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::fallback::Fallback;
use crate::backend::memory::ahead::Cells;
use crate::backend::memory::rates::Spent;
use crate::backend::rate::{Costs, Limiter, Outcome, Verb};
use crate::backend::{Backend, Call, Decision, Early, Operation, Reach, Reply, Settler};

/// How often it is looked what was taken ahead and is not needed any more.
const RETURN_EVERY: Duration = Duration::from_millis(20);

impl Fallback {
    /// Decides a plain take of one key at once, if that can be done: without an operation, for who asks again and
    /// again. What the key is likely to need next is lent to who asks: how many takes, and for how long, µs.
    pub fn decide_now(
        &self,
        key: &Bytes,
        limiter: &Arc<Limiter>,
        costs: Costs,
        place: (&Cells, usize),
    ) -> Option<(Decision, (u32, f64))> {
        let now = self.clock.micros();
        let mut local = self.local.lock();
        let decision = if self.redis.is_some() {
            if local.on_memory() {
                return None;
            }
            let verb = Verb::Take { costs, hold: None, ahead: 0 };
            *local.store.rates.at_hand(key, limiter, &verb, now)?
        } else if self.config.fallback_enabled {
            local.store.rates.take_here(key, limiter, &costs, now)
        } else {
            return None;
        };
        let lent = match decision.outcome {
            Outcome::Done => local.store.rates.lend(key, place, now),
            _ => (0, 0.0),
        };
        Some((decision, lent))
    }

    /// Takes back what was lent of a key.
    pub fn recall(&self, key: &Bytes) {
        self.local.lock().store.rates.recall(key);
    }

    /// What the server would say, where that is known; what is given back makes it unknown.
    pub(super) fn at_hand(&self, operation: Operation) -> Early {
        let Operation::Rate { key, limiter, act } = &operation else {
            return Early::Pass(operation);
        };
        let mut local = self.local.lock();
        match act.verb {
            Verb::Take { hold: None, .. } => {}
            Verb::Reset => local.store.rates.forget(key, true),
            // They change nothing that is known to be refused.
            Verb::Peek | Verb::Take { .. } | Verb::Renew(_) => {}
            Verb::Settle { .. } | Verb::Refund(_) | Verb::Return { .. } => {
                local.store.rates.forget(key, false);
            }
        }
        if !act.verb.is_plain_take() {
            return Early::Pass(operation);
        }
        match local.store.rates.spend(key, limiter, &act.verb, self.clock.micros()) {
            Spent::Decision(decision) => Early::Answer(Ok(Reply::Decision(decision))),
            Spent::Ask { ahead: likely } => {
                let mut operation = operation;
                if let Operation::Rate { act, .. } = &mut operation
                    && let Verb::Take { ahead, .. } = &mut act.verb
                {
                    *ahead = likely;
                }
                Early::Pass(operation)
            }
        }
    }

    /// Says once that this process takes a whole limit for its share.
    pub(super) fn tell_unshared(&self) {
        if self.config.instances.is_none() && !self.told_unshared.swap(true, Ordering::Relaxed) {
            self.emit(serde_json::json!({ "type": "instances-unset" }));
        }
    }

    /// Gives back at once whatever was taken ahead: nobody asks any more.
    pub fn give_up_ahead(&self) {
        let now = self.clock.micros();
        let mut local = self.local.lock();
        let unused = local.store.rates.give_up_ahead(now);
        let online = !local.on_memory();
        drop(local);
        self.send_back(unused, online, now);
    }

    fn send_back(&self, unused: Vec<Operation>, online: bool, now: u64) {
        let call = |operation| Call::new(operation, Settler::unheard(), now, Reach::default());
        let calls: Vec<Call> = unused.into_iter().map(call).collect();
        if !calls.is_empty() && online {
            self.submit(calls);
        }
    }

    /// Gives back what was taken ahead and not needed, as long as there is any.
    pub(super) fn return_unused(&self) {
        let Some(this) = self.this.upgrade() else { return };
        if self.returning.swap(true, Ordering::AcqRel) {
            return;
        }
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(RETURN_EVERY).await;
                let now = this.clock.micros();
                let (unused, none_left) = this.local.lock().store.rates.unused(now);
                let online = !this.on_memory.load(Ordering::Acquire);
                this.send_back(unused, online, now);
                if none_left {
                    this.returning.store(false, Ordering::Release);
                    // Some may have come in between, and nobody else was told to wait for their end.
                    let more = this.local.lock().store.rates.holds_ahead();
                    if !more || this.returning.swap(true, Ordering::AcqRel) {
                        return;
                    }
                }
            }
        });
    }
}

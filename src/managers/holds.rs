//! What is held by limiters and renewed as long as whoever holds it lives: off the event loop, so that a busy one loses
//! nothing, and no longer than it was meant to be held, so that a hung one keeps nothing.
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::backend::rate::{Act, Hold, Limiter, Outcome, Verb};
use crate::backend::{Answer, Backend, Call, Early, Operation, Reach, Reply, Settler, Sink};
use crate::base::clock::Clock;

/// How often it is looked what is due.
const EVERY: Duration = Duration::from_millis(100);

/// One of them.
pub struct Held {
    pub key: Bytes,
    pub limiter: Arc<Limiter>,
    pub hold: Hold,
    /// µs of the boot clock: until then it is renewed at most.
    pub until: u64,
    /// Whoever holds it.
    pub owner: Weak<dyn Send + Sync>,
}

struct Kept {
    held: Held,
    renew_at: u64,
}

/// Hears that something is held no longer.
pub type Lost = Box<dyn Fn(u64) + Send + Sync>;

pub struct Holds {
    clock: Arc<dyn Clock>,
    kept: Mutex<HashMap<u64, Kept>>,
    /// Renewals on their way, by the number of their call.
    asked: Mutex<HashMap<u32, u64>>,
    next: AtomicU32,
    running: AtomicBool,
    lost: Lost,
}

impl Holds {
    pub fn new(clock: Arc<dyn Clock>, lost: Lost) -> Arc<Self> {
        Arc::new(Self {
            clock,
            kept: Mutex::default(),
            asked: Mutex::default(),
            next: AtomicU32::new(0),
            running: AtomicBool::new(false),
            lost,
        })
    }

    /// Renews it from now on. Answers whether somebody has to `run`.
    pub fn keep(&self, held: Held) -> bool {
        let renew_at = self.clock.micros() + renewed_after(&held.hold);
        self.kept.lock().insert(held.hold.id, Kept { held, renew_at });
        !self.running.swap(true, Ordering::AcqRel)
    }

    pub fn let_go(&self, id: u64) {
        self.kept.lock().remove(&id);
    }

    /// Renews what is due, until nothing is held any more.
    pub async fn run(self: Arc<Self>, backend: Weak<dyn Backend>) {
        loop {
            tokio::time::sleep(EVERY).await;
            let Some(backend) = backend.upgrade() else { return };
            self.renew(&*backend);
            if self.kept.lock().is_empty() {
                self.running.store(false, Ordering::Release);
                // Something may have come in between, and nobody else was told to run.
                if self.kept.lock().is_empty() || self.running.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
        }
    }

    fn renew(self: &Arc<Self>, backend: &dyn Backend) {
        let now = self.clock.micros();
        let mut over = Vec::new();
        let mut due = Vec::new();
        self.kept.lock().retain(|&id, kept| {
            if kept.held.owner.strong_count() == 0 {
                return false;
            }
            if now >= kept.held.until {
                over.push(id);
                return false;
            }
            if now >= kept.renew_at {
                kept.renew_at = now + renewed_after(&kept.held.hold);
                let Held { key, limiter, hold, .. } = &kept.held;
                let act = Act { verb: Verb::Renew(*hold), at: now, number: 0 };
                due.push((id, Operation::Rate { key: key.clone(), limiter: limiter.clone(), act }));
            }
            true
        });
        over.into_iter().for_each(|id| (self.lost)(id));
        let sink: Arc<dyn Sink> = self.clone();
        let calls = due.into_iter().filter_map(|(id, operation)| {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.asked.lock().insert(number, id);
            let settler = Settler::new(sink.clone(), number);
            match backend.now(operation, Reach::default()) {
                Early::Answer(answer) | Early::Held(answer) => {
                    settler.settle(answer);
                    None
                }
                Early::Pass(operation) => {
                    Some(Call::new(operation, settler, now, Reach::default()))
                }
            }
        });
        let calls: Vec<Call> = calls.collect();
        if !calls.is_empty() {
            backend.submit(calls);
        }
    }
}

impl Sink for Holds {
    fn put(&self, number: u32, answer: Answer) {
        let Some(id) = self.asked.lock().remove(&number) else { return };
        // What could not be asked is asked again before it is over.
        if let Ok(Reply::Decision(decision)) = answer
            && decision.outcome == Outcome::Refused
            && self.kept.lock().remove(&id).is_some()
        {
            (self.lost)(id);
        }
    }

    fn wake(&self) {}
}

/// Three times in its life.
fn renewed_after(hold: &Hold) -> u64 {
    (hold.lasts / 3.0) as u64
}

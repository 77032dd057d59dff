//! One policy's part of a state, and the algorithms. `scripts/rate.lua` computes the same, in the same order, so that
//! both sides come to the same bytes.
use super::{Algorithm, Policy, Standing};

/// Rounding of sums of fractions of a µs.
const SLACK: f64 = 0.001;

/// An entry of a sliding window: when, and how much. A slot: whose, until when, and what it weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Entry {
    pub id: u64,
    pub time: f64,
    pub cost: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    pub id: [u8; 4],
    /// What counts now; of a bucket the µs that it needs, from `time` on, to be whole again.
    pub used: f64,
    /// The newest entry of a sliding window; when a bucket was looked at.
    pub time: f64,
    pub cost: f64,
    /// When nothing counts any more; 0: nothing does.
    pub ends: f64,
    /// Older entries, the oldest first; slots in the order in which they were taken.
    pub tail: Vec<Entry>,
}

impl Part {
    pub fn of(policy: &Policy) -> Self {
        Self { id: policy.id, ..Self::default() }
    }

    /// Lets go of what is over by now.
    pub fn advance(&mut self, policy: &Policy, now: f64) {
        match policy.algorithm {
            Algorithm::SlidingWindow => self.forget_until(now - policy.window),
            Algorithm::TokenBucket | Algorithm::FixedWindow => {
                if self.ends <= now {
                    (self.used, self.time, self.ends) = (0.0, 0.0, 0.0);
                }
            }
            Algorithm::Concurrency => {
                self.tail.retain(|slot| slot.time > now);
                self.count_slots();
            }
        }
    }

    /// Whether so much more fits. Call after `advance`.
    pub fn fits(&self, policy: &Policy, cost: f64, now: f64) -> bool {
        cost <= 0.0 || self.lacks(policy, cost, now) <= 0.0
    }

    /// Adds what was taken at a moment that is not later than now. What is over already is passed over.
    pub fn add(&mut self, policy: &Policy, cost: f64, at: f64, now: f64) {
        if cost <= 0.0 {
            return;
        }
        match policy.algorithm {
            Algorithm::SlidingWindow => {
                if at > now - policy.window {
                    self.enter(policy, cost, at);
                    self.used += cost;
                    self.ends = self.time + policy.window;
                }
            }
            Algorithm::TokenBucket => {
                // What comes late is added to what came after it.
                if at >= self.time {
                    (self.used, self.time) = (self.level(at), at);
                }
                let most = policy.limit * policy.step + (now - self.time);
                let used = self.used + cost * policy.step;
                self.used = if used - most > SLACK { most } else { used };
                self.ends = self.time + self.used;
            }
            Algorithm::FixedWindow => {
                if self.ends == 0.0 {
                    if at + policy.window > now {
                        (self.used, self.ends) = (cost, at + policy.window);
                    }
                } else if at + policy.window > now {
                    // Before this window began by what is known here, it may have begun with it.
                    self.used += cost;
                }
            }
            Algorithm::Concurrency => {}
        }
    }

    /// Takes a slot, or keeps it until then.
    pub fn hold_slot(&mut self, id: u64, until: f64, weight: f64) {
        match self.tail.iter_mut().find(|slot| slot.id == id) {
            Some(slot) => slot.time = until,
            None => self.tail.push(Entry { id, time: until, cost: weight }),
        }
        self.count_slots();
    }

    /// Keeps a slot that stands; answers whether it does.
    pub fn keep_slot(&mut self, id: u64, until: f64) -> bool {
        let Some(slot) = self.tail.iter_mut().find(|slot| slot.id == id) else { return false };
        slot.time = until;
        self.count_slots();
        true
    }

    /// Gives a slot back; answers whether it stood.
    pub fn free_slot(&mut self, id: u64) -> bool {
        let before = self.tail.len();
        self.tail.retain(|slot| slot.id != id);
        self.count_slots();
        self.tail.len() < before
    }

    /// Gives back what was taken at that time.
    pub fn give_back(&mut self, policy: &Policy, amount: f64, time: f64) {
        match policy.algorithm {
            Algorithm::SlidingWindow => {
                // It may have been put together with what came after it, never with anything before. What is over is not
                // taken from anybody else.
                let until = time + 2.0 * policy.step;
                let holds = |at: f64| at >= time && at <= until;
                let mut left = amount;
                while left > 0.0
                    && let Some(at) = self.tail.iter().position(|entry| holds(entry.time))
                {
                    let some = self.tail.get(at).map_or(left, |entry| entry.cost.min(left));
                    left -= some;
                    self.reduce(at, some);
                    if left <= 0.0 || some <= 0.0 {
                        break;
                    }
                }
                if left > 0.0 && holds(self.time) {
                    self.reduce_newest(left);
                }
                self.ends = if self.cost > 0.0 { self.time + policy.window } else { 0.0 };
            }
            Algorithm::FixedWindow if self.ends > 0.0 && time >= self.ends - policy.window => {
                self.used = (self.used - amount).max(0.0);
            }
            Algorithm::TokenBucket => self.pour_back(policy, amount),
            _ => {}
        }
    }

    /// Gives back what was taken last, of what was taken until then.
    pub fn refund(&mut self, policy: &Policy, amount: f64, until: f64, now: f64) {
        if amount <= 0.0 {
            return;
        }
        match policy.algorithm {
            Algorithm::SlidingWindow => {
                let mut left = amount;
                while left > 0.0 && self.cost > 0.0 && self.time <= until {
                    let some = self.cost.min(left);
                    left -= some;
                    self.reduce_newest(some);
                }
                while left > 0.0
                    && let Some(at) = self.tail.iter().rposition(|entry| entry.time <= until)
                {
                    let some = self.tail.get(at).map_or(left, |entry| entry.cost.min(left));
                    left -= some;
                    self.reduce(at, some);
                }
                self.ends = if self.cost > 0.0 { self.time + policy.window } else { 0.0 };
            }
            Algorithm::FixedWindow if until >= self.ends - policy.window => {
                self.used = (self.used - amount).max(0.0);
            }
            Algorithm::TokenBucket if until > now - policy.limit * policy.step => {
                self.pour_back(policy, amount);
            }
            _ => {}
        }
    }

    /// Forgets what was taken until then.
    pub fn reset(&mut self, policy: &Policy, at: f64, now: f64) {
        match policy.algorithm {
            Algorithm::SlidingWindow => self.forget_until(at),
            Algorithm::Concurrency => {}
            _ => {
                let Self { id, .. } = *self;
                *self = Self { id, ..Self::default() };
            }
        }
        self.advance(policy, now);
    }

    /// How it stands, for whoever asks for so much. Each unit weighs as much as `weight` of the limit.
    pub fn standing(&self, policy: &Policy, cost: f64, weight: f64, now: f64) -> Standing {
        let limit = (policy.limit / weight).floor().max(1.0);
        let (free, next) = match policy.algorithm {
            Algorithm::TokenBucket => {
                let taken = self.level(now);
                let free = (policy.limit * policy.step - taken + SLACK) / policy.step;
                (free, if taken > 0.0 { taken % policy.step } else { 0.0 })
            }
            Algorithm::SlidingWindow => {
                let oldest = self.tail.first().map_or(self.time, |entry| entry.time);
                (policy.limit - self.used, oldest + policy.window - now)
            }
            Algorithm::FixedWindow => (policy.limit - self.used, self.ends - now),
            Algorithm::Concurrency => (policy.limit - self.used, self.first_end() - now),
        };
        let idle = self.ends <= now;
        let lacks = self.lacks(policy, cost * weight, now);
        let retry = if cost > policy.limit {
            f64::INFINITY
        } else if cost > limit {
            // More than the share of a process that is alone: others will be there again.
            policy.window
        } else if lacks <= 0.0 {
            0.0
        } else {
            self.wait(policy, lacks, now).max(1.0)
        };
        Standing {
            limit,
            remaining: (free / weight).floor().clamp(0.0, limit),
            reset: (self.ends - now).max(0.0),
            next: if idle { 0.0 } else { next.max(1.0) },
            retry,
        }
    }

    /// How much must come free before so much fits: units, of a bucket µs.
    fn lacks(&self, policy: &Policy, cost: f64, now: f64) -> f64 {
        match policy.algorithm {
            Algorithm::TokenBucket => {
                self.level(now) + cost * policy.step - policy.limit * policy.step - SLACK
            }
            _ => self.used + cost - policy.limit,
        }
    }

    /// The µs that a bucket needs to be whole again.
    fn level(&self, now: f64) -> f64 {
        (self.used - (now - self.time)).max(0.0)
    }

    fn pour_back(&mut self, policy: &Policy, amount: f64) {
        self.used = (self.used - amount * policy.step).max(0.0);
        if self.used > 0.0 {
            self.ends = self.time + self.used;
        } else {
            (self.time, self.ends) = (0.0, 0.0);
        }
    }

    /// When that much comes free.
    fn wait(&self, policy: &Policy, lacks: f64, now: f64) -> f64 {
        match policy.algorithm {
            Algorithm::TokenBucket => lacks,
            Algorithm::FixedWindow => self.ends - now,
            Algorithm::Concurrency => self.first_end() - now,
            Algorithm::SlidingWindow => {
                let mut freed = 0.0;
                for entry in &self.tail {
                    freed += entry.cost;
                    if freed >= lacks {
                        return entry.time + policy.window - now;
                    }
                }
                self.time + policy.window - now
            }
        }
    }

    fn first_end(&self) -> f64 {
        self.tail.iter().map(|slot| slot.time).fold(self.ends, f64::min)
    }

    fn count_slots(&mut self) {
        self.used = self.tail.iter().fold(0.0, |used, slot| used + slot.cost);
        self.ends = self.tail.iter().map(|slot| slot.time).fold(0.0, f64::max);
    }

    fn forget_until(&mut self, since: f64) {
        if self.time <= since {
            let Self { id, .. } = *self;
            *self = Self { id, ..Self::default() };
            return;
        }
        let over = self.tail.iter().take_while(|entry| entry.time <= since).count();
        for entry in self.tail.drain(..over) {
            self.used -= entry.cost;
        }
    }

    /// Puts an entry where it belongs.
    fn enter(&mut self, policy: &Policy, cost: f64, at: f64) {
        if self.cost == 0.0 {
            (self.time, self.cost) = (at, cost);
        } else if same_grain(self.time, at, policy.step) {
            self.time = self.time.max(at);
            self.cost += cost;
        } else if at >= self.time {
            self.tail.push(Entry { id: 0, time: self.time, cost: self.cost });
            (self.time, self.cost) = (at, cost);
        } else {
            let after = self.tail.iter().rposition(|entry| entry.time <= at).map_or(0, |at| at + 1);
            let grain = |entry: &Entry| same_grain(entry.time, at, policy.step);
            if let Some(entry) = self.tail.get_mut(after).filter(|entry| grain(entry)) {
                entry.cost += cost;
            } else if let Some(entry) = after
                .checked_sub(1)
                .and_then(|at| self.tail.get_mut(at))
                .filter(|entry| grain(entry))
            {
                (entry.time, entry.cost) = (at, entry.cost + cost);
            } else {
                self.tail.insert(after, Entry { id: 0, time: at, cost });
            }
        }
    }

    fn reduce(&mut self, at: usize, amount: f64) {
        let Some(entry) = self.tail.get_mut(at) else { return };
        let some = entry.cost.min(amount);
        entry.cost -= some;
        self.used -= some;
        if entry.cost <= 0.0 {
            self.tail.remove(at);
        }
    }

    fn reduce_newest(&mut self, amount: f64) {
        let some = self.cost.min(amount);
        self.cost -= some;
        self.used -= some;
        if self.cost <= 0.0 {
            let newest = self.tail.pop().unwrap_or_default();
            (self.time, self.cost) = (newest.time, newest.cost);
        }
    }
}

/// Whether two moments are put together; never where each stands for itself.
fn same_grain(one: f64, other: f64, step: f64) -> bool {
    let grain = |time: f64| time - floor_rest(time, step);
    step > 0.0 && grain(one) == grain(other)
}

/// As Lua has it.
fn floor_rest(time: f64, step: f64) -> f64 {
    time - (time / step).floor() * step
}

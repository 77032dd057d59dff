//! Rate limits: what a limiter is, what can be asked of it, and what it answers. Everything here is pure: time is
//! an argument, in microseconds of one clock.
//!
//! A limiter has one state for each key, in which all its policies stand beside each other; so several policies are
//! decided in one step. [`state`] says what acts do to it, [`part`] the algorithms, [`code`] how it is written
//! down: in Redis, where `scripts/rate.lua` does the same with the same bytes, and here as a copy.
pub mod code;
pub mod owed;
pub mod part;
pub mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

pub use owed::{Due, Owed};
pub use part::Part;
pub use state::{Outcome, State};

/// How a policy counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// No more than the limit in any span as long as the window. Up to [`EXACT`] each unit comes free exactly one
    /// window after it was taken; above, at most a [`GRAINS`]th of the window later, and never earlier.
    SlidingWindow,
    /// The generic cell rate algorithm: `limit` at once, and one more with each `window / limit`. Source: ITU-T
    /// I.371, annex A.
    TokenBucket,
    /// No more than the limit in a window, which begins with its first unit. In a span as long as the window it
    /// lets up to twice the limit through.
    FixedWindow,
    /// No more than the limit at the same time: slots that are given back, or end by themselves.
    Concurrency,
}

impl Algorithm {
    const ALL: [Self; 4] =
        [Self::SlidingWindow, Self::TokenBucket, Self::FixedWindow, Self::Concurrency];

    /// Its number wherever it is written down.
    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn of(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// Limits up to here are kept unit by unit.
pub const EXACT: f64 = 32.0;
/// Above, so many entries are kept for a window.
pub const GRAINS: f64 = 32.0;

/// What is answered for a server that doesn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What this process knows and counts, up to its share.
    Local,
    /// Yes.
    Open,
    /// That nobody can tell.
    Closed,
}

/// One rule of a limiter.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub name: String,
    /// By which its part of a state is known: what was counted otherwise is not its own.
    pub id: [u8; 4],
    pub algorithm: Algorithm,
    pub limit: f64,
    /// µs. Of slots: for how long one is held that nobody renews.
    pub window: f64,
    /// Of a sliding window: how far apart entries are, 0 = each for itself. Of a bucket: the time of one unit.
    pub step: f64,
    pub mode: Mode,
}

/// The policies that decide together.
#[derive(Clone, Debug, PartialEq)]
pub struct Limiter {
    pub policies: Vec<Policy>,
    /// Its family of keys, below that of all limits.
    pub name: String,
    /// µs after which nothing of a state counts any more.
    pub longest: f64,
    /// Refusals are known without asking again.
    pub denies: bool,
    /// For so long a process may take ahead what it is likely to need, µs; 0: never. What it takes is charged as if it
    /// were taken at the end of that time, so that no span ever holds more than the limit.
    pub lease: f64,
}

/// What each policy is charged.
#[derive(Clone, Debug, PartialEq)]
pub enum Costs {
    Same(f64),
    Each(Vec<f64>),
}

/// A right that ends by itself: a reservation, a slot, or both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hold {
    pub id: u64,
    /// µs.
    pub lasts: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// Takes the costs, of every policy or of none. `ahead`: up to so many times more are taken for this process' next
    /// takes, as long as much is left; see `Limiter::lease`.
    Take { costs: Costs, hold: Option<Hold>, ahead: u32 },
    /// Replaces what is held by what it came to; `None`: by nothing. Counts once for each id.
    Settle { id: u64, costs: Option<Costs> },
    /// Holds for longer.
    Renew(Hold),
    /// Gives back what was taken last.
    Refund(Costs),
    /// Gives back what was taken ahead and not needed; `time`: from when on it counted, on the server's clock.
    Return { costs: Costs, time: f64 },
    /// Forgets everything.
    Reset,
    /// Only looks.
    Peek,
}

/// One thing that is asked of a limiter for a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    pub verb: Verb,
    /// When it was asked, on the clock of this process.
    pub at: u64,
    /// Its place among the acts of this process; 0 = it has none yet. Sent twice it counts once.
    pub number: u64,
}

impl Policy {
    /// What a unit weighs where the limit is shared: a share is at least one.
    pub fn weight(&self, instances: f64) -> f64 {
        instances.min(self.limit).max(1.0)
    }
}

impl Costs {
    pub fn of(&self, at: usize, policy: &Policy) -> f64 {
        let cost = match self {
            Self::Same(cost) => *cost,
            Self::Each(costs) => costs.get(at).copied().unwrap_or(0.0),
        };
        // Nobody takes two slots at once.
        if policy.algorithm == Algorithm::Concurrency { cost.min(1.0) } else { cost }
    }
}

impl Verb {
    /// Whether it changes nothing for anybody but its limits: what is taken and not held.
    pub fn is_plain_take(&self) -> bool {
        matches!(self, Self::Take { hold: None, .. })
    }
}

/// What is taken ahead is at most this part of what is left.
pub const AHEAD_PART: f64 = 64.0;
/// Nothing is taken ahead for longer, µs,
const LONGEST_LEASE: f64 = 1e6;
/// nor where it would be for less.
const LEAST_LEASE: f64 = 10_000.0;

impl Limiter {
    pub fn new(name: String, policies: Vec<Policy>, denies: bool) -> Self {
        let longest = policies.iter().map(|policy| policy.window).fold(0.0, f64::max);
        // A unit of a large sliding window comes free up to a grain late anyway.
        let lease = policies.iter().map(|policy| match policy.algorithm {
            Algorithm::SlidingWindow => policy.step,
            Algorithm::FixedWindow if policy.limit > EXACT => policy.window / GRAINS,
            _ => 0.0,
        });
        let lease = lease.fold(LONGEST_LEASE, f64::min);
        let lease = if lease < LEAST_LEASE { 0.0 } else { lease };
        Self { policies, name, longest, denies, lease }
    }

    /// Whether a take could be allowed if nothing had been taken before.
    pub fn can_ever(&self, costs: &Costs) -> bool {
        let mut policies = self.policies.iter().enumerate();
        policies.all(|(at, policy)| costs.of(at, policy) <= policy.limit)
    }

    pub fn has_slots(&self) -> bool {
        self.policies.iter().any(|policy| policy.algorithm == Algorithm::Concurrency)
    }

    /// How a server that doesn't answer is stood in for: the strictest of its policies.
    pub fn is_closed(&self) -> bool {
        self.policies.iter().any(|policy| policy.mode == Mode::Closed)
    }
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Redis,
    /// This process: memory is all there is, or stands in for a server that doesn't answer.
    Local,
    /// This process, which knows that the server would refuse.
    DenyCache,
}

/// How one policy stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    pub limit: f64,
    pub remaining: f64,
    /// µs until everything is free again.
    pub reset: f64,
    /// µs until more is free than now; 0: all is.
    pub next: f64,
    /// µs until what was asked for fits; 0: it does. Infinite: never.
    pub retry: f64,
}

/// What an act answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub outcome: Outcome,
    pub source: Source,
    /// By which it is known what was taken and is held; 0: nothing is.
    pub id: u64,
    pub standings: Vec<Standing>,
}

impl Decision {
    /// So many takes more are charged already, and can be taken still.
    pub fn leave(&mut self, limiter: &Limiter, costs: &Costs, times: u32) {
        let policies = limiter.policies.iter().enumerate();
        for (standing, (at, policy)) in self.standings.iter_mut().zip(policies) {
            standing.remaining += f64::from(times) * costs.of(at, policy);
        }
    }

    /// Where nobody may stand in for a server that doesn't answer: yes, unless the limiter is to be closed then.
    pub fn without(limiter: &Limiter) -> Self {
        let outcome = if limiter.is_closed() { Outcome::Unavailable } else { Outcome::Done };
        let standings = limiter.policies.iter().map(|policy| {
            let remaining = if outcome == Outcome::Done { policy.limit } else { 0.0 };
            Standing { limit: policy.limit, remaining, reset: 0.0, next: 0.0, retry: 0.0 }
        });
        Self { outcome, source: Source::Local, id: 0, standings: standings.collect() }
    }
}

/// What the server said of an act.
#[derive(Clone, Debug)]
pub struct Told {
    pub key: Bytes,
    pub limiter: Arc<Limiter>,
    pub verb: Verb,
    pub seen: Seen,
    pub refused: bool,
    /// When it was asked, on the clock of this process.
    pub since: u64,
}

/// The key's state as it was seen last, and when: written down, since few copies are ever looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub state: Bytes,
    /// The server's clock at that moment.
    pub now: f64,
    /// How many times more was taken ahead.
    pub granted: u32,
}

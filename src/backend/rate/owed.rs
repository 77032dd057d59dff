//! Acts that wait for the server: what a key was charged while nobody answered.
use std::sync::Arc;

use super::{Act, Costs, EXACT, GRAINS, Limiter, Verb};
use crate::base::stamp::Stamp;

/// What an act costs in memory besides its costs.
const ACT: usize = 120;

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    pub act: Act,
    /// By which it is known when it is settled.
    pub stamp: Stamp,
    /// Whose it is.
    pub process: u64,
    /// It may have reached the server, so it stays as it is.
    pub sent: bool,
}

/// The acts of a key, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Owed {
    pub limiter: Arc<Limiter>,
    acts: Vec<Due>,
}

impl Owed {
    pub fn new(limiter: Arc<Limiter>, due: Due) -> Self {
        Self { limiter, acts: vec![due] }
    }

    pub fn acts(&self) -> &[Due] {
        &self.acts
    }

    /// Adds one behind the others. Plain takes that lie close together become one, so that a key that is charged
    /// for hours stays small: at most as much later than its own as a window's entries are apart anyway.
    pub fn push(&mut self, limiter: &Arc<Limiter>, due: Due) {
        if !Arc::ptr_eq(&self.limiter, limiter) {
            self.limiter = limiter.clone();
        }
        if let Some(last) = self.acts.last_mut()
            && !last.sent
            && !due.sent
            && last.process == due.process
            && let Verb::Take { costs: Costs::Same(before), hold: None, .. } = &mut last.act.verb
            && let Verb::Take { costs: Costs::Same(cost), hold: None, .. } = &due.act.verb
            && !limiter.has_slots()
            && grain(limiter).is_some_and(|grain| last.act.at / grain == due.act.at / grain)
        {
            *before += cost;
            (last.act.at, last.act.number, last.stamp) = (due.act.at, due.act.number, due.stamp);
            return;
        }
        self.acts.push(due);
    }

    /// Those that came after these stand behind them.
    pub fn append(&mut self, later: Self) {
        self.limiter = later.limiter;
        self.acts.extend(later.acts);
    }

    pub fn mark_sent(&mut self) {
        self.acts.iter_mut().for_each(|due| due.sent = true);
    }

    /// Lets go of those that are settled.
    pub fn forget(&mut self, settled: impl Fn(&Due) -> bool) {
        self.acts.retain(|due| !settled(due));
    }

    pub fn is_empty(&self) -> bool {
        self.acts.is_empty()
    }

    pub fn bytes(&self) -> usize {
        let costs = |due: &Due| match &due.act.verb {
            Verb::Take { costs: Costs::Each(costs), .. }
            | Verb::Settle { costs: Some(Costs::Each(costs)), .. }
            | Verb::Refund(Costs::Each(costs)) => costs.len() * 8,
            _ => 0,
        };
        self.acts.iter().map(|due| ACT + costs(due)).sum()
    }

    /// With other stamps, and on another process' clock.
    pub fn moved(mut self, stamp: &dyn Fn(Stamp) -> Stamp, at: &dyn Fn(u64) -> u64) -> Self {
        for due in &mut self.acts {
            due.stamp = stamp(due.stamp);
            due.act.at = at(due.act.at);
        }
        self
    }
}

/// µs that the entries of all windows are apart at least; `None` where each stands for itself.
fn grain(limiter: &Limiter) -> Option<u64> {
    let all = limiter.policies.iter();
    let least = all.map(|policy| if policy.limit > EXACT { policy.window / GRAINS } else { 0.0 });
    let least = least.fold(f64::INFINITY, f64::min);
    (least >= 1.0 && least.is_finite()).then_some(least as u64)
}

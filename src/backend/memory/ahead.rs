//! What was taken ahead of a limit for the next calls of a key, and who may spend it.
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use bytes::Bytes;

use crate::backend::Operation;
use crate::backend::rate::{Act, Algorithm, Costs, Limiter, State, Verb};

/// Where an environment counts what was lent to it: a cell for each key that has a seat there. Its own side takes units
/// out by itself, and this side takes back what is left, both atomically; so none is spent twice.
pub type Cells = Arc<[AtomicI32]>;

/// Units that have been charged already, for takes of these costs. What is left at the end goes back.
pub struct Block {
    pub key: Bytes,
    pub limiter: Arc<Limiter>,
    pub costs: Costs,
    pub left: u32,
    pub until: f64,
    /// From when on it counts, on the clock by which it was charged.
    time: f64,
    loan: Option<Loan>,
}

/// Units of a block that an environment spends by itself.
struct Loan {
    cells: Cells,
    cell: usize,
    count: u32,
}

impl Block {
    /// What `state` was charged ahead at `now` by its clock, which is `before` this process' own by so much.
    pub fn of(
        key: Bytes,
        limiter: Arc<Limiter>,
        costs: Costs,
        state: &State,
        (now, before): (f64, f64),
    ) -> Self {
        let policies = limiter.policies.iter();
        let fixed = |algorithm| algorithm == Algorithm::FixedWindow;
        let ends = state.parts.iter().zip(policies).filter(|(_, policy)| fixed(policy.algorithm));
        let ends = ends.map(|(part, _)| part.ends).fold(f64::INFINITY, f64::min);
        // What a window was charged is good in that window alone.
        let until = (now + limiter.lease).min(ends) - before;
        let slides = limiter.policies.iter().all(|one| one.algorithm == Algorithm::SlidingWindow);
        let time = if slides { now + limiter.lease } else { now };
        Self { key, limiter, costs, left: state.granted, until, time, loan: None }
    }

    /// Whether it may be spent on such a take.
    pub fn is_for(&self, limiter: &Limiter, costs: &Costs) -> bool {
        self.costs == *costs && self.limiter.policies == limiter.policies
    }

    /// Whether anything is left, here or where it was lent.
    pub fn holds_any(&self) -> bool {
        self.left > 0 || self.loan.as_ref().is_some_and(Loan::holds_any)
    }

    /// More of the same.
    pub fn join(&mut self, other: &Self) {
        self.left += other.left;
        self.until = self.until.min(other.until);
        self.time = self.time.min(other.time);
    }

    /// Lends all of it. Answers how many.
    pub fn lend(&mut self, cells: &Cells, cell: usize) -> u32 {
        self.recall();
        let count = std::mem::take(&mut self.left);
        if let Some(place) = cells.get(cell) {
            place.store(i32::try_from(count).unwrap_or(0), Ordering::Release);
        }
        self.loan = Some(Loan { cells: cells.clone(), cell, count });
        count
    }

    /// Takes back what is left of what was lent. Answers how many were spent of it.
    pub fn recall(&mut self) -> u32 {
        let Some(loan) = self.loan.take() else { return 0 };
        let left = loan.recall();
        self.left += left;
        loan.count.saturating_sub(left)
    }

    /// How what is left of it is given back.
    pub fn rest(mut self) -> Option<Verb> {
        self.recall();
        let times = f64::from(self.left);
        let costs = match self.costs {
            Costs::Same(cost) => Costs::Same(cost * times),
            Costs::Each(costs) => Costs::Each(costs.into_iter().map(|cost| cost * times).collect()),
        };
        (self.left > 0).then_some(Verb::Return { costs, time: self.time })
    }

    /// The same, for a server.
    pub fn rest_of(self, now: u64) -> Option<Operation> {
        let (key, limiter) = (self.key.clone(), self.limiter.clone());
        self.rest().map(|verb| Operation::Rate {
            key,
            limiter,
            act: Act { verb, at: now, number: 0 },
        })
    }
}

impl Loan {
    fn holds_any(&self) -> bool {
        self.cells.get(self.cell).is_some_and(|cell| cell.load(Ordering::Acquire) > 0)
    }

    fn recall(&self) -> u32 {
        let left = self.cells.get(self.cell).map_or(0, |cell| cell.swap(0, Ordering::AcqRel));
        u32::try_from(left).unwrap_or(0)
    }
}

/// Nobody spends of a block that is gone.
impl Drop for Loan {
    fn drop(&mut self) {
        self.recall();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::rate::{Mode, Policy};

    fn block(units: u32) -> Block {
        let (algorithm, mode) = (Algorithm::FixedWindow, Mode::Local);
        let (name, id) = ("one".to_owned(), *b"one ");
        let policy = Policy { name, id, algorithm, limit: 1e9, window: 1e9, step: 0.0, mode };
        let limiter = Arc::new(Limiter::new("one".to_owned(), vec![policy], true));
        let state = State { granted: units, ..State::default() };
        Block::of(Bytes::from_static(b"key"), limiter, Costs::Same(2.0), &state, (5e6, 1e6))
    }

    #[test]
    fn units_that_are_lent_and_taken_back_while_they_are_spent_are_spent_once() {
        const UNITS: u32 = 1_000_000;
        let cells: Cells = (0..2).map(|_| AtomicI32::new(0)).collect();
        let mut block = block(UNITS);
        let theirs = cells.clone();
        let spending = std::thread::spawn(move || {
            let mut spent = 0;
            // The cell's neighbour says that nothing comes any more.
            while theirs[1].load(Ordering::Acquire) == 0 {
                spent += u32::from(theirs[0].fetch_sub(1, Ordering::AcqRel) > 0);
            }
            spent
        });
        let (mut known, mut rounds) = (0, 0);
        // Until the other side has had its turns.
        while rounds < 2_000 || known == 0 {
            rounds += 1;
            block.lend(&cells, 0);
            std::thread::yield_now();
            known += block.recall();
        }
        cells[1].store(1, Ordering::Release);
        let spent = spending.join().unwrap();
        assert_eq!((known, block.left), (spent, UNITS - spent));
    }

    #[test]
    fn of_a_block_that_is_gone_nothing_is_left() {
        let cells: Cells = (0..1).map(|_| AtomicI32::new(0)).collect();
        let mut block = block(10);
        assert_eq!(block.lend(&cells, 0), 10);
        assert_eq!(cells[0].fetch_sub(1, Ordering::AcqRel), 10);
        drop(block);
        assert!(cells[0].load(Ordering::Acquire) <= 0);
    }

    #[test]
    fn the_rest_is_what_nobody_spent() {
        let cells: Cells = (0..1).map(|_| AtomicI32::new(0)).collect();
        let mut block = block(10);
        block.lend(&cells, 0);
        cells[0].fetch_sub(4, Ordering::AcqRel);
        let Some(Verb::Return { costs, time }) = block.rest() else { panic!("nothing is left") };
        assert_eq!((costs, time), (Costs::Same(12.0), 5e6));
    }
}

//! Keys of limiters that are asked again and again: named by a number, and answered in numbers, so that a decision of
//! this process costs one small call.
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use bytes::Bytes;

use super::Handle;
use super::operations::{decider, outcome};
use crate::backend::memory::ahead::Cells;
use crate::backend::rate::{Costs, Limiter, Outcome, Source, Standing};
use crate::base::error::Result;
use crate::resilience::fallback::Fallback;

/// Numbers for a decision about as many limits as a limiter may have.
const MOST_NUMBERS: usize = 3 + 5 * 16;
/// So many keys have a seat at once.
const MOST_SEATS: usize = 16_384;

/// Numbers as their bits.
type Told = Arc<[AtomicU64; MOST_NUMBERS]>;

#[derive(Default)]
pub struct Seats {
    seats: Vec<Option<Seat>>,
    told: Option<Told>,
    /// What is lent to each seat.
    cells: Option<Cells>,
}

struct Seat {
    handle: u32,
    backend: Arc<Fallback>,
    key: Bytes,
    limiter: Arc<Limiter>,
}

impl Seats {
    pub fn told(&mut self) -> Told {
        let fresh = || Arc::new([const { AtomicU64::new(0) }; MOST_NUMBERS]);
        self.told.get_or_insert_with(fresh).clone()
    }

    pub fn cells(&mut self) -> Cells {
        let fresh = || (0..MOST_SEATS).map(|_| AtomicI32::new(0)).collect();
        self.cells.get_or_insert_with(fresh).clone()
    }

    pub fn take(&mut self, handle: &Handle, limiter: u32, key: &str, seat: u32) -> Result<()> {
        self.told();
        self.cells();
        let (key, limiter) = handle.core.rates.key(limiter.into(), key)?;
        let at = seat as usize;
        if self.seats.len() <= at {
            self.seats.resize_with(at + 1, || None);
        }
        if let Some(place) = self.seats.get_mut(at) {
            let (handle, backend) = (handle.number, handle.core.backend.clone());
            place.take().inspect(Seat::recall);
            *place = Some(Seat { handle, backend, key, limiter });
        }
        Ok(())
    }

    pub fn spend(&mut self, seat: u32, cost: f64) -> i32 {
        let at = seat as usize;
        let (Some(Some(seat)), Some(told), Some(cells)) =
            (self.seats.get(at), &self.told, &self.cells)
        else {
            return -1;
        };
        let costs = Costs::Same(cost);
        let Some((decision, (count, lasts))) =
            seat.backend.decide_now(&seat.key, &seat.limiter, costs, (cells, at))
        else {
            return -1;
        };
        let mut places = told.iter();
        let mut put = |number: f64| {
            if let Some(place) = places.next() {
                place.store(number.to_bits(), Ordering::Relaxed);
            }
        };
        put(f64::from(match decision.source {
            Source::Redis => decider::REDIS,
            Source::Local => decider::LOCAL,
            Source::DenyCache => decider::DENY_CACHE,
        }));
        put(f64::from(count));
        put(lasts / 1000.0);
        let ms = |micros: f64| (micros / 1000.0).ceil();
        for Standing { limit, remaining, reset, next, retry } in decision.standings {
            [limit, remaining, ms(reset), ms(next), ms(retry)].into_iter().for_each(&mut put);
        }
        (match decision.outcome {
            Outcome::Done => outcome::DONE,
            Outcome::Refused => outcome::REFUSED,
            Outcome::Known => outcome::KNOWN,
            Outcome::Unavailable => outcome::UNAVAILABLE,
        }) as i32
    }

    /// The instance is closed.
    pub fn leave(&mut self, handle: &Handle) {
        for seat in &mut self.seats {
            seat.take_if(|seat| seat.handle == handle.number).inspect(Seat::recall);
        }
    }

    pub fn clear(&mut self) {
        self.seats.drain(..).flatten().for_each(|seat| seat.recall());
    }
}

impl Seat {
    /// What was lent goes to nobody who comes behind.
    fn recall(&self) {
        self.backend.recall(&self.key);
    }
}

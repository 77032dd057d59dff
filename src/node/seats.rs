//! Keys of limiters that are asked again and again: named by a number, and answered in numbers, so that a decision of
//! this process costs one small call.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::Handle;
use super::operations::{decider, outcome};
use crate::backend::rate::{Costs, Limiter, Outcome, Source, Standing, Verb};
use crate::base::error::Result;
use crate::resilience::fallback::Fallback;

/// Numbers for a decision about as many limits as a limiter may have.
const MOST_NUMBERS: usize = 1 + 5 * 16;

/// Numbers as their bits.
type Told = Arc<[AtomicU64; MOST_NUMBERS]>;

#[derive(Default)]
pub struct Seats {
    seats: Vec<Option<Seat>>,
    told: Option<Told>,
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

    pub fn take(&mut self, handle: &Handle, limiter: u32, key: &str, seat: u32) -> Result<()> {
        self.told();
        let (key, limiter) = handle.core.rates.key(limiter.into(), key)?;
        let at = seat as usize;
        if self.seats.len() <= at {
            self.seats.resize_with(at + 1, || None);
        }
        if let Some(place) = self.seats.get_mut(at) {
            let (handle, backend) = (handle.number, handle.core.backend.clone());
            *place = Some(Seat { handle, backend, key, limiter });
        }
        Ok(())
    }

    pub fn spend(&mut self, seat: u32, cost: f64) -> i32 {
        let (Some(Some(seat)), Some(told)) = (self.seats.get(seat as usize), &self.told) else {
            return -1;
        };
        let verb = Verb::Take { costs: Costs::Same(cost), hold: None, ahead: 0 };
        let Some(decision) = seat.backend.decide_now(&seat.key, &seat.limiter, &verb) else {
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
            seat.take_if(|seat| seat.handle == handle.number);
        }
    }

    pub fn clear(&mut self) {
        self.seats.clear();
    }
}

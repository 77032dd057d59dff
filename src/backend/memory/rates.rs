//! The limits of this process: what memory itself decides, and what is known of the server's states, for the time
//! when it doesn't answer and for those whom it refuses.
//!
//! Bounded by bytes, however many keys come: what counts nothing any more goes first, then what is only a copy, then
//! what is furthest from its limit. So a flood of new keys does not free whoever is refused.
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;

use crate::backend::rate::state::How;
use crate::backend::rate::{
    Act, Decision, Limiter, Outcome, Seen, Source, State, Verb,
};

/// How many are looked at to find one that may go.
const SAMPLE: usize = 8;
/// What a state costs beside its parts, where both tables have just doubled.
const SEAT: usize = 2 * size_of::<Seat>() + 2 * 33 + size_of::<State>() + 16;

/// A key, hashed with a secret of this process: 128 bits, whatever its length.
type Name = [u64; 2];

struct Seat {
    name: Name,
    body: Body,
    bytes: usize,
    /// When nothing counts any more, µs.
    ends: f64,
    /// How much of the limit is taken; of a copy only when the server refused.
    taken: f64,
}

enum Body {
    /// As the server told it, with how far its clock is ahead of this one.
    Copy(Bytes, f64),
    /// As this process goes on with it.
    Own(Box<State>),
}

pub struct Rates {
    hashers: [RandomState; 2],
    places: HashMap<Name, usize>,
    seats: Vec<Seat>,
    bytes: usize,
    limit: usize,
    /// Among so many processes every limit is shared while each is alone.
    instances: f64,
    /// Where the search for one that may go goes on.
    hand: usize,
    evicted: u64,
}

impl Rates {
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            hashers: [RandomState::new(), RandomState::new()],
            places: HashMap::new(),
            seats: Vec::new(),
            bytes: 0,
            limit: limit_bytes,
            instances: 1.0,
            hand: 0,
            evicted: 0,
        }
    }

    /// Every limit is shared among so many processes.
    pub fn share_among(&mut self, instances: u32) {
        self.instances = f64::from(instances.max(1));
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn len(&self) -> usize {
        self.seats.len()
    }

    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// States that were given up for room although they counted something.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Decides here. `alone`: for a server that doesn't answer.
    pub fn apply(
        &mut self,
        key: &[u8],
        limiter: &Limiter,
        act: &Act,
        now: u64,
        alone: bool,
    ) -> Decision {
        let now = now as f64;
        let name = self.name(key);
        let at = match self.places.get(&name) {
            Some(&at) => at,
            None => self.add(name, Body::Own(Box::default()), now),
        };
        // Shares of a limit that is smaller than their number: one each.
        let least = limiter.policies.iter().map(|policy| policy.limit).fold(f64::INFINITY, f64::min);
        let weight = self.instances.min(least).max(1.0);
        let Some(seat) = self.seats.get_mut(at) else { return Self::nothing() };
        let Some(state) = seat.own(limiter) else { return Self::nothing() };
        // Of what the server holds this process may know nothing.
        let forced = alone && matches!(act.verb, Verb::Renew(_));
        let how = How { now, forced, at: now, weight, alone };
        let outcome = state.apply(limiter, act, how);
        let outcome = if forced { Outcome::Done } else { outcome };
        let decision = state.decision(limiter, &act.verb, outcome, Source::Local, (now, weight));
        let bytes = SEAT + state.bytes();
        seat.ends = state.ends();
        let left = decision.standings.iter().map(|one| one.remaining / one.limit);
        seat.taken = 1.0 - left.fold(1.0, f64::min);
        let before = std::mem::replace(&mut seat.bytes, bytes);
        self.bytes = self.bytes + bytes - before;
        if seat.ends <= now {
            self.remove(at);
        }
        self.make_room(now);
        decision
    }

    /// Keeps what the server said. `since`: when it was asked.
    pub fn learn(&mut self, key: &[u8], seen: &Seen, refused: bool, since: u64) {
        let now = since as f64;
        let name = self.name(key);
        let body = Body::Copy(seen.state.clone(), seen.now - now);
        let at = match self.places.get(&name) {
            Some(&at) => at,
            None => self.add(name, Body::Own(Box::default()), now),
        };
        if let Some(seat) = self.seats.get_mut(at) {
            seat.body = body;
            let bytes = SEAT + seen.state.len();
            let before = std::mem::replace(&mut seat.bytes, bytes);
            seat.taken = if refused { 1.0 } else { 0.0 };
            seat.ends = f64::INFINITY;
            self.bytes = self.bytes + bytes - before;
        }
        self.make_room(now);
    }

    /// The refusal that the server would give, if that is certain.
    pub fn refusal(
        &mut self,
        key: &[u8],
        limiter: &Limiter,
        verb: &Verb,
        now: u64,
    ) -> Option<Decision> {
        let Verb::Take { costs, hold: None } = verb else { return None };
        let seat = self.seats.get(*self.places.get(&self.name(key))?)?;
        let Body::Copy(state, ahead) = &seat.body else { return None };
        if seat.taken < 1.0 {
            return None;
        }
        let now = now as f64 + ahead;
        let mut state = State::decode(limiter, state)?;
        state.advance(limiter, now);
        if !state.denies(limiter, costs, now) {
            return None;
        }
        Some(state.decision(limiter, verb, Outcome::Refused, Source::DenyCache, (now, 1.0)))
    }

    /// What is known of a key is not to be trusted any more.
    pub fn forget(&mut self, key: &[u8]) {
        if let Some(&at) = self.places.get(&self.name(key)) {
            self.remove(at);
        }
    }

    /// The server answers again: it knows better.
    pub fn clear(&mut self) {
        self.places = HashMap::new();
        self.seats = Vec::new();
        self.bytes = 0;
    }

    /// Lets go of what counts nothing any more, a bounded step at a time; answers how many were looked at.
    pub fn sweep(&mut self, now: u64, most: usize) -> usize {
        let now = now as f64;
        let count = most.min(self.seats.len());
        for _ in 0..count {
            self.hand = if self.hand == 0 { self.seats.len() } else { self.hand }.saturating_sub(1);
            if self.seats.get(self.hand).is_some_and(|seat| seat.is_over(now)) {
                self.remove(self.hand);
            }
        }
        count
    }

    fn nothing() -> Decision {
        let (outcome, source) = (Outcome::Unavailable, Source::Local);
        Decision { outcome, source, id: 0, standings: Vec::new() }
    }

    fn name(&self, key: &[u8]) -> Name {
        self.hashers.each_ref().map(|hasher| hasher.hash_one(key))
    }

    fn add(&mut self, name: Name, body: Body, now: f64) -> usize {
        let at = self.seats.len();
        self.seats.push(Seat { name, body, bytes: SEAT, ends: now, taken: 0.0 });
        self.places.insert(name, at);
        self.bytes += SEAT;
        at
    }

    fn remove(&mut self, at: usize) {
        if at >= self.seats.len() {
            return;
        }
        let seat = self.seats.swap_remove(at);
        self.bytes -= seat.bytes;
        self.places.remove(&seat.name);
        if let Some(moved) = self.seats.get(at) {
            self.places.insert(moved.name, at);
        }
    }

    fn make_room(&mut self, now: f64) {
        while self.bytes > self.limit && !self.seats.is_empty() {
            let count = self.seats.len();
            let worth = |seat: &Seat| if seat.is_over(now) { -1.0 } else { seat.taken };
            let mut worst = (f64::INFINITY, 0);
            for _ in 0..SAMPLE {
                self.hand = (self.hand + 1) % count;
                if let Some(seat) = self.seats.get(self.hand)
                    && worth(seat) < worst.0
                {
                    worst = (worth(seat), self.hand);
                }
            }
            self.evicted += u64::from(worst.0 > 0.0);
            self.remove(worst.1);
        }
    }
}

impl Seat {
    /// The state, which this process goes on with from now on.
    fn own(&mut self, limiter: &Limiter) -> Option<&mut State> {
        if let Body::Copy(stored, ahead) = &self.body {
            let mut state = State::decode(limiter, stored).unwrap_or_default();
            state.shift(-ahead);
            self.body = Body::Own(Box::new(state));
        }
        match &mut self.body {
            Body::Own(state) => Some(state),
            Body::Copy(..) => None,
        }
    }

    fn is_over(&self, now: f64) -> bool {
        self.ends <= now
    }
}


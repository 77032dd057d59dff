//! The limits of this process: what memory itself decides, and what is known of the server's states, for the time
//! when it doesn't answer and for those whom it refuses.
//!
//! Bounded by bytes, however many keys come: what counts nothing any more goes first, then what is only a copy, then
//! what is furthest from its limit. So a flood of new keys does not free whoever is refused.
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use std::sync::Arc;

use bytes::Bytes;

use crate::backend::Operation;
use crate::backend::rate::state::How;
use crate::backend::rate::{Costs, Decision, Limiter, Outcome, Seen, Source, State, Told, Verb};

use super::ahead::{Block, Cells};

/// How many are looked at to find one that may go.
const SAMPLE: usize = 8;
/// Who asked for more ahead is waited for so long, µs.
const LONGEST_ASK: f64 = 1e6;
/// No more is taken ahead at once.
const MOST_AHEAD: u32 = 4_096;
/// Where memory is all there is, no less is.
const LEAST_HERE: u32 = 256;
/// What a state costs beside its parts, where both tables have just doubled.
const SEAT: usize = 2 * size_of::<Seat>() + 2 * 33 + size_of::<State>() + 16;

/// What is taken ahead for a key, and its place among those that end.
const BLOCK: usize = size_of::<Block>() + 2 * size_of::<(f64, Name)>() + 16;

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
    /// What was taken ahead.
    block: Option<Box<Block>>,
    /// How often it was asked for since when, in µs, and in the span before.
    recent: u32,
    before: u32,
    since: f64,
    /// Until then somebody has asked for more ahead, and waits for the answer.
    asks_until: f64,
    /// When it was refused first; long ago: it was refused again, when others had given back what they did not need.
    refused_at: f64,
}

/// What becomes of a take while the server is well.
pub enum Spent {
    /// It is decided.
    Decision(Box<Decision>),
    /// The server decides; so much more may be taken ahead.
    Ask { ahead: u32 },
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
    /// Until when which blocks are good, the first to end first.
    blocks: VecDeque<(f64, Name)>,
    /// What is to be given back.
    unused: Vec<Operation>,
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
            blocks: VecDeque::new(),
            unused: Vec::new(),
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

    /// Decides here. `alone`: for a server that doesn't answer.
    pub fn apply(
        &mut self,
        key: &[u8],
        limiter: &Limiter,
        verb: &Verb,
        now: u64,
        alone: bool,
    ) -> Decision {
        let now = now as f64;
        let name = self.name(key);
        let at = match self.places.get(&name) {
            Some(&at) => at,
            None => self.add(name, Body::Own(Box::default()), now),
        };
        let instances = self.instances;
        let Some(seat) = self.seats.get_mut(at) else { return Self::nothing() };
        // Of what the server holds this process may know nothing.
        let forced = alone && matches!(verb, Verb::Renew(_));
        let how = How { now, forced, at: now, instances, alone };
        // What was taken ahead comes back before anything is decided.
        if let Some(mut block) = (!alone).then(|| seat.block.take()).flatten() {
            seat.recent += block.recall();
            let (limiter, rest) = (block.limiter.clone(), block.rest());
            if let (Some(rest), Some(state)) = (rest, seat.own(&limiter)) {
                state.apply(&limiter, &rest, how);
            }
        }
        let Some(state) = seat.own(limiter) else { return Self::nothing() };
        let outcome = state.apply(limiter, verb, how);
        let outcome = if forced { Outcome::Done } else { outcome };
        let decision = state.decision(limiter, verb, outcome, Source::Local, (now, instances));
        seat.ends = state.ends();
        let left = decision.standings.iter().map(|one| one.remaining / one.limit);
        seat.taken = 1.0 - left.fold(1.0, f64::min);
        if seat.ends <= now {
            self.remove(at);
        } else {
            self.weigh(at);
        }
        self.make_room(now);
        decision
    }

    /// Keeps what the server said of an act. `since`: when it was asked.
    pub fn learn(&mut self, told: Told, now: u64) {
        let Told { key, limiter, verb, seen, refused, since } = told;
        let key = &key;
        self.take_block(key, limiter.clone(), &verb, &seen, since, now);
        let now = since as f64;
        let name = self.name(key);
        let body = Body::Copy(seen.state.clone(), seen.now - now);
        let at = match self.places.get(&name) {
            Some(&at) => at,
            None => self.add(name, Body::Own(Box::default()), now),
        };
        if let Some(seat) = self.seats.get_mut(at) {
            seat.body = body;
            // Only looking says nothing of what would be refused.
            if refused {
                if seat.taken < 1.0 {
                    seat.refused_at = now;
                } else if now - seat.refused_at >= limiter.lease {
                    seat.refused_at = f64::NEG_INFINITY;
                }
                seat.taken = 1.0;
            } else if verb != Verb::Peek {
                seat.taken = 0.0;
            }
            // Longer it says nothing.
            seat.ends = now + limiter.longest + limiter.lease;
        }
        self.weigh(at);
        self.make_room(now);
    }

    /// Decides a plain take while the server is well, where what is known of it is enough: it was charged ahead, or
    /// the server would certainly refuse.
    pub fn spend(&mut self, key: &[u8], limiter: &Limiter, verb: &Verb, now: u64) -> Spent {
        if let Some(decision) = self.at_hand(key, limiter, verb, now) {
            return Spent::Decision(decision);
        }
        let mut ahead = 0;
        if let Some(seat) = self.seat_mut(key) {
            let likely = seat.likely(limiter, now as f64);
            // One asks for all.
            if likely > 0 && now as f64 >= seat.asks_until {
                seat.asks_until = now as f64 + LONGEST_ASK;
                ahead = likely;
            }
        }
        Spent::Ask { ahead }
    }

    /// Decides a plain take where memory is all there is, and takes ahead what the key is likely to need.
    pub fn take_here(
        &mut self,
        key: &Bytes,
        limiter: &Arc<Limiter>,
        costs: &Costs,
        now: u64,
    ) -> Decision {
        let shared = self.instances > 1.0;
        let ahead = match self.seat_mut(key) {
            Some(seat) if !shared => {
                let spent = seat.block.as_deref_mut().map_or(0, Block::recall);
                seat.recent += spent;
                match seat.likely(limiter, now as f64) {
                    0 => 0,
                    // Here it costs nothing to take too many: they come back before anybody misses them.
                    likely => likely.max(LEAST_HERE),
                }
            }
            _ => 0,
        };
        let verb = Verb::Take { costs: costs.clone(), hold: None, ahead };
        let mut decision = self.apply(key, limiter, &verb, now, false);
        if ahead > 0
            && let Some(seat) = self.seat_mut(key)
            && let Body::Own(state) = &seat.body
        {
            let granted = state.granted;
            if granted > 0 {
                let (key, clocks) = (key.clone(), (now as f64, 0.0));
                let block = Block::of(key, limiter.clone(), costs.clone(), state, clocks);
                seat.block = Some(Box::new(block));
                decision.leave(limiter, costs, granted);
            }
            seat.was_granted(granted);
            let at = self.places.get(&self.name(key)).copied();
            at.into_iter().for_each(|at| self.weigh(at));
        }
        decision
    }

    /// Lends what was taken ahead for a key to an environment. Answers how many, and for how long, µs.
    pub fn lend(&mut self, key: &[u8], (cells, cell): (&Cells, usize), now: u64) -> (u32, f64) {
        let block = self.seat_mut(key).and_then(|seat| seat.block.as_deref_mut());
        match block.filter(|block| block.left > 0 && block.until > now as f64) {
            Some(block) => (block.lend(cells, cell), block.until - now as f64),
            None => (0, 0.0),
        }
    }

    /// Takes back what was lent of a key.
    pub fn recall(&mut self, key: &[u8]) {
        if let Some(seat) = self.seat_mut(key) {
            seat.recent += seat.block.as_deref_mut().map_or(0, Block::recall);
        }
    }

    /// The decision, where what is known is enough.
    pub fn at_hand(
        &mut self,
        key: &[u8],
        limiter: &Limiter,
        verb: &Verb,
        now: u64,
    ) -> Option<Box<Decision>> {
        let Verb::Take { costs, hold: None, .. } = verb else { return None };
        let seat = self.seat_mut(key)?;
        let now = now as f64;
        let Body::Copy(stored, ahead) = &seat.body else { return None };
        let there = now + ahead;
        let block = seat.block.as_deref_mut().filter(|block| block.is_for(limiter, costs));
        if let Some(block) = block {
            seat.recent += block.recall();
            if block.left > 0
                && now < block.until
                && let Some(mut state) = State::decode(limiter, stored)
            {
                block.left -= 1;
                seat.recent += 1;
                state.advance(limiter, there);
                let at = (there, 1.0);
                let source = Source::Redis;
                let mut decision = state.decision(limiter, verb, Outcome::Done, source, at);
                decision.leave(limiter, costs, block.left);
                return Some(Box::new(decision));
            }
        }
        // What others took ahead and don't need comes back by then: it is asked once more.
        let certain = limiter.lease == 0.0
            || now - seat.refused_at < limiter.lease
            || seat.refused_at == f64::NEG_INFINITY;
        if seat.taken >= 1.0
            && certain
            && limiter.denies
            && let Some(mut state) = State::decode(limiter, stored)
        {
            state.advance(limiter, there);
            if state.denies(limiter, costs, there) {
                let (outcome, source) = (Outcome::Refused, Source::DenyCache);
                let decision = state.decision(limiter, verb, outcome, source, (there, 1.0));
                return Some(Box::new(decision));
            }
        }
        None
    }

    /// What was taken ahead and is not needed any more, to be given back; and until when the next is good.
    pub fn unused(&mut self, now: u64) -> (Vec<Operation>, bool) {
        while let Some(&(until, name)) = self.blocks.front() {
            if until > now as f64 {
                break;
            }
            self.blocks.pop_front();
            let Some(&at) = self.places.get(&name) else { continue };
            let seat = self.seats.get_mut(at);
            let over = |block: &mut Box<Block>| block.until <= now as f64;
            if let Some(block) = seat.and_then(|seat| seat.block.take_if(over)) {
                self.unused.extend(block.rest_of(now));
                self.weigh(at);
            }
        }
        (std::mem::take(&mut self.unused), self.blocks.is_empty())
    }

    /// Everything that was taken ahead, to be given back.
    pub fn give_up_ahead(&mut self, now: u64) -> Vec<Operation> {
        self.blocks.clear();
        let blocks = self.seats.iter_mut().filter_map(|seat| seat.block.take());
        let rest = blocks.filter_map(|block| block.rest_of(now)).collect::<Vec<_>>();
        let mut all = std::mem::take(&mut self.unused);
        all.extend(rest);
        (0..self.seats.len()).for_each(|at| self.weigh(at));
        all
    }

    /// Whether anything is taken ahead.
    pub fn holds_ahead(&self) -> bool {
        !self.blocks.is_empty()
    }

    fn take_block(
        &mut self,
        key: &Bytes,
        limiter: Arc<Limiter>,
        verb: &Verb,
        seen: &Seen,
        since: u64,
        now: u64,
    ) {
        let granted = seen.granted;
        let Verb::Take { costs, ahead, .. } = verb else { return };
        let name = self.name(key);
        let Some(seat) = self.places.get(&name).and_then(|&at| self.seats.get_mut(at)) else {
            return;
        };
        if *ahead > 0 {
            seat.asks_until = 0.0;
            seat.was_granted(granted);
        }
        let Some(mut state) = State::decode(&limiter, &seen.state).filter(|_| granted > 0) else {
            return;
        };
        state.granted = granted;
        let clocks = (seen.now, seen.now - since as f64);
        let block = Block::of(key.clone(), limiter.clone(), costs.clone(), &state, clocks);
        let place = self.blocks.partition_point(|(until, _)| *until <= block.until);
        self.blocks.insert(place, (block.until, name));
        match seat.block.as_deref_mut() {
            // What is over is given back, and takes nothing new with it.
            Some(old)
                if old.until > now as f64 && old.is_for(&limiter, costs) && old.holds_any() =>
            {
                old.join(&block);
            }
            _ => {
                let old = seat.block.replace(Box::new(block));
                self.unused.extend(old.and_then(|old| old.rest_of(now)));
            }
        }
    }

    /// What is known of a key is not to be trusted any more; `all`: nor is what was taken ahead.
    pub fn forget(&mut self, key: &[u8], all: bool) {
        if let Some(&at) = self.places.get(&self.name(key)) {
            // What is left of it is given back when its time is over.
            if let Some(seat) = self.seats.get_mut(at).filter(|seat| !all && seat.block.is_some()) {
                seat.taken = 0.0;
                return;
            }
            self.remove(at);
        }
    }

    /// The server answers again, and decides. What this process counted stays until the server says what it counts:
    /// it may go away again before that.
    pub fn forget_ahead(&mut self) {
        self.seats.iter_mut().for_each(|seat| seat.block = None);
        (0..self.seats.len()).for_each(|at| self.weigh(at));
        self.blocks = VecDeque::new();
        self.unused = Vec::new();
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

    fn seat_mut(&mut self, key: &[u8]) -> Option<&mut Seat> {
        self.places.get(&self.name(key)).and_then(|&at| self.seats.get_mut(at))
    }

    fn name(&self, key: &[u8]) -> Name {
        self.hashers.each_ref().map(|hasher| hasher.hash_one(key))
    }

    fn add(&mut self, name: Name, body: Body, now: f64) -> usize {
        let at = self.seats.len();
        self.seats.push(Seat {
            name,
            body,
            bytes: SEAT,
            ends: now,
            taken: 0.0,
            block: None,
            recent: 0,
            before: 0,
            since: now,
            asks_until: 0.0,
            refused_at: 0.0,
        });
        self.places.insert(name, at);
        self.bytes += SEAT;
        at
    }

    /// Notes what it takes now.
    fn weigh(&mut self, at: usize) {
        let Some(seat) = self.seats.get_mut(at) else { return };
        let body = match &seat.body {
            Body::Copy(stored, _) => stored.len(),
            Body::Own(state) => state.bytes(),
        };
        let bytes = SEAT + body + seat.block.as_ref().map_or(0, |_| BLOCK);
        let before = std::mem::replace(&mut seat.bytes, bytes);
        self.bytes = self.bytes + bytes - before;
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

    /// How often it is likely to be asked for in the time of a lease: as often as in the last one.
    fn likely(&mut self, limiter: &Limiter, now: f64) -> u32 {
        if limiter.lease <= 0.0 {
            return 0;
        }
        let passed = now - self.since;
        if passed >= limiter.lease {
            self.before = if passed < 2.0 * limiter.lease { self.recent } else { 0 };
            (self.recent, self.since) = (0, now);
        }
        self.recent += 1;
        let likely = self.before.max(self.recent);
        if likely < 3 { 0 } else { likely.min(MOST_AHEAD) }
    }

    /// Where nothing is granted little is left: it is not asked again so soon.
    fn was_granted(&mut self, granted: u32) {
        if granted == 0 {
            (self.recent, self.before) = (0, 0);
        }
    }

    fn is_over(&self, now: f64) -> bool {
        self.ends <= now
    }
}

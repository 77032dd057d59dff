//! The state of one key: every policy's part, what is reserved, and what each process did last.
use super::part::Part;
use super::{AHEAD_PART, Algorithm, Costs, Decision, Hold, Limiter, Mode, Policy, Source, Verb};

/// For how long it is known that a reservation was settled, µs.
const KNOWN: f64 = 600e6;
/// Of so many at most; the oldest is forgotten first.
pub const MOST_SETTLED: usize = 256;
/// Of so many processes besides the last it is known what they did.
pub const MOST_MARKS: usize = 7;

/// What an act came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Refused,
    /// It was done before, or there is nothing left to do.
    Known,
    /// Nobody can tell: no server answers, and the limiter is to be closed then.
    Unavailable,
}

/// A reservation: open, or settled and remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct Reserved {
    pub id: u64,
    pub expires: f64,
    /// When it was taken, and how much of each policy; settled ones have none.
    pub time: f64,
    pub amounts: Vec<([u8; 4], f64)>,
    pub settled: bool,
    /// Taken by a process that was alone, so that its units weigh more; never written down.
    pub alone: bool,
}

/// The last act of a process that was carried out here.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mark {
    pub process: f64,
    pub number: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// When the server forgets it, on its clock; 0: it does not have it.
    pub dies: f64,
    pub parts: Vec<Part>,
    pub reserved: Vec<Reserved>,
    pub last: Mark,
    pub others: Vec<Mark>,
    /// How many times more the last take took ahead.
    pub granted: u32,
}

/// How an act is carried out.
#[derive(Clone, Copy, Debug)]
pub struct How {
    pub now: f64,
    /// It happened already, at its own time: nothing is refused.
    pub forced: bool,
    /// When it happened.
    pub at: f64,
    /// Among so many processes every limit is shared: each unit weighs so much more.
    pub instances: f64,
    /// Policies that let everything through while no server answers do so.
    pub alone: bool,
}

impl How {
    /// When it counts: what was taken ahead may stand in the time to come.
    fn at_of(&self, policy: &Policy, part: &Part) -> f64 {
        match policy.algorithm {
            Algorithm::SlidingWindow if !self.forced => self.at.max(part.time),
            _ => self.at,
        }
    }
}

impl State {
    /// Brings the parts into the limiter's order and lets go of what is over.
    pub fn advance(&mut self, limiter: &Limiter, now: f64) {
        let ordered = self.parts.len() == limiter.policies.len()
            && self.parts.iter().zip(&limiter.policies).all(|(part, policy)| part.id == policy.id);
        if !ordered {
            let mut old = std::mem::take(&mut self.parts);
            for policy in &limiter.policies {
                let known = old.iter().position(|part| part.id == policy.id);
                self.parts.push(known.map_or_else(|| Part::of(policy), |at| old.remove(at)));
            }
            // Of another version of the limiter, which may be in use still.
            self.parts.extend(old.into_iter().filter(|part| part.ends > now));
        }
        let mut at = 0;
        while let Some(reserved) = self.reserved.get(at) {
            if reserved.expires > now {
                at += 1;
                continue;
            }
            let over = self.reserved.remove(at);
            for (id, amount) in over.amounts {
                self.give_back(limiter, id, amount, over.time);
            }
        }
        for (part, policy) in self.parts.iter_mut().zip(&limiter.policies) {
            part.advance(policy, now);
        }
    }

    /// Carries an act out. Refused, it leaves everything as it was.
    pub fn apply(&mut self, limiter: &Limiter, verb: &Verb, how: How) -> Outcome {
        self.advance(limiter, how.now);
        self.granted = 0;
        match verb {
            Verb::Peek => Outcome::Done,
            Verb::Take { costs, hold, ahead } => {
                let outcome = self.take(limiter, costs, *hold, how);
                if outcome == Outcome::Done && *ahead > 0 && !how.forced {
                    self.granted = self.take_ahead(limiter, costs, *ahead, how);
                }
                outcome
            }
            Verb::Settle { id, costs } => self.settle(limiter, *id, costs.as_ref(), how),
            Verb::Renew(hold) => self.renew(limiter, *hold, how),
            Verb::Return { costs, time } => {
                for (at, (part, policy)) in self.parts.iter_mut().zip(&limiter.policies).enumerate()
                {
                    part.give_back(policy, costs.of(at, policy), *time);
                    part.advance(policy, how.now);
                }
                Outcome::Done
            }
            Verb::Refund(costs) => {
                // What was taken ahead stands in the time to come.
                let until = if how.forced { how.at } else { f64::INFINITY };
                for (at, (part, policy)) in self.parts.iter_mut().zip(&limiter.policies).enumerate()
                {
                    let amount = costs.of(at, policy) * policy.weight(how.instances);
                    part.refund(policy, amount, until, how.now);
                }
                Outcome::Done
            }
            Verb::Reset => {
                self.reserved.retain(|reserved| reserved.settled);
                for (part, policy) in self.parts.iter_mut().zip(&limiter.policies) {
                    let until = if how.forced { how.at } else { f64::INFINITY };
                    part.reset(policy, until, how.now);
                }
                Outcome::Done
            }
        }
    }

    /// Whether this process' act of that number was carried out here already.
    pub fn knows(&self, process: f64, number: f64) -> bool {
        let mut marks = std::iter::once(&self.last).chain(&self.others);
        marks.any(|mark| mark.process == process && mark.number >= number)
    }

    /// Notes that it was.
    pub fn note(&mut self, process: f64, number: f64) {
        if self.last.process == process {
            self.last.number = self.last.number.max(number);
            return;
        }
        let mut number = number;
        self.others.retain(|mark| {
            let own = mark.process == process;
            number = if own { number.max(mark.number) } else { number };
            !own
        });
        let before = std::mem::replace(&mut self.last, Mark { process, number });
        if before.process > 0.0 {
            self.others.insert(0, before);
            self.others.truncate(MOST_MARKS);
        }
    }

    /// Whether a plain take would be refused as long as nobody gives anything back. Never says so where others may.
    pub fn denies(&self, limiter: &Limiter, costs: &Costs, now: f64) -> bool {
        let open = self.reserved.iter().any(|reserved| !reserved.settled);
        !open
            && limiter.policies.iter().zip(&self.parts).enumerate().any(|(at, (policy, part))| {
                policy.algorithm != Algorithm::Concurrency
                    && !part.fits(policy, costs.of(at, policy), now)
            })
    }

    /// What is answered. Call after `apply` or `advance`.
    pub fn decision(
        &self,
        limiter: &Limiter,
        verb: &Verb,
        outcome: Outcome,
        source: Source,
        (now, instances): (f64, f64),
    ) -> Decision {
        let costs = match verb {
            Verb::Take { costs, .. } if outcome == Outcome::Refused => costs,
            _ => &Costs::Same(0.0),
        };
        let policies = limiter.policies.iter().zip(&self.parts).enumerate();
        let standings = policies
            .map(|(at, (policy, part))| {
                part.standing(policy, costs.of(at, policy), policy.weight(instances), now)
            })
            .collect();
        let id = match verb {
            Verb::Take { hold: Some(hold), .. } if outcome == Outcome::Done => hold.id,
            _ => 0,
        };
        Decision { outcome, source, id, standings }
    }

    /// On another clock.
    pub fn shift(&mut self, by: f64) {
        let move_on = |time: &mut f64| {
            if *time > 0.0 {
                *time += by;
            }
        };
        move_on(&mut self.dies);
        for part in &mut self.parts {
            move_on(&mut part.time);
            move_on(&mut part.ends);
            part.tail.iter_mut().for_each(|entry| move_on(&mut entry.time));
        }
        for reserved in &mut self.reserved {
            move_on(&mut reserved.expires);
            move_on(&mut reserved.time);
        }
    }

    /// When nothing counts any more.
    pub fn ends(&self) -> f64 {
        let parts = self.parts.iter().map(|part| part.ends);
        parts.chain(self.reserved.iter().map(|one| one.expires)).fold(0.0, f64::max)
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        let tails: usize = self.parts.iter().map(|part| part.tail.capacity()).sum();
        let amounts: usize = self.reserved.iter().map(|one| one.amounts.capacity()).sum();
        self.parts.capacity() * size_of::<Part>()
            + tails * size_of::<super::part::Entry>()
            + self.reserved.capacity() * size_of::<Reserved>()
            + amounts * 16
            + self.others.capacity() * size_of::<Mark>()
    }

    fn take(&mut self, limiter: &Limiter, costs: &Costs, hold: Option<Hold>, how: How) -> Outcome {
        if hold.is_some_and(|hold| self.reserved.iter().any(|other| other.id == hold.id)) {
            return Outcome::Known;
        }
        let policies = || limiter.policies.iter().enumerate();
        let weighs = |at: usize| {
            let policy = &limiter.policies[at];
            costs.of(at, policy) * policy.weight(how.instances)
        };
        let open = |mode: Mode| how.alone && mode == Mode::Open;
        let mut each = self.parts.iter().zip(policies());
        let fits = how.forced
            || each.all(|(part, (at, policy))| {
                open(policy.mode) || part.fits(policy, weighs(at), how.now)
            });
        if !fits {
            return Outcome::Refused;
        }
        let mut amounts = Vec::new();
        for (part, (at, policy)) in self.parts.iter_mut().zip(policies()) {
            let cost = weighs(at);
            if cost <= 0.0 {
                continue;
            }
            if policy.algorithm != Algorithm::Concurrency {
                part.add(policy, cost, how.at_of(policy, part), how.now);
                amounts.push((policy.id, cost));
            } else if let Some(hold) = hold.filter(|hold| how.at + hold.lasts > how.now) {
                part.hold_slot(hold.id, how.at + hold.lasts, cost);
            }
        }
        if let Some(Hold { id, lasts }) = hold
            && !amounts.is_empty()
        {
            let (time, expires) = (how.at, how.at + lasts);
            if expires > how.now {
                let (settled, alone) = (false, how.instances > 1.0);
                self.reserved.push(Reserved { id, expires, time, amounts, settled, alone });
            } else {
                for (policy, amount) in amounts {
                    self.give_back(limiter, policy, amount, time);
                }
            }
        }
        Outcome::Done
    }

    /// Takes more of the same for later, as long as it is a small part of what is left. Answers how many times.
    fn take_ahead(&mut self, limiter: &Limiter, costs: &Costs, ahead: u32, how: How) -> u32 {
        let mut times = f64::from(ahead);
        for (at, (part, policy)) in self.parts.iter().zip(&limiter.policies).enumerate() {
            let cost = costs.of(at, policy);
            if cost > 0.0 {
                times = times.min(((policy.limit - part.used) / AHEAD_PART / cost).floor());
            }
        }
        let free = (0..limiter.policies.len())
            .all(|at| limiter.policies.get(at).is_none_or(|policy| costs.of(at, policy) <= 0.0));
        if times < 1.0 || limiter.lease <= 0.0 || free {
            return 0;
        }
        for (at, (part, policy)) in self.parts.iter_mut().zip(&limiter.policies).enumerate() {
            let cost = costs.of(at, policy) * times;
            if cost > 0.0 {
                let taken = match policy.algorithm {
                    Algorithm::SlidingWindow => part.time.max(how.now + limiter.lease),
                    _ => how.now,
                };
                part.add(policy, cost, taken, how.now);
            }
        }
        times as u32
    }

    fn settle(&mut self, limiter: &Limiter, id: u64, costs: Option<&Costs>, how: How) -> Outcome {
        let mut freed = false;
        for (part, policy) in self.parts.iter_mut().zip(&limiter.policies) {
            if policy.algorithm == Algorithm::Concurrency {
                freed |= part.free_slot(id);
            }
        }
        let outcome = if freed { Outcome::Done } else { Outcome::Known };
        let known = self.reserved.iter().position(|reserved| reserved.id == id);
        let taken = match known.and_then(|at| self.reserved.get(at)) {
            Some(reserved) if reserved.settled => return outcome,
            Some(_) => known.map(|at| self.reserved.remove(at)),
            None if costs.is_none() => return outcome,
            None => None,
        };
        // What the server knows weighs what it weighs there.
        let alone = taken.as_ref().is_none_or(|taken| taken.alone);
        let instances = if alone { how.instances } else { 1.0 };
        let (time, amounts) = match taken {
            Some(taken) => (taken.time, taken.amounts),
            None => (how.at, Vec::new()),
        };
        for (at, policy) in limiter.policies.iter().enumerate() {
            if policy.algorithm == Algorithm::Concurrency {
                continue;
            }
            let held = amounts.iter().find(|(id, _)| *id == policy.id).map_or(0.0, |held| held.1);
            let cost = costs.map_or(0.0, |costs| costs.of(at, policy)) * policy.weight(instances);
            let Some(part) = self.parts.get_mut(at) else { continue };
            if cost < held {
                part.give_back(policy, held - cost, time);
            } else {
                part.add(policy, cost - held, how.at_of(policy, part), how.now);
            }
        }
        self.remember(limiter, id, how.now);
        Outcome::Done
    }

    fn remember(&mut self, limiter: &Limiter, id: u64, now: f64) {
        let expires = now + limiter.longest.min(KNOWN);
        let (time, amounts) = (now, Vec::new());
        let (settled, alone) = (true, false);
        self.reserved.push(Reserved { id, expires, time, amounts, settled, alone });
        let settled = self.reserved.iter().filter(|reserved| reserved.settled).count();
        if settled > MOST_SETTLED
            && let Some(oldest) = self.reserved.iter().position(|reserved| reserved.settled)
        {
            self.reserved.remove(oldest);
        }
    }

    /// A slot that was lost meanwhile is taken again, if nobody else has it.
    fn renew(&mut self, limiter: &Limiter, hold: Hold, how: How) -> Outcome {
        let until = how.at + hold.lasts;
        let mut stood = false;
        for (part, policy) in self.parts.iter_mut().zip(&limiter.policies) {
            if policy.algorithm != Algorithm::Concurrency {
                continue;
            }
            if part.keep_slot(hold.id, until) {
                stood = true;
            } else if (how.forced && until > how.now)
                || (!how.forced && part.fits(policy, policy.weight(how.instances), how.now))
            {
                part.hold_slot(hold.id, until, policy.weight(how.instances));
                stood = true;
            }
        }
        let mut open = self.reserved.iter_mut().filter(|reserved| !reserved.settled);
        if let Some(reserved) = open.find(|reserved| reserved.id == hold.id) {
            reserved.expires = until;
            stood = true;
        }
        if stood { Outcome::Done } else { Outcome::Refused }
    }

    fn give_back(&mut self, limiter: &Limiter, id: [u8; 4], amount: f64, time: f64) {
        let at = limiter.policies.iter().position(|policy| policy.id == id);
        if let Some((part, policy)) =
            at.and_then(|at| self.parts.get_mut(at).zip(limiter.policies.get(at)))
        {
            part.give_back(policy, amount, time);
        }
    }
}

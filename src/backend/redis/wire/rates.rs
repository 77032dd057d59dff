//! Limits: several keys in one call of their script, and what it answers.
use bytes::{BufMut, Bytes};
use redis::{Cmd, Value as Resp};

use super::super::failure;
use super::unexpected;
use crate::backend::rate::{
    Act, Costs, Decision, Hold, Limiter, Outcome, Seen, Source, State, Verb, code,
};
use crate::backend::redis::script::RATE;
use crate::base::error::Result;

/// So many keys are decided by one call at most: no other client waits for longer.
pub const MOST_IN_GROUP: usize = 32;

const FORCED: u8 = 1;
const AGAIN: u8 = 2;
const HOLDS: u8 = 4;
const PRICED: u8 = 8;

/// Keys of one limiter, in one slot.
pub struct Group<'a> {
    limiter: &'a Limiter,
    definition: Bytes,
    keys: Vec<&'a [u8]>,
    asked: Vec<Vec<u8>>,
}

impl<'a> Group<'a> {
    pub fn new(limiter: &'a Limiter, process: u64) -> Self {
        let definition = code::definition(limiter, process);
        Self { limiter, definition, keys: Vec::new(), asked: Vec::new() }
    }

    /// Adds a key with what is asked of it: each act, whether it happened already, and whether it may have been sent
    /// before.
    pub fn add(&mut self, key: &'a [u8], acts: &[(&Act, bool, bool)], now: u64) {
        let mut asked = Vec::with_capacity(17 + 8 * self.limiter.policies.len());
        match acts {
            [(Act { verb: Verb::Take { costs, hold: None, ahead }, number, .. }, false, false)] => {
                asked.put_u8(b't');
                asked.put_f64_le(*number as f64);
                asked.put_f64_le(f64::from(*ahead));
                self.put_costs(costs, &mut asked);
            }
            acts => acts.iter().for_each(|&(act, forced, again)| {
                self.put_act(act, (forced, again), now, &mut asked);
            }),
        }
        self.keys.push(key);
        self.asked.push(asked);
    }

    pub fn command(&self) -> Cmd {
        let longest = self.limiter.longest / 1000.0;
        // A quarter more, so that not every call has to move the end of its key.
        let life = (longest + (longest / 4.0).max(1000.0)).ceil().to_string();
        let mut args: Vec<&[u8]> = vec![&self.definition, life.as_bytes()];
        args.extend(self.asked.iter().map(Vec::as_slice));
        RATE.call(&self.keys, &args)
    }

    fn put_costs(&self, costs: &Costs, out: &mut Vec<u8>) {
        for (at, policy) in self.limiter.policies.iter().enumerate() {
            out.put_f64_le(costs.of(at, policy));
        }
    }

    fn put_act(&self, act: &Act, (forced, again): (bool, bool), now: u64, out: &mut Vec<u8>) {
        let none = Costs::Same(0.0);
        let nobody = Hold { id: 0, lasts: 0.0 };
        let (verb, hold, costs) = match &act.verb {
            Verb::Take { costs, hold, ahead: _ } => (0, *hold, Some(costs)),
            Verb::Settle { id, costs } => (1, Some(Hold { id: *id, lasts: 0.0 }), costs.as_ref()),
            Verb::Renew(hold) => (2, Some(*hold), None),
            Verb::Refund(costs) => (3, None, Some(costs)),
            Verb::Reset => (4, None, None),
            Verb::Return { costs, time } => (6, Some(Hold { id: 0, lasts: *time }), Some(costs)),
            Verb::Peek => (5, None, None),
        };
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        out.put_u8(verb);
        out.put_u8(
            flag(forced, FORCED)
                | flag(again, AGAIN)
                | flag(hold.is_some(), HOLDS)
                | flag(costs.is_some(), PRICED),
        );
        out.put_f64_le(act.number as f64);
        out.put_f64_le(now.saturating_sub(act.at) as f64);
        let hold = hold.unwrap_or(nobody);
        out.put_u64_le(hold.id);
        out.put_f64_le(hold.lasts);
        self.put_costs(costs.unwrap_or(&none), out);
    }
}

/// What the script said of each key.
pub struct Said {
    now: f64,
    rest: std::vec::IntoIter<Resp>,
}

/// The answer to a call of the script.
pub fn said(reply: Resp) -> Result<Said> {
    let items = match reply {
        Resp::Array(items) => items,
        Resp::ServerError(error) => return Err(failure::from_server(&error)),
        _ => return Err(unexpected()),
    };
    let mut rest = items.into_iter();
    match rest.next() {
        Some(Resp::Int(now)) => Ok(Said { now: now as f64, rest }),
        _ => Err(unexpected()),
    }
}

impl Said {
    /// Of the next key.
    pub fn take(&mut self) -> Result<(Outcome, Seen)> {
        let mut granted = 0;
        let outcome = match self.rest.next() {
            Some(Resp::Int(0)) => Outcome::Refused,
            Some(Resp::Int(1)) => Outcome::Done,
            Some(Resp::Int(2)) => Outcome::Known,
            Some(Resp::Int(code)) => {
                granted = u32::try_from(code - 2).map_err(|_| unexpected())?;
                Outcome::Done
            }
            _ => return Err(unexpected()),
        };
        match self.rest.next() {
            Some(Resp::BulkString(state)) => {
                Ok((outcome, Seen { state: state.into(), now: self.now, granted }))
            }
            _ => Err(unexpected()),
        }
    }
}

/// What is answered to who asked.
pub fn decision(limiter: &Limiter, act: &Act, outcome: Outcome, seen: &Seen) -> Result<Decision> {
    let mut state = State::decode(limiter, &seen.state).ok_or_else(unexpected)?;
    state.advance(limiter, seen.now);
    let at = (seen.now, 1.0);
    Ok(state.decision(limiter, &act.verb, outcome, Source::Redis, at))
}

//! How a state is written down, here and by `scripts/rate.lua`. Numbers are 64-bit floats, little endian: µs since
//! 1970 are exact in them.
//!
//! | bytes | content |
//! |---|---|
//! | 1 | version |
//! | 1 | number of parts |
//! | 2 | number of other marks |
//! | 4 | length of what is reserved |
//! | 8 each | when it dies; when the first of what is reserved ends, 0 = nothing is; the last process, its number |
//! | 40 each | parts: id (4), length of the tail (4), used, time, cost, ends |
//! | 16 each | tails, in the order of their parts: time and cost, the newest first; or id of a slot, and until when |
//! | | what is reserved: id (8), ends (8), number of amounts (1; 255 = settled), time (8), id (4) and amount (8) each |
//! | 16 each | other marks: process, number |
use bytes::{Buf, BufMut, Bytes};

use super::part::{Entry, Part};
use super::state::{Mark, Reserved, State};
use super::{Algorithm, Limiter};

pub const VERSION: u8 = 1;
const SETTLED: u8 = 255;
const HEAD: usize = 40;
const PART: usize = 40;

impl State {
    pub fn encode(&self, limiter: &Limiter) -> Vec<u8> {
        let mut reserved = Vec::new();
        for one in &self.reserved {
            reserved.put_u64_le(one.id);
            reserved.put_f64_le(one.expires);
            let count = u8::try_from(one.amounts.len()).unwrap_or(SETTLED);
            reserved.put_u8(if one.settled { SETTLED } else { count });
            reserved.put_f64_le(one.time);
            for (id, amount) in &one.amounts {
                reserved.put_slice(id);
                reserved.put_f64_le(*amount);
            }
        }
        let wakes = self.reserved.iter().map(|one| one.expires).reduce(f64::min).unwrap_or(0.0);
        let mut out = Vec::with_capacity(HEAD + PART * self.parts.len());
        out.put_u8(VERSION);
        out.put_u8(u8::try_from(self.parts.len()).unwrap_or(u8::MAX));
        out.put_u16_le(u16::try_from(self.others.len()).unwrap_or(u16::MAX));
        out.put_u32_le(u32::try_from(reserved.len()).unwrap_or(u32::MAX));
        for number in [self.dies, wakes, self.last.process, self.last.number] {
            out.put_f64_le(number);
        }
        for part in &self.parts {
            out.put_slice(&part.id);
            out.put_u32_le(u32::try_from(part.tail.len() * 16).unwrap_or(u32::MAX));
            for number in [part.used, part.time, part.cost, part.ends] {
                out.put_f64_le(number);
            }
        }
        for part in &self.parts {
            if is_slots(limiter, part.id) {
                for slot in &part.tail {
                    out.put_u64_le(slot.id);
                    out.put_f64_le(slot.time);
                }
            } else {
                for entry in part.tail.iter().rev() {
                    out.put_f64_le(entry.time);
                    out.put_f64_le(entry.cost);
                }
            }
        }
        out.put_slice(&reserved);
        for mark in &self.others {
            out.put_f64_le(mark.process);
            out.put_f64_le(mark.number);
        }
        out
    }

    /// `None` for what nobody wrote down so.
    pub fn decode(limiter: &Limiter, stored: &[u8]) -> Option<Self> {
        if stored.is_empty() {
            return Some(Self::default());
        }
        let mut rest = stored;
        if rest.try_get_u8().ok()? != VERSION {
            return None;
        }
        let parts = rest.try_get_u8().ok()?;
        let others = rest.try_get_u16_le().ok()?;
        let reserved = usize::try_from(rest.try_get_u32_le().ok()?).ok()?;
        let dies = rest.try_get_f64_le().ok()?;
        let _wakes = rest.try_get_f64_le().ok()?;
        let last = mark(&mut rest)?;
        let mut state = Self { dies, last, ..Self::default() };
        let mut lengths = Vec::with_capacity(usize::from(parts));
        for _ in 0..parts {
            let mut id = [0; 4];
            rest.try_copy_to_slice(&mut id).ok()?;
            lengths.push(rest.try_get_u32_le().ok()? / 16);
            let mut number = || rest.try_get_f64_le().ok();
            let (used, time, cost, ends) = (number()?, number()?, number()?, number()?);
            state.parts.push(Part { id, used, time, cost, ends, tail: Vec::new() });
        }
        for (part, length) in state.parts.iter_mut().zip(lengths) {
            let slots = is_slots(limiter, part.id);
            for _ in 0..length {
                part.tail.push(if slots {
                    let id = rest.try_get_u64_le().ok()?;
                    Entry { id, time: rest.try_get_f64_le().ok()?, cost: 1.0 }
                } else {
                    let time = rest.try_get_f64_le().ok()?;
                    Entry { id: 0, time, cost: rest.try_get_f64_le().ok()? }
                });
            }
            if !slots {
                part.tail.reverse();
            }
        }
        let (mut held, mut rest) = rest.split_at_checked(reserved)?;
        while held.has_remaining() {
            let (id, expires) = (held.try_get_u64_le().ok()?, held.try_get_f64_le().ok()?);
            let count = held.try_get_u8().ok()?;
            let time = held.try_get_f64_le().ok()?;
            let mut amounts = Vec::new();
            for _ in 0..if count == SETTLED { 0 } else { count } {
                let mut policy = [0; 4];
                held.try_copy_to_slice(&mut policy).ok()?;
                amounts.push((policy, held.try_get_f64_le().ok()?));
            }
            let settled = count == SETTLED;
            let alone = false;
            state.reserved.push(Reserved { id, expires, time, amounts, settled, alone });
        }
        for _ in 0..others {
            state.others.push(mark(&mut rest)?);
        }
        Some(state)
    }
}

fn mark(rest: &mut &[u8]) -> Option<Mark> {
    let process = rest.try_get_f64_le().ok()?;
    Some(Mark { process, number: rest.try_get_f64_le().ok()? })
}

fn is_slots(limiter: &Limiter, id: [u8; 4]) -> bool {
    let policy = limiter.policies.iter().find(|policy| policy.id == id);
    policy.is_some_and(|policy| policy.algorithm == Algorithm::Concurrency)
}

/// A limiter as the script is told of it: the number of its policies and, for each, id, algorithm, limit, window and
/// step.
pub fn definition(limiter: &Limiter, process: u64) -> Bytes {
    let mut out = Vec::with_capacity(17 + 29 * limiter.policies.len());
    out.put_f64_le(process as f64);
    out.put_f64_le(limiter.longest);
    out.put_f64_le(limiter.lease);
    out.put_u8(u8::try_from(limiter.policies.len()).unwrap_or(u8::MAX));
    for policy in &limiter.policies {
        out.put_slice(&policy.id);
        out.put_u8(policy.algorithm.code());
        for number in [policy.limit, policy.window, policy.step] {
            out.put_f64_le(number);
        }
    }
    out.into()
}

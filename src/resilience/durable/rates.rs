//! The bytes of an act in a journal file: of its limiter as much as the server has to be told.
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};

use super::record::{get_stamp, put_stamp};
use crate::backend::rate::{Act, Algorithm, Costs, Due, Hold, Limiter, Mode, Policy, Verb};

const EACH: u8 = 255;

pub fn put(out: &mut Vec<u8>, limiter: &Limiter, due: &Due) {
    out.put_u8(u8::try_from(limiter.policies.len()).unwrap_or(u8::MAX));
    for policy in &limiter.policies {
        out.put_slice(&policy.id);
        out.put_u8(policy.algorithm.code());
        for number in [policy.limit, policy.window, policy.step] {
            out.put_f64_le(number);
        }
    }
    let Due { act: Act { verb, at, number }, stamp, process, sent } = due;
    put_stamp(out, *stamp);
    for whole in [*process, *at, *number] {
        out.put_u64_le(whole);
    }
    out.put_u8(u8::from(*sent));
    match verb {
        Verb::Take { costs, hold, ahead: _ } => {
            out.put_u8(0);
            put_hold(out, hold.unwrap_or(Hold { id: 0, lasts: 0.0 }));
            put_costs(out, costs);
        }
        Verb::Settle { id, costs } => {
            out.put_u8(if costs.is_some() { 1 } else { 2 });
            out.put_u64_le(*id);
            if let Some(costs) = costs {
                put_costs(out, costs);
            }
        }
        Verb::Renew(hold) => {
            out.put_u8(3);
            put_hold(out, *hold);
        }
        Verb::Refund(costs) => {
            out.put_u8(4);
            put_costs(out, costs);
        }
        Verb::Reset => out.put_u8(5),
        // Neither waits for anybody.
        Verb::Peek | Verb::Return { .. } => out.put_u8(6),
    }
}

pub fn get(body: &mut Bytes) -> Option<(Arc<Limiter>, Due)> {
    let mut policies = Vec::new();
    for _ in 0..body.try_get_u8().ok()? {
        let mut id = [0; 4];
        body.try_copy_to_slice(&mut id).ok()?;
        let algorithm = Algorithm::of(body.try_get_u8().ok()?)?;
        let mut number = || body.try_get_f64_le().ok();
        let (limit, window, step) = (number()?, number()?, number()?);
        let (name, mode) = (String::new(), Mode::Local);
        policies.push(Policy { name, id, algorithm, limit, window, step, mode });
    }
    let limiter = Limiter::new(String::new(), policies, false);
    let stamp = get_stamp(body)?;
    let mut whole = || body.try_get_u64_le().ok();
    let (process, at, number) = (whole()?, whole()?, whole()?);
    let sent = body.try_get_u8().ok()? == 1;
    let verb = match body.try_get_u8().ok()? {
        0 => {
            let hold = Some(get_hold(body)?).filter(|hold| hold.lasts > 0.0);
            Verb::Take { costs: get_costs(body)?, hold, ahead: 0 }
        }
        1 => Verb::Settle { id: body.try_get_u64_le().ok()?, costs: Some(get_costs(body)?) },
        2 => Verb::Settle { id: body.try_get_u64_le().ok()?, costs: None },
        3 => Verb::Renew(get_hold(body)?),
        4 => Verb::Refund(get_costs(body)?),
        5 => Verb::Reset,
        6 => Verb::Peek,
        _ => return None,
    };
    Some((Arc::new(limiter), Due { act: Act { verb, at, number }, stamp, process, sent }))
}

fn put_hold(out: &mut Vec<u8>, hold: Hold) {
    out.put_u64_le(hold.id);
    out.put_f64_le(hold.lasts);
}

fn get_hold(body: &mut Bytes) -> Option<Hold> {
    Some(Hold { id: body.try_get_u64_le().ok()?, lasts: body.try_get_f64_le().ok()? })
}

fn put_costs(out: &mut Vec<u8>, costs: &Costs) {
    match costs {
        Costs::Same(cost) => {
            out.put_u8(EACH);
            out.put_f64_le(*cost);
        }
        Costs::Each(costs) => {
            out.put_u8(u8::try_from(costs.len()).unwrap_or(EACH - 1));
            costs.iter().for_each(|cost| out.put_f64_le(*cost));
        }
    }
}

fn get_costs(body: &mut Bytes) -> Option<Costs> {
    Some(match body.try_get_u8().ok()? {
        EACH => Costs::Same(body.try_get_f64_le().ok()?),
        count => {
            let costs = (0..count).map(|_| body.try_get_f64_le().ok());
            Costs::Each(costs.collect::<Option<Vec<f64>>>()?)
        }
    })
}

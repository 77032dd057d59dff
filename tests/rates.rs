//! Limits on a real server: `scripts/rate.lua` comes to the same bytes as the rules in `backend/rate`, whatever is asked,
//! and the layers around it keep what they promise.
#![cfg(not(feature = "node"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]
#[path = "support/mod.rs"]
mod support;

use std::collections::HashMap;

use bytes::Bytes;
use holdfast::backend::rate::state::How;
use holdfast::backend::rate::{
    Act, Algorithm, Costs, EXACT, GRAINS, Hold, Limiter, Mode, Outcome, Policy, State, Verb,
};
use holdfast::backend::redis::script::RATE;
use holdfast::backend::redis::wire::{Group, said};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use support::Server;

const WINDOWS: [u32; 4] = [3_000, 20_000, 60_000, 400_000];

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let one = (0..4u8, prop_oneof![1..6u32, 30..60u32, 300..400u32], 0..WINDOWS.len());
    prop::collection::vec(one, 1..4).prop_map(|all| {
        let each = all.into_iter().enumerate();
        each.map(|(at, (algorithm, limit, window))| {
            let algorithm = Algorithm::of(algorithm).unwrap();
            let (limit, window) = (f64::from(limit), f64::from(WINDOWS[window]));
            let step = match algorithm {
                Algorithm::SlidingWindow if limit > EXACT => window / GRAINS,
                Algorithm::TokenBucket => window / limit,
                _ => 0.0,
            };
            let id = [b'p', algorithm.code(), at as u8, limit as u8];
            let (name, mode) = (String::new(), Mode::Local);
            Policy { name, id, algorithm, limit, window, step, mode }
        })
        .collect()
    })
}

/// What is asked of which key: the act, whether it happened already and how long ago, whether it may have been sent.
#[derive(Clone, Debug)]
struct Asked {
    key: usize,
    verb: Verb,
    age: Option<u32>,
    again: bool,
    wait_us: u32,
    /// By the limiter before it was changed.
    older: bool,
    process: u32,
}

fn asked() -> impl Strategy<Value = Asked> {
    let costs = prop_oneof![
        4 => (0..5u32).prop_map(|cost| Costs::Same(f64::from(cost))),
        1 => prop::collection::vec(0..9u32, 3)
            .prop_map(|each| Costs::Each(each.into_iter().map(f64::from).collect())),
    ];
    let hold = (1..6u64, 1..60_000u32).prop_map(|(id, lasts)| Hold { id, lasts: f64::from(lasts) });
    let verb = prop_oneof![
        8 => (costs.clone(), prop_oneof![Just(0u32), 1..80u32])
            .prop_map(|(costs, ahead)| Verb::Take { costs, hold: None, ahead }),
        4 => (costs.clone(), hold.clone())
            .prop_map(|(costs, hold)| Verb::Take { costs, hold: Some(hold), ahead: 0 }),
        3 => (1..6u64, prop::option::of(costs.clone()))
            .prop_map(|(id, costs)| Verb::Settle { id, costs }),
        2 => hold.prop_map(Verb::Renew),
        2 => costs.clone().prop_map(Verb::Refund),
        2 => costs.clone().prop_map(|costs| Verb::Return { costs, time: 0.0 }),
        1 => Just(Verb::Reset),
        1 => Just(Verb::Peek),
    ];
    let age = prop_oneof![3 => Just(None), 1 => (0..100_000u32).prop_map(Some)];
    let wait = prop_oneof![6 => Just(0u32), 2 => 0..4_000u32, 1 => 0..20_000u32];
    (0..3usize, verb, age, any::<bool>(), wait, prop::bool::weighted(0.05), 1..4u32).prop_map(
        |(key, verb, age, again, wait_us, older, process)| Asked {
            key,
            verb,
            age,
            again,
            wait_us,
            older,
            process,
        },
    )
}

fn limiter(policies: Vec<Policy>) -> Limiter {
    Limiter::new(String::new(), policies, true)
}

/// What the rules say of it; `None`: the state stays as it is.
fn expected(
    state: &State,
    limiter: &Limiter,
    now: f64,
    asked: &Asked,
    act: &Act,
) -> (Outcome, Option<State>) {
    let mut next = state.clone();
    let process = f64::from(asked.process);
    let at = asked.age.map_or(now, |age| now - f64::from(age));
    let how = How { now, forced: asked.age.is_some(), at, instances: 1.0, alone: false };
    next.advance(limiter, now);
    if (asked.again || asked.age.is_some()) && next.knows(process, act.number as f64) {
        return (Outcome::Known, None);
    }
    let outcome = next.apply(limiter, &act.verb, how);
    if outcome != Outcome::Done || act.verb == Verb::Peek {
        return (outcome, None);
    }
    next.note(process, act.number as f64);
    (outcome, Some(next))
}

#[test]
fn the_script_comes_to_the_same_bytes_as_the_rules() {
    let server = Server::start();
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let _: String = redis::cmd("SCRIPT").arg("LOAD").arg(RATE.text).query(&mut connection).unwrap();
    let cases = support::laws::cases() / 4;
    let mut runner = support::laws::runner(support::laws::config(cases));
    for case in 0..cases {
        let both = (policies(), policies(), prop::collection::vec(asked(), 80));
        let (old, new, steps) = both.new_tree(&mut runner).unwrap().current();
        // Some of its policies stay.
        let mut changed: Vec<Policy> = old.iter().take(1).cloned().collect();
        changed.extend(new.into_iter().take(1).map(|policy| Policy { id: *b"new!", ..policy }));
        let (older, limiter) = (limiter(old), limiter(changed));
        let mut states: HashMap<usize, Bytes> = HashMap::new();
        for (number, asked) in (1..).zip(&steps) {
            if asked.wait_us > 0 {
                std::thread::sleep(std::time::Duration::from_micros(asked.wait_us.into()));
            }
            let limiter = if asked.older { &older } else { &limiter };
            let key = format!("{{case{case}}}:{}", asked.key);
            // Some are sent twice.
            let number = if asked.again { number / 2 } else { number };
            let at = 1_000_000 - u64::from(asked.age.unwrap_or(0));
            let mut act = Act { verb: asked.verb.clone(), at, number };
            // What may have been sent before takes nothing ahead.
            if let (Verb::Take { ahead, .. }, true) =
                (&mut act.verb, asked.again || asked.age.is_some())
            {
                *ahead = 0;
            }
            let stored = states.entry(asked.key).or_default();
            if let Verb::Return { time, .. } = &mut act.verb {
                let state = State::decode(limiter, stored).unwrap();
                *time =
                    state.parts.first().map_or(0.0, |part| part.time.max(part.ends - part.time));
            }
            let mut group = Group::new(limiter, asked.process.into());
            let forced = asked.age.is_some();
            group.add(key.as_bytes(), &[(&act, forced, asked.again || forced)], 1_000_000);
            let reply: redis::Value = group.command().query(&mut connection).unwrap();
            let mut said = said(reply).unwrap();
            let (outcome, seen) = said.take().unwrap();
            // As it was written down last: of what is another limiter's nobody knows what it means.
            let stored = states.entry(asked.key).or_default();
            let state = State::decode(limiter, stored).unwrap();
            let (wanted, next) = expected(&state, limiter, seen.now, asked, &act);
            let told = format!("case {case}, step {number}: {asked:?}\n{limiter:?}\n{state:?}");
            assert_eq!(outcome, wanted, "{told}");
            let kept = State::decode(limiter, &seen.state).expect(&told);
            if let Some(mut next) = next {
                // The script says when the key ends: late enough, and never not at all.
                assert!(kept.dies >= next.ends(), "{told}");
                next.dies = kept.dies;
                assert_eq!(seen.granted, std::mem::take(&mut next.granted), "{told}");
                assert_eq!(kept, next, "{told}");
                assert_eq!(seen.state, next.encode(limiter), "{told}");
                let ttl: i64 = redis::cmd("PTTL").arg(&key).query(&mut connection).unwrap();
                assert!(ttl > 0, "{told}");
                *stored = seen.state;
            } else {
                assert_eq!(seen.state, *stored, "{told}");
            }
        }
    }
}

//! The law of an outage: whatever two processes do, and whatever befalls them and the server, in the end the
//! server holds what the rules of docs/fallback.md say. Real code and a real server against the rules
//! written down in `laws/rules.rs`; time is a clock that jumps.
//!
//! `HOLDFAST_LAW_CASES` says how many cases run; `npm run laws` asks for many.
#![cfg(not(feature = "node"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]
#[path = "laws/rules.rs"]
mod rules;
#[path = "support/mod.rs"]
mod support;
#[path = "laws/world.rs"]
mod world;

use holdfast::base::plant::Plant;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError};
use rules::{KEYS, Step, TTL};
use support::laws;
use world::World;

/// Lifetimes, ms. No sum of jumps ends near one: stamps and expiry run on clocks that drift a little apart.
const LIVES: [u64; 2] = [TTL / 2 + 7_000, 3 * TTL + 7_000];
/// On the average.
const STEPS: usize = 50;

fn any_step() -> impl Strategy<Value = Step> {
    let process = || 0usize..2;
    let key = || 0..KEYS;
    prop_oneof![
        14 => (process(), key(), prop::option::of(prop::sample::select(LIVES.to_vec())))
            .prop_map(|(process, key, ttl)| Step::Set { process, key, ttl }),
        8 => (process(), key()).prop_map(|(process, key)| Step::Delete { process, key }),
        8 => (process(), key()).prop_map(|(process, key)| Step::Get { process, key }),
        2 => process().prop_map(|process| Step::Clear { process }),
        6 => process().prop_map(|process| Step::Leave { process }),
        6 => process().prop_map(|process| Step::Return { process }),
        2 => Just(Step::Jump { micros: 60_000_000 }),
        1 => Just(Step::Jump { micros: 2 * TTL * 1000 }),
        1 => Just(Step::ClockBehind),
        1 => Just(Step::Flush),
    ]
}

fn run(cases: u32, planted: Option<Plant>) -> Result<(), TestError<Vec<Step>>> {
    let runtime = laws::runtime();
    let server = support::Server::start();
    let max_shrink_iters = if planted.is_some() { 0 } else { 400 };
    let config = Config { max_shrink_iters, ..laws::config(cases) };
    // A planted fault is looked for in the same cases always.
    let runner = if planted.is_some() { laws::steady_runner } else { laws::runner };
    let steps = prop::collection::vec(any_step(), 1..=2 * STEPS);
    runner(config).run(&steps, |steps| {
        runtime
            .block_on(async { World::new(&server, planted).await.run(&steps).await })
            .map_err(TestCaseError::fail)
    })
}

#[test]
fn the_server_holds_in_the_end_what_the_rules_say() {
    if let Err(TestError::Fail(why, steps)) = run(laws::cases(), None) {
        panic!("{why}\n{steps:?}");
    }
}

/// Each fault is noticed within as many cases as `npm test` runs.
#[test]
fn every_planted_fault_breaks_the_law() {
    let missed: Vec<_> =
        Plant::OF_OUTAGES.into_iter().filter(|&plant| run(256, Some(plant)).is_ok()).collect();
    assert!(missed.is_empty(), "the law does not notice {missed:?}");
}

/// A server that dies, at any moment, and comes back empty.
#[test]
fn a_server_that_dies_in_between_loses_nothing_that_is_journalled() {
    let runtime = laws::runtime();
    let config = laws::config(laws::cases() / 16);
    let some = || prop::collection::vec(any_step(), 10..30);
    let all = (some(), some());
    let done = laws::runner(config).run(&all, |(mut steps, after)| {
        let mut server = support::Server::start();
        steps.push(Step::Leave { process: 0 });
        runtime
            .block_on(async {
                let mut world = World::new(&server, None).await;
                world.run(&steps).await?;
                server.restart_empty();
                world.died().await?;
                world.run(&after).await
            })
            .map_err(TestCaseError::fail)
    });
    if let Err(TestError::Fail(why, steps)) = done {
        panic!("{why}\n{steps:?}");
    }
}

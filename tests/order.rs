//! The law of order: whatever two processes do, cut off or not, in the end all of it reads as if one process had
//! done it, one thing after the other, that was never cut off. Sets with tags and grace, deletes, expiries,
//! invalidations of tags, patterns, loads that are overtaken; and a server that forgets markers and leases.
//! Real code, a real server and real clocks against `order/history.rs`.
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
#[path = "order/history.rs"]
mod history;
#[path = "support/mod.rs"]
mod support;
#[path = "order/world.rs"]
mod world;

use futures_util::future::join_all;
use history::{KEYS, PATTERNS, Step, TAGS};
use holdfast::backend::Removal;
use holdfast::base::plant::Plant;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use support::{Server, laws};
use world::World;

/// So many cases run at once: they wait for the clock most of the time.
const AT_ONCE: u32 = 32;
/// On the average.
const STEPS: usize = 16;
/// How often a case that fails is made smaller.
const SMALLER: u32 = 200;

fn any_step() -> impl Strategy<Value = Step> {
    let process = || 0usize..2;
    let key = || 0..KEYS.len();
    let tags = || any::<[bool; 2]>();
    prop_oneof![
        20 => (process(), key(), tags(), prop::bool::weighted(0.15))
            .prop_map(|(process, key, tags, stale)| Step::Set { process, key, tags, stale }),
        6 => (process(), key()).prop_map(|(process, key)| Step::Delete { process, key }),
        6 => (process(), key()).prop_map(|(process, key)| Step::Expire { process, key }),
        10 => (process(), 0..TAGS.len(), any::<bool>()).prop_map(|(process, tag, expire)| {
            let removal = if expire { Removal::Expire } else { Removal::Delete };
            Step::Invalidate { process, tag, removal }
        }),
        6 => (process(), 0..PATTERNS.len())
            .prop_map(|(process, pattern)| Step::Clear { process, pattern }),
        12 => (process(), key(), tags(), prop::bool::weighted(0.3))
            .prop_map(|(process, key, tags, force)| Step::Load { process, key, tags, force }),
        12 => (process(), key()).prop_map(|(process, key)| Step::Fill { process, key }),
        16 => (process(), key(), any::<bool>())
            .prop_map(|(process, key, stale)| Step::Read { process, key, stale }),
        6 => process().prop_map(|process| Step::Leave { process }),
        6 => process().prop_map(|process| Step::Return { process }),
        1 => (0..TAGS.len()).prop_map(|tag| Step::ForgetMarker { tag }),
        1 => key().prop_map(|key| Step::ForgetLease { key }),
    ]
}

fn run(cases: u32, planted: Option<Plant>) -> Result<(), String> {
    let runtime = laws::runtime();
    let server = Server::start();
    let config = laws::config(cases);
    // A planted fault is looked for in the same cases always.
    let mut runner =
        if planted.is_some() { laws::steady_runner(config) } else { laws::runner(config) };
    let steps = prop::collection::vec(any_step(), 1..=2 * STEPS);
    let one = async |steps: Vec<Step>| World::new(&server, planted).await.run(&steps).await;
    for _ in 0..cases.div_ceil(AT_ONCE) {
        let trees: Vec<_> = (0..AT_ONCE).map(|_| steps.new_tree(&mut runner).unwrap()).collect();
        let all = join_all(trees.iter().map(|tree| one(tree.current())));
        let done = runtime.block_on(all);
        let failed = trees.into_iter().zip(done).find(|(_, done)| done.is_err());
        let Some((mut tree, Err(mut why))) = failed else { continue };
        let mut steps = tree.current();
        let mut goes_on = planted.is_none() && tree.simplify();
        for _ in 0..SMALLER {
            if !goes_on {
                break;
            }
            goes_on = match runtime.block_on(one(tree.current())) {
                Err(now) => {
                    (why, steps) = (now, tree.current());
                    tree.simplify()
                }
                Ok(()) => tree.complicate(),
            };
        }
        return Err(format!("{why}\n{steps:?}"));
    }
    Ok(())
}

#[test]
fn it_reads_in_the_end_as_if_one_process_had_done_all_of_it() {
    if let Err(why) = run(laws::cases(), None) {
        panic!("{why}");
    }
}

/// Each fault is noticed within as many cases as `npm test` runs.
#[test]
fn every_planted_fault_breaks_the_order() {
    let missed: Vec<_> =
        Plant::OF_ORDER.into_iter().filter(|&plant| run(256, Some(plant)).is_ok()).collect();
    assert!(missed.is_empty(), "the law does not notice {missed:?}");
}

//! The laws of limits, whatever is asked and whenever.
use proptest::prelude::*;

use super::state::How;
use super::*;

fn policy(algorithm: Algorithm, limit: u32, window: u32) -> Policy {
    let (limit, window) = (f64::from(limit), f64::from(window));
    let step = match algorithm {
        Algorithm::SlidingWindow if limit > EXACT => window / GRAINS,
        Algorithm::TokenBucket => window / limit,
        _ => 0.0,
    };
    let (name, id, mode) = (String::new(), [algorithm.code(); 4], Mode::Local);
    Policy { name, id, algorithm, limit, window, step, mode }
}

fn limiter(policies: Vec<Policy>) -> Limiter {
    Limiter::new(String::new(), policies, true)
}

struct Bench {
    limiter: Limiter,
    state: State,
    now: f64,
    weight: f64,
}

impl Bench {
    fn new(policies: Vec<Policy>) -> Self {
        // As far along as the clocks of servers are.
        let now = 1_790_000_000_000_000.0;
        Self { limiter: limiter(policies), state: State::default(), now, weight: 1.0 }
    }

    fn run(&mut self, verb: Verb) -> Outcome {
        let (now, weight) = (self.now, self.weight);
        let how = How { now, forced: false, at: now, instances: weight, alone: false };
        self.state.apply(&self.limiter, &verb, how)
    }

    fn take(&mut self, cost: u32) -> bool {
        let costs = Costs::Same(f64::from(cost));
        self.run(Verb::Take { costs, hold: None, ahead: 0 }) == Outcome::Done
    }

    fn standing(&mut self, cost: u32) -> Standing {
        let verb = Verb::Take { costs: Costs::Same(f64::from(cost)), hold: None, ahead: 0 };
        self.state.advance(&self.limiter, self.now);
        let at = (self.now, self.weight);
        self.state.decision(&self.limiter, &verb, Outcome::Refused, Source::Local, at).standings[0]
    }
}

/// Times between takes, and what they cost.
fn steps() -> impl Strategy<Value = Vec<(u32, u32)>> {
    prop::collection::vec((prop_oneof![0..3u32, 0..400u32, 0..3_000u32], 1..6u32), 1..400)
}

/// What was taken in any span as long as the window, at most.
fn most_in_a_span(taken: &[(f64, f64)], window: f64) -> f64 {
    let within = |from: f64| -> f64 {
        let inside = taken.iter().filter(|(at, _)| *at >= from && *at < from + window);
        inside.map(|(_, cost)| cost).sum()
    };
    taken.iter().map(|(at, _)| within(*at)).fold(0.0, f64::max)
}

proptest! {
    #[test]
    fn no_span_as_long_as_the_window_holds_more_than_the_limit(
        limit in 1..80u32, steps in steps(),
    ) {
        let mut bench = Bench::new(vec![policy(Algorithm::SlidingWindow, limit, 10_000)]);
        let mut taken = Vec::new();
        for (wait, cost) in steps {
            bench.now += f64::from(wait);
            if bench.take(cost) {
                taken.push((bench.now, f64::from(cost)));
            }
        }
        prop_assert!(most_in_a_span(&taken, 10_000.0) <= f64::from(limit));
    }

    #[test]
    fn nothing_is_refused_that_fits_within_the_window_and_a_grain(
        limit in 1..80u32, steps in steps(),
    ) {
        let policy = policy(Algorithm::SlidingWindow, limit, 10_000);
        let span = policy.window + policy.step;
        let mut bench = Bench::new(vec![policy]);
        let mut taken: Vec<(f64, f64)> = Vec::new();
        for (wait, cost) in steps {
            bench.now += f64::from(wait);
            let lately = taken.iter().filter(|(at, _)| *at > bench.now - span);
            let used: f64 = lately.map(|(_, cost)| cost).sum();
            let fits = used + f64::from(cost) <= f64::from(limit);
            let done = bench.take(cost);
            prop_assert!(done || !fits);
            if done {
                taken.push((bench.now, f64::from(cost)));
            }
        }
    }

    #[test]
    fn a_bucket_lets_through_its_limit_and_what_has_come_since(
        limit in 1..80u32, steps in steps(),
    ) {
        let mut bench = Bench::new(vec![policy(Algorithm::TokenBucket, limit, 10_000)]);
        let rate = f64::from(limit) / 10_000.0;
        let mut taken: Vec<(f64, f64)> = Vec::new();
        for (wait, cost) in steps {
            bench.now += f64::from(wait);
            if bench.take(cost) {
                taken.push((bench.now, f64::from(cost)));
            }
        }
        for (at, (from, _)) in taken.iter().enumerate() {
            let mut sum = 0.0;
            for (until, cost) in &taken[at..] {
                sum += cost;
                // The clock's rounding: one µs.
                let most = f64::from(limit) + (until - from + 2.0) * rate + 1e-6;
                prop_assert!(sum <= most, "{sum} in {} µs", until - from);
            }
        }
    }

    #[test]
    fn whoever_waits_as_long_as_he_is_told_gets_through_and_not_before(
        algorithm in prop_oneof![
            Just(Algorithm::SlidingWindow), Just(Algorithm::TokenBucket), Just(Algorithm::FixedWindow)
        ],
        limit in 1..80u32, steps in steps(),
    ) {
        let mut bench = Bench::new(vec![policy(algorithm, limit, 10_000)]);
        for (wait, cost) in steps {
            bench.now += f64::from(wait);
            if bench.take(cost) {
                continue;
            }
            let retry = bench.standing(cost).retry;
            if cost > limit {
                prop_assert_eq!(retry, f64::INFINITY);
                continue;
            }
            prop_assert!(retry > 0.0);
            // Clocks count whole µs.
            let retry = retry.ceil();
            if retry > 2.0 {
                bench.now += retry - 2.0;
                prop_assert!(!bench.take(cost), "it was told to wait for {}", retry);
                bench.now += 2.0;
            } else {
                bench.now += retry;
            }
            prop_assert!(bench.take(cost));
        }
    }

    #[test]
    fn a_refused_take_changes_nothing(limit in 1..40u32, steps in steps()) {
        let policies = vec![
            policy(Algorithm::SlidingWindow, limit, 10_000),
            policy(Algorithm::TokenBucket, limit * 2, 30_000),
            policy(Algorithm::FixedWindow, limit * 3, 50_000),
        ];
        let mut bench = Bench::new(policies);
        for (wait, cost) in steps {
            bench.now += f64::from(wait);
            bench.state.advance(&bench.limiter, bench.now);
            let before = bench.state.clone();
            if !bench.take(cost) {
                prop_assert_eq!(&bench.state, &before);
            }
        }
    }

    #[test]
    fn what_is_refunded_at_once_was_never_taken(limit in 1..80u32, steps in steps()) {
        for algorithm in [Algorithm::SlidingWindow, Algorithm::FixedWindow] {
            let mut bench = Bench::new(vec![policy(algorithm, limit, 10_000)]);
            for &(wait, cost) in &steps {
                bench.now += f64::from(wait);
                let before = bench.standing(1).remaining;
                if bench.take(cost) {
                    bench.run(Verb::Refund(Costs::Same(f64::from(cost))));
                    prop_assert_eq!(bench.standing(1).remaining, before);
                    bench.take(1);
                }
            }
        }
    }

    #[test]
    fn a_reservation_counts_what_it_came_to_and_nothing_when_it_is_let_go(
        limit in 10..200u32, estimate in 1..10u32, actual in 0..30u32, released in any::<bool>(),
    ) {
        for algorithm in [Algorithm::SlidingWindow, Algorithm::FixedWindow] {
            let mut bench = Bench::new(vec![policy(algorithm, limit, 100_000)]);
            let costs = Costs::Same(f64::from(estimate));
            let hold = Some(Hold { id: 7, lasts: 50_000.0 });
            prop_assert_eq!(bench.run(Verb::Take { costs, hold, ahead: 0 }), Outcome::Done);
            bench.now += 10.0;
            let costs = (!released).then(|| Costs::Same(f64::from(actual)));
            prop_assert_eq!(bench.run(Verb::Settle { id: 7, costs: costs.clone() }), Outcome::Done);
            let counted = if released { 0.0 } else { f64::from(actual) };
            let left = (f64::from(limit) - counted).max(0.0);
            prop_assert_eq!(bench.standing(1).remaining, left);
            // Once.
            prop_assert_eq!(bench.run(Verb::Settle { id: 7, costs }), Outcome::Known);
            prop_assert_eq!(bench.standing(1).remaining, left);
        }
    }

    #[test]
    fn a_state_that_was_written_down_is_the_same(steps in steps(), limit in 1..80u32) {
        let policies = vec![
            policy(Algorithm::SlidingWindow, limit, 10_000),
            policy(Algorithm::Concurrency, limit, 2_000),
            policy(Algorithm::TokenBucket, limit, 9_000),
        ];
        let mut bench = Bench::new(policies);
        for (id, (wait, cost)) in (1u64..).zip(steps) {
            bench.now += f64::from(wait);
            let costs = Costs::Same(f64::from(cost));
            let hold = Some(Hold { id, lasts: 3_000.0 });
            bench.run(Verb::Take { costs: costs.clone(), hold, ahead: 0 });
            if id % 3 == 0 {
                bench.run(Verb::Settle { id: id - 1, costs: Some(costs) });
            }
            bench.state.note(f64::from(cost), id as f64);
        }
        let bytes = bench.state.encode(&bench.limiter);
        prop_assert_eq!(State::decode(&bench.limiter, &bytes).unwrap(), bench.state);
    }

    #[test]
    fn what_is_charged_later_is_charged_as_if_it_had_been_known(
        limit in 1..80u32, steps in steps(), mixed in any::<u64>(),
    ) {
        let policies = || vec![policy(Algorithm::SlidingWindow, limit, 10_000)];
        let (mut live, mut late) = (Bench::new(policies()), Bench::new(policies()));
        let mut charges = Vec::new();
        for (wait, cost) in steps {
            live.now += f64::from(wait);
            if live.take(cost) {
                charges.push((live.now, cost));
            }
        }
        late.now = live.now;
        // In whatever order they come.
        charges.sort_by_key(|(at, _)| (*at as u64).wrapping_mul(mixed | 1));
        for (at, cost) in charges {
            let verb = Verb::Take { costs: Costs::Same(f64::from(cost)), hold: None, ahead: 0 };
            let how = How { now: late.now, forced: true, at, instances: 1.0, alone: false };
            late.state.apply(&late.limiter, &verb, how);
        }
        let (known, charged) = (live.standing(1).remaining, late.standing(1).remaining);
        // What was put together comes free together.
        let exact = f64::from(limit) <= EXACT;
        prop_assert!(charged == known || (!exact && charged > known));
    }

    #[test]
    fn shares_together_are_no_more_than_the_limit(limit in 1..100u32, instances in 1..12u32) {
        let mut sum = 0;
        let weight = f64::from(instances);
        for _ in 0..instances {
            let mut bench = Bench::new(vec![policy(Algorithm::SlidingWindow, limit, 10_000)]);
            bench.weight = weight;
            let mut own = 0;
            while bench.take(1) {
                own += 1;
            }
            prop_assert!(own >= 1);
            sum += own;
        }
        prop_assert!(sum <= limit.max(instances));
    }
}

#[test]
fn a_window_begins_with_its_first_unit_and_ends_at_once() {
    let mut bench = Bench::new(vec![policy(Algorithm::FixedWindow, 2, 1_000)]);
    assert!(bench.take(2));
    bench.now += 999.0;
    assert!(!bench.take(1));
    bench.now += 1.0;
    assert!(bench.take(2));
}

#[test]
fn all_policies_are_charged_or_none() {
    let mut bench = Bench::new(vec![
        policy(Algorithm::SlidingWindow, 10, 1_000),
        policy(Algorithm::FixedWindow, 3, 9_000),
    ]);
    assert!(bench.take(3));
    assert!(!bench.take(1));
    bench.state.advance(&bench.limiter, bench.now);
    let at = (bench.now, 1.0);
    let verb = Verb::Peek;
    let decision = bench.state.decision(&bench.limiter, &verb, Outcome::Done, Source::Local, at);
    let left: Vec<f64> = decision.standings.iter().map(|one| one.remaining).collect();
    assert_eq!(left, [7.0, 0.0]);
}

#[test]
fn a_slot_is_free_again_when_it_is_given_back_or_over() {
    let mut bench = Bench::new(vec![policy(Algorithm::Concurrency, 2, 1_000)]);
    let take = |id| Verb::Take {
        costs: Costs::Same(1.0),
        hold: Some(Hold { id, lasts: 1_000.0 }),
        ahead: 0,
    };
    assert_eq!(bench.run(take(1)), Outcome::Done);
    bench.now += 500.0;
    assert_eq!(bench.run(take(2)), Outcome::Done);
    assert_eq!(bench.run(take(3)), Outcome::Refused);
    assert_eq!(bench.standing(1).retry, 500.0);
    assert_eq!(bench.run(Verb::Renew(Hold { id: 1, lasts: 1_000.0 })), Outcome::Done);
    bench.now += 999.0;
    assert_eq!(bench.run(take(3)), Outcome::Refused);
    assert_eq!(bench.run(Verb::Settle { id: 1, costs: None }), Outcome::Done);
    assert_eq!(bench.run(take(3)), Outcome::Done);
    bench.now += 1.0;
    assert_eq!(bench.run(take(4)), Outcome::Done);
    // Its place is somebody else's now.
    assert_eq!(bench.run(Verb::Renew(Hold { id: 2, lasts: 1_000.0 })), Outcome::Refused);
    assert_eq!(bench.run(Verb::Settle { id: 4, costs: None }), Outcome::Done);
    assert_eq!(bench.run(Verb::Renew(Hold { id: 2, lasts: 1_000.0 })), Outcome::Done);
}

#[test]
fn a_reservation_that_nobody_settles_comes_back_and_counts_when_it_is_settled_late() {
    let mut bench = Bench::new(vec![policy(Algorithm::SlidingWindow, 100, 60_000)]);
    let take = Verb::Take {
        costs: Costs::Same(80.0),
        hold: Some(Hold { id: 9, lasts: 1_000.0 }),
        ahead: 0,
    };
    assert_eq!(bench.run(take), Outcome::Done);
    assert_eq!(bench.standing(1).remaining, 20.0);
    bench.now += 1_000.0;
    assert_eq!(bench.standing(1).remaining, 100.0);
    let settle = Verb::Settle { id: 9, costs: Some(Costs::Same(70.0)) };
    assert_eq!(bench.run(settle.clone()), Outcome::Done);
    assert_eq!(bench.run(settle), Outcome::Known);
    assert_eq!(bench.standing(1).remaining, 30.0);
}

proptest! {
    #[test]
    fn what_is_taken_ahead_and_not_used_leaves_nothing(
        mixed in any::<bool>(),
        steps in prop::collection::vec((1_u32..400_000, 1_u32..100, 0_u32..100), 1..60),
    ) {
        let mut policies = vec![policy(Algorithm::SlidingWindow, 1_000_000, 8_000_000)];
        if mixed {
            policies.push(policy(Algorithm::FixedWindow, 1_000_000, 3_600_000_000));
        }
        let limiter = limiter(policies);
        let mut state = State::default();
        let (mut now, mut taken) = (1e12, Vec::new());
        for (passed, ahead, used) in steps {
            now += f64::from(passed);
            let how = How { now, forced: false, at: now, instances: 1.0, alone: false };
            let take = Verb::Take { costs: Costs::Same(1.0), hold: None, ahead };
            prop_assert_eq!(state.apply(&limiter, &take, how), Outcome::Done);
            let used = used.min(state.granted);
            let left = state.granted - used;
            taken.push((now, f64::from(used + 1)));
            if left > 0 {
                let time = if mixed { now } else { now + limiter.lease };
                now += limiter.lease;
                let how = How { now, at: now, ..how };
                let back = Verb::Return { costs: Costs::Same(f64::from(left)), time };
                state.apply(&limiter, &back, how);
            }
        }
        state.advance(&limiter, now);
        // What was taken in the last window counts, and nothing from longer ago than four grains before it: one is the
        // window's own, the others come of giving back the older units first.
        let since = |span: f64| -> f64 {
            taken.iter().filter(|(at, _)| *at > now - span).map(|(_, units)| units).sum()
        };
        prop_assert!(state.parts[0].used >= since(8e6));
        prop_assert!(state.parts[0].used <= since(8e6 + 4.0 * 8e6 / GRAINS));
        if mixed {
            prop_assert_eq!(state.parts[1].used, since(f64::INFINITY));
        }
    }
}

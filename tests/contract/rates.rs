//! The cases of limits.
use std::sync::Arc;

use holdfast::backend::rate::{
    Algorithm, Costs, Decision, EXACT, GRAINS, Hold, Limiter, Mode, Outcome, Policy, Verb,
};

use crate::cases::Cases;

/// Limits of these algorithms, each of so many in so many ms.
fn limiter(limits: &[(Algorithm, u32, u32)]) -> Arc<Limiter> {
    let policies = limits.iter().enumerate().map(|(at, &(algorithm, limit, window_ms))| {
        let (limit, window) = (f64::from(limit), f64::from(window_ms) * 1000.0);
        let step = match algorithm {
            Algorithm::SlidingWindow if limit > EXACT => window / GRAINS,
            Algorithm::TokenBucket => window / limit,
            _ => 0.0,
        };
        let id = [b'r', at as u8, algorithm.code(), 0];
        Policy { name: format!("p{at}"), id, algorithm, limit, window, step, mode: Mode::Local }
    });
    Arc::new(Limiter::new("contract".into(), policies.collect(), true))
}

fn take(cost: u32) -> Verb {
    Verb::Take { costs: Costs::Same(f64::from(cost)), hold: None, ahead: 0 }
}

fn hold(cost: u32, id: u64, lasts_ms: u32) -> Verb {
    let hold = Some(Hold { id, lasts: f64::from(lasts_ms) * 1000.0 });
    Verb::Take { costs: Costs::Same(f64::from(cost)), hold, ahead: 0 }
}

fn settle(id: u64, cost: Option<u32>) -> Verb {
    Verb::Settle { id, costs: cost.map(|cost| Costs::Same(f64::from(cost))) }
}

fn left(decision: &Decision) -> Vec<f64> {
    decision.standings.iter().map(|standing| standing.remaining).collect()
}

const RATES: [Algorithm; 3] =
    [Algorithm::SlidingWindow, Algorithm::TokenBucket, Algorithm::FixedWindow];

pub fn rate() -> Cases {
    Cases {
        success: case!(|s| {
            for algorithm in RATES {
                let limiter = limiter(&[(algorithm, 5, 60_000)]);
                let key = format!("{algorithm:?}");
                let first = s.rate(&key, &limiter, take(3)).await;
                assert_eq!((first.outcome, left(&first)), (Outcome::Done, vec![2.0]));
                let second = s.rate(&key, &limiter, take(3)).await;
                assert_eq!((second.outcome, left(&second)), (Outcome::Refused, vec![2.0]));
                assert!(second.standings[0].retry > 0.0);
                let third = s.rate(&key, &limiter, take(2)).await;
                assert_eq!((third.outcome, left(&third)), (Outcome::Done, vec![0.0]));
                let never = s.rate(&key, &limiter, take(6)).await;
                assert_eq!(never.outcome, Outcome::Refused);
                assert_eq!(never.standings[0].retry, f64::INFINITY);
            }
        }),
        absence: case!(|s| {
            let limiter = limiter(&[(Algorithm::SlidingWindow, 5, 60_000)]);
            let looked = s.rate("none", &limiter, Verb::Peek).await;
            assert_eq!((looked.outcome, left(&looked)), (Outcome::Done, vec![5.0]));
            assert_eq!(s.rate("none", &limiter, settle(7, None)).await.outcome, Outcome::Known);
            // What nobody knows to be held counts when it is said what it came to; once.
            let settled = s.rate("none", &limiter, settle(7, Some(2))).await;
            assert_eq!((settled.outcome, left(&settled)), (Outcome::Done, vec![3.0]));
            let again = s.rate("none", &limiter, settle(7, Some(2))).await;
            assert_eq!((again.outcome, left(&again)), (Outcome::Known, vec![3.0]));
        }),
        expiry: case!(|s| {
            for algorithm in RATES {
                let limiter = limiter(&[(algorithm, 2, 80)]);
                let key = format!("{algorithm:?}");
                assert_eq!(s.rate(&key, &limiter, take(2)).await.outcome, Outcome::Done);
                assert_eq!(s.rate(&key, &limiter, take(2)).await.outcome, Outcome::Refused);
                let free = async |s: &mut crate::subject::Subject| {
                    s.rate(&key, &limiter, take(2)).await.outcome == Outcome::Done
                };
                s.until(free).await;
            }
        }),
        wrong_type: case!(|s| {
            let limiter = limiter(&[(Algorithm::FixedWindow, 1, 60_000)]);
            let key = s.key("list");
            s.plant_list(&key).await;
            // What nobody wrote down so says nothing.
            let taken = s.rate_at(key.clone(), &limiter, take(1)).await;
            assert_eq!(taken.outcome, Outcome::Done);
            assert_eq!(s.rate_at(key, &limiter, take(1)).await.outcome, Outcome::Refused);
        }),
        more: &[
            (
                "all limits are charged or none",
                case!(|s| {
                    let limiter = limiter(&[
                        (Algorithm::SlidingWindow, 10, 60_000),
                        (Algorithm::FixedWindow, 3, 60_000),
                    ]);
                    let taken = s.rate("a", &limiter, take(3)).await;
                    assert_eq!((taken.outcome, left(&taken)), (Outcome::Done, vec![7.0, 0.0]));
                    let refused = s.rate("a", &limiter, take(1)).await;
                    assert_eq!(
                        (refused.outcome, left(&refused)),
                        (Outcome::Refused, vec![7.0, 0.0])
                    );
                    assert_eq!(refused.standings[0].retry, 0.0, "there is room in the first");
                }),
            ),
            (
                "what is reserved counts as what it came to, or not at all",
                case!(|s| {
                    let limiter = limiter(&[(Algorithm::SlidingWindow, 100, 60_000)]);
                    let held = s.rate("a", &limiter, hold(60, 1, 30_000)).await;
                    assert_eq!((held.id, left(&held)), (1, vec![40.0]));
                    assert_eq!(
                        s.rate("a", &limiter, hold(60, 2, 30_000)).await.outcome,
                        Outcome::Refused
                    );
                    let settled = s.rate("a", &limiter, settle(1, Some(10))).await;
                    assert_eq!((settled.outcome, left(&settled)), (Outcome::Done, vec![90.0]));
                    s.rate("a", &limiter, hold(60, 3, 30_000)).await;
                    let released = s.rate("a", &limiter, settle(3, None)).await;
                    assert_eq!((released.outcome, left(&released)), (Outcome::Done, vec![90.0]));
                }),
            ),
            (
                "what is reserved and never settled comes back",
                case!(|s| {
                    let limiter = limiter(&[(Algorithm::FixedWindow, 5, 60_000)]);
                    s.rate("a", &limiter, hold(5, 1, 60)).await;
                    s.until(async |s| left(&s.rate("a", &limiter, Verb::Peek).await) == vec![5.0])
                        .await;
                }),
            ),
            (
                "slots are taken, kept, given back, and end by themselves",
                case!(|s| {
                    let limiter = limiter(&[(Algorithm::Concurrency, 2, 30_000)]);
                    assert_eq!(left(&s.rate("a", &limiter, hold(1, 1, 60)).await), vec![1.0]);
                    assert_eq!(left(&s.rate("a", &limiter, hold(1, 2, 30_000)).await), vec![0.0]);
                    assert_eq!(
                        s.rate("a", &limiter, hold(1, 3, 60)).await.outcome,
                        Outcome::Refused
                    );
                    let keep = Verb::Renew(Hold { id: 2, lasts: 30e6 });
                    assert_eq!(s.rate("a", &limiter, keep).await.outcome, Outcome::Done);
                    s.until(async |s| {
                        s.rate("a", &limiter, hold(1, 3, 30_000)).await.outcome == Outcome::Done
                    })
                    .await;
                    assert_eq!(s.rate("a", &limiter, settle(2, None)).await.outcome, Outcome::Done);
                    assert_eq!(left(&s.rate("a", &limiter, Verb::Peek).await), vec![1.0]);
                }),
            ),
            (
                "what is refunded or reset is free again",
                case!(|s| {
                    for algorithm in RATES {
                        let limiter = limiter(&[(algorithm, 5, 60_000)]);
                        let key = format!("{algorithm:?}");
                        s.rate(&key, &limiter, take(5)).await;
                        let costs = Costs::Same(2.0);
                        let refunded = s.rate(&key, &limiter, Verb::Refund(costs)).await;
                        assert_eq!(left(&refunded), vec![2.0]);
                        assert_eq!(left(&s.rate(&key, &limiter, Verb::Reset).await), vec![5.0]);
                    }
                }),
            ),
            (
                "keys count for themselves",
                case!(|s| {
                    let limiter = limiter(&[(Algorithm::SlidingWindow, 1, 60_000)]);
                    for key in ["a", "b", "a:b", "{a}"] {
                        assert_eq!(s.rate(key, &limiter, take(1)).await.outcome, Outcome::Done);
                        assert_eq!(s.rate(key, &limiter, take(1)).await.outcome, Outcome::Refused);
                    }
                }),
            ),
        ],
    }
}

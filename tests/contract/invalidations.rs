//! The cases of what makes values old without writing them.
use holdfast::backend::{Ask, Policy, Removal, Reply};

use crate::cases::{Cases, FLAG};
use crate::subject::asking;

pub fn expire() -> Cases {
    Cases {
        success: case!(|s| {
            let key = s.key("a");
            s.set(&key, "value", None).await.unwrap();
            assert_eq!(s.expire(&key).await, FLAG(true));
            assert_eq!(s.get(&key).await, None);
            assert!(!s.exists(&key).await);
            let found = s.get_stale(&key).await.unwrap();
            assert_eq!((found.payload, found.fresh_ms), ("value".into(), Some(0)));
            assert_eq!(s.expire(&key).await, FLAG(true), "it is still there");
            s.set(&key, "again", None).await.unwrap();
            assert_eq!(s.get(&key).await.unwrap(), "again");
        }),
        absence: case!(|s| {
            let key = s.key("none");
            assert_eq!(s.expire(&key).await, FLAG(false));
            assert_eq!(s.get_stale(&key).await, None);
        }),
        expiry: case!(|s| {
            let key = s.key("a");
            s.set(&key, "value", Some(200)).await.unwrap();
            assert_eq!(s.expire(&key).await, FLAG(true));
            let found = s.get_stale(&key).await.unwrap();
            assert!((1..=200).contains(&found.ttl_ms.unwrap()), "its life is what it was");
            s.until(async |s| s.get_stale(&key).await.is_none()).await;
            assert_eq!(s.expire(&key).await, FLAG(false));
        }),
        wrong_type: case!(|s| {
            let key = s.key("list");
            let planted = s.plant_list(&key).await;
            assert_eq!(s.expire(&key).await, FLAG(planted));
            assert_eq!(s.get_stale(&key).await, None, "it can't be stale, so it is gone");
        }),
        more: &[
            (
                "a load that is under way does not fill",
                case!(|s| {
                    for stored in [true, false] {
                        let key = s.key(if stored { "a" } else { "b" });
                        if stored {
                            s.set(&key, "value", None).await.unwrap();
                        }
                        let lease = s.lease_with(&key, Ask { force: true, ..asking() }).await;
                        assert_eq!(s.expire(&key).await, FLAG(stored));
                        assert_eq!(s.fill(&key, lease, "old", None).await, FLAG(false));
                        assert_eq!(s.get(&key).await, None);
                    }
                }),
            ),
            (
                "what is loaded afterwards is fresh",
                case!(|s| {
                    let key = s.key("a");
                    s.set(&key, "value", None).await.unwrap();
                    s.expire(&key).await.unwrap();
                    let loading = s.loading(&key, asking()).await;
                    assert_eq!(loading.stale.unwrap().payload, "value");
                    let filled = s.fill(&key, loading.lease.unwrap(), "loaded", None).await;
                    assert_eq!(filled, FLAG(true));
                    assert_eq!(s.get(&key).await.unwrap(), "loaded");
                }),
            ),
            (
                "all that comes with a value stays",
                case!(|s| {
                    let key = s.key("a");
                    let policy = Policy { fresh_ms: Some(60_000), load_ms: 7, ..s.tags(&["t"]) };
                    s.set_with(&key, "value", None, policy).await.unwrap();
                    s.expire(&key).await.unwrap();
                    let found = s.get_stale(&key).await.unwrap();
                    assert_eq!(
                        (found.fresh_ms, found.load_ms, found.tagged.is_some()),
                        (Some(0), 7, true)
                    );
                    s.invalidate("t", Removal::Delete).await.unwrap();
                    assert_eq!(s.get_stale(&key).await, None);
                }),
            ),
        ],
    }
}

pub fn invalidate() -> Cases {
    Cases {
        success: case!(|s| {
            let (one, two, other) = (s.key("a"), s.key("b"), s.key("c"));
            let (policy, others) = (s.tags(&["t"]), s.tags(&["another"]));
            s.set_with(&one, "one", None, policy.clone()).await.unwrap();
            s.set_with(&two, "two", None, policy).await.unwrap();
            s.set_with(&other, "other", None, others).await.unwrap();
            assert_eq!(s.invalidate("t", Removal::Delete).await, FLAG(true));
            assert_eq!(s.get_stale(&one).await, None);
            assert!(!s.exists(&two).await);
            assert!(
                matches!(s.load(&two).await, Reply::Loading(loading) if loading.stale.is_none())
            );
            assert_eq!(s.get(&other).await.unwrap(), "other");
        }),
        absence: case!(|s| {
            for removal in [Removal::Delete, Removal::Expire] {
                assert_eq!(s.invalidate("t", removal).await, FLAG(true));
                assert_eq!(s.invalidate("t", removal).await, FLAG(true));
            }
            let key = s.key("a");
            let policy = s.tags(&["t"]);
            s.set_with(&key, "value", None, policy).await.unwrap();
            assert_eq!(s.get(&key).await.unwrap(), "value");
        }),
        expiry: case!(|s| {
            let key = s.key("a");
            let policy = s.tags(&["t"]);
            s.set_with(&key, "value", Some(200), policy).await.unwrap();
            assert_eq!(s.invalidate("t", Removal::Expire).await, FLAG(true));
            let found = s.get_stale(&key).await.unwrap();
            assert_eq!(found.fresh_ms, Some(0));
            s.until(async |s| s.get_stale(&key).await.is_none()).await;
        }),
        wrong_type: case!(|s| {
            let key = s.key("list");
            let planted = s.plant_list(&key).await;
            assert_eq!(s.invalidate("t", Removal::Delete).await, FLAG(true));
            if planted {
                assert!(s.exists(&key).await, "it has no tags");
            }
        }),
        more: &[
            (
                "a tag of any length and any letters is one tag",
                case!(|s| {
                    let key = s.key("a");
                    let long = "x".repeat(900);
                    for tag in ["", "{a}", "a}", "%7B", "größe:1*", &long] {
                        let policy = s.tags(&["other", tag]);
                        s.set_with(&key, "value", None, policy).await.unwrap();
                        assert_eq!(s.get(&key).await.unwrap(), "value", "{tag}");
                        s.invalidate(tag, Removal::Delete).await.unwrap();
                        assert_eq!(s.get_stale(&key).await, None, "{tag}");
                    }
                }),
            ),
            (
                "what was gone does not become stale by a later one",
                case!(|s| {
                    let key = s.key("a");
                    let policy = s.tags(&["t"]);
                    s.set_with(&key, "value", None, policy).await.unwrap();
                    s.invalidate("t", Removal::Delete).await.unwrap();
                    s.invalidate("t", Removal::Expire).await.unwrap();
                    assert_eq!(s.get_stale(&key).await, None);
                }),
            ),
        ],
    }
}

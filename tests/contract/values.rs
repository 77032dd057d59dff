//! The cases of values by themselves.
use holdfast::backend::{Operation, Policy, Removal, Reply};
use holdfast::base::error::ErrorKind;

use crate::cases::{Cases, FLAG};

pub fn get() -> Cases {
    Cases {
        success: case!(|s| {
            let key = s.key("a");
            s.set(&key, "value", None).await.unwrap();
            assert_eq!(s.get(&key).await.unwrap(), "value");
            let long = "x".repeat(300_000);
            s.set(&key, &long, None).await.unwrap();
            assert_eq!(s.get(&key).await.unwrap(), long);
        }),
        absence: case!(|s| {
            let key = s.key("none");
            assert_eq!(s.get(&key).await, None);
        }),
        expiry: case!(|s| {
            let key = s.key("a");
            s.set(&key, "value", Some(30)).await.unwrap();
            s.until_gone(&key).await;
            s.set(&key, "value", Some(3_000_000_000_000)).await.unwrap();
            assert_eq!(s.get(&key).await.unwrap(), "value", "95 years are no overflow");
        }),
        wrong_type: case!(|s| {
            let key = s.key("list");
            if s.plant_list(&key).await {
                let error = s.run(Operation::Get { key, stale: false }).await.unwrap_err();
                assert_eq!(error.kind, ErrorKind::Data);
            } else {
                assert_eq!(s.get(&key).await, None);
            }
        }),
        more: &[
            (
                "it tells what comes with a value",
                case!(|s| {
                    let key = s.key("a");
                    let policy = Policy { fresh_ms: Some(60_000), load_ms: 7, ..s.tags(&["t"]) };
                    s.set_with(&key, "value", Some(120_000), policy).await.unwrap();
                    let found = s.found(&key, false).await.unwrap();
                    assert!((1..=60_000).contains(&found.fresh_ms.unwrap()), "{found:?}");
                    assert!((60_000..=120_000).contains(&found.ttl_ms.unwrap()), "{found:?}");
                    assert!(found.age_ms < 60_000, "{found:?}");
                    assert_eq!((found.load_ms, found.tagged.is_some()), (7, true));
                    s.set(&key, "plain", None).await.unwrap();
                    let found = s.found(&key, false).await.unwrap();
                    assert_eq!(
                        (found.fresh_ms, found.load_ms, found.tagged.is_some()),
                        (None, 0, false)
                    );
                }),
            ),
            (
                "what is not fresh any more is for those who take what is stale",
                case!(|s| {
                    for (name, length) in [("small", 5), ("folded", 300_000), ("large", 3_000_000)]
                    {
                        let (key, text) = (s.key(name), "x".repeat(length));
                        let policy = Policy { fresh_ms: Some(20), load_ms: 7, ..Policy::default() };
                        s.set_with(&key, &text, Some(120_000), policy).await.unwrap();
                        s.until_gone(&key).await;
                        let found = s.get_stale(&key).await.unwrap();
                        assert!(found.payload == text, "{name}");
                        assert_eq!((found.fresh_ms, found.load_ms), (Some(0), 7), "{name}");
                        assert!((60_000..=120_000).contains(&found.ttl_ms.unwrap()), "{name}");
                    }
                }),
            ),
            (
                "what is fresh is the same for those who take what is stale",
                case!(|s| {
                    let key = s.key("a");
                    assert_eq!(s.get_stale(&key).await, None);
                    let policy = Policy { fresh_ms: Some(60_000), ..Policy::default() };
                    s.set_with(&key, "value", None, policy).await.unwrap();
                    let found = s.get_stale(&key).await.unwrap();
                    assert!(found.payload == "value" && found.fresh_ms > Some(0), "{found:?}");
                }),
            ),
        ],
    }
}

pub fn set() -> Cases {
    Cases {
        success: case!(|s| {
            let key = s.key("a");
            assert_eq!(s.set(&key, "one", None).await, FLAG(true));
            assert_eq!(s.set(&key, "two", None).await, FLAG(true));
            assert_eq!(s.get(&key).await.unwrap(), "two");
        }),
        absence: case!(|s| {
            let key = s.key("a");
            assert_eq!(s.set(&key, "", None).await, FLAG(true));
            assert_eq!(s.get(&key).await.unwrap(), "", "an empty value is a value");
        }),
        expiry: case!(|s| {
            let key = s.key("a");
            s.set(&key, "short", Some(30)).await.unwrap();
            s.set(&key, "for ever", None).await.unwrap();
            assert_eq!(s.found(&key, false).await.unwrap().ttl_ms, None);
        }),
        wrong_type: case!(|s| {
            let key = s.key("list");
            s.plant_list(&key).await;
            assert_eq!(s.set(&key, "mine", None).await, FLAG(true));
            assert_eq!(s.get(&key).await.unwrap(), "mine");
        }),
        more: &[
            (
                "it is gone with its tag, also for those who take what is stale",
                case!(|s| {
                    let (key, other) = (s.key("a"), s.key("b"));
                    let (policy, others) = (s.tags(&["t", "u"]), s.tags(&["v"]));
                    assert_eq!(s.set_with(&key, "value", None, policy).await, FLAG(true));
                    assert_eq!(s.set_with(&other, "other", None, others).await, FLAG(true));
                    assert_eq!(s.get(&key).await.unwrap(), "value");
                    s.invalidate("u", Removal::Delete).await.unwrap();
                    assert_eq!(s.get(&key).await, None);
                    assert_eq!(s.get_stale(&key).await, None);
                    assert_eq!(s.get(&other).await.unwrap(), "other");
                }),
            ),
            (
                "it is stale with its tag",
                case!(|s| {
                    let key = s.key("a");
                    let policy = s.tags(&["t", "u"]);
                    s.set_with(&key, "value", None, policy).await.unwrap();
                    s.invalidate("t", Removal::Expire).await.unwrap();
                    assert_eq!(s.get(&key).await, None);
                    let found = s.get_stale(&key).await.unwrap();
                    assert_eq!((found.payload, found.fresh_ms), ("value".into(), Some(0)));
                    s.invalidate("u", Removal::Delete).await.unwrap();
                    assert_eq!(s.get_stale(&key).await, None, "the worst of its tags counts");
                }),
            ),
            (
                "it is fresh at once after an invalidation of its tags",
                case!(|s| {
                    let key = s.key("a");
                    for removal in [Removal::Delete, Removal::Expire, Removal::Delete] {
                        s.invalidate("t", removal).await.unwrap();
                        let policy = s.tags(&["t"]);
                        assert_eq!(s.set_with(&key, "value", None, policy).await, FLAG(true));
                        assert_eq!(s.get(&key).await.unwrap(), "value");
                    }
                }),
            ),
            (
                "it lets go of the tags of what it replaces",
                case!(|s| {
                    let key = s.key("a");
                    let policy = s.tags(&["t"]);
                    s.set_with(&key, "value", None, policy).await.unwrap();
                    s.set(&key, "plain", None).await.unwrap();
                    s.invalidate("t", Removal::Delete).await.unwrap();
                    assert_eq!(s.get(&key).await.unwrap(), "plain");
                }),
            ),
            (
                "it is gone when nobody knows any more what its tag would say",
                case!(|s| {
                    let key = s.key("a");
                    let policy = s.tags(&["t", "u"]);
                    s.set_with(&key, "value", None, policy).await.unwrap();
                    assert_eq!(s.get(&key).await.unwrap(), "value");
                    if s.lose_marker("t").await {
                        s.until_gone(&key).await;
                        assert_eq!(s.get_stale(&key).await, None);
                        assert!(!s.exists(&key).await);
                        let policy = s.tags(&["t"]);
                        s.set_with(&key, "again", None, policy).await.unwrap();
                        assert_eq!(s.get(&key).await.unwrap(), "again");
                    }
                }),
            ),
        ],
    }
}

pub fn delete() -> Cases {
    Cases {
        success: case!(|s| {
            let key = s.key("a");
            s.set(&key, "value", None).await.unwrap();
            assert_eq!(s.delete(&key).await, FLAG(true));
            assert_eq!(s.get(&key).await, None);
            s.set(&key, "again", None).await.unwrap();
            assert_eq!(s.get(&key).await.unwrap(), "again");
        }),
        absence: case!(|s| {
            let key = s.key("none");
            assert_eq!(s.delete(&key).await, FLAG(false));
        }),
        expiry: case!(|s| {
            let key = s.key("a");
            s.set(&key, "value", Some(20)).await.unwrap();
            s.until_gone(&key).await;
            assert_eq!(s.delete(&key).await, FLAG(false));
        }),
        wrong_type: case!(|s| {
            let key = s.key("list");
            let planted = s.plant_list(&key).await;
            assert_eq!(s.delete(&key).await, FLAG(planted));
            assert_eq!(s.get(&key).await, None);
        }),
        more: &[],
    }
}

pub fn exists() -> Cases {
    Cases {
        success: case!(|s| {
            let key = s.key("a");
            s.set(&key, "null", None).await.unwrap();
            assert!(s.exists(&key).await);
        }),
        absence: case!(|s| {
            let key = s.key("none");
            assert!(!s.exists(&key).await);
        }),
        expiry: case!(|s| {
            let key = s.key("a");
            s.set(&key, "value", Some(20)).await.unwrap();
            s.until_gone(&key).await;
            assert!(!s.exists(&key).await);
        }),
        wrong_type: case!(|s| {
            let key = s.key("list");
            let planted = s.plant_list(&key).await;
            assert_eq!(s.exists(&key).await, planted);
        }),
        more: &[(
            "what is stale is not there, nor what is gone with its tag",
            case!(|s| {
                let (key, tagged) = (s.key("a"), s.key("b"));
                let policy = Policy { fresh_ms: Some(20), ..Policy::default() };
                s.set_with(&key, "value", None, policy).await.unwrap();
                s.until_gone(&key).await;
                assert!(!s.exists(&key).await);
                for removal in [Removal::Expire, Removal::Delete] {
                    let policy = s.tags(&["t"]);
                    s.set_with(&tagged, "value", None, policy).await.unwrap();
                    assert!(s.exists(&tagged).await);
                    s.invalidate("t", removal).await.unwrap();
                    assert!(!s.exists(&tagged).await, "{removal:?}");
                }
            }),
        )],
    }
}

pub fn clear() -> Cases {
    Cases {
        success: case!(|s| {
            for name in ["a", "b", "c*", "d{x}"] {
                let key = s.key(name);
                s.set(&key, "value", None).await.unwrap();
            }
            assert_eq!(s.clear(s.family()).await, Ok(Reply::Count(4)));
            assert_eq!(s.get(&s.key("a")).await, None);
        }),
        absence: case!(|s| {
            let near = s.keys.entry("Clear-absenceAbc", "a");
            s.set(&near, "a neighbour", None).await.unwrap();
            assert_eq!(s.clear(s.family()).await, Ok(Reply::Count(0)));
            assert_eq!(s.get(&near).await.unwrap(), "a neighbour");
        }),
        expiry: case!(|s| {
            let key = s.key("a");
            s.set(&key, "value", Some(20)).await.unwrap();
            s.until_gone(&key).await;
            assert_eq!(s.clear(s.family()).await, Ok(Reply::Count(0)));
        }),
        wrong_type: case!(|s| {
            let key = s.key("list");
            let planted = s.plant_list(&key).await;
            let answer = s.clear(s.family()).await;
            assert_eq!(answer, Ok(Reply::Count(u64::from(planted))));
        }),
        more: &[
            (
                "a pattern takes what it matches and nothing else",
                case!(|s| {
                    for name in ["user:1", "user:2", "users", "us*r:1", "a user:3"] {
                        let key = s.key(name);
                        s.set(&key, "value", None).await.unwrap();
                    }
                    assert_eq!(s.clear(s.pattern("user:*")).await, Ok(Reply::Count(2)));
                    assert_eq!(s.clear(s.pattern("us\\*r:?")).await, Ok(Reply::Count(1)));
                    assert_eq!(s.clear(s.pattern("nothing*")).await, Ok(Reply::Count(0)));
                    for (name, stays) in
                        [("user:1", false), ("us*r:1", false), ("users", true), ("a user:3", true)]
                    {
                        let key = s.key(name);
                        assert_eq!(s.exists(&key).await, stays, "{name}");
                    }
                }),
            ),
            (
                "a pattern voids the loads of what it matches, and no others",
                case!(|s| {
                    let (inside, outside) = (s.key("user:1"), s.key("other"));
                    let voided = s.lease(&inside).await;
                    let stands = s.lease(&outside).await;
                    assert_eq!(s.clear(s.pattern("user:*")).await, Ok(Reply::Count(0)));
                    assert_eq!(s.fill(&inside, voided, "old", None).await, FLAG(false));
                    assert_eq!(s.get(&inside).await, None);
                    assert_eq!(s.fill(&outside, stands, "loaded", None).await, FLAG(true));
                }),
            ),
            (
                "of everything with a tag it leaves what has none",
                case!(|s| {
                    let (tagged, plain) = (s.key("a"), s.key("b"));
                    let policy = s.tags(&["t"]);
                    s.set_with(&tagged, "value", None, policy).await.unwrap();
                    s.set(&plain, "value", None).await.unwrap();
                    assert_eq!(s.clear(s.tagged()).await, Ok(Reply::Count(1)));
                    assert_eq!(s.get_stale(&tagged).await, None);
                    assert!(s.exists(&plain).await);
                }),
            ),
            (
                "of everything with a tag it voids the loads that may bring one",
                case!(|s| {
                    let key = s.key("a");
                    let policy = s.tags(&["t"]);
                    let lease = s.lease(&key).await;
                    s.clear(s.tagged()).await.unwrap();
                    assert_eq!(s.fill_with(&key, lease, "old", None, policy).await, FLAG(false));
                    assert_eq!(s.get(&key).await, None);
                }),
            ),
            (
                "it takes what is stale and leaves what is newer than it",
                case!(|s| {
                    let (old, new) = (s.key("old"), s.key("new"));
                    s.set(&old, "value", None).await.unwrap();
                    s.expire(&old).await.unwrap();
                    let (scope, stamp) = (s.family(), s.stamps.next());
                    s.set(&new, "value", None).await.unwrap();
                    let answer = s.run(Operation::Clear { scope, stamp }).await;
                    assert_eq!(answer, Ok(Reply::Count(1)));
                    assert_eq!(s.get_stale(&old).await, None);
                    assert_eq!(s.get(&new).await.unwrap(), "value");
                }),
            ),
        ],
    }
}

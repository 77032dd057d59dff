//! The cases of loads.
use holdfast::backend::{Ask, Lease, Loading, Operation, Policy, Removal, Reply};
use holdfast::base::error::ErrorKind;

use crate::cases::{Cases, FLAG};
use crate::subject::asking;

pub fn load() -> Cases {
    Cases {
        success: case!(|s| {
            let key = s.key("a");
            s.set(&key, "value", None).await.unwrap();
            assert!(matches!(s.load(&key).await, Reply::Entry(found) if found.payload == "value"));
        }),
        absence: case!(|s| {
            let key = s.key("a");
            let first = s.lease(&key).await;
            let Loading { lease, wait_ms, stale, .. } = s.loading(&key, asking()).await;
            assert_eq!((lease, stale), (None, None), "somebody loads it already");
            assert!((1..=60_000).contains(&wait_ms), "{wait_ms}");
            // A load that asks again still has it.
            let again = Ask { token: first.token, ..asking() };
            assert_eq!(s.lease_with(&key, again).await.token, first.token);
        }),
        expiry: case!(|s| {
            let key = s.key("a");
            s.set(&key, "value", Some(20)).await.unwrap();
            s.until_gone(&key).await;
            s.lease(&key).await;
        }),
        wrong_type: case!(|s| {
            let key = s.key("list");
            if s.plant_list(&key).await {
                let error = s.run(Operation::Load { key, ask: asking() }).await.unwrap_err();
                assert_eq!(error.kind, ErrorKind::Data);
            } else {
                s.lease(&key).await;
            }
        }),
        more: &[
            (
                "whoever waits takes nothing from whoever loads",
                case!(|s| {
                    let key = s.key("a");
                    let lease = s.lease(&key).await;
                    assert_eq!(s.loading(&key, asking()).await.lease, None);
                    assert_eq!(s.fill(&key, lease, "loaded", None).await, FLAG(true));
                    assert!(
                        matches!(s.load(&key).await, Reply::Entry(found) if found.payload == "loaded")
                    );
                }),
            ),
            (
                "a lease that ended is taken over",
                case!(|s| {
                    let key = s.key("a");
                    let first = s.lease_with(&key, Ask { lease_ms: 20, ..asking() }).await;
                    let second = s.until_leased(&key).await;
                    assert_ne!(first.token, second.token);
                    assert_eq!(s.fill(&key, first, "first", None).await, FLAG(false));
                    assert_eq!(s.fill(&key, second, "second", None).await, FLAG(true));
                }),
            ),
            (
                "a load may share the lease",
                case!(|s| {
                    let key = s.key("a");
                    let first = s.lease(&key).await;
                    let second = s.lease_with(&key, Ask { share: true, ..asking() }).await;
                    assert_eq!(second.token, first.token);
                    assert_eq!(s.fill(&key, second, "second", None).await, FLAG(true));
                    assert_eq!(
                        s.fill(&key, first, "first", None).await,
                        FLAG(false),
                        "one is enough"
                    );
                    assert_eq!(s.get(&key).await.unwrap(), "second");
                    let alone = s.key("b");
                    s.lease_with(&alone, Ask { share: true, ..asking() }).await;
                }),
            ),
            (
                "whoever shares a lease leaves it to whoever had it",
                case!(|s| {
                    let key = s.key("a");
                    let first = s.lease(&key).await;
                    s.lease_with(&key, Ask { share: true, ..asking() }).await;
                    assert_eq!(s.fill(&key, first, "first", None).await, FLAG(true));
                    assert_eq!(s.get(&key).await.unwrap(), "first");
                }),
            ),
            (
                "a load may be forced, whatever stands there and whoever loads",
                case!(|s| {
                    let key = s.key("a");
                    s.set(&key, "before", None).await.unwrap();
                    let first = s.lease_with(&key, Ask { force: true, ..asking() }).await;
                    let second = s.lease_with(&key, Ask { force: true, ..asking() }).await;
                    assert_eq!(second.token, first.token);
                    assert_eq!(s.get(&key).await.unwrap(), "before", "until it is loaded");
                    assert_eq!(s.fill(&key, second, "after", None).await, FLAG(true));
                    assert_eq!(s.get(&key).await.unwrap(), "after");
                }),
            ),
            (
                "a load may renew what is fresh, unless somebody else does",
                case!(|s| {
                    let key = s.key("a");
                    let renewing = || Ask { refresh: true, ..asking() };
                    s.set(&key, "before", None).await.unwrap();
                    let lease = s.lease_with(&key, renewing()).await;
                    let others = s.loading(&key, renewing()).await;
                    assert!(others.lease.is_none() && others.wait_ms > 0, "{others:?}");
                    assert!(matches!(s.load(&key).await, Reply::Entry(_)), "it is still fresh");
                    assert_eq!(s.hold(&key, lease, 60_000).await, FLAG(true));
                    let (none, shared) = (s.key("none"), Ask { share: true, ..renewing() });
                    let second = s.lease_with(&key, shared).await;
                    assert_eq!(second.token, lease.token);
                    assert_eq!(s.fill(&key, second, "after", None).await, FLAG(true));
                    assert_eq!(s.get(&key).await.unwrap(), "after");
                    s.lease_with(&none, renewing()).await;
                }),
            ),
            (
                "a forced load is handed what is there",
                case!(|s| {
                    let key = s.key("a");
                    s.set(&key, "before", None).await.unwrap();
                    let loading = s.loading(&key, Ask { force: true, ..asking() }).await;
                    assert_eq!(loading.stale.unwrap().payload, "before");
                }),
            ),
            (
                "what is stale is handed along, to whoever loads and to whoever waits",
                case!(|s| {
                    for (name, length) in [("small", 5), ("folded", 300_000), ("large", 3_000_000)]
                    {
                        let (key, text) = (s.key(name), "x".repeat(length));
                        let policy = Policy { fresh_ms: Some(20), load_ms: 7, ..Policy::default() };
                        s.set_with(&key, &text, None, policy).await.unwrap();
                        s.until_gone(&key).await;
                        for leased in [true, false] {
                            let loading = s.loading(&key, asking()).await;
                            assert_eq!(loading.lease.is_some(), leased);
                            assert_eq!(loading.wait_ms > 0, !leased);
                            let stale = loading.stale.unwrap();
                            assert!(stale.payload == text, "{name}");
                            assert_eq!((stale.fresh_ms, stale.load_ms), (Some(0), 7));
                        }
                    }
                }),
            ),
            (
                "what is gone with its tag is not handed along, what is stale is",
                case!(|s| {
                    let key = s.key("a");
                    let policy = s.tags(&["t"]);
                    s.set_with(&key, "value", None, policy).await.unwrap();
                    s.invalidate("t", Removal::Expire).await.unwrap();
                    let loading = s.loading(&key, Ask { lease_ms: 0, ..asking() }).await;
                    assert_eq!(loading.stale.unwrap().payload, "value");
                    s.invalidate("t", Removal::Delete).await.unwrap();
                    let loading = s.loading(&key, asking()).await;
                    assert!(loading.lease.is_some() && loading.stale.is_none());
                }),
            ),
            (
                "what is loaded after an invalidation of its tags is fresh at once",
                case!(|s| {
                    let key = s.key("a");
                    for removal in [Removal::Delete, Removal::Expire, Removal::Delete] {
                        s.invalidate("t", removal).await.unwrap();
                        let policy = s.tags(&["t", "u"]);
                        let ask = Ask { tags: policy.tags.clone(), ..asking() };
                        let lease = s.lease_with(&key, ask).await;
                        let filled = s.fill_with(&key, lease, "loaded", None, policy).await;
                        assert_eq!(filled, FLAG(true), "{removal:?}");
                        assert_eq!(s.get(&key).await.unwrap(), "loaded");
                    }
                }),
            ),
            (
                "a load forgets what it asked for when its key is deleted",
                case!(|s| {
                    let key = s.key("a");
                    s.lease(&key).await;
                    s.delete(&key).await.unwrap();
                    s.lease(&key).await;
                }),
            ),
        ],
    }
}

pub fn fill() -> Cases {
    Cases {
        success: case!(|s| {
            let key = s.key("a");
            let lease = s.lease(&key).await;
            assert_eq!(s.fill(&key, lease, "loaded", None).await, FLAG(true));
            assert_eq!(s.get(&key).await.unwrap(), "loaded");
            assert_eq!(s.fill(&key, lease, "twice", None).await, FLAG(false));
        }),
        absence: case!(|s| {
            let key = s.key("a");
            let lease = s.lease(&key).await;
            s.delete(&key).await.unwrap();
            assert_eq!(s.fill(&key, lease, "old", None).await, FLAG(false));
            assert_eq!(s.get(&key).await, None, "what was deleted during the load stays deleted");
            let lease = s.lease(&key).await;
            s.set(&key, "newer", None).await.unwrap();
            assert_eq!(s.fill(&key, lease, "old", None).await, FLAG(false));
            assert_eq!(s.get(&key).await.unwrap(), "newer");
            let lease = Lease { token: 7, start: s.stamps.next() };
            assert_eq!(s.fill(&s.key("none"), lease, "forged", None).await, FLAG(false));
        }),
        expiry: case!(|s| {
            let key = s.key("a");
            let lease = s.lease(&key).await;
            s.fill(&key, lease, "loaded", Some(30)).await.unwrap();
            s.until_gone(&key).await;
        }),
        wrong_type: case!(|s| {
            let key = s.key("a");
            let lease = s.lease(&key).await;
            let planted = s.plant_list(&key).await;
            assert_eq!(s.fill(&key, lease, "loaded", None).await, FLAG(!planted));
        }),
        more: &[
            (
                "it replaces what is stale, with all that comes with it",
                case!(|s| {
                    let key = s.key("a");
                    s.set(&key, "before", None).await.unwrap();
                    s.expire(&key).await.unwrap();
                    let policy = Policy { fresh_ms: Some(60_000), load_ms: 9, ..s.tags(&["t"]) };
                    let ask = Ask { tags: policy.tags.clone(), ..asking() };
                    let loading = s.loading(&key, ask).await;
                    assert_eq!(loading.stale.unwrap().payload, "before");
                    let lease = loading.lease.unwrap();
                    let filled = s.fill_with(&key, lease, "after", Some(90_000), policy).await;
                    assert_eq!(filled, FLAG(true));
                    let found = s.found(&key, false).await.unwrap();
                    assert_eq!(
                        (found.payload, found.load_ms, found.tagged.is_some()),
                        ("after".into(), 9, true)
                    );
                    assert!((1..=60_000).contains(&found.fresh_ms.unwrap()));
                    assert!((60_000..=90_000).contains(&found.ttl_ms.unwrap()));
                }),
            ),
            (
                "it replaces what was written right after an invalidation",
                case!(|s| {
                    let key = s.key("a");
                    s.invalidate("t", Removal::Delete).await.unwrap();
                    let policy = s.tags(&["t"]);
                    assert_eq!(s.set_with(&key, "before", None, policy).await, FLAG(true));
                    let lease = s.lease_with(&key, Ask { force: true, ..asking() }).await;
                    assert_eq!(s.fill(&key, lease, "after", None).await, FLAG(true));
                    assert_eq!(s.get(&key).await.unwrap(), "after");
                }),
            ),
            (
                "its tags bind it",
                case!(|s| {
                    let key = s.key("a");
                    for (removal, stale) in [(Removal::Expire, true), (Removal::Delete, false)] {
                        let policy = s.tags(&["t"]);
                        let ask = Ask { tags: policy.tags.clone(), force: true, ..asking() };
                        let lease = s.lease_with(&key, ask).await;
                        let filled = s.fill_with(&key, lease, "loaded", None, policy).await;
                        assert_eq!(filled, FLAG(true));
                        s.invalidate("t", removal).await.unwrap();
                        assert_eq!(s.get(&key).await, None);
                        assert_eq!(s.get_stale(&key).await.is_some(), stale);
                    }
                }),
            ),
            (
                "one whose tag was invalidated meanwhile is refused",
                case!(|s| {
                    for removal in [Removal::Delete, Removal::Expire] {
                        let key = s.key(&format!("{removal:?}"));
                        let policy = s.tags(&["t", "u"]);
                        let ask = Ask { tags: policy.tags.clone(), ..asking() };
                        let lease = s.lease_with(&key, ask).await;
                        s.invalidate("u", removal).await.unwrap();
                        let filled = s.fill_with(&key, lease, "old", None, policy).await;
                        assert_eq!(filled, FLAG(false), "{removal:?}");
                        assert_eq!(s.get(&key).await, None);
                        assert!(!s.exists(&key).await);
                    }
                }),
            ),
            (
                "one with a tag that nobody knew says truly whether it was kept",
                case!(|s| {
                    let key = s.key("a");
                    let policy = s.tags(&["t"]);
                    let lease = s.lease(&key).await;
                    let filled = s.fill_with(&key, lease, "loaded", None, policy).await;
                    let kept = s.get(&key).await.is_some();
                    assert_eq!(filled, FLAG(kept));
                }),
            ),
            (
                "one with a tag that it learnt while it loaded is fresh too",
                case!(|s| {
                    let key = s.key("a");
                    let known = s.tags(&["t"]);
                    s.set_with(&s.key("b"), "value", None, known.clone()).await.unwrap();
                    let lease = s.lease(&key).await;
                    assert_eq!(s.fill_with(&key, lease, "loaded", None, known).await, FLAG(true));
                    assert_eq!(s.get(&key).await.unwrap(), "loaded");
                }),
            ),
        ],
    }
}

pub fn hold() -> Cases {
    Cases {
        success: case!(|s| {
            let key = s.key("a");
            let lease = s.lease_with(&key, Ask { lease_ms: 50, ..asking() }).await;
            assert_eq!(s.hold(&key, lease, 60_000).await, FLAG(true));
            let others = s.loading(&key, asking()).await;
            assert!(others.lease.is_none() && others.wait_ms > 30_000, "{others:?}");
        }),
        absence: case!(|s| {
            let key = s.key("a");
            let forged = Lease { token: 7, start: s.stamps.next() };
            assert_eq!(s.hold(&key, forged, 60_000).await, FLAG(false));
            let lease = s.lease(&key).await;
            assert_eq!(s.hold(&key, forged, 0).await, FLAG(false));
            assert_eq!(s.loading(&key, asking()).await.lease, None, "it stands");
            s.delete(&key).await.unwrap();
            assert_eq!(s.hold(&key, lease, 60_000).await, FLAG(false));
            assert_eq!(s.hold(&key, lease, 0).await, FLAG(false));
        }),
        expiry: case!(|s| {
            let key = s.key("a");
            let first = s.lease_with(&key, Ask { lease_ms: 20, ..asking() }).await;
            let second = s.until_leased(&key).await;
            assert_eq!(s.hold(&key, first, 60_000).await, FLAG(false), "somebody else has it");
            assert_eq!(s.hold(&key, first, 0).await, FLAG(false));
            assert_eq!(s.hold(&key, second, 60_000).await, FLAG(true));
        }),
        wrong_type: case!(|s| {
            let key = s.key("list");
            s.plant_list(&key).await;
            let forged = Lease { token: 7, start: s.stamps.next() };
            assert_eq!(s.hold(&key, forged, 60_000).await, FLAG(false));
        }),
        more: &[
            (
                "what is given back is there for others at once",
                case!(|s| {
                    let key = s.key("a");
                    let first = s.lease(&key).await;
                    assert_eq!(s.hold(&key, first, 0).await, FLAG(true));
                    assert_eq!(s.hold(&key, first, 0).await, FLAG(false));
                    let second = s.lease(&key).await;
                    assert_eq!(s.fill(&key, first, "first", None).await, FLAG(false));
                    assert_eq!(s.fill(&key, second, "second", None).await, FLAG(true));
                }),
            ),
            (
                "what is given back keeps what was deleted before deleted",
                case!(|s| {
                    let key = s.key("a");
                    let early = s.lease(&key).await;
                    s.delete(&key).await.unwrap();
                    let late = s.lease(&key).await;
                    assert_eq!(s.hold(&key, late, 0).await, FLAG(true));
                    assert_eq!(s.fill(&key, early, "old", None).await, FLAG(false));
                    assert_eq!(s.get(&key).await, None);
                }),
            ),
        ],
    }
}

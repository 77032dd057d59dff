//! The cache policy across processes, some of which are cut off meanwhile: freshness, tags, leases, patterns.
//! No copies here, so that what others did is seen at once; `near.rs` is about those.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]
#[path = "support/mod.rs"]
mod support;

use bytes::Bytes;
use holdfast::backend::{Answer, Ask, Lease, Loading, Operation, Policy, Removal, Reply, Scope};
use holdfast::base::stamp::Stamp;
use serde_json::json;
use support::Server;
use support::process::{Outside, Process, tagged, until};

impl Process {
    fn beside(server: &Server) -> Self {
        Self::on(&server.url(), &json!({ "nearCache": "off", "silenceMs": 500 }))
    }

    /// What is there, though it may be stale.
    async fn stale(&mut self, name: &str) -> Option<Bytes> {
        let get = Operation::Get { key: self.key(name), stale: true };
        match self.run(get).await.unwrap() {
            Reply::Entry(found) => Some(found.payload),
            _ => None,
        }
    }

    async fn delete(&mut self, name: &str) -> Answer {
        let delete = self.deleting(name);
        self.run(delete).await
    }

    async fn expire(&mut self, name: &str) -> Answer {
        let expire = self.expiring(name);
        self.run(expire).await
    }

    async fn invalidate(&mut self, tag: &str, removal: Removal) {
        let invalidate = self.invalidating(tag, removal);
        assert_eq!(self.run(invalidate).await, Ok(Reply::Flag(true)));
    }

    async fn loading(&mut self, name: &str, ask: Ask) -> Loading {
        match self.run(Operation::Load { key: self.key(name), ask }).await {
            Ok(Reply::Loading(loading)) => loading,
            other => panic!("a load answered {other:?}"),
        }
    }

    async fn fill(&mut self, name: &str, lease: Lease, text: &str, policy: Policy) -> Answer {
        let Operation::Set { key, value, ttl_ms, .. } = self.setting(name, text, policy) else {
            unreachable!("see there")
        };
        self.run(Operation::Fill { key, lease, value, ttl_ms }).await
    }

    fn conflicts(&self) -> u64 {
        self.fallback.resync.conflicts.load(std::sync::atomic::Ordering::Relaxed)
    }
}

fn asking() -> Ask {
    Ask { token: holdfast::base::random::bits() | 1, lease_ms: 60_000, ..Ask::default() }
}

macro_rules! scene {
    ($name:ident, |$server:ident, $a:ident, $b:ident| $body:block) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
        async fn $name() {
            let $server = Server::start();
            let (mut $a, mut $b) = (Process::beside(&$server), Process::beside(&$server));
            // First contact, so that both know the server's clock.
            assert_eq!($a.get("none").await, None);
            assert_eq!($b.get("none").await, None);
            $body
        }
    };
}

scene!(
    a_tag_that_was_invalidated_while_away_takes_what_is_older_and_leaves_what_is_newer,
    |server, a, b| {
        for (removal, stale) in [(Removal::Delete, false), (Removal::Expire, true)] {
            b.set_with("old", "x", tagged(&["t"])).await;
            b.set_with("other", "x", tagged(&["u"])).await;
            a.fallback.force(true);
            a.invalidate("t", removal).await;
            a.set_with("mine", "x", tagged(&["t"])).await;
            a.moment().await;
            b.set_with("new", "x", tagged(&["t"])).await;
            assert!(b.get("old").await.is_some(), "it can't know yet");
            a.come_back().await;
            assert_eq!(b.get("old").await, None);
            assert_eq!(b.stale("old").await.is_some(), stale, "{removal:?}");
            for name in ["new", "mine", "other"] {
                assert_eq!(b.get(name).await.unwrap(), "x", "{name}");
                assert_eq!(a.get(name).await.unwrap(), "x", "{name}");
            }
            assert_eq!(a.conflicts(), 0);
        }
    }
);

scene!(both_ways_in_which_a_tag_was_invalidated_while_away_are_replayed, |server, a, b| {
    b.set_with("older", "x", tagged(&["t"])).await;
    a.fallback.force(true);
    a.invalidate("t", Removal::Delete).await;
    a.moment().await;
    b.set_with("old", "x", tagged(&["t"])).await;
    a.moment().await;
    a.invalidate("t", Removal::Expire).await;
    a.come_back().await;
    assert_eq!(b.stale("older").await, None);
    assert_eq!((b.get("old").await, b.stale("old").await), (None, Some("x".into())));
});

scene!(a_tagged_value_written_while_away_yields_to_an_invalidation_by_others, |server, a, b| {
    b.set_with("known", "x", tagged(&["t"])).await;
    for removal in [Removal::Delete, Removal::Expire] {
        // The last invalidation is of the past.
        b.moment().await;
        a.fallback.force(true);
        a.set_with("k", "x", tagged(&["t"])).await;
        assert_eq!(a.get("k").await.unwrap(), "x");
        a.moment().await;
        b.invalidate("t", removal).await;
        a.come_back().await;
        assert_eq!(b.get("k").await, None);
        assert_eq!(a.get("k").await, None);
    }
});

scene!(
    what_is_written_right_after_an_invalidation_that_was_seen_is_fresh_while_away_too,
    |server, a, b| {
        b.set_with("k", "x", tagged(&["t"])).await;
        assert_eq!(a.get("k").await.unwrap(), "x");
        b.invalidate("t", Removal::Delete).await;
        assert_eq!(a.get("k").await, None, "it knows of it");
        a.fallback.force(true);
        a.set_with("k", "mine", tagged(&["t"])).await;
        assert_eq!(a.get("k").await.unwrap(), "mine");
        a.come_back().await;
        assert_eq!(b.get("k").await.unwrap(), "mine");
    }
);

scene!(invalidations_do_not_push_the_order_of_writes_into_the_future, |server, a, b| {
    for at in 0..200 {
        a.invalidate("t", Removal::Delete).await;
        a.set_with("k", &at.to_string(), tagged(&["t"])).await;
        assert_eq!(b.get("k").await.unwrap(), at.to_string());
    }
    assert!(a.ahead() < 200_000, "they are {} us ahead", a.ahead());
    b.fallback.force(true);
    for at in 0..200 {
        b.invalidate(&format!("t{at}"), Removal::Delete).await;
    }
    assert!(b.ahead() < 200_000, "they are {} us ahead", b.ahead());
});

scene!(
    a_tagged_value_written_while_away_is_there_afterwards_and_so_is_its_marker,
    |server, a, b| {
        b.set_with("known", "x", tagged(&["t"])).await;
        // Whatever is written within the error of the clocks after a marker was made may count as before it.
        a.moment().await;
        a.fallback.force(true);
        a.set_with("k", "x", tagged(&["t"])).await;
        // Of this tag nobody ever heard.
        a.set_with("l", "x", tagged(&["new"])).await;
        a.come_back().await;
        assert_eq!(b.get("k").await.unwrap(), "x");
        assert_eq!(b.get("l").await.unwrap(), "x");
        b.invalidate("new", Removal::Delete).await;
        assert_eq!(a.get("l").await, None);
    }
);

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_died_and_is_back_empty_gets_every_tagged_value_that_waits() {
    let mut server = Server::start();
    let mut both = [Process::beside(&server), Process::beside(&server)];
    for process in &mut both {
        assert_eq!(process.get("none").await, None);
    }
    server.kill();
    for process in &both {
        until("it is noticed", async || process.fallback.local.lock().on_memory()).await;
    }
    // Tags of their own, tags that others have too, and two of one shard.
    let tags = |at: usize| [format!("t{}", at % 3), format!("u{at}")];
    for at in 0..200 {
        let tags = tags(at);
        let policy = tagged(&tags.each_ref().map(String::as_str));
        both[at % 2].set_with(&at.to_string(), "x", policy).await;
    }
    server.start_again();
    // One of them is asked for before its turn comes.
    both[1].get("199").await;
    for process in &mut both {
        until("all is replayed", async || {
            process.get("none").await;
            process.fallback.state().live() && process.fallback.local.lock().journal.depth() == 0
        })
        .await;
        assert_eq!(process.conflicts(), 0);
    }
    for process in &mut both {
        for at in 0..200 {
            assert_eq!(process.get(&at.to_string()).await.as_deref(), Some(&b"x"[..]), "{at}");
        }
    }
}

scene!(an_invalidation_is_known_for_longer_than_what_had_its_tag, |server, a, b| {
    let mut outside = Outside::of(&server.url()).await;
    let Operation::Set { key, value, stamp, .. } = b.setting("short", "x", tagged(&["t"])) else {
        unreachable!("see there")
    };
    b.run(Operation::Set { key, value, stamp, ttl_ms: Some(1_000) }).await.unwrap();
    a.fallback.force(true);
    a.set_with("k", "x", tagged(&["t"])).await;
    a.moment().await;
    b.invalidate("t", Removal::Delete).await;
    let marker = String::from_utf8(a.keys.marker(b"t").to_vec()).unwrap();
    assert!(outside.ask::<i64>(&["PTTL", &marker]).await > 86_000_000);
    a.come_back().await;
    assert_eq!(a.get("k").await, None);
    assert_eq!(b.get("k").await, None);
});

scene!(what_waits_is_written_though_others_made_the_marker_meanwhile, |server, a, b| {
    a.fallback.force(true);
    a.set_with("k", "x", tagged(&["t"])).await;
    a.moment().await;
    b.set_with("l", "x", tagged(&["t"])).await;
    b.loading("m", Ask { tags: tagged(&["t"]).tags, ..asking() }).await;
    assert_eq!(b.get("l").await.unwrap(), "x", "it knows what the marker says");
    a.come_back().await;
    assert_eq!(a.get("k").await.unwrap(), "x");
    assert_eq!(b.get("k").await.unwrap(), "x");
    assert_eq!(b.get("l").await.unwrap(), "x");
});

scene!(markers_outlive_what_carries_their_tags, |server, a, b| {
    let mut outside = Outside::of(&server.url()).await;
    let marker = String::from_utf8(a.keys.marker(b"t").to_vec()).unwrap();
    let set = |a: &Process, ttl_ms| {
        let Operation::Set { key, value, stamp, .. } = a.setting("k", "x", tagged(&["t"])) else {
            unreachable!("see there")
        };
        Operation::Set { key, value, ttl_ms, stamp }
    };
    let mut last = 0;
    for ttl_ms in [1_000, 600_000, 20_000, 3_000_000_000] {
        let set = set(&a, Some(ttl_ms));
        assert_eq!(a.run(set).await, Ok(Reply::Flag(true)));
        let left: i64 = outside.ask(&["PTTL", &marker]).await;
        assert!(left >= i64::try_from(ttl_ms).unwrap(), "{left} of {ttl_ms}");
        assert!(left + 10_000 >= last, "it only grows");
        last = left;
    }
    let invalidate = b.invalidating("t", Removal::Delete);
    b.run(invalidate).await.unwrap();
    let left: i64 = outside.ask(&["PTTL", &marker]).await;
    assert!(left + 10_000 >= last, "an invalidation does not shorten it");
    let set = set(&a, None);
    assert_eq!(a.run(set).await, Ok(Reply::Flag(true)));
    assert_eq!(outside.ask::<i64>(&["PTTL", &marker]).await, -1);
    assert_eq!(b.get("k").await.unwrap(), "x");
});

scene!(more_tags_than_the_journal_holds_take_everything_that_has_one, |server, a, b| {
    let mut small = Process::on(
        &server.url(),
        &json!({ "nearCache": "off", "fallback": { "maxJournalMb": 1 } }),
    );
    assert_eq!(small.get("none").await, None);
    b.set_with("tagged", "x", tagged(&["t7"])).await;
    b.set("plain", "x").await;
    a.set_with("ours", "x", tagged(&["t7"])).await;
    small.fallback.force(true);
    for at in 0..4_000 {
        small.invalidate(&format!("t{at}"), Removal::Delete).await;
    }
    assert!(small.fallback.local.lock().journal.collapsed() > 0, "it is more than it holds");
    small.moment().await;
    b.set_with("after", "x", tagged(&["t7"])).await;
    small.come_back().await;
    assert_eq!(b.get("tagged").await, None);
    assert_eq!(b.get("ours").await, None);
    assert_eq!(b.get("plain").await.unwrap(), "x");
    assert_eq!(b.get("after").await.unwrap(), "x");
});

scene!(what_was_made_stale_while_away_is_stale_and_newer_values_stay_fresh, |server, a, b| {
    for name in ["k", "l"] {
        b.set(name, "x").await;
    }
    a.fallback.force(true);
    for name in ["k", "l", "none"] {
        a.expire(name).await.unwrap();
    }
    a.moment().await;
    b.set("l", "newer").await;
    a.come_back().await;
    assert_eq!((b.get("k").await, b.stale("k").await), (None, Some("x".into())));
    assert_eq!(b.get("l").await.unwrap(), "newer");
    assert_eq!(b.stale("none").await, None);
});

scene!(what_was_written_and_made_stale_while_away_is_stale_afterwards, |server, a, b| {
    b.set("k", "before").await;
    a.fallback.force(true);
    a.set("k", "mine").await;
    assert_eq!(a.expire("k").await, Ok(Reply::Flag(true)));
    assert_eq!((a.get("k").await, a.stale("k").await), (None, Some("mine".into())));
    a.come_back().await;
    assert_eq!((b.get("k").await, b.stale("k").await), (None, Some("mine".into())));
    a.fallback.force(true);
    a.set("l", "mine").await;
    a.moment().await;
    b.set("l", "theirs, before it was made stale").await;
    a.moment().await;
    a.expire("l").await.unwrap();
    a.come_back().await;
    assert_eq!(b.get("l").await, None, "whoever wrote it, it was written before");
});

scene!(what_was_stale_soon_while_away_is_as_stale_afterwards, |server, a, b| {
    a.fallback.force(true);
    a.set_with("k", "x", Policy { fresh_ms: Some(30), ..Policy::default() }).await;
    a.set_with("l", "x", Policy { fresh_ms: Some(60_000), ..Policy::default() }).await;
    until("it is stale", async || a.get("k").await.is_none()).await;
    a.come_back().await;
    assert_eq!((b.get("k").await, b.stale("k").await), (None, Some("x".into())));
    let get = b.getting("l");
    let Ok(Reply::Entry(found)) = b.run(get).await else { panic!("it is fresh") };
    assert!((1..=60_000).contains(&found.fresh_ms.unwrap()), "{found:?}");
});

scene!(a_pattern_that_was_cleared_while_away_takes_what_it_matches_and_is_older, |server, a, b| {
    for name in ["user:1", "user:2", "other"] {
        b.set(name, "x").await;
    }
    let loading = b.loading("user:3", asking()).await;
    a.fallback.force(true);
    a.set("user:4", "before").await;
    let clear = a.clearing(Scope::matching(&a.keys, "f", "user:*"));
    a.run(clear).await.unwrap();
    a.set("user:5", "after").await;
    a.moment().await;
    b.set("user:2", "newer").await;
    a.come_back().await;
    let names = ["user:1", "user:2", "user:4", "user:5", "other"];
    let mut there = Vec::new();
    for name in names {
        there.push(b.get(name).await.is_some());
    }
    assert_eq!(there, [false, true, false, true, true]);
    let lease = loading.lease.unwrap();
    assert_eq!(b.fill("user:3", lease, "old", Policy::default()).await, Ok(Reply::Flag(false)));
});

scene!(a_pattern_cleared_by_others_meanwhile_takes_what_waits, |server, a, b| {
    a.fallback.force(true);
    a.set("user:1", "x").await;
    a.set("other", "x").await;
    a.moment().await;
    let clear = b.clearing(Scope::matching(&b.keys, "f", "user:*"));
    b.run(clear).await.unwrap();
    a.come_back().await;
    assert_eq!(b.get("user:1").await, None);
    assert_eq!(b.get("other").await.unwrap(), "x");
});

scene!(whoever_has_a_lease_keeps_others_of_other_processes_waiting, |server, a, b| {
    let lease = a.loading("k", asking()).await.lease.unwrap();
    let waiting = b.loading("k", asking()).await;
    assert!(waiting.lease.is_none() && waiting.wait_ms > 0, "{waiting:?}");
    assert_eq!(a.fill("k", lease, "loaded", Policy::default()).await, Ok(Reply::Flag(true)));
    let load = b.load("k");
    assert!(matches!(b.run(load).await, Ok(Reply::Entry(found)) if found.payload == "loaded"));
    // One of those who share it fills.
    let first = a.loading("l", asking()).await.lease.unwrap();
    let second = b.loading("l", Ask { share: true, ..asking() }).await.lease.unwrap();
    assert_eq!(first.token, second.token);
    assert_eq!(b.fill("l", second, "b's", Policy::default()).await, Ok(Reply::Flag(true)));
    assert_eq!(a.fill("l", first, "a's", Policy::default()).await, Ok(Reply::Flag(false)));
    assert_eq!(a.get("l").await.unwrap(), "b's");
});

scene!(a_lease_whose_holder_is_gone_ends, |server, a, b| {
    a.loading("k", Ask { lease_ms: 50, ..asking() }).await.lease.unwrap();
    drop(a);
    let mut lease = None;
    until("it ends", async || {
        lease = b.loading("k", asking()).await.lease;
        lease.is_some()
    })
    .await;
    let filled = b.fill("k", lease.unwrap(), "loaded", Policy::default()).await;
    assert_eq!(filled, Ok(Reply::Flag(true)));
});

scene!(an_invalidation_by_another_process_refuses_what_was_loaded_before_it, |server, a, b| {
    for removal in [Removal::Delete, Removal::Expire] {
        let policy = tagged(&["t"]);
        let ask = Ask { tags: policy.tags.clone(), force: true, ..asking() };
        let lease = a.loading("k", ask).await.lease.unwrap();
        b.invalidate("t", removal).await;
        assert_eq!(a.fill("k", lease, "old", policy.clone()).await, Ok(Reply::Flag(false)));
        assert_eq!(a.get("k").await, None);
        assert_eq!(b.get("k").await, None);
        let ask = Ask { tags: policy.tags.clone(), force: true, ..asking() };
        let lease = a.loading("k", ask).await.lease.unwrap();
        assert_eq!(a.fill("k", lease, "new", policy).await, Ok(Reply::Flag(true)));
        assert_eq!(b.get("k").await.unwrap(), "new");
    }
});

/// As far as two processes' readings of the server's clock may differ.
const AHEAD: u64 = 20_000;

scene!(a_live_removal_counts_though_the_writer_reads_the_clock_ahead, |server, a, b| {
    let run_ahead = |b: &Process| {
        let micros = b.stamps.server_micros() + AHEAD;
        b.stamps.observe(Stamp { micros, process: 0 });
    };
    run_ahead(&b);
    b.set("k", "x").await;
    assert_eq!(a.delete("k").await, Ok(Reply::Flag(true)));
    assert_eq!(b.get("k").await, None, "the last to reach the server wins");
    run_ahead(&b);
    b.set("k", "x").await;
    assert_eq!(a.expire("k").await, Ok(Reply::Flag(true)));
    assert_eq!(b.get("k").await, None, "the last to reach the server wins");
    run_ahead(&b);
    b.set_with("k", "x", tagged(&["t"])).await;
    a.invalidate("t", Removal::Delete).await;
    assert_eq!(b.get("k").await, None, "an invalidation reaches so far beyond now");
});

scene!(a_load_counts_though_the_writer_before_it_reads_the_clock_ahead, |server, a, b| {
    let micros = b.stamps.server_micros() + AHEAD;
    b.stamps.observe(Stamp { micros, process: 0 });
    b.set("k", "before").await;
    let lease = a.loading("k", Ask { force: true, ..asking() }).await.lease.unwrap();
    assert_eq!(a.fill("k", lease, "after", Policy::default()).await, Ok(Reply::Flag(true)));
    assert_eq!(b.get("k").await.unwrap(), "after");
});

scene!(
    a_load_yields_to_a_write_after_it_though_the_writer_reads_the_clock_behind,
    |server, a, b| {
        b.stamps.pin(b.stamps.offset() - AHEAD as i64);
        for name in ["k", "l"] {
            let lease = a.loading(name, asking()).await.lease.unwrap();
            b.set(name, "newer").await;
            assert_eq!(
                a.fill(name, lease, "older", Policy::default()).await,
                Ok(Reply::Flag(false))
            );
            assert_eq!(b.get(name).await.unwrap(), "newer");
        }
        // What stands there when it begins is what it is about to replace.
        let lease = a.loading("k", Ask { force: true, ..asking() }).await.lease.unwrap();
        assert_eq!(a.fill("k", lease, "loaded", Policy::default()).await, Ok(Reply::Flag(true)));
    }
);

scene!(a_load_yields_to_a_removal_though_an_earlier_one_reads_the_clock_ahead, |server, a, b| {
    let mut c = Process::beside(&server);
    assert_eq!(c.get("none").await, None);
    for at in 0..3 {
        let name = format!("k{at}");
        let micros = b.stamps.server_micros() + AHEAD;
        b.stamps.observe(Stamp { micros, process: 0 });
        b.delete(&name).await.unwrap();
        let lease = a.loading(&name, asking()).await.lease.unwrap();
        match at {
            0 => drop(c.expire(&name).await.unwrap()),
            1 => drop(c.delete(&name).await.unwrap()),
            _ => {
                let clear = c.clearing(Scope::matching(&c.keys, "f", "k*"));
                c.run(clear).await.unwrap();
            }
        }
        assert_eq!(a.fill(&name, lease, "old", Policy::default()).await, Ok(Reply::Flag(false)));
        assert_eq!(b.get(&name).await, None);
    }
});

scene!(a_refresh_of_what_somebody_wrote_plainly_is_answered, |server, a, b| {
    let mut outside = Outside::of(&server.url()).await;
    let key = String::from_utf8(a.key("k").to_vec()).unwrap();
    outside.ask::<()>(&["SET", &key, "plain"]).await;
    let load = Operation::Load { key: a.key("k"), ask: Ask { refresh: true, ..asking() } };
    assert!(matches!(a.run(load).await, Ok(Reply::Entry(found)) if found.payload == "plain"));
});

scene!(a_load_that_memory_answers_says_so_by_whatever_way_it_came, |server, a, b| {
    let online = a.loading("k", asking()).await;
    assert!(!online.degraded);
    a.fallback.force(true);
    assert!(a.loading("l", asking()).await.degraded, "asked by itself");
    // Behind a call that was handed over, it is handed over too.
    let load = a.load("m");
    a.submit(1, load);
    match a.answer(1).await {
        Ok(Reply::Loading(loading)) => assert!(loading.degraded && loading.lease.is_some()),
        other => panic!("{other:?}"),
    }
    let _ = b.get("k").await;
});

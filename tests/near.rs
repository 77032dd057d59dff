//! The near cache against a real server: copies answer by themselves, and never for longer than they may.
//! Two instances of one server, sometimes with something between that holds up what it says.
#![cfg(not(feature = "node"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]
#[path = "near/overtaken.rs"]
mod overtaken;
#[path = "near/proxy.rs"]
mod proxy;
#[path = "near/server.rs"]
mod server;
#[path = "support/mod.rs"]
mod support;

use holdfast::backend::redis::gates::{Gate, Place};
use holdfast::backend::{
    Ask, Backend, Early, Operation, Policy, Reach, Removal, Reply, Scope, Source,
};
use serde_json::{Value as Json, json};
use support::Server;
use support::process::{Outside, Process, tagged, until};

/// A copy answers for a second after the last sign of life; a machine may be busy. In microseconds.
const LIFE: u64 = 3_000_000;
/// How copies are kept coherent; both ways keep the same promises.
const WAYS: [&str; 2] = ["tracking", "bus"];

fn by(way: &str) -> Json {
    json!({ "nearCache": way })
}

/// Two instances whose links stand.
async fn two(server: &Server, options: &Json) -> (Process, Process) {
    let (mut a, mut b) = (Process::on(&server.url(), options), Process::on(&server.url(), options));
    for process in [&mut a, &mut b] {
        process.set("first", "1").await;
        process.warm("first", "1").await;
    }
    (a, b)
}

macro_rules! scene {
    ($name:ident, |$server:ident, $a:ident, $b:ident| $body:block) => {
        scene!($name, |$server, $a, $b, _way| $body);
    };
    ($name:ident, |$server:ident, $a:ident, $b:ident, $way:ident| $body:block) => {
        mod $name {
            use super::*;

            async fn scene($way: &str) {
                let $server = Server::start();
                let (mut $a, mut $b) = two(&$server, &by($way)).await;
                $body
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
            async fn where_the_server_tells() {
                scene(WAYS[0]).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
            async fn where_processes_tell_each_other() {
                scene(WAYS[1]).await;
            }
        }
    };
}

scene!(a_read_fills_a_copy_that_answers_without_the_server, |server, a, b| {
    b.set_with("k", "value", Policy { load_ms: 7, ..Policy::default() }).await;
    a.warm("k", "value").await;
    let mut outside = Outside::of(&server.url()).await;
    let before = outside.reads().await;
    for _ in 0..100 {
        let found = a.copy("k").unwrap();
        assert_eq!((found.load_ms, found.ttl_ms, found.fresh_ms), (7, None, None));
        assert!(found.mark.is_some(), "it may be kept in front of this copy");
    }
    let load = a.load("k");
    assert!(matches!(a.run(load).await, Ok(Reply::Entry(found)) if found.source == Source::Near));
    let exists = Operation::Exists { key: a.key("k") };
    assert_eq!(a.run(exists).await, Ok(Reply::Flag(true)));
    assert_eq!(outside.reads().await, before);
});

scene!(what_must_be_fresh_from_the_server_passes_the_copy, |server, a, b| {
    b.set("k", "value").await;
    a.warm("k", "value").await;
    let skipped = Reach { near: false, ..Reach::default() };
    assert!(matches!(a.fallback.now(a.getting("k"), skipped), Early::Pass(_)));
    for ask in [Ask { force: true, ..Ask::default() }, Ask { refresh: true, ..Ask::default() }] {
        let load = Operation::Load { key: a.key("k"), ask };
        assert!(matches!(a.fallback.now(load, Reach::default()), Early::Pass(_)));
    }
});

scene!(a_write_by_another_process_is_seen, |server, a, b| {
    for at in 0..20 {
        let text = at.to_string();
        b.set("k", &text).await;
        a.until_read("k", Some(&text)).await;
        a.warm("k", &text).await;
    }
    let delete = b.deleting("k");
    b.run(delete).await.unwrap();
    a.until_read("k", None).await;
    let large = "x".repeat(300_000);
    b.set("k", &large).await;
    a.until_read("k", Some(&large)).await;
    a.warm("k", &large).await;
    let larger = "y".repeat(2_000_000);
    b.set("k", &larger).await;
    a.until_read("k", Some(&larger)).await;
});

scene!(a_value_that_another_process_makes_stale_is_not_answered_any_more, |server, a, b| {
    b.set("k", "value").await;
    a.warm("k", "value").await;
    let expire = b.expiring("k");
    assert_eq!(b.run(expire).await, Ok(Reply::Flag(true)));
    a.until_read("k", None).await;
    let stale = Operation::Get { key: a.key("k"), stale: true };
    assert!(matches!(a.run(stale).await, Ok(Reply::Entry(found)) if found.fresh_ms == Some(0)));
});

scene!(a_load_by_another_process_is_seen, |server, a, b| {
    b.set("k", "old").await;
    a.warm("k", "old").await;
    let ask = Ask { token: 5, force: true, lease_ms: 60_000, ..Ask::default() };
    let load = Operation::Load { key: b.key("k"), ask };
    let Ok(Reply::Loading(loading)) = b.run(load).await else { panic!("it was forced") };
    let Operation::Set { key, value, .. } = b.setting("k", "new", Policy::default()) else {
        unreachable!("see above")
    };
    let fill = Operation::Fill { key, lease: loading.lease.unwrap(), value, ttl_ms: None };
    assert_eq!(b.run(fill).await, Ok(Reply::Flag(true)));
    a.until_read("k", Some("new")).await;
});

scene!(clears_by_another_process_are_seen, |server, a, b| {
    for scope in [b.family(), Scope::matching(&b.keys, "f", "user:*")] {
        b.set("user:1", "value").await;
        a.warm("user:1", "value").await;
        let clear = b.clearing(scope.clone());
        b.run(clear).await.unwrap();
        a.until_read("user:1", None).await;
    }
});

scene!(an_own_write_is_read_back_at_once, |server, a, b| {
    b.set("k", "0").await;
    a.warm("k", "0").await;
    for at in 1..300 {
        let text = at.to_string();
        if at % 10 == 0 {
            a.warm("k", &(at - 1).to_string()).await;
        }
        // Not even before it is answered, and by whatever way the read goes.
        let set = a.setting("k", &text, Policy::default());
        a.submit(1, set);
        assert_eq!(a.copy("k"), None);
        let get = a.getting("k");
        a.submit(2, get);
        assert_eq!(a.answer(1).await, Ok(Reply::Flag(true)));
        assert!(a.copy("k").is_none_or(|found| found.payload == text));
        let answer = a.answer(2).await;
        assert!(matches!(&answer, Ok(Reply::Entry(found)) if found.payload == text), "{answer:?}");
        assert_eq!(a.get("k").await.unwrap(), text);
    }
});

scene!(a_tagged_copy_answers_without_the_server_until_its_tag_is_invalidated, |server, a, b| {
    let mut outside = Outside::of(&server.url()).await;
    for (removal, stale) in
        [(Removal::Delete, false), (Removal::Expire, true), (Removal::Delete, false)]
    {
        b.set_with("k", "value", tagged(&["t", "u"])).await;
        b.set_with("l", "other", tagged(&["v"])).await;
        a.warm("k", "value").await;
        a.warm("l", "other").await;
        let before = outside.reads().await;
        for _ in 0..100 {
            assert!(a.copy("k").unwrap().tagged.is_some());
        }
        assert_eq!(outside.reads().await, before);
        let invalidate = b.invalidating("u", removal);
        assert_eq!(b.run(invalidate).await, Ok(Reply::Flag(true)));
        a.until_read("k", None).await;
        let get = Operation::Get { key: a.key("k"), stale: true };
        assert_eq!(matches!(a.run(get).await, Ok(Reply::Entry(_))), stale, "{removal:?}");
        a.warm("l", "other").await;
    }
});

scene!(an_own_invalidation_of_a_tag_counts_at_once, |server, a, b| {
    for removal in [Removal::Delete, Removal::Expire] {
        b.set_with("k", "value", tagged(&["t"])).await;
        a.warm("k", "value").await;
        let invalidate = a.invalidating("t", removal);
        a.submit(1, invalidate);
        assert_eq!(a.copy("k"), None);
        let get = a.getting("k");
        a.submit(2, get);
        a.answer(1).await.unwrap();
        assert_eq!(a.answer(2).await, Ok(Reply::Nothing));
        assert_eq!(a.get("k").await, None);
        // What is written anew is fresh at once, and a copy in the end.
        a.set_with("k", "again", tagged(&["t"])).await;
        assert_eq!(a.get("k").await.unwrap(), "again");
        a.warm("k", "again").await;
    }
});

scene!(what_is_stale_is_answered_by_no_copy, |server, a, b| {
    b.set_with("k", "value", Policy { fresh_ms: Some(700), ..Policy::default() }).await;
    a.warm("k", "value").await;
    assert!(a.copy("k").is_none_or(|found| (1..=700).contains(&found.fresh_ms.unwrap())));
    a.until_no_copy("k").await;
    assert_eq!(a.get("k").await, None);
});

scene!(copies_stay_for_an_outage_and_are_read_anew_after_it, |server, a, b| {
    b.set("k", "value").await;
    b.set_with("l", "tagged", tagged(&["t"])).await;
    a.warm("k", "value").await;
    a.warm("l", "tagged").await;
    a.fallback.force(true);
    for (name, text) in [("k", "value"), ("l", "tagged")] {
        match a.fallback.now(a.getting(name), Reach::default()) {
            Early::Answer(Ok(Reply::Entry(found))) => {
                assert_eq!((found.source, found.payload), (Source::Memory, text.into()));
            }
            other => panic!("{other:?}"),
        }
    }
    b.set("k", "newer").await;
    let invalidate = b.invalidating("t", Removal::Delete);
    b.run(invalidate).await.unwrap();
    a.come_back().await;
    assert_eq!(a.get("k").await.unwrap(), "newer");
    assert_eq!(a.get("l").await, None);
});

scene!(what_was_written_in_an_outage_is_told_when_it_is_replayed, |server, a, b| {
    for name in ["deleted", "written", "expired", "cleared", "tagged"] {
        a.set_with(name, "old", tagged(if name == "tagged" { &["t"] } else { &[] })).await;
        b.warm(name, "old").await;
    }
    a.fallback.force(true);
    let delete = a.deleting("deleted");
    a.run(delete).await.unwrap();
    a.set("written", "new").await;
    let expire = a.expiring("expired");
    a.run(expire).await.unwrap();
    let invalidate = a.invalidating("t", Removal::Delete);
    a.run(invalidate).await.unwrap();
    a.come_back().await;
    b.until_read("deleted", None).await;
    b.until_read("written", Some("new")).await;
    b.until_read("expired", None).await;
    b.until_read("tagged", None).await;
    a.fallback.force(true);
    let clear = a.clearing(Scope::matching(&a.keys, "f", "cl*"));
    a.run(clear).await.unwrap();
    a.come_back().await;
    b.until_read("cleared", None).await;
});

scene!(a_process_that_reads_nothing_is_heard_all_the_same, |server, a, b, way| {
    b.set("k", "old").await;
    b.set_with("l", "old", tagged(&["t"])).await;
    a.warm("k", "old").await;
    a.warm("l", "old").await;
    let mut c = Process::on(&server.url(), &by(way));
    c.set("k", "new").await;
    a.until_read("k", Some("new")).await;
    let invalidate = c.invalidating("t", Removal::Delete);
    c.run(invalidate).await.unwrap();
    a.until_read("l", None).await;
});

scene!(a_process_whose_own_link_is_down_is_heard_all_the_same, |server, a, b| {
    b.redis().gates().set(Place::Near, Gate::Fails);
    b.until_no_copy("first").await;
    for at in 0..10 {
        let (old, new) = (format!("old {at}"), format!("new {at}"));
        b.set("k", &old).await;
        a.warm("k", &old).await;
        b.set("k", &new).await;
        a.until_read("k", Some(&new)).await;
    }
});

scene!(copies_stop_when_the_link_is_killed_and_answer_again_under_another, |server, a, b| {
    let mut outside = Outside::of(&server.url()).await;
    for _ in 0..3 {
        b.set("k", "old").await;
        a.warm("k", "old").await;
        for id in outside.links().await {
            let _: redis::Value = outside.ask(&["CLIENT", "KILL", "ID", &id]).await;
        }
        // Whatever is written while nobody is told is read in the end.
        b.set("k", "new").await;
        a.until_read("k", Some("new")).await;
        a.warm("k", "new").await;
    }
});

scene!(copies_stop_when_the_link_gives_no_sign_of_life, |server, a, b| {
    for gate in [Gate::Never, Gate::Fails] {
        b.set("k", "value").await;
        a.warm("k", "value").await;
        a.redis().gates().set(Place::Near, gate);
        let since = a.now();
        a.until_no_copy("k").await;
        let waited = a.now() - since;
        assert!(waited < LIFE, "{gate:?}: {waited} us");
        // Nothing is a copy now, whoever reads it.
        for _ in 0..20 {
            assert_eq!(a.get("k").await.unwrap(), "value");
        }
        a.redis().gates().set(Place::Near, Gate::Open);
        a.warm("k", "value").await;
    }
});

scene!(copies_grow_too_old, |server, a, b, way| {
    let mut young = Process::on(&server.url(), &json!({ "nearCache": way, "nearMaxAge": 2 }));
    b.set("k", "value").await;
    young.warm("k", "value").await;
    young.until_no_copy("k").await;
    young.warm("k", "value").await;
    a.warm("k", "value").await;
});

scene!(reads_never_go_back_and_end_with_the_last_write, |server, a, b| {
    for (round, gate) in [Gate::Open, Gate::Slow, Gate::Open, Gate::Slow].into_iter().enumerate() {
        a.redis().gates().set(Place::Calls, gate);
        let writes = async {
            for at in 1..=200 {
                let policy = if at % 3 == 0 { tagged(&["t"]) } else { Policy::default() };
                let text = format!("{:04}", round * 1_000 + at);
                b.set_with("k", &text, policy).await;
            }
        };
        let reads = async {
            let mut last = String::new();
            let done = format!("{:04}", round * 1_000 + 200);
            let before = format!("{:04}", round * 1_000);
            until("the last write is read", async || {
                if let Some(read) = a.get("k").await {
                    let read = String::from_utf8(read.to_vec()).unwrap();
                    assert!(read >= last, "{read} came after {last}");
                    last = read;
                }
                last == done
            })
            .await;
            assert!(last > before);
        };
        tokio::join!(writes, reads);
        let done = format!("{:04}", round * 1_000 + 200);
        a.until_read("k", Some(&done)).await;
        a.redis().gates().set(Place::Calls, Gate::Open);
        a.warm("k", &done).await;
    }
});

/// One of many things, for a number that says which.
fn anything(process: &Process, number: u64) -> Operation {
    let pick = |shift: u32, of: u64| (number >> shift) % of;
    let (name, tag) = (format!("k{}", pick(8, 4)), format!("t{}", pick(16, 2)));
    let tags = [&[][..], &["t0"], &["t1"], &["t0", "t1"]];
    let policy = tagged(tags[usize::try_from(pick(24, 4)).unwrap()]);
    match pick(0, 16) {
        0..=3 => process.setting(&name, &number.to_string(), policy),
        4 => process.deleting(&name),
        5 => process.expiring(&name),
        6 => process.invalidating(&tag, Removal::Delete),
        7 => process.invalidating(&tag, Removal::Expire),
        8 if pick(32, 4) == 0 => process.clearing(process.family()),
        8 => process.clearing(Scope::matching(&process.keys, "f", &name)),
        9 => process.load(&name),
        _ => process.getting(&name),
    }
}

scene!(whatever_two_processes_do_copies_end_as_what_the_server_has, |server, a, b| {
    let mut knows = Process::on(&server.url(), &by("off"));
    let mut number = 0x9E37_79B9_7F4A_7C15_u64;
    for round in 0..150 {
        let gate = if round % 10 == 9 { Gate::Slow } else { Gate::Open };
        a.redis().gates().set(Place::Calls, gate);
        let mut asked = [0, 0];
        for _ in 0..30 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = usize::try_from(number >> 63).unwrap();
            let process = [&a, &b][at];
            let operation = anything(process, number >> 8);
            if let Early::Pass(operation) = process.fallback.now(operation, Reach::default()) {
                process.submit(0, operation);
                asked[at] += 1;
            }
        }
        for (process, asked) in [&mut a, &mut b].into_iter().zip(asked) {
            for _ in 0..asked {
                process.caller.next().await.1.unwrap();
            }
        }
        a.redis().gates().set(Place::Calls, Gate::Open);
        for process in [&mut a, &mut b] {
            for key in 0..4 {
                let name = format!("k{key}");
                let truth = knows.get(&name).await;
                let truth = truth.map(|text| String::from_utf8(text.to_vec()).unwrap());
                process.until_read(&name, truth.as_deref()).await;
            }
        }
    }
});

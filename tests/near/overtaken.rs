//! Answers, and what is told of changes, that overtake each other on their ways.
use holdfast::backend::{Backend, Operation, Policy, Removal, Scope};

use crate::proxy::Proxy;
use crate::support::Server;
use crate::support::process::{Outside, Process, tagged, until};
use crate::{LIFE, by};

/// Two, the first of which is behind something that holds up what the server says.
async fn two_with_a_proxy(way: &str) -> (Server, Proxy, Process, Process) {
    let server = Server::start();
    let proxy = Proxy::before(server.port).await;
    let mut a = Process::on(&proxy.url(), &by(way));
    let mut b = Process::on(&server.url(), &by(way));
    for process in [&mut a, &mut b] {
        process.set("first", "1").await;
        process.warm("first", "1").await;
    }
    (server, proxy, a, b)
}

/// What is known of a key, as it changes with each invalidation.
fn mark(process: &Process, name: &str) -> u32 {
    process.fallback.local.lock().store.marks.of(&process.key(name))
}

async fn an_answer_that_is_overtaken(way: &str) {
    let (server, proxy, mut a, mut b) = two_with_a_proxy(way).await;
    let mut outside = Outside::of(&server.url()).await;
    for at in 0..10 {
        let (name, stale) = (format!("k{at}"), at % 2 == 0);
        let tags = tagged(if at % 3 == 0 { &["t"] } else { &[] });
        b.set_with(&name, "old", tags).await;
        // What b wrote has been told: from here on a mark stays as it is.
        let told = mark(&a, "k-none");
        b.set("told", &at.to_string()).await;
        a.until_read("told", Some(&at.to_string())).await;
        assert_eq!(mark(&a, "k-none"), told);
        let before = outside.reads().await;
        proxy.hold_calls(true);
        let get = Operation::Get { key: a.key(&name), stale };
        a.submit(7, get);
        until("the server has answered", async || outside.reads().await > before).await;
        let seen = mark(&a, &name);
        b.set(&name, "new").await;
        until("the change was told", async || mark(&a, &name) != seen).await;
        proxy.hold_calls(false);
        // It was asked before the write, so it may say either.
        assert!(a.answer(7).await.is_ok());
        assert!(a.copy(&name).is_none_or(|found| found.payload == "new"));
        assert_eq!(a.get(&name).await.unwrap(), "new");
        a.until_read(&name, Some("new")).await;
    }
}

async fn a_marker_that_is_overtaken(way: &str) {
    let (server, proxy, mut a, mut b) = two_with_a_proxy(way).await;
    let mut outside = Outside::of(&server.url()).await;
    for at in 0..6 {
        let tag = format!("t{at}");
        b.set_with("k", "old", tagged(&[&tag])).await;
        a.until_read("k", Some("old")).await;
        let marker = b.keys.marker(tag.as_bytes());
        let of_marker = |a: &Process| a.fallback.local.lock().store.marks.of(&marker);
        // Known again, so that a read asks for the value and for its marker.
        let invalidate = b.invalidating(&tag, Removal::Expire);
        b.run(invalidate).await.unwrap();
        a.until_read("k", None).await;
        b.set_with("k", "old", tagged(&[&tag])).await;
        a.until_read("k", Some("old")).await;
        b.set_with("k", "older", tagged(&[&tag])).await;
        let before = outside.reads().await;
        proxy.hold_calls(true);
        let get = a.getting("k");
        a.submit(7, get);
        until("the server has answered", async || outside.reads().await > before).await;
        let seen = of_marker(&a);
        let invalidate = b.invalidating(&tag, Removal::Delete);
        b.run(invalidate).await.unwrap();
        until("the change was told", async || of_marker(&a) != seen).await;
        proxy.hold_calls(false);
        assert!(a.answer(7).await.is_ok());
        assert_eq!(a.get("k").await, None);
        a.until_read("k", None).await;
    }
}

async fn a_link_that_is_held_up(way: &str) {
    let (_server, proxy, mut a, mut b) = two_with_a_proxy(way).await;
    b.set("k", "old").await;
    b.set_with("l", "old", tagged(&["t"])).await;
    a.warm("k", "old").await;
    a.warm("l", "old").await;
    proxy.hold_link(true);
    b.set("k", "new").await;
    let invalidate = b.invalidating("t", Removal::Delete);
    b.run(invalidate).await.unwrap();
    // Nothing is told, and nothing gives a sign of life.
    let since = a.now();
    a.until_read("k", Some("new")).await;
    a.until_read("l", None).await;
    let waited = a.now() - since;
    assert!(waited < LIFE, "{waited} us");
    proxy.hold_link(false);
    a.warm("k", "new").await;
}

/// What a removal is called, and the operation.
type Named = (&'static str, fn(&Process) -> Operation);

/// Nothing is told meanwhile: what a process does itself it knows by itself.
async fn own_removals(way: &str) {
    let (_server, proxy, mut a, mut b) = two_with_a_proxy(way).await;
    let removals: [Named; 5] = [
        ("a delete", |a| a.deleting("k")),
        ("an expiry", |a| a.expiring("k")),
        ("a clear", |a| a.clearing(a.family())),
        ("a pattern", |a| a.clearing(Scope::matching(&a.keys, "f", "k*"))),
        ("a tag", |a| a.invalidating("t", Removal::Delete)),
    ];
    for (what, removal) in removals {
        b.set_with("k", "value", tagged(&["t"])).await;
        a.warm("k", "value").await;
        proxy.hold_link(true);
        let removal = removal(&a);
        a.submit(1, removal);
        assert_eq!(a.copy("k"), None, "{what}");
        a.answer(1).await.unwrap();
        assert_eq!(a.get("k").await, None, "{what}");
        proxy.hold_link(false);
    }
}

async fn own_raw_removals(way: &str) {
    let (_server, proxy, mut a, mut b) = two_with_a_proxy(way).await;
    let raw = |words: &[&str]| words.iter().map(|word| word.to_string().into()).collect();
    let commands = [
        Operation::Command { args: raw(&["DEL", "f:k"]) },
        Operation::Command { args: raw(&["DEL", "f:other", "f:k"]) },
        Operation::Pipeline { commands: vec![raw(&["PING"]), raw(&["UNLINK", "f:k"])] },
    ];
    for command in commands {
        b.set("k", "value").await;
        a.warm("k", "value").await;
        proxy.hold_link(true);
        a.submit(1, command.clone());
        assert_eq!(a.copy("k"), None, "{command:?}");
        a.answer(1).await.unwrap();
        assert_eq!(a.get("k").await, None, "{command:?}");
        proxy.hold_link(false);
    }
}

async fn own_writes(way: &str) {
    let (_server, proxy, mut a, mut b) = two_with_a_proxy(way).await;
    for text in ["small".to_owned(), "x".repeat(300_000), "y".repeat(2_000_000)] {
        b.set("k", "old").await;
        a.warm("k", "old").await;
        proxy.hold_link(true);
        a.set("k", &text).await;
        assert!(a.get("k").await.unwrap() == text);
        proxy.hold_link(false);
    }
}

macro_rules! in_both_ways {
    ($name:ident, $body:ident) => {
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
            async fn where_the_server_tells() {
                super::$body(crate::WAYS[0]).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
            async fn where_processes_tell_each_other() {
                super::$body(crate::WAYS[1]).await;
            }
        }
    };
}

in_both_ways!(an_answer_that_a_change_overtakes_is_no_copy, an_answer_that_is_overtaken);
in_both_ways!(a_marker_that_a_change_overtakes_is_not_known, a_marker_that_is_overtaken);
in_both_ways!(copies_answer_no_longer_than_a_second_on_a_silent_link, a_link_that_is_held_up);

in_both_ways!(what_an_own_call_removes_is_gone_though_nobody_tells, own_removals);
in_both_ways!(what_an_own_raw_command_removes_is_gone_though_nobody_tells, own_raw_removals);
in_both_ways!(what_an_own_call_writes_is_there_though_nobody_tells, own_writes);

/// A server tells once of a key that several changed in one turn of its loop.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_write_right_behind_an_own_one_is_seen_though_both_are_told_as_one() {
    let server = Server::start();
    let (one, other) = (Proxy::before(server.port).await, Proxy::before(server.port).await);
    let mut a = Process::on(&one.url(), &by("tracking"));
    let mut b = Process::on(&other.url(), &by("tracking"));
    let mut knows = Process::on(&server.url(), &by("off"));
    for process in [&mut a, &mut b] {
        process.set("first", "1").await;
        process.warm("first", "1").await;
    }
    for round in 0..20 {
        let (ours, theirs) = (format!("ours {round}"), format!("theirs {round}"));
        server.halt(true);
        let (before, set) = (one.asked(), a.setting("k", &ours, Policy::default()));
        let calls = [set, a.getting("k"), a.getting("k")].map(|operation| a.call(0, operation));
        a.fallback.submit(calls.into());
        until("the server has been asked", async || one.asked() > before).await;
        let (before, set) = (other.asked(), b.setting("k", &theirs, Policy::default()));
        b.submit(0, set);
        until("the server has been asked", async || other.asked() > before).await;
        server.halt(false);
        for _ in 0..3 {
            a.answer(0).await.unwrap();
        }
        b.answer(0).await.unwrap();
        // The order in which it took them is its own affair.
        let last = knows.get("k").await.unwrap();
        let last = String::from_utf8(last.to_vec()).unwrap();
        a.until_read("k", Some(&last)).await;
        b.until_read("k", Some(&last)).await;
    }
}

//! What the server does by itself, grants or doesn't.
use holdfast::backend::{Backend, Early, Operation, Policy, Reach, Reply};

use crate::support::Server;
use crate::support::process::{Outside, PREFIX, Process, tagged, until};
use crate::{by, two};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_somebody_empties_takes_the_copies_with_it() {
    let server = Server::start();
    let (mut a, mut b) = two(&server, &by("tracking")).await;
    let mut outside = Outside::of(&server.url()).await;
    for command in [["FLUSHALL", "SYNC"], ["FLUSHDB", "ASYNC"]] {
        b.set("k", "value").await;
        b.set_with("l", "value", tagged(&["t"])).await;
        a.warm("k", "value").await;
        a.warm("l", "value").await;
        let _: redis::Value = outside.ask(&command).await;
        a.until_read("k", None).await;
        a.until_read("l", None).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_the_server_drops_by_itself_is_dropped_here() {
    let server = Server::start();
    let (mut a, mut b) = two(&server, &by("tracking")).await;
    let mut outside = Outside::of(&server.url()).await;
    let name = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
    b.set_with("k", "value", tagged(&["t"])).await;
    a.warm("k", "value").await;
    // Evicted, or expired: a marker, and then the value.
    let marker = name(&a.keys.marker(b"t"));
    let _: u64 = outside.ask(&["DEL", &marker]).await;
    a.until_read("k", None).await;
    b.set("k", "value").await;
    a.warm("k", "value").await;
    let key = name(&a.key("k"));
    let _: u64 = outside.ask(&["PEXPIRE", &key, "30"]).await;
    a.until_read("k", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_grants_no_tracking_is_no_obstacle() {
    let server = Server::start();
    let mut outside = Outside::of(&server.url()).await;
    let rules = ["ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-client|tracking"];
    let _: redis::Value = outside.ask(&rules).await;
    let url = format!("redis://app:pw@127.0.0.1:{}", server.port);
    let options = by("auto");
    let (mut a, mut b) = (Process::on(&url, &options), Process::on(&url, &options));
    for process in [&mut a, &mut b] {
        process.set("first", "1").await;
        process.warm("first", "1").await;
    }
    b.set("k", "old").await;
    a.warm("k", "old").await;
    b.set("k", "new").await;
    a.until_read("k", Some("new")).await;
    let mut other = Process::on(&url, &by("tracking"));
    other.set("k", "newer").await;
    for _ in 0..20 {
        assert_eq!(other.get("k").await.unwrap(), "newer");
        assert_eq!(other.copy("k"), None, "nothing else was asked for");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn where_no_copies_are_wanted_none_answers() {
    let server = Server::start();
    let mut process = Process::on(&server.url(), &by("off"));
    process.set("k", "value").await;
    let mut outside = Outside::of(&server.url()).await;
    for _ in 0..20 {
        assert_eq!(process.get("k").await.unwrap(), "value");
        assert_eq!(process.copy("k"), None);
    }
    assert_eq!(outside.links().await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_family_that_is_read_is_watched_up_to_a_bound() {
    let server = Server::start();
    let (mut a, mut b) = two(&server, &by("tracking")).await;
    let family = |at: usize| Operation::Get {
        key: holdfast::base::keys::Keys::new(PREFIX).entry(&format!("g{at}"), "k"),
        stale: false,
    };
    let put = |process: &Process, at: usize, text: &str| {
        let Operation::Set { value, ttl_ms, stamp, .. } =
            process.setting("", text, Policy::default())
        else {
            unreachable!("see above")
        };
        let Operation::Get { key, .. } = family(at) else { unreachable!("see above") };
        Operation::Set { key, value, ttl_ms, stamp }
    };
    for at in 0..40 {
        let set = put(&b, at, "old");
        b.run(set).await.unwrap();
        a.run(family(at)).await.unwrap();
    }
    let near = |a: &Process, at: usize| {
        matches!(a.fallback.now(family(at), Reach::default()), Early::Answer(Ok(Reply::Entry(_))))
    };
    for at in 0..20 {
        until("a family is watched", async || {
            a.run(family(at)).await.unwrap();
            near(&a, at)
        })
        .await;
    }
    for at in 0..40 {
        let set = put(&b, at, "new");
        b.run(set).await.unwrap();
        until("the write is seen", async || {
            matches!(a.run(family(at)).await, Ok(Reply::Entry(found)) if found.payload == "new")
        })
        .await;
    }
    assert!((0..40).any(|at| !near(&a, at)), "there is a bound");
}

//! The replay against a real server: two processes, one of them cut off meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]
#[path = "support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast::backend::redis::Redis;
use holdfast::backend::{Answer, Ask, Loading, Operation, Raw, Reply, Scope, Value};
use holdfast::base::clock::{BootClock, Clock};
use holdfast::base::keys::Keys;
use holdfast::base::random;
use holdfast::base::stamp::Stamps;
use holdfast::config::{self, Target};
use holdfast::resilience::fallback::Fallback;
use support::{Caller, Server};

struct Process {
    fallback: Arc<Fallback>,
    stamps: Arc<Stamps>,
    caller: Caller,
    keys: Keys,
}

impl Process {
    fn on(server: &Server) -> Self {
        let options = serde_json::json!({ "url": server.url(), "keyPrefix": "r:" });
        let json = serde_json::json!({ "options": options, "env": {} }).to_string();
        let config = Arc::new(config::from_json(&json).unwrap());
        let Target::Redis(endpoint) = config.target.clone() else {
            panic!("the URL names a server")
        };
        let clock: Arc<dyn Clock> = Arc::new(BootClock);
        let stamps = Arc::new(Stamps::new(clock.clone(), random::bits()));
        let runtime = tokio::runtime::Handle::current();
        let redis = Redis::new(endpoint, config.clone(), stamps.clone(), clock.clone(), &runtime);
        let fallback = Fallback::new(Some(redis), config, clock, stamps.clone(), Box::new(|_| {}));
        Self { fallback, stamps, caller: Caller::without_copies(), keys: Keys::new("r:") }
    }

    fn key(&self, name: &str) -> Bytes {
        self.keys.entry("f", name)
    }

    async fn run(&mut self, operation: Operation) -> Answer {
        let since = BootClock.micros();
        self.caller.run(&*self.fallback, operation, since).await
    }

    async fn set(&mut self, name: &str, text: &str, ttl_ms: Option<u64>) {
        let value = Value {
            payload: Bytes::copy_from_slice(text.as_bytes()),
            compress: true,
            ..Value::default()
        };
        let operation =
            Operation::Set { key: self.key(name), value, ttl_ms, stamp: self.stamps.next() };
        assert_eq!(self.run(operation).await, Ok(Reply::Flag(true)));
    }

    async fn delete(&mut self, name: &str) {
        let operation = Operation::Delete { key: self.key(name), stamp: self.stamps.next() };
        self.run(operation).await.unwrap();
    }

    async fn clear(&mut self) {
        let operation = Operation::Clear {
            scope: Scope::Prefix(self.keys.family("f")),
            stamp: self.stamps.next(),
        };
        self.run(operation).await.unwrap();
    }

    async fn get(&mut self, name: &str) -> Option<Bytes> {
        match self.run(Operation::Get { key: self.key(name), stale: false }).await.unwrap() {
            Reply::Entry(found) => Some(found.payload),
            _ => None,
        }
    }

    async fn raw(&mut self, words: &[&str]) -> Raw {
        let args = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        match self.run(Operation::Command { args }).await.unwrap() {
            Reply::Raw(raw) => raw,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the server's clock has moved on by more than two processes' readings of it differ.
    async fn moment(&self) {
        let until = self.stamps.server_micros() + 5_000;
        while self.stamps.server_micros() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Cut off, as far as this process can tell.
    fn leave(&self) {
        self.fallback.force(true);
    }

    /// Back, with everything replayed.
    async fn come_back(&mut self) {
        self.fallback.force(false);
        let settler = self.caller.settler(9);
        self.fallback.resync_now(settler);
        loop {
            let (id, answer) = self.caller.next().await;
            if id == 9 {
                answer.unwrap();
                return;
            }
        }
    }
}

macro_rules! scene {
    ($name:ident, |$server:ident, $a:ident, $b:ident| $body:block) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
        async fn $name() {
            let $server = Server::start();
            let mut $a = Process::on(&$server);
            let mut $b = Process::on(&$server);
            // First contact, so that both know the server's clock.
            assert_eq!($a.get("none").await, None);
            assert_eq!($b.get("none").await, None);
            $body
        }
    };
}

scene!(what_was_written_while_away_is_there_afterwards, |server, a, b| {
    a.set("k", "before", None).await;
    a.leave();
    a.set("k", "while away", None).await;
    a.set("gone soon", "x", Some(600_000)).await;
    assert_eq!(b.get("k").await.unwrap(), "before");
    a.come_back().await;
    assert_eq!(b.get("k").await.unwrap(), "while away");
    assert_eq!(a.get("k").await.unwrap(), "while away");
    let Raw::Integer(left) = b.raw(&["PTTL", "f:gone soon"]).await else { panic!("no TTL") };
    assert!((1..=600_000).contains(&left), "the remaining TTL is kept: {left}");
});

scene!(what_was_deleted_while_away_does_not_return, |server, a, b| {
    a.set("k", "before", None).await;
    a.leave();
    a.delete("k").await;
    assert_eq!(b.get("k").await.unwrap(), "before");
    a.come_back().await;
    assert_eq!(b.get("k").await, None);
});

scene!(a_newer_write_of_another_process_stays, |server, a, b| {
    a.leave();
    a.set("k", "older", None).await;
    a.delete("l").await;
    a.moment().await;
    b.set("k", "newer", None).await;
    b.set("l", "newer", None).await;
    a.come_back().await;
    assert_eq!(b.get("k").await.unwrap(), "newer");
    assert_eq!(b.get("l").await.unwrap(), "newer");
});

scene!(a_newer_delete_of_another_process_is_not_undone, |server, a, b| {
    a.leave();
    a.set("k", "older", None).await;
    a.moment().await;
    b.delete("k").await;
    a.come_back().await;
    assert_eq!(b.get("k").await, None, "the tombstone tells");
});

scene!(a_delete_beside_a_newer_value_still_blocks_what_is_older, |server, a, b| {
    let mut c = Process::on(&server);
    assert_eq!(c.get("none").await, None);
    c.leave();
    c.set("k", "oldest", None).await;
    c.moment().await;
    a.leave();
    a.delete("k").await;
    a.moment().await;
    b.set("k", "brief", Some(40)).await;
    a.come_back().await;
    while b.get("k").await.is_some() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    c.come_back().await;
    assert_eq!(b.get("k").await, None);
});

scene!(a_set_that_expired_while_away_leaves_no_older_value_behind, |server, a, b| {
    a.set("k", "before", None).await;
    a.leave();
    a.set("k", "brief", Some(20)).await;
    while a.get("k").await.is_some() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    a.come_back().await;
    assert_eq!(b.get("k").await, None);
});

scene!(a_family_that_was_cleared_while_away_is_cleared_and_newer_values_stay, |server, a, b| {
    a.set("old", "x", None).await;
    a.leave();
    a.set("between", "x", None).await;
    a.clear().await;
    a.set("after", "mine", None).await;
    a.moment().await;
    b.set("other", "theirs", None).await;
    a.come_back().await;
    assert_eq!(b.get("old").await, None);
    assert_eq!(b.get("between").await, None);
    assert_eq!(b.get("after").await.unwrap(), "mine");
    assert_eq!(b.get("other").await.unwrap(), "theirs", "it was written after the clear");
});

scene!(a_clear_voids_loads_that_are_under_way, |server, a, b| {
    let ask = Ask { token: 5, lease_ms: 60_000, ..Ask::default() };
    let loading = a.run(Operation::Load { key: a.key("k"), ask }).await.unwrap();
    let Reply::Loading(Loading { lease: Some(lease), .. }) = loading else { panic!("no lease") };
    b.clear().await;
    let value = Value { payload: Bytes::from_static(b"old"), ..Value::default() };
    let fill = Operation::Fill { key: a.key("k"), lease, value, ttl_ms: None };
    assert_eq!(a.run(fill).await, Ok(Reply::Flag(false)));
    assert_eq!(b.get("k").await, None);
});

scene!(a_foreign_value_stays_under_a_set_and_goes_with_a_delete, |server, a, b| {
    a.leave();
    a.set("k", "mine", None).await;
    a.delete("l").await;
    b.raw(&["SET", "f:k", "theirs"]).await;
    b.raw(&["SET", "f:l", "theirs"]).await;
    a.come_back().await;
    assert_eq!(b.get("k").await.unwrap(), "theirs");
    assert_eq!(b.get("l").await, None);
    assert_eq!(a.fallback.resync.conflicts.load(std::sync::atomic::Ordering::Relaxed), 1);
});

scene!(a_server_that_was_emptied_meanwhile_makes_absent_keys_undecidable, |server, a, b| {
    a.set("k", "before", None).await;
    a.leave();
    a.set("k", "while away", None).await;
    // Emptied without a restart, by somebody else; the life key goes with everything.
    let Raw::Array(mut page) = b.raw(&["SCAN", "0", "COUNT", "1000"]).await else {
        panic!("no page")
    };
    let Some(Raw::Array(keys)) = page.pop() else { panic!("no keys") };
    for key in keys {
        let Raw::Bytes(key) = key else { panic!("no key") };
        let name = std::str::from_utf8(&key).unwrap().strip_prefix("r:").unwrap().to_owned();
        b.raw(&["DEL", &name]).await;
    }
    a.come_back().await;
    assert_eq!(b.get("k").await, None, "what can't be decided is reported, not guessed");
    assert_eq!(a.fallback.resync.conflicts.load(std::sync::atomic::Ordering::Relaxed), 1);
});

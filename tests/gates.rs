//! Every place where the supervisor waits, closed in turn: it fails, takes long, or never ends. Whatever is
//! asked meanwhile is settled, and afterwards the server holds what was acknowledged.
#![cfg(not(feature = "node"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]
#[path = "support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use holdfast::backend::redis::gates::{Gate, Place};
use holdfast::backend::redis::{Redis, State};
use holdfast::backend::{
    Answer, Ask, Backend, Call, Lease, Loading, Operation, Policy, Raw, Reach, Removal, Reply,
    Scope, Tags, Value,
};
use holdfast::base::clock::{BootClock, Clock};
use holdfast::base::keys::Keys;
use holdfast::base::random;
use holdfast::base::stamp::Stamps;
use holdfast::config::{self, Target};
use holdfast::resilience::fallback::Fallback;
use parking_lot::Mutex;
use support::{Caller, Server};

struct Process {
    fallback: Arc<Fallback>,
    stamps: Arc<Stamps>,
    caller: Caller,
    keys: Keys,
    what: String,
    /// The kinds of the events that were told.
    told: Arc<Mutex<Vec<String>>>,
}

impl Process {
    fn on(server: &Server, what: String) -> Self {
        Self::with(server, what, &serde_json::json!({}))
    }

    fn with(server: &Server, what: String, fallback: &serde_json::Value) -> Self {
        let prefix = format!("gate{:x}:", random::bits());
        let options = serde_json::json!({
            "url": server.url(), "keyPrefix": prefix,
            "silenceMs": 100, "commandTimeoutMs": 500, "connectTimeoutMs": 300,
            // What is looked at is one place, not how often it fails.
            "breaker": false,
            "fallback": fallback,
        });
        let json = serde_json::json!({ "options": options, "env": {} }).to_string();
        let config = Arc::new(config::from_json(&json).unwrap());
        let Target::Redis(endpoint) = config.target.clone() else {
            panic!("the URL names a server")
        };
        let clock: Arc<dyn Clock> = Arc::new(BootClock);
        let stamps = Arc::new(Stamps::new(clock.clone(), random::bits()));
        let runtime = tokio::runtime::Handle::current();
        let redis = Redis::new(endpoint, config.clone(), stamps.clone(), clock.clone(), &runtime);
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let all = told.clone();
        let tell = move |event: serde_json::Value| {
            all.lock().push(event["type"].as_str().unwrap().to_owned());
        };
        let fallback = Fallback::new(Some(redis), config, clock, stamps.clone(), Box::new(tell));
        Self { fallback, stamps, caller: Caller::new(), keys: Keys::new(&prefix), what, told }
    }

    fn heard(&self, kind: &str) -> usize {
        self.told.lock().iter().filter(|other| *other == kind).count()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..20_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("waited in vain until {what}; {:?}: {:?}", self.fallback.state(), self.told.lock());
    }

    fn gate(&self, place: Place, gate: Gate) {
        self.fallback.redis.as_ref().unwrap().gates().set(place, gate);
    }

    fn key(&self, name: &str) -> Bytes {
        self.keys.entry("f", name)
    }

    async fn run(&mut self, operation: Operation) -> Answer {
        let asked = format!("{operation:?}");
        let answer = self.caller.run(&*self.fallback, operation, BootClock.micros());
        let bounded = tokio::time::timeout(Duration::from_secs(15), answer).await;
        bounded.unwrap_or_else(|_| panic!("{}: never answered: {asked}", self.what))
    }

    fn set(&self, name: &str, payload: Vec<u8>) -> Operation {
        let value = Value { payload: payload.into(), ..Value::default() };
        Operation::Set { key: self.key(name), value, ttl_ms: None, stamp: self.stamps.next() }
    }

    /// A value whose tag has its name.
    fn tagged(&self, name: &str) -> Operation {
        let tags = Tags::new([name]).unwrap();
        let value = Value { policy: Policy { tags, ..Policy::default() }, ..Value::default() };
        Operation::Set { key: self.key(name), value, ttl_ms: None, stamp: self.stamps.next() }
    }

    fn invalidate(&self, tag: &str) -> Operation {
        let (key, stamp) = (self.keys.marker(tag.as_bytes()), self.stamps.next());
        Operation::Invalidate { key, removal: Removal::Delete, stamp }
    }

    fn load(&self, name: &str, token: u64) -> Operation {
        let ask = Ask { token, lease_ms: 60_000, ..Ask::default() };
        Operation::Load { key: self.key(name), ask }
    }

    fn clear(&self) -> Operation {
        let scope = Scope::Prefix(self.keys.family("g"));
        Operation::Clear { scope, stamp: self.stamps.next() }
    }

    fn delete(&self, name: &str) -> Operation {
        Operation::Delete { key: self.key(name), stamp: self.stamps.next() }
    }

    async fn exists(&mut self, name: &str) -> bool {
        self.run(Operation::Exists { key: self.key(name) }).await == Ok(Reply::Flag(true))
    }

    /// Calls whose caller is gone before the answer comes.
    fn abandon(&self) {
        let gone = Caller::new();
        let operations = [
            self.set("abandoned", b"x".to_vec()),
            Operation::Get { key: self.key("kept"), stale: false },
            self.load("loading", 5),
            self.clear(),
        ];
        for operation in operations {
            self.fallback.submit(vec![Call::new(
                operation,
                gone.settler(0),
                BootClock.micros(),
                Reach::default(),
            )]);
        }
    }

    /// One of everything; each must be answered. Answers which writes were acknowledged.
    async fn everything(&mut self, round: &str) -> Vec<(String, bool)> {
        self.abandon();
        let mut acknowledged = Vec::new();
        for (name, payload) in [("small", b"1".to_vec()), ("large", vec![7; 100_000])] {
            let name = format!("{name}:{round}");
            let set = self.set(&name, payload);
            if self.run(set).await == Ok(Reply::Flag(true)) {
                acknowledged.push((name, true));
            }
        }
        let doomed = format!("doomed:{round}");
        let set = self.set(&doomed, b"1".to_vec());
        let _ = self.run(set).await;
        let delete = self.delete(&doomed);
        if self.run(delete).await.is_ok() {
            acknowledged.push((doomed, false));
        }
        let name = format!("tagged:{round}");
        let set = self.tagged(&name);
        let _ = self.run(set).await;
        let invalidate = self.invalidate(&name);
        if self.run(invalidate).await.is_ok() {
            acknowledged.push((name, false));
        }
        let name = format!("expired:{round}");
        let set = self.set(&name, b"1".to_vec());
        let _ = self.run(set).await;
        let expire = Operation::Expire { key: self.key(&name), stamp: self.stamps.next() };
        if self.run(expire).await.is_ok() {
            acknowledged.push((name, false));
        }
        let name = format!("loaded:{round}");
        let load = self.load(&name, 9);
        if let Ok(Reply::Loading(Loading { lease: Some(lease), .. })) = self.run(load).await {
            let (key, token) = (self.key(&name), lease.token);
            let _ = self.run(Operation::Hold { key, token, lease_ms: 60_000 }).await;
            self.fill(&name, lease).await;
        }
        let clear = self.clear();
        let _ = self.run(clear).await;
        for words in [vec!["INCR", "counter"], vec!["BLPOP", "list", "0.05"]] {
            let args = words.iter().map(|word| Bytes::from(word.to_string())).collect();
            let _ = self.run(Operation::Command { args }).await;
        }
        acknowledged
    }

    async fn fill(&mut self, name: &str, lease: Lease) {
        let value = Value { payload: Bytes::from_static(b"v"), ..Value::default() };
        let fill = Operation::Fill { key: self.key(name), lease, value, ttl_ms: None };
        let _ = self.run(fill).await;
    }

    async fn healed(&mut self, what: &str) {
        for _ in 0..1_000 {
            let settler = self.caller.settler(9);
            self.fallback.resync_now(settler);
            while self.caller.next().await.0 != 9 {}
            let depth = self.fallback.local.lock().journal.depth();
            if self.fallback.state().live() && depth == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{what}: it never heals; {:?}", self.fallback.state());
    }
}

async fn closed(server: &Server, place: Place, gate: Gate) {
    let what = format!("{place:?} {gate:?}");
    let mut process = Process::on(server, what.clone());
    let kept = process.set("kept", b"1".to_vec());
    assert_eq!(process.run(kept).await, Ok(Reply::Flag(true)), "{what}");

    process.gate(place, gate);
    let mut acknowledged = process.everything("online").await;
    // An outage and a return through the same gate.
    process.fallback.force(true);
    acknowledged.extend(process.everything("away").await);
    process.fallback.force(false);
    acknowledged.extend(process.everything("returning").await);

    process.gate(place, Gate::Open);
    process.healed(&what).await;
    acknowledged.extend(process.everything("after").await);
    process.healed(&what).await;
    assert!(process.exists("kept").await, "{what}");
    assert!(acknowledged.len() >= 16, "{what}: acknowledged is {acknowledged:?}");
    for (name, stays) in acknowledged {
        assert_eq!(process.exists(&name).await, stays, "{what}: {name}");
    }
    let counter = Operation::Command { args: vec!["GET".into(), "counter".into()] };
    assert!(matches!(process.run(counter).await, Ok(Reply::Raw(Raw::Bytes(_)))), "{what}");
    let Some(redis) = &process.fallback.redis else { return };
    assert_eq!((redis.limits().count(), redis.limits().bytes()), (0, 0), "{what}: room is lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_stays_pending_and_nothing_is_lost_whatever_is_waited_for_in_vain() {
    let server = Arc::new(Server::start());
    let mut cases = tokio::task::JoinSet::new();
    for place in Place::ALL {
        for gate in [Gate::Open, Gate::Fails, Gate::Slow, Gate::Never] {
            let server = server.clone();
            cases.spawn(async move { closed(&server, place, gate).await });
        }
    }
    while let Some(done) = cases.join_next().await {
        done.expect("see above");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_instance_that_starts_against_a_closed_gate_answers_and_heals() {
    let server = Arc::new(Server::start());
    let mut cases = tokio::task::JoinSet::new();
    for place in Place::ALL {
        for gate in [Gate::Fails, Gate::Slow, Gate::Never] {
            let server = server.clone();
            cases.spawn(async move {
                let what = format!("{place:?} {gate:?}");
                let mut process = Process::on(&server, what.clone());
                process.gate(place, gate);
                let acknowledged = process.everything("first").await;
                process.gate(place, Gate::Open);
                process.healed(&what).await;
                for (name, stays) in acknowledged {
                    assert_eq!(process.exists(&name).await, stays, "{what}: {name}");
                }
            });
        }
    }
    while let Some(done) = cases.join_next().await {
        done.expect("see above");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_resync_ends_though_its_last_replay_is_answered_while_its_connection_is_in_doubt() {
    let server = Server::start();
    // A set would be looked after, which is a reason of its own to go on.
    let merges = serde_json::json!({ "rawChanges": "merge" });
    let mut process = Process::with(&server, "a connection in doubt".to_owned(), &merges);
    process.fallback.force(true);
    let change = || Operation::Command { args: vec!["INCR".into(), "away".into()] };
    assert_eq!(process.run(change()).await, Ok(Reply::Raw(Raw::Integer(1))));
    // The replay takes a while, and a dial takes longer.
    process.gate(Place::Calls, Gate::Slow);
    process.gate(Place::Probe, Gate::Slow);
    process.fallback.force(false);
    process.until("it replays", |process| process.fallback.state() == State::Resyncing).await;
    let settler = process.caller.settler(9);
    process.fallback.redis.as_ref().unwrap().reconnect(settler);
    assert_eq!(process.caller.next().await.0, 9);
    process.until("it is well", |process| process.fallback.state() == State::Online).await;
    process.until("that is told", |process| process.heard("backend-recovered") == 1).await;
    assert_eq!((process.heard("resync-start"), process.heard("resync-end")), (1, 1));
    assert_eq!(process.run(change()).await, Ok(Reply::Raw(Raw::Integer(2))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_resync_that_is_broken_off_by_request_is_no_longer_under_way() {
    let server = Server::start();
    let mut process = Process::on(&server, "broken off".to_owned());
    process.fallback.force(true);
    let set = process.set("away", b"1".to_vec());
    assert_eq!(process.run(set).await, Ok(Reply::Flag(true)));
    process.gate(Place::Calls, Gate::Never);
    process.fallback.force(false);
    let runs = |process: &Process| process.fallback.resync.running.load(Ordering::Relaxed);
    process.until("it replays", runs).await;
    process.fallback.force(true);
    process.until("it is broken off", |process| !runs(process)).await;
    process.gate(Place::Calls, Gate::Open);
    process.fallback.force(false);
    process.until("it is well", |process| process.fallback.state() == State::Online).await;
    assert!(process.exists("away").await);
}

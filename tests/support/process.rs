//! One of the instances that share a server, and what looks at the server from outside.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast::backend::redis::Redis;
use holdfast::backend::{
    Answer, Ask, Backend, Call, Early, Found, Operation, Policy, Reach, Removal, Reply, Scope,
    Source, Tags, Value,
};
use holdfast::base::clock::{BootClock, Clock};
use holdfast::base::keys::Keys;
use holdfast::base::plant::Plant;
use holdfast::base::random;
use holdfast::base::stamp::Stamps;
use holdfast::config::{self, Config, Target};
use holdfast::resilience::fallback::Fallback;

use super::Caller;

pub const PREFIX: &str = "n:";
/// Nothing here may take longer; what is meant to be at once or within a second is far below it.
const BOUND: Duration = Duration::from_secs(10);

pub struct Process {
    pub fallback: Arc<Fallback>,
    pub stamps: Arc<Stamps>,
    pub caller: Caller,
    pub keys: Keys,
}

impl Process {
    /// With further options.
    pub fn on(url: &str, options: &serde_json::Value) -> Self {
        Self::planted(url, options, None)
    }

    /// With a rule that is broken on purpose.
    pub fn planted(url: &str, options: &serde_json::Value, planted: Option<Plant>) -> Self {
        // What is held up here is held up by the test, and no reason to doubt the server.
        let mut all = serde_json::json!({ "url": url, "keyPrefix": PREFIX, "silenceMs": 10_000 });
        for (name, value) in options.as_object().unwrap() {
            all[name] = value.clone();
        }
        let json = serde_json::json!({ "options": all, "env": {} }).to_string();
        let config = Arc::new(Config { planted, ..config::from_json(&json).unwrap() });
        let keys = Keys::new(all["keyPrefix"].as_str().unwrap());
        let Target::Redis(endpoint) = config.target.clone() else {
            panic!("the URL names a server")
        };
        let clock: Arc<dyn Clock> = Arc::new(BootClock);
        let stamps = Arc::new(Stamps::new(clock.clone(), random::bits()));
        let runtime = tokio::runtime::Handle::current();
        let redis = Redis::new(endpoint, config.clone(), stamps.clone(), clock.clone(), &runtime);
        let fallback = Fallback::new(Some(redis), config, clock, stamps.clone(), Box::new(|_| {}));
        Self { fallback, stamps, caller: Caller::new(), keys }
    }

    /// By the clock of this process, in microseconds.
    pub fn now(&self) -> u64 {
        self.fallback.clock.micros()
    }

    pub fn redis(&self) -> &Redis {
        self.fallback.redis.as_ref().unwrap()
    }

    pub fn key(&self, name: &str) -> Bytes {
        self.keys.entry("f", name)
    }

    pub async fn run(&mut self, operation: Operation) -> Answer {
        self.caller.run(&*self.fallback, operation, BootClock.micros()).await
    }

    /// Hands an operation over and does not wait; its answer has this number.
    pub fn submit(&self, id: u32, operation: Operation) {
        self.fallback.submit(vec![self.call(id, operation)]);
    }

    pub fn call(&self, id: u32, operation: Operation) -> Call {
        let settler = self.caller.settler(id);
        Call::new(operation, settler, BootClock.micros(), Reach::default())
    }

    /// The answer to what was handed over under this number.
    pub async fn answer(&mut self, id: u32) -> Answer {
        let (next, answer) = self.caller.next().await;
        assert_eq!(next, id, "{answer:?}");
        answer
    }

    pub fn getting(&self, name: &str) -> Operation {
        Operation::Get { key: self.key(name), stale: false }
    }

    pub fn setting(&self, name: &str, text: &str, policy: Policy) -> Operation {
        let payload = Bytes::copy_from_slice(text.as_bytes());
        let value = Value { payload, policy, ..Value::default() };
        Operation::Set { key: self.key(name), value, ttl_ms: None, stamp: self.stamps.next() }
    }

    pub fn clearing(&self, scope: Scope) -> Operation {
        Operation::Clear { scope, stamp: self.stamps.next() }
    }

    pub fn family(&self) -> Scope {
        Scope::Prefix(self.keys.family("f"))
    }

    pub fn deleting(&self, name: &str) -> Operation {
        Operation::Delete { key: self.key(name), stamp: self.stamps.next() }
    }

    pub fn expiring(&self, name: &str) -> Operation {
        Operation::Expire { key: self.key(name), stamp: self.stamps.next() }
    }

    pub fn invalidating(&self, tag: &str, removal: Removal) -> Operation {
        let (key, stamp) = (self.keys.marker(tag.as_bytes()), self.stamps.next());
        Operation::Invalidate { key, removal, stamp }
    }

    /// Waits until the server's clock has moved on by more than two processes' readings of it, and an
    /// invalidation's reach beyond now, differ.
    pub async fn moment(&self) {
        let until = self.stamps.next().micros + 60_000;
        assert!(self.ahead() < 2_000_000, "its stamps are {} us ahead of the clock", self.ahead());
        while self.stamps.server_micros() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// By how much its writes come later than they are made, in microseconds.
    pub fn ahead(&self) -> u64 {
        self.stamps.next().micros.saturating_sub(self.stamps.server_micros())
    }

    pub async fn set(&mut self, name: &str, text: &str) {
        self.set_with(name, text, Policy::default()).await;
    }

    pub async fn set_with(&mut self, name: &str, text: &str, policy: Policy) {
        let set = self.setting(name, text, policy);
        assert_eq!(self.run(set).await, Ok(Reply::Flag(true)));
    }

    pub async fn get(&mut self, name: &str) -> Option<Bytes> {
        let get = self.getting(name);
        match self.run(get).await.unwrap() {
            Reply::Entry(found) => Some(found.payload),
            _ => None,
        }
    }

    pub fn load(&self, name: &str) -> Operation {
        let ask = Ask { token: random::bits() | 1, lease_ms: 60_000, ..Ask::default() };
        Operation::Load { key: self.key(name), ask }
    }

    /// What a copy answers at once, if one does.
    pub fn copy(&self, name: &str) -> Option<Found> {
        match self.fallback.now(self.getting(name), Reach::default()) {
            Early::Answer(Ok(Reply::Entry(found))) => {
                assert_eq!(found.source, Source::Near);
                Some(found)
            }
            Early::Pass(_) => None,
            other => panic!("a copy answered {other:?}"),
        }
    }

    /// Reads until a copy of this text answers by itself.
    pub async fn warm(&mut self, name: &str, text: &str) {
        until("a copy answers", async || {
            let read = self.get(name).await;
            read.is_some_and(|read| read == text) && self.copy(name).is_some()
        })
        .await;
        assert_eq!(self.copy(name).unwrap().payload, text);
    }

    /// Waits until this is what it reads; from then on it never reads anything else.
    pub async fn until_read(&mut self, name: &str, text: Option<&str>) {
        let text = text.map(str::to_owned);
        let what = format!("{name} is {text:?}");
        until(&what, async || {
            self.get(name).await.as_deref() == text.as_deref().map(str::as_bytes)
        })
        .await;
        for _ in 0..50 {
            let read = self.get(name).await;
            assert_eq!(read.as_deref(), text.as_deref().map(str::as_bytes), "{name} went back");
        }
    }

    /// Waits until no copy of this answers by itself.
    pub async fn until_no_copy(&mut self, name: &str) {
        until("copies stop answering", async || self.copy(name).is_none()).await;
    }

    /// Back from memory by request, with everything replayed.
    pub async fn come_back(&mut self) {
        self.fallback.force(false);
        self.fallback.resync_now(self.caller.settler(9));
        while self.caller.next().await.0 != 9 {}
    }
}

/// The tags of a value.
pub fn tagged(names: &[&str]) -> Policy {
    Policy { tags: Tags::new(names.iter().copied()).unwrap(), ..Policy::default() }
}

/// Waits until something is so.
pub async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let done = tokio::time::timeout(BOUND, waited).await;
    assert!(done.is_ok(), "it never came to it that {what}");
}

/// A client of the server that knows nothing of us.
pub struct Outside(redis::aio::MultiplexedConnection);

impl Outside {
    pub async fn of(url: &str) -> Self {
        let client = redis::Client::open(url).unwrap();
        Self(client.get_multiplexed_async_connection().await.unwrap())
    }

    pub async fn ask<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.0).await.unwrap()
    }

    /// How often the server was asked for any value.
    pub async fn reads(&mut self) -> u64 {
        let stats: String = self.ask(&["INFO", "commandstats"]).await;
        let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls="));
        calls.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    }

    /// The ids of the connections on which the server, or the bus, tells of changes.
    pub async fn links(&mut self) -> Vec<String> {
        let list: String = self.ask(&["CLIENT", "LIST"]).await;
        let field = |line: &str, name: &str| {
            let fields = line.split(' ').find_map(|field| field.strip_prefix(name));
            fields.unwrap_or_default().to_owned()
        };
        let tells = |line: &&str| field(line, "flags=").contains('t') || field(line, "sub=") == "1";
        list.lines().filter(tells).map(|line| field(line, "id=")).collect()
    }
}

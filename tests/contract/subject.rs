//! A backend under the contract, and what it is declared to lack.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast::backend::memory::Memory;
use holdfast::backend::rate::{Decision, Limiter, Verb};
use holdfast::backend::redis::Redis;
use holdfast::backend::session::{self, Deed, Outage, Outcome};
use holdfast::backend::{
    Act, Answer, Ask, Backend, Change, Found, Lease, Loading, Operation, Policy, Raw, Removal,
    Reply, Scope, Tags, Value,
};
use holdfast::base::clock::{BootClock, Clock};
use holdfast::base::error::ErrorKind;
use holdfast::base::keys::Keys;
use holdfast::base::random;
use holdfast::base::stamp::Stamps;
use holdfast::config::{self, Config, Target};
use holdfast::resilience::fallback::Fallback;

use crate::Kind;
use crate::support::{Caller, Server};

/// What a backend is declared not to have; docs/parity.md says the same in words.
#[derive(Clone, Copy, Default)]
pub struct Lacks {
    /// Values of other types than string under a key.
    pub other_types: bool,
    /// Raw commands while degraded.
    pub raw_commands: bool,
    /// Markers of tags that somebody else could remove.
    pub markers: bool,
    /// Streams of what was published meanwhile: it waits for the server.
    pub streams: bool,
}

pub struct Subject {
    backend: Arc<dyn Backend>,
    pub lacks: Lacks,
    caller: Caller,
    pub keys: Keys,
    pub stamps: Arc<Stamps>,
    clock: Arc<dyn Clock>,
    run: Vec<Kind>,
    place: String,
    server: Option<Server>,
}

fn parts() -> (Arc<dyn Clock>, Arc<Stamps>) {
    let clock: Arc<dyn Clock> = Arc::new(BootClock);
    let stamps = Arc::new(Stamps::new(clock.clone(), random::bits()));
    (clock, stamps)
}

fn config_for(server: &Server) -> Arc<Config> {
    let json = serde_json::json!({ "options": { "url": server.url(), "keyPrefix": "contract:" }, "env": {} });
    Arc::new(config::from_json(&json.to_string()).unwrap())
}

impl Subject {
    fn new(
        backend: Arc<dyn Backend>,
        lacks: Lacks,
        (clock, stamps): (Arc<dyn Clock>, Arc<Stamps>),
        server: Option<Server>,
    ) -> Self {
        let keys = Keys::new("contract:");
        Self {
            backend,
            lacks,
            caller: Caller::new(),
            keys,
            stamps,
            clock,
            run: Vec::new(),
            place: String::new(),
            server,
        }
    }

    pub async fn memory() -> Self {
        let (clock, stamps) = parts();
        let memory = Memory::new(10 << 20, stamps.clone(), clock.clone(), Keys::new("contract:"));
        let lacks = Lacks { markers: true, ..Lacks::default() };
        Self::new(Arc::new(memory), lacks, (clock, stamps), None)
    }

    pub async fn redis() -> Self {
        let server = Server::start();
        let (clock, stamps) = parts();
        let redis = open(&server, &clock, &stamps);
        Self::new(Arc::new(redis), Lacks::default(), (clock, stamps), Some(server))
    }

    pub async fn fallback_online() -> Self {
        let server = Server::start();
        let (clock, stamps) = parts();
        let redis = open(&server, &clock, &stamps);
        let fallback = Fallback::new(
            Some(redis),
            config_for(&server),
            clock.clone(),
            stamps.clone(),
            Box::new(|_| {}),
        );
        Self::new(fallback, Lacks::default(), (clock, stamps), Some(server))
    }

    pub async fn fallback_forced() -> Self {
        let mut subject = Self::fallback_online().await;
        let (clock, stamps) = (subject.clock.clone(), subject.stamps.clone());
        let server = subject.server.take().unwrap();
        let redis = open(&server, &clock, &stamps);
        let fallback = Fallback::new(
            Some(redis),
            config_for(&server),
            clock.clone(),
            stamps.clone(),
            Box::new(|_| {}),
        );
        fallback.force(true);
        let lacks = Lacks { other_types: true, raw_commands: true, markers: true, streams: true };
        Self::new(fallback, lacks, (clock, stamps), Some(server))
    }

    /// Each case by itself: what one broke or put off is not the next one's.
    pub async fn begin(&mut self, kind: Kind, what: &str) {
        // An invalidation makes own stamps run ahead of the clock.
        let last = self.stamps.next().micros;
        while self.stamps.server_micros() <= last {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.run.clear();
        self.caller = Caller::new();
        self.place = format!("{kind:?}-{what}");
    }

    pub fn used(&self, kind: Kind) -> bool {
        self.run.contains(&kind)
    }

    /// A key of this case alone.
    pub fn key(&self, name: &str) -> Bytes {
        self.keys.entry(&self.place, name)
    }

    pub fn family(&self) -> Scope {
        Scope::Prefix(self.keys.family(&self.place))
    }

    pub fn pattern(&self, pattern: &str) -> Scope {
        Scope::matching(&self.keys, &self.place, pattern)
    }

    /// Everything of this case that has a tag.
    pub fn tagged(&self) -> Scope {
        Scope::Tagged(self.keys.family(&self.place))
    }

    pub async fn run(&mut self, operation: Operation) -> Answer {
        self.run.push(Kind::of(&operation));
        let since = self.clock.micros();
        self.caller.run(&*self.backend, operation, since).await
    }

    /// What is fresh.
    pub async fn get(&mut self, key: &Bytes) -> Option<Bytes> {
        self.found(key, false).await.map(|found| found.payload)
    }

    /// What is there, fresh or not.
    pub async fn get_stale(&mut self, key: &Bytes) -> Option<Found> {
        self.found(key, true).await
    }

    pub async fn found(&mut self, key: &Bytes, stale: bool) -> Option<Found> {
        match self.run(Operation::Get { key: key.clone(), stale }).await.unwrap() {
            Reply::Entry(found) => Some(found),
            Reply::Nothing => None,
            other => panic!("a read answered {other:?}"),
        }
    }

    pub async fn exists(&mut self, key: &Bytes) -> bool {
        match self.run(Operation::Exists { key: key.clone() }).await.unwrap() {
            Reply::Flag(exists) => exists,
            other => panic!("a question answered {other:?}"),
        }
    }

    pub async fn set(&mut self, key: &Bytes, text: &str, ttl_ms: Option<u64>) -> Answer {
        self.set_with(key, text, ttl_ms, Policy::default()).await
    }

    pub async fn set_with(
        &mut self,
        key: &Bytes,
        text: &str,
        ttl_ms: Option<u64>,
        policy: Policy,
    ) -> Answer {
        let value = Value { policy, ..value(text) };
        let stamp = self.stamps.next();
        self.run(Operation::Set { key: key.clone(), value, ttl_ms, stamp }).await
    }

    /// By somebody who waits for nobody else for a minute.
    pub async fn load(&mut self, key: &Bytes) -> Reply {
        self.ask(key, asking()).await
    }

    pub async fn ask(&mut self, key: &Bytes, ask: Ask) -> Reply {
        self.run(Operation::Load { key: key.clone(), ask }).await.unwrap()
    }

    pub async fn loading(&mut self, key: &Bytes, ask: Ask) -> Loading {
        match self.ask(key, ask).await {
            Reply::Loading(loading) => loading,
            other => panic!("a load answered {other:?}"),
        }
    }

    pub async fn lease(&mut self, key: &Bytes) -> Lease {
        self.lease_with(key, asking()).await
    }

    pub async fn lease_with(&mut self, key: &Bytes, ask: Ask) -> Lease {
        let loading = self.loading(key, ask).await;
        assert_eq!(loading.wait_ms, 0);
        loading.lease.expect("nobody else loads it")
    }

    pub async fn fill(
        &mut self,
        key: &Bytes,
        lease: Lease,
        text: &str,
        ttl_ms: Option<u64>,
    ) -> Answer {
        self.fill_with(key, lease, text, ttl_ms, Policy::default()).await
    }

    pub async fn fill_with(
        &mut self,
        key: &Bytes,
        lease: Lease,
        text: &str,
        ttl_ms: Option<u64>,
        policy: Policy,
    ) -> Answer {
        let value = Value { policy, ..value(text) };
        self.run(Operation::Fill { key: key.clone(), lease, value, ttl_ms }).await
    }

    pub async fn hold(&mut self, key: &Bytes, lease: Lease, lease_ms: u64) -> Answer {
        let token = lease.token;
        self.run(Operation::Hold { key: key.clone(), token, lease_ms }).await
    }

    pub async fn expire(&mut self, key: &Bytes) -> Answer {
        let stamp = self.stamps.next();
        self.run(Operation::Expire { key: key.clone(), stamp }).await
    }

    pub async fn clear(&mut self, scope: Scope) -> Answer {
        let stamp = self.stamps.next();
        self.run(Operation::Clear { scope, stamp }).await
    }

    /// Those of a value, in this case alone.
    pub fn tags(&self, names: &[&str]) -> Policy {
        let names: Vec<String> = names.iter().map(|name| self.tag(name)).collect();
        let tags = Tags::new(names.iter().map(String::as_str)).unwrap();
        Policy { tags, ..Policy::default() }
    }

    fn tag(&self, name: &str) -> String {
        format!("{} {name}", self.place)
    }

    pub async fn invalidate(&mut self, name: &str, removal: Removal) -> Answer {
        let key = self.keys.marker(self.tag(name).as_bytes());
        let stamp = self.stamps.next();
        self.run(Operation::Invalidate { key, removal, stamp }).await
    }

    /// Removes a tag's marker behind everybody's back; false where nobody could.
    pub async fn lose_marker(&mut self, name: &str) -> bool {
        if self.lacks.markers {
            return false;
        }
        let url = self.server.as_ref().unwrap().url();
        let client = redis::Client::open(url).unwrap();
        let mut outside = client.get_multiplexed_async_connection().await.unwrap();
        let marker = self.keys.marker(self.tag(name).as_bytes());
        let removed: u64 =
            redis::cmd("DEL").arg(marker.as_ref()).query_async(&mut outside).await.unwrap();
        assert_eq!(removed, 1, "there was a marker");
        true
    }

    pub async fn delete(&mut self, key: &Bytes) -> Answer {
        let stamp = self.stamps.next();
        self.run(Operation::Delete { key: key.clone(), stamp }).await
    }

    /// A raw change that merges; answers its number.
    pub async fn change(&mut self, words: &str) -> Result<i64, ErrorKind> {
        let (args, stamp) = (args(words), self.stamps.next());
        let change = Change::of(&args, stamp).expect("it merges");
        let key = self.keys.raw(&args[1]);
        let number = self.stamps.numbers.next();
        match self.run(Operation::Change { key, args, change, stamp, number }).await {
            Ok(Reply::Raw(Raw::Integer(number))) => Ok(number),
            Ok(other) => panic!("a change answered {other:?}"),
            Err(error) => Err(error.kind),
        }
    }

    /// What a limiter says of a key.
    pub async fn rate(&mut self, key: &str, limiter: &Arc<Limiter>, verb: Verb) -> Decision {
        let key = self.keys.limit("rate_limit", &self.place, key, 128);
        self.rate_at(key, limiter, verb).await
    }

    pub async fn rate_at(&mut self, key: Bytes, limiter: &Arc<Limiter>, verb: Verb) -> Decision {
        let act = Act { verb, at: self.clock.micros(), number: 0 };
        match self.run(Operation::Rate { key, limiter: limiter.clone(), act }).await.unwrap() {
            Reply::Decision(decision) => *decision,
            other => panic!("a limiter answered {other:?}"),
        }
    }

    /// The key of a user's session, or of a guest's, whose name begins with g.
    pub fn session(&self, name: &str) -> Bytes {
        let kind = if name.starts_with('g') { 'g' } else { 'u' };
        let user = name.split('-').next().unwrap_or_default();
        let tail = format!("{kind}{user:a<22}.{name:b<43}");
        self.keys.session(&self.place, &tail)
    }

    pub async fn ask_session(&mut self, key: &Bytes, deed: Deed) -> Reply {
        let (outage, logins, known_ms, brief) = (Outage::Local, true, 60_000, false);
        let ask = session::Ask { deed, outage, logins, known_ms, brief };
        let (key, ask) = (key.clone(), Box::new(ask));
        self.run(Operation::Session { key, ask }).await.unwrap()
    }

    pub async fn in_session(&mut self, key: &Bytes, deed: Deed) -> Outcome {
        match self.ask_session(key, deed).await {
            Reply::Session(told) => told.outcome,
            other => panic!("a session answered {other:?}"),
        }
    }

    pub async fn command(&mut self, words: &str) -> Answer {
        self.run(Operation::Command { args: args(words) }).await
    }

    /// Puts a list under a key, as some other program might; false where there are no lists.
    pub async fn plant_list(&mut self, key: &Bytes) -> bool {
        if self.lacks.other_types {
            return false;
        }
        let name = Bytes::copy_from_slice(key.strip_prefix(b"contract:").unwrap());
        let args = vec![Bytes::from("RPUSH"), name, Bytes::from("x")];
        self.run(Operation::Command { args }).await.unwrap();
        true
    }

    /// Waits until nothing fresh is there; the server's clock decides, not ours.
    pub async fn until_gone(&mut self, key: &Bytes) {
        self.until(async |subject| subject.get(key).await.is_none()).await;
    }

    /// Waits until nobody else has the lease any more.
    pub async fn until_leased(&mut self, key: &Bytes) -> Lease {
        let mut lease = None;
        self.until(async |subject| {
            lease = subject.loading(key, asking()).await.lease;
            lease.is_some()
        })
        .await;
        lease.expect("see above")
    }

    pub async fn until(&mut self, mut so: impl AsyncFnMut(&mut Self) -> bool) {
        for _ in 0..2000 {
            if so(self).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it never came to that");
    }
}

fn open(server: &Server, clock: &Arc<dyn Clock>, stamps: &Arc<Stamps>) -> Redis {
    let config = config_for(server);
    let Target::Redis(endpoint) = config.target.clone() else { panic!("the URL names a server") };
    let runtime = tokio::runtime::Handle::current();
    Redis::new(endpoint, config, stamps.clone(), clock.clone(), &runtime)
}

pub fn asking() -> Ask {
    Ask { token: random::bits() | 1, lease_ms: 60_000, ..Ask::default() }
}

pub fn value(text: &str) -> Value {
    let payload = Bytes::copy_from_slice(text.as_bytes());
    Value { payload, compress: true, ..Value::default() }
}

pub fn args(words: &str) -> Vec<Bytes> {
    words.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
}

pub fn text(text: &str) -> Answer {
    Ok(Reply::Raw(Raw::Bytes(Bytes::copy_from_slice(text.as_bytes()))))
}

//! A backend under the contract, and what it is declared to lack.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast::backend::memory::Memory;
use holdfast::backend::redis::Redis;
use holdfast::backend::{Answer, Backend, Change, Lease, Operation, Raw, Reply, Value};
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
    _server: Option<Server>,
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
            _server: server,
        }
    }

    pub async fn memory() -> Self {
        let (clock, stamps) = parts();
        let memory = Memory::new(10 << 20, stamps.clone(), clock.clone(), Keys::new("contract:"));
        let lacks = Lacks::default();
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
        let server = subject._server.take().unwrap();
        let redis = open(&server, &clock, &stamps);
        let fallback = Fallback::new(
            Some(redis),
            config_for(&server),
            clock.clone(),
            stamps.clone(),
            Box::new(|_| {}),
        );
        fallback.force(true);
        let lacks = Lacks { other_types: true, raw_commands: true };
        Self::new(fallback, lacks, (clock, stamps), Some(server))
    }

    pub fn begin(&mut self, kind: Kind, what: &str) {
        self.run.clear();
        self.place = format!("{kind:?}-{what}");
    }

    pub fn used(&self, kind: Kind) -> bool {
        self.run.contains(&kind)
    }

    /// A key of this case alone.
    pub fn key(&self, name: &str) -> Bytes {
        self.keys.entry(&self.place, name)
    }

    pub fn family(&self) -> Bytes {
        self.keys.family(&self.place)
    }

    pub async fn run(&mut self, operation: Operation) -> Answer {
        self.run.push(Kind::of(&operation));
        let since = self.clock.micros();
        self.caller.run(&*self.backend, operation, since).await
    }

    pub async fn get(&mut self, key: &Bytes) -> Option<Bytes> {
        match self.run(Operation::Get { key: key.clone() }).await.unwrap() {
            Reply::Entry(found) => Some(found.payload),
            Reply::Nothing => None,
            other => panic!("a read answered {other:?}"),
        }
    }

    pub async fn set(&mut self, key: &Bytes, text: &str, ttl_ms: Option<u64>) -> Answer {
        let stamp = self.stamps.next();
        self.run(Operation::Set { key: key.clone(), value: value(text), ttl_ms, stamp }).await
    }

    pub async fn load(&mut self, key: &Bytes) -> Reply {
        let token = random::bits();
        self.run(Operation::Load { key: key.clone(), token }).await.unwrap()
    }

    pub async fn lease(&mut self, key: &Bytes) -> Lease {
        match self.load(key).await {
            Reply::Lease(lease) => lease,
            other => panic!("a load answered {other:?}"),
        }
    }

    pub async fn fill(
        &mut self,
        key: &Bytes,
        lease: Lease,
        text: &str,
        ttl_ms: Option<u64>,
    ) -> Answer {
        let value = value(text);
        self.run(Operation::Fill { key: key.clone(), lease, value, ttl_ms }).await
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

    /// Waits until a key is gone; the server's clock decides, not ours.
    pub async fn until_gone(&mut self, key: &Bytes) {
        for _ in 0..2000 {
            if self.get(key).await.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the key never expired");
    }
}

fn open(server: &Server, clock: &Arc<dyn Clock>, stamps: &Arc<Stamps>) -> Redis {
    let config = config_for(server);
    let Target::Redis(endpoint) = config.target.clone() else { panic!("the URL names a server") };
    let runtime = tokio::runtime::Handle::current();
    Redis::new(endpoint, config, stamps.clone(), clock.clone(), &runtime)
}

pub fn value(text: &str) -> Value {
    Value { payload: Bytes::copy_from_slice(text.as_bytes()), format: 0, compress: true }
}

pub fn args(words: &str) -> Vec<Bytes> {
    words.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
}

pub fn text(text: &str) -> Answer {
    Ok(Reply::Raw(Raw::Bytes(Bytes::copy_from_slice(text.as_bytes()))))
}

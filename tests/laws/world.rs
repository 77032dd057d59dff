//! Two real processes and a real server, driven step by step beside the rules.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use holdfast::backend::redis::Redis;
use holdfast::backend::{Operation, Raw, Reply, Scope, Value};
use holdfast::base::clock::{BootClock, Clock, ManualClock};
use holdfast::base::keys::Keys;
use holdfast::base::plant::Plant;
use holdfast::base::random;
use holdfast::base::stamp::Stamps;
use holdfast::config::{self, Config, Target};
use holdfast::resilience::fallback::Fallback;

use crate::rules::{Id, KEYS, Rules, Step, Stored};
use crate::support::{Caller, Server};

const HEADER: usize = 42;
/// What the clock moves on between two steps.
const TICK: u64 = 1_000;

/// The machine's clock, with jumps.
#[derive(Default)]
struct Jumping(AtomicU64);

impl Clock for Jumping {
    fn micros(&self) -> u64 {
        BootClock.micros() + self.0.load(Ordering::SeqCst)
    }
}

struct Process {
    fallback: Arc<Fallback>,
    stamps: Arc<Stamps>,
    caller: Caller,
}

pub struct World {
    rules: Rules,
    processes: [Process; 2],
    clock: Arc<Jumping>,
    /// The clock of stamps: it moves on with the steps alone, so that their order is certain.
    stamping: Arc<ManualClock>,
    keys: Keys,
    outside: redis::aio::MultiplexedConnection,
    client: redis::Client,
    next: Id,
}

impl World {
    pub async fn new(server: &Server, planted: Option<Plant>) -> Self {
        let prefix = format!("law{:x}:", random::bits());
        let clock = Arc::new(Jumping::default());
        let start = clock.micros();
        let stamping = Arc::new(ManualClock::at(start));
        // Any offset will do that makes stamps look like a server's.
        let offset = 1_700_000_000_000_000i64;
        let config = configuration(server, &prefix, planted);
        let process = |number: u64| {
            let stamps = Arc::new(Stamps::new(stamping.clone(), number));
            stamps.pin(offset);
            if planted == Some(Plant::StampsFollowTheClock) {
                stamps.let_fall();
            }
            let Target::Redis(endpoint) = config.target.clone() else {
                panic!("the URL names a server")
            };
            let runtime = tokio::runtime::Handle::current();
            let redis =
                Redis::new(endpoint, config.clone(), stamps.clone(), clock.clone(), &runtime);
            let fallback = Fallback::new(
                Some(redis),
                config.clone(),
                clock.clone(),
                stamps.clone(),
                Box::new(|_| {}),
            );
            Process { fallback, stamps, caller: Caller::without_copies() }
        };
        let client = redis::Client::open(server.url()).unwrap();
        let outside = client.get_multiplexed_async_connection().await.unwrap();
        let processes = [process(0), process(1)];
        let mut world = Self {
            rules: Rules::new(start, offset),
            processes,
            clock,
            stamping,
            keys: Keys::new(&prefix),
            outside,
            client,
            next: 0,
        };
        for process in 0..2 {
            assert_eq!(world.read(process, 0).await, Ok(None));
        }
        world
    }

    pub async fn run(&mut self, steps: &[Step]) -> Result<(), String> {
        for (at, step) in steps.iter().enumerate() {
            self.rules.now += TICK;
            self.stamping.advance(TICK);
            self.step(step).await.map_err(|why| format!("step {at}, {step:?}: {why}"))?;
        }
        for process in 0..2 {
            self.come_back(process).await.map_err(|why| format!("at the end: {why}"))?;
        }
        // Every clear of the cases to come would look through what this one leaves.
        self.flush().await;
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match *step {
            Step::Set { process, key, ttl } => {
                self.next += 1;
                let id = self.next;
                let value = Value { payload: Bytes::from(id.to_string()), ..Value::default() };
                let stamp = self.processes[process].stamps.next();
                let operation = Operation::Set { key: self.key(key), value, ttl_ms: ttl, stamp };
                let answer = self.ask(process, operation).await?;
                self.rules.set(process, key, id, ttl);
                if answer != Reply::Flag(true) {
                    return Err(format!("it answers {answer:?}"));
                }
            }
            Step::Delete { process, key } => {
                let stamp = self.processes[process].stamps.next();
                let operation = Operation::Delete { key: self.key(key), stamp };
                self.ask(process, operation).await?;
                self.rules.delete(process, key);
            }
            Step::Get { process, key } => {
                let found = self.read(process, key).await?;
                let allowed = self.rules.may_read(process, key);
                if !allowed.contains(&found) {
                    return Err(format!("it reads {found:?}, allowed is {allowed:?}"));
                }
                self.rules.has_read(process, key);
            }
            Step::Clear { process } => {
                let stamp = self.processes[process].stamps.next();
                let scope = Scope::Prefix(self.keys.family("f"));
                self.ask(process, Operation::Clear { scope, stamp }).await?;
                self.rules.clear(process);
            }
            Step::Leave { process } => {
                self.processes[process].fallback.force(true);
                self.rules.leave(process);
            }
            Step::Return { process } => self.come_back(process).await?,
            Step::Jump { micros } => self.jump(micros).await,
            Step::ClockBehind => {
                let offset = self.rules.turn_back(30_000_000);
                self.processes.iter().for_each(|process| process.stamps.pin(offset));
            }
            Step::Flush => {
                self.flush().await;
                self.rules.flush();
            }
        }
        Ok(())
    }

    async fn ask(&mut self, process: usize, operation: Operation) -> Result<Reply, String> {
        let Process { fallback, caller, .. } = &mut self.processes[process];
        let since = self.clock.micros();
        let answer = caller.run(&**fallback, operation, since).await;
        answer.map_err(|error| format!("it fails: {error}"))
    }

    async fn read(&mut self, process: usize, key: usize) -> Result<Option<Id>, String> {
        let operation = Operation::Get { key: self.key(key), stale: false };
        Ok(match self.ask(process, operation).await? {
            Reply::Entry(found) => {
                Some(std::str::from_utf8(&found.payload).unwrap().parse().unwrap())
            }
            _ => None,
        })
    }

    /// Replays, and compares all that the server holds.
    async fn come_back(&mut self, process: usize) -> Result<(), String> {
        let Process { fallback, caller, .. } = &mut self.processes[process];
        fallback.force(false);
        // On a machine that is too busy a dial fails, and who asked is told so.
        while !resync(fallback, caller).await? {}
        let depth = fallback.local.lock().journal.depth();
        if depth > 0 {
            return Err(format!("{depth} intents are left"));
        }
        let may = self.rules.come_back(process);
        for (key, may) in may.into_iter().enumerate() {
            let (found, ttl) = self.stored(key).await;
            let Some(meant) = may.iter().find(|may| may.map(|stored| stored.id) == found) else {
                return Err(format!("key {key} holds {found:?}, allowed is {may:?}"));
            };
            self.rules.holds(key, found);
            if let Some(stored) = meant {
                self.check_ttl(key, stored, ttl)?;
            }
        }
        Ok(())
    }

    fn check_ttl(&self, key: usize, stored: &Stored, ttl: i64) -> Result<(), String> {
        let Some(remaining) = self.rules.remaining(stored) else {
            return if ttl == -1 { Ok(()) } else { Err(format!("key {key} expires in {ttl} ms")) };
        };
        // A live one keeps the time that it was given, since the server's own clock does not jump.
        let most = i64::try_from(remaining).unwrap() + self.jumped() + 2_000;
        if (1..=most).contains(&ttl) {
            Ok(())
        } else {
            Err(format!("key {key} expires in {ttl} ms, at most {most} are left"))
        }
    }

    fn jumped(&self) -> i64 {
        i64::try_from(self.clock.0.load(Ordering::SeqCst) / 1000).unwrap()
    }

    /// Time passes on the server too, as far as it decides: what ends meanwhile is removed there.
    async fn jump(&mut self, micros: u64) {
        self.clock.0.fetch_add(micros, Ordering::SeqCst);
        self.stamping.advance(micros);
        self.rules.jump(micros);
        let mut names = vec![self.keys.clears()];
        for key in 0..KEYS {
            names.extend([self.key(key), self.keys.side(&self.key(key))]);
        }
        for name in names {
            let mut shorten = redis::cmd("EVAL");
            shorten.arg(SHORTEN).arg(1).arg(name.as_ref()).arg(micros / 1000);
            shorten.query_async::<()>(&mut self.outside).await.unwrap();
        }
    }

    async fn flush(&mut self) {
        let mut script = redis::cmd("EVAL");
        script.arg(REMOVE_ALL).arg(0).arg(format!("{}*", self.keys.raw(b"").escape_ascii()));
        script.query_async::<()>(&mut self.outside).await.unwrap();
    }

    /// The server died and is back, empty.
    pub async fn died(&mut self) -> Result<(), String> {
        self.outside = loop {
            match self.client.get_multiplexed_async_connection().await {
                Ok(outside) => break outside,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        };
        self.rules.died();
        for process in 0..2 {
            if self.rules.processes[process].away {
                continue;
            }
            let Process { fallback, caller, .. } = &mut self.processes[process];
            let exists = Operation::Exists { key: Bytes::from_static(b"x") };
            // Whoever notices it in an outage of its own comes back from it first.
            while fallback.local.lock().on_memory() || !fallback.state().live() {
                caller.run(&**fallback, exists.clone(), self.clock.micros()).await.ok();
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }

    /// What the server holds under a key, and for how long.
    async fn stored(&mut self, key: usize) -> (Option<Id>, i64) {
        let key = self.key(key);
        let (value, ttl): (Option<Vec<u8>>, i64) = redis::pipe()
            .cmd("GET")
            .arg(key.as_ref())
            .cmd("PTTL")
            .arg(key.as_ref())
            .query_async(&mut self.outside)
            .await
            .unwrap();
        let id = value.map(|value| std::str::from_utf8(&value[HEADER..]).unwrap().parse().unwrap());
        (id, ttl)
    }

    fn key(&self, key: usize) -> Bytes {
        self.keys.entry("f", &key.to_string())
    }
}

/// Whether the server answered.
async fn resync(fallback: &Fallback, caller: &mut Caller) -> Result<bool, String> {
    fallback.resync_now(caller.settler(9));
    loop {
        let (id, answer) = caller.next().await;
        if id == 9 {
            let answer = answer.map_err(|error| error.to_string())?;
            let live = Raw::Bytes(Bytes::from_static(b"available"));
            let Reply::Raw(Raw::Map(pairs)) = answer else { return Err(format!("{answer:?}")) };
            return Ok(pairs.contains(&(live, Raw::Boolean(true))));
        }
    }
}

/// Takes time off a key's life.
const SHORTEN: &str = "local left = redis.call('PTTL', KEYS[1])
if left >= 0 then redis.call('PEXPIRE', KEYS[1], left - tonumber(ARGV[1])) end";

/// What somebody else may do to a server.
const REMOVE_ALL: &str =
    "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end";

fn configuration(server: &Server, prefix: &str, planted: Option<Plant>) -> Arc<Config> {
    let options = serde_json::json!({ "url": server.url(), "keyPrefix": prefix });
    let json = serde_json::json!({ "options": options, "env": {} }).to_string();
    Arc::new(Config { planted, ..config::from_json(&json).unwrap() })
}

//! The differential law: whatever is asked of memory and of a real Redis, in whatever order, the answers
//! are equal. Raw commands and managed operations in turn; what docs/parity.md names as different is
//! left out, and so is what depends on chance or on the passing of time.
//!
//! `HOLDFAST_LAW_CASES` says how many cases are tried, 256 if nothing is said. A case has up to 100
//! steps, and its keys a prefix of their own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]
#[path = "differential/steps.rs"]
mod steps;
#[path = "support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast::backend::memory::Memory;
use holdfast::backend::policy::CLOCK_ERROR;
use holdfast::backend::redis::Redis;
use holdfast::backend::{
    Answer, Ask, Backend, Found, Lease, Loading, Operation, Policy, Raw, Reply, Scope, Source,
    Tags, Value,
};
use holdfast::base::clock::{BootClock, Clock};
use holdfast::base::keys::Keys;
use holdfast::base::random;
use holdfast::base::stamp::{Stamp, Stamps};
use holdfast::config::{self, Target};
use proptest::prelude::*;
use proptest::test_runner::TestError;
use steps::{Asking, Cleared, Fresh, KEYS, NAMES, Name, Step, TAGS, Terms, Word, any_step};
use support::{Caller, Server, laws};

const PREFIX: &str = "law:";
const MEMORY: usize = 64 << 20;
/// How far two clocks may be apart when they read what is left of a life of days, in seconds.
const SLACK: u64 = 60;
/// What is given for long, in ms.
const DAYS: u64 = 1_000_000_000;
const FLAG: fn(bool) -> Answer = |flag| Ok(Reply::Flag(flag));
const NO_LEASE: Lease = Lease { token: 0, start: Stamp { micros: 0, process: 0 } };

/// One of the two that are compared.
struct Side {
    backend: Arc<dyn Backend>,
    caller: Caller,
    leases: HashMap<Name, Lease>,
    /// Names that were written since their lease was given.
    written: HashSet<Name>,
}

/// One case on one side.
struct Run<'a> {
    side: &'a mut Side,
    stamps: &'a Stamps,
    keys: &'a Keys,
    place: &'a str,
    /// Raw commands that wait for the next operation of another kind; they go in one pipeline.
    waiting: Vec<Vec<Bytes>>,
    answers: Vec<Answer>,
}

impl Side {
    fn new(backend: Arc<dyn Backend>) -> Self {
        let (leases, written) = Default::default();
        Self { backend, caller: Caller::new(), leases, written }
    }

    async fn ask(&mut self, operation: Operation) -> Answer {
        self.caller.run(&*self.backend, operation, BootClock.micros()).await
    }

    async fn pipeline(&mut self, commands: Vec<Vec<Bytes>>) -> Vec<Answer> {
        match self.ask(Operation::Pipeline { commands }).await {
            Ok(Reply::Raw(Raw::Array(items))) => items.into_iter().map(answer).collect(),
            other => panic!("a pipeline answered {other:?}"),
        }
    }

    /// Every key that a walk with this pattern meets.
    async fn walk(&mut self, pattern: &str) -> BTreeSet<Bytes> {
        let (mut cursor, mut met) = (Bytes::from_static(b"0"), BTreeSet::new());
        loop {
            let words = ["SCAN", "", "MATCH", pattern, "COUNT", "1000"];
            let mut args: Vec<Bytes> =
                words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
            args[1] = cursor;
            let page = self.ask(Operation::Command { args }).await.unwrap();
            let Reply::Raw(Raw::Array(parts)) = page else { panic!("no page: {page:?}") };
            let [Raw::Bytes(next), Raw::Array(keys)] = &parts[..] else { panic!("{parts:?}") };
            for key in keys {
                let Raw::Bytes(key) = key else { panic!("no key: {key:?}") };
                met.insert(key.clone());
            }
            if next == "0" {
                return met;
            }
            cursor = next.clone();
        }
    }
}

fn answer(item: Raw) -> Answer {
    match item {
        Raw::Error(error) => Err(*error),
        value => Ok(Reply::Raw(value)),
    }
}

impl Run<'_> {
    async fn all(mut self, steps: &[Step]) -> Vec<Answer> {
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Raw(words) => self.waiting.push(spelled(words, self.place, number)),
                step => {
                    self.send_waiting().await;
                    let answer = self.managed(step).await;
                    self.answers.push(answer);
                }
            }
        }
        self.send_waiting().await;
        self.answers
    }

    async fn send_waiting(&mut self) {
        let commands = std::mem::take(&mut self.waiting);
        if !commands.is_empty() {
            let answers = self.side.pipeline(commands).await;
            self.answers.extend(answers);
        }
    }

    async fn managed(&mut self, step: &Step) -> Answer {
        match step {
            Step::Set(name, ..) => {
                self.side.written.insert(name);
            }
            // On the server a lease stands beside a write until its fill is refused.
            Step::Load(name, ..) | Step::Hold(name, _) if self.side.written.remove(name) => {
                let give_back = self.operation(&Step::Hold(name, false));
                self.side.ask(give_back).await.unwrap();
            }
            _ => {}
        }
        let operation = self.operation(step);
        let answer = self.side.ask(operation).await;
        if let (Step::Load(name, ..), Ok(Reply::Loading(Loading { lease: Some(lease), .. }))) =
            (step, &answer)
        {
            self.side.leases.insert(name, *lease);
        }
        match step {
            Step::Invalidate(..) => self.catch_up().await,
            // A server that learns of its tags too late holds it, though nobody sees it.
            Step::Fill(name, _, terms) if !terms.tags.is_empty() && answer == FLAG(false) => {
                let remove = self.operation(&Step::Delete(name));
                self.side.ask(remove).await.unwrap();
            }
            _ => {}
        }
        answer
    }

    /// An invalidation reaches as far beyond now as clocks may differ, and so do the writes after it.
    async fn catch_up(&self) {
        let last = self.stamps.next().micros;
        while self.stamps.server_micros() <= last + CLOCK_ERROR {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn operation(&self, step: &Step) -> Operation {
        let stamp = self.stamps.next();
        match step {
            Step::Raw(_) => unreachable!("raw commands go in pipelines"),
            Step::Set(name, payload, terms) => {
                let (value, ttl_ms) = self.kept(payload, terms);
                Operation::Set { key: self.key(name), value, ttl_ms, stamp }
            }
            Step::Get(name, stale) => Operation::Get { key: self.key(name), stale: *stale },
            Step::Exists(name) => Operation::Exists { key: self.key(name) },
            Step::Delete(name) => Operation::Delete { key: self.key(name), stamp },
            Step::Expire(name) => Operation::Expire { key: self.key(name), stamp },
            Step::Load(name, Asking { force, refresh, share, for_days }, terms) => {
                let ask = Ask {
                    token: random::bits(),
                    force: *force,
                    refresh: *refresh,
                    share: *share,
                    lease_ms: if *for_days { DAYS } else { 0 },
                    tags: self.tags(terms),
                    ..Ask::default()
                };
                Operation::Load { key: self.key(name), ask }
            }
            Step::Fill(name, payload, terms) => {
                let (value, ttl_ms) = self.kept(payload, terms);
                Operation::Fill { key: self.key(name), lease: self.lease(name), value, ttl_ms }
            }
            Step::Hold(name, kept) => {
                let lease_ms = if *kept { DAYS } else { 0 };
                Operation::Hold { key: self.key(name), token: self.lease(name).token, lease_ms }
            }
            Step::Invalidate(tag, removal) => {
                let key = self.keys.marker(self.tag(tag).as_bytes());
                Operation::Invalidate { key, removal: *removal, stamp }
            }
            Step::Clear(cleared) => {
                let family = self.keys.family(self.place);
                let scope = match cleared {
                    Cleared::All => Scope::Prefix(family),
                    Cleared::Tagged => Scope::Tagged(family),
                    Cleared::Matching(pattern) => Scope::matching(self.keys, self.place, pattern),
                };
                Operation::Clear { scope, stamp }
            }
        }
    }

    fn key(&self, name: &str) -> Bytes {
        self.keys.entry(self.place, name)
    }

    fn lease(&self, name: &str) -> Lease {
        self.side.leases.get(name).copied().unwrap_or(NO_LEASE)
    }

    fn tag(&self, tag: &str) -> String {
        format!("{}{tag}", self.place)
    }

    fn tags(&self, terms: &Terms) -> Tags {
        let names: Vec<String> = terms.tags.iter().map(|tag| self.tag(tag)).collect();
        Tags::new(names.iter().map(String::as_str)).unwrap()
    }

    /// A payload with its terms, for ever or for days.
    fn kept(&self, payload: &Bytes, terms: &Terms) -> (Value, Option<u64>) {
        let fresh_ms = match terms.fresh {
            Fresh::Never => Some(0),
            Fresh::ForDays => Some(DAYS),
            Fresh::Always => None,
        };
        let policy = Policy { fresh_ms, load_ms: 7, tags: self.tags(terms), owner: 0 };
        let value = Value { payload: payload.clone(), format: 3, compress: true, policy };
        (value, terms.expires.then_some(DAYS))
    }
}
/// The words of a command, as they are at this step of a case.
fn spelled(words: &[Word], place: &str, step: usize) -> Vec<Bytes> {
    words
        .iter()
        .map(|word| match word {
            Word::Plain(bytes) => bytes.clone(),
            Word::Key(name) => raw_key(place, name),
            Word::Time(time) => time.at(step).into(),
        })
        .collect()
}

fn raw_key(place: &str, name: &str) -> Bytes {
    format!("{place}/{name}").into()
}

/// What makes the tags of a case known. A server that never heard of one takes no fill that learnt of it late.
fn prepared() -> [Step; 2] {
    let terms = Terms { expires: false, fresh: Fresh::Always, tags: TAGS.to_vec() };
    [Step::Set(NAMES[0], Bytes::new(), terms), Step::Delete(NAMES[0])]
}

/// What looks at everything that a case may have left.
fn looks() -> Vec<Step> {
    let lines = ["TYPE k", "TTL k", "GET k", "HGETALL k", "LRANGE k 0 -1", "SMEMBERS k"];
    let raw = KEYS.into_iter().flat_map(|key| lines.map(|line| look(key, line)));
    let names = NAMES.into_iter().flat_map(|name| [Step::Get(name, true), Step::Exists(name)]);
    raw.chain(names).collect()
}

fn look(key: &'static str, line: &'static str) -> Step {
    let word = |word: &'static str| match word {
        "k" => Word::Key(key),
        word => Word::Plain(Bytes::from_static(word.as_bytes())),
    };
    Step::Raw(line.split(' ').map(word).collect())
}

/// An answer with what may differ taken out of it: who answered, the order where there is none, and how
/// much of a long life is left to the last second.
fn comparable(name: &str, answer: Answer) -> Answer {
    Ok(match answer? {
        Reply::Entry(found) => Reply::Entry(rounded(found)),
        // The token is drawn, and the start is a reading of a clock.
        Reply::Loading(loading) => Reply::Loading(Loading {
            lease: loading.lease.map(|_| NO_LEASE),
            wait_ms: coarse(loading.wait_ms),
            holder: 0,
            stale: loading.stale.map(|found| Box::new(rounded(*found))),
            ..loading
        }),
        Reply::Raw(raw) => Reply::Raw(match (name, raw) {
            ("HSCAN", Raw::Array(page)) => Raw::Array(page.into_iter().map(pairs).collect()),
            ("SSCAN", Raw::Array(page)) => Raw::Array(page.into_iter().map(sorted).collect()),
            (
                "HGETALL" | "HKEYS" | "HVALS" | "SMEMBERS" | "SUNION" | "SINTER" | "SDIFF" | "SPOP"
                | "SRANDMEMBER",
                raw,
            ) => sorted(raw),
            (_, raw) => raw,
        }),
        reply => reply,
    })
}

fn rounded(found: Found) -> Found {
    Found {
        ttl_ms: found.ttl_ms.map(coarse),
        fresh_ms: found.fresh_ms.map(coarse),
        age_ms: 0,
        source: Source::Memory,
        mark: None,
        ..found
    }
}

fn coarse(ms: u64) -> u64 {
    ms.div_ceil(1000 * SLACK)
}

fn sorted(raw: Raw) -> Raw {
    match raw {
        Raw::Array(mut items) => {
            items.sort_by_key(|item| format!("{item:?}"));
            Raw::Array(items)
        }
        Raw::Map(mut items) => {
            items.sort_by_key(|item| format!("{item:?}"));
            Raw::Map(items)
        }
        raw => raw,
    }
}

/// Fields with their values, sorted; they come as one flat list.
fn pairs(raw: Raw) -> Raw {
    let Raw::Array(items) = raw else { return raw };
    sorted(Raw::Array(items.chunks(2).map(|pair| Raw::Array(pair.to_vec())).collect()))
}

/// What is left of a life, up to the slack; anything else must be the same.
fn alike(name: &str, one: &Answer, other: &Answer) -> bool {
    let slack = match name {
        "TTL" => SLACK,
        "PTTL" => 1000 * SLACK,
        _ => return one == other,
    };
    match (one, other) {
        (Ok(Reply::Raw(Raw::Integer(one))), Ok(Reply::Raw(Raw::Integer(other)))) => {
            one == other || (*one > 0 && *other > 0 && one.abs_diff(*other) <= slack)
        }
        _ => one == other,
    }
}

/// The name of a step's command, in capitals; empty for a managed operation.
fn name_of(step: &Step) -> String {
    match step {
        Step::Raw(words) => match words.first() {
            Some(Word::Plain(name)) => String::from_utf8_lossy(name).to_ascii_uppercase(),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// Both sides, and what they share.
struct Bench {
    clock: Arc<dyn Clock>,
    stamps: Arc<Stamps>,
    keys: Keys,
    redis: Side,
    cases: usize,
}

impl Bench {
    async fn on(server: &Server) -> Self {
        let options = serde_json::json!({ "url": server.url(), "keyPrefix": PREFIX });
        let json = serde_json::json!({ "options": options, "env": {} }).to_string();
        let config = Arc::new(config::from_json(&json).unwrap());
        let Target::Redis(endpoint) = config.target.clone() else {
            panic!("the URL names a server")
        };
        let clock: Arc<dyn Clock> = Arc::new(BootClock);
        let stamps = Arc::new(Stamps::new(clock.clone(), random::bits()));
        let runtime = tokio::runtime::Handle::current();
        let redis = Redis::new(endpoint, config, stamps.clone(), clock.clone(), &runtime);
        let mut redis = Side::new(Arc::new(redis));
        // First contact, so that the date is known.
        redis.pipeline(vec![vec![Bytes::from_static(b"PING")]]).await;
        Self { clock, stamps, keys: Keys::new(PREFIX), redis, cases: 0 }
    }

    async fn agree(&mut self, steps: Vec<Step>) -> Result<(), TestCaseError> {
        self.cases += 1;
        let place = format!("c{}", self.cases);
        let steps: Vec<Step> = prepared().into_iter().chain(steps).chain(looks()).collect();
        let clock = self.clock.clone();
        let stamps = Arc::new(Stamps::new(clock.clone(), random::bits()));
        // Memory knows the date too, and how far it is in the order of writes is its own affair.
        stamps.assume(self.stamps.offset());
        let memory = Memory::new(MEMORY, stamps.clone(), clock, self.keys.clone());
        let mut memory = Side::new(Arc::new(memory));
        let here = run(&mut memory, &stamps, &self.keys, &place, &steps).await;
        let there = run(&mut self.redis, &self.stamps, &self.keys, &place, &steps).await;
        let pattern = format!("{PREFIX}{place}/*");
        let names_here = memory.walk(&pattern).await;
        let names_there = self.redis.walk(&pattern).await;
        self.redis.pipeline(vec![clean_up(&self.keys, &place)]).await;
        self.redis.leases.clear();
        self.redis.written.clear();
        prop_assert_eq!((here.len(), there.len()), (steps.len(), steps.len()));
        for (step, (here, there)) in steps.iter().zip(here.into_iter().zip(there)) {
            let name = name_of(step);
            let (here, there) = (comparable(&name, here), comparable(&name, there));
            prop_assert!(
                alike(&name, &here, &there),
                "{step:?}\nmemory: {here:?}\nRedis:  {there:?}"
            );
        }
        prop_assert_eq!(names_here, names_there);
        Ok(())
    }
}

async fn run(
    side: &mut Side,
    stamps: &Stamps,
    keys: &Keys,
    place: &str,
    steps: &[Step],
) -> Vec<Answer> {
    let run = Run { side, stamps, keys, place, waiting: Vec::new(), answers: Vec::new() };
    run.all(steps).await
}

/// Removes what a case leaves on the server: values, and the side records of managed ones.
fn clean_up(keys: &Keys, place: &str) -> Vec<Bytes> {
    let managed = NAMES.iter().map(|name| keys.entry(place, name));
    let whole = managed.flat_map(|key| [keys.side(&key), key]);
    let markers = TAGS.iter().map(|tag| keys.marker(format!("{place}{tag}").as_bytes()));
    let whole = whole.chain(markers);
    let names = whole.map(|key| key.slice(PREFIX.len()..));
    let raw = KEYS.iter().map(|name| raw_key(place, name));
    [Bytes::from_static(b"UNLINK")].into_iter().chain(names).chain(raw).collect()
}

#[test]
fn memory_answers_what_redis_answers() {
    let runtime = laws::runtime();
    let server = Server::start();
    let bench = RefCell::new(runtime.block_on(Bench::on(&server)));
    let mut runner = laws::runner(laws::config(laws::cases()));
    let result = runner.run(&prop::collection::vec(any_step(), 1..=100), |steps| {
        runtime.block_on(bench.borrow_mut().agree(steps))
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, steps)) => {
            let lines: Vec<String> = steps.iter().map(|step| format!("{step:?}")).collect();
            panic!("{reason}\nThe case:\n{}", lines.join("\n"));
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

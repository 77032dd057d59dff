//! The law of changes that merge: whatever two processes do to counters, hashes, sets and lists, and
//! whatever befalls them, in the end the server holds what doing each of it once gives. Real code and a real
//! server; connections are killed with calls on their way.
#![cfg(not(feature = "node"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]
#[path = "support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use holdfast::backend::redis::Redis;
use holdfast::backend::{Answer, Backend, Call, Early, Operation, Raw, Reach, Reply};
use holdfast::base::clock::{BootClock, Clock, ManualClock};
use holdfast::base::random;
use holdfast::base::stamp::Stamps;
use holdfast::config::{self, Target};
use holdfast::resilience::fallback::Fallback;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError};
use support::{Caller, Server, laws};

#[derive(Clone, Debug)]
enum Change {
    Add(i64),
    Field(u8, Option<u8>),
    Member(u8, bool),
    Push(bool, u8),
}

#[derive(Clone, Debug)]
enum Step {
    One(usize, Change),
    /// Many at once, and the server closes every connection with them on their way.
    Cut(usize, Vec<Change>),
    Leave(usize),
    /// Leaves with calls on their way: nobody knows which of them the server carries out.
    LeaveAmong(usize, Vec<Change>),
    Return(usize),
    /// Changes are made while the return is under way.
    ReturnAmong(usize, Vec<Change>),
}

impl Change {
    fn command(&self) -> Vec<String> {
        let words: Vec<String> = match self {
            Self::Add(1) => vec!["INCR".into(), "c".into()],
            Self::Add(-1) => vec!["decr".into(), "c".into()],
            Self::Add(by @ 0..) => vec!["INCRBY".into(), "c".into(), by.to_string()],
            Self::Add(by) => vec!["DECRBY".into(), "c".into(), (-by).to_string()],
            Self::Field(field, Some(value)) => {
                vec!["HSET".into(), "h".into(), field.to_string(), value.to_string()]
            }
            Self::Field(field, None) => vec!["HDEL".into(), "h".into(), field.to_string()],
            Self::Member(member, true) => vec!["SADD".into(), "s".into(), member.to_string()],
            Self::Member(member, false) => vec!["SREM".into(), "s".into(), member.to_string()],
            Self::Push(true, value) => vec!["LPUSH".into(), "l".into(), value.to_string()],
            Self::Push(false, value) => vec!["RPUSH".into(), "l".into(), value.to_string()],
        };
        words
    }
}

/// What a server holds when everything was done once. Times are the numbers of the steps.
#[derive(Debug, Default)]
struct Meant {
    count: i64,
    fields: BTreeMap<u8, (Option<u8>, usize)>,
    members: BTreeMap<u8, (bool, usize)>,
    list: VecDeque<u8>,
}

impl Meant {
    fn do_once(&mut self, change: &Change, at: usize) {
        match *change {
            Change::Add(by) => self.count += by,
            Change::Field(field, value) => {
                let newest = self.fields.entry(field).or_default();
                *newest = if newest.1 > at { *newest } else { (value, at) };
            }
            Change::Member(member, is) => {
                let newest = self.members.entry(member).or_default();
                *newest = if newest.1 > at { *newest } else { (is, at) };
            }
            Change::Push(true, value) => self.list.push_front(value),
            Change::Push(false, value) => self.list.push_back(value),
        }
    }
}

struct Process {
    fallback: Arc<Fallback>,
    caller: Caller,
    away: bool,
    /// Some of what waits may be done already.
    unsure: bool,
    waiting: Vec<(Change, usize)>,
}

struct World {
    processes: [Process; 2],
    meant: Meant,
    stamping: Arc<ManualClock>,
    outside: redis::aio::MultiplexedConnection,
    client: redis::Client,
    prefix: String,
    at: usize,
}

impl World {
    async fn new(server: &Server) -> Self {
        let prefix = format!("chg{:x}:", random::bits());
        let options = serde_json::json!({
            "url": server.url(), "keyPrefix": prefix, "breaker": false,
            "fallback": { "rawChanges": "merge" },
        });
        let json = serde_json::json!({ "options": options, "env": {} }).to_string();
        let config = Arc::new(config::from_json(&json).unwrap());
        let clock: Arc<dyn Clock> = Arc::new(BootClock);
        let stamping = Arc::new(ManualClock::at(clock.micros()));
        let process = |number: u64| {
            let stamps = Arc::new(Stamps::new(stamping.clone(), number));
            stamps.pin(1_700_000_000_000_000);
            let Target::Redis(endpoint) = config.target.clone() else {
                panic!("it names a server")
            };
            let runtime = tokio::runtime::Handle::current();
            let redis =
                Redis::new(endpoint, config.clone(), stamps.clone(), clock.clone(), &runtime);
            let (clock, events) = (clock.clone(), Box::new(|_| {}));
            let fallback = Fallback::new(Some(redis), config.clone(), clock, stamps, events);
            Process {
                fallback,
                caller: Caller::new(),
                away: false,
                unsure: false,
                waiting: Vec::new(),
            }
        };
        let client = redis::Client::open(server.url()).unwrap();
        let outside = client.get_multiplexed_async_connection().await.unwrap();
        let processes = [process(1), process(2)];
        let mut world =
            Self { processes, meant: Meant::default(), stamping, outside, client, prefix, at: 0 };
        for process in 0..2 {
            // The first call dials.
            world.one(process, &Change::Add(1)).await.unwrap();
        }
        world
    }

    async fn run(&mut self, steps: &[Step]) -> Result<(), String> {
        for step in steps {
            self.step(step).await.map_err(|why| format!("{step:?}: {why}"))?;
        }
        for process in 0..2 {
            self.come_back(process, &[]).await?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::One(process, change) => self.one(*process, change).await?,
            Step::Cut(process, changes) => {
                let calls = self.submit(*process, changes);
                redis::cmd("CLIENT")
                    .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
                    .query_async::<()>(&mut self.outside)
                    .await
                    .map_err(|error| error.to_string())?;
                self.await_all(*process, calls).await?;
                for process in 0..2 {
                    if !self.processes[process].away {
                        self.settle(process).await?;
                    }
                }
            }
            Step::Leave(process) => {
                self.processes[*process].fallback.force(true);
                self.processes[*process].away = true;
            }
            Step::LeaveAmong(process, changes) => {
                let calls = self.submit(*process, changes);
                let one = &mut self.processes[*process];
                if !one.away {
                    (one.away, one.unsure) = (true, true);
                    one.fallback.force(true);
                }
                self.await_all(*process, calls).await?;
            }
            Step::Return(process) => self.come_back(*process, &[]).await?,
            Step::ReturnAmong(process, changes) => self.come_back(*process, changes).await?,
        }
        Ok(())
    }

    fn operation(&mut self, change: &Change) -> Operation {
        self.at += 1;
        self.stamping.advance(1_000);
        let words = change.command().into_iter().map(Bytes::from);
        Operation::Command { args: words.collect() }
    }

    async fn one(&mut self, process: usize, change: &Change) -> Result<(), String> {
        let operation = self.operation(change);
        let Process { fallback, caller, away, .. } = &mut self.processes[process];
        let away = *away;
        let answer = caller.run(&**fallback, operation, BootClock.micros()).await;
        let answer = answer.map_err(|error| error.to_string())?;
        self.note(process, change, away, self.at);
        let Reply::Raw(Raw::Integer(number)) = answer else {
            return Err(format!("it answers {answer:?}"));
        };
        let unsure = self.processes.iter().any(|process| process.unsure);
        let counted = matches!(change, Change::Add(_)) && !away && !unsure;
        if counted && number != self.meant.count {
            return Err(format!("it answers {number}, meant is {}", self.meant.count));
        }
        Ok(())
    }

    fn note(&mut self, process: usize, change: &Change, away: bool, at: usize) {
        if away {
            self.processes[process].waiting.push((change.clone(), at));
        } else {
            self.meant.do_once(change, at);
        }
    }

    /// Hands changes over in one go; answers how many answers will come.
    fn submit(&mut self, process: usize, changes: &[Change]) -> usize {
        let mut calls = Vec::new();
        for change in changes {
            let operation = self.operation(change);
            let Process { fallback, caller, away, .. } = &mut self.processes[process];
            let away = *away;
            let early = if calls.is_empty() {
                fallback.now(operation, Reach::default())
            } else {
                Early::Pass(fallback.behind(operation))
            };
            match early {
                Early::Answer(answer) => caller.settler(0).settle(answer),
                Early::Held(answer) => fallback.when_safe(vec![(caller.settler(0), answer)]),
                Early::Pass(operation) => {
                    let settler = caller.settler(0);
                    calls.push(Call::new(operation, settler, BootClock.micros(), Reach::default()));
                }
            }
            self.note(process, change, away, self.at);
        }
        self.processes[process].fallback.submit(calls);
        changes.len()
    }

    async fn await_all(&mut self, process: usize, count: usize) -> Result<(), String> {
        let answers: Vec<Answer> = {
            let caller = &mut self.processes[process].caller;
            let mut answers = Vec::new();
            for _ in 0..count {
                answers.push(caller.next().await.1);
            }
            answers
        };
        let failed = answers.into_iter().find_map(Answer::err);
        failed.map_or(Ok(()), |error| Err(error.to_string()))
    }

    async fn come_back(&mut self, process: usize, among: &[Change]) -> Result<(), String> {
        // What waited goes first, then what is done now, whether it goes to memory or to the server.
        let one = &mut self.processes[process];
        (one.away, one.unsure) = (false, false);
        one.fallback.force(false);
        for (change, at) in std::mem::take(&mut one.waiting) {
            self.meant.do_once(&change, at);
        }
        for changes in among.chunks(3) {
            let calls = self.submit(process, changes);
            self.await_all(process, calls).await?;
        }
        self.settle(process).await?;
        if self.processes.iter().any(|process| process.unsure) {
            return Ok(());
        }
        self.compare().await
    }

    /// Waits until nothing is owed: a dial that was cut off too is an outage, though a short one.
    async fn settle(&mut self, process: usize) -> Result<(), String> {
        for _ in 0..400 {
            let Process { fallback, caller, .. } = &mut self.processes[process];
            fallback.resync_now(caller.settler(9));
            caller.next().await.1.map_err(|error| error.to_string())?;
            if fallback.local.lock().journal.depth() == 0 && fallback.state().live() {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Err("the journal is not empty".to_owned())
    }

    async fn compare(&mut self) -> Result<(), String> {
        let key = |name: &str| format!("{}{name}", self.prefix);
        type Found = (Option<i64>, BTreeMap<u8, u8>, BTreeSet<u8>, Vec<u16>);
        let mut pipeline = redis::pipe();
        pipeline.cmd("GET").arg(key("c")).cmd("HGETALL").arg(key("h"));
        pipeline.cmd("SMEMBERS").arg(key("s")).cmd("LRANGE").arg(key("l")).arg(0).arg(-1);
        let found: Found = match pipeline.query_async(&mut self.outside).await {
            Ok(found) => found,
            // Its own connection was closed with the others.
            Err(_) => {
                self.outside = self.client.get_multiplexed_async_connection().await.unwrap();
                pipeline.query_async(&mut self.outside).await.unwrap()
            }
        };
        let Meant { count, fields, members, list } = &self.meant;
        let fields =
            fields.iter().filter_map(|(&field, &(value, _))| Some((field, value?))).collect();
        let members =
            members.iter().filter(|(_, (is, _))| *is).map(|(&member, _)| member).collect();
        let list = list.iter().copied().map(u16::from).collect();
        let meant: Found = (Some(*count), fields, members, list);
        if found == meant {
            Ok(())
        } else {
            Err(format!("the server holds {found:?}, meant is {meant:?}"))
        }
    }
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        prop::sample::select(vec![1, -1, 5, -7]).prop_map(Change::Add),
        (0u8..4, prop::option::of(0u8..9)).prop_map(|(field, value)| Change::Field(field, value)),
        (0u8..4, any::<bool>()).prop_map(|(member, is)| Change::Member(member, is)),
        (any::<bool>(), 0u8..9).prop_map(|(head, value)| Change::Push(head, value)),
    ]
}

/// Those whose outcome is the same in whatever order they are done.
fn unordered() -> impl Strategy<Value = Change> {
    any_change().prop_filter("a list has an order", |change| !matches!(change, Change::Push(..)))
}

fn any_step() -> impl Strategy<Value = Step> {
    let process = || 0usize..2;
    let some = || prop::collection::vec(any_change(), 1..20);
    prop_oneof![
        10 => (process(), any_change()).prop_map(|(process, change)| Step::One(process, change)),
        3 => (process(), some()).prop_map(|(process, changes)| Step::Cut(process, changes)),
        2 => process().prop_map(Step::Leave),
        2 => (process(), prop::collection::vec(unordered(), 1..20))
            .prop_map(|(process, changes)| Step::LeaveAmong(process, changes)),
        1 => process().prop_map(Step::Return),
        2 => (process(), some()).prop_map(|(process, changes)| Step::ReturnAmong(process, changes)),
    ]
}

#[test]
fn every_change_is_carried_out_once() {
    let runtime = laws::runtime();
    let server = Server::start();
    let config = Config { max_shrink_iters: 400, ..laws::config(laws::cases()) };
    let steps = prop::collection::vec(any_step(), 1..50);
    let done = laws::runner(config).run(&steps, |steps| {
        runtime
            .block_on(async { World::new(&server).await.run(&steps).await })
            .map_err(TestCaseError::fail)
    });
    if let Err(TestError::Fail(why, steps)) = done {
        panic!("{why}\n{steps:?}");
    }
}

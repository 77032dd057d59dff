//! The law of sessions: whatever two processes do to them, and whenever each is cut off from the server, what was ended
//! stays ended for both, what was not is there, and of each field the newest change that was acknowledged counts. Real
//! code and a real server; connections are killed with calls on their way.
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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast::backend::redis::Redis;
use holdfast::backend::session::{
    Ask, Deed, Delta, Field, Fields, Head, IDLE, Outage, Outcome, Session,
};
use holdfast::backend::{Operation, Reply};
use holdfast::base::clock::{BootClock, Clock};
use holdfast::base::keys::{Keys, SessionKeys};
use holdfast::base::random;
use holdfast::base::stamp::Stamps;
use holdfast::config::{self, Target};
use holdfast::resilience::fallback::Fallback;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError};
use support::{Caller, Server, laws};

const SESSIONS: usize = 4;

#[derive(Clone, Debug)]
enum Act {
    /// Of a user, or of a guest.
    Create(Option<usize>),
    Read(usize),
    Set(usize, u8, Option<u8>),
    End(usize),
    /// It gets another id.
    Move(usize),
    /// Of a user, but one.
    EndAll(usize, Option<usize>),
}

#[derive(Clone, Debug)]
enum Step {
    Act(usize, Act),
    Leave(usize),
    Return(usize),
    /// The server closes every connection with calls on their way.
    Cut(usize, Vec<Act>),
}

fn act() -> impl Strategy<Value = Act> {
    let session = || 0..SESSIONS;
    prop_oneof![
        3 => prop::option::weighted(0.8, 0..2usize).prop_map(Act::Create),
        4 => session().prop_map(Act::Read),
        6 => (session(), 0..3u8, prop::option::weighted(0.7, any::<u8>()))
            .prop_map(|(session, field, value)| Act::Set(session, field, value)),
        1 => session().prop_map(Act::End),
        2 => session().prop_map(Act::Move),
        1 => (0..2usize, prop::option::of(session())).prop_map(|(user, keep)| Act::EndAll(user, keep)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (0..2usize, act()).prop_map(|(process, act)| Step::Act(process, act)),
        2 => (0..2usize).prop_map(Step::Leave),
        2 => (0..2usize).prop_map(Step::Return),
        1 => (0..2usize, prop::collection::vec(act(), 1..5))
            .prop_map(|(process, acts)| Step::Cut(process, acts)),
    ];
    prop::collection::vec(step, 1..40)
}

/// What must be true of a session in the end.
struct Meant {
    key: Bytes,
    user: Option<usize>,
    ended: bool,
    fields: BTreeMap<u8, Option<u8>>,
}

struct Process {
    fallback: Arc<Fallback>,
    stamps: Arc<Stamps>,
    caller: Caller,
    away: bool,
}

struct World {
    processes: [Process; 2],
    sessions: Vec<Meant>,
    outside: redis::aio::MultiplexedConnection,
    client: redis::Client,
    keys: Keys,
}

impl World {
    async fn new(server: &Server) -> Self {
        let prefix = format!("ses{:x}:", random::bits());
        let options =
            serde_json::json!({ "url": server.url(), "keyPrefix": prefix, "breaker": false });
        let json = serde_json::json!({ "options": options, "env": {} }).to_string();
        let config = Arc::new(config::from_json(&json).unwrap());
        let clock: Arc<dyn Clock> = Arc::new(BootClock);
        let process = |number: u64| {
            let stamps = Arc::new(Stamps::new(clock.clone(), number));
            let Target::Redis(endpoint) = config.target.clone() else {
                panic!("it names a server")
            };
            let runtime = tokio::runtime::Handle::current();
            let redis =
                Redis::new(endpoint, config.clone(), stamps.clone(), clock.clone(), &runtime);
            let (clock, events) = (clock.clone(), Box::new(|_| {}));
            let fallback =
                Fallback::new(Some(redis), config.clone(), clock, stamps.clone(), events);
            Process { fallback, stamps, caller: Caller::new(), away: false }
        };
        let client = redis::Client::open(server.url()).unwrap();
        let outside = client.get_multiplexed_async_connection().await.unwrap();
        let (processes, keys) = ([process(1), process(2)], Keys::new(&prefix));
        let mut world = Self { processes, sessions: Vec::new(), outside, client, keys };
        // The first calls dial.
        for (process, user) in [(0, Some(0)), (1, Some(1)), (0, None), (1, Some(0))] {
            world.act(process, &Act::Create(user)).await.unwrap();
        }
        world
    }

    async fn run(&mut self, steps: &[Step]) -> Result<(), String> {
        for step in steps {
            self.step(step).await.map_err(|why| format!("{step:?}: {why}"))?;
        }
        for process in 0..2 {
            self.come_back(process).await?;
        }
        self.compare().await
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Act(process, act) => self.act(*process, act).await?,
            Step::Leave(process) => {
                self.processes[*process].fallback.force(true);
                self.processes[*process].away = true;
            }
            Step::Return(process) => self.come_back(*process).await?,
            Step::Cut(process, acts) => {
                let mut killing = self.outside.clone();
                let kill = tokio::spawn(async move {
                    let _ = redis::cmd("CLIENT")
                        .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
                        .query_async::<()>(&mut killing)
                        .await;
                });
                for act in acts {
                    self.act(*process, act).await?;
                }
                kill.await.map_err(|error| error.to_string())?;
                for process in 0..2 {
                    if !self.processes[process].away {
                        self.settle(process).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn ask(&mut self, process: usize, key: Bytes, deed: Deed) -> Result<Reply, String> {
        let ask = Box::new(Ask {
            deed,
            outage: Outage::Local,
            logins: true,
            known_ms: 600_000,
            brief: false,
        });
        let Process { fallback, caller, .. } = &mut self.processes[process];
        let operation = Operation::Session { key, ask };
        let answer = caller.run(&**fallback, operation, BootClock.micros()).await;
        // Clocks are that far apart at most, and what came before is before for everybody.
        tokio::time::sleep(Duration::from_millis(1)).await;
        answer.map_err(|error| error.to_string())
    }

    /// What is answered where the id leads to.
    async fn outcome(
        &mut self,
        process: usize,
        key: &Bytes,
        deed: Deed,
    ) -> Result<Outcome, String> {
        let mut at = key.clone();
        for _ in 0..64 {
            match self.ask(process, at.clone(), deed.clone()).await? {
                Reply::Session(told) => match told.outcome {
                    Outcome::Moved(to) => at = SessionKeys::renamed(&at, &to),
                    outcome => return Ok(outcome),
                },
                other => return Err(format!("a session answers {other:?}")),
            }
        }
        Err("it leads nowhere".to_owned())
    }

    async fn act(&mut self, process: usize, act: &Act) -> Result<(), String> {
        let stamp = self.processes[process].stamps.next();
        let field = |value: Option<u8>| Field { stamp, value: value.map(|v| v.to_string().into()) };
        let write = |delta| Deed::Write { delta, version: None, most: 0 };
        match *act {
            Act::Create(user) => {
                let part = match user {
                    Some(user) => format!("u{:a<22}", format!("user{user}")),
                    None => format!("g{:022x}", random::bits()),
                };
                let key = self.keys.session("s", &format!("{part}.{:043x}", random::bits()));
                let name = user.map(|user| format!("user{user}")).unwrap_or_default();
                let head = Head { user: name.into(), created: stamp, absolute_ms: 600_000 };
                let idle = Field { stamp, value: Some("60000".into()) };
                let fields = Fields::from([(IDLE.into(), idle)]);
                let (born, seen) = (Some(stamp), Some(stamp));
                let deed =
                    write(Delta { head: Some(head), born, seen, fields, ..Delta::default() });
                match self.outcome(process, &key, deed).await? {
                    Outcome::Done(_) => {}
                    other => return Err(format!("a creation answers {other:?}")),
                }
                let fields = BTreeMap::new();
                self.sessions.push(Meant { key, user, ended: false, fields });
            }
            Act::Read(session) => {
                let Some(at) = self.place(session) else { return Ok(()) };
                let key = self.sessions[at].key.clone();
                let found = self.outcome(process, &key, Deed::Read).await?;
                let everywhere = !self.processes.iter().any(|process| process.away);
                if everywhere {
                    self.check(at, &found)?;
                }
            }
            Act::Set(session, name, value) => {
                let Some(at) = self.place(session) else { return Ok(()) };
                let key = self.sessions[at].key.clone();
                let fields = Fields::from([(format!(":{name}").into(), field(value))]);
                let deed = write(Delta { fields, ..Delta::default() });
                if let Outcome::Done(_) = self.outcome(process, &key, deed).await? {
                    self.sessions[at].fields.insert(name, value);
                }
            }
            Act::End(session) => {
                let Some(at) = self.place(session) else { return Ok(()) };
                let key = self.sessions[at].key.clone();
                self.outcome(process, &key, Deed::End { stamp, absolute_ms: 600_000 }).await?;
                self.sessions[at].ended = true;
            }
            Act::Move(session) => {
                let Some(at) = self.place(session) else { return Ok(()) };
                let key = self.sessions[at].key.clone();
                let tail = SessionKeys::tail(&key);
                let part = String::from_utf8_lossy(&tail[..23]).into_owned();
                let to = Bytes::from(format!("{part}.{:043x}", random::bits()));
                let deed = Deed::Move { stamp, to: to.clone(), grace_ms: 60_000 };
                if let Outcome::Done(_) = self.outcome(process, &key, deed).await? {
                    self.sessions[at].key = SessionKeys::renamed(&key, &to);
                }
            }
            Act::EndAll(user, keep) => {
                let keep = keep.and_then(|keep| self.place(keep));
                let keep = keep.filter(|&at| self.sessions[at].user == Some(user));
                let kept = match keep {
                    Some(at) => {
                        // Who keeps one has it.
                        let key = self.sessions[at].key.clone();
                        match self.outcome(process, &key, Deed::Read).await? {
                            Outcome::Done(_) => Some(at),
                            _ => return Ok(()),
                        }
                    }
                    None => None,
                };
                let tail = kept.map(|at| SessionKeys::tail(&self.sessions[at].key));
                let key = self.keys.session_user(
                    "s",
                    &format!("u{:a<22}", format!("user{user}")),
                    ":epoch",
                );
                let deed = Deed::EndAll { stamp, keep: tail, absolute_ms: 600_000 };
                self.ask(process, key, deed).await?;
                for (at, session) in self.sessions.iter_mut().enumerate() {
                    session.ended |= session.user == Some(user) && kept != Some(at);
                }
                // A login elsewhere that is not told of is taken for an earlier one up to that long after.
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        }
        Ok(())
    }

    /// One of the latest.
    fn place(&self, session: usize) -> Option<usize> {
        self.sessions.len().checked_sub(1 + session)
    }

    async fn come_back(&mut self, process: usize) -> Result<(), String> {
        self.processes[process].away = false;
        self.processes[process].fallback.force(false);
        self.settle(process).await
    }

    /// Waits until nothing is owed.
    async fn settle(&mut self, process: usize) -> Result<(), String> {
        for _ in 0..400 {
            let Process { fallback, caller, .. } = &mut self.processes[process];
            fallback.resync_now(caller.settler(9));
            caller.next().await.1.map_err(|error| error.to_string())?;
            if fallback.local.lock().journal.depth() == 0 && fallback.state().live() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err("the journal is not empty".to_owned())
    }

    async fn compare(&mut self) -> Result<(), String> {
        if self.outside.send_packed_command(&redis::cmd("PING")).await.is_err() {
            self.outside = self.client.get_multiplexed_async_connection().await.unwrap();
        }
        for process in 0..2 {
            for at in 0..self.sessions.len() {
                let key = self.sessions[at].key.clone();
                let found = self.outcome(process, &key, Deed::Read).await?;
                self.check(at, &found)?;
            }
        }
        Ok(())
    }

    fn check(&self, at: usize, found: &Outcome) -> Result<(), String> {
        let meant = &self.sessions[at];
        match found {
            Outcome::Done(_) if meant.ended => Err(format!("session {at} was ended, and is there")),
            Outcome::Done(session) if data(session) != present(&meant.fields) => {
                let (is, meant) = (data(session), &meant.fields);
                Err(format!("session {at} holds {is:?}, meant is {meant:?}"))
            }
            Outcome::Absent if !meant.ended => Err(format!("session {at} is gone")),
            Outcome::Done(_) | Outcome::Absent => Ok(()),
            other => Err(format!("session {at} answers {other:?}")),
        }
    }
}

fn data(session: &Session) -> BTreeMap<u8, u8> {
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().parse::<u8>().unwrap();
    let fields = session.fields.iter().filter(|(name, _)| name.starts_with(b":"));
    fields
        .filter_map(|(name, field)| Some((number(&name[1..]), number(field.value.as_deref()?))))
        .collect()
}

fn present(fields: &BTreeMap<u8, Option<u8>>) -> BTreeMap<u8, u8> {
    fields.iter().filter_map(|(&name, &value)| Some((name, value?))).collect()
}

#[test]
fn what_was_ended_stays_ended_and_what_was_not_holds_the_newest_of_each_field() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = Server::start();
    let config = Config { max_shrink_iters: 300, ..laws::config(laws::cases() / 4) };
    let mut runner = laws::runner(config);
    let result = runner.run(&steps(), |steps| {
        runtime
            .block_on(async { World::new(&server).await.run(&steps).await })
            .map_err(TestCaseError::fail)
    });
    if let Err(TestError::Fail(why, steps)) = result {
        panic!("{why}\nafter {steps:#?}");
    }
    result.unwrap();
}

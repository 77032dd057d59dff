//! Two real processes and a real server, driven step by step beside the history.
use bytes::Bytes;
use holdfast::backend::{Ask, Lease, Operation, Policy, Removal, Reply, Scope, Value as Payload};
use holdfast::base::plant::Plant;
use holdfast::base::random;
use serde_json::json;

use crate::history::{Act, History, Id, KEYS, PATTERNS, Step, TAGS, Tagged, Value};
use crate::support::Server;
use crate::support::process::{Outside, Process, tagged};

pub struct World {
    history: History,
    processes: [Process; 2],
    outside: Outside,
    leases: [[Option<Lease>; 3]; 2],
    /// Who acted last.
    last: usize,
    next: Id,
}

impl World {
    pub async fn new(server: &Server, broken: Option<Plant>) -> Self {
        let options = json!({
            "nearCache": "off", "keyPrefix": format!("order{:x}:", random::bits()),
        });
        let process = || Process::planted(&server.url(), &options, broken);
        let mut processes = [process(), process()];
        // First contact, so that both know the server's clock.
        for process in &mut processes {
            process.caller.reach.near = false;
            assert_eq!(process.get("none").await, None);
        }
        let mut outside = Outside::of(&server.url()).await;
        // The shards are in use; of these tags nobody has heard yet.
        for tag in TAGS {
            let invalidate = processes[0].invalidating(tag, Removal::Delete);
            assert_eq!(processes[0].run(invalidate).await, Ok(Reply::Flag(true)));
            let marker = processes[0].keys.marker(tag.as_bytes());
            outside.ask::<u64>(&["DEL", text(&marker)]).await;
        }
        processes[0].moment().await;
        Self {
            history: History::default(),
            processes,
            outside,
            leases: Default::default(),
            last: 0,
            next: 0,
        }
    }

    pub async fn run(mut self, steps: &[Step]) -> Result<(), String> {
        for (at, step) in steps.iter().enumerate() {
            self.history.tick();
            self.step(step).await.map_err(|why| format!("step {at}, {step:?}: {why}"))?;
        }
        for process in 0..2 {
            self.come_back(process).await?;
        }
        for (process, key) in
            (0..2).flat_map(|process| (0..KEYS.len()).map(move |key| (process, key)))
        {
            for stale in [false, true] {
                let read = self.read(process, key, stale).await;
                read.map_err(|why| format!("at the end {process} reads {}: {why}", KEYS[key]))?;
            }
        }
        self.clean_up().await;
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match *step {
            Step::Set { process, key, tags, stale } => {
                let id = self.id();
                let fresh_ms = stale.then_some(1);
                self.turn(process).await;
                let policy = Policy { fresh_ms, ..policy(tags) };
                let set = self.processes[process].setting(KEYS[key], &id.to_string(), policy);
                if self.ask(process, set).await? != Reply::Flag(true) {
                    return Err("it is not kept".into());
                }
                if stale {
                    // To everybody, though they read the clock differently.
                    self.processes[process].moment().await;
                }
                self.history.did(process, Act::Set { key, value: Value { id, tags, stale } });
            }
            Step::Delete { process, key } => {
                self.turn(process).await;
                let delete = self.processes[process].deleting(KEYS[key]);
                self.ask(process, delete).await?;
                self.history.did(process, Act::Delete { key });
            }
            Step::Expire { process, key } => {
                self.turn(process).await;
                let expire = self.processes[process].expiring(KEYS[key]);
                self.ask(process, expire).await?;
                self.history.did(process, Act::Expire { key });
            }
            Step::Invalidate { process, tag, removal } => {
                self.turn(process).await;
                let invalidate = self.processes[process].invalidating(TAGS[tag], removal);
                self.ask(process, invalidate).await?;
                self.history.did(process, Act::Invalidate { tag, removal });
            }
            Step::Clear { process, pattern } => {
                self.turn(process).await;
                let one = &self.processes[process];
                let clear = one.clearing(Scope::matching(&one.keys, "f", PATTERNS[pattern].0));
                self.ask(process, clear).await?;
                self.history.did(process, Act::Clear { pattern });
            }
            Step::Load { process, key, tags, force } => {
                self.load(process, key, tags, force).await?
            }
            Step::Fill { process, key } => self.fill(process, key).await?,
            Step::Read { process, key, stale } => self.read(process, key, stale).await?,
            Step::Leave { process } => {
                self.processes[process].fallback.force(true);
                self.history.leave(process);
            }
            Step::Return { process } => self.come_back(process).await?,
            Step::ForgetMarker { tag } => {
                let marker = self.processes[0].keys.marker(TAGS[tag].as_bytes());
                self.outside.ask::<u64>(&["DEL", text(&marker)]).await;
                self.history.forget_marker(tag);
            }
            Step::ForgetLease { key } => {
                let side = self.processes[0].keys.side(&self.processes[0].key(KEYS[key]));
                let forget = ["EVAL", FORGET_LEASE, "1", text(&side)];
                self.outside.ask::<u64>(&forget).await;
                self.history.forget_lease(key);
            }
        }
        Ok(())
    }

    fn id(&mut self) -> Id {
        self.next += 1;
        self.next
    }

    /// What two processes do is in the order in which it is done, whatever their clocks say.
    async fn turn(&mut self, process: usize) {
        if self.last != process {
            self.processes[self.last].moment().await;
            self.last = process;
        }
    }

    async fn ask(&mut self, process: usize, operation: Operation) -> Result<Reply, String> {
        let answer = self.processes[process].run(operation).await;
        answer.map_err(|error| format!("it fails: {error}"))
    }

    async fn read(&mut self, process: usize, key: usize, stale: bool) -> Result<(), String> {
        let get = Operation::Get { key: self.processes[process].key(KEYS[key]), stale };
        let found = match self.ask(process, get).await? {
            Reply::Entry(found) => Some(number(&found.payload)),
            _ => None,
        };
        self.may_be(process, key, stale, found)?;
        self.history.has_read(process, key);
        Ok(())
    }

    fn may_be(
        &self,
        process: usize,
        key: usize,
        stale: bool,
        found: Option<Id>,
    ) -> Result<(), String> {
        let allowed = self.history.may_read(process, key, stale);
        if allowed.contains(&found) {
            return Ok(());
        }
        Err(format!("it finds {found:?}, allowed is {allowed:?}"))
    }

    async fn load(
        &mut self,
        process: usize,
        key: usize,
        tags: Tagged,
        force: bool,
    ) -> Result<(), String> {
        self.turn(process).await;
        let token = random::bits() | 1;
        let tags_of = policy(tags).tags;
        let ask = Ask { token, force, lease_ms: 60_000, tags: tags_of, ..Ask::default() };
        let load = Operation::Load { key: self.processes[process].key(KEYS[key]), ask };
        match self.ask(process, load).await? {
            Reply::Entry(found) => {
                self.may_be(process, key, false, Some(number(&found.payload)))?
            }
            Reply::Loading(loading) => {
                if !force {
                    self.may_be(process, key, false, None)?;
                }
                let stale = loading.stale.map(|stale| number(&stale.payload));
                self.may_be(process, key, true, stale)
                    .or_else(|why| if stale.is_none() { Ok(()) } else { Err(why) })?;
                if let Some(lease) = loading.lease {
                    self.leases[process][key] = Some(lease);
                    self.history.may_load(process, key, tags);
                }
            }
            other => return Err(format!("it answers {other:?}")),
        }
        self.history.has_read(process, key);
        Ok(())
    }

    async fn fill(&mut self, process: usize, key: usize) -> Result<(), String> {
        let load = self.history.processes[process].loads[key].take();
        let Some((lease, load)) = self.leases[process][key].take().zip(load) else {
            return Ok(());
        };
        let id = self.id();
        let payload = Bytes::from(id.to_string());
        let value = Payload { payload, policy: policy(load.tags), ..Payload::default() };
        let key_of = self.processes[process].key(KEYS[key]);
        let fill = Operation::Fill { key: key_of, lease, value, ttl_ms: None };
        let Reply::Flag(kept) = self.ask(process, fill).await? else {
            return Err("a fill answers something else".into());
        };
        self.history.filled(process, key, id, &load, kept)
    }

    /// Replays.
    async fn come_back(&mut self, process: usize) -> Result<(), String> {
        let one = &mut self.processes[process];
        one.come_back().await;
        let depth = one.fallback.local.lock().journal.depth();
        if depth > 0 {
            return Err(format!("{depth} intents of {process} are left"));
        }
        self.history.come_back(process);
        Ok(())
    }

    async fn clean_up(&mut self) {
        let all = format!("{}*", text(&self.processes[0].keys.raw(b"")));
        self.outside.ask::<()>(&["EVAL", REMOVE_ALL, "0", &all]).await;
    }
}

fn policy(tags: Tagged) -> Policy {
    let names: Vec<_> =
        TAGS.iter().zip(tags).filter(|(_, has)| *has).map(|(tag, _)| *tag).collect();
    tagged(&names)
}

fn number(payload: &[u8]) -> Id {
    text(payload).parse().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What a server that is full may do to a lease that no tombstone stood at.
const FORGET_LEASE: &str = "local side = redis.call('GET', KEYS[1])
if side and string.byte(side, 1) == 76 and #side < 57 then return redis.call('DEL', KEYS[1]) end
return 0";

const REMOVE_ALL: &str =
    "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end";

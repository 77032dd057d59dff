//! The fallback layer: Redis while it answers, memory and the journal while it doesn't.
//!
//! It is a backend around two backends, so a manager can't tell whether it is degraded and can't forget
//! it. The right order of layers is manager → fallback → Redis: a layer below this one that swallowed an
//! error would hide the outage from it.
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use super::durable::Directory;
use super::fate::Fate;
use super::local::Local;
use crate::backend::call::Write;
use crate::backend::change;
use crate::backend::memory::store::Marks;
use crate::backend::memory::{self, Moment};
use crate::backend::message::{AHEAD, Audience, LOCAL};
use crate::backend::rate::Verb;
use crate::backend::redis::{Failure, Redis, State};
use crate::backend::{
    Answer, Backend, Call, Change, Decision, Early, Loading, Operation, Raw, Reach, Reply, Settler,
    Tags, settle_all,
};
use crate::base::clock::Clock;
use crate::base::error::{Applied, Error, ErrorKind};
use crate::base::keys::Keys;
use crate::base::stamp::{Stamp, Stamps};
use crate::config::Config;

/// What happened, for whoever listens: a name and its fields.
pub type EventSink = Box<dyn Fn(serde_json::Value) + Send + Sync>;

/// Counts of what re-syncs did.
#[derive(Debug, Default)]
pub struct ResyncStats {
    pub replayed: AtomicU64,
    pub conflicts: AtomicU64,
    pub superseded: AtomicU64,
    pub failed: AtomicU64,
    /// On the server's clock, milliseconds; 0 = never.
    pub last_at: AtomicU64,
    pub began_at: AtomicU64,
    /// How long the last one took.
    pub took_ms: AtomicU64,
    /// When its progress was told last, on the boot clock.
    pub(super) told_at: AtomicU64,
    pub running: AtomicBool,
    pub last_failed: AtomicBool,
}

pub struct Fallback {
    pub(super) this: Weak<Self>,
    pub local: Mutex<Local>,
    /// `None` is memory for good.
    pub redis: Option<Redis>,
    pub config: Arc<Config>,
    pub clock: Arc<dyn Clock>,
    pub stamps: Arc<Stamps>,
    pub keys: Keys,
    pub resync: ResyncStats,
    pub(super) events: EventSink,
    /// A hint for the JS thread, so that a call to Redis takes no lock.
    pub(super) on_memory: AtomicBool,
    /// `syncWithRedis()` by hand replays although automatic re-sync is off.
    pub(super) by_hand: AtomicBool,
    /// Listeners were told that the server went, and not yet that it came.
    pub(super) away: AtomicBool,
    /// The store's, without its lock.
    marks: Arc<Marks>,
    /// Something was kept in this process alone.
    has_local: AtomicBool,
    /// Somebody gives back what limits took ahead.
    pub(super) returning: AtomicBool,
    /// It was told that nobody said among how many processes limits are shared.
    pub(super) told_unshared: AtomicBool,
    /// Who listens to channels.
    audience: Mutex<Option<Weak<dyn Audience>>>,
    pub(super) uncertain: Mutex<Fate>,
    /// Sets that were replayed since the list of clears was read, and whether they have tags.
    pub(super) replayed_sets: Mutex<HashMap<Bytes, (Stamp, bool)>>,
    /// Where the journal is kept on disk, if it is.
    pub(super) directory: OnceLock<Directory>,
    pub adoptions: super::adoption::Adoptions,
}

impl Fallback {
    pub fn new(
        redis: Option<Redis>,
        config: Arc<Config>,
        clock: Arc<dyn Clock>,
        stamps: Arc<Stamps>,
        events: EventSink,
    ) -> Arc<Self> {
        let local = Local::new(&config);
        let fallback = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            marks: local.store.marks.clone(),
            has_local: AtomicBool::new(false),
            returning: AtomicBool::new(false),
            told_unshared: AtomicBool::new(false),
            local: Mutex::new(local),
            on_memory: AtomicBool::new(redis.is_none()),
            redis,
            keys: Keys::new(&config.key_prefix),
            config,
            clock,
            stamps,
            resync: ResyncStats::default(),
            events,
            by_hand: AtomicBool::new(false),
            away: AtomicBool::new(true),
            audience: Mutex::new(None),
            uncertain: Mutex::new(Fate::default()),
            replayed_sets: Mutex::default(),
            directory: OnceLock::new(),
            adoptions: super::adoption::Adoptions::default(),
        });
        // Memory for good knows all there is.
        fallback.marks.open(fallback.redis.is_none());
        if let Some(redis) = &fallback.redis {
            let keeper: Weak<Self> = Arc::downgrade(&fallback);
            redis.keep_with(keeper);
        }
        fallback
    }

    /// Messages that no server sees go to whoever listens.
    pub fn tell_to(&self, audience: Weak<dyn Audience>) {
        *self.audience.lock() = Some(audience);
    }

    pub(super) fn audience(&self) -> Option<Arc<dyn Audience>> {
        self.audience.lock().as_ref().and_then(Weak::upgrade)
    }

    /// Whether memory answers now.
    pub fn is_on_memory(&self) -> bool {
        self.on_memory.load(Ordering::Acquire)
    }

    /// The marks of all keys, which can be read without any lock.
    pub fn marks(&self) -> Arc<Marks> {
        self.marks.clone()
    }

    pub fn moment(&self) -> Moment<'_> {
        Moment { now: self.clock.micros(), stamps: &self.stamps, keys: &self.keys }
    }

    /// Whether what is written now must reach Redis later. Where nothing is configured, localhost is
    /// only looked at, and memory is all there is.
    pub(super) fn journals(&self) -> bool {
        self.redis.is_some() && self.config.configured
    }

    /// Memory by request. In effect when this returns.
    pub fn force(&self, forced: bool) {
        let Some(redis) = &self.redis else { return };
        let mut local = self.local.lock();
        let was_forced = std::mem::replace(&mut local.forced, forced);
        if was_forced && !forced {
            // Until the supervisor has replayed, memory goes on answering; it may not have heard of either yet.
            local.state = State::Degraded;
        }
        self.on_memory.store(local.on_memory(), Ordering::Release);
        let on_memory = local.on_memory();
        drop(local);
        if let Some(audience) = self.audience() {
            audience.turned(on_memory);
        }
        redis.force(forced);
    }

    /// Replays the journal now, even where that does not happen by itself.
    pub fn resync_now(&self, settler: Settler) {
        match &self.redis {
            Some(redis) => redis.resync(settler),
            None => settler.settle(Ok(Reply::Raw(Raw::Map(Vec::new())))),
        }
    }

    /// The state as users see it.
    pub fn state(&self) -> State {
        match &self.redis {
            Some(redis) => redis.view().state,
            None => State::Forced,
        }
    }

    /// Runs an operation in memory. Call with the lock held and memory answering.
    pub(super) fn in_memory(
        &self,
        local: &mut Local,
        operation: &Operation,
        error: Option<&Error>,
        sent: bool,
    ) -> Answer {
        if self.redis.is_some() && self.belongs_to_redis(local, operation) {
            return Err(error.cloned().unwrap_or_else(|| self.why()));
        }
        if !self.config.fallback_enabled {
            return match operation {
                Operation::Change { .. }
                | Operation::Session { .. }
                | Operation::Publish { .. }
                | Operation::Stream { .. }
                | Operation::Presence { .. } => Err(error.cloned().unwrap_or_else(|| self.why())),
                operation => neutral(operation),
            };
        }
        let moment = self.moment();
        if let Operation::Publish { key, channel, message, .. } = operation
            && !self.journals()
        {
            let store = &mut local.store.messages;
            let id = message.kept.map(|kept| store.keep(key, message, kept, moment.now));
            let mark = id.map(|id| [b"\"seq\":\"", id.as_ref(), b"\","].concat());
            let text = message.text(&mark.unwrap_or_default());
            if let Some(audience) = self.audience() {
                audience.deliver(channel, text, message.sharded, true);
            }
            return Ok(Reply::Flag(true));
        }
        if let Operation::Publish { channel, message, .. } = operation
            && let Some(audience) = self.audience()
        {
            audience.deliver(channel, message.text(LOCAL), message.sharded, true);
        }
        if self.journals() {
            let dropped = local.journal.dropped();
            let answer = match operation {
                Operation::Command { .. } => local.apply_change(operation, false, &moment),
                Operation::Change { .. } => local.apply_change(operation, sent, &moment),
                Operation::Rate { limiter, act, .. }
                    if limiter.is_closed()
                        && matches!(act.verb, Verb::Take { .. } | Verb::Peek) =>
                {
                    Ok(Reply::Decision(Box::new(Decision::without(limiter))))
                }
                Operation::Rate { .. } => {
                    self.tell_unshared();
                    local.apply_rate(operation, sent, &moment)
                }
                Operation::Session { key, ask } => local.apply_session(key, ask, sent, &moment),
                // It is worth something now, or nothing.
                Operation::Publish { bounds, message, .. }
                    if message.kept.is_none() && (bounds.of_all == 0 || bounds.of_one == 0) =>
                {
                    Ok(Reply::Flag(true))
                }
                Operation::Publish { key, channel, message, bounds } => {
                    let (stamp, message) = (self.stamps.next(), message.clone());
                    let taken = local.journal.publish(key, channel, stamp, message, *bounds);
                    if taken { Ok(Reply::Flag(true)) } else { Err(memory::full()) }
                }
                operation => local.apply_journalled(operation, &moment),
            };
            if let Some(plant) = self.config.planted {
                local.journal.plant(plant, operation.key());
            }
            if local.journal.dropped() > dropped {
                self.emit(serde_json::json!({
                    "type": "journal-overflow", "dropped": local.journal.dropped(),
                }));
            }
            answer
        } else {
            memory::apply(&mut local.store, operation, &moment, false, &mut Vec::new())
        }
    }

    /// Whether nobody but the server may answer: a raw command, unless it merges, or reads what was changed
    /// while the server was away.
    fn belongs_to_redis(&self, local: &Local, operation: &Operation) -> bool {
        match operation {
            Operation::Command { args } => {
                let changed = |key: &Bytes| local.journal.changes(&self.keys.raw(key));
                !(self.merges() && change::is_read(args) && args.get(1).is_some_and(changed))
            }
            Operation::Pipeline { .. } => true,
            _ => false,
        }
    }

    fn merges(&self) -> bool {
        self.config.merges_raw && self.journals()
    }

    /// A raw command that merges, as the change that it is.
    fn merging(&self, operation: Operation) -> Operation {
        let Operation::Command { args } = operation else { return operation };
        let stamp = self.stamps.next();
        let change = Change::of(&args, stamp);
        let raw = args.get(1).filter(|_| change.is_some()).map(|key| self.keys.raw(key));
        match change.zip(raw.filter(|key| self.keys.record(key).is_some())) {
            Some((change, key)) => {
                let number = self.stamps.numbers.next();
                Operation::Change { key, args, change, stamp, number }
            }
            None => Operation::Command { args },
        }
    }

    fn why(&self) -> Error {
        let last = self.redis.as_ref().and_then(|redis| redis.view().last_error);
        match last {
            Some(error) if error.kind == ErrorKind::Auth => error.applied(Applied::No),
            Some(error) if error.kind == ErrorKind::Unavailable => error.applied(Applied::No),
            Some(error) => Error::unavailable(error.message).applied(Applied::No),
            None => Error::unavailable("memory answers by request"),
        }
    }

    pub(super) fn settle_unanswered(&self, calls: Vec<(Call, Failure)>) {
        let mut answers = Vec::with_capacity(calls.len());
        let mut held = Vec::new();
        let mut local = self.local.lock();
        for (call, failure) in calls {
            let raw =
                matches!(call.operation, Operation::Change { .. } | Operation::Command { .. });
            let memory = match raw {
                true => !self.belongs_to_redis(&local, &call.operation),
                false => call.reach.memory && !call.reach.required,
            };
            let holds = memory && self.holds_back(&local, &call.operation);
            let answer = if memory {
                // Sent before, or now, and nobody knows what became of it.
                let sent = call.attempts > 0 || failure.error.applied != Applied::No;
                let answer =
                    self.in_memory(&mut local, &call.operation, Some(&failure.error), sent);
                self.marked(&local, call.operation.key(), answer)
            } else if call.operation.is_raw() || call.reach.required {
                Err(failure.error)
            } else {
                neutral(&call.operation)
            };
            if holds {
                held.push((call.settler, answer));
            } else {
                answers.push((call.settler, answer));
            }
        }
        drop(local);
        settle_all(answers);
        self.when_safe(held);
    }

    /// Whether the answer to an operation in memory waits for the journal's file.
    fn holds_back(&self, local: &Local, operation: &Operation) -> bool {
        let waits = operation.stamp().is_some() || matches!(operation, Operation::Publish { .. });
        self.journals() && waits && local.journal.log().is_some()
    }

    /// The answer of a copy while the server is well, if there is one that may give it.
    fn near(&self, operation: Operation, reach: Reach) -> Early {
        let reads = matches!(
            operation,
            Operation::Get { .. } | Operation::Load { .. } | Operation::Exists { .. }
        );
        if !(reach.near && reads) {
            return Early::Pass(operation);
        }
        match self.local.lock().near(&operation, &self.moment()) {
            Some(reply) => Early::Answer(Ok(reply)),
            None => Early::Pass(operation),
        }
    }

    /// Memory for good knows all there is, so its answers may be kept in front of it.
    fn marked(&self, local: &Local, key: Option<&Bytes>, mut answer: Answer) -> Answer {
        match (&mut answer, key) {
            (Ok(Reply::Entry(found)), Some(key)) if self.redis.is_none() => {
                local.store.marks.note(key, found);
            }
            (Ok(Reply::Loading(loading)), _) => loading.degraded = self.redis.is_some(),
            _ => {}
        }
        answer
    }

    /// What is written here is not what was kept in this process alone any more.
    fn forget_local(&self, operation: &Operation) {
        let now = self.clock.micros();
        match operation {
            Operation::Clear { scope, stamp } => {
                self.local.lock().store.remove_scope(&scope.local(&self.keys), *stamp, now);
            }
            operation if operation.writes() => {
                if let Some(key) = operation.key() {
                    self.local.lock().store.remove(&self.keys.local(key), now);
                }
            }
            _ => {}
        }
    }

    /// Raw commands may change what the cache holds copies of.
    fn announce_raw(&self, commands: &[&Vec<Bytes>]) -> Option<Write> {
        let changing = commands.iter().filter(|args| !change::is_read(args));
        let keys: Vec<Bytes> = changing
            .flat_map(|args| {
                args.iter().skip(1).take(if has_many_keys(args) { usize::MAX } else { 1 })
            })
            .map(|key| self.keys.raw(key))
            .collect();
        let write = Write::of_each(&keys, &self.marks)?;
        let mut local = self.local.lock();
        keys.iter().for_each(|key| local.forget_copy(key));
        Some(write)
    }

    /// Calls are about to be handed over: from now on no copy of what they write answers.
    fn announce(&self, calls: &mut [Call]) {
        for call in calls {
            if let Operation::Fill { lease, value, .. } = &mut call.operation
                && self.is_outdated(&value.policy.tags, lease.start)
            {
                // It gives its lease back and writes nothing: what stands there may be good.
                lease.start = Stamp::default();
            }
            match &call.operation {
                Operation::Invalidate { key, removal, stamp } => {
                    // The server's own word will not be less.
                    let marker = removal.marker(stamp.micros);
                    self.local.lock().store.raise_marker(key, marker);
                }
                Operation::Clear { .. } => call.write = Some(Write::of_all(&self.marks)),
                Operation::Publish { channel, message, .. } => {
                    if let Some(audience) = self.audience() {
                        audience.deliver(channel, message.text(AHEAD), message.sharded, false);
                    }
                }
                // What this process notes it knows, should the server go away.
                Operation::Presence { key, user, status, ms } if !user.is_empty() => {
                    let now = self.clock.micros();
                    self.local.lock().store.messages.note(key, user, status, *ms, now);
                }
                Operation::Command { args } => call.write = self.announce_raw(&[args]),
                Operation::Pipeline { commands } => {
                    let commands: Vec<_> = commands.iter().collect();
                    call.write = self.announce_raw(&commands);
                }
                operation if operation.writes() => {
                    call.write = operation.key().map(|key| Write::of(key, &self.marks));
                }
                _ => {}
            }
        }
    }

    /// Whether one of these tags was invalidated since, as far as is known here.
    fn is_outdated(&self, tags: &Tags, since: Stamp) -> bool {
        if tags.is_empty() {
            return false;
        }
        let local = self.local.lock();
        let known = |tag: &[u8]| local.store.markers.look(&self.keys.marker(tag), 0).0;
        tags.iter().any(|tag| known(tag).newest() >= since.micros)
    }

    pub fn emit(&self, event: serde_json::Value) {
        (self.events)(event);
    }
}

impl Backend for Fallback {
    fn behind(&self, operation: Operation) -> Operation {
        if self.has_local.load(Ordering::Relaxed) {
            self.forget_local(&operation);
        }
        if self.merges() { self.merging(operation) } else { operation }
    }

    fn now(&self, operation: Operation, reach: Reach) -> Early {
        if reach.local {
            self.has_local.store(true, Ordering::Relaxed);
            let mut local = self.local.lock();
            let moment = self.moment();
            return Early::Answer(local.apply_local(&operation, &moment));
        }
        let operation = self.behind(operation);
        if !self.on_memory.load(Ordering::Acquire) {
            return match operation {
                Operation::Rate { .. } => self.at_hand(operation),
                operation => self.near(operation, reach),
            };
        }
        let mut local = self.local.lock();
        if self.redis.is_some() && !local.on_memory() {
            return Early::Pass(operation);
        }
        if reach.required {
            return Early::Answer(Err(self.why()));
        }
        let raw = operation.is_raw() || matches!(operation, Operation::Change { .. });
        if !reach.memory && !raw && self.redis.is_some() {
            return Early::Answer(neutral(&operation));
        }
        let answer = self.in_memory(&mut local, &operation, None, false);
        if self.holds_back(&local, &operation) {
            Early::Held(answer)
        } else {
            Early::Answer(self.marked(&local, operation.key(), answer))
        }
    }

    fn when_safe(&self, answers: Vec<(Settler, Answer)>) {
        if answers.is_empty() {
            return;
        }
        let log = self.local.lock().journal.log().cloned();
        match log {
            Some(log) => log.after(answers),
            None => settle_all(answers),
        }
    }

    fn submit(&self, mut calls: Vec<Call>) {
        self.announce(&mut calls);
        match &self.redis {
            Some(redis) => redis.submit(calls),
            None => {
                let error = Error::internal("a call reached a backend that is not there");
                settle_all(calls.into_iter().map(|call| (call.settler, Err(error.clone()))));
            }
        }
    }
}

/// The answer where neither Redis nor memory may give one: nothing is there and nothing is kept.
pub fn neutral(operation: &Operation) -> Answer {
    Ok(match operation {
        Operation::Get { .. } => Reply::Nothing,
        Operation::Load { .. } => Reply::Loading(Loading::default()),
        Operation::Clear { .. } => Reply::Count(0),
        Operation::Set { .. }
        | Operation::Delete { .. }
        | Operation::Expire { .. }
        | Operation::Hold { .. }
        | Operation::Invalidate { .. }
        | Operation::Exists { .. } => Reply::Flag(false),
        Operation::Rate { limiter, .. } => Reply::Decision(Box::new(Decision::without(limiter))),
        // Of what was loaded, "no" would say that something newer came first; of a session, that it was ended.
        Operation::Fill { .. }
        | Operation::Session { .. }
        | Operation::Publish { .. }
        | Operation::Stream { .. }
        | Operation::Presence { .. }
        | Operation::Command { .. }
        | Operation::Pipeline { .. }
        | Operation::Change { .. } => {
            return Err(Error::unavailable("no server answers"));
        }
    })
}

/// Whether a raw command may change more keys than its first.
fn has_many_keys(args: &[Bytes]) -> bool {
    const NAMES: [&[u8]; 17] = [
        b"DEL",
        b"UNLINK",
        b"MSET",
        b"MSETNX",
        b"RENAME",
        b"RENAMENX",
        b"COPY",
        b"EVAL",
        b"EVALSHA",
        b"FCALL",
        b"LMOVE",
        b"RPOPLPUSH",
        b"SMOVE",
        b"SUNIONSTORE",
        b"SINTERSTORE",
        b"SDIFFSTORE",
        b"RESTORE",
    ];
    args.first().is_some_and(|name| NAMES.iter().any(|other| name.eq_ignore_ascii_case(other)))
}

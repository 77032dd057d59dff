//! The message manager: who listens to which channel, in all environments of the process, and what they are told.
//!
//! A message of ours carries an id. One that waited for a server may come twice, so the latest ids are known.
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::backend::message::{Arrived, Audience, Kind, Topic, id_of, is_late};
use crate::backend::{Reply, Settler};
use crate::base::clock::Clock;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::glob;
use crate::base::keys::{self, Keys};
use crate::resilience::fallback::Fallback;

/// So many ids are known.
const KNOWN: usize = 16_384;
/// Of those that were delivered here so many: each may wait for a server.
const HERE: usize = 262_144;
/// The longest name of a channel.
const LONGEST: usize = 4096;

/// An environment, as far as it is told things.
pub trait Hearer: Send + Sync {
    /// Messages for it, each with the number of its subscription, in their order.
    fn heard(&self, messages: Vec<Heard>);
    /// For so long nobody told it anything, ms, and what may have been published then is unknown.
    fn missed(&self, number: u32, ms: u64);
}

pub struct Heard {
    pub number: u32,
    /// Where it is another than what was listened to.
    pub channel: Option<Bytes>,
    pub text: Bytes,
}

struct Listener {
    hearer: Weak<dyn Hearer>,
    number: u32,
}

#[derive(Default)]
struct Entry {
    listeners: Vec<Listener>,
    /// The server tells of it.
    told: bool,
    /// It did, until the connection broke.
    broken: bool,
    /// Who waits until it does, and since when.
    waiting: Vec<(Settler, u32, u64)>,
}

#[derive(Default)]
struct Inner {
    topics: HashMap<Topic, Entry>,
    patterns: usize,
    /// How many topics no server tells of.
    untold: usize,
    known: Known,
    /// Those that were delivered here, each to whom, before any server told them.
    here: Known,
    last: Option<Last>,
    /// Since when nobody tells anything, µs of the boot clock.
    lost_at: Option<u64>,
}

/// The message that came last: it comes once for each topic that covers it.
struct Last {
    id: Bytes,
    again: bool,
    topics: Vec<Topic>,
}

/// The ids that came last.
#[derive(Default)]
struct Known {
    hasher: RandomState,
    all: HashSet<u64>,
    order: VecDeque<u64>,
}

pub struct Messages {
    inner: Mutex<Inner>,
    backend: Weak<Fallback>,
    clock: Arc<dyn Clock>,
    keys: Keys,
    /// For so long it is waited until the server tells of a channel, µs.
    patience: u64,
}

impl Known {
    /// Notes it; so many of the latest are known. Answers whether it is new.
    fn note(&mut self, id: impl Hash, most: usize) -> bool {
        let hash = self.hasher.hash_one(id);
        if !self.all.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > most
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
        true
    }

    fn has(&self, id: impl Hash) -> bool {
        !self.all.is_empty() && self.all.contains(&self.hasher.hash_one(id))
    }
}

impl Messages {
    pub fn new(backend: &Arc<Fallback>, patience: u64) -> Arc<Self> {
        let keys = backend.keys.clone();
        let messages = Arc::new(Self {
            inner: Mutex::default(),
            clock: backend.clock.clone(),
            keys,
            backend: Arc::downgrade(backend),
            patience,
        });
        let audience: Weak<dyn Audience> = Arc::downgrade(&(messages.clone() as Arc<dyn Audience>));
        backend.tell_to(audience);
        messages
    }

    /// The whole name of a channel, or of a pattern.
    pub fn channel(&self, name: &str, whole: bool, pattern: bool) -> Result<Bytes> {
        if name.is_empty() || name.len() > LONGEST {
            let text = format!("channel has {} bytes; allowed: 1 to {LONGEST}", name.len());
            return Err(Error::invalid("channel", text));
        }
        if whole {
            return Ok(Bytes::copy_from_slice(name.as_bytes()));
        }
        if !pattern {
            return Ok(self.keys.raw(name.as_bytes()));
        }
        // What the prefix holds stands for itself.
        let mut whole = keys::scan_pattern(self.keys.all());
        whole.pop();
        whole.extend_from_slice(name.as_bytes());
        Ok(whole.into())
    }

    /// The key of a channel's stream.
    pub fn stream(&self, channel: &str, whole: bool) -> Bytes {
        self.keys.entry(if whole { "stream_whole" } else { "stream" }, channel)
    }

    /// The key of a room.
    pub fn room(&self, name: &str) -> Bytes {
        self.keys.entry("presence", name)
    }

    /// What is heard of a topic goes to this environment from now on, under this number. Settled when the server tells of
    /// it, or at once while memory answers.
    pub fn listen(&self, topic: Topic, hearer: &Arc<dyn Hearer>, number: u32, settler: Settler) {
        let Some(backend) = self.backend.upgrade() else {
            return settler.settle(Err(Error::closed()));
        };
        let mut inner = self.inner.lock();
        let entry = inner.topics.entry(topic.clone()).or_default();
        let is_new = entry.listeners.is_empty();
        entry.listeners.push(Listener { hearer: Arc::downgrade(hearer), number });
        let told = entry.told;
        let on_memory = backend.redis.is_none() || backend.is_on_memory();
        let settled = told || on_memory;
        let settler = if settled {
            // Who begins without a server has missed what others publish meanwhile.
            entry.broken |= on_memory && backend.redis.is_some();
            Some(settler)
        } else {
            entry.waiting.push((settler, number, self.clock.micros()));
            None
        };
        if is_new && topic.kind == Kind::Pattern {
            inner.patterns += 1;
        }
        if on_memory && backend.redis.is_some() && inner.lost_at.is_none() {
            inner.lost_at = Some(self.clock.micros());
        }
        inner.untold += usize::from(is_new);
        drop(inner);
        if let Some(redis) = &backend.redis {
            redis.touch();
            redis.listen_anew();
        }
        if let Some(settler) = settler {
            settler.settle(Ok(Reply::Flag(told)));
        }
    }

    /// The same, of what JS describes: kind, whether the name is whole, number and name.
    pub fn unlisten(&self, description: &str, hearer: &Arc<dyn Hearer>) -> Result<()> {
        let read: (u32, bool, u32, String) = serde_json::from_str(description)
            .map_err(|error| Error::internal(format!("a subscription can't be read: {error}")))?;
        let (kind, whole, number, name) = read;
        let kind = match kind {
            1 => Kind::Pattern,
            2 => Kind::Shard,
            _ => Kind::Channel,
        };
        let name = self.channel(&name, whole, kind == Kind::Pattern)?;
        self.leave(&Topic { kind, name }, hearer, number);
        Ok(())
    }

    /// It hears nothing under this number any more.
    pub fn leave(&self, topic: &Topic, hearer: &Arc<dyn Hearer>, number: u32) {
        let mut inner = self.inner.lock();
        let Some(entry) = inner.topics.get_mut(topic) else { return };
        let own = Arc::downgrade(hearer);
        entry.listeners.retain(|one| one.number != number || !one.hearer.ptr_eq(&own));
        let gone: Vec<_> = entry.waiting.extract_if(.., |(_, other, _)| *other == number).collect();
        let empty = entry.listeners.is_empty();
        if empty {
            inner.topics.remove(topic);
            inner.patterns -= usize::from(topic.kind == Kind::Pattern);
            inner.recount();
        }
        drop(inner);
        for (settler, ..) in gone {
            settler.settle(Err(Error::new(ErrorKind::Timeout, "it was left before it began")));
        }
        if empty
            && let Some(backend) = self.backend.upgrade()
            && let Some(redis) = &backend.redis
        {
            redis.listen_anew();
        }
    }

    /// How many topics are listened to, and whether the server tells of all of them.
    pub fn stats(&self) -> (usize, bool) {
        let inner = self.inner.lock();
        (inner.topics.len(), inner.topics.values().all(|entry| entry.told))
    }
}

impl Inner {
    /// Counts anew who is told nothing.
    fn recount(&mut self) {
        self.untold = self.topics.values().filter(|entry| !entry.told).count();
    }
}

/// What each environment hears, until it is handed over without any lock.
#[derive(Default)]
struct Out(Vec<(Arc<dyn Hearer>, Vec<Heard>)>);

impl Out {
    fn add(&mut self, listener: &Listener, channel: Option<Bytes>, text: &Bytes) {
        let Some(hearer) = listener.hearer.upgrade() else { return };
        let heard = Heard { number: listener.number, channel, text: text.clone() };
        match self.0.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &hearer)) {
            Some((_, all)) => all.push(heard),
            None => self.0.push((hearer, vec![heard])),
        }
    }

    fn hand_on(self) {
        self.0.into_iter().for_each(|(hearer, messages)| hearer.heard(messages));
    }
}

impl Audience for Messages {
    fn wanted(&self) -> Vec<(Topic, bool)> {
        let mut inner = self.inner.lock();
        // Environments that ended listen no longer.
        inner.topics.retain(|_, entry| {
            entry.listeners.retain(|listener| listener.hearer.strong_count() > 0);
            !entry.listeners.is_empty()
        });
        inner.patterns = inner.topics.keys().filter(|topic| topic.kind == Kind::Pattern).count();
        inner.topics.iter().map(|(topic, entry)| (topic.clone(), entry.told)).collect()
    }

    fn settled(&self, topic: &Topic, outcome: Result<()>) {
        let mut inner = self.inner.lock();
        let now = self.clock.micros();
        let ms = inner.lost_at.map_or(0, |at| now.saturating_sub(at) / 1000);
        let Some(entry) = inner.topics.get_mut(topic) else { return };
        let waiting = std::mem::take(&mut entry.waiting);
        entry.told = outcome.is_ok();
        let missed = std::mem::take(&mut entry.broken) && entry.told;
        let mut told = Vec::new();
        if missed {
            // Those that wait still begin only now.
            let begins = |number: u32| waiting.iter().any(|&(_, other, _)| other == number);
            let others = entry.listeners.iter().filter(|listener| !begins(listener.number));
            told.extend(others.filter_map(|one| Some((one.hearer.upgrade()?, one.number))));
        }
        if outcome.is_err() {
            let refused = |number: u32| waiting.iter().any(|&(_, other, _)| other == number);
            entry.listeners.retain(|listener| !refused(listener.number));
        }
        inner.recount();
        if inner.untold == 0 {
            inner.lost_at = None;
        }
        drop(inner);
        for (settler, ..) in waiting {
            settler.settle(outcome.clone().map(|()| Reply::Flag(true)));
        }
        told.into_iter().for_each(|(hearer, number)| hearer.missed(number, ms));
    }

    fn arrived(&self, messages: Vec<Arrived>) {
        let mut out = Out::default();
        let mut inner = self.inner.lock();
        let Inner { topics, known, here, last, .. } = &mut *inner;
        for Arrived { topic, channel, text } in messages {
            if let Some(id) = id_of(&text) {
                let again = match last {
                    Some(last) if last.id == id && !last.topics.contains(&topic) => {
                        last.topics.push(topic.clone());
                        last.again
                    }
                    _ => {
                        let again = !known.note(id, KNOWN) && is_late(&text);
                        let (id, topics) = (Bytes::copy_from_slice(id), vec![topic.clone()]);
                        *last = Some(Last { id, again, topics });
                        again
                    }
                };
                if again || here.has((id, &topic)) {
                    continue;
                }
            }
            let Some(entry) = topics.get(&topic) else { continue };
            let other = (topic.kind == Kind::Pattern).then(|| channel.clone());
            for listener in &entry.listeners {
                out.add(listener, other.clone(), &text);
            }
        }
        drop(inner);
        out.hand_on();
    }

    fn link_lost(&self, since: u64) {
        let mut inner = self.inner.lock();
        let mut any = false;
        for entry in inner.topics.values_mut() {
            any |= entry.told;
            entry.broken |= std::mem::take(&mut entry.told);
        }
        if any {
            inner.lost_at = Some(inner.lost_at.map_or(since, |at| at.min(since)));
        }
        inner.recount();
    }

    fn link_failed(&self, error: &Error) {
        let now = self.clock.micros();
        let mut inner = self.inner.lock();
        let mut given_up = Vec::new();
        for entry in inner.topics.values_mut() {
            let late = |since: u64| now.saturating_sub(since) > self.patience;
            for (settler, number, _) in entry.waiting.extract_if(.., |(_, _, since)| late(*since)) {
                entry.listeners.retain(|listener| listener.number != number);
                given_up.push(settler);
            }
        }
        inner.topics.retain(|_, entry| !entry.listeners.is_empty());
        drop(inner);
        given_up.into_iter().for_each(|settler| settler.settle(Err(error.clone())));
    }

    fn deliver(&self, channel: &Bytes, text: Bytes, sharded: bool, everybody: bool) {
        let mut out = Out::default();
        let mut inner = self.inner.lock();
        if !everybody && inner.untold == 0 {
            return;
        }
        let Inner { topics, known, here, patterns, .. } = &mut *inner;
        let id = id_of(&text);
        // It was told already.
        if id.is_some_and(|id| known.has(id)) {
            return;
        }
        let mut is_new = |topic: &Topic| id.is_none_or(|id| here.note((id, topic), HERE));
        let kind = if sharded { Kind::Shard } else { Kind::Channel };
        let topic = Topic { kind, name: channel.clone() };
        // Whom the server tells hears it from there.
        let hears = |entry: &Entry| everybody || !entry.told;
        if let Some(entry) = topics.get(&topic).filter(|entry| hears(entry) && is_new(&topic)) {
            entry.listeners.iter().for_each(|listener| out.add(listener, None, &text));
        }
        if *patterns > 0 && !sharded {
            let mut matching: Vec<_> = topics
                .iter()
                .filter(|(topic, _)| topic.kind == Kind::Pattern)
                .filter(|(topic, entry)| hears(entry) && glob::matches(&topic.name, channel))
                .collect();
            matching.sort_unstable_by_key(|(topic, _)| topic.name.clone());
            matching.retain(|(topic, _)| is_new(topic));
            for (_, entry) in matching {
                entry.listeners.iter().for_each(|one| out.add(one, Some(channel.clone()), &text));
            }
        }
        drop(inner);
        out.hand_on();
    }

    fn turned(&self, on_memory: bool) {
        if !on_memory {
            return;
        }
        // Who waits for the server begins without it.
        let mut inner = self.inner.lock();
        let mut begun = Vec::new();
        for entry in inner.topics.values_mut() {
            entry.broken |= entry.told || !entry.waiting.is_empty();
            begun.extend(std::mem::take(&mut entry.waiting));
        }
        if inner.lost_at.is_none() && inner.topics.values().any(|entry| entry.broken) {
            inner.lost_at = Some(self.clock.micros());
        }
        drop(inner);
        for (settler, ..) in begun {
            settler.settle(Ok(Reply::Flag(false)));
        }
    }
}

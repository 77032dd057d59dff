//! What a journal file says in the end: the intents that nobody settled.
use std::collections::HashMap;

use bytes::Bytes;

use super::super::journal::Invalidation;
use super::super::journal::removals::add;
use super::record::{self, Begin, Clocks, Read};
use crate::backend::Scope;
use crate::backend::change::Entry;
use crate::backend::intent::{Intent, Wish};
use crate::backend::message::Waiting;
use crate::backend::rate::Owed;
use crate::base::stamp::Stamp;

/// The state that the records of one file add up to.
#[derive(Debug, Default)]
pub struct State {
    pub begin: Option<Begin>,
    pub clocks: Clocks,
    pub intents: HashMap<Bytes, Intent>,
    pub invalidations: HashMap<Scope, Stamp>,
    /// Whether a later generation holds all that the one before held.
    pub complete: bool,
    /// Bytes at the end that are no whole record.
    pub torn: usize,
    /// It holds a whole record that is not understood here: a newer version wrote it.
    pub newer: bool,
}

impl State {
    pub fn of(bytes: Bytes) -> Self {
        let mut state = Self::default();
        let mut rest = bytes;
        while let Some((record, length)) = record::next(&rest) {
            state.apply(record);
            rest = rest.slice(length..);
        }
        state.torn = rest.len();
        state.newer = record::is_whole(&rest);
        state
    }

    /// Whether this file counts: a later generation that is not complete holds nothing that the one
    /// before it lacks.
    pub fn counts(&self) -> bool {
        self.begin.as_ref().is_some_and(|begin| begin.generation == 0 || self.complete)
    }

    fn apply(&mut self, record: Read) {
        match record {
            Read::Begin(begin) => self.begin = Some(begin),
            Read::Clocks(clocks) => self.clocks = clocks,
            Read::Complete => self.complete = true,
            Read::Intent(Intent { key, stamp, wish: Wish::Invalidate(removals) }) => {
                let known = self.intents.entry(key.clone()).or_insert_with(|| {
                    let wish = Wish::Invalidate(Vec::new());
                    Intent { key, stamp, wish }
                });
                known.stamp = known.stamp.max(stamp);
                if let Wish::Invalidate(all) = &mut known.wish {
                    removals.into_iter().for_each(|(removal, stamp)| add(all, removal, stamp));
                }
            }
            // All that waits for a session is one; an end is final.
            Read::Intent(Intent { key, stamp, wish: Wish::Session(delta) }) => {
                match self.intents.get_mut(&key) {
                    Some(Intent { wish: Wish::Session(known), stamp: newest, .. }) => {
                        known.fold(*delta);
                        *newest = stamp.max(*newest);
                    }
                    Some(_) => {}
                    None => {
                        let wish = Wish::Session(delta);
                        self.intents.insert(key.clone(), Intent { key, stamp, wish });
                    }
                }
            }
            Read::Intent(Intent { key, stamp, wish: Wish::EndAll(end) }) => {
                match self.intents.get_mut(&key) {
                    Some(Intent { wish: Wish::EndAll(known), stamp: at, .. }) => {
                        (*at, *known) = end.fold(stamp, known.clone(), *at);
                    }
                    _ => {
                        let wish = Wish::EndAll(end);
                        self.intents.insert(key.clone(), Intent { key, stamp, wish });
                    }
                }
            }
            // Of a set that it finds there it is a part, as in the journal.
            Read::Intent(Intent { key, stamp, wish: Wish::Expire })
                if self.intents.get(&key).is_some_and(|old| is_older_set(old, stamp)) =>
            {
                if let Some(Intent { wish: Wish::Set { expired, .. }, .. }) =
                    self.intents.get_mut(&key)
                {
                    *expired = expired.as_deref().copied().max(Some(stamp)).map(Box::new);
                }
            }
            Read::Intent(intent) => {
                // A set that lost its value comes again as a delete of the same stamp.
                let older =
                    self.intents.get(&intent.key).is_none_or(|old| old.stamp <= intent.stamp);
                if older {
                    self.intents.insert(intent.key.clone(), intent);
                }
            }
            Read::Change { key, entry } => {
                let stamp = entry.stamp;
                match self.intents.get_mut(&key) {
                    Some(Intent { wish: Wish::Change(changes), stamp: newest, .. }) => {
                        changes.push(entry);
                        *newest = stamp.max(*newest);
                    }
                    _ => {
                        let wish = Wish::Change(std::iter::once(entry).collect());
                        self.intents.insert(key.clone(), Intent { key, stamp, wish });
                    }
                }
            }
            Read::Charge { key, limiter, due } => {
                let stamp = due.stamp;
                match self.intents.get_mut(&key) {
                    Some(Intent { wish: Wish::Rate(owed), stamp: newest, .. }) => {
                        owed.push(&limiter, due);
                        *newest = stamp.max(*newest);
                    }
                    _ => {
                        let wish = Wish::Rate(Owed::new(limiter, due));
                        self.intents.insert(key.clone(), Intent { key, stamp, wish });
                    }
                }
            }
            Read::Message { key, channel, held } => {
                let stamp = held.stamp;
                let intent = self.intents.entry(key.clone()).or_insert_with(|| {
                    let wish = Wish::Publish(Waiting::new(channel));
                    Intent { key, stamp, wish }
                });
                intent.stamp = stamp.max(intent.stamp);
                if let Wish::Publish(waiting) = &mut intent.wish {
                    waiting.push(held);
                }
            }
            Read::Told { key, stamp } => {
                if let Some(Intent { wish: Wish::Publish(waiting), .. }) =
                    self.intents.get_mut(&key)
                {
                    waiting.forget(stamp);
                    if waiting.is_empty() {
                        self.intents.remove(&key);
                    }
                }
            }
            Read::Sent { key } => {
                if let Some(Intent { wish: Wish::Change(changes), .. }) = self.intents.get_mut(&key)
                {
                    changes.mark_sent();
                }
            }
            Read::Done { key, id } => self.forget(&key, &|entry| entry.id() == id),
            Read::Invalidation(Invalidation { scope, stamp }) => {
                self.cover(&scope, stamp);
                let newest = self.invalidations.entry(scope).or_default();
                *newest = (*newest).max(stamp);
            }
            Read::Settled { key, stamp } => {
                if let Some(Intent { wish: Wish::Rate(owed), .. }) = self.intents.get_mut(&key) {
                    owed.forget(|due| due.stamp <= stamp);
                    if owed.is_empty() {
                        self.intents.remove(&key);
                    }
                    return;
                }
                let Some(intent) = self.intents.get_mut(&key).filter(|one| one.stamp <= stamp)
                else {
                    return;
                };
                match &intent.wish {
                    // It may have been asked for after the set was sent.
                    Wish::Set { expired: Some(expired), .. } => {
                        intent.stamp = **expired;
                        intent.wish = Wish::Expire;
                    }
                    _ => drop(self.intents.remove(&key)),
                }
            }
            Read::Invalidated(Invalidation { scope, stamp }) => {
                if self.invalidations.get(&scope).is_some_and(|&other| other <= stamp) {
                    self.invalidations.remove(&scope);
                }
            }
            Read::Covered(Invalidation { scope, stamp }) => self.cover(&scope, stamp),
            Read::Forgotten { prefix } => self.intents.retain(|key, _| !key.starts_with(&prefix)),
        }
    }

    fn cover(&mut self, scope: &Scope, stamp: Stamp) {
        self.intents.retain(|key, intent| {
            let tagged = matches!(
                &intent.wish, Wish::Set { value, .. } if !value.policy.tags.is_empty()
            );
            !scope.covers(key, tagged)
                || match &mut intent.wish {
                    Wish::Delete
                    | Wish::Expire
                    | Wish::Invalidate(_)
                    | Wish::Rate(_)
                    | Wish::Session(_)
                    | Wish::End(_)
                    | Wish::EndAll(_)
                    | Wish::Publish(_) => true,
                    Wish::Set { .. } => intent.stamp > stamp,
                    Wish::Change(changes) => {
                        changes.forget(&|entry| entry.stamp <= stamp);
                        !changes.is_empty()
                    }
                }
        });
    }

    fn forget(&mut self, key: &Bytes, settled: &dyn Fn(&Entry) -> bool) {
        let Some(Intent { wish: Wish::Change(changes), .. }) = self.intents.get_mut(key) else {
            return;
        };
        changes.forget(settled);
        if changes.is_empty() {
            self.intents.remove(key);
        }
    }
}

fn is_older_set(intent: &Intent, stamp: Stamp) -> bool {
    matches!(intent.wish, Wish::Set { .. }) && intent.stamp <= stamp
}

#[cfg(test)]
mod tests {
    use super::super::record::Record;
    use super::*;
    use crate::backend::message::{Held, Message};

    fn stamp(micros: u64) -> Stamp {
        Stamp { micros, process: 1 }
    }

    fn state(records: &[Record<'_>]) -> State {
        let mut out = Vec::new();
        records.iter().for_each(|record| record.encode(&mut out));
        out.extend_from_slice(b"torn");
        let state = State::of(out.into());
        assert_eq!(state.torn, 4);
        state
    }

    fn scope(prefix: &'static str) -> Scope {
        Scope::Prefix(Bytes::from_static(prefix.as_bytes()))
    }

    fn delete(key: &'static str, micros: u64) -> Intent {
        Intent { key: Bytes::from_static(key.as_bytes()), stamp: stamp(micros), wish: Wish::Delete }
    }

    #[test]
    fn what_was_settled_is_gone_and_what_came_later_stays() {
        let (first, second, other) = (delete("a", 1), delete("a", 5), delete("b", 2));
        let state = state(&[
            Record::Intent(&first),
            Record::Intent(&second),
            Record::Intent(&other),
            Record::Settled { key: b"a", stamp: stamp(1) },
            Record::Settled { key: b"b", stamp: stamp(2) },
            Record::Invalidation { scope: &scope("f:"), stamp: stamp(3) },
            Record::Invalidation { scope: &scope("g:"), stamp: stamp(4) },
            Record::Invalidated { scope: &scope("f:"), stamp: stamp(3) },
        ]);
        assert_eq!(state.intents.into_values().collect::<Vec<_>>(), [second]);
        assert_eq!(state.invalidations.into_keys().collect::<Vec<_>>(), [scope("g:")]);
    }

    #[test]
    fn of_the_messages_of_a_channel_those_wait_that_were_not_told() {
        let (key, channel) = (Bytes::from_static(b"stream:c"), Bytes::from_static(b"c"));
        let held = |micros: u64| Held {
            stamp: stamp(micros),
            message: Message { rest: micros.to_string().into(), kept: None, sharded: false },
        };
        let all = [held(3), held(1), held(2)];
        let mut records: Vec<_> =
            all.iter().map(|held| Record::Message { key: &key, channel: &channel, held }).collect();
        records.push(Record::Told { key: &key, stamp: stamp(3) });
        let some = state(&records);
        let Wish::Publish(waiting) = &some.intents[&key].wish else { panic!("they wait") };
        assert_eq!(waiting.iter().collect::<Vec<_>>(), [&all[1], &all[2]]);
        records.extend([1, 2].map(|micros| Record::Told { key: &key, stamp: stamp(micros) }));
        assert!(state(&records).intents.is_empty());
    }
}

//! Messages that wait for a server: those of a channel together, in their order, under the key of its stream.
//!
//! So many may wait, of a channel and of all; the oldest is given up for a newer one. Of those that are kept in a stream
//! none is: when there is no room they are refused. They go in parts, of a channel one after the other: a part that comes
//! back stands where it stood.
use std::collections::HashSet;

use bytes::Bytes;

use super::super::durable::Record;
use super::weight::weight;
use super::{Journal, OVERHEAD};
use crate::backend::intent::{Intent, Next, Wish};
use crate::backend::message::{Bounds, Held, Message, Waiting};
use crate::base::stamp::Stamp;

impl Journal {
    /// Takes a message, behind those of its channel. False: there is no room for it.
    pub fn publish(
        &mut self,
        key: &Bytes,
        channel: &Bytes,
        stamp: Stamp,
        message: Message,
        bounds: Bounds,
    ) -> bool {
        let needed = OVERHEAD + key.len() + channel.len() + message.bytes();
        if self.bytes - self.payloads + needed > self.limit {
            self.dropped += 1;
            return false;
        }
        let held = Held { stamp, message };
        self.write(|| Record::Message { key, channel, held: &held });
        let plain = held.message.kept.is_none();
        let mut intent = match self.messages.pop(key) {
            Some(intent) => {
                self.unweigh(&intent);
                Intent { stamp: intent.stamp.max(stamp), ..intent }
            }
            None => {
                let wish = Wish::Publish(Waiting::new(channel.clone()));
                Intent { key: key.clone(), stamp, wish }
            }
        };
        if let Wish::Publish(waiting) = &mut intent.wish {
            waiting.push(held);
            while plain
                && waiting.plain() > bounds.of_one
                && let Some(oldest) = waiting.drop_oldest()
            {
                self.dropped += 1;
                self.write(|| Record::Told { key, stamp: oldest.stamp });
            }
        }
        self.put(intent);
        while plain && self.plain > bounds.of_all && self.give_up_message() {}
        self.shed(self.limit);
        true
    }

    /// The messages that wait under a key.
    pub fn messages(&self, key: &[u8]) -> Option<&Waiting> {
        waiting(self.messages.peek(key)?)
    }

    /// The next part of what waits under a key: so many, of so many bytes, but one at least.
    pub fn next_messages(&mut self, key: &Bytes, at_most: usize, bytes: usize) -> Next {
        if self.out.contains(key) && self.messages.contains(key) {
            return Next::Later;
        }
        self.take_part(key, at_most, bytes).map_or(Next::Nothing, Next::Part)
    }

    /// A part of each of those channels that came back, or were quiet longest: so many messages in all, of so many bytes.
    pub(super) fn take_messages(&mut self, at_most: usize, bytes: usize) -> Vec<Intent> {
        let (mut taken, mut count, mut room) = (Vec::new(), at_most, bytes);
        let keys = self.messages.iter().rev().map(|(key, _)| key);
        let keys: Vec<Bytes> =
            keys.filter(|key| !self.out.contains(*key)).take(at_most).cloned().collect();
        for key in keys {
            if count == 0 || room == 0 {
                break;
            }
            let Some(part) = self.take_part(&key, count, room) else { continue };
            let Some(waiting) = waiting(&part) else { continue };
            count -= waiting.len().min(count);
            room = room.saturating_sub(waiting.bytes());
            taken.push(part);
        }
        taken
    }

    fn take_part(&mut self, key: &Bytes, at_most: usize, bytes: usize) -> Option<Intent> {
        let mut intent = self.messages.pop(key)?;
        self.unweigh(&intent);
        let Wish::Publish(waiting) = &mut intent.wish else { return None };
        let first = waiting.split(at_most, bytes);
        let stamp = first.iter().map(|held| held.stamp).max().unwrap_or(intent.stamp);
        let first = Intent { key: key.clone(), stamp, wish: Wish::Publish(first) };
        if !waiting.is_empty() {
            self.put(intent);
            self.messages.demote(key);
        }
        self.lend(&first);
        Some(first)
    }

    /// A part comes back, without those that were told.
    pub(super) fn put_part(&mut self, part: Intent, before: Option<&Intent>) {
        let stays: HashSet<Stamp> = stamps(&part).collect();
        for stamp in before.into_iter().flat_map(stamps).filter(|stamp| !stays.contains(stamp)) {
            self.write(|| Record::Told { key: &part.key, stamp });
        }
        let key = part.key.clone();
        self.put_messages(part);
        self.messages.demote(&key);
    }

    /// Messages that another process left behind; those that wait already, or are on their way, are not taken twice.
    pub(super) fn adopt_messages(&mut self, mut intent: Intent) {
        let on_its_way = self.replaying.values().filter(|other| other.key == intent.key);
        let known = on_its_way.chain(self.messages.peek(&intent.key));
        let known: HashSet<Stamp> = known.flat_map(stamps).collect();
        if let Wish::Publish(waiting) = &mut intent.wish {
            waiting.retain(|held| !known.contains(&held.stamp));
            if waiting.is_empty() {
                return;
            }
        }
        self.write(|| Record::Intent(&intent));
        self.put_messages(intent);
    }

    /// They go before those that came meanwhile.
    fn put_messages(&mut self, mut former: Intent) {
        if let Some(later) = self.messages.pop(&former.key) {
            self.unweigh(&later);
            former.stamp = former.stamp.max(later.stamp);
            if let (Wish::Publish(waiting), Wish::Publish(later)) = (&mut former.wish, later.wish) {
                waiting.append(later);
            }
        }
        self.put(former);
    }

    /// The oldest of the channel that is being replayed, or was quiet longest. False: there is none that may be given up.
    fn give_up_message(&mut self) -> bool {
        let mut all = self.messages.iter().rev();
        let first = all.find(|(_, intent)| waiting(intent).is_some_and(|all| all.plain() > 0));
        let Some(key) = first.map(|(key, _)| key.clone()) else { return false };
        let Some(intent) = self.messages.peek_mut(&key) else { return false };
        let before = weight(intent);
        let Wish::Publish(waiting) = &mut intent.wish else { return false };
        let Some(oldest) = waiting.drop_oldest() else { return false };
        let empty = waiting.is_empty();
        let after = weight(intent);
        self.bytes -= before - after;
        self.plain -= 1;
        self.dropped += 1;
        self.write(|| Record::Told { key: &key, stamp: oldest.stamp });
        if empty && let Some(intent) = self.messages.pop(&key) {
            self.unweigh(&intent);
        }
        true
    }
}

fn stamps(intent: &Intent) -> impl Iterator<Item = Stamp> {
    waiting(intent).into_iter().flat_map(Waiting::iter).map(|held| held.stamp)
}

pub(super) fn waiting(intent: &Intent) -> Option<&Waiting> {
    match &intent.wish {
        Wish::Publish(waiting) => Some(waiting),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::message::Kept;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const LIMIT: usize = 1 << 20;
    const CHANNELS: usize = 3;

    #[derive(Clone, Debug)]
    enum Step {
        Publish {
            channel: usize,
            kept: bool,
            size: usize,
        },
        /// So many are taken, of which the first so many are told and the others come back.
        Replay {
            most: usize,
            bytes: usize,
            told: usize,
        },
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let publish = (0..CHANNELS, any::<bool>(), 0..200_usize)
            .prop_map(|(channel, kept, size)| Step::Publish { channel, kept, size });
        let replay = (1..12_usize, 1..4_000_usize, 0..14_usize)
            .prop_map(|(most, bytes, told)| Step::Replay { most, bytes, told });
        prop_oneof![4 => publish, 1 => replay]
    }

    fn name(channel: usize) -> (Bytes, Bytes) {
        (format!("stream:{channel}").into(), format!("c{channel}").into())
    }

    /// Those of a part, by their numbers.
    fn numbers(intent: &Intent) -> Vec<usize> {
        let number = |held: &Held| String::from_utf8_lossy(&held.message.rest).trim().parse();
        waiting(intent).unwrap().iter().map(|held| number(held).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn each_is_told_once_in_its_order_however_many_go_at_once_or_is_given_up_by_the_bound(
            steps in prop::collection::vec(any_step(), 1..200), of_one in 1..9_usize, of_all in 1..15_usize,
        ) {
            let mut journal = Journal::new(LIMIT);
            let mut model: [VecDeque<(usize, bool)>; CHANNELS] = Default::default();
            let mut given_up = 0;
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Publish { channel, kept, size } => {
                        let rest = format!("{number:<size$}").into();
                        let kept = kept.then_some(Kept { ms: 1, most: 1 });
                        let message = Message { rest, kept, sharded: false };
                        let ((key, of), stamp) = (name(channel), Stamp { micros: number as u64 + 1, process: 1 });
                        let bounds = Bounds { of_one, of_all };
                        prop_assert!(journal.publish(&key, &of, stamp, message, bounds));
                        model[channel].push_back((number, kept.is_none()));
                        // Of the own channel first, then of that which waits longest.
                        if model[channel].iter().filter(|(_, plain)| *plain).count() > of_one {
                            let at = model[channel].iter().position(|(_, plain)| *plain).unwrap();
                            model[channel].remove(at);
                            given_up += 1;
                        }
                    }
                    Step::Replay { most, bytes, told } => {
                        let taken = journal.take_messages(most, bytes);
                        let count: usize = taken.iter().map(|part| numbers(part).len()).sum();
                        prop_assert!(count <= most && (count > 0 || journal.owed() == 0));
                        let mut told = told.min(count);
                        for mut part in taken {
                            let channel = (0..CHANNELS).find(|&one| name(one).0 == part.key).unwrap();
                            let those = numbers(&part);
                            let first: Vec<usize> = model[channel].iter().take(those.len()).map(|one| one.0).collect();
                            prop_assert_eq!(&those, &first);
                            let done = told.min(those.len());
                            told -= done;
                            model[channel].drain(..done);
                            if done == those.len() {
                                journal.settle(&part);
                                continue;
                            }
                            let Wish::Publish(rest) = &mut part.wish else { unreachable!() };
                            let mut at = 0..;
                            rest.retain(|_| at.next().unwrap() >= done);
                            journal.put_back(part);
                        }
                    }
                }
                while model.iter().flatten().filter(|(_, plain)| *plain).count() > of_all {
                    // Which of them waits longest the journal says.
                    let channel = (0..CHANNELS).find(|&one| {
                        journal.messages(&name(one).0).map_or(0, Waiting::plain)
                            < model[one].iter().filter(|(_, plain)| *plain).count()
                    });
                    let all = &mut model[channel.unwrap()];
                    all.remove(all.iter().position(|(_, plain)| *plain).unwrap());
                    given_up += 1;
                }
                let waits: usize = model.iter().map(VecDeque::len).sum();
                let held: usize = (0..CHANNELS).filter_map(|one| journal.messages(&name(one).0)).map(Waiting::len).sum();
                prop_assert_eq!(held, waits);
                prop_assert_eq!(journal.dropped(), given_up);
                prop_assert_eq!(journal.bytes(), journal.intents().map(weight).sum::<usize>());
                let plain: usize = model.iter().flatten().filter(|(_, plain)| *plain).count();
                prop_assert_eq!(journal.plain, plain);
                let oldest = model.iter().filter_map(|all| all.front()).map(|one| one.0 as u64 + 1).min();
                prop_assert!(journal.oldest().map(|stamp| stamp.micros) >= oldest);
            }
        }
    }
}

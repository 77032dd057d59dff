//! Messages that wait for a server: those of a channel together, in their order.
//!
//! So many may wait, of a channel and of all; the oldest is given up for a newer one. Of those that are kept in a stream
//! none is: when there is no room they are refused.
use bytes::Bytes;

use super::super::durable::Record;
use super::weight::weight;
use super::{Journal, OVERHEAD};
use crate::backend::intent::{Intent, Wish};
use crate::backend::message::{Bounds, Message, Waiting};
use crate::base::stamp::Stamp;

impl Journal {
    /// Takes a message, behind those of its channel. False: there is no room for it.
    pub fn publish(
        &mut self,
        channel: &Bytes,
        stamp: Stamp,
        message: Message,
        bounds: Bounds,
    ) -> bool {
        let needed = OVERHEAD + channel.len() + message.bytes();
        if self.bytes - self.payloads + needed > self.limit {
            self.dropped += 1;
            return false;
        }
        self.write(|| Record::Message { channel, stamp, message: &message });
        let plain = message.kept.is_none();
        let waiting = self.messages.pop(channel);
        let intent = match waiting {
            Some(mut intent) => {
                self.unweigh(&intent);
                intent.stamp = stamp;
                if let Wish::Publish(waiting) = &mut intent.wish {
                    waiting.0.push_back(message);
                    if plain && waiting.plain() > bounds.of_one {
                        self.dropped += u64::from(waiting.drop_oldest());
                    }
                }
                intent
            }
            None => {
                let wish = Wish::Publish(Waiting([message].into()));
                Intent { key: channel.clone(), stamp, wish }
            }
        };
        self.put(intent);
        while self.plain > bounds.of_all && self.give_up_message() {}
        self.shed(self.limit);
        true
    }

    /// The messages that wait for a channel.
    pub fn messages(&self, channel: &[u8]) -> Option<&Waiting> {
        waiting(self.messages.peek(channel)?)
    }

    /// Messages of another process, or such that may have been sent, go before those that came meanwhile.
    pub(super) fn put_messages(&mut self, mut former: Intent) {
        if let Some(later) = self.messages.pop(&former.key) {
            self.unweigh(&later);
            former.stamp = former.stamp.max(later.stamp);
            if let (Wish::Publish(waiting), Wish::Publish(later)) = (&mut former.wish, later.wish) {
                waiting.0.extend(later.0);
            }
        }
        self.put(former);
    }

    /// The oldest of the channel that waits longest. False: there is none that may be given up.
    fn give_up_message(&mut self) -> bool {
        let mut all = self.messages.iter().rev();
        let channel = all.find(|(_, intent)| waiting(intent).is_some_and(|all| all.plain() > 0));
        let Some(channel) = channel.map(|(channel, _)| channel.clone()) else { return false };
        let Some(intent) = self.messages.peek_mut(&channel) else { return false };
        let before = weight(intent);
        let Wish::Publish(waiting) = &mut intent.wish else { return false };
        waiting.drop_oldest();
        let empty = waiting.0.is_empty();
        let after = weight(intent);
        self.bytes -= before - after;
        self.plain -= 1;
        self.dropped += 1;
        if empty && let Some(intent) = self.messages.pop(&channel) {
            self.unweigh(&intent);
        }
        true
    }
}

pub(super) fn waiting(intent: &Intent) -> Option<&Waiting> {
    match &intent.wish {
        Wish::Publish(waiting) => Some(waiting),
        _ => None,
    }
}

//! Messages on channels: as they are published, and as they wait for a server.
use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::error::{Error, Result};
use crate::base::stamp::Stamp;

/// A message: a JSON object without its first brace, so that what is learnt on its way is put in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `"id":"...",...}`
    pub rest: Bytes,
    /// It is kept for those who come later.
    pub kept: Option<Kept>,
    /// It goes to those who listen to the channel's shard.
    pub sharded: bool,
}

/// How a message is kept in its channel's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// For so long from the last one on.
    pub ms: u64,
    /// So many of the channel's, about.
    pub most: u64,
}

/// How many may wait for a server: of a channel, and of all. Of those that are kept none is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub of_one: usize,
    pub of_all: usize,
}

/// What kind of interest it is in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Channel,
    Pattern,
    Shard,
}

/// What somebody listens to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic {
    pub kind: Kind,
    pub name: Bytes,
}

/// A message that waits, since the moment of its stamp, by which it is known when it is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub stamp: Stamp,
    pub message: Message,
}

/// The messages of a channel that wait, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub channel: Bytes,
    all: VecDeque<Held>,
    bytes: usize,
    /// How many of them may be given up.
    plain: usize,
}

impl Message {
    /// As others get it. `mark` says what happened to it on its way.
    pub fn text(&self, mark: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(1 + mark.len() + self.rest.len());
        out.push(b'{');
        out.extend_from_slice(mark);
        out.extend_from_slice(&self.rest);
        out.into()
    }

    pub fn bytes(&self) -> usize {
        size_of::<Held>() + self.rest.len()
    }
}

/// A message as it arrives: what was listened to, the channel on which it came, and its text.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub topic: Topic,
    pub channel: Bytes,
    pub text: Bytes,
}

/// Whoever listens to channels, as those see him who bring messages.
pub trait Audience: Send + Sync {
    /// What is listened to now, and whether it is known that the server tells of it.
    fn wanted(&self) -> Vec<(Topic, bool)>;
    /// The server tells of it from now on, or never.
    fn settled(&self, topic: &Topic, outcome: Result<()>);
    /// In the order in which the server told them.
    fn arrived(&self, messages: Vec<Arrived>);
    /// Nobody tells anything any more, since that moment of the boot clock, in µs.
    fn link_lost(&self, since: u64);
    /// Nobody could be found who tells.
    fn link_failed(&self, error: &Error);
    /// A message of this process, before any server tells it: to everybody, or to those whom no server tells.
    fn deliver(&self, channel: &Bytes, text: Bytes, sharded: bool, everybody: bool);
    /// Memory answers from now on, or does not any more.
    fn turned(&self, on_memory: bool);
}

/// What is put in front of one that waited for a server.
pub const LATE: &[u8] = b"\"late\":true,";
/// What is put in front of one that no server has seen.
pub const LOCAL: &[u8] = b"\"degraded\":true,";
/// What is put in front of one that this process is told before the server tells it, and may tell it again.
pub const AHEAD: &[u8] = b"\"ahead\":true,";

/// The id that stands first in a message of ours, whatever was put in front of it.
pub fn id_of(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.strip_prefix(b"{")?;
    if let Some(after) = rest.strip_prefix(b"\"seq\":\"") {
        let end = after.iter().position(|&byte| byte == b',')?;
        rest = after.get(end + 1..)?;
    }
    for mark in [LATE, LOCAL, AHEAD] {
        rest = rest.strip_prefix(mark).unwrap_or(rest);
    }
    let id = rest.strip_prefix(b"\"id\":\"")?;
    id.get(..id.iter().position(|&byte| byte == b'"')?)
}

/// Whether a message waited for a server, so that it may have come before.
pub fn is_late(text: &[u8]) -> bool {
    let head = text.get(..text.len().min(64)).unwrap_or_default();
    head.windows(LATE.len()).any(|window| window == LATE)
}

impl Waiting {
    pub fn new(channel: Bytes) -> Self {
        Self { channel, all: VecDeque::new(), bytes: 0, plain: 0 }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Held> {
        self.all.iter()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many of them may be given up.
    pub fn plain(&self) -> usize {
        self.plain
    }

    /// When the first one was taken.
    pub fn oldest(&self) -> Option<Stamp> {
        self.all.front().map(|held| held.stamp)
    }

    pub fn push(&mut self, held: Held) {
        self.bytes += held.message.bytes();
        self.plain += usize::from(held.message.kept.is_none());
        self.all.push_back(held);
    }

    /// Those that came after these stand behind them.
    pub fn append(&mut self, later: Self) {
        self.bytes += later.bytes;
        self.plain += later.plain;
        self.all.extend(later.all);
    }

    /// Takes out those that come first: so many, of so many bytes, but one at least.
    pub fn split(&mut self, most: usize, bytes: usize) -> Self {
        let mut first = Self::new(self.channel.clone());
        while first.len() < most.max(1)
            && let Some(held) = self.all.front()
            && (first.is_empty() || first.bytes + held.message.bytes() <= bytes)
            && let Some(held) = self.take(0)
        {
            first.push(held);
        }
        first
    }

    /// Gives up the oldest that may be.
    pub fn drop_oldest(&mut self) -> Option<Held> {
        let at = self.all.iter().position(|held| held.message.kept.is_none())?;
        self.take(at)
    }

    /// Lets go of the one that is settled.
    pub fn forget(&mut self, stamp: Stamp) {
        if let Some(at) = self.all.iter().position(|held| held.stamp == stamp) {
            self.take(at);
        }
    }

    /// Those of which it holds, asked in their order, stay.
    pub fn retain(&mut self, stays: impl FnMut(&Held) -> bool) {
        self.all.retain(stays);
        self.bytes = self.all.iter().map(|held| held.message.bytes()).sum();
        self.plain = self.all.iter().filter(|held| held.message.kept.is_none()).count();
    }

    /// The same with other stamps.
    pub fn moved(mut self, moved: &dyn Fn(Stamp) -> Stamp) -> Self {
        self.all.iter_mut().for_each(|held| held.stamp = moved(held.stamp));
        self
    }

    fn take(&mut self, at: usize) -> Option<Held> {
        let held = self.all.remove(at)?;
        self.bytes -= held.message.bytes();
        self.plain -= usize::from(held.message.kept.is_none());
        Some(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_whatever_stands_before_it() {
        let message =
            Message { rest: "\"id\":\"a1\",\"data\":1}".into(), kept: None, sharded: false };
        for mark in
            [&b""[..], LATE, LOCAL, AHEAD, b"\"seq\":\"12-3\",", b"\"seq\":\"12-3\",\"late\":true,"]
        {
            let text = message.text(mark);
            assert_eq!(id_of(&text), Some(&b"a1"[..]), "{text:?}");
            assert_eq!(is_late(&text), mark.ends_with(LATE));
        }
        for foreign in ["", "{", "text", "{\"data\":1}", "{\"id\":\"", "{\"id\":7}"] {
            assert_eq!(id_of(foreign.as_bytes()), None);
        }
    }
}

//! Writes that were acknowledged while Redis did not answer, as they are replayed later.
use bytes::Bytes;

use super::change::Changes;
use super::message::Waiting;
use super::rate::Owed;
use super::session::Delta;
use super::{Removal, Value};
use crate::base::stamp::Stamp;

/// The last thing that was asked for one key, or all changes that merge there.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    pub key: Bytes,
    pub stamp: Stamp,
    pub wish: Wish,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Removes what is not newer.
    Delete,
    /// Makes stale what is not newer.
    Expire,
    /// Writes unless something newer stands there. The expiry is on the boot clock, and so are the end of its
    /// freshness and the moment since which it is acknowledged. What is not newer than `expired` is stale then.
    Set {
        value: Value,
        expires_at: Option<u64>,
        fresh_until: Option<u64>,
        since: u64,
        /// In a box, since few have one.
        expired: Option<Box<Stamp>>,
    },
    /// Invalidates a tag; the key is its marker's. The newest of each kind, in their order.
    Invalidate(Vec<(Removal, Stamp)>),
    /// Carries out changes of a raw key, each once.
    Change(Changes),
    /// Charges a key of a limiter what it was charged already, each once.
    Rate(Owed),
    /// Changes a session, or makes it.
    Session(Box<Delta>),
    /// Ends a session; for so many ms that is known of one that is not there.
    End(u64),
    /// Ends all sessions of a user but one; the key is that of the moments.
    EndAll(EndAll),
    /// Publishes messages on a channel; the key is that of its stream.
    Publish(Waiting),
}

/// Which sessions of a user are ended, at the moment of the intent's stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndAll {
    /// For so many ms at least it is known.
    pub absolute_ms: u64,
    /// What the key of the one that stays ends with.
    pub keep: Option<Bytes>,
    /// The last moment at which that was not the one that stayed.
    pub others: Option<Stamp>,
}

impl EndAll {
    /// Both as one, in whatever order they came.
    pub fn fold(self, stamp: Stamp, other: Self, at: Stamp) -> (Stamp, Self) {
        if at > stamp {
            return other.fold(at, self, stamp);
        }
        let same = self.keep.is_some() && self.keep == other.keep;
        let before = if same { other.others } else { Some(at) };
        let absolute_ms = self.absolute_ms.max(other.absolute_ms);
        let others = self.others.max(before).filter(|_| self.keep.is_some());
        (stamp, Self { absolute_ms, others, ..self })
    }
}

impl Intent {
    /// The key of which others may hold copies that it makes old.
    pub fn changes(&self) -> Option<&Bytes> {
        let managed = match self.wish {
            Wish::Delete | Wish::Expire | Wish::Set { .. } | Wish::Invalidate(_) => true,
            Wish::Change(_)
            | Wish::Rate(_)
            | Wish::Session(_)
            | Wish::End(_)
            | Wish::EndAll(_)
            | Wish::Publish(_) => false,
        };
        managed.then_some(&self.key)
    }

    /// The same with other stamps; changes keep theirs.
    pub fn moved(self, moved: &dyn Fn(Stamp) -> Stamp) -> Self {
        let wish = match self.wish {
            Wish::Invalidate(removals) => Wish::Invalidate(
                removals.into_iter().map(|(removal, stamp)| (removal, moved(stamp))).collect(),
            ),
            Wish::Set { value, expires_at, fresh_until, since, expired } => {
                let expired = expired.map(|stamp| Box::new(moved(*stamp)));
                Wish::Set { value, expires_at, fresh_until, since, expired }
            }
            Wish::Rate(owed) => Wish::Rate(owed.moved(moved, &|at| at)),
            Wish::Publish(waiting) => Wish::Publish(waiting.moved(moved)),
            Wish::Session(delta) => Wish::Session(Box::new(delta.moved(moved))),
            Wish::EndAll(end) => Wish::EndAll(EndAll { others: end.others.map(moved), ..end }),
            wish => wish,
        };
        Self { key: self.key, stamp: moved(self.stamp), wish }
    }
}

/// What goes next of the messages that wait under a key.
#[derive(Debug)]
pub enum Next {
    /// None waits.
    Nothing,
    /// Those that wait stand behind some that are on their way.
    Later,
    Part(Intent),
}

/// How a replay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Applied,
    /// Something newer stands there; the intent is settled.
    Superseded,
    /// A value of somebody else stands there, or the case can't be decided. Reported.
    Conflict,
}

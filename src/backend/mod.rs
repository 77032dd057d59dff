//! What managers ask of a store, and the two stores that answer.
//!
//! An [`Operation`] is in the managers' words (`Get`, `Fill`, ...), not in Redis commands. Each has a
//! pipeline or a script on Redis and plain Rust in memory; one contract suite holds for both.
pub mod call;
pub mod change;
pub mod intent;
pub mod limits;
pub mod memory;
pub mod message;
pub mod policy;
pub mod rate;
pub mod redis;
pub mod scope;
pub mod scopes;
pub mod session;

use std::sync::Arc;

use bytes::Bytes;

use crate::base::error::{Error, Result};
use crate::base::number::Number;
use crate::base::stamp::Stamp;
pub use call::{Call, Settler, Sink, settle_all};
pub use change::Change;
pub use policy::{Marker, Meta, Policy, Removal, Tags, Verdict};
pub use rate::{Act, Decision, Limiter};
pub use scope::Scope;

/// A value as a manager hands it over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value {
    pub payload: Bytes,
    /// How JS reads the payload; this side only keeps it.
    pub format: u8,
    /// Whether the envelope may compress it.
    pub compress: bool,
    pub policy: Policy,
}

/// The right to write what a load brings, given on a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub token: u64,
    /// When the load began, on the server's clock; the stamp of what it brings. Above every marker of its
    /// tags.
    pub start: Stamp,
}

/// How a load asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// By which its lease is known.
    pub token: u64,
    /// It loads anew, whatever stands there.
    pub force: bool,
    /// It loads anew what is still fresh, unless somebody else does already.
    pub refresh: bool,
    /// It loads beside whoever holds the lease already, and does not wait for him.
    pub share: bool,
    /// For how long others leave the load to it, unless it renews.
    pub lease_ms: u64,
    /// The tags of what it will bring: their markers are there before it begins.
    pub tags: Tags,
    /// How long the value may live, ms; 0 = for good. Markers live longer.
    pub lasts_ms: u64,
}

/// One thing that a manager asks for. Keys are whole keys, built by `base::keys`.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Reads what is fresh; with `stale`, what isn't any more, too. Atomic, but for the markers of its tags,
    /// which are read after it where they are not known.
    Get { key: Bytes, stale: bool },
    /// Writes; the last to reach the server wins. Atomic; the markers of its tags are made before it.
    /// Answers whether it was kept.
    Set { key: Bytes, value: Value, ttl_ms: Option<u64>, stamp: Stamp },
    /// Removes and leaves a tombstone, which also voids a lease. Two commands in one pipeline, the
    /// tombstone first. Answers whether a value was there.
    Delete { key: Bytes, stamp: Stamp },
    /// Makes a value stale, and else does as `Delete` does. Atomic. Answers whether a value was there.
    Expire { key: Bytes, stamp: Stamp },
    /// Tells whether a fresh value is there.
    Exists { key: Bytes },
    /// Reads what is fresh, or takes the lease, or tells that somebody else holds it. A plain read first,
    /// then, where it brings nothing fresh, one atomic step that looks again or takes the lease.
    Load { key: Bytes, ask: Ask },
    /// Writes a loaded value if its lease still stands and nothing newer is there. Atomic.
    Fill { key: Bytes, lease: Lease, value: Value, ttl_ms: Option<u64> },
    /// Keeps a lease for so long from now, or gives it back (0). Atomic. Answers whether it stood.
    Hold { key: Bytes, token: u64, lease_ms: u64 },
    /// Removes what has this tag, or makes it stale, however much it is. Atomic. The key is the marker's.
    Invalidate { key: Bytes, removal: Removal, stamp: Stamp },
    /// Removes every value in a scope. Not atomic: a key written meanwhile may stay. Answers how many went.
    Clear { scope: Scope, stamp: Stamp },
    /// One raw command that merges with others: `args` as it was given, `change` what it does. It has an id,
    /// so it is carried out once, however often it is sent. Atomic.
    Change { key: Bytes, args: Vec<Bytes>, change: Change, stamp: Stamp, number: Number },
    /// Decides or changes what a key of a limiter is charged, for all its policies at once. Atomic. Sent twice it
    /// counts once.
    Rate { key: Bytes, limiter: Arc<Limiter>, act: Act },
    /// Asks something of a session, or of what is known of its user or of all. Atomic, but for a read of a user's: what
    /// ended all of these is read after it. What it changes merges, so that it may be sent twice.
    Session { key: Bytes, ask: Box<session::Ask> },
    /// Publishes a message on a channel; the key is that of the channel's stream, whether it is kept there or not.
    /// Those of a channel arrive in the order in which one process handed them over. Sent twice it may arrive twice;
    /// whoever listens knows it by its id.
    Publish { key: Bytes, channel: Bytes, message: message::Message, bounds: message::Bounds },
    /// Reads what a channel's stream keeps: behind an entry, the oldest first, or without one the newest first.
    Stream { key: Bytes, after: Option<Bytes>, count: u64 },
    /// Notes for so many ms that a user is in a room, with a status, or, without one, no longer; or tells who is.
    Presence { key: Bytes, user: Bytes, status: Bytes, ms: u64 },
    /// One raw command, keys not yet prefixed. Nothing is promised beyond Redis' own word.
    Command { args: Vec<Bytes> },
    /// Raw commands in one pipeline; not atomic. A failed one is an error in its place.
    Pipeline { commands: Vec<Vec<Bytes>> },
}

impl Operation {
    /// The key that decides the order of this operation among others.
    pub fn key(&self) -> Option<&Bytes> {
        match self {
            Self::Get { key, .. }
            | Self::Set { key, .. }
            | Self::Delete { key, .. }
            | Self::Expire { key, .. }
            | Self::Exists { key }
            | Self::Load { key, .. }
            | Self::Change { key, .. }
            | Self::Hold { key, .. }
            | Self::Invalidate { key, .. }
            | Self::Rate { key, .. }
            | Self::Session { key, .. }
            | Self::Publish { key, .. }
            | Self::Stream { key, .. }
            | Self::Presence { key, .. }
            | Self::Fill { key, .. } => Some(key),
            Self::Clear { .. } | Self::Command { .. } | Self::Pipeline { .. } => None,
        }
    }

    /// When what it writes entered; the load's start for what a load brings.
    pub fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Set { stamp, .. }
            | Self::Delete { stamp, .. }
            | Self::Expire { stamp, .. }
            | Self::Invalidate { stamp, .. }
            | Self::Clear { stamp, .. }
            | Self::Change { stamp, .. } => Some(*stamp),
            Self::Fill { lease, .. } => Some(lease.start),
            Self::Session { ask, .. } => ask.deed.stamp(),
            Self::Get { .. }
            | Self::Exists { .. }
            | Self::Load { .. }
            | Self::Hold { .. }
            | Self::Rate { .. }
            | Self::Publish { .. }
            | Self::Stream { .. }
            | Self::Presence { .. }
            | Self::Command { .. }
            | Self::Pipeline { .. } => None,
        }
    }

    /// Gives a write a later place in the order.
    pub fn restamp(&mut self, later: Stamp) {
        if let Self::Set { stamp, .. }
        | Self::Delete { stamp, .. }
        | Self::Expire { stamp, .. }
        | Self::Invalidate { stamp, .. }
        | Self::Clear { stamp, .. } = self
        {
            *stamp = later;
        }
    }

    /// Whether it is a raw command or a pipeline of them: never repeated, never answered by memory.
    pub fn is_raw(&self) -> bool {
        matches!(self, Self::Command { .. } | Self::Pipeline { .. })
    }

    /// Whether it changes a managed value, so that a copy of its key is no longer to be trusted.
    pub fn writes(&self) -> bool {
        matches!(
            self,
            Self::Set { .. } | Self::Delete { .. } | Self::Expire { .. } | Self::Fill { .. }
        )
    }

    /// The key of which others may hold copies that it makes old.
    pub fn changes(&self) -> Option<&Bytes> {
        let changes = self.writes() || matches!(self, Self::Invalidate { .. });
        self.key().filter(|_| changes)
    }

    /// The value that it brings.
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Set { value, .. } | Self::Fill { value, .. } => Some(value),
            _ => None,
        }
    }

    /// Roughly how many bytes it holds in a queue.
    pub fn weight(&self) -> usize {
        let payload = match self {
            Self::Set { value, .. } | Self::Fill { value, .. } => {
                value.payload.len() + value.policy.tags.stored().len()
            }
            Self::Command { args } | Self::Change { args, .. } => args.iter().map(Bytes::len).sum(),
            Self::Pipeline { commands } => commands.iter().flatten().map(Bytes::len).sum(),
            Self::Publish { message, .. } => message.bytes(),
            Self::Session { ask, .. } => match &ask.deed {
                session::Deed::Write { delta, .. } => delta.bytes(),
                _ => 0,
            },
            _ => 0,
        };
        64 + payload + self.key().map_or(0, Bytes::len)
    }
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Redis,
    /// A copy in this process that is kept coherent with the server.
    Near,
    Memory,
}

/// A managed value as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub payload: Bytes,
    pub format: u8,
    pub ttl_ms: Option<u64>,
    pub source: Source,
    /// For how long it stays fresh; `None`: as long as it lives. 0: it is stale.
    pub fresh_ms: Option<u64>,
    /// How long ago it was written.
    pub age_ms: u64,
    /// What its load took.
    pub load_ms: u32,
    /// For how long a copy of this answer may be kept, whatever else it says; `None`: no limit.
    pub keep_ms: Option<u64>,
    /// Where its mark stands and what it says, for whoever keeps a copy of this answer: as long as the mark
    /// says the same, the answer is what would be answered again.
    pub mark: Option<(u32, u32)>,
    /// It has tags: what is known of all tags has to stay at this mark, too.
    pub tagged: Option<u32>,
}

/// What a load finds that finds nothing fresh.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loading {
    /// The right to load; without one somebody else has it.
    pub lease: Option<Lease>,
    /// For how long somebody else has it, and by which token he is known.
    pub wait_ms: u64,
    pub holder: u64,
    /// What is there, though not fresh.
    pub stale: Option<Box<Found>>,
    /// Memory answered for a server that doesn't.
    pub degraded: bool,
}

/// What an operation answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Nothing,
    Entry(Found),
    Flag(bool),
    Count(u64),
    Loading(Loading),
    Decision(Box<Decision>),
    Session(Box<session::Told>),
    Raw(Raw),
}

/// A raw command's answer, as JS will see it.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    Nil,
    Integer(i64),
    Double(f64),
    Boolean(bool),
    Bytes(Bytes),
    Array(Vec<Raw>),
    Map(Vec<(Raw, Raw)>),
    Error(Box<Error>),
}

pub type Answer = Result<Reply>;

/// What can be said of an operation at once.
#[derive(Debug)]
pub enum Early {
    Answer(Answer),
    /// It was done; the answer is given by `when_safe`.
    Held(Answer),
    /// It must be submitted.
    Pass(Operation),
}

/// Who may answer a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Memory, for a server that doesn't.
    pub memory: bool,
    /// A copy in this process, while the server is well.
    pub near: bool,
    /// Nobody but the server: without it the call fails.
    pub required: bool,
    /// Nothing but this process: the server is neither asked nor told.
    pub local: bool,
}

impl Default for Reach {
    fn default() -> Self {
        Self { memory: true, near: true, required: false, local: false }
    }
}

/// A store, or a layer around one.
///
/// Time: expiry runs on the store's own clock. Cancellation: dropping the receiving end of a call
/// never undoes what was sent. Every call is settled exactly once, whatever happens.
pub trait Backend: Send + Sync {
    /// Does at once what can be done at once; otherwise gives the operation back.
    /// Called on the JS thread: never blocks, never does I/O.
    fn now(&self, operation: Operation, reach: Reach) -> Early;

    /// An operation as it is handed over: behind others that were, it must not overtake them in memory.
    fn behind(&self, operation: Operation) -> Operation {
        operation
    }

    /// Gives answers that had to wait until what they acknowledge is safe.
    fn when_safe(&self, answers: Vec<(Settler, Answer)>) {
        settle_all(answers);
    }

    /// Takes calls over. Calls on one key take effect in the order in which they are handed over.
    fn submit(&self, calls: Vec<Call>);
}

//! What managers ask of a store, and the two stores that answer.
//!
//! An [`Operation`] is in the managers' words (`Get`, `Fill`, ...), not in Redis commands. Each has a
//! pipeline or a script on Redis and plain Rust in memory; one contract suite holds for both.
pub mod call;
pub mod change;
pub mod intent;
pub mod limits;
pub mod memory;
pub mod redis;

use bytes::Bytes;

use crate::base::error::{Error, Result};
use crate::base::number::Number;
use crate::base::stamp::Stamp;
pub use call::{Call, Settler, Sink, settle_all};
pub use change::Change;

/// A value as a manager hands it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub payload: Bytes,
    /// How JS reads the payload; this side only keeps it.
    pub format: u8,
    /// Whether the envelope may compress it.
    pub compress: bool,
}

/// The right to write what a load brings, given on a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub token: u64,
    /// When the load began, on the server's clock; the stamp of what it brings.
    pub start: Stamp,
}

/// One thing that a manager asks for. Keys are whole keys, built by `base::keys`.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Reads. Atomic.
    Get { key: Bytes },
    /// Writes; the last to reach the server wins. Atomic. Answers whether it was kept.
    Set { key: Bytes, value: Value, ttl_ms: Option<u64>, stamp: Stamp },
    /// Removes and leaves a tombstone, which also voids a lease. Two commands in one pipeline, the
    /// tombstone first. Answers whether a value was there.
    Delete { key: Bytes, stamp: Stamp },
    /// Tells whether a value is there. Atomic.
    Exists { key: Bytes },
    /// Reads, or takes the lease. A plain read first, then, on a miss, one atomic step that reads
    /// again or takes the lease.
    Load { key: Bytes, token: u64 },
    /// Writes a loaded value if its lease still stands and nothing newer is there. Atomic.
    Fill { key: Bytes, lease: Lease, value: Value, ttl_ms: Option<u64> },
    /// Removes every value whose key begins so. Not atomic: a key written meanwhile may stay.
    /// Answers how many went.
    Clear { prefix: Bytes, stamp: Stamp },
    /// One raw command that merges with others: `args` as it was given, `change` what it does. It has an id,
    /// so it is carried out once, however often it is sent. Atomic.
    Change { key: Bytes, args: Vec<Bytes>, change: Change, stamp: Stamp, number: Number },
    /// One raw command, keys not yet prefixed. Nothing is promised beyond Redis' own word.
    Command { args: Vec<Bytes> },
    /// Raw commands in one pipeline; not atomic. A failed one is an error in its place.
    Pipeline { commands: Vec<Vec<Bytes>> },
}

impl Operation {
    /// The key that decides the order of this operation among others.
    pub fn key(&self) -> Option<&Bytes> {
        match self {
            Self::Get { key }
            | Self::Set { key, .. }
            | Self::Delete { key, .. }
            | Self::Exists { key }
            | Self::Load { key, .. }
            | Self::Change { key, .. }
            | Self::Fill { key, .. } => Some(key),
            Self::Clear { .. } | Self::Command { .. } | Self::Pipeline { .. } => None,
        }
    }

    /// When what it writes entered; the load's start for what a load brings.
    pub fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Set { stamp, .. }
            | Self::Delete { stamp, .. }
            | Self::Clear { stamp, .. }
            | Self::Change { stamp, .. } => Some(*stamp),
            Self::Fill { lease, .. } => Some(lease.start),
            Self::Get { .. }
            | Self::Exists { .. }
            | Self::Load { .. }
            | Self::Command { .. }
            | Self::Pipeline { .. } => None,
        }
    }

    /// Gives a write a later place in the order.
    pub fn restamp(&mut self, later: Stamp) {
        if let Self::Set { stamp, .. } | Self::Delete { stamp, .. } | Self::Clear { stamp, .. } =
            self
        {
            *stamp = later;
        }
    }

    /// Whether it is passed on as it was given. Nobody here knows what it does, so it is never sent twice.
    pub fn is_raw(&self) -> bool {
        matches!(self, Self::Command { .. } | Self::Pipeline { .. })
    }

    /// Whether it changes a managed value, so that a copy of its key is no longer to be trusted.
    pub fn writes(&self) -> bool {
        matches!(self, Self::Set { .. } | Self::Delete { .. } | Self::Fill { .. })
    }

    /// Roughly how many bytes it holds in a queue.
    pub fn weight(&self) -> usize {
        let payload = match self {
            Self::Set { value, .. } | Self::Fill { value, .. } => value.payload.len(),
            Self::Command { args } | Self::Change { args, .. } => args.iter().map(Bytes::len).sum(),
            Self::Pipeline { commands } => commands.iter().flatten().map(Bytes::len).sum(),
            _ => 0,
        };
        64 + payload + self.key().map_or(0, Bytes::len)
    }
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Redis,
    Memory,
}

/// A managed value as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub payload: Bytes,
    pub format: u8,
    pub ttl_ms: Option<u64>,
    pub source: Source,
}

/// What an operation answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Nothing,
    Entry(Found),
    Flag(bool),
    Count(u64),
    Lease(Lease),
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

/// A store, or a layer around one.
///
/// Time: expiry runs on the store's own clock. Cancellation: dropping the receiving end of a call
/// never undoes what was sent. Every call is settled exactly once, whatever happens.
pub trait Backend: Send + Sync {
    /// Does at once what can be done at once; otherwise gives the operation back.
    /// `memory` says whether memory may answer for a server that doesn't.
    /// Called on the JS thread: never blocks, never does I/O.
    fn now(&self, operation: Operation, memory: bool) -> Early;

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

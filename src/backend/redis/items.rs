//! What travels: calls and replays, by themselves and in batches.
use std::collections::BTreeMap;

use bytes::Bytes;

use super::wire::Read;
use crate::backend::intent::{Intent, Wish};
use crate::backend::session::Known;
use crate::backend::{Call, Operation, Verdict};

/// A payload beyond this is compressed off the I/O thread and sent in the slow lane.
const LARGE: usize = 64 * 1024;

/// What stands behind the replies of a pipeline, in order.
pub(super) enum Item {
    Call {
        call: Call,
        step: Step,
        /// The mark of the key when it was sent; see `Keeper::sending`.
        seen: u32,
        replies: usize,
        /// One more reply follows, of the word to other processes.
        announced: bool,
    },
    Replay {
        intent: Intent,
        replies: usize,
        announced: bool,
    },
}

/// How far a call has come that may take more than one question.
pub(super) enum Step {
    First,
    /// A load asks for the lease; what was found, if anything, is not fresh. With the mark under which it was.
    Lease(Option<(Box<Read>, Verdict, u32)>),
    /// It asks what the markers say that nobody knows here, each with its mark.
    Check(Box<Read>, Vec<(Bytes, u32)>),
    /// A session is asked whether it is still what is known of it.
    Confirm(Known),
}

impl Item {
    /// A call that was not sent yet.
    pub fn fresh(call: Call) -> Self {
        Self::Call { call, step: Step::First, seen: 0, replies: 0, announced: false }
    }

    pub fn into_call(self) -> Option<Call> {
        match self {
            Self::Call { call, .. } => Some(call),
            Self::Replay { .. } => None,
        }
    }

    /// A replay that was not sent yet.
    pub fn replay(intent: Intent) -> Self {
        Self::Replay { intent, replies: 0, announced: false }
    }

    pub fn key(&self) -> Option<&Bytes> {
        match self {
            Self::Call { call, .. } => call.operation.key(),
            Self::Replay { intent, .. } => Some(&intent.key),
        }
    }
}

/// What was sent on connections that broke, by the number of its batch: in the order of sending, in
/// whatever order its end was noticed.
#[derive(Default)]
pub(super) struct Orphans(BTreeMap<u64, Vec<Item>>);

impl Orphans {
    pub fn add(&mut self, batch: u64, items: impl IntoIterator<Item = Item>) {
        self.0.entry(batch).or_default().extend(items);
    }

    pub fn take(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.0).into_values().flatten().collect()
    }
}

pub(super) struct Batch {
    pub link: u64,
    pub items: Vec<Item>,
    pub sent_at: u64,
    /// It runs a script of the caller's, during which no server answers anybody.
    pub runs_script: bool,
}

/// Whether an operation writes so much that it belongs in the lane.
pub(super) fn is_large_write(operation: &Operation) -> bool {
    match operation {
        Operation::Set { value, .. } | Operation::Fill { value, .. } => value.payload.len() > LARGE,
        _ => false,
    }
}

/// Whether an operation runs a script of the caller's own.
pub(super) fn runs_script(operation: &Operation) -> bool {
    let names_one = |args: &Vec<Bytes>| {
        args.first().is_some_and(|name| {
            let names: [&[u8]; 6] =
                [b"EVAL", b"EVALSHA", b"EVAL_RO", b"EVALSHA_RO", b"FCALL", b"FCALL_RO"];
            names.iter().any(|other| name.eq_ignore_ascii_case(other))
        })
    };
    match operation {
        Operation::Command { args } => names_one(args),
        Operation::Pipeline { commands } => commands.iter().any(names_one),
        _ => false,
    }
}

pub(super) fn is_large_intent(intent: &Intent) -> bool {
    matches!(&intent.wish, Wish::Set { value, .. } if value.payload.len() > LARGE)
}

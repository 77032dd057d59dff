//! What intents cost: the journal is bounded by bytes.
use crate::backend::Value;
use crate::backend::intent::{Intent, Wish};
use crate::backend::session::Delta;

/// What an intent costs beside its key and payload, in bytes, with glibc's allocator on 64 bits: the node
/// of the map with intent and links (244), its slot in the table at the lowest load after a doubling (39),
/// the shared headers of key and payload (2 * 32), and what the allocator adds to three blocks (41).
pub const OVERHEAD: usize = 388;
/// What the removals of a tag cost, with what the allocator adds.
const REMOVALS: usize = 112;
/// What a value's tags cost besides their names.
const TAGS: usize = 48;

/// What it brings.
pub(super) fn payload(intent: &Intent) -> usize {
    match &intent.wish {
        Wish::Delete | Wish::Expire | Wish::End(_) | Wish::EndAll(_) => 0,
        Wish::Set { value, .. } => value_bytes(value),
        Wish::Invalidate(_) => REMOVALS,
        Wish::Publish(waiting) => waiting.channel.len() + waiting.bytes(),
        Wish::Session(delta) => size_of::<Delta>() + delta.bytes(),
        Wish::Change(changes) => changes.bytes(),
        Wish::Rate(owed) => owed.bytes(),
    }
}

/// What is given back when a value is given up.
pub(super) fn sheddable(intent: &Intent) -> usize {
    match &intent.wish {
        Wish::Set { .. } => payload(intent),
        Wish::Delete
        | Wish::Expire
        | Wish::Invalidate(_)
        | Wish::Change(_)
        | Wish::Rate(_)
        | Wish::Session(_)
        | Wish::End(_)
        | Wish::EndAll(_)
        | Wish::Publish(_) => 0,
    }
}

pub(super) fn weight(intent: &Intent) -> usize {
    OVERHEAD + intent.key.len() + payload(intent)
}

/// What a value costs besides its intent.
pub fn value_bytes(value: &Value) -> usize {
    value.payload.len()
        + match value.policy.tags.stored().len() {
            0 => 0,
            names => TAGS + names,
        }
}

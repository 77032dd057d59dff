//! Writes that were acknowledged while Redis did not answer, as they are replayed later.
use bytes::Bytes;

use super::Value;
use super::change::Changes;
use crate::base::stamp::Stamp;

/// The last thing that was asked for one key, or all changes that merge there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    pub key: Bytes,
    pub stamp: Stamp,
    pub wish: Wish,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Removes what is not newer.
    Delete,
    /// Writes unless something newer stands there. The expiry is on the boot clock, and so is the moment
    /// since which it is acknowledged.
    Set { value: Value, expires_at: Option<u64>, since: u64 },
    /// Carries out changes of a raw key, each once.
    Change(Changes),
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

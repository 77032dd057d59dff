//! Replies and refusals, as the Redis path gives them: a caller can't tell which of the two answered.
use bytes::Bytes;

use crate::backend::Raw;
use crate::base::error::{Error, ErrorKind};

pub fn ok() -> Raw {
    text("OK")
}

pub fn text(text: &'static str) -> Raw {
    Raw::Bytes(Bytes::from_static(text.as_bytes()))
}

/// A copy: the reply outlives the lock, and what is kept stays alone in its box.
pub fn copy(bytes: &[u8]) -> Raw {
    Raw::Bytes(Bytes::copy_from_slice(bytes))
}

/// What was taken out.
pub fn own(bytes: Box<[u8]>) -> Raw {
    Raw::Bytes(bytes.into())
}

pub fn copy_or_nil(bytes: Option<&[u8]>) -> Raw {
    bytes.map_or(Raw::Nil, copy)
}

pub fn bytes_or_nil(bytes: Option<&Bytes>) -> Raw {
    bytes.map_or(Raw::Nil, |bytes| Raw::Bytes(bytes.clone()))
}

pub fn copies<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Raw {
    Raw::Array(pieces.map(copy).collect())
}

pub fn integer(count: usize) -> Raw {
    Raw::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

pub fn flag(flag: bool) -> Raw {
    Raw::Integer(i64::from(flag))
}

/// Redis' own verdict on a command, in its words.
pub fn refused(detail: &str) -> Error {
    Error::new(ErrorKind::Data, format!("Redis answers: ERR {detail}"))
        .cause(format!("ERR {detail}"))
}

/// The same as `redis/failure.rs` makes of it.
pub fn wrong_type() -> Error {
    let message = "the key holds a value of another Redis type, which something else wrote";
    Error::new(ErrorKind::Data, message)
        .cause("WRONGTYPE Operation against a key holding the wrong kind of value")
}

pub fn syntax() -> Error {
    refused("syntax error")
}

pub fn not_an_integer() -> Error {
    refused("value is not an integer or out of range")
}

pub fn not_a_float() -> Error {
    refused("value is not a valid float")
}

pub fn overflow() -> Error {
    refused("increment or decrement would overflow")
}

pub fn not_finite() -> Error {
    refused("increment would produce NaN or Infinity")
}

pub fn no_such_key() -> Error {
    refused("no such key")
}

pub fn full() -> Error {
    Error::new(ErrorKind::Full, "the value is larger than memory's limit")
}

pub fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}

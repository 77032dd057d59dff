//! Redis' answers as replies.
use bytes::Bytes;
use redis::Value as Resp;

use super::super::failure;
use super::messages::message_answer;
use crate::backend::intent::{Intent, Outcome, Wish};
use crate::backend::{Answer, Lease, Marker, Operation, Raw, Reply, Scope};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::stamp::Stamp;

/// The answer to a lease request.
pub enum LeaseAnswer {
    Value(Vec<u8>),
    Taken(Lease),
    /// Somebody else has it, for so many ms.
    Held {
        ms: u64,
        holder: u64,
    },
}

/// `markers` are those of the load's tags: it begins after what they say.
pub fn lease_answer(value: &Resp, markers: Marker, process: u64) -> Result<LeaseAnswer> {
    let Resp::Array(items) = value else { return Err(unexpected()) };
    match items.as_slice() {
        [Resp::Int(1), Resp::BulkString(stored)] => Ok(LeaseAnswer::Value(stored.clone())),
        [Resp::Int(0), Resp::Int(start), Resp::BulkString(token)] => {
            let token = token.as_slice().try_into().map_err(|_| unexpected())?;
            let token = u64::from_be_bytes(token);
            let micros = u64::try_from(*start).unwrap_or(0).max(markers.newest() + 1);
            Ok(LeaseAnswer::Taken(Lease { token, start: Stamp { micros, process } }))
        }
        [Resp::Int(2), Resp::Int(ms), Resp::BulkString(token)] => {
            let token = token.as_slice().try_into().map_err(|_| unexpected())?;
            let ms = u64::try_from(*ms).unwrap_or(0);
            Ok(LeaseAnswer::Held { ms, holder: u64::from_be_bytes(token) })
        }
        _ => Err(unexpected()),
    }
}

/// What a marker says, as the script that makes sure of it tells.
pub fn marked(value: &Resp) -> Result<Marker> {
    let micros = |resp: &Resp| match resp {
        Resp::Int(micros) => u64::try_from(*micros).ok(),
        _ => None,
    };
    match value {
        Resp::ServerError(error) => Err(failure::from_server(error)),
        Resp::Array(items) => match items.as_slice() {
            [deleted, expired, unknown] => {
                let marker = || {
                    let (deleted, expired) = (micros(deleted)?, micros(expired)?);
                    Some(Marker { deleted, expired, unknown: micros(unknown)? })
                };
                marker().ok_or_else(unexpected)
            }
            _ => Err(unexpected()),
        },
        _ => Err(unexpected()),
    }
}

/// A marker as it is stored; `None` where there is none.
pub fn marker(value: &Resp) -> Result<Option<Marker>> {
    match value {
        Resp::Nil => Ok(None),
        Resp::BulkString(stored) => {
            let number = |at| {
                let bytes = stored.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
                bytes.map(u64::from_be_bytes)
            };
            let marker = || {
                let (deleted, expired) = (number(0)?, number(8)?);
                Some(Marker { deleted, expired, unknown: number(16)? })
            };
            Ok(marker())
        }
        Resp::ServerError(error) => Err(failure::from_server(error)),
        _ => Err(unexpected()),
    }
}

/// The answer to an operation without a value to read.
pub fn simple_answer(operation: &Operation, repeated: bool, mut replies: Vec<Resp>) -> Answer {
    if let Some(answer) = message_answer(operation, replies.last()) {
        return answer;
    }
    match operation {
        Operation::Pipeline { .. } => {
            return Ok(Reply::Raw(Raw::Array(replies.into_iter().map(raw).collect())));
        }
        Operation::Command { .. } => {
            return match replies.pop().map(raw) {
                Some(Raw::Error(error)) => Err(*error),
                Some(value) => Ok(Reply::Raw(value)),
                None => Err(unexpected()),
            };
        }
        _ => {}
    }
    let last = replies.pop().unwrap_or(Resp::Nil);
    if let (Operation::Change { .. }, Resp::BulkString(text)) = (operation, &last) {
        let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        return number.map(|number| Reply::Raw(Raw::Integer(number))).ok_or_else(unexpected);
    }
    if let Resp::ServerError(error) = &last {
        return Err(failure::from_server(error));
    }
    if let Some(tags) = tags_of(operation) {
        let stamp = operation.stamp().unwrap_or_default();
        let mut newest = 0;
        for reply in replies.drain(..tags.min(replies.len())) {
            newest = marked(&reply).map_err(failure::maybe_applied)?.newest().max(newest);
        }
        // What was invalidated while it was loaded is as good as not written.
        if newest >= stamp.micros && matches!(operation, Operation::Fill { .. }) {
            return Ok(Reply::Flag(false));
        }
    }
    // A delete whose tombstone was refused: the value is gone, and others may not learn of it. A server
    // without room refuses every tombstone, and what it frees by the removal counts for more.
    if let Some(Resp::ServerError(error)) = replies.first() {
        let error = failure::from_server(error);
        if error.kind != ErrorKind::Full {
            return Err(failure::maybe_applied(error));
        }
    }
    Ok(match (operation, last) {
        (Operation::Set { .. }, Resp::Int(code)) if repeated => Reply::Flag(code >= 0),
        // A comparing live write says 0 when it was written, or with which stamp it was.
        (Operation::Set { .. }, Resp::Okay | Resp::Int(..=0)) => Reply::Flag(true),
        (
            Operation::Delete { .. }
            | Operation::Expire { .. }
            | Operation::Fill { .. }
            | Operation::Hold { .. }
            | Operation::Invalidate { .. },
            Resp::Int(n),
        ) => Reply::Flag(n > 0),
        _ => return Err(unexpected()),
    })
}

/// How many markers are made sure of before what an operation writes.
fn tags_of(operation: &Operation) -> Option<usize> {
    let tags = &operation.value()?.policy.tags;
    (!tags.is_empty()).then(|| tags.iter().count())
}

/// How the replay of an intent of this stamp ended.
pub fn outcome(intent: &Intent, stamp: Stamp, replies: &[Resp]) -> Result<Outcome> {
    // Their answers say nothing of the intent: it was carried out, or the server refused.
    if let Wish::Publish(_) | Wish::Rate(_) = intent.wish {
        let error = replies.iter().find(|reply| matches!(reply, Resp::ServerError(_)));
        return match error {
            Some(Resp::ServerError(error)) => Err(failure::from_server(error)),
            _ => Ok(Outcome::Applied),
        };
    }
    let Some((mut last, mut before)) = replies.split_last() else { return Err(unexpected()) };
    if let (Wish::Set { expired: Some(_), .. }, Some((set, marks))) =
        (&intent.wish, before.split_last())
    {
        settled(last)?;
        (last, before) = (set, marks);
    }
    let ended = settled(last)?;
    let Wish::Set { .. } = intent.wish else {
        before.iter().try_for_each(|reply| settled(reply).map(drop))?;
        return Ok(ended);
    };
    let mut newest = 0;
    for reply in before {
        newest = marked(reply)?.newest().max(newest);
    }
    // It was invalidated meanwhile, or that can't be known.
    let stands = ended != Outcome::Applied || newest < stamp.micros;
    Ok(if stands { ended } else { Outcome::Superseded })
}

/// Of messages those that were taken wait no longer.
pub fn leave_untaken(intent: &mut Intent, replies: &[Resp]) {
    if let Wish::Publish(waiting) = &mut intent.wish {
        let mut replies = replies.iter();
        let taken = |reply: &Resp| !matches!(reply, Resp::ServerError(_));
        waiting.retain(|_| !replies.next().is_some_and(taken));
    }
}

/// What a comparing script says.
pub fn settled(value: &Resp) -> Result<Outcome> {
    match value {
        Resp::Int(1) => Ok(Outcome::Applied),
        // A delete that met something newer says how new it is.
        Resp::Int(0 | ..=-3) => Ok(Outcome::Superseded),
        Resp::Int(_) => Ok(Outcome::Conflict),
        Resp::ServerError(error) => Err(failure::from_server(error)),
        _ => Err(unexpected()),
    }
}

/// What was cleared lately, each with the microseconds of its last clear.
pub fn clears(reply: Resp) -> Result<Vec<(Scope, u64)>> {
    let pairs = match reply {
        Resp::Map(pairs) => pairs,
        Resp::ServerError(error) => return Err(failure::from_server(&error)),
        _ => return Err(unexpected()),
    };
    let read = |(scope, noted): (Resp, Resp)| {
        let (Resp::BulkString(scope), Resp::BulkString(noted)) = (scope, noted) else {
            return None;
        };
        let (stamp, _) = std::str::from_utf8(&noted).ok()?.split_once(':')?;
        Some((Scope::read(&scope), stamp.parse().ok()?))
    };
    Ok(pairs.into_iter().filter_map(read).collect())
}

/// A raw answer. Push data never arrives here.
pub fn raw(value: Resp) -> Raw {
    match value {
        Resp::Nil => Raw::Nil,
        Resp::Int(number) => Raw::Integer(number),
        Resp::BulkString(bytes) => Raw::Bytes(bytes.into()),
        Resp::SimpleString(text) => Raw::Bytes(text.into()),
        Resp::Okay => Raw::Bytes(Bytes::from_static(b"OK")),
        Resp::Double(number) => Raw::Double(number),
        Resp::Boolean(flag) => Raw::Boolean(flag),
        Resp::VerbatimString { text, .. } => Raw::Bytes(text.into()),
        Resp::BigNumber(digits) => Raw::Bytes(digits.into()),
        Resp::Array(items) | Resp::Set(items) | Resp::Push { data: items, .. } => {
            Raw::Array(items.into_iter().map(raw).collect())
        }
        Resp::Map(pairs) => {
            Raw::Map(pairs.into_iter().map(|(key, value)| (raw(key), raw(value))).collect())
        }
        Resp::Attribute { data, .. } => raw(*data),
        Resp::ServerError(error) => Raw::Error(Box::new(failure::from_server(&error))),
        _ => Raw::Nil,
    }
}

pub fn unexpected() -> Error {
    Error::new(ErrorKind::Data, "Redis sent an answer of an unexpected shape")
}

//! Messages as Redis has them: published, and kept in streams.
use bytes::Bytes;
use redis::{Cmd, Value as Resp};

use super::super::failure;
use super::{command, unexpected};
use crate::backend::message::Message;
use crate::backend::redis::script::PUBLISH;
use crate::backend::{Answer, Operation, Raw, Reply};

/// Publishes a message, and keeps it in the channel's stream if it is to be kept; `mark` says what happened to it on its
/// way.
pub fn publish(stream: &Bytes, channel: &Bytes, message: &Message, mark: &[u8]) -> Cmd {
    let Some(kept) = &message.kept else {
        let name: &[u8] = if message.sharded { b"SPUBLISH" } else { b"PUBLISH" };
        return command(&[name, channel, &message.text(mark)]);
    };
    let how: &[u8] = if message.sharded { b"spublish" } else { b"publish" };
    let (ms, most) = (kept.ms.to_string(), kept.most.to_string());
    let args = [channel, &message.rest, mark, ms.as_bytes(), most.as_bytes(), how];
    PUBLISH.call(&[stream], &args)
}

/// The answer to what concerns messages; `None`: it does not.
pub fn message_answer(operation: &Operation, reply: Option<&Resp>) -> Option<Answer> {
    let reply = match reply {
        Some(Resp::ServerError(error)) => Err(failure::from_server(error)),
        Some(reply) => Ok(reply),
        None => Err(unexpected()),
    };
    Some(match operation {
        Operation::Publish { .. } => reply.map(|_| Reply::Flag(true)),
        Operation::Stream { .. } => reply.and_then(|reply| {
            let Resp::Array(entries) = reply else { return Err(unexpected()) };
            let entries = entries.iter().map(|entry| entry_text(entry).ok_or_else(unexpected));
            Ok(Reply::Raw(Raw::Array(entries.collect::<Result<_, _>>()?)))
        }),
        Operation::Presence { .. } => reply.and_then(|reply| {
            let Resp::Array(all) = reply else { return Err(unexpected()) };
            Ok(Reply::Raw(Raw::Array(all.iter().cloned().map(super::raw).collect())))
        }),
        _ => return None,
    })
}

/// An entry of a stream as the message that it is.
fn entry_text(entry: &Resp) -> Option<Raw> {
    let Resp::Array(parts) = entry else { return None };
    let [Resp::BulkString(id), fields] = parts.as_slice() else { return None };
    let rest = match fields {
        Resp::Array(fields) => match fields.as_slice() {
            [_, Resp::BulkString(rest), ..] => rest,
            _ => return None,
        },
        Resp::Map(fields) => match fields.first()? {
            (_, Resp::BulkString(rest)) => rest,
            _ => return None,
        },
        _ => return None,
    };
    let mark = [b"{\"seq\":\"", id.as_slice(), b"\",", rest].concat();
    Some(Raw::Bytes(mark.into()))
}

//! The bytes of a message in a journal file.
use bytes::{Buf, BufMut, Bytes};

use super::changes::{get_text, put_text};
use crate::backend::message::{Kept, Message};

const KEPT: u8 = 1;
const SHARDED: u8 = 2;

pub fn put(out: &mut Vec<u8>, message: &Message) {
    let Message { rest, kept, sharded } = message;
    let flags = if kept.is_some() { KEPT } else { 0 } | if *sharded { SHARDED } else { 0 };
    out.put_u8(flags);
    if let Some(Kept { ms, most }) = kept {
        out.put_u64_le(*ms);
        out.put_u64_le(*most);
    }
    put_text(out, rest);
}

pub fn get(body: &mut Bytes) -> Option<Message> {
    let flags = body.try_get_u8().ok()?;
    let kept = match flags & KEPT {
        0 => None,
        _ => Some(Kept { ms: body.try_get_u64_le().ok()?, most: body.try_get_u64_le().ok()? }),
    };
    Some(Message { rest: get_text(body)?, kept, sharded: flags & SHARDED != 0 })
}

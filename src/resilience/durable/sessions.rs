//! The bytes of what is to become of a session in a journal file.
use bytes::{Buf, BufMut, Bytes};

use super::changes::{get_text, put_text};
use super::record::{get_stamp, put_stamp};
use crate::backend::session::{Delta, Field, Fields, Head};
use crate::base::stamp::Stamp;

const HEAD: u8 = 1;

pub fn put(out: &mut Vec<u8>, delta: &Delta) {
    let Delta { head, born, seen, behind, from, lead_ms, fields } = delta;
    match head {
        Some(Head { user, created, absolute_ms }) => {
            out.put_u8(HEAD);
            put_text(out, user);
            put_stamp(out, *created);
            out.put_u64_le(*absolute_ms);
        }
        None => out.put_u8(0),
    }
    // Nothing was born or used at the beginning of time.
    put_stamp(out, born.unwrap_or_default());
    put_stamp(out, seen.unwrap_or_default());
    out.put_u64_le(*behind);
    out.put_u64_le(*lead_ms);
    out.put_u8(u8::try_from(from.len()).unwrap_or(u8::MAX));
    from.iter().take(usize::from(u8::MAX)).for_each(|name| put_text(out, name));
    for (name, Field { stamp, value }) in fields {
        put_text(out, name);
        put_stamp(out, *stamp);
        out.put_u8(u8::from(value.is_some()));
        put_text(out, value.as_deref().unwrap_or_default());
    }
}

pub fn get(body: &mut Bytes) -> Option<Delta> {
    let head = match body.try_get_u8().ok()? {
        0 => None,
        _ => Some(Head {
            user: get_text(body)?,
            created: get_stamp(body)?,
            absolute_ms: body.try_get_u64_le().ok()?,
        }),
    };
    let mut moment =
        || get_stamp(body).map(|stamp| Some(stamp).filter(|&stamp| stamp != Stamp::default()));
    let (born, seen) = (moment()?, moment()?);
    let behind = body.try_get_u64_le().ok()?;
    let lead_ms = body.try_get_u64_le().ok()?;
    let names = body.try_get_u8().ok()?;
    let from = (0..names).map(|_| get_text(body)).collect::<Option<Vec<Bytes>>>()?;
    let mut fields = Fields::new();
    while body.has_remaining() {
        let (name, stamp) = (get_text(body)?, get_stamp(body)?);
        let is_set = body.try_get_u8().ok()? == 1;
        let value = Some(get_text(body)?).filter(|_| is_set);
        fields.insert(name, Field { stamp, value });
    }
    Some(Delta { head, born, seen, behind, from, lead_ms, fields })
}

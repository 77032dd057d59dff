//! The bytes of a change in a journal file. Texts have their length before them.
use bytes::{Buf, BufMut, Bytes};

use super::record::{get_stamp, put_stamp};
use crate::backend::change::{Change, Entry};
use crate::base::number::Number;

pub fn put(out: &mut Vec<u8>, entry: &Entry) {
    put_stamp(out, entry.stamp);
    out.put_u64_le(entry.number.value());
    out.put_u8(u8::from(entry.sent));
    match &entry.change {
        Change::Add(by) => {
            out.put_u8(0);
            out.put_i64_le(*by);
        }
        Change::Fields(fields) => {
            out.put_u8(1);
            for (field, (value, stamp)) in fields {
                put_text(out, field);
                put_stamp(out, *stamp);
                out.put_u8(u8::from(value.is_some()));
                put_text(out, value.as_deref().unwrap_or_default());
            }
        }
        Change::Members(members) => {
            out.put_u8(2);
            for (member, (is, stamp)) in members {
                put_text(out, member);
                put_stamp(out, *stamp);
                out.put_u8(u8::from(*is));
            }
        }
        Change::Push { head, values } => {
            out.put_u8(if *head { 3 } else { 4 });
            values.iter().for_each(|value| put_text(out, value));
        }
    }
}

/// Takes all that is left.
pub fn get(body: &mut Bytes) -> Option<Entry> {
    let stamp = get_stamp(body)?;
    let number = Number::foreign(body.try_get_u64_le().ok()?);
    let sent = body.try_get_u8().ok()? == 1;
    let change = match body.try_get_u8().ok()? {
        0 => Change::Add(body.try_get_i64_le().ok()?),
        1 => Change::Fields(parts(body, |body| {
            let (field, stamp) = (get_text(body)?, get_stamp(body)?);
            let kept = body.try_get_u8().ok()? == 1;
            let value = get_text(body)?;
            Some((field, (kept.then_some(value), stamp)))
        })?),
        2 => Change::Members(parts(body, |body| {
            let (member, stamp) = (get_text(body)?, get_stamp(body)?);
            Some((member, (body.try_get_u8().ok()? == 1, stamp)))
        })?),
        kind @ (3 | 4) => Change::Push { head: kind == 3, values: parts(body, get_text)? },
        _ => return None,
    };
    Some(Entry { number, stamp, sent, change })
}

fn parts<T, All: FromIterator<T>>(
    body: &mut Bytes,
    part: impl Fn(&mut Bytes) -> Option<T>,
) -> Option<All> {
    std::iter::from_fn(|| body.has_remaining().then(|| part(body))).collect()
}

pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.put_u32_le(u32::try_from(text.len()).unwrap_or(u32::MAX));
    out.put_slice(text);
}

/// Owns its bytes: a slice would keep the whole file.
pub fn get_text(body: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(body.try_get_u32_le().ok()?).ok()?;
    (length <= body.len()).then(|| Bytes::copy_from_slice(&body.split_to(length)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::{Read, Record, next};
    use super::*;
    use crate::base::stamp::Stamp;

    fn any_change() -> impl Strategy<Value = Change> {
        let text = || prop::collection::vec(any::<u8>(), 0..9).prop_map(Bytes::from);
        let stamp =
            || (any::<u64>(), any::<u64>()).prop_map(|(micros, process)| Stamp { micros, process });
        prop_oneof![
            any::<i64>().prop_map(Change::Add),
            prop::collection::btree_map(text(), (prop::option::of(text()), stamp()), 0..5)
                .prop_map(Change::Fields),
            prop::collection::btree_map(text(), (any::<bool>(), stamp()), 0..5)
                .prop_map(Change::Members),
            (any::<bool>(), prop::collection::vec(text(), 0..5))
                .prop_map(|(head, values)| Change::Push { head, values }),
        ]
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(change in any_change(), number: u64, micros: u64, process: u64) {
            let key = Bytes::from_static(b"k");
            let (number, stamp) = (Number::foreign(number), Stamp { micros, process });
            let entry = Entry { number, stamp, sent: false, change };
            let mut out = Vec::new();
            Record::Change { key: &key, entry: &entry }.encode(&mut out);
            let length = out.len();
            prop_assert_eq!(next(&out.into()), Some((Read::Change { key, entry }, length)));
        }
    }
}

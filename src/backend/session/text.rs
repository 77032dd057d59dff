//! What its user sees of a session.
use std::sync::OnceLock;

use bytes::Bytes;

use super::Session;

/// The text of a session under a handle, once somebody has seen it. It makes no session another one.
#[derive(Clone, Debug, Default)]
pub struct Shown(OnceLock<(Bytes, Bytes)>);

impl PartialEq for Shown {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Shown {}

/// As JSON: `[user, handle, data, address, agent]`, the last two null where nobody said them.
pub fn of(session: &Session, handle: &Bytes) -> Bytes {
    let make = || (handle.clone(), Bytes::from(write(session, handle)));
    let (known, text) = session.shown.0.get_or_init(make);
    if known == handle { text.clone() } else { write(session, handle).into() }
}

fn write(session: &Session, handle: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + session.bytes() / 2);
    out.push(b'[');
    text(&session.head.user, &mut out);
    out.push(b',');
    text(handle, &mut out);
    out.extend_from_slice(b",{");
    let mut first = true;
    for (name, field) in &session.fields {
        let (Some((b':', name)), Some(value)) = (name.split_first(), &field.value) else {
            continue;
        };
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        text(name, &mut out);
        out.push(b':');
        // What users keep is JSON already.
        out.extend_from_slice(value);
    }
    out.push(b'}');
    for name in [&b".ip"[..], b".agent"] {
        out.push(b',');
        match session.fields.get(name).and_then(|field| field.value.as_deref()) {
            Some(value) => text(value, &mut out),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b']');
    out
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(out, &String::from_utf8_lossy(bytes));
}

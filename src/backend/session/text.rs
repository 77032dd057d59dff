//! What its user sees of a session.
use super::Session;

/// As JSON: `[user, handle, data, address, agent]`, the last two null where nobody said them.
pub fn of(session: &Session, handle: &[u8]) -> Vec<u8> {
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

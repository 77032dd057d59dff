//! Every key is built here.
//!
//! A managed value lives at `{prefix}{family}:{key}`, its side record (tombstone or lease) at
//! `{prefix}h:{…}` with the whole value key in literal braces, so that both hash to one cluster slot.
//! Braces of families and keys are escaped for that reason, and the percent sign with them, so that
//! two different keys never meet. A namespace in a family ends with a percent sign of its own: `{prefix}cache:users%:{key}`,
//! so that no key of anything else is spelt like those in it. Inside, a family says
//! U+001F for that sign, and U+001E for a colon in such a name.
//!
//! A tag's marker lives at `{prefix}h:tag:{NN}:{tag}`, with the number of its shard in literal braces, and
//! what is known of all tags of a shard at `{prefix}h:tags:{NN}`.
//!
//! What belongs to a user's sessions lies in one slot; see `sessions.rs`.
use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::slot;

mod sessions;

pub use self::sessions::{PART as SESSION_PART, SessionKeys, TAIL as SESSION_TAIL};

const PERCENT: u8 = b'%';
/// Ends a namespace's name in a family.
const NAMESPACE: u8 = 0x1F;
/// A colon in such a name, which must not end the family.
const COLON: u8 = 0x1E;
/// Over so many slots the markers of tags are spread.
const SHARDS: u32 = 64;
/// Over so many the states of limits: few, so that what comes together is decided together.
const LIMIT_SHARDS: u32 = 8;

/// Builds the keys of one instance.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: Bytes,
}

impl Keys {
    /// The prefix holds no brace, or one whole tag; configuration checked that.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: Bytes::copy_from_slice(prefix.as_bytes()) }
    }

    /// The key of a managed value.
    pub fn entry(&self, family: &str, key: &str) -> Bytes {
        let mut out = BytesMut::with_capacity(self.prefix.len() + family.len() + key.len() + 1);
        out.put_slice(&self.prefix);
        for byte in family.bytes() {
            match byte {
                NAMESPACE => out.put_u8(PERCENT),
                COLON => out.put_slice(b"%3A"),
                _ => put(byte, &mut out),
            }
        }
        out.put_u8(b':');
        escape(key.as_bytes(), &mut out);
        out.freeze()
    }

    /// The key of a managed value whose name is the SHA-256 of a text, in hex.
    pub fn hashed(&self, family: &str, text: &str) -> Bytes {
        let digest = Sha256::digest(text.as_bytes());
        let mut name = String::with_capacity(64);
        for byte in digest {
            name.push(char::from(HEX[usize::from(byte >> 4)]));
            name.push(char::from(HEX[usize::from(byte & 15)]));
        }
        self.entry(family, &name)
    }

    /// What all keys of a family begin with.
    pub fn family(&self, family: &str) -> Bytes {
        self.entry(family, "")
    }

    /// What all keys of this key's family begin with.
    pub fn family_of(&self, entry: &[u8]) -> Bytes {
        let rest = entry.get(self.prefix.len()..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == b':').map_or(rest.len(), |at| at + 1);
        Bytes::copy_from_slice(entry.get(..self.prefix.len() + end).unwrap_or(entry))
    }

    /// The key of a value that is kept in one process alone. It is never sent anywhere.
    pub fn local(&self, entry: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(self.prefix.len() + entry.len() + 4);
        out.put_slice(&self.prefix);
        out.put_slice(b"h:l:");
        out.put_slice(entry);
        out.freeze()
    }

    /// The key of the side record of a managed value.
    pub fn side(&self, entry: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(self.prefix.len() + entry.len() + 4);
        out.put_slice(&self.prefix);
        out.put_slice(b"h:{");
        out.put_slice(entry);
        out.put_u8(b'}');
        out.freeze()
    }

    /// The record of the changes of a raw key, in the same cluster slot. A key whose braces allow none
    /// has none.
    pub fn record(&self, key: &[u8]) -> Option<Bytes> {
        let tagged = slot::is_tagged(key);
        if !tagged && key.contains(&b'}') {
            return None;
        }
        let mut out = BytesMut::with_capacity(self.prefix.len() + key.len() + 8);
        if tagged {
            out.put_slice(key);
            out.put_slice(b":h:c:");
        } else {
            out.put_slice(&self.prefix);
            out.put_slice(b"h:{");
            out.put_slice(key);
            out.put_slice(b"}c:");
        }
        Some(out.freeze())
    }

    /// The ids of a process' changes of a raw key, beside its record.
    pub fn ids(record: &[u8], process: u64) -> Bytes {
        let mut out = BytesMut::with_capacity(record.len() + 13);
        out.put_slice(record);
        out.put_slice(format!("{process:x}").as_bytes());
        out.freeze()
    }

    /// The state of a limiter for one key. Those of a shard share a cluster slot, so that one call decides for many.
    pub fn limit(&self, family: &str, limiter: &str, key: &str, longest: usize) -> Bytes {
        let hash = |hash: u32, text: &str| {
            text.bytes().fold(hash, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
        };
        let shard = hash(hash(0x811c_9dc5, limiter), key) % LIMIT_SHARDS;
        let mut out = BytesMut::with_capacity(
            self.prefix.len() + family.len() + limiter.len() + key.len() + 8,
        );
        out.put_slice(&self.prefix);
        escape(family.as_bytes(), &mut out);
        out.put_slice(&[b':', b'{', b'0' + u8::try_from(shard).unwrap_or(0), b'}', b':']);
        for byte in limiter.bytes() {
            match byte {
                b':' => out.put_slice(b"%3A"),
                byte => put(byte, &mut out),
            }
        }
        out.put_u8(b':');
        if key.len() <= longest {
            escape(key.as_bytes(), &mut out);
        } else {
            // No name that is kept as it is begins so.
            out.put_u8(PERCENT);
            for byte in Sha256::digest(key.as_bytes()) {
                out.put_u8(HEX[usize::from(byte >> 4)]);
                out.put_u8(HEX[usize::from(byte & 15)]);
            }
        }
        out.freeze()
    }

    /// The value key that a key belongs to: itself, or the one that its side record stands for. The life
    /// key and the list of clears belong to none.
    pub fn value_of(&self, key: Bytes) -> Option<Bytes> {
        let Some(rest) = key.strip_prefix(self.prefix.as_ref()) else { return Some(key) };
        let Some(rest) = rest.strip_prefix(b"h:") else { return Some(key) };
        let inner = rest.strip_prefix(b"{")?.strip_suffix(b"}")?;
        Some(key.slice_ref(inner))
    }

    /// The key that every process touches, by which an emptied server is known.
    pub fn life(&self) -> Bytes {
        let mut out = BytesMut::from(self.prefix.as_ref());
        out.put_slice(b"h:life");
        out.freeze()
    }

    /// The key of a tag's marker.
    pub fn marker(&self, tag: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(self.prefix.len() + tag.len() + 16);
        self.write_marker(tag, &mut out);
        out.freeze()
    }

    /// The same where many are asked for: in place of what `out` holds.
    pub fn write_marker(&self, tag: &[u8], out: &mut BytesMut) {
        let shard = tag
            .iter()
            .fold(0x811c_9dc5u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
            % SHARDS;
        out.clear();
        self.write_markers(out);
        let digit = |number: u32| b'0' + u8::try_from(number % 10).unwrap_or(0);
        out.put_slice(&[b'{', digit(shard / 10), digit(shard), b'}', b':']);
        escape(tag, out);
    }

    /// What is known of all tags of a marker's shard, in the same cluster slot.
    pub fn shard_of(&self, marker: &[u8]) -> Bytes {
        let head = self.markers().len();
        let shard = marker.get(head..head + 4).unwrap_or_default();
        let mut out = BytesMut::from(self.prefix.as_ref());
        out.put_slice(b"h:tags:");
        out.put_slice(shard);
        out.freeze()
    }

    /// What all markers begin with.
    pub fn markers(&self) -> BytesMut {
        let mut out = BytesMut::new();
        self.write_markers(&mut out);
        out
    }

    fn write_markers(&self, out: &mut BytesMut) {
        out.put_slice(&self.prefix);
        out.put_slice(b"h:tag:");
    }

    /// What every key begins with.
    pub fn all(&self) -> &Bytes {
        &self.prefix
    }

    /// The channel on which processes tell each other what they changed, where the server doesn't.
    pub fn bus(&self) -> Bytes {
        let mut out = BytesMut::from(self.prefix.as_ref());
        out.put_slice(b"h:bus");
        out.freeze()
    }

    /// Which families were cleared lately, and when.
    pub fn clears(&self) -> Bytes {
        let mut out = BytesMut::from(self.prefix.as_ref());
        out.put_slice(b"h:clears");
        out.freeze()
    }

    /// A raw command's key: the prefix and nothing else, as users of ioredis' `keyPrefix` expect.
    pub fn raw(&self, key: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(self.prefix.len() + key.len());
        out.put_slice(&self.prefix);
        out.put_slice(key);
        out.freeze()
    }

    /// The family and the name of a managed value's key; none for side records and raw keys.
    pub fn parts(&self, entry: &[u8]) -> Option<(String, String)> {
        let rest = std::str::from_utf8(entry.strip_prefix(self.prefix.as_ref())?).ok()?;
        let (family, name) = match rest.rfind("%:") {
            Some(at) => (&rest[..=at], &rest[at + 2..]),
            None => rest.split_once(':')?,
        };
        let own = ["{", "l:", "tag:", "tags:"].iter().any(|head| name.starts_with(head));
        let is_side = family == "h" && (own || name == "life" || name == "clears");
        (!is_side).then(|| (chars(family).collect(), chars(name).collect()))
    }

    /// The name that a value key has in its family, as the caller gave it.
    pub fn name_in(&self, family: &str, entry: &[u8]) -> Option<String> {
        let escaped = entry.strip_prefix(self.family(family).as_ref())?;
        let text = std::str::from_utf8(escaped).ok()?;
        Some(chars(text).collect())
    }
}

/// The characters of a stored name; a namespace in it ends with U+001F.
pub fn chars(stored: &str) -> impl Iterator<Item = char> {
    let mut rest = stored;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let escaped = [
            ("%7B", '{'),
            ("%7D", '}'),
            ("%25", '%'),
            ("%1F", NAMESPACE.into()),
            ("%3A", COLON.into()),
        ];
        let found = escaped.iter().find(|(code, _)| first == '%' && rest.starts_with(code));
        let (length, unit) = match found {
            Some((code, unit)) => (code.len(), *unit),
            None if first == '%' => (1, NAMESPACE.into()),
            None => (first.len_utf8(), first),
        };
        rest = &rest[length..];
        Some(unit)
    })
}

/// Whether a stored name lies in a namespace of its family.
pub fn in_namespace(stored: &[u8]) -> bool {
    stored.windows(2).any(|pair| pair == b"%:")
}

/// A character of a pattern, as it is stored and as `SCAN MATCH` takes it.
pub fn put_for_scan(unit: char, out: &mut Vec<u8>) {
    let mut stored = BytesMut::new();
    escape(unit.encode_utf8(&mut [0; 4]).as_bytes(), &mut stored);
    let mut scan = scan_pattern(&stored);
    scan.pop();
    out.extend_from_slice(&scan);
}

/// A `SCAN MATCH` pattern for keys that begin with these bytes, glob characters taken literally.
pub fn scan_pattern(prefix: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(prefix.len() + 8);
    for &byte in prefix {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b'^') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'*');
    out
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn escape(text: &[u8], out: &mut BytesMut) {
    if text.iter().any(|&byte| is_escaped(byte)) {
        text.iter().for_each(|&byte| put(byte, out));
    } else {
        out.put_slice(text);
    }
}

fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'{' | b'}' | PERCENT | NAMESPACE)
}

fn put(byte: u8, out: &mut BytesMut) {
    if is_escaped(byte) {
        out.put_u8(PERCENT);
        out.put_u8(HEX[usize::from(byte >> 4)].to_ascii_uppercase());
        out.put_u8(HEX[usize::from(byte & 15)].to_ascii_uppercase());
    } else {
        out.put_u8(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::slot::slot;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_value_and_its_side_record_share_a_slot(
            prefix in prop_oneof![Just(String::new()), Just("ai-chatbot:".to_owned()), Just("{app}:".to_owned()), Just("a{b}c:".to_owned())],
            family in ".{0,12}",
            key in ".{0,40}",
        ) {
            let keys = Keys::new(&prefix);
            let entry = keys.entry(&family, &key);
            prop_assert_eq!(slot(&entry), slot(&keys.side(&entry)));
        }

        #[test]
        fn a_marker_and_its_shard_share_a_slot(
            prefix in prop_oneof![Just(""), Just("ai-chatbot:"), Just("{app}:"), Just("a{b}c:")],
            tag in ".{0,40}",
        ) {
            let keys = Keys::new(prefix);
            let marker = keys.marker(tag.as_bytes());
            prop_assert_eq!(slot(&marker), slot(&keys.shard_of(&marker)));
        }

        #[test]
        fn different_names_never_meet(
            a in "[{}%:a-z0-9\\x1F]{0,8}", b in "[{}%:a-z0-9\\x1F]{0,8}",
            spaces in prop::collection::vec("[{}%:a1]{1,3}", 0..3),
        ) {
            let keys = Keys::new("p:");
            prop_assert_eq!(a == b, keys.entry("cache", &a) == keys.entry("cache", &b));
            let family = spaces.iter().fold("cache".to_owned(), |all, name| format!("{all}:{name}\u{1F}"));
            let entry = keys.entry(&family, &b);
            prop_assert_eq!(family == "cache" && a == b, keys.entry("cache", &a) == entry);
            prop_assert_eq!(keys.name_in(&family, &entry), Some(b.clone()));
            prop_assert_eq!(keys.parts(&entry), Some((family.clone(), b)));
            prop_assert_eq!(in_namespace(&entry), family != "cache");
        }
    }

    #[test]
    fn a_plain_key_stays_as_it_is_documented() {
        assert_eq!(
            Keys::new("ai-chatbot:").entry("cache", "user:123"),
            "ai-chatbot:cache:user:123"
        );
    }

    #[test]
    fn glob_characters_of_a_prefix_match_only_themselves() {
        assert_eq!(scan_pattern(b"a*[b]?:"), b"a\\*\\[b\\]\\?:*");
    }
}

//! The keys of sessions. A session lives at `{prefix}{family}:{NN}:{tail}`, what is known of its user at
//! `{prefix}{family}_user:{NN}:{user}:epoch` and `…:index`, the lists of all at `{prefix}{family}_all:{NN}:users` and
//! `…:guests`, with the number of a shard in literal braces: all that is changed together lies in one slot.
//!
//! A tail is the user's part, which names the shard, a dot, and the hash of the whole id. So nobody who sees keys or
//! lists can pretend to be a session.
use bytes::{BufMut, Bytes, BytesMut};

use super::{Keys, SHARDS, escape};

/// The length of the user's part: one letter that tells users from guests, and 128 bits.
pub const PART: usize = 23;
/// The length of a tail.
pub const TAIL: usize = PART + 1 + 43;

/// A session's key, and those beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionKeys {
    pub session: Bytes,
    /// The list of all users' or all guests' sessions in the shard.
    pub all: Bytes,
    /// The moment before which all of the user's are ended, and the list of them. Guests have none.
    pub user: Option<(Bytes, Bytes)>,
}

impl Keys {
    /// The key of the session with this tail.
    pub fn session(&self, family: &str, tail: &str) -> Bytes {
        self.sharded(family, "", tail, "")
    }

    /// What is known of the user with this part.
    pub fn session_user(&self, family: &str, part: &str, what: &str) -> Bytes {
        self.sharded(family, "_user", part, what)
    }

    /// A list of all sessions in a shard.
    pub fn session_list(&self, family: &str, shard: u32, guests: bool) -> Bytes {
        let mut out = BytesMut::new();
        self.put_shard(family, "_all", shard % SHARDS, &mut out);
        out.put_slice(if guests { b"guests" } else { b"users" });
        out.freeze()
    }

    fn sharded(&self, family: &str, kind: &str, name: &str, what: &str) -> Bytes {
        let part = name.as_bytes().get(..PART).unwrap_or(name.as_bytes());
        let mut out = BytesMut::with_capacity(self.prefix.len() + family.len() + name.len() + 16);
        self.put_shard(family, kind, shard_of(part), &mut out);
        out.put_slice(name.as_bytes());
        out.put_slice(what.as_bytes());
        out.freeze()
    }

    fn put_shard(&self, family: &str, kind: &str, shard: u32, out: &mut BytesMut) {
        out.put_slice(&self.prefix);
        escape(family.as_bytes(), out);
        out.put_slice(kind.as_bytes());
        out.put_slice(format!(":{{{shard:02}}}:").as_bytes());
    }
}

impl SessionKeys {
    /// Those beside a session's key; `None`: it is none.
    pub fn of(session: &Bytes) -> Option<Self> {
        let at = session.len().checked_sub(TAIL)?;
        let tail = session.get(at..)?;
        // `:{NN}:` stands before it.
        let (base, shard) = session.get(..at)?.split_at_checked(at.checked_sub(6)?)?;
        let of = |kind: &[u8], rest: &[&[u8]]| {
            let mut out = BytesMut::with_capacity(session.len() + 16);
            [base, kind, shard].iter().chain(rest).for_each(|part| out.put_slice(part));
            out.freeze()
        };
        let (part, is_user) = (tail.get(..PART)?, tail.first() == Some(&b'u'));
        let all: &[u8] = if is_user { b"users" } else { b"guests" };
        let user =
            is_user.then(|| (of(b"_user", &[part, b":epoch"]), of(b"_user", &[part, b":index"])));
        Some(Self { session: session.clone(), all: of(b"_all", &[all]), user })
    }

    /// The key of a session under another last part.
    pub fn renamed(session: &[u8], tail: &[u8]) -> Bytes {
        [Self::base(session), tail].concat().into()
    }

    /// What the keys of all in the shard begin with.
    pub fn base(session: &[u8]) -> &[u8] {
        session.get(..session.len().saturating_sub(TAIL)).unwrap_or_default()
    }

    /// What the keys of all of a family begin with.
    pub fn family(session: &[u8]) -> &[u8] {
        session.get(..session.len().saturating_sub(TAIL + 6)).unwrap_or_default()
    }

    /// The last part of a session's key.
    pub fn tail(session: &Bytes) -> Bytes {
        session.slice(session.len().saturating_sub(TAIL)..)
    }

    /// The session with this tail, beside a user's key or a list.
    pub fn beside(key: &[u8], tail: &[u8]) -> Option<Bytes> {
        let kinds = [&b"_user:{"[..], b"_all:{"].into_iter().filter_map(|kind| {
            let at = key.windows(kind.len()).rposition(|window| window == kind)?;
            Some((at, kind.len() - 2))
        });
        let (at, kind) = kinds.max()?;
        let mut out = BytesMut::with_capacity(at + 6 + tail.len());
        out.put_slice(key.get(..at)?);
        out.put_slice(key.get(at + kind..at + kind + 6)?);
        out.put_slice(tail);
        Some(out.freeze())
    }

    /// The part of a session's key that is its user's.
    pub fn part(session: &[u8]) -> Option<&[u8]> {
        let at = session.len().checked_sub(TAIL)?;
        session.get(at..at + PART)
    }

    /// The same in a key of what is known of a user.
    pub fn user(key: &[u8]) -> Option<&[u8]> {
        let name = key.strip_suffix(b":epoch").or_else(|| key.strip_suffix(b":index"))?;
        name.get(name.len().checked_sub(PART)?..)
    }

    /// The list of a user's sessions, beside their epoch.
    pub fn index_of(epoch: &[u8]) -> Option<Bytes> {
        let mut out = BytesMut::from(epoch.strip_suffix(b"epoch")?);
        out.put_slice(b"index");
        Some(out.freeze())
    }
}

fn shard_of(part: &[u8]) -> u32 {
    let hash = |hash: u32, &byte: &u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    part.iter().fold(0x811c_9dc5, hash) % SHARDS
}

#[cfg(test)]
mod tests {
    use super::super::super::slot::slot;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_belongs_together_shares_a_slot_and_is_found_from_each_other(
            prefix in prop_oneof![Just(""), Just("ai-chatbot:"), Just("{app}:"), Just("a{b}c:")],
            family in prop_oneof![Just("session".to_owned()), Just("s_user".to_owned()), "[a-z{}%_]{1,9}"],
            tail in "[ug][A-Za-z0-9_-]{22}\\.[A-Za-z0-9_-]{43}",
        ) {
            let keys = Keys::new(prefix);
            let session = keys.session(&family, &tail);
            let found = SessionKeys::of(&session).unwrap();
            prop_assert_eq!(slot(&session), slot(&found.all));
            prop_assert_eq!(SessionKeys::beside(&found.all, tail.as_bytes()), Some(session.clone()));
            prop_assert_eq!(SessionKeys::tail(&session), tail.as_bytes());
            prop_assert_eq!(found.user.is_some(), tail.starts_with('u'));
            if let Some((epoch, index)) = found.user {
                prop_assert_eq!(slot(&session), slot(&index));
                prop_assert_eq!(&epoch, &keys.session_user(&family, &tail[..PART], ":epoch"));
                prop_assert_eq!(SessionKeys::user(&epoch), SessionKeys::part(&session));
                prop_assert_eq!(SessionKeys::index_of(&epoch), Some(index.clone()));
                prop_assert_eq!(SessionKeys::beside(&index, tail.as_bytes()), Some(session.clone()));
                prop_assert_eq!(SessionKeys::beside(&epoch, tail.as_bytes()), Some(session));
            }
        }
    }
}

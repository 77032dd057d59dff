//! The session manager: ids, which only their owners know, and the operations on what belongs to them.
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::cache::whole_ms;
use crate::backend::Operation;
use crate::backend::session::{Ask, Deed, Delta, Field, Fields, Head, Outage};
use crate::base::error::{Error, Result};
use crate::base::keys::{Keys, SESSION_PART, SESSION_TAIL, SessionKeys};
use crate::base::random;
use crate::base::stamp::{Stamp, Stamps};

/// An id: the user's part, and 256 bits that nobody guesses.
const ID: usize = SESSION_PART + 43;

/// What is asked of one session, as it crosses.
pub struct Question<'a> {
    pub deed: Asked,
    pub family: &'a str,
    /// An id, or a handle.
    pub id: &'a str,
    /// Whose it becomes, or which takes its place.
    pub other: &'a str,
    pub ms: f64,
    /// Negative: any.
    pub version: f64,
    pub most: f64,
    pub known_ms: f64,
    pub outage: Outage,
    pub logins: bool,
    pub brief: bool,
    /// Name, whether it is set, value.
    pub fields: Vec<Bytes>,
}

/// What is asked of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Read,
    Create,
    Change,
    Touch,
    End,
    Move,
}

/// What is asked of many.
pub struct Lists<'a> {
    pub deed: AskedOfMany,
    pub family: &'a str,
    pub user: &'a str,
    /// An id or a handle; of that which stays.
    pub keep: &'a str,
    pub list: List,
    pub from: f64,
    pub count: f64,
    pub ms: f64,
    pub outage: Outage,
    pub tails: Vec<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedOfMany {
    EndAll,
    List,
    Sweep,
    Count,
}

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Of the user's.
    User,
    /// Of all users' in a shard.
    Users(u32),
    /// Of all guests' in a shard.
    Guests(u32),
}

/// Builds the operations of sessions. Stamps are given here, where the call enters.
pub struct Sessions {
    pub keys: Keys,
    pub stamps: Arc<Stamps>,
}

impl Sessions {
    /// A new id in the place of another: of the same user, or of the same guest.
    pub fn id_after(id: &str) -> Result<String> {
        let part = tail(id)?;
        let secret = random::secret::<32>();
        let secret = secret.ok_or_else(|| Error::internal("the system gives no random bytes"))?;
        Ok(part.get(..SESSION_PART).unwrap_or_default().to_owned() + &BASE64.encode(secret))
    }

    /// A new id: for a user, or for a guest, who has no name.
    pub fn id(user: &str) -> Result<String> {
        let none = || Error::internal("the system gives no random bytes");
        let part = match user {
            "" => format!("g{}", BASE64.encode(random::secret::<16>().ok_or_else(none)?)),
            user => part_of(user),
        };
        Ok(part + &BASE64.encode(random::secret::<32>().ok_or_else(none)?))
    }

    pub fn operation(&self, question: Question<'_>) -> Result<Operation> {
        let Question { deed, family, id, other, ms, version, most, known_ms, .. } = question;
        let key = self.keys.session(family, &tail(id)?);
        let stamp = self.stamps.next();
        let deed = match deed {
            Asked::Read => Deed::Read,
            Asked::End => Deed::End { stamp, absolute_ms: whole_ms(ms) },
            Asked::Move => Deed::Move { stamp, to: tail(other)?.into(), grace_ms: whole_ms(ms) },
            Asked::Touch => {
                let delta = Delta { seen: Some(stamp), ..Delta::default() };
                Deed::Write { delta, version: None, most: 0 }
            }
            Asked::Change => {
                let fields = fields(&question.fields, stamp);
                // It counts as use where that is said.
                let seen = (ms > 0.0).then_some(stamp);
                let delta = Delta { fields, seen, ..Delta::default() };
                let version = (version >= 0.0).then_some(version as u64);
                Deed::Write { delta, version, most: 0 }
            }
            Asked::Create => {
                let user = Bytes::copy_from_slice(other.as_bytes());
                let head = Head { user, created: stamp, absolute_ms: whole_ms(ms) };
                let delta = Delta {
                    head: Some(head),
                    born: Some(stamp),
                    seen: Some(stamp),
                    behind: version.max(0.0) as u64,
                    from: Vec::new(),
                    lead_ms: 0,
                    fields: fields(&question.fields, stamp),
                };
                Deed::Write { delta, version: None, most: most as u64 }
            }
        };
        let Question { outage, logins, brief, .. } = question;
        let ask = Ask { deed, outage, logins, known_ms: whole_ms(known_ms), brief };
        Ok(Operation::Session { key, ask: Box::new(ask) })
    }

    /// The list in which the session with this handle stands, with others of its user, or of guests in its shard.
    fn list_of(&self, family: &str, handle: &str) -> Result<Bytes> {
        let session = self.keys.session(family, &tail(handle)?);
        let keys =
            SessionKeys::of(&session).ok_or_else(|| Error::internal("a handle without keys"))?;
        Ok(keys.user.map_or(keys.all, |(_, index)| index))
    }

    pub fn of_many(&self, lists: Lists<'_>) -> Result<Operation> {
        let Lists { deed, family, user, keep, list, from, count, ms, outage, tails } = lists;
        let swept = tails.first().and_then(|tail| std::str::from_utf8(tail).ok());
        let key = match (deed, list) {
            (AskedOfMany::Sweep, _) => self.list_of(family, swept.unwrap_or_default())?,
            (AskedOfMany::EndAll, _) => self.keys.session_user(family, &part_of(user), ":epoch"),
            (_, List::User) => self.keys.session_user(family, &part_of(user), ":index"),
            (_, List::Users(shard)) => self.keys.session_list(family, shard, false),
            (_, List::Guests(shard)) => self.keys.session_list(family, shard, true),
        };
        let deed = match deed {
            AskedOfMany::EndAll => {
                let keep = match keep {
                    "" => None,
                    keep => Some(Bytes::from(tail(keep)?)),
                };
                Deed::EndAll { stamp: self.stamps.next(), keep, absolute_ms: whole_ms(ms) }
            }
            AskedOfMany::List => Deed::List { from: from as u64, count: count as u64 },
            AskedOfMany::Sweep => Deed::Sweep { tails },
            AskedOfMany::Count => Deed::Count,
        };
        let ask = Ask { deed, outage, logins: true, known_ms: u64::MAX / 1000, brief: true };
        Ok(Operation::Session { key, ask: Box::new(ask) })
    }
}

/// The part of ids and keys that says whose they are.
fn part_of(user: &str) -> String {
    let digest = Sha256::new().chain_update("holdfast:user:").chain_update(user).finalize();
    format!("u{}", BASE64.encode(digest.get(..16).unwrap_or_default()))
}

/// The last part of a session's key: of an id its hash, of a handle what it is.
fn tail(id: &str) -> Result<String> {
    let wrong = || Error::invalid("sessionId", "sessionId is no id and no handle of a session");
    let part = id.get(..SESSION_PART).ok_or_else(wrong)?;
    let is_text = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let rest = &id.as_bytes()[SESSION_PART..];
    if !matches!(part.as_bytes(), [b'u' | b'g', rest @ ..] if rest.iter().all(|&byte| is_text(byte)))
    {
        return Err(wrong());
    }
    match rest {
        [b'.', hash @ ..] if id.len() == SESSION_TAIL && hash.iter().all(|&byte| is_text(byte)) => {
            Ok(id.to_owned())
        }
        secret if id.len() == ID && secret.iter().all(|&byte| is_text(byte)) => {
            Ok(format!("{part}.{}", BASE64.encode(Sha256::digest(id.as_bytes()))))
        }
        _ => Err(wrong()),
    }
}

fn fields(parts: &[Bytes], stamp: Stamp) -> Fields {
    let triples = parts.chunks_exact(3);
    triples
        .filter_map(|triple| {
            let [name, is_set, value] = triple else { return None };
            let value = (is_set.as_ref() == b"1").then(|| value.clone());
            Some((name.clone(), Field { stamp, value }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_gives_its_handle_and_the_handle_itself() {
        for user in ["", "ann"] {
            let (one, other) = (Sessions::id(user).unwrap(), Sessions::id(user).unwrap());
            assert_eq!(one.len(), ID);
            let handle = tail(&one).unwrap();
            assert_eq!((handle.len(), tail(&handle).unwrap()), (SESSION_TAIL, handle.clone()));
            assert_ne!(tail(&other).unwrap(), handle);
            assert!(!handle.contains(&one[SESSION_PART..]));
            assert_eq!(one[..SESSION_PART] == other[..SESSION_PART], user == "ann");
        }
    }

    #[test]
    fn what_is_no_id_is_told() {
        let id = Sessions::id("ann").unwrap();
        for wrong in [
            "",
            "u",
            &id[1..],
            &format!("{id}a"),
            &format!("x{}", &id[1..]),
            &format!("{}}}", &id[..ID - 1]),
            &format!("{}é", &id[..ID - 2]),
            &"ü".repeat(33),
        ] {
            assert_eq!(tail(wrong).unwrap_err().path.as_deref(), Some("sessionId"), "{wrong}");
        }
    }
}

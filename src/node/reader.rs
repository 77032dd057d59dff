//! The rows of a batch as JS wrote them down: read and checked.
//!
//! Long, because each operation has its fields, and the order in which they are read is that in which JS writes them.
use bytes::Bytes;
use napi::bindgen_prelude::{Array, Uint8Array};

use super::Handle;
use super::operations::{deed, flag, kind, opcode, outage, verb};
use crate::backend::message::{Bounds, Kept, Kind, Message, Topic};
use crate::backend::session::Outage;
use crate::backend::{Ask, Operation, Reach, Removal, Tags};
use crate::base::error::{Error, ErrorKind, Result};
use crate::managers::cache::{Cache, Keep, whole_ms};
use crate::managers::rate_limit;
use crate::managers::sessions::{Asked, AskedOfMany, List, Lists, Question};
use crate::managers::stats::Counted;

/// What one row asks for.
pub enum Wish {
    Operation {
        operation: Operation,
        reach: Reach,
        counted: Counted,
        /// The namespace that it is counted for; 0: none.
        owner: u16,
    },
    /// The cache is switched off: nothing is there and nothing is kept.
    Off(Operation),
    /// What is heard of the topic goes to the subscription with this number.
    Listen(Topic, u32),
    Verdict,
    Reconnect,
    Resync,
    Panic,
}

/// Reads the numbers and the text of a batch, side by side.
pub struct Reader<'a> {
    meta: &'a [f64],
    at: usize,
    text: &'a str,
    text_at: usize,
    extras: Option<&'a Array<'a>>,
    /// The namespace of the row that was read last; 0: none.
    pub owner: u16,
}

impl<'a> Reader<'a> {
    pub fn new(meta: &'a [f64], text: &'a str, extras: Option<&'a Array<'a>>) -> Self {
        Self { meta, at: 0, text, text_at: 0, extras, owner: 0 }
    }

    pub fn is_done(&self) -> bool {
        self.at >= self.meta.len()
    }

    pub fn next(&mut self) -> f64 {
        let number = self.meta.get(self.at).copied().unwrap_or(0.0);
        self.at += 1;
        number
    }

    /// The next text. JS counts UTF-16 units; where the whole text is ASCII, bytes are the same.
    fn text(&mut self) -> &'a str {
        let units = self.next() as usize;
        let rest = self.text.get(self.text_at..).unwrap_or("");
        let length = byte_length(rest, units);
        self.text_at += length;
        &rest[..length]
    }

    fn flags(&mut self) -> u32 {
        let flags = self.next() as u32;
        self.owner = owner_of(flags);
        flags
    }

    /// Reads every field of a row, whatever becomes of it, so that the next row is found.
    pub fn wish(&mut self, code: u32, handle: Option<&Handle>) -> Result<Wish> {
        match code {
            opcode::ENTRY_GET
            | opcode::ENTRY_EXISTS
            | opcode::ENTRY_DELETE
            | opcode::ENTRY_EXPIRE => {
                let (family, name) = (self.text(), self.text());
                let flags = self.flags();
                let cache = &handle.ok_or_else(Error::closed)?.core.cache;
                let key = key(cache, family, name, flags)?;
                let (operation, counted) = match code {
                    opcode::ENTRY_GET => {
                        (Operation::Get { key, stale: flags & flag::STALE != 0 }, Counted::Read)
                    }
                    opcode::ENTRY_EXISTS => (Operation::Exists { key }, Counted::Not),
                    opcode::ENTRY_EXPIRE => (cache.expire(key), Counted::Not),
                    _ => (cache.delete(key), Counted::Removal),
                };
                Ok(managed(handle, operation, counted, flags))
            }
            opcode::ENTRY_LOAD => {
                let (family, name) = (self.text(), self.text());
                let (lease_ms, lasts_ms) = (whole_ms(self.next()), whole_ms(self.next()));
                let flags = self.flags();
                let tags = self.args("tags", 0);
                let cache = &handle.ok_or_else(Error::closed)?.core.cache;
                let tags = tags_of(cache, &tags?)?;
                let key = key(cache, family, name, flags)?;
                let (force, share) = (flags & flag::FORCE != 0, flags & flag::SHARE != 0);
                let refresh = flags & flag::REFRESH != 0;
                let ask = Ask { token: 0, force, refresh, share, lease_ms, tags, lasts_ms };
                Ok(managed(handle, cache.load(key, ask), Counted::Load, flags))
            }
            opcode::ENTRY_SET | opcode::ENTRY_FILL => {
                let fills = code == opcode::ENTRY_FILL;
                let (family, name) = (self.text(), self.text());
                let token = if fills { self.text() } else { "" };
                let format = self.next() as u8;
                let (ttl_ms, fresh_ms) = (self.next(), self.next());
                let load_ms = if fills { self.next() } else { 0.0 };
                let flags = self.flags();
                let payload = self.value();
                let tags = self.args("tags", 0);
                let cache = &handle.ok_or_else(Error::closed)?.core.cache;
                let key = key(cache, family, name, flags)?;
                let (tags, compress) = (tags_of(cache, &tags?)?, flags & flag::NO_COMPRESS == 0);
                let owner = owner_of(flags);
                let keep = Keep { format, compress, ttl_ms, fresh_ms, load_ms, tags, owner };
                if fills {
                    let operation = cache.fill(key, token, payload?, keep)?;
                    return Ok(managed(handle, operation, Counted::Fill, flags));
                }
                Ok(managed(handle, cache.set(key, payload?, keep)?, Counted::Write, flags))
            }
            opcode::ENTRY_HOLD => {
                let (family, name, token) = (self.text(), self.text(), self.text());
                let lease_ms = self.next();
                let flags = self.flags();
                let cache = &handle.ok_or_else(Error::closed)?.core.cache;
                let key = key(cache, family, name, flags)?;
                Ok(managed(handle, cache.hold(key, token, lease_ms)?, Counted::Not, flags))
            }
            opcode::ENTRY_CLEAR | opcode::ENTRY_CLEAR_PATTERN => {
                let family = self.text();
                let pattern = (code == opcode::ENTRY_CLEAR_PATTERN).then(|| self.text());
                let flags = self.flags();
                let cache = &handle.ok_or_else(Error::closed)?.core.cache;
                Ok(wished(
                    cache.clear(family, pattern, flags & flag::L1_ONLY != 0),
                    Counted::Not,
                    flags,
                ))
            }
            opcode::TAG_INVALIDATE => {
                let tag = self.text();
                let removal = if self.next() > 0.0 { Removal::Expire } else { Removal::Delete };
                let flags = self.flags();
                let cache = &handle.ok_or_else(Error::closed)?.core.cache;
                Ok(wished(cache.invalidate(tag, removal), Counted::Not, flags))
            }
            opcode::COMMAND => {
                let args = self.args("args", 1);
                let flags = self.flags();
                let args = args?;
                if args.first().is_some_and(|name| name.as_ref() == b"HOLDFAST.PANIC") {
                    let hooks = handle.is_some_and(|handle| handle.core.config.test_hooks);
                    if hooks {
                        return Ok(Wish::Panic);
                    }
                }
                Ok(wished(Operation::Command { args }, Counted::Not, flags))
            }
            opcode::PIPELINE => {
                let count = self.next() as usize;
                let mut commands = Vec::with_capacity(count.min(1024));
                let mut wrong = None;
                for at in 0..count {
                    match self.args(&format!("commands[{at}].args"), 1) {
                        Ok(args) => commands.push(args),
                        Err(error) => wrong = Some(error),
                    }
                }
                let flags = self.flags();
                match wrong {
                    Some(error) => Err(error),
                    None => Ok(wished(Operation::Pipeline { commands }, Counted::Not, flags)),
                }
            }
            opcode::RATE => {
                let (limiter, asked) = (self.next(), asked(self.next()));
                let (key, id) = (self.text(), self.text());
                let (hold_ms, cost) = (self.next(), self.next());
                let costs = self.args("cost", 0)?;
                let costs = costs.iter().map(|cost| number(cost)).collect();
                let rates = &handle.ok_or_else(Error::closed)?.core.rates;
                let question =
                    rate_limit::Question { limiter, asked, key, id, hold_ms, cost, costs };
                Ok(wished(rates.operation(&question)?, Counted::Not, 0))
            }
            opcode::SESSION => {
                let code = self.next() as u32;
                let (family, id, other) = (self.text(), self.text(), self.text());
                let (ms, version, most) = (self.next(), self.next(), self.next());
                let (known_ms, outage) = (self.next(), self.next() as u32);
                let fields = self.args("data", 0);
                let sessions = &handle.ok_or_else(Error::closed)?.core.sessions;
                let deed = match code {
                    deed::CREATE => Asked::Create,
                    deed::CHANGE => Asked::Change,
                    deed::TOUCH => Asked::Touch,
                    deed::END => Asked::End,
                    deed::MOVE => Asked::Move,
                    _ => Asked::Read,
                };
                let (logins, brief) = (outage & outage::LOGINS != 0, outage & outage::BRIEF != 0);
                let outage = outage_of(outage);
                let fields = fields?;
                Ok(wished(
                    sessions.operation(Question {
                        deed,
                        family,
                        id,
                        other,
                        ms,
                        version,
                        most,
                        known_ms,
                        outage,
                        logins,
                        brief,
                        fields,
                    })?,
                    Counted::Not,
                    0,
                ))
            }
            opcode::SESSIONS => {
                let code = self.next() as u32;
                let (family, user, keep) = (self.text(), self.text(), self.text());
                let (list, from, count) = (self.next(), self.next(), self.next());
                let (ms, outage) = (self.next(), outage_of(self.next() as u32));
                let tails = self.args("handles", 0);
                let sessions = &handle.ok_or_else(Error::closed)?.core.sessions;
                let deed = match code {
                    deed::END_ALL => AskedOfMany::EndAll,
                    deed::SWEEP => AskedOfMany::Sweep,
                    deed::COUNT => AskedOfMany::Count,
                    _ => AskedOfMany::List,
                };
                // 0 is the user's own; those of all users and of all guests take turns.
                let list = match list as u32 {
                    0 => List::User,
                    list if list % 2 == 1 => List::Users((list - 1) / 2),
                    list => List::Guests((list - 1) / 2),
                };
                let tails = tails?;
                Ok(wished(
                    sessions.of_many(Lists {
                        deed,
                        family,
                        user,
                        keep,
                        list,
                        from,
                        count,
                        ms,
                        outage,
                        tails,
                    })?,
                    Counted::Not,
                    0,
                ))
            }
            opcode::LISTEN => {
                let kind = match self.next() as u32 {
                    kind::PATTERN => Kind::Pattern,
                    kind::SHARD => Kind::Shard,
                    _ => Kind::Channel,
                };
                let (whole, number) = (self.next() > 0.0, self.next() as u32);
                let channel = self.text();
                let messages = &handle.ok_or_else(Error::closed)?.core.messages;
                let name = messages.channel(channel, whole, kind == Kind::Pattern)?;
                Ok(Wish::Listen(Topic { kind, name }, number))
            }
            opcode::PUBLISH => {
                let (whole, sharded) = (self.next() > 0.0, self.next() > 0.0);
                let (ms, most) = (whole_ms(self.next()), self.next() as u64);
                let bounds = Bounds { of_one: self.next() as usize, of_all: self.next() as usize };
                let channel = self.text();
                let rest = self.value();
                let messages = &handle.ok_or_else(Error::closed)?.core.messages;
                let key = messages.stream(channel, whole);
                let channel = messages.channel(channel, whole, false)?;
                let kept = (ms > 0).then_some(Kept { ms, most });
                let message = Message { rest: rest?, kept, sharded };
                Ok(wished(Operation::Publish { key, channel, message, bounds }, Counted::Not, 0))
            }
            opcode::STREAM => {
                let whole = self.next() > 0.0;
                let (channel, after) = (self.text(), self.text());
                let count = self.next() as u64;
                let messages = &handle.ok_or_else(Error::closed)?.core.messages;
                let after = (!after.is_empty()).then(|| Bytes::copy_from_slice(after.as_bytes()));
                let operation =
                    Operation::Stream { key: messages.stream(channel, whole), after, count };
                Ok(wished(operation, Counted::Not, 0))
            }
            opcode::PRESENCE => {
                let (room, user, status) = (self.text(), self.text(), self.text());
                let ms = whole_ms(self.next());
                let messages = &handle.ok_or_else(Error::closed)?.core.messages;
                let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
                let (key, user, status) = (messages.room(room), text(user), text(status));
                Ok(wished(Operation::Presence { key, user, status, ms }, Counted::Not, 0))
            }
            opcode::VERDICT => Ok(Wish::Verdict),
            opcode::RECONNECT => Ok(Wish::Reconnect),
            opcode::RESYNC => Ok(Wish::Resync),
            _ => {
                self.at = self.meta.len();
                Err(Error::new(ErrorKind::Internal, "JS asked for an operation that is not known"))
            }
        }
    }

    /// Text, or bytes.
    fn value(&mut self) -> Result<Bytes> {
        let place = self.meta.get(self.at).copied().unwrap_or(0.0);
        if place >= 0.0 {
            return Ok(Bytes::copy_from_slice(self.text().as_bytes()));
        }
        self.at += 1;
        let extra = self.extra(place);
        extra.ok_or_else(|| Error::invalid("value", "a value must be text or bytes"))
    }

    fn extra(&self, place: f64) -> Option<Bytes> {
        let index = (-place - 1.0) as u32;
        let bytes =
            self.extras.and_then(|extras| extras.get::<Uint8Array>(index).ok().flatten())?;
        Some(Bytes::copy_from_slice(&bytes))
    }

    fn args(&mut self, path: &str, least: usize) -> Result<Vec<Bytes>> {
        let count = self.next() as usize;
        let mut args = Vec::with_capacity(count.min(1024));
        let mut wrong = None;
        for at in 0..count {
            let place = self.meta.get(self.at).copied().unwrap_or(0.0);
            if place >= 0.0 {
                args.push(Bytes::copy_from_slice(self.text().as_bytes()));
                continue;
            }
            self.at += 1;
            match self.extra(place) {
                Some(bytes) => args.push(bytes),
                None => {
                    wrong = Some(Error::invalid(
                        format!("{path}[{at}]"),
                        "an argument must be a string, a number or bytes",
                    ));
                }
            }
        }
        match wrong {
            Some(error) => Err(error),
            None if args.len() < least => Err(Error::invalid(path, "a command needs a name")),
            None => Ok(args),
        }
    }
}

/// A cache operation; the fallback manager's are marked as not counted and are never switched off.
fn managed(handle: Option<&Handle>, operation: Operation, counted: Counted, flags: u32) -> Wish {
    let on = handle.is_none_or(|handle| handle.core.config.cache_enabled);
    if on || flags & flag::UNCOUNTED != 0 {
        wished(operation, counted, flags)
    } else {
        Wish::Off(operation)
    }
}

fn wished(operation: Operation, counted: Counted, flags: u32) -> Wish {
    let counted = if flags & flag::UNCOUNTED == 0 { counted } else { Counted::Not };
    let reach = Reach {
        memory: flags & flag::NO_MEMORY == 0,
        near: flags & flag::SKIP_L1 == 0,
        required: flags & flag::REQUIRE_REDIS != 0,
        local: flags & flag::L1_ONLY != 0,
    };
    Wish::Operation { operation, reach, counted, owner: owner_of(flags) }
}

fn asked(code: f64) -> rate_limit::Asked {
    use rate_limit::Asked;
    match code as u32 {
        verb::TAKE => Asked::Take,
        verb::SETTLE => Asked::Settle,
        verb::RELEASE => Asked::Release,
        verb::RENEW => Asked::Renew,
        verb::REFUND => Asked::Refund,
        verb::RESET => Asked::Reset,
        _ => Asked::Peek,
    }
}

fn outage_of(code: u32) -> Outage {
    match code & 3 {
        outage::READ_ONLY => Outage::ReadOnly,
        outage::FAIL => Outage::Fail,
        _ => Outage::Local,
    }
}

/// What is no number is no cost either.
fn number(text: &[u8]) -> f64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

fn owner_of(flags: u32) -> u16 {
    u16::try_from(flags / flag::OWNER).unwrap_or(0)
}

fn key(cache: &Cache, family: &str, name: &str, flags: u32) -> Result<Bytes> {
    cache.key(family, name, flags & flag::HASH_KEY != 0, flags & flag::L1_ONLY != 0)
}

fn tags_of(cache: &Cache, names: &[Bytes]) -> Result<Tags> {
    cache.tags(names.iter().filter_map(|name| std::str::from_utf8(name).ok()))
}

/// The bytes that so many UTF-16 units take at the beginning of a text.
fn byte_length(text: &str, units: usize) -> usize {
    if let Some(head) = text.as_bytes().get(..units)
        && head.is_ascii()
    {
        return units;
    }
    let mut left = units;
    for (at, character) in text.char_indices() {
        if left == 0 {
            return at;
        }
        left = left.saturating_sub(character.len_utf16());
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_is_cut_where_js_joined_it(parts in proptest::collection::vec("\\PC{0,12}", 0..8)) {
            let whole: String = parts.concat();
            let mut at = 0;
            for part in parts {
                let length = byte_length(&whole[at..], part.encode_utf16().count());
                prop_assert_eq!(&whole[at..at + length], part);
                at += length;
            }
        }
    }
}

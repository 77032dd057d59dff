//! Sessions as the server has them: a hash each, read as it is, and changed by scripts.
use std::sync::Arc;

use bytes::Bytes;
use redis::{Cmd, Pipeline, Value as Resp};

use super::super::failure;
use super::{Wire, command, unexpected};
use crate::backend::policy::CLOCK_ERROR;
use crate::backend::redis::script::{SESSION_END, SESSION_END_ALL, SESSION_MOVE, SESSION_WRITE};
use crate::backend::session::{Ask, Deed, Delta, Field, Known, Outcome, Seen, Session, Told};
use crate::backend::{Raw, Reply};
use crate::base::error::{Error, Result};
use crate::base::keys::SessionKeys;
use crate::base::stamp::Stamp;

/// What the replies to a question say: the answer, and what is known of sessions since.
pub type Learnt = (Reply, Option<Seen>);

/// A session that may be read.
enum Stored {
    Live(Known),
    Ended,
    Moved(Bytes),
}

impl Wire {
    /// Adds a question's commands; answers how many replies it will have.
    pub(super) fn encode_session(&self, key: &Bytes, ask: &Ask, out: &mut Pipeline) -> usize {
        let now = self.stamps.server_micros() / 1000;
        let live = format!("({now}");
        match &ask.deed {
            Deed::Read => {
                out.add_command(command(&[b"HGETALL", key]));
                return 1 + epoch_of(key, out);
            }
            Deed::Write { delta, version, most } => {
                let mode: &[u8] = if is_use(delta) && version.is_none() { b"use" } else { b"live" };
                out.add_command(self.session_write(key, delta, *version, *most, mode));
            }
            Deed::End { absolute_ms, .. } => {
                out.add_command(self.session_end(key, *absolute_ms, b"live"));
            }
            Deed::Move { to, grace_ms, .. } => {
                out.add_command(self.session_move(key, to, *grace_ms));
            }
            Deed::EndAll { stamp, keep, absolute_ms } => {
                out.add_command(self.end_all(key, *stamp, keep.as_ref(), *absolute_ms, b"live"));
            }
            Deed::List { from, count } => {
                let (from, count) = (from.to_string(), count.to_string());
                out.add_command(command(&[
                    b"ZRANGE",
                    key,
                    live.as_bytes(),
                    b"+inf",
                    b"BYSCORE",
                    b"LIMIT",
                    from.as_bytes(),
                    count.as_bytes(),
                ]));
            }
            Deed::Count => {
                out.add_command(command(&[b"ZCOUNT", key, live.as_bytes(), b"+inf"]));
            }
            Deed::Sweep { tails } => return sweep(key, tails, out),
        }
        1
    }

    pub(super) fn session_write(
        &self,
        key: &Bytes,
        delta: &Delta,
        version: Option<u64>,
        most: u64,
        mode: &[u8],
    ) -> Cmd {
        let Some(keys) = SessionKeys::of(key) else { return command(&[b"EXISTS", key]) };
        let micros = |stamp: Stamp| self.stamps.settle(stamp).micros.to_string();
        let text = |stamp: Option<Stamp>| stamp.map(micros).unwrap_or_default();
        let head = delta.head.as_ref();
        let tail = SessionKeys::tail(key);
        let mut all: Vec<&[u8]> = vec![key, &keys.all];
        if let Some((epoch, index)) = &keys.user {
            all.extend([epoch.as_ref(), index]);
        }
        let mut cmd = SESSION_WRITE.call(&all, &[&tail, mode]);
        cmd.arg(version.map(|version| version.to_string()).unwrap_or_default());
        cmd.arg(text(delta.born)).arg(text(delta.seen));
        cmd.arg(text(head.map(|head| head.created)));
        cmd.arg(head.map(|head| head.absolute_ms.to_string()).unwrap_or_default());
        cmd.arg(head.map(|head| head.user.as_ref()).unwrap_or_default()).arg(most);
        cmd.arg(delta.behind).arg(SessionKeys::base(key));
        cmd.arg(delta.from.join(&b' ')).arg(delta.lead_ms);
        for (name, Field { stamp, value }) in &delta.fields {
            let stamp = self.stamps.settle(*stamp);
            cmd.arg(name.as_ref()).arg(stamp.micros).arg(stamp.process);
            cmd.arg(u8::from(value.is_some())).arg(value.as_deref().unwrap_or_default());
        }
        cmd
    }

    pub(super) fn session_end(&self, key: &Bytes, absolute_ms: u64, mode: &[u8]) -> Cmd {
        let Some(keys) = SessionKeys::of(key) else { return command(&[b"EXISTS", key]) };
        let mut all: Vec<&[u8]> = vec![key, &keys.all];
        if let Some((epoch, index)) = &keys.user {
            all.extend([epoch.as_ref(), index]);
        }
        let known = absolute_ms.max(1).to_string();
        let (tail, base) = (SessionKeys::tail(key), SessionKeys::base(key));
        SESSION_END.call(&all, &[&tail, mode, known.as_bytes(), base])
    }

    fn session_move(&self, key: &Bytes, to: &Bytes, grace_ms: u64) -> Cmd {
        let Some(keys) = SessionKeys::of(key) else { return command(&[b"EXISTS", key]) };
        let new = SessionKeys::renamed(key, to);
        let mut all: Vec<&[u8]> = vec![key, &new, &keys.all];
        if let Some((epoch, index)) = &keys.user {
            all.extend([epoch.as_ref(), index]);
        }
        let grace = grace_ms.to_string();
        SESSION_MOVE.call(&all, &[&SessionKeys::tail(key), to, grace.as_bytes()])
    }

    pub(super) fn end_all(
        &self,
        key: &Bytes,
        stamp: Stamp,
        keep: Option<&Bytes>,
        absolute_ms: u64,
        mode: &[u8],
    ) -> Cmd {
        let index = SessionKeys::index_of(key).unwrap_or_default();
        // Whatever its end: those beside it are found by it.
        let session = SessionKeys::user(key).map(|part| [part, b".", &[b'-'; 43]].concat());
        let session = session.and_then(|tail| SessionKeys::beside(key, &tail)).unwrap_or_default();
        let all = SessionKeys::of(&session).map(|keys| keys.all).unwrap_or_default();
        let micros = self.stamps.settle(stamp).micros.to_string();
        let (known, error) = (absolute_ms.to_string(), CLOCK_ERROR.to_string());
        let keep = keep.map(Bytes::as_ref).unwrap_or_default();
        let base = SessionKeys::base(&session);
        let args = [micros.as_bytes(), mode, known.as_bytes(), error.as_bytes(), keep, base];
        SESSION_END_ALL.call(&[key, &index, &all], &args)
    }

    /// Asks whether a session is still what is known of it. Answers how many replies there will be.
    pub fn confirm_session(&self, key: &Bytes, out: &mut Pipeline) -> usize {
        out.add_command(command(&[b"HMGET", key, b"v", b"e", b"s"]));
        1 + epoch_of(key, out)
    }

    /// What is known of a session, if it is so still. `None`: it is not.
    pub fn session_confirmed(
        &self,
        key: &Bytes,
        ask: &Ask,
        known: &Known,
        replies: Vec<Resp>,
    ) -> Result<Option<Learnt>> {
        if let Some(Resp::ServerError(error)) =
            replies.iter().find(|reply| matches!(reply, Resp::ServerError(_)))
        {
            return Err(failure::from_server(error));
        }
        let Some(Resp::Array(is)) = replies.first() else { return Err(unexpected()) };
        let number_at = |at: usize| match is.get(at) {
            Some(Resp::BulkString(text)) => number(text),
            _ => None,
        };
        let same = number_at(0) == Some(known.session.version) && number_at(1) == Some(known.mark);
        let Some(micros) = number_at(2).filter(|_| same) else { return Ok(None) };
        let mut known = known.clone();
        if micros != known.session.seen.micros {
            Arc::make_mut(&mut known.session).seen = Stamp { micros, process: 0 };
        }
        let told = |outcome| Reply::Session(Box::new(Told::new(outcome, key, ask, &self.stamps)));
        if !stands(&known.session, &SessionKeys::tail(key), replies.get(1))? {
            let seen = Seen::Gone { key: key.clone() };
            return Ok(Some((told(Outcome::Absent), Some(seen))));
        }
        let reply = told(Outcome::Done(known.session.clone()));
        Ok(Some((reply, Some(Seen::Is { key: key.clone(), known }))))
    }

    /// What the replies say. `key` is the one that was asked for.
    pub fn session_answer(&self, key: &Bytes, ask: &Ask, mut replies: Vec<Resp>) -> Result<Learnt> {
        if let Some(Resp::ServerError(error)) =
            replies.iter().find(|reply| matches!(reply, Resp::ServerError(_)))
        {
            return Err(failure::from_server(error));
        }
        let told = |outcome| Reply::Session(Box::new(Told::new(outcome, key, ask, &self.stamps)));
        let gone = || Some(Seen::Gone { key: key.clone() });
        match &ask.deed {
            Deed::Read => {
                let epoch = if replies.len() > 1 { replies.pop() } else { None };
                let stored = self.stored(replies.pop().unwrap_or(Resp::Nil))?;
                Ok(match stored {
                    Stored::Live(known)
                        if stands(&known.session, &SessionKeys::tail(key), epoch.as_ref())? =>
                    {
                        let session = known.session.clone();
                        (told(Outcome::Done(session)), Some(Seen::Is { key: key.clone(), known }))
                    }
                    Stored::Moved(to) => (told(Outcome::Moved(to)), gone()),
                    Stored::Live(_) | Stored::Ended => (told(Outcome::Absent), gone()),
                })
            }
            Deed::Write { .. } | Deed::End { .. } | Deed::Move { .. } => {
                let Some(Resp::Array(mut parts)) = replies.pop() else { return Err(unexpected()) };
                let last = parts.pop().unwrap_or(Resp::Nil);
                let ends = !matches!(ask.deed, Deed::Write { .. });
                let code = if parts.is_empty() { &last } else { &parts[0] };
                Ok(match code {
                    Resp::Int(0) => (told(Outcome::Absent), gone()),
                    Resp::Int(3) => (told(Outcome::Moved(text(&last)?)), gone()),
                    Resp::Int(4) => {
                        let micros = number(&text(&last)?).ok_or_else(unexpected)?;
                        let seen = Stamp { micros, process: 0 };
                        (told(Outcome::Used), Some(Seen::Used { key: key.clone(), seen }))
                    }
                    Resp::Int(code @ (1 | 2)) => {
                        let code = *code;
                        let Stored::Live(known) = self.stored(last)? else {
                            return Err(unexpected());
                        };
                        let session = known.session.clone();
                        let seen =
                            if ends { gone() } else { Some(Seen::Is { key: key.clone(), known }) };
                        let outcome = match code {
                            1 => Outcome::Done(session),
                            _ => Outcome::Conflict(session),
                        };
                        let mut told = Told::new(outcome, key, ask, &self.stamps);
                        if let (Some(Resp::Array(spare)), false) = (parts.get(1), ends) {
                            told.spare = spare.iter().map(text).collect::<Result<_>>()?;
                        }
                        (Reply::Session(Box::new(told)), seen)
                    }
                    _ => return Err(unexpected()),
                })
            }
            Deed::EndAll { keep, .. } => {
                let keep = keep.as_ref().and_then(|tail| SessionKeys::beside(key, tail));
                let seen = Seen::AllGone { key: key.clone(), keep };
                let Some(Resp::Array(parts)) = replies.pop() else { return Err(unexpected()) };
                let parts = parts.into_iter().map(super::raw).collect();
                Ok((Reply::Raw(Raw::Array(parts)), Some(seen)))
            }
            Deed::Count => Ok((count(replies.pop())?, None)),
            Deed::List { .. } => {
                let Some(Resp::Array(tails)) = replies.pop() else { return Err(unexpected()) };
                let tails = tails.iter().map(|tail| text(tail).map(Raw::Bytes));
                Ok((Reply::Raw(Raw::Array(tails.collect::<Result<_>>()?)), None))
            }
            Deed::Sweep { tails } => Ok((Reply::Count(tails.len() as u64), None)),
        }
    }

    fn stored(&self, hash: Resp) -> Result<Stored> {
        let pairs: Vec<(Resp, Resp)> = match hash {
            Resp::Map(pairs) => pairs,
            Resp::Array(flat) => {
                let mut flat = flat.into_iter();
                std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect()
            }
            Resp::Nil => Vec::new(),
            _ => return Err(unexpected()),
        };
        let mut session = Session::default();
        let (mut is_whole, mut mark, mut moved, mut told_until) = (false, 0, None, 0);
        for (name, value) in pairs {
            let (Resp::BulkString(name), Resp::BulkString(value)) = (name, value) else {
                return Err(unexpected());
            };
            let number = || number(&value).ok_or_else(damaged);
            let moment = || number().map(|micros| Stamp { micros, process: 0 });
            match name.as_slice() {
                b"v" => (session.version, is_whole) = (number()?, true),
                b"e" => mark = number()?,
                b"b" => session.born = moment()?,
                b"s" => session.seen = moment()?,
                b"c" => session.head.created = moment()?,
                b"a" => session.head.absolute_ms = number()?,
                b"u" => session.head.user = value.into(),
                b"t" => moved = Some(Bytes::from(value)),
                b"g" => told_until = number()?,
                b"x" => return Ok(Stored::Ended),
                _ => {
                    let field = field(&value).ok_or_else(damaged)?;
                    session.fields.insert(name.into(), field);
                }
            }
        }
        Ok(match moved {
            Some(to) if told_until > self.stamps.server_micros() => Stored::Moved(to),
            None if is_whole => {
                self.stamps.observe(session.newest());
                Stored::Live(Known { session: Arc::new(session), mark })
            }
            _ => Stored::Ended,
        })
    }
}

/// Asks for the moments before which all of its user's are ended. Answers how many replies there will be.
fn epoch_of(key: &Bytes, out: &mut Pipeline) -> usize {
    let Some((epoch, _)) = SessionKeys::of(key).and_then(|keys| keys.user) else { return 0 };
    out.add_command(command(&[b"GET", &epoch]));
    1
}

/// Whether it only says that a session was used.
fn is_use(delta: &Delta) -> bool {
    delta.head.is_none() && delta.fields.is_empty() && delta.behind == 0 && delta.seen.is_some()
}

/// Whether it is not among those of its user's that were ended together. What nobody knows is taken for ended.
fn stands(session: &Session, tail: &[u8], moments: Option<&Resp>) -> Result<bool> {
    let moments = match moments {
        None => return Ok(true),
        Some(Resp::Nil) => return Ok(false),
        Some(Resp::BulkString(moments)) => moments,
        Some(_) => return Err(unexpected()),
    };
    let mut parts = moments.splitn(3, |&byte| byte == b' ');
    let (last, other, stays) = (parts.next(), parts.next(), parts.next());
    let ended = if stays == Some(tail) { other } else { last };
    Ok(session.born.micros > ended.and_then(number).ok_or_else(damaged)?)
}

/// Commands that take names off the lists.
fn sweep(key: &Bytes, tails: &[Bytes], out: &mut Pipeline) -> usize {
    let sessions: Vec<Bytes> =
        tails.iter().filter_map(|tail| SessionKeys::beside(key, tail)).collect();
    let Some(keys) = sessions.first().and_then(SessionKeys::of) else {
        out.add_command(command(&[b"EXISTS", key]));
        return 1;
    };
    let mut replies = 0;
    // What a user's has left says that it is ended, and goes when its time is over.
    if keys.user.is_none() {
        let mut unlink: Vec<&[u8]> = vec![b"UNLINK"];
        unlink.extend(sessions.iter().map(Bytes::as_ref));
        out.add_command(command(&unlink));
        replies += 1;
    }
    let lists = std::iter::once(&keys.all).chain(keys.user.as_ref().map(|(_, index)| index));
    for list in lists {
        let mut remove: Vec<&[u8]> = vec![b"ZREM", list];
        remove.extend(tails.iter().map(Bytes::as_ref));
        out.add_command(command(&remove));
        replies += 1;
    }
    replies
}

/// `micros.process`, and behind a space what it was set to.
fn field(stored: &[u8]) -> Option<Field> {
    let at = stored.iter().position(|&byte| byte == b' ');
    let (stamp, value) = stored.split_at(at.unwrap_or(stored.len()));
    let dot = stamp.iter().position(|&byte| byte == b'.')?;
    let (micros, process) = (number(stamp.get(..dot)?)?, number(stamp.get(dot + 1..)?)?);
    let value = at.and(value.get(1..)).map(Bytes::copy_from_slice);
    Some(Field { stamp: Stamp { micros, process }, value })
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn text(value: &Resp) -> Result<Bytes> {
    match value {
        Resp::BulkString(bytes) => Ok(Bytes::copy_from_slice(bytes)),
        _ => Err(unexpected()),
    }
}

fn count(value: Option<Resp>) -> Result<Reply> {
    match value {
        Some(Resp::Int(count)) => Ok(Reply::Count(u64::try_from(count).unwrap_or(0))),
        _ => Err(unexpected()),
    }
}

fn damaged() -> Error {
    Error::new(
        crate::base::error::ErrorKind::Data,
        "what is stored at this session's key is no session",
    )
}

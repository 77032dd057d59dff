//! The sessions of this process: all there are where memory is all there is, and otherwise copies of those that were read
//! or written here, for the time when no server answers.
//!
//! Bounded by bytes. Expired ones go first, then copies, those first that were used longest ago. What waits for the
//! server stays, and so does everything where memory is all there is: then what is new is refused.
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use lru::LruCache;

use super::Moment;
use crate::backend::intent::EndAll;
use crate::backend::session::{Ask, Deed, Delta, Known, Outcome, Seen, Session, Told};
use crate::backend::{Answer, Raw, Reply};
use crate::base::error::{Error, ErrorKind};
use crate::base::keys::{SESSION_TAIL, SessionKeys};
use crate::base::stamp::{Stamp, Stamps};

/// What a session costs beside its parts: its places in the order of use, of ends, and of its user's.
const SEAT: usize = 800;
/// Over so many shards sessions are spread on a server.
const SHARDS: u64 = 64;
/// What is not needed longer than this is let go of in one go, so that nobody waits for it.
const STEP: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The server has it; when that was known last, µs of the boot clock.
    Copy(u64),
    /// It waits for the server, or there is none; of a copy that was changed, when it was one.
    Own(Option<u64>),
}

enum Body {
    Live(Arc<Session>),
    /// Another took its place; until then that is told.
    Moved(Bytes, u64),
}

struct Seat {
    body: Body,
    standing: Standing,
    /// Of a copy that is as the server had it, its mark; otherwise 0.
    mark: u64,
    /// µs of the server's clock.
    ends: u64,
    bytes: usize,
}

pub struct Sessions {
    /// Each is on one of both.
    copies: LruCache<Bytes, Seat>,
    own: HashMap<Bytes, Seat>,
    /// By what the keys of all of a user's begin with.
    users: HashMap<Bytes, BTreeSet<Bytes>>,
    /// By the lists of all users and all guests.
    lists: HashMap<Bytes, BTreeSet<Bytes>>,
    /// How many guests there are, by what the keys of their family begin with.
    guests: HashMap<Bytes, usize>,
    /// Those that end first, first. Copies among them may end later than here.
    ends: BTreeSet<(u64, Bytes)>,
    bytes: usize,
    limit: usize,
}

impl Sessions {
    pub fn new(limit: usize) -> Self {
        Self {
            copies: LruCache::unbounded(),
            own: HashMap::new(),
            users: HashMap::new(),
            lists: HashMap::new(),
            guests: HashMap::new(),
            ends: BTreeSet::new(),
            bytes: 0,
            limit,
        }
    }

    pub fn len(&self) -> usize {
        self.copies.len() + self.own.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Answers what is asked. `alone`: for a server that doesn't answer, so that only what is known here counts, what
    /// a server vouched for counts for so long, and what is changed waits for it.
    pub fn apply(&mut self, key: &Bytes, ask: &Ask, moment: &Moment<'_>, alone: bool) -> Answer {
        let told = |outcome| Reply::Session(Box::new(Told::new(outcome, key, ask, moment.stamps)));
        Ok(match &ask.deed {
            Deed::Read => told(self.read(key, ask.known_ms, moment, alone)),
            Deed::Write { delta, version, most } => {
                return self.write(key, ask, delta, *version, *most, moment, alone);
            }
            Deed::End { .. } => told(self.end(key, moment)),
            Deed::Move { to, grace_ms, .. } => {
                return self.rename(key, ask, to, *grace_ms, moment, alone);
            }
            Deed::EndAll { keep, .. } => {
                let kept = keep.as_ref().and_then(|tail| SessionKeys::beside(key, tail));
                let ended = self.end_all(key, kept.as_ref(), moment);
                let ended = i64::try_from(ended).unwrap_or(i64::MAX);
                Reply::Raw(Raw::Array(vec![Raw::Integer(ended), Raw::Integer(0)]))
            }
            Deed::List { from, count } => {
                let mut found: Vec<(u64, Bytes)> = self.listed(key, moment);
                found.sort_unstable();
                let (from, count) = (usize::try_from(*from), usize::try_from(*count));
                let page = found
                    .into_iter()
                    .skip(from.unwrap_or(usize::MAX))
                    .take(count.unwrap_or(usize::MAX));
                Reply::Raw(Raw::Array(
                    page.map(|(_, session)| Raw::Bytes(SessionKeys::tail(&session))).collect(),
                ))
            }
            Deed::Count => Reply::Count(self.count(key, moment)),
            Deed::Sweep { tails } => {
                for session in tails.iter().filter_map(|tail| SessionKeys::beside(key, tail)) {
                    if !alone {
                        self.remove(&session);
                    }
                }
                Reply::Count(tails.len() as u64)
            }
        })
    }

    /// A session as it is known here.
    pub fn peek(&self, key: &[u8]) -> Option<&Session> {
        match self.seat(key).map(|seat| &seat.body) {
            Some(Body::Live(session)) => Some(session),
            _ => None,
        }
    }

    /// A copy that is as the server had it.
    pub fn known(&mut self, key: &[u8]) -> Option<Known> {
        match self.copies.get(key)? {
            Seat { body: Body::Live(session), mark, .. } if *mark > 0 => {
                Some(Known { session: session.clone(), mark: *mark })
            }
            _ => None,
        }
    }

    /// Keeps what a server said.
    pub fn learn(&mut self, seen: Seen, moment: &Moment<'_>) {
        let (key, known) = match seen {
            Seen::Is { key, known } => (key, known),
            Seen::Used { key, seen } => {
                let Some(mut known) = self.known(&key) else { return };
                Arc::make_mut(&mut known.session).seen = seen.max(known.session.seen);
                (key, known)
            }
            Seen::Gone { key } => {
                self.remove(&key);
                return;
            }
            Seen::AllGone { key, keep } => {
                self.end_all(&key, keep.as_ref(), moment);
                return;
            }
        };
        let now = moment.now;
        let Known { session, mark: new } = known;
        if let Some(Seat { body: Body::Live(known), standing: Standing::Copy(at), mark, .. }) =
            self.copies.get_mut(&key)
            && (Arc::ptr_eq(known, &session) || (*mark == new && *known == session))
        {
            *at = now;
            return;
        }
        // What waits for its way to the server is newer than what was read there.
        if self.own.contains_key(&key) {
            return;
        }
        let kept = self.put(key.clone(), session, Standing::Copy(now), new, moment);
        if !kept {
            self.remove(&key);
        }
    }

    /// What waited was written to the server, or given up.
    pub fn settled(&mut self, key: &[u8], now: u64) {
        if let Some((key, seat)) = self.own.remove_entry(key) {
            self.copies.put(key, Seat { standing: Standing::Copy(now), mark: 0, ..seat });
        }
    }

    /// What is known of it is worth nothing.
    pub fn forget(&mut self, key: &[u8]) {
        self.remove(key);
    }

    /// Ends all of a user's that were born until then, whoever said that they are ended.
    pub fn heed(&mut self, key: &Bytes, at: Stamp, end: &EndAll, moment: &Moment<'_>) {
        let Some(all) = user_of(key).and_then(|user| self.users.get(&user)) else { return };
        for session in all.clone() {
            let stays = end.keep.is_some() && end.keep == Some(SessionKeys::tail(&session));
            let limit = if stays { end.others } else { Some(at) };
            let limit = limit.map_or(0, |limit| moment.settled(limit.micros));
            let ended = match self.seat(&session).map(|seat| &seat.body) {
                Some(Body::Live(session)) => moment.settled(session.born.micros) <= limit,
                _ => false,
            };
            if ended {
                self.remove(&session);
            }
        }
    }

    /// Lets go of what has ended, and says how many.
    pub fn sweep(&mut self, stamps: &Stamps, at_most: usize) -> usize {
        let now = stamps.server_micros();
        let mut gone = 0;
        while gone < at_most
            && let Some((ends, key)) = self.ends.first().cloned()
            && stamps.settle(Stamp { micros: ends, process: 0 }).micros <= now
        {
            self.remove(&key);
            gone += 1;
        }
        gone
    }

    fn read(&mut self, key: &Bytes, known_ms: u64, moment: &Moment<'_>, alone: bool) -> Outcome {
        match self.live(key, known_ms, moment, alone) {
            Some(Body::Live(session)) => Outcome::Done(session.clone()),
            Some(Body::Moved(to, _)) => Outcome::Moved(to.clone()),
            None => Outcome::Absent,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are the parts of one question")]
    fn write(
        &mut self,
        key: &Bytes,
        ask: &Ask,
        delta: &Delta,
        version: Option<u64>,
        most: u64,
        moment: &Moment<'_>,
        alone: bool,
    ) -> Answer {
        let told =
            |outcome| Ok(Reply::Session(Box::new(Told::new(outcome, key, ask, moment.stamps))));
        let mut session = match self.live(key, ask.known_ms, moment, alone) {
            Some(Body::Moved(to, _)) => return told(Outcome::Moved(to.clone())),
            Some(Body::Live(session)) => {
                if version.is_some_and(|version| version != session.version) {
                    return told(Outcome::Conflict(session.clone()));
                }
                let mut session = Session::clone(session);
                session.apply(delta.clone());
                session
            }
            None => match &delta.head {
                Some(head) => {
                    if head.user.is_empty()
                        && most > 0
                        && !self.make_room_for_guest(key, most, alone)
                    {
                        return Err(no_room());
                    }
                    Session::begin(head.clone(), delta.clone())
                }
                None => return told(Outcome::Absent),
            },
        };
        forget_removed(&mut session, moment);
        let session = Arc::new(session);
        let vouched = self.seat(key).and_then(Seat::vouched);
        while !self.put(key.clone(), session.clone(), Standing::Own(vouched), 0, moment) {
            // Where memory is all there is, guests make room.
            if alone || !self.drop_guest(None, Some(key)) {
                return Err(no_room());
            }
        }
        told(Outcome::Done(session))
    }

    /// Ends it; where another took its place, that is told.
    fn end(&mut self, key: &Bytes, moment: &Moment<'_>) -> Outcome {
        let now = moment.stamps.server_micros();
        // Who comes when the old id leads nowhere any more has nothing to end.
        if let Some(Seat { body: Body::Moved(_, until), .. }) = self.seat(key)
            && moment.settled(*until) <= now
        {
            return Outcome::Absent;
        }
        let Some(seat) = self.remove(key) else { return Outcome::Absent };
        match seat.body {
            Body::Live(session) if moment.settled(seat.ends) > now => Outcome::Done(session),
            Body::Moved(to, _) => Outcome::Moved(to),
            Body::Live(_) => Outcome::Absent,
        }
    }

    /// Gives it another key, and leaves word of it.
    fn rename(
        &mut self,
        key: &Bytes,
        ask: &Ask,
        to: &Bytes,
        grace_ms: u64,
        moment: &Moment<'_>,
        alone: bool,
    ) -> Answer {
        let told = |outcome, key: &Bytes| {
            Ok(Reply::Session(Box::new(Told::new(outcome, key, ask, moment.stamps))))
        };
        let new = SessionKeys::renamed(key, to);
        match self.live(key, ask.known_ms, moment, alone) {
            Some(Body::Moved(to, _)) => return told(Outcome::Moved(to.clone()), key),
            Some(Body::Live(_)) => {}
            None => return told(Outcome::Absent, key),
        }
        let Some(seat) = self.remove(key) else { return told(Outcome::Absent, key) };
        let vouched = seat.vouched();
        let Body::Live(mut session) = seat.body else { return told(Outcome::Absent, key) };
        Arc::make_mut(&mut session).version += 1;
        let body = Body::Live(session.clone());
        let standing = Standing::Own(vouched);
        self.insert(
            new.clone(),
            Seat { body, standing, mark: 0, ends: seat.ends, bytes: seat.bytes },
        );
        let now = moment.stamps.server_micros();
        let until = now.saturating_add(grace_ms.saturating_mul(1000));
        let bytes = SEAT + key.len() + to.len();
        // Who ends it by the old one ends it, however late.
        let (body, standing) = (Body::Moved(to.clone(), until), Standing::Own(None));
        self.insert(key.clone(), Seat { body, standing, mark: 0, ends: seat.ends, bytes });
        told(Outcome::Done(session), &new)
    }

    /// Ends all that are known of a user's, but one.
    fn end_all(&mut self, key: &Bytes, keep: Option<&Bytes>, moment: &Moment<'_>) -> u64 {
        let Some(all) = user_of(key).and_then(|user| self.users.get(&user)) else { return 0 };
        let all: Vec<Bytes> = all.iter().filter(|one| Some(*one) != keep).cloned().collect();
        let now = moment.stamps.server_micros();
        let mut ended = 0;
        for session in all {
            let seat = self.remove(&session);
            ended += u64::from(seat.is_some_and(|seat| {
                matches!(seat.body, Body::Live(_)) && moment.settled(seat.ends) > now
            }));
        }
        ended
    }

    /// What is there and counts still.
    fn live(
        &mut self,
        key: &Bytes,
        known_ms: u64,
        moment: &Moment<'_>,
        alone: bool,
    ) -> Option<&Body> {
        let now = moment.stamps.server_micros();
        self.copies.promote(key);
        let seat = self.seat(key)?;
        let vouched = seat.vouched();
        let too_old =
            alone && vouched.is_some_and(|at| moment.now.saturating_sub(at) > known_ms * 1000);
        let over = match &seat.body {
            Body::Live(_) => moment.settled(seat.ends) <= now,
            Body::Moved(_, until) => moment.settled(*until) <= now,
        };
        if too_old || over {
            return None;
        }
        Some(&seat.body)
    }

    /// The live sessions of a list, by when they end.
    fn listed(&self, key: &Bytes, moment: &Moment<'_>) -> Vec<(u64, Bytes)> {
        let now = moment.stamps.server_micros();
        let ends = |session: &Bytes| {
            let seat = self.seat(session)?;
            let live = matches!(seat.body, Body::Live(_)) && moment.settled(seat.ends) > now;
            live.then(|| (moment.settled(seat.ends), session.clone()))
        };
        let all = match user_of(key) {
            Some(user) => self.users.get(&user),
            None => self.lists.get(key),
        };
        all.into_iter().flatten().filter_map(ends).collect()
    }

    /// How many live ones a list has.
    fn count(&mut self, key: &Bytes, moment: &Moment<'_>) -> u64 {
        while self.sweep(moment.stamps, STEP) == STEP {}
        self.lists.get(key).map_or(0, BTreeSet::len) as u64
    }

    /// One guest less of the shard where there are as many as may be. False: all of them wait for the server.
    fn make_room_for_guest(&mut self, key: &Bytes, most: u64, alone: bool) -> bool {
        // The bound is that of a shard; here all of them count together.
        let most = usize::try_from(most.saturating_mul(SHARDS)).unwrap_or(usize::MAX);
        let family = SessionKeys::family(key);
        while self.guests.get(family).copied().unwrap_or(0) >= most {
            let family = Bytes::copy_from_slice(family);
            if !self.drop_guest(Some((&family, alone)), None) {
                return false;
            }
        }
        true
    }

    /// Lets go of the guest that ends first, of a family or of all; of those that wait for a server none. False: there is
    /// none.
    fn drop_guest(&mut self, of: Option<(&Bytes, bool)>, but: Option<&Bytes>) -> bool {
        let alone = of.is_some_and(|(_, alone)| alone);
        let may_go = |key: &Bytes| {
            Some(key) != but
                && (!alone || self.copies.contains(key))
                && matches!(self.seat(key), Some(Seat { body: Body::Live(_), .. }))
        };
        let family = of.map(|(family, _)| family);
        let is_one = |key: &Bytes| {
            is_guest(key) && family.is_none_or(|family| SessionKeys::family(key) == family)
        };
        let mut all = self.ends.iter().map(|(_, key)| key).filter(|key| is_one(key));
        let found = all.find(|key| may_go(key)).cloned();
        found.is_some_and(|key| self.remove(&key).is_some())
    }

    fn put(
        &mut self,
        key: Bytes,
        session: Arc<Session>,
        standing: Standing,
        mark: u64,
        moment: &Moment<'_>,
    ) -> bool {
        let ends = session.ends(moment.stamps);
        let bytes = SEAT + 2 * key.len() + session.bytes();
        // What it replaces makes room, if there is room for it at all.
        let before = self.seat(&key).map_or(0, |seat| seat.bytes);
        if !self.make_room(bytes.saturating_sub(before), &key, moment) {
            return false;
        }
        self.remove(&key);
        self.insert(key, Seat { body: Body::Live(session), standing, mark, ends, bytes });
        true
    }

    fn make_room(&mut self, needed: usize, but: &Bytes, moment: &Moment<'_>) -> bool {
        let Some(room) = self.limit.checked_sub(needed) else { return false };
        if self.bytes > room {
            self.sweep(moment.stamps, STEP);
        }
        while self.bytes > room {
            let mut oldest = self.copies.iter().rev();
            let Some(key) = oldest.find(|(key, _)| *key != but).map(|(key, _)| key.clone()) else {
                return false;
            };
            self.remove(&key);
        }
        true
    }

    fn seat(&self, key: &[u8]) -> Option<&Seat> {
        self.copies.peek(key).or_else(|| self.own.get(key))
    }

    fn insert(&mut self, key: Bytes, seat: Seat) {
        self.bytes += seat.bytes;
        self.ends.insert((seat.ends, key.clone()));
        if let Body::Live(_) = seat.body
            && let Some(keys) = SessionKeys::of(&key)
        {
            self.lists.entry(keys.all).or_default().insert(key.clone());
            if is_guest(&key) {
                let family = Bytes::copy_from_slice(SessionKeys::family(&key));
                *self.guests.entry(family).or_default() += 1;
            } else if let Some(user) = part_of(&key) {
                self.users.entry(user).or_default().insert(key.clone());
            }
        }
        match seat.standing {
            Standing::Copy(_) => drop(self.copies.put(key, seat)),
            Standing::Own(_) => drop(self.own.insert(key, seat)),
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<Seat> {
        let (key, seat) = self.copies.pop_entry(key).or_else(|| self.own.remove_entry(key))?;
        self.bytes -= seat.bytes;
        self.ends.remove(&(seat.ends, key.clone()));
        if let Body::Live(_) = seat.body
            && let Some(keys) = SessionKeys::of(&key)
        {
            take_off(&mut self.lists, &keys.all, &key);
            if is_guest(&key)
                && let Some(count) = self.guests.get_mut(SessionKeys::family(&key))
            {
                *count -= 1;
            }
            if let Some(user) = part_of(&key) {
                take_off(&mut self.users, &user, &key);
            }
        }
        Some(seat)
    }
}

impl Seat {
    /// When a server vouched for it last.
    fn vouched(&self) -> Option<u64> {
        match self.standing {
            Standing::Copy(at) => Some(at),
            Standing::Own(at) => at,
        }
    }
}

impl Moment<'_> {
    fn settled(&self, micros: u64) -> u64 {
        match micros {
            u64::MAX => micros,
            micros => self.stamps.settle(Stamp { micros, process: 0 }).micros,
        }
    }
}

/// That a field was removed has to be known only as long as an older value of it may come.
fn forget_removed(session: &mut Session, moment: &Moment<'_>) {
    const MANY: usize = 256;
    const HOUR: u64 = 3_600_000_000;
    if session.fields.len() > MANY {
        let oldest = moment.stamps.server_micros().saturating_sub(HOUR);
        session.fields.retain(|_, field| {
            field.value.is_some() || moment.stamps.settle(field.stamp).micros > oldest
        });
    }
}

fn take_off(lists: &mut HashMap<Bytes, BTreeSet<Bytes>>, list: &Bytes, key: &Bytes) {
    if let Some(all) = lists.get_mut(list) {
        all.remove(key);
        if all.is_empty() {
            lists.remove(list);
        }
    }
}

fn no_room() -> Error {
    Error::new(ErrorKind::Full, "memory has no room for another session")
}

fn is_guest(session: &[u8]) -> bool {
    SessionKeys::part(session).is_none_or(|part| part.first() != Some(&b'u'))
}

/// What the keys of all of its user's begin with.
fn part_of(session: &Bytes) -> Option<Bytes> {
    SessionKeys::part(session)
        .map(|part| session.slice(..session.len() - (SESSION_TAIL - part.len())))
}

/// The same beside the key of what is known of a user.
fn user_of(key: &[u8]) -> Option<Bytes> {
    SessionKeys::beside(key, SessionKeys::user(key)?)
}

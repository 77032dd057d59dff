//! Sessions: what one holds, what can be asked of it, and how changes of it come together.
//!
//! A session is a state that merges: of each field the newest stamp counts, of its use the latest moment, and an end is
//! final. So changes commute, may arrive twice, and need no order among processes. The scripts do the same on the
//! server; `tests/sessions.rs` compares them.
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::keys::SessionKeys;
use crate::base::stamp::{Stamp, Stamps};

/// The field that says after how many ms without use a session ends.
pub const IDLE: &[u8] = b".idle";
/// The one that says when it was made, in ms on the clock of the host that made it: for people to read.
pub const CREATED: &[u8] = b".created";

/// One part of a session: what it was set to, or that it was removed, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub stamp: Stamp,
    pub value: Option<Bytes>,
}

/// Users' fields begin with a colon, our own with a dot.
pub type Fields = BTreeMap<Bytes, Field>;

/// What a session is made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Empty: a guest.
    pub user: Bytes,
    pub created: Stamp,
    /// So long after that it ends, however much it is used, ms; 0: never.
    pub absolute_ms: u64,
}

/// What is to become of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// With it a session that is not there is made.
    pub head: Option<Head>,
    /// Since when it is there; with a head. What ended all of its user's before is not about it.
    pub born: Option<Stamp>,
    /// When it was used.
    pub seen: Option<Stamp>,
    /// The version behind which it stands then.
    pub behind: u64,
    /// The last parts of the keys that it had before: the server may know it under the first.
    pub from: Vec<Bytes>,
    /// For so many ms these lead to it.
    pub lead_ms: u64,
    pub fields: Fields,
}

/// A session as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    pub head: Head,
    pub born: Stamp,
    pub seen: Stamp,
    /// Grows with every change but use.
    pub version: u64,
    pub fields: Fields,
    shown: text::Shown,
}

/// What sessions may do while no server answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outage {
    /// What is known here is read and written, and written to the server later.
    #[default]
    Local,
    /// It is read; of changes only the end is taken.
    ReadOnly,
    /// Nothing.
    Fail,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    Read,
    /// Changes a session, or makes it; only if it is at that version, where one is said. Of guests so many are kept in
    /// a shard; 0: all.
    Write {
        delta: Delta,
        version: Option<u64>,
        most: u64,
    },
    /// Ends it, and what took its place; for so many ms that is known of one that is not.
    End {
        stamp: Stamp,
        absolute_ms: u64,
    },
    /// Gives it another key, whose last part is said. For so many ms who still asks for the old one is told of it.
    Move {
        stamp: Stamp,
        to: Bytes,
        grace_ms: u64,
    },
    /// Ends all of a user's but one, whose last part of the key is said. The key is the user's.
    EndAll {
        stamp: Stamp,
        keep: Option<Bytes>,
        absolute_ms: u64,
    },
    /// Lists keys' last parts, those first that end first. The key is that of the list.
    List {
        from: u64,
        count: u64,
    },
    /// Takes those off the lists that are no more. The key is that of their list.
    Sweep {
        tails: Vec<Bytes>,
    },
    /// How many live sessions a list has.
    Count,
}

impl Deed {
    pub fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Write { delta, .. } => delta.stamp(),
            Self::End { stamp, .. } | Self::Move { stamp, .. } | Self::EndAll { stamp, .. } => {
                Some(*stamp)
            }
            Self::Read | Self::List { .. } | Self::Sweep { .. } | Self::Count => None,
        }
    }
}

/// What is asked, and what goes without a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub deed: Deed,
    pub outage: Outage,
    /// Whether a session of a user may begin meanwhile.
    pub logins: bool,
    /// A copy that no server vouched for since so many ms does not count.
    pub known_ms: u64,
    /// Who asks wants to know what became of it, and not what it holds.
    pub brief: bool,
}

/// What it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there, and as it is now; where it was ended, as it was.
    Done(Arc<Session>),
    /// That it was used is noted.
    Used,
    /// It is not there.
    Absent,
    /// Another took its place.
    Moved(Bytes),
    /// It is at another version.
    Conflict(Arc<Session>),
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub outcome: Outcome,
    /// The last part of its key, by which it may be named.
    pub handle: Bytes,
    /// Memory answered for a server that doesn't.
    pub degraded: bool,
    /// Guests beyond the bound, which are to go.
    pub spare: Vec<Bytes>,
    /// Until it ends if nobody uses it, and since it was used, ms.
    pub left_ms: u64,
    pub unused_ms: u64,
    /// Until it ends however much it is used.
    pub absolute_left_ms: u64,
    /// Of one that is there, what its user sees of it, as JSON; empty where only what became of it is asked.
    pub text: Bytes,
}

impl Told {
    pub fn new(outcome: Outcome, key: &Bytes, ask: &Ask, stamps: &Stamps) -> Self {
        let now = stamps.server_micros();
        let left = |at: u64| at.saturating_sub(now) / 1000;
        let (left_ms, unused_ms, absolute_left_ms) = match &outcome {
            Outcome::Done(session) | Outcome::Conflict(session) => {
                let seen = stamps.settle(session.seen).micros;
                let unused = now.saturating_sub(seen) / 1000;
                // What the server's clock is ahead of what is known of it here is no more life.
                let most = |ms: u64| if ms == 0 { u64::MAX } else { ms };
                let absolute =
                    left(session.absolute_end(stamps)).min(most(session.head.absolute_ms));
                (left(session.ends(stamps)).min(most(session.idle_ms())), unused, absolute)
            }
            Outcome::Used | Outcome::Absent | Outcome::Moved(_) => (0, 0, 0),
        };
        let handle = SessionKeys::tail(key);
        // Who must try again has to see it.
        let hidden = ask.brief && !matches!(outcome, Outcome::Conflict(_));
        let shown = outcome.session().filter(|_| !hidden);
        let text = shown.map(|session| text::of(session, &handle)).unwrap_or_default();
        let (degraded, spare) = (false, Vec::new());
        Self { outcome, handle, degraded, spare, left_ms, unused_ms, absolute_left_ms, text }
    }
}

impl Outcome {
    /// The session, where there is one to show.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Self::Done(session) | Self::Conflict(session) => Some(session),
            Self::Used | Self::Absent | Self::Moved(_) => None,
        }
    }
}

/// A session as a server had it.
#[derive(Clone, Debug)]
pub struct Known {
    pub session: Arc<Session>,
    /// When it was changed last, in µs of the server's clock: with the version it tells this state from any other, also
    /// from those of a server that has lost some and went on.
    pub mark: u64,
}

/// What a server said of a session, for whoever keeps copies.
#[derive(Clone, Debug)]
pub enum Seen {
    Is {
        key: Bytes,
        known: Known,
    },
    /// It was used.
    Used {
        key: Bytes,
        seen: Stamp,
    },
    Gone {
        key: Bytes,
    },
    /// All sessions of a user but one are ended. The key is the user's.
    AllGone {
        key: Bytes,
        keep: Option<Bytes>,
    },
}

impl Delta {
    pub fn stamp(&self) -> Option<Stamp> {
        let fields = self.fields.values().map(|field| field.stamp).max();
        let created = self.head.as_ref().map(|head| head.created);
        fields.max(self.born).max(self.seen).max(created)
    }

    /// Both as one, in whatever order they came.
    pub fn fold(&mut self, other: Self) {
        self.head = self.head.take().or(other.head);
        self.born = self.born.or(other.born);
        self.seen = self.seen.max(other.seen);
        self.behind = self.behind.max(other.behind);
        if self.from.is_empty() {
            self.from = other.from;
        }
        self.lead_ms = self.lead_ms.max(other.lead_ms);
        let mut few = other.fields;
        if few.len() > self.fields.len() {
            std::mem::swap(&mut self.fields, &mut few);
        }
        merge(&mut self.fields, few);
    }

    /// All that a session is, to be made where it is not there.
    pub fn of(session: &Session) -> Self {
        Self {
            head: Some(session.head.clone()),
            behind: session.version,
            from: Vec::new(),
            lead_ms: 0,
            born: Some(session.born),
            seen: Some(session.seen),
            fields: session.fields.clone(),
        }
    }

    pub fn moved(mut self, moved: &dyn Fn(Stamp) -> Stamp) -> Self {
        if let Some(head) = &mut self.head {
            head.created = moved(head.created);
        }
        self.born = self.born.map(moved);
        self.seen = self.seen.map(moved);
        self.fields.values_mut().for_each(|field| field.stamp = moved(field.stamp));
        self
    }

    pub fn bytes(&self) -> usize {
        bytes_of(&self.fields) + self.head.as_ref().map_or(0, |head| head.user.len())
    }
}

impl Session {
    /// What is made of a delta where nothing was.
    pub fn begin(head: Head, delta: Delta) -> Self {
        let (born, seen) = (delta.born.unwrap_or(head.created), delta.seen.unwrap_or(head.created));
        let Delta { fields, behind, .. } = delta;
        Self { version: behind + 1, head, born, seen, fields, shown: text::Shown::default() }
    }

    pub fn apply(&mut self, delta: Delta) {
        let Delta { behind, seen, fields, .. } = delta;
        self.seen = seen.map_or(self.seen, |seen| seen.max(self.seen));
        self.version = self.version.max(behind) + u64::from(!fields.is_empty());
        merge(&mut self.fields, fields);
        self.shown = text::Shown::default();
    }

    pub fn idle_ms(&self) -> u64 {
        self.number(IDLE)
    }

    pub fn created_ms(&self) -> u64 {
        self.number(CREATED)
    }

    fn number(&self, name: &[u8]) -> u64 {
        let value = self.fields.get(name).and_then(|field| field.value.as_deref());
        let text = value.and_then(|value| std::str::from_utf8(value).ok());
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// When it ends if nobody uses it, in µs of the server's clock.
    pub fn ends(&self, stamps: &Stamps) -> u64 {
        after(stamps, self.seen, self.idle_ms()).min(self.absolute_end(stamps))
    }

    /// When it ends however much it is used.
    pub fn absolute_end(&self, stamps: &Stamps) -> u64 {
        after(stamps, self.head.created, self.head.absolute_ms)
    }

    pub fn is_guest(&self) -> bool {
        self.head.user.is_empty()
    }

    /// The newest stamp in it, above which own later changes stand.
    pub fn newest(&self) -> Stamp {
        let fields = self.fields.values().map(|field| field.stamp).max();
        fields.unwrap_or_default().max(self.born)
    }

    pub fn bytes(&self) -> usize {
        // The values stand in its text once more.
        let values = self.fields.values().filter_map(|field| Some(field.value.as_ref()?.len()));
        let text = 64 + values.sum::<usize>();
        bytes_of(&self.fields) + self.head.user.len() + size_of::<Self>() + text
    }
}

fn after(stamps: &Stamps, stamp: Stamp, ms: u64) -> u64 {
    match ms {
        0 => u64::MAX,
        ms => stamps.settle(stamp).micros.saturating_add(ms.saturating_mul(1000)),
    }
}

fn merge(fields: &mut Fields, others: Fields) {
    for (name, field) in others {
        match fields.get_mut(&name) {
            Some(known) if known.stamp > field.stamp => {}
            Some(known) => *known = field,
            None => drop(fields.insert(name, field)),
        }
    }
}

/// What a node of the map and the two shared headers cost, with what the allocator adds.
const FIELD: usize = 192;

fn bytes_of(fields: &Fields) -> usize {
    let value = |field: &Field| field.value.as_ref().map_or(0, Bytes::len);
    fields.iter().map(|(name, field)| FIELD + name.len() + value(field)).sum()
}

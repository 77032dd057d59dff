//! A store too naive to be wrong in the same way as the real one, and entries to try them on.
use bytes::Bytes;

use crate::backend::memory::entry::{OVERHEAD, TAGS, TERMS};
use crate::backend::memory::store::{
    Data, End, Entry, Evicted, Hash, List, Set, Standing, Taken, Terms,
};
use crate::backend::{Meta, Scope};
use crate::base::stamp::Stamp;

pub fn entry(payload: &[u8], expires_at: Option<u64>, standing: Standing) -> Entry {
    let meta = Meta { expires_at, ..Meta::default() };
    Entry::new(Data::Bytes(Bytes::copy_from_slice(payload)), &meta, standing)
}

pub fn clean(payload: &[u8]) -> Entry {
    entry(payload, None, Standing::Clean)
}

pub fn journalled(payload: &[u8], micros: u64) -> Entry {
    Entry { stamp: Stamp { micros, process: 1 }, ..entry(payload, None, Standing::Journalled) }
}

pub fn expiring(payload: &[u8], at: u64) -> Entry {
    entry(payload, Some(at), Standing::Clean)
}

pub fn keys(names: &[&[u8]]) -> Vec<Box<[u8]>> {
    names.iter().map(|name| Box::from(*name)).collect()
}

pub fn sorted(mut keys: Vec<Box<[u8]>>) -> Vec<Box<[u8]>> {
    keys.sort();
    keys
}

/// All that can be seen of an entry.
pub type Seen = (Data, Meta, Standing, Option<Box<Terms>>, (u32, u32, u16));

pub fn seen(entry: &Entry) -> Seen {
    let meta = entry.meta();
    let Entry { data, standing, link, linked_at, owner, terms, .. } = entry.clone();
    (data, meta, standing, terms, (link, linked_at, owner))
}

/// A value of each type in turn, with about so many bytes; a collection has an element at least.
pub fn data(kind: u8, size: usize) -> Data {
    let mut data = match kind % 4 {
        0 => return Data::Bytes(vec![7; size].into()),
        1 => Data::Hash(Box::default()),
        2 => Data::List(Box::default()),
        _ => Data::Set(Box::default()),
    };
    for name in 0..=size / 100 {
        Change::Add(name as u8, size % 100).apply(&mut data);
    }
    data
}

/// A change in place.
#[derive(Clone, Debug)]
pub enum Change {
    /// A field, a member or a piece with so many bytes; a string of that length instead of what it was.
    Add(u8, usize),
    /// One of them goes.
    Take(u8),
}

impl Change {
    pub fn apply(&self, data: &mut Data) -> usize {
        match (self, data) {
            (Self::Add(_, size), Data::Bytes(bytes)) => {
                *bytes = vec![7; *size].into();
                bytes.len()
            }
            (Self::Add(name, size), Data::Hash(hash)) => {
                usize::from(hash.insert(&[*name], &vec![7; *size]))
            }
            (Self::Add(_, size), Data::List(list)) => {
                list.push(End::Left, &vec![7; *size]);
                list.len()
            }
            (Self::Add(name, size), Data::Set(set)) => usize::from(set.insert(&vec![*name; *size])),
            (Self::Take(_), Data::Bytes(bytes)) => {
                *bytes = Bytes::new();
                0
            }
            (Self::Take(name), Data::Hash(hash)) => usize::from(hash.remove(&[*name])),
            (Self::Take(_), Data::List(list)) => {
                list.pop(End::Right).map_or(0, |piece| piece.len())
            }
            (Self::Take(_), Data::Set(set)) => set.pop().map_or(0, |member| member.len()),
        }
    }

    /// By how much it makes anything grow, at most.
    pub fn grows(&self) -> usize {
        match self {
            Self::Add(_, size) => Hash::FIELD.max(List::ELEMENT).max(Set::MEMBER) + 1 + size,
            Self::Take(_) => 0,
        }
    }
}

fn weight(key: &[u8], entry: &Entry) -> usize {
    let tags = entry.tags().map_or(0, |tags| TAGS + tags.stored().len());
    let terms = entry.terms.as_ref().map_or(0, |_| TERMS);
    key.len() + entry.data.recount() + OVERHEAD + terms + tags
}

/// The store as one list, used longest ago first, with every rule written out by scanning it.
pub struct Model {
    pub limit: usize,
    /// Key, entry, and the number of the set that wrote it or gave it its expiry.
    pub entries: Vec<(Vec<u8>, Entry, u64)>,
    pub leases: Vec<(Vec<u8>, Taken)>,
    pub sets: u64,
}

impl Model {
    fn place(&self, key: &[u8]) -> Option<usize> {
        self.entries.iter().position(|(held, ..)| held == key)
    }

    pub fn bytes(&self) -> usize {
        self.entries.iter().map(|(key, entry, _)| weight(key, entry)).sum()
    }

    pub fn live(&self, key: &[u8], now: u64) -> Option<Seen> {
        let (_, entry, _) = &self.entries[self.place(key)?];
        entry.expires_at.is_none_or(|at| at > now).then(|| seen(entry))
    }

    pub fn live_keys(&self, prefix: &[u8], now: u64) -> Vec<Box<[u8]>> {
        let keys = self.entries.iter().map(|(key, ..)| key);
        let live = keys.filter(|key| key.starts_with(prefix) && self.live(key, now).is_some());
        sorted(live.map(|key| Box::from(&**key)).collect())
    }

    fn take_out(&mut self, key: &[u8]) {
        self.entries.retain(|(held, ..)| held != key);
    }

    pub fn drop_lease(&mut self, key: &[u8]) {
        self.leases.retain(|(held, _)| held != key);
    }

    pub fn get(&mut self, key: &[u8], now: u64) -> Option<Seen> {
        let answer = self.live(key, now);
        if let Some(place) = self.place(key) {
            let used = self.entries.remove(place);
            if answer.is_some() {
                self.entries.push(used);
            }
        }
        answer
    }

    fn first_due(&self, now: u64) -> Option<usize> {
        (0..self.entries.len())
            .filter(|place| self.entries[*place].1.expires_at.is_some_and(|at| at <= now))
            .min_by_key(|place| (self.entries[*place].1.expires_at, self.entries[*place].2))
    }

    pub fn set(&mut self, key: &[u8], entry: Entry, now: u64) -> Option<Evicted> {
        let needed = weight(key, &entry);
        if needed > self.limit {
            return None;
        }
        self.drop_lease(key);
        self.take_out(key);
        if entry.expires_at.is_some_and(|at| at <= now) {
            return Some(Evicted::default());
        }
        let evicted = self.make_room(needed, now);
        self.sets += 1;
        self.entries.push((key.to_vec(), entry, self.sets));
        Some(evicted)
    }

    fn make_room(&mut self, needed: usize, now: u64) -> Evicted {
        let mut evicted = Evicted::default();
        while self.bytes() + needed > self.limit {
            let first_clean =
                self.entries.iter().position(|held| held.1.standing == Standing::Clean);
            if let Some(due) = self.first_due(now) {
                self.entries.remove(due);
            } else if let Some(place) = first_clean {
                self.entries.remove(place);
                evicted.clean += 1;
            } else {
                evicted.journalled.push(self.entries.remove(0).0.into_boxed_slice());
            }
        }
        evicted
    }

    /// `None` is full.
    pub fn update(
        &mut self,
        key: &[u8],
        change: &Change,
        now: u64,
    ) -> Option<Option<(usize, Evicted)>> {
        let Some(place) = self.live_place(key, now) else { return Some(None) };
        let mut entry = self.entries[place].1.clone();
        let answer = change.apply(&mut entry.data);
        let needed = weight(key, &entry);
        if needed > self.limit {
            return None;
        }
        self.drop_lease(key);
        let (key, _, number) = self.entries.remove(place);
        if entry.data.is_spent() {
            return Some(Some((answer, Evicted::default())));
        }
        let evicted = self.make_room(needed, now);
        self.entries.push((key, entry, number));
        Some(Some((answer, evicted)))
    }

    pub fn expire(&mut self, key: &[u8], expires_at: Option<u64>, now: u64) -> bool {
        if expires_at.is_some_and(|at| at <= now) {
            return self.remove(key, now).is_some();
        }
        let Some(place) = self.live_place(key, now) else { return false };
        self.drop_lease(key);
        self.sets += 1;
        let (key, entry, _) = self.entries.remove(place);
        self.entries.push((key, Entry { expires_at, ..entry }, self.sets));
        true
    }

    pub fn make_stale(&mut self, key: &[u8], now: u64) -> bool {
        self.drop_lease(key);
        let Some(place) = self.live_place(key, now) else { return false };
        let (key, mut entry, number) = self.entries.remove(place);
        let Meta { load_ms, tags, .. } = entry.meta();
        let checked = entry.terms.map_or(0, |terms| terms.checked);
        entry.terms = Some(Box::new(Terms { fresh_until: Some(0), load_ms, tags, checked }));
        self.entries.push((key, entry, number));
        // It grew, and may be what has to go for it.
        self.make_room(0, now);
        true
    }

    /// Where a live entry is; one that is expired goes.
    fn live_place(&mut self, key: &[u8], now: u64) -> Option<usize> {
        if self.live(key, now).is_none() {
            self.take_out(key);
        }
        self.place(key)
    }

    pub fn remove(&mut self, key: &[u8], now: u64) -> Option<Seen> {
        let answer = self.live(key, now);
        self.drop_lease(key);
        self.take_out(key);
        answer
    }

    pub fn mark_journalled(&mut self, key: &[u8]) {
        let Some(place) = self.place(key) else { return };
        if self.entries[place].1.standing == Standing::Clean {
            let mut used = self.entries.remove(place);
            used.1.standing = Standing::Journalled;
            self.entries.push(used);
        }
    }

    pub fn relink(&mut self, key: &[u8], link: u32) {
        let Some(place) = self.place(key) else { return };
        let entry = &mut self.entries[place].1;
        if entry.standing == Standing::Clean {
            (entry.link, entry.linked_at) = (link, 7);
        }
    }

    pub fn mark_clean(&mut self, key: &[u8], stamp: Stamp) {
        let Some(place) = self.place(key) else { return };
        let held = &self.entries[place].1;
        if held.standing == Standing::Journalled && held.stamp == stamp {
            let mut used = self.entries.remove(place);
            used.1.standing = Standing::Clean;
            self.entries.push(used);
        }
    }

    pub fn sweep(&mut self, now: u64, at_most: usize) -> usize {
        let mut swept = 0;
        while swept < at_most {
            let Some(due) = self.first_due(now) else { break };
            self.entries.remove(due);
            swept += 1;
        }
        swept
    }

    /// How many of those that went were live.
    pub fn remove_scope(&mut self, scope: &Scope, stamp: Stamp, now: u64) -> usize {
        let goes = |key: &[u8], entry: &Entry| {
            scope.covers(key, entry.tags().is_some()) && entry.stamp <= stamp
        };
        let going = self.entries.iter().filter(|(key, entry, _)| goes(key, entry));
        let live = going.filter(|(key, ..)| self.live(key, now).is_some()).count();
        self.entries.retain(|(key, entry, _)| !goes(key, entry));
        self.leases.retain(|(key, _)| !scope.may_cover(key));
        live
    }

    pub fn lease(&self, key: &[u8]) -> Option<Taken> {
        self.leases.iter().find(|(held, _)| held == key).map(|(_, taken)| *taken)
    }

    pub fn take_lease(&mut self, key: &[u8], token: u64, until: u64) {
        self.drop_lease(key);
        self.leases.push((key.to_vec(), Taken { token, until }));
    }

    pub fn keep_lease(&mut self, key: &[u8], token: u64, until: u64) -> bool {
        let stands = self.lease(key).is_some_and(|taken| taken.token == token);
        if stands {
            self.take_lease(key, token, until);
        }
        stands
    }

    pub fn use_lease(&mut self, key: &[u8], token: u64) -> bool {
        let stands = self.lease(key).is_some_and(|taken| taken.token == token);
        if stands {
            self.drop_lease(key);
        }
        stands
    }
}

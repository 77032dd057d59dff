//! The streams of channels and who is present in rooms, where memory is all there is. While a server does not answer, who
//! is present is what this process was told.
//!
//! Bounded by bytes: the streams and rooms that were used longest ago go first.
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use lru::LruCache;

use crate::backend::Raw;
use crate::backend::message::{Kept, Message};

/// What a stream, a room, and an entry of either cost besides their texts.
const PLACE: usize = 256;
const ENTRY: usize = 96;

enum Place {
    Stream {
        /// When it began, µs of the boot clock, and the number of its last entry.
        began: u64,
        last: u64,
        entries: VecDeque<Bytes>,
        bytes: usize,
        /// µs of the boot clock.
        until: u64,
    },
    /// Until when who counts, with which status.
    Room(BTreeMap<Bytes, (u64, Bytes)>),
}

pub struct Messages {
    places: LruCache<Bytes, Place>,
    bytes: usize,
    limit: usize,
}

impl Messages {
    pub fn new(limit: usize) -> Self {
        Self { places: LruCache::unbounded(), bytes: 0, limit }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a message for those who come later; answers its id.
    pub fn keep(&mut self, stream: &Bytes, message: &Message, kept: Kept, now: u64) -> Bytes {
        let mut place = self.take(stream);
        let over = matches!(&place, Some(Place::Stream { until, .. }) if *until <= now);
        if over || !matches!(place, Some(Place::Stream { .. })) {
            place = None;
        }
        let mut place = place.unwrap_or_else(|| Place::Stream {
            began: now.max(1),
            last: 0,
            entries: VecDeque::new(),
            bytes: 0,
            until: 0,
        });
        let mut id = Bytes::new();
        if let Place::Stream { began, last, entries, bytes, until } = &mut place {
            *last += 1;
            *until = now.saturating_add(kept.ms.saturating_mul(1000));
            id = format!("{began}-{last}").into();
            *bytes += ENTRY + message.rest.len();
            entries.push_back(message.rest.clone());
            while entries.len() as u64 > kept.most.max(1)
                && let Some(oldest) = entries.pop_front()
            {
                *bytes -= ENTRY + oldest.len();
            }
        }
        self.put(stream.clone(), place);
        id
    }

    /// What is kept behind an entry, the oldest first, or without one the newest first.
    pub fn read(&mut self, key: &[u8], after: Option<&[u8]>, count: u64, now: u64) -> Vec<Raw> {
        let Some(Place::Stream { began, last, entries, until, .. }) = self.places.get(key) else {
            return Vec::new();
        };
        if *until <= now {
            return Vec::new();
        }
        let first = last + 1 - entries.len() as u64;
        let text = |(at, rest): (usize, &Bytes)| {
            let mark = format!("{{\"seq\":\"{began}-{}\",", first + at as u64);
            Raw::Bytes([mark.as_bytes(), rest].concat().into())
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        match after {
            Some(after) => {
                let seen = std::str::from_utf8(after).ok().and_then(|id| id.split_once('-'));
                // Of another stream of that name, all of this is new.
                let seen = seen.filter(|(other, _)| other.parse() == Ok(*began));
                let seen = seen.and_then(|(_, number)| number.parse().ok()).unwrap_or(0u64);
                let known = usize::try_from(seen.saturating_add(1).saturating_sub(first))
                    .unwrap_or(usize::MAX);
                let known = known.min(entries.len());
                (known..).zip(entries.range(known..)).take(count).map(text).collect()
            }
            None => entries.iter().enumerate().rev().take(count).map(text).collect(),
        }
    }

    /// Notes that somebody is in a room, or, without a status, no longer.
    pub fn note(&mut self, key: &Bytes, user: &Bytes, status: &Bytes, ms: u64, now: u64) {
        let mut users = match self.take(key) {
            Some(Place::Room(users)) => users,
            _ => BTreeMap::new(),
        };
        users.retain(|_, (until, _)| *until > now);
        if status.is_empty() {
            users.remove(user);
        } else {
            let until = now.saturating_add(ms.saturating_mul(1000));
            users.insert(user.clone(), (until, status.clone()));
        }
        if !users.is_empty() {
            self.put(key.clone(), Place::Room(users));
        }
    }

    /// Who is in a room, each with a status.
    pub fn present(&mut self, key: &[u8], now: u64) -> Vec<Raw> {
        let Some(Place::Room(users)) = self.places.get(key) else { return Vec::new() };
        let present = users.iter().filter(|(_, (until, _))| *until > now);
        present
            .flat_map(|(user, (_, status))| [user.clone(), status.clone()].map(Raw::Bytes))
            .collect()
    }

    fn take(&mut self, key: &Bytes) -> Option<Place> {
        let place = self.places.pop(key)?;
        self.bytes -= weight(key, &place);
        Some(place)
    }

    fn put(&mut self, key: Bytes, place: Place) {
        self.bytes += weight(&key, &place);
        self.places.put(key, place);
        while self.bytes > self.limit
            && let Some((key, place)) = self.places.pop_lru()
        {
            self.bytes -= weight(&key, &place);
        }
    }
}

fn weight(key: &[u8], place: &Place) -> usize {
    PLACE
        + 2 * key.len()
        + match place {
            Place::Stream { bytes, .. } => *bytes,
            Place::Room(users) => {
                users.iter().map(|(user, (_, status))| 2 * ENTRY + user.len() + status.len()).sum()
            }
        }
}

//! The near cache: clean copies of the server's values that answer without asking it.
//!
//! A copy answers only while the link stands under which it was read: a connection of its own, on which the
//! server tells what was changed. The link is asked for a sign of life several times a second; copies answer
//! until a second after the last question that it answered, since everything that the server told before that
//! answer has arrived with it. When the link breaks its number is over, and with it every copy of it: the copies
//! stay for an outage, but answer no more while the server does.
use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;

/// So many families can be watched: each costs the server a look at every write.
const MOST_FAMILIES: usize = 32;
const MOST_EARLY: usize = 4096;

pub struct Near {
    max_age: u32,
    enabled: bool,
    /// The link's number, 0 when there is none.
    link: u32,
    last: u32,
    /// On the boot clock.
    until: u64,
    /// What is watched under this link.
    covered: Vec<Bytes>,
    /// What should be.
    wanted: Vec<Bytes>,
    /// Places of keys of whose writes, our own, the link told before their answers came.
    early: HashSet<u32>,
}

impl Near {
    pub fn new(enabled: bool, max_age: Duration) -> Self {
        Self {
            max_age: u32::try_from(max_age.as_secs()).unwrap_or(u32::MAX),
            enabled,
            link: 0,
            last: 0,
            until: 0,
            covered: Vec::new(),
            wanted: Vec::new(),
            early: HashSet::new(),
        }
    }

    /// The link told of a key that is being written here: that may be this very write.
    pub fn heard_early(&mut self, place: u32) {
        if self.early.len() >= MOST_EARLY {
            self.early.clear();
        }
        self.early.insert(place);
    }

    /// The link that will yet tell of a write that is answered now.
    pub fn echo_of(&mut self, key: &[u8], place: u32) -> u32 {
        match self.early.remove(&place) {
            true => 0,
            false => self.link_of(key).unwrap_or(0),
        }
    }

    /// The link under which copies answer now.
    pub fn open(&self, now: u64) -> Option<u32> {
        (self.link != 0 && now < self.until).then_some(self.link)
    }

    /// The link under which what is read of this key is a copy.
    pub fn link_of(&self, key: &[u8]) -> Option<u32> {
        let covered = self.link != 0 && self.covered.iter().any(|family| key.starts_with(family));
        covered.then_some(self.link)
    }

    /// For how long a copy may answer yet, ms.
    pub fn left(&self, linked_at: u32, now: u64) -> u64 {
        let age = seconds(now).saturating_sub(linked_at);
        u64::from(self.max_age.saturating_sub(age)) * 1000
    }

    /// Asks for a family to be watched. Answers whether that is news.
    pub fn want(&mut self, family: &dyn Fn() -> Bytes, key: &[u8]) -> bool {
        let known = self.wanted.iter().any(|wanted| key.starts_with(wanted));
        if !self.enabled || known || self.wanted.len() >= MOST_FAMILIES {
            return false;
        }
        self.wanted.push(family());
        true
    }

    pub fn wanted(&self) -> &[Bytes] {
        &self.wanted
    }

    /// A link stands that watches these; anything read before is no copy of it.
    pub fn opened(&mut self, covered: Vec<Bytes>, until: u64) {
        self.last = self.last.wrapping_add(1).max(1);
        self.link = self.last;
        self.covered = covered;
        self.early.clear();
        self.until = until;
    }

    /// It watches more; what was read of that before is no copy.
    pub fn covers(&mut self, covered: Vec<Bytes>) {
        self.covered = covered;
    }

    pub fn lives(&mut self, until: u64) {
        self.until = self.until.max(until);
    }

    pub fn closed(&mut self) {
        self.link = 0;
        self.covered.clear();
    }
}

pub fn seconds(micros: u64) -> u32 {
    u32::try_from(micros / 1_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(name: &'static str) -> Bytes {
        Bytes::from_static(name.as_bytes())
    }

    #[test]
    fn copies_answer_only_while_the_link_gave_a_sign_of_life() {
        let mut near = Near::new(true, Duration::from_secs(60));
        assert_eq!(near.open(5), None);
        near.opened(vec![family("p:a:")], 10);
        assert_eq!((near.open(9), near.open(10)), (Some(1), None));
        near.lives(20);
        assert_eq!(near.open(10), Some(1));
        near.closed();
        assert_eq!(near.open(10), None);
        near.opened(vec![], 30);
        assert_eq!(near.open(10), Some(2), "another link has another number");
    }

    #[test]
    fn what_is_not_watched_is_no_copy() {
        let mut near = Near::new(true, Duration::from_secs(60));
        near.opened(vec![family("p:a:")], 10);
        assert_eq!((near.link_of(b"p:a:x"), near.link_of(b"p:b:x")), (Some(1), None));
    }

    #[test]
    fn only_so_many_families_are_watched() {
        let mut near = Near::new(true, Duration::from_secs(60));
        for at in 0..100 {
            let name = Bytes::from(format!("p:{at:03}:"));
            near.want(&|| name.clone(), &name);
        }
        assert_eq!(near.wanted().len(), MOST_FAMILIES);
        let known = near.wanted()[0].clone();
        assert!(!near.want(&|| known.clone(), &known));
    }
}

//! What is known here of tags: for each the least that its marker says.
//!
//! What was invalidated stays so: what was once known of a marker stays true as a lower bound, but for the moment
//! until which nobody knows. Whether it is all that the server's marker says is another matter: that holds as long
//! as the link stands under which it was read.
//! The table is bounded; what it forgets raises the floor, below which everything with a tag is gone as far as
//! this process can tell by itself.
use bytes::Bytes;
use lru::LruCache;

use crate::backend::policy::Marker;

/// The bytes of all names together, with what each costs beside.
const LIMIT: usize = 8 * 1024 * 1024;
const COST: usize = 200;

#[derive(Clone, Copy, Debug)]
struct Known {
    marker: Marker,
    /// The link under which it is all that the server says; 0: none.
    link: u32,
}

pub struct Markers {
    known: LruCache<Bytes, Known>,
    bytes: usize,
    floor: Marker,
    /// Counts what changed: as long as it stays, what was found good under a link is good.
    state: u64,
    /// The same for what was found good by what is known here alone, be that all or not.
    guesses: u64,
}

impl Default for Markers {
    fn default() -> Self {
        Self {
            known: LruCache::unbounded(),
            bytes: 0,
            floor: Marker::default(),
            state: 1,
            guesses: 0,
        }
    }
}

impl Markers {
    /// Changes with everything that may make a value worse, under a link or without one. Even under a link, odd
    /// without: what was found good one way says nothing the other way.
    pub fn state(&self, linked: bool) -> u64 {
        if linked { self.state << 1 } else { self.guesses << 1 | 1 }
    }

    /// The least that a marker says, and whether that is all, under this link.
    pub fn look(&self, key: &[u8], link: u32) -> (Marker, bool) {
        match self.known.peek(key) {
            Some(known) if link != 0 && known.link == link => (known.marker, true),
            Some(known) => (known.marker.certain(), false),
            None => (Marker::default(), false),
        }
    }

    /// What this process knows by itself: of a marker that it does not know the floor has to do.
    pub fn guess(&self, key: &[u8]) -> Marker {
        self.known.peek(key).map_or(self.floor, |known| known.marker)
    }

    /// A marker says at least this, from now on.
    pub fn raise(&mut self, key: &Bytes, marker: Marker) {
        self.put(key, marker, 0);
        self.state += 1;
        self.guesses += 1;
    }

    /// A marker said this to a read under this link.
    pub fn learn(&mut self, key: &Bytes, marker: Marker, link: u32) {
        self.guesses += 1;
        match self.known.get_mut(key) {
            Some(known) => {
                let before = known.marker;
                known.marker = before.certain().max(marker);
                known.link = link;
                if before.max(marker) != before {
                    self.state += 1;
                }
            }
            None => {
                // Nothing was found good without it, unless it was forgotten since.
                if self.floor != Marker::default() {
                    self.state += 1;
                }
                self.put(key, marker, link);
            }
        }
    }

    /// Somebody changed a marker: what is known of it is not all any more.
    pub fn doubt(&mut self, key: &[u8]) {
        if let Some(known) = self.known.peek_mut(key) {
            known.link = 0;
        }
        self.state += 1;
    }

    /// Anything may have changed.
    pub fn doubt_all(&mut self) {
        for (_, known) in &mut self.known {
            known.link = 0;
        }
        self.state += 1;
    }

    fn put(&mut self, key: &Bytes, marker: Marker, link: u32) {
        if let Some(known) = self.known.get_mut(key) {
            known.marker = known.marker.max(marker);
            known.link = link;
            return;
        }
        // Its own bytes: a slice would keep what it was cut from.
        let key = Bytes::copy_from_slice(key);
        self.bytes += COST + key.len();
        self.known.put(key, Known { marker, link });
        while self.bytes > LIMIT {
            let Some((key, known)) = self.known.pop_lru() else { return };
            self.bytes -= COST + key.len();
            self.floor = self.floor.max(known.marker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deleted(micros: u64) -> Marker {
        Marker { deleted: micros, ..Marker::default() }
    }

    #[test]
    fn what_is_known_never_becomes_less() {
        let mut markers = Markers::default();
        let key = Bytes::from_static(b"t");
        markers.raise(&key, deleted(9));
        markers.learn(&key, deleted(5), 3);
        assert_eq!(markers.look(&key, 3), (deleted(9), true));
        assert_eq!(markers.look(&key, 4), (deleted(9), false), "another link");
        markers.doubt(&key);
        assert_eq!(markers.look(&key, 3), (deleted(9), false));
    }

    #[test]
    fn what_is_forgotten_raises_the_floor() {
        let mut markers = Markers::default();
        let name = |at: u64| Bytes::from(format!("{at:0>1000}"));
        for at in 1..=10_000 {
            markers.raise(&name(at), deleted(at));
        }
        assert!(markers.bytes <= LIMIT);
        assert_eq!(markers.guess(&name(10_000)), deleted(10_000));
        let floor = markers.guess(&name(1));
        assert!(floor.deleted > 1 && floor.deleted < 10_000, "{floor:?}");
    }

    #[test]
    fn what_may_make_a_value_worse_changes_the_state() {
        let mut markers = Markers::default();
        let key = Bytes::from_static(b"t");
        markers.learn(&key, deleted(5), 1);
        let state = markers.state(true);
        markers.learn(&key, deleted(5), 1);
        assert_eq!(markers.state(true), state, "nothing new");
        markers.doubt(&key);
        assert_ne!(markers.state(true), state);
    }

    #[test]
    fn what_is_learned_changes_what_was_guessed_without_it() {
        let mut markers = Markers::default();
        let guessed = markers.state(false);
        markers.learn(&Bytes::from_static(b"t"), deleted(5), 1);
        assert_ne!(markers.state(false), guessed);
        assert_ne!(markers.state(false), markers.state(true));
    }
}

//! Marks of keys: a number that changes with everything that may change what a key holds.
//!
//! Whoever reads a value and keeps it somewhere else (the answer of a server, on its way into the store; a text in
//! JavaScript's own table) notes the mark before, and knows by it later whether the value still stands. Keys share
//! marks by hash; a shared one only means that something is read once more than needed.
//!
//! The words can be read from outside of any lock, also by JavaScript. They are written under the store's.
use std::sync::atomic::{AtomicU32, Ordering};

use crate::backend::Found;

/// How many marks there are; a power of two.
const MARKS: usize = 65_536;
/// Words before the marks. The first tells whether copies in front of the store may answer at all, the second
/// changes with everything that is known of tags, the third when somebody asks whether he sees the words.
pub const HEAD: usize = 3;
const OPEN: usize = 0;
const TAGS: usize = 1;
const ECHO: usize = 2;

pub struct Marks {
    words: Box<[AtomicU32]>,
    /// How many own writes are on their way, by the same hash.
    writes: Box<[AtomicU32]>,
}

impl Default for Marks {
    fn default() -> Self {
        let zeros = |count: usize| (0..count).map(|_| AtomicU32::new(0)).collect();
        Self { words: zeros(HEAD + MARKS), writes: zeros(HEAD + MARKS) }
    }
}

impl Marks {
    /// The place of what may touch any key.
    pub const ALL: u32 = 0;

    pub fn words(&self) -> &[AtomicU32] {
        &self.words
    }

    /// Which word is the key's.
    pub fn place(key: &[u8]) -> u32 {
        // FNV-1a: no secrecy needed, a crowded mark costs a read and nothing else.
        let hash = key.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // Its low bits alone are alike for keys that are alike.
        let mixed = hash ^ (hash >> 29) ^ (hash >> 43);
        u32::try_from(mixed % MARKS as u64).unwrap_or(0) + HEAD as u32
    }

    /// `u32::MAX` is never a mark.
    pub fn read(&self, place: u32) -> u32 {
        self.word(place as usize).load(Ordering::Acquire)
    }

    pub fn of(&self, key: &[u8]) -> u32 {
        self.read(Self::place(key))
    }

    /// Voids what was read of this key and kept somewhere.
    pub fn bump(&self, key: &[u8]) {
        self.next(Self::place(key) as usize);
    }

    pub fn bump_all(&self) {
        (TAGS..self.words.len()).for_each(|at| self.next(at));
    }

    /// Says in an answer for a key by which marks it stands. Under the store's lock.
    pub fn note(&self, key: &[u8], found: &mut Found) {
        let place = Self::place(key);
        found.mark = Some((place, self.read(place)));
        found.tagged = found.tagged.map(|_| self.read(TAGS as u32));
    }

    pub fn bump_tags(&self) {
        self.next(TAGS);
    }

    /// Changes a word that says nothing else.
    pub fn echo(&self) {
        self.next(ECHO);
    }

    /// Whether copies in front of the store may answer.
    pub fn open(&self, open: bool) {
        self.word(OPEN).store(u32::from(open), Ordering::Release);
    }

    /// An own write of this key is on its way: copies don't answer until it is done.
    pub fn begin_write(&self, place: u32) {
        self.writes[place as usize].fetch_add(1, Ordering::AcqRel);
        self.touch(place);
    }

    pub fn end_write(&self, place: u32) {
        self.touch(place);
        self.writes[place as usize].fetch_sub(1, Ordering::AcqRel);
    }

    pub fn is_written(&self, key: &[u8]) -> bool {
        self.writes(key) > 0
    }

    /// How many own writes of this key are on their way, at most.
    pub fn writes(&self, key: &[u8]) -> u32 {
        let writes = |place: u32| self.writes[place as usize].load(Ordering::Acquire);
        writes(Self::place(key)) + writes(Self::ALL)
    }

    fn touch(&self, place: u32) {
        match place {
            Self::ALL => self.bump_all(),
            place => self.next(place as usize),
        }
    }

    fn next(&self, at: usize) {
        let next = |mark: u32| Some((mark + 1) % u32::MAX);
        let _ = self.word(at).fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        &self.words[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_changes_with_its_key_and_with_all() {
        let marks = Marks::default();
        let before = marks.of(b"a");
        marks.bump(b"a");
        let bumped = marks.of(b"a");
        marks.bump_all();
        assert!(before != bumped && bumped != marks.of(b"a"));
    }

    #[test]
    fn a_key_is_written_until_its_last_write_is_done() {
        let marks = Marks::default();
        let place = Marks::place(b"a");
        let before = marks.of(b"a");
        marks.begin_write(place);
        marks.begin_write(place);
        marks.end_write(place);
        assert!(marks.is_written(b"a"));
        marks.end_write(place);
        assert!(!marks.is_written(b"a") && marks.of(b"a") != before);
    }
}

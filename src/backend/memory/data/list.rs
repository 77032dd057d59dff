//! Pieces in an order of their own under one key.
use std::collections::VecDeque;

/// The end of a list, in Redis' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Left,
    Right,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub struct List {
    pieces: VecDeque<Box<[u8]>>,
    held: usize,
}

impl List {
    /// What a list weighs besides its pieces, and what each piece weighs besides its bytes.
    ///
    /// The ring has room for 3 times as many pieces as there are, or for 4, at most: it doubles when
    /// it is full and [`trim`](Self::trim) sees to the rest.
    ///
    /// | what | bytes |
    /// |---|---|
    /// | the box of the ring and of the sum (40) | 48 |
    /// | the ring's fourth place when there is one piece, and what the allocator adds | 32 |
    ///
    /// | what, for each piece | bytes |
    /// |---|---|
    /// | three places in the ring | 48 |
    /// | what the allocator adds to the piece (31, for one byte) | 31 |
    pub const BASE: usize = 80;
    pub const ELEMENT: usize = 79;

    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The bytes of all pieces.
    pub fn held(&self) -> usize {
        self.held
    }

    pub fn get(&self, at: usize) -> Option<&[u8]> {
        self.pieces.get(at).map(|piece| &**piece)
    }

    /// The piece at an end.
    pub fn peek(&self, end: End) -> Option<&[u8]> {
        match end {
            End::Left => self.pieces.front(),
            End::Right => self.pieces.back(),
        }
        .map(|piece| &**piece)
    }

    pub fn push(&mut self, end: End, piece: &[u8]) {
        self.held += piece.len();
        match end {
            End::Left => self.pieces.push_front(Box::from(piece)),
            End::Right => self.pieces.push_back(Box::from(piece)),
        }
    }

    pub fn pop(&mut self, end: End) -> Option<Box<[u8]>> {
        let piece = match end {
            End::Left => self.pieces.pop_front(),
            End::Right => self.pieces.pop_back(),
        }?;
        self.held -= piece.len();
        Some(piece)
    }

    /// Answers whether there is such a place.
    pub fn set(&mut self, at: usize, piece: &[u8]) -> bool {
        let Some(old) = self.pieces.get_mut(at) else { return false };
        self.held = self.held - old.len() + piece.len();
        *old = Box::from(piece);
        true
    }

    /// Puts a piece before the one at this place, or last when there is none.
    pub fn insert(&mut self, at: usize, piece: &[u8]) {
        self.held += piece.len();
        self.pieces.insert(at.min(self.pieces.len()), Box::from(piece));
    }

    /// Removes everything but `start..end`.
    pub fn keep(&mut self, start: usize, end: usize) {
        let end = end.min(self.pieces.len());
        let behind: usize = self.pieces.drain(end..).map(|piece| piece.len()).sum();
        let before: usize = self.pieces.drain(..start.min(end)).map(|piece| piece.len()).sum();
        self.held -= behind + before;
    }

    /// Removes pieces that say this, those nearest to an end first; answers how many went.
    pub fn remove(&mut self, end: End, at_most: usize, wanted: &[u8]) -> usize {
        let before = self.pieces.len();
        let mut left = at_most;
        if end == End::Right {
            self.pieces.make_contiguous().reverse();
        }
        self.pieces.retain(|piece| {
            let goes = left > 0 && **piece == *wanted;
            left -= usize::from(goes);
            !goes
        });
        if end == End::Right {
            self.pieces.make_contiguous().reverse();
        }
        let gone = before - self.pieces.len();
        self.held -= gone * wanted.len();
        gone
    }

    pub fn position(&self, wanted: &[u8]) -> Option<usize> {
        self.pieces.iter().position(|piece| **piece == *wanted)
    }

    /// The pieces at `start..end`, as far as there are.
    pub fn range(&self, start: usize, end: usize) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().skip(start).take(end.saturating_sub(start)).map(|piece| &**piece)
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.range(0, self.len())
    }

    /// Half as many places again as there are pieces, so that it does not come to this at every step.
    pub fn trim(&mut self) {
        let pieces = self.pieces.len();
        if self.pieces.capacity() > (3 * pieces).max(4) {
            self.pieces.shrink_to(pieces + pieces / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::memory::data::{Data, Typed};

    fn list(pieces: &[&str]) -> List {
        let mut list = List::default();
        pieces.iter().for_each(|piece| list.push(End::Right, piece.as_bytes()));
        list
    }

    fn words(list: &List) -> Vec<&str> {
        list.iter().map(|piece| std::str::from_utf8(piece).unwrap()).collect()
    }

    #[test]
    fn a_list_that_shrank_gives_its_room_back() {
        let mut list = list(&["x"; 1000]);
        while list.len() > 1 {
            list.pop(End::Left);
            list.trim();
            assert!(list.pieces.capacity() <= (3 * list.len()).max(4));
        }
    }

    #[test]
    fn a_list_that_grows_never_has_room_for_more_than_it_is_weighed_for() {
        let mut list = List::default();
        for _ in 0..1000 {
            list.push(End::Left, b"x");
            assert!(list.pieces.capacity() <= (3 * list.len()).max(4));
        }
    }

    #[test]
    fn pieces_are_removed_from_the_end_that_was_named() {
        let mut left = list(&["a", "b", "a", "a"]);
        assert_eq!(left.remove(End::Left, 2, b"a"), 2);
        assert_eq!(words(&left), ["b", "a"]);
        let mut right = list(&["a", "b", "a", "a"]);
        assert_eq!(right.remove(End::Right, 2, b"a"), 2);
        assert_eq!(words(&right), ["a", "b"]);
        assert_eq!(right.remove(End::Left, 9, b"c"), 0);
    }

    #[test]
    fn what_is_kept_of_a_list_never_reaches_beyond_it() {
        for (start, end, kept) in [(1, 3, "b c"), (0, 9, "a b c"), (2, 1, ""), (7, 9, "")] {
            let mut list = list(&["a", "b", "c"]);
            list.keep(start, end);
            assert_eq!(words(&list).join(" "), kept, "{start}..{end}");
            assert_eq!(Data::List(Box::new(list.clone())).recount(), list.into_data().weight());
        }
    }
}

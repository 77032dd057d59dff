//! What sessions wait for: their changes, of each key as one; and what ended them, which goes before anybody reads from
//! the server, and is never given up.
use bytes::Bytes;

use super::super::durable::Record;
use super::{Journal, OVERHEAD};
use crate::backend::intent::{Intent, Wish};
use crate::backend::session::Delta;
use crate::base::keys::SessionKeys;
use crate::base::stamp::Stamp;

impl Journal {
    /// Whether a change of a session may be taken.
    pub fn has_room_for_session(&self, key: &[u8], delta: &Delta) -> bool {
        let waiting = self.sessions.contains(key);
        let needed = delta.bytes() + if waiting { 0 } else { OVERHEAD + key.len() };
        self.bytes - self.payloads + needed <= self.limit
    }

    /// Takes a change of a session; it becomes one with those that wait.
    pub fn change_session(&mut self, key: &Bytes, stamp: Stamp, delta: Delta) {
        let intent = Intent { key: key.clone(), stamp, wish: Wish::Session(Box::new(delta)) };
        self.write(|| Record::Intent(&intent));
        self.put_session(intent);
        self.shed(self.limit);
    }

    /// Takes it that a session has another key: what waits for it waits there, and the server is told of both.
    pub fn move_session(&mut self, old: &Bytes, new: &Bytes, stamp: Stamp, delta: Delta) {
        let waiting = self.sessions.pop(old);
        let mut from = match &waiting {
            Some(Intent { wish: Wish::Session(delta), .. }) => delta.from.clone(),
            _ => Vec::new(),
        };
        from.push(SessionKeys::tail(old));
        if let Some(waiting) = waiting {
            self.unweigh(&waiting);
            self.write(|| Record::Settled { key: old, stamp: waiting.stamp });
        }
        self.change_session(new, stamp, Delta { from, ..delta });
    }

    /// Takes the end of a session, or of all sessions of a user; always.
    pub fn end_session(&mut self, intent: Intent) {
        // The server may know it under another key.
        if let Some(Intent { wish: Wish::Session(delta), .. }) = self.sessions.peek(&intent.key)
            && let Some(from) = delta.from.first()
        {
            let key = SessionKeys::renamed(&intent.key, from);
            self.end_session(Intent { key, ..intent.clone() });
        }
        self.write(|| Record::Intent(&intent));
        self.put_end(intent);
        self.shed(self.limit);
    }

    /// A change beside those that wait for its key; none where the session is ended.
    pub(super) fn put_session(&mut self, mut intent: Intent) {
        if self.revocations.contains(&intent.key) {
            return;
        }
        if let Some(waiting) = self.sessions.pop(&intent.key) {
            self.unweigh(&waiting);
            intent.stamp = intent.stamp.max(waiting.stamp);
            if let (Wish::Session(delta), Wish::Session(waiting)) = (&mut intent.wish, waiting.wish)
            {
                delta.fold(*waiting);
            }
        }
        self.put(intent);
    }

    pub(super) fn put_end(&mut self, intent: Intent) {
        let Intent { key, mut stamp, mut wish } = intent;
        let waiting = self.revocations.peek(&key);
        if let Wish::EndAll(end) = &wish
            && let Some(Intent { wish: Wish::EndAll(known), stamp: at, .. }) = waiting
        {
            let both = end.clone().fold(stamp, known.clone(), *at);
            (stamp, wish) = (both.0, Wish::EndAll(both.1));
        }
        self.forget(&key);
        self.put(Intent { key, stamp, wish });
    }

    /// What ends sessions, those first that came first.
    pub fn take_ends(&mut self, at_most: usize) -> Vec<Intent> {
        self.take_from(|journal| &mut journal.revocations, at_most, usize::MAX)
    }
}

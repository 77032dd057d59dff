//! The rules of an outage as plain bookkeeping: what the server must hold, and what each process may answer.
use std::collections::{BTreeMap, BTreeSet};

pub const KEYS: usize = 4;
/// How long a tombstone lives, ms.
pub const TTL: u64 = 600_000;

#[derive(Clone, Debug)]
pub enum Step {
    Set {
        process: usize,
        key: usize,
        ttl: Option<u64>,
    },
    Delete {
        process: usize,
        key: usize,
    },
    Get {
        process: usize,
        key: usize,
    },
    Clear {
        process: usize,
    },
    Leave {
        process: usize,
    },
    Return {
        process: usize,
    },
    /// Time passes, for everybody.
    Jump {
        micros: u64,
    },
    /// The server's clock turns out to be behind what was known of it.
    ClockBehind,
    /// Somebody empties the server.
    Flush,
}

/// Time, and the process as tie-break.
pub type Stamp = (u64, usize);
/// Values are numbered; each is written once.
pub type Id = u32;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stored {
    pub id: Id,
    pub stamp: Stamp,
    /// On the rules' clock, microseconds.
    pub expires: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Wish {
    Set(Id, Option<u64>),
    Delete,
}

/// Whether the server was emptied since a process met it: some meetings happen unseen.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flushed {
    No,
    Perhaps,
    Yes,
}

#[derive(Debug)]
pub struct Process {
    pub away: bool,
    last: u64,
    journal: BTreeMap<usize, (Stamp, Wish)>,
    cleared: Option<Stamp>,
    /// What memory may still hold from before.
    copies: BTreeMap<usize, Stored>,
    flushed: Flushed,
    /// The server that it met is dead.
    bereft: bool,
}

pub struct Rules {
    pub now: u64,
    offset: i64,
    server: BTreeMap<usize, Stored>,
    tombs: BTreeMap<usize, (Stamp, u64)>,
    /// The last clear, and when it was carried out: it stands for the keys that were absent then.
    cleared: Option<(Stamp, u64)>,
    pub processes: [Process; 2],
}

impl Process {
    fn new() -> Self {
        Self {
            away: false,
            last: 0,
            journal: BTreeMap::new(),
            cleared: None,
            copies: BTreeMap::new(),
            flushed: Flushed::No,
            bereft: false,
        }
    }
}

impl Rules {
    pub fn new(now: u64, offset: i64) -> Self {
        Self {
            now,
            offset,
            server: BTreeMap::new(),
            tombs: BTreeMap::new(),
            cleared: None,
            processes: [Process::new(), Process::new()],
        }
    }

    /// The server's clock, as everybody estimates it.
    fn clock(&self) -> u64 {
        self.now.saturating_add_signed(self.offset)
    }

    fn stamp(&mut self, process: usize) -> Stamp {
        let micros = self.clock().max(self.processes[process].last + 1);
        self.processes[process].last = micros;
        (micros, process)
    }

    pub fn set(&mut self, process: usize, key: usize, id: Id, ttl: Option<u64>) {
        let stamp = self.stamp(process);
        let expires = ttl.map(|ms| self.now + ms * 1000);
        let stored = Stored { id, stamp, expires };
        let one = &mut self.processes[process];
        if one.away {
            one.journal.insert(key, (stamp, Wish::Set(id, expires)));
        } else {
            one.copies.insert(key, stored);
            self.server.insert(key, stored);
        }
    }

    pub fn delete(&mut self, process: usize, key: usize) {
        let stamp = self.stamp(process);
        self.processes[process].copies.remove(&key);
        if self.processes[process].away {
            self.processes[process].journal.insert(key, (stamp, Wish::Delete));
        } else {
            self.server.remove(&key);
            // A live one stands, whatever stood there.
            self.tombs.insert(key, (stamp, self.now));
        }
    }

    pub fn clear(&mut self, process: usize) {
        let stamp = self.stamp(process);
        let one = &mut self.processes[process];
        one.copies.retain(|_, stored| stored.stamp > stamp);
        if one.away {
            one.journal.retain(|_, (_, wish)| matches!(wish, Wish::Delete));
            one.cleared = Some(stamp);
        } else {
            self.carry_out_clear(stamp);
            // A live one removes whatever others wrote before, as a live delete does.
            self.server.retain(|_, stored| stored.stamp.1 == process);
        }
    }

    fn carry_out_clear(&mut self, stamp: Stamp) {
        let newest = self.cleared.map_or(stamp, |(other, _)| other.max(stamp));
        self.cleared = Some((newest, self.now));
        let touched: BTreeSet<usize> =
            self.server.keys().chain(self.tombs.keys()).copied().collect();
        for key in touched {
            self.remove_older(key, stamp);
        }
    }

    fn remove_older(&mut self, key: usize, stamp: Stamp) {
        if self.server.get(&key).is_some_and(|stored| stored.stamp <= stamp) {
            self.server.remove(&key);
        }
        if self.tombs.get(&key).is_none_or(|(other, _)| *other <= stamp) {
            self.tombs.insert(key, (stamp, self.now));
        }
    }

    /// What a read may answer.
    pub fn may_read(&self, process: usize, key: usize) -> Vec<Option<Id>> {
        let one = &self.processes[process];
        if !one.away {
            return vec![self.server.get(&key).map(|stored| stored.id)];
        }
        let lives = |expires: Option<u64>| expires.is_none_or(|at| at > self.now);
        match one.journal.get(&key) {
            Some((_, Wish::Set(id, expires))) if lives(*expires) => vec![Some(*id)],
            Some(_) => vec![None],
            None => {
                let copy = one.copies.get(&key).filter(|copy| lives(copy.expires));
                // A copy is never owed.
                [None].into_iter().chain(copy.map(|copy| Some(copy.id))).collect()
            }
        }
    }

    pub fn has_read(&mut self, process: usize, key: usize) {
        let one = &mut self.processes[process];
        if one.away {
            return;
        }
        match self.server.get(&key) {
            Some(stored) => {
                one.last = one.last.max(stored.stamp.0);
                one.copies.insert(key, *stored);
            }
            None => {
                one.copies.remove(&key);
            }
        }
    }

    pub fn jump(&mut self, micros: u64) {
        self.now += micros;
        let now = self.now;
        self.server.retain(|_, stored| stored.expires.is_none_or(|at| at > now));
        self.tombs.retain(|_, (_, since)| *since + TTL * 1000 > now);
        self.cleared = self.cleared.filter(|(_, since)| since + TTL * 1000 > now);
    }

    pub fn turn_back(&mut self, micros: i64) -> i64 {
        self.offset -= micros;
        self.offset
    }

    pub fn flush(&mut self) {
        self.server.clear();
        self.tombs.clear();
        self.cleared = None;
        for one in &mut self.processes {
            one.flushed = if one.away { Flushed::Yes } else { Flushed::Perhaps };
        }
    }

    pub fn died(&mut self) {
        self.server.clear();
        self.tombs.clear();
        self.cleared = None;
        for one in &mut self.processes {
            // Whoever was there meets the new one at once.
            one.bereft = one.away;
            one.flushed = Flushed::No;
            one.copies.clear();
        }
    }

    pub fn leave(&mut self, process: usize) {
        self.processes[process].away = true;
    }

    /// Replays; answers what each key may hold then.
    pub fn come_back(&mut self, process: usize) -> Vec<Vec<Option<Stored>>> {
        let one = &mut self.processes[process];
        if !std::mem::take(&mut one.away) {
            return (0..KEYS).map(|key| vec![self.server.get(&key).copied()]).collect();
        }
        one.copies.clear();
        if let Some((cleared, _)) = self.cleared {
            one.last = one.last.max(cleared.0);
        }
        let journal = std::mem::take(&mut one.journal);
        let mut flushed = std::mem::replace(&mut one.flushed, Flushed::No);
        if std::mem::take(&mut one.bereft) {
            flushed = Flushed::No;
        }
        if let Some(stamp) = one.cleared.take() {
            self.carry_out_clear(stamp);
        }
        let mut may: Vec<Vec<Option<Stored>>> = Vec::new();
        for key in 0..KEYS {
            let Some(&(stamp, wish)) = journal.get(&key) else {
                may.push(vec![self.server.get(&key).copied()]);
                continue;
            };
            match wish {
                Wish::Set(id, expires) if expires.is_none_or(|at| at > self.now) => {
                    let stored = Stored { id, stamp, expires };
                    let held = self.replay_set(key, stored, flushed);
                    if held.contains(&Some(stored)) {
                        // It knows what it wrote.
                        self.processes[process].copies.insert(key, stored);
                    }
                    may.push(held);
                }
                _ => {
                    self.remove_older(key, stamp);
                    may.push(vec![self.server.get(&key).copied()]);
                }
            }
        }
        may
    }

    fn replay_set(&mut self, key: usize, set: Stored, flushed: Flushed) -> Vec<Option<Stored>> {
        let found = self.server.get(&key).copied();
        let newer = found.is_some_and(|found| found.stamp > set.stamp)
            || self.tombs.get(&key).is_some_and(|(tomb, _)| *tomb >= set.stamp)
            || self.cleared.is_some_and(|(cleared, _)| cleared.0 >= set.stamp.0);
        if newer {
            return vec![found];
        }
        let age = self.clock().saturating_sub(set.stamp.0);
        if found.is_none() && (age > TTL * 1000 || flushed == Flushed::Yes) {
            return vec![None];
        }
        self.server.insert(key, set);
        if found.is_none() && flushed == Flushed::Perhaps {
            return vec![None, Some(set)];
        }
        vec![Some(set)]
    }

    /// What the server was seen to hold, where it may hold this or that.
    pub fn holds(&mut self, key: usize, id: Option<Id>) {
        if id.is_none() {
            self.server.remove(&key);
        }
    }

    pub fn remaining(&self, stored: &Stored) -> Option<u64> {
        stored.expires.map(|at| at.saturating_sub(self.now) / 1000)
    }
}

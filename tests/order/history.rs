//! What happened, as plain bookkeeping: all of it in one order, as if one process had done it that was never cut
//! off; and what each process knows by itself.
use std::collections::BTreeSet;

use holdfast::backend::Removal;

pub const KEYS: [&str; 3] = ["a1", "a2", "b1"];
pub const TAGS: [&str; 2] = ["t", "u"];
/// What each covers, by the index of the key.
pub const PATTERNS: [(&str, [bool; 3]); 3] =
    [("a*", [true, true, false]), ("*1", [true, false, true]), ("*", [true, true, true])];

/// Values are numbered; each is written once.
pub type Id = u32;

#[derive(Clone, Debug)]
pub enum Step {
    /// Stale from the start, where grace is all that it has.
    Set {
        process: usize,
        key: usize,
        tags: Tagged,
        stale: bool,
    },
    Delete {
        process: usize,
        key: usize,
    },
    Expire {
        process: usize,
        key: usize,
    },
    Invalidate {
        process: usize,
        tag: usize,
        removal: Removal,
    },
    Clear {
        process: usize,
        pattern: usize,
    },
    /// Takes the right to load, and uses it later.
    Load {
        process: usize,
        key: usize,
        tags: Tagged,
        force: bool,
    },
    Fill {
        process: usize,
        key: usize,
    },
    Read {
        process: usize,
        key: usize,
        stale: bool,
    },
    Leave {
        process: usize,
    },
    Return {
        process: usize,
    },
    /// The server forgets a tag's marker, as one does that is full.
    ForgetMarker {
        tag: usize,
    },
    ForgetLease {
        key: usize,
    },
}

/// Whether a value has each of the tags.
pub type Tagged = [bool; 2];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    Set { key: usize, value: Value },
    Delete { key: usize },
    Expire { key: usize },
    Invalidate { tag: usize, removal: Removal },
    Clear { pattern: usize },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    pub id: Id,
    pub tags: Tagged,
    pub stale: bool,
}

/// What is under a key.
#[derive(Clone, Debug, Default)]
pub struct Held {
    now: Option<Value>,
    /// What was there before and nobody removed: it may be all that is left to serve as stale.
    old: Vec<Value>,
}

impl Held {
    fn take(&mut self, key: usize, act: &Act) {
        match *act {
            Act::Set { key: other, value } if other == key => {
                self.old.extend(self.now.replace(value));
            }
            Act::Delete { key: other } if other == key => *self = Self::default(),
            Act::Expire { key: other } if other == key => self.expire(|_| true),
            Act::Invalidate { tag, removal: Removal::Delete } => {
                self.keep(|value| !value.tags[tag])
            }
            Act::Invalidate { tag, removal: Removal::Expire } => {
                self.expire(|value| value.tags[tag])
            }
            Act::Clear { pattern } if PATTERNS[pattern].1[key] => *self = Self::default(),
            _ => {}
        }
    }

    fn keep(&mut self, kept: impl Fn(&Value) -> bool) {
        self.now = self.now.filter(&kept);
        self.old.retain(kept);
    }

    fn expire(&mut self, expired: impl Fn(&Value) -> bool) {
        if let Some(value) = &mut self.now {
            value.stale |= expired(value);
        }
    }

    fn fresh(&self) -> Option<Id> {
        self.now.filter(|value| !value.stale).map(|value| value.id)
    }

    /// What a read may answer that takes what is stale; all of it, where the last value may be lost.
    fn any(&self) -> Vec<Option<Id>> {
        let ids = self.now.iter().chain(&self.old).map(|value| Some(value.id));
        ids.chain([None]).collect()
    }
}

struct Event {
    /// Its place in the order.
    at: usize,
    by: usize,
    act: Act,
    /// It is in the journal of its process.
    waits: bool,
}

#[derive(Default)]
pub struct Process {
    pub away: bool,
    /// By what it did and read itself.
    knows: [Held; 3],
    /// What it wrote since it was cut off, and has to know.
    owes: BTreeSet<usize>,
    pub loads: [Option<Load>; 3],
}

#[derive(Clone, Debug)]
pub struct Load {
    at: usize,
    pub tags: Tagged,
    /// Nothing came between that may cost it its right.
    steady: bool,
}

#[derive(Default)]
pub struct History {
    now: usize,
    events: Vec<Event>,
    /// Tags of which the server forgot something: what has one may be gone.
    forgotten: Tagged,
    /// Keys of which nobody can say whether the last value was written.
    doubtful: [bool; 3],
    pub processes: [Process; 2],
}

impl History {
    /// Later things come after this.
    pub fn tick(&mut self) {
        self.now += 2;
    }

    pub fn did(&mut self, process: usize, act: Act) {
        self.did_at(process, self.now, act);
    }

    fn did_at(&mut self, by: usize, at: usize, act: Act) {
        let one = &mut self.processes[by];
        for (key, held) in one.knows.iter_mut().enumerate() {
            held.take(key, &act);
        }
        if let Act::Set { key, .. } = act
            && one.away
        {
            one.owes.insert(key);
        }
        let place = self.events.partition_point(|event| event.at <= at);
        self.events.insert(place, Event { at, by, act, waits: one.away });
    }

    /// What the server has to hold.
    fn held(&self, key: usize) -> Held {
        let mut held = Held::default();
        self.events
            .iter()
            .filter(|event| !event.waits)
            .for_each(|event| held.take(key, &event.act));
        held
    }

    fn may_be_lost(&self, held: &Held) -> bool {
        let has_lost = |value: &Value| (0..2).any(|tag| value.tags[tag] && self.forgotten[tag]);
        held.now.iter().chain(&held.old).any(has_lost)
    }

    /// What a read may answer.
    pub fn may_read(&self, process: usize, key: usize, stale: bool) -> Vec<Option<Id>> {
        let one = &self.processes[process];
        let held = if one.away { one.knows[key].clone() } else { self.held(key) };
        if self.doubtful[key] {
            return held.any();
        }
        if one.away && !one.owes.contains(&key) {
            // A copy is never owed.
            return if stale { held.any() } else { vec![held.fresh(), None] };
        }
        match held.fresh() {
            _ if !one.away && self.may_be_lost(&held) => held.any(),
            Some(id) => vec![Some(id)],
            None if stale => held.any(),
            None => vec![None],
        }
    }

    pub fn has_read(&mut self, process: usize, key: usize) {
        if !self.processes[process].away {
            self.processes[process].knows[key] = self.held(key);
        }
    }

    pub fn may_load(&mut self, process: usize, key: usize, tags: Tagged) {
        let load = Load { at: self.now, tags, steady: true };
        self.processes[process].loads[key] = Some(load);
    }

    /// What a load brought, and whether it was kept; says what is wrong with that.
    pub fn filled(
        &mut self,
        process: usize,
        key: usize,
        id: Id,
        load: &Load,
        kept: bool,
    ) -> Result<(), String> {
        let away = self.processes[process].away;
        let covers = |act: &Act| match *act {
            Act::Set { key: other, .. }
            | Act::Delete { key: other }
            | Act::Expire { key: other } => other == key,
            Act::Invalidate { tag, .. } => load.tags[tag],
            Act::Clear { pattern } => PATTERNS[pattern].1[key],
        };
        let is_known = |event: &&Event| if away { event.by == process } else { !event.waits };
        let known = self.events.iter().filter(is_known).filter(|event| event.at > load.at);
        let known: Vec<&Event> = known.filter(|event| covers(&event.act)).collect();
        let later: Vec<Act> = known.iter().map(|event| event.act).collect();
        let may_be_lost = (0..2).any(|tag| load.tags[tag] && self.forgotten[tag]);
        if let Some(act) = later.first().filter(|_| kept) {
            return Err(format!("it is kept, though it began before {act:?}"));
        }
        if !kept && later.is_empty() && load.steady && !may_be_lost {
            return Err("it is refused, and nothing came between".into());
        }
        // What is loaded while others invalidate its tag may be written, and is gone or stale then.
        let own = known.iter().any(|event| event.by == process);
        let of_tag = |act| matches!(act, &Act::Invalidate { .. });
        let written = !away && !later.is_empty() && later.iter().all(of_tag) && !own;
        if kept || written {
            self.doubtful[key] |= !kept;
            let value = Value { id, tags: load.tags, stale: false };
            self.did_at(process, load.at + 1, Act::Set { key, value });
            let one = &mut self.processes[process];
            later.iter().for_each(|act| one.knows[key].take(key, act));
            if !kept {
                one.owes.remove(&key);
            }
        }
        Ok(())
    }

    pub fn leave(&mut self, process: usize) {
        self.processes[process].away = true;
        self.unsteady(process);
    }

    pub fn come_back(&mut self, process: usize) {
        if !self.processes[process].away {
            return;
        }
        // A replayed removal takes the right of any load, also of one that began after it.
        (0..2).for_each(|process| self.unsteady(process));
        self.processes[process].away = false;
        for event in self.events.iter_mut().filter(|event| event.by == process) {
            event.waits = false;
        }
        let owed = std::mem::take(&mut self.processes[process].owes);
        let held: Vec<Held> = (0..KEYS.len()).map(|key| self.held(key)).collect();
        for (key, held) in held.into_iter().enumerate() {
            let knows = &mut self.processes[process].knows[key];
            // It knows what it wrote, where that stands; its copies are as old as its absence.
            let still = owed.contains(&key) && held.now.is_some() && held.now == knows.now;
            *knows = if still { held } else { Held::default() };
        }
    }

    fn unsteady(&mut self, process: usize) {
        for load in self.processes[process].loads.iter_mut().flatten() {
            load.steady = false;
        }
    }

    pub fn forget_marker(&mut self, tag: usize) {
        self.forgotten[tag] = true;
    }

    pub fn forget_lease(&mut self, key: usize) {
        for one in &mut self.processes {
            if let Some(load) = &mut one.loads[key] {
                load.steady = false;
            }
        }
    }
}

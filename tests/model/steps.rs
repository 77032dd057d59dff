//! What can happen next in a world: a call, a fault, bytes that arrive, a process that comes back.
use stateright::{Model, Property};

use super::check;
use super::rules::{Fault, Rules};
use super::world::{
    Answer, CallId, Called, Entry, Intent, Kind, Link, Message, Mode, Process, Stamp, Stored, Wish,
    World,
};

pub struct Search {
    pub rules: Rules,
    pub faults: Vec<Fault>,
    /// How many faults a world may have, and how many calls.
    pub most_faults: u8,
    pub calls: u8,
    pub processes: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Call(u8, Kind),
    /// The server carries out the next message of a connection.
    Deliver(u8, u8),
    /// The process takes the next answer.
    Take(u8),
    /// What is left on a closed connection is gone.
    Vanish(u8, u8),
    /// A degraded process reaches the server again.
    Return(u8),
    Befall(Fault, u8),
}

impl Model for Search {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.processes)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        let numbered = || world.processes.iter().zip(0u8..);
        for (process, number) in numbered() {
            if world.calls.len() < usize::from(self.calls) && process.waiting.is_none() {
                steps.extend(
                    [Kind::Set, Kind::Delete, Kind::Get].map(|kind| Step::Call(number, kind)),
                );
            }
            if !world.links[&(number, process.link)].to_process.is_empty() {
                steps.push(Step::Take(number));
            }
            if process.mode == Mode::Degraded {
                steps.push(Step::Return(number));
            }
        }
        for (&(process, number), link) in &world.links {
            if !link.to_server.is_empty() {
                steps.push(Step::Deliver(process, number));
                if !link.open {
                    steps.push(Step::Vanish(process, number));
                }
            }
        }
        if world.faults < self.most_faults {
            for &fault in &self.faults {
                let befalls_all = !matches!(
                    fault,
                    Fault::Cut | Fault::Expiry | Fault::Suspend | Fault::StartAbsent
                );
                for (_, number) in numbered().take(if befalls_all { 1 } else { usize::MAX }) {
                    steps.push(Step::Befall(fault, number));
                }
            }
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        let mut turn = Turn { rules: self.rules, world: &mut next };
        let happened = match step {
            Step::Call(process, kind) => turn.call(process, kind),
            Step::Deliver(process, link) => turn.deliver(process, link),
            Step::Take(process) => turn.take(process),
            Step::Vanish(process, link) => turn.vanish(process, link),
            Step::Return(process) => turn.come_back(process),
            Step::Befall(fault, process) => turn.befall(fault, process),
        };
        happened.then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(check::NOTHING_IS_LOST, |_, world| check::nothing_is_lost(world)),
            Property::always(check::NOTHING_RETURNS, |_, world| check::nothing_returns(world)),
            Property::always(check::NOBODY_WAITS_FOR_EVER, |_, world| {
                check::nobody_waits_for_ever(world)
            }),
            Property::always(check::OWN_WRITES_ARE_SEEN, |_, world| {
                check::own_writes_are_seen(world)
            }),
        ]
    }
}

/// Walks at random, always the same walks. Answers what broke, with the way there.
pub fn walk(search: &Search, walks: u32, length: u32) -> Option<String> {
    let mut random: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut draw = move |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % bound as u64).unwrap_or(0)
    };
    for _ in 0..walks {
        let mut world = World::new(search.processes);
        let mut way = Vec::new();
        for _ in 0..length {
            let mut steps = Vec::new();
            search.actions(&world, &mut steps);
            if steps.is_empty() {
                break;
            }
            let step = steps.swap_remove(draw(steps.len()));
            way.push(format!("{step:?}"));
            if let Some(next) = search.next_state(&world, step) {
                world = next;
            }
            for property in search.properties() {
                if !(property.condition)(search, &world) {
                    return Some(format!("{}: {}\n{world:#?}", property.name, way.join(", ")));
                }
            }
        }
    }
    None
}

struct Turn<'a> {
    rules: Rules,
    world: &'a mut World,
}

impl Turn<'_> {
    fn call(&mut self, number: u8, kind: Kind) -> bool {
        let id = CallId::try_from(self.world.calls.len()).unwrap_or(0);
        self.world.now += 1;
        let after = self.world.answered();
        self.world.calls.push(Called {
            kind,
            process: number,
            after,
            answered: false,
            excused: false,
            expired: false,
            unsaved: false,
            read: None,
        });
        let stamp = self.stamp(number);
        let entry = Entry { call: id, stamp };
        let at = usize::from(number);
        if self.world.processes[at].mode != Mode::Online {
            self.settle_in_memory(number, kind, entry);
            return true;
        }
        // What waits for its replay goes first.
        if self.rules.intent_goes_first
            && let Some(intent) = self.world.processes[at].journal.take()
        {
            self.send_replay(number, intent);
        }
        self.world.processes[at].waiting = Some((id, entry));
        self.send(
            number,
            match kind {
                Kind::Set => Message::Set(entry),
                Kind::Delete => Message::Delete(entry),
                Kind::Get => Message::Get(id),
            },
        );
        true
    }

    fn stamp(&mut self, number: u8) -> Stamp {
        let (now, behind) = (self.world.now, self.world.server.behind);
        let process = &mut self.world.processes[usize::from(number)];
        let estimate = match process.met {
            // Before the first contact only its own clock is known; the estimate is made good later.
            None if !self.rules.settles_early_stamps => 1,
            _ => now - behind - process.lag,
        };
        let time =
            if self.rules.stamps_never_fall { estimate.max(process.last + 1) } else { estimate };
        process.last = process.last.max(time);
        Stamp { time, process: number }
    }

    /// Memory answers, and a write goes into the journal.
    fn settle_in_memory(&mut self, number: u8, kind: Kind, entry: Entry) {
        let process = &mut self.world.processes[usize::from(number)];
        let called = &mut self.world.calls[usize::from(entry.call)];
        called.answered = true;
        let wish = match kind {
            Kind::Get => {
                // Without a copy and without an intent it is a miss, which says nothing.
                if process.memory.is_some() || process.journal.is_some() {
                    called.read = Some(process.memory.map(|entry| entry.call));
                }
                return;
            }
            Kind::Set => Wish::Set,
            Kind::Delete => Wish::Delete,
        };
        let newer = process.journal.is_none_or(|intent| intent.stamp < entry.stamp)
            && process.replaying.is_none_or(|intent| intent.stamp < entry.stamp);
        if newer {
            process.memory = (wish == Wish::Set).then_some(entry);
            let Entry { call, stamp } = entry;
            process.journal = Some(Intent { call, stamp, wish, too_old: false });
        }
    }

    fn send(&mut self, number: u8, message: Message) {
        let link = self.world.processes[usize::from(number)].link;
        if let Some(link) = self.world.links.get_mut(&(number, link)) {
            link.to_server.push_back(message);
        }
    }

    fn send_replay(&mut self, number: u8, intent: Intent) {
        let (run, life) = (self.world.server.run, self.world.server.life);
        let process = &mut self.world.processes[usize::from(number)];
        process.replaying = Some(intent);
        let met = process.met;
        let stayed_up = met.is_some_and(|(before, _)| before == run);
        let flushed = stayed_up && met.is_some_and(|(_, before)| before != life);
        let too_old = intent.too_old && (stayed_up || self.rules.age_counts_after_a_restart);
        let uncertain = (self.rules.drops_what_is_too_old && too_old)
            || (self.rules.drops_after_a_flush && flushed);
        self.send(number, Message::Replay(intent, !uncertain));
    }

    /// The server carries out one message.
    fn deliver(&mut self, number: u8, link_number: u8) -> bool {
        let Some(link) = self.world.links.get_mut(&(number, link_number)) else { return false };
        let (open, overtaken) = (link.open, link.overtaken);
        let Some(message) = link.to_server.pop_front() else { return false };
        let answer = match message {
            Message::Get(call) => {
                Answer::Read(call, self.world.server.stored.value.map(|entry| entry.call))
            }
            Message::Set(entry) => {
                self.live(entry, Some(entry), open);
                self.world.met_a_limit |= overtaken;
                Answer::Done(entry.call)
            }
            Message::Delete(entry) => {
                self.live(entry, None, open);
                self.world.met_a_limit |= overtaken;
                Answer::Done(entry.call)
            }
            Message::Replay(intent, may) => Answer::Replayed { conflict: self.replay(intent, may) },
            Message::Kill(last) => {
                for (_, old) in self.world.links.range_mut((number, 0)..=(number, last)) {
                    old.to_server.clear();
                }
                Answer::Killed
            }
        };
        if open && let Some(link) = self.world.links.get_mut(&(number, link_number)) {
            link.to_process.push_back(answer);
        }
        true
    }

    /// A live write: the last to arrive stands.
    fn live(&mut self, entry: Entry, value: Option<Entry>, open: bool) {
        let stored = &mut self.world.server.stored;
        let newest = stored.value.map(|entry| entry.stamp).max(stored.tombstone);
        if let Some(newest) = newest.filter(|&newest| newest > entry.stamp) {
            if self.rules.fences_live_writes && !open {
                return;
            }
            let other = newest.process != entry.stamp.process;
            let owed = self.world.processes.iter().any(Process::owes);
            self.world.met_a_limit |= other && owed;
        }
        for (&(process, _), link) in &mut self.world.links {
            let is_other = process != entry.stamp.process;
            link.overtaken |= is_other && !link.open && !link.to_server.is_empty();
        }
        let stored = &mut self.world.server.stored;
        stored.value = value;
        if value.is_none() && self.rules.leaves_tombstones {
            stored.tombstone = Some(entry.stamp);
        }
        self.world.calls[usize::from(entry.call)].unsaved = true;
    }

    /// A replay; answers whether it could not be decided.
    fn replay(&mut self, intent: Intent, may_write_absent: bool) -> bool {
        let stored = &mut self.world.server.stored;
        let newest = stored.value.map(|entry| entry.stamp).max(stored.tombstone);
        if self.rules.compares && newest.is_some_and(|newest| newest >= intent.stamp) {
            return false;
        }
        if intent.wish == Wish::Set && stored.value.is_none() && !may_write_absent {
            self.world.calls[usize::from(intent.call)].excused = true;
            return true;
        }
        let entry = Entry { call: intent.call, stamp: intent.stamp };
        match intent.wish {
            Wish::Set => stored.value = Some(entry),
            Wish::Delete => {
                stored.value = None;
                if self.rules.leaves_tombstones {
                    stored.tombstone = Some(intent.stamp);
                }
            }
        }
        self.world.calls[usize::from(intent.call)].unsaved = true;
        false
    }

    fn take(&mut self, number: u8) -> bool {
        let at = usize::from(number);
        let link = self.world.processes[at].link;
        let answer =
            self.world.links.get_mut(&(number, link)).and_then(|link| link.to_process.pop_front());
        let Some(answer) = answer else { return false };
        match answer {
            Answer::Done(call) => self.done(number, call, None),
            Answer::Read(call, found) => self.done(number, call, Some(found)),
            Answer::Replayed { .. } => {
                self.world.processes[at].replaying = None;
                self.go_live_when_done(number);
            }
            Answer::Killed => {
                // Deletes before anybody reads again; a set follows live traffic.
                match self.world.processes[at].journal {
                    Some(intent) if intent.wish == Wish::Delete => {
                        self.world.processes[at].journal = None;
                        self.send_replay(number, intent);
                    }
                    _ => self.go_live_when_done(number),
                }
            }
        }
        true
    }

    fn done(&mut self, number: u8, call: CallId, read: Option<Option<CallId>>) {
        let called = &mut self.world.calls[usize::from(call)];
        called.answered = true;
        called.read = read;
        let kind = called.kind;
        let process = &mut self.world.processes[usize::from(number)];
        let sent = process.waiting.take();
        // A copy for the next outage.
        process.memory = match (kind, sent) {
            (Kind::Set, Some((_, entry))) => Some(entry),
            _ => None,
        };
        if let Some(Some(found)) = read {
            // The highest stamp seen in any reply.
            if let Some(entry) = self.world.server.stored.value.filter(|entry| entry.call == found)
            {
                process.last = process.last.max(entry.stamp.time);
            }
        }
    }

    fn go_live_when_done(&mut self, number: u8) {
        let at = usize::from(number);
        let process = &mut self.world.processes[at];
        if process.replaying.is_some() {
            return;
        }
        match process.journal {
            // A delete came in the meantime.
            Some(intent) if process.mode == Mode::Returning && intent.wish == Wish::Delete => {
                process.journal = None;
                self.send_replay(number, intent);
            }
            Some(intent) if process.mode == Mode::Returning => {
                process.mode = Mode::Online;
                if !self.rules.intent_goes_first {
                    // Some time later.
                    return;
                }
                process.journal = None;
                self.send_replay(number, intent);
            }
            Some(_) => {}
            None => {
                process.mode = Mode::Online;
                process.memory = None;
                process.met = Some((self.world.server.run, self.world.server.life));
            }
        }
    }

    fn vanish(&mut self, number: u8, link: u8) -> bool {
        self.world.links.get_mut(&(number, link)).is_some_and(|link| {
            link.to_server.clear();
            true
        })
    }

    fn come_back(&mut self, number: u8) -> bool {
        let at = usize::from(number);
        let before = self.world.processes[at].link;
        let process = &mut self.world.processes[at];
        process.mode = Mode::Returning;
        process.link += 1;
        // It learns what time the server has.
        process.lag = 0;
        if process.met.is_none() {
            process.met = Some((u8::MAX, u8::MAX));
        }
        let link = Link { open: true, ..Link::default() };
        self.world.links.insert((number, before + 1), link);
        let kills = if self.rules.kills_old_connections { before } else { 0 };
        self.send(number, Message::Kill(kills));
        true
    }

    /// The process sees its link break: what was sent and not answered is settled at once.
    fn cut(&mut self, number: u8) -> bool {
        let at = usize::from(number);
        if self.world.processes[at].mode == Mode::Degraded {
            return false;
        }
        let link = self.world.processes[at].link;
        if let Some(link) = self.world.links.get_mut(&(number, link)) {
            link.open = false;
            link.to_process.clear();
        }
        let process = &mut self.world.processes[at];
        process.mode = Mode::Degraded;
        if let Some(intent) = process.replaying.take()
            && process.journal.is_none_or(|newer| newer.stamp < intent.stamp)
        {
            process.journal = Some(intent);
        }
        if self.rules.settles_what_is_in_flight
            && let Some((call, entry)) = process.waiting.take()
        {
            let kind = self.world.calls[usize::from(call)].kind;
            if kind == Kind::Get || self.rules.journals_what_is_in_flight {
                self.settle_in_memory(number, kind, entry);
            } else {
                self.world.calls[usize::from(call)].answered = true;
            }
        }
        true
    }

    /// The server's connections end, and every process sees it.
    fn server_ends(&mut self) {
        for number in 0..self.world.processes.len() {
            let number = u8::try_from(number).unwrap_or(0);
            self.cut(number);
        }
        self.world.links.values_mut().for_each(|link| link.to_server.clear());
        self.world.server.run += 1;
    }

    /// The server is without these calls, which is its own loss; what processes hold in their journals
    /// is none.
    fn lose(&mut self, lost: impl Fn(&Called) -> bool) {
        let journalled = self.journalled();
        for (call, number) in self.world.calls.iter_mut().zip(0..) {
            if lost(call) && !journalled.contains(&number) {
                call.excused = true;
            }
            call.unsaved = false;
        }
    }

    fn befall(&mut self, fault: Fault, number: u8) -> bool {
        let at = usize::from(number);
        self.world.faults += 1;
        match fault {
            Fault::Cut => self.cut(number),
            Fault::Restart => {
                self.server_ends();
                self.save()
            }
            Fault::Save => self.save(),
            Fault::LoseTail => {
                self.server_ends();
                self.world.server.stored = self.world.server.saved;
                self.lose(|call| call.unsaved);
                true
            }
            Fault::LoseAll => {
                self.server_ends();
                self.world.server.stored = Stored::default();
                self.world.server.saved = Stored::default();
                self.world.server.life += 1;
                self.lose(|_| true);
                true
            }
            Fault::Failover => {
                self.server_ends();
                self.world.server.behind = 50;
                true
            }
            // A server that is flushed in the middle of a replay is told from one that was not only by
            // the next process that returns; a stated limit.
            Fault::Flush if self.is_replaying() => false,
            Fault::Flush => {
                self.world.server.stored = Stored::default();
                self.world.server.life += 1;
                // What was deleted is still gone.
                self.lose(|call| call.kind == Kind::Set);
                true
            }
            Fault::Expiry => {
                let process = &mut self.world.processes[at];
                let Some(intent) = process.journal.as_mut() else { return false };
                if intent.wish == Wish::Delete || process.mode == Mode::Online {
                    return false;
                }
                self.world.calls[usize::from(intent.call)].expired = true;
                process.memory = None;
                if self.rules.expired_becomes_delete {
                    intent.wish = Wish::Delete;
                } else {
                    process.journal = None;
                }
                true
            }
            // No message is on its way for ten minutes.
            Fault::TombstonesEnd if self.is_replaying() => false,
            Fault::TombstonesEnd => {
                let closed = self.world.links.values_mut().filter(|link| !link.open);
                closed.for_each(|link| link.to_server.clear());
                let had = self.world.server.stored.tombstone.take().is_some();
                for process in &mut self.world.processes {
                    process.journal.iter_mut().for_each(|intent| intent.too_old = true);
                }
                had
            }
            Fault::DeadForLong => {
                // Those that waited before it died: it may have served others since. Whoever was online
                // takes to memory when it is dead.
                let waited: Vec<bool> = self.world.processes.iter().map(Process::owes).collect();
                self.server_ends();
                self.world.server.stored.tombstone = None;
                for (process, waited) in self.world.processes.iter_mut().zip(waited) {
                    let too_old = waited && self.rules.counts_every_moment;
                    process.journal.iter_mut().for_each(|intent| intent.too_old |= too_old);
                }
                self.save()
            }
            Fault::Suspend => {
                if !self.rules.clock_runs_in_sleep {
                    self.world.processes[at].lag += 50;
                }
                true
            }
            Fault::StartAbsent => {
                let untouched = self.world.calls.iter().all(|call| call.process != number);
                let process = &mut self.world.processes[at];
                if !untouched || process.met != Some((0, 0)) || process.mode != Mode::Online {
                    return false;
                }
                process.met = None;
                self.cut(number)
            }
        }
    }

    fn save(&mut self) -> bool {
        self.world.server.saved = self.world.server.stored;
        self.world.calls.iter_mut().for_each(|call| call.unsaved = false);
        true
    }

    fn is_replaying(&self) -> bool {
        let returning =
            |process: &Process| process.mode == Mode::Returning || process.replaying.is_some();
        self.world.processes.iter().any(returning)
    }

    /// The calls whose intents processes hold: no server can lose those.
    fn journalled(&self) -> Vec<CallId> {
        let intents =
            self.world.processes.iter().flat_map(|process| [process.journal, process.replaying]);
        let calls = intents.flatten().map(|intent| intent.call);
        calls.filter(|&call| !self.world.calls[usize::from(call)].unsaved).collect()
    }
}

//! What a world consists of: the server, the processes, the bytes between them, and what was called.
use std::collections::{BTreeMap, VecDeque};

/// The time order of a write; the process is the tie-break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    pub time: i16,
    pub process: u8,
}

/// A call by its number; a value is named after the call that wrote it.
pub type CallId = u8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Set,
    Delete,
    Get,
}

/// What somebody called, and what became of it. Nothing of this is known to the processes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Called {
    pub kind: Kind,
    pub process: u8,
    /// The calls that were answered before this one was made.
    pub after: u16,
    pub answered: bool,
    /// The server or the protocol said that it may be lost: a conflict, or a server that lost its data.
    pub excused: bool,
    pub expired: bool,
    /// The server carried it out, and has not saved that yet.
    pub unsaved: bool,
    /// What a read answered.
    pub read: Option<Option<CallId>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    pub call: CallId,
    pub stamp: Stamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stored {
    pub value: Option<Entry>,
    pub tombstone: Option<Stamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    pub stored: Stored,
    pub saved: Stored,
    /// Which server process this is, and which life of its data.
    pub run: u8,
    pub life: u8,
    /// How far its clock is behind.
    pub behind: i16,
}

/// What a process asks of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    Set(Entry),
    Delete(Entry),
    Get(CallId),
    Replay(Intent, MayWriteAbsent),
    /// Closes the connections of this process up to this one.
    Kill(u8),
}

pub type MayWriteAbsent = bool;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Done(CallId),
    Read(CallId, Option<CallId>),
    /// What became of a replay: whether it was a conflict.
    Replayed {
        conflict: bool,
    },
    Killed,
}

/// One connection: bytes on their way, in both directions. `open` is how the process sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Link {
    pub open: bool,
    /// Closed, and another process wrote while bytes were still on their way.
    pub overtaken: bool,
    pub to_server: VecDeque<Message>,
    pub to_process: VecDeque<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wish {
    Set,
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Intent {
    pub call: CallId,
    pub stamp: Stamp,
    pub wish: Wish,
    /// Older than any tombstone.
    pub too_old: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    Online,
    Degraded,
    /// Back: old connections are being killed and deletes replayed; memory answers.
    Returning,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub mode: Mode,
    /// The number of its connection.
    pub link: u8,
    pub memory: Option<Entry>,
    pub journal: Option<Intent>,
    /// An intent that was sent and not answered yet.
    pub replaying: Option<Intent>,
    /// The call that waits for the server.
    pub waiting: Option<(CallId, Entry)>,
    /// The highest stamp given or seen.
    pub last: i16,
    /// How far the estimate of the server's clock is behind that clock.
    pub lag: i16,
    /// Which server it met last.
    pub met: Option<(u8, u8)>,
}

impl Process {
    pub fn owes(&self) -> bool {
        self.journal.is_some() || self.replaying.is_some()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub server: Server,
    pub processes: Vec<Process>,
    /// By process and number.
    pub links: BTreeMap<(u8, u8), Link>,
    pub calls: Vec<Called>,
    /// True time.
    pub now: i16,
    pub faults: u8,
    /// A stated limit was met: a live write landed on what another process had written with a newer
    /// stamp, late from a closed link, or while somebody was returning.
    pub met_a_limit: bool,
}

impl World {
    pub fn new(processes: u8) -> Self {
        let process = Process {
            mode: Mode::Online,
            link: 1,
            memory: None,
            journal: None,
            replaying: None,
            waiting: None,
            last: 0,
            lag: 0,
            met: Some((0, 0)),
        };
        let open = Link { open: true, ..Link::default() };
        Self {
            server: Server {
                stored: Stored::default(),
                saved: Stored::default(),
                run: 0,
                life: 0,
                behind: 0,
            },
            links: (0..processes).map(|number| ((number, 1), open.clone())).collect(),
            processes: vec![process; usize::from(processes)],
            calls: Vec::new(),
            now: 100,
            faults: 0,
            met_a_limit: false,
        }
    }

    /// Nothing is under way or owed any more, and the stated limit was not met.
    pub fn is_settled(&self) -> bool {
        !self.met_a_limit && self.is_quiet()
    }

    fn is_quiet(&self) -> bool {
        self.links.values().all(|link| link.to_server.is_empty() && link.to_process.is_empty())
            && self.processes.iter().all(|process| {
                process.mode == Mode::Online && !process.owes() && process.waiting.is_none()
            })
    }

    /// The calls answered so far, as a set of bits.
    pub fn answered(&self) -> u16 {
        let bit = |(number, call): (usize, &Called)| u16::from(call.answered) << number;
        self.calls.iter().enumerate().map(bit).sum()
    }
}

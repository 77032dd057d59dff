//! The writer of a journal file: a thread of its own, so that no disk ever holds up a call that need not
//! wait for it. What comes while it writes is written together, and forced to disk once.
//!
//! **Locks**, in the order in which they are taken: the file (`disk`), the journal (whoever owns it has the
//! lock; it is asked by [`Source`] for a snapshot), `pending`. Whoever changes the journal holds it and takes
//! `pending` for a moment. Nobody waits for the file with the journal in hand: `after` only tries to have
//! it, and `flush` waits for the writer, so both are called without the journal.
use std::io::Result;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::disk::{Create, Disk, Source};
use super::record::{Clocks, Record};
use crate::backend::redis::Identity;
use crate::backend::{Answer, Settler, settle_all};
use crate::base::clock::{Clock, wall_micros};
use crate::base::error::{Applied, Error, ErrorKind};
use crate::base::stamp::Stamps;
use crate::config::JournalSync;

const SECOND: Duration = Duration::from_secs(1);
/// How long a disk that failed is left alone, in microseconds.
const REST: u64 = 1_000_000;
/// What was written is forced to disk when it is so old, where that is done once a second.
const DUE: u64 = 900_000;
/// No more than this waits for a slow disk, and one record: what is behind even more is written anew.
const MOST_PENDING: usize = 64 * 1024 * 1024;

/// The way to the writer. The file is closed when the last of these is dropped.
#[derive(Clone)]
pub struct Log {
    pub(super) shared: Arc<Shared>,
    _end: Arc<End>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

pub(super) struct Shared {
    pub(super) disk: Mutex<Disk>,
    pub(super) pending: Mutex<Pending>,
    wake: Condvar,
    sync: JournalSync,
    clock: Arc<dyn Clock>,
    stamps: Arc<Stamps>,
}

#[derive(Default)]
pub(super) struct Pending {
    pub(super) buffer: Vec<u8>,
    /// Nothing that was written before counts any more.
    anew: bool,
    /// Neither the file nor the buffer has everything: the file must be written anew from the journal, and
    /// until then no record is kept. It is not tried before this moment.
    behind: Option<u64>,
    /// What is written has waited to be forced to disk since this moment.
    dirty: Option<u64>,
    /// What failed last, until something succeeds.
    problem: Option<String>,
    /// Answers that wait until what stands in the buffer is written, or also forced to disk.
    waiting: Vec<(Settler, Answer)>,
    barriers: Vec<mpsc::Sender<bool>>,
    /// Nothing is owed, so the next record is preceded by the clocks.
    idle: bool,
    server: Option<Identity>,
    closed: bool,
}

/// What is to be written now.
struct Part {
    anew: bool,
    records: Vec<u8>,
}

/// What the writer woke up for.
struct Work {
    waiting: Vec<(Settler, Answer)>,
    barriers: Vec<mpsc::Sender<bool>>,
    closed: bool,
}

/// Tells the writer that nobody writes any more.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.pending.lock().closed = true;
        self.0.wake.notify_one();
    }
}

impl Log {
    /// Makes the file and starts its writer.
    pub fn start(
        create: Create,
        source: Source,
        sync: JournalSync,
        clock: Arc<dyn Clock>,
        stamps: Arc<Stamps>,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            disk: Mutex::new(Disk::open(create, source)?),
            pending: Mutex::new(Pending { idle: true, ..Pending::default() }),
            wake: Condvar::new(),
            sync,
            clock,
            stamps,
        });
        let writer = shared.clone();
        std::thread::Builder::new()
            .name("holdfast-journal".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self { _end: Arc::new(End(shared.clone())), shared })
    }

    /// Nothing is owed, and nothing will be: the file goes before this returns.
    pub fn leave(self) {
        let idle = self.shared.pending.lock().idle;
        if idle {
            self.shared.disk.lock().end(true);
        }
    }

    /// Adds a record; it is written soon. Called with the journal in hand.
    pub fn write(&self, record: &Record<'_>) {
        let mut pending = self.shared.pending.lock();
        let first = std::mem::replace(&mut pending.idle, false);
        if pending.buffer.len() > MOST_PENDING {
            pending.fall_behind(0);
        }
        if pending.behind.is_some() {
            return;
        }
        if first {
            let clocks = self.shared.clocks(pending.server.clone());
            Record::Clocks(&clocks).encode(&mut pending.buffer);
        }
        record.encode(&mut pending.buffer);
        drop(pending);
        self.shared.wake.notify_one();
    }

    /// Nothing is owed any more. Called with the journal in hand.
    pub fn begin_anew(&self) {
        let mut pending = self.shared.pending.lock();
        if !pending.idle {
            pending.idle = true;
            pending.anew = true;
            pending.behind = None;
            pending.buffer.clear();
            drop(pending);
            self.shared.wake.notify_one();
        }
    }

    /// Notes which server answers now, and what time it has.
    pub fn met(&self, server: &Identity) {
        let mut pending = self.shared.pending.lock();
        if pending.server.as_ref() == Some(server) {
            return;
        }
        pending.server = Some(server.clone());
        if !pending.idle && pending.behind.is_none() {
            let clocks = self.shared.clocks(pending.server.clone());
            Record::Clocks(&clocks).encode(&mut pending.buffer);
        }
    }

    /// Gives answers once what they acknowledge is as safe as it was asked for: on disk, or at least out of
    /// this process, so that killing it loses nothing. A disk that fails makes them errors in the first
    /// case; in the second it is told as a problem, and they are given.
    pub fn after(&self, answers: Vec<(Settler, Answer)>) {
        if self.shared.sync != JournalSync::Always
            && let Some(mut disk) = self.shared.disk.try_lock()
        {
            let written = self.shared.hand_over(&mut disk).is_some();
            drop(disk);
            if written || self.problem().is_some() {
                return settle_all(answers);
            }
        }
        // The writer has the file, or must write it anew first.
        self.shared.pending.lock().waiting.extend(answers);
        self.shared.wake.notify_one();
    }

    /// Waits until everything that was written until now is on disk; answers whether it is.
    pub fn flush(&self) -> bool {
        let (done, wait) = mpsc::channel();
        self.shared.pending.lock().barriers.push(done);
        self.shared.wake.notify_one();
        wait.recv().unwrap_or(false)
    }

    /// What keeps the journal from its disk, if anything does.
    pub fn problem(&self) -> Option<String> {
        self.shared.pending.lock().problem.clone()
    }
}

impl Shared {
    /// The writer's thread.
    fn run(&self) {
        let always = self.sync == JournalSync::Always;
        loop {
            let Work { mut waiting, barriers, closed } = self.next();
            let insists = closed || !barriers.is_empty();
            let mut disk = self.disk.lock();
            let mut result = self.bring_up(&mut disk, insists);
            let handle = (result.is_ok() && self.takes_due(insists)).then(|| disk.handle());
            drop(disk);
            if !always {
                settle_all(std::mem::take(&mut waiting));
            }
            // Whoever hands something over meanwhile does not wait for this.
            if let Some(handle) = handle {
                result = handle.and_then(|file| file.sync_data());
                self.note(&result);
            }
            settle_all(waiting.into_iter().map(|(settler, answer)| match &result {
                Ok(()) => (settler, answer),
                Err(error) => (settler, Err(not_on_disk(error))),
            }));
            for barrier in barriers {
                let _ = barrier.send(result.is_ok());
            }
            let mut disk = self.disk.lock();
            if closed {
                return disk.end(self.pending.lock().idle);
            }
            if result.is_ok() && disk.has_grown() {
                let _ = self.write_anew(&mut disk);
            }
        }
    }

    /// Waits for something to do.
    fn next(&self) -> Work {
        let mut pending = self.pending.lock();
        while !(pending.asks() || self.is_due(&pending)) {
            if !pending.owes(self.sync) {
                self.wake.wait(&mut pending);
            } else if self.wake.wait_for(&mut pending, SECOND).timed_out() {
                break;
            }
        }
        Work {
            waiting: std::mem::take(&mut pending.waiting),
            barriers: std::mem::take(&mut pending.barriers),
            closed: pending.closed,
        }
    }

    /// Whether it is time for what nobody asks for: to try again, or to force what is written to disk.
    fn is_due(&self, pending: &Pending) -> bool {
        let now = self.clock.micros();
        pending.behind.is_some_and(|until| until <= now)
            || (self.sync == JournalSync::EverySecond
                && pending.dirty.is_some_and(|since| now.saturating_sub(since) >= DUE))
    }

    /// Whether the file is to be forced to disk now; it counts as done then.
    fn takes_due(&self, insists: bool) -> bool {
        let mut pending = self.pending.lock();
        let always = self.sync == JournalSync::Always;
        let due = pending.dirty.is_some() && (insists || always || self.is_due(&pending));
        if due {
            pending.dirty = None;
        }
        due
    }

    /// Makes the file hold everything, unless the disk failed just now and nobody insists.
    fn bring_up(&self, disk: &mut Disk, insists: bool) -> Result<()> {
        match self.hand_over(disk) {
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) if !insists => return Err(error),
            _ => {}
        }
        let pending = self.pending.lock();
        if !insists && pending.behind.is_some_and(|until| until > self.clock.micros()) {
            let problem = pending.problem.clone().unwrap_or_default();
            return Err(std::io::Error::other(problem));
        }
        drop(pending);
        self.write_anew(disk)
    }

    /// Writes what is pending. `None`: the file is behind, and this changes nothing.
    fn hand_over(&self, disk: &mut Disk) -> Option<Result<()>> {
        let part = self.pending.lock().take(self.clock.micros())?;
        let result = disk.write(part.anew, &part.records);
        self.note(&result);
        Some(result)
    }

    /// Writes the file anew from the journal. On failure it holds what it would hold without that.
    pub(super) fn write_anew(&self, disk: &mut Disk) -> Result<()> {
        let mut part = None;
        let result = disk.write_anew(&mut || {
            let mut pending = self.pending.lock();
            // What is pending stands in the snapshot. What comes from now on follows it.
            part = pending.take(self.clock.micros());
            pending.behind = None;
            self.clocks(pending.server.clone())
        });
        match part {
            // The file was whole, and is so again with this.
            Some(Part { anew, records }) if result.is_err() => {
                self.note(&disk.write(anew, &records));
            }
            _ => self.note(&result),
        }
        if result.is_ok() {
            self.pending.lock().dirty = None;
        }
        result
    }

    fn note(&self, result: &Result<()>) {
        let mut pending = self.pending.lock();
        match result {
            // Another one may have failed meanwhile.
            Ok(()) if pending.behind.is_some() => {}
            Ok(()) => pending.problem = None,
            Err(error) => {
                pending.fall_behind(self.clock.micros().saturating_add(REST));
                pending.problem = Some(error.to_string());
                drop(pending);
                self.wake.notify_one();
            }
        }
    }

    fn clocks(&self, server: Option<Identity>) -> Clocks {
        Clocks {
            boot_micros: self.clock.micros(),
            wall_micros: wall_micros(),
            offset: self.stamps.offset(),
            server,
        }
    }
}

impl Pending {
    /// Whether somebody waits for the writer.
    fn asks(&self) -> bool {
        self.closed
            || self.anew
            || !self.buffer.is_empty()
            || !self.waiting.is_empty()
            || !self.barriers.is_empty()
    }

    /// Whether there will be something to do although nobody asks.
    fn owes(&self, sync: JournalSync) -> bool {
        self.behind.is_some() || (sync != JournalSync::No && self.dirty.is_some())
    }

    fn take(&mut self, now: u64) -> Option<Part> {
        if self.behind.is_some() {
            return None;
        }
        if !self.buffer.is_empty() {
            self.dirty.get_or_insert(now);
        }
        let (anew, records) = (std::mem::take(&mut self.anew), std::mem::take(&mut self.buffer));
        Some(Part { anew, records })
    }

    fn fall_behind(&mut self, until: u64) {
        self.behind = Some(until);
        self.anew = false;
        self.dirty = None;
        self.buffer = Vec::new();
    }
}

fn not_on_disk(error: &std::io::Error) -> Error {
    Error::new(
        ErrorKind::Full,
        "it is kept in memory, but the journal could not be written to disk",
    )
    .cause(error.to_string())
    .applied(Applied::Unknown)
}

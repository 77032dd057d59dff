//! The writer of a journal file: a thread of its own, so that no disk ever holds up a call that need not
//! wait for it. What comes while it writes is written together, and forced to disk once.
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::file::State;
use super::record::{Begin, Clocks, Record};
use crate::backend::intent::Intent;
use crate::backend::redis::Identity;
use crate::backend::{Answer, Settler, settle_all};
use crate::base::clock::{Clock, boot_id, wall_micros};
use crate::base::error::{Applied, Error, ErrorKind};
use crate::base::stamp::Stamps;
use crate::config::JournalSync;

const SECOND: Duration = Duration::from_secs(1);
/// A file is written anew when it is larger than this, and four times as large as it was after the last time.
const COMPACT_FROM: u64 = 64 * 1024 * 1024;

/// Makes the file of a generation: locked, for its owner alone.
pub type Create = Box<dyn Fn(u32) -> std::io::Result<(PathBuf, File)> + Send>;

/// The way to the writer. The file is closed when the last of these is dropped.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
    _end: Arc<End>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

struct Shared {
    pending: Mutex<Pending>,
    wake: Condvar,
    sync: JournalSync,
    clock: Arc<dyn Clock>,
    stamps: Arc<Stamps>,
    problem: Mutex<Option<String>>,
}

#[derive(Default)]
struct Pending {
    buffer: Vec<u8>,
    /// Answers that wait until what stands in the buffer is on disk.
    waiting: Vec<(Settler, Answer)>,
    barriers: Vec<mpsc::Sender<bool>>,
    /// Nothing that was written before counts any more.
    anew: bool,
    /// Nothing is owed, so the next record is preceded by the clocks.
    idle: bool,
    server: Option<Identity>,
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
    /// Starts the writer.
    pub fn start(
        create: Create,
        sync: JournalSync,
        clock: Arc<dyn Clock>,
        stamps: Arc<Stamps>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            pending: Mutex::new(Pending { idle: true, ..Pending::default() }),
            wake: Condvar::new(),
            sync,
            clock,
            stamps,
            problem: Mutex::new(None),
        });
        let mut writer = Writer::open(create, shared.clone())?;
        std::thread::Builder::new()
            .name("holdfast-journal".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self { _end: Arc::new(End(shared.clone())), shared })
    }

    /// Adds a record; it is written soon.
    pub fn write(&self, record: &Record<'_>) {
        let mut pending = self.shared.pending.lock();
        if pending.idle {
            pending.idle = false;
            let clocks = self.shared.clocks(pending.server.clone());
            Record::Clocks(&clocks).encode(&mut pending.buffer);
        }
        record.encode(&mut pending.buffer);
        drop(pending);
        self.shared.wake.notify_one();
    }

    /// Nothing is owed any more.
    pub fn begin_anew(&self) {
        let mut pending = self.shared.pending.lock();
        if !pending.idle {
            pending.idle = true;
            pending.anew = true;
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
        if !pending.idle {
            let clocks = self.shared.clocks(pending.server.clone());
            Record::Clocks(&clocks).encode(&mut pending.buffer);
        }
    }

    /// Whether answers must wait until what they acknowledge is on disk.
    pub fn holds_back(&self) -> bool {
        self.shared.sync == JournalSync::Always
    }

    /// Gives answers once everything that was written until now is on disk.
    pub fn after(&self, answers: Vec<(Settler, Answer)>) {
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
        self.shared.problem.lock().clone()
    }
}

impl Shared {
    fn clocks(&self, server: Option<Identity>) -> Clocks {
        Clocks {
            boot_micros: self.clock.micros(),
            wall_micros: wall_micros(),
            offset: self.stamps.offset(),
            server,
        }
    }
}

struct Writer {
    shared: Arc<Shared>,
    create: Create,
    generation: u32,
    path: PathBuf,
    file: File,
    /// How much of the file is whole, where its head ends, and how large it was when it was last written anew.
    length: u64,
    head: u64,
    base: u64,
    /// What could not be written yet.
    unwritten: Vec<u8>,
    /// Written, and not forced to disk yet; since when.
    dirty: Option<u64>,
}

impl Writer {
    fn open(create: Create, shared: Arc<Shared>) -> std::io::Result<Self> {
        let (path, file) = create(0)?;
        let mut writer = Self {
            shared,
            create,
            generation: 0,
            path,
            file,
            length: 0,
            head: 0,
            base: 0,
            unwritten: Vec::new(),
            dirty: None,
        };
        writer.begin(&[])?;
        Ok(writer)
    }

    fn begin(&mut self, rest: &[u8]) -> std::io::Result<()> {
        let begin = Begin { generation: self.generation, boot: boot_id() };
        let mut head = Vec::new();
        Record::Begin(&begin).encode(&mut head);
        self.file.write_all(&head)?;
        self.file.write_all(rest)?;
        self.file.sync_data()?;
        self.head = head.len() as u64;
        self.length = self.head + rest.len() as u64;
        self.base = self.length;
        Ok(())
    }

    fn run(&mut self) {
        loop {
            let (pending, closed) = self.next();
            let forced = !pending.barriers.is_empty()
                || (self.shared.sync == JournalSync::Always && !pending.waiting.is_empty());
            let result = self.write(pending.anew, pending.buffer, forced);
            *self.shared.problem.lock() = result.as_ref().err().map(ToString::to_string);
            let good = result.is_ok();
            settle_all(pending.waiting.into_iter().map(|(settler, answer)| match &result {
                Ok(()) => (settler, answer),
                Err(error) => (settler, Err(unsafe_on_disk(error))),
            }));
            for barrier in pending.barriers {
                let _ = barrier.send(good);
            }
            if closed {
                return self.end();
            }
            if good && self.length > COMPACT_FROM.max(4 * self.base) {
                // What fails leaves the file as it is; it is tried again when it has grown.
                if self.compact().is_err() {
                    self.base = self.length;
                }
            }
        }
    }

    /// Waits for something to do.
    fn next(&mut self) -> (Pending, bool) {
        let mut pending = self.shared.pending.lock();
        loop {
            let asked = pending.anew
                || !pending.buffer.is_empty()
                || !pending.waiting.is_empty()
                || !pending.barriers.is_empty();
            if asked || pending.closed {
                break;
            }
            if self.dirty.is_none() && self.unwritten.is_empty() {
                self.shared.wake.wait(&mut pending);
            } else if self.shared.wake.wait_for(&mut pending, SECOND).timed_out() {
                break;
            }
        }
        let taken = Pending {
            buffer: std::mem::take(&mut pending.buffer),
            waiting: std::mem::take(&mut pending.waiting),
            barriers: std::mem::take(&mut pending.barriers),
            anew: std::mem::take(&mut pending.anew),
            ..Pending::default()
        };
        (taken, pending.closed)
    }

    fn write(&mut self, anew: bool, buffer: Vec<u8>, forced: bool) -> std::io::Result<()> {
        if anew {
            self.unwritten.clear();
            self.cut_back(self.head)?;
            self.base = self.head;
        }
        if self.unwritten.is_empty() {
            self.unwritten = buffer;
        } else {
            self.unwritten.extend_from_slice(&buffer);
        }
        if !self.unwritten.is_empty() {
            if let Err(error) = self.file.write_all(&self.unwritten) {
                // Half a record would hide whatever comes after it.
                let _ = self.cut_back(self.length);
                return Err(error);
            }
            self.length += self.unwritten.len() as u64;
            self.unwritten = Vec::new();
            self.dirty.get_or_insert(self.shared.clock.micros());
        }
        let since = self.dirty.map_or(0, |at| self.shared.clock.micros().saturating_sub(at));
        let due = self.shared.sync == JournalSync::EverySecond && since >= 900_000;
        if self.dirty.is_some() && (forced || due) {
            self.file.sync_data()?;
            self.dirty = None;
        } else if self.shared.sync == JournalSync::No {
            self.dirty = None;
        }
        Ok(())
    }

    fn cut_back(&mut self, length: u64) -> std::io::Result<()> {
        self.file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length))?;
        self.length = length;
        Ok(())
    }

    /// Writes what is not settled into a new file, and removes this one.
    fn compact(&mut self) -> std::io::Result<()> {
        let state = State::of(std::fs::read(&self.path)?.into());
        let mut rest = Vec::new();
        Record::Clocks(&state.clocks).encode(&mut rest);
        for (prefix, &stamp) in &state.invalidations {
            Record::Invalidation { prefix, stamp }.encode(&mut rest);
        }
        let mut intents: Vec<&Intent> = state.intents.values().collect();
        intents.sort_by_key(|intent| intent.stamp);
        for intent in intents {
            Record::Intent(intent).encode(&mut rest);
        }
        Record::Complete.encode(&mut rest);
        let (path, file) = (self.create)(self.generation + 1)?;
        let old = std::mem::replace(&mut self.path, path);
        let old_file = std::mem::replace(&mut self.file, file);
        self.generation += 1;
        if let Err(error) = self.begin(&rest) {
            let unfinished = std::mem::replace(&mut self.path, old);
            self.file = old_file;
            self.generation -= 1;
            self.length = self.file.metadata()?.len();
            let _ = std::fs::remove_file(unfinished);
            return Err(error);
        }
        self.dirty = None;
        drop(old_file);
        std::fs::remove_file(old)
    }

    /// Nobody writes any more. A file that holds nothing is removed; any other waits for who adopts it.
    fn end(&mut self) {
        let _ = self.file.sync_data();
        if self.shared.pending.lock().idle {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn unsafe_on_disk(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Full, "the journal could not be written to disk")
        .cause(error.to_string())
        .applied(Applied::Unknown)
}

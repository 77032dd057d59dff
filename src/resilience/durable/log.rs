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
    /// Taken before `pending`, never after it.
    disk: Mutex<Disk>,
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
        let disk = Disk::open(create, clock.clone())?;
        let shared = Arc::new(Shared {
            pending: Mutex::new(Pending { idle: true, ..Pending::default() }),
            wake: Condvar::new(),
            sync,
            clock,
            stamps,
            problem: Mutex::new(None),
            disk: Mutex::new(disk),
        });
        let writer = shared.clone();
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

    /// Gives answers once what they acknowledge is as safe as it was asked for: on disk, or at least out of
    /// this process, so that killing it loses nothing.
    pub fn after(&self, answers: Vec<(Settler, Answer)>) {
        if self.shared.sync == JournalSync::Always {
            self.shared.pending.lock().waiting.extend(answers);
            self.shared.wake.notify_one();
            return;
        }
        // While the file is being written anew, the writer hands this over right after that.
        if let Some(mut disk) = self.shared.disk.try_lock() {
            // What fails is noted as the problem, kept, and tried again by the writer.
            let _ = self.shared.hand_over(&mut disk);
        }
        settle_all(answers);
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

impl Shared {
    /// The writer's thread.
    fn run(&self) {
        loop {
            let (waiting, barriers, closed) = self.next();
            let mut disk = self.disk.lock();
            let mut result = self.hand_over(&mut disk);
            let forced = !waiting.is_empty() || !barriers.is_empty();
            let handle = disk.take_due(forced, self.sync);
            drop(disk);
            // Whoever hands something over meanwhile does not wait for this.
            if let Some(handle) = handle
                && result.is_ok()
            {
                result = handle.and_then(|file| file.sync_data());
                self.note(&result);
            }
            let good = result.is_ok();
            settle_all(waiting.into_iter().map(|(settler, answer)| match &result {
                Ok(()) => (settler, answer),
                Err(error) => (settler, Err(unsafe_on_disk(error))),
            }));
            for barrier in barriers {
                let _ = barrier.send(good);
            }
            let mut disk = self.disk.lock();
            if closed {
                return disk.end(self.pending.lock().idle);
            }
            if good && disk.has_grown() && disk.compact().is_err() {
                // The file is as it was; it is tried again when it has grown.
                disk.base = disk.length;
            }
        }
    }

    /// Waits for something to do.
    fn next(&self) -> (Vec<(Settler, Answer)>, Vec<mpsc::Sender<bool>>, bool) {
        let owes = self.disk.lock().owes();
        let mut pending = self.pending.lock();
        while !(pending.closed || pending.asks()) {
            if !owes {
                self.wake.wait(&mut pending);
            } else if self.wake.wait_for(&mut pending, SECOND).timed_out() {
                break;
            }
        }
        let waiting = std::mem::take(&mut pending.waiting);
        (waiting, std::mem::take(&mut pending.barriers), pending.closed)
    }

    /// Writes what is pending.
    fn hand_over(&self, disk: &mut Disk) -> std::io::Result<()> {
        let mut pending = self.pending.lock();
        let (anew, buffer) =
            (std::mem::take(&mut pending.anew), std::mem::take(&mut pending.buffer));
        drop(pending);
        let result = disk.write(anew, buffer);
        self.note(&result);
        result
    }

    fn note(&self, result: &std::io::Result<()>) {
        *self.problem.lock() = result.as_ref().err().map(ToString::to_string);
    }
}

impl Pending {
    fn asks(&self) -> bool {
        self.anew
            || !self.buffer.is_empty()
            || !self.waiting.is_empty()
            || !self.barriers.is_empty()
    }
}

/// The file, and what is known of it.
struct Disk {
    create: Create,
    clock: Arc<dyn Clock>,
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

impl Disk {
    fn open(create: Create, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let (path, file) = create(0)?;
        let mut disk = Self {
            create,
            clock,
            generation: 0,
            path,
            file,
            length: 0,
            head: 0,
            base: 0,
            unwritten: Vec::new(),
            dirty: None,
        };
        disk.begin(&[])?;
        Ok(disk)
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

    fn write(&mut self, anew: bool, buffer: Vec<u8>) -> std::io::Result<()> {
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
        if self.unwritten.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_all(&self.unwritten) {
            // Half a record would hide whatever comes after it.
            let _ = self.cut_back(self.length);
            return Err(error);
        }
        self.length += self.unwritten.len() as u64;
        self.unwritten = Vec::new();
        self.dirty.get_or_insert(self.clock.micros());
        Ok(())
    }

    /// Whether something waits to be written, or to be forced to disk.
    fn owes(&self) -> bool {
        self.dirty.is_some() || !self.unwritten.is_empty()
    }

    /// A handle by which the file is to be forced to disk now.
    fn take_due(&mut self, forced: bool, sync: JournalSync) -> Option<std::io::Result<File>> {
        let since = self.clock.micros().saturating_sub(self.dirty?);
        let due = match sync {
            JournalSync::Always => true,
            JournalSync::EverySecond => since >= 900_000,
            JournalSync::No => false,
        };
        if sync == JournalSync::No && !forced {
            self.dirty = None;
        }
        (forced || due).then(|| {
            self.dirty = None;
            self.file.try_clone()
        })
    }

    fn cut_back(&mut self, length: u64) -> std::io::Result<()> {
        self.file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length))?;
        self.length = length;
        Ok(())
    }

    fn has_grown(&self) -> bool {
        self.length > COMPACT_FROM.max(4 * self.base)
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
    fn end(&mut self, empty: bool) {
        let _ = self.file.sync_data();
        if empty {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn unsafe_on_disk(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Full, "the journal could not be written to disk")
        .cause(error.to_string())
        .applied(Applied::Unknown)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::orphans::Directory;
    use super::*;
    use crate::backend::intent::Wish;
    use crate::base::clock::ManualClock;
    use crate::base::stamp::Stamp;

    struct Place(PathBuf);

    impl Place {
        fn new() -> Self {
            let name = format!("holdfast-log-{:x}", crate::base::random::bits());
            Self(std::env::temp_dir().join(name))
        }

        fn open(&self, sync: JournalSync) -> (Directory, Log) {
            let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(5));
            let stamps = Arc::new(Stamps::new(clock.clone(), 7));
            Directory::open(&self.0.to_string_lossy(), "here", sync, clock, stamps).unwrap()
        }

        fn files(&self) -> Vec<PathBuf> {
            let entries = std::fs::read_dir(&self.0).unwrap();
            let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            files.sort();
            files
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn delete(key: u32) -> Intent {
        let stamp = Stamp { micros: u64::from(key) + 1, process: 1 };
        Intent { key: Bytes::from(format!("k{key}")), stamp, wish: Wish::Delete }
    }

    fn adopted(directory: &Directory) -> Vec<Bytes> {
        let clock = ManualClock::at(6);
        directory.adopt(&clock).intents.into_iter().map(|intent| intent.key).collect()
    }

    /// Ends the writer as the end of a process would: what it wrote stays.
    fn gone(log: Log) {
        assert!(log.flush());
        let shared = log.shared.clone();
        drop(log);
        // Its thread holds the last reference but ours, and with it the lock.
        while Arc::strong_count(&shared) > 1 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_file_is_taken_over_once_its_owner_is_gone_and_not_before() {
        let place = Place::new();
        let (_, first) = place.open(JournalSync::EverySecond);
        let (directory, _second) = place.open(JournalSync::EverySecond);
        first.write(&Record::Intent(&delete(1)));
        assert!(first.flush());
        assert!(adopted(&directory).is_empty(), "its owner lives");
        gone(first);
        let clock = ManualClock::at(6);
        let found = directory.adopt(&clock);
        assert_eq!(found.intents, [delete(1)]);
        found.done();
        assert!(adopted(&directory).is_empty());
        assert_eq!(place.files().len(), 1, "our own");
    }

    #[test]
    fn a_torn_end_hides_nothing_that_stands_before_it() {
        let place = Place::new();
        let (_, first) = place.open(JournalSync::Always);
        (1..4).for_each(|key| first.write(&Record::Intent(&delete(key))));
        gone(first);
        let path = place.files().remove(0);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, whole.get(..whole.len() - 3).unwrap()).unwrap();
        let (directory, _second) = place.open(JournalSync::Always);
        let clock = ManualClock::at(6);
        let found = directory.adopt(&clock);
        assert_eq!(found.intents, [delete(1), delete(2)]);
        assert!(found.torn > 0);
    }

    #[test]
    fn a_file_that_is_written_anew_keeps_what_is_owed_and_nothing_else() {
        let place = Place::new();
        let (_, first) = place.open(JournalSync::No);
        for key in 0..1_000 {
            first.write(&Record::Intent(&delete(key)));
            if key >= 3 {
                let stamp = delete(key).stamp;
                first.write(&Record::Settled { key: &delete(key).key, stamp });
            }
        }
        assert!(first.flush());
        let before = place.files();
        let old = std::fs::read(&before[0]).unwrap();
        first.shared.disk.lock().compact().unwrap();
        let after = place.files();
        assert_ne!(before, after);
        assert!(std::fs::metadata(&after[0]).unwrap().len() < 500);
        first.write(&Record::Intent(&delete(2_000)));
        first.write(&Record::Settled { key: b"k0", stamp: delete(0).stamp });
        gone(first);
        // As if the process had died before it removed the old file: the new one counts alone.
        std::fs::write(&before[0], &old).unwrap();
        let (directory, second) = place.open(JournalSync::No);
        let clock = ManualClock::at(6);
        let found = directory.adopt(&clock);
        let keys: Vec<_> = found.intents.iter().map(|intent| intent.key.clone()).collect();
        assert_eq!(keys, ["k1", "k2", "k2000"]);
        found.done();
        gone(second);
        // As if it had died in the middle of writing the new one: the old one counts alone.
        std::fs::write(&before[0], &old).unwrap();
        let begun = before[0].to_string_lossy().replace("-0.journal", "-1.journal");
        let mut head = Vec::new();
        Record::Begin(&Begin { generation: 1, boot: boot_id() }).encode(&mut head);
        Record::Intent(&delete(9)).encode(&mut head);
        std::fs::write(begun, head).unwrap();
        let (directory, _third) = place.open(JournalSync::No);
        assert_eq!(adopted(&directory), ["k0", "k1", "k2"]);
    }

    #[test]
    fn a_journal_that_is_empty_leaves_no_file() {
        let place = Place::new();
        let (_, log) = place.open(JournalSync::EverySecond);
        log.write(&Record::Intent(&delete(1)));
        log.begin_anew();
        gone(log);
        assert!(place.files().is_empty());
    }
}

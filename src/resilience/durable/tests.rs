//! The journal on disk from end to end: what one writer leaves is what the next one finds.
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::super::journal::Journal;
use super::file::State;
use super::record::{Begin, Record};
use super::{Directory, Log, Source};
use crate::backend::intent::{Intent, Wish};
use crate::backend::{Answer, Removal, Reply, Settler, Sink};
use crate::base::clock::{Clock, ManualClock, boot_id};
use crate::base::keys::Keys;
use crate::base::stamp::{Stamp, Stamps};
use crate::config::JournalSync;

/// Only against hanging.
const BOUND: Duration = Duration::from_secs(60);

struct Place(PathBuf);

/// A journal with its log.
struct Kept {
    journal: Arc<Mutex<Journal>>,
    log: Log,
}

impl Place {
    fn new() -> Self {
        let name = format!("holdfast-log-{:x}", crate::base::random::bits());
        Self(std::env::temp_dir().join(name))
    }

    /// A log that has no journal to ask.
    fn open(&self, sync: JournalSync) -> (Directory, Log) {
        self.open_with(sync, Box::new(|_: &mut dyn FnMut()| None))
    }

    fn open_with(&self, sync: JournalSync, source: Source) -> (Directory, Log) {
        let (clock, stamps) = times();
        Directory::open(&self.0.to_string_lossy(), "here", sync, clock, stamps, source).unwrap()
    }

    fn keep(&self, sync: JournalSync) -> Kept {
        Kept::with(|source| self.open_with(sync, source).1)
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

impl Kept {
    fn with(open: impl FnOnce(Source) -> Log) -> Self {
        let journal = Arc::new(Mutex::new(Journal::new(usize::MAX / 2)));
        let asked = Arc::downgrade(&journal);
        let log = open(Box::new(move |cut: &mut dyn FnMut()| {
            let journal = asked.upgrade()?;
            let held = journal.lock();
            cut();
            Some(held.snapshot())
        }));
        journal.lock().keep_in(log.clone());
        Self { journal, log }
    }

    fn delete(&self, key: u32) {
        let Intent { key, stamp, .. } = delete(key);
        self.journal.lock().delete(key, stamp, &Keys::new(""));
    }

    fn settle(&self, key: u32) {
        let mut journal = self.journal.lock();
        let taken = journal.take(&delete(key).key).unwrap();
        journal.settle(&taken);
    }

    fn write_anew(&self) {
        self.log.shared.write_anew(&mut self.log.shared.disk.lock()).unwrap();
    }

    /// The keys that stand in the file.
    fn held(&self) -> Vec<Bytes> {
        let path = self.log.shared.disk.lock().current.path.clone();
        held(&path)
    }

    /// Asks for an answer when what was written is safe.
    fn answer(&self) -> mpsc::Receiver<Answer> {
        let (told, answer) = mpsc::channel();
        let settler = Settler::new(Arc::new(Told(told)), 1);
        self.log.after(vec![(settler, Ok(Reply::Flag(true)))]);
        answer
    }

    /// Ends the process, as far as its files are concerned.
    fn gone(self) {
        drop(self.journal);
        gone(self.log);
    }
}

struct Told(mpsc::Sender<Answer>);

impl Sink for Told {
    fn put(&self, _: u32, answer: Answer) {
        let _ = self.0.send(answer);
    }

    fn wake(&self) {}
}

fn times() -> (Arc<dyn Clock>, Arc<Stamps>) {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(5));
    (clock.clone(), Arc::new(Stamps::new(clock, 7)))
}

fn delete(key: u32) -> Intent {
    let stamp = Stamp { micros: u64::from(key) + 1, process: 1 };
    Intent { key: Bytes::from(format!("k{key}")), stamp, wish: Wish::Delete }
}

fn held(path: &Path) -> Vec<Bytes> {
    let state = State::of(std::fs::read(path).unwrap().into());
    assert!(state.counts());
    let mut intents: Vec<_> = state.intents.into_values().collect();
    intents.sort_by_key(|intent| intent.stamp);
    intents.into_iter().map(|intent| intent.key).collect()
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
fn a_file_with_a_record_of_a_newer_version_is_left_to_who_understands_it() {
    let place = Place::new();
    let (directory, _own) = place.open(JournalSync::EverySecond);
    let (_, first) = place.open(JournalSync::EverySecond);
    first.write(&Record::Intent(&delete(1)));
    gone(first);
    let holds_it =
        |path: &PathBuf| !State::of(std::fs::read(path).unwrap().into()).intents.is_empty();
    let path = place.files().into_iter().find(holds_it).unwrap();
    let body = [200u8, 1, 2, 3];
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(&4u32.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    std::fs::write(&path, bytes).unwrap();
    let found = directory.adopt(&ManualClock::at(6));
    assert!(found.intents.is_empty());
    found.done();
    assert!(path.exists());
}

#[test]
fn a_file_that_is_written_anew_keeps_what_is_owed_and_nothing_else() {
    let place = Place::new();
    let first = place.keep(JournalSync::No);
    for key in 0..1_000 {
        first.delete(key);
        if key >= 3 {
            first.settle(key);
        }
    }
    // One is on its way meanwhile.
    let taken = first.journal.lock().take(b"k1");
    assert!(taken.is_some());
    assert!(first.log.flush());
    let before = place.files();
    let old = std::fs::read(&before[0]).unwrap();
    first.write_anew();
    let after = place.files();
    assert_eq!(after.len(), 1);
    assert_ne!(before, after);
    assert!(std::fs::metadata(&after[0]).unwrap().len() < 500);
    first.delete(2_000);
    first.settle(0);
    first.gone();
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
fn a_file_that_was_written_anew_counts_also_when_it_was_emptied_since() {
    let place = Place::new();
    let first = place.keep(JournalSync::EverySecond);
    first.delete(1);
    first.write_anew();
    first.settle(1);
    assert!(first.log.flush());
    first.delete(2);
    first.gone();
    let (directory, _second) = place.open(JournalSync::EverySecond);
    assert_eq!(adopted(&directory), ["k2"]);
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

#[test]
fn no_answer_is_given_before_its_record_has_left_the_process() {
    for sync in [JournalSync::EverySecond, JournalSync::No, JournalSync::Always] {
        let place = Place::new();
        let kept = place.keep(sync);
        let busy = kept.log.shared.disk.lock();
        kept.delete(1);
        let answer = kept.answer();
        assert!(answer.try_recv().is_err(), "somebody has the file in hand");
        drop(busy);
        assert_eq!(answer.recv_timeout(BOUND).unwrap(), Ok(Reply::Flag(true)));
        assert_eq!(kept.held(), ["k1"]);
    }
}

/// What is invalidated of a tag, as the file has it.
fn removals(kept: &Kept, marker: &Bytes) -> Vec<Removal> {
    kept.log.flush();
    let path = kept.log.shared.disk.lock().current.path.clone();
    let mut state = State::of(std::fs::read(path).unwrap().into());
    match state.intents.remove(marker).map(|intent| intent.wish) {
        Some(Wish::Invalidate(removals)) => {
            removals.into_iter().map(|(removal, _)| removal).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_invalidation_of_a_tag_that_is_on_its_way_stays_in_the_file_beside_a_later_one() {
    let place = Place::new();
    let kept = place.keep(JournalSync::EverySecond);
    let keys = Keys::new("");
    let marker = keys.marker(b"t");
    let invalidate = |removal, micros| {
        let stamp = Stamp { micros, process: 1 };
        kept.journal.lock().invalidate_tag(marker.clone(), removal, stamp, &keys);
    };
    invalidate(Removal::Delete, 5);
    let taken = kept.journal.lock().take(&marker).unwrap();
    invalidate(Removal::Expire, 8);
    let both = [Removal::Delete, Removal::Expire];
    assert!(both.iter().all(|removal| removals(&kept, &marker).contains(removal)));
    kept.write_anew();
    assert!(both.iter().all(|removal| removals(&kept, &marker).contains(removal)));
    // Back again, and still both.
    kept.journal.lock().put_back(taken);
    assert!(both.iter().all(|removal| removals(&kept, &marker).contains(removal)));
    let taken = kept.journal.lock().take(&marker).unwrap();
    kept.journal.lock().settle(&taken);
    assert_eq!(kept.journal.lock().depth(), 0);
}

#[test]
fn what_waits_for_a_slow_disk_is_bounded_and_nothing_of_it_is_lost() {
    const MEGABYTE: usize = 1 << 20;
    let place = Place::new();
    let kept = place.keep(JournalSync::EverySecond);
    let busy = kept.log.shared.disk.lock();
    for number in 0..80u8 {
        let mut key = vec![b'k'; MEGABYTE];
        key[0] = number;
        let stamp = Stamp { micros: u64::from(number) + 1, process: 1 };
        kept.journal.lock().delete(key.into(), stamp, &Keys::new(""));
        assert!(kept.log.shared.pending.lock().buffer.len() <= 66 * MEGABYTE);
    }
    assert!(kept.log.shared.pending.lock().buffer.is_empty(), "it is written anew instead");
    let answer = kept.answer();
    assert!(answer.try_recv().is_err());
    drop(busy);
    assert_eq!(answer.recv_timeout(BOUND).unwrap(), Ok(Reply::Flag(true)));
    assert_eq!(kept.held().len(), 80);
}

/// On a disk that is full for as long as a test says so.
#[cfg(target_os = "linux")]
mod a_full_disk {
    use std::fs::{File, OpenOptions};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::disk::Create;
    use super::*;
    use crate::base::error::{Applied, ErrorKind};

    struct Scene {
        place: Place,
        full: Arc<AtomicBool>,
        kept: Kept,
    }

    fn on_dev_full() -> std::io::Result<File> {
        OpenOptions::new().write(true).open("/dev/full")
    }

    impl Scene {
        /// One delete is safe; then the disk is full.
        fn begin(sync: JournalSync) -> Self {
            let place = Place::new();
            std::fs::create_dir(&place.0).unwrap();
            let full = Arc::new(AtomicBool::new(false));
            let (directory, is_full) = (place.0.clone(), full.clone());
            let create: Create = Box::new(move |number: u32| {
                let path = directory.join(format!("{number}.journal"));
                let file = if is_full.load(Ordering::SeqCst) {
                    on_dev_full()?
                } else {
                    OpenOptions::new().create_new(true).write(true).open(&path)?
                };
                Ok((path, file))
            });
            let (clock, stamps) = times();
            let kept =
                Kept::with(|source| Log::start(create, source, sync, clock, stamps).unwrap());
            kept.delete(1);
            assert_eq!(kept.answer().recv_timeout(BOUND).unwrap(), Ok(Reply::Flag(true)));
            full.store(true, Ordering::SeqCst);
            kept.log.shared.disk.lock().current.file = on_dev_full().unwrap();
            Self { place, full, kept }
        }

        /// What a journal of 99 deletes does when there is room again, one of them on its way.
        fn heals(self) {
            let Self { place, full, kept } = self;
            (3..100).for_each(|key| kept.delete(key));
            assert_eq!(
                kept.log.shared.pending.lock().buffer.capacity(),
                0,
                "nothing is kept twice"
            );
            assert!(kept.journal.lock().take(b"k50").is_some());
            assert!(!kept.log.flush());
            assert!(kept.log.problem().is_some());
            full.store(false, Ordering::SeqCst);
            assert!(kept.log.flush());
            assert_eq!(kept.log.problem(), None);
            let all: Vec<_> = (1..100).map(|key| delete(key).key).collect();
            assert_eq!(kept.held(), all);
            assert_eq!(place.files().len(), 1);
            kept.delete(100);
            assert_eq!(kept.answer().recv_timeout(BOUND).unwrap(), Ok(Reply::Flag(true)));
            assert_eq!(kept.held().len(), 100);
        }
    }

    #[test]
    fn is_an_error_to_whoever_must_know_his_write_on_disk_until_all_of_it_is_there() {
        let scene = Scene::begin(JournalSync::Always);
        // What failed, and what comes while the disk is left alone.
        for _ in 0..2 {
            scene.kept.delete(2);
            let error = scene.kept.answer().recv_timeout(BOUND).unwrap().unwrap_err();
            assert_eq!((error.kind, error.applied), (ErrorKind::Full, Applied::Unknown));
            assert!(error.cause.unwrap().contains("os error 28"));
        }
        scene.heals();
    }

    #[test]
    fn is_told_and_keeps_no_answer_back_where_the_system_was_trusted() {
        let scene = Scene::begin(JournalSync::EverySecond);
        for _ in 0..2 {
            scene.kept.delete(2);
            assert_eq!(scene.kept.answer().recv_timeout(BOUND).unwrap(), Ok(Reply::Flag(true)));
            assert!(
                scene.kept.log.problem().is_some_and(|problem| problem.contains("os error 28"))
            );
        }
        scene.heals();
    }

    #[test]
    fn is_no_problem_any_more_once_nothing_is_owed() {
        let Scene { place, full, kept } = Scene::begin(JournalSync::Always);
        kept.delete(2);
        assert!(kept.answer().recv_timeout(BOUND).unwrap().is_err());
        full.store(false, Ordering::SeqCst);
        (1..3).for_each(|key| kept.settle(key));
        assert!(kept.log.flush());
        assert_eq!(kept.log.problem(), None);
        assert!(kept.held().is_empty());
        kept.gone();
        assert!(place.files().is_empty());
    }
}

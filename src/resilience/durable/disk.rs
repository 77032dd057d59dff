//! The file of a journal, and the generations in which it is written anew.
use std::fs::File;
use std::io::{Error, Result, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::super::journal::Invalidation;
use super::record::{Begin, Clocks, Record};
use crate::backend::intent::Intent;
use crate::base::clock::boot_id;

/// A file is written anew when it is larger than this, and four times as large as it was after the last time.
const COMPACT_FROM: u64 = 64 * 1024 * 1024;
/// So many bytes of a snapshot are made at once.
const PART: usize = 1024 * 1024;

/// Makes the file of a generation: locked, for its owner alone. No number comes twice.
pub type Create = Box<dyn Fn(u32) -> Result<(PathBuf, File)> + Send>;

/// Asks the journal what it holds; `None` when it is gone. What it is given is called once, while nothing
/// can be written to the log: each change stands either in the snapshot or in a record that comes later.
pub type Source = Box<dyn Fn(&mut dyn FnMut()) -> Option<Snapshot> + Send>;

/// All that is owed at one moment: what waits for its replay, and what is on its way.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub invalidations: Vec<Invalidation>,
    pub intents: Vec<Intent>,
}

pub struct Disk {
    create: Create,
    source: Source,
    pub(super) current: Generation,
    /// The number that was given last.
    newest: u32,
    /// Nobody writes any more.
    ended: bool,
}

impl Disk {
    pub fn open(create: Create, source: Source) -> Result<Self> {
        let current = Generation::begin(&create, 0)?;
        current.file.sync_data()?;
        Ok(Self { create, source, current, newest: 0, ended: false })
    }

    /// Adds whole records at the end; `anew`: after everything that stands there is dropped.
    pub fn write(&mut self, anew: bool, records: &[u8]) -> Result<()> {
        if anew {
            self.current.empty()?;
        }
        self.current.append(records)
    }

    /// By which it can be forced to disk while others write.
    pub fn handle(&self) -> Result<File> {
        self.current.file.try_clone()
    }

    pub fn has_grown(&self) -> bool {
        self.current.length > COMPACT_FROM.max(4 * self.current.base)
    }

    /// Writes all that is owed into a new file and forces it to disk. Then it takes the place of this one,
    /// which is as it was when that fails. `cut` answers how the clocks stand at the moment of the snapshot.
    pub fn write_anew(&mut self, cut: &mut dyn FnMut() -> Clocks) -> Result<()> {
        match self.next(cut) {
            Ok(next) => {
                std::mem::replace(&mut self.current, next).remove();
                Ok(())
            }
            Err(error) => {
                // For its size alone it is tried again when it has grown once more.
                self.current.base = self.current.length;
                Err(error)
            }
        }
    }

    fn next(&mut self, cut: &mut dyn FnMut() -> Clocks) -> Result<Generation> {
        self.newest += 1;
        // A disk that takes nothing at all is found out here, before the journal is held up.
        let mut next = Generation::begin(&self.create, self.newest)?;
        let mut clocks = Clocks::default();
        let snapshot = (self.source)(&mut || {
            clocks = cut();
        });
        let filled = match snapshot {
            Some(snapshot) => next.fill(&clocks, &snapshot),
            None => Err(Error::other("the journal is gone")),
        };
        match filled {
            Ok(()) => Ok(next),
            Err(error) => {
                next.remove();
                Err(error)
            }
        }
    }

    /// Nobody writes any more. A file that holds nothing is removed; any other waits for who adopts it.
    pub fn end(&mut self, empty: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let _ = match empty {
            true => std::fs::remove_file(&self.current.path),
            false => self.current.file.sync_data(),
        };
    }
}

/// One file, and what is known of it.
pub struct Generation {
    number: u32,
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// How much of it is whole, where its head ends, and how large it was when it was last written anew.
    length: u64,
    head: u64,
    base: u64,
}

impl Generation {
    fn begin(create: &Create, number: u32) -> Result<Self> {
        let (path, file) = create(number)?;
        let mut generation = Self { number, path, file, length: 0, head: 0, base: 0 };
        let mut head = Vec::new();
        Record::Begin(&Begin { generation: number, boot: boot_id() }).encode(&mut head);
        if let Err(error) = generation.append(&head) {
            generation.remove();
            return Err(error);
        }
        generation.head = generation.length;
        generation.base = generation.length;
        Ok(generation)
    }

    fn append(&mut self, records: &[u8]) -> Result<()> {
        if let Err(error) = self.file.write_all(records) {
            // Half a record would hide whatever comes after it.
            let _ = self.cut_back(self.length);
            return Err(error);
        }
        self.length += records.len() as u64;
        Ok(())
    }

    fn fill(&mut self, clocks: &Clocks, snapshot: &Snapshot) -> Result<()> {
        let mut records = Vec::new();
        Record::Clocks(clocks).encode(&mut records);
        for Invalidation { scope, stamp } in &snapshot.invalidations {
            Record::Invalidation { scope, stamp: *stamp }.encode(&mut records);
        }
        for intent in &snapshot.intents {
            Record::Intent(intent).encode(&mut records);
            if records.len() > PART {
                self.append(&records)?;
                records.clear();
            }
        }
        Record::Complete.encode(&mut records);
        self.append(&records)?;
        self.base = self.length;
        self.file.sync_data()
    }

    /// Drops everything. A later generation counts only if it says that it is complete, and so it says that
    /// again: what it does not hold any more is nothing that the one before held.
    fn empty(&mut self) -> Result<()> {
        self.cut_back(self.head)?;
        if self.number > 0 {
            let mut complete = Vec::new();
            Record::Complete.encode(&mut complete);
            self.append(&complete)?;
        }
        self.base = self.length;
        Ok(())
    }

    fn cut_back(&mut self, length: u64) -> Result<()> {
        self.file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length))?;
        self.length = length;
        Ok(())
    }

    /// Emptied first, so that it says nothing where it can't be removed; unlocked last, so that nobody
    /// takes it for an orphan.
    fn remove(self) {
        let _ = self.file.set_len(0);
        let _ = std::fs::remove_file(&self.path);
    }
}

//! The directory of journal files: our own file, and those whose owner is gone.
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::super::journal::Invalidation;
use super::disk::Source;
use super::file::State;
use super::log::Log;
use super::record::Clocks;
use crate::backend::intent::{Intent, Wish};
use crate::backend::redis::Identity;
use crate::base::clock::{Clock, boot_id, wall_micros};
use crate::base::error::{Error, Result};
use crate::base::random;
use crate::base::stamp::{Stamp, Stamps};
use crate::config::JournalSync;

const ENDING: &str = ".journal";
/// How far two readings of the wall clock may be off, where nothing else tells the time across a reboot.
const SKEW: u64 = 60_000_000;
/// Where the system doesn't name its boots, two whose clocks agree so closely are one.
const SAME_BOOT: u64 = 10_000_000;

/// Where the journals of one server and key prefix are kept.
pub struct Directory {
    path: PathBuf,
    /// What the names of all these files begin with.
    family: String,
    /// What the names of our own begin with.
    own: String,
}

/// What files without an owner held. They are removed by [`Adopted::done`].
#[derive(Default)]
pub struct Adopted {
    /// Those first that were taken first.
    pub intents: Vec<Intent>,
    pub invalidations: Vec<Invalidation>,
    /// Which server their owners knew last; `None` when one of them knew none, or they don't agree.
    pub server: Option<Identity>,
    /// The server's clock minus ours, as well as their owner knew it.
    pub offset: Option<i64>,
    /// Bytes that were no whole record.
    pub torn: usize,
    /// How many of them left something.
    owners: usize,
    files: Vec<(PathBuf, File)>,
}

impl Directory {
    /// Makes the directory if need be, and our own file in it. Fails with `E_INVALID`.
    pub fn open(
        path: &str,
        fingerprint: &str,
        sync: JournalSync,
        clock: Arc<dyn Clock>,
        stamps: Arc<Stamps>,
        source: Source,
    ) -> Result<(Self, Log)> {
        let failed = |error: std::io::Error| {
            Error::invalid(
                "fallback.journalPath",
                format!(
                    "fallback.journalPath is {path:?}, where no journal can be kept ({error}); allowed: a directory that this process may write"
                ),
            )
        };
        let family = format!("holdfast-{fingerprint}-");
        let own = format!("{family}{}-{:016x}-", std::process::id(), random::bits());
        let path = PathBuf::from(path);
        make_directory(&path).map_err(failed)?;
        let (place, name) = (path.clone(), own.clone());
        let create = move |generation: u32| -> std::io::Result<(PathBuf, File)> {
            let path = place.join(format!("{name}{generation}{ENDING}"));
            let file = create_locked(&path)?;
            if sync != JournalSync::No
                && let Err(error) = sync_directory(&place)
            {
                let _ = std::fs::remove_file(&path);
                return Err(error);
            }
            Ok((path, file))
        };
        let log = Log::start(Box::new(create), source, sync, clock, stamps).map_err(failed)?;
        Ok((Self { path, family, own }, log))
    }

    /// Takes over the files whose owner is gone. None of them counts as taken over before `done`.
    pub fn adopt(&self, clock: &dyn Clock) -> Adopted {
        let mut adopted = Adopted::default();
        let mut states: Vec<(String, State)> = Vec::new();
        let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let foreign = name.starts_with(&self.family) && name.ends_with(ENDING);
            if !foreign || name.starts_with(&self.own) {
                continue;
            }
            let path = entry.path();
            let opened = OpenOptions::new().read(true).write(true).open(&path);
            let Ok(mut file) = opened else { continue };
            // Whoever lives holds the lock; whoever took the file over has removed it.
            if file.try_lock().is_err() || !path.exists() {
                continue;
            }
            // By the handle that has the lock: where locks bind everybody, no other one may read.
            let mut bytes = Vec::new();
            if file.read_to_end(&mut bytes).is_err() {
                continue;
            }
            let state = State::of(bytes.into());
            // Of another version, or without a head: whoever understands it may have it.
            if state.begin.is_none() || state.newer {
                continue;
            }
            adopted.files.push((path, file));
            let owner = name.rsplit_once('-').map_or(name.as_str(), |(owner, _)| owner);
            states.push((owner.to_owned(), state));
        }
        let now =
            Clocks { boot_micros: clock.micros(), wall_micros: wall_micros(), ..Clocks::default() };
        for (owner, state) in &states {
            let generation = |state: &State| state.begin.as_ref().map(|begin| begin.generation);
            let newer = states.iter().any(|(other, later)| {
                other == owner && later.counts() && generation(later) > generation(state)
            });
            if state.counts() && !newer {
                adopted.add(state, &now, &boot_id());
            }
        }
        adopted.intents.sort_by_key(|intent| intent.stamp);
        adopted
    }
}

impl Adopted {
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What they held stands elsewhere now.
    pub fn done(self) {
        for (path, file) in self.files {
            let _ = std::fs::remove_file(path);
            drop(file);
        }
    }

    fn add(&mut self, state: &State, now: &Clocks, boot: &str) {
        let moved = Moved::between(state, now, boot);
        self.torn += state.torn;
        // Who left nothing has no say.
        if !state.intents.is_empty() || !state.invalidations.is_empty() {
            self.offset = moved.offset.or(self.offset);
            let known = state.clocks.server.as_ref();
            self.server = match self.owners {
                0 => known.cloned(),
                _ => agreed(self.server.take(), known),
            };
            self.owners += 1;
        }
        self.intents.extend(state.intents.values().map(|intent| moved.intent(intent)));
        self.invalidations.extend(state.invalidations.iter().map(|(scope, &stamp)| Invalidation {
            scope: scope.clone(),
            stamp: moved.stamp(stamp),
        }));
    }
}

/// The server that both knew, as the one did who saw less of it.
fn agreed(one: Option<Identity>, other: Option<&Identity>) -> Option<Identity> {
    let (one, other) = (one?, other?);
    let same = one.run_id == other.run_id && one.life == other.life;
    same.then(|| Identity { evicted_keys: one.evicted_keys.min(other.evicted_keys), ..one })
}

/// How times of one boot are read in another. Within a boot nothing changes.
struct Moved {
    /// What is added to moments of the old boot clock, to have them on this one.
    expiry: Option<i64>,
    /// What is added to stamps that were taken before the first contact.
    early: Option<i64>,
    offset: Option<i64>,
}

impl Moved {
    fn between(state: &State, now: &Clocks, boot: &str) -> Self {
        let then = &state.clocks;
        let known = Some(then.offset).filter(|&offset| offset != 0);
        let wall = |clocks: &Clocks| signed(clocks.wall_micros) - signed(clocks.boot_micros);
        let named = state.begin.as_ref().map_or("", |begin| begin.boot.as_str());
        let same = if named.is_empty() || boot.is_empty() {
            wall(then).abs_diff(wall(now)) < SAME_BOOT
        } else {
            named == boot
        };
        if same {
            return Self { expiry: None, early: None, offset: known };
        }
        // Nobody knows how long the machine was off but the wall clock. What it stamps is taken for older
        // than it may be, so that it yields.
        let early = known.unwrap_or_else(|| wall(then) - signed(SKEW));
        Self { expiry: Some(wall(then) - wall(now)), early: Some(early), offset: Some(wall(now)) }
    }

    fn stamp(&self, stamp: Stamp) -> Stamp {
        match self.early {
            Some(shift) if stamp.is_early() => {
                Stamp { micros: stamp.micros.saturating_add_signed(shift), ..stamp }
            }
            _ => stamp,
        }
    }

    fn intent(&self, intent: &Intent) -> Intent {
        let wish = match &intent.wish {
            Wish::Set { value, expires_at, fresh_until, since, expired } => {
                let moved =
                    |at: u64| self.expiry.map_or(at, |shift| at.saturating_add_signed(shift));
                Wish::Set {
                    value: value.clone(),
                    // Before this boot is long gone.
                    expires_at: expires_at.map(|at| moved(at).max(1)),
                    fresh_until: fresh_until.map(moved),
                    since: *since,
                    expired: expired.as_deref().map(|&stamp| Box::new(self.stamp(stamp))),
                }
            }
            Wish::Invalidate(removals) => Wish::Invalidate(
                removals.iter().map(|&(removal, stamp)| (removal, self.stamp(stamp))).collect(),
            ),
            Wish::Rate(owed) => {
                let at = |at: u64| self.expiry.map_or(at, |shift| at.saturating_add_signed(shift));
                Wish::Rate(owed.clone().moved(&|stamp| self.stamp(stamp), &at))
            }
            Wish::Change(changes) => {
                Wish::Change(changes.clone().moved(&|stamp| self.stamp(stamp)))
            }
            Wish::Publish(waiting) => {
                Wish::Publish(waiting.clone().moved(&|stamp| self.stamp(stamp)))
            }
            Wish::Session(delta) => {
                Wish::Session(Box::new(delta.as_ref().clone().moved(&|stamp| self.stamp(stamp))))
            }
            wish => wish.clone(),
        };
        let key = Bytes::copy_from_slice(&intent.key);
        Intent { key, stamp: self.stamp(intent.stamp), wish }
    }
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

fn make_directory(path: &Path) -> std::io::Result<()> {
    let missing = path.ancestors().take_while(|path| !path.exists()).count();
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    // Each that was made is an entry of the one above it.
    path.ancestors().skip(1).take(missing).try_for_each(sync_directory)
}

/// The entries of a directory outlast the machine from now on. One that may not be read, or whose file
/// system knows no such thing, is left to the system.
#[cfg(unix)]
fn sync_directory(path: &Path) -> std::io::Result<()> {
    use std::io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    match File::open(path).and_then(|directory| directory.sync_all()) {
        Err(error) if matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) => {
            Ok(())
        }
        result => result,
    }
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// A new file that only its owner may read, and that is locked before anybody else can see what it holds.
fn create_locked(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create_new(true).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    file.try_lock().map_err(std::io::Error::from)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::super::record::{Begin, Record};
    use super::*;

    fn state(boot: &str, clocks: Clocks, intent: &Intent) -> State {
        let mut out = Vec::new();
        Record::Begin(&Begin { generation: 0, boot: boot.to_owned() }).encode(&mut out);
        Record::Clocks(&clocks).encode(&mut out);
        Record::Intent(intent).encode(&mut out);
        State::of(out.into())
    }

    fn adopted(state: &State, now: &Clocks) -> (Stamp, Option<u64>, Option<i64>) {
        let mut adopted = Adopted::default();
        adopted.add(state, now, "this");
        let intent = adopted.intents.pop().unwrap();
        let Wish::Set { expires_at, fresh_until, expired, .. } = intent.wish else {
            panic!("it was a set")
        };
        assert_eq!(expired.as_deref(), Some(&intent.stamp), "all stamps move alike");
        assert!(expires_at == fresh_until || expires_at == Some(1), "both move alike");
        (intent.stamp, expires_at, adopted.offset)
    }

    fn set(micros: u64, expires_at: u64) -> Intent {
        let payload = Bytes::from_static(b"v");
        let value = crate::backend::Value { payload, ..crate::backend::Value::default() };
        let expires_at = Some(expires_at);
        let expired = Some(Box::new(Stamp { micros, process: 1 }));
        let wish = Wish::Set { value, expires_at, fresh_until: expires_at, since: 0, expired };
        Intent { key: Bytes::from_static(b"k"), stamp: Stamp { micros, process: 1 }, wish }
    }

    const HOUR: u64 = 3_600_000_000;
    const THEN: u64 = 1_700_000_000_000_000;

    fn clocks(boot_micros: u64, wall_micros: u64, offset: i64) -> Clocks {
        Clocks { boot_micros, wall_micros, offset, server: None }
    }

    #[test]
    fn within_a_boot_every_time_stays_what_it_was() {
        let then = clocks(5 * HOUR, THEN, 0);
        let state = state("this", then, &set(5 * HOUR, 6 * HOUR));
        // Even when somebody set the wall clock meanwhile.
        let found = adopted(&state, &clocks(6 * HOUR, THEN - 9 * HOUR, 0));
        assert_eq!(found, (Stamp { micros: 5 * HOUR, process: 1 }, Some(6 * HOUR), None));
    }

    #[test]
    fn across_a_reboot_the_wall_clock_stands_in_and_yields() {
        let then = clocks(5 * HOUR, THEN, 0);
        let state = state("other", then, &set(5 * HOUR, 8 * HOUR));
        // An hour later by the wall; the machine runs for a minute.
        let now = clocks(HOUR / 60, THEN + HOUR, 0);
        let (stamp, expires_at, offset) = adopted(&state, &now);
        assert_eq!(stamp.micros, THEN - SKEW);
        assert_eq!(expires_at, Some(2 * HOUR + HOUR / 60), "two of its three hours are left");
        assert_eq!(offset, Some(signed(THEN + HOUR - HOUR / 60)));
    }

    #[test]
    fn across_a_reboot_a_server_that_was_known_is_the_better_clock() {
        let offset = signed(THEN + 7 * HOUR);
        let state = state("other", clocks(5 * HOUR, THEN, offset), &set(5 * HOUR, 5 * HOUR));
        let (stamp, expires_at, _) = adopted(&state, &clocks(1, THEN + HOUR, 0));
        assert_eq!(stamp.micros, THEN + 12 * HOUR);
        assert_eq!(expires_at, Some(1), "its time is over");
    }

    #[test]
    fn owners_that_knew_different_servers_or_none_leave_none_known() {
        let server = |run: &str, evicted_keys| {
            let run_id = Some(run.to_owned());
            Some(Identity { run_id, life: None, evicted_keys, version: String::new() })
        };
        let known = |servers: &[Option<Identity>]| {
            let mut adopted = Adopted::default();
            let now = clocks(2, THEN, 0);
            for server in servers {
                let then = Clocks { server: server.clone(), ..clocks(1, THEN, 1) };
                adopted.add(&state("this", then, &set(1, 9)), &now, "this");
                adopted.add(&State::default(), &now, "this");
            }
            adopted.server
        };
        assert_eq!(known(&[server("r", 5), server("r", 3)]), server("r", 3));
        assert_eq!(known(&[server("r", 5), server("s", 5)]), None);
        assert_eq!(known(&[server("r", 5), server("s", 5), server("s", 5)]), None);
        assert_eq!(known(&[server("r", 5), None]), None);
        assert_eq!(known(&[None, server("r", 5)]), None);
    }
}

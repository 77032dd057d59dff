//! The configuration of one instance: read once, checked as a whole, unchanged afterwards.
//!
//! Options outrank the environment. A server that the options name is taken whole: neither the
//! environment's password nor its user, database or `REDIS_TLS` goes with it, for they were set for
//! another server. `REDIS_URL` outranks `REDIS_TLS_URL`, that one host and port; user, password and
//! database of the environment fill what the URL lacks.
mod duration;
pub mod env;
mod field;
mod options;
mod resolve;
mod secret;
mod settings;
mod target;
#[cfg(test)]
mod tests;
mod url;
mod view;

pub use resolve::from_json;
pub use secret::Secret;
pub use target::{Endpoint, Target, Tls};

use std::time::Duration;

use crate::base::plant::Plant;

/// Everything that was decided for one instance. Every value has been checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// The server, or memory for good. Default: localhost:6379.
    pub target: Target,
    /// Whether anybody chose the target. When not, localhost is only tried, and nothing is journalled.
    pub configured: bool,
    /// In front of every key; at most 512 bytes, braces only as one whole tag. Default `ai-chatbot:`.
    pub key_prefix: String,
    /// Deadline of a dial with its handshakes. Default 10 s.
    pub connect_timeout: Duration,
    /// Deadline of an operation, queueing and connecting included. Default 5 s.
    pub command_timeout: Duration,
    /// How long an owed reply may stay away with no byte moving before the server is probed.
    /// Default 500 ms.
    pub silence: Duration,
    /// Retries of an idempotent operation on a broken connection while online. Default 3.
    pub max_retries: u32,
    /// Connections to the server, 1 to 64, opened on demand. Default 5.
    pub pool_size: usize,
    /// How many processes of this app there are, among which limits are shared while each is alone. Default: one,
    /// with a warning.
    pub instances: Option<u32>,
    /// Whether memory answers while the server doesn't. Default true.
    pub fallback_enabled: bool,
    /// Whether the journal is replayed by itself when the server is back. Default true.
    pub auto_sync: bool,
    /// How a replayed write meets what the server holds. Default newest.
    pub sync_mode: SyncMode,
    /// Bound of the memory store, bytes. Default 100 MB.
    pub memory_limit_bytes: usize,
    /// Bound of the journal, bytes. Default 256 MB.
    pub journal_limit_bytes: usize,
    /// Where the journal is kept on disk. Default: nowhere.
    pub journal_path: Option<String>,
    /// When what the journal wrote is safe on disk. Default everysec.
    pub journal_sync: JournalSync,
    /// Whether a journalled set is written where it can't be decided. Default false.
    pub writes_uncertain: bool,
    /// Whether raw changes that merge survive an outage. Default false.
    pub merges_raw: bool,
    /// Whether live writes compare stamps too. Default false.
    pub fenced_writes: bool,
    /// How many operations may be on their way at once. Default 50,000.
    pub max_in_flight: usize,
    /// How many bytes they may hold together. Default 256 MB.
    pub max_in_flight_bytes: usize,
    /// How many failures make the server count as away. Default 5 that are 50 % within 10 s.
    pub breaker: Option<Breaker>,
    /// The largest value that is taken, bytes. Default 64 MB.
    pub max_value_bytes: usize,
    /// Lifetime of an entry that names none. Default 3600 s.
    pub default_ttl: Duration,
    /// How long a delete leaves its stamp on the server. Default 600 s.
    pub tombstone_ttl: Duration,
    /// Whether copies in this process answer while the server is well, and how they are kept coherent.
    /// Default auto.
    pub near_cache: NearCache,
    /// How long such a copy answers at most. Default 600 s.
    pub near_max_age: Duration,
    /// How long a copy that nobody vouches for answers in an outage. Default 3600 s.
    pub max_stale_degraded: Duration,
    /// False while Next.js builds: nothing is dialled then. Default true.
    pub connect_allowed: bool,
    /// False: the cache answers nothing and keeps nothing. Default true.
    pub cache_enabled: bool,
    /// Whether failures can be provoked on purpose. Default false.
    pub test_hooks: bool,
    /// A rule that a test breaks; no setting reaches it.
    pub planted: Option<Plant>,
}

/// How copies in this process learn of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NearCache {
    /// The server tracks them where it can; else processes tell each other.
    Auto,
    Tracking,
    Bus,
    /// No copy answers.
    Off,
}

impl NearCache {
    pub const ALL: [Self; 4] = [Self::Auto, Self::Tracking, Self::Bus, Self::Off];

    /// The word of the public option.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tracking => "tracking",
            Self::Bus => "bus",
            Self::Off => "off",
        }
    }
}

/// When calls fail so often that memory had better answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    pub failures: u64,
    pub percent: u64,
    pub window: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, percent: 50, window: Duration::from_secs(10) }
    }
}

/// When the journal's file is forced to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalSync {
    /// Before a write is acknowledged.
    Always,
    /// Once a second.
    EverySecond,
    /// Whenever the system likes.
    No,
}

impl JournalSync {
    pub const ALL: [Self; 3] = [Self::Always, Self::EverySecond, Self::No];

    /// The word of the public option.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::EverySecond => "everysec",
            Self::No => "no",
        }
    }
}

/// How a replayed write meets what the server holds by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// The newer stamp stays.
    Newest,
    /// The replayed write stays.
    Overwrite,
    /// The replayed write stays only where the server holds nothing.
    IfAbsent,
    /// Nothing is replayed.
    Off,
}

impl SyncMode {
    pub const ALL: [Self; 4] = [Self::Newest, Self::Overwrite, Self::IfAbsent, Self::Off];

    /// The word of the public option.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Overwrite => "overwrite",
            Self::IfAbsent => "if-absent",
            Self::Off => "off",
        }
    }
}

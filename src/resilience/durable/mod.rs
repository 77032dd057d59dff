//! The journal on disk: one file per process and configuration, locked while its owner lives.
//!
//! Every change of the journal is a record at the end of the file. A process that starts, and one that
//! runs on, adopts the files whose owner is gone: it takes over what was not settled, writes that into its
//! own file, and removes the other. See docs/decisions/0008-durable-journal.md.
pub mod changes;
mod disk;
mod file;
mod log;
mod messages;
mod orphans;
mod rates;
pub mod record;
mod sessions;
#[cfg(test)]
mod tests;

pub use disk::{Snapshot, Source};
pub use log::Log;
pub use orphans::Directory;
pub use record::Record;

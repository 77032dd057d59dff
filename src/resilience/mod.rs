//! What keeps the app answering while Redis doesn't: the fallback layer, its journal, and the replay.
mod adoption;
mod clears;
mod durable;
mod exchange;
pub mod fallback;
mod fate;
pub mod journal;
mod keeper;
pub mod local;
mod near;
mod rates;
mod removals;
mod sessions;
mod telling;

//! What users call: each manager turns its own words into operations of a backend.
pub mod cache;
pub mod holds;
pub mod messages;
pub mod rate_limit;
pub mod sessions;
pub mod stats;

//! What users call: each manager turns its own words into operations of a backend.
pub mod cache;
pub mod stats;

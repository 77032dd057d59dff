//! What everything else stands on: errors, time, randomness, stamps and keys.
pub mod clock;
pub mod error;
pub mod glob;
pub mod keys;
pub mod number;
pub mod plant;
pub mod random;
pub mod slot;
pub mod stamp;

//! The core of holdfast: a Redis layer that keeps answering when Redis doesn't.
//!
//! Dependencies point one way: `node -> engine -> managers -> resilience -> backend -> codec, config,
//! base`; `tests/layering.rs` fails on an arrow that runs back. Only `node` names napi.
pub mod backend;
pub mod base;
pub mod codec;
pub mod config;
pub mod engine;
pub mod managers;
#[cfg(feature = "node")]
mod node;
pub mod resilience;

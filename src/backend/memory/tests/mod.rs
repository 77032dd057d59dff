//! The memory store against a model, and by example.
mod examples;
mod laws;
mod model;

//! How a law is run: how many cases, and which.
//!
//! `HOLDFAST_LAW_CASES` says how many; `npm run laws` asks for many.
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::runtime::{Builder, Runtime};

fn asked() -> Option<u32> {
    let text = std::env::var("HOLDFAST_LAW_CASES").ok()?;
    Some(text.parse().expect("HOLDFAST_LAW_CASES is a number"))
}

/// As many as are asked for, or as `npm test` runs.
pub fn cases() -> u32 {
    asked().unwrap_or(256)
}

pub fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Always the same cases, unless so many are asked for.
pub fn runner(config: Config) -> TestRunner {
    if asked().is_some() { TestRunner::new(config) } else { steady_runner(config) }
}

/// Always the same cases.
pub fn steady_runner(config: Config) -> TestRunner {
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// On which the processes of a case live.
pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

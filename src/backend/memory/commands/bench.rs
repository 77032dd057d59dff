//! A store to try commands on, in words.
use std::sync::Arc;

use bytes::Bytes;

use super::run;
use crate::backend::Raw;
use crate::backend::memory::Moment;
use crate::backend::memory::store::Store;
use crate::base::clock::{Clock, ManualClock};
use crate::base::error::Result;
use crate::base::keys::Keys;
use crate::base::stamp::Stamps;

pub struct Bench {
    store: Store,
    clock: Arc<ManualClock>,
    stamps: Stamps,
    keys: Keys,
}

impl Bench {
    pub fn new() -> Self {
        Self::limited(1 << 20)
    }

    pub fn limited(bytes: usize) -> Self {
        let clock = Arc::new(ManualClock::at(1_000_000));
        let stamps = Stamps::new(clock.clone(), 7);
        Self { store: Store::new(bytes), clock, stamps, keys: Keys::new("p:") }
    }

    /// A server whose clock says this, in seconds.
    pub fn meet_a_server(&mut self, seconds: u64) {
        let now = self.clock.micros();
        self.stamps.learn(seconds * 1_000_000, now, now);
    }

    pub fn wait(&mut self, seconds: u64) {
        self.clock.advance(seconds * 1_000_000);
    }

    pub fn run(&mut self, line: &str) -> Result<Raw> {
        let args: Vec<Bytes> =
            line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        let now = self.clock.micros();
        let moment = Moment { now, stamps: &self.stamps, keys: &self.keys };
        let answer = run(&mut self.store, &args, &moment, &mut Vec::new());
        let (bytes, ..) = self.store.audit();
        assert_eq!(self.store.bytes(), bytes, "{line}");
        assert!(bytes <= self.store.limit(), "{line}");
        answer
    }

    /// The answer, or what was wrong, as one text.
    pub fn ask(&mut self, line: &str) -> String {
        match self.run(line) {
            Ok(raw) => show(&raw),
            Err(error) => error.cause.unwrap_or(error.message),
        }
    }

    /// Runs lines that must succeed.
    pub fn all(&mut self, lines: &[&str]) {
        for line in lines {
            self.run(line).unwrap();
        }
    }
}

fn show(raw: &Raw) -> String {
    match raw {
        Raw::Nil => "nil".to_owned(),
        Raw::Integer(number) => number.to_string(),
        Raw::Double(number) => number.to_string(),
        Raw::Boolean(flag) => flag.to_string(),
        Raw::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Raw::Array(items) => {
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" "))
        }
        Raw::Map(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| format!("{}:{}", show(key), show(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(" "))
        }
        Raw::Error(error) => error.to_string(),
    }
}

//! What processes that are gone left in the journal directory.
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::durable::{Directory, Source};
use super::fallback::Fallback;
use crate::backend::intent::Wish;
use crate::base::error::Result;
use crate::config::{Config, Target};

/// What was taken over since the start.
#[derive(Debug, Default)]
pub struct Adoptions {
    pub intents: AtomicU64,
    /// Bytes of those files that were no whole record.
    pub torn_bytes: AtomicU64,
    /// The event of the start, when nobody can listen yet.
    untold: Mutex<Option<serde_json::Value>>,
}

impl Fallback {
    /// Keeps the journal on disk from now on, where that is asked for, and takes over what others left.
    pub fn keep_journal(&self) -> Result<()> {
        let Some(path) = self.config.journal_path.as_ref().filter(|_| self.journals()) else {
            return Ok(());
        };
        let (directory, log) = Directory::open(
            path,
            &place_of(&self.config),
            self.config.journal_sync,
            self.clock.clone(),
            self.stamps.clone(),
            self.source(),
        )?;
        self.local.lock().journal.keep_in(log);
        let _ = self.directory.set(directory);
        *self.adoptions.untold.lock() = self.take_over();
        Ok(())
    }

    /// Takes over the journals whose owner is gone. Reads files: not for the I/O thread.
    pub fn adopt(&self) {
        if let Some(event) = self.take_over() {
            self.emit(event);
        }
    }

    /// Tells what was taken over at the start, now that somebody can hear it.
    pub fn tell_adopted(&self) {
        let event = self.adoptions.untold.lock().take();
        if let Some(event) = event {
            self.emit(event);
        }
    }

    /// What the journal holds, for a file that is written anew. A journal that ends is asked no more.
    fn source(&self) -> Source {
        let this = self.this.clone();
        Box::new(move |cut: &mut dyn FnMut()| {
            let fallback = this.upgrade()?;
            let local = fallback.local.lock();
            cut();
            Some(local.journal.snapshot())
        })
    }

    /// Answers the event that tells of it, if there was anything.
    fn take_over(&self) -> Option<serde_json::Value> {
        let mut adopted = self.directory.get()?.adopt(&*self.clock);
        if adopted.is_empty() {
            return None;
        }
        if let Some(offset) = adopted.offset {
            self.stamps.assume(offset);
        }
        let now = self.clock.micros();
        let mut local = self.local.lock();
        let before = local.journal.depth();
        let left = !adopted.intents.is_empty();
        for invalidation in adopted.invalidations.drain(..) {
            self.stamps.observe(invalidation.stamp);
            local.store.remove_scope(&invalidation.scope, invalidation.stamp, now);
            local.journal.invalidate(invalidation.scope, invalidation.stamp);
        }
        for mut intent in adopted.intents.drain(..) {
            self.stamps.observe(intent.stamp);
            local.void(&intent.key, Some(intent.stamp), now);
            if let Wish::Invalidate(removals) = &intent.wish {
                for &(removal, stamp) in removals {
                    local.store.raise_marker(&intent.key, removal.marker(stamp.micros));
                }
            }
            if let Wish::Set { since, .. } = &mut intent.wish {
                *since = self.since(intent.stamp);
            }
            local.heed_end(&intent, &self.moment());
            local.journal.adopt(intent);
        }
        let intents = local.journal.depth().saturating_sub(before);
        if left && local.journal.depth() > 0 {
            let server = adopted.server.as_ref();
            self.uncertain.lock().inherit(server, before > 0, now);
        }
        let log = local.journal.log().cloned();
        drop(local);
        // Not removed before it stands in our own file.
        if !log.is_some_and(|log| log.flush()) {
            return None;
        }
        let torn = adopted.torn;
        adopted.done();
        if intents == 0 && torn == 0 {
            return None;
        }
        self.adoptions.intents.fetch_add(intents as u64, Ordering::Relaxed);
        self.adoptions.torn_bytes.fetch_add(torn as u64, Ordering::Relaxed);
        if let Some(redis) = &self.redis {
            redis.catch_up();
        }
        Some(serde_json::json!({
            "type": "journal-adopted", "intents": intents, "tornBytes": torn,
        }))
    }
}

/// Names the server and the keys that a journal is about: no other instance may replay it.
fn place_of(config: &Config) -> String {
    let place = match &config.target {
        Target::Redis(endpoint) => {
            format!("{}\n{}\n{}\n{}", endpoint.host, endpoint.port, endpoint.db, config.key_prefix)
        }
        Target::Memory => String::new(),
    };
    let digest = Sha256::digest(place.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

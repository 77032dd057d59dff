//! The composition root: one core per distinct configuration and process. Next evaluates a module
//! several times, in production too, and on every hot reload; all of them meet here.
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use crate::backend::Backend;
use crate::backend::redis::Redis;
use crate::base::clock::{BootClock, Clock};
use crate::base::error::{Error, Result};
use crate::base::keys::Keys;
use crate::base::random;
use crate::base::stamp::Stamps;
use crate::config::{self, Config, Target};
use crate::managers::cache::Cache;
use crate::managers::holds::Held;
use crate::managers::messages::Messages;
use crate::managers::rate_limit::RateLimits;
use crate::managers::sessions::Sessions;
use crate::managers::stats::Stats;
use crate::resilience::fallback::Fallback;

/// Our own runtime, never shut down: it outlives every environment. One worker, for I/O alone.
static RUNTIME: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("holdfast-io")
        .enable_all()
        .build()
        .ok()
});

static CORES: LazyLock<Mutex<HashMap<[u8; 32], Weak<Core>>>> = LazyLock::new(Mutex::default);

/// What is left of cores that nobody holds any more, but whose journal still waits for the server:
/// acknowledged writes don't end with the environment that made them. Opened again, a core goes on with
/// what is here.
static LINGERING: LazyLock<Mutex<HashMap<[u8; 32], Parts>>> = LazyLock::new(Mutex::default);

/// What of a core outlives it.
struct Parts {
    backend: Arc<Fallback>,
    listeners: Listeners,
}

/// Runs a task on the I/O thread.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    if let Some(runtime) = RUNTIME.as_ref() {
        runtime.spawn(task);
    }
}

/// Whoever hears the events of a core.
pub trait Listener: Send + Sync {
    fn event(&self, event: &serde_json::Value);
}

type Listeners = Arc<Mutex<Vec<Weak<dyn Listener>>>>;

pub struct Core {
    pub config: Arc<Config>,
    pub backend: Arc<Fallback>,
    pub cache: Cache,
    pub rates: RateLimits,
    pub sessions: Sessions,
    pub messages: Arc<Messages>,
    pub stats: Stats,
    pub clock: Arc<dyn Clock>,
    listeners: Listeners,
    fingerprint: [u8; 32],
}

impl Core {
    /// The core of this configuration: the one that runs already, or a new one. Nothing is dialled.
    pub fn open(json: &str) -> Result<Arc<Self>> {
        let config = config::from_json(json)?;
        let fingerprint: [u8; 32] = Sha256::digest(config.canonical().as_bytes()).into();
        let mut cores = CORES.lock();
        cores.retain(|_, core| core.strong_count() > 0);
        if let Some(core) = cores.get(&fingerprint).and_then(Weak::upgrade) {
            return Ok(core);
        }
        let left = LINGERING.lock().remove(&fingerprint);
        let core = Arc::new(Self::build(config, fingerprint, left)?);
        cores.insert(fingerprint, Arc::downgrade(&core));
        Ok(core)
    }

    fn build(config: Config, fingerprint: [u8; 32], left: Option<Parts>) -> Result<Self> {
        let config = Arc::new(config);
        let Parts { backend, listeners } = match left {
            Some(parts) => parts,
            None => Parts::new(&config)?,
        };
        let cache = Cache {
            keys: Keys::new(&config.key_prefix),
            stamps: backend.stamps.clone(),
            config: config.clone(),
        };
        let clock = backend.clock.clone();
        let heard = listeners.clone();
        let lost = Box::new(move |id: u64| {
            tell(&heard, &serde_json::json!({ "type": "hold-lost", "id": format!("{id:016x}") }));
        });
        let rates = RateLimits::new(cache.keys.clone(), clock.clone(), lost);
        let sessions = Sessions { keys: cache.keys.clone(), stamps: cache.stamps.clone() };
        let patience = u64::try_from(config.command_timeout.as_micros()).unwrap_or(u64::MAX);
        let messages = Messages::new(&backend, patience);
        let stats = Stats::default();
        Ok(Self {
            config,
            backend,
            cache,
            rates,
            sessions,
            messages,
            stats,
            clock,
            listeners,
            fingerprint,
        })
    }

    /// Renews what is held from now on.
    pub fn keep(&self, held: Held) {
        let holds = &self.rates.holds;
        if holds.keep(held) {
            let backend: Arc<dyn Backend> = self.backend.clone();
            spawn(holds.clone().run(Arc::downgrade(&backend)));
        }
    }

    pub fn listen(&self, listener: Weak<dyn Listener>) {
        let mut listeners = self.listeners.lock();
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(listener);
        drop(listeners);
        self.backend.tell_adopted();
    }
}

fn tell(listeners: &Listeners, event: &serde_json::Value) {
    let listeners: Vec<_> = listeners.lock().iter().filter_map(Weak::upgrade).collect();
    for listener in listeners {
        listener.event(event);
    }
}

impl Parts {
    fn new(config: &Arc<Config>) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(BootClock);
        let stamps = Arc::new(Stamps::new(clock.clone(), random::bits()));
        let redis = match &config.target {
            // While an app is built nothing is dialled.
            Target::Redis(endpoint) if config.connect_allowed => {
                let Some(runtime) = RUNTIME.as_ref() else {
                    return Err(Error::internal("the I/O thread could not be started"));
                };
                Some(Redis::new(
                    endpoint.clone(),
                    config.clone(),
                    stamps.clone(),
                    clock.clone(),
                    runtime.handle(),
                ))
            }
            _ => None,
        };
        let listeners: Listeners = Arc::default();
        let heard = listeners.clone();
        let events = Box::new(move |event: serde_json::Value| tell(&heard, &event));
        let backend = Fallback::new(redis, config.clone(), clock, stamps, events);
        backend.keep_journal()?;
        spawn(sweep(Arc::downgrade(&backend)));
        if config.journal_path.is_some() {
            spawn(adopt(Arc::downgrade(&backend)));
        }
        Ok(Self { backend, listeners })
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let Some(redis) = &self.backend.redis else { return };
        self.backend.give_up_ahead();
        let mut local = self.backend.local.lock();
        if local.journal.depth() == 0 {
            // Something on its way may hold the layer for a moment more; its file goes now.
            if let Some(log) = local.journal.leave_log() {
                log.leave();
            }
            return redis.close();
        }
        drop(local);
        let parts = Parts { backend: self.backend.clone(), listeners: self.listeners.clone() };
        LINGERING.lock().insert(self.fingerprint, parts);
    }
}

/// Lets go of what has nothing left to replay.
fn let_go() {
    let done = |parts: &mut Parts| parts.backend.local.lock().journal.depth() == 0;
    for (_, parts) in LINGERING.lock().extract_if(|_, parts| done(parts)) {
        if let Some(redis) = &parts.backend.redis {
            redis.close();
        }
    }
}

/// Looks for journals whose owner ended while this process runs.
async fn adopt(backend: Weak<Fallback>) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let Some(backend) = backend.upgrade() else { return };
        let _ = tokio::task::spawn_blocking(move || backend.adopt()).await;
    }
}

fn sweep_some(backend: &Fallback, now: u64, step: usize) -> usize {
    let mut local = backend.local.lock();
    local.store.rates.sweep(now, step);
    local.store.sessions.sweep(&backend.stamps, step);
    local.store.sweep(now, step)
}

/// Frees expired values without anybody reading them, and tells when memory was short. A bounded step
/// at a time, so that the lock is never held for long.
async fn sweep(backend: Weak<Fallback>) {
    const STEP: usize = 256;
    let mut told = 0;
    let mut problem = None;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let_go();
        loop {
            let Some(backend) = backend.upgrade() else { return };
            let now = backend.clock.micros();
            if sweep_some(&backend, now, STEP) < STEP {
                let evicted = backend.local.lock().store.stats().evicted;
                if evicted > told {
                    backend.emit(serde_json::json!({
                        "type": "memory-eviction", "evicted": evicted - told,
                    }));
                    told = evicted;
                }
                let log = backend.local.lock().journal.log().cloned();
                let found = log.and_then(|log| log.problem());
                if found != problem {
                    backend.emit(serde_json::json!({ "type": "journal-error", "reason": found }));
                    problem = found;
                }
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

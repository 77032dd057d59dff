//! The composition root: one core per distinct configuration and process. Next evaluates a module
//! several times, in production too, and on every hot reload; all of them meet here.
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use crate::backend::redis::Redis;
use crate::base::clock::{BootClock, Clock};
use crate::base::error::{Error, Result};
use crate::base::keys::Keys;
use crate::base::random;
use crate::base::stamp::Stamps;
use crate::config::{self, Config, Target};
use crate::managers::cache::{Cache, CacheStats};
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

/// Cores that nobody holds any more but whose journal still waits for the server.
static LINGERING: Mutex<Vec<Arc<Core>>> = Mutex::new(Vec::new());

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
    pub stats: CacheStats,
    pub clock: Arc<dyn Clock>,
    listeners: Listeners,
}

impl Core {
    /// The core of this configuration: the one that runs already, or a new one. Nothing is dialled.
    pub fn open(json: &str) -> Result<Arc<Self>> {
        let config = config::from_json(json)?;
        let fingerprint: [u8; 32] = Sha256::digest(config.canonical().as_bytes()).into();
        LINGERING.lock().retain(|core| core.backend.local.lock().journal.depth() > 0);
        let mut cores = CORES.lock();
        cores.retain(|_, core| core.strong_count() > 0);
        if let Some(core) = cores.get(&fingerprint).and_then(Weak::upgrade) {
            return Ok(core);
        }
        let core = Arc::new(Self::build(config)?);
        cores.insert(fingerprint, Arc::downgrade(&core));
        Ok(core)
    }

    fn build(config: Config) -> Result<Self> {
        let config = Arc::new(config);
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
        let events = Box::new(move |event: serde_json::Value| {
            let listeners: Vec<_> = heard.lock().iter().filter_map(Weak::upgrade).collect();
            for listener in listeners {
                listener.event(&event);
            }
        });
        let backend = Fallback::new(redis, config.clone(), clock.clone(), stamps.clone(), events);
        spawn(sweep(Arc::downgrade(&backend)));
        let keys = Keys::new(&config.key_prefix);
        Ok(Self {
            cache: Cache { keys, stamps, config: config.clone() },
            config,
            backend,
            stats: CacheStats::default(),
            clock,
            listeners,
        })
    }

    pub fn listen(&self, listener: Weak<dyn Listener>) {
        let mut listeners = self.listeners.lock();
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(listener);
    }

    /// Lets go of a core. One whose journal still holds acknowledged writes goes on until they are
    /// replayed, or the process ends.
    pub fn release(self: Arc<Self>) {
        if Arc::strong_count(&self) == 1 && self.backend.local.lock().journal.depth() > 0 {
            LINGERING.lock().push(self);
        }
    }
}

/// Frees expired values without anybody reading them, and tells when memory was short. A bounded step at a time, so that the lock is
/// never held for long.
async fn sweep(backend: Weak<Fallback>) {
    const STEP: usize = 256;
    let mut told = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        loop {
            let Some(backend) = backend.upgrade() else { return };
            let now = backend.clock.micros();
            if backend.local.lock().store.sweep(now, STEP) < STEP {
                let evicted = backend.local.lock().store.stats().evicted;
                if evicted > told {
                    backend.emit(serde_json::json!({
                        "type": "memory-eviction", "evicted": evicted - told,
                    }));
                    told = evicted;
                }
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if let Some(redis) = &self.backend.redis {
            redis.close();
        }
    }
}

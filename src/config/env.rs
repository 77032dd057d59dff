//! The settings of the environment.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `REDIS_URL` | none | the server, or `memory:` for memory for good |
//! | `REDIS_TLS_URL` | none | the server, `rediss://` or `valkeys://`, where `REDIS_URL` is unset |
//! | `REDIS_HOST` `REDIS_PORT` | localhost, 6379 | the server, where no URL is set |
//! | `REDIS_USERNAME` `REDIS_PASSWORD` `REDIS_DB` | none, none, 0 | what the URL lacks |
//! | `REDIS_TLS` | false | TLS although nothing else asks for it |
//! | `REDIS_TLS_CA` | none | a PEM file with roots to trust besides the usual ones |
//! | `REDIS_KEY_PREFIX` | `ai-chatbot:` | in front of every key |
//! | `REDIS_CONNECTION_TIMEOUT`, else `REDIS_CONNECT_TIMEOUT` | 10000 ms | deadline of a dial |
//! | `REDIS_COMMAND_TIMEOUT` | 5000 ms | deadline of an operation |
//! | `HOLDFAST_INSTANCES` | 1, with a warning | processes of this app, which share limits while each is alone |
//! | `REDIS_MAX_RETRIES` | 3 | retries of an idempotent operation while online |
//! | `REDIS_POOL_SIZE` | 5 | connections, 1 to 64 |
//! | `REDIS_CACHE_DEFAULT_TTL` | 3600 s | lifetime of an entry that names none |
//! | `REDIS_FALLBACK_ENABLED` | true | whether memory answers while the server doesn't |
//! | `REDIS_FALLBACK_MAX_MEMORY` | 100 MB | bound of the memory store |
//! | `REDIS_FALLBACK_JOURNAL_MAX_MEMORY` | 256 MB | bound of the journal |
//! | `REDIS_FALLBACK_JOURNAL_PATH` | none | a directory: the journal is kept on disk |
//! | `REDIS_FALLBACK_JOURNAL_SYNC` | everysec | `always`, `everysec` or `no` |
//! | `REDIS_MAX_IN_FLIGHT`, `REDIS_MAX_IN_FLIGHT_BYTES` | 50000, 256 MB | what may be on its way at once |
//! | `REDIS_FENCED_WRITES` | false | live writes compare stamps too |
//! | `REDIS_FALLBACK_AUTO_SYNC`, else `REDIS_ENABLE_AUTORESYNC` | true | replay by itself on return |
//! | `USE_REDIS` | true | `false`: memory for good |
//! | `NEXT_PUBLIC_ENABLE_CACHE` | true | `false`: the cache answers nothing and keeps nothing |
//! | `NEXT_PHASE` | none | `phase-production-build`: no connection is tried |
//!
//! Checked, and accepted without effect, because what they asked for no longer depends on a setting:
//! `REDIS_LAZY_CONNECT` (the first use dials), `REDIS_AUTO_PIPELINE` and
//! `REDIS_ENABLE_AUTO_PIPELINING` (always), `REDIS_RETRY_DELAY` (redialling has one backoff),
//! `REDIS_ENABLE_OFFLINE_QUEUE` (calls wait for the verdict, then memory answers),
//! `REDIS_FALLBACK_SYNC_INTERVAL` (replay begins when the server is back), `REDIS_CACHE_MAX_SIZE` (the
//! store is bounded by bytes), `REDIS_MAXMEMORY_POLICY` (a server's policy is its operator's).
//!
//! An empty variable is an unset one. Every variable is checked, also one that another outranks.
use super::field::{Field, Given};
use super::settings::{self, Settings, TlsWish};
use super::target::{DEFAULT_HOST, DEFAULT_PORT, Tls};
use super::url::{Address, Server};
use crate::base::error::Error;
use serde_json::{Map, Value};

/// Every variable that is read; whoever collects an environment needs no others.
pub const VARIABLES: &[&str] = &[
    "REDIS_URL",
    "REDIS_TLS_URL",
    "REDIS_HOST",
    "REDIS_PORT",
    "REDIS_USERNAME",
    "REDIS_PASSWORD",
    "REDIS_DB",
    "REDIS_TLS",
    "REDIS_TLS_CA",
    "REDIS_KEY_PREFIX",
    "REDIS_CONNECTION_TIMEOUT",
    "REDIS_CONNECT_TIMEOUT",
    "REDIS_COMMAND_TIMEOUT",
    "REDIS_MAX_RETRIES",
    "REDIS_RETRY_DELAY",
    "REDIS_LAZY_CONNECT",
    "REDIS_AUTO_PIPELINE",
    "REDIS_ENABLE_AUTO_PIPELINING",
    "REDIS_MAXMEMORY_POLICY",
    "REDIS_CACHE_DEFAULT_TTL",
    "REDIS_CACHE_MAX_SIZE",
    "REDIS_FALLBACK_ENABLED",
    "REDIS_FALLBACK_MAX_MEMORY",
    "REDIS_FALLBACK_JOURNAL_MAX_MEMORY",
    "REDIS_FALLBACK_JOURNAL_PATH",
    "REDIS_FALLBACK_JOURNAL_SYNC",
    "REDIS_FALLBACK_AUTO_SYNC",
    "REDIS_ENABLE_AUTORESYNC",
    "REDIS_FALLBACK_SYNC_INTERVAL",
    "REDIS_POOL_SIZE",
    "HOLDFAST_INSTANCES",
    "REDIS_MAX_IN_FLIGHT",
    "REDIS_MAX_IN_FLIGHT_BYTES",
    "REDIS_FENCED_WRITES",
    "REDIS_NEAR_CACHE",
    "REDIS_ENABLE_OFFLINE_QUEUE",
    "USE_REDIS",
    "NEXT_PUBLIC_ENABLE_CACHE",
    "NEXT_PHASE",
];

const POLICIES: &[&str] = &[
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-lrm",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-lrm",
    "volatile-random",
    "volatile-ttl",
];

/// What the environment says, the part that only it can say included.
pub struct Environment {
    pub settings: Settings,
    /// `REDIS_TLS_CA`: trusted for every TLS connection that names no file of its own.
    pub ca_file: Option<String>,
    pub use_redis: Option<bool>,
    pub cache_enabled: Option<bool>,
    pub building: bool,
}

pub fn read(variables: &Map<String, Value>) -> Result<Environment, Error> {
    let env = Variables(variables);
    env.check_the_ineffective()?;
    let connect_timeout = settings::timeout(&env.field("REDIS_CONNECTION_TIMEOUT")?)?
        .or(settings::timeout(&env.field("REDIS_CONNECT_TIMEOUT")?)?);
    let auto_sync = env.field("REDIS_FALLBACK_AUTO_SYNC")?.boolean()?;
    let auto_sync = auto_sync.or(env.field("REDIS_ENABLE_AUTORESYNC")?.boolean()?);
    let prefix = env.field("REDIS_KEY_PREFIX")?;
    let key_prefix = prefix.text()?.map(|text| settings::key_prefix(&prefix, text)).transpose()?;
    let tls = env.field("REDIS_TLS")?.boolean()?;
    let settings = Settings {
        address: env.address()?,
        username: env.owned("REDIS_USERNAME")?,
        password: env.field("REDIS_PASSWORD")?.secret()?,
        db: settings::db(&env.field("REDIS_DB")?)?,
        tls: tls.map(|on| if on { TlsWish::On(Tls::default()) } else { TlsWish::Off }),
        key_prefix,
        connect_timeout,
        command_timeout: settings::timeout(&env.field("REDIS_COMMAND_TIMEOUT")?)?,
        max_retries: settings::max_retries(&env.field("REDIS_MAX_RETRIES")?)?,
        pool_size: settings::pool_size(&env.field("REDIS_POOL_SIZE")?)?,
        instances: settings::instances(&env.field("HOLDFAST_INSTANCES")?)?,
        fallback_enabled: env.field("REDIS_FALLBACK_ENABLED")?.boolean()?,
        auto_sync,
        memory_limit_bytes: settings::memory_limit(&env.field("REDIS_FALLBACK_MAX_MEMORY")?)?,
        default_ttl: settings::default_ttl(&env.field("REDIS_CACHE_DEFAULT_TTL")?)?,
        journal_limit_bytes: settings::memory_limit(
            &env.field("REDIS_FALLBACK_JOURNAL_MAX_MEMORY")?,
        )?,
        journal_path: env.owned("REDIS_FALLBACK_JOURNAL_PATH")?,
        journal_sync: settings::journal_sync(&env.field("REDIS_FALLBACK_JOURNAL_SYNC")?)?,
        fenced_writes: env.field("REDIS_FENCED_WRITES")?.boolean()?,
        near_cache: settings::near_cache(&env.field("REDIS_NEAR_CACHE")?)?,
        max_in_flight: settings::max_in_flight(&env.field("REDIS_MAX_IN_FLIGHT")?)?,
        max_in_flight_bytes: settings::max_in_flight_bytes(
            &env.field("REDIS_MAX_IN_FLIGHT_BYTES")?,
        )?,
        ..Settings::default()
    };
    Ok(Environment {
        settings,
        ca_file: env.owned("REDIS_TLS_CA")?,
        use_redis: env.field("USE_REDIS")?.boolean()?,
        cache_enabled: env.field("NEXT_PUBLIC_ENABLE_CACHE")?.boolean()?,
        building: env.owned("NEXT_PHASE")?.as_deref() == Some("phase-production-build"),
    })
}

struct Variables<'a>(&'a Map<String, Value>);

impl<'a> Variables<'a> {
    fn field(&self, name: &str) -> Result<Field<'a>, Error> {
        let given = match self.0.get(name) {
            None | Some(Value::Null) => Given::Nothing,
            Some(Value::String(text)) => Given::Variable(text),
            Some(_) => {
                return Err(Error::invalid(name, format!("{name} is no text; allowed: a text")));
            }
        };
        Ok(Field { path: name.to_owned(), given })
    }

    fn owned(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.field(name)?.text()?.map(str::to_owned))
    }

    fn address(&self) -> Result<Option<Address>, Error> {
        let url = self.field("REDIS_URL")?.url()?;
        let secure = self.field("REDIS_TLS_URL")?;
        let tls_url = secure.url()?;
        if tls_url.as_ref().is_some_and(|url| !matches!(url, Address::Server(server) if server.tls))
        {
            return Err(secure.wrong("a URL that begins with rediss:// or valkeys://"));
        }
        let host = self.field("REDIS_HOST")?.host()?;
        let field = self.field("REDIS_PORT")?;
        let port = match field.text()? {
            // Kubernetes writes such a link for a service called "redis"; nobody set it. Only where a
            // host is set without a URL would the port matter.
            Some(link) if link.starts_with("tcp://") => {
                if host.is_some() && url.is_none() && tls_url.is_none() {
                    return Err(field.wrong("a whole number from 1 to 65535 (Kubernetes wrote this for a service called redis: set REDIS_PORT yourself, or enableServiceLinks: false)"));
                }
                None
            }
            _ => settings::port(&field)?,
        };
        Ok(url.or(tls_url).or_else(|| plain(host, port)))
    }

    fn check_the_ineffective(&self) -> Result<(), Error> {
        for name in [
            "REDIS_LAZY_CONNECT",
            "REDIS_AUTO_PIPELINE",
            "REDIS_ENABLE_AUTO_PIPELINING",
            "REDIS_ENABLE_OFFLINE_QUEUE",
        ] {
            self.field(name)?.boolean()?;
        }
        self.field("REDIS_RETRY_DELAY")?.milliseconds(&(0..=600_000))?;
        self.field("REDIS_FALLBACK_SYNC_INTERVAL")?.seconds(&(1..=30 * 86_400))?;
        self.field("REDIS_CACHE_MAX_SIZE")?.integer(&(1..=u64::from(u32::MAX)), "")?;
        self.field("REDIS_MAXMEMORY_POLICY")?.word(POLICIES)?;
        Ok(())
    }
}

/// The server of a host and a port; none when neither is given.
pub fn plain(host: Option<String>, port: Option<u16>) -> Option<Address> {
    if host.is_none() && port.is_none() {
        return None;
    }
    Some(Address::Server(Server {
        tls: false,
        host: host.unwrap_or_else(|| DEFAULT_HOST.to_owned()),
        port: port.unwrap_or(DEFAULT_PORT),
        username: None,
        password: None,
        db: None,
    }))
}

//! From the two sources to one configuration: who outranks whom, and every default.
use super::env::{self, Environment};
use super::options::{self, Options};
use super::settings::{Settings, TlsWish};
use super::target::{DEFAULT_HOST, DEFAULT_PORT, Endpoint, Target, Tls};
use super::url::{Address, Server};
use super::{Breaker, Config, JournalSync, NearCache, SyncMode};
use crate::base::error::Error;
use serde_json::{Map, Value};
use std::time::Duration;

const MEBIBYTE: usize = 1024 * 1024;

/// Reads `{"options": {...}, "env": {"NAME": "text"}}`; either part may be missing. An `env` among the
/// options takes the place of the environment. Fails with `E_INVALID` on anything that isn't allowed.
pub fn from_json(text: &str) -> Result<Config, Error> {
    // The parser's own message holds a position and never a part of the text.
    let root: Value = serde_json::from_str(text).map_err(|error| {
        Error::invalid("options", format!("the options are no well-formed JSON text: {error}"))
    })?;
    let nothing = Map::new();
    let options = object(root.get("options"), "options")?.unwrap_or(&nothing);
    let env = match object(options.get("env"), "options.env")? {
        Some(env) => env,
        None => object(root.get("env"), "env")?.unwrap_or(&nothing),
    };
    config(options::read(options)?, env::read(env)?)
}

fn object<'a>(
    value: Option<&'a Value>,
    path: &str,
) -> Result<Option<&'a Map<String, Value>>, Error> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(values)) => Ok(Some(values)),
        Some(_) => Err(Error::invalid(path, format!("{path} is no object; allowed: an object"))),
    }
}

fn config(options: Options, env: Environment) -> Result<Config, Error> {
    let (target, configured) = target(&options.settings, &env)?;
    let Environment { settings: env, ca_file: _, use_redis: _, cache_enabled, building } = env;
    let Options { settings: options, test_hooks } = options;
    Ok(Config {
        target,
        configured,
        key_prefix: options
            .key_prefix
            .or(env.key_prefix)
            .unwrap_or_else(|| "ai-chatbot:".to_owned()),
        connect_timeout: options
            .connect_timeout
            .or(env.connect_timeout)
            .unwrap_or(Duration::from_millis(10_000)),
        command_timeout: options
            .command_timeout
            .or(env.command_timeout)
            .unwrap_or(Duration::from_millis(5_000)),
        silence: options.silence.or(env.silence).unwrap_or(Duration::from_millis(500)),
        max_retries: options.max_retries.or(env.max_retries).unwrap_or(3),
        pool_size: options.pool_size.or(env.pool_size).unwrap_or(5),
        instances: options.instances.or(env.instances),
        fallback_enabled: options.fallback_enabled.or(env.fallback_enabled).unwrap_or(true),
        auto_sync: options.auto_sync.or(env.auto_sync).unwrap_or(true),
        sync_mode: options.sync_mode.or(env.sync_mode).unwrap_or(SyncMode::Newest),
        memory_limit_bytes: options
            .memory_limit_bytes
            .or(env.memory_limit_bytes)
            .unwrap_or(100 * MEBIBYTE),
        journal_limit_bytes: options
            .journal_limit_bytes
            .or(env.journal_limit_bytes)
            .unwrap_or(256 * MEBIBYTE),
        journal_path: options.journal_path.or(env.journal_path),
        journal_sync: options.journal_sync.or(env.journal_sync).unwrap_or(JournalSync::EverySecond),
        writes_uncertain: options.writes_uncertain.unwrap_or(false),
        merges_raw: options.merges_raw.unwrap_or(false),
        fenced_writes: options.fenced_writes.or(env.fenced_writes).unwrap_or(false),
        max_in_flight: options.max_in_flight.or(env.max_in_flight).unwrap_or(50_000),
        max_in_flight_bytes: options
            .max_in_flight_bytes
            .or(env.max_in_flight_bytes)
            .unwrap_or(256 * MEBIBYTE),
        breaker: options.breaker.unwrap_or_else(|| Some(Breaker::default())),
        max_value_bytes: options.max_value_bytes.or(env.max_value_bytes).unwrap_or(64 * MEBIBYTE),
        default_ttl: options.default_ttl.or(env.default_ttl).unwrap_or(Duration::from_secs(3_600)),
        tombstone_ttl: options
            .tombstone_ttl
            .or(env.tombstone_ttl)
            .unwrap_or(Duration::from_secs(600)),
        near_cache: options.near_cache.or(env.near_cache).unwrap_or(NearCache::Auto),
        near_max_age: options.near_max_age.unwrap_or(Duration::from_secs(600)),
        max_stale_degraded: options.max_stale_degraded.unwrap_or(Duration::from_secs(3_600)),
        connect_allowed: !building,
        cache_enabled: cache_enabled.unwrap_or(true),
        test_hooks,
        planted: None,
    })
}

/// The target, and whether anybody chose it.
fn target(options: &Settings, env: &Environment) -> Result<(Target, bool), Error> {
    let none = Settings::default();
    let (address, fill) = match &options.address {
        Some(address) => (Some(address), &none),
        None if env.use_redis == Some(false) => return Ok((Target::Memory, true)),
        None => (env.settings.address.as_ref(), &env.settings),
    };
    let configured = address.is_some();
    let unnamed = Server {
        tls: false,
        host: DEFAULT_HOST.to_owned(),
        port: DEFAULT_PORT,
        username: None,
        password: None,
        db: None,
    };
    let server = match address {
        Some(Address::Memory) => return Ok((Target::Memory, true)),
        Some(Address::Server(server)) => server,
        None => &unnamed,
    };
    let first = |a: &Option<String>, b: &Option<String>, c: &Option<String>| {
        a.clone().or_else(|| b.clone()).or_else(|| c.clone())
    };
    let password =
        options.password.as_ref().or(server.password.as_ref()).or(fill.password.as_ref());
    let endpoint = Endpoint {
        host: server.host.clone(),
        port: server.port,
        db: options.db.or(server.db).or(fill.db).unwrap_or(0),
        username: first(&options.username, &server.username, &fill.username),
        password: password.cloned(),
        tls: tls(options.tls.as_ref(), server.tls, fill.tls.as_ref(), env.ca_file.as_ref())?,
    };
    Ok((Target::Redis(endpoint), configured))
}

fn tls(
    option: Option<&TlsWish>,
    scheme: bool,
    variable: Option<&TlsWish>,
    ca_file: Option<&String>,
) -> Result<Option<Tls>, Error> {
    let mut tls = match (option, scheme, variable) {
        // A password must not go out in the clear because two settings disagree.
        (Some(TlsWish::Off), true, _) => {
            return Err(Error::invalid(
                "options.tls",
                "options.tls is false and the URL asks for TLS; allowed: true, or a redis:// URL",
            ));
        }
        (Some(TlsWish::On(tls)), _, _) | (None, false, Some(TlsWish::On(tls))) => tls.clone(),
        (None, true, _) => Tls::default(),
        (Some(TlsWish::Off), false, _) | (None, false, _) => return Ok(None),
    };
    tls.ca_file = tls.ca_file.or_else(|| ca_file.cloned());
    Ok(Some(tls))
}

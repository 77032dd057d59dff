//! The settings that a caller passes by name. An unknown name is refused: a misspelt limit that went
//! unheard would be found in an outage.
use super::Breaker;
use super::env::plain;
use super::field::{Field, Given};
use super::settings::{self, Settings, TlsWish};
use super::target::Tls;
use super::url::Address;
use crate::base::error::Error;
use serde_json::{Map, Value};

const NAMES: &[&str] = &[
    "url",
    "host",
    "port",
    "username",
    "password",
    "db",
    "tls",
    "keyPrefix",
    "connectTimeoutMs",
    "commandTimeoutMs",
    "silenceMs",
    "maxRetries",
    "poolSize",
    "instances",
    "fallback",
    "maxValueBytes",
    "defaultTtl",
    "tombstoneTtl",
    "fencedWrites",
    "nearCache",
    "nearMaxAge",
    "maxInFlight",
    "maxInFlightBytes",
    "breaker",
    "env",
    "testHooks",
];
const FALLBACK_NAMES: &[&str] = &[
    "enabled",
    "maxMemoryMb",
    "autoSync",
    "syncMode",
    "uncertain",
    "rawChanges",
    "maxStaleDegraded",
    "maxJournalMb",
    "journalPath",
    "journalSync",
];
const BREAKER_NAMES: &[&str] = &["failures", "percent", "windowMs"];
const TLS_NAMES: &[&str] = &["caFile", "serverName", "rejectUnauthorized"];

/// What the options say.
pub struct Options {
    pub settings: Settings,
    pub test_hooks: bool,
}

pub fn read(options: &Map<String, Value>) -> Result<Options, Error> {
    let options = Named::new("options", options, NAMES)?;
    let fallback = options.inner("fallback", FALLBACK_NAMES)?;
    let prefix = options.field("keyPrefix");
    let settings = Settings {
        address: address(&options)?,
        username: options.field("username").text()?.map(str::to_owned),
        password: options.field("password").secret()?,
        db: settings::db(&options.field("db"))?,
        tls: tls(&options)?,
        // An empty prefix is a choice here: keys without one.
        key_prefix: prefix
            .verbatim()?
            .map(|text| settings::key_prefix(&prefix, text))
            .transpose()?,
        connect_timeout: settings::timeout(&options.field("connectTimeoutMs"))?,
        command_timeout: settings::timeout(&options.field("commandTimeoutMs"))?,
        silence: settings::silence(&options.field("silenceMs"))?,
        max_retries: settings::max_retries(&options.field("maxRetries"))?,
        pool_size: settings::pool_size(&options.field("poolSize"))?,
        instances: settings::instances(&options.field("instances"))?,
        fallback_enabled: fallback.field("enabled").boolean()?,
        auto_sync: fallback.field("autoSync").boolean()?,
        sync_mode: settings::sync_mode(&fallback.field("syncMode"))?,
        memory_limit_bytes: settings::memory_limit(&fallback.field("maxMemoryMb"))?,
        max_value_bytes: settings::max_value_bytes(&options.field("maxValueBytes"))?,
        default_ttl: settings::default_ttl(&options.field("defaultTtl"))?,
        tombstone_ttl: settings::tombstone_ttl(&options.field("tombstoneTtl"))?,
        journal_limit_bytes: settings::memory_limit(&fallback.field("maxJournalMb"))?,
        journal_path: fallback.field("journalPath").text()?.map(str::to_owned),
        journal_sync: settings::journal_sync(&fallback.field("journalSync"))?,
        writes_uncertain: settings::uncertain(&fallback.field("uncertain"))?,
        merges_raw: settings::raw_changes(&fallback.field("rawChanges"))?,
        fenced_writes: options.field("fencedWrites").boolean()?,
        near_cache: settings::near_cache(&options.field("nearCache"))?,
        near_max_age: settings::tombstone_ttl(&options.field("nearMaxAge"))?,
        max_stale_degraded: settings::tombstone_ttl(&fallback.field("maxStaleDegraded"))?,
        max_in_flight: settings::max_in_flight(&options.field("maxInFlight"))?,
        max_in_flight_bytes: settings::max_in_flight_bytes(&options.field("maxInFlightBytes"))?,
        breaker: breaker(&options)?,
    };
    let test_hooks = options.field("testHooks").boolean()?.unwrap_or(false);
    Ok(Options { settings, test_hooks })
}

fn address(options: &Named<'_>) -> Result<Option<Address>, Error> {
    let url = options.field("url").url()?;
    let server = plain(options.field("host").host()?, settings::port(&options.field("port"))?);
    if url.is_some() && server.is_some() {
        return Err(Error::invalid(
            "options.url",
            "options.url is given together with options.host or options.port; allowed: one or the other",
        ));
    }
    Ok(url.or(server))
}

/// `false` switches it off.
fn breaker(options: &Named<'_>) -> Result<Option<Option<Breaker>>, Error> {
    let field = options.field("breaker");
    match field.given {
        Given::Option(Value::Object(_)) => {}
        Given::Option(Value::Bool(false)) => return Ok(Some(None)),
        Given::Option(Value::Bool(true)) => return Ok(Some(Some(Breaker::default()))),
        Given::Nothing | Given::Option(Value::Null) => return Ok(None),
        _ => return Err(field.wrong("true, false or an object { failures, percent, windowMs }")),
    }
    let breaker = options.inner("breaker", BREAKER_NAMES)?;
    let field = |name| breaker.field(name);
    settings::breaker(&field("failures"), &field("percent"), &field("windowMs"))
        .map(|breaker| Some(Some(breaker)))
}

fn tls(options: &Named<'_>) -> Result<Option<TlsWish>, Error> {
    let field = options.field("tls");
    match field.given {
        Given::Option(Value::Object(_)) => {}
        Given::Option(Value::Bool(true)) => return Ok(Some(TlsWish::On(Tls::default()))),
        Given::Option(Value::Bool(false)) => return Ok(Some(TlsWish::Off)),
        Given::Nothing | Given::Option(Value::Null) => return Ok(None),
        _ => return Err(field.wrong("true, false or an object { caFile, serverName }")),
    }
    let tls = options.inner("tls", TLS_NAMES)?;
    let checking = tls.field("rejectUnauthorized");
    if checking.boolean()? == Some(false) {
        return Err(checking.wrong(
            "true, because an unchecked certificate protects nothing; for a private authority give caFile",
        ));
    }
    Ok(Some(TlsWish::On(Tls {
        ca_file: tls.field("caFile").text()?.map(str::to_owned),
        server_name: tls.field("serverName").host()?,
    })))
}

/// An object whose names were all checked.
struct Named<'a> {
    path: String,
    values: Option<&'a Map<String, Value>>,
}

impl<'a> Named<'a> {
    fn new(path: &str, values: &'a Map<String, Value>, names: &[&str]) -> Result<Self, Error> {
        match values.keys().find(|name| !names.contains(&name.as_str())) {
            None => Ok(Self { path: path.to_owned(), values: Some(values) }),
            Some(name) => {
                let unknown = format!("{path}.{name}");
                let message = format!("{unknown} is no option; allowed: {}", names.join(", "));
                Err(Error::invalid(unknown, message))
            }
        }
    }

    fn field(&self, name: &str) -> Field<'a> {
        let value = self.values.and_then(|values| values.get(name));
        let given = value.map_or(Given::Nothing, Given::Option);
        Field { path: format!("{}.{name}", self.path), given }
    }

    fn inner(&self, name: &str, names: &[&str]) -> Result<Named<'a>, Error> {
        let field = self.field(name);
        match field.given {
            Given::Option(Value::Object(values)) => Named::new(&field.path, values, names),
            Given::Nothing | Given::Option(Value::Null) => {
                Ok(Named { path: field.path, values: None })
            }
            _ => Err(field.wrong("an object")),
        }
    }
}

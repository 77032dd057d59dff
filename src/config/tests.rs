//! Laws of the configuration: every variable and option with good and wrong values, who outranks whom,
//! and that no secret is ever shown. Long, because the tables name every variable and every option.
use super::{
    Breaker, Config, Endpoint, JournalSync, NearCache, SyncMode, Target, env::VARIABLES, from_json,
};
use crate::base::error::{Error, ErrorKind};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

fn both(options: Value, env: Value) -> Result<Config, Error> {
    from_json(&json!({ "options": options, "env": env }).to_string())
}

fn from_env(env: Value) -> Config {
    both(json!({}), env).unwrap()
}

fn from_options(options: Value) -> Config {
    both(options, json!({})).unwrap()
}

fn endpoint(config: Config) -> Endpoint {
    match config.target {
        Target::Redis(endpoint) => endpoint,
        Target::Memory => panic!("memory"),
    }
}

fn server(options: Value, env: Value) -> Endpoint {
    endpoint(both(options, env).unwrap())
}

/// A variable, a good value, what it decides, a wrong value. `NEXT_PHASE`, users, passwords and files
/// take any text.
type Row = (&'static str, &'static str, fn(&Config) -> bool, Option<&'static str>);

fn host_is(config: &Config, host: &str, port: u16) -> bool {
    matches!(&config.target, Target::Redis(server) if server.host == host && server.port == port)
}

fn with(config: &Config, law: fn(&Endpoint) -> bool) -> bool {
    matches!(&config.target, Target::Redis(server) if law(server))
}

const ANY: fn(&Config) -> bool = |_| true;

const ROWS: &[Row] = &[
    ("REDIS_URL", "redis://h:7000", |c| host_is(c, "h", 7000), Some("http://h:7000")),
    ("REDIS_TLS_URL", "rediss://h", |c| with(c, |s| s.tls.is_some()), Some("redis://h")),
    ("REDIS_HOST", "cache.internal", |c| host_is(c, "cache.internal", 6379), Some("h:7000")),
    ("REDIS_PORT", " 7000\r", |c| host_is(c, "localhost", 7000), Some("65536")),
    ("REDIS_USERNAME", "app", |c| with(c, |s| s.username.as_deref() == Some("app")), None),
    ("REDIS_PASSWORD", "pw", |c| with(c, |s| s.password.is_some()), None),
    ("REDIS_DB", "3", |c| with(c, |s| s.db == 3), Some("-1")),
    ("REDIS_TLS", "TRUE", |c| with(c, |s| s.tls.is_some()), Some("maybe")),
    ("REDIS_TLS_CA", "/ca.pem", |c| with(c, |s| s.tls.is_none()), None),
    ("REDIS_KEY_PREFIX", "x:", |c| c.key_prefix == "x:", Some("{x")),
    ("REDIS_CONNECTION_TIMEOUT", "70", |c| c.connect_timeout.as_millis() == 70, Some("0")),
    ("REDIS_CONNECT_TIMEOUT", "71", |c| c.connect_timeout.as_millis() == 71, Some("1e3")),
    ("REDIS_COMMAND_TIMEOUT", "72", |c| c.command_timeout.as_millis() == 72, Some("5s")),
    ("REDIS_MAX_RETRIES", "0", |c| c.max_retries == 0, Some("101")),
    ("HOLDFAST_INSTANCES", "4", |c| c.instances == Some(4), Some("0")),
    ("REDIS_RETRY_DELAY", "100", ANY, Some("+100")),
    ("REDIS_LAZY_CONNECT", "false", ANY, Some("lazy")),
    ("REDIS_AUTO_PIPELINE", "on", ANY, Some("2")),
    ("REDIS_ENABLE_AUTO_PIPELINING", "1", ANY, Some("y")),
    ("REDIS_MAXMEMORY_POLICY", "allkeys-lru", ANY, Some("lru")),
    ("REDIS_CACHE_DEFAULT_TTL", "5m", |c| c.default_ttl.as_secs() == 300, Some("0")),
    ("REDIS_CACHE_MAX_SIZE", "100", ANY, Some("100mb")),
    ("REDIS_FALLBACK_ENABLED", "no", |c| !c.fallback_enabled, Some("disabled")),
    ("REDIS_FALLBACK_MAX_MEMORY", "2", |c| c.memory_limit_bytes == 2 << 20, Some("0")),
    ("REDIS_FALLBACK_JOURNAL_MAX_MEMORY", "3", |c| c.journal_limit_bytes == 3 << 20, Some("0")),
    (
        "REDIS_FALLBACK_JOURNAL_PATH",
        "/var/lib/app",
        |c| c.journal_path.as_deref() == Some("/var/lib/app"),
        None,
    ),
    (
        "REDIS_FALLBACK_JOURNAL_SYNC",
        "always",
        |c| c.journal_sync == JournalSync::Always,
        Some("sometimes"),
    ),
    ("REDIS_MAX_IN_FLIGHT", "7", |c| c.max_in_flight == 7, Some("0")),
    ("REDIS_MAX_IN_FLIGHT_BYTES", "1048576", |c| c.max_in_flight_bytes == 1 << 20, Some("1000")),
    ("REDIS_NEAR_CACHE", "bus", |c| c.near_cache == NearCache::Bus, Some("far")),
    ("REDIS_FENCED_WRITES", "true", |c| c.fenced_writes, Some("fence")),
    ("REDIS_FALLBACK_AUTO_SYNC", "false", |c| !c.auto_sync, Some("never")),
    ("REDIS_ENABLE_AUTORESYNC", "0", |c| !c.auto_sync, Some("nope")),
    ("REDIS_FALLBACK_SYNC_INTERVAL", "30", ANY, Some("soon")),
    ("REDIS_POOL_SIZE", "64", |c| c.pool_size == 64, Some("65")),
    ("REDIS_ENABLE_OFFLINE_QUEUE", "true", ANY, Some("queue")),
    ("USE_REDIS", "false", |c| c.target == Target::Memory && c.configured, Some("never")),
    ("NEXT_PUBLIC_ENABLE_CACHE", "false", |c| !c.cache_enabled, Some("hardly")),
    ("NEXT_PHASE", "phase-production-build", |c| !c.connect_allowed, None),
];

#[test]
fn every_variable_stands_in_the_table_of_tests() {
    let tested: BTreeSet<_> = ROWS.iter().map(|row| row.0).collect();
    assert_eq!(tested, VARIABLES.iter().copied().collect());
}

#[test]
fn a_good_value_of_a_variable_decides_what_it_says() {
    for (name, good, law, _) in ROWS {
        assert!(law(&from_env(json!({ *name: good }))), "{name}={good}");
    }
}

#[test]
fn a_wrong_value_of_a_variable_is_named_with_what_is_allowed() {
    for (name, _, _, wrong) in ROWS {
        let Some(wrong) = wrong else { continue };
        let error = both(json!({}), json!({ *name: wrong })).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{name}");
        assert_eq!(error.path.as_deref(), Some(*name));
        assert!(error.message.starts_with(&format!("{name} is ")), "{}", error.message);
        assert!(error.message.contains("; allowed: "), "{}", error.message);
        let shown = if name.ends_with("_URL") { "://" } else { wrong };
        assert!(error.message.contains(shown), "{}", error.message);
    }
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    let defaults = from_env(json!({}));
    for name in VARIABLES {
        assert_eq!(from_env(json!({ *name: "" })), defaults, "{name}");
        assert_eq!(from_env(json!({ *name: null })), defaults, "{name}");
        let error = both(json!({}), json!({ *name: 6379 })).unwrap_err();
        assert_eq!(error.path.as_deref(), Some(*name));
    }
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = from_json("{}").unwrap();
    assert!(!config.configured && host_is(&config, "localhost", 6379));
    let view = config.public_view();
    let expected = json!({
        "host": "localhost", "port": 6379, "db": 0, "tls": false, "hasPassword": false,
        "memoryOnly": false, "configured": false, "keyPrefix": "ai-chatbot:",
        "connectTimeoutMs": 10_000, "commandTimeoutMs": 5_000, "silenceMs": 500,
        "maxRetries": 3, "poolSize": 5, "instances": null, "fallbackEnabled": true, "autoSync": true,
        "syncMode": "newest", "memoryLimitBytes": 104_857_600, "journalLimitBytes": 268_435_456,
        "journalPath": null, "journalSync": "everysec", "uncertain": "drop", "rawChanges": "refuse", "fencedWrites": false,
        "maxInFlight": 50_000, "maxInFlightBytes": 268_435_456,
        "breaker": { "failures": 5, "percent": 50, "windowMs": 10_000 },
        "maxValueBytes": 67_108_864, "defaultTtl": 3600, "tombstoneTtl": 600,
        "nearCache": "auto", "nearMaxAge": 600, "maxStaleDegraded": 3600,
        "connectAllowed": true, "cacheEnabled": true,
    });
    assert_eq!(view, expected);
}

#[test]
fn good_options_decide_what_they_say() {
    let config = from_options(json!({
        "host": "::1", "port": 7000, "username": "app", "password": "pw", "db": 2,
        "tls": { "caFile": "/ca.pem", "serverName": "cache.example", "rejectUnauthorized": true },
        "keyPrefix": "{app}:", "connectTimeoutMs": 1, "commandTimeoutMs": 2, "silenceMs": 30,
        "maxRetries": 4, "poolSize": 5, "maxValueBytes": 6, "defaultTtl": "7d", "tombstoneTtl": 8,
        "fallback": {
            "enabled": false, "maxMemoryMb": 9, "autoSync": false, "syncMode": "if-absent",
            "uncertain": "write", "maxStaleDegraded": 7, "maxJournalMb": 8, "journalPath": "/j", "journalSync": "no",
        },
        "fencedWrites": true, "maxInFlight": 5, "maxInFlightBytes": 1_048_577,
        "breaker": { "failures": 3, "windowMs": 2_000 }, "nearCache": false, "nearMaxAge": "1m",
        "testHooks": true,
    }));
    assert_eq!(config.key_prefix, "{app}:");
    assert_eq!(config.connect_timeout, Duration::from_millis(1));
    assert_eq!(config.command_timeout, Duration::from_millis(2));
    assert_eq!(config.silence, Duration::from_millis(30));
    assert_eq!((config.max_retries, config.pool_size, config.max_value_bytes), (4, 5, 6));
    assert!(config.writes_uncertain && config.fenced_writes);
    assert_eq!((config.journal_limit_bytes, config.journal_sync), (8 << 20, JournalSync::No));
    assert_eq!(config.journal_path.as_deref(), Some("/j"));
    assert_eq!((config.max_in_flight, config.max_in_flight_bytes), (5, 1_048_577));
    assert_eq!((config.near_cache, config.near_max_age.as_secs()), (NearCache::Off, 60));
    assert_eq!(config.max_stale_degraded.as_secs(), 7);
    let window = Duration::from_secs(2);
    assert_eq!(config.breaker, Some(Breaker { failures: 3, percent: 50, window }));
    assert_eq!(from_options(json!({ "breaker": false })).breaker, None);
    assert_eq!(config.default_ttl, Duration::from_secs(7 * 86_400));
    assert_eq!(config.tombstone_ttl, Duration::from_secs(8));
    assert_eq!(config.memory_limit_bytes, 9 << 20);
    assert_eq!(config.sync_mode, SyncMode::IfAbsent);
    assert!(
        !config.fallback_enabled && !config.auto_sync && config.test_hooks && config.configured
    );
    let server = endpoint(config);
    assert_eq!((server.host.as_str(), server.port, server.db), ("::1", 7000, 2));
    assert_eq!(server.username.as_deref(), Some("app"));
    assert_eq!(server.password.unwrap().expose(), "pw");
    let tls = server.tls.unwrap();
    assert_eq!(tls.ca_file.as_deref(), Some("/ca.pem"));
    assert_eq!(tls.server_name.as_deref(), Some("cache.example"));
}

#[test]
fn a_wrong_option_is_answered_with_its_path() {
    let rows = [
        (json!({ "prot": 1 }), "options.prot"),
        (json!({ "fallback": { "mode": 1 } }), "options.fallback.mode"),
        (json!({ "tls": { "ca": "x" } }), "options.tls.ca"),
        (json!({ "tls": { "rejectUnauthorized": false } }), "options.tls.rejectUnauthorized"),
        (json!({ "tls": { "serverName": "a b" } }), "options.tls.serverName"),
        (json!({ "tls": { "caFile": 1 } }), "options.tls.caFile"),
        (json!({ "tls": "yes" }), "options.tls"),
        (json!({ "tls": false, "url": "rediss://h" }), "options.tls"),
        (json!({ "url": "redis://h", "port": 1 }), "options.url"),
        (json!({ "url": "unix:///run/redis.sock" }), "options.url"),
        (json!({ "url": 6379 }), "options.url"),
        (json!({ "host": "a/b" }), "options.host"),
        (json!({ "port": "6379" }), "options.port"),
        (json!({ "port": 0 }), "options.port"),
        (json!({ "port": null }), "options.port"),
        (json!({ "username": 1 }), "options.username"),
        (json!({ "password": 1 }), "options.password"),
        (json!({ "db": 1.5 }), "options.db"),
        (json!({ "keyPrefix": "a{}b" }), "options.keyPrefix"),
        (json!({ "connectTimeoutMs": -1 }), "options.connectTimeoutMs"),
        (json!({ "commandTimeoutMs": 600_001 }), "options.commandTimeoutMs"),
        (json!({ "silenceMs": 9 }), "options.silenceMs"),
        (json!({ "maxRetries": true }), "options.maxRetries"),
        (json!({ "maxInFlight": 0 }), "options.maxInFlight"),
        (json!({ "maxInFlightBytes": 5 }), "options.maxInFlightBytes"),
        (json!({ "fencedWrites": 1 }), "options.fencedWrites"),
        (json!({ "nearCache": "l1" }), "options.nearCache"),
        (json!({ "nearMaxAge": 0 }), "options.nearMaxAge"),
        (json!({ "fallback": { "maxStaleDegraded": -1 } }), "options.fallback.maxStaleDegraded"),
        (json!({ "breaker": 5 }), "options.breaker"),
        (json!({ "breaker": { "percent": 0 } }), "options.breaker.percent"),
        (json!({ "breaker": { "count": 1 } }), "options.breaker.count"),
        (json!({ "fallback": { "journalSync": "never" } }), "options.fallback.journalSync"),
        (json!({ "fallback": { "uncertain": true } }), "options.fallback.uncertain"),
        (json!({ "poolSize": [] }), "options.poolSize"),
        (json!({ "maxValueBytes": 536_870_913 }), "options.maxValueBytes"),
        (json!({ "defaultTtl": 0 }), "options.defaultTtl"),
        (json!({ "defaultTtl": "200000d" }), "options.defaultTtl"),
        (json!({ "tombstoneTtl": "1 h" }), "options.tombstoneTtl"),
        (json!({ "fallback": true }), "options.fallback"),
        (json!({ "fallback": { "enabled": "yes" } }), "options.fallback.enabled"),
        (json!({ "fallback": { "maxMemoryMb": 0 } }), "options.fallback.maxMemoryMb"),
        (json!({ "fallback": { "autoSync": 1 } }), "options.fallback.autoSync"),
        (json!({ "fallback": { "syncMode": "merge" } }), "options.fallback.syncMode"),
        (json!({ "testHooks": "on" }), "options.testHooks"),
        (json!({ "env": [] }), "options.env"),
        (json!([]), "options"),
    ];
    for (options, path) in rows {
        let error = both(options, json!({})).unwrap_err();
        assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::Invalid, Some(path)));
        assert!(error.message.contains("; allowed: "), "{}", error.message);
        assert!(error.message.starts_with(path), "{}", error.message);
    }
}

#[test]
fn a_text_that_is_no_unicode_or_no_json_is_refused() {
    for text in ["", "[", "{\"options\":{\"keyPrefix\":\"\\ud800\"}}"] {
        let error = from_json(text).unwrap_err();
        assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::Invalid, Some("options")));
    }
}

#[test]
fn urls_say_host_port_database_and_credentials() {
    let rows = [
        ("redis://h", "h", 6379, 0, None, None, false),
        ("redis://h/", "h", 6379, 0, None, None, false),
        ("VALKEY://h:1/2", "h", 1, 2, None, None, false),
        ("valkeys://h?db=4&family=0", "h", 6379, 4, None, None, true),
        ("rediss://u:p%40%3a%2F%25@h:2", "h", 2, 0, Some("u"), Some("p@:/%"), true),
        ("redis://:a+b:c@h", "h", 6379, 0, None, Some("a+b:c"), false),
        ("redis://u@h", "h", 6379, 0, Some("u"), None, false),
        ("redis://:p@q@h", "h", 6379, 0, None, Some("p@q"), false),
        ("redis://[::1]:3/1", "::1", 3, 1, None, None, false),
        ("redis://[fe80::1%eth0]", "fe80::1%eth0", 6379, 0, None, None, false),
    ];
    for (url, host, port, db, username, password, tls) in rows {
        for (options, env) in
            [(json!({ "url": url }), json!({})), (json!({}), json!({ "REDIS_URL": url }))]
        {
            let server = server(options, env);
            assert_eq!((server.host.as_str(), server.port, server.db), (host, port, db), "{url}");
            assert_eq!(server.username.as_deref(), username, "{url}");
            assert_eq!(server.password.as_ref().map(super::Secret::expose), password, "{url}");
            assert_eq!(server.tls.is_some(), tls, "{url}");
        }
    }
}

#[test]
fn memory_can_be_chosen_for_good() {
    for config in [
        from_options(json!({ "url": "memory:" })),
        from_env(json!({ "REDIS_URL": "memory:", "REDIS_HOST": "h" })),
        from_env(json!({ "USE_REDIS": "false", "REDIS_URL": "redis://h" })),
    ] {
        assert!(config.configured && config.target == Target::Memory);
        assert_eq!(config.public_view()["memoryOnly"], true);
    }
}

#[test]
fn options_outrank_urls_and_urls_outrank_host_and_port() {
    let mut env = json!({
        "REDIS_URL": "redis://a", "REDIS_TLS_URL": "rediss://b", "REDIS_HOST": "c", "USE_REDIS": "true",
    });
    assert_eq!(server(json!({ "url": "redis://o" }), env.clone()).host, "o");
    assert_eq!(server(json!({ "port": 9 }), env.clone()).host, "localhost");
    assert_eq!(server(json!({}), env.clone()).host, "a");
    env["REDIS_URL"] = "".into();
    assert_eq!(server(json!({}), env.clone()).host, "b");
    env["REDIS_TLS_URL"] = "".into();
    assert_eq!(server(json!({}), env).host, "c");
    let off = json!({ "USE_REDIS": "false" });
    assert_eq!(server(json!({ "host": "o" }), off).host, "o");
    assert_eq!(
        server(json!({ "env": { "REDIS_HOST": "x" } }), json!({ "REDIS_HOST": "y" })).host,
        "x"
    );
    let prefixes = both(json!({ "keyPrefix": "" }), json!({ "REDIS_KEY_PREFIX": "x:" })).unwrap();
    assert_eq!(prefixes.key_prefix, "");
    let aliases = json!({ "REDIS_CONNECT_TIMEOUT": "1", "REDIS_CONNECTION_TIMEOUT": "2" });
    assert_eq!(from_env(aliases).connect_timeout, Duration::from_millis(2));
}

#[test]
fn variables_fill_only_what_the_url_lacks() {
    let fill = |url: &str| {
        server(
            json!({}),
            json!({ "REDIS_URL": url, "REDIS_USERNAME": "eu", "REDIS_PASSWORD": "ep", "REDIS_DB": "5" }),
        )
    };
    let bare = fill("redis://h");
    assert_eq!((bare.username.as_deref(), bare.db), (Some("eu"), 5));
    assert_eq!(bare.password.unwrap().expose(), "ep");
    let full = fill("redis://u:p@h/0");
    assert_eq!((full.username.as_deref(), full.db), (Some("u"), 0));
    assert_eq!(full.password.unwrap().expose(), "p");
}

#[test]
fn credentials_of_the_environment_never_go_to_a_server_that_options_name() {
    let env = json!({
        "REDIS_USERNAME": "eu", "REDIS_PASSWORD": "ep", "REDIS_DB": "5", "REDIS_TLS": "true",
    });
    for options in [json!({ "url": "redis://o" }), json!({ "host": "o" })] {
        let server = server(options, env.clone());
        assert_eq!((server.username, server.password, server.db), (None, None, 0));
        assert_eq!(server.tls, None);
    }
    let server = server(json!({ "db": 1 }), env);
    assert_eq!((server.username.as_deref(), server.db), (Some("eu"), 1));
}

#[test]
fn tls_is_on_wherever_something_asks_for_it() {
    let ca = json!({ "REDIS_TLS": "true", "REDIS_URL": "redis://h", "REDIS_TLS_CA": "/ca.pem" });
    assert_eq!(server(json!({}), ca).tls.unwrap().ca_file.as_deref(), Some("/ca.pem"));
    let contradiction = json!({ "REDIS_TLS": "false", "REDIS_URL": "rediss://h" });
    assert!(server(json!({}), contradiction).tls.is_some());
    assert!(server(json!({ "tls": false }), json!({ "REDIS_TLS": "true" })).tls.is_none());
    assert!(server(json!({ "tls": {}, "url": "redis://h" }), json!({})).tls.is_some());
}

#[test]
fn a_kubernetes_service_link_is_no_port() {
    let link = "tcp://10.0.0.1:6379";
    assert!(!from_env(json!({ "REDIS_PORT": link })).configured);
    assert!(host_is(&from_env(json!({ "REDIS_PORT": link, "REDIS_URL": "redis://h" })), "h", 6379));
    let error = both(json!({}), json!({ "REDIS_PORT": link, "REDIS_HOST": "h" })).unwrap_err();
    assert!(error.message.contains("enableServiceLinks"), "{}", error.message);
}

#[test]
fn braces_stand_in_a_prefix_only_as_one_whole_tag() {
    for good in ["", "a:", "{a}", "x{a}y:", "é*[?]"] {
        assert_eq!(from_options(json!({ "keyPrefix": good })).key_prefix, good);
    }
    let long = "x".repeat(513);
    for wrong in ["{", "}", "{}", "}a{", "{a}{b}", "{{a}}", "{a", long.as_str()] {
        let error = both(json!({ "keyPrefix": wrong }), json!({})).unwrap_err();
        assert_eq!(error.path.as_deref(), Some("options.keyPrefix"));
        assert!(error.message.len() < 300);
    }
}

#[test]
fn no_secret_shows_in_any_error() {
    let urls = [
        "redis://u:hush@h:port",
        "redis://u:hush@h:0",
        "redis://u:hush@h/db",
        "redis://u:hush@h?ssl=no",
        "redis://u:hush%zz@h",
        "redis://u:hush%ff@h",
        "redis://:a/hush@h",
        "redis://:a?hush@h",
        "redis://:a#hush@h",
        "redis://:a@b/hush",
        "redis://:1/2hush@h:1",
        "redis://:hush",
        "redis://u:hush",
        "redis://u:hush/0",
        "redis://h?password=x@hush",
        "redis://h/0?password=hush",
        "http://u:hush@h",
        "u:hush@h",
        "u:hush",
        "unix://u:hush@/run/redis.sock",
    ];
    for url in urls {
        for name in ["REDIS_URL", "REDIS_TLS_URL", "url"] {
            let (options, env) = if name == "url" {
                (json!({ "url": url }), json!({}))
            } else {
                (json!({}), json!({ name: url }))
            };
            let error = both(options, env).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hush"), "{shown}");
        }
    }
    for field in ["REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_TLS"] {
        let error = both(json!({}), json!({ field: "redis://u:hush@h" })).unwrap_err();
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    }
    let error = both(json!({ "password": ["hush"] }), json!({})).unwrap_err();
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
}

#[test]
fn a_masked_url_still_says_where_it_points() {
    let error = both(json!({}), json!({ "REDIS_TLS_URL": "redis://u:hush@h:7000/2" })).unwrap_err();
    assert!(error.message.contains("redis://***@h:7000/2"), "{}", error.message);
}

#[test]
fn no_secret_shows_in_debug_or_in_the_public_view() {
    let config = from_options(json!({ "url": "redis://u:hush@h" }));
    let view = config.public_view();
    assert_eq!((&view["hasPassword"], &view["username"]), (&json!(true), &json!("u")));
    let debug = format!("{config:?} {config:#?} {view}");
    assert!(!debug.contains("hush") && debug.contains("***"), "{debug}");
    let server = endpoint(config);
    let password = server.password.as_ref().unwrap();
    assert_eq!(format!("{password} {password:?}"), "*** ***");
    assert!(!format!("{server:?}").contains("hush"));
}

#[test]
fn the_canonical_text_is_stable_and_tells_any_two_configurations_apart() {
    let url = json!({ "url": "redis://u:hush@h" });
    assert_eq!(from_options(url.clone()).canonical(), from_options(url).canonical());
    let texts: BTreeSet<_> = [
        json!({}),
        json!({ "url": "memory:" }),
        json!({ "host": "localhost" }),
        json!({ "password": "a" }),
        json!({ "password": "b" }),
        json!({ "username": "a" }),
        json!({ "tls": true }),
        json!({ "tls": { "caFile": "a" } }),
        json!({ "tls": { "serverName": "a" } }),
        json!({ "testHooks": true }),
        json!({ "silenceMs": 501 }),
        json!({ "fallback": { "syncMode": "off" } }),
    ]
    .into_iter()
    .map(|options| from_options(options).canonical())
    .collect();
    assert_eq!(texts.len(), 12);
}

//! A configuration as text: for logs and users without secrets, for comparing with them.
//! Each function takes the struct apart by name, so that a new field can't be forgotten.
use super::target::{Endpoint, Target, Tls};
use super::{Breaker, Config, Secret};
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            target,
            configured,
            key_prefix,
            connect_timeout,
            command_timeout,
            silence,
            max_retries,
            pool_size,
            instances,
            fallback_enabled,
            auto_sync,
            sync_mode,
            memory_limit_bytes,
            journal_limit_bytes,
            journal_path,
            journal_sync,
            writes_uncertain,
            merges_raw,
            fenced_writes,
            max_in_flight,
            max_in_flight_bytes,
            breaker,
            max_value_bytes,
            default_ttl,
            tombstone_ttl,
            near_cache,
            near_max_age,
            max_stale_degraded,
            connect_allowed,
            cache_enabled,
            test_hooks,
            planted,
        } = self;
        f.debug_struct("Config")
            .field("target", target)
            .field("configured", configured)
            .field("key_prefix", key_prefix)
            .field("connect_timeout", connect_timeout)
            .field("command_timeout", command_timeout)
            .field("silence", silence)
            .field("max_retries", max_retries)
            .field("pool_size", pool_size)
            .field("instances", instances)
            .field("fallback_enabled", fallback_enabled)
            .field("auto_sync", auto_sync)
            .field("sync_mode", sync_mode)
            .field("memory_limit_bytes", memory_limit_bytes)
            .field("journal_limit_bytes", journal_limit_bytes)
            .field("journal_path", journal_path)
            .field("journal_sync", journal_sync)
            .field("writes_uncertain", writes_uncertain)
            .field("merges_raw", merges_raw)
            .field("fenced_writes", fenced_writes)
            .field("max_in_flight", max_in_flight)
            .field("max_in_flight_bytes", max_in_flight_bytes)
            .field("breaker", breaker)
            .field("max_value_bytes", max_value_bytes)
            .field("default_ttl", default_ttl)
            .field("tombstone_ttl", tombstone_ttl)
            .field("near_cache", near_cache)
            .field("near_max_age", near_max_age)
            .field("max_stale_degraded", max_stale_degraded)
            .field("connect_allowed", connect_allowed)
            .field("cache_enabled", cache_enabled)
            .field("test_hooks", test_hooks)
            .field("planted", planted)
            .finish()
    }
}

impl Config {
    /// One text per distinct configuration, secrets included: **secret, never logged**. It is there to be
    /// hashed, by which two instances know that they can share their connections.
    pub fn canonical(&self) -> String {
        let mut view = self.view();
        if let Target::Redis(Endpoint { host: _, port: _, db: _, username: _, password, tls }) =
            &self.target
        {
            view["password"] = password.as_ref().map(Secret::expose).into();
            view["tls"] = tls.as_ref().map_or(Value::Null, |Tls { ca_file, server_name }| {
                json!({ "caFile": ca_file, "serverName": server_name })
            });
        }
        view["testHooks"] = self.test_hooks.into();
        view.to_string()
    }

    /// What users may see: everything that was decided, without secrets.
    pub fn public_view(&self) -> Value {
        self.view()
    }

    fn view(&self) -> Value {
        let Self {
            target,
            configured,
            key_prefix,
            connect_timeout,
            command_timeout,
            silence,
            max_retries,
            pool_size,
            instances,
            fallback_enabled,
            auto_sync,
            sync_mode,
            memory_limit_bytes,
            journal_limit_bytes,
            journal_path,
            journal_sync,
            writes_uncertain,
            merges_raw,
            fenced_writes,
            max_in_flight,
            max_in_flight_bytes,
            breaker,
            max_value_bytes,
            default_ttl,
            tombstone_ttl,
            near_cache,
            near_max_age,
            max_stale_degraded,
            connect_allowed,
            cache_enabled,
            test_hooks: _,
            planted: _,
        } = self;
        let mut view = json!({
            "memoryOnly": matches!(target, Target::Memory),
            "configured": configured,
            "keyPrefix": key_prefix,
            "connectTimeoutMs": milliseconds(*connect_timeout),
            "commandTimeoutMs": milliseconds(*command_timeout),
            "silenceMs": milliseconds(*silence),
            "maxRetries": max_retries,
            "poolSize": pool_size,
            "instances": instances,
            "fallbackEnabled": fallback_enabled,
            "autoSync": auto_sync,
            "syncMode": sync_mode.as_str(),
            "memoryLimitBytes": memory_limit_bytes,
            "journalLimitBytes": journal_limit_bytes,
            "journalPath": journal_path,
            "journalSync": journal_sync.as_str(),
            "uncertain": if *writes_uncertain { "write" } else { "drop" },
            "rawChanges": if *merges_raw { "merge" } else { "refuse" },
            "fencedWrites": fenced_writes,
            "maxInFlight": max_in_flight,
            "maxInFlightBytes": max_in_flight_bytes,
            "breaker": breaker.map(|Breaker { failures, percent, window }| {
                json!({ "failures": failures, "percent": percent, "windowMs": milliseconds(window) })
            }),
            "maxValueBytes": max_value_bytes,
            "defaultTtl": default_ttl.as_secs(),
            "tombstoneTtl": tombstone_ttl.as_secs(),
            "nearCache": near_cache.as_str(),
            "nearMaxAge": near_max_age.as_secs(),
            "maxStaleDegraded": max_stale_degraded.as_secs(),
            "connectAllowed": connect_allowed,
            "cacheEnabled": cache_enabled,
        });
        if let Target::Redis(Endpoint { host, port, db, username, password, tls }) = target {
            view["host"] = host.as_str().into();
            view["port"] = (*port).into();
            view["db"] = (*db).into();
            view["tls"] = tls.is_some().into();
            view["hasPassword"] = password.is_some().into();
            if let Some(username) = username {
                view["username"] = username.as_str().into();
            }
        }
        view
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

//! Synchronous questions and switches, by name; JSON out.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::Handle;
use super::ring::Ring;
use crate::backend::Scope;
use crate::backend::memory::store::Owned;
use crate::backend::redis::State;
use crate::base::error::{Error, Result};
use crate::base::stamp::Stamp;
use crate::managers::messages::Hearer;
use crate::managers::rate_limit::id_of_text;
use crate::managers::sessions::Sessions;

pub fn answer(
    ring: &Arc<Ring>,
    handle: Option<&Handle>,
    what: &str,
    argument: &str,
) -> Result<Value> {
    if what == "counters" {
        return Ok(json!({
            "submits": ring.submits.load(Ordering::Relaxed),
            "wakes": ring.wakes.load(Ordering::Relaxed),
            "operations": ring.operations.load(Ordering::Relaxed),
            "pending": ring.pending(),
        }));
    }
    let core = &handle.ok_or_else(Error::closed)?.core;
    Ok(match what {
        "connection" => connection(handle.ok_or_else(Error::closed)?),
        "cacheStats" => {
            core.stats.take_over(argument)?;
            let local = core.backend.local.lock();
            let held = |owner: u16| {
                let Owned { entries, bytes, evicted } = local.store.owned(owner);
                json!({ "entries": entries, "bytes": bytes, "evicted": evicted })
            };
            let mut stats = core.stats.view(&held);
            let all = local.store.stats();
            stats["held"] =
                json!({ "entries": all.entries, "bytes": all.bytes, "evicted": all.evicted });
            stats["backend"] = match (&core.backend.redis, core.config.fallback_enabled) {
                (None, _) => "memory",
                (Some(_), true) => "hybrid",
                (Some(_), false) => "redis",
            }
            .into();
            stats
        }
        "countCache" => {
            core.stats.take_over(argument)?;
            Value::Null
        }
        "resetCacheStats" => {
            core.stats.reset(argument.parse().unwrap_or(0));
            Value::Null
        }
        "echoMarks" => {
            core.backend.marks().echo();
            Value::Null
        }
        "namespace" => core.stats.owner(argument).into(),
        "unlisten" => {
            let handle = handle.ok_or_else(Error::closed)?;
            let hearer: Arc<dyn Hearer> = handle.sink.clone();
            core.messages.unlisten(argument, &hearer)?;
            Value::Null
        }
        "listening" => {
            let (topics, told) = core.messages.stats();
            json!({ "topics": topics, "told": told })
        }
        "sessionId" => Sessions::id(argument)?.into(),
        "sessionIdAfter" => Sessions::id_after(argument)?.into(),
        "limiter" => core.rates.define(argument)?.into(),
        "keepHold" => {
            let sink: Arc<dyn Send + Sync> = handle.ok_or_else(Error::closed)?.sink.clone();
            core.keep(core.rates.held(argument, Arc::downgrade(&sink))?);
            Value::Null
        }
        "dropHold" => {
            core.rates.holds.let_go(id_of_text(argument)?);
            Value::Null
        }
        "memory" => {
            let local = core.backend.local.lock();
            let stats = local.store.stats();
            json!({
                "entries": stats.entries,
                "bytes": stats.bytes,
                "limitBytes": core.config.memory_limit_bytes,
                "evicted": stats.evicted,
                "expired": stats.expired,
            })
        }
        "memoryKeys" => {
            let local = core.backend.local.lock();
            let keys = local
                .store
                .keys_with_prefix(&core.backend.keys.family(argument), core.clock.micros());
            keys.iter()
                .filter_map(|key| core.backend.keys.name_in(argument, key))
                .collect::<Vec<_>>()
                .into()
        }
        "clearMemory" => {
            let prefix = core.backend.keys.family(argument);
            let mut local = core.backend.local.lock();
            let scope = Scope::Prefix(prefix.clone());
            local.store.remove_scope(&scope, Stamp::LAST, core.clock.micros());
            local.journal.forget_prefix(&prefix);
            Value::Null
        }
        "exportFallback" => serde_json::to_value(core.backend.export()).map_err(Error::internal)?,
        "importFallback" => {
            core.backend.import(argument)?;
            Value::Null
        }
        "fallback" => fallback(handle.ok_or_else(Error::closed)?),
        "force" => {
            core.backend.force(argument == "true");
            Value::Null
        }
        "config" => core.config.public_view(),
        "panic" if core.config.test_hooks => {
            super::batch::injected_panic();
            Value::Null
        }
        _ => return Err(Error::invalid("what", format!("there is no question named {what}"))),
    })
}

fn connection(handle: &Handle) -> Value {
    let Some(redis) = &handle.core.backend.redis else {
        return json!({ "isConnected": false, "isConnecting": false, "state": "memory", "connectionAttempts": 0 });
    };
    // The question itself starts the first dial; the answer is what stood before it.
    let view = redis.view();
    redis.touch();
    let mut out = json!({
        "isConnected": view.state.live(),
        "isConnecting": matches!(view.state, State::Connecting | State::Suspect),
        "state": view.state.name(),
        "connectionAttempts": view.attempts,
        "connections": view.connections,
    });
    if let Some(error) = view.last_error {
        out["lastError"] = error.to_record();
    }
    for (name, at) in
        [("lastConnectedAt", view.connected_at), ("lastReconnectAt", view.reconnected_at)]
    {
        if let Some(at) = at {
            out[name] = at.into();
        }
    }
    if let Some(version) = view.version {
        out["serverVersion"] = version.into();
    }
    out
}

fn fallback(handle: &Handle) -> Value {
    let backend = &handle.core.backend;
    let state = backend.state();
    let live = backend.redis.is_some() && state.live();
    let local = backend.local.lock();
    let resync = &backend.resync;
    let last = resync.last_at.load(Ordering::Relaxed);
    let status = if resync.running.load(Ordering::Relaxed) {
        "syncing"
    } else if resync.last_failed.load(Ordering::Relaxed) {
        "failed"
    } else if last > 0 {
        "synced"
    } else {
        "never"
    };
    let stats = local.store.stats();
    let mut out = json!({
        "isUsingFallback": backend.config.fallback_enabled
            && (local.on_memory() || backend.redis.is_none()),
        "redisAvailable": live,
        "forced": local.forced,
        "memoryBytes": stats.bytes,
        "totalKeys": stats.entries,
        "syncStatus": status,
        "journalDepth": local.journal.depth(),
        "journalBytes": local.journal.bytes(),
        "conflicts": resync.conflicts.load(Ordering::Relaxed),
        "collapsed": local.journal.collapsed(),
        "dropped": local.journal.dropped(),
        "replayed": resync.replayed.load(Ordering::Relaxed),
        "superseded": resync.superseded.load(Ordering::Relaxed),
        "journalOnDisk": local.journal.log().is_some(),
        "adopted": backend.adoptions.intents.load(Ordering::Relaxed),
        "tornBytes": backend.adoptions.torn_bytes.load(Ordering::Relaxed),
    });
    if let Some(oldest) = local.journal.oldest() {
        let age =
            backend.stamps.server_micros().saturating_sub(backend.stamps.settle(oldest).micros);
        out["journalOldestMs"] = (age / 1000).into();
    }
    if let Some(problem) = local.journal.log().and_then(|log| log.problem()) {
        out["journalProblem"] = problem.into();
    }
    let took = resync.took_ms.load(Ordering::Relaxed);
    if last > 0 {
        out["lastSyncDurationMs"] = took.into();
    }
    let limits = backend.redis.as_ref().map(|redis| redis.limits());
    out["inFlight"] = limits.map_or(0, |limits| limits.count()).into();
    out["inFlightBytes"] = limits.map_or(0, |limits| limits.bytes()).into();
    out["overloaded"] = limits.map_or(0, |limits| limits.refused()).into();
    if last > 0 {
        out["lastSyncTime"] = last.into();
    }
    out
}

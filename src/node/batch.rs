//! A batch of operations: what each row asks for is answered at once or handed over.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use napi::bindgen_prelude::Array;

use super::Handle;
use super::operations::OPERATIONS;
use super::reader::{Reader, Wish};
use super::reply::{Row, Writer};
use super::ring::{ID_MASK, Ring, tagged};
use crate::backend::{Answer, Backend, Call, Early, Operation, Raw, Reply, Settler, Sink};
use crate::base::error::Error;
use crate::managers::messages::Hearer;
use crate::resilience::fallback::neutral;

/// Handles a whole batch; answers how many operations are pending.
pub fn submit(
    ring: &Arc<Ring>,
    handle: Option<&Handle>,
    meta: &[f64],
    text: &str,
    extras: Option<&Array<'_>>,
    writer: &mut Writer<'_>,
) -> u32 {
    ring.submits.fetch_add(1, Ordering::Relaxed);
    let mut reader = Reader::new(meta, text, extras);
    let mut calls = Vec::new();
    let mut held = Vec::new();
    let since = handle.map_or(0, |handle| handle.core.clock.micros());
    let mut pending = 0;
    let mut late = Vec::new();
    while !reader.is_done() {
        ring.operations.fetch_add(1, Ordering::Relaxed);
        let code = reader.next() as u32;
        let id = (reader.next() as u32) & ID_MASK;
        reader.owner = 0;
        let name = OPERATIONS.get(code as usize).map_or("", |(name, _)| *name);
        let wish = reader.wish(code, handle);
        let answer = match (wish, handle) {
            (Err(error), Some(handle)) => {
                handle.core.stats.failed(reader.owner);
                Err(error.operation(name))
            }
            (Err(error), None) => Err(error.operation(name)),
            (Ok(_), None) => Err(Error::closed().operation(name)),
            (Ok(wish), Some(handle)) => {
                match start(ring, handle, wish, id, since, &mut calls, &mut held) {
                    Some(answer) => answer.map_err(|error| error.operation(name)),
                    None => {
                        pending += 1;
                        continue;
                    }
                }
            }
        };
        if let Err(row) = writer.write(Row::Answer(id, answer)) {
            late.push(row);
        }
    }
    if let Some(handle) = handle
        && !calls.is_empty()
    {
        handle.core.backend.submit(calls);
    }
    if let Some(handle) = handle
        && !held.is_empty()
    {
        handle.core.backend.when_safe(held);
    }
    // There was no room for these: they come through the ring.
    pending += u32::try_from(late.len()).unwrap_or(0);
    for row in late {
        ring.push(row);
        ring.wake();
    }
    pending
}

/// Starts one operation. Answers what is known at once.
fn start(
    ring: &Arc<Ring>,
    handle: &Handle,
    wish: Wish,
    id: u32,
    since: u64,
    calls: &mut Vec<Call>,
    held: &mut Vec<(Settler, Answer)>,
) -> Option<Answer> {
    let core = &handle.core;
    let sink = || -> Arc<dyn Sink> { handle.sink.clone() };
    match wish {
        Wish::Operation { operation, reach, counted, owner } => {
            let sink = || -> Arc<dyn Sink> { handle.sink_of(ring, owner) };
            // What comes behind a call that is handed over goes the same way, so that it doesn't come first.
            // Limits are decided each for itself.
            let alone = reach.local || matches!(operation, Operation::Rate { .. });
            let early = if calls.is_empty() || alone {
                core.backend.now(operation, reach)
            } else {
                Early::Pass(core.backend.behind(operation))
            };
            match early {
                Early::Answer(answer) => {
                    core.stats.count(owner, counted, &answer);
                    Some(answer)
                }
                Early::Held(answer) => {
                    held.push((Settler::new(sink(), tagged(id, counted)), answer));
                    None
                }
                Early::Pass(operation) => {
                    let settler = Settler::new(sink(), tagged(id, counted));
                    calls.push(Call { owner, ..Call::new(operation, settler, since, reach) });
                    None
                }
            }
        }
        Wish::Off(operation) => Some(neutral(&operation)),
        Wish::Listen(topic, number) => {
            let hearer: Arc<dyn Hearer> = handle.sink.clone();
            core.messages.listen(topic, &hearer, number, Settler::new(sink(), id));
            None
        }
        Wish::Verdict => match &core.backend.redis {
            Some(redis) => {
                redis.verdict(Settler::new(sink(), id));
                None
            }
            None => Some(Ok(memory_verdict())),
        },
        Wish::Reconnect => match &core.backend.redis {
            Some(redis) => {
                redis.reconnect(Settler::new(sink(), id));
                None
            }
            None => Some(Ok(memory_verdict())),
        },
        Wish::Resync => {
            core.backend.resync_now(Settler::new(sink(), id));
            None
        }
        Wish::Panic => {
            let settler = Settler::new(sink(), id);
            crate::engine::spawn(async move {
                let _held = settler;
                injected_panic();
            });
            None
        }
    }
}

/// What tests ask for, to see that nothing stays pending: unwinds as a panic does, and prints nothing.
pub fn injected_panic() {
    std::panic::resume_unwind(Box::new("injected by a test"));
}

fn memory_verdict() -> Reply {
    let text = |text: &'static str| Raw::Bytes(Bytes::from_static(text.as_bytes()));
    Reply::Raw(Raw::Map(vec![
        (text("state"), text("memory")),
        (text("available"), Raw::Boolean(false)),
    ]))
}

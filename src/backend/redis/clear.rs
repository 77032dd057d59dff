//! Removing a whole family: SCAN and, per key, a tombstone and an UNLINK. Never KEYS, never FLUSH.
use std::sync::atomic::Ordering;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value as Resp};

use super::gates::{Gates, Place};
use super::hub::{Hub, SideJob};
use super::wire::Wire;
use super::{Replayer, failure, script, wire};
use crate::backend::intent::{Intent, Outcome};
use crate::backend::policy::CLOCK_ERROR;
use crate::backend::scopes::Scopes;
use crate::backend::{Call, Operation, Reply, Scope};
use crate::base::error::{Applied, Error, ErrorKind, Result};
use crate::base::stamp::Stamp;
use crate::codec::envelope;

const PAGE: &str = "512";

impl Hub {
    /// Starts the clears that wait, once no replay is on its way: one that arrived behind them could bring
    /// back what they removed.
    pub fn start_clears(&mut self) {
        if self.replaying == 0 && self.state.live() {
            std::mem::take(&mut self.clears).into_iter().for_each(|call| self.start_clear(call));
        }
    }

    fn start_clear(&mut self, call: Call) {
        let Operation::Clear { scope, stamp } = &call.operation else { return };
        if let Some(keeper) = self.shared.keeper() {
            let _ = keeper.sending(&call);
        }
        let now = self.now();
        let Some(link) = self.links.first_mut() else {
            return self.unanswered(vec![call], Applied::No);
        };
        if link.outstanding == 0 {
            link.busy_since = now;
        }
        link.outstanding += 1;
        let (connection, wire, id) = (link.connection.clone(), self.shared.wire.clone(), link.id);
        let (scope, stamp, keeper) = (scope.clone(), *stamp, self.shared.keeper());
        let live = call.attempts == 0;
        let timeout = self.shared.config.command_timeout;
        let mut outage = self.outage.subscribe();
        self.side_jobs.push(Box::pin(async move {
            let scopes = std::iter::once((scope.clone(), stamp)).collect();
            let cleared = tokio::select! {
                cleared = clear(connection, &wire, &scopes, live, timeout) => cleared,
                _ = outage.changed() => Err(Error::unavailable("it went away")),
            };
            match (cleared, keeper) {
                (Ok(removed), keeper) => {
                    if let Some(keeper) = keeper {
                        keeper.cleared(&scope, stamp);
                    }
                    call.settler.settle(Ok(Reply::Count(removed)));
                }
                // The journal has it from here.
                (Err(error), Some(keeper)) if failure::means_unavailable(&error) => {
                    let error = failure::maybe_applied(error);
                    keeper.unanswered(vec![(call, super::Failure { error })]);
                }
                (Err(error), _) => call.settler.settle(Err(error)),
            }
            SideJob::Kept(id)
        }));
    }
}

/// Removes what is in the scopes and not newer than their stamps, in one walk; answers how many went. A live one
/// removes whatever others wrote before it began, as a live delete does: their stamps may be ahead of its own.
///
/// First they are noted, so that no older set of a process that is cut off comes after it. Then the side
/// records, so that no load that is under way brings an old value back, then the values.
async fn clear(
    mut connection: MultiplexedConnection,
    wire: &Wire,
    scopes: &Scopes<Stamp>,
    live: bool,
    timeout: std::time::Duration,
) -> Result<u64> {
    let mut swept = Swept::default();
    let mut note = Pipeline::new();
    for (scope, &stamp) in scopes.iter() {
        note.add_command(wire.note_clear(scope, stamp));
    }
    let mut others = None;
    for noted in run(&mut connection, &wire.gates, &note, timeout, server_time).await? {
        match noted {
            Err(error) if failure::means_unavailable(&error) => return Err(error),
            // A server without room refuses it as it refuses tombstones; what is removed counts for more.
            Err(error) if error.kind == ErrorKind::Full => {}
            Err(error) => swept.refused = Some(error),
            Ok(now) => {
                swept.touched = true;
                others = live.then(|| now.saturating_add(CLOCK_ERROR));
            }
        }
    }
    let report = |touched, error| if touched { failure::maybe_applied(error) } else { error };
    for search in searches(scopes, wire) {
        let done = sweep(&mut connection, wire, scopes, &search, others, timeout, &mut swept).await;
        done.map_err(|error| report(swept.touched, error))?;
    }
    if wire.announces.load(Ordering::Acquire) {
        let mut word = Pipeline::new();
        word.add_command(wire.announcement(None));
        ask(&mut connection, &wire.gates, &word, 1, timeout).await?;
    }
    match swept.refused {
        None => Ok(swept.removed),
        Some(error) => Err(report(swept.touched, error)),
    }
}

/// The patterns by which the server is searched: that of the one scope, or of all families of several.
fn searches(scopes: &Scopes<Stamp>, wire: &Wire) -> Vec<Vec<u8>> {
    if let (1, Some((scope, _))) = (scopes.len(), scopes.iter().next()) {
        return scope.searches(&wire.keys).into();
    }
    let mut heads: Vec<&Bytes> = scopes.iter().map(|(scope, _)| scope.head()).collect();
    heads.sort_unstable();
    heads.dedup_by(|longer, head| longer.starts_with(head));
    let all = heads.into_iter().map(|head| Scope::Prefix(head.clone()).searches(&wire.keys));
    // The side records first, of all.
    let (sides, values): (Vec<_>, Vec<_>) = all.map(|[sides, values]| (sides, values)).unzip();
    sides.into_iter().chain(values).collect()
}

/// What became of the keys of a family.
#[derive(Default)]
struct Swept {
    removed: u64,
    /// Something may have changed.
    touched: bool,
    /// One key that can't be removed keeps none of the others.
    refused: Option<Error>,
}

async fn sweep(
    connection: &mut MultiplexedConnection,
    wire: &Wire,
    scopes: &Scopes<Stamp>,
    pattern: &[u8],
    others: Option<u64>,
    timeout: std::time::Duration,
    swept: &mut Swept,
) -> Result<()> {
    let mut cursor = b"0".to_vec();
    loop {
        let mut scan = Pipeline::new();
        scan.add_command(wire::command(&[
            b"SCAN",
            &cursor,
            b"MATCH",
            pattern,
            b"COUNT",
            PAGE.as_bytes(),
        ]));
        let replies = ask(connection, &wire.gates, &scan, 1, timeout).await?;
        let (next, keys) = page(replies)?;
        // A side record stands for its value. Which values have tags is looked at below.
        let values = keys.into_iter().filter_map(|key| wire.keys.value_of(key));
        let newest = |key: &Bytes, tagged| scopes.over(key, tagged).map(|(_, stamp)| *stamp).max();
        let covered: Vec<(Bytes, Stamp)> =
            values.filter_map(|key| newest(&key, true).map(|stamp| (key, stamp))).collect();
        // Whatever it is, or only if it has a tag.
        let (mut keys, doubtful): (Vec<_>, Vec<_>) =
            covered.into_iter().partition(|(key, stamp)| newest(key, false) == Some(*stamp));
        let mut pipeline = Pipeline::new();
        if !doubtful.is_empty() {
            // What is being loaded may get a tag; nobody knows yet.
            for (key, _) in &doubtful {
                pipeline.add_command(wire.void_lease(key));
            }
            run(connection, &wire.gates, &pipeline, timeout, wire::settled).await?;
            pipeline = Pipeline::new();
            let has_tags = tagged(connection, wire, &doubtful, timeout).await?;
            for ((key, stamp), has_tags) in doubtful.into_iter().zip(has_tags) {
                let stamp = if has_tags { Some(stamp) } else { newest(&key, false) };
                keys.extend(stamp.map(|stamp| (key, stamp)));
            }
        }
        for (key, stamp) in &keys {
            pipeline.add_command(wire.delete_up_to(key, *stamp, others));
        }
        if !pipeline.is_empty() {
            for outcome in run(connection, &wire.gates, &pipeline, timeout, wire::settled).await? {
                match outcome {
                    Ok(outcome) => {
                        swept.removed += u64::from(outcome == Outcome::Applied);
                        swept.touched = true;
                    }
                    Err(error) if failure::means_unavailable(&error) => return Err(error),
                    Err(error) => swept.refused = Some(error),
                }
            }
        }
        if next == b"0" {
            return Ok(());
        }
        cursor = next;
    }
}

/// Under which of these keys a value with tags stands.
async fn tagged(
    connection: &mut MultiplexedConnection,
    wire: &Wire,
    keys: &[(Bytes, Stamp)],
    timeout: std::time::Duration,
) -> Result<Vec<bool>> {
    let last = (envelope::HEAD - 1).to_string();
    let mut heads = Pipeline::new();
    for (key, _) in keys {
        heads.add_command(wire::command(&[b"GETRANGE", key, b"0", last.as_bytes()]));
    }
    let replies = ask(connection, &wire.gates, &heads, keys.len(), timeout).await?;
    let has_tags = |reply: Resp| match reply {
        Resp::BulkString(head) => envelope::head(&head.into())
            .is_ok_and(|header| header.is_some_and(|header| !header.tags.is_empty())),
        // What has no head, or is of another version.
        _ => false,
    };
    Ok(replies.into_iter().map(has_tags).collect())
}

/// Runs scripts. A server that forgot them gets them again: each compares, so that nothing is done twice.
async fn run<T>(
    connection: &mut MultiplexedConnection,
    gates: &Gates,
    pipeline: &Pipeline,
    timeout: std::time::Duration,
    read: impl Fn(&Resp) -> Result<T>,
) -> Result<Vec<Result<T>>> {
    let mut outcomes: Vec<Result<T>> = Vec::new();
    for _ in 0..2 {
        let replies = ask(connection, gates, pipeline, pipeline.len(), timeout).await?;
        outcomes = replies.iter().map(&read).collect();
        let forgot = |outcome: &Result<T>| outcome.as_ref().is_err_and(failure::forgot_script);
        if !outcomes.iter().any(forgot) {
            break;
        }
        let mut load = Pipeline::new();
        for script in script::ALL {
            load.cmd("SCRIPT").arg("LOAD").arg(script.text);
        }
        ask(connection, gates, &load, script::ALL.len(), timeout).await?;
    }
    Ok(outcomes)
}

/// What the server's clock says, as the note of a clear tells.
fn server_time(reply: &Resp) -> Result<u64> {
    match reply {
        Resp::Int(micros) => Ok(micros.unsigned_abs()),
        Resp::ServerError(error) => Err(failure::from_server(error)),
        _ => Err(wire::unexpected()),
    }
}

async fn ask(
    connection: &mut MultiplexedConnection,
    gates: &Gates,
    pipeline: &Pipeline,
    count: usize,
    timeout: std::time::Duration,
) -> Result<Vec<Resp>> {
    let asked = async {
        gates.pass(Place::Removal).await?;
        connection.send_packed_commands(pipeline, 0, count).await
    };
    match tokio::time::timeout(timeout, asked).await {
        Ok(Ok(values)) => Ok(values),
        Ok(Err(error)) => Err(failure::from_redis(&error)),
        Err(_) => Err(crate::base::error::Error::unavailable("it does not answer in time")),
    }
}

fn page(mut replies: Vec<Resp>) -> Result<(Vec<u8>, Vec<Bytes>)> {
    let parts = match replies.pop() {
        Some(Resp::Array(parts)) => parts,
        Some(Resp::ServerError(error)) => return Err(failure::from_server(&error)),
        _ => return Err(wire::unexpected()),
    };
    let Ok([Resp::BulkString(next), Resp::Array(keys)]) = <[Resp; 2]>::try_from(parts) else {
        return Err(wire::unexpected());
    };
    let keys = keys.into_iter().filter_map(|key| match key {
        Resp::BulkString(bytes) => Some(Bytes::from(bytes)),
        _ => None,
    });
    Ok((next, keys.collect()))
}

impl Replayer {
    /// What was cleared lately, each with the microseconds of its last clear.
    pub async fn clears(&mut self) -> Result<Vec<(Scope, u64)>> {
        let mut question = Pipeline::new();
        question.add_command(self.wire.ask_clears());
        let timeout = self.wire.config.command_timeout;
        let replies = ask(&mut self.connection, &self.wire.gates, &question, 1, timeout).await?;
        match replies.into_iter().next().map_or_else(|| Err(wire::unexpected()), wire::clears) {
            // Where it can't be asked, tombstones are all there is.
            Err(error) if !failure::means_unavailable(&error) => Ok(Vec::new()),
            clears => clears,
        }
    }

    /// Replays deletes and what is like them; answers each one's outcome, in order. `certain` says of each
    /// whether nothing that it depends on may be forgotten.
    pub async fn deletes(
        &mut self,
        intents: &[Intent],
        certain: &(dyn Fn(&Intent) -> bool + Sync),
    ) -> Result<Vec<Outcome>> {
        let mut pipeline = Pipeline::new();
        let mut counts = Vec::with_capacity(intents.len());
        for intent in intents {
            counts.push(self.wire.encode_intent(intent, 0, certain(intent), &mut pipeline));
        }
        // Behind all of them, since their replies are counted.
        for intent in intents {
            self.wire.announce(intent.changes(), &mut pipeline);
        }
        let timeout = self.wire.config.command_timeout;
        let (connection, gates) = (&mut self.connection, &self.wire.gates);
        let outcomes = run(connection, gates, &pipeline, timeout, wire::settled).await?;
        let mut outcomes = outcomes.into_iter();
        let mut last = |count| {
            settled(outcomes.by_ref().take(count).last().unwrap_or(Err(wire::unexpected())))
        };
        counts.into_iter().map(&mut last).collect()
    }

    /// Removes what is in the scopes and not newer than their stamps.
    pub async fn clear(&mut self, scopes: &Scopes<Stamp>) -> Result<Outcome> {
        let timeout = self.wire.config.command_timeout;
        let cleared = clear(self.connection.clone(), &self.wire, scopes, false, timeout).await;
        settled(cleared.map(|_| Outcome::Applied))
    }
}

/// What the server refuses for good is a conflict: trying again would end the same way, and everything
/// else would wait behind it.
fn settled(outcome: Result<Outcome>) -> Result<Outcome> {
    match outcome {
        Err(error) if !failure::means_unavailable(&error) => Ok(Outcome::Conflict),
        outcome => outcome,
    }
}

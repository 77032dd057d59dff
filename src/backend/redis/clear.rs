//! Removing a whole family: SCAN and, per key, a tombstone and an UNLINK. Never KEYS, never FLUSH.
use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value as Resp};

use super::gates::{Gates, Place};
use super::hub::{Hub, SideJob};
use super::wire::Wire;
use super::{Replayer, failure, script, wire};
use crate::backend::intent::{Intent, Outcome};
use crate::backend::{Call, Operation, Reply};
use crate::base::error::{Applied, Error, ErrorKind, Result};
use crate::base::keys::scan_pattern;
use crate::base::stamp::Stamp;

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
        let Operation::Clear { prefix, stamp } = &call.operation else { return };
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
        let (prefix, stamp, keeper) = (prefix.clone(), *stamp, self.shared.keeper());
        let timeout = self.shared.config.command_timeout;
        let mut outage = self.outage.subscribe();
        self.side_jobs.push(Box::pin(async move {
            let cleared = tokio::select! {
                cleared = clear(connection, &wire, &prefix, stamp, timeout) => cleared,
                _ = outage.changed() => Err(Error::unavailable("it went away")),
            };
            match (cleared, keeper) {
                (Ok(removed), _) => call.settler.settle(Ok(Reply::Count(removed))),
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

/// Removes what begins with the prefix and is not newer than the stamp; answers how many went.
///
/// First it is noted, so that no older set of a process that is cut off comes after it. Then the side
/// records, so that no load that is under way brings an old value back, then the values.
async fn clear(
    mut connection: MultiplexedConnection,
    wire: &Wire,
    prefix: &Bytes,
    stamp: Stamp,
    timeout: std::time::Duration,
) -> Result<u64> {
    let side = wire.keys.side(prefix);
    let side = &side[..side.len() - 1];
    let mut swept = Swept::default();
    let mut note = Pipeline::new();
    note.add_command(wire.note_clear(prefix, stamp));
    match run(&mut connection, &wire.gates, &note, timeout).await?.pop() {
        Some(Err(error)) if failure::means_unavailable(&error) => return Err(error),
        // A server without room refuses it as it refuses tombstones; what is removed counts for more.
        Some(Err(error)) if error.kind == ErrorKind::Full => {}
        Some(Err(error)) => swept.refused = Some(error),
        _ => swept.touched = true,
    }
    let report = |touched, error| if touched { failure::maybe_applied(error) } else { error };
    for pattern in [scan_pattern(side), scan_pattern(prefix)] {
        let done = sweep(&mut connection, wire, &pattern, stamp, timeout, &mut swept).await;
        done.map_err(|error| report(swept.touched, error))?;
    }
    match swept.refused {
        None => Ok(swept.removed),
        Some(error) => Err(report(swept.touched, error)),
    }
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
    pattern: &[u8],
    stamp: Stamp,
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
        // A side record stands for its value.
        let mut pipeline = Pipeline::new();
        for key in keys.into_iter().filter_map(|key| wire.keys.value_of(key)) {
            pipeline.add_command(wire.replay_delete(&key, stamp));
        }
        if !pipeline.is_empty() {
            for outcome in run(connection, &wire.gates, &pipeline, timeout).await? {
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

/// Runs scripts. A server that forgot them gets them again: each compares, so that nothing is done twice.
async fn run(
    connection: &mut MultiplexedConnection,
    gates: &Gates,
    pipeline: &Pipeline,
    timeout: std::time::Duration,
) -> Result<Vec<Result<Outcome>>> {
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let replies = ask(connection, gates, pipeline, pipeline.len(), timeout).await?;
        outcomes = replies.iter().map(wire::outcome).collect();
        let forgot =
            |outcome: &Result<Outcome>| outcome.as_ref().is_err_and(failure::forgot_script);
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
    /// The families that were cleared lately, each with the microseconds of its last clear.
    pub async fn clears(&mut self) -> Result<Vec<(Bytes, u64)>> {
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

    /// Replays deletes; answers each one's outcome, in order.
    pub async fn deletes(&mut self, intents: &[Intent]) -> Result<Vec<Outcome>> {
        let mut pipeline = Pipeline::new();
        for intent in intents {
            pipeline.add_command(self.wire.replay_delete(&intent.key, intent.stamp));
        }
        let timeout = self.wire.config.command_timeout;
        run(&mut self.connection, &self.wire.gates, &pipeline, timeout)
            .await?
            .into_iter()
            .map(settled)
            .collect()
    }

    /// Removes what begins with the prefix and is not newer than the stamp.
    pub async fn clear(&mut self, prefix: &Bytes, stamp: Stamp) -> Result<Outcome> {
        let timeout = self.wire.config.command_timeout;
        let cleared = clear(self.connection.clone(), &self.wire, prefix, stamp, timeout).await;
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

//! What a read brings, and what it is worth: fresh, stale, or gone.
use bytes::Bytes;
use redis::Value as Resp;

use super::failure;
use super::gathered::{Arrived, Landing};
use super::hub::Hub;
use super::items::{Item, Step};
use super::wire::{self, LeaseAnswer, Read};
use crate::backend::{Call, Loading, Marker, Meta, Operation, Reply, Tags, Verdict};
use crate::base::error::Result;
use crate::base::plant::Plant;
use crate::base::stamp::Stamp;
use crate::codec::envelope::{self, Payload};

/// What unfolds to more bytes is unfolded off the I/O thread.
const OFF_THREAD: usize = 64 * 1024;
/// A value of so many bytes on the wire is read in the slow lane the next time.
const LARGE_READ: usize = 1024 * 1024;

/// What the replies to a read say.
enum Said {
    Missing,
    /// Something is there, and no more than that is known of it.
    Present,
    Value(Read),
    Judged(Read, Verdict),
    /// A load goes on: who has the lease, or for how long.
    Loading(Loading),
}

impl Hub {
    pub fn land_read(
        &self,
        call: Call,
        step: Step,
        seen: u32,
        replies: Vec<Resp>,
        out: &mut Landing,
    ) {
        let mut before = None;
        let said = match (step, &call.operation) {
            (Step::Check(read, markers), _) => self.checked(*read, &markers, &replies),
            (Step::Lease(found), Operation::Load { key, ask }) => {
                let above = found.as_ref().map_or(0, |(read, ..)| read.header.stamp.micros + 1);
                before = found;
                self.leased(key, &ask.tags, above, &replies)
            }
            (_, Operation::Exists { .. }) => present(replies),
            _ => self.found(replies),
        };
        match said {
            Ok(Said::Value(read)) => self.judge(call, seen, read, out),
            Ok(Said::Judged(read, verdict)) => self.judged(call, seen, read, verdict, out),
            Ok(Said::Present) => out.answers.push((call, Ok(Reply::Flag(true)))),
            Ok(Said::Missing) => {
                self.judged(call, seen, Read::default(), Verdict::Gone, out);
            }
            Ok(Said::Loading(loading)) => match before {
                // Of what is gone nothing is handed on; what is loaded anew by force may be fresh.
                Some((read, Verdict::Stale | Verdict::Fresh, seen)) => {
                    let (verdict, loading) = (Verdict::Stale, Some(loading));
                    hand_over(self, Arrived { call, seen, read: *read, verdict, loading }, out);
                }
                _ => out.answers.push((call, Ok(Reply::Loading(loading)))),
            },
            Err(error) => self.refuse(call, seen, error, out),
        }
    }

    fn found(&self, replies: Vec<Resp>) -> Result<Said> {
        match replies.into_iter().next() {
            Some(Resp::BulkString(stored)) => self.shared.wire.read(stored).map(Said::Value),
            Some(Resp::Nil) => Ok(Said::Missing),
            Some(Resp::ServerError(error)) => Err(failure::from_server(&error)),
            _ => Err(wire::unexpected()),
        }
    }

    /// The answer to a load that asked for its lease. `above` is a stamp that it will have to stand above: what
    /// was found may be ahead of the server's clock.
    fn leased(&self, key: &Bytes, tags: &Tags, above: u64, replies: &[Resp]) -> Result<Said> {
        let Some((last, marks)) = replies.split_last() else { return Err(wire::unexpected()) };
        if let Resp::ServerError(error) = last {
            return Err(failure::from_server(error));
        }
        let keeper = self.shared.keeper();
        // What is known here may be more than the server has.
        let mut markers = keeper.as_ref().map(|keeper| keeper.markers(tags).0).unwrap_or_default();
        for reply in marks {
            markers = markers.max(wire::marked(reply)?);
        }
        let wire = &self.shared.wire;
        Ok(match wire::lease_answer(last, markers, wire.stamps.process())? {
            LeaseAnswer::Value(stored) => Said::Value(wire.read(stored)?),
            LeaseAnswer::Held { ms, holder } => {
                let wait_ms = ms.max(1);
                Said::Loading(Loading { wait_ms, holder, ..Loading::default() })
            }
            LeaseAnswer::Taken(mut lease) => {
                lease.start.micros = lease.start.micros.max(above);
                // Own later writes stand above what this load brings.
                wire.stamps.observe(lease.start);
                if let Some(keeper) = &keeper {
                    keeper.lease_given(key, lease.token);
                }
                Said::Loading(Loading { lease: Some(lease), ..Loading::default() })
            }
        })
    }

    /// What the markers say that nobody knew here.
    fn checked(&self, read: Read, asked: &[(Bytes, u32)], replies: &[Resp]) -> Result<Said> {
        let mut learnt = Vec::with_capacity(asked.len());
        for ((key, seen), reply) in asked.iter().zip(replies) {
            learnt.push((key, *seen, wire::marker(reply)?));
        }
        let keeper = self.shared.keeper();
        let known = keeper.as_ref().map(|keeper| keeper.markers(&read.tags).0).unwrap_or_default();
        if let Some(keeper) = &keeper {
            keeper.learn_markers(&learnt);
        }
        let mut all = learnt.iter().map(|(_, _, marker)| *marker);
        let all = all.try_fold(known, |all, marker| marker.map(|marker| all.max(marker)));
        let verdict = match all {
            Some(marker) => marker.verdict(read.header.stamp),
            None if self.shared.config.planted == Some(Plant::MissingMarkerIsFresh) => {
                Verdict::Fresh
            }
            // One is missing: nobody knows what it would have said.
            None => Verdict::Gone,
        };
        let verdict = verdict.max(self.shared.wire.freshness(&read));
        Ok(Said::Judged(read, verdict))
    }

    /// Finds out what a value is worth, by asking for its markers where they are not known.
    fn judge(&self, call: Call, seen: u32, read: Read, out: &mut Landing) {
        let verdict = self.shared.wire.freshness(&read);
        if read.tags.is_empty() {
            return self.judged(call, seen, read, verdict, out);
        }
        let (known, mut unknown) = self
            .shared
            .keeper()
            .map_or_else(|| (Marker::default(), Vec::new()), |keeper| keeper.markers(&read.tags));
        // Who asks past the copies gets the server's word.
        if !call.reach.near || self.shared.keeper().is_none() {
            let keys = &self.shared.wire.keys;
            unknown = read.tags.iter().map(|tag| keys.marker(tag)).collect();
        }
        let by_tags = known.verdict(read.header.stamp);
        if unknown.is_empty() || by_tags == Verdict::Gone {
            return self.judged(call, seen, read, verdict.max(by_tags), out);
        }
        let markers = unknown.into_iter().map(|key| (key, 0)).collect();
        let step = Step::Check(Box::new(read), markers);
        out.further.push(Item::Call { call, step, seen, replies: 0, announced: false });
    }

    fn judged(&self, call: Call, seen: u32, read: Read, verdict: Verdict, out: &mut Landing) {
        // A copy that is thought fresh is none any more.
        let hides = verdict == Verdict::Stale
            && !matches!(call.operation, Operation::Get { stale: true, .. });
        if let Some(key) = call.operation.key()
            && (hides || verdict == Verdict::Gone)
        {
            let meta = if hides { self.shared.wire.meta(&read) } else { Meta::default() };
            out.missed.push((key.clone(), seen, meta));
        }
        let reply = match (&call.operation, verdict) {
            (Operation::Exists { .. }, _) => Reply::Flag(verdict == Verdict::Fresh),
            (Operation::Load { ask, .. }, _)
                if ask.force
                    || verdict != Verdict::Fresh
                    // What somebody else wrote plainly has no age, and no stamp to tell it from what comes.
                    || (ask.refresh && read.header.stamp != Stamp::default()) =>
            {
                // What is not there was not seen.
                let found = (read != Read::default()).then(|| (Box::new(read), verdict, seen));
                let step = Step::Lease(found);
                return out.further.push(Item::Call {
                    call,
                    step,
                    seen: u32::MAX,
                    replies: 0,
                    announced: false,
                });
            }
            (_, Verdict::Gone) | (Operation::Get { stale: false, .. }, Verdict::Stale) => {
                Reply::Nothing
            }
            _ => return hand_over(self, Arrived { call, seen, read, verdict, loading: None }, out),
        };
        out.answers.push((call, Ok(reply)));
    }
}

fn hand_over(hub: &Hub, arrived: Arrived, out: &mut Landing) {
    let payload = &arrived.read.payload;
    if let (Payload::Plain(bytes) | Payload::Zstd(bytes), Some(key)) =
        (payload, arrived.call.operation.key())
        && bytes.len() > LARGE_READ
    {
        out.large.push(key.clone());
    }
    if payload.unfolds_to() > OFF_THREAD {
        out.folded.push(arrived);
        return;
    }
    out.open(arrived, &hub.shared.wire);
}

/// What the head of a value says, and whether there is one.
fn present(replies: Vec<Resp>) -> Result<Said> {
    let mut replies = replies.into_iter();
    match (replies.next(), replies.next()) {
        (Some(Resp::Int(0)), _) => Ok(Said::Missing),
        (Some(Resp::ServerError(error)), _) => Err(failure::from_server(&error)),
        (Some(Resp::Int(_)), Some(Resp::BulkString(head))) => {
            Ok(match envelope::head(&head.into())? {
                Some(header) => Said::Value(Read::of_head(header)?),
                None => Said::Present,
            })
        }
        // Another type has no head.
        (Some(Resp::Int(_)), _) => Ok(Said::Present),
        _ => Err(wire::unexpected()),
    }
}

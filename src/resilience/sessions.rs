//! Sessions while no server answers: what goes on with what is known here, and what waits for the server.
use bytes::Bytes;

use super::local::Local;
use crate::backend::intent::{EndAll, Intent, Wish};
use crate::backend::memory::{Moment, full};
use crate::backend::session::{Ask, Deed, Delta, Outage, Outcome, Session};
use crate::backend::{Answer, Reply};
use crate::base::error::{Applied, Error, Result};
use crate::base::keys::SessionKeys;

impl Local {
    /// Answers what is asked of a session from memory, with its intent in the journal. `sent`: it may have reached the
    /// server.
    pub fn apply_session(
        &mut self,
        key: &Bytes,
        ask: &Ask,
        sent: bool,
        moment: &Moment<'_>,
    ) -> Answer {
        let applied = if sent { Applied::Unknown } else { Applied::No };
        may(ask).map_err(|error| error.applied(applied))?;
        let apply = |local: &mut Self| local.store.sessions.apply(key, ask, moment, true);
        match &ask.deed {
            Deed::Write { delta, .. } => {
                if !self.journal.has_room_for_session(key, delta) {
                    return Err(full().applied(applied));
                }
                let answer = apply(self).map_err(|error| error.applied(applied))?;
                if let Some(session) = done(&answer) {
                    let stamp = delta.stamp().unwrap_or_else(|| moment.stamps.next());
                    let behind = session.version;
                    self.journal.change_session(key, stamp, Delta { behind, ..delta.clone() });
                }
                Ok(degraded(answer))
            }
            Deed::Move { stamp, to, grace_ms } => {
                let new = SessionKeys::renamed(key, to);
                let known = self.store.sessions.peek(key).map(Delta::of).unwrap_or_default();
                if !self.journal.has_room_for_session(&new, &known) {
                    return Err(full().applied(applied));
                }
                let answer = apply(self).map_err(|error| error.applied(applied))?;
                if let Some(session) = done(&answer) {
                    let delta = Delta { lead_ms: *grace_ms, ..Delta::of(session) };
                    self.journal.move_session(key, &new, *stamp, delta);
                }
                Ok(degraded(answer))
            }
            Deed::End { stamp, absolute_ms } => {
                let answer = apply(self);
                let (key, stamp, wish) = (key.clone(), *stamp, Wish::End(*absolute_ms));
                self.journal.end_session(Intent { key, stamp, wish });
                answer.map(degraded)
            }
            Deed::EndAll { stamp, keep, absolute_ms } => {
                let answer = apply(self);
                let (absolute_ms, keep) = (*absolute_ms, keep.clone());
                let keep_of = keep.clone();
                let wish = Wish::EndAll(EndAll { absolute_ms, keep, others: None });
                // What others have made until now may say that it was born so much later.
                let stamp = moment.invalidation(*stamp);
                self.journal.end_session(Intent { key: key.clone(), stamp, wish });
                // The one that stays is made anew where the server has lost it; what ended it counts for more.
                let kept = keep_of.and_then(|tail| SessionKeys::beside(key, &tail));
                if let Some(kept) = kept
                    && let Some(session) = self.store.sessions.peek(&kept)
                {
                    let delta = Delta::of(session);
                    self.journal.change_session(&kept, stamp, delta);
                }
                answer
            }
            Deed::Read => apply(self).map(degraded),
            Deed::List { .. } | Deed::Count | Deed::Sweep { .. } => apply(self),
        }
    }

    /// Copies know what ended them, whoever brought that.
    pub fn heed_end(&mut self, intent: &Intent, moment: &Moment<'_>) {
        match &intent.wish {
            Wish::End(_) => self.store.sessions.forget(&intent.key),
            Wish::EndAll(end) => {
                self.store.sessions.heed(&intent.key, intent.stamp, end, moment);
            }
            _ => {}
        }
    }
}

/// The session, where what was asked is done.
fn done(answer: &Reply) -> Option<&Session> {
    match answer {
        Reply::Session(told) => match &told.outcome {
            Outcome::Done(session) => Some(session),
            _ => None,
        },
        _ => None,
    }
}

/// Whether this goes without a server.
fn may(ask: &Ask) -> Result<()> {
    let ends = matches!(ask.deed, Deed::End { .. } | Deed::EndAll { .. });
    let begins = match &ask.deed {
        Deed::Write { delta: Delta { head: Some(head), .. }, .. } => !head.user.is_empty(),
        _ => false,
    };
    let text = match ask.outage {
        // Who logs out is logged out, whatever else goes.
        _ if ends => return Ok(()),
        Outage::Fail => "sessions need a server",
        Outage::ReadOnly if matches!(ask.deed, Deed::Write { .. } | Deed::Move { .. }) => {
            "sessions are only read without a server"
        }
        Outage::Local if begins && !ask.logins => "nobody logs in without a server",
        Outage::ReadOnly | Outage::Local => return Ok(()),
    };
    Err(Error::unavailable(text))
}

fn degraded(reply: Reply) -> Reply {
    match reply {
        Reply::Session(mut told) => {
            told.degraded = true;
            Reply::Session(told)
        }
        reply => reply,
    }
}

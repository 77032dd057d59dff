//! Sessions while no server answers: what goes on with what is known here, and what waits for the server.
use bytes::Bytes;

use super::local::Local;
use crate::backend::intent::{EndAll, Intent, Wish};
use crate::backend::memory::{Moment, full};
use crate::backend::session::{Ask, Deed, Delta, Outage, Outcome};
use crate::backend::{Answer, Reply};
use crate::base::error::{Error, Result};

impl Local {
    /// Answers what is asked of a session from memory, with its intent in the journal.
    pub fn apply_session(&mut self, key: &Bytes, ask: &Ask, moment: &Moment<'_>) -> Answer {
        may(ask)?;
        match &ask.deed {
            Deed::Write { delta, .. } => {
                if !self.journal.has_room_for_session(key, delta) {
                    return Err(full());
                }
                let answer = self.store.sessions.apply(key, ask, moment, true);
                if let Ok(Reply::Session(told)) = &answer
                    && let Outcome::Done(_) = told.outcome
                {
                    let stamp = delta.stamp().unwrap_or_else(|| moment.stamps.next());
                    self.journal.change_session(key, stamp, delta.clone());
                }
                answer.map(degraded)
            }
            Deed::End { stamp, .. } => {
                let answer = self.store.sessions.apply(key, ask, moment, true);
                let (key, stamp) = (key.clone(), *stamp);
                self.journal.end_session(Intent { key, stamp, wish: Wish::End });
                answer.map(degraded)
            }
            Deed::EndAll { stamp, keep, absolute_ms } => {
                let answer = self.store.sessions.apply(key, ask, moment, true);
                let (absolute_ms, keep) = (*absolute_ms, keep.clone());
                let wish = Wish::EndAll(EndAll { absolute_ms, keep, others: None });
                self.journal.end_session(Intent { key: key.clone(), stamp: *stamp, wish });
                answer
            }
            Deed::Read => self.store.sessions.apply(key, ask, moment, true).map(degraded),
            Deed::List { .. } | Deed::Count | Deed::Sweep { .. } => {
                self.store.sessions.apply(key, ask, moment, true)
            }
        }
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
        Outage::ReadOnly if matches!(ask.deed, Deed::Write { .. }) => {
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

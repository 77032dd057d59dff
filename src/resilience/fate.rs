//! What became of the server while intents waited, as far as it decides about keys that are absent.
use crate::backend::redis::Identity;

#[derive(Clone, Debug, Default)]
pub struct Fate {
    last: Option<Identity>,
    /// When this server process was met for the first time, on the boot clock.
    since: u64,
    /// On a server that stayed up: it was emptied since the first intent was taken.
    flushed: bool,
    evicted: bool,
}

impl Fate {
    /// Notes who answers now. What was found out stays true until everything is replayed.
    pub fn meet(&mut self, identity: &Identity, now: u64) {
        let mut known = false;
        if let Some(last) = &self.last {
            // A server that hides its run id is taken for the same one: that is the careful side.
            let same = match (&last.run_id, &identity.run_id) {
                (Some(before), Some(now)) => before == now,
                _ => true,
            };
            known = same;
            let emptied = matches!((&last.life, &identity.life), (Some(a), Some(b)) if a != b);
            let before = if same { last.evicted_keys } else { 0 };
            // Nobody could delete anything on a server that was dead, whatever it holds now.
            self.flushed = same && (self.flushed || emptied);
            self.evicted = (same && self.evicted) || identity.evicted_keys > before;
        }
        if !known {
            self.since = now;
        }
        self.last = Some(identity.clone());
    }

    /// Intents came from a process that knew this server last.
    pub fn inherit(&mut self, server: &Identity, now: u64) {
        if let Some(current) = self.last.replace(server.clone()) {
            self.meet(&current, now);
        }
    }

    /// Everything was replayed: what comes from now on is judged anew.
    pub fn settle(&mut self) {
        self.flushed = false;
        self.evicted = false;
    }

    /// Whether a set of this age may be written where its key is absent: not when somebody may have
    /// deleted it, and the tombstone that would say so may be gone. In microseconds.
    pub fn may_write_absent(&self, age: u64, now: u64, tombstone_ttl: u64) -> bool {
        let told = self.last.as_ref().map_or(u64::MAX, |last| last.up_micros);
        let up = told.max(now.saturating_sub(self.since));
        !(age.min(up) > tombstone_ttl || self.evicted || self.flushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: u64 = 600_000_000;

    fn server(run: &str, life: &str, evicted_keys: u64, up_micros: u64) -> Identity {
        Identity {
            run_id: Some(run.to_owned()),
            life: Some(life.to_owned()),
            evicted_keys,
            up_micros,
            version: String::new(),
        }
    }

    fn after(meetings: &[Identity]) -> Fate {
        let mut fate = Fate::default();
        meetings.iter().for_each(|identity| fate.meet(identity, 0));
        fate
    }

    #[test]
    fn a_server_that_stayed_up_decides_until_its_tombstones_end() {
        let fate = after(&[server("r", "l", 3, TTL), server("r", "l", 3, 9 * TTL)]);
        assert!(fate.may_write_absent(TTL, 0, TTL));
        assert!(!fate.may_write_absent(TTL + 1, 0, TTL));
    }

    #[test]
    fn a_server_that_was_emptied_or_evicted_does_not_decide() {
        let flushed = after(&[server("r", "l", 0, TTL), server("r", "m", 0, TTL)]);
        assert!(!flushed.may_write_absent(1, 0, TTL));
        let evicted = after(&[server("r", "l", 0, TTL), server("r", "l", 1, TTL)]);
        assert!(!evicted.may_write_absent(1, 0, TTL));
        let settled = after(&[server("r", "l", 0, TTL), server("r", "m", 0, TTL)]);
        let mut settled = settled;
        settled.settle();
        assert!(settled.may_write_absent(1, 0, TTL));
    }

    #[test]
    fn a_server_that_died_decides_however_old_the_set_is_unless_it_is_up_again_for_long() {
        let fate = after(&[server("r", "l", 9, TTL), server("s", "m", 0, 1_000)]);
        assert!(fate.may_write_absent(50 * TTL, 0, TTL));
        let long = after(&[server("r", "l", 9, TTL), server("s", "m", 0, 2 * TTL)]);
        assert!(!long.may_write_absent(50 * TTL, 0, TTL));
        let evicting = after(&[server("r", "l", 9, TTL), server("s", "m", 1, 1_000)]);
        assert!(!evicting.may_write_absent(1, 0, TTL));
    }
}

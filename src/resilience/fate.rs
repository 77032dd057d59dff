//! What became of the server while intents waited, as far as it decides about keys that are absent.
use crate::backend::redis::Identity;

/// So long may pass between two looks at a server of which the first and the last found nobody there.
const GAP: u64 = 60_000_000;

#[derive(Clone, Debug, Default)]
pub struct Fate {
    last: Option<Identity>,
    /// When it was known last whether the server serves anybody, on the boot clock.
    known_at: u64,
    /// For how long it may have served others without us, since the first intent was taken.
    unwatched: u64,
    /// On a server that stayed up: it was emptied since then.
    flushed: bool,
    evicted: bool,
    /// What is owed was taken by a process that is gone.
    inherited: bool,
}

impl Fate {
    /// Notes who answers now. What was found out stays true until everything is replayed.
    pub fn meet(&mut self, identity: &Identity, now: u64) {
        if self.last.is_some() {
            self.unwatched = self.unwatched.saturating_add(now.saturating_sub(self.known_at));
        }
        self.known_at = now;
        if let Some(last) = &self.last {
            // A server that hides its run id is taken for the same one: that is the careful side.
            let same = match (&last.run_id, &identity.run_id) {
                (Some(before), Some(now)) => before == now,
                _ => true,
            };
            let emptied = matches!((&last.life, &identity.life), (Some(a), Some(b)) if a != b);
            let before = if same { last.evicted_keys } else { 0 };
            // Nobody could delete anything on a server that was dead, whatever it holds now.
            self.flushed = same && (self.flushed || emptied);
            self.evicted = (same && self.evicted) || identity.evicted_keys > before;
            if std::mem::take(&mut self.inherited) {
                // Nobody watched. One that stayed up has served others all the time.
                self.unwatched = if same { u64::MAX } else { 0 };
            }
        }
        // A server without room doesn't say; what it said before still holds.
        let life = identity.life.clone().or_else(|| self.last.take().and_then(|last| last.life));
        self.last = Some(Identity { life, ..identity.clone() });
    }

    /// A dial failed. One that found nobody listening shows that nobody was served meanwhile.
    pub fn miss(&mut self, refused: bool, now: u64) {
        if !refused {
            return;
        }
        let gap = now.saturating_sub(self.known_at);
        if gap > GAP {
            self.unwatched = self.unwatched.saturating_add(gap);
        }
        self.known_at = now;
    }

    /// Intents came from a process that knew this server last.
    pub fn inherit(&mut self, server: &Identity, now: u64) {
        self.inherited = true;
        if let Some(current) = self.last.replace(server.clone()) {
            self.meet(&current, now);
        }
    }

    /// Everything was replayed: what comes from now on is judged anew.
    pub fn settle(&mut self, now: u64) {
        self.flushed = false;
        self.evicted = false;
        self.unwatched = 0;
        self.known_at = now;
    }

    /// Whether a set of this age may be written where its key is absent: not when somebody may have
    /// deleted it, and the tombstone that would say so may be gone. In microseconds.
    pub fn may_write_absent(&self, age: u64, tombstone_ttl: u64) -> bool {
        !(age.min(self.unwatched) > tombstone_ttl || self.evicted || self.flushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: u64 = 600_000_000;

    fn server(run: &str, life: &str, evicted_keys: u64) -> Identity {
        Identity {
            run_id: Some(run.to_owned()),
            life: Some(life.to_owned()),
            evicted_keys,
            version: String::new(),
        }
    }

    /// Met at the beginning, when nothing was owed.
    fn known(identity: &Identity) -> Fate {
        let mut fate = Fate::default();
        fate.meet(identity, 0);
        fate.settle(0);
        fate
    }

    #[test]
    fn a_server_that_stayed_up_decides_until_its_tombstones_end() {
        let mut fate = known(&server("r", "l", 3));
        fate.meet(&server("r", "l", 3), 9 * TTL);
        assert!(fate.may_write_absent(TTL, TTL));
        assert!(!fate.may_write_absent(TTL + 1, TTL));
    }

    #[test]
    fn a_server_that_was_emptied_or_evicted_does_not_decide() {
        let mut flushed = known(&server("r", "l", 0));
        flushed.meet(&server("r", "m", 0), 1);
        assert!(!flushed.may_write_absent(1, TTL));
        flushed.settle(1);
        assert!(flushed.may_write_absent(1, TTL));
        let mut evicted = known(&server("r", "l", 0));
        evicted.meet(&server("r", "l", 1), 1);
        assert!(!evicted.may_write_absent(1, TTL));
    }

    #[test]
    fn a_server_that_was_seen_dead_all_the_time_decides_however_old_the_set_is() {
        let mut fate = known(&server("r", "l", 9));
        for minute in 0..600 {
            fate.miss(true, minute * GAP);
        }
        fate.meet(&server("s", "m", 0), 600 * GAP);
        assert!(fate.may_write_absent(599 * GAP, TTL));
    }

    #[test]
    fn a_server_that_restarted_unseen_may_have_served_others_before() {
        let mut silent = known(&server("r", "l", 0));
        silent.miss(false, TTL);
        silent.meet(&server("s", "l", 0), 3 * TTL);
        assert!(!silent.may_write_absent(2 * TTL, TTL));
        let mut asleep = known(&server("r", "l", 0));
        asleep.miss(true, 1);
        asleep.miss(true, 3 * TTL);
        asleep.meet(&server("s", "l", 0), 3 * TTL);
        assert!(!asleep.may_write_absent(2 * TTL, TTL));
    }

    #[test]
    fn what_was_inherited_is_written_to_a_server_that_died_and_not_to_one_that_stayed_up() {
        for (run, may) in [("r", false), ("s", true)] {
            let mut fate = Fate::default();
            fate.inherit(&server("r", "l", 0), 9 * TTL);
            fate.meet(&server(run, "l", 0), 9 * TTL);
            assert_eq!(fate.may_write_absent(5 * TTL, TTL), may);
        }
    }
}

//! What became of the server while intents waited, as far as it decides about keys that are absent.
//!
//! A set is uncertain when the server may have served others at a moment after the set was acknowledged,
//! and longer ago than a tombstone lives: somebody may have deleted the key then, and nothing says so now.
use crate::backend::redis::Identity;

/// So long may pass between two looks at a server of which both found nobody there.
const GAP: u64 = 10_000_000;
/// More spans than this are taken together: what lies between them counts as well.
const MOST_SPANS: usize = 64;

/// From, and to, on the boot clock.
type Span = (u64, u64);

#[derive(Clone, Debug, Default)]
pub struct Fate {
    last: Option<Identity>,
    /// When it was looked at last, on the boot clock, and whether nobody was there.
    looked_at: u64,
    nobody: bool,
    /// When it may have served others, since the first intent was taken. In order of time.
    served: Vec<Span>,
    /// On a server that stayed up: it was emptied since then.
    flushed: bool,
    evicted: bool,
    /// What is owed was taken by a process that is gone, which knew this server last.
    inherited: Option<Option<Identity>>,
}

impl Fate {
    /// Notes who answers now. What was found out stays true until everything is replayed.
    pub fn meet(&mut self, identity: &Identity, now: u64) {
        self.look(false, now);
        if let Some(former) = self.inherited.take() {
            // Nobody watched. One that stayed up has served others all the time.
            if former.as_ref().is_none_or(|former| is_same(former, identity)) {
                self.served = vec![(0, now)];
            }
            if let Some(former) = former {
                self.compare(&former, identity);
            }
        }
        if let Some(last) = self.last.take() {
            self.compare(&last, identity);
            // A server without room doesn't say; what it said before still holds.
            let life = identity.life.clone().or(last.life);
            self.last = Some(Identity { life, ..identity.clone() });
        } else {
            self.last = Some(identity.clone());
        }
    }

    fn compare(&mut self, before: &Identity, now: &Identity) {
        let same = is_same(before, now);
        let emptied = matches!((&before.life, &now.life), (Some(a), Some(b)) if a != b);
        // Nobody could delete anything on a server that was dead, whatever it holds now.
        self.flushed |= same && emptied;
        // A count that fell was set back, and nobody knows what it would have told.
        self.evicted |=
            if same { now.evicted_keys != before.evicted_keys } else { now.evicted_keys > 0 };
    }

    /// A dial failed. One that found nobody listening shows that nobody is served.
    pub fn miss(&mut self, refused: bool, now: u64) {
        self.look(refused, now);
    }

    fn look(&mut self, nobody: bool, now: u64) {
        let gap = now.saturating_sub(self.looked_at);
        if !(nobody && self.nobody && gap <= GAP) {
            match self.served.last_mut() {
                Some((_, to)) if *to == self.looked_at => *to = now,
                _ => self.served.push((self.looked_at, now)),
            }
            if self.served.len() > MOST_SPANS {
                let (_, to) = self.served.remove(1);
                if let Some((_, end)) = self.served.first_mut() {
                    *end = to;
                }
            }
        }
        self.looked_at = now;
        self.nobody = nobody;
    }

    /// Intents came from processes that are gone: which server they knew last, if they agree on one.
    /// `owed` tells whether intents of our own waited before.
    pub fn inherit(&mut self, server: Option<&Identity>, owed: bool, now: u64) {
        // Where several come one after the other, they too must agree.
        let agreed = |known: &Option<Identity>| {
            known.as_ref().zip(server).is_none_or(|(a, b)| !is_same(a, b))
        };
        let server = server.filter(|_| !self.inherited.as_ref().is_some_and(agreed));
        self.inherited = Some(server.cloned());
        if !owed {
            // The server is taken to have gone with its owners, unless it turns out to be the same.
            self.served.clear();
            (self.looked_at, self.nobody) = (now, true);
        }
        if let Some(current) = self.last.clone() {
            self.meet(&current, now);
        }
    }

    /// Nothing is owed: what comes from now on is judged anew.
    pub fn settle(&mut self, now: u64) {
        self.flushed = false;
        self.evicted = false;
        self.served.clear();
        self.looked_at = now;
        self.nobody = false;
    }

    /// Whether the server may have lost what it knew, although it stayed up.
    pub fn was_emptied(&self) -> bool {
        self.evicted || self.flushed
    }

    /// Whether a set that was acknowledged at this moment may be written where its key is absent, by a
    /// server that answers now. In microseconds.
    pub fn may_write_absent(&self, since: u64, tombstone_ttl: u64, now: u64) -> bool {
        let forgotten = now.saturating_sub(tombstone_ttl);
        let open = (self.looked_at, now);
        let uncertain = self
            .served
            .iter()
            .chain([&open])
            .any(|&(from, to)| from.max(since) < to.min(forgotten));
        !(uncertain || self.was_emptied())
    }
}

/// A server that hides its run id is taken for the same one: that is the careful side.
fn is_same(before: &Identity, now: &Identity) -> bool {
    match (&before.run_id, &now.run_id) {
        (Some(before), Some(now)) => before == now,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000;
    const TTL: u64 = 10 * MINUTE;
    /// A process has lived for a while before.
    const START: u64 = 1_000 * MINUTE;

    fn server(run: &str, life: &str, evicted_keys: u64) -> Identity {
        Identity {
            run_id: Some(run.to_owned()),
            life: Some(life.to_owned()),
            evicted_keys,
            version: String::new(),
        }
    }

    /// Met when nothing was owed.
    fn known(identity: &Identity) -> Fate {
        let mut fate = Fate::default();
        fate.meet(identity, START);
        fate.settle(START);
        fate
    }

    /// Nobody is there, for so long.
    fn dead(fate: &mut Fate, from: u64, to: u64) {
        for at in (from..=to).step_by(750_000) {
            fate.miss(true, at);
        }
        fate.miss(true, to);
    }

    #[test]
    fn a_server_that_stayed_up_decides_until_its_tombstones_end() {
        let now = START + 30 * MINUTE;
        let mut fate = known(&server("r", "l", 3));
        fate.meet(&server("r", "l", 3), now);
        assert!(fate.may_write_absent(now - TTL, TTL, now));
        assert!(!fate.may_write_absent(now - TTL - 1, TTL, now));
    }

    #[test]
    fn a_server_that_was_emptied_or_evicted_does_not_decide() {
        let now = START + 1;
        let mut flushed = known(&server("r", "l", 0));
        flushed.meet(&server("r", "m", 0), now);
        assert!(!flushed.may_write_absent(now, TTL, now));
        flushed.meet(&server("s", "m", 0), now);
        assert!(!flushed.may_write_absent(now, TTL, now), "it is not forgotten");
        flushed.settle(now);
        assert!(flushed.may_write_absent(now, TTL, now));
        let mut evicted = known(&server("r", "l", 0));
        evicted.meet(&server("r", "l", 1), now);
        assert!(!evicted.may_write_absent(now, TTL, now));
    }

    #[test]
    fn a_server_that_was_full_in_between_still_shows_that_it_was_emptied() {
        let mut fate = known(&server("r", "l", 0));
        fate.meet(&Identity { life: None, ..server("r", "", 0) }, START + 1);
        fate.meet(&server("r", "m", 0), START + 2);
        assert!(!fate.may_write_absent(START, TTL, START + 2));
    }

    #[test]
    fn a_server_that_was_seen_dead_decides_however_old_the_set_is() {
        // Acknowledged after it was found dead.
        let (found, now) = (START + 5 * MINUTE, START + 600 * MINUTE);
        let mut fate = known(&server("r", "l", 9));
        dead(&mut fate, found, now);
        fate.meet(&server("s", "m", 0), now);
        assert!(fate.may_write_absent(found, TTL, now));
        // Acknowledged before that, when it was silent: it may have served others meanwhile.
        assert!(!fate.may_write_absent(found - 1, TTL, now));
    }

    #[test]
    fn a_process_that_starts_while_nobody_is_there_keeps_its_sets() {
        let mut fate = Fate::default();
        dead(&mut fate, START, START + 60 * MINUTE);
        fate.meet(&server("s", "m", 0), START + 60 * MINUTE);
        assert!(fate.may_write_absent(START, TTL, START + 60 * MINUTE));
    }

    #[test]
    fn a_moment_in_which_it_lived_unseen_counts_however_short() {
        let now = START + 60 * MINUTE;
        let mut fate = known(&server("r", "l", 0));
        dead(&mut fate, START, START + MINUTE);
        // A laptop sleeps, or an address leads nowhere for a second.
        fate.miss(false, START + MINUTE + 1_000_000);
        dead(&mut fate, START + MINUTE + 2_000_000, now);
        fate.meet(&server("s", "l", 0), now);
        assert!(!fate.may_write_absent(START + 1, TTL, now));
        assert!(fate.may_write_absent(START + 2 * MINUTE, TTL, now));
    }

    #[test]
    fn what_waits_while_the_server_answers_grows_old_too() {
        let mut fate = known(&server("r", "l", 0));
        dead(&mut fate, START, START + MINUTE);
        fate.meet(&server("r", "l", 0), START + MINUTE);
        let asked = START + 2 * MINUTE + TTL;
        assert!(!fate.may_write_absent(START, TTL, asked));
        assert!(fate.may_write_absent(asked - TTL, TTL, asked));
    }

    #[test]
    fn more_spans_than_are_kept_only_make_it_more_careful() {
        let mut fate = known(&server("r", "l", 0));
        for at in 1..1_000 {
            fate.miss(at % 3 == 0, START + at * MINUTE);
        }
        assert!(fate.served.len() <= MOST_SPANS);
        let now = START + 1_000 * MINUTE;
        fate.meet(&server("s", "l", 0), now);
        assert!(!fate.may_write_absent(START, TTL, now));
        assert!(fate.may_write_absent(now - TTL, TTL, now));
    }

    #[test]
    fn what_was_inherited_is_written_to_a_server_that_died_and_not_to_one_that_stayed_up() {
        let former = server("r", "l", 0);
        for (former, run, may) in
            [(Some(&former), "r", false), (Some(&former), "s", true), (None, "s", false)]
        {
            let mut fate = Fate::default();
            fate.inherit(Some(&server("r", "l", 0)), false, START);
            fate.inherit(former, false, START);
            dead(&mut fate, START, START + MINUTE);
            fate.meet(&server(run, "l", 0), START + MINUTE);
            assert_eq!(fate.may_write_absent(START - 2 * TTL, TTL, START + MINUTE), may);
        }
    }
}

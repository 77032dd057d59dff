//! Spin, then park: whether the I/O thread looks out for news a moment longer before it goes to sleep.
//!
//! To wake a sleeping thread takes longer than a server on the same machine takes to answer. So after a
//! send of few calls the reply is awaited awake, and after the last reply the next call is. Whoever waits
//! in vain stays away for longer and longer: a server across a network, a busy machine or a call now and
//! then cost next to nothing. Under load there is always news, and nothing of this is needed.

/// A nearby server answers within this.
const REPLY: u64 = 120;
/// Code that awaits one call after the other makes the next one within this.
const CALL: u64 = 80;
/// With more calls outstanding throughput counts, not the time of one.
const FEW: usize = 32;
/// Cores that sleep deeply answer late at first: so many waits in a row may be in vain.
const TRIES: u32 = 8;
const FIRST_PAUSE: u64 = 1_000;
const LONGEST_PAUSE: u64 = 1_000_000;

/// Times are microseconds of the boot clock.
pub struct Spin {
    reply: Wait,
    call: Wait,
    /// With one processor the thread would keep from running whom it waits for.
    possible: bool,
}

impl Spin {
    pub fn new() -> Self {
        let possible = std::thread::available_parallelism().is_ok_and(|count| count.get() > 1);
        Self { reply: Wait::default(), call: Wait::default(), possible }
    }

    /// So many calls are outstanding, the last of them sent just now.
    pub fn sent(&mut self, outstanding: usize, now: u64) {
        if self.possible && outstanding <= FEW {
            self.reply.begin(now, REPLY);
        }
    }

    /// A reply came; so many calls are still outstanding.
    pub fn landed(&mut self, outstanding: usize, now: u64) {
        self.reply.came();
        if self.possible && outstanding == 0 {
            self.call.begin(now, CALL);
        }
    }

    /// Calls came.
    pub fn called(&mut self) {
        self.call.came();
    }

    /// Whether to look again at once instead of sleeping.
    pub fn goes_on(&mut self, now: u64) -> bool {
        let reply = self.reply.goes_on(now);
        self.call.goes_on(now) || reply
    }
}

/// Waiting awake for one kind of news.
#[derive(Default)]
struct Wait {
    until: Option<u64>,
    in_vain: u32,
    /// Not again before this.
    not_before: u64,
    pause: u64,
}

impl Wait {
    fn begin(&mut self, now: u64, at_most: u64) {
        if now >= self.not_before {
            self.until = Some(now + at_most);
        }
    }

    fn came(&mut self) {
        if self.until.take().is_some() {
            self.in_vain = 0;
            self.pause = 0;
        }
    }

    fn goes_on(&mut self, now: u64) -> bool {
        match self.until {
            Some(until) if now < until => true,
            Some(_) => {
                self.until = None;
                self.in_vain += 1;
                if self.in_vain == TRIES {
                    self.in_vain = 0;
                    self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                    self.not_before = now + self.pause;
                }
                false
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin() -> Spin {
        Spin { reply: Wait::default(), call: Wait::default(), possible: true }
    }

    #[test]
    fn a_reply_that_comes_in_time_is_awaited_again_and_again() {
        let mut spin = spin();
        for round in 0..10 {
            let now = round * 100;
            spin.sent(1, now);
            assert!(spin.goes_on(now + REPLY - 1));
            spin.landed(1, now + REPLY - 1);
            assert!(!spin.goes_on(now + REPLY), "nothing more is awaited");
        }
    }

    #[test]
    fn who_waits_in_vain_stays_away_for_longer_each_time() {
        let mut spin = spin();
        let (mut now, mut spun) = (0, 0);
        while now < 10 * LONGEST_PAUSE {
            spin.sent(1, now);
            if spin.goes_on(now) {
                spun += REPLY;
            }
            assert!(!spin.goes_on(now + REPLY));
            now += 300;
            spin.landed(1, now);
        }
        assert!(spun < now / 500, "a far server cost {spun} of {now} µs");
    }

    #[test]
    fn a_call_now_and_then_is_not_awaited_but_its_reply_is() {
        let mut spin = spin();
        let mut awaited = 0;
        for round in 1..=1000 {
            let now = round * 10_000;
            spin.called();
            spin.sent(1, now);
            assert!(spin.goes_on(now + 1));
            spin.landed(0, now + 40);
            awaited += usize::from(spin.goes_on(now + 41));
            assert!(!spin.goes_on(now + 40 + CALL));
        }
        assert!(awaited < 200, "awaited {awaited} times");
    }

    #[test]
    fn with_many_outstanding_nothing_is_awaited() {
        let mut spin = spin();
        spin.sent(FEW + 1, 0);
        assert!(!spin.goes_on(1));
    }
}

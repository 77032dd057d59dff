//! Stamps: the time order of writes, on the server's clock. See docs/decisions/0004-stamps-and-envelope.md.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use super::clock::Clock;
use super::number::Numbers;

/// When a write entered, in microseconds of the server's clock, with the process as tie-break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp {
    pub micros: u64,
    /// 48 random bits, so that a script's number holds it exactly.
    pub process: u64,
}

/// Below this a stamp counts from this machine's boot (31 years of uptime at most): it was taken
/// before the first contact with a server and is settled by adding the offset learnt then.
const PROVISIONAL: u64 = 1_000_000_000_000_000;

impl Stamp {
    /// Above every other.
    pub const LAST: Self = Self { micros: u64::MAX, process: u64::MAX };

    /// Whether it counts from this machine's boot.
    pub fn is_early(self) -> bool {
        self.micros < PROVISIONAL
    }
}

/// Gives each write its stamp, once, when the call enters.
pub struct Stamps {
    clock: Arc<dyn Clock>,
    process: u64,
    last: AtomicU64,
    /// Server time minus boot time in microseconds; 0 until the first contact.
    offset: AtomicI64,
    /// The first offset that was learnt; it settles what was taken before, so that its order stays.
    first: AtomicI64,
    /// Of what must be done once.
    pub numbers: Arc<Numbers>,
    /// A test's word for the offset is the last.
    pinned: AtomicBool,
    /// A test wants stamps that go back with the clock.
    falls: AtomicBool,
    acts: AtomicU64,
}

impl Stamps {
    pub fn new(clock: Arc<dyn Clock>, process: u64) -> Self {
        let process = process & 0xFFFF_FFFF_FFFF;
        Self {
            clock,
            process,
            last: AtomicU64::new(0),
            offset: AtomicI64::new(0),
            first: AtomicI64::new(0),
            numbers: Arc::default(),
            pinned: AtomicBool::new(false),
            falls: AtomicBool::new(false),
            acts: AtomicU64::new(0),
        }
    }

    /// For tests: what the server's clock is is said here, and never learnt.
    pub fn pin(&self, offset: i64) {
        self.pinned.store(true, Ordering::Relaxed);
        self.first.store(offset, Ordering::Relaxed);
        self.offset.store(offset, Ordering::Relaxed);
    }

    /// For tests: stamps may go back.
    pub fn let_fall(&self) {
        self.falls.store(true, Ordering::Relaxed);
    }

    /// The place of an act of this process among its others, as they are sent; the first is 1.
    pub fn next_act(&self) -> u64 {
        self.acts.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn process(&self) -> u64 {
        self.process
    }

    /// The next stamp: the estimate of the server's clock, above every stamp given or seen before.
    pub fn next(&self) -> Stamp {
        let estimate = self.server_micros();
        if self.falls.load(Ordering::Relaxed) {
            return Stamp { micros: estimate, process: self.process };
        }
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let micros = estimate.max(last + 1);
            match self.last.compare_exchange_weak(
                last,
                micros,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Stamp { micros, process: self.process },
                Err(seen) => last = seen,
            }
        }
    }

    /// Notes a stamp seen in a reply: the next own one stands above it.
    pub fn observe(&self, stamp: Stamp) {
        if stamp.micros > self.last.load(Ordering::Relaxed) {
            self.last.fetch_max(stamp.micros, Ordering::Relaxed);
        }
    }

    /// Notes the server's TIME, read between two readings of the boot clock.
    pub fn learn(&self, server_micros: u64, before: u64, after: u64) {
        if self.pinned.load(Ordering::Relaxed) {
            return;
        }
        let middle = before + after.saturating_sub(before) / 2;
        let offset = i64::try_from(server_micros).unwrap_or(i64::MAX)
            - i64::try_from(middle).unwrap_or(i64::MAX);
        let _ = self.first.compare_exchange(0, offset, Ordering::Relaxed, Ordering::Relaxed);
        self.offset.store(offset, Ordering::Relaxed);
    }

    /// Server time minus boot time, microseconds; 0 before the first contact.
    pub fn offset(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// Takes another's word for the server's clock until the first contact.
    pub fn assume(&self, offset: i64) {
        let _ = self.offset.compare_exchange(0, offset, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The server's clock now, as well as we know it; the boot clock before the first contact.
    pub fn server_micros(&self) -> u64 {
        self.clock.micros().saturating_add_signed(self.offset.load(Ordering::Relaxed))
    }

    /// A stamp as the server may see it: one taken before the first contact is moved by the offset.
    pub fn settle(&self, stamp: Stamp) -> Stamp {
        if !stamp.is_early() {
            return stamp;
        }
        let offset = self.first.load(Ordering::Relaxed);
        Stamp { micros: stamp.micros.saturating_add_signed(offset), ..stamp }
    }

    /// A moment of the boot clock on the server's clock.
    pub fn to_server(&self, boot_micros: u64) -> u64 {
        boot_micros.saturating_add_signed(self.offset.load(Ordering::Relaxed))
    }

    /// A moment of the server's clock on the boot clock.
    pub fn to_boot(&self, server_micros: u64) -> u64 {
        server_micros.saturating_add_signed(-self.offset.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::ManualClock;

    fn stamps(at: u64) -> (Arc<ManualClock>, Stamps) {
        let clock = Arc::new(ManualClock::at(at));
        (clock.clone(), Stamps::new(clock, 7))
    }

    #[test]
    fn each_stamp_stands_above_the_last_even_when_the_clock_stands_still() {
        let (_, stamps) = stamps(10);
        let first = stamps.next();
        assert!(stamps.next() > first);
    }

    #[test]
    fn a_stamp_stands_above_every_stamp_that_was_seen() {
        let (_, stamps) = stamps(10);
        stamps.observe(Stamp { micros: 5_000, process: 1 });
        assert!(stamps.next().micros > 5_000);
    }

    #[test]
    fn a_server_whose_clock_is_behind_does_not_turn_the_order_round() {
        let (_, stamps) = stamps(10);
        stamps.learn(2_000_000_000_000_000, 10, 10);
        let before = stamps.next();
        stamps.learn(1_900_000_000_000_000, 10, 10);
        assert!(stamps.next() > before);
    }

    #[test]
    fn stamps_taken_before_the_first_contact_keep_their_order_and_age() {
        let (clock, stamps) = stamps(1_000);
        let early = stamps.next();
        clock.advance(500);
        let late = stamps.next();
        clock.advance(500);
        stamps.learn(1_700_000_000_000_000, 2_000, 2_000);
        let (early, late) = (stamps.settle(early), stamps.settle(late));
        assert_eq!(late.micros - early.micros, 500);
        assert_eq!(early.micros, 1_700_000_000_000_000 - 1_000);
        assert!(stamps.next() > late);
    }
}

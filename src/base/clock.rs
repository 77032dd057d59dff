//! The one place that reads time. It is a clock that counts from boot and goes on while the machine
//! sleeps, never a wall clock: those jump, and nothing here may be ordered by them.
use std::sync::atomic::{AtomicU64, Ordering};

/// Microseconds since some fixed moment; never goes back, counts through suspend.
pub trait Clock: Send + Sync {
    fn micros(&self) -> u64;
}

/// The machine's boot-time clock.
#[derive(Debug, Default)]
pub struct BootClock;

impl Clock for BootClock {
    #[cfg(unix)]
    fn micros(&self) -> u64 {
        // Linux counts suspended time in BOOTTIME only; elsewhere MONOTONIC does.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let id = rustix::time::ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let id = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(id);
        u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000
            + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000
    }

    #[cfg(not(unix))]
    fn micros(&self) -> u64 {
        use std::sync::LazyLock;
        use std::time::Instant;
        // Windows' performance counter goes on through sleep.
        #[expect(clippy::disallowed_methods, reason = "this is the injected clock itself")]
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        u64::try_from(START.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Microseconds since 1970 by the wall clock. It orders nothing; it only tells how long a machine was off,
/// which no other clock knows.
pub fn wall_micros() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "across a reboot there is no other clock")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// Names this boot of the machine, within which the boot clock goes on; empty where the system doesn't tell.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// A clock that a test moves by hand.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    pub fn at(micros: u64) -> Self {
        Self(AtomicU64::new(micros))
    }

    pub fn advance(&self, micros: u64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn micros(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

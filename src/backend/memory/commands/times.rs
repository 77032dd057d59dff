//! Times as commands give them, in seconds or milliseconds, from now or as a date, onto the boot clock.
use super::Command;
use super::answers::{refused, unsupported};
use super::number::whole;
use crate::base::error::{Error, Result};

/// How a time is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Milliseconds in one unit.
    unit: i64,
    /// A date, counted from 1970, not from now.
    date: bool,
}

pub const EX: Scale = Scale { unit: 1000, date: false };
pub const PX: Scale = Scale { unit: 1, date: false };
pub const EXAT: Scale = Scale { unit: 1000, date: true };
pub const PXAT: Scale = Scale { unit: 1, date: true };

impl Scale {
    /// The scale of this option, in capitals.
    pub fn named(word: &[u8]) -> Option<Self> {
        match word {
            b"EX" => Some(EX),
            b"PX" => Some(PX),
            b"EXAT" => Some(EXAT),
            b"PXAT" => Some(PXAT),
            _ => None,
        }
    }
}

/// Below this the server's clock is the boot clock still: no server was met. As in `base/stamp.rs`.
const FIRST_DATE: u64 = 1_000_000_000_000_000;

impl Command<'_> {
    /// When a lifetime ends; one that has no length is refused.
    pub(super) fn end_of_life(&self, time: &[u8], scale: Scale) -> Result<u64> {
        let time = whole(time)?;
        if time <= 0 {
            return Err(self.bad_time());
        }
        self.boot_time(time, scale)
    }

    /// A time on the boot clock, 0 for any that has passed.
    pub(super) fn boot_time(&self, time: i64, scale: Scale) -> Result<u64> {
        let millis = time.checked_mul(scale.unit).ok_or_else(|| self.bad_time())?;
        let stamps = self.moment.stamps;
        let server = stamps.server_micros();
        let length = u64::try_from(millis).unwrap_or(0).saturating_mul(1000);
        if scale.date {
            if server < FIRST_DATE {
                return Err(unsupported(format!(
                    "{} needs a server's clock, and none was met yet",
                    self.name
                )));
            }
            return Ok(stamps.to_boot(length));
        }
        // The server adds what its clock says, and refuses what is too much for it then.
        let date = i64::try_from(server / 1000).unwrap_or(i64::MAX);
        if millis > i64::MAX - date {
            return Err(self.bad_time());
        }
        Ok(if length == 0 { 0 } else { self.moment.now.saturating_add(length) })
    }

    fn bad_time(&self) -> Error {
        refused(&format!("invalid expire time in '{}' command", self.name.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use crate::backend::memory::commands::bench::Bench;

    #[test]
    fn a_lifetime_without_length_or_beyond_all_bounds_is_refused() {
        let mut bench = Bench::new();
        bench.all(&["SET k v"]);
        for line in [
            "SET k v EX 0",
            "SET k v PX -1",
            "SET k v EX 9223372036854775807",
            "SETEX k 0 v",
            "PSETEX k 9223372036854775807 v",
            "GETEX k EX 0",
            "EXPIRE k 9223372036854775807",
            "PEXPIRE k 9223372036854775807",
        ] {
            let name = line.split(' ').next().unwrap().to_ascii_lowercase();
            let expected = format!("ERR invalid expire time in '{name}' command");
            assert_eq!(bench.ask(line), expected, "{line}");
        }
        assert_eq!(bench.ask("TTL k"), "-1");
    }

    #[test]
    fn a_date_needs_a_server_that_was_met() {
        let mut bench = Bench::new();
        bench.all(&["SET k v"]);
        for line in ["SET k v EXAT 2000000000", "GETEX k PXAT 2000000000000", "EXPIREAT k 1"] {
            assert!(bench.ask(line).ends_with("needs a server's clock, and none was met yet"));
        }
        bench.meet_a_server(1_999_999_990);
        assert_eq!(bench.ask("EXPIREAT k 2000000000"), "1");
        assert_eq!(bench.ask("TTL k"), "10");
        assert_eq!(bench.ask("SET k v PXAT 2000000005000"), "OK");
        assert_eq!(bench.ask("PTTL k"), "15000");
        assert_eq!(bench.ask("PEXPIREAT k 1"), "1");
        assert_eq!(bench.ask("EXISTS k"), "0");
    }
}

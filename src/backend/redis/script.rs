//! The scripts: one file each, loaded when a connection opens, called by their hash.
use std::sync::LazyLock;

use redis::Cmd;
use sha2::Digest;

pub struct Script {
    pub name: &'static str,
    pub text: &'static str,
    sha: LazyLock<String>,
}

macro_rules! script {
    ($constant:ident, $file:literal) => {
        pub static $constant: Script = Script {
            name: $file,
            text: include_str!(concat!("scripts/", $file)),
            sha: LazyLock::new(|| sha1_hex(include_str!(concat!("scripts/", $file)))),
        };
    };
}

script!(LEASE, "lease.lua");
script!(FILL, "fill.lua");
script!(HOLD, "hold.lua");
script!(EXPIRE, "expire.lua");
script!(MARK, "mark.lua");
script!(INVALIDATE, "invalidate.lua");
script!(LIVE_SET, "live_set.lua");
script!(REPLAY_SET, "replay_set.lua");
script!(REPLAY_DELETE, "replay_delete.lua");
script!(CHANGE, "change.lua");
script!(NOTE_CLEAR, "note_clear.lua");
script!(RATE, "rate.lua");
script!(SESSION_WRITE, "session_write.lua");
script!(SESSION_END, "session_end.lua");
script!(SESSION_END_ALL, "session_end_all.lua");
script!(SESSION_MOVE, "session_move.lua");
script!(PUBLISH, "publish.lua");
script!(PRESENCE, "presence.lua");

pub static ALL: [&Script; 18] = [
    &LEASE,
    &FILL,
    &HOLD,
    &EXPIRE,
    &MARK,
    &INVALIDATE,
    &LIVE_SET,
    &REPLAY_SET,
    &REPLAY_DELETE,
    &CHANGE,
    &NOTE_CLEAR,
    &RATE,
    &SESSION_WRITE,
    &SESSION_END,
    &SESSION_END_ALL,
    &SESSION_MOVE,
    &PUBLISH,
    &PRESENCE,
];

impl Script {
    /// A call by hash. Every connection loaded the script; a server that forgot it answers NOSCRIPT,
    /// and the connection is opened anew.
    pub fn call(&self, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(self.sha.as_str()).arg(keys.len());
        for part in keys.iter().chain(args) {
            cmd.arg(*part);
        }
        cmd
    }

    pub fn sha(&self) -> &str {
        &self.sha
    }
}

/// Redis names scripts by SHA-1; nothing here relies on its strength.
fn sha1_hex(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(40);
    for byte in sha1::Sha1::digest(text.as_bytes()) {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_says_what_its_keys_and_arguments_are() {
        for script in ALL {
            for word in ["-- KEYS:", "-- ARGV:", "-- Returns:"] {
                assert!(script.text.contains(word), "{} lacks {word}", script.name);
            }
        }
    }
}

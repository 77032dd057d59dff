// Written by scripts/generate-operations.mjs from src/node/operations.json. Not to be edited.

//! The operations that cross from JS: opcodes, constants and the fields of each, in order.

/// What a field of an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A length among the numbers, and as many UTF-16 units of the text.
    Text,
    /// The number itself.
    Number,
    /// Its length in the text, or `-(i + 1)` for extra `i`.
    Value,
    /// A count, then for each argument its length in the text, or `-(i + 1)` for extra `i`.
    Args,
    /// A count, then as many `Args`.
    ArgsList,
}

/// Each operation with its fields; its place in the list is its opcode.
#[rustfmt::skip]
pub const OPERATIONS: &[(&str, &[Field])] = &[
    ("entryGet", &[Field::Text, Field::Text, Field::Number]),
    ("entrySet", &[Field::Text, Field::Text, Field::Number, Field::Number, Field::Number, Field::Number, Field::Value, Field::Args]),
    ("entryDelete", &[Field::Text, Field::Text, Field::Number]),
    ("entryExpire", &[Field::Text, Field::Text, Field::Number]),
    ("entryExists", &[Field::Text, Field::Text, Field::Number]),
    ("entryLoad", &[Field::Text, Field::Text, Field::Number, Field::Number, Field::Number, Field::Args]),
    ("entryFill", &[Field::Text, Field::Text, Field::Text, Field::Number, Field::Number, Field::Number, Field::Number, Field::Number, Field::Value, Field::Args]),
    ("entryHold", &[Field::Text, Field::Text, Field::Text, Field::Number, Field::Number]),
    ("entryClear", &[Field::Text, Field::Number]),
    ("entryClearPattern", &[Field::Text, Field::Text, Field::Number]),
    ("tagInvalidate", &[Field::Text, Field::Number, Field::Number]),
    ("command", &[Field::Args, Field::Number]),
    ("pipeline", &[Field::ArgsList, Field::Number]),
    ("rate", &[Field::Number, Field::Number, Field::Text, Field::Text, Field::Number, Field::Number, Field::Args]),
    ("session", &[Field::Number, Field::Text, Field::Text, Field::Text, Field::Number, Field::Number, Field::Number, Field::Number, Field::Number, Field::Args]),
    ("sessions", &[Field::Number, Field::Text, Field::Text, Field::Text, Field::Number, Field::Number, Field::Number, Field::Number, Field::Number, Field::Args]),
    ("listen", &[Field::Number, Field::Number, Field::Number, Field::Text]),
    ("publish", &[Field::Number, Field::Number, Field::Number, Field::Number, Field::Number, Field::Number, Field::Text, Field::Value]),
    ("stream", &[Field::Number, Field::Text, Field::Text, Field::Number]),
    ("presence", &[Field::Text, Field::Text, Field::Text, Field::Number]),
    ("verdict", &[]),
    ("reconnect", &[]),
    ("resync", &[]),
];

/// Opcodes.
pub mod opcode {
    /// Reads a managed value.
    pub const ENTRY_GET: u32 = 0;
    /// Writes a managed value.
    pub const ENTRY_SET: u32 = 1;
    /// Removes a managed value and leaves a tombstone.
    pub const ENTRY_DELETE: u32 = 2;
    /// Makes a managed value stale.
    pub const ENTRY_EXPIRE: u32 = 3;
    /// Tells whether a managed value is there.
    pub const ENTRY_EXISTS: u32 = 4;
    /// Reads a managed value, or takes the lease to load it.
    pub const ENTRY_LOAD: u32 = 5;
    /// Writes a loaded value if its lease still stands.
    pub const ENTRY_FILL: u32 = 6;
    /// Keeps a lease for longer, or gives it back.
    pub const ENTRY_HOLD: u32 = 7;
    /// Removes every managed value of a family.
    pub const ENTRY_CLEAR: u32 = 8;
    /// Removes the managed values of a family whose keys match.
    pub const ENTRY_CLEAR_PATTERN: u32 = 9;
    /// Removes what has a tag, or makes it stale.
    pub const TAG_INVALIDATE: u32 = 10;
    /// One raw Redis command.
    pub const COMMAND: u32 = 11;
    /// Raw Redis commands in one go.
    pub const PIPELINE: u32 = 12;
    /// Decides or changes what a key of a limiter is charged.
    pub const RATE: u32 = 13;
    /// Asks something of a session.
    pub const SESSION: u32 = 14;
    /// Asks something of a user's sessions, or of all.
    pub const SESSIONS: u32 = 15;
    /// Listens to a channel or a pattern.
    pub const LISTEN: u32 = 16;
    /// Publishes a message.
    pub const PUBLISH: u32 = 17;
    /// Reads what a channel keeps.
    pub const STREAM: u32 = 18;
    /// Notes who is present in a room, or tells who is.
    pub const PRESENCE: u32 = 19;
    /// Waits until it is known whether Redis answers.
    pub const VERDICT: u32 = 20;
    /// Drops the connections and dials anew.
    pub const RECONNECT: u32 = 21;
    /// Replays the journal now.
    pub const RESYNC: u32 = 22;
}

/// Bits of a `flags` field.
pub mod flag {
    pub const NO_MEMORY: u32 = 1;
    pub const HASH_KEY: u32 = 2;
    pub const NO_COMPRESS: u32 = 4;
    pub const SKIP_L1: u32 = 8;
    pub const UNCOUNTED: u32 = 16;
    pub const STALE: u32 = 32;
    pub const REQUIRE_REDIS: u32 = 64;
    pub const L1_ONLY: u32 = 128;
    pub const FORCE: u32 = 256;
    pub const SHARE: u32 = 512;
    pub const REFRESH: u32 = 1024;
    pub const OWNER: u32 = 65536;
}

/// How a value is written.
pub mod format {
    pub const JSON: u32 = 0;
    pub const TEXT: u32 = 1;
    pub const STRUCTURED: u32 = 2;
    pub const FLOATS: u32 = 3;
    pub const CUSTOM: u32 = 4;
}

/// What a value of a reply is.
pub mod reply {
    pub const NULL: u32 = 0;
    pub const TEXT: u32 = 1;
    pub const INTEGER: u32 = 2;
    pub const DOUBLE: u32 = 3;
    pub const BOOLEAN: u32 = 4;
    pub const ARRAY: u32 = 5;
    pub const MAP: u32 = 6;
    pub const EXTRA: u32 = 7;
    pub const ERROR: u32 = 8;
    pub const ENTRY: u32 = 9;
    pub const EVENT: u32 = 10;
    pub const LOADING: u32 = 11;
    pub const DECISION: u32 = 12;
    pub const SESSION: u32 = 13;
    pub const MESSAGE: u32 = 14;
    pub const MISSED: u32 = 15;
}

/// Who answered.
pub mod source {
    pub const REDIS: u32 = 0;
    pub const MEMORY: u32 = 1;
    pub const NEAR: u32 = 2;
}

/// What is asked of a limiter.
pub mod verb {
    pub const TAKE: u32 = 0;
    pub const SETTLE: u32 = 1;
    pub const RELEASE: u32 = 2;
    pub const RENEW: u32 = 3;
    pub const REFUND: u32 = 4;
    pub const RESET: u32 = 5;
    pub const PEEK: u32 = 6;
}

/// What is asked of sessions.
pub mod deed {
    pub const READ: u32 = 0;
    pub const CREATE: u32 = 1;
    pub const CHANGE: u32 = 2;
    pub const TOUCH: u32 = 3;
    pub const END: u32 = 4;
    pub const MOVE: u32 = 5;
    pub const END_ALL: u32 = 6;
    pub const LIST: u32 = 7;
    pub const SWEEP: u32 = 8;
    pub const COUNT: u32 = 9;
}

/// What sessions may do while no server answers; beside that, whether users may log in then, and whether only what became of one is asked.
pub mod outage {
    pub const LOCAL: u32 = 0;
    pub const READ_ONLY: u32 = 1;
    pub const FAIL: u32 = 2;
    pub const LOGINS: u32 = 4;
    pub const BRIEF: u32 = 8;
}

/// What is listened to.
pub mod kind {
    pub const CHANNEL: u32 = 0;
    pub const PATTERN: u32 = 1;
    pub const SHARD: u32 = 2;
}

/// What became of a session.
pub mod fate {
    pub const DONE: u32 = 0;
    pub const ABSENT: u32 = 1;
    pub const MOVED: u32 = 2;
    pub const CONFLICT: u32 = 3;
}

/// What it came to.
pub mod outcome {
    pub const DONE: u32 = 0;
    pub const REFUSED: u32 = 1;
    pub const KNOWN: u32 = 2;
    pub const UNAVAILABLE: u32 = 3;
}

/// Who decided a limit.
pub mod decider {
    pub const REDIS: u32 = 0;
    pub const LOCAL: u32 = 1;
    pub const DENY_CACHE: u32 = 2;
}

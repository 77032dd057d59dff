// Written by scripts/generate-operations.mjs from src/node/operations.json. Not to be edited.

//! The operations that cross from JS: opcodes, constants and the fields of each, in order.

/// What a field of an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A length among the numbers, and as many UTF-16 units of the text.
    Text,
    /// The number itself.
    Number,
    /// A count, then for each argument its length in the text, or `-(i + 1)` for extra `i`.
    Args,
    /// A count, then as many `Args`.
    ArgsList,
}

/// Each operation with its fields; its place in the list is its opcode.
#[rustfmt::skip]
pub const OPERATIONS: &[(&str, &[Field])] = &[
    ("entryGet", &[Field::Text, Field::Text, Field::Number]),
    ("entrySet", &[Field::Text, Field::Text, Field::Text, Field::Number, Field::Number, Field::Number]),
    ("entryDelete", &[Field::Text, Field::Text, Field::Number]),
    ("entryExists", &[Field::Text, Field::Text, Field::Number]),
    ("entryLoad", &[Field::Text, Field::Text, Field::Number]),
    ("entryFill", &[Field::Text, Field::Text, Field::Text, Field::Text, Field::Number, Field::Number, Field::Number]),
    ("entryClear", &[Field::Text, Field::Number]),
    ("command", &[Field::Args, Field::Number]),
    ("pipeline", &[Field::ArgsList, Field::Number]),
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
    /// Tells whether a managed value is there.
    pub const ENTRY_EXISTS: u32 = 3;
    /// Reads a managed value, or takes the lease to load it.
    pub const ENTRY_LOAD: u32 = 4;
    /// Writes a loaded value if its lease still stands.
    pub const ENTRY_FILL: u32 = 5;
    /// Removes every managed value of a family.
    pub const ENTRY_CLEAR: u32 = 6;
    /// One raw Redis command.
    pub const COMMAND: u32 = 7;
    /// Raw Redis commands in one go.
    pub const PIPELINE: u32 = 8;
    /// Waits until it is known whether Redis answers.
    pub const VERDICT: u32 = 9;
    /// Drops the connections and dials anew.
    pub const RECONNECT: u32 = 10;
    /// Replays the journal now.
    pub const RESYNC: u32 = 11;
}

/// Bits of a `flags` field.
pub mod flag {
    pub const NO_MEMORY: u32 = 1;
    pub const HASH_KEY: u32 = 2;
    pub const NO_COMPRESS: u32 = 4;
    pub const SKIP_L1: u32 = 8;
    pub const UNCOUNTED: u32 = 16;
}

/// How a value is written.
pub mod format {
    pub const JSON: u32 = 0;
    pub const TEXT: u32 = 1;
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
}

/// Who answered.
pub mod source {
    pub const REDIS: u32 = 0;
    pub const MEMORY: u32 = 1;
}

//! What the store says of its room: what had to go, what does not fit, and how much there is.

/// What had to go so that an entry could be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// How many clean entries went; nobody has to know which.
    pub clean: usize,
    /// Each is owed: its intent becomes "delete older than". In the order in which they went.
    pub journalled: Vec<Box<[u8]>>,
}

/// The entry alone exceeds the limit, so nothing was changed: what stood under its key before still
/// stands. A cache that wrote elsewhere removes that key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// What the entry weighs, with its key and overhead.
    pub needed: usize,
    pub limit: usize,
}

/// Sizes now, and counts since the store was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub entries: usize,
    pub bytes: usize,
    /// Dropped for room, clean and journalled.
    pub evicted: u64,
    /// Those of `evicted` behind which an intent stood.
    pub evicted_journalled: u64,
    /// Dropped because their time had come, whoever noticed it.
    pub expired: u64,
}

/// What an owner's entries come to now, and how many were dropped for room since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    pub entries: usize,
    pub bytes: usize,
    pub evicted: u64,
}

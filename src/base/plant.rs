//! Faults that a test plants, to see that the laws would notice them. Nothing outside of a test can set one.

/// A rule that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A live delete leaves no stamp behind.
    NoTombstone,
    /// A replayed set overwrites whatever it finds.
    NoComparison,
    /// A journalled set that expired is forgotten, and what it replaced stays.
    ExpiredIsForgotten,
    /// Stamps follow the clock, also backwards.
    StampsFollowTheClock,
    /// A delete while degraded leaves nothing in the journal.
    DeletesAreForgotten,
    /// An invalidation while degraded leaves nothing in the journal.
    ClearsAreForgotten,
    /// A replayed set lives as long as if it were written now.
    FullLifetime,
    /// A set is written where its key is absent, however old it is.
    AgeIsIgnored,
    /// A value whose marker is missing is fresh.
    MissingMarkerIsFresh,
    /// What a load brings is written whatever came between.
    LeaseIsIgnored,
}

impl Plant {
    /// What the law of an outage notices.
    pub const OF_OUTAGES: [Self; 8] = [
        Self::NoTombstone,
        Self::NoComparison,
        Self::ExpiredIsForgotten,
        Self::StampsFollowTheClock,
        Self::DeletesAreForgotten,
        Self::ClearsAreForgotten,
        Self::FullLifetime,
        Self::AgeIsIgnored,
    ];
    /// What the law of order notices.
    pub const OF_ORDER: [Self; 6] = [
        Self::NoTombstone,
        Self::NoComparison,
        Self::DeletesAreForgotten,
        Self::ClearsAreForgotten,
        Self::MissingMarkerIsFresh,
        Self::LeaseIsIgnored,
    ];
}

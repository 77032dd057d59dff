//! The rules of the protocol, each of which can be broken, and the faults that a world may have.

/// What the protocol does. `ALL` is the product with its defaults; a test breaks one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    /// Connections from before are killed on the server before anything is replayed.
    pub kills_old_connections: bool,
    /// A replay yields to what is newer.
    pub compares: bool,
    /// A delete leaves its stamp.
    pub leaves_tombstones: bool,
    /// A journalled set whose time ran out still removes what is older.
    pub expired_becomes_delete: bool,
    /// A stamp stands above all that were given or seen, whatever the clock says.
    pub stamps_never_fall: bool,
    /// A stamp from before the first contact is moved onto the server's clock.
    pub settles_early_stamps: bool,
    /// The clock behind the estimate goes on while the machine sleeps.
    pub clock_runs_in_sleep: bool,
    /// A set older than the tombstones' life is not written where its key is absent,
    pub drops_what_is_too_old: bool,
    /// also on a server that was restarted unseen: before that it served others.
    pub age_counts_after_a_restart: bool,
    /// What the server did after the set counts however short it was: a tombstone may end while the server
    /// is dead.
    pub counts_every_moment: bool,
    /// Nor one that finds its key absent on a server that was flushed.
    pub drops_after_a_flush: bool,
    /// A key's intent is replayed before the key's next operation.
    pub intent_goes_first: bool,
    /// Live writes compare too (`fencedWrites`); without it bytes of a closed link can undo what another
    /// process wrote since, which is a stated limit.
    pub fences_live_writes: bool,
    /// A write that was sent and not answered goes into the journal.
    pub journals_what_is_in_flight: bool,
    /// A call that waits on a link that broke is settled, not left to wait.
    pub settles_what_is_in_flight: bool,
}

impl Rules {
    pub const ALL: Self = Self {
        kills_old_connections: true,
        compares: true,
        leaves_tombstones: true,
        expired_becomes_delete: true,
        stamps_never_fall: true,
        settles_early_stamps: true,
        clock_runs_in_sleep: true,
        drops_what_is_too_old: true,
        age_counts_after_a_restart: true,
        counts_every_moment: true,
        drops_after_a_flush: true,
        intent_goes_first: true,
        fences_live_writes: false,
        journals_what_is_in_flight: true,
        settles_what_is_in_flight: true,
    };
}

/// What may befall a world. Bytes of a closed link run late or never in every world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A process loses its link, and takes memory from then on.
    Cut,
    /// The server is killed and comes back with all its data,
    Restart,
    /// (which it saves now and then)
    Save,
    /// without what it did since it saved last,
    LoseTail,
    /// or empty.
    LoseAll,
    /// Another server takes over, with the data, and with a clock that is behind.
    Failover,
    /// Somebody empties the server.
    Flush,
    /// The time of a journalled value runs out.
    Expiry,
    /// So much time passes that every tombstone ends.
    TombstonesEnd,
    /// The server dies, and comes back with all its data when every tombstone has ended.
    DeadForLong,
    /// A process sleeps for a while.
    Suspend,
    /// A process starts, and the server is absent.
    StartAbsent,
}

impl Fault {
    pub const ALL: [Self; 12] = [
        Self::Cut,
        Self::Restart,
        Self::Save,
        Self::LoseTail,
        Self::LoseAll,
        Self::Failover,
        Self::Flush,
        Self::Expiry,
        Self::TombstonesEnd,
        Self::DeadForLong,
        Self::Suspend,
        Self::StartAbsent,
    ];
}

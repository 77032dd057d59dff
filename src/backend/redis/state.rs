//! The states of an endpoint and what is told about them.
use crate::base::error::Error;

/// Where an endpoint stands. See DESIGN of the states in docs/fallback.md.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing was asked yet, so nothing was dialled.
    #[default]
    Idle,
    Connecting,
    Online,
    /// A connection fell silent or broke; a fresh one decides.
    Suspect,
    /// Nobody answers: memory does, and dialling goes on.
    Degraded,
    /// The server is back; invalidations and deletes go first, nobody reads from it yet.
    Invalidating,
    /// Operations go to the server again while the rest of the journal is replayed.
    Resyncing,
    /// Memory by request.
    Forced,
    Closed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Online => "online",
            Self::Suspect => "suspect",
            Self::Degraded => "degraded",
            Self::Invalidating | Self::Resyncing => "resyncing",
            Self::Forced => "forced",
            Self::Closed => "closed",
        }
    }

    /// Whether operations go to the server.
    pub fn live(self) -> bool {
        matches!(self, Self::Online | Self::Resyncing)
    }

    /// Whether memory answers at once.
    pub fn on_memory(self) -> bool {
        matches!(self, Self::Degraded | Self::Invalidating | Self::Forced)
    }
}

/// A step from one state to another.
#[derive(Clone, Debug)]
pub struct Change {
    pub from: State,
    pub to: State,
    pub reason: Option<String>,
}

/// What can be seen of the connection from outside.
#[derive(Clone, Debug, Default)]
pub struct ConnectionView {
    pub state: State,
    pub attempts: u64,
    pub last_error: Option<Error>,
    /// On the server's clock, milliseconds.
    pub connected_at: Option<u64>,
    pub reconnected_at: Option<u64>,
    pub connections: usize,
    pub version: Option<String>,
}

//! Where the supervisor waits for something, by name. A test closes one of these places: what waits there
//! fails, takes long, or waits for ever, and nothing else may suffer from it.
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use redis::RedisError;

/// A place where something is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Name look-up and connection.
    Connect,
    /// Handshake, login and the first questions.
    Login,
    /// The probes before a connection is believed.
    Probe,
    /// Who the server is.
    Identity,
    /// What time it has.
    Time,
    /// A pipeline of calls and replays.
    Calls,
    /// A large value.
    Lane,
    /// The pages and removals of a clear, and the replayed deletes.
    Removal,
    /// A command that may hold its connection.
    Blocking,
    /// A sign of life of the connection that tells of changes.
    Near,
}

impl Place {
    pub const ALL: [Self; 10] = [
        Self::Connect,
        Self::Login,
        Self::Probe,
        Self::Identity,
        Self::Time,
        Self::Calls,
        Self::Lane,
        Self::Removal,
        Self::Blocking,
        Self::Near,
    ];
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Open,
    Fails,
    Slow,
    Never,
}

/// All places of one backend; open unless a test says otherwise.
#[derive(Debug, Default)]
pub struct Gates([AtomicU8; Place::ALL.len()]);

impl Gates {
    pub fn set(&self, place: Place, gate: Gate) {
        if let Some(slot) = self.0.get(place as usize) {
            slot.store(gate as u8, Ordering::SeqCst);
        }
    }

    /// Passes at once where nothing is set.
    pub async fn pass(&self, place: Place) -> Result<(), RedisError> {
        let gate = self.0.get(place as usize).map_or(0, |slot| slot.load(Ordering::Relaxed));
        if gate == Gate::Open as u8 {
            return Ok(());
        }
        if gate == Gate::Slow as u8 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            return Ok(());
        }
        if gate == Gate::Never as u8 {
            std::future::pending::<()>().await;
        }
        Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "a closed gate").into())
    }
}

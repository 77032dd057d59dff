//! One connection: its stream with a meter on it, and the task that drives it.
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;

use crate::base::clock::Clock;

/// When bytes last moved, in either direction. A large value on a slow link is not silence.
pub struct Meter {
    clock: Arc<dyn Clock>,
    moved: AtomicU64,
}

impl Meter {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let moved = AtomicU64::new(clock.micros());
        Self { clock, moved }
    }

    pub fn last_moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    fn note(&self, bytes: usize) {
        if bytes > 0 {
            self.moved.store(self.clock.micros(), Ordering::Relaxed);
        }
    }
}

/// A stream that tells its meter about every byte.
pub struct Metered<S> {
    pub stream: S,
    pub meter: Arc<Meter>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.meter.note(buf.filled().len() - before);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = &polled {
            self.meter.note(*written);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What a server says of itself; by it a restarted or emptied one is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Changes when the server process does. `None` when INFO is forbidden.
    pub run_id: Option<String>,
    /// What the life key holds: other than before = the server was emptied. `None` when unknown.
    pub life: Option<String>,
    pub evicted_keys: u64,
    pub version: String,
}

/// A connection that is ready for commands. Dropping it closes it at once, without sending what the system
/// still holds of it: bytes that nobody waits for any more must not run later. Where that can't be had, the
/// server is asked to kill the connection before anything else.
pub struct Link {
    /// Our own number of it.
    pub id: u64,
    pub connection: MultiplexedConnection,
    /// The server's number of it, for `CLIENT KILL`.
    pub client_id: i64,
    pub meter: Arc<Meter>,
    pub identity: Identity,
    pub driver: JoinHandle<()>,
    /// A handle on the socket, for its last moment.
    pub socket: Option<socket2::Socket>,
    /// Whether what was handed over is still to be sent when it ends.
    pub ends_gently: bool,
    /// Calls sent and not answered.
    pub outstanding: usize,
    /// Since when there is one.
    pub busy_since: u64,
}

/// A connection that was given up, as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// The server process that gave the number; another one counts anew.
    run_id: String,
    pub client: i64,
}

impl Former {
    /// Whether the number means the same connection on the server behind this link.
    pub fn is_of(&self, link: &Link) -> bool {
        link.identity.run_id.as_ref() == Some(&self.run_id)
    }
}

impl Link {
    /// What the server may be asked to kill later; nothing where it doesn't say who it is.
    pub fn former(&self) -> Option<Former> {
        let run_id = self.identity.run_id.clone()?;
        Some(Former { run_id, client: self.client_id })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.as_ref().filter(|_| !self.ends_gently) {
            let _ = socket.set_linger(Some(std::time::Duration::ZERO));
        }
        self.driver.abort();
    }
}

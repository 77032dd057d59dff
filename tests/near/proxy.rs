//! Bytes between a process and its server that can be held up: those of the connections on which calls are
//! answered, or of the one that tells of changes.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What the server says waits while it is held.
#[derive(Default)]
struct Held {
    calls: AtomicBool,
    link: AtomicBool,
    /// How many bytes were asked, by calls.
    asked: AtomicUsize,
}

pub struct Proxy {
    held: Arc<Held>,
    port: u16,
}

impl Proxy {
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let held = Arc::new(Held::default());
        let shared = held.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let is_link = Arc::new(AtomicBool::new(false));
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(questions(from_client, to_server, is_link.clone(), shared.clone()));
                tokio::spawn(answers(from_server, to_client, is_link, shared.clone()));
            }
        });
        Self { held, port: own }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How many bytes of calls have reached the server, or wait there.
    pub fn asked(&self) -> usize {
        self.held.asked.load(Ordering::SeqCst)
    }

    /// Holds up the answers to calls, or lets them through.
    pub fn hold_calls(&self, hold: bool) {
        self.held.calls.store(hold, Ordering::SeqCst);
    }

    /// Holds up what is told of changes, or lets it through.
    pub fn hold_link(&self, hold: bool) {
        self.held.link.store(hold, Ordering::SeqCst);
    }
}

async fn questions(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    is_link: Arc<AtomicBool>,
    held: Arc<Held>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let said = &buffer[..length];
        if [&b"TRACKING"[..], b"SUBSCRIBE"]
            .iter()
            .any(|word| said.windows(word.len()).any(|window| window == *word))
        {
            is_link.store(true, Ordering::SeqCst);
        }
        if to.write_all(said).await.is_err() {
            return;
        }
        if !is_link.load(Ordering::SeqCst) {
            held.asked.fetch_add(length, Ordering::SeqCst);
        }
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    is_link: Arc<AtomicBool>,
    held: Arc<Held>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        while match is_link.load(Ordering::SeqCst) {
            true => held.link.load(Ordering::SeqCst),
            false => held.calls.load(Ordering::SeqCst),
        } {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

//! Real servers and a sink to wait on, for tests of the core.
#![allow(dead_code, reason = "each test binary uses its part")]
pub mod laws;
pub mod process;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use holdfast::backend::{Answer, Backend, Call, Early, Operation, Reach, Settler, Sink};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A redis-server on a free port of loopback; ended when dropped.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    pub fn start() -> Self {
        // The port is free when it is asked for; whoever takes it in between makes us ask again.
        for _ in 0..20 {
            if let Some((child, port)) = Self::launch(free_port()) {
                return Self { child, port };
            }
        }
        panic!("no redis-server could be started");
    }

    fn launch(port: u16) -> Option<(Child, u16)> {
        let program = std::env::var("HOLDFAST_REDIS_SERVER").unwrap_or("redis-server".into());
        let mut child = Command::new(&program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} can't be started: {error}"));
        for _ in 0..400 {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            if serving(port) == Some(child.id()) {
                return Some((child, port));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
        None
    }

    /// Killed, and started again with nothing in it.
    pub fn restart_empty(&mut self) {
        self.kill();
        self.start_again();
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// With nothing in it.
    pub fn start_again(&mut self) {
        let (child, _) = Self::launch(self.port).expect("its port is still free");
        self.child = child;
    }

    /// Stops it where it stands, or lets it go on; what it is sent meanwhile waits.
    pub fn halt(&self, halt: bool) {
        let signal = if halt { "-STOP" } else { "-CONT" };
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process id of the server on this port: it may be somebody else's.
fn serving(port: u16) -> Option<u32> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(b"INFO server\r\nQUIT\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.lines().find_map(|line| line.strip_prefix("process_id:"))?.trim().parse().ok()
}

/// One that nobody is given again by this process, below those that the system hands out: a server that is killed
/// finds its port free when it is started again.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(97);
    loop {
        let at = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let port = u16::try_from(10_000 + at).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

struct Channel(UnboundedSender<(u32, Answer)>);

impl Sink for Channel {
    fn put(&self, id: u32, answer: Answer) {
        let _ = self.0.send((id, answer));
    }

    fn wake(&self) {}
}

/// Runs operations on a backend and waits for their answers.
pub struct Caller {
    sink: Arc<Channel>,
    answers: UnboundedReceiver<(u32, Answer)>,
    pub reach: Reach,
}

impl Caller {
    pub fn new() -> Self {
        let (sender, answers) = unbounded_channel();
        Self { sink: Arc::new(Channel(sender)), answers, reach: Reach::default() }
    }

    /// No copy answers it while the server does: what others wrote is seen at once.
    pub fn without_copies() -> Self {
        let reach = Reach { near: false, ..Reach::default() };
        Self { reach, ..Self::new() }
    }

    pub fn settler(&self, id: u32) -> Settler {
        Settler::new(self.sink.clone(), id)
    }

    pub async fn next(&mut self) -> (u32, Answer) {
        tokio::time::timeout(Duration::from_secs(20), self.answers.recv())
            .await
            .expect("a call must never stay unanswered")
            .expect("the sink is held here")
    }

    /// One operation, to its end.
    pub async fn run(&mut self, backend: &dyn Backend, operation: Operation, since: u64) -> Answer {
        match backend.now(operation, self.reach) {
            Early::Answer(answer) => answer,
            Early::Held(answer) => {
                backend.when_safe(vec![(self.settler(0), answer)]);
                self.next().await.1
            }
            Early::Pass(operation) => {
                let call = Call::new(operation, self.settler(0), since, self.reach);
                backend.submit(vec![call]);
                self.next().await.1
            }
        }
    }
}

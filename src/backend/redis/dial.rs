//! Opens one connection: name look-up on every dial, TCP, TLS, login, and the questions by which the
//! server is known. Everything here is bounded by the caller's timeout.
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Pipeline, ProtocolVersion, PushInfo, RedisConnectionInfo, Value as Resp,
};
use tokio::io::BufReader;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;

use super::failure;
use super::gates::{Gates, Place};
use super::link::{Identity, Link, Meter, Metered};
use super::script;
use super::tls;
use crate::base::clock::Clock;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::keys::Keys;
use crate::base::random;
use crate::base::stamp::Stamps;
use crate::config::Endpoint;

const READ_AHEAD: usize = 64 * 1024;

const LARGE_BUFFER: usize = 256 * 1024;

/// What every dial of one endpoint needs.
pub struct Dialer {
    pub endpoint: Endpoint,
    pub keys: Keys,
    pub stamps: Arc<Stamps>,
    pub clock: Arc<dyn Clock>,
    pub timeout: Duration,
    /// Hears the number of a connection that ended.
    pub lost: UnboundedSender<u64>,
    pub gates: Arc<Gates>,
    /// The server that serves, as it calls itself. A name or a balancer may lead to another one by now.
    pub serving: Mutex<Option<String>>,
    /// By which the server's clock is known.
    pub reading: Mutex<Option<Reading>>,
}

/// One look at the server's clock.
#[derive(Debug)]
pub struct Reading {
    run_id: Option<String>,
    /// How wrong it may be: half of its round trip, microseconds.
    error: u64,
    /// On the boot clock.
    at: u64,
}

/// Two clocks drift apart by no more than one part of so many.
const DRIFT: u64 = 5_000;

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// How many pipelines may wait in a connection's own queue.
const QUEUE: usize = 1 << 20;

const NO_SCRIPT: &str = "0000000000000000000000000000000000000000";

/// How the cause of a dial begins that found nobody listening.
const REFUSED: &str = "ECONNREFUSED: ";

/// Whether a dial found a machine on which nobody listens: then nobody is served there either.
pub fn was_refused(error: &Error) -> bool {
    error.cause.as_deref().is_some_and(|cause| cause.starts_with(REFUSED))
}

/// The oldest server with every command that the scripts use.
const OLDEST: (u32, u32) = (7, 0);

impl Dialer {
    /// Opens a connection that is ready for commands.
    pub async fn dial(&self) -> Result<Link> {
        self.dial_with(None, None).await
    }

    /// One beside others, to the same server.
    pub async fn dial_beside(&self) -> Result<Link> {
        self.same(self.dial().await?)
    }

    fn same(&self, link: Link) -> Result<Link> {
        match (&*self.serving.lock(), &link.identity.run_id) {
            (Some(ours), Some(other)) if ours != other => {
                Err(Error::unavailable("another server answers there now"))
            }
            _ => Ok(link),
        }
    }

    /// The same for large values. On a slow link the system takes bytes long before they move, and a
    /// buffer of megabytes would look like silence.
    pub async fn dial_for_large(&self) -> Result<Link> {
        self.same(self.dial_with(Some(LARGE_BUFFER), None).await?)
    }

    /// One on which the server tells things without being asked.
    pub async fn dial_with_pushes(&self, pushes: UnboundedSender<PushInfo>) -> Result<Link> {
        self.same(self.dial_with(None, Some(pushes)).await?)
    }

    async fn dial_with(
        &self,
        buffer: Option<usize>,
        pushes: Option<UnboundedSender<PushInfo>>,
    ) -> Result<Link> {
        match tokio::time::timeout(self.timeout, self.open(buffer, pushes)).await {
            Ok(opened) => opened,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!("Redis at {} did not answer within {:?}", self.place(), self.timeout),
            )),
        }
    }

    pub async fn pass(&self, place: Place) -> Result<()> {
        self.gates.pass(place).await.map_err(|error| failure::from_redis(&error))
    }

    fn place(&self) -> String {
        format!("{}:{}", self.endpoint.host, self.endpoint.port)
    }

    async fn open(
        &self,
        buffer: Option<usize>,
        pushes: Option<UnboundedSender<PushInfo>>,
    ) -> Result<Link> {
        let stream = self.connect().await?;
        let socket = socket2::SockRef::from(&stream).try_clone().ok();
        if let Some(bytes) = buffer {
            // A wish; what the system makes of it is its own affair.
            let _ = socket2::SockRef::from(&stream).set_send_buffer_size(bytes);
        }
        let meter = Arc::new(Meter::new(self.clock.clone()));
        let mut link = match &self.endpoint.tls {
            None => self.login(Metered { stream, meter: meter.clone() }, meter, pushes).await,
            Some(settings) => {
                // The meter sits below TLS: it must see the bytes that really move.
                let metered = Metered { stream, meter: meter.clone() };
                let stream = tls::handshake(settings, &self.endpoint.host, metered).await?;
                self.login(stream, meter, pushes).await
            }
        }?;
        link.socket = socket;
        Ok(link)
    }

    async fn connect(&self) -> Result<TcpStream> {
        let failed = |error: io::Error| {
            let refused =
                if error.kind() == io::ErrorKind::ConnectionRefused { REFUSED } else { "" };
            Error::unavailable(format_args!("{} can't be reached", self.place()))
                .cause(format!("{refused}{error}"))
        };
        self.pass(Place::Connect).await?;
        let addresses: Vec<SocketAddr> =
            tokio::net::lookup_host((self.endpoint.host.as_str(), self.endpoint.port))
                .await
                .map_err(failed)?
                .collect();
        let mut failure = None;
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    tune(&stream).map_err(failed)?;
                    return Ok(stream);
                }
                Err(error) => {
                    // It counts as refused only where nobody listens at any of its addresses.
                    let refused =
                        |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
                    if failure.as_ref().is_none_or(refused) {
                        failure = Some(error);
                    }
                }
            }
        }
        let nowhere = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        Err(failed(failure.unwrap_or_else(nowhere)))
    }

    async fn login<S>(
        &self,
        stream: S,
        meter: Arc<Meter>,
        pushes: Option<UnboundedSender<PushInfo>>,
    ) -> Result<Link>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("holdfast", env!("CARGO_PKG_VERSION"))
            .set_db(i64::from(self.endpoint.db));
        if let Some(username) = &self.endpoint.username {
            info = info.set_username(username);
        }
        if let Some(password) = &self.endpoint.password {
            info = info.set_password(password.expose());
        }
        // Deadlines are ours; see `hub.rs`.
        // Its queue never fills, so what is handed to it first is sent first. What is in flight is
        // bounded before it.
        let mut config =
            AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(QUEUE);
        if let Some(pushes) = pushes {
            config = config.set_push_sender(pushes);
        }
        let (mut connection, driver) = MultiplexedConnection::new_with_config(
            &info,
            // The codec above reads 8 KB at a time, a system call each.
            BufReader::with_capacity(READ_AHEAD, stream),
            config,
        )
        .await
        .map_err(|error| login_error(&error))?;
        let id = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let lost = self.lost.clone();
        let driver = tokio::spawn(async move {
            driver.await;
            let _ = lost.send(id);
        });
        let mut link = Link {
            id,
            connection: connection.clone(),
            client_id: 0,
            meter,
            identity: Identity::default(),
            driver,
            socket: None,
            ends_gently: false,
            outstanding: 0,
            busy_since: 0,
        };
        self.ask(&mut connection, &mut link).await?;
        Ok(link)
    }

    /// Hands the server the scripts, and learns who it is and what time it has.
    async fn ask(&self, connection: &mut MultiplexedConnection, link: &mut Link) -> Result<()> {
        self.pass(Place::Login).await?;
        let mut questions = Pipeline::new();
        questions.cmd("CLIENT").arg("ID");
        for script in script::ALL {
            questions.cmd("SCRIPT").arg("LOAD").arg(script.text);
        }
        // One that nobody loaded: whoever may call scripts is told so.
        questions.cmd("EVALSHA").arg(NO_SCRIPT).arg(0);
        let replies = connection
            .send_packed_commands(&questions, 0, 2 + script::ALL.len())
            .await
            .map_err(|error| failure::from_redis(&error))?;
        let mut replies = replies.into_iter();
        match replies.next() {
            Some(Resp::Int(id)) => link.client_id = id,
            Some(Resp::ServerError(error)) => return Err(failure::from_server(&error)),
            _ => return Err(super::wire::unexpected()),
        }
        let names = script::ALL.iter().map(|script| script.name).chain(["every script"]);
        for (name, reply) in names.zip(replies) {
            if let Resp::ServerError(error) = reply {
                let error = failure::from_server(&error);
                if failure::forgot_script(&error) {
                    continue;
                }
                if failure::means_unavailable(&error) {
                    return Err(error);
                }
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("this server denies scripts (EVAL), which {name} needs"),
                )
                .cause(error.cause.unwrap_or_default()));
            }
        }
        let identity = self.identify(connection).await?;
        check_version(&identity.version)?;
        link.identity = identity;
        self.learn_time(connection, link.identity.run_id.clone()).await
    }

    /// Pairs the server's clock with ours, in a round trip of its own: whatever else it carried would
    /// make the moment less certain. The look that took the shortest time counts, as long as it is not too old.
    pub async fn learn_time(
        &self,
        connection: &mut MultiplexedConnection,
        run_id: Option<String>,
    ) -> Result<()> {
        self.pass(Place::Time).await?;
        let question = redis::cmd("TIME");
        let before = self.clock.micros();
        let answer = connection.send_packed_command(&question).await;
        let after = self.clock.micros();
        match answer.map_err(|error| failure::from_redis(&error))? {
            Resp::ServerError(error) => Err(failure::from_server(&error)),
            time => {
                let micros = time_micros(&time).ok_or_else(super::wire::unexpected)?;
                if self.is_better(micros, before, after, run_id) {
                    self.stamps.learn(micros, before, after);
                }
                Ok(())
            }
        }
    }

    /// Whether this look at the clock is worth more than the one that is known; then it is the known one.
    fn is_better(&self, micros: u64, before: u64, after: u64, run_id: Option<String>) -> bool {
        let error = after.saturating_sub(before) / 2;
        let mut known = self.reading.lock();
        let stays = known.as_ref().is_some_and(|known| {
            let other = known.run_id.is_some() && run_id.is_some() && known.run_id != run_id;
            let aged = known.error + after.saturating_sub(known.at) / DRIFT;
            let apart = self.stamps.to_server(before + error).abs_diff(micros);
            // One that can't be true beside it means that somebody set the server's clock.
            !other && error > aged && apart <= error + aged
        });
        if !stays {
            *known = Some(Reading { run_id, error, at: after });
        }
        !stays
    }

    /// Asks who the server is, and touches its life key.
    pub async fn identify(&self, connection: &mut MultiplexedConnection) -> Result<Identity> {
        self.pass(Place::Identity).await?;
        let mut questions = Pipeline::new();
        questions.cmd("INFO").arg("server").cmd("INFO").arg("stats");
        let fresh = format!("{:x}", random::bits());
        questions.cmd("SET").arg(self.keys.life().as_ref()).arg(&fresh).arg("NX").arg("GET");
        let replies = connection
            .send_packed_commands(&questions, 0, 3)
            .await
            .map_err(|error| failure::from_redis(&error))?;
        let [server, stats, life] = <[Resp; 3]>::try_from(replies).unwrap_or_default();
        let server = text(&server);
        // A server that takes no writes can't serve us, though it answers.
        if let Resp::ServerError(error) = &life {
            let error = failure::from_server(error);
            if failure::means_unavailable(&error) {
                return Err(error);
            }
        }
        Ok(Identity {
            run_id: info_field(&server, "run_id").map(str::to_owned),
            life: match &life {
                Resp::BulkString(_) => Some(text(&life)),
                Resp::Nil => Some(fresh),
                _ => None,
            },
            evicted_keys: info_field(&text(&stats), "evicted_keys")
                .and_then(|number| number.parse().ok())
                .unwrap_or(0),
            version: info_field(&server, "redis_version").unwrap_or_default().to_owned(),
        })
    }
}

fn login_error(error: &redis::RedisError) -> Error {
    match failure::from_redis(error) {
        // HELLO with a wrong password comes back wrapped in the client's own words.
        error if error.cause.as_deref().is_some_and(|cause| cause.contains("WRONGPASS")) => {
            Error::new(ErrorKind::Auth, "Redis refuses this user or password")
        }
        error => error,
    }
}

/// No delay for small packets; and a peer that vanished without a word is noticed in the end even when
/// nothing is asked of it.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    let alive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(15));
    #[cfg(not(target_os = "windows"))]
    let alive = alive.with_interval(Duration::from_secs(5)).with_retries(3);
    socket.set_tcp_keepalive(&alive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(10)))?;
    Ok(())
}

fn time_micros(value: &Resp) -> Option<u64> {
    let Resp::Array(parts) = value else { return None };
    let mut numbers = parts.iter().map(|part| text(part).parse::<u64>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(seconds)), Some(Ok(micros))) => Some(seconds * 1_000_000 + micros),
        _ => None,
    }
}

fn text(value: &Resp) -> String {
    match value {
        Resp::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Resp::SimpleString(text) | Resp::VerbatimString { text, .. } => text.clone(),
        _ => String::new(),
    }
}

fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

fn check_version(version: &str) -> Result<()> {
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    match (parts.next(), parts.next()) {
        (Some(major), minor) if (major, minor.unwrap_or(0)) < OLDEST => Err(Error::new(
            ErrorKind::Unsupported,
            format!("Redis {version} is too old; the oldest supported version is 7.0"),
        )),
        // A server that hides its version is given the benefit of the doubt.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_is_refused_with_its_version() {
        assert!(check_version("6.2.14").unwrap_err().message.contains("6.2.14"));
        for version in ["7.0.15", "7.2", "8.2.1", "9.1.0", ""] {
            assert!(check_version(version).is_ok(), "{version}");
        }
    }

    #[test]
    fn fields_are_found_in_what_info_prints() {
        let info = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n";
        assert_eq!(info_field(info, "run_id"), Some("abc"));
        assert_eq!(info_field(info, "run"), None);
    }
}

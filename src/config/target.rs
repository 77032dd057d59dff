//! Where the values live: a server's address, or this process' memory.
use super::secret::Secret;
use std::fmt;

/// The port of Redis and of Valkey.
pub const DEFAULT_PORT: u16 = 6379;
/// The host that is tried when nobody names one.
pub const DEFAULT_HOST: &str = "localhost";

/// What an instance works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Memory for good: no connection is ever tried.
    Memory,
    /// A server, with memory behind it.
    Redis(Endpoint),
}

/// One server.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address; IPv6 without its brackets.
    pub host: String,
    pub port: u16,
    /// Database number; 0 by default.
    pub db: u32,
    /// ACL user; none means the server's `default`.
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// None means plain TCP.
    pub tls: Option<Tls>,
}

/// How a TLS connection is checked. Checking can't be turned off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file with roots that are trusted besides the usual ones; read when dialling.
    pub ca_file: Option<String>,
    /// The name the certificate must carry; none means the host.
    pub server_name: Option<String>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, db, username, password, tls } = self;
        f.debug_struct("Endpoint")
            .field("host", host)
            .field("port", port)
            .field("db", db)
            .field("username", username)
            .field("password", password)
            .field("tls", tls)
            .finish()
    }
}

//! Server URLs: `redis://user:password@host:port/db` and its relatives.
//!
//! Reasons are fixed texts and [`mask`] is the only way to show a URL: a password with an unescaped
//! `/`, `?` or `#` ends up in any part of what the parser sees, so no part is ever echoed.
use super::duration::whole_number;
use super::secret::Secret;
use super::target::DEFAULT_PORT;
use std::net::Ipv6Addr;

/// What a URL says.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    Memory,
    Server(Server),
}

/// A server as far as its URL describes it; what it lacks, other settings fill.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    pub tls: bool,
    pub host: String,
    pub port: u16,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub db: Option<u32>,
}

const SCHEMES: &str = "a URL that begins with redis://, rediss://, valkey:// or valkeys://, or memory: (unix sockets are not supported)";
const HOST: &str = "a URL with a host name or address, IPv6 in brackets; percent-encode special characters of user and password";
const PORT: &str =
    "a URL with a port from 1 to 65535; percent-encode special characters of user and password";
const DB: &str =
    "a URL whose path is a database number or empty; percent-encode / in user and password";
const QUERY: &str = "a URL without parameters other than db, family and protocol; percent-encode ? and # in user and password";
const ESCAPES: &str = "a URL whose user and password are percent-encoded UTF-8";

/// The largest database number a server can be set up with.
pub const MAX_DB: u32 = 2_147_483_647;

/// Reads a URL. The error says what is allowed.
pub fn parse(text: &str) -> Result<Address, &'static str> {
    if text.eq_ignore_ascii_case("memory:") || text.eq_ignore_ascii_case("memory://") {
        return Ok(Address::Memory);
    }
    let (scheme, rest) = text.split_once("://").ok_or(SCHEMES)?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        _ => return Err(SCHEMES),
    };
    if rest.contains('#') {
        return Err(QUERY);
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (username, password) = user.split_once(':').unwrap_or((user, ""));
    let (host, port) = host_and_port(place)?;
    let db = match (database(path)?, query_database(query)?) {
        (None, db) | (db, None) => db,
        (Some(_), Some(_)) => return Err(DB),
    };
    let password = decoded(password)?.map(Secret::new);
    Ok(Address::Server(Server { tls, host, port, username: decoded(username)?, password, db }))
}

/// A host as it may stand in a setting: a name, an IPv4 address, or IPv6 with or without brackets.
pub fn host(text: &str) -> Option<String> {
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let candidate = bare.unwrap_or(text);
    let address = candidate.split_once('%').map_or(candidate, |(address, _zone)| address);
    if address.parse::<Ipv6Addr>().is_ok() {
        return Some(candidate.to_owned());
    }
    let named = bare.is_none()
        && (1..=253).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    named.then(|| text.to_owned())
}

/// The URL without its credentials. Where it is not plain what is host and what is password,
/// everything behind the scheme is hidden.
pub fn mask(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return "***".to_owned() };
    if scheme.len() > 16 || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
    {
        return "***".to_owned();
    }
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, place) =
        authority.rsplit_once('@').map_or(("", authority), |(_, place)| ("***@", place));
    let (path, query) = tail.split_once('?').map_or((tail, ""), |(path, _)| (path, "?***"));
    let plain = !tail.contains('@')
        && host_and_port(place).is_ok()
        && path.strip_prefix('/').is_none_or(|db| db.is_empty() || database(db).is_ok())
        && !path.starts_with('#');
    if plain { format!("{scheme}://{user}{place}{path}{query}") } else { format!("{scheme}://***") }
}

fn host_and_port(place: &str) -> Result<(String, u16), &'static str> {
    let (name, port) = match place.find(']') {
        Some(end) => match &place[end + 1..] {
            "" => (place, ""),
            rest => (&place[..=end], rest.strip_prefix(':').ok_or(HOST)?),
        },
        None => place.split_once(':').unwrap_or((place, "")),
    };
    let host = host(name).ok_or(HOST)?;
    if port.is_empty() {
        return Ok((host, DEFAULT_PORT));
    }
    let number = whole_number(port).and_then(|port| u16::try_from(port).ok());
    number.filter(|&port| port > 0).map(|port| (host, port)).ok_or(PORT)
}

fn database(text: &str) -> Result<Option<u32>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = whole_number(text).and_then(|db| u32::try_from(db).ok());
    number.filter(|&db| db <= MAX_DB).map(Some).ok_or(DB)
}

/// `db` counts. `family` and `protocol` are other clients' settings and harmless; anything else could
/// be a wish that would go unheard, such as an unchecked certificate.
fn query_database(query: &str) -> Result<Option<u32>, &'static str> {
    let mut db = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("db", text) => db = database(text)?,
            ("family" | "protocol", _) => {}
            _ => return Err(QUERY),
        }
    }
    Ok(db)
}

/// Percent-decodes; an empty text is none. A plus sign is a plus sign.
fn decoded(text: &str) -> Result<Option<String>, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = rest.next().and_then(hex).ok_or(ESCAPES)?;
            let low = rest.next().and_then(hex).ok_or(ESCAPES)?;
            bytes.push(high << 4 | low);
        } else {
            bytes.push(byte);
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| ESCAPES)?;
    Ok((!text.is_empty()).then_some(text))
}

fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

//! The only map from the client's errors to ours.
use redis::{RedisError, ServerErrorKind};

use crate::base::error::{Applied, Error, ErrorKind};

/// An error of a command or a connection.
pub fn from_redis(error: &RedisError) -> Error {
    if error.is_timeout() {
        return Error::new(ErrorKind::Timeout, "Redis did not answer in time").cause(text(error));
    }
    if let Some(code) = error.code() {
        return from_code(code, error.detail().unwrap_or_default());
    }
    if error.kind() == redis::ErrorKind::AuthenticationFailed {
        return Error::new(ErrorKind::Auth, "Redis refuses this user or password");
    }
    if error.kind() == redis::ErrorKind::UnexpectedReturnType {
        return Error::new(ErrorKind::Data, "Redis sent an answer of an unexpected type");
    }
    Error::unavailable("the connection failed").cause(text(error))
}

/// An error that the server sent in place of an answer.
pub fn from_server(error: &redis::ServerError) -> Error {
    if error.kind() == Some(ServerErrorKind::ReadOnly) {
        return Error::unavailable("the server is a read-only replica").cause("READONLY");
    }
    from_code(error.code(), error.details().unwrap_or_default())
}

/// How a script is told that its user may not do something.
const DENIED_IN_SCRIPT: &str = "The user executing the script can't run this command";

fn from_code(code: &str, detail: &str) -> Error {
    if code == "ERR" && detail.starts_with(DENIED_IN_SCRIPT) {
        return Error::new(ErrorKind::Auth, "this Redis user may not do that")
            .cause(format!("NOPERM {detail}"));
    }
    if code == "ERR" && detail.starts_with("max number of clients") {
        return Error::unavailable("the server takes no more connections")
            .cause(format!("ERR {detail}"));
    }
    let error = match code {
        "WRONGTYPE" => Error::new(
            ErrorKind::Data,
            "the key holds a value of another Redis type, which something else wrote",
        ),
        "NOAUTH" | "WRONGPASS" => {
            Error::new(ErrorKind::Auth, "Redis refuses this user or password")
        }
        "NOPERM" => Error::new(ErrorKind::Auth, "this Redis user may not do that"),
        "OOM" => Error::new(ErrorKind::Full, "Redis is out of memory"),
        "LOADING" | "MASTERDOWN" | "READONLY" | "BUSY" | "MISCONF" | "CLUSTERDOWN" | "TRYAGAIN"
        | "NOREPLICAS" => Error::unavailable(format_args!("the server says {code}")),
        "CROSSSLOT" | "NOSCRIPT" | "EXECABORT" => {
            Error::new(ErrorKind::Unsupported, format!("Redis refuses: {code}"))
        }
        // Anything else is Redis' verdict on the command itself.
        _ => Error::new(ErrorKind::Data, format!("Redis answers: {code} {detail}")),
    };
    error.cause(format!("{code} {detail}").trim_end().to_owned())
}

/// Whether the server no longer has a script that every connection gave it.
pub fn forgot_script(error: &Error) -> bool {
    error.cause.as_deref().is_some_and(|cause| cause.starts_with("NOSCRIPT"))
}

/// Whether the server as a whole can't serve us now, so that memory should.
pub fn means_unavailable(error: &Error) -> bool {
    match error.kind {
        ErrorKind::Unavailable | ErrorKind::Timeout => true,
        ErrorKind::Auth => !error.cause.as_deref().unwrap_or_default().starts_with("NOPERM"),
        _ => false,
    }
}

/// The same error for a call that may have been carried out.
pub fn maybe_applied(error: Error) -> Error {
    error.applied(Applied::Unknown)
}

fn text(error: &RedisError) -> String {
    // The client's text holds addresses and reasons, never credentials.
    error.to_string()
}

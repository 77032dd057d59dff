//! The one error of the library. Each kind says what the caller should do; detail stays in the text.
use std::fmt;

/// What a caller should do about an error. Each kind is one public code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// `E_INVALID`: the call is wrong; `path` names the field. Fix the caller.
    Invalid,
    /// `E_UNAVAILABLE`: no server answers and memory can't. Try again later.
    Unavailable,
    /// `E_TIMEOUT`: the deadline passed. Read `applied` before trying again.
    Timeout,
    /// `E_OVERLOADED`: refused at once, nothing was sent. Slow down.
    Overloaded,
    /// `E_FULL`: no room, in Redis or in memory. Free some.
    Full,
    /// `E_CONFLICT`: somebody else was first.
    Conflict,
    /// `E_DATA`: what is stored is not what the call expects.
    Data,
    /// `E_AUTH`: the server refuses this user or password.
    Auth,
    /// `E_UNSUPPORTED`: this server or this mode can't do that.
    Unsupported,
    /// `E_CLOSED`: the instance was closed before the call.
    Closed,
    /// `E_INTERNAL`: a defect of this library. Report it.
    Internal,
}

impl ErrorKind {
    /// The public code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Invalid => "E_INVALID",
            Self::Unavailable => "E_UNAVAILABLE",
            Self::Timeout => "E_TIMEOUT",
            Self::Overloaded => "E_OVERLOADED",
            Self::Full => "E_FULL",
            Self::Conflict => "E_CONFLICT",
            Self::Data => "E_DATA",
            Self::Auth => "E_AUTH",
            Self::Unsupported => "E_UNSUPPORTED",
            Self::Closed => "E_CLOSED",
            Self::Internal => "E_INTERNAL",
        }
    }

    fn retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::Timeout | Self::Overloaded | Self::Conflict)
    }
}

/// Whether a write can have happened although its call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    No,
    Unknown,
}

/// The public error. Carries no secret: whoever builds one masks credentials first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
    /// The operation that failed, in the words of the public API; empty until a manager names it.
    pub operation: &'static str,
    /// The field that is wrong, for `E_INVALID`.
    pub path: Option<String>,
    pub applied: Applied,
    pub cause: Option<String>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.message)
    }
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            operation: "",
            path: None,
            applied: Applied::No,
            cause: None,
        }
    }

    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..Self::new(ErrorKind::Invalid, message) }
    }

    pub fn closed() -> Self {
        Self::new(ErrorKind::Closed, "this instance is closed; open a new one")
    }

    pub fn unavailable(why: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Unavailable, format!("Redis is not available: {why}"))
    }

    pub fn internal(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Internal, format!("a defect in holdfast: {what}"))
    }

    #[must_use]
    pub fn applied(mut self, applied: Applied) -> Self {
        self.applied = applied;
        self
    }

    #[must_use]
    pub fn operation(mut self, operation: &'static str) -> Self {
        self.operation = operation;
        self
    }

    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The record that crosses to JS, where it becomes a `HoldfastError`.
    pub fn to_record(&self) -> serde_json::Value {
        let Self { kind, message, operation, path, applied, cause } = self;
        let mut record = serde_json::json!({
            "code": kind.code(),
            "message": message,
            // What may have happened must not be repeated blindly.
            "retryable": kind.retryable() && *applied == Applied::No,
            "applied": match applied { Applied::No => "no", Applied::Unknown => "unknown" },
            "operation": operation,
        });
        if let Some(path) = path {
            record["path"] = path.clone().into();
        }
        if let Some(cause) = cause {
            record["cause"] = cause.clone().into();
        }
        record
    }
}

pub type Result<T> = std::result::Result<T, Error>;

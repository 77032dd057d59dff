//! One given setting, from the environment or from the options, read as one of a few types.
//!
//! A wrong value becomes `E_INVALID` here and nowhere else, so that every message names the setting,
//! what was given and what is allowed, and none shows a secret.
use super::duration::{self, whole_number};
use super::secret::Secret;
use super::url::{self, mask};
use crate::base::error::Error;
use serde_json::Value;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What was given.
#[derive(Clone, Copy)]
pub enum Given<'a> {
    Nothing,
    /// A variable: always text, numbers and switches included.
    Variable(&'a str),
    /// An option: of its own type.
    Option(&'a Value),
}

/// A setting with its name: the variable, or the path of the option.
pub struct Field<'a> {
    pub path: String,
    pub given: Given<'a>,
}

type Read<T> = Result<Option<T>, Error>;

impl Field<'_> {
    /// A whole number in a range. `unit` ends the message: ` ms`, ` MB` or nothing.
    pub fn integer(&self, range: &RangeInclusive<u64>, unit: &str) -> Read<u64> {
        let number = match self.given {
            Given::Nothing => return Ok(None),
            Given::Variable(text) if text.trim().is_empty() => return Ok(None),
            Given::Variable(text) => whole_number(text.trim()),
            Given::Option(value) => value.as_u64(),
        };
        number.filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
            self.wrong(&format!("a whole number from {} to {}{unit}", range.start(), range.end()))
        })
    }

    pub fn milliseconds(&self, range: &RangeInclusive<u64>) -> Read<Duration> {
        Ok(self.integer(range, " ms")?.map(Duration::from_millis))
    }

    /// A lifetime: whole seconds, or a text such as `90s`, `5m`, `1h`, `7d`.
    pub fn seconds(&self, range: &RangeInclusive<u64>) -> Read<Duration> {
        let duration = match self.given {
            Given::Nothing => return Ok(None),
            Given::Variable(text) if text.trim().is_empty() => return Ok(None),
            Given::Variable(text) => duration::parse(text.trim()),
            Given::Option(Value::String(text)) => duration::parse(text),
            Given::Option(value) => value.as_u64().map(Duration::from_secs),
        };
        duration.filter(|duration| range.contains(&duration.as_secs())).map(Some).ok_or_else(|| {
            self.wrong(&format!(
                "{} to {} seconds, or a text such as '90s', '5m', '1h' or '7d'",
                range.start(),
                range.end()
            ))
        })
    }

    pub fn boolean(&self) -> Read<bool> {
        let text = match self.given {
            Given::Nothing | Given::Option(Value::Null) => return Ok(None),
            Given::Option(Value::Bool(value)) => return Ok(Some(*value)),
            Given::Option(_) => return Err(self.wrong("true or false")),
            Given::Variable(text) => text.trim().to_ascii_lowercase(),
        };
        match text.as_str() {
            "" => Ok(None),
            "true" | "1" | "yes" | "on" => Ok(Some(true)),
            "false" | "0" | "no" | "off" => Ok(Some(false)),
            _ => Err(self.wrong("true, 1, yes, on, false, 0, no or off")),
        }
    }

    /// A text as it stands; an empty one counts as not given.
    pub fn text(&self) -> Read<&str> {
        Ok(self.verbatim()?.filter(|text| !text.is_empty()))
    }

    /// A text as it stands, the empty one included.
    pub fn verbatim(&self) -> Read<&str> {
        match self.given {
            Given::Nothing | Given::Option(Value::Null) => Ok(None),
            Given::Variable(text) => Ok(Some(text)),
            Given::Option(Value::String(text)) => Ok(Some(text)),
            Given::Option(_) => Err(self.wrong("a text")),
        }
    }

    pub fn secret(&self) -> Read<Secret> {
        match self.text() {
            Ok(text) => Ok(text.map(Secret::new)),
            Err(_) => Err(self.refuse("***", "a text")),
        }
    }

    /// One of a few words.
    pub fn word<'w>(&self, words: &[&'w str]) -> Read<&'w str> {
        let Some(text) = self.text()?.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let found = words.iter().find(|word| **word == text);
        found.map(|word| Some(*word)).ok_or_else(|| self.wrong(&words.join(", ")))
    }

    pub fn url(&self) -> Read<url::Address> {
        let Some(text) = self.text()?.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        url::parse(text).map(Some).map_err(|allowed| self.refuse(&mask(text), allowed))
    }

    pub fn host(&self) -> Read<String> {
        let Some(text) = self.text()?.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        url::host(text).map(Some).ok_or_else(|| {
            self.wrong("a host name or address, without scheme, port or credentials")
        })
    }

    /// The error for this value.
    pub fn wrong(&self, allowed: &str) -> Error {
        let shown = match self.given {
            Given::Nothing => "missing".to_owned(),
            Given::Variable(text) => shown(text),
            Given::Option(Value::String(text)) => shown(text),
            Given::Option(Value::Null) => "null (NaN and Infinity arrive as null, too)".to_owned(),
            Given::Option(Value::Array(_)) => "an array".to_owned(),
            Given::Option(Value::Object(_)) => "an object".to_owned(),
            Given::Option(value) => value.to_string(),
        };
        self.refuse(&shown, allowed)
    }

    fn refuse(&self, shown: &str, allowed: &str) -> Error {
        Error::invalid(self.path.clone(), format!("{} is {shown}; allowed: {allowed}", self.path))
    }
}

/// A text for a message: quoted and cut, and hidden when it looks like a URL or holds credentials.
fn shown(text: &str) -> String {
    const LONGEST: usize = 64;
    if text.contains("://") || text.contains('@') {
        return mask(text);
    }
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

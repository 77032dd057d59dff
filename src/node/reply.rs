//! Answers as flat rows of numbers, one text, and extras. `js/bridge.ts` reads them back.
use bytes::Bytes;
use napi::bindgen_prelude::{Buffer, Env, JsValue, Result, ToNapiValue, Unknown, sys};

use super::operations::{decider, fate, outcome, reply as kind, source};
use crate::backend::rate::{Outcome, Source as Decider, Standing};
use crate::backend::session::{Outcome as Ended, Told};
use crate::backend::{Answer, Decision, Found, Loading, Raw, Reply, Source};
use crate::base::error::Error;
use crate::managers::cache::lease_text;
use crate::managers::messages::Heard;

/// Numbers before the first row: used, has extras, wanted, pending.
const HEAD: usize = 4;
/// A longer text crosses on its own: it would be copied once more, and would pin the batch's text.
const OWN_TEXT: usize = 16 * 1024;

/// From so much text on the next row waits for the next answer. What is longer would be a large object for the
/// engine and for the allocator alike: new pages for each answer.
const ENOUGH_TEXT: usize = 96 * 1024;

/// The numbers that an entry takes.
const ENTRY: usize = 13;

/// One thing for JS.
pub enum Row {
    Answer(u32, Answer),
    Event(u32, String),
    /// A message for a subscription of an instance.
    Message(u32, Heard),
    /// A subscription of an instance was told nothing for so long, ms, or so many were too many for it.
    Missed(u32, u32, u64, u64),
}

impl Row {
    /// The numbers it takes, id included.
    pub fn size(&self) -> usize {
        HEAD + 1
            + match self {
                Self::Event(..) | Self::Answer(_, Err(_)) => 2,
                Self::Message(..) => 6,
                Self::Missed(..) => 4,
                Self::Answer(_, Ok(reply)) => match reply {
                    Reply::Entry(_) => ENTRY,
                    Reply::Loading(loading) => 8 + loading.stale.as_ref().map_or(0, |_| ENTRY),
                    Reply::Decision(decision) => 6 + 5 * decision.standings.len(),
                    Reply::Session(_) => 13,
                    Reply::Raw(raw) => raw_size(raw),
                    _ => 2,
                },
            }
    }
}

fn raw_size(raw: &Raw) -> usize {
    2 + match raw {
        Raw::Array(items) => items.iter().map(raw_size).sum(),
        Raw::Map(pairs) => pairs.iter().map(|(key, value)| raw_size(key) + raw_size(value)).sum(),
        _ => 0,
    }
}

/// What crosses beside the text.
pub enum Extra {
    Text(String),
    Bytes(Bytes),
}

impl Extra {
    pub fn into_js<'env>(self, env: &'env Env) -> Result<Unknown<'env>> {
        match self {
            Self::Text(text) => env.create_string(&text).map(|text| text.to_unknown()),
            Self::Bytes(bytes) => Buffer::from(bytes.to_vec()).into_unknown(env),
        }
    }
}

/// One-byte text, made without a second look at its encoding.
pub struct Text(Vec<u8>);

impl Text {
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl napi::bindgen_prelude::TypeName for Text {
    fn type_name() -> &'static str {
        "string"
    }

    fn value_type() -> napi::ValueType {
        napi::ValueType::String
    }
}

impl ToNapiValue for Text {
    unsafe fn to_napi_value(env: sys::napi_env, val: Self) -> Result<sys::napi_value> {
        let mut out = std::ptr::null_mut();
        let length = isize::try_from(val.0.len()).unwrap_or(0);
        // SAFETY: the pointer and the length are those of one live vector; the text is ASCII.
        let status = unsafe {
            sys::napi_create_string_latin1(env, val.0.as_ptr().cast(), length, &raw mut out)
        };
        if status == sys::Status::napi_ok {
            Ok(out)
        } else {
            Err(napi::Error::new(napi::Status::from(status), "the text could not be made"))
        }
    }
}

/// Writes rows into JS' inbox.
pub struct Writer<'a> {
    inbox: &'a mut [f64],
    at: usize,
    text: Vec<u8>,
    extras: Vec<Extra>,
}

impl<'a> Writer<'a> {
    /// `text` is how long the text is expected to be.
    pub fn new(inbox: &'a mut [f64], text: usize) -> Self {
        let text = Vec::with_capacity(text.min(ENOUGH_TEXT + OWN_TEXT));
        Self { inbox, at: HEAD, text, extras: Vec::new() }
    }

    /// Writes a row, or gives it back when there is no room for it.
    pub fn write(&mut self, row: Row) -> std::result::Result<(), Row> {
        if self.at + row.size() - HEAD > self.inbox.len() || self.text.len() >= ENOUGH_TEXT {
            return Err(row);
        }
        match row {
            Row::Event(handle, event) => {
                self.number(f64::from(handle));
                self.extra(kind::EVENT, Extra::Text(event));
            }
            Row::Message(handle, Heard { number, channel, text }) => {
                self.number(f64::from(handle));
                self.pair(kind::MESSAGE, f64::from(number));
                match channel {
                    Some(channel) => self.bytes(channel),
                    None => self.number(f64::from(kind::NULL)),
                }
                self.bytes(text);
            }
            Row::Missed(handle, number, since, count) => {
                self.number(f64::from(handle));
                self.pair(kind::MISSED, f64::from(number));
                self.number(since as f64);
                self.number(count as f64);
            }
            Row::Answer(id, answer) => {
                self.number(f64::from(id));
                match answer {
                    Ok(reply) => self.reply(reply),
                    Err(error) => self.error(&error),
                }
            }
        }
        Ok(())
    }

    pub fn finish(self, wanted: usize, pending: u32) -> (Option<Text>, Vec<Extra>) {
        if let [used, extras, more, out, ..] = self.inbox {
            *used = self.at as f64;
            *extras = f64::from(u8::from(!self.extras.is_empty()));
            *more = wanted as f64;
            *out = f64::from(pending);
        }
        ((!self.text.is_empty()).then_some(Text(self.text)), self.extras)
    }

    fn number(&mut self, number: f64) {
        if let Some(place) = self.inbox.get_mut(self.at) {
            *place = number;
        }
        self.at += 1;
    }

    fn pair(&mut self, kind: u32, number: f64) {
        self.number(f64::from(kind));
        self.number(number);
    }

    fn extra(&mut self, kind: u32, extra: Extra) {
        self.pair(kind, self.extras.len() as f64);
        self.extras.push(extra);
    }

    fn error(&mut self, error: &Error) {
        self.extra(kind::ERROR, Extra::Text(error.to_record().to_string()));
    }

    fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::Nothing => self.number(f64::from(kind::NULL)),
            Reply::Flag(flag) => self.pair(kind::BOOLEAN, f64::from(u8::from(flag))),
            Reply::Count(count) => self.pair(kind::INTEGER, count as f64),
            Reply::Raw(raw) => self.raw(raw),
            Reply::Entry(found) => self.entry(found),
            Reply::Decision(decision) => self.decision(*decision),
            Reply::Session(told) => self.session(*told),
            Reply::Loading(Loading { lease, wait_ms, holder, stale, degraded }) => {
                self.pair(kind::LOADING, wait_ms as f64);
                self.number(f64::from(u8::from(degraded)));
                match lease {
                    Some(lease) => self.bytes(lease_text(lease).into()),
                    None => self.number(f64::from(kind::NULL)),
                }
                self.bytes(format!("{holder:x}").into());
                match stale {
                    Some(found) => self.entry(*found),
                    None => self.number(f64::from(kind::NULL)),
                }
            }
        }
    }

    fn entry(&mut self, found: Found) {
        let Found {
            payload,
            format,
            ttl_ms,
            source,
            fresh_ms,
            age_ms,
            load_ms,
            keep_ms,
            mark,
            tagged,
        } = found;
        self.number(f64::from(kind::ENTRY));
        self.number(f64::from(match source {
            Source::Redis => source::REDIS,
            Source::Near => source::NEAR,
            Source::Memory => source::MEMORY,
        }));
        self.number(f64::from(format));
        self.number(ttl_ms.map_or(-1.0, |ms| ms as f64));
        self.number(fresh_ms.map_or(-1.0, |ms| ms as f64));
        self.number(age_ms as f64);
        self.number(f64::from(load_ms));
        self.number(keep_ms.map_or(-1.0, |ms| ms as f64));
        let (place, mark) = mark.unwrap_or_default();
        self.number(f64::from(place));
        self.number(f64::from(mark));
        self.number(tagged.map_or(-1.0, f64::from));
        self.bytes(payload);
    }

    fn decision(&mut self, decision: Decision) {
        let Decision { outcome, source, id, standings } = decision;
        self.number(f64::from(kind::DECISION));
        self.number(f64::from(match outcome {
            Outcome::Done => outcome::DONE,
            Outcome::Refused => outcome::REFUSED,
            Outcome::Known => outcome::KNOWN,
            Outcome::Unavailable => outcome::UNAVAILABLE,
        }));
        self.number(f64::from(match source {
            Decider::Redis => decider::REDIS,
            Decider::Local => decider::LOCAL,
            Decider::DenyCache => decider::DENY_CACHE,
        }));
        self.number(standings.len() as f64);
        let ms = |micros: f64| (micros / 1000.0).ceil();
        for Standing { limit, remaining, reset, next, retry } in standings {
            for number in [limit, remaining, ms(reset), ms(next), ms(retry)] {
                self.number(number);
            }
        }
        match id {
            0 => self.number(f64::from(kind::NULL)),
            id => self.bytes(format!("{id:016x}").into()),
        }
    }

    fn session(&mut self, told: Told) {
        let Told { outcome, degraded, spare, left_ms, unused_ms, absolute_left_ms, text, .. } =
            told;
        let numbers = outcome.session().map(|session| {
            [session.version, session.idle_ms(), session.created_ms()].map(|number| number as f64)
        });
        let (fate, text) = match outcome {
            Ended::Done(_) | Ended::Used => (fate::DONE, text),
            Ended::Conflict(_) => (fate::CONFLICT, text),
            Ended::Absent => (fate::ABSENT, Bytes::new()),
            Ended::Moved(to) => (fate::MOVED, to),
        };
        self.number(f64::from(kind::SESSION));
        self.number(f64::from(fate));
        self.number(f64::from(u8::from(degraded)));
        for number in [left_ms, unused_ms, absolute_left_ms] {
            self.number(number as f64);
        }
        numbers.unwrap_or_default().into_iter().for_each(|number| self.number(number));
        self.bytes(text);
        self.bytes(spare.join(&b' ').into());
    }

    fn raw(&mut self, raw: Raw) {
        match raw {
            Raw::Nil => self.number(f64::from(kind::NULL)),
            Raw::Integer(number) => {
                // Beyond 2^53 a JS number would round; the digits cross as text.
                if number.unsigned_abs() <= 1 << 53 {
                    self.pair(kind::INTEGER, number as f64);
                } else {
                    self.bytes(number.to_string().into());
                }
            }
            Raw::Double(number) => self.pair(kind::DOUBLE, number),
            Raw::Boolean(flag) => self.pair(kind::BOOLEAN, f64::from(u8::from(flag))),
            Raw::Bytes(bytes) => self.bytes(bytes),
            Raw::Array(items) => {
                self.pair(kind::ARRAY, items.len() as f64);
                items.into_iter().for_each(|item| self.raw(item));
            }
            Raw::Map(pairs) => {
                self.pair(kind::MAP, pairs.len() as f64);
                for (key, value) in pairs {
                    self.raw(key);
                    self.raw(value);
                }
            }
            Raw::Error(error) => self.error(&error),
        }
    }

    fn bytes(&mut self, bytes: Bytes) {
        if bytes.len() <= OWN_TEXT && bytes.is_ascii() {
            self.pair(kind::TEXT, bytes.len() as f64);
            self.text.extend_from_slice(&bytes);
            return;
        }
        let extra = match std::str::from_utf8(&bytes) {
            Ok(text) => Extra::Text(text.to_owned()),
            Err(_) => Extra::Bytes(bytes),
        };
        self.extra(kind::EXTRA, extra);
    }
}

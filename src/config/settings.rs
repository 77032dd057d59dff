//! What one source, environment or options, says about each setting, and the rules for each value.
//! Both sources read through these functions, so a limit stands in one place.
use super::field::Field;
use super::secret::Secret;
use super::url::{Address, MAX_DB};
use super::{Breaker, JournalSync, NearCache, SyncMode, target::Tls};
use crate::base::error::Error;
use std::time::Duration;

type Read<T> = Result<Option<T>, Error>;

/// Everything that a source may leave open.
#[derive(Default)]
pub struct Settings {
    /// The server that this source names, if it names one.
    pub address: Option<Address>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub db: Option<u32>,
    pub tls: Option<TlsWish>,
    pub key_prefix: Option<String>,
    pub connect_timeout: Option<Duration>,
    pub command_timeout: Option<Duration>,
    pub silence: Option<Duration>,
    pub max_retries: Option<u32>,
    pub pool_size: Option<usize>,
    pub instances: Option<u32>,
    pub fallback_enabled: Option<bool>,
    pub auto_sync: Option<bool>,
    pub sync_mode: Option<SyncMode>,
    pub memory_limit_bytes: Option<usize>,
    pub max_value_bytes: Option<usize>,
    pub default_ttl: Option<Duration>,
    pub tombstone_ttl: Option<Duration>,
    pub journal_limit_bytes: Option<usize>,
    pub journal_path: Option<String>,
    pub journal_sync: Option<JournalSync>,
    pub writes_uncertain: Option<bool>,
    pub merges_raw: Option<bool>,
    pub fenced_writes: Option<bool>,
    pub near_cache: Option<NearCache>,
    pub near_max_age: Option<Duration>,
    pub max_stale_degraded: Option<Duration>,
    pub max_in_flight: Option<usize>,
    pub max_in_flight_bytes: Option<usize>,
    /// `Some(None)`: switched off.
    pub breaker: Option<Option<Breaker>>,
}

/// What a source says about TLS.
#[derive(Clone, PartialEq, Eq)]
pub enum TlsWish {
    Off,
    On(Tls),
}

const CONNECTION_MS: std::ops::RangeInclusive<u64> = 1..=600_000;
const HUNDRED_YEARS_S: u64 = 100 * 365 * 86_400 + 25 * 86_400;
const MEBIBYTE: u64 = 1024 * 1024;
const MAX_PREFIX_BYTES: usize = 512;

pub fn port(field: &Field<'_>) -> Read<u16> {
    Ok(field.integer(&(1..=65_535), "")?.and_then(|port| u16::try_from(port).ok()))
}

pub fn db(field: &Field<'_>) -> Read<u32> {
    Ok(field.integer(&(0..=u64::from(MAX_DB)), "")?.and_then(|db| u32::try_from(db).ok()))
}

/// For the connect and the command deadline.
pub fn timeout(field: &Field<'_>) -> Read<Duration> {
    field.milliseconds(&CONNECTION_MS)
}

pub fn silence(field: &Field<'_>) -> Read<Duration> {
    field.milliseconds(&(10..=60_000))
}

pub fn max_retries(field: &Field<'_>) -> Read<u32> {
    Ok(field.integer(&(0..=100), "")?.and_then(|count| u32::try_from(count).ok()))
}

pub fn pool_size(field: &Field<'_>) -> Read<usize> {
    size(field.integer(&(1..=64), "")?)
}

pub fn instances(field: &Field<'_>) -> Read<u32> {
    Ok(field.integer(&(1..=100_000), "")?.and_then(|count| u32::try_from(count).ok()))
}

/// Given in MB of 1,048,576 bytes; answers in bytes.
pub fn memory_limit(field: &Field<'_>) -> Read<usize> {
    size(field.integer(&(1..=1_048_576), " MB")?.map(|megabytes| megabytes * MEBIBYTE))
}

/// At most what a Redis string can hold.
pub fn max_value_bytes(field: &Field<'_>) -> Read<usize> {
    size(field.integer(&(1..=512 * MEBIBYTE), " bytes")?)
}

/// Zero is refused: for a single value it means "the default", and this is the default.
pub fn default_ttl(field: &Field<'_>) -> Read<Duration> {
    field.seconds(&(1..=HUNDRED_YEARS_S))
}

pub fn tombstone_ttl(field: &Field<'_>) -> Read<Duration> {
    field.seconds(&(1..=30 * 86_400))
}

pub fn max_in_flight(field: &Field<'_>) -> Read<usize> {
    size(field.integer(&(1..=10_000_000), "")?)
}

pub fn max_in_flight_bytes(field: &Field<'_>) -> Read<usize> {
    size(field.integer(&(MEBIBYTE..=1_048_576 * MEBIBYTE), " bytes")?)
}

/// What the breaker counts, each part with its default.
pub fn breaker(
    failures: &Field<'_>,
    percent: &Field<'_>,
    window: &Field<'_>,
) -> Result<Breaker, Error> {
    let standard = Breaker::default();
    Ok(Breaker {
        failures: failures.integer(&(1..=1_000_000), "")?.unwrap_or(standard.failures),
        percent: percent.integer(&(1..=100), " %")?.unwrap_or(standard.percent),
        window: window.milliseconds(&(1_000..=600_000))?.unwrap_or(standard.window),
    })
}

pub fn journal_sync(field: &Field<'_>) -> Read<JournalSync> {
    let words = JournalSync::ALL.map(JournalSync::as_str);
    let word = field.word(&words)?;
    Ok(JournalSync::ALL.into_iter().find(|sync| Some(sync.as_str()) == word))
}

/// What becomes of a journalled set where it can't be decided; true = it is written.
pub fn uncertain(field: &Field<'_>) -> Read<bool> {
    Ok(field.word(&["drop", "write"])?.map(|word| word == "write"))
}

/// What becomes of raw changes that merge, in an outage; true = they are kept and merged.
pub fn raw_changes(field: &Field<'_>) -> Read<bool> {
    Ok(field.word(&["refuse", "merge"])?.map(|word| word == "merge"))
}

/// A switch, or how.
pub fn near_cache(field: &Field<'_>) -> Read<NearCache> {
    if let Ok(Some(on)) = field.boolean() {
        return Ok(Some(if on { NearCache::Auto } else { NearCache::Off }));
    }
    let words = NearCache::ALL.map(NearCache::as_str);
    let word = field.word(&words)?;
    Ok(NearCache::ALL.into_iter().find(|mode| Some(mode.as_str()) == word))
}

pub fn sync_mode(field: &Field<'_>) -> Read<SyncMode> {
    let words = SyncMode::ALL.map(SyncMode::as_str);
    let word = field.word(&words)?;
    Ok(SyncMode::ALL.into_iter().find(|mode| Some(mode.as_str()) == word))
}

/// The keys that one script touches must hash to one cluster slot, so braces may stand in a prefix
/// only as one whole tag, which then decides the slot of every key.
pub fn key_prefix(field: &Field<'_>, text: &str) -> Result<String, Error> {
    let braces: Vec<(usize, char)> =
        text.char_indices().filter(|(_, char)| matches!(char, '{' | '}')).collect();
    let one_tag = match braces.as_slice() {
        [] => true,
        [(open, '{'), (close, '}')] => close - open > 1,
        _ => false,
    };
    if one_tag && text.len() <= MAX_PREFIX_BYTES {
        return Ok(text.to_owned());
    }
    Err(field.wrong("at most 512 bytes, with braces only as one whole tag such as {app}"))
}

fn size(number: Option<u64>) -> Read<usize> {
    // All targets have 64 bits; elsewhere the limit is as high as the machine counts.
    Ok(number.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
}

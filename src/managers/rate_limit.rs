//! The rate limit manager: what limiters there are, and the acts that are asked of them.
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Deserialize;

use super::holds::{Held, Holds, Lost};
use crate::backend::Operation;
use crate::backend::rate::{
    Act, Algorithm, Costs, EXACT, GRAINS, Hold, Limiter, Mode, Policy, Verb,
};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::keys::Keys;
use crate::base::random;

/// The longest window, and the longest that anything is held: a year.
const LONGEST_MS: f64 = 366.0 * 86_400_000.0;
/// Beyond this, sums of costs would no longer be exact.
const MOST: f64 = 1e12;
/// The most policies of a limiter.
const MOST_POLICIES: usize = 16;
/// The longest name of a key that is kept as it is; a longer one is kept as its hash.
const LONGEST_KEY: usize = 128;

/// A limiter as JS describes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Description {
    name: String,
    family: String,
    limits: Vec<Rule>,
    deny_cache: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Rule {
    name: String,
    algorithm: String,
    limit: f64,
    window_ms: f64,
    mode: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct HeldBy {
    limiter: f64,
    key: String,
    id: String,
    lease_ms: f64,
    max_hold_ms: f64,
}

/// What is asked of a key, as it crosses.
pub struct Question<'a> {
    pub limiter: f64,
    pub asked: Asked,
    pub key: &'a str,
    pub id: &'a str,
    pub hold_ms: f64,
    pub cost: f64,
    pub costs: Vec<f64>,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Take,
    Settle,
    Release,
    Renew,
    Refund,
    Reset,
    Peek,
}

/// The limiters of an instance. Each is known by its number; one that is described again has it already.
pub struct RateLimits {
    pub keys: Keys,
    pub clock: Arc<dyn Clock>,
    pub holds: Arc<Holds>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    numbers: HashMap<String, u32>,
    limiters: Vec<(Arc<Limiter>, String)>,
}

impl RateLimits {
    pub fn new(keys: Keys, clock: Arc<dyn Clock>, lost: Lost) -> Self {
        let holds = Holds::new(clock.clone(), lost);
        Self { keys, clock, holds, known: Mutex::default() }
    }

    /// The number of the limiter that is described so.
    pub fn define(&self, description: &str) -> Result<u32> {
        let mut known = self.known.lock();
        if let Some(&number) = known.numbers.get(description) {
            return Ok(number);
        }
        let read: Description = serde_json::from_str(description).map_err(|error| {
            Error::invalid("limiter", format!("a limiter can't be read: {error}"))
        })?;
        let family = read.family.clone();
        let limiter = Arc::new(limiter(read)?);
        let number = u32::try_from(known.limiters.len()).unwrap_or(u32::MAX);
        known.limiters.push((limiter, family));
        known.numbers.insert(description.to_owned(), number);
        Ok(number)
    }

    /// What is to be renewed, as JS describes it.
    pub fn held(&self, description: &str, owner: Weak<dyn Send + Sync>) -> Result<Held> {
        let HeldBy { limiter, key, id, lease_ms, max_hold_ms } = serde_json::from_str(description)
            .map_err(|error| Error::internal(format!("a hold can't be read: {error}")))?;
        let (key, limiter) = self.key(limiter, &key)?;
        let hold = Hold { id: id_of_text(&id)?, lasts: lease_ms * 1000.0 };
        let until = self.clock.micros().saturating_add((max_hold_ms * 1000.0) as u64);
        Ok(Held { key, limiter, hold, until, owner })
    }

    /// The whole key of one of a limiter's, and the limiter.
    pub fn key(&self, limiter: f64, key: &str) -> Result<(Bytes, Arc<Limiter>)> {
        let (limiter, family) = self.limiter(limiter)?;
        Ok((self.keys.limit(&family, &limiter.name, key, LONGEST_KEY), limiter))
    }

    fn limiter(&self, number: f64) -> Result<(Arc<Limiter>, String)> {
        let known = self.known.lock();
        let limiter = known.limiters.get(number as usize);
        limiter.cloned().ok_or_else(|| Error::internal("a limiter that nobody described"))
    }

    /// What is asked, as an operation.
    pub fn operation(&self, question: &Question<'_>) -> Result<Operation> {
        if question.key.is_empty() {
            return Err(Error::invalid("key", "a key must not be empty"));
        }
        let (key, limiter) = self.key(question.limiter, question.key)?;
        let verb = verb_of(&limiter, question)?;
        let act = Act { verb, at: self.clock.micros(), number: 0 };
        Ok(Operation::Rate { key, limiter, act })
    }
}

fn verb_of(limiter: &Limiter, question: &Question<'_>) -> Result<Verb> {
    let id = || id_of_text(question.id);
    let lasts = question.hold_ms * 1000.0;
    Ok(match question.asked {
        Asked::Take => {
            let hold = (question.hold_ms > 0.0).then(|| Hold { id: random::bits(), lasts });
            Verb::Take { costs: costs(limiter, question)?, hold, ahead: 0 }
        }
        Asked::Settle => Verb::Settle { id: id()?, costs: Some(costs(limiter, question)?) },
        Asked::Release => Verb::Settle { id: id()?, costs: None },
        Asked::Renew => Verb::Renew(Hold { id: id()?, lasts }),
        Asked::Refund => Verb::Refund(costs(limiter, question)?),
        Asked::Reset => Verb::Reset,
        Asked::Peek => Verb::Peek,
    })
}

/// As `reserve` answered it.
pub fn id_of_text(text: &str) -> Result<u64> {
    u64::from_str_radix(text, 16)
        .map_err(|_| Error::invalid("id", "id is none that reserve() gave: 16 hexadecimal digits"))
}

fn costs(limiter: &Limiter, question: &Question<'_>) -> Result<Costs> {
    let right = |cost: f64| (0.0..=MOST).contains(&cost) && cost.fract() == 0.0;
    let wrong = |path: &str| {
        Error::invalid(path, format!("{path} must be a whole number from 0 to {MOST}"))
    };
    if question.costs.is_empty() {
        return if right(question.cost) {
            Ok(Costs::Same(question.cost))
        } else {
            Err(wrong("cost"))
        };
    }
    if question.costs.len() != limiter.policies.len() {
        return Err(Error::internal("as many costs as policies were expected"));
    }
    match limiter.policies.iter().zip(&question.costs).find(|(_, cost)| !right(**cost)) {
        Some((policy, _)) => Err(wrong(&format!("cost.{}", policy.name))),
        None => Ok(Costs::Each(question.costs.clone())),
    }
}

fn limiter(read: Description) -> Result<Limiter> {
    let Description { name, family: _, limits, deny_cache } = read;
    if limits.is_empty() || limits.len() > MOST_POLICIES {
        let text = format!("a limiter has 1 to {MOST_POLICIES} limits");
        return Err(Error::invalid("options.limits", text));
    }
    let mut policies: Vec<Policy> = Vec::with_capacity(limits.len());
    for (at, rule) in limits.into_iter().enumerate() {
        let path = |field: &str| format!("options.limits[{at}].{field}");
        let policy = policy(rule, &path)?;
        if policies.iter().any(|other| other.name == policy.name) {
            let text = format!("{} is the name of another limit, too", path("name"));
            return Err(Error::invalid(path("name"), text));
        }
        policies.push(policy);
    }
    Ok(Limiter::new(name, policies, deny_cache))
}

fn policy(rule: Rule, path: &dyn Fn(&str) -> String) -> Result<Policy> {
    let Rule { name, algorithm, limit, window_ms, mode } = rule;
    let wrong = |field: &str, allowed: &str| {
        let path = path(field);
        Error::invalid(path.clone(), format!("{path} must be {allowed}"))
    };
    if !(1.0..=MOST).contains(&limit) || limit.fract() != 0.0 {
        return Err(wrong("limit", &format!("a whole number from 1 to {MOST}")));
    }
    if !(1.0..=LONGEST_MS).contains(&window_ms) {
        return Err(wrong("window", "from 1 ms to 366 days"));
    }
    let algorithm = match algorithm.as_str() {
        "sliding-window" => Algorithm::SlidingWindow,
        "token-bucket" => Algorithm::TokenBucket,
        "fixed-window" => Algorithm::FixedWindow,
        "concurrency" => Algorithm::Concurrency,
        _ => {
            return Err(wrong(
                "algorithm",
                "'sliding-window', 'token-bucket', 'fixed-window' or 'concurrency'",
            ));
        }
    };
    let mode = match mode.as_str() {
        "local" => Mode::Local,
        "open" => Mode::Open,
        "closed" => Mode::Closed,
        _ => return Err(wrong("onUnavailable", "'local', 'open' or 'closed'")),
    };
    let window = (window_ms * 1000.0).round();
    let step = match algorithm {
        Algorithm::SlidingWindow if limit > EXACT => window / GRAINS,
        Algorithm::TokenBucket => window / limit,
        _ => 0.0,
    };
    let id = id_of(&name, algorithm, window);
    Ok(Policy { name, id, algorithm, limit, window, step, mode })
}

/// What was counted in another way, or over another time, is not what this one counts.
fn id_of(name: &str, algorithm: Algorithm, window: f64) -> [u8; 4] {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(algorithm.code());
    bytes.extend(window.to_le_bytes());
    crc32fast::hash(&bytes).to_le_bytes()
}

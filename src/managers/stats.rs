//! What the cache counts: in total, and for each namespace.
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use serde_json::{Value, json};

use crate::backend::{Answer, Found, Reply, Source};
use crate::base::error::{Error, ErrorKind, Result};

/// How an answer is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    Not,
    Read,
    /// A read that would load what it does not find.
    Load,
    Write,
    Fill,
    Removal,
}

/// Counts since the start or the last reset.
#[derive(Debug, Default)]
pub struct Counts {
    pub near: AtomicU64,
    pub redis: AtomicU64,
    pub memory: AtomicU64,
    pub misses: AtomicU64,
    pub stale: AtomicU64,
    pub sets: AtomicU64,
    pub deletes: AtomicU64,
    pub errors: AtomicU64,
    pub fenced: AtomicU64,
    pub refused: AtomicU64,
    pub loads_avoided: AtomicU64,
    pub time_saved_ms: AtomicU64,
    /// What only JavaScript sees: hits of its own table, loads, and those who shared one.
    pub hot: AtomicU64,
    pub loads: AtomicU64,
    pub load_errors: AtomicU64,
    pub coalesced: AtomicU64,
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Counts {
    fn count(&self, counted: Counted, answer: &Answer) {
        match (counted, answer) {
            (Counted::Not, _) => {}
            (_, Err(error)) => {
                add(&self.errors, 1);
                if matches!(error.kind, ErrorKind::Overloaded | ErrorKind::Full) {
                    add(&self.refused, 1);
                }
            }
            (Counted::Read | Counted::Load, Ok(Reply::Entry(found))) => {
                self.hit(found);
                if counted == Counted::Load {
                    add(&self.loads_avoided, 1);
                    add(&self.time_saved_ms, u64::from(found.load_ms));
                }
            }
            (Counted::Read | Counted::Load, Ok(_)) => add(&self.misses, 1),
            (Counted::Write | Counted::Fill, Ok(Reply::Flag(true))) => add(&self.sets, 1),
            // Neither Redis nor memory took it.
            (Counted::Write, Ok(_)) => {
                add(&self.errors, 1);
                add(&self.refused, 1);
            }
            // A delete or an invalidation came first, or a write.
            (Counted::Fill, Ok(_)) => add(&self.fenced, 1),
            (Counted::Removal, Ok(Reply::Flag(true))) => add(&self.deletes, 1),
            (Counted::Removal, Ok(_)) => {}
        }
    }

    fn hit(&self, found: &Found) {
        add(
            match found.source {
                Source::Near => &self.near,
                Source::Redis => &self.redis,
                Source::Memory => &self.memory,
            },
            1,
        );
        if found.fresh_ms == Some(0) {
            add(&self.stale, 1);
        }
    }

    /// What JavaScript counted by itself.
    fn take_over(&self, name: &str, by: u64) -> Result<()> {
        let counter = match name {
            "hot" => &self.hot,
            "stale" => &self.stale,
            "loads" => &self.loads,
            "loadErrors" => &self.load_errors,
            "coalesced" => &self.coalesced,
            "loadsAvoided" => &self.loads_avoided,
            "timeSavedMs" => &self.time_saved_ms,
            _ => return Err(Error::internal("JS counts something that is not known")),
        };
        add(counter, by);
        Ok(())
    }

    fn fields(&self) -> [(&'static str, &AtomicU64); 16] {
        let Self {
            near,
            redis,
            memory,
            misses,
            stale,
            sets,
            deletes,
            errors,
            fenced,
            refused,
            loads_avoided,
            time_saved_ms,
            hot,
            loads,
            load_errors,
            coalesced,
        } = self;
        [
            ("near", near),
            ("redis", redis),
            ("memory", memory),
            ("misses", misses),
            ("stale", stale),
            ("sets", sets),
            ("deletes", deletes),
            ("errors", errors),
            ("fenced", fenced),
            ("refused", refused),
            ("loadsAvoided", loads_avoided),
            ("timeSavedMs", time_saved_ms),
            ("hot", hot),
            ("loads", loads),
            ("loadErrors", load_errors),
            ("coalesced", coalesced),
        ]
    }

    fn reset(&self) {
        for (_, counter) in self.fields() {
            counter.store(0, Ordering::Relaxed);
        }
    }

    fn view(&self) -> Value {
        let read = |(name, counter): (&str, &AtomicU64)| {
            (name.to_owned(), counter.load(Ordering::Relaxed).into())
        };
        Value::Object(self.fields().into_iter().map(read).collect())
    }
}

/// More namespaces than these are counted in the total alone.
const MOST_NAMESPACES: usize = 10_000;

/// The counts of all, and those of each namespace by its number. Number 0 is nobody's.
#[derive(Debug, Default)]
pub struct Stats {
    total: Counts,
    namespaces: RwLock<Namespaces>,
}

#[derive(Debug, Default)]
struct Namespaces {
    all: Vec<(String, Arc<Counts>)>,
    places: HashMap<String, usize>,
}

impl Stats {
    pub fn count(&self, owner: u16, counted: Counted, answer: &Answer) {
        if counted == Counted::Not {
            return;
        }
        self.total.count(counted, answer);
        if let Some(counts) = self.of(owner) {
            counts.count(counted, answer);
        }
    }

    pub fn failed(&self, owner: u16) {
        add(&self.total.errors, 1);
        if let Some(counts) = self.of(owner) {
            add(&counts.errors, 1);
        }
    }

    /// The number of a namespace; 0 when there are too many.
    pub fn owner(&self, name: &str) -> u16 {
        let mut namespaces = self.namespaces.write();
        let at = match namespaces.places.get(name) {
            Some(&at) => at,
            None if namespaces.all.len() >= MOST_NAMESPACES => return 0,
            None => {
                namespaces.all.push((name.to_owned(), Arc::default()));
                let at = namespaces.all.len() - 1;
                namespaces.places.insert(name.to_owned(), at);
                at
            }
        };
        u16::try_from(at + 1).unwrap_or(0)
    }

    /// Takes over what JavaScript counted: for each owner the names and how much.
    pub fn take_over(&self, json: &str) -> Result<()> {
        let rows: Vec<(u16, String, u64)> = serde_json::from_str(json).map_err(Error::internal)?;
        for (owner, name, by) in rows {
            self.total.take_over(&name, by)?;
            if let Some(counts) = self.of(owner) {
                counts.take_over(&name, by)?;
            }
        }
        Ok(())
    }

    /// Of a namespace alone, or of all (0).
    pub fn reset(&self, owner: u16) {
        if let Some(counts) = self.of(owner) {
            return counts.reset();
        }
        self.total.reset();
        self.namespaces.read().all.iter().for_each(|(_, counts)| counts.reset());
    }

    /// `held` says what memory holds of an owner.
    pub fn view(&self, held: &dyn Fn(u16) -> Value) -> Value {
        let namespaces = self.namespaces.read();
        let each = namespaces.all.iter().enumerate().map(|(at, (name, counts))| {
            let owner = u16::try_from(at + 1).unwrap_or(0);
            json!({ "name": name, "counts": counts.view(), "held": held(owner) })
        });
        json!({ "total": self.total.view(), "namespaces": each.collect::<Vec<_>>() })
    }

    fn of(&self, owner: u16) -> Option<Arc<Counts>> {
        let at = usize::from(owner).checked_sub(1)?;
        self.namespaces.read().all.get(at).map(|(_, counts)| counts.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_namespace_counts_is_in_the_total_as_well() {
        let stats = Stats::default();
        let (one, other) = (stats.owner("a"), stats.owner("b"));
        assert_eq!((one, other, stats.owner("a")), (1, 2, 1));
        stats.count(one, Counted::Write, &Ok(Reply::Flag(true)));
        stats.count(other, Counted::Read, &Ok(Reply::Nothing));
        stats.count(0, Counted::Fill, &Ok(Reply::Flag(false)));
        stats.take_over(r#"[[1,"hot",5]]"#).unwrap();
        let view = stats.view(&|_| Value::Null);
        let of = |at: usize, name: &str| view["namespaces"][at]["counts"][name].as_u64().unwrap();
        assert_eq!((of(0, "sets"), of(0, "hot"), of(1, "misses")), (1, 5, 1));
        let total = |name: &str| view["total"][name].as_u64().unwrap();
        let all = (total("sets"), total("misses"), total("fenced"), total("hot"));
        assert_eq!(all, (1, 1, 1, 5));
        stats.reset(0);
        assert_eq!(stats.view(&|_| Value::Null)["total"]["sets"], 0);
    }
}

//! Counts how calls end. A server that answers some, and lets too many fail, had better count as away.
use crate::config::Breaker as Rule;

const BUCKETS: usize = 10;

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Which slice of time this counts; slices are numbered from the clock's beginning.
    slice: u64,
    answered: u64,
    failed: u64,
}

#[derive(Debug)]
pub struct Breaker {
    rule: Option<Rule>,
    buckets: [Bucket; BUCKETS],
}

impl Breaker {
    pub fn new(rule: Option<Rule>) -> Self {
        Self { rule, buckets: [Bucket::default(); BUCKETS] }
    }

    pub fn answered(&mut self, count: usize, now: u64) {
        if let Some(bucket) = self.bucket(now) {
            bucket.answered += count as u64;
        }
    }

    pub fn failed(&mut self, count: usize, now: u64) {
        if let Some(bucket) = self.bucket(now) {
            bucket.failed += count as u64;
        }
    }

    /// Says why, when too many failed of late.
    pub fn trips(&self, now: u64) -> Option<String> {
        let rule = self.rule?;
        let slice = now / slice_micros(rule);
        let recent = self.buckets.iter().filter(|bucket| bucket.slice + BUCKETS as u64 > slice);
        let (answered, failed) =
            recent.fold((0, 0), |(answered, failed), b| (answered + b.answered, failed + b.failed));
        let all = answered + failed;
        let trips = failed >= rule.failures && failed * 100 >= all * rule.percent;
        trips.then(|| format!("{failed} of {all} calls failed within {:?}", rule.window))
    }

    /// Forgets what was: the next judgement is about what comes.
    pub fn reset(&mut self) {
        self.buckets = [Bucket::default(); BUCKETS];
    }

    fn bucket(&mut self, now: u64) -> Option<&mut Bucket> {
        let slice = now / slice_micros(self.rule?);
        let at = usize::try_from(slice % BUCKETS as u64).unwrap_or(0);
        let bucket = self.buckets.get_mut(at)?;
        if bucket.slice != slice {
            *bucket = Bucket { slice, ..Bucket::default() };
        }
        Some(bucket)
    }
}

fn slice_micros(rule: Rule) -> u64 {
    (u64::try_from(rule.window.as_micros()).unwrap_or(u64::MAX) / BUCKETS as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn standard() -> Breaker {
        Breaker::new(Some(Rule::default()))
    }

    #[test]
    fn it_takes_enough_failures_and_a_large_enough_part() {
        let mut breaker = standard();
        breaker.failed(4, 100 * SECOND);
        assert_eq!(breaker.trips(100 * SECOND), None, "too few");
        breaker.answered(20, 100 * SECOND);
        breaker.failed(15, 101 * SECOND);
        assert_eq!(breaker.trips(101 * SECOND), None, "19 of 39 is below half");
        breaker.failed(1, 102 * SECOND);
        assert!(breaker.trips(102 * SECOND).unwrap().starts_with("20 of 40 calls failed"));
    }

    #[test]
    fn what_is_older_than_the_window_no_longer_counts() {
        let mut breaker = standard();
        breaker.failed(9, 100 * SECOND);
        assert!(breaker.trips(109 * SECOND).is_some());
        assert_eq!(breaker.trips(110 * SECOND), None);
    }

    #[test]
    fn switched_off_it_never_trips() {
        let mut breaker = Breaker::new(None);
        breaker.failed(1_000, SECOND);
        assert_eq!(breaker.trips(SECOND), None);
    }
}

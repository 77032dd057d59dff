//! Numbers of what must be done once: each is given once in a process, and is open as long as somebody holds
//! it, who may still send what it stands for.
use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

/// Gives numbers, and knows which are open.
#[derive(Debug, Default)]
pub struct Numbers(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    last: u64,
    open: BTreeSet<u64>,
}

/// A number; it is closed when the last of its clones is dropped.
#[derive(Clone, Debug)]
pub struct Number {
    value: u64,
    _held: Option<Arc<Held>>,
}

#[derive(Debug)]
struct Held {
    value: u64,
    numbers: Arc<Numbers>,
}

impl Numbers {
    pub fn next(self: &Arc<Self>) -> Number {
        let mut all = self.0.lock();
        all.last += 1;
        let value = all.last;
        all.open.insert(value);
        drop(all);
        Number { value, _held: Some(Arc::new(Held { value, numbers: self.clone() })) }
    }

    /// Every number below is closed: what it stands for is never sent again.
    pub fn floor(&self) -> u64 {
        let all = self.0.lock();
        all.open.first().copied().unwrap_or(all.last + 1)
    }
}

impl Number {
    /// One that another process gave.
    pub fn foreign(value: u64) -> Self {
        Self { value, _held: None }
    }

    pub fn value(&self) -> u64 {
        self.value
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Number {}

impl Drop for Held {
    fn drop(&mut self) {
        self.numbers.0.lock().open.remove(&self.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_rises_over_what_nobody_holds() {
        let numbers = Arc::new(Numbers::default());
        assert_eq!(numbers.floor(), 1);
        let (first, second) = (numbers.next(), numbers.next());
        let copy = first.clone();
        drop(first);
        assert_eq!((numbers.floor(), copy.value()), (1, 1));
        drop(copy);
        assert_eq!((numbers.floor(), second.value()), (2, 2));
        drop(second);
        assert_eq!(numbers.floor(), 3);
    }
}

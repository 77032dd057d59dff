//! A call on its way: the operation, and the one place where its answer goes.
use std::sync::Arc;

use bytes::Bytes;

use super::limits::Permit;
use super::memory::store::Marks;
use super::{Answer, Operation, Reach};
use crate::base::error::Error;

/// Where answers are collected: an environment's ring, or a test's channel.
pub trait Sink: Send + Sync {
    /// Puts one answer down; nobody is woken yet.
    fn put(&self, id: u32, answer: Answer);
    /// Wakes the reader, once for all that was put down.
    fn wake(&self);
}

/// Settles one call. Dropped without an answer, it settles the call with `E_INTERNAL`, so that a
/// panic or a forgotten branch never leaves a promise pending.
pub struct Settler {
    sink: Option<Arc<dyn Sink>>,
    id: u32,
}

impl Settler {
    pub fn new(sink: Arc<dyn Sink>, id: u32) -> Self {
        Self { sink: Some(sink), id }
    }

    /// Of a call whose answer nobody waits for.
    pub fn unheard() -> Self {
        Self { sink: None, id: 0 }
    }

    /// Answers and wakes the reader.
    pub fn settle(mut self, answer: Answer) {
        if let Some(sink) = self.sink.take() {
            sink.put(self.id, answer);
            sink.wake();
        }
    }

    fn put(mut self, answer: Answer) -> Option<Arc<dyn Sink>> {
        let sink = self.sink.take()?;
        sink.put(self.id, answer);
        Some(sink)
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        if let Some(sink) = self.sink.take() {
            sink.put(self.id, Err(Error::internal("a call was dropped without an answer")));
            sink.wake();
        }
    }
}

/// Settles many calls and wakes each reader once.
pub fn settle_all(answers: impl IntoIterator<Item = (Settler, Answer)>) {
    let mut woken: Option<Arc<dyn Sink>> = None;
    for (settler, answer) in answers {
        let Some(sink) = settler.put(answer) else { continue };
        match &woken {
            Some(last) if Arc::ptr_eq(last, &sink) => {}
            _ => {
                if let Some(last) = woken.replace(sink) {
                    last.wake();
                }
            }
        }
    }
    if let Some(last) = woken {
        last.wake();
    }
}

/// An operation with its settler.
pub struct Call {
    pub operation: Operation,
    pub settler: Settler,
    /// When it entered, in microseconds of the boot clock; its deadline counts from here.
    pub since: u64,
    /// How often it was sent before, on a connection that broke.
    pub attempts: u32,
    /// How often it met a newer write, where live writes compare.
    pub fenced: u32,
    pub reach: Reach,
    /// Its room among those on their way.
    pub permit: Option<Permit>,
    /// It writes a key, of which no copy answers until it is done.
    pub write: Option<Write>,
    /// Whose counts it belongs to.
    pub owner: u16,
}

/// What touches more keys may touch any.
const MOST_KEYS: usize = 256;

/// A write on its way, from when it is handed over until it is answered.
pub struct Write {
    marks: Arc<Marks>,
    place: u32,
    /// Of further keys; few have any.
    others: Vec<u32>,
}

impl Write {
    pub fn of(key: &[u8], marks: &Arc<Marks>) -> Self {
        let place = Marks::place(key);
        marks.begin_write(place);
        Self { marks: marks.clone(), place, others: Vec::new() }
    }

    /// One that may touch each of these keys; `None` for none.
    pub fn of_each(keys: &[Bytes], marks: &Arc<Marks>) -> Option<Self> {
        let (first, others) = keys.split_first()?;
        if others.len() >= MOST_KEYS {
            return Some(Self::of_all(marks));
        }
        let mut write = Self::of(first, marks);
        write.others = others.iter().map(|key| Marks::place(key)).collect();
        write.others.iter().for_each(|&place| marks.begin_write(place));
        Some(write)
    }

    /// One that may touch any key.
    pub fn of_all(marks: &Arc<Marks>) -> Self {
        marks.begin_write(Marks::ALL);
        Self { marks: marks.clone(), place: Marks::ALL, others: Vec::new() }
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        self.marks.end_write(self.place);
        self.others.iter().for_each(|&place| self.marks.end_write(place));
    }
}

impl Call {
    pub fn new(operation: Operation, settler: Settler, since: u64, reach: Reach) -> Self {
        let (permit, write) = (None, None);
        Self { operation, settler, since, attempts: 0, fenced: 0, reach, permit, write, owner: 0 }
    }
}

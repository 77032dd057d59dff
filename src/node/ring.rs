//! Where answers wait for JS: one queue per environment, and one wake for many answers.
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use napi::bindgen_prelude::Env;
use parking_lot::Mutex;

use super::reply::{Row, Writer};
use super::waker::Waker;
use crate::backend::{Answer, Sink};
use crate::base::clock::wall_micros;
use crate::engine::{Core, Listener};
use crate::managers::messages::{Heard, Hearer};
use crate::managers::stats::Counted;

/// How an id says in which way its answer is counted.
const KIND_SHIFT: u32 = 28;
pub const ID_MASK: u32 = (1 << KIND_SHIFT) - 1;

pub fn tagged(id: u32, counted: Counted) -> u32 {
    let kind = match counted {
        Counted::Not => 0,
        Counted::Read => 1,
        Counted::Write => 2,
        Counted::Removal => 3,
        Counted::Fill => 4,
        Counted::Load => 5,
    };
    (id & ID_MASK) | (kind << KIND_SHIFT)
}

fn counted(id: u32) -> Counted {
    match id >> KIND_SHIFT {
        1 => Counted::Read,
        2 => Counted::Write,
        3 => Counted::Removal,
        4 => Counted::Fill,
        5 => Counted::Load,
        _ => Counted::Not,
    }
}

/// So many bytes of messages wait for JS at most: what comes while it is busy for longer is counted and dropped.
const MOST_HEARD: usize = 64 * 1024 * 1024;

/// Messages that wait, and those that found no room, by instance and subscription.
#[derive(Default)]
struct Heap {
    bytes: usize,
    dropped: HashMap<(u32, u32), u64>,
}

pub struct Ring {
    rows: Mutex<VecDeque<Row>>,
    heap: Mutex<Heap>,
    /// A wake is on its way, so another would be one too many.
    woken: AtomicBool,
    waker: Waker,
    /// Operations whose answers JS still waits for.
    pending: AtomicU32,
    held: AtomicBool,
    pub submits: AtomicU64,
    pub wakes: AtomicU64,
    pub operations: AtomicU64,
}

impl Ring {
    pub fn new(waker: Waker) -> Self {
        Self {
            rows: Mutex::default(),
            heap: Mutex::default(),
            woken: AtomicBool::new(false),
            waker,
            pending: AtomicU32::new(0),
            held: AtomicBool::new(false),
            submits: AtomicU64::new(0),
            wakes: AtomicU64::new(0),
            operations: AtomicU64::new(0),
        }
    }

    pub fn push(&self, row: Row) {
        self.rows.lock().push_back(row);
    }

    /// Takes messages for an instance, as many as there is room for.
    fn push_heard(&self, handle: u32, messages: Vec<Heard>) {
        let mut heap = self.heap.lock();
        let mut rows = self.rows.lock();
        for heard in messages {
            let bytes = weight(&heard);
            if heap.bytes + bytes > MOST_HEARD {
                *heap.dropped.entry((handle, heard.number)).or_default() += 1;
                continue;
            }
            heap.bytes += bytes;
            rows.push_back(Row::Message(handle, heard));
        }
    }

    /// Messages were handed to JS; those that found no room are told of.
    fn let_go(&self, bytes: usize) {
        let mut heap = self.heap.lock();
        heap.bytes -= bytes;
        if heap.bytes > MOST_HEARD / 2 {
            return;
        }
        let dropped: Vec<_> = heap.dropped.drain().collect();
        for ((handle, number), count) in dropped {
            self.push(Row::Missed(handle, number, wall_micros() / 1000, count));
        }
    }

    /// Wakes JS, unless it is awake already and has not drained yet.
    pub fn wake(&self) {
        if self.woken.swap(true, Ordering::AcqRel) {
            return;
        }
        if self.waker.wake() {
            self.wakes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes answers down until there is no room; answers how many operations they settle.
    pub fn drain(&self, writer: &mut Writer<'_>) -> u32 {
        self.woken.store(false, Ordering::Release);
        let mut rows = std::mem::take(&mut *self.rows.lock());
        let (mut settled, mut heard) = (0, 0);
        while let Some(row) = rows.pop_front() {
            let operation = matches!(row, Row::Answer(..));
            let bytes = if let Row::Message(_, message) = &row { weight(message) } else { 0 };
            match writer.write(row) {
                Ok(()) => {
                    settled += u32::from(operation);
                    heard += bytes;
                }
                Err(row) => {
                    rows.push_front(row);
                    break;
                }
            }
        }
        if !rows.is_empty() {
            let mut newer = self.rows.lock();
            rows.append(&mut newer);
            *newer = rows;
        }
        if heard > 0 {
            self.let_go(heard);
        }
        settled
    }

    /// How large an inbox the next row needs; 0 when nothing waits.
    pub fn wanted(&self) -> usize {
        self.rows.lock().front().map_or(0, Row::size)
    }

    /// Operations entered; while any is on its way, the process stays.
    pub fn entered(&self, env: Env, count: u32) {
        if count > 0 {
            self.pending.fetch_add(count, Ordering::AcqRel);
            self.hold(env, true);
        }
    }

    pub fn left(&self, env: Env, count: u32) {
        if count > 0 && self.pending.fetch_sub(count, Ordering::AcqRel) == count {
            self.hold(env, false);
        }
    }

    pub fn pending(&self) -> u32 {
        self.pending.load(Ordering::Acquire)
    }

    fn hold(&self, env: Env, held: bool) {
        if self.held.swap(held, Ordering::AcqRel) != held {
            self.waker.hold(env, held);
        }
    }

    /// The environment ends: answers are dropped, work already sent is not.
    pub fn close(&self) {
        self.waker.close();
        self.rows.lock().clear();
    }
}

/// The sink of one handle: counts its answers and puts them into the environment's ring.
pub struct HandleSink {
    ring: Arc<Ring>,
    core: Arc<Core>,
    handle: u32,
    /// The namespace whose counts it adds to as well; 0: none.
    owner: u16,
}

impl HandleSink {
    pub fn new(ring: Arc<Ring>, core: Arc<Core>, handle: u32, owner: u16) -> Self {
        Self { ring, core, handle, owner }
    }
}

impl Sink for HandleSink {
    fn put(&self, id: u32, answer: Answer) {
        self.core.stats.count(self.owner, counted(id), &answer);
        self.ring.push(Row::Answer(id & ID_MASK, answer));
    }

    fn wake(&self) {
        self.ring.wake();
    }
}

/// What a message costs while it waits.
fn weight(heard: &Heard) -> usize {
    128 + heard.text.len()
}

impl Hearer for HandleSink {
    fn heard(&self, messages: Vec<Heard>) {
        self.ring.push_heard(self.handle, messages);
        self.ring.wake();
    }

    fn missed(&self, number: u32, ms: u64) {
        // To be shown, and the other side may be late.
        let since = (wall_micros() / 1000).saturating_sub(ms);
        self.ring.push(Row::Missed(self.handle, number, since, 0));
        self.ring.wake();
    }
}

impl Listener for HandleSink {
    fn event(&self, event: &serde_json::Value) {
        self.ring.push(Row::Event(self.handle, event.to_string()));
        self.ring.wake();
    }
}

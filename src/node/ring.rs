//! Where answers wait for JS: one queue per environment, and one wake for many answers.
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use napi::bindgen_prelude::Env;
use parking_lot::Mutex;

use super::reply::{Row, Writer};
use super::waker::Waker;
use crate::backend::{Answer, Sink};
use crate::engine::{Core, Listener};
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

pub struct Ring {
    rows: Mutex<VecDeque<Row>>,
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
        let mut settled = 0;
        while let Some(row) = rows.pop_front() {
            let operation = matches!(row, Row::Answer(..));
            match writer.write(row) {
                Ok(()) => settled += u32::from(operation),
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

impl Listener for HandleSink {
    fn event(&self, event: &serde_json::Value) {
        self.ring.push(Row::Event(self.handle, event.to_string()));
        self.ring.wake();
    }
}

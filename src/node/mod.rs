//! The binding: the only place that names napi. Data in, core, data out; no rule lives here.
//!
//! One class, `Environment`, stands for one JS environment: it hands batches of operations over, and
//! collects their answers in a ring that JS drains. Why one `submit` and no class per manager:
//! docs/decisions/0001-one-submit-call.md.
mod batch;
mod inspect;
#[allow(dead_code, reason = "the list is whole on both sides; each uses what it needs")]
mod operations;
mod reader;
mod reply;
mod ring;
mod seats;
mod waker;

use std::cell::RefCell;
use std::sync::Arc;

use napi::bindgen_prelude::{
    Array, Env, Float64Array, Float64ArraySlice, Function, Int32Array, Object, Result, Uint32Array,
    Unknown,
};
use napi_derive::napi;

use self::reply::Writer;
use self::ring::{HandleSink, Ring};
use self::waker::Waker;
use crate::base::error::Error;
use crate::engine::Core;

/// One JS environment's side of the boundary.
#[napi]
pub struct Environment {
    ring: Arc<Ring>,
    handles: Vec<Option<Handle>>,
    extras: Vec<reply::Extra>,
    seats: seats::Seats,
    /// How long the last batch's text was; the next one's is likely to be the same.
    text_length: usize,
}

pub(crate) struct Handle {
    core: Arc<Core>,
    sink: Arc<HandleSink>,
    /// One for each namespace that was used, by its number.
    sinks: RefCell<Vec<Option<Arc<HandleSink>>>>,
    number: u32,
}

impl Handle {
    /// Where the answers of a namespace go.
    fn sink_of(&self, ring: &Arc<Ring>, owner: u16) -> Arc<HandleSink> {
        let at = usize::from(owner);
        if at == 0 {
            return self.sink.clone();
        }
        let mut sinks = self.sinks.borrow_mut();
        if sinks.len() <= at {
            sinks.resize(at + 1, None);
        }
        let sink =
            || Arc::new(HandleSink::new(ring.clone(), self.core.clone(), self.number, owner));
        sinks[at].get_or_insert_with(sink).clone()
    }
}

#[napi]
impl Environment {
    /// `wake` is called, once for many answers, when `drain` has something to give. `resource` stands
    /// for it in async hooks.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: Env, wake: Function<'_, (), ()>, resource: Object<'_>) -> Result<Self> {
        let waker = Waker::new(env, &wake, &resource)?;
        Ok(Self {
            ring: Arc::new(Ring::new(waker)),
            handles: Vec::new(),
            extras: Vec::new(),
            seats: seats::Seats::default(),
            text_length: 0,
        })
    }

    /// Opens an instance; the answer is its handle. Nothing is dialled.
    #[napi(catch_unwind)]
    pub fn open(&mut self, config: String) -> Result<u32> {
        let core = Core::open(&config).map_err(|error| thrown(&error))?;
        let number = u32::try_from(self.handles.len()).unwrap_or(u32::MAX);
        let sink = Arc::new(HandleSink::new(self.ring.clone(), core.clone(), number, 0));
        let listener: Arc<dyn crate::engine::Listener> = sink.clone();
        core.listen(Arc::downgrade(&listener));
        let sinks = RefCell::default();
        self.handles.push(Some(Handle { core, sink, sinks, number }));
        Ok(number)
    }

    /// Hands a batch over; answers what can be answered at once. See `js/bridge.ts` for the layout.
    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments, reason = "one crossing carries a whole tick")]
    pub fn submit(
        &mut self,
        env: Env,
        handle: u32,
        meta: &[f64],
        used: u32,
        text: String,
        extras: Option<Array>,
        mut inbox: Float64ArraySlice<'_>,
    ) -> Result<Option<reply::Text>> {
        // SAFETY: JS does not run during this call, and nothing else has the array's memory.
        let mut writer = Writer::new(unsafe { inbox.as_mut() }, self.text_length);
        let meta = meta.get(..used as usize).unwrap_or(meta);
        let handle = self.handles.get(handle as usize).and_then(Option::as_ref);
        let pending = batch::submit(&self.ring, handle, meta, &text, extras.as_ref(), &mut writer);
        self.ring.entered(env, pending);
        Ok(self.deliver(writer, pending))
    }

    /// Hands out answers that came since.
    #[napi(catch_unwind)]
    pub fn drain(
        &mut self,
        env: Env,
        mut inbox: Float64ArraySlice<'_>,
    ) -> Result<Option<reply::Text>> {
        // SAFETY: JS does not run during this call, and nothing else has the array's memory.
        let mut writer = Writer::new(unsafe { inbox.as_mut() }, self.text_length);
        let delivered = self.ring.drain(&mut writer);
        self.ring.left(env, delivered);
        Ok(self.deliver(writer, 0))
    }

    /// What the last batch of answers could not put into its text.
    #[napi(catch_unwind)]
    pub fn take_extras<'env>(&mut self, env: &'env Env) -> Result<Vec<Unknown<'env>>> {
        std::mem::take(&mut self.extras).into_iter().map(|extra| extra.into_js(env)).collect()
    }

    /// The marks of an instance's keys, as memory that both sides see: JS reads, this side writes. It stays
    /// valid however long it is kept.
    #[napi(catch_unwind)]
    pub fn marks(&mut self, handle: u32) -> Result<Option<Uint32Array>> {
        let handle = self.handles.get(handle as usize).and_then(Option::as_ref);
        let Some(handle) = handle else { return Ok(None) };
        let marks = handle.core.backend.marks();
        let words = marks.words();
        let (pointer, length) = (words.as_ptr().cast_mut().cast::<u32>(), words.len());
        // SAFETY: the words live as long as the reference that goes with them, which is let go of when JS has
        // collected the array; an atomic word has the layout of a plain one, and JS only reads.
        Ok(Some(unsafe {
            Uint32Array::with_external_data(pointer, length, move |_, _| drop(marks))
        }))
    }

    /// Where the numbers of `spend` stand, as memory that both sides see. It stays valid however long it is kept.
    #[napi(catch_unwind)]
    pub fn told(&mut self) -> Float64Array {
        let told = self.seats.told();
        let (pointer, length) = (told.as_ptr().cast_mut().cast::<f64>(), told.len());
        // SAFETY: the numbers live as long as the reference that goes with them, which is let go of when JS has
        // collected the array; both sides run on this environment's thread, and these words hold the bits of numbers.
        unsafe { Float64Array::with_external_data(pointer, length, move |_, _| drop(told)) }
    }

    /// How many takes each seat may decide by itself, as memory that both sides see and count down atomically.
    #[napi(catch_unwind)]
    pub fn cells(&mut self) -> Int32Array {
        let cells = self.seats.cells();
        let (pointer, length) = (cells.as_ptr().cast_mut().cast::<i32>(), cells.len());
        // SAFETY: as of `told`; other threads take numbers out atomically, and so does JS.
        unsafe { Int32Array::with_external_data(pointer, length, move |_, _| drop(cells)) }
    }

    /// Gives a key of a limiter a seat, by which it is named from now on; whoever had the seat has it no longer.
    #[napi(catch_unwind)]
    pub fn seat(&mut self, handle: u32, limiter: u32, key: String, seat: u32) -> Result<()> {
        let handle = self.handles.get(handle as usize).and_then(Option::as_ref);
        let Some(handle) = handle else { return Ok(()) };
        self.seats.take(handle, limiter, &key, seat).map_err(|error| thrown(&error))
    }

    /// Decides a plain take of a seat at once, if that can be done: the outcome, or -1. The rest of the answer stands
    /// in `told`: who decided, how many takes more are lent and for how many ms, and how each limit stands.
    #[napi(catch_unwind)]
    pub fn spend(&mut self, seat: u32, cost: f64) -> i32 {
        self.seats.spend(seat, cost)
    }

    /// A synchronous question or switch; JSON out.
    #[napi(catch_unwind)]
    pub fn inspect(&mut self, handle: u32, what: String, argument: String) -> Result<String> {
        let handle = self.handles.get(handle as usize).and_then(Option::as_ref);
        Ok(match inspect::answer(&self.ring, handle, &what, &argument) {
            Ok(value) => serde_json::json!({ "ok": value }).to_string(),
            Err(error) => serde_json::json!({ "error": error.to_record() }).to_string(),
        })
    }

    /// Lets go of an instance. What was handed over before is still sent and answered.
    #[napi(catch_unwind)]
    pub fn close(&mut self, handle: u32) -> Result<()> {
        if let Some(handle) = self.handles.get_mut(handle as usize).and_then(Option::take) {
            self.seats.leave(&handle);
            drop(handle);
        }
        Ok(())
    }

    fn deliver(&mut self, writer: Writer<'_>, pending: u32) -> Option<reply::Text> {
        let more = self.ring.wanted();
        let (text, extras) = writer.finish(more, pending);
        self.extras = extras;
        self.text_length = text.as_ref().map_or(0, reply::Text::len);
        text
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // The environment is gone: nobody is woken any more, and work already sent goes on.
        self.ring.close();
        self.seats.clear();
        self.handles.clear();
    }
}

/// An error that is thrown at once: its message is the record, which JS turns into a `HoldfastError`.
fn thrown(error: &Error) -> napi::Error {
    napi::Error::from_reason(error.to_record().to_string())
}

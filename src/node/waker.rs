//! Wakes a JS environment from another thread: one weak threadsafe function, made by hand.
//!
//! By hand for two reasons. Its resource is an object of ours with `hasRef`, by which jest's search for
//! open handles sees that an idle instance holds nothing. And it is held while operations are on their
//! way and let go when none is, which must stay cheap.
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use napi::bindgen_prelude::{Env, Function, JsValue, Object, Result, sys};
use napi::{Error, Status};
use parking_lot::Mutex;

/// The function while the environment lives. `None` once it ends: the lock keeps a call from
/// overlapping the end.
struct Raw(sys::napi_threadsafe_function);

// SAFETY: a threadsafe function may be called from any thread; that is what it is for.
unsafe impl Send for Raw {}

pub struct Waker(Arc<Mutex<Option<Raw>>>);

impl Waker {
    pub fn new(env: Env, wake: &Function<'_, (), ()>, resource: &Object<'_>) -> Result<Self> {
        let name = env.create_string("holdfast")?;
        let shared = Arc::new(Mutex::new(None));
        let context = Arc::into_raw(shared.clone());
        let mut raw = ptr::null_mut();
        // SAFETY: all values belong to this environment and live through the call; `context` is given
        // up to `ended`, which runs once, when the function is finalised.
        let status = unsafe {
            sys::napi_create_threadsafe_function(
                env.raw(),
                wake.raw(),
                resource.raw(),
                name.raw(),
                0,
                1,
                context.cast_mut().cast(),
                Some(ended),
                ptr::null_mut(),
                None,
                &raw mut raw,
            )
        };
        if status != sys::Status::napi_ok {
            // SAFETY: nobody else took the context.
            drop(unsafe { Arc::from_raw(context) });
            return Err(Error::new(Status::from(status), "the wake could not be set up"));
        }
        *shared.lock() = Some(Raw(raw));
        let waker = Self(shared);
        waker.hold(env, false);
        Ok(waker)
    }

    /// Calls the function soon, on its own thread. Answers false when the environment is gone.
    pub fn wake(&self) -> bool {
        let raw = self.0.lock();
        let Some(raw) = raw.as_ref() else { return false };
        // SAFETY: the function lives while the lock shows it.
        let status = unsafe {
            sys::napi_call_threadsafe_function(
                raw.0,
                ptr::null_mut(),
                sys::ThreadsafeFunctionCallMode::nonblocking,
            )
        };
        status == sys::Status::napi_ok
    }

    /// Whether it keeps the process alive. Called on the environment's own thread.
    pub fn hold(&self, env: Env, held: bool) {
        let raw = self.0.lock();
        let Some(raw) = raw.as_ref() else { return };
        // SAFETY: as above; the status says at worst that the environment is closing.
        unsafe {
            if held {
                sys::napi_ref_threadsafe_function(env.raw(), raw.0);
            } else {
                sys::napi_unref_threadsafe_function(env.raw(), raw.0);
            }
        }
    }

    /// Nobody is woken any more.
    pub fn close(&self) {
        let raw = self.0.lock().take();
        if let Some(raw) = raw {
            // SAFETY: taken out under the lock, so nobody else uses it; it is released once.
            unsafe {
                sys::napi_release_threadsafe_function(
                    raw.0,
                    sys::ThreadsafeFunctionReleaseMode::abort,
                );
            }
        }
    }
}

/// The environment finalises the function, at its own end at the latest.
unsafe extern "C" fn ended(_: sys::napi_env, data: *mut c_void, _: *mut c_void) {
    // SAFETY: this is the pointer that `new` gave up, and it is called once.
    let shared = unsafe { Arc::from_raw(data.cast::<Mutex<Option<Raw>>>()) };
    shared.lock().take();
}

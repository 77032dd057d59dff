//! What the memory store says that it holds, against what it has taken from the allocator.
//!
//! The store's bound is a promise about memory, so its bytes must never be fewer than what was taken;
//! and not more than 2.2 times as many, or much of the memory that was granted would lie idle. The most
//! is for small values in full tables: what an entry weighs covers the emptiest ones. Empty elements of
//! collections are left out of that: they take nothing, and weigh what one of a byte does.
//!
//! Blocks are counted as glibc makes them: 8 bytes before each, sizes in steps of 16, 32 at least.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Arguments;

use bytes::Bytes;
use holdfast::backend::memory::store::{Data, End, Entry, Hash, List, Set, Standing, Store};
use holdfast::base::stamp::Stamp;

struct Counted;

#[global_allocator]
static COUNTED: Counted = Counted;

thread_local! {
    /// By thread, since tests run side by side.
    static TAKEN: Cell<isize> = const { Cell::new(0) };
}

fn block(layout: Layout) -> isize {
    isize::try_from((layout.size() + 8).next_multiple_of(16).max(32)).unwrap_or(isize::MAX)
}

fn note(bytes: isize) {
    // A thread that ends has no count any more.
    let _ = TAKEN.try_with(|taken| taken.set(taken.get() + bytes));
}

// SAFETY: every call is handed on as it came; counting takes no memory.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(block(layout));
        // SAFETY: what the caller promises is what is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-block(layout));
        // SAFETY: as above, and `alloc` gave the pointer.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn taken() -> isize {
    TAKEN.with(Cell::get)
}

/// A store under measurement.
struct Scale {
    store: Store,
    before: isize,
}

impl Scale {
    /// What an empty store takes is not the entries'.
    fn new() -> Self {
        let store = Store::new(usize::MAX);
        Self { store, before: taken() }
    }

    fn put(&mut self, key: &[u8], data: Data, expires_at: Option<u64>, standing: Standing) {
        let stamp = Stamp { micros: 1, process: 1 };
        let entry = Entry { data, format: 0, stamp, expires_at, standing };
        self.store.set(key, entry, 0).unwrap();
    }

    fn change(&mut self, key: &[u8], change: impl FnOnce(&mut Data)) {
        self.store.update(key, 0, 0, change).unwrap();
    }

    /// The weight and what was taken.
    fn read(&self) -> (usize, usize) {
        (self.store.bytes(), usize::try_from(taken() - self.before).unwrap())
    }

    fn covers(&self, what: Arguments<'_>) {
        let (weight, taken) = self.read();
        assert!(weight >= taken, "{what}: {taken} bytes taken, and {weight} stated");
    }

    fn fits(&self, what: Arguments<'_>) {
        self.covers(what);
        let (weight, taken) = self.read();
        assert!(weight * 10 <= taken * 22, "{what}: {weight} bytes stated, and {taken} taken");
    }
}

/// A key of exactly so many bytes.
fn key(at: usize, length: usize) -> Vec<u8> {
    format!("{at:0length$}").into_bytes()
}

/// The same numbers in another order.
fn scattered(at: usize, count: usize) -> usize {
    at * 7919 % count
}

fn text(size: usize, cloned: bool) -> Data {
    let bytes = Bytes::from(vec![7; size]);
    if cloned {
        // The header that is shared stays when the clone goes.
        drop(bytes.clone());
    }
    Data::Bytes(bytes)
}

#[test]
fn strings_of_every_shape_weigh_what_they_take() {
    let count = 1_009;
    for length in [6, 8, 9, 24, 25, 40, 500] {
        for size in [0, 1, 24, 25, 100, 5_000] {
            for (cloned, expires) in [(false, false), (true, false), (false, true), (true, true)] {
                let mut scale = Scale::new();
                for at in 0..count {
                    let expires_at = expires.then(|| 1 + scattered(at, count) as u64);
                    let data = text(size, cloned);
                    scale.put(&key(at, length), data, expires_at, Standing::Clean);
                }
                scale.fits(format_args!("{length}, {size}, cloned {cloned}, expires {expires}"));
            }
        }
    }
}

/// A table doubles beyond 7/8 of a power of two, and is at its emptiest then.
#[test]
fn tables_that_have_just_doubled_are_paid_for() {
    for count in [57_344, 57_345, 200_000] {
        for expires in [false, true] {
            let mut scale = Scale::new();
            for at in 0..count {
                let expires_at = expires.then_some(1 + at as u64);
                scale.put(&key(at, 9), text(1, true), expires_at, Standing::Clean);
            }
            scale.fits(format_args!("{count} strings, expires {expires}"));
        }
    }
}

#[test]
fn entries_that_change_shelves_are_paid_for_on_the_way() {
    let count = 57_345;
    let mut scale = Scale::new();
    for at in 0..count {
        scale.put(&key(at, 9), text(1, true), Some(1 + at as u64), Standing::Journalled);
    }
    scale.covers(format_args!("all journalled"));
    for at in 0..count {
        scale.store.mark_clean(&key(at, 9), Stamp { micros: 1, process: 1 });
        if at % 4_096 == 0 || at + 2 >= count {
            scale.covers(format_args!("{} of them clean", at + 1));
        }
    }
}

/// What each shape of collection is filled and thinned with.
fn hash(elements: usize, size: usize) -> Data {
    let mut hash = Hash::default();
    for at in 0..elements {
        hash.insert(&key(scattered(at, elements), 4), &vec![7; size]);
    }
    Data::Hash(Box::new(hash))
}

fn list(elements: usize, size: usize) -> Data {
    let mut list = List::default();
    for _ in 0..elements {
        list.push(End::Right, &vec![7; size]);
    }
    Data::List(Box::new(list))
}

fn set(elements: usize, size: usize) -> Data {
    let mut set = Set::default();
    for at in 0..elements {
        set.insert(&key(scattered(at, elements), size.max(4)));
    }
    Data::Set(Box::new(set))
}

type Make = fn(usize, usize) -> Data;

const COLLECTIONS: [(&str, Make); 3] = [("hashes", hash), ("lists", list), ("sets", set)];

#[test]
fn collections_of_every_size_weigh_what_they_take() {
    for (name, make) in COLLECTIONS {
        for elements in [1, 2, 4, 5, 6, 11, 12, 17, 50, 997] {
            for size in [0, 1, 20, 100] {
                let mut scale = Scale::new();
                for at in 0..(20_000 / elements).clamp(20, 1_000) {
                    scale.put(&key(at, 8), make(elements, size), None, Standing::Clean);
                }
                scale.covers(format_args!("{name} of {elements} with {size} bytes each"));
                if size > 0 {
                    scale.fits(format_args!("{name} of {elements} with {size} bytes each"));
                }
            }
        }
    }
}

/// Nodes are emptiest after removals, and a ring keeps its places until it is told not to.
#[test]
fn collections_that_were_thinned_out_are_paid_for() {
    for (name, make) in COLLECTIONS {
        for keep in [2, 3, 5, 10, 50] {
            let mut scale = Scale::new();
            for at in 0..200 {
                scale.put(&key(at, 8), make(500, 1), None, Standing::Clean);
            }
            for at in 0..200 {
                scale.change(&key(at, 8), |data| {
                    for element in (0..500).filter(|element| element % keep != 0) {
                        thin(data, element);
                    }
                });
            }
            scale.covers(format_args!("{name}, one in {keep} left"));
        }
    }
}

fn thin(data: &mut Data, element: usize) {
    match data {
        Data::Bytes(_) => {}
        Data::Hash(hash) => {
            hash.remove(&key(element, 4));
        }
        Data::List(list) => {
            list.pop(End::Left);
        }
        Data::Set(set) => {
            set.remove(&key(element, 4));
        }
    }
}

#[test]
fn a_list_that_grows_in_place_is_paid_for_at_every_step() {
    let mut scale = Scale::new();
    scale.put(b"list", list(1, 1), None, Standing::Clean);
    for step in 0..1_000 {
        scale.store.update(b"list", 1_000, 0, |data| thin_or_grow(data, step)).unwrap();
        scale.covers(format_args!("step {step}"));
    }
}

/// Three pieces more, or now and then nearly all of them less.
fn thin_or_grow(data: &mut Data, step: usize) {
    let Data::List(list) = data else { return };
    if step % 97 == 96 {
        list.keep(0, 2);
    } else {
        for _ in 0..3 {
            list.push(End::Left, b"x");
        }
    }
}

#[test]
fn an_empty_store_has_given_everything_back_but_its_tables() {
    let mut scale = Scale::new();
    for at in 0..1_000 {
        scale.put(&key(at, 8), hash(5, 5), Some(1), Standing::Clean);
    }
    scale.store.sweep(1, usize::MAX);
    let (weight, taken) = scale.read();
    assert_eq!(weight, 0);
    assert!(taken < 64 * 1024, "{taken} bytes are still taken");
}

//! What the memory store and the journal say that they hold, against what they have taken from the allocator.
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
use holdfast::backend::intent::{Intent, Wish};
use holdfast::backend::memory::store::{Data, End, Entry, Hash, List, Set, Standing, Store};
use holdfast::backend::{Meta, Policy, Removal, Tags, Value};
use holdfast::base::keys::Keys;
use holdfast::base::stamp::Stamp;
use holdfast::resilience::journal::Journal;

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
        self.put_with(key, data, &Meta { expires_at, ..plain() }, standing);
    }

    fn put_with(&mut self, key: &[u8], data: Data, meta: &Meta, standing: Standing) {
        self.store.set(key, Entry::new(data, meta, standing), 0).unwrap();
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

fn plain() -> Meta {
    Meta { stamp: Stamp { micros: 1, process: 1 }, ..Meta::default() }
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

/// How tags come into a process.
#[derive(Clone, Copy, Debug)]
enum Came {
    /// From a caller.
    Given,
    /// From a caller, and somebody else keeps them too for a while.
    Shared,
    /// With a value that was read.
    Read,
}

const CAME: [Came; 3] = [Came::Given, Came::Shared, Came::Read];

/// So many tags of so many bytes each.
fn tags(count: usize, length: usize, came: Came) -> Tags {
    let names: Vec<String> = (0..count).map(|at| format!("{at:0length$}")).collect();
    let tags = Tags::new(names.iter().map(String::as_str)).unwrap();
    match came {
        Came::Given => tags,
        Came::Shared => {
            drop(tags.clone());
            tags
        }
        Came::Read => Tags::read(tags.stored()).unwrap(),
    }
}

/// Numbers of tags, and their lengths.
const TAGGED: [(usize, usize); 9] =
    [(1, 1), (1, 12), (1, 13), (1, 30), (2, 7), (3, 20), (8, 40), (20, 100), (39, 100)];

#[test]
fn what_comes_with_an_entry_weighs_what_it_takes() {
    for count in [1_009, 57_345] {
        let fresh_until = Some(1);
        let mut scale = Scale::new();
        for at in 0..count {
            let meta = Meta { fresh_until, ..plain() };
            scale.put_with(&key(at, 9), text(1, true), &meta, Standing::Clean);
        }
        scale.fits(format_args!("{count} with an end of their freshness"));
    }
    for (many, length) in TAGGED {
        for came in CAME {
            let mut scale = Scale::new();
            for at in 0..1_009 {
                let meta = Meta { tags: tags(many, length, came), ..plain() };
                scale.put_with(&key(at, 9), text(1, true), &meta, Standing::Clean);
            }
            scale.fits(format_args!("{many} tags of {length} bytes each, {came:?}"));
        }
    }
}

/// What one of many costs on top of one that is plain: stated, and taken.
fn on_top(meta: impl Fn() -> Meta) -> (usize, usize) {
    let measured = |meta: &dyn Fn() -> Meta| {
        let mut scale = Scale::new();
        for at in 0..1_000 {
            scale.put_with(&key(at, 9), text(1, true), &meta(), Standing::Clean);
        }
        scale.read()
    };
    let ((weight, taken), (plain, taken_plain)) = (measured(&meta), measured(&plain));
    ((weight - plain) / 1_000, (taken - taken_plain) / 1_000)
}

#[test]
fn terms_and_tags_are_counted_closely() {
    let (stated, taken) = on_top(|| Meta { fresh_until: Some(1), ..plain() });
    assert!(closely(stated, taken), "terms: {stated} bytes stated, and {taken} taken");
    for (many, length) in TAGGED {
        for came in CAME {
            let (stated, taken) = on_top(|| Meta { tags: tags(many, length, came), ..plain() });
            let what = format_args!("{many} tags of {length} bytes each, {came:?}");
            assert!(closely(stated, taken), "{what}: {stated} bytes stated, and {taken} taken");
        }
    }
}

/// Not less, and at most a quarter more; a block is a step of the allocator larger or smaller.
fn closely(stated: usize, taken: usize) -> bool {
    stated >= taken && stated <= (taken * 5 / 4).max(taken + 48)
}

/// What a journal says of what `fill` puts into it, and what that took.
fn journal(fill: impl FnOnce(&mut Journal)) -> (usize, usize) {
    let mut journal = Journal::new(usize::MAX / 2);
    let before = taken();
    fill(&mut journal);
    (journal.bytes(), usize::try_from(taken() - before).unwrap())
}

fn journal_covers(what: Arguments<'_>, fill: impl FnOnce(&mut Journal)) {
    let (weight, taken) = journal(fill);
    assert!(weight >= taken, "{what}: {taken} bytes taken, and {weight} stated");
    assert!(weight * 10 <= taken * 22, "{what}: {weight} bytes stated, and {taken} taken");
}

/// A table doubles beyond 7/8 of a power of two.
const COUNTS: [usize; 2] = [1_009, 57_345];

/// A key as it comes from a manager, which keeps it for its answer too.
fn managed(keys: &Keys, at: usize) -> Bytes {
    let key = keys.entry("cache", &at.to_string());
    drop(key.clone());
    key
}

#[test]
fn a_journal_of_sets_weighs_what_it_takes() {
    let keys = Keys::new("ai-chatbot:");
    for count in COUNTS {
        for (many, length) in [(0, 0), (1, 1), (1, 30), (8, 40), (39, 100)] {
            for size in [0, 1, 100, 5_000] {
                if count * (size + many * length) > 20_000_000 {
                    continue;
                }
                journal_covers(
                    format_args!("{count} sets of {size} bytes with {many} tags of {length}"),
                    |journal| {
                        for at in 0..count {
                            let tags = tags(many, length, Came::Shared);
                            let payload = Bytes::from(vec![7; size]);
                            drop(payload.clone());
                            let policy = Policy { tags, ..Policy::default() };
                            let value = Value { payload, policy, ..Value::default() };
                            let (expires_at, fresh_until, expired) = (None, Some(1), None);
                            let wish =
                                Wish::Set { value, expires_at, fresh_until, since: 0, expired };
                            let key = managed(&keys, at);
                            let stamp = Stamp { micros: at as u64, process: 1 };
                            assert!(journal.set(Intent { key, stamp, wish }));
                        }
                    },
                );
            }
        }
    }
}

#[test]
fn a_journal_of_deletes_weighs_what_it_takes() {
    let keys = Keys::new("ai-chatbot:");
    for count in COUNTS {
        journal_covers(format_args!("{count} deletes"), |journal| {
            for at in 0..count {
                let stamp = Stamp { micros: at as u64, process: 1 };
                journal.delete(managed(&keys, at), stamp, &keys);
            }
        });
        journal_covers(format_args!("{count} that are stale"), |journal| {
            for at in 0..count {
                let stamp = Stamp { micros: at as u64, process: 1 };
                journal.expire(managed(&keys, at), stamp, &keys);
            }
        });
    }
}

#[test]
fn a_journal_of_tag_invalidations_weighs_what_it_takes() {
    let keys = Keys::new("ai-chatbot:");
    for count in COUNTS {
        for length in [6, 10, 16, 40, 200] {
            for removals in [
                &[Removal::Delete][..],
                &[Removal::Delete, Removal::Expire],
                &[Removal::Delete, Removal::Delete, Removal::Expire, Removal::Delete],
            ] {
                let what = format_args!("{count} tags of {length} bytes, {removals:?}");
                journal_covers(what, |journal| {
                    for at in 0..count {
                        let marker = keys.marker(&key(at, length));
                        for (step, removal) in removals.iter().enumerate() {
                            let micros = (at * removals.len() + step) as u64;
                            let stamp = Stamp { micros, process: 1 };
                            journal.invalidate_tag(marker.clone(), *removal, stamp, &keys);
                        }
                    }
                });
            }
        }
    }
}

//! The laws of the memory store, against a model too naive to be wrong in the same way. Long because
//! the model stands beside the laws that are checked against it.
use bytes::Bytes;
use proptest::prelude::*;

use super::entry::{Entry, OVERHEAD, Standing};
use super::store::{Evicted, MAX_LEASE_BYTES, MAX_LEASES, Store};
use crate::base::stamp::Stamp;

fn entry(payload: &[u8], expires_at: Option<u64>, standing: Standing) -> Entry {
    Entry {
        payload: Bytes::copy_from_slice(payload),
        format: 0,
        stamp: Stamp::default(),
        expires_at,
        standing,
    }
}

fn clean(payload: &[u8]) -> Entry {
    entry(payload, None, Standing::Clean)
}

fn journalled(payload: &[u8], micros: u64) -> Entry {
    Entry { stamp: Stamp { micros, process: 1 }, ..entry(payload, None, Standing::Journalled) }
}

fn expiring(payload: &[u8], at: u64) -> Entry {
    entry(payload, Some(at), Standing::Clean)
}

fn keys(names: &[&[u8]]) -> Vec<Box<[u8]>> {
    names.iter().map(|name| Box::from(*name)).collect()
}

fn sorted(mut keys: Vec<Box<[u8]>>) -> Vec<Box<[u8]>> {
    keys.sort();
    keys
}

/// All that can be seen of an entry.
type Seen = (Vec<u8>, u8, Stamp, Option<u64>, Standing);

fn seen(entry: &Entry) -> Seen {
    let Entry { payload, format, stamp, expires_at, standing } = entry.clone();
    (payload.to_vec(), format, stamp, expires_at, standing)
}

/// The store as one list, used longest ago first, with every rule written out by scanning it.
struct Model {
    limit: usize,
    /// Key, entry, and the number of the set that wrote it.
    entries: Vec<(Vec<u8>, Entry, u64)>,
    leases: Vec<(Vec<u8>, u64)>,
    sets: u64,
}

impl Model {
    fn place(&self, key: &[u8]) -> Option<usize> {
        self.entries.iter().position(|(held, ..)| held == key)
    }

    fn bytes(&self) -> usize {
        self.entries.iter().map(|(key, entry, _)| key.len() + entry.payload.len() + OVERHEAD).sum()
    }

    fn live(&self, key: &[u8], now: u64) -> Option<Seen> {
        let (_, entry, _) = &self.entries[self.place(key)?];
        entry.expires_at.is_none_or(|at| at > now).then(|| seen(entry))
    }

    fn live_keys(&self, prefix: &[u8], now: u64) -> Vec<Box<[u8]>> {
        let keys = self.entries.iter().map(|(key, ..)| key);
        let live = keys.filter(|key| key.starts_with(prefix) && self.live(key, now).is_some());
        sorted(live.map(|key| Box::from(&**key)).collect())
    }

    fn take_out(&mut self, key: &[u8]) {
        self.entries.retain(|(held, ..)| held != key);
    }

    fn drop_lease(&mut self, key: &[u8]) {
        self.leases.retain(|(held, _)| held != key);
    }

    fn get(&mut self, key: &[u8], now: u64) -> Option<Seen> {
        let answer = self.live(key, now);
        if let Some(place) = self.place(key) {
            let used = self.entries.remove(place);
            if answer.is_some() {
                self.entries.push(used);
            }
        }
        answer
    }

    fn first_due(&self, now: u64) -> Option<usize> {
        (0..self.entries.len())
            .filter(|place| self.entries[*place].1.expires_at.is_some_and(|at| at <= now))
            .min_by_key(|place| (self.entries[*place].1.expires_at, self.entries[*place].2))
    }

    fn set(&mut self, key: &[u8], entry: Entry, now: u64) -> Option<Evicted> {
        let needed = key.len() + entry.payload.len() + OVERHEAD;
        if needed > self.limit {
            return None;
        }
        let mut evicted = Evicted::default();
        self.drop_lease(key);
        self.take_out(key);
        if entry.expires_at.is_some_and(|at| at <= now) {
            return Some(evicted);
        }
        while self.bytes() + needed > self.limit {
            let first_clean =
                self.entries.iter().position(|held| held.1.standing == Standing::Clean);
            if let Some(due) = self.first_due(now) {
                self.entries.remove(due);
            } else if let Some(place) = first_clean {
                self.entries.remove(place);
                evicted.clean += 1;
            } else {
                evicted.journalled.push(self.entries.remove(0).0.into_boxed_slice());
            }
        }
        self.sets += 1;
        self.entries.push((key.to_vec(), entry, self.sets));
        Some(evicted)
    }

    fn remove(&mut self, key: &[u8], now: u64) -> Option<Seen> {
        let answer = self.live(key, now);
        self.drop_lease(key);
        self.take_out(key);
        answer
    }

    fn mark_clean(&mut self, key: &[u8], stamp: Stamp) {
        let Some(place) = self.place(key) else { return };
        let held = &self.entries[place].1;
        if held.standing == Standing::Journalled && held.stamp == stamp {
            let mut used = self.entries.remove(place);
            used.1.standing = Standing::Clean;
            self.entries.push(used);
        }
    }

    fn sweep(&mut self, now: u64, at_most: usize) -> usize {
        let mut swept = 0;
        while swept < at_most {
            let Some(due) = self.first_due(now) else { break };
            self.entries.remove(due);
            swept += 1;
        }
        swept
    }

    fn remove_prefix(&mut self, prefix: &[u8], now: u64) -> Vec<Box<[u8]>> {
        let answer = self.live_keys(prefix, now);
        self.entries.retain(|(key, ..)| !key.starts_with(prefix));
        self.leases.retain(|(key, _)| !key.starts_with(prefix));
        answer
    }

    fn use_lease(&mut self, key: &[u8], token: u64) -> bool {
        let stands = self.leases.contains(&(key.to_vec(), token));
        if stands {
            self.drop_lease(key);
        }
        stands
    }
}

#[derive(Clone, Debug)]
enum Step {
    Get(Vec<u8>),
    Peek(Vec<u8>),
    Set { key: Vec<u8>, size: usize, micros: u64, ttl: Option<u64>, standing: Standing },
    Remove(Vec<u8>),
    MarkClean(Vec<u8>, u64),
    Sweep(usize),
    RemovePrefix(Vec<u8>),
    Keys(Vec<u8>),
    ClearClean,
    TakeLease(Vec<u8>, u64),
    UseLease(Vec<u8>, u64),
    DropLease(Vec<u8>),
    Wait(u64),
}

/// Few and short keys, so that they meet, and many are prefixes of others.
fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![b'a', b'b', b':']), 0..4)
}

fn any_set() -> impl Strategy<Value = Step> {
    let standing = prop_oneof![Just(Standing::Clean), Just(Standing::Journalled)];
    (any_key(), 0..400_usize, 0..3_u64, prop::option::of(0..30_u64), standing).prop_map(
        |(key, size, micros, ttl, standing)| Step::Set { key, size, micros, ttl, standing },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => any_set(),
        6 => any_key().prop_map(Step::Get),
        2 => any_key().prop_map(Step::Peek),
        3 => any_key().prop_map(Step::Remove),
        4 => (any_key(), 0..3_u64).prop_map(|(key, micros)| Step::MarkClean(key, micros)),
        2 => (0..4_usize).prop_map(Step::Sweep),
        1 => any_key().prop_map(Step::RemovePrefix),
        1 => any_key().prop_map(Step::Keys),
        1 => Just(Step::ClearClean),
        3 => (any_key(), 0..3_u64).prop_map(|(key, token)| Step::TakeLease(key, token)),
        3 => (any_key(), 0..3_u64).prop_map(|(key, token)| Step::UseLease(key, token)),
        1 => any_key().prop_map(Step::DropLease),
        4 => (0..10_u64).prop_map(Step::Wait),
    ]
}

/// Runs one step on both and compares the answers.
fn step(
    store: &mut Store,
    model: &mut Model,
    step: Step,
    now: &mut u64,
) -> Result<(), TestCaseError> {
    let at = *now;
    match step {
        Step::Get(key) => prop_assert_eq!(store.get(&key, at).map(seen), model.get(&key, at)),
        Step::Peek(key) => prop_assert_eq!(store.peek(&key, at).map(seen), model.live(&key, at)),
        Step::Set { key, size, micros, ttl, standing } => {
            let stamp = Stamp { micros, process: 1 };
            let expires_at = ttl.map(|ttl| at + ttl);
            let entry = Entry { stamp, ..entry(&vec![7; size], expires_at, standing) };
            let answer = store.set(&key, entry.clone(), at);
            let cost_a_journalled_one =
                answer.as_ref().is_ok_and(|evicted| !evicted.journalled.is_empty());
            prop_assert_eq!(answer.ok(), model.set(&key, entry, at));
            if cost_a_journalled_one {
                for other in store.keys_with_prefix(b"", at) {
                    let kept = store.peek(&other, at).map(|entry| entry.standing);
                    prop_assert!(*other == *key || kept == Some(Standing::Journalled));
                }
            }
        }
        Step::Remove(key) => {
            let answer = store.remove(&key, at).as_ref().map(seen);
            prop_assert_eq!(answer, model.remove(&key, at));
        }
        Step::MarkClean(key, micros) => {
            store.mark_clean(&key, Stamp { micros, process: 1 });
            model.mark_clean(&key, Stamp { micros, process: 1 });
        }
        Step::Sweep(most) => prop_assert_eq!(store.sweep(at, most), model.sweep(at, most)),
        Step::RemovePrefix(prefix) => prop_assert_eq!(
            sorted(store.remove_prefix(&prefix, at)),
            model.remove_prefix(&prefix, at)
        ),
        Step::Keys(prefix) => prop_assert_eq!(
            sorted(store.keys_with_prefix(&prefix, at)),
            model.live_keys(&prefix, at)
        ),
        Step::ClearClean => {
            store.clear_clean();
            model.entries.retain(|held| held.1.standing == Standing::Journalled);
        }
        Step::TakeLease(key, token) => {
            store.take_lease(&key, token);
            model.drop_lease(&key);
            model.leases.push((key, token));
        }
        Step::UseLease(key, token) => {
            prop_assert_eq!(store.use_lease(&key, token), model.use_lease(&key, token));
        }
        Step::DropLease(key) => {
            store.drop_lease(&key);
            model.drop_lease(&key);
        }
        Step::Wait(micros) => *now += micros,
    }
    Ok(())
}

/// What holds after every step.
fn balanced(store: &Store, model: &Model) -> Result<(), TestCaseError> {
    let (bytes, expiring, records, twice) = store.audit();
    prop_assert_eq!(store.bytes(), bytes);
    prop_assert_eq!(store.bytes(), model.bytes());
    prop_assert_eq!(store.len(), model.entries.len());
    prop_assert!(store.bytes() <= store.limit());
    prop_assert_eq!(records, expiring);
    prop_assert_eq!(twice, 0);
    let next = model.entries.iter().filter_map(|held| held.1.expires_at).min();
    prop_assert_eq!(store.next_expiry(), next);
    Ok(())
}

fn agree(limit: usize, steps: Vec<Step>) -> Result<Store, TestCaseError> {
    let mut store = Store::new(limit);
    let mut model = Model { limit, entries: Vec::new(), leases: Vec::new(), sets: 0 };
    let mut now = 1_000;
    for next in steps {
        step(&mut store, &mut model, next, &mut now)?;
        balanced(&store, &model)?;
    }
    Ok(store)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_store_with_room_answers_as_a_plain_map_would(
        steps in prop::collection::vec(any_step(), 1..120),
    ) {
        let store = agree(usize::MAX, steps)?;
        prop_assert_eq!(store.stats().evicted, 0);
    }

    #[test]
    fn a_full_store_drops_expired_then_clean_then_journalled_ones_and_never_exceeds_its_limit(
        limit in 0..8 * OVERHEAD,
        steps in prop::collection::vec(any_step(), 1..120),
    ) {
        agree(limit, steps)?;
    }

    #[test]
    fn expired_entries_leave_the_memory_without_being_read(
        sets in prop::collection::vec(any_set(), 1..60),
    ) {
        let mut store = agree(usize::MAX, sets)?;
        store.sweep(1_000 + 30, usize::MAX);
        let (_, expiring, records, _) = store.audit();
        prop_assert_eq!((expiring, records, store.next_expiry()), (0, 0, None));
        store.remove_prefix(b"", 1_000);
        prop_assert_eq!((store.len(), store.bytes()), (0, 0));
    }

    #[test]
    fn a_lease_destroyed_by_a_delete_never_fills(
        key in any_key(),
        prefix_length in 0..4_usize,
        how in 0..4_u8,
        others in prop::collection::vec((any_key(), 0..3_u64), 0..20),
        stored in any::<bool>(),
    ) {
        let mut store = Store::new(1 << 20);
        if stored {
            store.set(&key, clean(b"old"), 0).unwrap();
        }
        store.take_lease(&key, 99);
        match how {
            0 => drop(store.remove(&key, 0)),
            1 => drop(store.remove_prefix(&key[..prefix_length.min(key.len())], 0)),
            2 => drop(store.set(&key, clean(b"new"), 0)),
            _ => store.drop_lease(&key),
        }
        for (other, token) in others {
            store.take_lease(&other, token);
        }
        prop_assert!(!store.use_lease(&key, 99));
    }
}

#[test]
fn a_lease_fills_once_and_only_for_its_own_token() {
    let mut store = Store::new(1 << 20);
    store.take_lease(b"k", 1);
    assert!(!store.use_lease(b"k", 2));
    assert!(!store.use_lease(b"other", 1));
    assert!(store.use_lease(b"k", 1));
    assert!(!store.use_lease(b"k", 1));
}

#[test]
fn a_later_load_takes_the_lease_over() {
    let mut store = Store::new(1 << 20);
    store.take_lease(b"k", 1);
    store.take_lease(b"k", 2);
    assert!(!store.use_lease(b"k", 1));
    assert!(store.use_lease(b"k", 2));
}

#[test]
fn forgetting_an_entry_is_no_delete_so_the_lease_stands() {
    let mut store = Store::new(1 << 20);
    store.set(b"cleared", clean(b"v"), 0).unwrap();
    store.set(b"expired", expiring(b"v", 10), 0).unwrap();
    store.take_lease(b"cleared", 1);
    store.take_lease(b"expired", 2);
    store.sweep(10, usize::MAX);
    store.clear_clean();
    assert!(store.use_lease(b"cleared", 1));
    assert!(store.use_lease(b"expired", 2));
}

#[test]
fn beyond_the_bound_the_oldest_lease_goes_and_its_fill_is_refused() {
    let mut store = Store::new(1 << 20);
    for token in 0..=MAX_LEASES as u64 {
        store.take_lease(&token.to_le_bytes(), token);
    }
    assert!(!store.use_lease(&0_u64.to_le_bytes(), 0));
    assert!(store.use_lease(&1_u64.to_le_bytes(), 1));
}

#[test]
fn long_keys_do_not_make_leases_grow_beyond_their_bytes() {
    let mut store = Store::new(1 << 20);
    let long = |first: u8| vec![first; MAX_LEASE_BYTES / 2];
    for (token, key) in [long(1), long(2), long(3)].iter().enumerate() {
        store.take_lease(key, token as u64);
    }
    assert!(!store.use_lease(&long(1), 0));
    assert!(store.use_lease(&long(2), 1));
    assert!(store.use_lease(&long(3), 2));
    store.take_lease(&vec![0; MAX_LEASE_BYTES + 1], 3);
    assert!(!store.use_lease(&vec![0; MAX_LEASE_BYTES + 1], 3));
}

#[test]
fn an_entry_that_alone_exceeds_the_limit_changes_nothing() {
    let mut store = Store::new(OVERHEAD + 10);
    store.set(b"k", clean(b"old"), 0).unwrap();
    store.take_lease(b"k", 1);
    let full = store.set(b"k", clean(&[0; 10]), 0).unwrap_err();
    assert_eq!((full.needed, full.limit), (OVERHEAD + 11, OVERHEAD + 10));
    assert_eq!(store.get(b"k", 0).unwrap().payload, "old");
    assert!(store.use_lease(b"k", 1));
}

#[test]
fn an_entry_of_exactly_the_limit_fits() {
    let mut store = Store::new(OVERHEAD + 10);
    assert!(store.set(b"k", clean(&[0; 9]), 0).is_ok());
    assert_eq!(store.bytes(), store.limit());
}

#[test]
fn reading_keeps_an_entry_and_peeking_does_not() {
    let mut store = Store::new(3 * (OVERHEAD + 2));
    for key in [b"a", b"b", b"c"] {
        store.set(key, clean(b"v"), 0).unwrap();
    }
    store.get(b"a", 0).unwrap();
    store.peek(b"b", 0).unwrap();
    assert_eq!(store.set(b"d", clean(b"v"), 0).unwrap().clean, 1);
    assert_eq!(sorted(store.keys_with_prefix(b"", 0)), keys(&[b"a", b"c", b"d"]));
}

#[test]
fn evicted_journalled_keys_are_named_oldest_first_and_counted() {
    let mut store = Store::new(3 * (OVERHEAD + 2));
    store.set(b"a", journalled(b"v", 1), 0).unwrap();
    store.set(b"b", journalled(b"v", 2), 0).unwrap();
    store.set(b"c", clean(b"v"), 0).unwrap();
    let evicted = store.set(b"d", clean(&[0; 2 * OVERHEAD]), 0).unwrap();
    assert_eq!(evicted, Evicted { clean: 1, journalled: keys(&[b"a", b"b"]) });
    assert_eq!((store.stats().evicted, store.stats().evicted_journalled), (3, 2));
}

#[test]
fn a_replayed_entry_may_be_dropped_and_a_newer_one_may_not() {
    let mut store = Store::new(1 << 20);
    store.set(b"replayed", journalled(b"v", 1), 0).unwrap();
    store.set(b"newer", journalled(b"v", 2), 0).unwrap();
    store.mark_clean(b"replayed", Stamp { micros: 1, process: 1 });
    store.mark_clean(b"newer", Stamp { micros: 1, process: 1 });
    store.clear_clean();
    assert_eq!(store.keys_with_prefix(b"", 0), keys(&[b"newer"]));
}

#[test]
fn an_entry_is_gone_at_the_very_moment_it_expires() {
    let mut store = Store::new(1 << 20);
    store.set(b"k", expiring(b"v", 10), 0).unwrap();
    assert!(store.get(b"k", 9).is_some());
    assert!(store.peek(b"k", 10).is_none());
    assert!(store.get(b"k", 10).is_none());
    assert_eq!((store.len(), store.bytes(), store.stats().expired), (0, 0, 1));
}

#[test]
fn a_set_that_is_expired_already_removes_what_stood_there() {
    let mut store = Store::new(1 << 20);
    store.set(b"k", clean(b"v"), 0).unwrap();
    store.set(b"k", expiring(b"w", 5), 5).unwrap();
    assert!(store.is_empty());
}

#[test]
fn writing_one_key_over_and_over_keeps_one_expiry_record() {
    let mut store = Store::new(1 << 20);
    for now in 0..10_000 {
        store.set(b"k", expiring(b"v", now + 1_000_000), now).unwrap();
    }
    let (_, expiring, records, _) = store.audit();
    assert_eq!((expiring, records, store.stats().evicted), (1, 1, 0));
}

#[test]
fn a_sweep_frees_no_more_than_it_was_asked_to() {
    let mut store = Store::new(1 << 20);
    for key in 0..10_u8 {
        store.set(&[key], expiring(b"v", u64::from(key)), 0).unwrap();
    }
    assert_eq!(store.sweep(4, 3), 3);
    assert_eq!(store.next_expiry(), Some(4));
    assert_eq!(store.sweep(4, 3), 1);
    assert_eq!(store.len(), 5);
}

#[test]
fn what_an_entry_says_is_not_shown_in_debug_output() {
    let shown = format!("{:?}", clean(b"secret"));
    assert!(shown.contains("payload_bytes: 6") && !shown.contains("secret"));
}

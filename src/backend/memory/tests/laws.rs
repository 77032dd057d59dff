//! The laws of the memory store, held against the model.
use bytes::Bytes;
use proptest::prelude::*;

use super::model::{Change, Model, clean, data, seen, sorted};
use crate::backend::memory::entry::{Entry, OVERHEAD, Standing};
use crate::backend::memory::store::Store;
use crate::backend::{Meta, Scope, Tags};
use crate::base::stamp::Stamp;

#[derive(Clone, Debug)]
enum Step {
    Get(Vec<u8>),
    Peek(Vec<u8>),
    Set {
        key: Vec<u8>,
        kind: u8,
        size: usize,
        micros: u64,
        ttl: Option<u64>,
        standing: Standing,
        terms: (Option<u64>, Vec<&'static str>),
    },
    /// The last number is by how much more it says it grows than it does.
    Update(Vec<u8>, Change, usize),
    Expire(Vec<u8>, Option<u64>),
    Remove(Vec<u8>),
    MakeStale(Vec<u8>),
    MarkClean(Vec<u8>, u64),
    MarkJournalled(Vec<u8>),
    Relink(Vec<u8>, u32),
    Sweep(usize),
    RemoveScope(Scope, u64),
    Keys(Vec<u8>),
    ClearClean,
    TakeLease(Vec<u8>, u64, u64),
    KeepLease(Vec<u8>, u64, u64),
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
    let kind = prop_oneof![3 => Just(0_u8), 1 => 1..4_u8];
    let tags = prop::collection::vec(prop::sample::select(vec!["t", "a longer one"]), 0..3);
    let terms = (prop::option::weighted(0.2, 0..30_u64), tags);
    let ttl = prop::option::of(0..30_u64);
    (any_key(), kind, 0..400_usize, 0..3_u64, ttl, standing, terms).prop_map(
        |(key, kind, size, micros, ttl, standing, terms)| Step::Set {
            key,
            kind,
            size,
            micros,
            ttl,
            standing,
            terms,
        },
    )
}

fn any_scope() -> impl Strategy<Value = Scope> {
    let pattern = (any_key(), "[ab:*?]{0,4}");
    prop_oneof![
        any_key().prop_map(|key| Scope::Prefix(key.into())),
        any_key().prop_map(|key| Scope::Tagged(key.into())),
        pattern.prop_map(|(head, pattern)| Scope::Pattern { head: head.into(), pattern }),
    ]
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => (0..6_u8, 0..400_usize).prop_map(|(name, size)| Change::Add(name, size)),
        1 => (0..6_u8).prop_map(Change::Take),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => any_set(),
        8 => (any_key(), any_change(), 0..400_usize)
            .prop_map(|(key, change, more)| Step::Update(key, change, more)),
        3 => (any_key(), prop::option::of(0..30_u64))
            .prop_map(|(key, ttl)| Step::Expire(key, ttl)),
        6 => any_key().prop_map(Step::Get),
        2 => any_key().prop_map(Step::Peek),
        3 => any_key().prop_map(Step::Remove),
        4 => (any_key(), 0..3_u64).prop_map(|(key, micros)| Step::MarkClean(key, micros)),
        2 => (0..4_usize).prop_map(Step::Sweep),
        2 => (any_scope(), 0..3_u64).prop_map(|(scope, micros)| Step::RemoveScope(scope, micros)),
        3 => any_key().prop_map(Step::MakeStale),
        1 => any_key().prop_map(Step::MarkJournalled),
        1 => (any_key(), 0..3_u32).prop_map(|(key, link)| Step::Relink(key, link)),
        1 => any_key().prop_map(Step::Keys),
        1 => Just(Step::ClearClean),
        3 => (any_key(), 0..3_u64, any::<u64>())
            .prop_map(|(key, token, until)| Step::TakeLease(key, token, until)),
        1 => (any_key(), 0..3_u64, any::<u64>())
            .prop_map(|(key, token, until)| Step::KeepLease(key, token, until)),
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
        Step::Set { key, kind, size, micros, ttl, standing, terms: (fresh, tags) } => {
            let meta = Meta {
                stamp: Stamp { micros, process: 1 },
                expires_at: ttl.map(|ttl| at + ttl),
                fresh_until: fresh.map(|fresh| at + fresh),
                tags: Tags::new(tags).unwrap(),
                ..Meta::default()
            };
            let entry = Entry::new(data(kind, size), &meta, standing);
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
        Step::Update(key, change, more) => {
            let grows = change.grows() + more;
            let answer = store.update(&key, grows, at, |data| change.apply(data));
            prop_assert_eq!(answer.ok(), model.update(&key, &change, at));
        }
        Step::Expire(key, ttl) => {
            let expires_at = ttl.map(|ttl| at + ttl);
            let answer = store.expire(&key, expires_at, at);
            prop_assert_eq!(answer, model.expire(&key, expires_at, at));
        }
        Step::Remove(key) => {
            let answer = store.remove(&key, at).as_ref().map(seen);
            prop_assert_eq!(answer, model.remove(&key, at));
        }
        Step::MakeStale(key) => {
            prop_assert_eq!(store.make_stale(&key, at), model.make_stale(&key, at));
        }
        Step::MarkJournalled(key) => {
            store.mark_journalled(&key);
            model.mark_journalled(&key);
        }
        Step::Relink(key, link) => {
            store.relink(&key, link, 7);
            model.relink(&key, link);
        }
        Step::MarkClean(key, micros) => {
            store.mark_clean(&key, Stamp { micros, process: 1 });
            model.mark_clean(&key, Stamp { micros, process: 1 });
        }
        Step::Sweep(most) => prop_assert_eq!(store.sweep(at, most), model.sweep(at, most)),
        Step::RemoveScope(scope, micros) => {
            let stamp = Stamp { micros, process: 1 };
            prop_assert_eq!(
                store.remove_scope(&scope, stamp, at),
                model.remove_scope(&scope, stamp, at)
            );
        }
        Step::Keys(prefix) => prop_assert_eq!(
            sorted(store.keys_with_prefix(&prefix, at)),
            model.live_keys(&prefix, at)
        ),
        Step::ClearClean => {
            store.clear_clean();
            model.entries.retain(|held| held.1.standing == Standing::Journalled);
        }
        Step::TakeLease(key, token, until) => {
            store.take_lease(&key, token, until);
            model.take_lease(&key, token, until);
            prop_assert_eq!(store.lease(&key), model.lease(&key));
        }
        Step::KeepLease(key, token, until) => {
            let kept = store.keep_lease(&key, token, until);
            prop_assert_eq!(kept, model.keep_lease(&key, token, until));
            prop_assert_eq!(store.lease(&key), model.lease(&key));
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
        limit in 0..12 * OVERHEAD,
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
        let all = Scope::Prefix(Bytes::new());
        store.remove_scope(&all, Stamp { micros: 3, process: 1 }, 1_000);
        prop_assert_eq!((store.len(), store.bytes()), (0, 0));
    }

    #[test]
    fn a_lease_destroyed_by_a_delete_never_fills(
        key in any_key(),
        prefix_length in 0..4_usize,
        how in 0..7_u8,
        others in prop::collection::vec((any_key(), 0..3_u64), 0..20),
        stored in any::<bool>(),
    ) {
        let mut store = Store::new(1 << 20);
        if stored {
            store.set(&key, clean(b"old"), 0).unwrap();
        }
        store.take_lease(&key, 99, u64::MAX);
        let mut clear = |scope| store.remove_scope(&scope, Stamp::default(), 0);
        let prefix = Bytes::copy_from_slice(&key[..prefix_length.min(key.len())]);
        match how {
            0 => drop(clear(Scope::Prefix(prefix))),
            1 => drop(clear(Scope::Tagged(prefix))),
            2 => drop(clear(Scope::Pattern { head: prefix, pattern: "*".into() })),
            3 => drop(store.set(&key, clean(b"new"), 0)),
            4 => drop(store.make_stale(&key, 0)),
            5 => drop(store.remove(&key, 0)),
            _ => store.drop_lease(&key),
        }
        for (other, token) in others {
            store.take_lease(&other, token, 0);
        }
        prop_assert!(!store.use_lease(&key, 99));
    }
}

//! What single steps do to a store.
use super::model::{Change, clean, data, expiring, journalled, keys, sorted};
use crate::backend::memory::entry::{Entry, OVERHEAD};
use crate::backend::memory::store::{Evicted, MAX_LEASE_BYTES, MAX_LEASES, Store};
use crate::base::stamp::Stamp;

#[test]
fn a_lease_fills_once_and_only_for_its_own_token() {
    let mut store = Store::new(1 << 20);
    store.take_lease(b"k", 1, 0);
    assert!(!store.use_lease(b"k", 2));
    assert!(!store.use_lease(b"other", 1));
    assert!(store.use_lease(b"k", 1));
    assert!(!store.use_lease(b"k", 1));
}

#[test]
fn a_later_load_takes_the_lease_over() {
    let mut store = Store::new(1 << 20);
    store.take_lease(b"k", 1, 0);
    store.take_lease(b"k", 2, 0);
    assert!(!store.use_lease(b"k", 1));
    assert!(store.use_lease(b"k", 2));
}

#[test]
fn forgetting_an_entry_is_no_delete_so_the_lease_stands() {
    let mut store = Store::new(1 << 20);
    store.set(b"cleared", clean(b"v"), 0).unwrap();
    store.set(b"expired", expiring(b"v", 10), 0).unwrap();
    store.take_lease(b"cleared", 1, 0);
    store.take_lease(b"expired", 2, 0);
    store.sweep(10, usize::MAX);
    store.clear_clean();
    assert!(store.use_lease(b"cleared", 1));
    assert!(store.use_lease(b"expired", 2));
}

#[test]
fn beyond_the_bound_the_oldest_lease_goes_and_its_fill_is_refused() {
    let mut store = Store::new(1 << 20);
    for token in 0..=MAX_LEASES as u64 {
        store.take_lease(&token.to_le_bytes(), token, 0);
    }
    assert!(!store.use_lease(&0_u64.to_le_bytes(), 0));
    assert!(store.use_lease(&1_u64.to_le_bytes(), 1));
}

#[test]
fn long_keys_do_not_make_leases_grow_beyond_their_bytes() {
    let mut store = Store::new(1 << 20);
    let long = |first: u8| vec![first; MAX_LEASE_BYTES / 2];
    for (token, key) in [long(1), long(2), long(3)].iter().enumerate() {
        store.take_lease(key, token as u64, 0);
    }
    assert!(!store.use_lease(&long(1), 0));
    assert!(store.use_lease(&long(2), 1));
    assert!(store.use_lease(&long(3), 2));
    store.take_lease(&vec![0; MAX_LEASE_BYTES + 1], 3, 0);
    assert!(!store.use_lease(&vec![0; MAX_LEASE_BYTES + 1], 3));
}

#[test]
fn an_entry_that_alone_exceeds_the_limit_changes_nothing() {
    let mut store = Store::new(OVERHEAD + 10);
    store.set(b"k", clean(b"old"), 0).unwrap();
    store.take_lease(b"k", 1, 0);
    let full = store.set(b"k", clean(&[0; 10]), 0).unwrap_err();
    assert_eq!((full.needed, full.limit), (OVERHEAD + 11, OVERHEAD + 10));
    assert_eq!(store.get(b"k", 0).unwrap().bytes().unwrap(), "old");
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
    assert!(shown.contains("bytes: 6") && !shown.contains("secret"));
}

#[test]
fn a_change_that_does_not_fit_leaves_everything_as_it_was() {
    let mut store = Store::new(2 * OVERHEAD);
    store.set(b"l", Entry { data: data(2, 0), ..clean(b"") }, 0).unwrap();
    store.take_lease(b"l", 1, 0);
    let before = store.peek(b"l", 0).unwrap().data.clone();
    let change = Change::Add(0, 2 * OVERHEAD);
    let full = store.update(b"l", change.grows(), 0, |data| change.apply(data)).unwrap_err();
    assert_eq!((full.limit, full.needed > full.limit), (2 * OVERHEAD, true));
    assert_eq!(store.peek(b"l", 0).unwrap().data, before);
    assert!(store.use_lease(b"l", 1));
}

#[test]
fn a_change_that_may_not_fit_is_made_all_the_same_when_it_does() {
    let mut store = Store::new(2 * OVERHEAD);
    store.set(b"l", Entry { data: data(2, 0), ..clean(b"") }, 0).unwrap();
    let change = Change::Add(0, 10);
    let (length, _) =
        store.update(b"l", usize::MAX, 0, |data| change.apply(data)).unwrap().unwrap();
    assert_eq!(length, 2);
}

#[test]
fn an_entry_that_grows_makes_room_among_the_others_and_never_by_going_itself() {
    let mut store = Store::new(3 * (OVERHEAD + 2));
    store.set(b"a", journalled(b"v", 1), 0).unwrap();
    store.set(b"b", clean(b"v"), 0).unwrap();
    store.set(b"c", clean(b"v"), 0).unwrap();
    let change = Change::Add(0, OVERHEAD);
    let (_, evicted) =
        store.update(b"b", change.grows(), 0, |data| change.apply(data)).unwrap().unwrap();
    assert_eq!(evicted, Evicted { clean: 1, journalled: Vec::new() });
    assert_eq!(sorted(store.keys_with_prefix(b"", 0)), keys(&[b"a", b"b"]));
    let change = Change::Add(0, 2 * OVERHEAD);
    let (_, evicted) =
        store.update(b"b", change.grows(), 0, |data| change.apply(data)).unwrap().unwrap();
    assert_eq!(evicted, Evicted { clean: 0, journalled: keys(&[b"a"]) });
}

#[test]
fn a_change_that_adds_more_than_it_said_never_breaks_the_bound() {
    let mut store = Store::new(2 * OVERHEAD);
    store.set(b"k", clean(b"v"), 0).unwrap();
    let change = Change::Add(0, 2 * OVERHEAD);
    store.update(b"k", 0, 0, |data| change.apply(data)).unwrap();
    assert_eq!((store.len(), store.bytes()), (0, 0));
}

#[test]
fn an_entry_whose_last_element_was_taken_out_goes_with_its_expiry() {
    let mut store = Store::new(1 << 20);
    for kind in 1..4 {
        let entry = Entry { data: data(kind, 1), ..expiring(b"", 10) };
        store.set(b"k", entry, 0).unwrap();
        store.update(b"k", 0, 0, |data| Change::Take(0).apply(data)).unwrap().unwrap();
        assert_eq!((store.len(), store.bytes(), store.next_expiry()), (0, 0, None), "{kind}");
    }
}

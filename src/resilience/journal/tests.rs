//! Laws of the journal: each key keeps its last intent, the bound holds, no delete is forgotten.
use super::*;
use crate::backend::{Removal, Value};
use crate::base::keys::Keys;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};

fn stamp(micros: u64) -> Stamp {
    Stamp { micros, process: 1 }
}

fn set(key: u8, micros: u64, size: usize) -> Intent {
    let value = Value { payload: vec![0; size].into(), ..Value::default() };
    let wish = Wish::Set { value, expires_at: None, fresh_until: None, since: 0, expired: None };
    Intent { key: Bytes::from(format!("f:{key}")), stamp: stamp(micros), wish }
}

fn keys() -> Keys {
    Keys::new("")
}

fn prefix(text: &'static str) -> Scope {
    Scope::Prefix(Bytes::from_static(text.as_bytes()))
}

fn delete(journal: &mut Journal, key: u8, micros: u64) {
    journal.delete(Bytes::from(format!("f:{key}")), stamp(micros), &keys());
}

fn expire(journal: &mut Journal, key: u8, micros: u64) {
    journal.expire(Bytes::from(format!("f:{key}")), stamp(micros), &keys());
}

fn tag(key: u8) -> Bytes {
    keys().marker(&[b'a' + key % 20])
}

/// What is invalidated of a tag, as the journal has it.
fn removals(journal: &Journal, key: u8) -> HashMap<Removal, Stamp> {
    match journal.peek(&tag(key)).map(|intent| &intent.wish) {
        Some(Wish::Invalidate(removals)) => removals.iter().copied().collect(),
        _ => HashMap::new(),
    }
}

/// What waits for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Set,
    StaleSet,
    Delete,
    Expire,
}

impl Waits {
    fn of(intent: &Intent) -> Self {
        match intent.wish {
            Wish::Set { expired: None, .. } => Self::Set,
            Wish::Set { .. } => Self::StaleSet,
            Wish::Delete => Self::Delete,
            Wish::Expire => Self::Expire,
            _ => panic!("it is of a key"),
        }
    }
}

proptest! {
    #[test]
    fn each_key_keeps_its_last_intent_and_every_byte_is_accounted_for(
        steps in proptest::collection::vec((0u8..6, 0u8..6, 0usize..200), 0..60),
    ) {
        let mut journal = Journal::new(usize::MAX / 2);
        let mut model: BTreeMap<u8, Waits> = BTreeMap::new();
        let mut tags: BTreeMap<u8, HashMap<Removal, Stamp>> = BTreeMap::new();
        for (at, (kind, key, size)) in steps.into_iter().enumerate() {
            let micros = at as u64 + 1;
            match kind {
                0 => { delete(&mut journal, key, micros); model.insert(key, Waits::Delete); }
                1 => { prop_assert!(journal.set(set(key, micros, size))); model.insert(key, Waits::Set); }
                2 => {
                    let taken = journal.take(format!("f:{key}").as_bytes());
                    prop_assert_eq!(taken.as_ref().map(Waits::of), model.get(&key).copied());
                    if let Some(intent) = taken { journal.put_back(intent); }
                }
                3 => {
                    expire(&mut journal, key, micros);
                    let waits = match model.get(&key) {
                        Some(Waits::Set | Waits::StaleSet) => Waits::StaleSet,
                        Some(Waits::Delete) => Waits::Delete,
                        Some(Waits::Expire) | None => Waits::Expire,
                    };
                    model.insert(key, waits);
                }
                4 => {
                    let removal = if size % 2 == 0 { Removal::Delete } else { Removal::Expire };
                    journal.invalidate_tag(tag(key), removal, stamp(micros), &keys());
                    tags.entry(key).or_default().insert(removal, stamp(micros));
                    prop_assert_eq!(&removals(&journal, key), &tags[&key]);
                }
                _ => {
                    journal.invalidate(prefix("f:"), stamp(micros));
                    model.retain(|_, waits| matches!(waits, Waits::Delete | Waits::Expire));
                }
            }
        }
        let sets = model.values().filter(|waits| matches!(waits, Waits::Set | Waits::StaleSet));
        let sets = sets.count();
        prop_assert_eq!(journal.sets.len(), sets);
        prop_assert_eq!(journal.deletes.len(), model.len() - sets + tags.len());
        for (key, waits) in model {
            let waiting = journal.peek(format!("f:{key}").as_bytes());
            prop_assert_eq!(waiting.map(Waits::of), Some(waits));
        }
        while let Some(intent) = journal.take_some(1, 1).pop() {
            drop(intent);
        }
        journal.take_invalidations();
        prop_assert_eq!((journal.bytes(), journal.payloads), (0, 0));
    }

    #[test]
    fn the_bound_holds_and_nothing_that_removes_is_forgotten(
        steps in proptest::collection::vec((0u8..4, 0u8..40, 0usize..2_000), 0..120),
    ) {
        let limit = 8_000;
        let mut journal = Journal::new(limit);
        let mut removed: BTreeMap<u8, u64> = BTreeMap::new();
        let mut tags: BTreeMap<Bytes, u64> = BTreeMap::new();
        for (at, (kind, key, size)) in steps.into_iter().enumerate() {
            let micros = at as u64 + 1;
            match kind {
                0 => {
                    delete(&mut journal, key, micros);
                    removed.insert(key, micros);
                }
                1 => {
                    expire(&mut journal, key, micros);
                    removed.insert(key, micros);
                }
                2 => {
                    journal.invalidate_tag(tag(key), Removal::Delete, stamp(micros), &keys());
                    tags.insert(tag(key), micros);
                }
                _ if journal.set(set(key, micros, size)) => {
                    removed.remove(&key);
                }
                _ => {}
            }
            prop_assert!(journal.bytes() <= limit, "{} bytes", journal.bytes());
            for (key, micros) in &removed {
                let newest = journal.newest(format!("f:{key}").as_bytes());
                prop_assert!(newest >= Some(stamp(*micros)), "what removes {} is forgotten", key);
            }
            for (tag, micros) in &tags {
                let waits = journal.peek(tag).is_some_and(|intent| intent.stamp >= stamp(*micros));
                let all = Scope::Tagged(Bytes::new());
                let mut collapsed = journal.invalidations().into_iter();
                let collapsed = collapsed
                    .any(|other| other.scope.includes(&all) && other.stamp >= stamp(*micros));
                prop_assert!(waits || collapsed, "the invalidation of {:?} is forgotten", tag);
            }
        }
    }
}

#[test]
fn an_older_invalidation_of_a_tag_leaves_the_newer_one() {
    let mut journal = Journal::new(usize::MAX / 2);
    for micros in [9, 5] {
        journal.invalidate_tag(tag(1), Removal::Delete, stamp(micros), &keys());
    }
    journal.invalidate_tag(tag(1), Removal::Expire, stamp(7), &keys());
    let meant = [(Removal::Delete, stamp(9)), (Removal::Expire, stamp(7))];
    assert_eq!(removals(&journal, 1), HashMap::from(meant));
    assert_eq!(journal.peek(&tag(1)).unwrap().stamp, stamp(9));
}

#[test]
fn invalidations_of_a_tag_that_come_back_join_those_that_came_meanwhile() {
    let mut journal = Journal::new(usize::MAX / 2);
    journal.invalidate_tag(tag(1), Removal::Delete, stamp(5), &keys());
    journal.invalidate_tag(tag(1), Removal::Expire, stamp(6), &keys());
    let taken = journal.take(&tag(1)).unwrap();
    journal.invalidate_tag(tag(1), Removal::Expire, stamp(8), &keys());
    journal.put_back(taken);
    let meant = [(Removal::Delete, stamp(5)), (Removal::Expire, stamp(8))];
    assert_eq!(removals(&journal, 1), HashMap::from(meant));
}

#[test]
fn a_set_that_is_made_stale_stays_and_is_known_to_be_older_than_that() {
    let mut journal = Journal::new(usize::MAX / 2);
    journal.set(set(1, 1, 100));
    expire(&mut journal, 1, 5);
    let waiting = journal.peek(b"f:1").unwrap();
    assert_eq!((Waits::of(waiting), waiting.stamp), (Waits::StaleSet, stamp(1)));
    assert_eq!(journal.newest(b"f:1"), Some(stamp(5)), "what comes late is older");
}

#[test]
fn a_stale_set_that_loses_its_value_still_removes_what_came_before_it_was_made_stale() {
    let mut journal = Journal::new(2 * OVERHEAD + 500);
    journal.set(set(1, 1, 400));
    expire(&mut journal, 1, 5);
    assert!(journal.set(set(2, 6, 400)));
    let left = journal.peek(b"f:1").unwrap();
    assert_eq!(Waits::of(left), Waits::Delete);
    assert!(left.stamp >= stamp(5), "what another process wrote in between is not fresh");
}

#[test]
fn what_is_made_stale_while_it_is_on_its_way_is_stale_when_it_comes_back() {
    let mut journal = Journal::new(usize::MAX / 2);
    journal.set(set(1, 1, 100));
    let taken = journal.take(b"f:1").unwrap();
    expire(&mut journal, 1, 5);
    journal.put_back(taken);
    assert_eq!(journal.peek(b"f:1").map(Waits::of), Some(Waits::StaleSet));
    assert_eq!(journal.depth(), 1);
}

#[test]
fn the_oldest_sets_lose_their_values_first() {
    let mut journal = Journal::new(3 * (OVERHEAD + 3) + 200);
    for key in 1..=3 {
        assert!(journal.set(set(key, u64::from(key), 100)));
    }
    assert_eq!(journal.dropped(), 1);
    assert!(matches!(journal.peek(b"f:1").unwrap().wish, Wish::Delete));
    assert!(matches!(journal.peek(b"f:3").unwrap().wish, Wish::Set { .. }));
    assert!(!journal.set(set(4, 4, 10_000)), "it would not fit though all others went");
    assert_eq!((journal.dropped(), journal.depth()), (2, 3));
}

#[test]
fn deletes_beyond_the_bound_become_an_invalidation_of_their_family() {
    let mut journal = Journal::new(10 * (OVERHEAD + 4));
    for key in 0..100 {
        delete(&mut journal, key, u64::from(key) + 1);
    }
    assert!(journal.has_invalidations());
    assert!(journal.bytes() <= 10 * (OVERHEAD + 4));
    assert!(journal.collapsed() > 80);
    assert!(journal.newest(b"f:0") >= Some(stamp(1)));
}

#[test]
fn patterns_beyond_the_bound_become_an_invalidation_of_their_family() {
    let limit = 10_000;
    let mut journal = Journal::new(limit);
    for at in 1..=1_000 {
        let scope = Scope::matching(&keys(), "f", &format!("{at}:*"));
        journal.invalidate(scope, stamp(at));
        assert!(journal.bytes() <= limit);
    }
    assert!(journal.collapsed() > 900);
    assert!(journal.newest(b"f:1:x") >= Some(stamp(1)));
    assert!(journal.newest(b"f:1000:x") >= Some(stamp(1_000)));
    assert_eq!(journal.newest(b"g:1:x"), None);
}

#[test]
fn a_set_that_a_clear_settles_leaves_that_its_key_was_made_stale_later() {
    let settled = |journal: &Journal| {
        let left = journal.peek(b"f:1").unwrap();
        assert_eq!((left.stamp, &left.wish), (stamp(9), &Wish::Expire));
    };
    let stale = || {
        let mut journal = Journal::new(usize::MAX / 2);
        assert!(journal.set(set(1, 1, 10)));
        expire(&mut journal, 1, 9);
        journal
    };
    let mut journal = stale();
    journal.supersede(&|_, _, at| at <= stamp(5));
    settled(&journal);
    let mut journal = stale();
    journal.invalidate(prefix("f:"), stamp(5));
    settled(&journal);
    let mut journal = stale();
    let taken = journal.take(b"f:1").unwrap();
    journal.invalidate(prefix("f:"), stamp(5));
    journal.put_back(taken);
    settled(&journal);
    let mut journal = stale();
    journal.invalidate(prefix("f:"), stamp(9));
    assert!(journal.peek(b"f:1").is_none());
}

#[test]
fn an_intent_is_no_larger_than_what_is_counted_for_it() {
    // With the key that the map keeps beside it, and its two links.
    let node = size_of::<Intent>() + size_of::<Bytes>() + 16;
    assert!(node <= 240, "{node}");
}

#[test]
fn half_a_million_intents_of_a_hundred_bytes_fit_by_default() {
    let each = OVERHEAD + "ai-chatbot:cache:some-key-of-the-app:0123456789".len() + 100;
    let limit = crate::config::from_json("{}").unwrap().journal_limit_bytes;
    assert!(500_000 * each <= limit, "{} of {limit} bytes", 500_000 * each);
}

#[test]
fn an_intent_that_comes_back_yields_to_a_newer_one_and_is_the_first_otherwise() {
    let mut journal = Journal::new(usize::MAX / 2);
    delete(&mut journal, 1, 5);
    journal.put_back(set(1, 4, 10));
    assert!(journal.sets.is_empty());
    journal.set(set(2, 6, 1));
    journal.put_back(set(3, 1, 1));
    assert!(matches!(journal.take_some(1, 1)[0].wish, Wish::Delete));
    assert_eq!(journal.take_some(1, 1)[0].key, "f:3");
    journal.invalidate(prefix("g:"), stamp(9));
    journal.put_back(Intent { key: Bytes::from_static(b"g:1"), ..set(1, 8, 1) });
    assert_eq!(journal.sets.len(), 1);
}

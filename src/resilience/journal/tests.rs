//! Laws of the journal: each key keeps its last intent, the bound holds, no delete is forgotten.
use super::*;
use crate::backend::Value;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn stamp(micros: u64) -> Stamp {
    Stamp { micros, process: 1 }
}

fn set(key: u8, micros: u64, size: usize) -> Intent {
    let value = Value { payload: vec![0; size].into(), format: 0, compress: true };
    let key = Bytes::from(format!("f:{key}"));
    Intent { key, stamp: stamp(micros), wish: Wish::Set { value, expires_at: None, since: 0 } }
}

fn family(key: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&key[..2])
}

fn delete(journal: &mut Journal, key: u8, micros: u64) {
    journal.delete(Bytes::from(format!("f:{key}")), stamp(micros), &family);
}

proptest! {
    #[test]
    fn each_key_keeps_its_last_intent_and_every_byte_is_accounted_for(
        steps in proptest::collection::vec((0u8..4, 0u8..6, 0usize..200), 0..60),
    ) {
        let mut journal = Journal::new(usize::MAX / 2);
        let mut model: BTreeMap<u8, bool> = BTreeMap::new();
        for (at, (kind, key, size)) in steps.into_iter().enumerate() {
            let micros = at as u64 + 1;
            match kind {
                0 => { delete(&mut journal, key, micros); model.insert(key, false); }
                1 => { prop_assert!(journal.set(set(key, micros, size))); model.insert(key, true); }
                2 => {
                    let taken = journal.take(format!("f:{key}").as_bytes());
                    prop_assert_eq!(taken.is_some(), model.contains_key(&key));
                    if let Some(intent) = taken { journal.put_back(intent); }
                }
                _ => { journal.invalidate(Bytes::from_static(b"f:"), stamp(micros)); model.retain(|_, set| !*set); }
            }
        }
        let sets = model.values().filter(|set| **set).count();
        prop_assert_eq!(journal.sets.len(), sets);
        prop_assert_eq!(journal.deletes.len(), model.len() - sets);
        while let Some(intent) = journal.take_some(1, 1).pop() {
            drop(intent);
        }
        prop_assert_eq!((journal.bytes(), journal.payloads), (0, 0));
    }

    #[test]
    fn the_bound_holds_and_no_delete_is_forgotten(
        steps in proptest::collection::vec((any::<bool>(), 0u8..40, 0usize..2_000), 0..120),
    ) {
        let limit = 8_000;
        let mut journal = Journal::new(limit);
        let mut deleted: BTreeMap<u8, u64> = BTreeMap::new();
        for (at, (deletes, key, size)) in steps.into_iter().enumerate() {
            let micros = at as u64 + 1;
            if deletes {
                delete(&mut journal, key, micros);
                deleted.insert(key, micros);
            } else if journal.set(set(key, micros, size)) {
                deleted.remove(&key);
            }
            prop_assert!(journal.bytes() <= limit, "{} bytes", journal.bytes());
            for (key, micros) in &deleted {
                let newest = journal.newest(format!("f:{key}").as_bytes());
                prop_assert!(newest >= Some(stamp(*micros)), "delete of {} is forgotten", key);
            }
        }
    }
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
fn an_intent_is_no_larger_than_what_is_counted_for_it() {
    // With the key that the map keeps beside it, and its two links.
    assert!(size_of::<Intent>() + size_of::<Bytes>() + 16 <= 184, "{}", size_of::<Intent>());
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
    journal.invalidate(Bytes::from_static(b"g:"), stamp(9));
    journal.put_back(Intent { key: Bytes::from_static(b"g:1"), ..set(1, 8, 1) });
    assert_eq!(journal.sets.len(), 1);
}

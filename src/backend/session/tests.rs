//! Laws of what sessions merge to: in whatever order changes come, and however often, they come to the same.
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::backend::intent::EndAll;

fn stamp(micros: u64) -> Stamp {
    Stamp { micros, process: micros % 3 }
}

fn delta() -> impl Strategy<Value = Delta> {
    let field = (0..4u8, 1..30u64, prop::option::of(any::<u8>()));
    (prop::collection::vec(field, 0..4), prop::option::of(1..30u64), any::<bool>()).prop_map(
        |(fields, seen, begins)| {
            let mut delta = Delta { seen: seen.map(stamp), ..Delta::default() };
            for (name, at, value) in fields {
                // What came at one moment from one process is one change.
                let value = value.map(|_| Bytes::from(format!("{name}{at}")));
                let value = value.filter(|_| at % 5 > 0);
                let field = Field { stamp: stamp(at), value };
                delta.fields.insert(Bytes::from(vec![b':', name]), field);
            }
            if begins {
                let (user, created) = (Bytes::from("ann"), stamp(1));
                delta.head = Some(Head { user, created, absolute_ms: 5 });
                delta.born = Some(stamp(1));
            }
            // Of one stamp there is one value.
            delta.fields.values_mut().for_each(|field| {
                field.value = (field.stamp.micros % 5 > 0).then(|| Bytes::from("v"));
            });
            delta
        },
    )
}

fn folded(deltas: impl IntoIterator<Item = Delta>) -> Delta {
    deltas.into_iter().fold(Delta::default(), |mut all, delta| {
        all.fold(delta);
        all
    })
}

proptest! {
    #[test]
    fn changes_come_to_the_same_in_any_order_and_any_number(
        deltas in prop::collection::vec(delta(), 1..8), swap in any::<prop::sample::Index>(),
    ) {
        let once = folded(deltas.clone());
        let mut others = deltas.clone();
        others.reverse();
        others.push(deltas[swap.index(deltas.len())].clone());
        prop_assert_eq!(&folded(others), &once);
        // One after the other, or as one: the same session.
        let head = Head { user: Bytes::new(), created: stamp(1), absolute_ms: 5 };
        let mut session = Session::begin(head.clone(), Delta::default());
        deltas.iter().for_each(|delta| session.apply(delta.clone()));
        let mut whole = Session::begin(head, Delta::default());
        whole.apply(once);
        prop_assert_eq!((session.fields, session.seen), (whole.fields, whole.seen));
    }

    #[test]
    fn ends_of_all_but_one_come_to_the_same_in_any_order(
        ends in prop::collection::vec((1..40u64, 0..3usize), 1..7), born in 0..40u64, of in 0..3usize,
    ) {
        let names = [None, Some(Bytes::from("a")), Some(Bytes::from("b"))];
        let fold = |ends: &[(u64, usize)]| {
            let end = |&(at, keep): &(u64, usize)| {
                let end = EndAll { absolute_ms: 1, keep: names[keep].clone(), others: None };
                (stamp(at), end)
            };
            let mut all = ends.iter().map(end);
            let first = all.next().expect("there is one at least");
            all.fold(first, |(at, known), (stamp, end)| end.fold(stamp, known, at))
        };
        // Two at one moment by one process there are none.
        let mut apart = ends.clone();
        apart.sort_unstable();
        apart.dedup_by_key(|(at, _)| *at);
        let mut turned = apart.clone();
        turned.reverse();
        let meant = apart.iter().any(|&(at, keep)| {
            stamp(at) >= stamp(born) && (names[of].is_none() || names[keep] != names[of])
        });
        for (last, end) in [fold(&apart), fold(&turned)] {
            let stays = end.keep.is_some() && end.keep == names[of];
            let limit = if stays { end.others } else { Some(last) };
            prop_assert_eq!(limit.is_some_and(|limit| limit >= stamp(born)), meant);
        }
    }
}

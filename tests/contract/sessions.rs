//! The cases of sessions.
use bytes::Bytes;
use holdfast::backend::session::{Deed, Delta, Field, Fields, Head, IDLE, Outcome, Session};
use holdfast::backend::{Raw, Reply};
use holdfast::base::keys::SessionKeys;
use holdfast::base::stamp::Stamp;

use crate::cases::Cases;
use crate::subject::Subject;

fn fields(stamp: Stamp, parts: &[(&'static str, Option<&'static str>)]) -> Fields {
    let field = |value: Option<&'static str>| Field { stamp, value: value.map(Bytes::from) };
    parts.iter().map(|&(name, value)| (Bytes::from(name), field(value))).collect()
}

fn change(s: &Subject, parts: &[(&'static str, Option<&'static str>)]) -> Deed {
    let delta = Delta { fields: fields(s.stamps.next(), parts), ..Delta::default() };
    Deed::Write { delta, version: None, most: 0 }
}

/// Of a user, or of a guest, who has no name.
fn create(s: &Subject, user: &'static str, idle_ms: u64, absolute_ms: u64) -> Deed {
    let stamp = s.stamps.next();
    let head = Head { user: user.into(), created: stamp, absolute_ms };
    let mut fields = fields(stamp, &[(":a", Some("1"))]);
    let value = Some(Bytes::from(idle_ms.to_string()));
    fields.insert(IDLE.into(), Field { stamp, value });
    let delta = Delta {
        head: Some(head),
        born: Some(stamp),
        seen: Some(stamp),
        fields,
        ..Delta::default()
    };
    Deed::Write { delta, version: None, most: 2 }
}

fn end(s: &Subject) -> Deed {
    Deed::End { stamp: s.stamps.next(), absolute_ms: 600_000 }
}

async fn make(s: &mut Subject, name: &str, user: &'static str) -> Bytes {
    let (key, deed) = (s.session(name), create(s, user, 60_000, 600_000));
    assert!(matches!(s.in_session(&key, deed).await, Outcome::Done(_)));
    key
}

async fn read(s: &mut Subject, key: &Bytes) -> Option<Session> {
    match s.in_session(key, Deed::Read).await {
        Outcome::Done(session) => Some(Session::clone(&session)),
        Outcome::Absent => None,
        other => panic!("a read answered {other:?}"),
    }
}

fn data(session: &Session) -> Vec<(&str, &str)> {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    let all = session.fields.iter().filter(|(name, _)| name.starts_with(b":"));
    all.filter_map(|(name, field)| Some((text(name), text(field.value.as_deref()?)))).collect()
}

async fn count(s: &mut Subject, key: &Bytes, deed: Deed) -> u64 {
    match s.ask_session(key, deed).await {
        Reply::Count(count) => count,
        Reply::Raw(Raw::Array(parts)) => match parts.first() {
            Some(Raw::Integer(count)) => count.unsigned_abs(),
            other => panic!("a count answered {other:?}"),
        },
        other => panic!("a count answered {other:?}"),
    }
}

async fn list(s: &mut Subject, key: &Bytes) -> Vec<Bytes> {
    match s.ask_session(key, Deed::List { from: 0, count: 10 }).await {
        Reply::Raw(Raw::Array(tails)) => tails
            .into_iter()
            .map(|tail| match tail {
                Raw::Bytes(tail) => tail,
                other => panic!("a list holds {other:?}"),
            })
            .collect(),
        other => panic!("a list answered {other:?}"),
    }
}

pub fn session() -> Cases {
    Cases {
        success: case!(|s| {
            for user in ["", "ann"] {
                let key = make(s, if user.is_empty() { "g1" } else { "u1" }, user).await;
                let changed = change(s, &[(":b", Some("2")), (":a", None)]);
                assert!(matches!(s.in_session(&key, changed).await, Outcome::Done(_)));
                let found = read(s, &key).await.unwrap();
                assert_eq!((data(&found), found.version), (vec![(":b", "2")], 2));
                assert_eq!(found.head.user, user);
                assert_eq!(found.is_guest(), user.is_empty());
                assert!(found.ends(&s.stamps) > s.stamps.server_micros() + 50_000_000);
                let ended = end(s);
                assert!(matches!(s.in_session(&key, ended).await, Outcome::Done(_)));
                assert_eq!(read(s, &key).await, None);
            }
        }),
        absence: case!(|s| {
            let key = s.session("u1");
            assert_eq!(read(s, &key).await, None);
            let changed = change(s, &[(":b", Some("2"))]);
            assert_eq!(s.in_session(&key, changed).await, Outcome::Absent);
            let ended = end(s);
            assert_eq!(s.in_session(&key, ended).await, Outcome::Absent);
        }),
        expiry: case!(|s| {
            // By want of use, and by its absolute lifetime however much it is used.
            for (name, idle_ms, absolute_ms) in [("u1", 80, 600_000), ("g2", 60_000, 80)] {
                let (key, deed) = (s.session(name), create(s, "", idle_ms, absolute_ms));
                s.in_session(&key, deed).await;
                s.until(async |s| {
                    if absolute_ms == 80 {
                        let delta = Delta { seen: Some(s.stamps.next()), ..Delta::default() };
                        s.in_session(&key, Deed::Write { delta, version: None, most: 0 }).await;
                    }
                    read(s, &key).await.is_none()
                })
                .await;
                let changed = change(s, &[(":b", Some("2"))]);
                assert_eq!(s.in_session(&key, changed).await, Outcome::Absent);
            }
        }),
        wrong_type: case!(|s| {
            let key = s.session("u1");
            let planted = s.plant_list(&key).await;
            let ask = holdfast::backend::session::Ask {
                deed: Deed::Read,
                outage: Default::default(),
                logins: true,
                known_ms: 1,
                brief: false,
            };
            let (key, ask) = (key, Box::new(ask));
            let answer = s.run(holdfast::backend::Operation::Session { key, ask }).await;
            // Memory keeps sessions apart from everything else.
            assert!(answer.is_ok() || planted);
        }),
        more: &[
            (
                "what is ended stays ended, whatever comes behind",
                case!(|s| {
                    let key = make(s, "u1", "ann").await;
                    let late = change(s, &[(":b", Some("2"))]);
                    let ended = end(s);
                    s.in_session(&key, ended).await;
                    assert_eq!(s.in_session(&key, late).await, Outcome::Absent);
                    assert_eq!(read(s, &key).await, None);
                }),
            ),
            (
                "a change that expects another version changes nothing",
                case!(|s| {
                    let key = make(s, "u1", "ann").await;
                    let with = |s: &Subject, version| {
                        let Deed::Write { delta, .. } = change(s, &[(":a", Some("2"))]) else {
                            unreachable!()
                        };
                        Deed::Write { delta, version: Some(version), most: 0 }
                    };
                    let (wrong, right) = (with(s, 7), with(s, 1));
                    let Outcome::Conflict(found) = s.in_session(&key, wrong).await else {
                        panic!("it was changed")
                    };
                    assert_eq!((data(&found), found.version), (vec![(":a", "1")], 1));
                    let Outcome::Done(found) = s.in_session(&key, right).await else {
                        panic!("it was not changed")
                    };
                    assert_eq!((data(&found), found.version), (vec![(":a", "2")], 2));
                }),
            ),
            (
                "one that another took the place of leads to it, for a while",
                case!(|s| {
                    let (old, new) = (make(s, "u1", "ann").await, s.session("u1-2"));
                    let to = SessionKeys::tail(&new);
                    let stamp = s.stamps.next();
                    let moved = Deed::Move { stamp, to: to.clone(), grace_ms: 80 };
                    assert!(matches!(s.in_session(&old, moved).await, Outcome::Done(_)));
                    assert_eq!(s.in_session(&old, Deed::Read).await, Outcome::Moved(to.clone()));
                    let changed = change(s, &[(":b", Some("2"))]);
                    assert_eq!(s.in_session(&old, changed).await, Outcome::Moved(to));
                    s.until(async |s| s.in_session(&old, Deed::Read).await == Outcome::Absent)
                        .await;
                    let found = read(s, &new).await.unwrap();
                    assert_eq!((data(&found), found.version), (vec![(":a", "1")], 2));
                    // Ended by the old one it is ended.
                    let ended = end(s);
                    s.in_session(&old, ended).await;
                    if let Outcome::Moved(_) = s.in_session(&old, Deed::Read).await {
                        panic!("it leads to what is ended")
                    }
                }),
            ),
            (
                "all of a user's end at once but one, and later ones live",
                case!(|s| {
                    let (one, two) = (make(s, "u1-1", "ann").await, make(s, "u1-2", "ann").await);
                    let other = make(s, "u2", "bob").await;
                    let (epoch, index) = SessionKeys::of(&one).unwrap().user.unwrap();
                    assert_eq!(list(s, &index).await.len(), 2);
                    let all = |s: &Subject, keep: Option<&Bytes>| Deed::EndAll {
                        stamp: s.stamps.next(),
                        keep: keep.map(SessionKeys::tail),
                        absolute_ms: 600_000,
                    };
                    let others = all(s, Some(&two));
                    assert_eq!(count(s, &epoch, others).await, 1);
                    assert_eq!(read(s, &one).await, None);
                    assert!(read(s, &two).await.is_some() && read(s, &other).await.is_some());
                    let changed = change(s, &[(":b", Some("2"))]);
                    assert_eq!(s.in_session(&one, changed).await, Outcome::Absent);
                    let every = all(s, None);
                    count(s, &epoch, every).await;
                    assert_eq!(read(s, &two).await, None);
                    let later = make(s, "u1-3", "ann").await;
                    assert!(read(s, &later).await.is_some() && read(s, &other).await.is_some());
                    let tails = vec![SessionKeys::tail(&one), SessionKeys::tail(&two)];
                    count(s, &index, Deed::Sweep { tails }).await;
                    assert_eq!(list(s, &index).await, [SessionKeys::tail(&later)]);
                    let users = SessionKeys::of(&later).unwrap().all;
                    assert!(list(s, &users).await.contains(&SessionKeys::tail(&later)));
                    assert!(!list(s, &users).await.contains(&SessionKeys::tail(&one)));
                }),
            ),
        ],
    }
}

//! The cases of messages, the streams that keep them, and who is present.
use bytes::Bytes;
use holdfast::backend::message::{Bounds, Kept, Message, id_of};
use holdfast::backend::{Operation, Raw, Reply};

use crate::cases::{Cases, FLAG};
use crate::subject::Subject;

const BOUNDS: Bounds = Bounds { of_one: 10, of_all: 20 };

fn message(s: &Subject, id: &str, kept: Option<(&str, u64, u64)>) -> Operation {
    let rest = format!("\"id\":\"{id}\",\"timestamp\":1,\"data\":1}}").into();
    let key = s.key(kept.map_or("stream", |(stream, ..)| stream));
    let kept = kept.map(|(_, ms, most)| Kept { ms, most });
    let message = Message { rest, kept, sharded: false };
    Operation::Publish { key, channel: s.key("channel"), message, bounds: BOUNDS }
}

async fn publish(s: &mut Subject, message: Operation) {
    assert_eq!(s.run(message).await, FLAG(true));
}

async fn ids(s: &mut Subject, name: &str, after: Option<Bytes>, count: u64) -> Vec<String> {
    let key = s.key(name);
    match s.run(Operation::Stream { key, after, count }).await.unwrap() {
        Reply::Raw(Raw::Array(texts)) => texts
            .into_iter()
            .map(|text| match text {
                Raw::Bytes(text) => {
                    String::from_utf8_lossy(id_of(&text).expect("it has an id")).into_owned()
                }
                other => panic!("a stream holds {other:?}"),
            })
            .collect(),
        other => panic!("a stream answered {other:?}"),
    }
}

/// Where an entry stands.
async fn place_of(s: &mut Subject, name: &str, id: &str) -> Bytes {
    let key = s.key(name);
    let Reply::Raw(Raw::Array(texts)) =
        s.run(Operation::Stream { key, after: None, count: 10 }).await.unwrap()
    else {
        panic!("it is no stream")
    };
    let mut texts = texts.into_iter().filter_map(|text| match text {
        Raw::Bytes(text) => Some(text),
        _ => None,
    });
    let text = texts.find(|text| id_of(text) == Some(id.as_bytes())).expect("it is there");
    let text = String::from_utf8_lossy(&text).into_owned();
    text.split('"').nth(3).expect("it has a place").to_owned().into()
}

async fn note(s: &mut Subject, user: &str, status: &str, ms: u64) {
    let (key, user, status) = (s.key("room"), user.to_owned().into(), status.to_owned().into());
    s.run(Operation::Presence { key, user, status, ms }).await.unwrap();
}

async fn present(s: &mut Subject) -> Vec<String> {
    let (key, empty) = (s.key("room"), Bytes::new());
    let ask = Operation::Presence { key, user: empty.clone(), status: empty, ms: 0 };
    match s.run(ask).await.unwrap() {
        Reply::Raw(Raw::Array(all)) => {
            let mut all: Vec<String> = all
                .chunks(2)
                .map(|pair| match pair {
                    [Raw::Bytes(user), Raw::Bytes(status)] => {
                        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                        format!("{}={}", text(user), text(status))
                    }
                    other => panic!("a room holds {other:?}"),
                })
                .collect();
            all.sort();
            all
        }
        other => panic!("a room answered {other:?}"),
    }
}

pub fn publishing() -> Cases {
    Cases {
        success: case!(|s| {
            let plain = message(s, "a", None);
            publish(s, plain).await;
        }),
        absence: case!(|s| {
            // Nobody listens, and nothing is kept.
            let plain = message(s, "a", None);
            publish(s, plain).await;
            assert!(ids(s, "stream", None, 10).await.is_empty());
        }),
        expiry: case!(|s| {
            let kept = message(s, "a", Some(("stream", 80, 10)));
            publish(s, kept).await;
            s.until(async |s| ids(s, "stream", None, 10).await.is_empty()).await;
        }),
        wrong_type: case!(|s| {
            let key = s.key("stream");
            let planted = s.plant_list(&key).await;
            let message = message(s, "a", Some(("stream", 60_000, 10)));
            let answer = s.run(message).await;
            // Memory keeps streams apart from everything else.
            assert!(answer.is_ok() || planted);
        }),
        more: &[],
    }
}

pub fn stream() -> Cases {
    Cases {
        success: case!(|s| {
            if s.lacks.streams {
                return assert!(ids(s, "stream", None, 10).await.is_empty());
            }
            for id in ["a", "b", "c"] {
                let kept = message(s, id, Some(("stream", 60_000, 10)));
                publish(s, kept).await;
            }
            assert_eq!(ids(s, "stream", None, 2).await, ["c", "b"], "the newest first");
            let after = place_of(s, "stream", "a").await;
            assert_eq!(ids(s, "stream", Some(after), 10).await, ["b", "c"]);
            let begin = Some(Bytes::from("0-0"));
            assert_eq!(ids(s, "stream", begin, 2).await, ["a", "b"], "the oldest first");
        }),
        absence: case!(|s| {
            assert!(ids(s, "none", None, 10).await.is_empty());
            assert!(ids(s, "none", Some("0-0".into()), 10).await.is_empty());
        }),
        expiry: case!(|s| {
            // Each message lets the others live on.
            for id in ["a", "b"] {
                let kept = message(s, id, Some(("stream", 80, 10)));
                publish(s, kept).await;
            }
            s.until(async |s| ids(s, "stream", None, 10).await.is_empty()).await;
        }),
        wrong_type: case!(|s| {
            let key = s.key("list");
            let planted = s.plant_list(&key).await;
            let answer = s.run(Operation::Stream { key, after: None, count: 1 }).await;
            assert!(answer.is_ok() || planted);
        }),
        more: &[],
    }
}

pub fn presence() -> Cases {
    Cases {
        success: case!(|s| {
            note(s, "ann", "online", 60_000).await;
            note(s, "bob", "away", 60_000).await;
            assert_eq!(present(s).await, ["ann=online", "bob=away"]);
            note(s, "ann", "away", 60_000).await;
            note(s, "bob", "", 0).await;
            assert_eq!(present(s).await, ["ann=away"]);
        }),
        absence: case!(|s| {
            note(s, "nobody", "", 0).await;
            assert!(present(s).await.is_empty());
        }),
        expiry: case!(|s| {
            note(s, "ann", "online", 80).await;
            note(s, "bob", "online", 60_000).await;
            s.until(async |s| present(s).await == ["bob=online"]).await;
        }),
        wrong_type: case!(|s| {
            let key = s.key("room");
            let planted = s.plant_list(&key).await;
            let empty = Bytes::new();
            let (user, status) = (empty.clone(), empty);
            let answer = s.run(Operation::Presence { key, user, status, ms: 0 }).await;
            assert!(answer.is_ok() || planted);
        }),
        more: &[],
    }
}

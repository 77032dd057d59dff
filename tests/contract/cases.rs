//! The cases of each operation. A new field or kind without a case does not compile.
use std::future::Future;
use std::pin::Pin;

use holdfast::backend::{Operation, Raw, Reply};
use holdfast::base::error::ErrorKind;

use crate::Kind;
use crate::subject::{Subject, args, text};

type Case = for<'a> fn(&'a mut Subject) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

pub struct Cases {
    pub success: Case,
    pub absence: Case,
    pub expiry: Case,
    pub wrong_type: Case,
}

macro_rules! case {
    (|$subject:ident| $body:block) => {{
        fn run<'a>($subject: &'a mut Subject) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
            Box::pin(async move { $body })
        }
        run
    }};
}

const FLAG: fn(bool) -> holdfast::backend::Answer = |flag| Ok(Reply::Flag(flag));

pub fn cases(kind: Kind) -> Cases {
    match kind {
        Kind::Get => Cases {
            success: case!(|s| {
                let key = s.key("a");
                s.set(&key, "value", None).await.unwrap();
                assert_eq!(s.get(&key).await.unwrap(), "value");
                let long = "x".repeat(300_000);
                s.set(&key, &long, None).await.unwrap();
                assert_eq!(s.get(&key).await.unwrap(), long);
            }),
            absence: case!(|s| {
                let key = s.key("none");
                assert_eq!(s.get(&key).await, None);
            }),
            expiry: case!(|s| {
                let key = s.key("a");
                s.set(&key, "value", Some(30)).await.unwrap();
                s.until_gone(&key).await;
                s.set(&key, "value", Some(3_000_000_000_000)).await.unwrap();
                assert_eq!(s.get(&key).await.unwrap(), "value", "95 years are no overflow");
            }),
            wrong_type: case!(|s| {
                let key = s.key("list");
                if s.plant_list(&key).await {
                    let error = s.run(Operation::Get { key }).await.unwrap_err();
                    assert_eq!(error.kind, ErrorKind::Data);
                } else {
                    assert_eq!(s.get(&key).await, None);
                }
            }),
        },
        Kind::Set => Cases {
            success: case!(|s| {
                let key = s.key("a");
                assert_eq!(s.set(&key, "one", None).await, FLAG(true));
                assert_eq!(s.set(&key, "two", None).await, FLAG(true));
                assert_eq!(s.get(&key).await.unwrap(), "two");
            }),
            absence: case!(|s| {
                let key = s.key("a");
                assert_eq!(s.set(&key, "", None).await, FLAG(true));
                assert_eq!(s.get(&key).await.unwrap(), "", "an empty value is a value");
            }),
            expiry: case!(|s| {
                let key = s.key("a");
                s.set(&key, "short", Some(30)).await.unwrap();
                s.set(&key, "for ever", None).await.unwrap();
                match s.run(Operation::Get { key }).await.unwrap() {
                    Reply::Entry(found) => assert_eq!(found.ttl_ms, None),
                    other => panic!("{other:?}"),
                }
            }),
            wrong_type: case!(|s| {
                let key = s.key("list");
                s.plant_list(&key).await;
                assert_eq!(s.set(&key, "mine", None).await, FLAG(true));
                assert_eq!(s.get(&key).await.unwrap(), "mine");
            }),
        },
        Kind::Delete => Cases {
            success: case!(|s| {
                let key = s.key("a");
                s.set(&key, "value", None).await.unwrap();
                assert_eq!(s.delete(&key).await, FLAG(true));
                assert_eq!(s.get(&key).await, None);
                s.set(&key, "again", None).await.unwrap();
                assert_eq!(s.get(&key).await.unwrap(), "again");
            }),
            absence: case!(|s| {
                let key = s.key("none");
                assert_eq!(s.delete(&key).await, FLAG(false));
            }),
            expiry: case!(|s| {
                let key = s.key("a");
                s.set(&key, "value", Some(20)).await.unwrap();
                s.until_gone(&key).await;
                assert_eq!(s.delete(&key).await, FLAG(false));
            }),
            wrong_type: case!(|s| {
                let key = s.key("list");
                let planted = s.plant_list(&key).await;
                assert_eq!(s.delete(&key).await, FLAG(planted));
                assert_eq!(s.get(&key).await, None);
            }),
        },
        Kind::Exists => Cases {
            success: case!(|s| {
                let key = s.key("a");
                s.set(&key, "null", None).await.unwrap();
                assert_eq!(s.run(Operation::Exists { key }).await, FLAG(true));
            }),
            absence: case!(|s| {
                let key = s.key("none");
                assert_eq!(s.run(Operation::Exists { key }).await, FLAG(false));
            }),
            expiry: case!(|s| {
                let key = s.key("a");
                s.set(&key, "value", Some(20)).await.unwrap();
                s.until_gone(&key).await;
                assert_eq!(s.run(Operation::Exists { key }).await, FLAG(false));
            }),
            wrong_type: case!(|s| {
                let key = s.key("list");
                let planted = s.plant_list(&key).await;
                assert_eq!(s.run(Operation::Exists { key }).await, FLAG(planted));
            }),
        },
        Kind::Load => Cases {
            success: case!(|s| {
                let key = s.key("a");
                s.set(&key, "value", None).await.unwrap();
                assert!(
                    matches!(s.load(&key).await, Reply::Entry(found) if found.payload == "value")
                );
            }),
            absence: case!(|s| {
                let key = s.key("a");
                let first = s.lease(&key).await;
                let second = s.lease(&key).await;
                assert_ne!(first.token, second.token);
                assert_eq!(s.fill(&key, first, "first", None).await, FLAG(false));
                assert_eq!(s.fill(&key, second, "second", None).await, FLAG(true));
            }),
            expiry: case!(|s| {
                let key = s.key("a");
                s.set(&key, "value", Some(20)).await.unwrap();
                s.until_gone(&key).await;
                s.lease(&key).await;
            }),
            wrong_type: case!(|s| {
                let key = s.key("list");
                if s.plant_list(&key).await {
                    let error = s.run(Operation::Load { key, token: 7 }).await.unwrap_err();
                    assert_eq!(error.kind, ErrorKind::Data);
                } else {
                    s.lease(&key).await;
                }
            }),
        },
        Kind::Fill => Cases {
            success: case!(|s| {
                let key = s.key("a");
                let lease = s.lease(&key).await;
                assert_eq!(s.fill(&key, lease, "loaded", None).await, FLAG(true));
                assert_eq!(s.get(&key).await.unwrap(), "loaded");
                assert_eq!(s.fill(&key, lease, "twice", None).await, FLAG(false));
            }),
            absence: case!(|s| {
                let key = s.key("a");
                let lease = s.lease(&key).await;
                s.delete(&key).await.unwrap();
                assert_eq!(s.fill(&key, lease, "old", None).await, FLAG(false));
                assert_eq!(
                    s.get(&key).await,
                    None,
                    "what was deleted during the load stays deleted"
                );
                let lease = s.lease(&key).await;
                s.set(&key, "newer", None).await.unwrap();
                assert_eq!(s.fill(&key, lease, "old", None).await, FLAG(false));
                assert_eq!(s.get(&key).await.unwrap(), "newer");
                let lease = holdfast::backend::redis::NO_LEASE;
                assert_eq!(s.fill(&s.key("none"), lease, "forged", None).await, FLAG(false));
            }),
            expiry: case!(|s| {
                let key = s.key("a");
                let lease = s.lease(&key).await;
                s.fill(&key, lease, "loaded", Some(30)).await.unwrap();
                s.until_gone(&key).await;
            }),
            wrong_type: case!(|s| {
                let key = s.key("a");
                let lease = s.lease(&key).await;
                let planted = s.plant_list(&key).await;
                assert_eq!(s.fill(&key, lease, "loaded", None).await, FLAG(!planted));
            }),
        },
        Kind::Clear => Cases {
            success: case!(|s| {
                for name in ["a", "b", "c*", "d{x}"] {
                    let key = s.key(name);
                    s.set(&key, "value", None).await.unwrap();
                }
                let prefix = s.family();
                let stamp = s.stamps.next();
                assert_eq!(s.run(Operation::Clear { prefix, stamp }).await, Ok(Reply::Count(4)));
                assert_eq!(s.get(&s.key("a")).await, None);
            }),
            absence: case!(|s| {
                let near = s.keys.entry("Clear-absenceAbc", "a");
                s.set(&near, "a neighbour", None).await.unwrap();
                let prefix = s.family();
                let stamp = s.stamps.next();
                assert_eq!(s.run(Operation::Clear { prefix, stamp }).await, Ok(Reply::Count(0)));
                assert_eq!(s.get(&near).await.unwrap(), "a neighbour");
            }),
            expiry: case!(|s| {
                let key = s.key("a");
                s.set(&key, "value", Some(20)).await.unwrap();
                s.until_gone(&key).await;
                let prefix = s.family();
                let stamp = s.stamps.next();
                assert_eq!(s.run(Operation::Clear { prefix, stamp }).await, Ok(Reply::Count(0)));
            }),
            wrong_type: case!(|s| {
                let key = s.key("list");
                let planted = s.plant_list(&key).await;
                let prefix = s.family();
                let stamp = s.stamps.next();
                let answer = s.run(Operation::Clear { prefix, stamp }).await;
                assert_eq!(answer, Ok(Reply::Count(u64::from(planted))));
            }),
        },
        Kind::Change => Cases {
            success: case!(|s| {
                for (words, number) in [
                    ("INCR change:c", 1),
                    ("INCRBY change:c 9007199254740993", 9_007_199_254_740_994),
                    ("DECRBY change:c 4", 9_007_199_254_740_990),
                    ("HSET change:h a 1 b 2", 2),
                    ("HSET change:h a 3 c 1", 1),
                    ("HDEL change:h a x", 1),
                    ("SADD change:s x y x", 2),
                    ("SREM change:s x z", 1),
                    ("RPUSH change:l a b", 2),
                    ("LPUSH change:l c", 3),
                ] {
                    assert_eq!(s.change(words).await, Ok(number), "{words}");
                }
            }),
            absence: case!(|s| {
                assert_eq!(s.change("DECR change:none").await, Ok(-1));
                assert_eq!(s.change("HDEL change:nothing a").await, Ok(0));
                assert_eq!(s.change("SREM change:nothing a").await, Ok(0));
            }),
            expiry: case!(|s| {
                assert_eq!(s.change("INCRBY change:brief 7").await, Ok(7));
                if s.lacks.raw_commands {
                    return;
                }
                s.command("PEXPIRE change:brief 20").await.unwrap();
                while s.command("EXISTS change:brief").await != Ok(Reply::Raw(Raw::Integer(0))) {
                    tokio::task::yield_now().await;
                }
                assert_eq!(s.change("INCR change:brief").await, Ok(1));
            }),
            wrong_type: case!(|s| {
                s.change("RPUSH change:list x").await.unwrap();
                for words in ["INCR change:list", "HSET change:list a 1", "SADD change:list a"] {
                    assert_eq!(s.change(words).await, Err(ErrorKind::Data), "{words}");
                }
                let most = format!("INCRBY change:most {}", i64::MAX);
                assert_eq!(s.change(&most).await, Ok(i64::MAX));
                assert_eq!(s.change("INCR change:most").await, Err(ErrorKind::Data));
            }),
        },
        Kind::Command => Cases {
            success: case!(|s| {
                if s.lacks.raw_commands {
                    assert_eq!(s.command("PING").await.unwrap_err().kind, ErrorKind::Unavailable);
                    return;
                }
                assert_eq!(s.command("SET raw 1 EX 60").await, text("OK"));
                assert_eq!(s.command("INCR raw").await, Ok(Reply::Raw(Raw::Integer(2))));
                assert_eq!(s.command("TTL raw").await, Ok(Reply::Raw(Raw::Integer(60))));
                assert_eq!(s.command("GET raw").await, text("2"));
            }),
            absence: case!(|s| {
                let answer = s.command("GET nothing").await;
                assert!(s.lacks.raw_commands || answer == Ok(Reply::Raw(Raw::Nil)));
            }),
            expiry: case!(|s| {
                if s.lacks.raw_commands {
                    return drop(s.command("TTL x").await);
                }
                s.command("SET brief 1 PX 20").await.unwrap();
                while s.command("EXISTS brief").await != Ok(Reply::Raw(Raw::Integer(0))) {
                    tokio::task::yield_now().await;
                }
                assert_eq!(s.command("TTL brief").await, Ok(Reply::Raw(Raw::Integer(-2))));
            }),
            wrong_type: case!(|s| {
                if s.lacks.raw_commands {
                    return drop(s.command("INCR x").await);
                }
                s.command("SET word abc").await.unwrap();
                assert_eq!(s.command("INCR word").await.unwrap_err().kind, ErrorKind::Data);
                assert_eq!(
                    s.command("SUBSCRIBE a").await.unwrap_err().kind,
                    ErrorKind::Unsupported
                );
            }),
        },
        Kind::Pipeline => Cases {
            success: case!(|s| {
                let commands = vec![args("SET p 1"), args("INCR p"), args("GET p")];
                let answer = s.run(Operation::Pipeline { commands }).await;
                if s.lacks.raw_commands {
                    assert_eq!(answer.unwrap_err().kind, ErrorKind::Unavailable);
                    return;
                }
                let expected = Raw::Array(vec![
                    Raw::Bytes("OK".into()),
                    Raw::Integer(2),
                    Raw::Bytes("2".into()),
                ]);
                assert_eq!(answer, Ok(Reply::Raw(expected)));
            }),
            absence: case!(|s| {
                let answer = s.run(Operation::Pipeline { commands: vec![args("GET nope")] }).await;
                assert!(
                    s.lacks.raw_commands || answer == Ok(Reply::Raw(Raw::Array(vec![Raw::Nil])))
                );
            }),
            expiry: case!(|s| {
                let commands = vec![args("SET e 1 PX 1000000"), args("PERSIST e"), args("TTL e")];
                let answer = s.run(Operation::Pipeline { commands }).await;
                if !s.lacks.raw_commands {
                    let Ok(Reply::Raw(Raw::Array(replies))) = answer else { panic!("{answer:?}") };
                    assert_eq!(replies[1..], [Raw::Integer(1), Raw::Integer(-1)]);
                }
            }),
            wrong_type: case!(|s| {
                let commands = vec![args("SET w abc"), args("INCR w"), args("GET w")];
                let answer = s.run(Operation::Pipeline { commands }).await;
                if !s.lacks.raw_commands {
                    let Ok(Reply::Raw(Raw::Array(replies))) = answer else { panic!("{answer:?}") };
                    assert!(
                        matches!(&replies[1], Raw::Error(error) if error.kind == ErrorKind::Data)
                    );
                    assert_eq!(replies[2], Raw::Bytes("abc".into()), "the others still ran");
                }
            }),
        },
    }
}

//! The cases of raw commands.
use holdfast::backend::{Operation, Raw, Reply};
use holdfast::base::error::ErrorKind;

use crate::cases::Cases;
use crate::subject::{args, text};

pub fn change() -> Cases {
    Cases {
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
        more: &[],
    }
}

pub fn command() -> Cases {
    Cases {
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
            assert_eq!(s.command("SUBSCRIBE a").await.unwrap_err().kind, ErrorKind::Unsupported);
        }),
        more: &[],
    }
}

pub fn pipeline() -> Cases {
    Cases {
        success: case!(|s| {
            let commands = vec![args("SET p 1"), args("INCR p"), args("GET p")];
            let answer = s.run(Operation::Pipeline { commands }).await;
            if s.lacks.raw_commands {
                assert_eq!(answer.unwrap_err().kind, ErrorKind::Unavailable);
                return;
            }
            let expected =
                Raw::Array(vec![Raw::Bytes("OK".into()), Raw::Integer(2), Raw::Bytes("2".into())]);
            assert_eq!(answer, Ok(Reply::Raw(expected)));
        }),
        absence: case!(|s| {
            let answer = s.run(Operation::Pipeline { commands: vec![args("GET nope")] }).await;
            assert!(s.lacks.raw_commands || answer == Ok(Reply::Raw(Raw::Array(vec![Raw::Nil]))));
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
                assert!(matches!(&replies[1], Raw::Error(error) if error.kind == ErrorKind::Data));
                assert_eq!(replies[2], Raw::Bytes("abc".into()), "the others still ran");
            }
        }),
        more: &[],
    }
}

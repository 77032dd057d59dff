//! The cases of each operation. A new field or kind without a case does not compile.
use std::future::Future;
use std::pin::Pin;

use holdfast::backend::{Answer, Reply};

use crate::subject::Subject;
use crate::{Kind, invalidations, loads, messages, rates, raw, sessions, values};

pub type Case = for<'a> fn(&'a mut Subject) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

pub struct Cases {
    pub success: Case,
    pub absence: Case,
    pub expiry: Case,
    pub wrong_type: Case,
    /// What else it promises, each by a sentence.
    pub more: &'static [(&'static str, Case)],
}

pub const FLAG: fn(bool) -> Answer = |flag| Ok(Reply::Flag(flag));

pub fn cases(kind: Kind) -> Cases {
    match kind {
        Kind::Get => values::get(),
        Kind::Set => values::set(),
        Kind::Delete => values::delete(),
        Kind::Exists => values::exists(),
        Kind::Clear => values::clear(),
        Kind::Expire => invalidations::expire(),
        Kind::Invalidate => invalidations::invalidate(),
        Kind::Load => loads::load(),
        Kind::Fill => loads::fill(),
        Kind::Hold => loads::hold(),
        Kind::Change => raw::change(),
        Kind::Rate => rates::rate(),
        Kind::Session => sessions::session(),
        Kind::Publish => messages::publishing(),
        Kind::Stream => messages::stream(),
        Kind::Presence => messages::presence(),
        Kind::Command => raw::command(),
        Kind::Pipeline => raw::pipeline(),
    }
}

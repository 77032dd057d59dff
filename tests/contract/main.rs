//! The contract: what each operation promises, held against every backend.
//!
//! An operation without cases for success, absence, expiry and wrong type does not compile: `cases`
//! matches every kind, and a kind is made by a match over every operation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]
#[path = "../support/mod.rs"]
mod support;

macro_rules! case {
    (|$subject:ident| $body:block) => {{
        fn run<'a>(
            $subject: &'a mut crate::subject::Subject,
        ) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>> {
            Box::pin(async move { $body })
        }
        run
    }};
}

mod cases;
mod invalidations;
mod loads;
mod messages;
mod rates;
mod raw;
mod sessions;
mod subject;
mod values;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use subject::Subject;

/// The operations by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Get,
    Set,
    Delete,
    Expire,
    Exists,
    Load,
    Fill,
    Hold,
    Invalidate,
    Clear,
    Change,
    Rate,
    Session,
    Publish,
    Stream,
    Presence,
    Command,
    Pipeline,
}

impl Kind {
    const ALL: [Self; 18] = [
        Self::Get,
        Self::Set,
        Self::Delete,
        Self::Expire,
        Self::Exists,
        Self::Load,
        Self::Fill,
        Self::Hold,
        Self::Invalidate,
        Self::Clear,
        Self::Change,
        Self::Rate,
        Self::Session,
        Self::Publish,
        Self::Stream,
        Self::Presence,
        Self::Command,
        Self::Pipeline,
    ];

    /// Fails to compile when an operation is added without a kind.
    pub fn of(operation: &holdfast::backend::Operation) -> Self {
        use holdfast::backend::Operation as Op;
        match operation {
            Op::Get { .. } => Self::Get,
            Op::Set { .. } => Self::Set,
            Op::Delete { .. } => Self::Delete,
            Op::Expire { .. } => Self::Expire,
            Op::Exists { .. } => Self::Exists,
            Op::Load { .. } => Self::Load,
            Op::Fill { .. } => Self::Fill,
            Op::Hold { .. } => Self::Hold,
            Op::Invalidate { .. } => Self::Invalidate,
            Op::Clear { .. } => Self::Clear,
            Op::Change { .. } => Self::Change,
            Op::Rate { .. } => Self::Rate,
            Op::Session { .. } => Self::Session,
            Op::Publish { .. } => Self::Publish,
            Op::Stream { .. } => Self::Stream,
            Op::Presence { .. } => Self::Presence,
            Op::Command { .. } => Self::Command,
            Op::Pipeline { .. } => Self::Pipeline,
        }
    }
}

async fn whole_contract(subject: &mut Subject) {
    let mut broken = Vec::new();
    for kind in Kind::ALL {
        let cases = cases::cases(kind);
        let four = [
            ("success", cases.success),
            ("absence", cases.absence),
            ("expiry", cases.expiry),
            ("wrong type", cases.wrong_type),
        ];
        for (what, case) in four.into_iter().chain(cases.more.iter().copied()) {
            subject.begin(kind, what).await;
            // One that is broken hides none of the others; what it says is in the output.
            if AssertUnwindSafe(case(subject)).catch_unwind().await.is_err() {
                broken.push(format!("{kind:?}: {what}"));
            } else {
                assert!(subject.used(kind), "{kind:?}, {what}: the case never ran its operation");
            }
        }
    }
    assert!(broken.is_empty(), "broken:\n{}", broken.join("\n"));
}

macro_rules! contract_on {
    ($name:ident, $make:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
        async fn $name() {
            let mut subject = $make.await;
            whole_contract(&mut subject).await;
        }
    };
}

contract_on!(memory_keeps_the_contract, Subject::memory());
contract_on!(redis_keeps_the_contract, Subject::redis());
contract_on!(the_fallback_keeps_the_contract_while_redis_answers, Subject::fallback_online());
contract_on!(the_fallback_keeps_the_contract_while_degraded, Subject::fallback_forced());

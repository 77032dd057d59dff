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

mod cases;
mod subject;

use subject::Subject;

/// The operations by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Get,
    Set,
    Delete,
    Exists,
    Load,
    Fill,
    Clear,
    Change,
    Command,
    Pipeline,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Get,
        Self::Set,
        Self::Delete,
        Self::Exists,
        Self::Load,
        Self::Fill,
        Self::Clear,
        Self::Change,
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
            Op::Exists { .. } => Self::Exists,
            Op::Load { .. } => Self::Load,
            Op::Fill { .. } => Self::Fill,
            Op::Clear { .. } => Self::Clear,
            Op::Change { .. } => Self::Change,
            Op::Command { .. } => Self::Command,
            Op::Pipeline { .. } => Self::Pipeline,
        }
    }
}

async fn whole_contract(subject: &mut Subject) {
    for kind in Kind::ALL {
        let cases = cases::cases(kind);
        for (what, case) in [
            ("success", cases.success),
            ("absence", cases.absence),
            ("expiry", cases.expiry),
            ("wrong type", cases.wrong_type),
        ] {
            subject.begin(kind, what);
            case(subject).await;
            assert!(subject.used(kind), "{kind:?}, {what}: the case never ran its operation");
        }
    }
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

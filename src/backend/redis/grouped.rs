//! Limits that are asked for together: those of one limiter whose keys lie in one slot go in one call of the script, so
//! that what a call costs the server is shared.
use std::sync::Arc;

use bytes::Bytes;
use redis::Pipeline;

use super::items::{Item, Step};
use super::wire::{Group, MOST_IN_GROUP};
use crate::backend::rate::Limiter;
use crate::backend::{Call, Operation};
use crate::base::slot::slot;
use crate::base::stamp::Stamps;

impl Together {
    /// What is asked of a key twice is asked one after the other.
    fn has(&self, key: &Bytes) -> bool {
        self.calls.iter().any(|call| call.operation.key() == Some(key))
    }
}

#[derive(Default)]
pub(super) struct Rates(Vec<Together>);

struct Together {
    link: usize,
    slot: u16,
    limiter: Arc<Limiter>,
    calls: Vec<Call>,
}

impl Rates {
    /// Takes a call that is sent for the first time, and gives its act its place among those of this process.
    pub fn add(&mut self, link: usize, mut call: Call, stamps: &Stamps) {
        let Operation::Rate { key, limiter, act } = &mut call.operation else { return };
        act.number = stamps.next_act();
        let slot = slot(key);
        // The last first: those of a full one belong behind it.
        let mut groups = self.0.iter_mut().rev();
        let group = groups.find(|group| {
            group.slot == slot && group.link == link && Arc::ptr_eq(&group.limiter, limiter)
        });
        match group {
            Some(group) if group.calls.len() < MOST_IN_GROUP && !group.has(key) => {
                group.calls.push(call);
            }
            _ => {
                let limiter = limiter.clone();
                self.0.push(Together { link, slot, limiter, calls: vec![call] });
            }
        }
    }

    /// Adds a command for each group, and its calls behind each other: the first has the reply of all.
    pub fn send(self, outgoing: &mut [(Pipeline, Vec<Item>)], process: u64) {
        for Together { link, slot: _, limiter, calls } in self.0 {
            let Some((pipeline, items)) = outgoing.get_mut(link) else { continue };
            let mut group = Group::new(&limiter, process);
            for call in &calls {
                if let Operation::Rate { key, act, .. } = &call.operation {
                    group.add(key, &[(act, false, false)], 0);
                }
            }
            pipeline.add_command(group.command());
            items.extend(calls.into_iter().enumerate().map(|(at, call)| {
                let replies = usize::from(at == 0);
                Item::Call { call, step: Step::First, seen: 0, replies, announced: false }
            }));
        }
    }
}

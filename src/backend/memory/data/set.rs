//! Members under one key.
use std::collections::BTreeSet;

/// Members, sorted.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Set {
    members: BTreeSet<Box<[u8]>>,
    held: usize,
}

impl Set {
    /// What a set weighs besides its members, and what each member weighs besides its bytes.
    ///
    /// As for a hash, with leaves of 208 bytes and inner nodes of 304: a tree of `n` members takes
    /// 45 × n + 225 bytes at most.
    ///
    /// | what | bytes |
    /// |---|---|
    /// | the box of the tree and of the sum (32) | 48 |
    /// | the tree's nodes, besides 45 a member | 225 |
    ///
    /// | what, for each member | bytes |
    /// |---|---|
    /// | its part of the nodes | 45 |
    /// | what the allocator adds to the member (31, for one byte) | 31 |
    pub const BASE: usize = 273;
    pub const MEMBER: usize = 76;

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The bytes of all members.
    pub fn held(&self) -> usize {
        self.held
    }

    pub fn contains(&self, member: &[u8]) -> bool {
        self.members.contains(member)
    }

    /// Answers whether the member is new.
    pub fn insert(&mut self, member: &[u8]) -> bool {
        if self.members.contains(member) {
            return false;
        }
        self.held += member.len();
        self.members.insert(Box::from(member))
    }

    /// Answers whether the member was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let was_there = self.members.remove(member);
        if was_there {
            self.held -= member.len();
        }
        was_there
    }

    /// Takes the first member out.
    pub fn pop(&mut self) -> Option<Box<[u8]>> {
        let member = self.members.pop_first()?;
        self.held -= member.len();
        Some(member)
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.members.iter().map(|member| &**member)
    }
}

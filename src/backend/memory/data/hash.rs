//! Fields and values under one key.
use std::collections::BTreeMap;

/// Fields and their values, sorted by field.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hash {
    fields: BTreeMap<Box<[u8]>, Box<[u8]>>,
    held: usize,
}

impl Hash {
    /// What a hash weighs besides its fields, and what each field weighs besides its bytes and those of
    /// its value.
    ///
    /// A node of the tree has room for 11 fields, and but for the root at least 5 are taken. With what
    /// the allocator adds (8 bytes before each block, sizes in steps of 16, 32 at least) a leaf takes
    /// 384 bytes and an inner node 480. A tree of `n` fields thus takes 80 × n + 368 bytes at most,
    /// and a tree of the sparsest nodes takes just that.
    ///
    /// | what | bytes |
    /// |---|---|
    /// | the box of the tree and of the sum (32) | 48 |
    /// | the tree's nodes, besides 80 a field | 368 |
    ///
    /// | what, for each field | bytes |
    /// |---|---|
    /// | its part of the nodes | 80 |
    /// | what the allocator adds to the field and to the value (31 each, for one byte) | 62 |
    pub const BASE: usize = 416;
    pub const FIELD: usize = 142;

    pub fn len(&self) -> usize {
        self.fields.len()
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The bytes of all fields and values.
    pub fn held(&self) -> usize {
        self.held
    }

    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        self.fields.get(field).map(|value| &**value)
    }

    /// Answers whether the field is new.
    pub fn insert(&mut self, field: &[u8], value: &[u8]) -> bool {
        if let Some(old) = self.fields.get_mut(field) {
            self.held = self.held - old.len() + value.len();
            *old = Box::from(value);
            return false;
        }
        self.held += field.len() + value.len();
        self.fields.insert(Box::from(field), Box::from(value));
        true
    }

    /// Answers whether the field was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let Some(value) = self.fields.remove(field) else { return false };
        self.held -= field.len() + value.len();
        true
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(field, value)| (&**field, &**value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::memory::data::Typed;

    #[test]
    fn a_field_that_is_written_over_weighs_what_its_new_value_does() {
        let mut hash = Hash::default();
        assert!(hash.insert(b"field", b"a long value"));
        assert!(!hash.insert(b"field", b"v"));
        assert_eq!(hash.get(b"field").unwrap(), b"v");
        let data = hash.into_data();
        assert_eq!(data.weight(), Hash::BASE + Hash::FIELD + 6);
        assert_eq!(data.weight(), data.recount());
    }
}

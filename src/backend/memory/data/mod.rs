//! What a key can hold: a string, a hash, a list or a set. Each knows its weight at any time.
//!
//! Hashes and sets are sorted trees. Redis promises no order, so any will do, and this one is the
//! same on every run; a tree also has no table that doubles, so that its memory follows its size.
//!
//! Elements are boxes of exactly their length, and a reply is a copy of them: what is kept is what
//! is weighed, however often it is read.
mod hash;
mod list;
mod set;

use std::fmt;

use bytes::Bytes;

pub use hash::Hash;
pub use list::{End, List};
pub use set::Set;

/// A collection is never kept empty: who takes the last element out removes the key, as Redis does.
#[derive(Clone, PartialEq, Eq)]
pub enum Data {
    /// A string of Redis', or the payload of a managed value.
    Bytes(Bytes),
    /// The collections are boxed, so that a managed value pays nothing for them.
    Hash(Box<Hash>),
    List(Box<List>),
    Set(Box<Set>),
}

impl Data {
    /// The bytes that it counts for besides its key and the entry itself.
    pub fn weight(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Hash(hash) => Hash::BASE + hash.len() * Hash::FIELD + hash.held(),
            Self::List(list) => List::BASE + list.len() * List::ELEMENT + list.held(),
            Self::Set(set) => Set::BASE + set.len() * Set::MEMBER + set.held(),
        }
    }

    /// Redis' word for its type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bytes(_) => "string",
            Self::Hash(_) => "hash",
            Self::List(_) => "list",
            Self::Set(_) => "set",
        }
    }

    /// A collection without elements. An empty string is something.
    pub fn is_spent(&self) -> bool {
        match self {
            Self::Bytes(_) => false,
            Self::Hash(hash) => hash.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Set(set) => set.is_empty(),
        }
    }

    /// Gives back what it holds for nothing. Whoever takes elements out calls this afterwards.
    pub fn trim(&mut self) {
        if let Self::List(list) = self {
            list.trim();
        }
    }

    /// The weight, counted element by element.
    #[cfg(test)]
    pub fn recount(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Hash(hash) => hash
                .iter()
                .map(|(field, value)| Hash::FIELD + field.len() + value.len())
                .fold(Hash::BASE, |sum, weight| sum + weight),
            Self::List(list) => list
                .iter()
                .map(|piece| List::ELEMENT + piece.len())
                .fold(List::BASE, |sum, weight| sum + weight),
            Self::Set(set) => set
                .iter()
                .map(|member| Set::MEMBER + member.len())
                .fold(Set::BASE, |sum, weight| sum + weight),
        }
    }
}

/// Values are the users' own data: Debug shows how much there is, never what it says.
impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (elements, bytes) = match self {
            Self::Bytes(bytes) => (1, bytes.len()),
            Self::Hash(hash) => (hash.len(), hash.held()),
            Self::List(list) => (list.len(), list.held()),
            Self::Set(set) => (set.len(), set.held()),
        };
        f.debug_struct(self.kind()).field("elements", &elements).field("bytes", &bytes).finish()
    }
}

/// One of the types that a key can hold.
pub trait Typed: Default {
    fn of(data: &Data) -> Option<&Self>;
    fn of_mut(data: &mut Data) -> Option<&mut Self>;
    fn into_data(self) -> Data;
}

impl Typed for Bytes {
    fn of(data: &Data) -> Option<&Self> {
        match data {
            Data::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn of_mut(data: &mut Data) -> Option<&mut Self> {
        match data {
            Data::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn into_data(self) -> Data {
        Data::Bytes(self)
    }
}

macro_rules! typed {
    ($collection:ident) => {
        impl Typed for $collection {
            fn of(data: &Data) -> Option<&Self> {
                match data {
                    Data::$collection(held) => Some(held.as_ref()),
                    _ => None,
                }
            }

            fn of_mut(data: &mut Data) -> Option<&mut Self> {
                match data {
                    Data::$collection(held) => Some(held.as_mut()),
                    _ => None,
                }
            }

            fn into_data(self) -> Data {
                Data::$collection(Box::new(self))
            }
        }
    };
}

typed!(Hash);
typed!(List);
typed!(Set);

//! Many scopes, found by a key that they cover: by what every such key begins with.
use std::collections::{BTreeMap, HashMap};

use bytes::{Bytes, BytesMut};

use super::scope::Scope;

/// Scopes, each with what is known of it.
#[derive(Clone, Debug)]
pub struct Scopes<T> {
    by_head: HashMap<Bytes, Vec<(Scope, T)>>,
    /// How long those heads are, and how many are as long.
    lengths: BTreeMap<usize, usize>,
    len: usize,
}

impl<T> Default for Scopes<T> {
    fn default() -> Self {
        Self { by_head: HashMap::new(), lengths: BTreeMap::new(), len: 0 }
    }
}

impl<T> Scopes<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Scope, &T)> {
        self.by_head.values().flatten().map(|(scope, known)| (scope, known))
    }

    pub fn get(&self, scope: &Scope) -> Option<&T> {
        let same = self.by_head.get(&head_of(scope))?.iter().find(|(other, _)| other == scope);
        same.map(|(_, known)| known)
    }

    /// Answers what was known of the same scope.
    pub fn insert(&mut self, scope: Scope, known: T) -> Option<T> {
        let head = head_of(&scope);
        let length = head.len();
        let of_head = self.by_head.entry(head).or_default();
        if let Some((_, before)) = of_head.iter_mut().find(|(other, _)| *other == scope) {
            return Some(std::mem::replace(before, known));
        }
        if of_head.is_empty() {
            *self.lengths.entry(length).or_default() += 1;
        }
        of_head.push((scope, known));
        self.len += 1;
        None
    }

    pub fn remove(&mut self, scope: &Scope) -> Option<T> {
        let head = head_of(scope);
        let of_head = self.by_head.get_mut(&head)?;
        let at = of_head.iter().position(|(other, _)| other == scope)?;
        let (_, known) = of_head.swap_remove(at);
        self.len -= 1;
        if of_head.is_empty() {
            self.by_head.remove(&head);
            if let Some(count) = self.lengths.get_mut(&head.len()) {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&head.len());
                }
            }
        }
        Some(known)
    }

    /// Those that cover a key, whose value has tags or not.
    pub fn over(&self, key: &[u8], tagged: bool) -> impl Iterator<Item = (&Scope, &T)> {
        let heads = self.lengths.keys().map_while(|&length| key.get(..length));
        let all = heads.filter_map(|head| self.by_head.get(head)).flatten();
        all.filter(move |(scope, _)| scope.covers(key, tagged)).map(|(scope, known)| (scope, known))
    }
}

impl<T> FromIterator<(Scope, T)> for Scopes<T> {
    fn from_iter<I: IntoIterator<Item = (Scope, T)>>(all: I) -> Self {
        let mut scopes = Self::default();
        for (scope, known) in all {
            scopes.insert(scope, known);
        }
        scopes
    }
}

/// What every key begins with that a scope covers, as far as can be told at once.
fn head_of(scope: &Scope) -> Bytes {
    match scope {
        Scope::Prefix(prefix) | Scope::Tagged(prefix) => prefix.clone(),
        Scope::Pattern { head, pattern } => {
            // These stand for themselves, in a pattern and as they are stored.
            let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b":-_.".contains(byte);
            let mut out = BytesMut::from(head.as_ref());
            out.extend(pattern.bytes().take_while(is_plain));
            out.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_scope() -> impl Strategy<Value = Scope> {
        let text = || "[a-c:]{0,4}".prop_map(Bytes::from);
        prop_oneof![
            text().prop_map(Scope::Prefix),
            (text(), "[a-c:*?%ä\\[\\]]{0,5}")
                .prop_map(|(head, pattern)| Scope::Pattern { head, pattern }),
            text().prop_map(Scope::Tagged)
        ]
    }

    proptest! {
        #[test]
        fn what_covers_a_key_is_found(
            all in prop::collection::vec((any_scope(), any::<bool>()), 0..20),
            key in "[a-c:ä]{0,6}",
            tagged in any::<bool>(),
        ) {
            let (mut scopes, mut plain) = (Scopes::default(), Vec::new());
            for (at, (scope, kept)) in all.into_iter().enumerate() {
                plain.retain(|(other, _)| *other != scope);
                if kept {
                    plain.push((scope.clone(), at));
                    scopes.insert(scope, at);
                } else {
                    scopes.remove(&scope);
                }
            }
            prop_assert_eq!(scopes.len(), plain.len());
            prop_assert!(plain.iter().all(|(scope, at)| scopes.get(scope) == Some(at)));
            let key = key.as_bytes();
            let covers = plain.iter().filter(|(scope, _)| scope.covers(key, tagged));
            let mut expected: Vec<usize> = covers.map(|(_, at)| *at).collect();
            let mut found: Vec<usize> = scopes.over(key, tagged).map(|(_, at)| *at).collect();
            expected.sort_unstable();
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}

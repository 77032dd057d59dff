//! What an invalidation is about, when it is about more than one key.
use bytes::{BufMut, Bytes, BytesMut};

use crate::base::glob;
use crate::base::keys::{Keys, chars, in_namespace, put_for_scan, scan_pattern};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every key that begins so.
    Prefix(Bytes),
    /// Every key that begins so and whose name, behind that, matches the pattern; not what lies in a namespace.
    Pattern { head: Bytes, pattern: String },
    /// Every value with a tag; all keys begin so.
    Tagged(Bytes),
}

/// No key begins with either.
const PATTERN: u8 = 0;
const TAGGED: u8 = 1;

impl Scope {
    /// The keys of a family whose names match.
    pub fn matching(keys: &Keys, family: &str, pattern: &str) -> Self {
        Self::Pattern { head: keys.family(family), pattern: pattern.to_owned() }
    }

    pub fn covers(&self, key: &[u8], tagged: bool) -> bool {
        match self {
            Self::Prefix(prefix) => key.starts_with(prefix),
            Self::Pattern { head, pattern } => {
                key.strip_prefix(head.as_ref()).is_some_and(|name| is_matched(pattern, name))
            }
            Self::Tagged(prefix) => tagged && key.starts_with(prefix),
        }
    }

    /// Whether it may cover a value of which no more is known than its key.
    pub fn may_cover(&self, key: &[u8]) -> bool {
        self.covers(key, true)
    }

    /// Whether everything that the other covers is covered by this one.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Prefix(prefix),
                Self::Prefix(head) | Self::Tagged(head) | Self::Pattern { head, .. },
            ) => head.starts_with(prefix),
            _ => self == other,
        }
    }

    /// What everything begins with that it covers.
    pub fn head(&self) -> &Bytes {
        match self {
            Self::Prefix(head) | Self::Tagged(head) | Self::Pattern { head, .. } => head,
        }
    }

    /// Whether everything that it covers begins so.
    pub fn is_within(&self, prefix: &[u8]) -> bool {
        self.head().starts_with(prefix)
    }

    /// The same among what is kept in one process alone.
    pub fn local(&self, keys: &Keys) -> Self {
        match self {
            Self::Prefix(prefix) => Self::Prefix(keys.local(prefix)),
            Self::Tagged(prefix) => Self::Tagged(keys.local(prefix)),
            Self::Pattern { head, pattern } => {
                Self::Pattern { head: keys.local(head), pattern: pattern.clone() }
            }
        }
    }

    /// The patterns by which the server is searched: the side records of what it covers, then the values. They may
    /// find more than it covers.
    pub fn searches(&self, keys: &Keys) -> [Vec<u8>; 2] {
        match self {
            Self::Prefix(prefix) | Self::Tagged(prefix) => {
                let side = keys.side(prefix);
                [scan_pattern(&side[..side.len() - 1]), scan_pattern(prefix)]
            }
            Self::Pattern { head, pattern } => {
                let name = glob::loosened(pattern, &put_for_scan);
                let side = keys.side(head);
                let search = |head: &[u8], end: &[u8]| {
                    let mut search = scan_pattern(head);
                    search.pop();
                    [&search, &name, end].concat()
                };
                [search(&side[..side.len() - 1], b"}"), search(head, b"")]
            }
        }
    }

    /// One text of it, for lists and records.
    pub fn text(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Prefix(prefix) => return prefix.clone(),
            Self::Pattern { head, pattern } => {
                out.put_u8(PATTERN);
                out.put_u32(u32::try_from(head.len()).unwrap_or(0));
                out.put_slice(head);
                out.put_slice(pattern.as_bytes());
            }
            Self::Tagged(prefix) => {
                out.put_u8(TAGGED);
                out.put_slice(prefix);
            }
        }
        out.freeze()
    }

    /// Reads it. Keeps bytes of its own.
    pub fn read(text: &[u8]) -> Self {
        match text {
            [PATTERN, a, b, c, d, rest @ ..] => {
                let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                let (head, pattern) = rest.split_at(length.min(rest.len()));
                let pattern = String::from_utf8_lossy(pattern).into_owned();
                Self::Pattern { head: Bytes::copy_from_slice(head), pattern }
            }
            [TAGGED, prefix @ ..] => Self::Tagged(Bytes::copy_from_slice(prefix)),
            prefix => Self::Prefix(Bytes::copy_from_slice(prefix)),
        }
    }
}

/// Whether a pattern of characters matches a stored name.
fn is_matched(pattern: &str, name: &[u8]) -> bool {
    if in_namespace(name) {
        return false;
    }
    if pattern.is_ascii() && name.is_ascii() && !name.contains(&b'%') {
        return glob::matches(pattern.as_bytes(), name);
    }
    let name: Vec<char> = chars(&String::from_utf8_lossy(name)).collect();
    glob::matches(&pattern.chars().collect::<Vec<_>>(), &name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_scope() -> impl Strategy<Value = Scope> {
        let text = || "[a-c:*?]{1,6}".prop_map(Bytes::from);
        prop_oneof![
            text().prop_map(Scope::Prefix),
            (text(), "[a-c{%ä*?\\[\\]^-]{1,6}")
                .prop_map(|(head, pattern)| Scope::Pattern { head, pattern }),
            text().prop_map(Scope::Tagged)
        ]
    }

    proptest! {
        #[test]
        fn a_scope_is_read_as_it_was_written(scope in any_scope()) {
            prop_assert_eq!(Scope::read(&scope.text()), scope);
        }

        #[test]
        fn what_is_included_is_covered(
            (one, other) in (any_scope(), any_scope()), key in "[a-c:]{0,6}", tagged in any::<bool>(),
        ) {
            let covered = other.covers(key.as_bytes(), tagged);
            prop_assert!(!one.includes(&other) || !covered || one.covers(key.as_bytes(), tagged));
        }

        #[test]
        fn a_pattern_matches_nothing_beyond_its_family(
            (family, other) in ("[a-b*?{:\\x1F]{1,3}", "[a-b*?{:\\x1F]{1,3}"),
            pattern in "[a-c*?{}%]{0,5}",
            name in "[a-c*?{}%]{0,5}",
        ) {
            let keys = Keys::new("p:");
            let entry = keys.entry(&other, &name);
            let inside = entry.starts_with(&keys.family(&family));
            prop_assert!(inside || !Scope::matching(&keys, &family, &pattern).covers(&entry, false));
        }

        #[test]
        fn a_search_finds_what_is_covered_and_its_side_record(scope in any_scope(), name in "[a-c:{%ä]{0,6}") {
            let keys = Keys::new("");
            let key = keys.entry("a", &name);
            let [sides, values] = scope.searches(&keys);
            if scope.covers(&key, true) {
                prop_assert!(glob::matches(&values, &key) || key.is_empty());
                prop_assert!(glob::matches(&sides, &keys.side(&key)));
            }
        }
    }
}

//! Leases: the right to fill, given on a miss, one token per key. They are bounded by number and by the
//! bytes of their keys, and not counted in the store's.
use lru::LruCache;

/// How many loads may hold a lease at once. The oldest is dropped for a new one; its load still
/// answers, but does not fill.
pub const MAX_LEASES: usize = 65_536;

/// The bytes of all leased keys together.
pub const MAX_LEASE_BYTES: usize = 16 * 1024 * 1024;

/// Who holds a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub token: u64,
    /// Others leave the load to him until then.
    pub until: u64,
}

/// Only what stands here fills: a lease lost to the bound refuses a fill, it never allows one.
pub(super) struct Leases {
    /// Read without counting as used, so that its order is that of taking.
    tokens: LruCache<Box<[u8]>, Taken>,
    bytes: usize,
}

impl Leases {
    pub fn new() -> Self {
        Self { tokens: LruCache::unbounded(), bytes: 0 }
    }

    pub fn take(&mut self, key: &[u8], token: u64, until: u64) {
        self.drop_key(key);
        self.bytes += key.len();
        self.tokens.put(Box::from(key), Taken { token, until });
        while self.tokens.len() > MAX_LEASES || self.bytes > MAX_LEASE_BYTES {
            let Some((oldest, _)) = self.tokens.pop_lru() else { break };
            self.bytes -= oldest.len();
        }
    }

    pub fn consume(&mut self, key: &[u8], token: u64) -> bool {
        let stands = self.of(key).is_some_and(|taken| taken.token == token);
        if stands {
            self.drop_key(key);
        }
        stands
    }

    pub fn of(&self, key: &[u8]) -> Option<Taken> {
        self.tokens.peek(key).copied()
    }

    pub fn keep(&mut self, key: &[u8], token: u64, until: u64) -> bool {
        let taken = self.tokens.peek_mut(key).filter(|taken| taken.token == token);
        taken.map(|taken| taken.until = until).is_some()
    }

    pub fn drop_key(&mut self, key: &[u8]) {
        if self.tokens.pop(key).is_some() {
            self.bytes -= key.len();
        }
    }

    pub fn drop_where(&mut self, gone: impl Fn(&[u8]) -> bool) {
        let keys: Vec<Box<[u8]>> =
            self.tokens.iter().map(|(key, _)| key).filter(|key| gone(key)).cloned().collect();
        for key in keys {
            self.drop_key(&key);
        }
    }
}

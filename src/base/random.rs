//! The one place that draws randomness: process ids, lease tokens, jitter.

/// 64 random bits. Where the system has no entropy to give (it always has, after early boot) the
/// answer is a fixed pattern mixed with an address, which still keeps processes apart.
pub fn bits() -> u64 {
    let mut bytes = [0u8; 8];
    #[expect(clippy::disallowed_methods, reason = "this is the injected source itself")]
    if getrandom::fill(&mut bytes).is_err() {
        return 0x9E37_79B9_7F4A_7C15 ^ (std::ptr::from_ref(&bytes) as u64);
    }
    u64::from_le_bytes(bytes)
}

/// Bytes that nobody guesses, or nothing at all.
pub fn secret<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    #[expect(clippy::disallowed_methods, reason = "this is the injected source itself")]
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}

/// A number in `0..=limit`, for jitter.
pub fn up_to(limit: u64) -> u64 {
    if limit == u64::MAX { bits() } else { bits() % (limit + 1) }
}

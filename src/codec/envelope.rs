//! The envelope of a managed value.
//!
//! | bytes | content |
//! |---|---|
//! | 0 | `0xF6`: begins no UTF-8 text, so no foreign plain value is mistaken for an envelope |
//! | 1 | version, 1 |
//! | 2 | flags: 1 = the payload is a zstd frame |
//! | 3 | format: how the reader decodes the payload |
//! | 4..12 | stamp, microseconds, big endian |
//! | 12..20 | stamp, process, big endian |
//! | 20..28 | expiry on the server's clock, microseconds, big endian; 0 = none |
//! | 28..36 | fresh until, on the same clock; 0 = as long as it lives |
//! | 36..40 | what its load took, ms |
//! | 40..42 | bytes of its tags |
//! | 42.. | its tags, then the payload, readable unless compressed |
//!
//! The scripts in `backend/redis/scripts` read bytes 0, 1 and 4..20, and write 28..36; change both together.
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::stamp::Stamp;

pub const MAGIC: u8 = 0xF6;
pub const VERSION: u8 = 1;
pub const HEADER: usize = 42;
/// As many bytes as hold the header and the tags of any value.
pub const HEAD: usize = 4096;
const COMPRESSED: u8 = 1;
/// From here on compression is tried.
pub const COMPRESS_FROM: usize = 1024;
/// zstd's fastest regular level: a cache is written on the way of a request.
const LEVEL: i32 = 1;

/// A value read from the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    Managed {
        payload: Payload,
        header: Header,
    },
    /// A value that something else wrote; it is handed on as it is.
    Foreign(Bytes),
}

/// What stands before the payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// How the reader decodes the payload.
    pub format: u8,
    pub stamp: Stamp,
    /// On the server's clock, like `fresh_until`.
    pub expires: Option<u64>,
    /// `None`: as long as it lives.
    pub fresh_until: Option<u64>,
    pub load_ms: u32,
    /// As they are stored.
    pub tags: Bytes,
}

/// A payload that may still have to be decompressed, which for large ones is done elsewhere.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload {
    Plain(Bytes),
    Zstd(Bytes),
}

impl Default for Payload {
    fn default() -> Self {
        Self::Plain(Bytes::new())
    }
}

impl Payload {
    /// How many bytes unfolding makes: none when there is nothing to unfold, and as many as there can be
    /// when the frame doesn't say.
    pub fn unfolds_to(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Zstd(frame) => content_size(frame).unwrap_or(usize::MAX),
        }
    }

    /// The payload's bytes. `limit` bounds what a small frame may unfold to.
    pub fn unfold(self, limit: usize) -> Result<Bytes> {
        match self {
            Self::Plain(bytes) => Ok(bytes),
            Self::Zstd(frame) => zstd::bulk::decompress(&frame, capacity(&frame, limit)?)
                .map(Bytes::from)
                .map_err(|cause| {
                    Error::new(ErrorKind::Data, "a compressed value can't be read")
                        .cause(cause.to_string())
                }),
        }
    }
}

fn content_size(frame: &[u8]) -> Option<usize> {
    let size = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten()?;
    usize::try_from(size).ok()
}

fn capacity(frame: &[u8], limit: usize) -> Result<usize> {
    let size = content_size(frame).unwrap_or(limit);
    if size > limit {
        return Err(Error::new(
            ErrorKind::Data,
            format!("a stored value unfolds to {size} bytes, over the limit of {limit}"),
        ));
    }
    Ok(size)
}

/// Writes an envelope; compresses when asked and when it saves something.
pub fn encode(payload: &[u8], header: &Header, compress: bool) -> Bytes {
    let Header { format, stamp, expires, fresh_until, load_ms, tags } = header;
    let packed = if compress && payload.len() >= COMPRESS_FROM {
        zstd::bulk::compress(payload, LEVEL).ok().filter(|packed| packed.len() < payload.len())
    } else {
        None
    };
    let body = packed.as_deref().unwrap_or(payload);
    let mut out = BytesMut::with_capacity(HEADER + tags.len() + body.len());
    out.put_u8(MAGIC);
    out.put_u8(VERSION);
    out.put_u8(if packed.is_some() { COMPRESSED } else { 0 });
    out.put_u8(*format);
    out.put_u64(stamp.micros);
    out.put_u64(stamp.process);
    out.put_u64(expires.unwrap_or(0));
    out.put_u64(fresh_until.unwrap_or(0));
    out.put_u32(*load_ms);
    out.put_u16(u16::try_from(tags.len()).unwrap_or(0));
    out.put_slice(tags);
    out.put_slice(body);
    out.freeze()
}

/// Reads what the server holds. A version from the future is an error, not a foreign value.
pub fn decode(mut stored: Bytes) -> Result<Decoded> {
    let Some(header) = head(&stored)? else { return Ok(Decoded::Foreign(stored)) };
    let compressed = stored[2] & COMPRESSED != 0;
    stored.advance(HEADER + header.tags.len());
    let payload = if compressed { Payload::Zstd(stored) } else { Payload::Plain(stored) };
    Ok(Decoded::Managed { payload, header })
}

/// Reads the header alone, of which `HEAD` bytes are enough; `None` for a foreign value.
pub fn head(stored: &Bytes) -> Result<Option<Header>> {
    if stored.first() != Some(&MAGIC) || stored.len() < HEADER {
        return Ok(None);
    }
    if stored[1] != VERSION {
        return Err(Error::new(
            ErrorKind::Data,
            format!(
                "a value was stored in format version {}; this version reads {VERSION}",
                stored[1]
            ),
        ));
    }
    let tags = HEADER + usize::from(u16::from_be_bytes([stored[40], stored[41]]));
    if tags > stored.len() {
        return Err(Error::new(ErrorKind::Data, "a stored value is damaged"));
    }
    let (expires, fresh_until) = (number(stored, 20), number(stored, 28));
    Ok(Some(Header {
        format: stored[3],
        stamp: Stamp { micros: number(stored, 4), process: number(stored, 12) },
        expires: (expires != 0).then_some(expires),
        fresh_until: (fresh_until != 0).then_some(fresh_until),
        load_ms: u32::from_be_bytes([stored[36], stored[37], stored[38], stored[39]]),
        tags: stored.slice(HEADER..tags),
    }))
}

/// A tombstone, as it stands in a side record: `T`, then the stamp.
pub fn tombstone(stamp: Stamp) -> [u8; 17] {
    let mut out = [b'T'; 17];
    out[1..9].copy_from_slice(&stamp.micros.to_be_bytes());
    out[9..17].copy_from_slice(&stamp.process.to_be_bytes());
    out
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut out = [0u8; 8];
    out.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_enveloped_comes_out_as_it_went_in(
            payload in proptest::collection::vec(any::<u8>(), 0..3000),
            repeated in 0usize..40,
            format in any::<u8>(),
            (micros, process) in (any::<u64>(), any::<u64>()),
            expires in proptest::option::of(1u64..),
            fresh_until in proptest::option::of(1u64..),
            load_ms in any::<u32>(),
            tags in proptest::collection::vec(any::<u8>(), 0..300),
            compress in any::<bool>(),
        ) {
            let payload = payload.repeat(1 + repeated);
            let stamp = Stamp { micros, process };
            let tags = Bytes::from(tags);
            let header = Header { format, stamp, expires, fresh_until, load_ms, tags };
            let stored = encode(&payload, &header, compress);
            prop_assert!(stored.len() <= HEADER + header.tags.len() + payload.len());
            match decode(stored).unwrap() {
                Decoded::Managed { payload: body, header: read } => {
                    prop_assert_eq!(read, header);
                    prop_assert_eq!(body.unfold(payload.len()).unwrap(), payload);
                }
                Decoded::Foreign(_) => prop_assert!(false, "read as foreign"),
            }
        }

        #[test]
        fn no_text_is_taken_for_an_envelope(text in ".{0,200}") {
            let stored = Bytes::from(text);
            prop_assert_eq!(decode(stored.clone()).unwrap(), Decoded::Foreign(stored));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut stored = vec![MAGIC, VERSION];
            stored.extend(bytes);
            if let Ok(Decoded::Managed { payload, .. }) = decode(Bytes::from(stored)) {
                let _ = payload.unfold(1000);
            }
        }
    }

    #[test]
    fn a_frame_that_unfolds_beyond_the_limit_is_refused() {
        let stored = encode(&vec![b'a'; 100_000], &Header::default(), true);
        let Decoded::Managed { payload, .. } = decode(stored).unwrap() else { panic!("foreign") };
        assert_eq!(payload.unfold(99_999).unwrap_err().kind, ErrorKind::Data);
    }
}

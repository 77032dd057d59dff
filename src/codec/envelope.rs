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
//! | 28.. | payload, readable unless compressed |
//!
//! The scripts in `backend/redis/scripts` read bytes 0, 1 and 4..20; change both together.
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::stamp::Stamp;

pub const MAGIC: u8 = 0xF6;
pub const VERSION: u8 = 1;
pub const HEADER: usize = 28;
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
        format: u8,
        stamp: Stamp,
        expires: Option<u64>,
    },
    /// A value that something else wrote; it is handed on as it is.
    Foreign(Bytes),
}

/// A payload that may still have to be decompressed, which for large ones is done elsewhere.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload {
    Plain(Bytes),
    Zstd(Bytes),
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
pub fn encode(
    payload: &[u8],
    format: u8,
    stamp: Stamp,
    expires: Option<u64>,
    compress: bool,
) -> Bytes {
    let packed = if compress && payload.len() >= COMPRESS_FROM {
        zstd::bulk::compress(payload, LEVEL).ok().filter(|packed| packed.len() < payload.len())
    } else {
        None
    };
    let body = packed.as_deref().unwrap_or(payload);
    let mut out = BytesMut::with_capacity(HEADER + body.len());
    out.put_u8(MAGIC);
    out.put_u8(VERSION);
    out.put_u8(if packed.is_some() { COMPRESSED } else { 0 });
    out.put_u8(format);
    out.put_u64(stamp.micros);
    out.put_u64(stamp.process);
    out.put_u64(expires.unwrap_or(0));
    out.put_slice(body);
    out.freeze()
}

/// Reads what the server holds. A version from the future is an error, not a foreign value.
pub fn decode(mut stored: Bytes) -> Result<Decoded> {
    if stored.first() != Some(&MAGIC) || stored.len() < HEADER {
        return Ok(Decoded::Foreign(stored));
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
    let (compressed, format) = (stored[2] & COMPRESSED != 0, stored[3]);
    let stamp = Stamp { micros: number(&stored, 4), process: number(&stored, 12) };
    let expires = number(&stored, 20);
    stored.advance(HEADER);
    Ok(Decoded::Managed {
        payload: if compressed { Payload::Zstd(stored) } else { Payload::Plain(stored) },
        format,
        stamp,
        expires: (expires != 0).then_some(expires),
    })
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
            micros in any::<u64>(),
            process in any::<u64>(),
            expires in proptest::option::of(1u64..),
            compress in any::<bool>(),
        ) {
            let payload = payload.repeat(1 + repeated);
            let stamp = Stamp { micros, process };
            let stored = encode(&payload, format, stamp, expires, compress);
            prop_assert!(stored.len() <= HEADER + payload.len());
            match decode(stored).unwrap() {
                Decoded::Managed { payload: body, format: f, stamp: s, expires: e } => {
                    prop_assert_eq!((f, s, e), (format, stamp, expires));
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
        let stored = encode(&vec![b'a'; 100_000], 0, Stamp::default(), None, true);
        let Decoded::Managed { payload, .. } = decode(stored).unwrap() else { panic!("foreign") };
        assert_eq!(payload.unfold(99_999).unwrap_err().kind, ErrorKind::Data);
    }
}

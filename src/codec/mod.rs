//! How a managed value looks on the server: a short header, then the payload.
pub mod envelope;

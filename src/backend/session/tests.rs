//! Laws of what sessions merge to.

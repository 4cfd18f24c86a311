//! The operations: one verb a file. Knows nothing of HTTP, nor of which stores there are.

pub mod password;

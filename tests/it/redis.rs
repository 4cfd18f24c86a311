//! What is true of Redis alone.

//! Revocations: kept in memory by every node, carried between nodes by a stream, and re-applied from rows that outlive Redis.

pub mod durable;
pub mod feed;
pub mod set;

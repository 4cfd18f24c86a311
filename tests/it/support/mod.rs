//! The servers that tests start for themselves: real ones, each on a free port and in a folder of its own.

pub(crate) mod postgres;

//! Revocations: every node keeps them in memory ([`set`]), a stream carries them between nodes ([`stream`]), and rows
//! that outlive the ephemeral store restore them after a failover ([`durable`]).
//!
//! | file | content |
//! |---|---|
//! | [`set`] | the revocations in memory, against which every credential is checked |
//! | `publish` | publishes one revocation to all nodes |
//! | `sessions` | ends sessions in the store and applies their revocations |
//! | [`recent_ends`] | the ends of sessions that this node has stored in the last minute |
//! | `lost_ends` | restores those of them that a failover has lost |
//! | [`stream`] | follows that stream |
//! | [`steady_time`] | a time that does not follow every jump of the clock, for removing expired revocations |
//! | [`durable`] | re-applies the revocations that are columns of a row |
//! | [`propagation`] | lets a command wait until every node has applied a revocation |
//! | [`publication`] | the state of the feed that this node publishes to services that verify tokens themselves |
//! | [`responses`] | signs the responses of that feed |
//! | [`followers`] | the reports of those services |

pub mod durable;
pub mod followers;
mod lost_ends;
pub mod propagation;
pub mod publication;
pub(in crate::auth) mod publish;
pub mod recent_ends;
pub mod responses;
pub(in crate::auth) mod sessions;
pub mod set;
pub mod steady_time;
pub mod stream;

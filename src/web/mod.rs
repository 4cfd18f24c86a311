//! HTTP as the handlers see it: a table of [`Routes`], a [`Request`] whose body can be read in bounds, a [`Response`] to be
//! worded, and the closed list of what can be wrong with a request before anybody looks at its meaning ([`Rejection`]).
//!
//! Ignorant of tokens, users and stores, of the listeners that bring requests here, and of how a dialect words a
//! rejection: whoever adds routes brings a function that does.
//!
//! Reading order: [`routes`] (what is served), [`router`] (from a request to an answer), [`request`], [`json`] and [`pairs`] (bodies), [`response`].

mod body;
pub mod client;
mod cors;
mod fields;
mod host;
pub mod id;
pub mod json;
mod kept;
mod multipart;
pub mod pairs;
pub mod rejection;
pub mod request;
pub mod response;
mod room;
pub mod router;
pub mod routes;

pub use client::Proxies;
pub use id::{RequestId, RequestIds};
pub use kept::Kept;
pub use pairs::Pairs;
pub use rejection::{Expected, Fault, Place, Rejection, Step, Trouble};
pub use request::{Bounds, Intake, Request};
pub use response::{Answer, Fields, Response};
pub use router::{Begun, Exchange, Router};
pub use routes::{Routes, TableError, UNROUTED, Under};

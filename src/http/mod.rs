//! HTTP as the handlers see it: a table of [`Routes`], a [`Request`] whose body can be read in bounds, a [`Response`] to be
//! worded, and the closed list of what can be wrong with a request before anybody looks at its meaning ([`Rejection`]).
//!
//! Ignorant of tokens, users and stores, of the listeners that bring requests here, and of how a dialect words a
//! rejection: whoever adds routes brings a function that does.
//!
//! Reading order: [`routes`] (what is served), [`router`] (from a request to an answer), [`request`], [`json`] and [`pairs`] (bodies), [`response`].

mod body;
mod body_budget;
mod cached_response;
pub mod client;
mod cors;
mod fields;
pub mod form_fields;
mod host;
pub mod json;
mod multipart;
pub mod rejection;
pub mod request;
pub mod request_id;
pub mod response;
pub mod router;
pub mod routes;

pub use cached_response::CachedResponse;
pub use client::Proxies;
pub use form_fields::FormFields;
pub use rejection::{Expected, FieldError, FieldErrorKind, ParamLocation, PathSegment, Rejection};
pub use request::{Bounds, Intake, Request};
pub use request_id::{RequestId, RequestIds};
pub use response::{Fields, IntoResponse, Response};
pub use router::{Begun, Exchange, Router};
pub use routes::{RouteGroup, Routes, TableError, UNROUTED};

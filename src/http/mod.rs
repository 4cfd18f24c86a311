//! HTTP as handlers see it: a table of [`Routes`], a [`Request`] whose body is read within limits, a [`Response`], and
//! the closed list of errors that a request can have before its meaning is looked at ([`Rejection`]).
//!
//! Knows nothing of tokens, users and stores, nor of listeners, nor of how a dialect renders a rejection: each group of
//! routes brings its own renderer.
//!
//! Reading order: [`routes`] (the table), [`router`] (from a request to its response), [`request`], [`json`] and
//! [`form_fields`] (bodies), [`response`].

mod body;
mod body_budget;
mod cached_response;
mod client;
pub mod client_ip;
mod cors;
mod field_errors;
pub mod form_fields;
mod host;
pub mod json;
mod json_bounds;
mod json_single_field;
mod limits;
mod multipart;
mod rare_fields;
pub mod rejection;
pub mod request;
pub mod request_id;
pub mod response;
pub mod router;
pub mod routes;

pub use body_budget::{buffered_bytes, connection_counter};
pub use cached_response::CachedResponse;
pub use client::{PostClient, PostError};
pub use client_ip::TrustedProxies;
pub use form_fields::FormFields;
pub use limits::RequestLimits;
pub use rejection::{ExpectedType, FieldError, FieldErrorKind, ParamLocation, PathSegment, Rejection};
pub use request::{Request, RequestFactory};
pub use request_id::{RequestId, RequestIdGenerator};
pub use response::{HeaderTemplate, IntoResponse, Response};
pub use router::{Begun, Exchange, Router};
pub use routes::{RouteGroup, RouteTableError, Routes, UNROUTED};

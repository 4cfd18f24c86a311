//! Verification for proxies that ask with the method and the path of the client's request.

use super::Problem;
use super::problem::ProblemDocument;
use super::verify::{required_scopes, required_subject, respond_to_proxy};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::native::schemas::{Active, Inactive, RequiredSubject};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::tokens::verify::Requirements;
use crate::http::{FieldError, FieldErrorKind, FormFields, ParamLocation, Rejection, Request, Response};

/// Verify the credential of any proxied request
///
/// For proxies that ask with the method and the path of the client's request, such as Envoy ext_authz with `path_prefix:
/// /verify/proxy`. Takes every method, and all paths below this one, and answers as `GET /verify` does. A body is
/// ignored. Requirements are in header fields, which the configuration of the proxy sets. They can be in the query only
/// if the path is exactly `/verify/proxy`. If the path is longer, even by one slash, the query is that of the client's
/// request and is ignored.
#[utoipa::path(
    get,
    path = "/verify/proxy",
    operation_id = "native_verify_any_request_for_proxy",
    params(
        ("x-verify-aud" = Option<String>, Header, description = "The audience that the token must have."),
        ("x-verify-scope" = Option<String>, Header,
            description = "At most 64 scopes, separated by spaces, all of which the credential must have."),
        ("x-verify-subject" = inline(Option<RequiredSubject>), Header,
            description = "The holder that the credential must have."),
        ("aud" = Option<String>, Query, description = "The same as the header field; a request has one of both."),
        ("scope" = Option<String>, Query, description = "The same."),
        ("subject" = inline(Option<RequiredSubject>), Query, description = "The same."),
    ),
    security(("access_token" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "The credential is valid.", body = Active, headers(
            ("x-auth-subject" = String, description = "As for `GET /verify`."),
            ("x-auth-email" = String, description = "As for `GET /verify`."),
            ("x-auth-scopes" = String, description = "As for `GET /verify`."),
            ("x-auth-session" = String, description = "As for `GET /verify`."),
        )),
        (status = 401, description = "The credential is missing or invalid.",
            content((Inactive = "application/json"), (ProblemDocument<'_> = "application/problem+json")),
            headers(("www-authenticate" = String))),
    ),
)]
async fn verify_any_for_proxy(ctx: Context, request: Request) -> Result<Response, Problem> {
    let is_below = request.path().ends_with('/') || !request.param("tail").is_empty();
    let query = if is_below { FormFields::default() } else { request.query()? };
    let subject = requirement(&request, &query, "subject", "x-verify-subject")?;
    let subject = required_subject(ParamLocation::Header, subject)?;
    let scopes = required_scopes(ParamLocation::Header, requirement(&request, &query, "scope", "x-verify-scope")?)?;
    let requirements = Requirements {
        audience: requirement(&request, &query, "aud", "x-verify-aud")?,
        scopes: scopes.as_ref(),
        subject,
    };
    respond_to_proxy(&ctx, &request, requirements).await
}

pub(super) const VERIFY_ANY_FOR_PROXY: Endpoint = endpoint! {
    handler_of_all_below: verify_any_for_proxy,
    metric_label: "native.verify-proxy",
    errors: [Error::Stale],
};

/// A requirement in the query or in a header field. One that is stated more than once is refused, because one of them
/// may be the client's.
fn requirement<'r>(
    request: &'r Request,
    query: &'r FormFields,
    parameter: &str,
    header: &'static str,
) -> Result<Option<&'r str>, Rejection> {
    let mut values =
        query.iter().filter(|(name, _)| *name == parameter).map(|(_, value)| Some(value)).collect::<Vec<_>>();
    values.extend(request.headers().get_all(header).iter().map(|value| value.to_str().ok()));
    match values[..] {
        [] => Ok(None),
        [Some(value)] => Ok(Some(value)),
        [..] => {
            let kind = FieldErrorKind::Invalid("must be stated once, as text".to_owned());
            Err(Rejection::field(FieldError::new(ParamLocation::Header, header, kind)))
        }
    }
}

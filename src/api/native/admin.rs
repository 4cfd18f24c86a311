//! What only a superuser may do, or an API key of a superuser's with the scope `admin`.

use http::StatusCode;
use serde_json::json;

use super::Problem;
use crate::app::App;
use crate::auth::Failure;
use crate::auth::bearer::caller;
use crate::auth::sign_out;
use crate::id::UserId;
use crate::web::{Request, Response};

async fn superuser(app: &App, request: &Request) -> Result<(), Failure> {
    let caller = caller(app, request.bearer().or_else(|| request.header("x-api-key"))).await?;
    caller.must_be_superuser(app).await?;
    Ok(())
}

pub(super) async fn sign_out_user(app: App, request: Request) -> Result<Response, Problem> {
    superuser(&app, &request).await?;
    let user = UserId::parse(request.param("id")).ok_or(Failure::Absent)?;
    let ended = sign_out::sign_out_other(&app, user).await?;
    Ok(Response::json(StatusCode::OK, &json!({"ended": ended})))
}

pub(super) async fn sign_out_everyone(app: App, request: Request) -> Result<Response, Problem> {
    superuser(&app, &request).await?;
    sign_out::sign_out_everyone(&app).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

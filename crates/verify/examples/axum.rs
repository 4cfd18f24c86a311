//! A service that verifies tokens of a Signet: `cargo run --example axum --features tower -- ISSUER AUDIENCE`.
//!
//! With a Signet on this machine, `http://127.0.0.1:8000` and `signet` are the defaults:
//! ```text
//! curl -i http://127.0.0.1:3000/me -H "Authorization: Bearer $ACCESS_TOKEN"
//! ```

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use signet_verify::follow::{StalePolicy, Verifier};
use signet_verify::tower::{Claims, Scoped, VerifyLayer, scope};

scope!(ReadReports = "reports:read");

#[tokio::main]
#[allow(clippy::print_stdout, reason = "says where it listens")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let issuer = arguments.next().unwrap_or("http://127.0.0.1:8000".to_owned());
    let audience = arguments.next().unwrap_or("signet".to_owned());
    let verifier = Verifier::builder(&issuer).audience(&audience).policy(StalePolicy::Refuse).start()?;

    let protected =
        Router::new().route("/me", get(me)).route("/reports", get(reports)).layer(VerifyLayer::new(verifier.clone()));
    let app = protected.route("/healthz", get(move || health(verifier.clone())));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) }).await?;
    Ok(())
}

/// Any user.
async fn me(claims: Claims) -> Json<Value> {
    Json(json!({"subject": claims.subject(), "email": claims.verified_email(), "session": claims.session_id()}))
}

/// Only tokens with the scope `reports:read`.
async fn reports(reader: Scoped<ReadReports>) -> String {
    format!("reports for {}\n", reader.subject())
}

/// For monitoring: how fresh the revocations are.
async fn health(verifier: Verifier) -> Json<Value> {
    let staleness = verifier.staleness().map(|staleness| staleness.as_secs_f64());
    let error = verifier.last_error().map(|error| error.to_string());
    Json(json!({"staleness": staleness, "revocations": verifier.revocations(), "error": error}))
}

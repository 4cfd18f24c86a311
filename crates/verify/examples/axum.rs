//! The service of README: `cargo run -p signet-verify --example axum --features tower`. A test compares both texts.
#![allow(clippy::disallowed_methods, reason = "a service reads its own environment")]

use std::env;

use axum::routing::{delete, get};
use axum::{Json, Router};
use serde_json::{Value, json};
use signet_verify::follow::Verifier;
use signet_verify::tower::{Claims, Scoped, VerifyLayer, scope};

scope!(WriteNotes = "notes:write");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let issuer = env::var("ISSUER").unwrap_or("http://127.0.0.1:8000".to_owned());
    let listen = env::var("LISTEN").unwrap_or("127.0.0.1:9000".to_owned());
    let verifier = Verifier::builder(&issuer).audience("signet").start()?;
    let protected = Router::new().route("/me", get(me)).route("/notes", delete(delete_notes));
    let app = protected
        .layer(VerifyLayer::new(verifier.clone()))
        .route("/healthz", get(move || async move { health(&verifier) }));
    axum::serve(tokio::net::TcpListener::bind(listen).await?, app).await?;
    Ok(())
}

/// For any valid token.
async fn me(claims: Claims) -> Json<Value> {
    Json(json!({"user": claims.subject(), "email": claims.verified_email()}))
}

/// For tokens with the scope `notes:write`.
async fn delete_notes(writer: Scoped<WriteNotes>) -> String {
    format!("deleted by {}\n", writer.subject())
}

/// For monitoring: how old the knowledge of revocations is, and why.
fn health(verifier: &Verifier) -> Json<Value> {
    let staleness = verifier.staleness().map(|staleness| staleness.as_secs_f64());
    Json(json!({"staleness": staleness, "error": verifier.last_error().map(|error| error.to_string())}))
}

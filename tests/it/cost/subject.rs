//! A server under measurement, and the caller who attacks it: a superuser with a session and an API key.

use std::time::Duration;

use super::meter::Meter;
use super::shapes::Shape;
use super::target::Target;
use super::wire;
use crate::support::document::Operation;
use crate::support::server::{SendRequest, TestServer, TestUser};
use crate::support::signet::Plan;

/// The scopes of the caller's API key, beside those that open administrative calls.
const SCOPES: usize = 50;

pub(super) struct Subject {
    pub(super) server: TestServer,
    meter: Meter,
    address: String,
    caller: TestUser,
    access: String,
    api_key: String,
}

impl Subject {
    /// Starts the server and serves some requests, so that what is made once is not counted.
    pub(super) async fn start(change: impl Fn(Plan) -> Plan) -> Self {
        let server = TestServer::embedded(|plan| {
            let plan = plan.set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8");
            change(plan.set("SIGNET_SERVER__CORS_ORIGINS", "https://app.example.org"))
        });
        let (meter, address) =
            (Meter::of(server.signet.pid()), server.signet.url_of("").trim_start_matches("http://").to_owned());
        let (caller, access, api_key) = Self::create_caller(&server).await;
        server.get("/openapi.json").send_checked().await.is(200);
        server.get("/.well-known/jwks.json").send_checked().await.is(200);
        Self { server, meter, address, caller, access, api_key }
    }

    async fn create_caller(server: &TestServer) -> (TestUser, String, String) {
        let caller = server.create_user(&["--superuser", "--verified"]);
        let scopes: Vec<String> = (0..SCOPES).map(|number| format!("scope-{number}")).collect();
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).chain(["admin", "introspect", "revoke"]).collect();
        let (api_key, _) = server.api_key(&caller, &scopes);
        let access = server.sign_in(&caller).await.access;
        (caller, access, api_key)
    }

    pub(super) fn target<'a>(&'a self, operation: &'a Operation, size: usize) -> Target<'a> {
        let takes = |scheme: &str| operation.schemes.iter().any(|known| known == scheme);
        let credential = if operation.schemes.is_empty() {
            None
        } else if takes("client") || !takes("access_token") && takes("api_key") {
            Some(("x-api-key", self.api_key.clone()))
        } else {
            Some(("authorization", format!("Bearer {}", self.access)))
        };
        Target { operation, credential, access: &self.access, api_key: &self.api_key, size }
    }

    /// Signs the caller in again if the last request ended the session, and replaces a caller who was deleted. Returns
    /// whether the credentials have changed.
    pub(super) async fn renew_credentials(&mut self, operation: &Operation) -> bool {
        if operation.schemes.is_empty() || self.server.verify(&self.access).await.status == 200 {
            return false;
        }
        let pair = self.server.try_sign_in(&self.caller.email, crate::support::server::PASSWORD).await;
        let is_key_valid = self.server.verify(&self.api_key).await.status == 200;
        if pair.status == 201 && is_key_valid {
            self.access = pair.tokens().access;
        } else {
            (self.caller, self.access, self.api_key) = Self::create_caller(&self.server).await;
        }
        true
    }

    /// Sends a request; returns the status of its response.
    pub(super) async fn send(&self, shape: &Shape) -> u16 {
        wire::exchange(&self.address, &shape.bytes, shape.protocol).await
    }

    /// Sends a request; returns the CPU time that it took, and the status.
    pub(super) async fn time(&self, shape: &Shape) -> (Duration, u16) {
        let before = self.meter.cpu_time().await;
        let status = self.send(shape).await;
        (self.meter.cpu_time().await.saturating_sub(before), status)
    }

    /// Sends a request; returns by how many bytes the memory of the process grew at most, and the status.
    pub(super) async fn memory(&self, shape: &Shape) -> (u64, u16) {
        self.meter.reset_peak();
        let before = self.meter.memory();
        let status = self.send(shape).await;
        (self.meter.peak_memory().saturating_sub(before), status)
    }
}

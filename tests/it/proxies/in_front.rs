//! Proxies in front of Signet itself, configured as `docs/operate/tls.md` says, but without TLS.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use super::cases::{CADDY, NGINX, address};
use super::{Program, Proxy, SIGNET};
use crate::support::client::{PASSWORD, client_builder};
use crate::support::server::{SendRequest, TestServer};

/// The client has another address than the proxy, which Signet trusts.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

const PAGE: &str = "../operate/tls.md";

/// Signs in on the account page through the proxy, with a forged `X-Forwarded-For`, as a browser does that sends no
/// `Sec-Fetch-Site`. Returns the address that Signet took for that of the client.
async fn address_of_client(program: &Program, replacements: &[(&str, &str)]) -> Value {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1"));
    let signet = address(&server).to_string();
    let proxy = Proxy::start(program, &[replacements, &[(SIGNET, signet.as_str())]].concat(), &[]);
    let user = server.create_user(&["--verified"]);
    let client = client_builder().local_address(IpAddr::from(CLIENT)).build().unwrap();
    let sign_in = client.post(proxy.url_of("/account/session")).header("origin", proxy.url_of(""));
    let body = json!({"email": user.email, "password": PASSWORD});
    let response = sign_in.header("x-forwarded-for", "203.0.113.7").json(&body).send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 201, "{text} {}", proxy.log());
    let tokens: Value = serde_json::from_str(&text).unwrap();
    let access = tokens["access_token"].as_str().unwrap();
    let sessions = server.get("/sessions").bearer_auth(access).send_checked().await.is(200).json();
    sessions["sessions"][0]["address"].clone()
}

#[tokio::test]
async fn nginx_passes_the_address_of_the_client_on() {
    let program = Program {
        page: PAGE,
        complete: |dir, block| {
            let without_certificate: Vec<_> = block.lines().filter(|line| !line.contains("ssl_certificate")).collect();
            (NGINX.complete)(dir, &without_certificate.join("\n"))
        },
        ..NGINX
    };
    assert_eq!(address_of_client(&program, &[("listen 443 ssl;", "listen 8080;")]).await, json!(CLIENT));
}

#[tokio::test]
async fn caddy_passes_the_address_of_the_client_on() {
    let program = Program { page: PAGE, complete: |_, block| format!("{{\n\tadmin off\n}}\n{block}"), ..CADDY };
    assert_eq!(address_of_client(&program, &[("id.example.com {", ":8080 {")]).await, json!(CLIENT));
}

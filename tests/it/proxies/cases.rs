//! One test per proxy: what passes, what the service receives, and what happens without Signet.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::service::Service;
use super::{Program, Proxy, SERVICE, SIGNET, tls};
use crate::support::client::client_builder;
use crate::support::server::{SendRequest, TestServer, TestUser, tamper_signature};
use crate::support::{tool, until};

pub(super) const NGINX: Program = Program {
    page: "nginx.md",
    files: &["signet.conf"],
    package: "nginx",
    complete: |dir, block| {
        let dir = dir.display();
        // A single process, so that killing it leaves no workers behind.
        format!(
            "daemon off; master_process off; pid {dir}/pid; events {{ worker_connections 64; }}
             http {{
                 access_log off; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
                 fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
                 {block}
             }}"
        )
    },
    command: |dir| {
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir).args(["-e", "error.log", "-c", "signet.conf"]);
        command
    },
};

pub(super) const CADDY: Program = Program {
    page: "caddy.md",
    files: &["Caddyfile"],
    package: "caddy",
    complete: |_, block| block.to_owned(),
    command: |_| {
        let mut command = Command::new("caddy");
        command.args(["run", "--config", "Caddyfile", "--adapter", "caddyfile"]);
        command
    },
};

const HAPROXY: Program = Program {
    page: "haproxy.md",
    files: &["haproxy.cfg", "signet.lua"],
    package: "haproxy",
    complete: |_, block| block.to_owned(),
    command: |_| {
        let mut command = Command::new("haproxy");
        command.args(["-db", "-f", "haproxy.cfg"]);
        command
    },
};

const APACHE: Program = Program {
    page: "apache.md",
    files: &["signet.conf"],
    package: "apache2 libapache2-mod-auth-openidc",
    complete: |dir, block| {
        let modules = "mpm_event authn_core authz_core authz_user proxy proxy_http auth_openidc".split(' ');
        let modules = modules.map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"));
        let dir = dir.display();
        format!(
            "ServerRoot {dir}\nServerName localhost\nPidFile {dir}/pid\nErrorLog {dir}/error.log\n{}\
             User nobody\nGroup nogroup\nOIDCCABundlePath {dir}/signet.pem\n{block}",
            modules.collect::<String>()
        )
    },
    command: |dir| apache(dir, "signet.conf"),
};

const APACHE_ALONE: Program = Program { files: &["local.conf"], command: |dir| apache(dir, "local.conf"), ..APACHE };

fn apache(dir: &Path, file: &str) -> Command {
    let mut command = Command::new("apache2");
    command.arg("-f").arg(dir.join(file)).arg("-DFOREGROUND");
    command
}

const ENVOY_EXT_AUTHZ: Program = Program {
    page: "envoy.md",
    files: &["ext_authz.yaml"],
    package: "no package: ./test installs it",
    complete: |_, block| block.to_owned(),
    command: |_| envoy("ext_authz.yaml"),
};

const ENVOY_JWT_AUTHN: Program =
    Program { files: &["jwt_authn.yaml"], command: |_| envoy("jwt_authn.yaml"), ..ENVOY_EXT_AUTHZ };

fn envoy(file: &str) -> Command {
    let mut command = Command::new(tool("venv/bin/envoy"));
    command.args(["-c", file, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]);
    command
}

/// A proxy between a client and a service, and the Signet that it asks.
struct Setup {
    server: TestServer,
    service: Service,
    proxy: Proxy,
    client: Client,
    user: TestUser,
}

impl Setup {
    async fn start(program: &Program) -> Self {
        let server = TestServer::embedded(|plan| plan);
        let (port, address) = (port_value(address(&server)), address(&server).to_string());
        let replacements =
            [("issuer: \"http://127.0.0.1:8000\"", ISSUER), (SIGNET, &address), ("port_value: 8000", &port)];
        Self::with(program, server, &replacements, &[]).await
    }

    /// Replaces these texts in the page's files, and adds other files.
    async fn with(
        program: &Program,
        server: TestServer,
        replacements: &[(&str, &str)],
        other_files: &[(&str, &str)],
    ) -> Self {
        let service = Service::start().await;
        let (port, address) = (port_value(service.address), service.address.to_string());
        let own = [(SERVICE, address.as_str()), ("port_value: 3000", &port)];
        let proxy = Proxy::start(program, &[replacements, &own].concat(), other_files);
        let user = server.create_user(&["--verified"]);
        Self { server, service, proxy, client: client_builder().build().unwrap(), user }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.proxy.url_of(path))
    }

    async fn status(&self, credential: &str) -> u16 {
        self.request(Method::GET, "/").bearer_auth(credential).send().await.unwrap().status().as_u16()
    }

    /// Sends a request whose own `X-Auth-…` headers claim everything; returns what the service received.
    async fn received(&self, credential: &str) -> Value {
        let mut request = self.request(Method::POST, "/tail/of/path?scope=mine").bearer_auth(credential).body("a body");
        for name in HEADERS {
            request = request.header(name, "forged");
            // Many services take "_" in a name for "-", and PHP ".".
            for like_dash in ["_", "."] {
                for places in ["x-auth-", "x-", "h-"] {
                    let changed = places.replace('-', like_dash);
                    request = request.header(name.replacen(places, &changed, 1), "forged");
                }
            }
        }
        let response = request.send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert_eq!(status, 200, "{text} {}", self.proxy.log());
        assert!(!text.contains("forged"), "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Checks what every proxy must do, and returns the access token of a user and what the service received with it.
    async fn check_common(&self) -> (String, Value) {
        let tokens = self.server.sign_in(&self.user).await;
        assert_eq!(self.request(Method::GET, "/").send().await.unwrap().status(), 401, "without credentials");
        for wrong in [tamper_signature(&tokens.access), tokens.refresh.clone(), "x".to_owned()] {
            assert_eq!(self.status(&wrong).await, 401, "{wrong}");
        }
        assert_eq!(self.service.requests(), 0, "the service is not called");
        let received = self.received(&tokens.access).await;
        assert_eq!(received["method"], "POST");
        assert_eq!(received["path"], "/tail/of/path?scope=mine");
        assert_eq!(received["body"], "a body");
        (tokens.access, received)
    }

    /// Checks that a client cannot have the proxy remove what it says of the user: a field that `Connection` names is
    /// for the proxy alone (RFC 9110, 7.6.1).
    async fn check_connection_hides_nothing(&self, access: &str) {
        let names = [&HEADERS[..], &["X-Auth-sub", "X-Auth-sid"]].concat().join(", ");
        let request = self.request(Method::GET, "/").bearer_auth(access).header("connection", names);
        let response = request.send().await.unwrap();
        if response.status() == 200 {
            let received = serde_json::from_str::<Value>(&response.text().await.unwrap()).unwrap();
            let subject = ["x-auth-subject", "x-auth-sub"].map(|name| &received["headers"][name]);
            assert!(subject.contains(&&json!([self.user.id])), "{received}");
        }
    }

    /// Checks that a request with two credentials is refused: Signet would verify one of them, and the service may read
    /// the other.
    async fn check_two_credentials(&self, access: &str) {
        let requests = self.service.requests();
        for second in [tamper_signature(access), access.to_owned()] {
            let request = self.request(Method::GET, "/").bearer_auth(access).bearer_auth(second);
            let status = request.send().await.unwrap().status();
            assert!([400, 401].contains(&status.as_u16()), "{status}");
        }
        assert_eq!(self.service.requests(), requests, "the service is not called");
    }

    /// Checks that a signed-out user is refused.
    async fn check_sign_out(&self, access: &str) {
        self.server.delete("/sessions").bearer_auth(access).send_checked().await.is(200);
        until("the user is refused", async || self.status(access).await == 401).await;
    }

    /// Checks that nothing passes while Signet does not run.
    async fn check_outage(mut self, expected: u16) {
        let access = self.server.sign_in(&self.user).await.access;
        let requests = self.service.requests();
        self.server.signet.kill();
        assert_eq!(self.status(&access).await, expected, "{}", self.proxy.log());
        assert_eq!(self.service.requests(), requests, "the service is not called");
    }

    /// The four headers, if the service must know exactly what Signet says of this user.
    fn expected_headers(&self, session: &Value) -> Value {
        json!({
            "x-auth-subject": [self.user.id], "x-auth-scopes": [""], "x-auth-session": [session],
            "x-auth-email": [self.user.email],
        })
    }
}

const HEADERS: [&str; 4] = ["x-auth-subject", "x-auth-scopes", "x-auth-session", "x-auth-email"];

/// The issuer of test servers.
const ISSUER: &str = "issuer: \"http://127.0.0.1:0\"";

pub(super) fn address(server: &TestServer) -> SocketAddr {
    server.signet.url_of("").trim_start_matches("http://").parse().unwrap()
}

/// The port in the form of Envoy's configuration.
fn port_value(address: SocketAddr) -> String {
    format!("port_value: {}", address.port())
}

/// The `X-Auth-…` headers that the service received. An empty header and none are the same to a service.
fn auth_headers(received: &Value) -> Value {
    let value = |name: &str| received["headers"].get(name).cloned().unwrap_or_else(|| json!([""]));
    HEADERS.iter().map(|name| ((*name).to_owned(), value(name))).collect::<serde_json::Map<_, _>>().into()
}

fn session_of(access: &str) -> Value {
    crate::support::forge::decode(access).1["sid"].clone()
}

#[tokio::test]
async fn nginx_asks_signet_for_each_request() {
    let setup = Setup::start(&NGINX).await;
    let (access, received) = setup.check_common().await;
    assert_eq!(auth_headers(&received), setup.expected_headers(&session_of(&access)));
    let key = setup.server.api_key(&setup.user, &["read"]).0;
    assert_eq!(setup.status(&key).await, 401, "an API key is no user");
    setup.check_connection_hides_nothing(&access).await;
    setup.check_two_credentials(&access).await;
    setup.check_sign_out(&access).await;
    setup.check_outage(500).await;
}

#[tokio::test]
async fn caddy_asks_signet_for_each_request() {
    let setup = Setup::start(&CADDY).await;
    let (access, received) = setup.check_common().await;
    assert_eq!(auth_headers(&received), setup.expected_headers(&session_of(&access)));
    let key = setup.server.api_key(&setup.user, &["read"]).0;
    assert_eq!(setup.status(&key).await, 401, "an API key is no user");
    setup.check_connection_hides_nothing(&access).await;
    setup.check_two_credentials(&access).await;
    setup.check_sign_out(&access).await;
    setup.check_outage(502).await;
}

#[tokio::test]
async fn haproxy_asks_signet_for_each_request() {
    let setup = Setup::start(&HAPROXY).await;
    let (access, received) = setup.check_common().await;
    assert_eq!(auth_headers(&received), setup.expected_headers(&session_of(&access)));
    let key = setup.server.api_key(&setup.user, &["read"]).0;
    assert_eq!(setup.status(&key).await, 401, "an API key is no user");
    setup.check_connection_hides_nothing(&access).await;
    setup.check_two_credentials(&access).await;
    setup.check_sign_out(&access).await;
    setup.check_outage(503).await;
}

#[tokio::test]
async fn envoy_asks_signet_for_each_request() {
    let setup = Setup::start(&ENVOY_EXT_AUTHZ).await;
    let (access, received) = setup.check_common().await;
    assert_eq!(auth_headers(&received), setup.expected_headers(&session_of(&access)));
    let key = setup.server.api_key(&setup.user, &["read"]).0;
    let with_key =
        setup.request(Method::DELETE, "/things/1").header("x-api-key", &key).header("x-verify-subject", "client");
    assert_eq!(with_key.send().await.unwrap().status(), 401, "an API key is no user, whatever the client says");
    setup.check_connection_hides_nothing(&access).await;
    setup.check_two_credentials(&access).await;
    setup.check_sign_out(&access).await;
    setup.check_outage(403).await;
}

#[tokio::test]
async fn envoy_verifies_tokens_alone() {
    let setup = Setup::start(&ENVOY_JWT_AUTHN).await;
    let (access, received) = setup.check_common().await;
    let mut expected = setup.expected_headers(&session_of(&access));
    expected["x-auth-email"] = json!([""]);
    assert_eq!(auth_headers(&received), expected);
    setup.check_connection_hides_nothing(&access).await;
    let mut setup = setup;
    setup.server.signet.kill();
    assert_eq!(setup.status(&access).await, 200, "the keys are in memory: {}", setup.proxy.log());
}

#[tokio::test]
async fn apache_introspects_each_token() {
    let server = TestServer::embedded(|plan| plan);
    let administrator = server.create_user(&["--superuser"]);
    let key = server.api_key(&administrator, &["introspect"]).0;
    let (address, certificate) = tls::in_front_of(address(&server)).await;
    let url = format!("https://localhost:{}", address.port());
    let replacements = [("https://id.example.org", url.as_str()), ("the API key", key.as_str())];
    let setup = Setup::with(&APACHE, server, &replacements, &[("signet.pem", &certificate)]).await;
    let (access, received) = setup.check_common().await;
    let headers = &received["headers"];
    assert_eq!(headers["x-auth-sub"], json!([setup.user.id]));
    assert_eq!(headers["x-auth-sid"], json!([session_of(&access)]));
    assert_eq!(headers["x-auth-email"], json!([setup.user.email]));
    assert!(HEADERS[..3].iter().all(|name| headers[name].is_null()), "forged headers are removed: {headers}");
    let key = setup.server.api_key(&setup.user, &["read"]).0;
    let issued = setup.server.client_token(&key).await;
    assert_eq!(setup.status(&issued).await, 401, "a client has no session");
    setup.check_connection_hides_nothing(&access).await;
    setup.check_sign_out(&access).await;
}

#[tokio::test]
async fn apache_verifies_es256_alone() {
    let server = TestServer::embedded(|plan| {
        let plan = plan.set("SIGNET_AUDIENCES__ORDERS__ALGORITHM", "ES256");
        plan.set("SIGNET_AUDIENCES__OTHERS__ALGORITHM", "ES256")
    });
    let (address, certificate) = tls::in_front_of(address(&server)).await;
    let url = format!("https://localhost:{}", address.port());
    let issuer = ("iss:https://id.example.org", "iss:http://127.0.0.1:0");
    let replacements = [issuer, ("https://id.example.org", url.as_str())];
    let mut setup = Setup::with(&APACHE_ALONE, server, &replacements, &[("signet.pem", &certificate)]).await;
    let mut pair = setup.server.sign_in(&setup.user).await;
    let eddsa = pair.access.clone();
    let mut issued = Vec::new();
    for audience in ["orders", "others"] {
        let grant = [("grant_type", "refresh_token"), ("refresh_token", &pair.refresh), ("resource", audience)];
        pair = setup.server.form("/oauth/token", &grant).await.is(200).tokens();
        issued.push(pair.access.clone());
    }
    let [access, others] = issued.try_into().unwrap();
    assert_eq!(setup.request(Method::GET, "/").send().await.unwrap().status(), 401, "without credentials");
    for wrong in [&eddsa, &others, &tamper_signature(&access), &pair.refresh] {
        assert_eq!(setup.status(wrong).await, 401, "{wrong}");
    }
    let key = setup.server.api_key(&setup.user, &["read"]).0;
    let grant = [("grant_type", "client_credentials"), ("client_secret", &key), ("resource", "orders")];
    let by_key = setup.server.form("/oauth/token", &grant).await.is(200).json();
    assert_eq!(setup.status(by_key["access_token"].as_str().unwrap()).await, 401, "a client has no session");
    assert_eq!(setup.service.requests(), 0, "the service is not called");
    let received = setup.received(&access).await;
    let headers = &received["headers"];
    assert_eq!(headers["x-auth-sub"], json!([setup.user.id]));
    assert_eq!(headers["x-auth-sid"], json!([session_of(&access)]));
    assert!(HEADERS[..3].iter().all(|name| headers[name].is_null()), "forged headers are removed: {headers}");
    setup.check_connection_hides_nothing(&access).await;
    setup.server.signet.kill();
    assert_eq!(setup.status(&access).await, 200, "the keys are in memory: {}", setup.proxy.log());
}

#[tokio::test]
async fn nginx_can_require_a_scope() {
    let server = TestServer::embedded(|plan| plan);
    let address = address(&server).to_string();
    let setup = Setup::with(&NGINX, server, &[("?subject=user", "?scope=read"), (SIGNET, &address)], &[]).await;
    let status = async |key: &str| {
        // The client's own query is not that of the call to Signet.
        let request = setup.request(Method::GET, "/?scope=write").header("x-api-key", key);
        request.send().await.unwrap().status().as_u16()
    };
    let (key, prefix) = setup.server.api_key(&setup.user, &["read", "write"]);
    assert_eq!(status(&key).await, 200);
    assert_eq!(status(&tamper_signature(&key)).await, 401);
    assert_eq!(status(&setup.server.api_key(&setup.user, &["write"]).0).await, 401);
    setup.server.plan().json(&["api-keys", "deactivate", &prefix], "");
    until("a deactivated key is refused", async || status(&key).await == 401).await;
}

//! The load balancer of docs/operate/fleet.md: HAProxy with the configuration of that page, except for addresses, in
//! front of two nodes. It ends TLS.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};

use super::{DEADLINE, Fleet, PASSWORD};
use crate::support::client::client_builder;
use crate::support::ports::free_port;
use crate::support::signet::Signet;
use crate::support::{until, wait_until};

const PAGE: &str = include_str!("../../../docs/operate/fleet.md");

const EMAIL: &str = "ann@example.org";

/// More than enough for every node to be asked.
const REQUESTS: usize = 20;

/// A running HAProxy, which ends with this value.
struct Balancer {
    process: Child,
    port: u16,
    statistics: u16,
    folder: tempfile::TempDir,
}

impl Balancer {
    fn start(nodes: &[Signet; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["id.example.com".to_owned()]).unwrap();
        fs::write(folder.path().join("ca.pem"), cert.pem()).unwrap();
        fs::write(folder.path().join("id.example.com.pem"), cert.pem() + &signing_key.serialize_pem()).unwrap();

        let (port, statistics) = (free_port(), free_port());
        let (_, rest) = PAGE.split_once("```haproxy\n").unwrap();
        let (settings, _) = rest.split_once("```").unwrap();
        let mut settings = settings
            .replace("bind :443", &format!("bind 127.0.0.1:{port}"))
            .replace("/etc/haproxy", &folder.path().display().to_string());
        for (number, node) in (1..).zip(nodes) {
            let (address, management) = (node.url_of(""), node.management_url(""));
            let address = address.trim_start_matches("http://");
            let (_, management) = management.rsplit_once(':').unwrap();
            settings = settings.replace(&format!("10.0.0.1{number}:8000"), &format!("{address} port {management}"));
        }
        settings +=
            &format!("\nfrontend statistics\n    bind 127.0.0.1:{statistics}\n    stats enable\n    stats uri /\n");
        fs::write(folder.path().join("haproxy.cfg"), settings).unwrap();

        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--", "haproxy", "-db", "-f", "haproxy.cfg"]).current_dir(folder.path());
        let process = command.stdin(Stdio::null()).spawn().unwrap();
        let balancer = Self { process, port, statistics, folder };
        wait_until("HAProxy listens", DEADLINE, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        balancer
    }

    /// The status and the body of a response through the balancer, by curl, which verifies the certificate.
    fn request(&self, path: &str, arguments: &[&str]) -> (u16, String) {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--write-out", "\n%{http_code}", "--noproxy", "*", "--cacert"]);
        command.arg(self.folder.path().join("ca.pem")).args(["--connect-to", &format!("::127.0.0.1:{}", self.port)]);
        let output = command.args(arguments).arg(format!("https://id.example.com{path}")).output().unwrap();
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).unwrap();
        let (body, status) = printed.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    fn try_sign_in(&self) -> (u16, String) {
        let body = json!({"email": EMAIL, "password": PASSWORD}).to_string();
        self.request("/sessions", &["--header", "content-type: application/json", "--data", &body])
    }

    /// Signs in and returns the access token.
    fn sign_in(&self) -> String {
        let (status, body) = self.try_sign_in();
        assert_eq!(status, 201, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["access_token"].as_str().unwrap().to_owned()
    }

    fn assert_accepted(&self, access: &str) {
        let header = format!("authorization: Bearer {access}");
        for _ in 0..REQUESTS {
            assert_eq!(self.request("/verify", &["--header", &header]).0, 200);
        }
    }

    /// True if HAProxy has found that no node is ready.
    async fn has_no_ready_node(&self) -> bool {
        let page = client_builder().build().unwrap().get(format!("http://127.0.0.1:{}/;csv", self.statistics));
        let page = page.send().await.unwrap().text().await.unwrap();
        let row = page.lines().find(|row| row.starts_with("signet,BACKEND,")).unwrap();
        row.split(',').nth(17) == Some("DOWN")
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn balancer_hides_a_node_that_is_lost() {
    let fleet = Fleet::new();
    let mut nodes = fleet.start_two();
    fleet.plan.create_user(EMAIL, PASSWORD, &[]);
    let balancer = Balancer::start(&nodes);
    let access = balancer.sign_in();
    balancer.assert_accepted(&access);

    // HAProxy does not know it yet.
    nodes[0].kill();
    balancer.assert_accepted(&access);
    balancer.sign_in();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn balancer_without_ready_nodes_passes_verifications() {
    let mut fleet = Fleet::new();
    let nodes = fleet.start_two();
    fleet.plan.create_user(EMAIL, PASSWORD, &[]);
    let balancer = Balancer::start(&nodes);
    let access = balancer.sign_in();

    fleet.redis.kill();
    until("no node is ready", async || balancer.has_no_ready_node().await).await;
    balancer.assert_accepted(&access);
    assert_eq!(balancer.request("/.well-known/jwks.json", &[]).0, 200);
    assert_eq!(balancer.try_sign_in().0, 503);

    fleet.redis.restart();
    until("users sign in again", async || balancer.try_sign_in().0 == 201).await;
}

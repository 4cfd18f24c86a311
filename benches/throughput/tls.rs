//! TLS 1.3 against nginx: handshakes, and requests on connections that stay open.
//!
//! Both serve the keys with the same certificate, cipher suite (AES-256-GCM) and key exchange (X25519) on the same
//! core. Handshakes are compared with one request on each connection, as clients make them.

use std::net::SocketAddr;
use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm};
use tempfile::TempDir;

use crate::comparison::{Comparison, RequestSource, Side, Workload, compare};
use crate::paths::{JWKS, JWKS_TEXT};
use crate::report::Finding;
use crate::setup::Setup;
use crate::support::load::{Handshakes, Protocol};
use crate::support::target::Target;
use crate::support::{free_port, http, nginx, temp_folder};

/// Connections at the same time: few, because each waits for the core of the client as well.
const CONNECTIONS: usize = 16;

pub(crate) fn tls(setup: &Setup) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, title, algorithm) in
        [("p256", "ECDSA P-256", &PKCS_ECDSA_P256_SHA256), ("rsa2048", "RSA 2048", &PKCS_RSA_SHA256)]
    {
        let servers = Servers::start(setup, algorithm);
        let title = format!("full handshakes, {title}, speed against nginx");
        let comparison = servers.compare(setup, Handshakes::Full);
        findings.push(Finding::speed(&format!("tls_full_{name}"), &title, Target::AtLeast(0.9), comparison));
        // The key of the certificate takes no part in the others.
        if name == "p256" {
            let (title, comparison) =
                ("resumed handshakes, speed against nginx", servers.compare(setup, Handshakes::Resumed));
            findings.push(Finding::speed("tls_resumed", title, Target::AtLeast(1.0), comparison));
            let (title, comparison) =
                ("JWKS over TLS, open connections, speed against nginx", servers.compare(setup, Handshakes::Once));
            findings.push(Finding::speed("tls_request", title, Target::AtLeast(1.0), comparison));
        }
    }
    findings
}

/// Both servers, with the same certificate.
struct Servers {
    signet: crate::support::signet::Signet,
    nginx: crate::support::process::Process,
    nginx_address: SocketAddr,
    _folder: TempDir,
}

impl Servers {
    fn start(setup: &Setup, algorithm: &'static SignatureAlgorithm) -> Self {
        let folder = temp_folder();
        let [certificate, key] = create_certificate(&folder, algorithm);
        let (_, keys) = http::send(setup.settings().start().address, &http::build_request("GET", JWKS, "", ""));
        let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let settings = format!(
            "server {{
                listen {listen} ssl backlog=4096;
                ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3;
                location / {{ default_type application/json; return 200 '{keys}'; }}
            }}",
            certificate.display(),
            key.display()
        );
        let nginx = nginx::start(folder.path(), listen, &settings, &setup.cores.server());
        let signet = setup
            .settings()
            .set("SIGNET_SERVER__TLS__CERTIFICATE", &certificate.display().to_string())
            .set("SIGNET_SERVER__TLS__KEY", &key.display().to_string())
            .start();
        Self { signet, nginx, nginx_address: listen, _folder: folder }
    }

    fn compare(&self, setup: &Setup, handshakes: Handshakes) -> Comparison {
        let nginx = Side {
            name: "nginx",
            addresses: vec![self.nginx_address],
            pids: vec![self.nginx.pid()],
            client_cores: setup.cores.client(),
        };
        let mut workload = Workload {
            connections: CONNECTIONS,
            protocol: Protocol::Tls(handshakes),
            expected_text: JWKS_TEXT,
            source: RequestSource::Same(vec![http::build_request("GET", JWKS, "", "")]),
            redis_pid: None,
        };
        compare(setup.schedule, [&setup.side("signet", &self.signet), &nginx], &mut workload)
    }
}

/// Creates a certificate for `localhost`. Returns its file and that of its key.
fn create_certificate(folder: &TempDir, algorithm: &'static SignatureAlgorithm) -> [PathBuf; 2] {
    let key = KeyPair::generate_for(algorithm).expect("a key");
    let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let files = ["certificate.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&files[0], params.self_signed(&key).expect("a certificate").pem()).expect("the folder is writable");
    std::fs::write(&files[1], key.serialize_pem()).expect("the folder is writable");
    files
}

//! TLS to Postgres: `sslmode` has the meaning that it has for libpq.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use signet::config::{self, SecretUrl};
use signet::store::Accounts;
use signet::store::accounts::postgres::{Postgres, migrate};

use super::expect_unavailable;
use crate::support::migrations;
use crate::support::postgres::{Options, Server};

/// A CA that issued a certificate for this name: the CA certificate, and the certificate chain and key.
fn issue_certificate(name: &str) -> (String, (String, String)) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let root = params.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(params, ca_key)).unwrap();
    (root, (leaf.pem(), key.serialize_pem()))
}

#[tokio::test(flavor = "multi_thread")]
async fn sslmode_has_the_meaning_of_libpq() {
    let folder = tempfile::tempdir().unwrap();
    let [our_ca, other_ca, empty_file] = ["ours", "another", "none"].map(|name| folder.path().join(name));
    let (here, here_tls) = issue_certificate("127.0.0.1");
    let (other_task, elsewhere_tls) = issue_certificate("elsewhere.example");
    std::fs::write(&other_ca, issue_certificate("127.0.0.1").0).unwrap();
    std::fs::write(&empty_file, "").unwrap();

    // sslmode, CA file, and whether a server with our name, or with another name, is trusted.
    let table = [
        ("", None, true, true),
        ("", Some(&our_ca), true, false),
        ("", Some(&other_ca), false, false),
        ("?sslmode=disable", Some(&our_ca), false, false),
        ("?sslmode=prefer", Some(&other_ca), true, true),
        ("?sslmode=require", None, true, true),
        ("?sslmode=require", Some(&our_ca), true, true),
        ("?sslmode=require", Some(&other_ca), false, false),
        ("?sslmode=verify-ca", None, false, false),
        ("?sslmode=verify-ca", Some(&our_ca), true, true),
        ("?sslmode=verify-full", None, false, false),
        ("?sslmode=verify-full", Some(&our_ca), true, false),
        ("?sslmode=verify-full", Some(&other_ca), false, false),
        ("?sslmode=verify-full", Some(&empty_file), false, false),
    ];
    for (root, tls, has_our_name) in [(here, here_tls, true), (other_task, elsewhere_tls, false)] {
        let server = Server::start_with(Options { tls: Some(tls), ..Options::default() });
        std::fs::write(&our_ca, root).unwrap();
        let first =
            config::Postgres { url: SecretUrl(format!("{}?sslmode=require", server.url())), ..server.settings() };
        assert_eq!(migrate(&first).await.unwrap().applied.len(), migrations("postgres").len());
        for (mode, ca, here, other_task) in table {
            let url = SecretUrl(format!("{}{mode}", server.url()));
            let settings = config::Postgres { url, ca: ca.cloned(), ..server.settings() };
            let answer = async { Postgres::new(&settings, 1)?.check().await }.await;
            let trusted = if has_our_name { here } else { other_task };
            assert_eq!(answer.is_ok(), trusted, "{mode:?}, {ca:?}, our name: {has_our_name}: {answer:?}");
            if !trusted {
                expect_unavailable(answer);
            }
        }
    }
}

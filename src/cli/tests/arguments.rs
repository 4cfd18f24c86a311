//! Arguments that are refused before the store is opened: some commands create it.

use super::*;
use crate::config::SigningAlgorithm;
use crate::rng::Rng;
use crate::token::keyring::pem;
use crate::token::keyring::ring::{Key, KeyPair};

/// Runs commands, each of which must be refused for this reason and leave no store behind.
fn assert_refused(cli: &TestCli, commands: &[(String, &str)]) {
    for (line, why) in commands {
        let error = cli.run(&format!("signet {line}")).1.unwrap_err();
        assert!(error.to_string().contains(why), "{line}: {error}");
        assert!(!cli.config.data_dir.exists(), "{line}");
    }
}

#[test]
fn refused_users_create_no_store() {
    let cli = TestCli::new();
    let missing = cli.dir.path().join("missing").display().to_string();
    let file = cli.file("{\"email\":\"a@example.com\"}");
    assert_refused(
        &cli,
        &[
            ("users create --email nothing".to_owned(), "invalid e-mail address"),
            ("users create --email nothing --password-stdin".to_owned(), "invalid e-mail address"),
            ("users create --email a@example.com --username a@b".to_owned(), "invalid username"),
            ("users update a@example.com --username a@b".to_owned(), "invalid username"),
            (format!("users import {missing}"), "opening "),
            (format!("users import {file} {missing}"), "opening "),
            (format!("users import --from clerk {file}"), "does not name a column id"),
            (format!("users import --from auth0 --passwords {missing} {file}"), "reading "),
            (format!("users import --role a {file}"), "--role is not possible"),
            (format!("users import --report {missing}/report {file}"), "creating "),
            ("mail test nothing".to_owned(), "invalid e-mail address"),
        ],
    );
}

#[test]
fn refused_keys_create_no_store() {
    let cli = TestCli::new();
    let path = |name: &str| cli.dir.path().join(name).display().to_string();
    let pair = KeyPair::generate(SigningAlgorithm::Es256, &Rng::system());
    let unused = pem::write(&Key::new(pair, Timestamp::default(), Timestamp::default())).unwrap();
    std::fs::write(path("unused.pem"), unused.as_bytes()).unwrap();
    assert_refused(
        &cli,
        &[
            (format!("keys import {}", path("missing.pem")), "reading "),
            (format!("keys import {}", cli.file("no key")), "PEM"),
            (format!("keys import {}", path("unused.pem")), "no audience has the algorithm ES256"),
        ],
    );
}

#[test]
fn refused_data_sets_create_no_store() {
    let cli = TestCli::new();
    let path = |name: &str| cli.dir.path().join(name).display().to_string();
    let too_many = format!("seed --users 1 --sessions 1000 --out {}", path("data.json"));
    let nowhere = format!("seed --users 1 --sessions 1 --out {}", path("missing/data.json"));
    assert_refused(&cli, &[(too_many, "cannot have 1000 sessions"), (nowhere, "creating ")]);
}

//! `signet check` finds what would keep a server from working, and creates nothing.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::*;

const OTHER_SECRET: &str = "HxwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEAHx4=";

/// Runs `check`, and returns the finding about `part`: its result and its detail. The command fails if any part does.
fn finding(plan: &Plan, part: &str) -> (String, String) {
    let output = plan.run(&["--json", "check"], "");
    find(&output, part)
}

fn find(output: &Output, part: &str) -> (String, String) {
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = findings.as_array().unwrap();
    let failed = findings.iter().any(|finding| finding["result"] == "failed");
    assert_eq!(output.status.code(), Some(i32::from(failed)), "{findings:?}");
    let finding = findings.iter().find(|finding| finding["part"] == part).unwrap();
    (finding["result"].as_str().unwrap().to_owned(), finding["detail"].as_str().unwrap().to_owned())
}

#[test]
fn check_creates_nothing() {
    let plan = Plan::embedded();
    for part in ["settings", "data_dir", "secret", "accounts", "ephemeral", "server.listen", "mail", "signatures"] {
        assert_eq!(finding(&plan, part).0, "ok", "{part}");
    }
    assert_eq!(fs::read_dir(plan.dir()).unwrap().count(), 0);
}

#[test]
fn check_leaves_an_existing_store_as_it_is() {
    let plan = Plan::embedded();
    plan.create_user("a@example.org", PASSWORD, &[]);
    let files = || {
        let files = fs::read_dir(plan.dir().join("data")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut files = files.collect::<Vec<_>>();
        files.sort();
        files
    };
    let before = files();
    for part in ["data_dir", "secret", "accounts", "ephemeral"] {
        assert_eq!(finding(&plan, part).0, "ok", "{part}");
    }
    assert_eq!(files(), before);
}

#[test]
fn check_fails_with_another_secret_than_the_embedded_stores() {
    let plan = Plan::embedded();
    plan.create_user("a@example.org", PASSWORD, &[]);
    let (result, detail) = finding(&plan.set("SIGNET_SECRET", OTHER_SECRET), "secret");
    assert_eq!(result, "failed", "{detail}");
    assert!(detail.contains("SIGNET_SECRET") && detail.contains("keyring does not open"), "{detail}");
}

#[test]
fn check_fails_if_the_secret_file_is_lost() {
    let plan = Plan::embedded();
    plan.create_user("a@example.org", PASSWORD, &[]);
    fs::remove_file(plan.dir().join("data/secret")).unwrap();
    let (result, detail) = finding(&plan, "secret");
    assert!(result == "failed" && detail.contains("restore it"), "{detail}");
    assert!(!plan.dir().join("data/secret").exists());
}

#[test]
fn check_fails_with_another_secret_than_the_fleets() {
    let (redis, postgres) = (redis::Server::start(), postgres::Server::start());
    let plan = Plan::on(&redis, &postgres).with_patient_stores();
    plan.json(&["migrate"], "");
    assert_eq!(
        finding(&plan, "secret"),
        ("ok".to_owned(), "SIGNET_SECRET is valid; there is no keyring yet".to_owned())
    );
    drop(plan.start());
    assert_eq!(finding(&plan, "secret"), ("ok".to_owned(), "SIGNET_SECRET opens the keyring".to_owned()));
    // On another machine, which has no mirror of the keyring.
    let (result, detail) = finding(&plan.another_node().set("SIGNET_SECRET", OTHER_SECRET), "secret");
    assert!(result == "failed" && detail.contains("keyring does not open"), "{detail}");
    let rotated = plan.set("SIGNET_SECRET", &format!("{OTHER_SECRET},{SECRET}"));
    assert_eq!(finding(&rotated, "secret").0, "ok");
}

#[test]
fn check_names_the_setting_for_an_unknown_authority() {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let tls = Some((own.cert.pem(), own.signing_key.serialize_pem()));
    let (redis, server) =
        (redis::Server::start(), postgres::Server::start_with(postgres::Options { tls, ..Default::default() }));
    let url = format!("{}?sslmode=verify-full", server.url());
    let plan = Plan::on(&redis, &server).with_patient_stores().set("DATABASE_URL", &url);
    let (result, detail) = finding(&plan, "accounts");
    assert_eq!(result, "failed", "{detail}");
    assert!(detail.contains("UnknownIssuer; set postgres.ca to the file"), "{detail}");
}

#[test]
fn check_names_the_setting_for_an_unknown_authority_of_redis() {
    let (redis, postgres) = (redis::Server::options().tls().start(), postgres::Database::create());
    // Trusts another authority, whatever the system trusts.
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let plan = Plan::on(&redis, &postgres).with_patient_stores();
    let file = plan.dir().join("other.pem");
    fs::write(&file, other.cert.pem()).unwrap();
    let (result, detail) = finding(&plan.set("SSL_CERT_FILE", file.to_str().unwrap()), "ephemeral");
    assert_eq!(result, "failed", "{detail}");
    assert!(detail.contains("UnknownIssuer") && detail.contains("; set redis.ca to the file"), "{detail}");
}

#[test]
fn check_fails_if_a_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (variable, setting) in
        [("SIGNET_SERVER__LISTEN", "server.listen"), ("SIGNET_SERVER__MANAGEMENT", "server.management")]
    {
        let (result, detail) = finding(&Plan::embedded().set(variable, &address), setting);
        assert_eq!(result, "failed", "{detail}");
        assert!(
            detail.contains(&format!("cannot listen on {address}: another process")) && detail.contains(setting),
            "{detail}"
        );
    }
}

#[test]
fn check_accepts_the_port_of_its_own_running_server() {
    let port = crate::support::ports::free_port();
    let plan = Plan::embedded().set("SIGNET_SERVER__LISTEN", &format!("127.0.0.1:{port}"));
    let _server = plan.start();
    let (result, detail) = finding(&plan, "server.listen");
    assert!(result == "note" && detail.contains("in use by the running server"), "{detail}");
}

#[test]
fn check_reads_the_tls_certificate_and_its_key() {
    let plan = Plan::embedded();
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| plan.dir().join(name).to_str().unwrap().to_owned());
    let plan = plan.set("SIGNET_SERVER__TLS__CERTIFICATE", &certificate).set("SIGNET_SERVER__TLS__KEY", &key);
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&certificate, own.cert.pem()).unwrap();
    let (result, detail) = finding(&plan, "server.tls");
    assert!(result == "failed" && detail.contains(&format!("cannot read {key}")), "{detail}");
    let other = rcgen::KeyPair::generate().unwrap();
    fs::write(&key, other.serialize_pem()).unwrap();
    let (result, detail) = finding(&plan, "server.tls");
    assert!(result == "failed" && detail.contains("cannot use the certificate"), "{detail}");
    fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    assert_eq!(finding(&plan, "server.tls").0, "ok");
}

/// Makes a folder read-only, runs `check` without the privilege to ignore that, and returns the finding about `part`.
fn finding_with_read_only(folder: &Path, plan: &Plan, part: &str) -> (String, String) {
    fs::set_permissions(folder, Permissions::from_mode(0o555)).unwrap();
    let mut command = Command::new("setpriv");
    if rustix::process::geteuid().is_root() {
        command.args(["--bounding-set=-all", "--inh-caps=-all"]);
    }
    command.args(["--", env!("CARGO_BIN_EXE_signet"), "--json", "check"]).env_clear().current_dir(plan.dir());
    command.env("SIGNET_SERVER__LISTEN", "127.0.0.1:0").env("SIGNET_SERVER__MANAGEMENT", "off");
    let output = run_with_stdin(command, "");
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    find(&output, part)
}

#[test]
fn check_fails_if_the_outbox_is_read_only() {
    let plan = Plan::embedded();
    let outbox = plan.dir().join("data/outbox");
    fs::create_dir_all(&outbox).unwrap();
    let (result, detail) = finding_with_read_only(&outbox, &plan, "mail");
    assert_eq!(result, "failed", "{detail}");
    assert!(detail.contains("outbox cannot be written") && detail.contains("mail.smtp_url"), "{detail}");
}

#[test]
fn check_fails_if_data_dir_is_read_only() {
    let plan = Plan::embedded();
    let (result, detail) = finding_with_read_only(plan.dir(), &plan, "data_dir");
    assert!(result == "failed" && detail.contains("SIGNET_DATA_DIR"), "{detail}");
    fs::write(plan.dir().join("data"), "").unwrap();
    let (result, detail) = finding(&plan, "data_dir");
    assert!(result == "failed" && detail.contains("is not a folder"), "{detail}");
}

//! Whole commands over a real embedded store in a temporary folder: what they print and what they change.

mod arguments;
mod help;
mod import;

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::clock::Timestamp;
use crate::config::{self, SecretUrl};
use crate::node::stores::Stores;
use crate::store::Accounts;
use crate::store::accounts::{SealedTotp, User};

/// A bcrypt hash of cost 4.
const HASH: &str = "$2b$04$YXpCTVM8S5jhlTAxQ1xjGO/kXsjEvD9qN6QuhxHmQO2770JfbyI6.";

/// A Signet with its data in a temporary folder.
struct TestCli {
    dir: TempDir,
    config: Config,
}

impl TestCli {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: dir.path().join("data"), ..Config::default() };
        config.server.listen = ([127, 0, 0, 1], 0).into();
        config.server.management = None;
        Self { dir, config }
    }

    /// Runs a command line, and returns what it printed and whether it succeeded.
    fn run(&self, line: &str) -> (String, Result<(), CliError>) {
        self.run_args(line.split(' '))
    }

    fn run_args<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> (String, Result<(), CliError>) {
        let arguments = Arguments::try_parse_from(args).unwrap();
        let mut printed = Vec::new();
        let mut output = Output::new(&mut printed, arguments.json);
        let command = arguments.command.unwrap_or(Command::Serve);
        let result = dispatch(command, |_| Ok(self.config.clone()), |_| Ok(None), &mut output);
        (String::from_utf8(printed).unwrap(), result)
    }

    fn printed(&self, line: &str) -> String {
        let (printed, result) = self.run(line);
        result.unwrap();
        printed
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.printed(line)).unwrap()
    }

    /// Writes a file and returns its path.
    fn file(&self, content: &str) -> String {
        let path = self.dir.path().join("users.jsonl");
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Does something with the accounts store.
    fn with_accounts<T>(&self, work: impl AsyncFnOnce(&dyn Accounts) -> T) -> T {
        let clock = crate::clock::Clock::system();
        let result = block_on(async {
            let stores = Stores::open(&self.config, &clock).await.unwrap();
            Ok(work(&*stores.accounts().unwrap()).await)
        });
        result.unwrap()
    }

    /// All users, without the times that depend on when a row was written.
    fn users(&self) -> Vec<User> {
        let mut users = self.with_accounts(async |accounts| accounts.users(0, 100).await.unwrap());
        for user in &mut users {
            (user.updated_at, user.sessions_valid_after) = (Timestamp::default(), Timestamp::default());
        }
        users
    }
}

#[test]
fn without_a_command_the_server_runs() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut cli = TestCli::new();
    cli.config.server.listen = taken.local_addr().unwrap();
    let error = cli.run("signet").1.unwrap_err();
    assert!(error.to_string().contains(&format!("cannot listen on {}", cli.config.server.listen)), "{error}");
    assert!(error.remedy().unwrap().contains("server.listen"), "{error:?}");
}

#[test]
fn a_user_is_created_shown_disabled_and_deleted() {
    let cli = TestCli::new();
    let created = cli.json("signet --json users create --email a@example.com --username ann --superuser --role editor");
    assert_eq!(
        (&created["superuser"], &created["verified"], &created["has_password"]),
        (&true.into(), &false.into(), &false.into())
    );
    assert_eq!(cli.json("signet users show ann --json")["id"], created["id"]);
    assert_eq!(cli.json("signet --json users disable a@example.com --yes")["disabled"], true);
    assert_eq!(cli.json("signet --json users enable a@example.com")["disabled"], false);
    assert_eq!(cli.json("signet --json users delete ann --yes")["id"], created["id"]);
    let error = cli.run("signet users show ann").1.unwrap_err();
    assert_eq!((error.exit_code(), error.render(false).lines().count()), (1, 2));
    assert_eq!(
        serde_json::from_str::<Value>(&error.render(true)).unwrap()["error"]["message"],
        "there is no user \"ann\""
    );
}

#[test]
fn commands_do_not_create_the_store_that_they_look_for() {
    let cli = TestCli::new();
    for line in [
        "users list",
        "users delete a --yes",
        "keys list",
        "keys rotate",
        "api-keys create --user a --name a",
        "api-keys deactivate --all",
        "sessions end --all",
        "audit",
        "verify token",
        "mail test a@example.org",
        "seed --remove",
        "backup saved",
    ] {
        let error = cli.run(&format!("signet {line}")).1.unwrap_err();
        let path = cli.config.data_dir.join("signet.db");
        assert_eq!(error.to_string(), format!("{} does not exist", path.display()), "{line}");
        assert!(error.remedy().unwrap().contains("SIGNET_DATA_DIR"), "{line}: {error:?}");
    }
    assert!(!cli.config.data_dir.exists());
}

#[test]
fn commands_that_fill_a_store_create_it() {
    let file = TestCli::new();
    let users = file.file("{\"email\":\"a@example.com\"}");
    let pem = {
        file.printed("signet migrate");
        let kid = file.json("signet --json keys list")[0]["kid"].as_str().unwrap().to_owned();
        file.printed(&format!("signet keys export {kid}"))
    };
    let (key, data) = (file.dir.path().join("key.pem"), file.dir.path().join("data.json"));
    std::fs::write(&key, pem).unwrap();
    for line in [
        "users create --email a@example.com".to_owned(),
        format!("users import {users}"),
        format!("keys import {}", key.display()),
        format!("seed --users 1 --sessions 1 --api-keys 0 --out {}", data.display()),
        "migrate".to_owned(),
    ] {
        let cli = TestCli::new();
        cli.printed(&format!("signet {line}"));
        assert!(cli.config.data_dir.join("signet.db").exists(), "{line}");
    }
}

#[test]
fn a_list_says_that_there_is_more() {
    let cli = TestCli::new();
    for name in ["a", "b", "c"] {
        cli.printed(&format!("signet users create --email {name}@example.com"));
    }
    let printed = cli.printed("signet users list --limit 2");
    let lines = printed.lines().collect::<Vec<_>>();
    assert!(lines[0].starts_with("NUMBER  ID") && lines[2].contains("b@example.com"), "{printed}");
    assert_eq!(lines[3], "there may be more: signet users list --limit 2 --after 2");
    let rest = cli.json("signet --json users list --after 2");
    assert_eq!((rest.as_array().unwrap().len(), &rest[0]["number"]), (1, &3.into()));
}

#[test]
fn a_name_cannot_control_the_terminal() {
    let cli = TestCli::new();
    let name = "\u{1b}[2J\u{202e}";
    let (printed, result) =
        cli.run_args(["signet", "users", "create", "--email", "a@example.com", "--full-name", name]);
    result.unwrap();
    assert!(printed.contains("[2J") && !printed.contains(['\u{1b}', '\u{202e}']), "{printed}");
}

#[test]
fn a_name_in_json_cannot_control_the_terminal() {
    let cli = TestCli::new();
    let name = "\u{9b}2J\u{7f}\u{202e}\u{61c}";
    cli.run_args(["signet", "users", "create", "--email", "a@example.com", "--full-name", name]).1.unwrap();
    for line in ["signet --json users list", "signet --json users show a@example.com", "signet users export"] {
        let printed = cli.printed(line);
        assert!(printed.contains(r"\u009b2J\u007f\u202e\u061c"), "{printed:?}");
        assert!(!printed.contains(['\u{9b}', '\u{7f}', '\u{202e}', '\u{61c}']), "{printed:?}");
    }
    assert_eq!(cli.json("signet --json users show a@example.com")["full_name"], name);
}

#[test]
fn an_export_can_be_imported_without_loss() {
    let (old, new) = (TestCli::new(), TestCli::new());
    let line = format!(
        r#"{{"email":"a@example.com","username":"ann","full_name":"Ann","password_hash":"{HASH}","verified":true,"disabled":true,"superuser":true,"roles":["editor"],"token_balance":70,"tokens_used":30,"subscription_tier":"pro","created_at":"2024-01-31T12:00:00+02:00"}}"#
    );
    let file = old.file(&format!("{line}\n\n{{\"email\":\"c@example.com\"}}\n"));
    assert_eq!(old.json(&format!("signet --json users import {file}"))["imported"], 2);
    assert_eq!(old.users()[0].created_at, Timestamp::from_secs(1_706_695_200));
    let shown = old.json("signet --json users show ann");
    assert_eq!((&shown["token_balance"], &shown["tokens_used"]), (&70.into(), &30.into()));
    assert_eq!((&shown["subscription_tier"], &shown["second_factor"]), (&"pro".into(), &false.into()));

    let file = new.file(&old.printed("signet users export --with-hashes"));
    assert_eq!(new.json(&format!("signet --json users import {file}"))["imported"], 2);
    assert_eq!(new.users(), old.users());
    assert!(!old.printed("signet users export").contains("$2b$"));

    let again = new.json(&format!("signet --json users import {file}"));
    assert_eq!((&again["imported"], again["left_out"].as_array().unwrap().len()), (&0.into(), 2));
}

#[test]
fn an_import_says_that_second_factors_are_lost() {
    let (old, new) = (TestCli::new(), TestCli::new());
    old.printed("signet users create --email a@example.com");
    let (id, secret) = (old.users()[0].id, SealedTotp(b"sealed".to_vec()));
    let now = crate::clock::Clock::system().now();
    assert!(old.with_accounts(async |accounts| accounts.enable_totp(id, &secret, 1, &[], None, now).await.unwrap()));
    assert_eq!(old.json("signet --json users show a@example.com")["second_factor"], true);
    let file = new.file(&old.printed("signet users export --with-hashes"));
    let report = new.json(&format!("signet --json users import {file}"));
    assert_eq!((&report["imported"], &report["without_second_factor"]), (&1.into(), &1.into()));
    assert_eq!(new.json("signet --json users show a@example.com")["second_factor"], false);
}

#[test]
fn invalid_lines_are_named_and_the_rest_is_imported() {
    let cli = TestCli::new();
    let lines = [
        "{\"email\":\"a@example.com\"}",
        "{\"email\":\"c@example.com\",\"disable\":true}",
        "no",
        "{\"email\":\"x\"}",
        "{\"email\":\"a@example.com\"}",
        "{\"email\":\"e@example.com\",\"tokens_used\":-1}",
        "{\"email\":\"f@example.com\",\"subscription_tier\":\"\\u0000\"}",
    ];
    let file = cli.file(&lines.join("\n"));
    let (printed, result) = cli.run(&format!("signet users import {file}"));
    assert_eq!(result.unwrap_err().exit_code(), 1);
    let starts = [
        "line 2: left out: unknown field `disable`",
        "line 3: ",
        "line 4: left out: x: not an",
        "line 5: left out: a@example.com: another user has this address",
        "line 6: left out: e@example.com: token_balance or tokens_used is below zero",
        "line 7: left out: f@example.com: the subscription tier contains NUL",
        "1 imported, 6 left out",
    ];
    for (line, start) in printed.lines().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn signing_keys_are_listed_and_exported() {
    let cli = TestCli::new();
    cli.printed("signet migrate");
    let keys = cli.json("signet --json keys list");
    assert_eq!(keys[0]["state"], "signing");
    let next = cli.json("signet --json keys rotate");
    assert_eq!((&next["state"], &next["verifies_until"]), (&"announced".into(), &Value::Null));
    let pem = cli.printed(&format!("signet keys export {}", keys[0]["kid"].as_str().unwrap()));
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----") && pem.ends_with('\n'), "{pem}");
    assert_eq!(cli.run("signet keys revoke two").1.unwrap_err().to_string(), "there is no signing key \"two\"");
}

#[test]
fn an_api_key_is_shown_in_full_only_once() {
    let cli = TestCli::new();
    cli.printed("signet --json users create --email a@example.com");
    let user = cli.users()[0].id;
    let project = cli.with_accounts(async |accounts| accounts.projects(user).await.unwrap()[0].0);
    let created = cli.json("signet --json api-keys create --user a@example.com --name gateway --scope introspect");
    let prefix = created["prefix"].as_str().unwrap();
    assert!(created["full_key"].as_str().unwrap().starts_with(prefix), "{created}");
    assert_eq!(created["project"], project.to_string());
    let listed = cli.json("signet --json api-keys list --user a@example.com");
    assert_eq!((&listed[0]["scopes"][0], listed[0].get("full_key")), (&"introspect".into(), None));
    assert_ne!(cli.json(&format!("signet --json api-keys deactivate {prefix}"))["deactivated_at"], Value::Null);
    let foreign = cli.run("signet api-keys list --user a@example.com --project 019a0000-0000-7000-8000-000000000000");
    assert!(foreign.1.unwrap_err().to_string().starts_with("there is no project of this user"));
}

#[test]
fn a_check_reports_each_part() {
    let mut cli = TestCli::new();
    let url = SecretUrl("redis://127.0.0.1:1".to_owned());
    cli.config.redis = Some(config::Redis { url, prefix: String::new(), timeout: Duration::from_secs(1), ca: None });
    cli.config.secrets = Some(vec![config::Secret(zeroize::Zeroizing::new([7; 32]))]);
    let (printed, result) = cli.run("signet --json check");
    assert_eq!(result.unwrap_err().exit_code(), 1);
    let findings: Vec<Value> = serde_json::from_str(&printed).unwrap();
    let of = |part: &str| findings.iter().find(|finding| finding["part"] == part).unwrap();
    let parts = ["settings", "accounts", "ephemeral", "mail"];
    assert_eq!(parts.map(|part| of(part)["result"].as_str().unwrap()), ["ok", "ok", "failed", "ok"], "{printed}");
    assert!(of("ephemeral")["detail"].as_str().unwrap().contains("Redis is unavailable: "), "{printed}");
    assert_eq!(findings.iter().filter(|finding| finding["result"] == "failed").count(), 1, "{printed}");
}

#[test]
fn completions_and_migrations_are_printed() {
    let cli = TestCli::new();
    assert!(cli.printed("signet completions bash").contains("api-keys"));
    assert_eq!(cli.json("signet --json migrate")[0]["number"], 1);
}

#[test]
fn a_misspelt_type_of_event_is_refused() {
    for (name, is_type) in [("sign_in.refused", true), ("sign_in", true), ("sign_in.refuse", false), ("sign", false)] {
        assert_eq!(Arguments::try_parse_from(["signet", "audit", "--type", name]).is_ok(), is_type, "{name}");
    }
}

/// A stolen key must be revocable even if its id begins with a hyphen, as one in 64 does.
#[test]
fn a_key_id_may_begin_with_a_hyphen() {
    for kid in ["-lg8k9RrCL5NPGHw", "-hg8k9RrCL5NPGHw", "--g8k9RrCL5NPGHw", "_lg8k9RrCL5NPGHw"] {
        for line in [["--json", "keys", "revoke", kid], ["keys", "revoke", kid, "--json"]] {
            let arguments = Arguments::try_parse_from([&["signet"], &line[..]].concat()).unwrap();
            let Command::Keys { command: super::arguments::Keys::Revoke { kid: read, .. } } =
                arguments.command.unwrap()
            else {
                panic!("{line:?}")
            };
            assert_eq!((read.as_str(), arguments.json), (kid, true));
        }
    }
}

#[test]
fn waiting_for_followers_has_a_default_time() {
    use super::arguments::Keys;

    let seconds = |line: &str| {
        let words = line.split(' ');
        match Arguments::try_parse_from(words).unwrap().command.unwrap() {
            Command::Keys { command: Keys::Rotate { wait, .. } | Keys::Revoke { wait, .. } } => {
                wait.map(|wait| wait.as_secs())
            }
            _ => panic!("{line}"),
        }
    };
    assert_eq!(seconds("signet keys rotate"), None);
    assert_eq!(seconds("signet keys rotate --wait"), Some(90));
    assert_eq!(seconds("signet keys rotate --wait=5m"), Some(300));
    assert_eq!(seconds("signet keys revoke KID --wait"), Some(90));
    assert_eq!(seconds("signet keys revoke --wait KID"), Some(90));
    assert_eq!(seconds("signet keys revoke --wait=1s KID"), Some(1));
}

//! The command line, by itself and beside a running server.

use std::process::Output;

use serde_json::{Value, json};

mod administration;
mod bench;
mod check;
mod created;
mod custom_claims;
mod demo;
mod health;
mod import;
mod last_superuser;
mod password;
mod propagation;
mod reset_mfa;
mod settings;

use crate::support::server::{PASSWORD, SendRequest, TestServer};
use crate::support::signet::{Plan, SECRET};
use crate::support::{postgres, redis, run_with_stdin};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the output is text")
}

/// Runs a command that must fail with this exit code, and returns everything that it printed.
#[track_caller]
fn refused(plan: &Plan, words: &[&str], code: i32) -> String {
    let Output { status, stdout, stderr } = plan.run(words, "");
    let printed = text(&stdout) + &text(&stderr);
    assert_eq!(status.code(), Some(code), "{words:?}: {printed}");
    printed
}

/// Runs a command that must succeed without a warning, and returns what it printed on stdout.
#[track_caller]
fn done(plan: &Plan, words: &[&str], input: &str) -> String {
    let output = plan.run(words, input);
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    events(&output);
    text(&output.stdout)
}

/// The events that a command logged, which must be all that it wrote to stderr.
#[track_caller]
fn events(output: &Output) -> Vec<Value> {
    let stderr = text(&output.stderr);
    let event = |line: &str| serde_json::from_str::<Value>(line).ok().filter(|event| event["level"] == "INFO");
    stderr.lines().map(|line| event(line).unwrap_or_else(|| panic!("no event: {line}"))).collect()
}

#[test]
fn users_are_created_shown_changed_and_deleted() {
    let plan = Plan::embedded();
    let more =
        ["--username", "Zoë", "--full-name", "Zoë E.", "--verified", "--superuser", "--role", "a", "--role", "b"];
    let zoe = plan.create_user(" ZOE@Example.org ", PASSWORD, &more);
    assert_eq!((&zoe["email"], &zoe["username"]), (&"zoe@example.org".into(), &"Zoë".into()));
    assert_eq!((&zoe["roles"], &zoe["full_name"]), (&json!(["a", "b"]), &"Zoë E.".into()));
    for field in ["verified", "superuser", "has_password"] {
        assert_eq!(zoe[field], true, "{field}");
    }
    let bare = plan.json(&["users", "create", "--email", "bare@example.org"], "");
    assert_eq!((&bare["has_password"], &bare["disabled"]), (&false.into(), &false.into()));
    for name in [zoe["id"].as_str().unwrap(), "zoe@EXAMPLE.org", "zoë", "ZOË"] {
        assert_eq!(plan.json(&["users", "show", name], ""), zoe, "{name}");
    }
    assert_eq!(plan.json(&["users", "list"], ""), json!([zoe, bare]));
    assert_eq!(plan.json(&["users", "list", "--limit", "1"], ""), json!([zoe]));
    assert_eq!(plan.json(&["users", "list", "--after", &zoe["number"].to_string()], ""), json!([bare]));
    let table = done(&plan, &["users", "list"], "");
    assert!(table.starts_with("NUMBER") && table.lines().count() == 3, "{table}");

    assert_eq!(plan.json(&["users", "disable", "zoë", "--yes"], "")["disabled"], true);
    assert_eq!(plan.json(&["users", "show", "zoë"], "")["disabled"], true);
    assert_eq!(plan.json(&["users", "enable", "zoë"], "")["disabled"], false);
    assert_eq!(plan.json(&["users", "delete", "zoë", "--yes"], "")["id"], zoe["id"]);
    assert_eq!(plan.json(&["users", "list"], ""), json!([bare]));
    for command in ["show", "disable", "enable", "delete"] {
        let printed = refused(&plan, &["users", command, "zoë"], 1);
        assert!(printed.contains("no user \"zoë\"") && printed.contains("signet users list"), "{printed}");
    }
}

#[test]
fn a_user_that_cannot_be_created_is_explained() {
    let plan = Plan::embedded();
    plan.create_user("a@example.org", PASSWORD, &["--username", "a-name"]);
    let create = |more: &[&str], password: &str| {
        let output = plan.run(&[&["users", "create", "--password-stdin"], more].concat(), password);
        (output.status.code().unwrap(), text(&output.stderr))
    };
    for (more, password, code, why) in [
        (&["--email", "A@EXAMPLE.ORG"][..], PASSWORD, 1, "address is taken"),
        (&["--email", "b@example.org", "--username", "A-NAME"], PASSWORD, 1, "username is taken"),
        (&["--email", "nothing"], PASSWORD, 1, "invalid e-mail address"),
        (&["--email", "b@example.org", "--username", "a b@c"], PASSWORD, 1, "invalid username"),
        (&["--email", "b@example.org"], "short", 1, "invalid password"),
        (&["--email", "b@example.org"], "password1", 1, "invalid password"),
        (&["--email", "b@example.org"], "", 2, "on one line"),
        (&["--email", "b@example.org"], "two lines\nof password", 2, "on one line"),
        (&[], PASSWORD, 2, "--email"),
    ] {
        let (exit_code, printed) = create(more, password);
        assert!(exit_code == code && printed.contains(why), "{more:?}, {password:?}: {exit_code}: {printed}");
        assert!(password.is_empty() || !printed.contains(password), "{printed}");
    }
    assert_eq!(plan.json(&["users", "list"], "").as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn users_move_to_another_signet_with_ids_and_passwords() {
    let one = Plan::embedded();
    for at in 0..3 {
        let (email, name) = (format!("user-{at}@example.org"), format!("user-{at}"));
        one.create_user(&email, PASSWORD, &["--username", &name, "--role", "editor", "--verified"]);
    }
    one.json(&["users", "disable", "user-2"], "");
    let plain = done(&one, &["users", "export"], "");
    assert!(!plain.contains("password_hash"));
    let exported = done(&one, &["users", "export", "--with-hashes"], "");
    assert_eq!(exported.lines().count(), 3);

    let other = TestServer::embedded(|plan| plan);
    let file = other.plan().dir().join("users.jsonl");
    std::fs::write(&file, &exported).unwrap();
    let import = ["users", "import", file.to_str().unwrap()];
    assert_eq!(other.plan().json(&import, ""), json!({"imported": 3, "left_out": []}));
    assert_eq!(done(other.plan(), &["users", "export", "--with-hashes"], ""), exported, "ids and all");
    let tokens = other.try_sign_in("user-0@example.org", PASSWORD).await.is(201).tokens();
    let claims = other.verify(&tokens.access).await.json()["claims"].clone();
    assert_eq!(claims["sub"], one.json(&["users", "show", "user-0"], "")["id"]);
    other.try_sign_in("user-2@example.org", PASSWORD).await.is_problem(403, "account_disabled");

    // A second import adds and changes nobody.
    let again = other.plan().json(&import, "");
    assert_eq!((&again["imported"], again["left_out"].as_array().unwrap().len()), (&0.into(), 3));
    assert!(again["left_out"].as_array().unwrap().iter().all(|line| line["faulty"] == false));
    assert_eq!(done(other.plan(), &["users", "export", "--with-hashes"], ""), exported);
    other.verify(&tokens.access).await.is(200);

    // An invalid line does not affect the others.
    let lines = [
        json!({"email": "new@example.org"}).to_string(),
        json!({"email": "user-0@EXAMPLE.org"}).to_string(),
        json!({"email": "x@example.org", "disable": true}).to_string(),
        json!({"email": "y@example.org", "password_hash": "md5$hunter2hunter2"}).to_string(),
        "nothing".to_owned(),
        String::new(),
        json!({"email": "newer@example.org", "created_at": "2001-02-03T04:05:06Z"}).to_string(),
    ];
    let output = other.plan().run(&["--json", "users", "import", "-"], &lines.join("\n"));
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["imported"], 2);
    let skipped = |faulty: bool| {
        let lines = report["left_out"].as_array().unwrap().iter().filter(|line| line["faulty"] == faulty);
        lines.map(|line| line["line"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((skipped(false), skipped(true)), (vec![2], vec![3, 4, 5]));
    assert!(!text(&output.stdout).contains("hunter2"), "the output must not repeat a hash");
    let newer = other.plan().json(&["users", "show", "newer@example.org"], "");
    assert_eq!(newer["created_at"], "2001-02-03T04:05:06Z");
}

#[tokio::test]
async fn signing_keys_change_beside_a_running_server() {
    let server =
        TestServer::embedded(|plan| plan.set("SIGNET_KEYS__ANNOUNCE", "2s").set("SIGNET_KEYS__JWKS_MAX_AGE", "1s"));
    let plan = server.plan();
    let states = |keys: &Value| {
        let keys = keys.as_array().unwrap().iter();
        keys.map(|key| key["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let kid = |token: &str| {
        use base64::Engine;
        let header = token.split('.').next().unwrap();
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).unwrap();
        serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
    };
    let person = server.create_user(&[]);
    let old = server.sign_in(&person).await;
    let keys = plan.json(&["keys", "list"], "");
    assert_eq!(states(&keys), ["signing", "announced"]);
    assert_eq!((&keys[0]["kid"], &keys[0]["algorithm"]), (&kid(&old.access).into(), &"EdDSA".into()));

    let next = plan.json(&["keys", "rotate"], "");
    assert_eq!(next["kid"], keys[1]["kid"], "the standby is next");
    let mut newest = old.clone();
    crate::support::until("the next key signs", async || {
        newest = server.refresh(&newest.refresh).await.is(200).tokens();
        server.verify(&old.access).await.is(200);
        server.verify(&newest.access).await.is(200);
        kid(&newest.access) == next["kid"].as_str().unwrap()
    })
    .await;
    assert_eq!(states(&plan.json(&["keys", "list"], "")), ["signing", "announced", "verify-only"]);

    // An exported key has the same id where it is imported.
    let pem = done(plan, &["keys", "export", &kid(&old.access)], "");
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    let elsewhere = Plan::embedded();
    elsewhere.json(&["migrate"], "");
    let listed = elsewhere.json(&["keys", "list"], "");
    for (more, warns) in [(&[][..], false), (&["--assume-cache", "1d"], false), (&["--assume-cache", "2d"], true)] {
        let output = elsewhere.run(&[&["--json", "keys", "rotate"], more].concat(), "");
        let rotated: Value = serde_json::from_slice(&output.stdout).unwrap();
        // Not announced for long enough to sign now; rotating again changes nothing.
        assert_eq!((&rotated["kid"], &rotated["state"]), (&listed[1]["kid"], &"announced".into()));
        assert_eq!(text(&output.stderr).contains("keys.announce"), warns, "{}", text(&output.stderr));
    }
    let imported: Value = {
        let words = ["--json", "keys", "import", "-"];
        serde_json::from_slice(&elsewhere.run(&words, &pem).stdout).unwrap()
    };
    assert_eq!((&imported["kid"], &imported["state"]), (&kid(&old.access).into(), &"announced".into()));
    assert_eq!(done(&elsewhere, &["keys", "export", &kid(&old.access)], ""), pem);
    let as_words = |key: &Value| key["state"].as_str().unwrap().to_owned();
    let listed = elsewhere.json(&["keys", "list"], "");
    assert_eq!(
        listed.as_array().unwrap().iter().map(as_words).collect::<Vec<_>>(),
        ["signing", "announced", "announced"]
    );
    let again = elsewhere.run(&["keys", "import", "-"], &pem);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("in the ring already"));
    let wrong = elsewhere.run(&["keys", "import", "-"], "-----BEGIN RSA PRIVATE KEY-----\nhunter2");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("PKCS#8 PEM") && !text(&wrong.stderr).contains("hunter2"));

    let revoked = plan.json(&["keys", "revoke", &kid(&old.access)], "");
    assert_eq!(revoked["state"], "revoked");
    crate::support::until("its tokens are refused", async || {
        server.rejection_reason(&old.access).await == "revoked_key"
    })
    .await;
    server.verify(&newest.access).await.is(200);
    for words in [["keys", "revoke", "nothing"], ["keys", "export", "nothing"]] {
        assert!(refused(plan, &words, 1).contains("signet keys list"));
    }
}

#[test]
fn api_keys_are_created_listed_and_deactivated() {
    let plan = Plan::embedded();
    plan.create_user("a@example.org", PASSWORD, &[]);
    let words = ["api-keys", "create", "--user", "a@example.org", "--name", "gateway", "--scope", "introspect"];
    let made = plan.json(&[&words[..], &["--expires-in-days", "30"]].concat(), "");
    let full = made["full_key"].as_str().unwrap();
    let prefix = made["prefix"].as_str().unwrap();
    assert!(full.starts_with(prefix) && full.len() > prefix.len());
    assert!(made["expires_at"].is_string());
    let printed = done(&plan, &words, "");
    assert!(printed.contains("shown this once") && printed.contains("sk_"));
    let listed = plan.json(&["api-keys", "list", "--user", "a@example.org"], "");
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(full), "the whole key is shown once");
    let ended = plan.json(&["api-keys", "deactivate", prefix], "");
    assert!(ended["deactivated_at"].is_string());
    assert_eq!(plan.json(&["api-keys", "deactivate", prefix], "")["deactivated_at"], ended["deactivated_at"]);
    assert!(refused(&plan, &["api-keys", "deactivate", "sk_nothing"], 1).contains("no API key"));
    assert!(refused(&plan, &["api-keys", "list", "--user", "nobody"], 1).contains("no user"));
    let foreign = ["--project", "00000000-0000-7000-8000-000000000000"];
    assert!(refused(&plan, &[&words[..], &foreign].concat(), 1).contains("project"));
    assert!(refused(&plan, &[&words[..], &["--expires-in-days", "0"]].concat(), 2).contains("--expires-in-days"));
}

#[test]
fn migrations_are_applied_once() {
    let plan = Plan::embedded();
    let applied = plan.json(&["migrate"], "");
    assert!(!applied.as_array().unwrap().is_empty());
    assert!(applied.as_array().unwrap().iter().all(|migration| migration["store"] == "embedded"));
    assert_eq!(plan.json(&["migrate"], ""), json!([]));
}

#[test]
fn check_names_the_store_that_cannot_be_used() {
    let (mut redis, postgres) = (redis::Server::options().password("sesame-redis").start(), postgres::Server::start());
    let plan = Plan::on(&redis, &postgres).set("SIGNET_LIMITS__ENABLED", "true").set("SIGNET_POSTGRES__TIMEOUT", "5s");
    // `check` does not migrate.
    assert!(refused(&plan, &["check"], 1).contains("signet migrate"));
    let applied = plan.json(&["migrate"], "");
    assert!(applied.as_array().unwrap().iter().any(|migration| migration["store"] == "postgres"));
    let results = |findings: &Value| {
        let findings = findings.as_array().unwrap().iter();
        findings.map(|it| format!("{} {}", it["part"], it["result"]).replace('"', "")).collect::<Vec<_>>()
    };
    let findings = plan.json(&["check"], "");
    assert!(
        ["settings ok", "accounts ok", "ephemeral ok"].iter().all(|it| results(&findings).contains(&(*it).to_owned()))
    );
    assert!(!results(&findings).iter().any(|it| it.contains("failed")), "{findings}");

    let secrets = [postgres::PASSWORD, "hunter2", "sesame-redis", "wrong-password", SECRET];
    let assert_failed = |plan: &Plan, part: &str, names: &[&str]| {
        for words in [&["check"][..], &["--json", "check"], &["--set", "log.filter=trace", "check"]] {
            let printed = refused(plan, words, 1);
            assert!(names.iter().all(|name| printed.contains(name)), "{names:?}: {printed}");
            assert!(secrets.iter().all(|secret| !printed.contains(secret)), "{printed}");
        }
        let findings: Value = serde_json::from_slice(&plan.run(&["--json", "check"], "").stdout).unwrap();
        let failed = results(&findings).into_iter().filter(|it| it.contains("failed")).collect::<Vec<_>>();
        assert_eq!(failed, [format!("{part} failed")], "{findings}");
    };
    let wrong = postgres.url().replacen("hunter2", "wrong-password-", 1);
    assert_failed(&plan.clone().set("DATABASE_URL", &wrong), "accounts", &["postgres.url", "password", "127.0.0.1"]);
    let wrong = format!("redis://:wrong-password@127.0.0.1:{}", redis.port());
    assert_failed(&plan.clone().set("REDIS_URL", &wrong), "ephemeral", &["redis.url", "WRONGPASS", "127.0.0.1"]);
    redis.kill();
    assert_failed(&plan, "ephemeral", &["redis.url", "refused", "is the server running"]);
    // Other commands say that Redis is missing, and so does a start.
    let printed = refused(&plan, &["users", "list"], 1);
    assert!(printed.contains("Redis") && printed.contains("signet check"), "{printed}");
    let server = plan.try_start();
    assert_eq!(server.wait_for_exit().code(), Some(1));
    assert!(server.log().contains("Redis is unavailable") && secrets.iter().all(|it| !server.log().contains(it)));
}

#[test]
fn help_version_and_completions_open_no_store() {
    let plan = Plan::embedded();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = done(&plan, &["completions", shell], "");
        assert!(["api-keys", "bench", "demo"].iter().all(|command| script.contains(command)), "{shell}");
    }
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", "set -eu; source /dev/stdin; complete -p signet"]);
    let printed = run_with_stdin(bash, &done(&plan, &["completions", "bash"], ""));
    assert!(printed.status.success() && text(&printed.stdout).contains("_signet"), "{}", text(&printed.stderr));
    assert_eq!(done(&plan, &["man", "."], ""), "");
    for page in ["signet.1", "signet-users.1", "signet-users-create.1", "signet-keys-rotate.1"] {
        let text = std::fs::read_to_string(plan.dir().join(page)).unwrap();
        assert!(text.contains(".SH SYNOPSIS") && text.contains("\\-\\-config"), "{page}: {text}");
    }
    assert!(done(&plan, &["--help"], "").contains("users"));
    assert_eq!(done(&plan, &["--version"], ""), format!("signet {}\n", env!("CARGO_PKG_VERSION")));
    assert!(refused(&plan, &["user", "list"], 2).contains("users"));
    assert!(!plan.dir().join("data").exists(), "none of these opens a store");
}

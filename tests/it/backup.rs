//! `signet backup` and `signet restore`: what they refuse, and that nothing which was revoked after a backup was taken
//! comes back with it, from the embedded store, from an old snapshot of Redis or from an old dump of Postgres.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

mod keyring;
mod load;

use crate::support::postgres::{self, Database};
use crate::support::redis;
use crate::support::server::{PASSWORD, SendRequest, TestServer, TestUser, TokenPair};
use crate::support::signet::{Plan, SECRET};

const NEW_PASSWORD: &str = "another harbour at dawn";

/// With the address as issuer, the tokens of a server that was restarted on another port would be refused anyway.
fn with_issuer(plan: Plan) -> Plan {
    plan.set("SIGNET_TOKENS__ISSUER", "https://id.example.org")
}

/// Runs a command that must fail with this exit code, and returns everything that it printed.
#[track_caller]
fn refused(plan: &Plan, arguments: &[&str], code: i32) -> String {
    let output = plan.run(arguments, "");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8(printed).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {printed}");
    printed
}

fn stop(server: &TestServer) {
    server.signet.terminate();
    assert!(server.signet.wait_for_exit().success());
}

/// Users and what they hold, of which most is revoked after the backup.
struct Holders {
    untouched: (TestUser, TokenPair),
    signed_out: (TestUser, TokenPair),
    new_password: (TestUser, TokenPair),
    deleted: (TestUser, TokenPair),
    /// The key and its prefix, and an access token issued from it.
    key: (String, String, String),
    deleted_key: String,
}

impl Holders {
    async fn create(server: &TestServer) -> Self {
        let sign_in = async |user: TestUser| {
            let tokens = server.sign_in(&user).await;
            (user, tokens)
        };
        let untouched = sign_in(server.create_user(&[])).await;
        let signed_out = sign_in(server.create_user(&[])).await;
        let new_password = sign_in(server.create_user(&[])).await;
        let deleted = sign_in(server.create_user(&[])).await;
        let (key, prefix) = server.api_key(&untouched.0, &[]);
        let (deleted_key, _) = server.api_key(&deleted.0, &[]);
        let issued = server.client_token(&key).await;
        Self { untouched, signed_out, new_password, deleted, key: (key, prefix, issued), deleted_key }
    }

    /// Revokes everything but what `untouched` has.
    async fn revoke(&self, server: &TestServer) {
        let (_, tokens) = &self.signed_out;
        server
            .delete(&format!("/sessions/{}", tokens.session))
            .bearer_auth(&tokens.access)
            .send_checked()
            .await
            .is(204);
        let passwords = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
        let (_, tokens) = &self.new_password;
        let change = server.request(reqwest::Method::PUT, "/me/password").bearer_auth(&tokens.access);
        let changed = change.json(&passwords).send_checked().await;
        assert!((200..300).contains(&changed.status), "{changed:?}");
        server.plan().json(&["users", "delete", &self.deleted.0.email, "--yes"], "");
        server.plan().json(&["api-keys", "deactivate", &self.key.1], "");
        self.assert_revoked(server).await;
    }

    /// Asserts that everything that was revoked is refused.
    async fn assert_revoked(&self, server: &TestServer) {
        for (user, tokens) in [&self.signed_out, &self.new_password, &self.deleted] {
            server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
            let verified = server.verify(&tokens.access).await;
            assert_eq!(verified.status, 401, "{}: {verified:?}", user.email);
        }
        for credential in [&self.key.0, &self.key.2, &self.deleted_key] {
            server.verify(credential).await.is(401);
        }
    }
}

#[tokio::test]
async fn nothing_revoked_comes_back_with_a_backup() {
    let mut server = TestServer::embedded(with_issuer);
    let plan = server.plan().clone();
    let holders = Holders::create(&server).await;
    let link = json!({"email": holders.untouched.0.email});
    server.post("/password-resets").json(&link).send_checked().await;

    let file = plan.dir().join("saved");
    let name = file.to_str().unwrap();
    let backup = plan.json(&["backup", name], "")["backup"].clone();
    assert_eq!((&backup["users"], &backup["api_keys"], &backup["sessions"]), (&json!(4), &json!(2), &json!(4)));
    assert_eq!((&backup["secret"], &backup["holds"]), (&json!("included"), &json!(["accounts", "sessions"])));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(refused(&plan, &["backup", name], 1).contains("exists"));
    plan.json(&["backup", name, "--force"], "");
    assert_eq!(plan.json(&["restore", name, "--check"], "")["users"], 4);
    assert!(refused(&plan, &["restore", name, "--force"], 1).contains("is held by another process"));
    holders.untouched_is_accepted(&server).await;

    holders.revoke(&server).await;
    let epoch = epoch(&server.signet.data_dir());
    stop(&server);
    assert!(refused(&plan, &["restore", name], 1).contains("is not empty"));
    let restored = plan.json(&["restore", name, "--force"], "");
    assert_eq!((&restored["sessions_ended"], &restored["api_keys_deactivated"]), (&json!(true), &json!(2)));
    let replaced = restored["replaced"][0].as_str().unwrap();
    assert!(Path::new(replaced).exists() && replaced.contains("signet.db.replaced-"), "{restored}");
    assert_ne!(self::epoch(&server.signet.data_dir()), epoch, "followers of the published feed notice it");
    let left = fs::read_dir(server.signet.data_dir()).unwrap();
    assert!(left.map(|entry| entry.unwrap().file_name()).all(|name| !name.to_str().unwrap().starts_with('.')));

    server.restart();
    holders.assert_revoked(&server).await;
    let (user, tokens) = &holders.untouched;
    server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    let again = server.sign_in(user).await;
    server.verify(&again.access).await.is(200);
    server.refresh(&again.refresh).await.is(200);
    let claims: i64 =
        open(&server.signet.data_dir()).query_row("SELECT count(*) FROM claims", [], |row| row.get(0)).unwrap();
    assert_eq!(claims, 0);
}

impl Holders {
    async fn untouched_is_accepted(&self, server: &TestServer) {
        for credential in [&self.untouched.1.access, &self.key.0, &self.key.2] {
            server.verify(credential).await.is(200);
        }
    }
}

fn open(data_dir: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(data_dir.join("signet.db")).unwrap()
}

fn epoch(data_dir: &Path) -> String {
    open(data_dir).query_row("SELECT epoch FROM revocation_epoch", [], |row| row.get(0)).unwrap()
}

/// After the server was stopped nothing can be revoked, so a store can be moved with everything in it.
#[tokio::test]
async fn a_store_is_moved_with_its_sessions_and_keys() {
    let old = TestServer::embedded(with_issuer);
    let holders = Holders::create(&old).await;
    stop(&old);
    let file = old.plan().dir().join("moved");
    let name = file.to_str().unwrap();
    old.plan().json(&["backup", name], "");
    let plan = old.plan().another_node();
    let restored = plan.json(&["restore", name, "--keep-sessions", "--keep-api-keys"], "");
    assert_eq!((&restored["sessions_ended"], &restored["api_keys_deactivated"]), (&json!(false), &json!(0)));
    assert_eq!(restored["replaced"], json!([]));
    let new = TestServer::start(plan);
    holders.untouched_is_accepted(&new).await;
    new.refresh(&holders.untouched.1.refresh).await.is(200);
}

#[test]
fn backups_that_cannot_be_used_are_refused() {
    let plan = Plan::embedded();
    let file = |name: &str| plan.dir().join(name).to_str().unwrap().to_owned();
    assert!(refused(&plan, &["backup", &file("good")], 1).contains("does not exist"));
    plan.create_user("a@example.org", PASSWORD, &[]);
    plan.json(&["backup", &file("good")], "");
    let output = plan.run(&["backup", &file("no-secret"), "--without-secret"], "");
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains("does not hold the secret"));

    let good = fs::read(file("good")).unwrap();
    let start = good.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0 + 1;
    assert!(good[start..].starts_with(b"SQLite format 3\0"), "the database follows the second line");
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    let longer = [&good[..], b"\n"].concat();
    let cases: [(&str, &[u8], &str); 5] = [
        ("changed", &changed, "SHA-256"),
        ("shorter", &good[..good.len() - 1], "shorter or longer"),
        ("longer", &longer, "shorter or longer"),
        ("database", &good[start..], "not a backup"),
        ("no-line", &good[..16], "not a description"),
    ];
    for (name, bytes, problem) in cases {
        fs::write(file(name), bytes).unwrap();
        for arguments in [vec!["restore", &file(name), "--check"], vec!["restore", &file(name), "--force"]] {
            let printed = refused(&plan, &arguments, 1);
            assert!(printed.contains(problem), "{arguments:?}: {printed}");
        }
    }

    assert!(refused(&plan, &["restore", &file("absent")], 1).contains("is the file there"));
    let elsewhere = plan.another_node();
    assert!(refused(&elsewhere, &["restore", &file("no-secret")], 1).contains("without its secret"));
    let other_secret = elsewhere.clone().set("SIGNET_SECRET", SECRET);
    assert!(refused(&other_secret, &["restore", &file("good")], 1).contains("does not open"));
    elsewhere.create_user("b@example.org", PASSWORD, &[]);
    assert!(refused(&elsewhere, &["restore", &file("good")], 1).contains("is not empty"));
    let users = elsewhere.json(&["users", "list"], "");
    assert_eq!(users[0]["email"], "b@example.org", "nothing was changed");
    let kept = elsewhere.json(&["restore", &file("good"), "--force"], "")["replaced"].clone();
    assert_eq!(kept.as_array().unwrap().len(), 2, "the secret and the database: {kept}");
    assert_eq!(elsewhere.json(&["users", "list"], "")[0]["email"], "a@example.org");
}

/// A store that cannot be read is the usual reason for restoring one.
#[test]
fn a_damaged_store_is_replaced() {
    let plan = Plan::embedded();
    plan.create_user("a@example.org", PASSWORD, &[]);
    let name = plan.dir().join("saved").to_str().unwrap().to_owned();
    plan.json(&["backup", &name], "");
    let data = plan.dir().join("data");
    fs::write(data.join("signet.db"), [7; 65_536]).unwrap();
    fs::write(data.join("signet.db-wal"), [7; 4096]).unwrap();
    assert!(refused(&plan, &["restore", &name], 1).contains("is not empty"));
    let replaced = plan.json(&["restore", &name, "--force"], "")["replaced"].clone();
    assert!(replaced.to_string().contains("signet.db.replaced-"), "{replaced}");
    assert_eq!(plan.json(&["users", "list"], "")[0]["email"], "a@example.org");
}

#[test]
fn servers_are_not_backed_up_but_explained() {
    let redis = "redis://:opensesame@redis.example.org:6379";
    let postgres = "postgres://signet:opensesame@postgres.example.org/signet";
    let embedded = Plan::embedded();
    let name = embedded.dir().join("saved").to_str().unwrap().to_owned();
    let both = embedded.clone().set("REDIS_URL", redis).set("DATABASE_URL", postgres).set("SIGNET_SECRET", SECRET);
    for (arguments, steps) in [
        (["backup", &name], ["keyring.sealed", "pg_dump", "SIGNET_SECRET"]),
        (["restore", &name], ["pg_restore", "sessions end --all", "api-keys deactivate --all"]),
    ] {
        let printed = refused(&both, &arguments, 3);
        assert!(steps.iter().all(|step| printed.contains(step)), "{printed}");
        assert!(printed.contains("postgres.example.org/signet") && !printed.contains("opensesame"), "{printed}");
    }
    assert!(!Path::new(&name).exists());

    // The accounts are embedded: they are backed up, and the rest is explained.
    embedded.clone().set("SIGNET_SECRET", SECRET).create_user("a@example.org", PASSWORD, &[]);
    let one = embedded.set("REDIS_URL", redis).set("SIGNET_SECRET", SECRET);
    let printed = refused(&one, &["--json", "backup", &name], 3);
    let printed: Value = serde_json::from_str(printed.split("\n{\"error\"").next().unwrap()).unwrap();
    assert_eq!((&printed["backup"]["holds"], &printed["backup"]["secret"]), (&json!(["accounts"]), &json!("settings")));
    assert_eq!(printed["steps"][0]["part"], "redis");
    assert_eq!(one.json(&["restore", &name, "--check"], "")["users"], 1);
    assert!(refused(&both, &["restore", &name, "--check"], 3).contains("no embedded file"));
}

#[tokio::test]
async fn nothing_revoked_comes_back_with_an_old_redis_or_postgres() {
    let (mut redis, postgres) = (redis::Server::start(), Database::create());
    let mut server = TestServer::start(with_issuer(Plan::on(&redis, &postgres).with_patient_stores()));
    let plan = server.plan().clone();
    let holders = Holders::create(&server).await;
    assert_eq!(redis.cli(&["SAVE"]), "OK");
    let (snapshot, dump) = (plan.dir().join("dump.rdb"), plan.dir().join("signet.dump"));
    fs::copy(redis.folder().join("dump.rdb"), &snapshot).unwrap();
    postgres_tool("pg_dump", &["--format=custom", &format!("--file={}", dump.display()), &postgres.url()]);
    holders.revoke(&server).await;

    stop(&server);
    redis.kill();
    fs::copy(&snapshot, redis.folder().join("dump.rdb")).unwrap();
    redis.restart();
    assert_eq!(plan.json(&["sessions", "end", "--all"], ""), json!({"ended": "all"}));
    server.restart();
    holders.assert_revoked(&server).await;
    server.refresh(&holders.untouched.1.refresh).await.is_oauth_error(400, "invalid_grant");
    server.verify(&holders.untouched.1.access).await.is(401);
    let again = server.sign_in(&holders.untouched.0).await;
    server.verify(&again.access).await.is(200);

    stop(&server);
    let restore = ["--clean", "--if-exists", "--single-transaction", &format!("--dbname={}", postgres.url())];
    postgres_tool("pg_restore", &[&restore[..], &[dump.to_str().unwrap()]].concat());
    plan.json(&["sessions", "end", "--all"], "");
    assert_eq!(plan.json(&["api-keys", "deactivate", "--all"], ""), json!({"deactivated": 2}));
    server.restart();
    holders.assert_revoked(&server).await;
    server.verify(&again.access).await.is(401);
}

/// Runs a tool of Postgres, which must succeed.
fn postgres_tool(name: &str, arguments: &[&str]) {
    let output = Command::new(postgres::program(name)).args(arguments).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

//! Leaks of secrets: a run uses one secret of every kind, in every dialect, at the most verbose log level. Then all
//! output and storage is searched for each secret, as it is, in hexadecimal, in base64 and percent-encoded: logs,
//! metrics, every file of Redis, Postgres and the data folder.
//!
//! Derived values that cannot be reversed may be there: password hashes, keyed digests of codes and tokens, the parts
//! of a refresh token except its MAC, sealed keys and seeds, the visible prefix of an API key. Mails in the outbox and
//! the generated secret file necessarily contain secrets; only their owner can read them.

mod searched_files;

use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use self::searched_files::{SearchedFiles, sqlite_values};
use super::*;
use crate::support::signet::{Plan, SECRET};
use crate::support::{postgres, redis, smtp, totp, until};

const REDIS_PASSWORD: &str = "the-password-of-redis-is-this";
const MAIL_PASSWORD: &str = "the-password-of-the-mail-server";
const WRONG_PASSWORD: &str = "nearly a quiet harbour at dusk";

/// Every secret that was used, and its description.
#[derive(Default)]
struct UsedSecrets(Vec<(String, Vec<u8>)>);

impl UsedSecrets {
    fn add(&mut self, what: &str, secret: &str) {
        self.0.push((what.to_owned(), secret.as_bytes().to_vec()));
        // The MAC alone is secret too, as is the part of a key after its visible prefix.
        match what {
            "refresh_token" => self.0.push(("its MAC".into(), secret.as_bytes()[secret.len() - 20..].to_vec())),
            "full_key" => self.0.push(("its hidden part".into(), secret.as_bytes()[16..].to_vec())),
            "key" | "otp_key" => self.0.push(("its bytes".into(), base32(secret))),
            _ => {}
        }
        if let [_, _, signature] = secret.split('.').collect::<Vec<_>>()[..] {
            self.0.push((format!("the signature of {what}"), signature.as_bytes().to_vec()));
        }
    }

    /// Adds the secrets in a response.
    fn add_from_response(&mut self, body: &Value) {
        const SECRET: [&str; 8] =
            ["access_token", "refresh_token", "claim", "full_key", "key", "otp_key", "recovery_codes", "backup_codes"];
        for (name, value) in body.as_object().into_iter().flatten() {
            match value {
                Value::String(secret) if SECRET.contains(&name.as_str()) => self.add(name, secret),
                Value::Array(codes) if SECRET.contains(&name.as_str()) => {
                    codes.iter().for_each(|one| self.add(name, one.as_str().expect("a code is text")));
                }
                inner => self.add_from_response(inner),
            }
        }
    }

    /// Sends a request that must succeed, and adds the secrets in its response.
    async fn send(&mut self, request: RequestBuilder) -> Value {
        let response = request.send_checked().await;
        assert!(response.status < 300, "{response:?}");
        let body = serde_json::from_str(&response.text).unwrap_or_default();
        self.add_from_response(&body);
        body
    }
}

/// Decodes base32 (RFC 4648, 6).
fn base32(text: &str) -> Vec<u8> {
    let value = |letter: u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|it| *it == letter).expect("base 32");
    let bits =
        text.bytes().flat_map(|letter| (0..5).rev().map(move |bit| (value(letter) >> bit) & 1)).collect::<Vec<_>>();
    bits.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| (byte << 1) | *bit as u8)).collect()
}

/// Uses every kind of secret, correctly and incorrectly.
async fn use_everything(server: &TestServer, secrets: &mut UsedSecrets) {
    let (user, other_user) = (server.create_user(&["--verified"]), server.create_user(&["--verified"]));
    secrets.add("the password", PASSWORD);
    secrets.add("another password", OTHER_PASSWORD);
    secrets.add("a wrong password", WRONG_PASSWORD);
    let credentials = json!({"email": user.email, "password": PASSWORD});
    for build_request in
        password_sign_ins(&user, "").into_iter().skip(2).chain([post_json("/sessions", "", credentials.clone())])
    {
        secrets.send(build_request(server)).await;
    }
    secrets.send(server.post("/auth/signin").json(&credentials)).await;
    secrets
        .send(server.post("/auth/login/oauth").form(&[("username", user.email.as_str()), ("password", PASSWORD)]))
        .await;
    for dialect in REFRESHING_DIALECTS {
        let sign_in = match dialect {
            "codes" | "v1" => server.post("/api/v1/login").json(&credentials),
            _ => server.sign_in_request(&user.email, PASSWORD),
        };
        let session = secrets.send(sign_in).await;
        secrets.send(refresh_request(dialect, &user, &text(&session, "refresh_token"))(server)).await;
        let tampered = crate::support::server::tamper_signature(&text(&session, "access_token"));
        secrets.add("access_token", &tampered);
        server.get("/sessions").bearer_auth(&tampered).send_checked().await.is(401);
    }

    let access = text(&secrets.send(server.sign_in_request(&user.email, PASSWORD)).await, "access_token");
    for email in [user.email.as_str(), "by-code@example.org"] {
        let code = mail_sign_in_code(server, email).await;
        secrets.add("a sign-in code", &code);
        secrets.send(server.post("/auth/verification/verify-code").json(&json!({"email": email, "code": code}))).await;
    }
    // One code is never redeemed, so that it is still stored at the end.
    secrets.add("a sign-in code", &mail_sign_in_code(server, "never@example.org").await);
    let code = mail_verification_code(server, &user).await;
    secrets.add("a verification code", &code);
    secrets.send(server.post("/auth/mail/verify").json(&json!({"user_id": user.id, "code": code}))).await;
    for path in ["/auth/login/claim", "/links/magic", "/auth/login/reset", "/links/reset"] {
        let (token, claim) =
            mail_link(server, if path.ends_with("reset") { "recover" } else { "magic" }, &other_user.email).await;
        secrets.add("the token of a link", &token);
        secrets.add("a device secret", &claim);
        let body = json!({"token": token, "claim": claim, "new_password": OTHER_PASSWORD});
        secrets.send(post_json(path, &token, body.clone())(server)).await;
        post_json(path, &token, body)(server).send_checked().await.is(400);
    }
    let token = mail_reset_link(server, &other_user).await;
    secrets.add("the token of a link", &token);
    let new = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
    secrets.send(server.post(&format!("/api/v1/password-reset-confirm?token={token}")).json(&new)).await;
    let body = json!({"email": "confirming@example.org", "username": "confirming", "password": PASSWORD});
    server.post("/api/v1/register").json(&body).send_checked().await.is(201);
    let token = outbox::wait_for_mail(server, "confirming@example.org", 0).await.token();
    secrets.add("a confirmation", &token);
    secrets.send(server.get(&format!("/api/v1/verify?token={token}"))).await;
    secrets.send(server.post("/links/confirm").json(&json!({"token": token}))).await;
    server.get(&format!("/api/auth/confirmed_email/{token}")).send_checked().await.is(200);

    let (key, prefix) = server.api_key(&user, &["introspect", "revoke"]);
    secrets.add("full_key", &key);
    server.get("/verify").header("x-api-key", &key).send_checked().await.is(200);
    server.get("/auth/users/me").bearer_auth(&key).send_checked().await.is(200);
    let basic = server.post("/oauth/token").basic_auth("client", Some(&key));
    secrets.send(basic.form(&[("grant_type", "client_credentials")])).await;
    let projects = server.get("/projects").bearer_auth(&access).send_checked().await.json();
    let created = server.post("/auth/api-keys/").header("x-project-id", text(&projects["projects"][0], "id"));
    secrets.send(created.bearer_auth(&access).json(&json!({"name": "a key"}))).await;
    for path in ["/oauth/introspect", "/oauth/revoke"] {
        let refresh = text(&secrets.send(server.sign_in_request(&user.email, PASSWORD)).await, "refresh_token");
        server.form(path, &[("client_secret", &key), ("token", &refresh)]).await.is(200);
    }
    server.plan().json(&["api-keys", "deactivate", &prefix], "");

    let mut mfa_users = Vec::new();
    let created = secrets.send(server.post("/auth/create/otp").bearer_auth(&access)).await;
    mfa_users.push((
        TestUser { id: user.id.clone(), email: user.email.clone(), username: user.username.clone() },
        text(&created, "otp_key"),
        created["backup_codes"][0].clone(),
        0,
    ));
    let mfa_user = server.create_user(&["--verified"]);
    let access_token = text(&secrets.send(server.sign_in_request(&mfa_user.email, PASSWORD)).await, "access_token");
    let (key, codes) = totp::enable_totp(server, &access_token, PASSWORD).await;
    secrets.add("key", &key);
    codes.iter().for_each(|code| secrets.add("a recovery code", code));
    mfa_users.push((mfa_user, key, json!(codes[0]), 1));
    for (user, key, code, steps) in mfa_users {
        let code_shown = totp::code(&key, steps);
        secrets.add("a time step", &code_shown);
        let step = start_two_step_sign_in(server, &user).await;
        secrets.add("the token of the second step", &step);
        secrets.send(server.post("/auth/login/totp").bearer_auth(&step).json(&json!({"claim": code_shown}))).await;
        let body = json!({"email": user.email, "password": PASSWORD, "totp_code": code, "otp_code": code});
        secrets.send(server.post("/auth/signin/otp").json(&body)).await;
        server.post("/sessions").json(&body).send_checked().await.is(401);
    }

    // Malformed requests are reported in an error, and errors are logged.
    for build_request in password_sign_ins(&other_user, WRONG_PASSWORD) {
        assert!(build_request(server).send_checked().await.status < 500);
    }
    for path in ["/sessions", "/api/v1/login", "/auth/signin", "/auth/login/signup", "/api/auth/register"] {
        server.try_sign_in(&user.email, WRONG_PASSWORD).await;
        for (kind, body) in [
            ("application/json", format!("{{\"email\":\"a@example.org\",\"password\":\"{PASSWORD}")),
            (
                "application/json",
                format!("{{\"email\":[\"{PASSWORD}\"],\"password\":[\"{PASSWORD}\"],\"username\":{{}}}}"),
            ),
            ("application/x-www-form-urlencoded", format!("password={PASSWORD}&%%%{key}=1", key = "\u{1f98a}")),
            ("text/plain", PASSWORD.to_owned()),
        ] {
            let response =
                server.post(path).header("content-type", kind).bearer_auth(&access).body(body).send_checked().await;
            assert!((400..500).contains(&response.status) && !response.text.contains(PASSWORD), "{path}: {response:?}");
        }
    }
    server.get(&format!("/nothing/{token}?token={token}")).bearer_auth(&token).send_checked().await.is(404);
    server.plan().json(&["keys", "rotate"], "");
    let kid = text(&server.plan().json(&["keys", "list"], "")[0], "kid");
    let pem = text(&server.plan().json(&["keys", "export", &kid], ""), "pem");
    let der = STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).expect("PEM");
    secrets.0.push(("the signing key".into(), der[16..48].to_vec()));
    wait_until_logged(server).await;
}

/// Waits until everything before is in the log.
async fn wait_until_logged(server: &TestServer) {
    outbox::wait_until_queue_is_empty(server).await;
    let last = server.get("/nothing").header("x-request-id", "the-last-request").send_checked().await;
    server.signet.wait_for_log(last.is(404).header("x-request-id"));
}

/// Asserts that only the owner can access the files and folders.
fn assert_private(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(mode(folder), 0o700, "{folder:?}");
    for entry in std::fs::read_dir(folder).expect("it is a folder") {
        let path = entry.expect("it is readable").path();
        if path.is_dir() {
            assert_private(&path);
        } else {
            assert_eq!(mode(&path), 0o600, "{path:?}");
        }
    }
}

fn trace_logging(plan: Plan, format: &str) -> Plan {
    plan.set("SIGNET_LOG__FILTER", "trace").set("SIGNET_LOG__FORMAT", format).set("SIGNET_MAILED__DAILY_TRIES", "1000")
}

#[tokio::test]
async fn no_secret_leaks_embedded() {
    let server = TestServer::embedded(|plan| trace_logging(plan, "pretty"));
    let mut secrets = UsedSecrets::default();
    let secret = std::fs::read_to_string(server.signet.data_dir().join("secret")).expect("the server has generated it");
    secrets.add("the secret", secret.trim());
    secrets.0.push(("the secret".into(), STANDARD.decode(secret.trim()).expect("base64")));
    use_everything(&server, &mut secrets).await;
    let mut searched = SearchedFiles::of(&server).await;
    assert!(searched.0.iter().any(|(name, bytes)| name.ends_with("signet.db-wal") && bytes.len() > 10_000));
    let rows = sqlite_values(&server.signet.data_dir().join("signet.db"));
    let tables = rows.iter().filter_map(|(name, _)| name.split_once('.')).map(|(table, _)| table);
    let tables = tables.collect::<std::collections::BTreeSet<_>>();
    assert!(["users", "claims", "sessions", "api_keys"].iter().all(|table| tables.contains(table)), "{tables:?}");
    searched.0.extend(rows);
    searched.assert_contain_none_of(&secrets);
    assert_private(&server.signet.data_dir());
    assert_detects_secrets(&server, &secrets);
}

/// Asserts that the search would find a secret: in a log, in a bytea column as Postgres dumps it, and in a SQLite row
/// between two adjacent values.
fn assert_detects_secrets(server: &TestServer, secrets: &UsedSecrets) {
    let of = |what: &str| secrets.0.iter().find(|(name, _)| name == what).expect("it was used").1.clone();
    let (device_secret, code) = (of("a device secret"), of("a sign-in code"));
    let hex = code.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let file = server.signet.data_dir().join("leaky.db");
    let database = rusqlite::Connection::open(&file).expect("it is made");
    database.execute_batch("CREATE TABLE codes (a TEXT, b TEXT, c TEXT)").expect("it is made");
    let row = ("a", String::from_utf8(code.clone()).expect("it is text"), "b");
    database.execute("INSERT INTO codes VALUES (?1, ?2, ?3)", row).expect("it is kept");
    for (name, bytes) in [
        ("a log", format!("{{\"token\":\"{}\"}}", STANDARD.encode(device_secret)).into_bytes()),
        ("a log", [b"code=", &code[..], b","].concat()),
        ("a log", STANDARD.encode(&code).into_bytes()),
        ("a log", format!("{code:?}").into_bytes()),
        ("a dump", format!("1\t\\x{hex}\tt").into_bytes()),
    ] {
        let searched = SearchedFiles(vec![(name.into(), bytes)]);
        assert!(std::panic::catch_unwind(|| searched.assert_contain_none_of(secrets)).is_err(), "{:?}", searched.0);
    }
    let raw = std::fs::read(&file).expect("it is readable");
    assert!(raw.windows(8).any(|bytes| bytes == [b"a", &code[..], b"b"].concat()), "adjacent values touch");
    let searched = SearchedFiles(sqlite_values(&file));
    assert!(std::panic::catch_unwind(|| searched.assert_contain_none_of(secrets)).is_err(), "{:?}", searched.0);
}

#[test]
fn no_secret_leaks_on_redis_and_postgres() {
    let redis = redis::Server::options().password(REDIS_PASSWORD).durable().set("rdbcompression", "no").start();
    let (postgres, smtp_server) =
        (postgres::Server::start(), smtp::Server::options().account("signet", MAIL_PASSWORD).start());
    let server = TestServer::start(trace_logging(Plan::on(&redis, &postgres).with_patient_stores(), "json"));
    let mailing_server = TestServer::start(
        server.plan().another_node().set("SMTP_URL", &smtp_server.url()).set("SIGNET_LOG__FORMAT", "pretty"),
    );
    let mut secrets = UsedSecrets::default();
    for (what, secret) in [
        ("the password of Redis", REDIS_PASSWORD),
        ("the mail server's password", MAIL_PASSWORD),
        ("the secret", SECRET),
        ("the password of Postgres", postgres::PASSWORD),
    ] {
        secrets.add(what, secret);
    }
    secrets.0.push(("the secret".into(), STANDARD.decode(SECRET).expect("base64")));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(Box::pin(async {
        use_everything(&server, &mut secrets).await;
        let body = json!({"email": "smtp@example.org"});
        mailing_server.post("/auth/verification/send-code").json(&body).send_checked().await.is(202);
        until("the mail is accepted", async || smtp_server.accepted().len() == 1).await;
        let mail = smtp::ParsedMail(smtp_server.accepted()[0]["mail"].clone());
        let code = mail.text().lines().find(|line| line.len() == 6 && line.parse::<u32>().is_ok()).expect("a code");
        secrets.add("a sign-in code", code);
        let body = json!({"email": "smtp@example.org", "code": code});
        secrets.send(mailing_server.post("/auth/verification/verify-code").json(&body)).await;
        for _ in 0..20 {
            mailing_server.verify(WRONG_PASSWORD).await.is(401);
        }
        wait_until_logged(&mailing_server).await;

        let mut searched = SearchedFiles::of(&server).await;
        searched.0.extend(SearchedFiles::of(&mailing_server).await.0);
        // The append-only file contains every write since the start, also of deleted data; a dump contains current
        // data.
        assert_eq!(redis.cli(&["SAVE"]), "OK");
        let before = searched.0.len();
        searched.files(redis.folder(), &[]);
        assert!(searched.0[before..].iter().any(|(name, bytes)| name.ends_with(".aof") && bytes.len() > 10_000));
        assert!(searched.0[before..].iter().any(|(name, _)| name.ends_with("dump.rdb")));
        searched.assert_contain_none_of(&secrets);

        // Postgres' pages and its write-ahead log contain six digits by chance, so only longer secrets are searched
        // there. The rows of the dump must contain none at all.
        let long = UsedSecrets(secrets.0.iter().filter(|(_, secret)| secret.len() > 12).cloned().collect());
        postgres.client().await.batch_execute("CHECKPOINT").await.expect("it writes its pages");
        let mut pages = SearchedFiles::default();
        pages.files(postgres.folder(), &[]);
        pages.assert_contain_none_of(&long);
        let dumped = Command::new("pg_dump").arg(postgres.url()).output().expect("pg_dump is installed with Postgres");
        assert!(dumped.status.success() && dumped.stdout.len() > 5000, "{}", String::from_utf8_lossy(&dumped.stderr));
        SearchedFiles(vec![("the dump of Postgres".into(), dumped.stdout)]).assert_contain_none_of(&secrets);
        assert_private(&server.signet.data_dir());
    }));
}

/// The Debug output of every type that contains a secret, as a careless log line would show it.
#[test]
fn debug_output_contains_no_secret() {
    use signet::auth::passwords::Password;
    use signet::clock::Clock;
    use signet::config::{Config, Redis, Secret, SecretUrl};
    use signet::mail::Letter;
    use signet::rng::Rng;
    use signet::store::accounts::{PasswordHash, SealedTotp};
    use signet::token::api_key::NewApiKey;
    use signet::token::keyring::ring::Ring;
    use signet::token::secret::Secrets;
    let secret_text = || "hunter2-hunter2".to_owned();
    let url = || SecretUrl(format!("redis://user:{}@127.0.0.1:6379/0?password={}", secret_text(), secret_text()));
    let redis = Redis { url: url(), prefix: String::new(), timeout: std::time::Duration::ZERO, ca: None };
    let mut config = Config { redis: Some(redis), ..Config::default() };
    config.mail.smtp_url = Some(url());
    let secret = || Secret(zeroize::Zeroizing::new(*b"hunter2-hunter2-hunter2-hunter2-"));
    config.secrets = Some(vec![secret()]);
    let mut ring = Ring::generate(Clock::system().now(), &Rng::system());
    *ring.keys[0].private = *b"hunter2-hunter2-hunter2-hunter2-";
    let new = NewApiKey::generate(&Rng::system());
    let output = format!("{new:?} {new:#?}");
    assert!(output.contains(new.prefix()) && !output.contains(&new.reveal()[new.prefix().len()..]), "{output}");
    for output in [
        format!("{config:?} {config:#?}"),
        format!("{:?} {:?}", url(), url().shown()),
        format!("{:?}", Password::new(secret_text())),
        format!("{:?}", PasswordHash(secret_text())),
        format!("{:?}", SealedTotp(secret_text().into_bytes())),
        format!("{ring:?} {ring:#?} {:?}", ring.keys[0]),
        format!("{:?} {:?}", secret(), Secrets::new(&[secret()]).expect("it derives")),
        format!("{:?}", Letter::SignInCode { code: secret_text() }),
        format!("{:?}", Letter::ConfirmCode { code: secret_text() }),
        format!("{:?}", Letter::EmailChanged { new: secret_text() }),
        format!("{:?}", Letter::MagicLink { link: secret_text() }),
        format!("{:?}", Letter::ResetPassword { link: secret_text() }),
        format!("{:?}", Letter::ConfirmEmail { link: secret_text() }),
    ] {
        let bytes = format!("{:?}", b"hunter2");
        let plain = output.contains("hunter2") || output.contains(bytes.trim_matches(['[', ']']));
        assert!(!plain, "{output}");
    }
}

//! Secrets: a run uses one of every kind, by every dialect, at the most talkative log there is. Then all that outlives it is searched
//! for each of them, as it is, in hexadecimal, in base64 and percent-encoded: logs, metrics, every file of Redis, Postgres and the
//! data folder.
//!
//! What may be there is what was made of them and does not lead back: password hashes, keyed digests of codes and tokens, the parts
//! of a refresh token but its MAC, sealed keys and seeds, the visible beginning of an API key. Mails in the outbox, and the
//! file of the secret that was made, are what they are for; nobody else can read them.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::*;
use crate::support::signet::{Plan, SECRET};
use crate::support::{postgres, redis, smtp, totp, until};

const OF_REDIS: &str = "the-password-of-redis-is-this";
const OF_MAIL: &str = "the-password-of-the-mail-server";
const WRONG: &str = "nearly a quiet harbour at dusk";

/// Every secret that was used, with what it is.
#[derive(Default)]
struct Used(Vec<(String, Vec<u8>)>);

impl Used {
    fn add(&mut self, what: &str, secret: &str) {
        self.0.push((what.to_owned(), secret.as_bytes().to_vec()));
        // A token is as good as what proves it, a key as what comes after its visible beginning.
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

    /// What an answer tells that is secret.
    fn told(&mut self, body: &Value) {
        const SECRET: [&str; 8] =
            ["access_token", "refresh_token", "claim", "full_key", "key", "otp_key", "recovery_codes", "backup_codes"];
        for (name, value) in body.as_object().into_iter().flatten() {
            match value {
                Value::String(secret) if SECRET.contains(&name.as_str()) => self.add(name, secret),
                Value::Array(all) if SECRET.contains(&name.as_str()) => {
                    all.iter().for_each(|one| self.add(name, one.as_str().expect("a code is text")));
                }
                inner => self.told(inner),
            }
        }
    }

    /// Asks, keeps what is told, and demands a success.
    async fn ask(&mut self, request: RequestBuilder) -> Value {
        let answer = request.send_checked().await;
        assert!(answer.status < 300, "{answer:?}");
        let body = serde_json::from_str(&answer.text).unwrap_or_default();
        self.told(&body);
        body
    }
}

/// RFC 4648, 6.
fn base32(text: &str) -> Vec<u8> {
    let value = |letter: u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|it| *it == letter).expect("base 32");
    let bits =
        text.bytes().flat_map(|letter| (0..5).rev().map(move |bit| (value(letter) >> bit) & 1)).collect::<Vec<_>>();
    bits.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| (byte << 1) | *bit as u8)).collect()
}

/// One of everything, right and wrong.
async fn use_everything(server: &TestServer, used: &mut Used) {
    let (who, other) = (server.create_user(&["--verified"]), server.create_user(&["--verified"]));
    used.add("the password", PASSWORD);
    used.add("another password", OTHER_PASSWORD);
    used.add("a wrong password", WRONG);
    let signing_in = json!({"email": who.email, "password": PASSWORD});
    for request_ctx in by_password(&who, "").into_iter().skip(2).chain([posting("/sessions", "", signing_in.clone())]) {
        used.ask(request_ctx(server)).await;
    }
    used.ask(server.post("/auth/signin").json(&signing_in)).await;
    used.ask(server.post("/auth/login/oauth").form(&[("username", who.email.as_str()), ("password", PASSWORD)])).await;
    for dialect in REFRESHING {
        let session = used.ask(server.sign_in_request(&who.email, PASSWORD)).await;
        used.ask(refreshing(dialect, &who, &text(&session, "refresh_token"))(server)).await;
        let tampered = crate::support::server::tamper_signature(&text(&session, "access_token"));
        used.add("access_token", &tampered);
        server.get("/sessions").bearer_auth(&tampered).send_checked().await.is(401);
    }

    let access = text(&used.ask(server.sign_in_request(&who.email, PASSWORD)).await, "access_token");
    for email in [who.email.as_str(), "by-code@example.org"] {
        let code = mailed_code(server, email).await;
        used.add("a mailed code", &code);
        used.ask(server.post("/auth/verification/verify-code").json(&json!({"email": email, "code": code}))).await;
    }
    // One that nobody hands in, so that it is still kept in the end.
    used.add("a mailed code", &mailed_code(server, "never@example.org").await);
    let code = confirming_code(server, &who).await;
    used.add("a confirming code", &code);
    used.ask(server.post("/auth/mail/verify").json(&json!({"user_id": who.id, "code": code}))).await;
    for path in ["/auth/login/claim", "/links/magic", "/auth/login/reset", "/links/reset"] {
        let (token, claim) =
            link(server, if path.ends_with("reset") { "recover" } else { "magic" }, &other.email).await;
        used.add("a link's token", &token);
        used.add("a device's half", &claim);
        let body = json!({"token": token, "claim": claim, "new_password": OTHER_PASSWORD});
        used.ask(posting(path, &token, body.clone())(server)).await;
        posting(path, &token, body)(server).send_checked().await.is(400);
    }
    let token = whole_link(server, &other).await;
    used.add("a link's token", &token);
    let new = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
    used.ask(server.post(&format!("/api/v1/password-reset-confirm?token={token}")).json(&new)).await;
    let body = json!({"email": "confirming@example.org", "username": "confirming", "password": PASSWORD});
    server.post("/api/v1/register").json(&body).send_checked().await.is(201);
    let token = outbox::wait_for_mail(server, "confirming@example.org", 0).await.token();
    used.add("a confirmation", &token);
    used.ask(server.get(&format!("/api/v1/verify?token={token}"))).await;
    used.ask(server.post("/links/confirm").json(&json!({"token": token}))).await;
    server.get(&format!("/api/auth/confirmed_email/{token}")).send_checked().await.is(200);

    let (key, prefix) = server.api_key(&who, &["introspect", "revoke"]);
    used.add("full_key", &key);
    server.get("/verify").header("x-api-key", &key).send_checked().await.is(200);
    server.get("/auth/users/me").bearer_auth(&key).send_checked().await.is(200);
    let basic = server.post("/oauth/token").basic_auth("client", Some(&key));
    used.ask(basic.form(&[("grant_type", "client_credentials")])).await;
    let projects = server.get("/projects").bearer_auth(&access).send_checked().await.json();
    let made = server.post("/auth/api-keys/").header("x-project-id", text(&projects["projects"][0], "id"));
    used.ask(made.bearer_auth(&access).json(&json!({"name": "a key"}))).await;
    for path in ["/oauth/introspect", "/oauth/revoke"] {
        let spent = text(&used.ask(server.sign_in_request(&who.email, PASSWORD)).await, "refresh_token");
        server.form(path, &[("client_secret", &key), ("token", &spent)]).await.is(200);
    }
    server.plan().json(&["api-keys", "deactivate", &prefix], "");

    let mut second = Vec::new();
    let made = used.ask(server.post("/auth/create/otp").bearer_auth(&access)).await;
    second.push((
        TestUser { id: who.id.clone(), email: who.email.clone(), username: who.username.clone() },
        text(&made, "otp_key"),
        made["backup_codes"][0].clone(),
        0,
    ));
    let guarded = server.create_user(&["--verified"]);
    let begun = text(&used.ask(server.sign_in_request(&guarded.email, PASSWORD)).await, "access_token");
    let (key, codes) = totp::enable_totp(server, &begun, PASSWORD).await;
    used.add("key", &key);
    codes.iter().for_each(|code| used.add("a recovery code", code));
    second.push((guarded, key, json!(codes[0]), 1));
    for (person, key, code, steps) in second {
        let shown = totp::code(&key, steps);
        used.add("a step of an app", &shown);
        let step = first_step(server, &person).await;
        used.add("the second step's token", &step);
        used.ask(server.post("/auth/login/totp").bearer_auth(&step).json(&json!({"claim": shown}))).await;
        let body = json!({"email": person.email, "password": PASSWORD, "totp_code": code, "otp_code": code});
        used.ask(server.post("/auth/signin/otp").json(&body)).await;
        server.post("/sessions").json(&body).send_checked().await.is(401);
    }

    // What does not come as it should is told of in a failure, and a failure is logged.
    for request_ctx in by_password(&other, WRONG) {
        assert!(request_ctx(server).send_checked().await.status < 500);
    }
    for path in ["/sessions", "/api/v1/login", "/auth/signin", "/auth/login/signup", "/api/auth/register"] {
        server.try_sign_in(&who.email, WRONG).await;
        for (kind, body) in [
            ("application/json", format!("{{\"email\":\"a@example.org\",\"password\":\"{PASSWORD}")),
            (
                "application/json",
                format!("{{\"email\":[\"{PASSWORD}\"],\"password\":[\"{PASSWORD}\"],\"username\":{{}}}}"),
            ),
            ("application/x-www-form-urlencoded", format!("password={PASSWORD}&%%%{key}=1", key = "\u{1f98a}")),
            ("text/plain", PASSWORD.to_owned()),
        ] {
            let answer =
                server.post(path).header("content-type", kind).bearer_auth(&access).body(body).send_checked().await;
            assert!((400..500).contains(&answer.status) && !answer.text.contains(PASSWORD), "{path}: {answer:?}");
        }
    }
    server.get(&format!("/nothing/{token}?token={token}")).bearer_auth(&token).send_checked().await.is(404);
    server.plan().json(&["keys", "rotate"], "");
    let kid = text(&server.plan().json(&["keys", "list"], "")[0], "kid");
    let pem = text(&server.plan().json(&["keys", "export", &kid], ""), "pem");
    let der = STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).expect("PEM");
    used.0.push(("the signing key".into(), der[16..48].to_vec()));
    finished(server).await;
}

/// Waits until all that was done is in the log.
async fn finished(server: &TestServer) {
    outbox::wait_until_queue_is_empty(server).await;
    let last = server.get("/nothing").header("x-request-id", "the-last-of-all").send_checked().await;
    server.signet.wait_for_log(last.is(404).header("x-request-id"));
}

/// Where secrets could be, and what is there.
#[derive(Default)]
struct Places(Vec<(String, Vec<u8>)>);

impl Places {
    async fn of(server: &TestServer) -> Self {
        let mut places = Self::default();
        let log = server.signet.log();
        assert!(log.lines().count() > 5 && log.contains("DEBUG"), "it was not talkative: {log}");
        places.0.push(("the log".into(), log.into_bytes()));
        places.0.push(("the metrics".into(), server.get_management("/metrics").await.text.into_bytes()));
        places.0.push(("readiness".into(), server.get_management("/readyz").await.text.into_bytes()));
        places.files(&server.signet.data_dir(), &["outbox", "secret"]);
        places
    }

    /// Every file in a folder but these.
    fn files(&mut self, folder: &Path, but: &[&str]) {
        for entry in std::fs::read_dir(folder).expect("it is a folder") {
            let entry = entry.expect("it is readable");
            let (path, name) = (entry.path(), entry.file_name());
            let kind = entry.file_type().expect("it is readable");
            if kind.is_dir() && !but.iter().any(|it| name == *it) {
                self.files(&path, but);
            } else if kind.is_file() && !but.iter().any(|it| name == *it) {
                let bytes = std::fs::read(&path).expect("it is readable");
                self.0.push((path.to_string_lossy().into_owned(), bytes));
            }
        }
    }

    fn hold_none_of(&self, used: &Used) {
        let mut forms: HashMap<[u8; 6], Vec<(&str, Vec<u8>)>> = HashMap::new();
        for (what, form) in
            used.0.iter().flat_map(|(what, secret)| written(secret).into_iter().map(move |it| (what, it)))
        {
            let begins = form[..6].try_into().expect("it is six");
            forms.entry(begins).or_default().push((what, form));
        }
        // Two bytes first: a map is asked for what may be there alone.
        let mut may = vec![false; 1 << 16];
        forms.keys().for_each(|begins| may[usize::from(begins[0]) << 8 | usize::from(begins[1])] = true);
        for (place, bytes) in &self.0 {
            for at in 0..bytes.len().saturating_sub(5) {
                if !may[usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])] {
                    continue;
                }
                let begins: [u8; 6] = bytes[at..at + 6].try_into().expect("it is six");
                for (what, form) in forms.get(&begins).into_iter().flatten() {
                    let there = bytes[at..].starts_with(form);
                    // Six digits are part of many numbers, and of any file that is large enough.
                    let alone =
                        |near: Option<&u8>| near.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'.');
                    let code = form.len() == CODE;
                    let alone =
                        alone(at.checked_sub(1).and_then(|at| bytes.get(at))) && alone(bytes.get(at + form.len()));
                    let around = String::from_utf8_lossy(&bytes[at.saturating_sub(100)..(at + 100).min(bytes.len())]);
                    assert!(!there || (code && !alone), "{what} is in {place}: {around}");
                }
            }
        }
    }
}

/// How long a mailed code is. As it is there is too little in it to be told from chance; as others write it there is enough.
const CODE: usize = 6;

/// Each value of each row of a SQLite file: in its records one value touches the next, so that a code would not stand alone.
fn values(file: &Path) -> Vec<(String, Vec<u8>)> {
    use rusqlite::types::ValueRef;
    let open = rusqlite::Connection::open(file).expect("the file is there");
    open.busy_timeout(std::time::Duration::from_secs(10)).expect("it can wait");
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table'";
    let mut tables = open.prepare(tables).expect("it has a schema");
    let tables = tables.query_map([], |row| row.get::<_, String>(0)).expect("it reads");
    let mut values = Vec::new();
    for table in tables.map(|name| name.expect("it is text")) {
        let mut rows = open.prepare(&format!("SELECT * FROM \"{table}\"")).expect("it reads");
        let columns = rows.column_names().map(str::to_owned).collect::<Vec<_>>();
        let mut rows = rows.query([]).expect("it reads");
        while let Some(row) = rows.next().expect("it reads") {
            for (at, column) in columns.iter().enumerate() {
                let value = match row.get_ref(at).expect("it is there") {
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
                    ValueRef::Integer(number) => number.to_string().into_bytes(),
                    ValueRef::Null | ValueRef::Real(_) => continue,
                };
                values.push((format!("{table}.{column}"), value));
            }
        }
    }
    values
}

/// A secret as it is, and as others write it.
fn written(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.to_vec()];
    let hex = secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let percent = |byte: &u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    forms.extend([hex.to_uppercase().into_bytes(), hex.into_bytes(), format!("{secret:?}").into_bytes()]);
    forms.push(secret.iter().map(percent).collect::<String>().into_bytes());
    forms.dedup();
    // Wherever it begins in what was encoded: the letters that depend on nothing but it.
    for shift in 0..3 {
        let bytes = [&[0; 2][..shift], secret].concat();
        for text in [STANDARD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.push(text.as_bytes()[(shift * 4).div_ceil(3)..bytes.len() * 4 / 3].to_vec());
        }
    }
    forms
}

/// Files are their owner's alone, and so are folders.
fn nobody_else_reads(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(mode(folder), 0o700, "{folder:?}");
    for entry in std::fs::read_dir(folder).expect("it is a folder") {
        let path = entry.expect("it is readable").path();
        if path.is_dir() {
            nobody_else_reads(&path);
        } else {
            assert_eq!(mode(&path), 0o600, "{path:?}");
        }
    }
}

fn talkative(plan: Plan, format: &str) -> Plan {
    plan.set("SIGNET_LOG__FILTER", "trace").set("SIGNET_LOG__FORMAT", format).set("SIGNET_MAILED__DAILY_TRIES", "1000")
}

#[tokio::test]
async fn nothing_tells_them_embedded() {
    let server = TestServer::embedded(|plan| talkative(plan, "pretty"));
    let mut used = Used::default();
    let secret = std::fs::read_to_string(server.signet.data_dir().join("secret")).expect("it was made");
    used.add("the secret", secret.trim());
    used.0.push(("the secret".into(), STANDARD.decode(secret.trim()).expect("base64")));
    use_everything(&server, &mut used).await;
    let mut places = Places::of(&server).await;
    assert!(places.0.iter().any(|(place, bytes)| place.ends_with("signet.db-wal") && bytes.len() > 10_000));
    let rows = values(&server.signet.data_dir().join("signet.db"));
    let tables = rows.iter().filter_map(|(place, _)| place.split_once('.')).map(|(table, _)| table);
    let tables = tables.collect::<std::collections::BTreeSet<_>>();
    assert!(["users", "claims", "sessions", "api_keys"].iter().all(|table| tables.contains(table)), "{tables:?}");
    places.0.extend(rows);
    places.hold_none_of(&used);
    nobody_else_reads(&server.signet.data_dir());
    they_would_be_seen(&server, &used);
}

/// In a log, in a column of bytes as Postgres dumps it, and in a row of SQLite between two that touch it.
fn they_would_be_seen(server: &TestServer, used: &Used) {
    let of = |what: &str| used.0.iter().find(|(it, _)| it == what).expect("it was used").1.clone();
    let (half, code) = (of("a device's half"), of("a mailed code"));
    let hex = code.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let file = server.signet.data_dir().join("careless.db");
    let careless = rusqlite::Connection::open(&file).expect("it is made");
    careless.execute_batch("CREATE TABLE codes (a TEXT, b TEXT, c TEXT)").expect("it is made");
    let row = ("a", String::from_utf8(code.clone()).expect("it is text"), "b");
    careless.execute("INSERT INTO codes VALUES (?1, ?2, ?3)", row).expect("it is kept");
    for (place, bytes) in [
        ("a log", format!("{{\"token\":\"{}\"}}", STANDARD.encode(half)).into_bytes()),
        ("a log", [b"code=", &code[..], b","].concat()),
        ("a log", STANDARD.encode(&code).into_bytes()),
        ("a log", format!("{code:?}").into_bytes()),
        ("a dump", format!("1\t\\x{hex}\tt").into_bytes()),
    ] {
        let places = Places(vec![(place.into(), bytes)]);
        assert!(std::panic::catch_unwind(|| places.hold_none_of(used)).is_err(), "{:?}", places.0);
    }
    let raw = std::fs::read(&file).expect("it is readable");
    assert!(raw.windows(8).any(|bytes| bytes == [b"a", &code[..], b"b"].concat()), "they touch");
    let places = Places(values(&file));
    assert!(std::panic::catch_unwind(|| places.hold_none_of(used)).is_err(), "{:?}", places.0);
}

#[test]
fn nothing_tells_them_on_redis_and_postgres() {
    let redis = redis::Server::options().password(OF_REDIS).durable().set("rdbcompression", "no").start();
    let (postgres, sink) = (postgres::Server::start(), smtp::Server::options().account("signet", OF_MAIL).start());
    let server = TestServer::start(talkative(Plan::on(&redis, &postgres), "json"));
    let mailing =
        TestServer::start(server.plan().another_node().set("SMTP_URL", &sink.url()).set("SIGNET_LOG__FORMAT", "pretty"));
    let mut used = Used::default();
    for (what, secret) in [
        ("Redis' password", OF_REDIS),
        ("the mail server's password", OF_MAIL),
        ("the secret", SECRET),
        ("Postgres' password", postgres::PASSWORD),
    ] {
        used.add(what, secret);
    }
    used.0.push(("the secret".into(), STANDARD.decode(SECRET).expect("base64")));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(Box::pin(async {
        use_everything(&server, &mut used).await;
        let body = json!({"email": "sunk@example.org"});
        mailing.post("/auth/verification/send-code").json(&body).send_checked().await.is(202);
        until("the mail is taken", async || sink.accepted().len() == 1).await;
        let letter = smtp::ParsedMail(sink.accepted()[0]["mail"].clone());
        let code = letter.text().lines().find(|line| line.len() == 6 && line.parse::<u32>().is_ok()).expect("a code");
        used.add("a mailed code", code);
        let body = json!({"email": "sunk@example.org", "code": code});
        used.ask(mailing.post("/auth/verification/verify-code").json(&body)).await;
        for _ in 0..20 {
            mailing.verify(WRONG).await.is(401);
        }
        finished(&mailing).await;

        let mut places = Places::of(&server).await;
        places.0.extend(Places::of(&mailing).await.0);
        // Its append-only file has every write since the start, also of what is gone; a dump has what is there.
        assert_eq!(redis.cli(&["SAVE"]), "OK");
        let before = places.0.len();
        places.files(redis.folder(), &[]);
        assert!(places.0[before..].iter().any(|(place, bytes)| place.ends_with(".aof") && bytes.len() > 10_000));
        assert!(places.0[before..].iter().any(|(place, _)| place.ends_with("dump.rdb")));
        places.hold_none_of(&used);

        // Pages and the log of writes, in which six digits are found by chance, but nothing longer; and rows, where nothing is.
        let long = Used(used.0.iter().filter(|(_, secret)| secret.len() > 12).cloned().collect());
        postgres.client().await.batch_execute("CHECKPOINT").await.expect("it writes its pages");
        let mut pages = Places::default();
        pages.files(postgres.folder(), &[]);
        pages.hold_none_of(&long);
        let dumped = Command::new("pg_dump").arg(postgres.url()).output().expect("pg_dump is beside Postgres");
        assert!(dumped.status.success() && dumped.stdout.len() > 5000, "{}", String::from_utf8_lossy(&dumped.stderr));
        Places(vec![("the dump of Postgres".into(), dumped.stdout)]).hold_none_of(&used);
        nobody_else_reads(&server.signet.data_dir());
    }));
}

/// Whatever carries a secret, as a careless line of a log would show it.
#[test]
fn no_debug_form_tells_them() {
    use signet::token::api_key::NewApiKey;
    use signet::auth::passwords::Password;
    use signet::clock::Clock;
    use signet::config::{Config, Redis, Secret, SecretUrl};
    use signet::mail::Letter;
    use signet::rng::Rng;
    use signet::store::accounts::{PasswordHash, SealedTotp};
    use signet::token::keyring::ring::Ring;
    use signet::token::secret::Secrets;
    let told = || "hunter2-hunter2".to_owned();
    let url = || SecretUrl(format!("redis://user:{}@127.0.0.1:6379/0?password={}", told(), told()));
    let redis = Redis { url: url(), prefix: String::new(), timeout: std::time::Duration::ZERO, ca: None };
    let mut config = Config { redis: Some(redis), ..Config::default() };
    config.mail.smtp_url = Some(url());
    let secret = || Secret(zeroize::Zeroizing::new(*b"hunter2-hunter2-hunter2-hunter2-"));
    config.secrets = Some(vec![secret()]);
    let mut ring = Ring::generate(Clock::system().now(), &Rng::system());
    *ring.keys[0].seed = *b"hunter2-hunter2-hunter2-hunter2-";
    let new = NewApiKey::generate(&Rng::system());
    let shown = format!("{new:?} {new:#?}");
    assert!(shown.contains(new.prefix()) && !shown.contains(&new.reveal()[new.prefix().len()..]), "{shown}");
    for shown in [
        format!("{config:?} {config:#?}"),
        format!("{:?} {:?}", url(), url().shown()),
        format!("{:?}", Password::new(told())),
        format!("{:?}", PasswordHash(told())),
        format!("{:?}", SealedTotp(told().into_bytes())),
        format!("{ring:?} {ring:#?} {:?}", ring.keys[0]),
        format!("{:?} {:?}", secret(), Secrets::new(&[secret()]).expect("it derives")),
        format!("{:?}", Letter::SignInCode { code: told() }),
        format!("{:?}", Letter::ConfirmCode { code: told() }),
        format!("{:?}", Letter::EmailChanged { new: told() }),
        format!("{:?}", Letter::MagicLink { link: told() }),
        format!("{:?}", Letter::ResetPassword { link: told() }),
        format!("{:?}", Letter::ConfirmEmail { link: told() }),
    ] {
        let bytes = format!("{:?}", b"hunter2");
        let plain = shown.contains("hunter2") || shown.contains(bytes.trim_matches(['[', ']']));
        assert!(!plain, "{shown}");
    }
}

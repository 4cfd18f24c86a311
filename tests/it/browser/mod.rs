//! The pages in Debian's headless Chromium, driven by Playwright. Each test is a program in this folder, with what it
//! shares in `harness.js`. `./test` installs both.
//!
//! A violation of the content security policy, an error of a script, a request to another host and anything that axe
//! finds fail a test.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::client::client_builder;
use crate::support::outbox::wait_for_mail;
use crate::support::ports::free_port;
use crate::support::postgres;
use crate::support::redis;
use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::signet::Plan;
use crate::support::tool;

over_both_stores! {
    plan;
    account_lives_in_the_browser_alone, console_shows_every_screen_and_state,
}

/// The server is at its public URL, which links in mails begin with.
fn plan(plan: Plan) -> Plan {
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{address}");
    plan.set("SIGNET_SERVER__LISTEN", &address).set("SIGNET_SERVER__PUBLIC_URL", &url)
}

/// Chromium, under one of its names. Its build without windows needs a fifth of the processor time in these tests.
#[allow(clippy::disallowed_methods, reason = "where programs are is not a setting of Signet")]
fn chromium() -> PathBuf {
    let names = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&folders).collect();
    let mut found = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    found.find(|program| program.exists()).expect("chromium-headless-shell is missing: `./test` installs it")
}

/// The command that runs a program of this folder against the server, with what it must know beside.
fn node(server: &TestServer, program: &str, also: &Value) -> Command {
    let mut known = json!({
        "url": server.signet.url_of(""),
        "outbox": server.signet.data_dir().join("outbox"),
        "tools": tool("pages"),
        "chromium": chromium(),
    });
    if let (Some(known), Some(also)) = (known.as_object_mut(), also.as_object()) {
        known.extend(also.clone());
    }
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/browser").join(program);
    let mut node = Command::new(tool("bin/node"));
    node.arg(program).env("SIGNET_BROWSER", known.to_string());
    node
}

/// Runs a program against the server.
///
/// # Panics
/// If the program fails.
async fn run(server: &TestServer, program: &str, also: Value) {
    let mut node = node(server, program, &also);
    node.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || node.output()).await.unwrap().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{text}");
}

/// Runs a program that asks for what only this side can do, which `act` does.
///
/// # Panics
/// If the program fails.
fn run_with(server: &TestServer, program: &str, also: &Value, mut act: impl FnMut(&str)) {
    let mut node = node(server, program, also);
    let node = node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut node = node.spawn().unwrap();
    let errors = node.stderr.take().unwrap();
    let errors = std::thread::spawn(move || std::io::read_to_string(errors).unwrap());
    let (mut input, output) = (node.stdin.take().unwrap(), node.stdout.take().unwrap());
    for line in BufReader::new(output).lines().map(Result::unwrap) {
        if let Some(what) = line.strip_prefix("ask: ") {
            act(what);
            input.write_all(b"done\n").unwrap();
        }
    }
    let status = node.wait().unwrap();
    assert!(status.success(), "{}", errors.join().unwrap());
}

async fn account_lives_in_the_browser_alone(server: &TestServer) {
    // The look of a page does not depend on the stores.
    run(server, "account.js", json!({"looks": server.redis().is_none()})).await;
}

/// Stored wherever a text can be. A browser that runs it leaves a trace that the programs look for.
const HOSTILE: &str = "<img src=x onerror=window.attacked=1>{{x}}";

async fn console_shows_every_screen_and_state(server: &TestServer) {
    let superuser = server.create_user(&["--superuser", "--verified"]);
    let user = server.create_user(&["--verified", "--full-name", HOSTILE]);
    let scope = HOSTILE.replace(' ', "/");
    server.plan().json(&["api-keys", "create", "--user", &user.email, "--name", HOSTILE, "--scope", &scope], "");
    let hostile_client = client_builder().user_agent(HOSTILE).build().unwrap();
    let body = json!({"email": user.email, "password": PASSWORD});
    let opened = hostile_client.post(server.signet.url_of("/sessions")).json(&body).send().await.unwrap();
    assert_eq!(opened.status(), 201);
    let account = |email: &str| json!({"email": email, "password": PASSWORD});
    // Frozen for a while, to see what the console shows then.
    let redis = server.redis().map(|redis| {
        let info = redis.cli(&["INFO", "server"]);
        let pid = info.lines().find_map(|line| line.strip_prefix("process_id:")).expect("Redis has a process");
        pid.trim().parse::<u32>().unwrap()
    });
    let also = json!({
        "url": server.signet.management_url(""),
        "api": server.signet.url_of(""),
        "superuser": account(&superuser.email),
        "user": account(&user.email),
        "hostile": HOSTILE,
        "looks": redis.is_none(),
        "redis": redis,
    });
    run(server, "console.js", also).await;
}

/// Both stores are killed and come back, one after the other, while pages are open.
#[tokio::test]
async fn pages_outlive_the_loss_of_a_store() {
    let mut redis = redis::Server::options().durable().start();
    let mut postgres = postgres::Server::start();
    // With limits, as by default: an attempt is counted in Redis before it can change a password.
    let plan = plan(Plan::on(&redis, &postgres)).with_patient_stores().set("SIGNET_LIMITS__ENABLED", "true");
    let server = TestServer::start(plan);
    let [superuser, user] = [server.create_user(&["--superuser", "--verified"]), server.create_user(&["--verified"])];
    let also = json!({
        "superuser": superuser.email,
        "user": user.email,
        "password": PASSWORD,
        "console": server.signet.management_url("/console"),
        "api": server.signet.management_url(""),
    });
    run_with(&server, "stores.js", &also, |what| match what {
        "kill redis" => redis.kill(),
        "restart redis" => redis.restart(),
        "kill postgres" => postgres.kill_immediate(),
        "restart postgres" => postgres.restart(),
        unknown => panic!("{unknown}"),
    });
}

#[tokio::test]
async fn other_pages_cannot_use_the_session() {
    let server = TestServer::embedded(plan);
    let [user, attacker] = [server.create_user(&["--verified"]), server.create_user(&["--verified"])];
    let also = json!({"user": user.email, "attacker": attacker.email, "password": PASSWORD});
    run(&server, "attacks.js", also).await;
}

/// The page at `/` and the API reference.
#[tokio::test]
async fn reference_is_used_by_keyboard() {
    let server = TestServer::embedded(plan);
    let user = server.create_user(&["--verified"]);
    run(&server, "docs.js", json!({"user": user.email, "password": PASSWORD})).await;
}

#[tokio::test]
async fn change_lists_the_keys_of_its_project_alone() {
    let server = TestServer::embedded(plan);
    let user = server.create_user(&["--verified"]);
    let access = server.sign_in(&user).await.access;
    let create = async |name: &str| {
        let project = server.post("/projects").bearer_auth(&access).json(&json!({"name": name})).send_checked().await;
        project.is(201).json()["id"].clone()
    };
    create("Shop").await;
    let weather = create("Weather").await;
    run(&server, "api_keys.js", json!({"user": user.email, "password": PASSWORD, "weather": weather})).await;
}

/// Links that the published APIs mailed, in all their forms.
#[tokio::test]
async fn links_of_other_clients_have_pages() {
    let server = TestServer::embedded(plan);
    let signed_up = json!({"username": "mia", "email": "mia@example.org", "password": PASSWORD});
    server.post("/api/auth/register").json(&signed_up).send_checked().await.is(201);
    let token = wait_for_mail(&server, "mia@example.org", 0).await.token();
    let confirmations = [
        format!("/links/confirm?token={token}"),
        format!("/api/auth/confirmed_email/{token}"),
        format!("/api/v1/verify?token={token}"),
    ];

    let user = server.create_user(&["--verified"]);
    let requested = server.post(&format!("/auth/login/recover/{}", user.email)).send_checked().await.is(200).json();
    let reset = wait_for_mail(&server, &user.email, 0).await.link();
    let other = server.create_user(&["--verified"]);
    let request = json!({"email": other.email, "username": other.username});
    server.post("/api/v1/password-reset").json(&request).send_checked().await.is(200);
    let reset_without = wait_for_mail(&server, &other.email, 0).await.link();
    let third = server.create_user(&["--verified"]);
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let path = format!("/admin/users/{}/password-reset", third.id);
    server.post(&path).bearer_auth(&root).send_checked().await.is(202);
    let reset_by_administrator = wait_for_mail(&server, &third.email, 0).await.link();
    let also = json!({
        "confirmations": confirmations, "reset": reset, "claim": requested["claim"], "reset_without": reset_without,
        "reset_by_administrator": reset_by_administrator,
        "looks": true,
    });
    run(&server, "links.js", also).await;
}

#[test]
fn types_and_lint_of_the_pages_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = root.join("clients/js/node_modules");
    for arguments in
        [["typescript/bin/tsc", "--noEmit"].as_slice(), &["eslint/bin/eslint.js", "--max-warnings", "0", "."]]
    {
        let (program, options) = arguments.split_first().unwrap();
        let mut node = Command::new(tool("bin/node"));
        node.current_dir(root.join("src/api/pages")).arg(packages.join(program)).args(options).stdin(Stdio::null());
        let output = node.output().unwrap();
        assert!(output.status.success(), "{program}:\n{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// The vendored modules are those of the packages that `./test` installs from the lock file.
#[test]
fn vendored_modules_are_the_published_ones() {
    let vendor = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/pages/vendor");
    for (file, published) in [
        ("preact.js", "preact/dist/preact.mjs"),
        ("hooks.js", "preact/hooks/dist/hooks.mjs"),
        ("htm.js", "htm/dist/htm.mjs"),
        ("signals.js", "@preact/signals/dist/signals.mjs"),
        ("signals-core.js", "@preact/signals-core/dist/signals-core.mjs"),
    ] {
        let published = std::fs::read(tool("pages/node_modules").join(published)).unwrap();
        assert!(std::fs::read(vendor.join(file)).unwrap() == published, "{file}");
    }
}

//! The page at `/`, the logo, the parts of the API reference that need no browser, and the notice of a sign-in from a new
//! network. The browser tests are in `browser`.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::client::client_builder;
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::signet::Plan;
use crate::support::{outbox, tool};

over_both_stores! {
    |plan: Plan| plan.set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1");
    sign_in_from_a_new_network_is_told_to_the_owner,
}

const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";

async fn sign_in_from_a_new_network_is_told_to_the_owner(server: &TestServer) {
    let sign_in = async |email: &str, address: &str| {
        let request = server.sign_in_request(email, PASSWORD).header("x-forwarded-for", address);
        request.header("user-agent", FIREFOX).send_checked().await.is(201);
    };
    let user = server.create_user(&["--verified"]);
    // The first sign-in of the account, and the next one from there.
    sign_in(&user.email, "198.51.100.7").await;
    sign_in(&user.email, "198.51.100.7").await;
    outbox::wait_until_queue_is_empty(server).await;
    assert_eq!(outbox::mails(server, &user.email).len(), 0);

    sign_in(&user.email, "203.0.113.1").await;
    let mail = outbox::wait_for_mail(server, &user.email, 0).await;
    assert_eq!(mail.header("subject"), "New sign-in to your Signet account");
    let lines = mail.lines();
    for line in ["Device: Firefox, Windows", "IP address: 203.0.113.1"] {
        assert!(lines.iter().any(|it| it == line), "{}", mail.source);
    }
    assert!(lines.iter().any(|line| line.starts_with("Time: 20")), "{}", mail.source);

    // Known by now, as is every address of a home's IPv6 network.
    sign_in(&user.email, "203.0.113.1").await;
    sign_in(&user.email, "2001:db8:1::7").await;
    outbox::wait_for_mail(server, &user.email, 1).await;
    sign_in(&user.email, "2001:db8:1::8").await;
    outbox::wait_until_queue_is_empty(server).await;
    assert_eq!(outbox::mails(server, &user.email).len(), 2);

    // The owner of an address that is not verified may be somebody else.
    let unverified = server.create_user(&[]);
    for address in ["198.51.100.7", "203.0.113.1"] {
        sign_in(&unverified.email, address).await;
    }
    outbox::wait_until_queue_is_empty(server).await;
    assert_eq!(outbox::mails(server, &unverified.email).len(), 0);
}

#[tokio::test]
async fn notice_of_a_new_network_can_be_switched_off() {
    let server = TestServer::embedded(|plan| {
        plan.set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1").set("SIGNET_MAIL__NEW_SIGN_IN_NOTICE", "false")
    });
    let user = server.create_user(&["--verified"]);
    for address in ["198.51.100.7", "203.0.113.1"] {
        let request = server.sign_in_request(&user.email, PASSWORD).header("x-forwarded-for", address);
        request.send_checked().await.is(201);
    }
    outbox::wait_until_queue_is_empty(&server).await;
    assert_eq!(outbox::mails(&server, &user.email).len(), 0);
}

/// The facts about the server on the page.
fn facts(page: &HttpResponse) -> Value {
    let facts = page.is(200).text.split_once("data-facts=\"").expect("it has facts").1;
    let facts = facts
        .split('"')
        .next()
        .unwrap()
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
        .replace("&lt;", "<")
        .replace("&gt;", ">");
    serde_json::from_str(&facts).unwrap()
}

#[tokio::test]
async fn home_page_says_what_this_is() {
    let url = "http://127.0.0.1:8000";
    let settings = [("SIGNET_MAIL__SERVICE_NAME", "A & B <i>"), ("SIGNET_SERVER__PUBLIC_URL", url)];
    let server = TestServer::embedded(|plan| settings.iter().fold(plan, |plan, (name, value)| plan.set(name, value)));
    let page = server.get("/").send_checked().await;
    assert_eq!(page.is(200).header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").contains("require-trusted-types-for 'script'"));
    let facts = facts(&page);
    assert_eq!(facts["service"], "A & B <i>");
    assert_eq!(facts["logo"], false);
    assert_eq!(facts["home"]["issuer"], url);
    let local = &facts["home"]["local"];
    // The console asks for a password.
    assert_eq!(local["command"], "signet users create --email you@example.org --superuser --verified --password-stdin");
    assert!(local["outbox"].as_str().unwrap().ends_with("/outbox"), "{local}");
    assert!(facts["home"]["console"].as_str().unwrap().ends_with("/console"), "{facts}");
    assert_eq!(server.get("/pages/logo").send_checked().await.status, 404);
    assert!(server.get("/docs").send_checked().await.is(200).text.contains("<span>A &amp; B &lt;i&gt;</span>"));
}

#[tokio::test]
async fn public_server_reveals_nothing_of_its_machine() {
    let logo = [&b"\x89PNG\r\n\x1a\n"[..], b" and pixels"].concat();
    let server = TestServer::embedded(|plan| {
        let file = plan.dir().join("logo.png");
        std::fs::write(&file, &logo).unwrap();
        plan.set("SIGNET_SERVER__PUBLIC_URL", "https://id.example.com").set("SIGNET_MAIL__LOGO", file.to_str().unwrap())
    });
    let page = server.get("/").send_checked().await;
    assert_eq!(facts(&page)["home"], json!({"issuer": "https://id.example.com", "console": null}));
    assert!(!page.text.contains("outbox") && !page.text.contains("users create"), "{}", page.text);

    assert_eq!(facts(&page)["logo"], true);
    let image = server.get("/pages/logo").send().await.unwrap();
    assert_eq!(image.headers()["content-type"], "image/png");
    assert_eq!(image.headers()["cache-control"], "public, max-age=3600");
    assert!(image.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert_eq!(image.bytes().await.unwrap(), logo);
    assert!(server.get("/docs").send_checked().await.text.contains("<img src=\"/pages/logo\" alt=\"Signet\""));
}

#[tokio::test]
async fn home_is_elsewhere_or_off_by_setting() {
    let home = |value: &'static str| move |plan: Plan| plan.set("SIGNET_PAGES__HOME", value);
    let server = TestServer::embedded(home("https://www.example.com/?from=id"));
    let client = client_builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = client.get(server.signet.url_of("/")).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.headers()["location"], "https://www.example.com/?from=id");

    let server = TestServer::embedded(home("off"));
    let answer = server.get("/").send_checked().await;
    assert_eq!(answer.is(404).header("content-type"), "application/problem+json");

    // The page is one of the native API.
    let server = TestServer::embedded(|plan| plan.set("SIGNET_API__NATIVE__ENABLED", "false"));
    server.get("/").send_checked().await.is(404);
    // It is at the root even if that API is not.
    let server = TestServer::embedded(|plan| plan.set("SIGNET_API__NATIVE__PREFIX", "/id"));
    let page = server.get("/").send_checked().await;
    assert!(page.is(200).text.contains("src=\"/id/pages/"), "{}", page.text);
}

#[test]
fn reference_orders_searches_and_writes_calls() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/home");
    let files = ["samples.test.mjs", "tasks.test.mjs"].map(|file| folder.join(file));
    let mut node = Command::new(tool("bin/node"));
    node.arg("--test").args(files).env("SIGNET_PYTHON", tool("venv/bin/python")).stdin(Stdio::null());
    let output = node.output().expect("node starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

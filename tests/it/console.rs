//! The console: on which listener it is, what that listener answers to whom, and the parts of the page that need no
//! browser. The browser tests are in `browser`.

use std::path::Path;
use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, TestUser, over_both_stores};
use crate::support::{tool, until};

over_both_stores! {
    |plan| plan;
    management_listener_serves_the_console, overview_shows_node_stores_and_sign_ins,
}

/// Sends a request to the management listener.
async fn manage(server: &TestServer, method: Method, path: &str, headers: &[(&str, &str)]) -> HttpResponse {
    let request = server.management_request(method, path);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send_checked().await
}

async fn bearer(server: &TestServer, user: &TestUser) -> String {
    format!("Bearer {}", server.sign_in(user).await.access)
}

async fn management_listener_serves_the_console(server: &TestServer) {
    let page = manage(server, Method::GET, "/console", &[]).await;
    let policy = page.is(200).header("content-security-policy").to_owned();
    for part in ["default-src 'none'", "require-trusted-types-for 'script'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(page.header("cache-control"), "no-store");
    let script = page.text.split("src=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a script");
    let script = manage(server, Method::GET, script, &[]).await;
    assert_eq!(script.is(200).header("content-type"), "text/javascript; charset=utf-8");

    // The calls of the console check the caller as on the public listener.
    let superuser = bearer(server, &server.create_user(&["--superuser", "--verified"])).await;
    let user = bearer(server, &server.create_user(&["--verified"])).await;
    for path in ["/admin/users", "/admin/settings", "/admin/overview"] {
        manage(server, Method::GET, path, &[]).await.is(401);
        manage(server, Method::GET, path, &[("authorization", &user)]).await.is(403);
        manage(server, Method::GET, path, &[("authorization", &superuser)]).await.is(200);
    }
    let me = manage(server, Method::GET, "/me", &[("authorization", &superuser)]).await;
    assert_eq!(me.is(200).json()["superuser"], true);

    // Nothing else of the APIs is here, and the console is nowhere else.
    for path in ["/sessions", "/.well-known/jwks.json", "/docs", "/account", "/projects", "/auth/me"] {
        manage(server, Method::GET, path, &[("authorization", &superuser)]).await.is(404);
    }
    manage(server, Method::POST, "/oauth/token", &[]).await.is(404);
    manage(server, Method::GET, "/healthz", &[]).await.is(200);
    assert_eq!(server.get("/console").send().await.unwrap().status(), 404);
}

async fn overview_shows_node_stores_and_sign_ins(server: &TestServer) {
    let user = server.create_user(&["--superuser", "--verified"]);
    let token = bearer(server, &user).await;
    server.try_sign_in(&user.email, "some wrong password").await.is(401);
    let read =
        async || manage(server, Method::GET, "/admin/overview", &[("authorization", &token)]).await.is(200).json();

    // Samples of the requests are five seconds apart.
    until("the sign-ins are in a sample", async || {
        read().await["this_node"]["rates"].as_array().is_some_and(|rates| !rates.is_empty())
    })
    .await;
    let overview = read().await;
    let this = &overview["this_node"];
    let rate = &this["rates"][0];
    assert!(rate["operation"].as_str().is_some_and(|name| !name.is_empty()), "{rate}");
    for number in ["per_second", "p50_ms", "p99_ms"] {
        assert!(rate[number].as_f64().is_some_and(|number| number > 0.0), "{rate}");
    }
    let points = this["series"].as_array().unwrap();
    assert!(points.iter().any(|point| point["p99_ms"].is_number()), "{points:?}");
    assert!(points.iter().any(|point| point["per_second"].as_f64() > Some(0.0)), "{points:?}");
    let of = |outcome: &str| json!({"method": "password", "outcome": outcome, "count": 1});
    assert_eq!(this["sign_ins"], json!([of("success"), of("refused")]));
    assert!(this["hash_queue"]["capacity"].as_u64() > Some(0) && this["hash_queue"]["length"] == 0, "{this}");
    assert!(this["revocation"]["lag_ms"].as_u64() < Some(5_000), "{this}");

    let node = overview["nodes"].as_array().unwrap().iter().find(|node| node["id"] == this["id"]).unwrap();
    assert_eq!((&node["ready"], &node["reasons"]), (&json!(true), &json!([])));
    assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
    let up = |body: &Value| {
        let stores = body["this_node"]["stores"].as_array().unwrap().clone();
        stores.into_iter().map(|store| store["up"] == true).collect::<Vec<_>>()
    };
    assert_eq!(up(&overview), [true, true]);

    // A store that does not answer is part of the picture, and the node says why it is not ready.
    let Some(redis) = server.redis() else { return };
    redis.freeze();
    let frozen = read().await;
    until("the node says why it is not ready", async || {
        let overview = read().await;
        let mut nodes = overview["nodes"].as_array().unwrap().iter();
        nodes.any(|node| node["id"] == this["id"] && node["ready"] == false && node["reasons"] != json!([]))
    })
    .await;
    redis.thaw();
    assert_eq!(up(&frozen), [true, false]);
    assert!(frozen["nodes"].as_array().unwrap().iter().any(|node| node["id"] == this["id"]), "{frozen}");
}

#[tokio::test]
async fn pages_of_other_origins_cannot_use_the_console() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_SERVER__CORS_ORIGINS", "https://app.example.com"));
    let user = server.create_user(&["--superuser", "--verified"]);
    let token = bearer(&server, &user).await;
    let origin = ("origin", "https://app.example.com");
    // Not even an origin that may call the public listener.
    for method in [Method::GET, Method::OPTIONS] {
        let answer = manage(&server, method, "/admin/users", &[origin, ("authorization", &token)]).await;
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{answer:?}");
    }
    let body = json!({"email": user.email, "password": PASSWORD}).to_string();
    for site in ["cross-site", "same-site", "none", "same-origin"] {
        let request = server.management_request(Method::POST, "/account/session");
        let request = request.header("content-type", "application/json").header("sec-fetch-site", site);
        let status = request.body(body.clone()).send().await.unwrap().status().as_u16();
        assert_eq!(status, if site == "same-origin" { 201 } else { 403 }, "{site}");
    }
}

#[tokio::test]
async fn console_is_on_the_listener_that_the_setting_names() {
    for (listener, public, management) in [("public", 200, 404), ("off", 404, 404)] {
        let server = TestServer::embedded(|plan| plan.set("SIGNET_CONSOLE__LISTENER", listener));
        assert_eq!(server.get("/console").send().await.unwrap().status(), public, "{listener}");
        for path in ["/console", "/admin/users", "/me", "/account/session/refresh"] {
            assert_eq!(server.get_management(path).await.status, management, "{listener} {path}");
        }
        server.get_management("/readyz").await.is(200);
    }
    let server = TestServer::embedded(|plan| plan.set("SIGNET_API__NATIVE__PREFIX", "/id/v2"));
    server.get_management("/id/v2/console").await.is(200);
    server.get_management("/id/v2/admin/users").await.is(401);
    server.get_management("/console").await.is(404);
}

#[test]
fn scripts_that_need_no_browser_work() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/console");
    let files = std::fs::read_dir(folder).expect("it is a folder").map(|entry| entry.unwrap().path());
    let mut files = files.filter(|path| path.to_string_lossy().ends_with(".test.mjs")).collect::<Vec<_>>();
    files.sort();
    assert_eq!(files.len(), 5);
    let mut node = Command::new(tool("bin/node"));
    let output = node.arg("--test").args(files).stdin(Stdio::null()).output().expect("node starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

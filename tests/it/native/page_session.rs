//! The session of the pages: a cookie that only pages of this origin can use.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::signet::Plan;

const PATH: &str = "/account/session";
const REFRESH: &str = "/account/session/refresh";

over_both_stores! {
    |plan: Plan| plan.set("SIGNET_SERVER__PUBLIC_URL", "https://id.example.org");
    cookie_keeps_the_session,
    requests_of_one_token_at_once_get_the_same_successor,
}

/// The `name=value` of the cookie that a response sets, and its attributes.
fn set_cookie(response: &HttpResponse) -> (String, String) {
    let (pair, attributes) = response.header("set-cookie").split_once("; ").expect("a cookie has attributes");
    (pair.to_owned(), attributes.to_owned())
}

/// A request as a page of this origin sends it.
fn from_page(server: &TestServer, method: Method, path: &str) -> RequestBuilder {
    server.request(method, path).header("sec-fetch-site", "same-origin")
}

async fn sign_in(server: &TestServer) -> (String, String) {
    let user = server.create_user(&["--verified"]);
    let body = json!({"email": user.email, "password": PASSWORD});
    let response = from_page(server, Method::POST, PATH).json(&body).send_checked().await;
    let (cookie, attributes) = set_cookie(response.is(201));
    assert_eq!(response.header("cache-control"), "no-store");
    let body = response.json();
    let names = body.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(names, ["access_token", "expires_in", "token_type"], "the refresh token is not for scripts");
    server.get("/me").bearer_auth(body["access_token"].as_str().unwrap()).send_checked().await.is(200);
    (cookie, attributes)
}

async fn cookie_keeps_the_session(server: &TestServer) {
    let (cookie, attributes) = sign_in(server).await;
    assert!(cookie.starts_with("__Host-signet="), "{cookie}");
    let (max_age, rest) = attributes.split_once("; ").unwrap();
    let seconds = max_age.strip_prefix("Max-Age=").unwrap().parse::<u64>().unwrap();
    assert!(seconds > 86_400, "{attributes}");
    assert_eq!(rest, "Path=/; HttpOnly; SameSite=Strict; Secure");

    let refresh = |cookie: &str| from_page(server, Method::POST, REFRESH).header("cookie", cookie).json(&json!({}));
    let response = refresh(&format!("other=1; {cookie}")).send_checked().await;
    let (next, _) = set_cookie(response.is(201));
    assert_ne!(next, cookie);

    // A new password replaces the session.
    let access = response.json()["access_token"].as_str().unwrap().to_owned();
    let body = json!({"current_password": PASSWORD, "new_password": "another quiet harbour"});
    let change = |request: RequestBuilder| request.bearer_auth(&access).header("cookie", &next).json(&body);
    let path = format!("{PATH}/password");
    let from_elsewhere = change(server.request(Method::PUT, &path)).header("sec-fetch-site", "same-site");
    from_elsewhere.send_checked().await.is_problem(403, "cross_origin");
    let changed = change(from_page(server, Method::PUT, &path)).send_checked().await;
    let (replaced, _) = set_cookie(changed.is(200));
    refresh(&next).send_checked().await.is_problem(401, "invalid_refresh_token");
    assert!(!changed.text.contains("refresh_token"), "{changed:?}");
    server.get("/me").bearer_auth(changed.json()["access_token"].as_str().unwrap()).send_checked().await.is(200);
    let (next, _) = set_cookie(refresh(&replaced).send_checked().await.is(201));

    // Twice the same name: one of them may be planted.
    assert_eq!(refresh(&format!("{next}; {next}")).send_checked().await.status, 204);
    assert_eq!(refresh("__Host-signet=").send_checked().await.status, 204);
    let garbage = refresh("__Host-signet=garbage").send_checked().await;
    garbage.is_problem(401, "invalid_refresh_token");
    assert_eq!(set_cookie(&garbage).0, "__Host-signet=");

    let ended = from_page(server, Method::DELETE, PATH).header("cookie", &next).send_checked().await;
    let (cleared, attributes) = set_cookie(ended.is(204));
    assert_eq!(cleared, "__Host-signet=");
    assert!(attributes.starts_with("Max-Age=0; "), "{attributes}");
    let over = refresh(&next).send_checked().await;
    over.is_problem(401, "invalid_refresh_token");
    assert_eq!(set_cookie(&over).0, "__Host-signet=");
    from_page(server, Method::DELETE, PATH).send_checked().await.is(204);
}

/// Two tabs that wake up together send the same token.
async fn requests_of_one_token_at_once_get_the_same_successor(server: &TestServer) {
    let (cookie, _) = sign_in(server).await;
    let refresh = || async {
        from_page(server, Method::POST, REFRESH).header("cookie", &cookie).json(&json!({})).send_checked().await
    };
    let (first, second) = tokio::join!(refresh(), refresh());
    assert_eq!(set_cookie(first.is(201)).0, set_cookie(second.is(201)).0);
}

#[tokio::test]
async fn other_origins_cannot_use_the_cookie() {
    let server = TestServer::embedded(|plan| plan);
    let (cookie, attributes) = sign_in(&server).await;
    // Over plain http, browsers would drop a cookie that is `Secure`.
    assert!(
        cookie.starts_with("signet=") && attributes.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
        "{attributes}"
    );
    let own = server.signet.url_of("");
    let calls = [(Method::POST, PATH), (Method::POST, REFRESH), (Method::DELETE, PATH)];
    for (method, path) in calls {
        let foreign = [
            [("sec-fetch-site", "cross-site"), ("cookie", cookie.as_str())].to_vec(),
            [("sec-fetch-site", "same-site"), ("cookie", &cookie)].to_vec(),
            [("sec-fetch-site", "none"), ("cookie", &cookie)].to_vec(),
            [("sec-fetch-site", "cross-site"), ("origin", &own)].to_vec(),
            [("origin", "http://127.0.0.1:1"), ("cookie", &cookie)].to_vec(),
            [("origin", "null"), ("cookie", &cookie)].to_vec(),
            // Without either field, a program may call, but not with a user's cookie.
            [("cookie", cookie.as_str())].to_vec(),
        ];
        for fields in foreign {
            let mut request = server.request(method.clone(), path).json(&json!({}));
            for (name, value) in &fields {
                request = request.header(*name, *value);
            }
            let response = request.send_checked().await;
            response.is_problem(403, "cross_origin");
            assert_eq!(response.header("set-cookie"), "", "{fields:?}");
        }
    }
    // Browsers without fetch metadata send `Origin`.
    let refresh = server.post(REFRESH).header("origin", &own).header("cookie", &cookie);
    refresh.json(&json!({})).send_checked().await.is(201);
    // A form of another page cannot send JSON.
    let form = from_page(&server, Method::POST, REFRESH).header("content-type", "text/plain").body("{}");
    form.send_checked().await.is_problem(415, "unsupported_media_type");
    server.post(REFRESH).json(&json!({})).send_checked().await.is(204);
}

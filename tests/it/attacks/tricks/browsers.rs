//! Attacks through a browser on a foreign page: cross-origin calls, and open redirects.

use super::*;
use crate::support::client::client_builder;
use crate::support::server::over_redis_and_postgres;

over_redis_and_postgres!(|plan| plan.set("SIGNET_SERVER__CORS_ORIGINS", "https://app.example.com");
    other_origins_are_not_allowed, no_call_redirects);

const ALLOWED_ORIGIN: &str = "https://app.example.com";

async fn other_origins_are_not_allowed(server: &TestServer) {
    let access = server.sign_in(&server.create_user(&[])).await.access;
    let foreign_origins = [
        "null",
        "*",
        "",
        "https://app.example.com.evil.example",
        "https://evilapp.example.com",
        "https://example.com",
        "https://app.example.com:8443",
        "http://app.example.com",
        "https://app.example.com/",
        "https://app.example.co",
        "https://app.example.com@evil.example",
        "https://evil.example/?https://app.example.com",
        "https://APP.example.com.",
        "https://app_example.com",
        "https://app.example.com https://evil.example",
    ];
    for origin in foreign_origins.into_iter().chain([ALLOWED_ORIGIN]) {
        for path in ["/sessions", "/auth/users/me", "/api/v1/authorized/me", "/verify", "/nowhere"] {
            let plain = server.get(path).bearer_auth(&access).header("origin", origin).send_checked().await;
            let preflight = server.request(Method::OPTIONS, path).header("origin", origin);
            let preflight = preflight.header("access-control-request-method", "GET").send().await.unwrap();
            for headers in [&plain.headers, preflight.headers()] {
                let allowed = headers.get("access-control-allow-origin").map(|it| it.to_str().unwrap());
                assert_eq!(
                    allowed,
                    (origin == ALLOWED_ORIGIN).then_some(ALLOWED_ORIGIN),
                    "{origin:?} at {path}: {headers:?}"
                );
                // Signet uses no cookies, so a browser must not send credentials.
                assert!(!headers.contains_key("access-control-allow-credentials"), "{headers:?}");
                assert!(!headers.contains_key("set-cookie"), "{headers:?}");
                let vary =
                    headers.get_all("vary").iter().any(|it| it.to_str().unwrap().to_lowercase().contains("origin"));
                assert!(vary, "{origin:?} at {path}: a cache could return the response for another origin");
            }
        }
    }
}

const FOREIGN_URL: &str = "https://evil.example/";

/// Parameters that other services use for redirects.
const REDIRECT_PARAMETERS: [&str; 12] = [
    "next",
    "redirect",
    "redirect_uri",
    "redirect_url",
    "redirect_to",
    "return_to",
    "url",
    "continue",
    "callback",
    "callback_url",
    "RelayState",
    "state",
];

/// Asserts that the response neither redirects nor mentions the foreign host.
async fn assert_not_redirected(path: &str, request: reqwest::Request) -> u16 {
    let http = client_builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let response = http.execute(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    assert!(!(300..400).contains(&status) && status < 500, "{path}: {status}");
    assert!(!headers.contains_key("location") && !headers.contains_key("refresh"), "{path}: {headers:?}");
    let text = response.text().await.unwrap();
    assert!(!text.contains("evil.example"), "{path}: {text}");
    status
}

/// No content of a query, path, body or header makes the response have a `Location` or a `Refresh`.
async fn no_call_redirects(server: &TestServer) {
    let query = REDIRECT_PARAMETERS.map(|name| format!("{name}={FOREIGN_URL}")).join("&");
    let mut paths: Vec<_> =
        ApiCall::all(server).await.into_iter().filter(|it| it.method == Method::GET).map(|it| it.path).collect();
    paths.extend(
        ["/docs", "//evil.example/%2e%2e", "/\\evil.example", "/%2f%2fevil.example", "//evil.example/docs", "/docs//"]
            .map(Into::into),
    );
    for path in paths {
        let path = path.replace("{token}", "no.to.ken").replace("{user_id}", "x");
        for path in
            [path.clone(), format!("{path}/"), format!("{path}?{query}"), format!("{path}?token=no.to.ken&{query}")]
        {
            let request = server.get(&path).header("host", "evil.example").header("referer", FOREIGN_URL);
            assert_not_redirected(&path, request.header("accept", "text/html").build().unwrap()).await;
        }
    }
    // The same for calls that change something: sign-in, sign-out, links, confirmations, resets.
    let admin = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let (mut done, mut not_done) = (0, Vec::new());
    let calls = ApiCall::all(server).await;
    server.prepare_users(calls.len(), &[]);
    for call in calls.into_iter().filter(|it| it.method != Method::GET) {
        // It would revoke the tokens of the other calls.
        if call.path.contains("everyone") {
            continue;
        }
        let mut request = valid_request(server, &call, &admin).await;
        request.path = request.path.replace("{email}", &request.email_of_row);
        request.path += &format!("{}{query}", if request.path.contains('?') { "&" } else { "?" });
        if let Some(members) = request.body.as_object_mut() {
            members.extend(REDIRECT_PARAMETERS.map(|name| (name.to_owned(), json!(FOREIGN_URL))));
        }
        let request = request.build(server).header("host", "evil.example").header("referer", FOREIGN_URL);
        let status = assert_not_redirected(&call.name(), request.header("accept", "text/html").build().unwrap()).await;
        done += usize::from(status < 300);
        not_done.extend((status >= 300).then(|| format!("{} {status}", call.name())));
    }
    assert!(done >= 45, "{done}, but not {not_done:#?}");
}

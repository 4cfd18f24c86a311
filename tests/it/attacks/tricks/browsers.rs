//! What a browser may be made to do by somebody else's page: calls across origins, and being sent elsewhere.

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(|plan| plan.set("SIGNET_SERVER__CORS_ORIGINS", "https://app.example.com");
    no_other_origin_reads_anything, nobody_is_sent_elsewhere);

const OURS: &str = "https://app.example.com";

async fn no_other_origin_reads_anything(server: &TestServer) {
    let access = server.sign_in(&server.create_user(&[])).await.access;
    let strangers = [
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
    for origin in strangers.into_iter().chain([OURS]) {
        for path in ["/sessions", "/auth/users/me", "/api/v1/authorized/me", "/.well-known/jwks.json", "/nowhere"] {
            let plain = server.get(path).bearer_auth(&access).header("origin", origin).send_checked().await;
            let preflight = server.request(Method::OPTIONS, path).header("origin", origin);
            let preflight = preflight.header("access-control-request-method", "GET").send().await.unwrap();
            for headers in [&plain.headers, preflight.headers()] {
                let granted = headers.get("access-control-allow-origin").map(|it| it.to_str().unwrap());
                assert_eq!(granted, (origin == OURS).then_some(OURS), "{origin:?} at {path}: {headers:?}");
                // Nothing here goes by a cookie, so a browser has no business sending any.
                assert!(!headers.contains_key("access-control-allow-credentials"), "{headers:?}");
                assert!(!headers.contains_key("set-cookie"), "{headers:?}");
                let vary =
                    headers.get_all("vary").iter().any(|it| it.to_str().unwrap().to_lowercase().contains("origin"));
                assert!(vary, "{origin:?} at {path}: a cache would give one origin's answer to another");
            }
        }
    }
}

const ELSEWHERE: &str = "https://evil.example/";

/// By what others are told where to go next.
const NEXT: [&str; 12] = [
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

/// Sends nobody elsewhere, and speaks of nobody else.
async fn stays_here(at: &str, request: reqwest::Request) -> u16 {
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = http.execute(request).await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    assert!(!(300..400).contains(&status) && status < 500, "{at}: {status}");
    assert!(!headers.contains_key("location") && !headers.contains_key("refresh"), "{at}: {headers:?}");
    let text = answer.text().await.unwrap();
    assert!(!text.contains("evil.example"), "{at}: {text}");
    status
}

/// No call redirects: whatever a query, a path, a body or a header says, there is no `Location` and no refresh.
async fn nobody_is_sent_elsewhere(server: &TestServer) {
    let query = NEXT.map(|name| format!("{name}={ELSEWHERE}")).join("&");
    let mut paths: Vec<_> =
        Call::all(server).await.into_iter().filter(|it| it.method == Method::GET).map(|it| it.path).collect();
    paths.extend(
        ["/docs", "//evil.example/%2e%2e", "/\\evil.example", "/%2f%2fevil.example", "//evil.example/docs", "/docs//"]
            .map(Into::into),
    );
    for path in paths {
        let path = path.replace("{token}", "no.to.ken").replace("{user_id}", "x");
        for at in
            [path.clone(), format!("{path}/"), format!("{path}?{query}"), format!("{path}?token=no.to.ken&{query}")]
        {
            let request = server.get(&at).header("host", "evil.example").header("referer", ELSEWHERE);
            stays_here(&at, request.header("accept", "text/html").build().unwrap()).await;
        }
    }
    // What is done is done as ever: signing in and out, links, confirmations, recoveries, as a form's sender would have them go on.
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let (mut done, mut left_undone) = (0, Vec::new());
    for call in Call::all(server).await.into_iter().filter(|it| it.method != Method::GET) {
        // It would end what the others are done with.
        if call.path.contains("everyone") {
            continue;
        }
        let mut wish = wish(server, &call, &root).await;
        wish.path = wish.path.replace("{email}", &wish.about);
        wish.path += &format!("{}{query}", if wish.path.contains('?') { "&" } else { "?" });
        if let Some(members) = wish.body.as_object_mut() {
            members.extend(NEXT.map(|name| (name.to_owned(), json!(ELSEWHERE))));
        }
        let request = wish.request(server).header("host", "evil.example").header("referer", ELSEWHERE);
        let status = stays_here(&call.name(), request.header("accept", "text/html").build().unwrap()).await;
        done += usize::from(status < 300);
        left_undone.extend((status >= 300).then(|| format!("{} {status}", call.name())));
    }
    assert!(done >= 45, "{done}, but not {left_undone:#?}");
}

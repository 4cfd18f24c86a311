//! What a request says of where it came through is believed of nobody: neither links in mails, nor metadata, nor tokens, nor limits
//! know a name that a client made up.

use super::*;
use crate::support::server::over_both_stores;
use crate::support::signet::Plan;

const PUBLIC: &str = "https://id.example.org";

over_both_stores!(|plan| plan.set("SIGNET_SERVER__PUBLIC_URL", PUBLIC); no_header_finds_its_way_into_a_link);

/// What proxies say, each in the name of somebody who would like to be one.
const SAID: [(&str, &str); 14] = [
    ("host", "evil.example"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-server", "evil.example"),
    ("x-forwarded-proto", "evil"),
    ("x-forwarded-scheme", "evil"),
    ("x-forwarded-port", "666"),
    ("x-forwarded-prefix", "/evil.example"),
    ("x-forwarded-for", "198.51.100.66"),
    ("x-real-ip", "198.51.100.66"),
    ("x-host", "evil.example"),
    ("x-original-url", "/evil.example"),
    ("x-rewrite-url", "/evil.example"),
    ("forwarded", "for=198.51.100.66;host=evil.example;proto=evil"),
    ("origin", "https://evil.example"),
];

fn poisoned(request: RequestBuilder) -> RequestBuilder {
    SAID.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

async fn no_header_finds_its_way_into_a_link(server: &TestServer) {
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/jwks.json",
        "/openapi.json",
        "/docs",
        "/links/magic",
    ] {
        let (plain, other) = (server.get(path).send_checked().await, poisoned(server.get(path)).send_checked().await);
        assert_eq!((plain.is(200).status, &plain.text), (other.status, &other.text), "{path}");
        assert!(!format!("{other:?}").contains("evil"), "{path}: {other:?}");
    }
    // Whatever mails something, asked by somebody whose every header lies.
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let (mut asked, mut to) = (0, Vec::new());
    for call in Call::all(server).await.into_iter().filter(|call| call.method != Method::GET) {
        let mut wish = wish(server, &call, &root).await;
        let new = wish.about.replace("person", "moved");
        match call.path.as_str() {
            "/auth/login/magic/{email}" | "/auth/login/recover/{email}" => {
                wish.path = wish.path.replace("{email}", &wish.about);
            }
            "/auth/users/me" if call.method == Method::PUT => wish.body = json!({"email": new, "original": PASSWORD}),
            path if path.contains('{') || path.contains("everyone") => continue,
            _ => {}
        }
        let answer = poisoned(wish.request(server)).send_checked().await;
        assert!(answer.status < 500, "{}: {answer:?}", call.name());
        assert!(!answer.text.contains("evil"), "{}: {answer:?}", call.name());
        if let Some(token) = json_of(&answer)["access_token"].as_str() {
            let claims = server.verify(token).await.json()["claims"].clone();
            assert!(claims.is_null() || claims["iss"] == PUBLIC, "{}: {claims}", call.name());
        }
        to.extend([wish.about, new]);
        asked += usize::from(answer.status < 300);
    }
    assert!(asked >= 45, "{asked}");
    outbox::wait_until_queue_is_empty(server).await;
    let mails: Vec<_> = to.iter().flat_map(|to| outbox::mails(server, to)).collect();
    let links =
        mails.iter().flat_map(outbox::Mail::lines).filter(|line| line.starts_with("http") && !line.contains(' '));
    let links = links.collect::<Vec<_>>();
    assert!(links.len() >= 8, "{links:?}");
    assert!(links.iter().all(|link| link.starts_with(&format!("{PUBLIC}/"))), "{links:?}");
    assert!(mails.iter().all(|mail| !mail.source.contains("evil") && !mail.source.contains("198.51.100.66")));
    // Nor does a session say that it was opened from there.
    let person = server.create_user(&[]);
    let access = poisoned(server.sign_in_request(&person.email, PASSWORD)).send_checked().await.is(201).tokens().access;
    let listed = server.get("/sessions").bearer_auth(&access).send_checked().await.json();
    assert_eq!(listed["sessions"][0]["address"], "127.0.0.1");
}

mod limits {
    use super::*;

    fn plan(plan: Plan) -> Plan {
        plan.set("SIGNET_LIMITS__ENABLED", "true").set("SIGNET_LIMITS__SIGN_IN_ADDRESS", "6 per 1h")
    }

    over_both_stores!(plan; nobody_chooses_the_address_that_is_counted);

    async fn nobody_chooses_the_address_that_is_counted(server: &TestServer) {
        let names = [
            "x-forwarded-for",
            "forwarded",
            "x-real-ip",
            "x-client-ip",
            "true-client-ip",
            "cf-connecting-ip",
            "x-originating-ip",
            "x-cluster-client-ip",
            "fastly-client-ip",
            "x-remote-addr",
            "client-ip",
            "via",
        ];
        let answers = names.iter().enumerate().map(async |(number, name)| {
            let address = format!("192.0.2.{number}");
            let value = if *name == "forwarded" { format!("for={address}") } else { address };
            let nobody = format!("nobody-{number}@example.org");
            server.sign_in_request(&nobody, "no").header(*name, value).send_checked().await.status
        });
        let statuses = futures_util::future::join_all(answers).await;
        assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 6, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 429).count(), names.len() - 6, "{statuses:?}");
    }
}

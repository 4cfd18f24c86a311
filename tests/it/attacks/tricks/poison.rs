//! Forged proxy headers: without a trusted proxy they influence neither links in mails, metadata and tokens, nor rate
//! limits.

use super::*;
use crate::support::server::{over_both_stores, over_redis_and_postgres};
use crate::support::signet::Plan;

const PUBLIC: &str = "https://id.example.org";

over_redis_and_postgres!(|plan| plan.set("SIGNET_SERVER__PUBLIC_URL", PUBLIC);
    headers_do_not_influence_links_or_metadata);

/// The name that a forged header would bring into a response. It contains a full stop, because the random characters of a
/// token spell a short word now and then.
const FORGED_NAME: &str = "evil.example";

/// The headers that proxies set, forged by a client.
const FORGED_HEADERS: [(&str, &str); 14] = [
    ("host", "evil.example"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-server", "evil.example"),
    ("x-forwarded-proto", "evil.example"),
    ("x-forwarded-scheme", "evil.example"),
    ("x-forwarded-port", "666"),
    ("x-forwarded-prefix", "/evil.example"),
    ("x-forwarded-for", "198.51.100.66"),
    ("x-real-ip", "198.51.100.66"),
    ("x-host", "evil.example"),
    ("x-original-url", "/evil.example"),
    ("x-rewrite-url", "/evil.example"),
    ("forwarded", "for=198.51.100.66;host=evil.example;proto=evil.example"),
    ("origin", "https://evil.example"),
];

fn with_forged_headers(request: RequestBuilder) -> RequestBuilder {
    FORGED_HEADERS.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

async fn headers_do_not_influence_links_or_metadata(server: &TestServer) {
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/jwks.json",
        "/openapi.json",
        "/docs",
        "/links/magic",
    ] {
        let (plain, other) =
            (server.get(path).send_checked().await, with_forged_headers(server.get(path)).send_checked().await);
        assert_eq!((plain.is(200).status, &plain.text), (other.status, &other.text), "{path}");
        assert!(!format!("{other:?}").contains(FORGED_NAME), "{path}: {other:?}");
    }
    // Every call that sends mail, with all headers forged.
    let admin = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let (mut successful, mut recipients) = (0, Vec::new());
    let calls = ApiCall::all(server).await;
    server.prepare_users(calls.len(), &[]);
    for call in calls.into_iter().filter(|call| call.method != Method::GET) {
        let mut request = valid_request(server, &call, &admin).await;
        let new_email = request.email_of_row.replace("person", "moved");
        match call.path.as_str() {
            "/auth/login/magic/{email}" | "/auth/login/recover/{email}" => {
                request.path = request.path.replace("{email}", &request.email_of_row);
            }
            "/auth/users/me" if call.method == Method::PUT => {
                request.body = json!({"email": new_email, "original": PASSWORD})
            }
            path if path.contains('{') || path.contains("everyone") => continue,
            _ => {}
        }
        let response = with_forged_headers(request.build(server)).send_checked().await;
        assert!(response.status < 500, "{}: {response:?}", call.name());
        assert!(!response.text.contains(FORGED_NAME), "{}: {response:?}", call.name());
        if let Some(token) = json_body(&response)["access_token"].as_str() {
            let claims = server.verify(token).await.json()["claims"].clone();
            assert!(claims.is_null() || claims["iss"] == PUBLIC, "{}: {claims}", call.name());
        }
        recipients.extend([request.email_of_row, new_email]);
        successful += usize::from(response.status < 300);
    }
    assert!(successful >= 45, "{successful}");
    outbox::wait_until_queue_is_empty(server).await;
    let mails: Vec<_> = recipients.iter().flat_map(|recipient| outbox::mails(server, recipient)).collect();
    let links =
        mails.iter().flat_map(outbox::Mail::lines).filter(|line| line.starts_with("http") && !line.contains(' '));
    let links = links.collect::<Vec<_>>();
    assert!(links.len() >= 8, "{links:?}");
    assert!(links.iter().all(|link| link.starts_with(&format!("{PUBLIC}/"))), "{links:?}");
    assert!(mails.iter().all(|mail| !mail.source.contains(FORGED_NAME) && !mail.source.contains("198.51.100.66")));
    // The session does not list the forged address.
    let user = server.create_user(&[]);
    let access =
        with_forged_headers(server.sign_in_request(&user.email, PASSWORD)).send_checked().await.is(201).tokens().access;
    let listed = server.get("/sessions").bearer_auth(&access).send_checked().await.json();
    assert_eq!(listed["sessions"][0]["address"], "127.0.0.1");
}

mod limits {
    use super::*;

    fn plan(plan: Plan) -> Plan {
        plan.set("SIGNET_LIMITS__ENABLED", "true").set("SIGNET_LIMITS__SIGN_IN_ADDRESS", "6 per 1h")
    }

    over_both_stores!(plan; client_cannot_choose_its_rate_limit_address);

    async fn client_cannot_choose_its_rate_limit_address(server: &TestServer) {
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
        let responses = names.iter().enumerate().map(async |(number, name)| {
            let address = format!("192.0.2.{number}");
            let value = if *name == "forwarded" { format!("for={address}") } else { address };
            let unknown_email = format!("nobody-{number}@example.org");
            server.sign_in_request(&unknown_email, "no").header(*name, value).send_checked().await.status
        });
        let statuses = futures_util::future::join_all(responses).await;
        assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 6, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 429).count(), names.len() - 6, "{statuses:?}");
    }
}

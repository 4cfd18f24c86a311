//! Malformed and ambiguous credentials, forms, paths and texts, sent to every operation.
//!
//! Each gets a client error at most, and none is taken for something else.

mod multipart;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use crate::support::document::{Body, operations, plausible_value};
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan; unusual_texts_cause_no_server_error);

/// In every text of every body, path and query, as a superuser; among them NUL, which Postgres cannot store.
async fn unusual_texts_cause_no_server_error(server: &TestServer) {
    let texts = [
        "\0",
        "a\0b",
        "\u{1}\u{1f}\u{7f}",
        "\r\n",
        "\u{85}\u{2028}",
        "\u{ffff}\u{fdd0}",
        "\u{feff}",
        "\u{202e}evil",
        "\u{e0041}",
        "a\u{301}\u{301}\u{301}",
        "'\";--\\",
        "%00%ff%s%n{{7*7}}${x}",
        "<script>",
        "👩‍👩‍👧",
        "ﷺﷺﷺ",
        "\u{1d0a9}",
        "",
    ]
    .map(str::to_owned);
    let long = ["é".repeat(20_000), "[".repeat(30_000), "9".repeat(30_000), " ".repeat(30_000)];
    let operations = operations(server).await;
    server.prepare_users(operations.len(), &["--superuser", "--verified"]);
    for operation in operations {
        let user = server.create_user(&["--superuser", "--verified"]);
        let access = server.sign_in(&user).await.access;
        for field in operation.fields() {
            for text in texts.iter().chain(&long) {
                let fill = |name: &str| match name {
                    name if name == field && ["roles", "scopes", "tokens"].contains(&name) => json!([text]),
                    name if name == field => json!(text),
                    "user_email" | "email" => json!(format!("x{}", user.email)),
                    name => plausible_value(name),
                };
                let response = operation.request(server, &fill).bearer_auth(&access).send_checked().await;
                assert!(response.status < 500, "{} {field}={text:.60?}: {response:?}", operation.name());
            }
            // Valid JSON that is no valid text: half of a surrogate pair, a duplicate name.
            if let Body::Json(_) = operation.body {
                for value in
                    [r#""\ud800""#, r#""\udc00\ud800""#, r#""\uD83D""#, r#""a","email":null"#, "1e999", "-0", "1E+400"]
                {
                    let body = format!("{{\"{field}\":{value}}}");
                    let request = server.request(operation.method.clone(), &operation.path_with(&plausible_value));
                    let request = request.bearer_auth(&access).header("content-type", "application/json").body(body);
                    let response = request.send_checked().await;
                    assert!(response.status < 500, "{} {field}={value}: {response:?}", operation.name());
                }
            }
        }
        for text in [
            "%00",
            "%ff",
            "a%00b@example.org",
            "%ed%a0%80",
            "%c0%af",
            "%252f",
            "..%2f..",
            "%0d%0ax:y",
            "%f0%9f%92%a9",
            // In each parameter: together they must fit into the head of a request.
            &"%41".repeat(300),
        ] {
            let path = operation.path_with(&|_| json!("HERE")).replace("HERE", text);
            let query = operation.query.iter().map(|name| format!("{name}={text}")).collect::<Vec<_>>().join("&");
            let response = server
                .request(operation.method.clone(), &format!("{path}?{query}&{text}"))
                .bearer_auth(&access)
                .send_checked()
                .await;
            assert!(response.status < 500, "{} {text:.40}: {response:?}", operation.name());
        }
    }
}

/// Credentials of every kind, alone and next to each other, for every operation.
#[tokio::test]
async fn invalid_credentials_are_refused() {
    let server = &TestServer::embedded(|plan| plan);
    let valid = server.sign_in(&server.create_user(&[])).await.access;
    let long = "A".repeat(6 * 1024);
    let dots = format!("Bearer {}", ".".repeat(4000));
    let fields: Vec<Vec<u8>> = [
        &b"\xff"[..],
        b"\x80\x81",
        b"Bearer \xff\xfe",
        b"Bearer \xc3\x28.\xa0\xa1.\xe2\x28\xa1",
        b"Bearer",
        b"Bearer ",
        b"bearer\ta.b.c",
        b"Bearer a.b.c",
        b"Bearer ..",
        b"Bearer .",
        b"Bearer null",
        b"Bearer undefined",
        b"Bearer {}",
        b"Bearer Bearer x",
        b"Bearer sk_",
        b"Bearer sk_aaaaaaaaaaaa_",
        b"Bearer sk_\xff",
        b"Basic",
        b"Basic ",
        b"Basic !!!",
        b"Basic AP8=",
        b"Basic Og==",
        b"Basic //8=",
        b"Basic YTpi",
        b"Basic =",
        b"Digest username=\"a\", realm=\"\xff\"",
        b"Negotiate TlRMTVNTUAABAAAA",
        b"NTLM TlRM",
        b"AWS4-HMAC-SHA256 Credential=x/y",
        b"HOBA result=\"x\"",
        b",",
        b"=",
        b"Bearer a, Basic b",
        b"Bearer,a.b.c",
        b"  ",
        b"Bearer eyJhbGciOiJub25lIn0..",
        dots.as_bytes(),
        long.as_bytes(),
    ]
    .map(<[u8]>::to_vec)
    .into_iter()
    .chain(
        [
            format!("Bearer {long}"),
            format!("Basic {long}"),
            format!("Token {valid}"),
            format!("Bearer\u{a0}{valid}"),
            valid.clone(),
        ]
        .map(String::into_bytes),
    )
    .collect();
    let (mut attempts, mut protected) = (0, operations(server).await);
    // Operations without authentication ignore credentials.
    protected.retain(|operation| !operation.schemes.is_empty());
    for operation in protected {
        let request = |operation: &crate::support::document::Operation| operation.request(server, &plausible_value);
        let assert_client_error = |what: &[u8], response: &HttpResponse| {
            assert!(
                (400..500).contains(&response.status),
                "{} {}: {response:?}",
                operation.name(),
                String::from_utf8_lossy(what)
            );
        };
        for field in &fields {
            let value = HeaderValue::from_bytes(field).unwrap();
            assert_client_error(field, &request(&operation).header("authorization", &value).send_checked().await);
            assert_client_error(field, &request(&operation).header("x-api-key", &value).send_checked().await);
            assert_client_error(
                field,
                &request(&operation).header("x-api-key", &value).header("authorization", &value).send_checked().await,
            );
            // Next to a valid one, in either order: a proxy may have checked the other.
            let valid = HeaderValue::from_str(&format!("Bearer {valid}")).unwrap();
            if operation.schemes.iter().any(|scheme| scheme == "access_token") {
                for order in [[&value, &valid], [&valid, &value]] {
                    assert_client_error(
                        field,
                        &order
                            .iter()
                            .fold(request(&operation), |request, one| request.header("authorization", *one))
                            .send_checked()
                            .await,
                    );
                }
            }
            attempts += 1;
        }
        let many = (0..60)
            .fold(request(&operation), |request, number| request.header("authorization", format!("Bearer {number}")));
        assert_client_error(b"many", &many.send_checked().await);
    }
    assert!(attempts > 1000, "{attempts}");
    server.get("/sessions").bearer_auth(&valid).send_checked().await.is(200);
}

/// The operations that take a form.
const FORMS: [&str; 5] = ["/api/auth/login", "/auth/login/oauth", "/oauth/token", "/oauth/introspect", "/oauth/revoke"];

#[tokio::test]
async fn malformed_forms_are_refused() {
    let server = &TestServer::embedded(|plan| plan);
    let user = server.create_user(&["--verified"]);
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let long = "a".repeat(30_000);
    for path in FORMS {
        for body in [
            "%",
            "%0",
            "%zz",
            "%u0041=%u0042",
            "%00=%00",
            "%ff=%fe",
            "=",
            "==",
            "&",
            "&=&=&",
            "a",
            "a=b;c=d",
            "username[]=a&username[b]=c",
            "username%00=a&password=b",
            "\u{feff}username=a&password=b",
            "{\"username\":\"a\"}",
            "--x\r\n\r\n--x--",
            "grant_type=refresh_token&grant_type=client_credentials&refresh_token=a&refresh_token=b",
            "username=a&username=b&password=c",
            "grant_type=%ff",
            "grant_type=refresh_token&refresh_token=%00",
            &"&".repeat(60_000),
            &"a=b&".repeat(15_000),
            &"username=a&".repeat(5000),
            &format!("{long}={long}"),
            &format!("username={long}&password={long}"),
        ] {
            for media_type in ["application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-16"]
            {
                let response =
                    server.post(path).header("content-type", media_type).body(body.to_owned()).send_checked().await;
                let refused = (400..500).contains(&response.status) && !response.text.contains("access_token");
                assert!(refused, "{path} {body:.60}: {response:?}");
            }
        }
    }
    // A form with every byte percent-encoded is valid; a form in another charset is not.
    let (name, password) = (encoded(&user.username), encoded(PASSWORD));
    let form = format!("{}={name}&{}={password}", encoded("username"), encoded("password"));
    let send = |media_type: &str, body: Vec<u8>| {
        server.post("/api/auth/login").header("content-type", media_type).body(body).send_checked()
    };
    send("application/x-www-form-urlencoded", form.clone().into_bytes()).await.is(200);
    let wide: Vec<u8> = form.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!((400..500).contains(&send("application/x-www-form-urlencoded", wide).await.status));
    for media_type in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded2",
        "multipart/form-data",
        "multipart/mixed; boundary=x",
        "*/*",
        "application/json",
    ] {
        assert_eq!(send(media_type, form.clone().into_bytes()).await.status, 415, "{media_type}");
    }
}

/// A path has one spelling: no other one leads to the same operation.
#[tokio::test]
async fn alternative_spellings_of_paths_are_refused() {
    let server = &TestServer::embedded(|plan| plan);
    let superuser = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let address = server.signet.url_of("").trim_start_matches("http://").to_owned();
    let mut attempts = 0;
    for operation in operations(server).await {
        let path = operation.path_with(&plausible_value);
        let path = path.trim_end_matches('/');
        let inner = path.trim_start_matches('/');
        let (first, rest) = inner.split_once('/').unwrap_or((inner, ""));
        let mut spellings = vec![
            format!("//{inner}"),
            format!("/./{inner}"),
            format!("/x/../{inner}"),
            format!("/%2e/{inner}"),
            format!("/{inner}//"),
            format!("/{inner}/."),
            format!("/%2f{inner}"),
            format!("/%5c{inner}"),
            format!("\\{inner}"),
            format!("/x/%2e%2e/{inner}"),
            format!("/{}", inner.replacen(&first[..1], &format!("%{:02x}", first.as_bytes()[0]), 1)),
        ];
        // If the last segment is a parameter, these are valid parameters too.
        if !operation.path.ends_with('}') {
            spellings.extend([
                format!("/{inner}%2f"),
                format!("/{inner}%3fx"),
                format!("/{inner}%00"),
                format!("/{inner};x=1"),
                format!("/{inner}%20"),
                format!("/{inner}."),
                format!("/{inner}.json"),
                format!("/{}", inner.to_uppercase()),
            ]);
        }
        if !rest.is_empty() {
            spellings.extend([
                format!("/{first}//{rest}"),
                format!("/{first}/./{rest}"),
                format!("/{first}%2f{rest}"),
                format!("/{first}\\{rest}"),
            ]);
        }
        // It takes every path below its own.
        if operation.path == "/verify/proxy" {
            spellings.retain(|spelling| !spelling.starts_with("/verify/proxy/"));
        }
        for spelling in spellings {
            let response = send_raw(&address, &operation.method, &spelling, &superuser).await;
            let status: u16 = response.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
            assert!((400..500).contains(&status), "{} as {spelling}: {response}", operation.name());
            attempts += 1;
        }
    }
    assert!(attempts > 500, "{attempts}");
    server.get("/sessions").bearer_auth(&superuser).send_checked().await.is(200);
}

/// Sends the path byte for byte: a client library would normalize it.
async fn send_raw(address: &str, method: &Method, path: &str, bearer: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {bearer}\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    String::from_utf8_lossy(&response).into_owned()
}

#[tokio::test]
async fn oversized_heads_are_refused() {
    let server = TestServer::embedded(|plan| plan);
    let flood = |count: usize, size: usize| {
        let value = "v".repeat(size);
        (0..count).fold(server.get("/verify"), |request, number| request.header(format!("x-{number}"), &value))
    };
    for (count, size, status) in
        [(90, 10, 401), (200, 10, 431), (2000, 1, 431), (3, 4000, 401), (5, 4000, 431), (1, 17_000, 431)]
    {
        let response = flood(count, size).send().await;
        // The server may close the connection when it refuses a head that is not sent completely.
        let actual = response.map_or(431, |response| response.status().as_u16());
        assert_eq!(actual, status, "{count} × {size}");
    }
    let long: Value = json!({"token": "x"});
    server.post(&format!("/verify?{}", "q".repeat(12_000))).json(&long).send_checked().await.is(401);
    let longer = server.post(&format!("/verify?{}", "q".repeat(20_000))).json(&long).send().await;
    assert!(longer.is_err() || [414, 431].contains(&longer.unwrap().status().as_u16()));
    server.get("/verify").send_checked().await.is(401);
}

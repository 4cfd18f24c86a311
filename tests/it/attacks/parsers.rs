//! Requests that are made to be misread: credentials, forms, paths and texts of anybody's making, to every call there is.
//!
//! None is more than a client's fault, and none is understood as something that it is not.

use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::document::{Body, operations, plausible_value};
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan; texts_that_no_store_takes);

/// What no store has a say in.
#[tokio::test]
async fn misread() {
    let server = TestServer::embedded(|plan| plan);
    Box::pin(credentials_that_are_none(&server)).await;
    Box::pin(forms_that_are_none(&server)).await;
    Box::pin(multipart_that_is_none(&server)).await;
    Box::pin(paths_that_are_nobodys(&server)).await;
}

/// In every text of every body, path and query, with the rights of a superuser: a NUL, which Postgres does not keep, among them.
async fn texts_that_no_store_takes(server: &TestServer) {
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
    for call in operations(server).await {
        let who = server.create_user(&["--superuser", "--verified"]);
        let access = server.sign_in(&who).await.access;
        for field in call.fields() {
            for text in texts.iter().chain(&long) {
                let fill = |name: &str| match name {
                    name if name == field && ["roles", "scopes", "tokens"].contains(&name) => json!([text]),
                    name if name == field => json!(text),
                    "user_email" | "email" => json!(format!("x{}", who.email)),
                    name => plausible_value(name),
                };
                let answer = call.request(server, &fill).bearer_auth(&access).send_checked().await;
                assert!(answer.status < 500, "{} {field}={text:.60?}: {answer:?}", call.name());
            }
            // What JSON can say and a text cannot: half of a pair of surrogates, twice the same name.
            if let Body::Json(_) = call.body {
                for value in
                    [r#""\ud800""#, r#""\udc00\ud800""#, r#""\uD83D""#, r#""a","email":null"#, "1e999", "-0", "1E+400"]
                {
                    let body = format!("{{\"{field}\":{value}}}");
                    let request = server.request(call.method.clone(), &call.path_with(&plausible_value));
                    let request = request.bearer_auth(&access).header("content-type", "application/json").body(body);
                    let answer = request.send_checked().await;
                    assert!(answer.status < 500, "{} {field}={value}: {answer:?}", call.name());
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
            &"%41".repeat(1000),
        ] {
            let path = call.path_with(&|_| json!("HERE")).replace("HERE", text);
            let query = call.query.iter().map(|name| format!("{name}={text}")).collect::<Vec<_>>().join("&");
            let answer = server
                .request(call.method.clone(), &format!("{path}?{query}&{text}"))
                .bearer_auth(&access)
                .send_checked()
                .await;
            assert!(answer.status < 500, "{} {text:.40}: {answer:?}", call.name());
        }
    }
}

/// Credentials of every kind, alone and beside one another, on every call.
async fn credentials_that_are_none(server: &TestServer) {
    let good = server.sign_in(&server.create_user(&[])).await.access;
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
            format!("Token {good}"),
            format!("Bearer\u{a0}{good}"),
            good.clone(),
        ]
        .map(String::into_bytes),
    )
    .collect();
    let (mut tried, mut asked) = (0, operations(server).await);
    // A call that is for everybody answers everybody; what it says to nobody is what it says to these.
    asked.retain(|call| !call.schemes.is_empty());
    for call in asked {
        let request = |call: &crate::support::document::Operation| call.request(server, &plausible_value);
        let holds = |what: &[u8], answer: &HttpResponse| {
            assert!(
                (400..500).contains(&answer.status),
                "{} {}: {answer:?}",
                call.name(),
                String::from_utf8_lossy(what)
            );
        };
        for field in &fields {
            let value = HeaderValue::from_bytes(field).unwrap();
            holds(field, &request(&call).header("authorization", &value).send_checked().await);
            holds(field, &request(&call).header("x-api-key", &value).send_checked().await);
            holds(
                field,
                &request(&call).header("x-api-key", &value).header("authorization", &value).send_checked().await,
            );
            // Beside one that is good, whichever comes first: a proxy may have looked at the other.
            let good = HeaderValue::from_str(&format!("Bearer {good}")).unwrap();
            if call.schemes.iter().any(|scheme| scheme == "access_token") {
                for both in [[&value, &good], [&good, &value]] {
                    holds(
                        field,
                        &both
                            .iter()
                            .fold(request(&call), |request, one| request.header("authorization", *one))
                            .send_checked()
                            .await,
                    );
                }
            }
            tried += 1;
        }
        let many =
            (0..60).fold(request(&call), |request, number| request.header("authorization", format!("Bearer {number}")));
        holds(b"many", &many.send_checked().await);
    }
    assert!(tried > 1000, "{tried}");
    server.get("/sessions").bearer_auth(&good).send_checked().await.is(200);
}

/// The calls that take a form.
const FORMS: [&str; 5] = ["/api/auth/login", "/auth/login/oauth", "/oauth/token", "/oauth/introspect", "/oauth/revoke"];

async fn forms_that_are_none(server: &TestServer) {
    let who = server.create_user(&["--verified"]);
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
                let answer =
                    server.post(path).header("content-type", media_type).body(body.to_owned()).send_checked().await;
                let refused = (400..500).contains(&answer.status) && !answer.text.contains("access_token");
                assert!(refused, "{path} {body:.60}: {answer:?}");
            }
        }
    }
    // Every byte encoded is the same form; another charset's is none.
    let (name, password) = (encoded(&who.username), encoded(PASSWORD));
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

async fn multipart_that_is_none(server: &TestServer) {
    let who = server.create_user(&["--verified"]);
    let field =
        |name: &str, value: &str| format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let (user, password) = (field("username", &who.username), field("password", PASSWORD));
    let good = format!("{user}{password}--B--\r\n");
    let send = |boundary: &str, body: String| -> RequestBuilder {
        server.post("/api/auth/login").header("content-type", format!("multipart/form-data; {boundary}")).body(body)
    };
    for (boundary, body) in [
        ("boundary=B", good.clone()),
        ("boundary=\"B\"", good.clone()),
        ("charset=utf-8; BOUNDARY=B", good.clone()),
        ("boundary=B", format!("preamble\r\n{good}epilogue")),
        (
            "boundary=B",
            format!(
                "{user}--B \t\r\nX: y\r\nContent-Disposition: form-data; name=password\r\nContent-Type: text/plain\r\n\r\n{PASSWORD}\r\n--B--"
            ),
        ),
    ] {
        send(boundary, body).send_checked().await.is(200);
    }
    let part = |head: &str| format!("{user}--B\r\n{head}\r\n\r\n{PASSWORD}\r\n--B--\r\n");
    let bare = good.replace("\r\n", "\n");
    for (boundary, body) in [
        ("", good.clone()),
        ("boundary=", good.clone()),
        ("boundary=\"\"", good.clone()),
        ("boundary=C", good.clone()),
        ("boundary=b", good.clone()),
        ("boundary=-B", good.clone()),
        ("boundary=\"B", good.clone()),
        ("boundary=C; boundary=B", good.clone()),
        ("boundary=B", bare),
        ("boundary=B", good.replace("\r\n", "\r")),
        ("boundary=B", good.replace("\r\n\r\n", "\r\n")),
        ("boundary=B", good.trim_end().trim_end_matches("--").to_owned()),
        ("boundary=B", format!("{user}{}", password.trim_end())),
        ("boundary=B", format!("{user}--B--\r\n{password}--B--\r\n")),
        ("boundary=B", part("Content-Disposition: form-data; name=\"password\"; filename=\"x\"")),
        ("boundary=B", part("Content-Disposition: form-data; name=\"password\"; filename*=utf-8''x")),
        ("boundary=B", part("Content-Disposition: attachment; name=\"password\"")),
        ("boundary=B", part("Content-Disposition: form-data; name=\"password")),
        ("boundary=B", part("Content-Disposition:\r\n form-data; name=\"password\"")),
        ("boundary=B", part("Content-Disposition form-data; name=\"password\"")),
        ("boundary=B", part("X-Content-Disposition: form-data; name=\"password\"")),
        ("boundary=B", part("Content-Disposition: form-data; xname=\"password\"")),
        ("boundary=B", part("Content-Disposition: form-data; name=\"password\\\"\"")),
        ("boundary=B", part(&format!("Content-Disposition: form-data; name=\"{}\"", "password".repeat(1000)))),
        (
            "boundary=B",
            format!(
                "{user}--B\r\nContent-Type: multipart/mixed; boundary=C\r\n\r\n--C\r\n{}--C--\r\n--B--",
                &password[5..]
            ),
        ),
        ("boundary=B", format!("{}{good}", field("x", "y").repeat(300))),
        ("boundary=B", format!("{user}{}", "--B\r\n".repeat(10_000))),
        ("boundary=B", "--B".repeat(20_000)),
        ("boundary=B", format!("{user}{}--B--", "--B\r\n\r\n\r\n".repeat(200))),
    ] {
        let answer = send(boundary, body.clone()).send_checked().await;
        assert!((400..500).contains(&answer.status), "{boundary} {body:.200}: {answer:?}");
    }
    let longest = "b".repeat(70);
    send(&format!("boundary={longest}"), good.replace("--B", &format!("--{longest}"))).send_checked().await.is(200);
    let longer = "b".repeat(71);
    send(&format!("boundary={longer}"), good.replace("--B", &format!("--{longer}"))).send_checked().await.is(415);
}

/// A path has one spelling: no other leads where it leads.
async fn paths_that_are_nobodys(server: &TestServer) {
    let superuser = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let address = server.signet.url_of("").trim_start_matches("http://").to_owned();
    let mut tried = 0;
    for call in operations(server).await {
        let path = call.path_with(&plausible_value);
        let path = path.trim_end_matches('/');
        let inner = path.trim_start_matches('/');
        let (first, rest) = inner.split_once('/').unwrap_or((inner, ""));
        let mut others = vec![
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
        // Where the last segment is a parameter, these are parameters too.
        if !call.path.ends_with('}') {
            others.extend([
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
            others.extend([
                format!("/{first}//{rest}"),
                format!("/{first}/./{rest}"),
                format!("/{first}%2f{rest}"),
                format!("/{first}\\{rest}"),
            ]);
        }
        for other in others {
            let said = raw(&address, &call.method, &other, &superuser).await;
            let status: u16 = said.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
            assert!((400..500).contains(&status), "{} as {other}: {said}", call.name());
            tried += 1;
        }
    }
    assert!(tried > 500, "{tried}");
    server.get("/sessions").bearer_auth(&superuser).send_checked().await.is(200);
}

/// Byte for byte: a client library would tidy the path up.
async fn raw(address: &str, method: &Method, path: &str, bearer: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {bearer}\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

/// What is bounded is bounded whatever it is written in.
#[tokio::test]
async fn heads_that_are_too_much() {
    let server = TestServer::embedded(|plan| plan);
    let flood = |count: usize, size: usize| {
        let value = "v".repeat(size);
        (0..count).fold(server.get("/verify"), |request, number| request.header(format!("x-{number}"), &value))
    };
    for (count, size, status) in
        [(90, 10, 401), (200, 10, 431), (2000, 1, 431), (3, 4000, 401), (5, 4000, 431), (1, 17_000, 431)]
    {
        let answer = flood(count, size).send().await;
        // What is refused before it was sent whole may cost its connection.
        let status_found = answer.map_or(431, |answer| answer.status().as_u16());
        assert_eq!(status_found, status, "{count} × {size}");
    }
    let long: Value = json!({"token": "x"});
    server.post(&format!("/verify?{}", "q".repeat(12_000))).json(&long).send_checked().await.is(401);
    let longer = server.post(&format!("/verify?{}", "q".repeat(20_000))).json(&long).send().await;
    assert!(longer.is_err() || [414, 431].contains(&longer.unwrap().status().as_u16()));
    server.get("/verify").send_checked().await.is(401);
}

//! Malformed bodies of `multipart/form-data`.

use reqwest::RequestBuilder;

use crate::support::server::{PASSWORD, SendRequest, TestServer};

#[tokio::test]
async fn malformed_multipart_is_refused() {
    let server = &TestServer::embedded(|plan| plan);
    let user = server.create_user(&["--verified"]);
    let field =
        |name: &str, value: &str| format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let (username, password) = (field("username", &user.username), field("password", PASSWORD));
    let valid = format!("{username}{password}--B--\r\n");
    let send = |boundary: &str, body: String| -> RequestBuilder {
        server.post("/api/auth/login").header("content-type", format!("multipart/form-data; {boundary}")).body(body)
    };
    for (boundary, body) in [
        ("boundary=B", valid.clone()),
        ("boundary=\"B\"", valid.clone()),
        ("charset=utf-8; BOUNDARY=B", valid.clone()),
        ("boundary=B", format!("preamble\r\n{valid}epilogue")),
        (
            "boundary=B",
            format!(
                "{username}--B \t\r\nX: y\r\nContent-Disposition: form-data; name=password\r\nContent-Type: text/plain\r\n\r\n{PASSWORD}\r\n--B--"
            ),
        ),
    ] {
        send(boundary, body).send_checked().await.is(200);
    }
    let part = |head: &str| format!("{username}--B\r\n{head}\r\n\r\n{PASSWORD}\r\n--B--\r\n");
    let bare = valid.replace("\r\n", "\n");
    for (boundary, body) in [
        ("", valid.clone()),
        ("boundary=", valid.clone()),
        ("boundary=\"\"", valid.clone()),
        ("boundary=C", valid.clone()),
        ("boundary=b", valid.clone()),
        ("boundary=-B", valid.clone()),
        ("boundary=\"B", valid.clone()),
        ("boundary=C; boundary=B", valid.clone()),
        ("boundary=B", bare),
        ("boundary=B", valid.replace("\r\n", "\r")),
        ("boundary=B", valid.replace("\r\n\r\n", "\r\n")),
        ("boundary=B", valid.trim_end().trim_end_matches("--").to_owned()),
        ("boundary=B", format!("{username}{}", password.trim_end())),
        ("boundary=B", format!("{username}--B--\r\n{password}--B--\r\n")),
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
                "{username}--B\r\nContent-Type: multipart/mixed; boundary=C\r\n\r\n--C\r\n{}--C--\r\n--B--",
                &password[5..]
            ),
        ),
        ("boundary=B", format!("{}{valid}", field("x", "y").repeat(300))),
        ("boundary=B", format!("{username}{}", "--B\r\n".repeat(10_000))),
        ("boundary=B", "--B".repeat(20_000)),
        ("boundary=B", format!("{username}{}--B--", "--B\r\n\r\n\r\n".repeat(200))),
    ] {
        let response = send(boundary, body.clone()).send_checked().await;
        assert!((400..500).contains(&response.status), "{boundary} {body:.200}: {response:?}");
    }
    let longest = "b".repeat(70);
    send(&format!("boundary={longest}"), valid.replace("--B", &format!("--{longest}"))).send_checked().await.is(200);
    let longer = "b".repeat(71);
    send(&format!("boundary={longer}"), valid.replace("--B", &format!("--{longer}"))).send_checked().await.is(415);
}

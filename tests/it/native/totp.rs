//! The second factor, managed here alone: begun, shown as a picture that a reader reads, turned on, used, turned off.

use serde_json::json;

use crate::support::outbox;
use crate::support::server::{HttpResponse, PASSWORD, Person, SendRequest, TestServer, over_both_stores};
use crate::support::totp::{code, wrong_code};

over_both_stores!(|plan| plan;
    it_is_begun_turned_on_asked_for_and_turned_off,
    the_picture_says_what_is_pending,
    the_picture_is_drawn_as_it_is_asked_for,
    who_has_no_password_needs_none,
    requests_that_will_not_do,
);

async fn begin(server: &TestServer, access: &str) -> (String, String) {
    let answer = server.post("/totp").bearer_auth(access).send_checked().await;
    assert_eq!(answer.is(201).header("cache-control"), "no-store");
    let body = answer.json();
    let text = |field: &str| body[field].as_str().unwrap().to_owned();
    (text("key"), text("uri"))
}

async fn turn_on(server: &TestServer, access: &str, code: &str, password: Option<&str>) -> HttpResponse {
    let put = server.request(reqwest::Method::PUT, "/totp").bearer_auth(access);
    put.json(&json!({"code": code, "password": password})).send_checked().await
}

async fn turn_off(server: &TestServer, access: &str, password: &str) -> HttpResponse {
    server.delete("/totp").bearer_auth(access).json(&json!({"password": password})).send_checked().await
}

async fn sign_in(server: &TestServer, person: &Person, code: &str) -> HttpResponse {
    let body = json!({"email": person.email, "password": PASSWORD, "totp_code": code});
    server.post("/sessions").json(&body).send_checked().await
}

async fn it_is_begun_turned_on_asked_for_and_turned_off(server: &TestServer) {
    let person = server.person(&[]);
    let access = server.sign_in(&person).await.access;
    let (key, _) = begin(server, &access).await;
    server.sign_in(&person).await;
    turn_on(server, &access, &wrong_code(&key), Some(PASSWORD)).await.is_problem(400, "second-factor-not-on");
    turn_on(server, &access, &code(&key, 0), Some("not it")).await.is_problem(400, "second-factor-not-on");
    turn_on(server, &access, &code(&key, 0), None).await.is_problem(400, "second-factor-not-on");
    let (shown, next) = (code(&key, 0), code(&key, 1));
    let answer = turn_on(server, &access, &shown, Some(PASSWORD)).await;
    assert_eq!(answer.is(200).header("cache-control"), "no-store");
    let recovery = answer.json()["recovery_codes"].as_array().unwrap().clone();
    assert_eq!(recovery.len(), 10);
    outbox::next(server, &person.email, 0).await;
    turn_on(server, &access, &next, Some(PASSWORD)).await.is_problem(409, "second-factor-already-on");

    server.try_sign_in(&person.email, PASSWORD).await.is_problem(401, "totp-required");
    sign_in(server, &person, &shown).await.is_problem(401, "wrong-second-factor");
    sign_in(server, &person, &next).await.is(201);
    sign_in(server, &person, recovery[3].as_str().unwrap()).await.is(201);
    sign_in(server, &person, recovery[3].as_str().unwrap()).await.is_problem(401, "wrong-second-factor");

    turn_off(server, &access, "not it").await.is_problem(400, "second-factor-not-off");
    server.delete("/totp").bearer_auth(&access).send_checked().await.is_problem(400, "second-factor-not-off");
    assert_eq!(turn_off(server, &access, PASSWORD).await.is(204).text, "");
    outbox::next(server, &person.email, 1).await;
    turn_off(server, &access, PASSWORD).await.is_problem(409, "second-factor-already-off");
    server.sign_in(&person).await;
}

async fn the_picture_says_what_is_pending(server: &TestServer) {
    // Long, and with letters that must be escaped: a large code.
    let email = format!("{}+ü'{}@bücher.example", "o".repeat(30), "é".repeat(10));
    server.plan().user(&email, PASSWORD, &[]);
    let long = server.try_sign_in(&email, PASSWORD).await.is(201).tokens().access;
    let short = server.sign_in(&server.person(&[])).await.access;
    for access in [&long, &short] {
        let picture = async |format: &str| {
            let answer = server.get(&format!("/totp/qr?format={format}")).bearer_auth(access).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["cache-control"], "no-store");
            (answer.headers()["content-type"].to_str().unwrap().to_owned(), answer.bytes().await.unwrap())
        };
        server.get("/totp/qr").bearer_auth(access).send_checked().await.is_problem(404, "absent");
        begin(server, access).await;
        // Only the latest is pending. It may be begun by another call: that of another dialect has the same uri.
        let (_, uri) = begin(server, access).await;
        let (kind, png) = picture("png").await;
        assert_eq!((kind.as_str(), read(&Grey::of_png(&png))), ("image/png", uri.clone()));
        let (kind, svg) = picture("svg").await;
        let svg = std::str::from_utf8(&svg).unwrap();
        assert_eq!((kind.as_str(), read(&Grey::of_svg(svg))), ("image/svg+xml", uri));
    }
}

async fn the_picture_is_drawn_as_it_is_asked_for(server: &TestServer) {
    let access = server.sign_in(&server.person(&[])).await.access;
    begin(server, &access).await;
    for (query, accept, kind) in [
        ("", "", "image/png"),
        ("", "*/*", "image/png"),
        ("", "image/svg+xml,*/*;q=0.1", "image/svg+xml"),
        ("?format=png", "image/svg+xml", "image/png"),
        ("?format=svg", "image/png", "image/svg+xml"),
    ] {
        let answer = server.get(&format!("/totp/qr{query}")).bearer_auth(&access).header("accept", accept);
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], kind, "{query} {accept}");
        assert_eq!(answer.headers()["vary"], "accept");
    }
    server.get("/totp/qr?format=gif").bearer_auth(&access).send_checked().await.is_problem(400, "fields");
}

async fn who_has_no_password_needs_none(server: &TestServer) {
    let person = server.person(&[]);
    let access = server.sign_in(&person).await.access;
    server.sql(&format!("UPDATE users SET password_hash = NULL WHERE email = '{}'", person.email)).await;
    let (key, _) = begin(server, &access).await;
    turn_on(server, &access, &code(&key, 0), None).await.is(200);
    server.delete("/totp").bearer_auth(&access).send_checked().await.is(204);
}

async fn requests_that_will_not_do(server: &TestServer) {
    let person = server.person(&[]);
    let (key, _) = server.api_key(&person, &["admin"]);
    for (method, path) in [("POST", "/totp"), ("GET", "/totp/qr"), ("PUT", "/totp"), ("DELETE", "/totp")] {
        let ask = || server.request(method.parse().unwrap(), path).json(&json!({"code": "123456"}));
        ask().send_checked().await.is_problem(401, "no-credentials");
        ask().bearer_auth("x").send_checked().await.is_problem(401, "bad-credentials");
        ask().bearer_auth(&key).send_checked().await.is_problem(403, "not-permitted");
    }
    let access = server.sign_in(&person).await.access;
    turn_on(server, &access, "123456", Some(PASSWORD)).await.is_problem(400, "second-factor-not-on");
    let put = server.request(reqwest::Method::PUT, "/totp").bearer_auth(&access).json(&json!({}));
    put.send_checked().await.is_problem(400, "fields");
    let delete = server.delete("/totp").bearer_auth(&access).header("content-type", "text/plain").body("x");
    delete.send_checked().await.is_problem(415, "unsupported-media-type");
}

/// A picture, a byte a pixel; 0 is black.
struct Grey {
    width: usize,
    pixels: Vec<u8>,
}

impl Grey {
    fn of_png(bytes: &[u8]) -> Self {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(
            (info.width, info.color_type, info.bit_depth),
            (info.height, png::ColorType::Grayscale, png::BitDepth::Eight)
        );
        reader.finish().unwrap();
        Self { width: info.width as usize, pixels }
    }

    /// Four pixels a unit, as it says itself: black rectangles on white.
    fn of_svg(svg: &str) -> Self {
        let side: usize = between(svg, "viewBox=\"0 0 ", " ").parse().unwrap();
        let mut grey = Self { width: 4 * side, pixels: vec![255; 16 * side * side] };
        for run in svg.rsplit("<path d=\"").next().unwrap().split('M').skip(1) {
            let (x, y) = run.split_once('h').unwrap().0.split_once(' ').unwrap();
            let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
            let length: usize = between(run, "h", "v").parse().unwrap();
            for row in 4 * y..4 * (y + 1) {
                let begin = row * grey.width + 4 * x;
                grey.pixels[begin..begin + 4 * length].fill(0);
            }
        }
        grey
    }
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    text.split_once(begin).unwrap().1.split_once(end).unwrap().0
}

/// What a reader reads in it.
fn read(picture: &Grey) -> String {
    let at = |x: usize, y: usize| picture.pixels[y * picture.width + x];
    let dark = (0..picture.width).find(|y| (0..picture.width).any(|x| at(x, *y) == 0)).unwrap();
    let module = (dark..).take_while(|place| at(*place, dark) == 0).count() / 7;
    assert!(module >= 4 && dark >= 4 * module, "modules of {module} pixels, a margin of {dark}");
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(picture.width, picture.width, at);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().unwrap().1
}

//! `/totp`: enrollment, QR code, enabling, use and disabling of the second factor.

use serde_json::json;

use crate::support::outbox;
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, TestUser, over_both_stores};
use crate::support::totp::{code, wrong_code};

over_both_stores!(|plan| plan;
    enroll_enable_sign_in_and_disable,
    qr_code_contains_the_pending_enrollment,
    qr_code_format_is_negotiated,
    enrollment_belongs_to_the_session_that_began_it,
    passwordless_user_needs_no_password,
    invalid_requests_are_rejected,
);

async fn enroll(server: &TestServer, access: &str) -> (String, String) {
    let response = server.post("/totp").bearer_auth(access).send_checked().await;
    assert_eq!(response.is(201).header("cache-control"), "no-store");
    let body = response.json();
    let text = |field: &str| body[field].as_str().unwrap().to_owned();
    (text("key"), text("uri"))
}

async fn enable(server: &TestServer, access: &str, code: &str, password: Option<&str>) -> HttpResponse {
    let put = server.request(reqwest::Method::PUT, "/totp").bearer_auth(access);
    put.json(&json!({"code": code, "password": password})).send_checked().await
}

async fn disable(server: &TestServer, access: &str, password: &str) -> HttpResponse {
    server.delete("/totp").bearer_auth(access).json(&json!({"password": password})).send_checked().await
}

async fn sign_in(server: &TestServer, user: &TestUser, code: &str) -> HttpResponse {
    let body = json!({"email": user.email, "password": PASSWORD, "totp_code": code});
    server.post("/sessions").json(&body).send_checked().await
}

async fn enroll_enable_sign_in_and_disable(server: &TestServer) {
    let user = server.create_user(&[]);
    let access = server.sign_in(&user).await.access;
    let (key, _) = enroll(server, &access).await;
    server.sign_in(&user).await;
    enable(server, &access, &wrong_code(&key), Some(PASSWORD)).await.is_problem(400, "mfa_enable_failed");
    enable(server, &access, &code(&key, 0), Some("not it")).await.is_problem(400, "mfa_enable_failed");
    enable(server, &access, &code(&key, 0), None).await.is_problem(400, "mfa_enable_failed");
    let (shown, next) = (code(&key, 0), code(&key, 1));
    let response = enable(server, &access, &shown, Some(PASSWORD)).await;
    assert_eq!(response.is(200).header("cache-control"), "no-store");
    let recovery = response.json()["recovery_codes"].as_array().unwrap().clone();
    assert_eq!(recovery.len(), 10);
    outbox::wait_for_mail(server, &user.email, 0).await;
    enable(server, &access, &next, Some(PASSWORD)).await.is_problem(409, "mfa_already_enabled");

    server.try_sign_in(&user.email, PASSWORD).await.is_problem(401, "mfa_required");
    sign_in(server, &user, &shown).await.is_problem(401, "invalid_mfa_code");
    sign_in(server, &user, &next).await.is(201);
    sign_in(server, &user, recovery[3].as_str().unwrap()).await.is(201);
    sign_in(server, &user, recovery[3].as_str().unwrap()).await.is_problem(401, "invalid_mfa_code");

    disable(server, &access, "not it").await.is_problem(400, "mfa_disable_failed");
    server.delete("/totp").bearer_auth(&access).send_checked().await.is_problem(400, "mfa_disable_failed");
    assert_eq!(disable(server, &access, PASSWORD).await.is(204).text, "");
    outbox::wait_for_mail(server, &user.email, 1).await;
    disable(server, &access, PASSWORD).await.is_problem(409, "mfa_already_disabled");
    server.sign_in(&user).await;
}

async fn qr_code_contains_the_pending_enrollment(server: &TestServer) {
    // A long address with characters that must be escaped needs a large QR code.
    let email = format!("{}+ü'{}@bücher.example", "o".repeat(30), "é".repeat(10));
    server.plan().create_user(&email, PASSWORD, &[]);
    let long = server.try_sign_in(&email, PASSWORD).await.is(201).tokens().access;
    let short = server.sign_in(&server.create_user(&[])).await.access;
    for access in [&long, &short] {
        let qr_code = async |format: &str| {
            let response = server.get(&format!("/totp/qr?format={format}")).bearer_auth(access).send().await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["cache-control"], "no-store");
            (response.headers()["content-type"].to_str().unwrap().to_owned(), response.bytes().await.unwrap())
        };
        server.get("/totp/qr").bearer_auth(access).send_checked().await.is_problem(404, "not_found");
        enroll(server, access).await;
        // Only the latest enrollment is pending, whichever call started it: other dialects return the same uri.
        let (_, uri) = enroll(server, access).await;
        let (content_type, png) = qr_code("png").await;
        assert_eq!((content_type.as_str(), decode_qr_code(&Image::from_png(&png))), ("image/png", uri.clone()));
        let (content_type, svg) = qr_code("svg").await;
        let svg = std::str::from_utf8(&svg).unwrap();
        assert_eq!((content_type.as_str(), decode_qr_code(&Image::from_svg(svg))), ("image/svg+xml", uri));
    }
}

async fn qr_code_format_is_negotiated(server: &TestServer) {
    let access = server.sign_in(&server.create_user(&[])).await.access;
    enroll(server, &access).await;
    for (query, accept, content_type) in [
        ("", "", "image/png"),
        ("", "*/*", "image/png"),
        ("", "image/svg+xml,*/*;q=0.1", "image/svg+xml"),
        ("?format=png", "image/svg+xml", "image/png"),
        ("?format=svg", "image/png", "image/svg+xml"),
    ] {
        let response = server.get(&format!("/totp/qr{query}")).bearer_auth(&access).header("accept", accept);
        let response = response.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], content_type, "{query} {accept}");
        assert_eq!(response.headers()["vary"], "accept");
    }
    server.get("/totp/qr?format=gif").bearer_auth(&access).send_checked().await.is_problem(400, "invalid_fields");
}

async fn enrollment_belongs_to_the_session_that_began_it(server: &TestServer) {
    let user = server.create_user(&[]);
    let (owner, thief) = (server.sign_in(&user).await.access, server.sign_in(&user).await.access);
    let qr_code = |access: &str| server.get("/totp/qr?format=svg").bearer_auth(access);
    let (key, uri) = enroll(server, &owner).await;
    qr_code(&thief).send_checked().await.is_problem(404, "not_found");
    enable(server, &thief, &code(&key, 0), Some(PASSWORD)).await.is_problem(400, "mfa_enable_failed");
    // Nor does the thief put another secret before the owner.
    enroll(server, &thief).await;
    let svg = qr_code(&owner).send().await.unwrap().text().await.unwrap();
    assert_eq!(decode_qr_code(&Image::from_svg(&svg)), uri);
    enable(server, &owner, &code(&key, 0), Some(PASSWORD)).await.is(200);
}

async fn passwordless_user_needs_no_password(server: &TestServer) {
    let user = server.create_user(&[]);
    let access = server.sign_in(&user).await.access;
    server.sql(&format!("UPDATE users SET password_hash = NULL WHERE email = '{}'", user.email)).await;
    let (key, _) = enroll(server, &access).await;
    enable(server, &access, &code(&key, 0), None).await.is(200);
    server.delete("/totp").bearer_auth(&access).send_checked().await.is(204);
}

async fn invalid_requests_are_rejected(server: &TestServer) {
    let user = server.create_user(&[]);
    let (key, _) = server.api_key(&user, &["admin"]);
    for (method, path) in [("POST", "/totp"), ("GET", "/totp/qr"), ("PUT", "/totp"), ("DELETE", "/totp")] {
        let request = || server.request(method.parse().unwrap(), path).json(&json!({"code": "123456"}));
        request().send_checked().await.is_problem(401, "missing_credentials");
        request().bearer_auth("x").send_checked().await.is_problem(401, "invalid_token");
        request().bearer_auth(&key).send_checked().await.is_problem(403, "forbidden");
    }
    let access = server.sign_in(&user).await.access;
    enable(server, &access, "123456", Some(PASSWORD)).await.is_problem(400, "mfa_enable_failed");
    let put = server.request(reqwest::Method::PUT, "/totp").bearer_auth(&access).json(&json!({}));
    put.send_checked().await.is_problem(400, "invalid_fields");
    let delete = server.delete("/totp").bearer_auth(&access).header("content-type", "text/plain").body("x");
    delete.send_checked().await.is_problem(415, "unsupported_media_type");
}

/// A greyscale image with one byte per pixel; 0 is black.
struct Image {
    width: usize,
    pixels: Vec<u8>,
}

impl Image {
    fn from_png(bytes: &[u8]) -> Self {
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

    /// Draws an SVG of black rectangles on white with four pixels per unit, the scale of the PNG.
    fn from_svg(svg: &str) -> Self {
        let side: usize = between(svg, "viewBox=\"0 0 ", " ").parse().unwrap();
        let mut image = Self { width: 4 * side, pixels: vec![255; 16 * side * side] };
        for run in svg.rsplit("<path d=\"").next().unwrap().split('M').skip(1) {
            let (x, y) = run.split_once('h').unwrap().0.split_once(' ').unwrap();
            let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
            let length: usize = between(run, "h", "v").parse().unwrap();
            for row in 4 * y..4 * (y + 1) {
                let begin = row * image.width + 4 * x;
                image.pixels[begin..begin + 4 * length].fill(0);
            }
        }
        image
    }
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    text.split_once(begin).unwrap().1.split_once(end).unwrap().0
}

/// The text in a QR code, read by another library.
fn decode_qr_code(image: &Image) -> String {
    let at = |x: usize, y: usize| image.pixels[y * image.width + x];
    let dark = (0..image.width).find(|y| (0..image.width).any(|x| at(x, *y) == 0)).unwrap();
    let module = (dark..).take_while(|x| at(*x, dark) == 0).count() / 7;
    assert!(module >= 4 && dark >= 4 * module, "modules of {module} pixels, a margin of {dark}");
    let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(image.width, image.width, at);
    let grids = prepared.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().unwrap().1
}

//! Builds requests in HTTP/1.1.

/// Builds a request. `headers` are complete lines.
pub fn build_request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = if method == "GET" { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}{length}\r\n{body}")
}

/// Builds a POST request with JSON.
pub fn post_json(path: &str, body: &str) -> String {
    build_request("POST", path, "content-type: application/json\r\n", body)
}

/// Builds a POST request with a form.
pub fn post_form(path: &str, body: &str) -> String {
    build_request("POST", path, "content-type: application/x-www-form-urlencoded\r\n", body)
}

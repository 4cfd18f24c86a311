//! Every token in every place where another is due: the places are those of `/openapi.json`, the tokens those of every dialect.
//!
//! Refused everywhere, and not used up by it: in the end each is good in its own place.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::desk::{Answer, Ask, Desk, PASSWORD, over_both_stores};
use crate::support::document::{Body, Operation, operations, plausible};
use crate::support::outbox::next;
use crate::support::totp::{code, turn_on};

over_both_stores!(|plan| plan; each_token_has_its_places);

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Access,
    /// An access token that stands for an API key.
    Client,
    Refresh,
    ApiKey,
    Step,
    Magic,
    Confirm,
    /// The mailed half of a reset; the other half was answered.
    Reset,
    /// A reset that needs no other half.
    WholeReset,
}

/// Where a request carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Bearer,
    ApiKey,
    Basic,
    Field(&'static str),
    Query,
    Path,
}

struct Token {
    kind: Kind,
    /// Of which dialect.
    of: &'static str,
    text: String,
}

/// All tokens there are, and what goes with them.
struct Purse {
    tokens: Vec<Token>,
    user: String,
    client: String,
    totp: String,
    magic_half: String,
    reset_half: String,
}

fn places(operation: &Operation) -> Vec<Place> {
    let mut places = Vec::new();
    if !operation.schemes.is_empty() {
        places.extend([Place::Bearer, Place::ApiKey]);
    }
    if operation.schemes.iter().any(|scheme| scheme == "client") {
        places.push(Place::Basic);
    }
    let named = |name: &&'static str| operation.fields().iter().any(|field| field == name);
    places.extend(["token", "refresh_token"].iter().filter(|name| named(name)).map(|name| Place::Field(name)));
    if operation.query.iter().any(|name| name == "token") {
        places.push(Place::Query);
    }
    if operation.path.contains("{token}") {
        places.push(Place::Path);
    }
    places
}

/// What is good there.
fn due(operation: &Operation, place: Place) -> Vec<Kind> {
    let scheme = |name: &str| operation.schemes.iter().any(|scheme| scheme == name);
    let mut kinds = Vec::new();
    match (place, operation.path.as_str()) {
        (Place::Bearer, path) => {
            if scheme("access_token") {
                kinds.extend([Kind::Access, Kind::Client]);
            }
            if scheme("api_key") {
                kinds.push(Kind::ApiKey);
            }
            if scheme("refresh_token") {
                kinds.push(Kind::Refresh);
            }
            if scheme("totp_token") {
                kinds.push(Kind::Step);
            }
            if scheme("mailed_token") {
                kinds.push(if path == "/auth/login/claim" { Kind::Magic } else { Kind::Reset });
            }
        }
        (Place::ApiKey, _) if scheme("api_key") => kinds.push(Kind::ApiKey),
        (Place::ApiKey, _) => {}
        (Place::Basic, _) => kinds.push(Kind::ApiKey),
        (Place::Field("refresh_token"), _) => kinds.push(Kind::Refresh),
        (Place::Field(_), "/verify") => kinds.extend([Kind::Access, Kind::Client, Kind::ApiKey]),
        (Place::Field(_), "/api/v1/verify" | "/api/v1/verify-token") => {
            kinds.extend([Kind::Access, Kind::Client, Kind::Refresh]);
        }
        (Place::Field(_), "/oauth/introspect" | "/oauth/revoke") => {
            kinds.extend([Kind::Access, Kind::Client, Kind::Refresh, Kind::ApiKey]);
        }
        (Place::Field(_), "/links/confirm") => kinds.push(Kind::Confirm),
        (Place::Field(_), "/links/magic") => kinds.push(Kind::Magic),
        (Place::Field(_), "/links/reset") => kinds.extend([Kind::Reset, Kind::WholeReset]),
        (Place::Query, "/api/v1/verify") | (Place::Path, "/api/auth/confirmed_email/{token}") => {
            kinds.push(Kind::Confirm)
        }
        (Place::Query, "/api/v1/password-reset-confirm") => kinds.push(Kind::WholeReset),
        (place, path) => panic!("{path}: which tokens are good in {place:?}?"),
    }
    kinds
}

/// A request that is good but for the token in that place.
fn request(desk: &Desk, operation: &Operation, place: Place, token: &str, purse: &Purse) -> RequestBuilder {
    let fill = |name: &str| match name {
        "token" if matches!(place, Place::Field("token") | Place::Path) => json!(token),
        "refresh_token" if place == Place::Field("refresh_token") => json!(token),
        "user_uuid" => json!(purse.user),
        "client_secret" if !matches!(place, Place::Bearer | Place::ApiKey | Place::Basic) => json!(purse.client),
        name => plausible(name),
    };
    // What authenticates the caller of a token endpoint is in the place that is tried, and nowhere else.
    let mut operation = operation.clone();
    if let (Body::Form(fields), Place::Bearer | Place::ApiKey | Place::Basic) = (&mut operation.body, place) {
        fields.retain(|name| name != "client_secret");
    }
    if place == Place::Query {
        operation.path += &format!("?token={token}");
    }
    let request = operation.request(desk, &fill).header("x-project-id", "01930000-0000-7000-8000-00000000000a");
    match place {
        Place::Bearer => request.bearer_auth(token),
        Place::ApiKey => request.header("x-api-key", token),
        Place::Basic => request.basic_auth("client", Some(token)),
        Place::Query | Place::Field(_) | Place::Path => request,
    }
}

/// Some calls answer the same whatever they are handed (RFC 7009, 2.2; RFC 7662, 2.2).
fn is_refused(operation: &Operation, answer: &Answer) -> bool {
    let says_nothing =
        ["/auth/verification/revoke-token", "/oauth/revoke", "/oauth/introspect"].contains(&operation.path.as_str());
    (400..500).contains(&answer.status)
        || (says_nothing && answer.status == 200 && !answer.text.contains("\"active\":true"))
}

async fn each_token_has_its_places(desk: &Desk) {
    let purse = purse(desk).await;
    let mut tried = 0;
    let mut faults = Vec::new();
    for operation in operations(desk).await {
        for place in places(&operation) {
            let due = due(&operation, place);
            for token in purse.tokens.iter().filter(|token| !due.contains(&token.kind)) {
                let answer = request(desk, &operation, place, &token.text, &purse).ask().await;
                tried += 1;
                if !is_refused(&operation, &answer) {
                    let (kind, of) = (token.kind, token.of);
                    faults.push(format!(
                        "{kind:?} of {of} in {place:?} of {}: {} {}",
                        operation.name(),
                        answer.status,
                        answer.text
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(tried > 500, "{tried}");
    each_is_good_in_its_own(desk, &purse).await;
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field}: {value}")).to_owned()
}

async fn purse(desk: &Desk) -> Purse {
    let mut tokens = Vec::new();
    let mut add = |kind, of, text: String| tokens.push(Token { kind, of, text });
    let who = desk.person(&["--verified", "--superuser"]);
    let email = who.email.as_str();
    let by_password = json!({"email": email, "password": PASSWORD});
    desk.post("/auth/verification/send-code").json(&json!({"email": email})).ask().await.is(202);
    let code_mailed = next(desk, email, 0).await.code();
    let by_code = json!({"email": email, "code": code_mailed});
    let unturned = desk.post("/auth/verification/verify-code").json(&by_code).ask().await.is(200).json();
    let form = [("username", email), ("password", PASSWORD)];
    for (of, answer) in [
        ("native", desk.post("/sessions").json(&by_password).ask().await.is(201).json()),
        ("unturned", unturned["data"].clone()),
        ("myauth", desk.form("/auth/login/oauth", &form).await.is(200).json()),
        ("codes", desk.post("/auth/signin").json(&by_password).ask().await.is(200).json()),
        ("ucontact", desk.form("/api/auth/login", &form).await.is(200).json()),
        ("v1", desk.post("/api/v1/login").json(&by_password).ask().await.is(200).json()),
    ] {
        add(Kind::Access, of, text(&answer, "access_token"));
        add(Kind::Refresh, of, text(&answer, "refresh_token"));
    }
    let (client, _) = desk.api_key(&who, &["introspect", "revoke", "admin"]);
    let exchange = [("grant_type", "client_credentials"), ("client_secret", client.as_str())];
    add(Kind::Client, "native", text(&desk.form("/oauth/token", &exchange).await.is(200).json(), "access_token"));
    add(Kind::ApiKey, "native", desk.api_key(&who, &[]).0);

    // Confirmations: of a change, and of two sign-ups.
    let changing = desk.person(&[]);
    let session = desk.sign_in(&changing).await;
    let change = json!({"email": "changed@example.org", "original": PASSWORD});
    desk.request(Method::PUT, "/auth/users/me").bearer_auth(&session.access).json(&change).ask().await.is(200);
    add(Kind::Confirm, "myauth", next(desk, "changed@example.org", 0).await.token());
    for (of, path, name) in [("ucontact", "/api/auth/register", "new-one"), ("v1", "/api/v1/register", "new-two")] {
        let email = format!("{name}@example.org");
        let body = json!({"email": email, "username": name, "password": PASSWORD});
        desk.post(path).json(&body).ask().await.is(201);
        add(Kind::Confirm, of, next(desk, &email, 0).await.token());
    }

    let magic = desk.person(&[]).email;
    let half = desk.post(&format!("/auth/login/magic/{magic}")).ask().await.is(200).json();
    add(Kind::Magic, "myauth", next(desk, &magic, 0).await.token());
    let forgetful = desk.person(&[]).email;
    let other_half = desk.post(&format!("/auth/login/recover/{forgetful}")).ask().await.is(200).json();
    add(Kind::Reset, "myauth", next(desk, &forgetful, 0).await.token());
    let absent = desk.person(&["--verified"]);
    let named = json!({"email": absent.email, "username": absent.username});
    desk.post("/api/v1/password-reset").json(&named).ask().await.is(200);
    add(Kind::WholeReset, "v1", next(desk, &absent.email, 0).await.token());

    let second = desk.person(&[]);
    let (totp, _) = turn_on(desk, &desk.sign_in(&second).await.access, PASSWORD).await;
    let form = [("username", second.email.as_str()), ("password", PASSWORD)];
    add(Kind::Step, "myauth", text(&desk.form("/auth/login/oauth", &form).await.is(200).json(), "access_token"));
    let (magic_half, reset_half) = (text(&half, "claim"), text(&other_half, "claim"));
    Purse { tokens, user: who.id, client, totp, magic_half, reset_half }
}

async fn each_is_good_in_its_own(desk: &Desk, purse: &Purse) {
    for Token { kind, of, text } in &purse.tokens {
        let by = |path: &str, body: Value| desk.post(path).bearer_auth(text).json(&body);
        let answer = match kind {
            Kind::Access | Kind::Client | Kind::ApiKey => desk.get("/verify").bearer_auth(text).ask().await,
            Kind::Refresh => desk.refresh(text).await,
            Kind::Step => by("/auth/login/totp", json!({"claim": code(&purse.totp, 1)})).ask().await,
            Kind::Magic => by("/auth/login/claim", json!({"claim": purse.magic_half})).ask().await,
            Kind::Confirm => desk.get(&format!("/api/auth/confirmed_email/{text}")).ask().await,
            Kind::Reset => {
                by("/auth/login/reset", json!({"claim": purse.reset_half, "new_password": "another quiet harbour"}))
                    .ask()
                    .await
            }
            Kind::WholeReset => {
                let body =
                    json!({"new_password": "another quiet harbour", "new_password_confirm": "another quiet harbour"});
                let request = desk.post(&format!("/api/v1/password-reset-confirm?token={text}"));
                request.json(&body).ask().await
            }
        };
        assert_eq!(answer.status, 200, "{kind:?} of {of}: {answer:?}");
    }
}

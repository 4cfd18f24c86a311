//! Every token in every place where another is due: the places are those of `/openapi.json`, the tokens those of every dialect.
//!
//! Refused everywhere in the very words in which what is no token is refused, and not used up by it: in the end each is good in its
//! own place, and says something else there. The ids that calls are about are somebody's, so that one that was let in would show.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::document::{Body, Operation, operations, plausible_value};
use crate::support::outbox::wait_for_mail;
use crate::support::server::{HttpResponse, PASSWORD, TestUser, SendRequest, TestServer, TokenPair, over_both_stores};
use crate::support::totp::{code, enable_totp};

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
    /// One of a list.
    Item(&'static str),
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
    owner: Owner,
    totp: String,
    magic_half: String,
    reset_half: String,
}

/// Somebody who may do everything, and what is theirs.
struct Owner {
    person: TestUser,
    access: String,
    refresh: String,
    session: String,
    project: String,
    key: String,
    key_id: String,
    /// Somebody else, whom they may do everything to.
    other: TestUser,
}

impl Owner {
    async fn new(server: &TestServer) -> Self {
        let (person, other) = (server.create_user(&["--verified", "--superuser"]), server.create_user(&[]));
        let TokenPair { access, refresh, session } = server.sign_in(&person).await;
        let projects = server.get("/projects").bearer_auth(&access).send_checked().await.is(200).json();
        let project = text(&projects["projects"][0], "id");
        let made = server.post("/auth/api-keys/").header("x-project-id", &project).bearer_auth(&access);
        let scopes = ["introspect", "revoke", "admin", "billing:write"];
        let made = made.json(&json!({"name": "a key", "scopes": scopes})).send_checked().await.is(201).json();
        let (key, key_id) = (text(&made["data"], "full_key"), text(&made["data"], "id"));
        Self { person, access, refresh, session, project, key, key_id, other }
    }

    /// The key, exchanged.
    async fn client(&self, server: &TestServer) -> String {
        let exchange = [("grant_type", "client_credentials"), ("client_secret", self.key.as_str())];
        text(&server.form("/oauth/token", &exchange).await.is(200).json(), "access_token")
    }
}

fn places(operation: &Operation) -> Vec<Place> {
    let mut places = Vec::new();
    if !operation.schemes.is_empty() {
        places.extend([Place::Bearer, Place::ApiKey]);
    }
    let named = |name: &&'static str| operation.fields().iter().any(|field| field == name);
    // What a client is known by: also where it may do without.
    if named(&"client_secret") && operation.path.starts_with("/oauth/") {
        places.extend([Place::Basic, Place::Field("client_secret")]);
        places.extend(operation.schemes.is_empty().then_some(Place::ApiKey));
    }
    places.extend(["token", "refresh_token"].iter().filter(|name| named(name)).map(|name| Place::Field(name)));
    places.extend(named(&"tokens").then_some(Place::Item("tokens")));
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
                kinds.push(Kind::Access);
            }
            // Whatever a token is of, it may be put an end to.
            kinds.extend(path.ends_with("/logout").then_some(Kind::Client));
            if scheme("api_key") {
                // What is made from a key may what the key may, and no more.
                kinds.extend([Kind::ApiKey, Kind::Client]);
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
        (Place::ApiKey, path) if scheme("api_key") || path == "/oauth/token" => kinds.push(Kind::ApiKey),
        (Place::ApiKey, _) => {}
        (Place::Basic | Place::Field("client_secret"), _) => kinds.push(Kind::ApiKey),
        (Place::Field("refresh_token"), _) => kinds.push(Kind::Refresh),
        (Place::Field(_), "/verify") | (Place::Item(_), "/verify/batch") => {
            kinds.extend([Kind::Access, Kind::Client, Kind::ApiKey])
        }
        (Place::Field(_), "/api/v1/verify" | "/api/v1/verify-token") => {
            kinds.extend([Kind::Access, Kind::Refresh]);
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
fn request(server: &TestServer, operation: &Operation, place: Place, token: &str, owner: &Owner) -> RequestBuilder {
    let is_client = matches!(place, Place::Bearer | Place::ApiKey | Place::Basic | Place::Field("client_secret"));
    let fill = |name: &str| match (name, operation.path.as_str()) {
        (name, _) if place == Place::Field(name_of(name)) => json!(token),
        (name, _) if place == Place::Item(name_of(name)) => json!([token]),
        ("token", _) if place == Place::Path => json!(token),
        ("token", "/oauth/introspect" | "/oauth/revoke") => json!(owner.access),
        ("grant_type", "/oauth/token") if is_client => json!("client_credentials"),
        ("user_uuid", _) => json!(owner.person.id),
        ("id", "/sessions/{id}") => json!(owner.session),
        ("id" | "user_id", _) => json!(owner.other.id),
        ("user_email", _) => json!(owner.other.email),
        ("email", "/auth/users/create") => json!(format!("made-by-{}", owner.person.email)),
        ("key_id", _) => json!(owner.key_id),
        ("client_secret", _) => json!(owner.key),
        (name, _) => plausible_value(name),
    };
    // What authenticates the caller of a token endpoint is in the place that is tried, and nowhere else.
    let mut operation = operation.clone();
    if let (Body::Form(fields), Place::Bearer | Place::ApiKey | Place::Basic) = (&mut operation.body, place) {
        fields.retain(|name| name != "client_secret");
    }
    if let (Body::Form(fields), "/oauth/token") = (&mut operation.body, operation.path.as_str()) {
        fields.retain(|name| name != "scope" && (name == "grant_type" || is_client != (name == "refresh_token")));
    }
    if place == Place::Query {
        operation.path += &format!("?token={token}");
    }
    let request = operation.request(server, &fill).header("x-project-id", &owner.project);
    match place {
        Place::Bearer => request.bearer_auth(token),
        Place::ApiKey => request.header("x-api-key", token),
        Place::Basic => request.basic_auth("client", Some(token)),
        Place::Query | Place::Field(_) | Place::Item(_) | Place::Path => request,
    }
}

/// The name of a field in which a token may stand.
fn name_of(name: &str) -> &'static str {
    ["token", "refresh_token", "client_secret", "tokens"].into_iter().find(|it| *it == name).unwrap_or("none")
}

/// What is said of what is no token at all. Nobody is let in by that.
async fn refusal(server: &TestServer, operation: &Operation, place: Place, owner: &Owner) -> (u16, String) {
    let answer = request(server, operation, place, "no.to.ken", owner).send_checked().await;
    let due = match (place, operation.path.as_str()) {
        (Place::Bearer, "/auth/login/claim" | "/auth/login/reset") => 400,
        // `codes` has numbers of its own, of what is not there and of what is not good.
        (Place::ApiKey, "/auth/create/otp" | "/auth/delete/otp") => 400,
        (Place::Field(_), "/auth/refresh") => 409,
        (Place::Field(_), "/links/confirm" | "/links/magic" | "/links/reset") => 400,
        (Place::Field("refresh_token"), "/oauth/token") => 400,
        (Place::Path, "/api/auth/confirmed_email/{token}") => 422,
        (Place::Query, "/api/v1/password-reset-confirm") => 400,
        // These say the same whatever they are handed (RFC 7009, 2.2; RFC 7662, 2.2); and some answers are of many.
        (Place::Field("refresh_token"), "/auth/verification/revoke-token") => 200,
        (Place::Field("token"), "/oauth/revoke" | "/oauth/introspect") | (Place::Item(_), "/verify/batch") => 200,
        _ => 401,
    };
    assert_eq!(answer.status, due, "{place:?} of {}: {answer:?}", operation.name());
    (answer.status, answer.text)
}

/// What is said to a key, and to what was made from one, where a person is due: it is known, and may not do this.
const FOR_PEOPLE: [&str; 3] = [
    r#"{"type":"forbidden","title":"You do not have permission to do this.","status":403}"#,
    r#"{"success":false,"data":{},"error":{"code":"forbidden","message":"You may not do this."}}"#,
    r#"{"detail":"The user does not have the required permissions."}"#,
];

async fn each_token_has_its_places(server: &TestServer) {
    let purse = purse(server).await;
    let mut tried = 0;
    let mut faults = Vec::new();
    for operation in operations(server).await {
        for place in places(&operation) {
            let due = due(&operation, place);
            let refusal = refusal(server, &operation, place, &purse.owner).await;
            for token in purse.tokens.iter().filter(|token| !due.contains(&token.kind)) {
                let answer = request(server, &operation, place, &token.text, &purse.owner).send_checked().await;
                tried += 1;
                // What is asked about is told what is wrong with it, whatever that is.
                let same = (answer.status, answer.text.replace("wrong_type", "malformed")) == refusal;
                let of_a_key = matches!(token.kind, Kind::ApiKey | Kind::Client) && place == Place::Bearer;
                let not_for_keys = answer.status == 403 && of_a_key && FOR_PEOPLE.contains(&answer.text.as_str());
                if !same && !not_for_keys {
                    let (kind, of, HttpResponse { status, text, .. }) = (token.kind, token.of, answer);
                    faults.push(format!("{kind:?} of {of} in {place:?} of {}: {status} {text}", operation.name()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(tried > 1000, "{tried}");
    each_is_good_in_its_own(server, &purse).await;
    being_let_in_shows(server, &purse).await;
}

/// Where a token is due it is not answered as one is that is not: had one been let in, it would have been seen.
async fn being_let_in_shows(server: &TestServer, purse: &Purse) {
    let mut tried = 0;
    for operation in operations(server).await {
        for place in places(&operation) {
            let refusal = refusal(server, &operation, place, &purse.owner).await;
            for kind in due(&operation, place) {
                // A call may end what it is made with, or everything.
                let owner = Owner::new(server).await;
                let token = match kind {
                    Kind::Access => owner.access.clone(),
                    Kind::Client => owner.client(server).await,
                    Kind::Refresh => owner.refresh.clone(),
                    Kind::ApiKey => owner.key.clone(),
                    // Links were used in their places; they are good once.
                    _ => continue,
                };
                let answer = request(server, &operation, place, &token, &owner).send_checked().await;
                let told = format!("{kind:?} in {place:?} of {}: {answer:?}", operation.name());
                // What is revoked and what never was are answered the same: that it was revoked is to be seen.
                let revokes = refusal.0 == 200 && operation.path.contains("revoke");
                // RFC 7009, 2.2.1: no key is revoked there.
                if revokes && kind != Kind::ApiKey {
                    assert_ne!(
                        server.rejection_reason(&if kind == Kind::Refresh { owner.access.clone() } else { token }).await,
                        "",
                        "{told}"
                    );
                } else {
                    assert_ne!((answer.status, answer.text), refusal, "{told}");
                    assert!(!FOR_PEOPLE.iter().any(|text| told.contains(text)), "{told}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 50, "{tried}");
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field}: {value}")).to_owned()
}

async fn purse(server: &TestServer) -> Purse {
    let mut tokens = Vec::new();
    let mut add = |kind, of, text: String| tokens.push(Token { kind, of, text });
    let who = server.create_user(&["--verified", "--superuser"]);
    let email = who.email.as_str();
    let by_password = json!({"email": email, "password": PASSWORD});
    server.post("/auth/verification/send-code").json(&json!({"email": email})).send_checked().await.is(202);
    let code_mailed = wait_for_mail(server, email, 0).await.code();
    let by_code = json!({"email": email, "code": code_mailed});
    let unturned = server.post("/auth/verification/verify-code").json(&by_code).send_checked().await.is(200).json();
    let form = [("username", email), ("password", PASSWORD)];
    for (of, answer) in [
        ("native", server.post("/sessions").json(&by_password).send_checked().await.is(201).json()),
        ("unturned", unturned["data"].clone()),
        ("myauth", server.form("/auth/login/oauth", &form).await.is(200).json()),
        ("codes", server.post("/auth/signin").json(&by_password).send_checked().await.is(200).json()),
        ("ucontact", server.form("/api/auth/login", &form).await.is(200).json()),
        ("v1", server.post("/api/v1/login").json(&by_password).send_checked().await.is(200).json()),
    ] {
        add(Kind::Access, of, text(&answer, "access_token"));
        add(Kind::Refresh, of, text(&answer, "refresh_token"));
    }
    // Of somebody who may do everything, with a key that may.
    let owner = Owner::new(server).await;
    add(Kind::Client, "native", owner.client(server).await);
    add(Kind::ApiKey, "native", owner.key.clone());

    // Confirmations: of a change, and of two sign-ups.
    let changing = server.create_user(&[]);
    let session = server.sign_in(&changing).await;
    let change = json!({"email": "changed@example.org", "original": PASSWORD});
    server
        .request(Method::PUT, "/auth/users/me")
        .bearer_auth(&session.access)
        .json(&change)
        .send_checked()
        .await
        .is(200);
    add(Kind::Confirm, "myauth", wait_for_mail(server, "changed@example.org", 0).await.token());
    for (of, path, name) in [("ucontact", "/api/auth/register", "new-one"), ("v1", "/api/v1/register", "new-two")] {
        let email = format!("{name}@example.org");
        let body = json!({"email": email, "username": name, "password": PASSWORD});
        server.post(path).json(&body).send_checked().await.is(201);
        add(Kind::Confirm, of, wait_for_mail(server, &email, 0).await.token());
    }

    let magic = server.create_user(&[]).email;
    let half = server.post(&format!("/auth/login/magic/{magic}")).send_checked().await.is(200).json();
    add(Kind::Magic, "myauth", wait_for_mail(server, &magic, 0).await.token());
    let forgetful = server.create_user(&[]).email;
    let other_half = server.post(&format!("/auth/login/recover/{forgetful}")).send_checked().await.is(200).json();
    add(Kind::Reset, "myauth", wait_for_mail(server, &forgetful, 0).await.token());
    let absent = server.create_user(&["--verified"]);
    let named = json!({"email": absent.email, "username": absent.username});
    server.post("/api/v1/password-reset").json(&named).send_checked().await.is(200);
    add(Kind::WholeReset, "v1", wait_for_mail(server, &absent.email, 0).await.token());

    let second = server.create_user(&[]);
    let (totp, _) = enable_totp(server, &server.sign_in(&second).await.access, PASSWORD).await;
    let form = [("username", second.email.as_str()), ("password", PASSWORD)];
    add(Kind::Step, "myauth", text(&server.form("/auth/login/oauth", &form).await.is(200).json(), "access_token"));
    let (magic_half, reset_half) = (text(&half, "claim"), text(&other_half, "claim"));
    Purse { tokens, owner, totp, magic_half, reset_half }
}

async fn each_is_good_in_its_own(server: &TestServer, purse: &Purse) {
    for Token { kind, of, text } in &purse.tokens {
        let by = |path: &str, body: Value| server.post(path).bearer_auth(text).json(&body);
        let answer = match kind {
            Kind::Access | Kind::Client | Kind::ApiKey => server.get("/verify").bearer_auth(text).send_checked().await,
            Kind::Refresh => server.refresh(text).await,
            Kind::Step => by("/auth/login/totp", json!({"claim": code(&purse.totp, 1)})).send_checked().await,
            Kind::Magic => by("/auth/login/claim", json!({"claim": purse.magic_half})).send_checked().await,
            Kind::Confirm => server.get(&format!("/api/auth/confirmed_email/{text}")).send_checked().await,
            Kind::Reset => {
                by("/auth/login/reset", json!({"claim": purse.reset_half, "new_password": "another quiet harbour"}))
                    .send_checked()
                    .await
            }
            Kind::WholeReset => {
                let body =
                    json!({"new_password": "another quiet harbour", "new_password_confirm": "another quiet harbour"});
                let request = server.post(&format!("/api/v1/password-reset-confirm?token={text}"));
                request.json(&body).send_checked().await
            }
        };
        assert_eq!(answer.status, 200, "{kind:?} of {of}: {answer:?}");
    }
}

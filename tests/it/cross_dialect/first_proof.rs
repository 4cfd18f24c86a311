//! Somebody signs up with the address of another person, sets everything that an account can have, and waits. The table
//! of what the owner of the address does then, in every dialect, and what is left of what was set.
//!
//! | the owner of the address | left |
//! |---|---|
//! | signs in by mailed code or magic link | nothing |
//! | resets the password | the new password |
//! | opens the confirmation link, by GET or on the page | everything |
//! | enters the confirmation code, with the id that the sign-up returned | everything |
//! | is verified by an administrator | everything |

use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};

use super::sign_in::{Attempt, SignIn, SignUp, Tokens, request_magic_link, request_native, verify_email};
use super::{OTHER_PASSWORD, text};
use crate::support::outbox::Mail;
use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::{outbox, totp, until};

over_both_stores!(
    |plan| plan.set("SIGNET_MAILED__DAILY_TRIES", "1000");
    mailed_code_removes_what_was_set_before,
    magic_link_removes_what_was_set_before,
    magic_link_on_the_page_removes_what_was_set_before,
    native_code_removes_what_was_set_before,
    native_magic_link_removes_what_was_set_before,
    pending_second_factor_is_not_confirmed_after_the_proof,
    reset_leaves_only_the_new_password,
    confirmation_link_leaves_everything,
    confirmation_code_leaves_everything,
    administrator_leaves_everything,
    proof_on_a_verified_account_leaves_everything,
    proof_requested_before_the_sign_up_removes_it,
    address_that_was_changed_is_proved_anew,
    concurrent_proofs_remove_once,
    first_proof_of_a_passwordless_account_mails_nothing,
);

/// The first line of the letter's subject.
const SUBJECT: &str = "Earlier credentials of your Signet account were removed";

/// The calls that create an account with a password, and the command that does.
const SIGN_UPS: [Option<SignUp>; 6] =
    [Some(SignUp::Myauth), Some(SignUp::Codes), Some(SignUp::Ucontact), Some(SignUp::V1), Some(SignUp::Native), None];

/// The credentials that somebody set on an account whose address is another person's.
struct Planted {
    email: String,
    id: String,
    tokens: Tokens,
    api_key: String,
    /// A token issued from the API key.
    client_token: String,
    recovery_code: String,
}

/// Signs up and sets a password, a second factor and an API key, and opens a session.
async fn plant(server: &TestServer, sign_up: Option<SignUp>, name: &str) -> Planted {
    let email = format!("{name}@example.org");
    match sign_up {
        Some(sign_up) => sign_up.create_unverified(server, &email, "").await,
        None => drop(server.plan().create_user(&email, PASSWORD, &["--username", name])),
    }
    equip(server, &email).await
}

async fn equip(server: &TestServer, email: &str) -> Planted {
    let tokens = SignIn::Native.attempt(server, email, None).await.tokens();
    let shown = server.get("/me").bearer_auth(&tokens.access).send_checked().await.is(200).json();
    let id = text(&shown, "id").to_owned();
    let (_, recovery_codes) = totp::enable_totp(server, &tokens.access, PASSWORD).await;
    let created = server.post("/projects/personal/api-keys").bearer_auth(&tokens.access);
    let created = created.json(&json!({"name": "a key", "scopes": ["read"]})).send_checked().await.is(201).json();
    let api_key = text(&created, "key").to_owned();
    let client_token = server.client_token(&api_key).await;
    assert_eq!(server.rejection_reason(&api_key).await, "", "every node may have the key in its cache");
    outbox::wait_until_queue_is_empty(server).await;
    let (email, recovery_code) = (email.to_owned(), recovery_codes[0].clone());
    Planted { email, id, tokens, api_key, client_token, recovery_code }
}

impl Planted {
    async fn row(&self, server: &TestServer) -> Value {
        server.plan().json(&["users", "show", &self.email], "")
    }

    /// The letters about removed credentials.
    async fn letters(&self, server: &TestServer) -> Vec<Mail> {
        outbox::wait_until_queue_is_empty(server).await;
        outbox::mails(server, &self.email).into_iter().filter(|mail| mail.header("subject") == SUBJECT).collect()
    }

    /// Asserts that nothing that was set works any more, and that the owner was told what it was.
    async fn assert_removed(&self, server: &TestServer, case: &str, has_password: bool) {
        let row = self.row(server).await;
        assert_eq!((&row["verified"], &row["second_factor"]), (&true.into(), &false.into()), "{case}");
        assert_eq!(row["has_password"], has_password, "{case}");
        for sign_in in SignIn::ALL.into_iter().filter(|sign_in| sign_in.uses_password()) {
            for second in [None, Some(self.recovery_code.as_str())] {
                let Attempt { response, .. } = sign_in.attempt(server, &self.email, second).await;
                assert!(matches!(response.status, 400 | 401), "{case}: {sign_in:?} {response:?}");
            }
        }
        assert_eq!(server.rejection_reason(&self.tokens.access).await, "revoked", "{case}");
        assert_eq!(server.rejection_reason(&self.client_token).await, "revoked", "{case}");
        assert_ne!(server.rejection_reason(&self.api_key).await, "", "{case}");
        server.refresh(&self.tokens.refresh).await.is_oauth_error(400, "invalid_grant");
        let letters = self.letters(server).await;
        assert_eq!(letters.len(), 1, "{case}");
        let lines = letters[0].lines();
        for line in ["Passwords: 1", "Second factors, with their recovery codes: 1", "API keys: 1"] {
            assert!(lines.iter().any(|it| it == line), "{case}: {line}: {lines:?}");
        }
    }

    /// Asserts that everything that was set works, and goes on working after a sign-in by mail.
    async fn assert_kept(&self, server: &TestServer, case: &str) {
        for round in ["before a sign-in by mail", "after it"] {
            let row = self.row(server).await;
            assert_eq!((&row["verified"], &row["second_factor"]), (&true.into(), &true.into()), "{case}, {round}");
            SignIn::Native.attempt(server, &self.email, None).await.requires_mfa();
            for credential in [&self.tokens.access, &self.api_key, &self.client_token] {
                assert_eq!(server.rejection_reason(credential).await, "", "{case}, {round}");
            }
            SignIn::UnturnedCode.attempt(server, &self.email, None).await.requires_mfa();
            SignIn::LandingMagic.attempt(server, &self.email, None).await.requires_mfa();
            if round != "after it" {
                SignIn::UnturnedCode.attempt(server, &self.email, Some(&self.recovery_code)).await.tokens();
            }
        }
        assert!(self.letters(server).await.is_empty(), "{case}");
    }
}

async fn mailed_code_removes_what_was_set_before(server: &TestServer) {
    assert_sign_in_removes(server, SignIn::UnturnedCode).await;
}

async fn magic_link_removes_what_was_set_before(server: &TestServer) {
    assert_sign_in_removes(server, SignIn::MyauthMagic).await;
}

async fn magic_link_on_the_page_removes_what_was_set_before(server: &TestServer) {
    assert_sign_in_removes(server, SignIn::LandingMagic).await;
}

async fn native_code_removes_what_was_set_before(server: &TestServer) {
    assert_sign_in_removes(server, SignIn::NativeCode).await;
}

async fn native_magic_link_removes_what_was_set_before(server: &TestServer) {
    assert_sign_in_removes(server, SignIn::NativeMagic).await;
}

async fn assert_sign_in_removes(server: &TestServer, sign_in: SignIn) {
    let assert_removes = async |sign_up: Option<SignUp>| {
        let case = format!("{sign_up:?}, {sign_in:?}");
        let name = format!("{}-{sign_in:?}", sign_up.map_or("Command".to_owned(), |it| format!("{it:?}")));
        let planted = plant(server, sign_up, &name.to_lowercase()).await;
        // Without the second factor, which the owner of the address does not have.
        let own = sign_in.attempt(server, &planted.email, None).await.tokens();
        planted.assert_removed(server, &case, false).await;
        assert_eq!(server.rejection_reason(&own.access).await, "", "{case}: the owner stays signed in");
        server.refresh(&own.refresh).await.is(200);

        // Credentials that the owner sets from now on stay.
        let body = json!({"password": PASSWORD});
        let update = server.request(Method::PUT, "/auth/users/me").bearer_auth(&own.access).json(&body);
        update.send_checked().await.is(200);
        sign_in.attempt(server, &planted.email, None).await.tokens();
        server.try_sign_in(&planted.email, PASSWORD).await.is(201);
        assert_eq!(planted.letters(server).await.len(), 1, "{case}");
    };
    join_all(SIGN_UPS.map(assert_removes)).await;
}

/// The call that resets a password.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reset {
    Myauth,
    Landing,
    V1,
    Native,
}

/// Requests a reset and sets [`OTHER_PASSWORD`].
pub(super) async fn reset(server: &TestServer, by: Reset, email: &str) {
    if let Reset::V1 = by {
        let token = super::mailed_reset(server, email).await;
        let body = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
        let path = format!("/api/v1/password-reset-confirm?token={token}");
        server.post(&path).json(&body).send_checked().await.is(200);
        return;
    }
    if let Reset::Native = by {
        let (asked, mail) = request_native(server, "/password-resets", email).await;
        let body =
            json!({"token": mail.token(), "device_secret": asked["device_secret"], "new_password": OTHER_PASSWORD});
        server.post("/password-resets/redeem").json(&body).send_checked().await.is(204);
        return;
    }
    outbox::wait_until_queue_is_empty(server).await;
    let before = outbox::mails(server, email).len();
    let requested = server.post(&format!("/auth/login/recover/{email}")).send_checked().await.is(200).json();
    let claim = text(&requested, "claim");
    let token = outbox::wait_for_mail(server, email, before).await.token();
    if let Reset::Myauth = by {
        let body = json!({"new_password": OTHER_PASSWORD, "claim": claim});
        server.post("/auth/login/reset").bearer_auth(token).json(&body).send_checked().await.is(200);
    } else {
        let body = json!({"token": token, "claim": claim, "new_password": OTHER_PASSWORD});
        server.post("/links/reset").json(&body).send_checked().await.is(204);
    }
}

async fn reset_leaves_only_the_new_password(server: &TestServer) {
    let assert_leaves = async |(sign_up, by): (Option<SignUp>, Reset)| {
        let case = format!("{sign_up:?}, {by:?}");
        let name = format!("{}-{by:?}", sign_up.map_or("Command".to_owned(), |it| format!("{it:?}")));
        let planted = plant(server, sign_up, &name.to_lowercase()).await;
        reset(server, by, &planted.email).await;
        planted.assert_removed(server, &case, true).await;
        server.try_sign_in(&planted.email, OTHER_PASSWORD).await.is(201);
        // The next proof is not the first.
        SignIn::UnturnedCode.attempt(server, &planted.email, None).await.tokens();
        server.try_sign_in(&planted.email, OTHER_PASSWORD).await.is(201);
    };
    let resets = [Reset::Myauth, Reset::Landing, Reset::V1, Reset::Native];
    let cases = SIGN_UPS.into_iter().flat_map(|sign_up| resets.map(|by| (sign_up, by)));
    // The last reset asks for the username, which not every account has.
    let has_username = |sign_up| !matches!(sign_up, Some(SignUp::Myauth | SignUp::Codes));
    let cases = cases.filter(|(sign_up, by)| !matches!(by, Reset::V1) || has_username(*sign_up));
    join_all(cases.map(assert_leaves)).await;
}

async fn confirmation_link_leaves_everything(server: &TestServer) {
    let link = |mails: Vec<Mail>| mails.into_iter().find(|mail| mail.source.contains("Confirm")).unwrap().token();
    for (sign_up, path) in [(SignUp::Ucontact, "/api/auth/confirmed_email/"), (SignUp::V1, "/api/v1/verify?token=")] {
        let planted = plant(server, Some(sign_up), &format!("by-get-{sign_up:?}").to_lowercase()).await;
        let token = link(outbox::mails(server, &planted.email));
        server.get(&format!("{path}{token}")).send_checked().await.is(200);
        planted.assert_kept(server, &format!("{sign_up:?}, GET")).await;

        let planted = plant(server, Some(sign_up), &format!("on-the-page-{sign_up:?}").to_lowercase()).await;
        let token = link(outbox::mails(server, &planted.email));
        server.post("/links/confirm").json(&json!({"token": token})).send_checked().await.is(200);
        planted.assert_kept(server, &format!("{sign_up:?}, page")).await;
    }
    let planted = plant(server, Some(SignUp::Native), "by-native").await;
    let token = link(outbox::mails(server, &planted.email));
    server.post("/email-confirmations/redeem").json(&json!({"token": token})).send_checked().await.is(200);
    planted.assert_kept(server, "native").await;
}

async fn confirmation_code_leaves_everything(server: &TestServer) {
    let assert_leaves = async |sign_up: Option<SignUp>| {
        let name = sign_up.map_or("Command".to_owned(), |it| format!("{it:?}"));
        let planted = plant(server, sign_up, &format!("by-code-{name}").to_lowercase()).await;
        verify_email(server, &planted.email).await;
        planted.assert_kept(server, &format!("{sign_up:?}, code")).await;
    };
    join_all(SIGN_UPS.map(assert_leaves)).await;
}

async fn administrator_leaves_everything(server: &TestServer) {
    let assert_leaves = async |sign_up: Option<SignUp>| {
        let name = sign_up.map_or("Command".to_owned(), |it| format!("{it:?}"));
        let planted = plant(server, sign_up, &format!("by-admin-{name}").to_lowercase()).await;
        let admin = server.sign_in(&server.create_user(&["--role", "admin"])).await.access;
        let update = server.post(&format!("/auth/users/{}", planted.id)).bearer_auth(admin);
        update.json(&json!({"email_validated": true})).send_checked().await.is(200);
        planted.assert_kept(server, &format!("{sign_up:?}, administrator")).await;
    };
    join_all(SIGN_UPS.map(assert_leaves)).await;
}

async fn proof_on_a_verified_account_leaves_everything(server: &TestServer) {
    server.plan().create_user("verified@example.org", PASSWORD, &["--username", "verified", "--verified"]);
    let planted = equip(server, "verified@example.org").await;
    planted.assert_kept(server, "created as verified").await;

    server.plan().create_user("resetting@example.org", PASSWORD, &["--username", "resetting", "--verified"]);
    let planted = equip(server, "resetting@example.org").await;
    reset(server, Reset::V1, &planted.email).await;
    assert_eq!(planted.row(server).await["second_factor"], true);
    server.try_sign_in(&planted.email, OTHER_PASSWORD).await.is_problem(401, "mfa_required");
    assert_eq!(server.rejection_reason(&planted.tokens.access).await, "revoked");
    assert_eq!(server.rejection_reason(&planted.api_key).await, "", "keys outlive a password");
    assert!(planted.letters(server).await.is_empty());
}

/// The owner of the address asks for a code or a link, and only then somebody signs up.
async fn proof_requested_before_the_sign_up_removes_it(server: &TestServer) {
    let email = "requested-code@example.org";
    server.post("/auth/verification/send-code").json(&json!({"email": email})).send_checked().await.is(202);
    let code = outbox::wait_for_mail(server, email, 0).await.code();
    let planted = plant(server, Some(SignUp::V1), "requested-code").await;
    let body = json!({"email": email, "code": code});
    server.post("/auth/verification/verify-code").json(&body).send_checked().await.is(200);
    planted.assert_removed(server, "code", false).await;

    let (token, claim) = request_magic_link(server, "requested-link@example.org").await;
    let planted = plant(server, Some(SignUp::V1), "requested-link").await;
    let body = json!({"token": token, "claim": claim});
    server.post("/links/magic").json(&body).send_checked().await.is(201);
    planted.assert_removed(server, "link", false).await;
}

/// A verified account can move to the address of another person, which is then as unproved as at a sign-up.
async fn address_that_was_changed_is_proved_anew(server: &TestServer) {
    server.plan().create_user("mover@example.org", PASSWORD, &["--verified"]);
    let planted = equip(server, "mover@example.org").await;
    let body = json!({"email": "moved@example.org", "original": PASSWORD});
    let update = server.request(Method::PUT, "/auth/users/me").bearer_auth(&planted.tokens.access).json(&body);
    update.send_checked().await.is(200);
    outbox::wait_until_queue_is_empty(server).await;
    let planted = Planted { email: "moved@example.org".to_owned(), ..planted };
    SignIn::UnturnedCode.attempt(server, &planted.email, None).await.tokens();
    planted.assert_removed(server, "changed address", false).await;
}

/// Two proofs at one moment: the first removes, and voids the second like every code and link issued before.
async fn concurrent_proofs_remove_once(server: &TestServer) {
    for round in 0..5 {
        let planted = plant(server, Some(SignUp::V1), &format!("twice-{round}")).await;
        let (token, claim) = request_magic_link(server, &planted.email).await;
        let before = outbox::mails(server, &planted.email).len();
        let body = json!({"email": planted.email});
        server.post("/auth/verification/send-code").json(&body).send_checked().await.is(202);
        let code = outbox::wait_for_mail(server, &planted.email, before).await.code();
        let by_code = json!({"email": planted.email, "code": code});
        let by_link = json!({"token": token, "claim": claim});
        let (by_code, by_link) = join(
            server.post("/auth/verification/verify-code").json(&by_code).send_checked(),
            server.post("/links/magic").json(&by_link).send_checked(),
        )
        .await;
        let access = match (by_code.status, by_link.status) {
            (200, 400 | 401) => text(&by_code.json()["data"], "access_token").to_owned(),
            (401, 201) => text(&by_link.json(), "access_token").to_owned(),
            other => panic!("{other:?}: {by_code:?} {by_link:?}"),
        };
        assert_eq!(server.rejection_reason(&access).await, "");
        planted.assert_removed(server, "concurrent proofs", false).await;
    }
}

async fn pending_second_factor_is_not_confirmed_after_the_proof(server: &TestServer) {
    let email = "pending@example.org";
    SignUp::V1.create_unverified(server, email, "").await;
    let planted = SignIn::Native.attempt(server, email, None).await.tokens();
    let enrollment = server.post("/totp").bearer_auth(&planted.access).send_checked().await.is(201).json();
    let owner = SignIn::UnturnedCode.attempt(server, email, None).await.tokens();
    let body = json!({"code": totp::code(text(&enrollment, "key"), 0)});
    let confirmation = server.request(Method::PUT, "/totp").bearer_auth(&owner.access).json(&body);
    confirmation.send_checked().await.is_problem(400, "mfa_enable_failed");
}

async fn first_proof_of_a_passwordless_account_mails_nothing(server: &TestServer) {
    let email = "bare@example.org";
    server.plan().json(&["users", "create", "--email", email], "");
    SignIn::UnturnedCode.attempt(server, email, None).await.tokens();
    outbox::wait_until_queue_is_empty(server).await;
    let mails = outbox::mails(server, email);
    assert_eq!(mails.len(), 1, "the code alone: {mails:?}");
}

/// On another node, which has the key and the token in its caches, they end within a second too.
#[tokio::test]
async fn first_proof_reaches_the_other_node() {
    let server = TestServer::redis_and_postgres(|plan| plan);
    let other = TestServer::start(server.plan().another_node());
    let planted = plant(&server, Some(SignUp::V1), "elsewhere").await;
    let credentials = [&planted.tokens.access, &planted.api_key, &planted.client_token];
    for credential in credentials {
        assert_eq!(other.rejection_reason(credential).await, "");
    }
    SignIn::UnturnedCode.attempt(&server, &planted.email, None).await.tokens();
    for credential in credentials {
        until("the other node refuses it", async || !other.rejection_reason(credential).await.is_empty()).await;
    }
    other.refresh(&planted.tokens.refresh).await.is_oauth_error(400, "invalid_grant");
}

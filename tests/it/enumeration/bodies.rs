//! Responses for every kind of account equal those for an unknown address, with open and with closed registration. Only
//! the mails differ.

use super::calls::{CODE_GUESSES, MAIL_REQUESTS, OTHER_SIGN_INS, SIGN_INS};
use super::*;
use crate::support::server::over_both_stores;
use crate::support::{outbox, until};

mod open_registration {
    use super::*;

    over_both_stores!(|base| cheap(plan(base)); every_kind_of_account_looks_unknown, password_resets_are_mailed_only_to_accounts);
}

mod closed_registration {
    use super::*;

    over_both_stores!(|base| cheap(closed(base)); every_kind_of_account_looks_unknown, password_resets_are_mailed_only_to_accounts,
        codes_and_links_are_mailed_only_to_accounts);
}

/// The same with cheap hashing: no times are compared here.
fn cheap(plan: Plan) -> Plan {
    plan.set("SIGNET_PASSWORDS__MEMORY_KIB", "64")
}

async fn every_kind_of_account_looks_unknown(server: &TestServer) {
    let kinds = [
        ("plain", server.create_user(&[])),
        ("verified", server.create_user(&["--verified"])),
        ("superuser", server.create_user(&["--superuser"])),
        ("disabled", disabled(server)),
        ("without a password", without_a_password(server).await),
        ("with a second factor", with_a_second_factor(server).await),
    ];
    // Concurrently: most of their time is spent waiting.
    let compare = async |(kind, user): &(&str, TestUser)| {
        for call in SIGN_INS.iter().chain(OTHER_SIGN_INS).chain(MAIL_REQUESTS).chain(CODE_GUESSES) {
            let samples = sample(server, call, std::slice::from_ref(user), &unknown_users(), 8).await;
            assert_eq!(samples.forms.len(), 1, "{kind}, {}: {:#?}", call.name, samples.forms);
        }
    };
    futures_util::future::join_all(kinds.iter().map(compare)).await;
}

fn disabled(server: &TestServer) -> TestUser {
    let user = server.create_user(&[]);
    server.plan().json(&["users", "disable", &user.email], "");
    user
}

async fn without_a_password(server: &TestServer) -> TestUser {
    let user = server.create_user(&[]);
    server.sql(&format!("UPDATE users SET password_hash = NULL WHERE email = '{}'", user.email)).await;
    user
}

async fn with_a_second_factor(server: &TestServer) -> TestUser {
    let user = server.create_user(&[]);
    let tokens = server.sign_in(&user).await;
    server.post("/auth/create/otp").bearer_auth(&tokens.access).send_checked().await.is(200);
    user
}

/// If no mails were sent at all, the other tests would prove nothing.
async fn password_resets_are_mailed_only_to_accounts(server: &TestServer) {
    assert_only_accounts_get_mail(server, &["myauth: password reset", "v1: password reset", "native: password reset"])
        .await;
}

async fn codes_and_links_are_mailed_only_to_accounts(server: &TestServer) {
    assert_only_accounts_get_mail(
        server,
        &["unturned: code", "myauth: magic link", "native: code", "native: magic link"],
    )
    .await;
}

async fn assert_only_accounts_get_mail(server: &TestServer, calls: &[&str]) {
    let unknown_user = &unknown_users()[GROUP_SIZE - 1];
    for name in calls {
        let call = MAIL_REQUESTS.iter().find(|call| call.name == *name).expect("it is one of the calls");
        let user = server.create_user(&[]);
        (call.request)(server, unknown_user).send_checked().await;
        (call.request)(server, &user).send_checked().await;
        // The queue keeps the order: a mail to the unknown address would have been sent before.
        outbox::wait_for_mail(server, &user.email, 0).await;
        until("the mail queue is empty", async || {
            server.get_management("/metrics").await.text.contains("\nsignet_mail_queue 0\n")
        })
        .await;
        assert_eq!(outbox::mails(server, &unknown_user.email).len(), 0, "{}", call.name);
    }
}

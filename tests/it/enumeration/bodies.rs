//! That no kind of person is answered otherwise than nobody is, whether anybody may sign up or not, and that what differs is the mail
//! alone.

use super::calls::{ASKING, GUESSING, SIGN_INS, SIGN_INS_OTHERWISE};
use super::*;
use crate::support::server::over_both_stores;
use crate::support::{outbox, until};

mod where_anybody_may_sign_up {
    use super::*;

    over_both_stores!(plan; every_kind_of_person_is_answered_as_nobody_is, a_recovery_is_mailed_to_people_alone);
}

mod where_nobody_may_sign_up {
    use super::*;

    over_both_stores!(closed; every_kind_of_person_is_answered_as_nobody_is, a_recovery_is_mailed_to_people_alone,
        so_is_everything_else);
}

async fn every_kind_of_person_is_answered_as_nobody_is(server: &TestServer) {
    let kinds = [
        ("plain", server.person(&[])),
        ("confirmed", server.person(&["--verified"])),
        ("superuser", server.person(&["--superuser"])),
        ("disabled", disabled(server)),
        ("without a password", without_a_password(server).await),
        ("with a second factor", with_a_second_factor(server).await),
    ];
    for (kind, person) in kinds {
        for call in SIGN_INS.iter().chain(SIGN_INS_OTHERWISE).chain(ASKING).chain(GUESSING) {
            let seen = watch(server, call, std::slice::from_ref(&person), &strangers(), 8).await;
            assert_eq!(seen.forms.len(), 1, "{kind}, {}: {:#?}", call.name, seen.forms);
        }
    }
}

fn disabled(server: &TestServer) -> Person {
    let person = server.person(&[]);
    server.plan().json(&["users", "disable", &person.email], "");
    person
}

async fn without_a_password(server: &TestServer) -> Person {
    let person = server.person(&[]);
    server.sql(&format!("UPDATE users SET password_hash = NULL WHERE email = '{}'", person.email)).await;
    person
}

async fn with_a_second_factor(server: &TestServer) -> Person {
    let person = server.person(&[]);
    let tokens = server.sign_in(&person).await;
    server.post("/auth/create/otp").bearer_auth(&tokens.access).send_checked().await.is(200);
    person
}

/// Otherwise all of this would prove nothing.
async fn a_recovery_is_mailed_to_people_alone(server: &TestServer) {
    mails_only_people(server, &["myauth: a recovery", "v1: a reset"]).await;
}

async fn so_is_everything_else(server: &TestServer) {
    mails_only_people(server, &["unturned: a code", "myauth: a magic link"]).await;
}

async fn mails_only_people(server: &TestServer, calls: &[&str]) {
    let stranger = &strangers()[CAST - 1];
    for call in ASKING.iter().filter(|call| calls.contains(&call.name)) {
        let person = server.person(&[]);
        (call.ask)(server, stranger).send_checked().await;
        (call.ask)(server, &person).send_checked().await;
        // Which is sent after what was asked for before it.
        outbox::next(server, &person.email, 0).await;
        until("nothing waits to be sent", async || {
            server.ops("/metrics").await.text.contains("\nsignet_mail_queue 0\n")
        })
        .await;
        assert_eq!(outbox::mails(server, &stranger.email).len(), 0, "{}", call.name);
    }
}

//! Mail in `signet check`, and mail settings that prevent the start.

use serde_json::{Value, json};

use crate::support::server::{SendRequest, TestServer};
use crate::support::signet::Plan;
use crate::support::smtp;

/// The result and the detail of the part `mail` of `signet check`.
fn check_mail(plan: &Plan) -> (String, String) {
    let output = plan.run(&["--json", "check"], "");
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let finding = findings.as_array().unwrap().iter().find(|finding| finding["part"] == "mail").unwrap();
    let text = |field: &str| finding[field].as_str().unwrap().to_owned();
    assert_eq!(output.status.success(), finding["result"] == "ok", "{findings}");
    (text("result"), text("detail"))
}

#[test]
fn check_tests_connection_certificate_and_login() {
    let mut server = smtp::Server::options().starttls().account("signet", "sesame").start();
    let plan = Plan::embedded().set("SMTP_URL", &server.url());
    let valid = plan.clone().set("SIGNET_MAIL__CA", server.ca().to_str().unwrap());
    let (result, detail) = check_mail(&valid);
    assert_eq!(result, "ok", "{detail}");
    assert!(detail.contains("127.0.0.1") && detail.contains("answers"), "{detail}");
    assert_eq!(server.accepted().len(), 0, "the check sends no mail");

    let wrong_password = valid.clone().set("SMTP_URL", &server.url().replace("sesame", "hunter2"));
    for (plan, why) in [(&plan, "UnknownIssuer"), (&wrong_password, "535")] {
        let (result, detail) = check_mail(plan);
        assert_eq!(result, "failed");
        assert!(detail.contains(why) && detail.contains("mail.smtp_url"), "{detail}");
        assert!(!detail.contains("sesame") && !detail.contains("hunter2"), "{detail}");
    }
    valid.json(&["migrate"], "");
    let sent = valid.json(&["mail", "test", "ada@example.org"], "");
    let (host, port) = server.address();
    assert_eq!((&sent["to"], &sent["accepted_by"]), (&json!("ada@example.org"), &json!(format!("{host}:{port}"))));
    assert_eq!(smtp::ParsedMail(server.accepted()[0]["mail"].clone()).header("subject"), "Test of email from Signet");
    assert_eq!(valid.run(&["mail", "test", "ada"], "").status.code(), Some(1));
    server.kill();
    let (result, detail) = check_mail(&valid);
    assert!(result == "failed" && detail.contains("refused") && !detail.contains("sesame"), "{detail}");
    // It tries once, and says why it failed.
    let output = valid.run(&["mail", "test", "ada@example.org"], "");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && error.contains("did not accept the mail"), "{error}");
    assert!(error.contains("refused") && !error.contains("sesame"), "{error}");
}

#[tokio::test]
async fn log_says_that_the_login_is_refused() {
    let smtp_server = smtp::Server::options().account("signet", "sesame").start();
    let url = smtp_server.url().replace("sesame", "hunter2");
    let server = TestServer::embedded(|plan| plan.set("SMTP_URL", &url));
    let user = server.create_user(&["--verified"]);
    server.post("/codes").json(&json!({"email": user.email})).send_checked().await.is(202);
    server.signet.wait_for_log("the mail server refuses the connection or the login, mails wait");
    let log = server.signet.log();
    assert!(log.contains("authenticating: answered 535") && !log.contains("hunter2"), "{log}");
}

#[test]
fn check_names_the_outbox_without_a_mail_server() {
    let (result, detail) = check_mail(&Plan::embedded());
    assert!(result == "ok" && detail.contains("data_dir"), "{detail}");
}

#[test]
fn invalid_template_fails_check_and_start() {
    let plan = Plan::embedded();
    let templates = plan.dir().join("letters/en");
    std::fs::create_dir_all(&templates).unwrap();
    std::fs::write(templates.join("sign-in-code.txt"), "{{cod}}\n{{code}}\n").unwrap();
    let plan = plan.set("SIGNET_MAIL__TEMPLATES", "letters");
    let (result, detail) = check_mail(&plan);
    assert!(result == "failed" && detail.contains("en/sign-in-code.txt has {{cod}}"), "{detail}");
    let server = plan.try_start();
    assert_eq!(server.wait_for_exit().code(), Some(1));
    assert!(server.log().contains("mail.templates: ") && server.log().contains("{{cod}}"), "{}", server.log());
}

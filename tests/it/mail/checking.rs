//! What an operator is told of mail before anybody needs one: by `signet check`, and by a start that is refused.

use serde_json::Value;

use crate::support::{signet::Plan, smtp};

/// What `signet check` finds out about mail: the result, and the detail.
fn found(plan: &Plan) -> (String, String) {
    let output = plan.run(&["--json", "check"], "");
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let finding = findings.as_array().unwrap().iter().find(|finding| finding["part"] == "mail").unwrap();
    let text = |field: &str| finding[field].as_str().unwrap().to_owned();
    assert_eq!(output.status.success(), finding["result"] == "ok", "{findings}");
    (text("result"), text("detail"))
}

#[test]
fn a_mail_server_is_checked_with_its_sign_in_and_its_certificate() {
    let mut server = smtp::Server::options().starttls().account("signet", "sesame").start();
    let plan = Plan::embedded().set("SMTP_URL", &server.url());
    let good = plan.clone().set("SIGNET_MAIL__CA", server.ca().to_str().unwrap());
    let (result, detail) = found(&good);
    assert_eq!(result, "ok", "{detail}");
    assert!(detail.contains("127.0.0.1") && detail.contains("answers"), "{detail}");
    assert_eq!(server.taken().len(), 0, "to look is not to send");

    let wrong = good.clone().set("SMTP_URL", &server.url().replace("sesame", "hunter2"));
    for (plan, why) in [(&plan, "UnknownIssuer"), (&wrong, "535")] {
        let (result, detail) = found(plan);
        assert_eq!(result, "failed");
        assert!(detail.contains(why) && detail.contains("mail.smtp_url"), "{detail}");
        assert!(!detail.contains("sesame") && !detail.contains("hunter2"), "{detail}");
    }
    server.kill();
    let (result, detail) = found(&good);
    assert!(result == "failed" && detail.contains("refused") && !detail.contains("sesame"), "{detail}");
}

#[test]
fn without_a_mail_server_it_is_said_where_mails_go() {
    let (result, detail) = found(&Plan::embedded());
    assert!(result == "ok" && detail.contains("data_dir"), "{detail}");
}

#[test]
fn letters_that_cannot_be_used_are_found_and_keep_the_server_from_starting() {
    let plan = Plan::embedded();
    let own = plan.dir().join("letters/en");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("sign-in-code.txt"), "{{cod}}\n{{code}}\n").unwrap();
    let plan = plan.set("SIGNET_MAIL__TEMPLATES", "letters");
    let (result, detail) = found(&plan);
    assert!(result == "failed" && detail.contains("en/sign-in-code.txt has {{cod}}"), "{detail}");
    let server = plan.try_start();
    assert_eq!(server.ended().code(), Some(1));
    assert!(server.log().contains("mail.templates: ") && server.log().contains("{{cod}}"), "{}", server.log());
}

//! Delivery to a working SMTP server: TLS, authentication, connections and addresses.

use signet::config;

use super::*;

fn via_with_ca(server: &smtp::Server) -> config::Mail {
    config::Mail { ca: Some(server.ca()), ..via(server) }
}

fn smtp_url(url: String) -> Option<SecretUrl> {
    Some(SecretUrl(url))
}

#[tokio::test]
async fn mail_is_delivered_with_starttls_and_login() {
    let server = smtp::Server::options().starttls().account("signet%40example.org", "p%40ss%3Aw%C3%B6rd").start();
    let from = "Die Post <post@id.example.org>".to_owned();
    let mailer = TestMailer::open(&config::Mail { from, ..via_with_ca(&server) });
    // The URL has the credentials percent-encoded; the decoded ones must be sent, which this server does not accept.
    assert!(mailer.handle.send_and_wait(code("ada@example.org"), WAIT_TIMEOUT).await.is_err());

    let server = smtp::Server::options().starttls().account("signet@example.org", "p@ss:wörd").start();
    let url = server.url().replace("signet@example.org:p@ss:wörd", "signet%40example.org:p%40ss%3Aw%C3%B6rd");
    let from = "Die Post <post@id.example.org>".to_owned();
    let mailer = TestMailer::open(&config::Mail { from, smtp_url: smtp_url(url), ..via_with_ca(&server) });
    mailer.handle.send_and_wait(code("ada@example.org"), WAIT_TIMEOUT).await.unwrap();
    let taken = server.accepted();
    assert_eq!(taken.len(), 1);
    let mail = &taken[0];
    assert_eq!((&mail["from"], &mail["to"][0]), (&"post@id.example.org".into(), &"ada@example.org".into()));
    assert_eq!((&mail["tls"], &mail["user"]), (&true.into(), &"signet@example.org".into()));
    assert_eq!(mail["greeted"], "id.example.org");
    let read = smtp::ParsedMail(mail["mail"].clone());
    assert_eq!(read.header("from"), "Die Post <post@id.example.org>");
    assert!(read.header("message-id").ends_with("@id.example.org>"));
    assert!(read.text().lines().any(|line| line == "314159"));
    assert_eq!(read.0["defects"], serde_json::json!([]));
}

#[tokio::test]
async fn mail_is_delivered_with_implicit_tls() {
    let server = smtp::Server::options().tls_first().start();
    let url = server.url().replace("127.0.0.1", "localhost") + "/gate.example.org";
    let mailer = TestMailer::open(&config::Mail { smtp_url: smtp_url(url), ..via_with_ca(&server) });
    mailer.handle.send_and_wait(code("ada@example.org"), WAIT_TIMEOUT).await.unwrap();
    let mail = &server.accepted()[0];
    assert_eq!((&mail["tls"], &mail["greeted"]), (&true.into(), &"gate.example.org".into()));
}

#[tokio::test]
async fn untrusted_certificate_gets_no_mail_and_no_password() {
    for options in [smtp::Server::options().starttls(), smtp::Server::options().tls_first()] {
        let server = options.account("signet", "sesame").start();
        let mailer = TestMailer::open(&via(&server));
        mailer.handle.enqueue(code("ada@example.org"));
        until("the delivery was tried", async || mailer.count("signet_mail_failed_tries_total") > 0).await;
        assert_eq!(server.accepted().len(), 0);
        let message = signet::mail::check(&via(&server)).await.unwrap().unwrap_err().to_string();
        assert!(message.contains("UnknownIssuer"), "{message}");
    }
}

#[tokio::test]
async fn server_without_starttls_needs_the_tls_parameter() {
    let server = smtp::Server::start();
    let url = |tls: &str| server.url().replace("?tls=none", tls);
    for (tls, taken) in [("", false), ("?tls=required", false), ("?tls=opportunistic", true), ("?tls=none", true)] {
        let before = server.accepted().len();
        let settings = config::Mail { smtp_url: smtp_url(url(tls)), ..settings() };
        let mailer = TestMailer::open(&settings);
        mailer.handle.enqueue(code("ada@example.org"));
        let tried = || mailer.count("signet_mail_failed_tries_total") + mailer.count_mails("sent");
        until("the delivery was tried", async || tried() > 0).await;
        assert_eq!(
            (mailer.count_mails("sent") == 1, server.accepted().len() - before),
            (taken, usize::from(taken)),
            "{tls:?}"
        );
    }
    let encrypted = smtp::Server::options().starttls().start();
    let url = encrypted.url() + "?tls=opportunistic";
    let mailer = TestMailer::open(&config::Mail { smtp_url: smtp_url(url), ..via_with_ca(&encrypted) });
    mailer.handle.send_and_wait(code("ada@example.org"), WAIT_TIMEOUT).await.unwrap();
    assert_eq!(encrypted.accepted()[0]["tls"], true);
}

#[tokio::test]
async fn wrong_smtp_password_is_refused_and_not_shown() {
    let server = smtp::Server::options().starttls().account("signet", "sesame").start();
    let url = server.url().replace("sesame", "hunter2");
    let settings = config::Mail { smtp_url: smtp_url(url), ..via_with_ca(&server) };
    let mailer = TestMailer::open(&settings);
    let result = mailer.handle.send_and_wait(code("ada@example.org"), WAIT_TIMEOUT).await;
    assert_eq!(result, Err(signet::mail::DeliveryError::Refused));
    assert_eq!((mailer.count_mails("refused"), server.accepted().len()), (1, 0));
    let message = signet::mail::check(&settings).await.unwrap().unwrap_err().to_string();
    assert_eq!(message, "authenticating: answered 535 5.7.8");
    assert!(signet::mail::check(&via_with_ca(&server)).await.unwrap().is_ok());
}

#[tokio::test]
async fn connection_is_reused() {
    let server = smtp::Server::options().starttls().start();
    let mailer = TestMailer::open(&via_with_ca(&server));
    for _ in 0..5 {
        mailer.handle.send_and_wait(code("ada@example.org"), WAIT_TIMEOUT).await.unwrap();
    }
    let connections = server.accepted().iter().map(|mail| mail["connection"].clone()).collect::<Vec<_>>();
    assert_eq!(connections.len(), 5);
    assert!(connections.iter().all(|connection| *connection == connections[0]), "{connections:?}");
}

#[tokio::test]
async fn internationalized_address_needs_smtputf8() {
    let (with_smtputf8, without) = (smtp::Server::start(), smtp::Server::options().ascii_only().start());
    let address = "用户@xn--fsqu00a.xn--4gqp21l";
    let mailer = TestMailer::open(&via(&with_smtputf8));
    mailer.handle.send_and_wait(code(address), WAIT_TIMEOUT).await.unwrap();
    let mail = &with_smtputf8.accepted()[0];
    assert_eq!((&mail["to"][0], &mail["utf8"]), (&address.into(), &true.into()));
    assert_eq!(smtp::ParsedMail(mail["mail"].clone()).header("to"), address);

    let mailer = TestMailer::open(&via(&without));
    let result = mailer.handle.send_and_wait(code(address), WAIT_TIMEOUT).await;
    assert_eq!(result, Err(signet::mail::DeliveryError::Refused));
    mailer.handle.send_and_wait(code("ada@example.org"), WAIT_TIMEOUT).await.unwrap();
}

#[test]
fn invalid_smtp_url_is_refused_without_quoting_it() {
    let metrics = Arc::new(Metrics::new::<&str>(&[], NOW));
    let dir = TempDir::new().unwrap();
    let open_error = |settings: &config::Mail| {
        let opened = try_open(settings, dir.path(), &Clock::manual(NOW), &metrics);
        opened.err().expect("the settings are invalid").to_string()
    };
    for url in [
        "smtp://signet:hunter2@",
        "smtp://signet:hun#ter2@mail.example.com",
        "smtp://signet:hunter2@mail.example.com:port",
        "smtp://signet:hunter2@mail.example.com?tls=maybe",
        "smtps://signet:hunter2@mail.example.com?tls=none",
        "smtp://signet:hunter2@mail.example.com?ssl=1",
        "smtp://signet:hunter2@mail.example.com?tls=none&tls=required",
        "smtp://signet:hunter2@mail.example.com/a%0d%0ab",
        "smtp://signet:%ff@mail.example.com",
    ] {
        let message = open_error(&config::Mail { smtp_url: smtp_url(url.to_owned()), ..settings() });
        assert!(message.starts_with("mail.smtp_url cannot be used: ") && !message.contains("hun"), "{url}: {message}");
    }
    let empty_ca = dir.path().join("ca.pem");
    std::fs::write(&empty_ca, "no certificate").unwrap();
    for ca in [dir.path().join("missing.pem"), empty_ca] {
        let url = smtp_url("smtp://mail.example.com".to_owned());
        let message = open_error(&config::Mail { smtp_url: url, ca: Some(ca.clone()), ..settings() });
        assert!(message.starts_with("mail.ca: ") && message.contains(ca.to_str().unwrap()), "{message}");
    }
}

//! Through a mail server that takes mails.

use signet::config;

use super::*;

fn trusting(server: &smtp::Server) -> config::Mail {
    config::Mail { ca: Some(server.ca()), ..through(server) }
}

fn at(url: String) -> Option<SecretUrl> {
    Some(SecretUrl(url))
}

#[tokio::test]
async fn a_mail_is_delivered_by_starttls_and_a_sign_in() {
    let server = smtp::Server::options().starttls().account("signet%40example.org", "p%40ss%3Aw%C3%B6rd").start();
    let from = "Die Post <post@id.example.org>".to_owned();
    let room = Room::open(&config::Mail { from, ..trusting(&server) });
    // As it is in the address, so it is not on the server: percent-encoded.
    assert!(room.mailer.send_and_wait(code("ada@example.org"), PATIENCE).await.is_err());

    let server = smtp::Server::options().starttls().account("signet@example.org", "p@ss:wörd").start();
    let url = server.url().replace("signet@example.org:p@ss:wörd", "signet%40example.org:p%40ss%3Aw%C3%B6rd");
    let from = "Die Post <post@id.example.org>".to_owned();
    let room = Room::open(&config::Mail { from, smtp_url: at(url), ..trusting(&server) });
    room.mailer.send_and_wait(code("ada@example.org"), PATIENCE).await.unwrap();
    let taken = server.taken();
    assert_eq!(taken.len(), 1);
    let mail = &taken[0];
    assert_eq!((&mail["from"], &mail["to"][0]), (&"post@id.example.org".into(), &"ada@example.org".into()));
    assert_eq!((&mail["tls"], &mail["user"]), (&true.into(), &"signet@example.org".into()));
    assert_eq!(mail["greeted"], "id.example.org");
    let read = smtp::Letter(mail["mail"].clone());
    assert_eq!(read.header("from"), "Die Post <post@id.example.org>");
    assert!(read.header("message-id").ends_with("@id.example.org>"));
    assert!(read.text().lines().any(|line| line == "314159"));
    assert_eq!(read.0["defects"], serde_json::json!([]));
}

#[tokio::test]
async fn tls_from_the_first_byte_is_spoken_too() {
    let server = smtp::Server::options().tls_first().start();
    let url = server.url().replace("127.0.0.1", "localhost") + "/gate.example.org";
    let room = Room::open(&config::Mail { smtp_url: at(url), ..trusting(&server) });
    room.mailer.send_and_wait(code("ada@example.org"), PATIENCE).await.unwrap();
    let mail = &server.taken()[0];
    assert_eq!((&mail["tls"], &mail["greeted"]), (&true.into(), &"gate.example.org".into()));
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_gets_no_mail_and_no_password() {
    for options in [smtp::Server::options().starttls(), smtp::Server::options().tls_first()] {
        let server = options.account("signet", "sesame").start();
        let room = Room::open(&through(&server));
        room.mailer.enqueue(code("ada@example.org"));
        until("it was tried", async || room.count("signet_mail_failed_tries_total") > 0).await;
        assert_eq!(server.taken().len(), 0);
        let said = signet::mail::check(&through(&server)).await.unwrap().unwrap_err().to_string();
        assert!(said.contains("UnknownIssuer"), "{said}");
    }
}

#[tokio::test]
async fn a_server_without_starttls_gets_mail_only_where_the_address_allows_it() {
    let server = smtp::Server::start();
    let url = |tls: &str| server.url().replace("?tls=none", tls);
    for (tls, taken) in [("", false), ("?tls=required", false), ("?tls=opportunistic", true), ("?tls=none", true)] {
        let before = server.taken().len();
        let settings = config::Mail { smtp_url: at(url(tls)), ..settings() };
        let room = Room::open(&settings);
        room.mailer.enqueue(code("ada@example.org"));
        let tried = || room.count("signet_mail_failed_tries_total") + room.ended("sent");
        until("it was tried", async || tried() > 0).await;
        assert_eq!((room.ended("sent") == 1, server.taken().len() - before), (taken, usize::from(taken)), "{tls:?}");
    }
    let encrypted = smtp::Server::options().starttls().start();
    let url = encrypted.url() + "?tls=opportunistic";
    let room = Room::open(&config::Mail { smtp_url: at(url), ..trusting(&encrypted) });
    room.mailer.send_and_wait(code("ada@example.org"), PATIENCE).await.unwrap();
    assert_eq!(encrypted.taken()[0]["tls"], true);
}

#[tokio::test]
async fn a_wrong_password_is_refused_at_once_and_shown_nowhere() {
    let server = smtp::Server::options().starttls().account("signet", "sesame").start();
    let url = server.url().replace("sesame", "hunter2");
    let settings = config::Mail { smtp_url: at(url), ..trusting(&server) };
    let room = Room::open(&settings);
    let handed = room.mailer.send_and_wait(code("ada@example.org"), PATIENCE).await;
    assert_eq!(handed, Err(signet::mail::DeliveryError::Refused));
    assert_eq!((room.ended("refused"), server.taken().len()), (1, 0));
    let said = signet::mail::check(&settings).await.unwrap().unwrap_err().to_string();
    assert_eq!(said, "authenticating: answered 535 5.7.8");
    assert!(signet::mail::check(&trusting(&server)).await.unwrap().is_ok());
}

#[tokio::test]
async fn one_connection_serves_one_mail_after_the_other() {
    let server = smtp::Server::options().starttls().start();
    let room = Room::open(&trusting(&server));
    for _ in 0..5 {
        room.mailer.send_and_wait(code("ada@example.org"), PATIENCE).await.unwrap();
    }
    let connections = server.taken().iter().map(|mail| mail["connection"].clone()).collect::<Vec<_>>();
    assert_eq!(connections.len(), 5);
    assert!(connections.iter().all(|connection| *connection == connections[0]), "{connections:?}");
}

#[tokio::test]
async fn an_address_in_other_letters_needs_a_server_that_knows_them() {
    let (knows, does_not) = (smtp::Server::start(), smtp::Server::options().ascii_only().start());
    let address = "用户@xn--fsqu00a.xn--4gqp21l";
    let room = Room::open(&through(&knows));
    room.mailer.send_and_wait(code(address), PATIENCE).await.unwrap();
    let mail = &knows.taken()[0];
    assert_eq!((&mail["to"][0], &mail["utf8"]), (&address.into(), &true.into()));
    assert_eq!(smtp::Letter(mail["mail"].clone()).header("to"), address);

    let room = Room::open(&through(&does_not));
    let handed = room.mailer.send_and_wait(code(address), PATIENCE).await;
    assert_eq!(handed, Err(signet::mail::DeliveryError::Refused));
    room.mailer.send_and_wait(code("ada@example.org"), PATIENCE).await.unwrap();
}

#[test]
fn an_address_that_cannot_be_used_is_refused_at_the_start_and_not_quoted() {
    let metrics = Arc::new(Metrics::new::<&str>(&[], NOW));
    let dir = TempDir::new().unwrap();
    let refused = |settings: &config::Mail| {
        let opened = try_open(settings, dir.path(), &Clock::manual(NOW), &metrics);
        opened.err().expect("it is refused").to_string()
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
        let said = refused(&config::Mail { smtp_url: at(url.to_owned()), ..settings() });
        assert!(said.starts_with("mail.smtp_url cannot be used: ") && !said.contains("hun"), "{url}: {said}");
    }
    let nothing = dir.path().join("ca.pem");
    std::fs::write(&nothing, "no certificate").unwrap();
    for ca in [dir.path().join("missing.pem"), nothing] {
        let url = at("smtp://mail.example.com".to_owned());
        let said = refused(&config::Mail { smtp_url: url, ca: Some(ca.clone()), ..settings() });
        assert!(said.starts_with("mail.ca: ") && said.contains(ca.to_str().unwrap()), "{said}");
    }
}

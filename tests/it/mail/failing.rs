//! A mail server that hangs, refuses, is down or slow; a full queue; and the end of the process.

use std::net::TcpListener;
use std::time::Instant;

use signet::config;
use signet::mail::DeliveryError;

use super::*;

/// A server that accepts connections (in the kernel) and never sends a byte.
fn silent_server() -> (TcpListener, config::Mail) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}?tls=none", listener.local_addr().unwrap());
    (listener, config::Mail { smtp_url: Some(SecretUrl(url)), ..settings() })
}

#[tokio::test]
async fn caller_waits_no_longer_than_its_timeout() {
    let (_listener, settings) = silent_server();
    let mailer = TestMailer::open(&config::Mail { timeout: Duration::from_millis(100), ..settings });
    let result = mailer.handle.send_and_wait(code("ada@example.org"), Duration::from_millis(50)).await;
    assert_eq!(result, Err(DeliveryError::TimedOut));
    // A mail reported as not sent must not be delivered later.
    mailer.wait_for("withdrawn", 1).await;
}

#[tokio::test]
async fn hanging_mails_do_not_block_others() {
    let server = smtp::Server::start();
    let mailer = TestMailer::open(&via(&server));
    // One less than the maximum of concurrent deliveries: the remaining slot is enough for all other mails.
    for number in 0..7 {
        let address = format!("hang@{number}.example.org");
        mailer.handle.enqueue(code(&address));
        until("the delivery hangs", async || server.has("hung", &address)).await;
    }
    for number in 0..20 {
        mailer.handle.send_and_wait(code(&format!("ada-{number}@example.org")), WAIT_TIMEOUT).await.unwrap();
    }
    assert_eq!((server.accepted().len(), mailer.count("signet_mail_queue")), (20, 7));
}

#[tokio::test]
async fn hanging_mail_is_retried_after_the_others() {
    let server = smtp::Server::start();
    let mailer = TestMailer::open(&config::Mail { timeout: Duration::from_millis(300), ..via(&server) });
    for number in 0..24 {
        mailer.handle.enqueue(code(&format!("hang@{number}.example.org")));
    }
    mailer.handle.send_and_wait(code("ada@example.org"), WAIT_TIMEOUT).await.unwrap();
    // Twice, if the server has accepted it once and has replied late.
    assert!(!server.accepted().is_empty());
    assert!(mailer.count("signet_mail_failed_tries_total") >= 24 - 7, "the earlier mails were tried first");
}

#[tokio::test]
async fn deferred_mail_is_delivered_once() {
    let server = smtp::Server::start();
    let mailer = TestMailer::open(&via(&server));
    mailer.handle.send_and_wait(code("later@example.org"), WAIT_TIMEOUT).await.unwrap();
    assert!(server.has("put_off", "later@example.org"));
    assert_eq!(mailer.handle.drain(WAIT_TIMEOUT).await, 0);
    assert_eq!((server.accepted().len(), mailer.count_mails("sent")), (1, 1));
    assert_eq!(mailer.count("signet_mail_failed_tries_total"), 1);
}

#[tokio::test]
async fn permanently_refused_mail_is_not_retried() {
    let server = smtp::Server::start();
    let mailer = TestMailer::open(&via(&server));
    mailer.handle.enqueue(code("never@example.org"));
    mailer.wait_for("refused", 1).await;
    assert_eq!(mailer.handle.send_and_wait(code("never@example.org"), WAIT_TIMEOUT).await, Err(DeliveryError::Refused));
    mailer.handle.send_and_wait(code("ada@example.org"), WAIT_TIMEOUT).await.unwrap();
    assert_eq!((server.accepted().len(), mailer.count("signet_mail_failed_tries_total")), (1, 0));
    assert_eq!(mailer.count("signet_mail_queue"), 0);
}

#[tokio::test]
async fn mail_waits_while_the_server_refuses_the_login() {
    let mut server = smtp::Server::options().account("signet", "sesame").start();
    server.change_password("changed");
    let mailer = TestMailer::open(&via(&server));
    mailer.handle.enqueue(code("ada@example.org"));
    until("the delivery was tried", async || mailer.count("signet_mail_failed_tries_total") > 0).await;
    assert_eq!((mailer.count("signet_mail_queue"), mailer.count_mails("refused")), (1, 0));
    assert_eq!(mailer.handle.queued(1)[0].last_failure.as_deref(), Some("authenticating: answered 535 5.7.8"));
    server.change_password("sesame");
    // The first mail that is sent ends the wait of the others.
    mailer.handle.send_and_wait(code("bob@example.org"), WAIT_TIMEOUT).await.unwrap();
    mailer.wait_for("sent", 2).await;
}

#[tokio::test]
async fn mail_waits_while_the_server_refuses_connections() {
    for (option, why) in [("--refuse-greeting", "connecting"), ("--refuse-starttls", "STARTTLS")] {
        let mut server = smtp::Server::options().starttls().start();
        let mailer = TestMailer::open(&config::Mail { ca: Some(server.ca()), ..via(&server) });
        server.refuse_at(option, "554 5.3.2 not now");
        mailer.handle.enqueue(code("ada@example.org"));
        until("the delivery was tried", async || mailer.count("signet_mail_failed_tries_total") > 0).await;
        let expected = format!("{why}: answered 554 5.3.2");
        assert_eq!(mailer.handle.queued(1)[0].last_failure, Some(expected));
        server.accept();
        mailer.handle.send_and_wait(code("bob@example.org"), WAIT_TIMEOUT).await.unwrap();
        mailer.wait_for("sent", 2).await;
    }
}

#[tokio::test]
async fn refused_login_is_not_repeated_by_every_mail() {
    let mut server = smtp::Server::options().account("signet", "sesame").start();
    server.change_password("changed");
    let mailer = TestMailer::open(&via(&server));
    for number in 0..40 {
        mailer.handle.enqueue(code(&format!("ada-{number}@example.org")));
    }
    until("the deliveries were tried", async || mailer.count("signet_mail_failed_tries_total") >= 80).await;
    // As many as are sent at the same time, and then one in ten seconds.
    let refused = server.refused_logins();
    assert!((1..40).contains(&refused), "{refused} logins were refused");
}

#[tokio::test]
async fn mail_that_waits_for_the_login_expires() {
    let mut server = smtp::Server::options().account("signet", "sesame").start();
    server.change_password("changed");
    let mailer = TestMailer::open(&via(&server));
    mailer.handle.enqueue(code("ada@example.org"));
    until("the delivery was tried", async || mailer.count("signet_mail_failed_tries_total") > 0).await;
    mailer.clock.advance(TEN_MINUTES + Duration::from_millis(1));
    mailer.wait_for("expired", 1).await;
}

#[tokio::test]
async fn queued_mails_are_delivered_after_an_outage() {
    let mut server = smtp::Server::start();
    let mailer = TestMailer::open(&via(&server));
    // The connection of the first mail is broken before the second.
    mailer.handle.send_and_wait(code("ada@example.org"), WAIT_TIMEOUT).await.unwrap();
    server.kill();
    mailer.handle.enqueue(code("bob@example.org"));
    until("the delivery was tried", async || mailer.count("signet_mail_failed_tries_total") > 0).await;
    server.restart();
    mailer.wait_for("sent", 2).await;
    let to = server.accepted().iter().map(|mail| mail["to"][0].clone()).collect::<Vec<_>>();
    assert_eq!(to, ["ada@example.org", "bob@example.org"]);
}

#[tokio::test]
async fn successful_delivery_retries_waiting_mails_at_once() {
    let mut server = smtp::Server::start();
    let mailer = TestMailer::open(&via(&server));
    server.kill();
    mailer.handle.enqueue(code("ada@example.org"));
    // The sixth pause lasts at least eight seconds: much longer than a delivery, on a busy machine too.
    until("the delivery was tried", async || mailer.count("signet_mail_failed_tries_total") >= 6).await;
    server.restart();
    let start = Instant::now();
    mailer.handle.send_and_wait(code("bob@example.org"), WAIT_TIMEOUT).await.unwrap();
    mailer.wait_for("sent", 2).await;
    assert!(start.elapsed() < Duration::from_secs(8), "the mail waited for the end of its pause");
}

#[tokio::test]
async fn expired_mail_is_never_sent() {
    let mut server = smtp::Server::start();
    let mailer = TestMailer::open(&via(&server));
    mailer.handle.enqueue(Mail { expires_at: NOW - Duration::from_millis(1), ..code("ada@example.org") });
    mailer.wait_for("expired", 1).await;
    let late = Mail { expires_at: NOW - Duration::from_secs(1), ..code("ada@example.org") };
    assert_eq!(mailer.handle.send_and_wait(late, WAIT_TIMEOUT).await, Err(DeliveryError::TimedOut));

    server.kill();
    mailer.handle.enqueue(code("bob@example.org"));
    until("the delivery was tried", async || mailer.count("signet_mail_failed_tries_total") > 0).await;
    mailer.clock.advance(TEN_MINUTES + Duration::from_millis(1));
    server.restart();
    mailer.wait_for("expired", 3).await;
    assert_eq!((server.accepted().len(), mailer.count_mails("sent")), (0, 0));
}

#[tokio::test]
async fn full_queue_drops_mails_and_reports_it() {
    let (_listener, settings) = silent_server();
    let mailer = TestMailer::open(&config::Mail { queue: 2, ..settings });
    for _ in 0..5 {
        mailer.handle.enqueue(code("ada@example.org"));
    }
    assert_eq!(mailer.handle.send_and_wait(code("ada@example.org"), WAIT_TIMEOUT).await, Err(DeliveryError::QueueFull));
    assert_eq!((mailer.count_mails("dropped"), mailer.count("signet_mail_queue")), (4, 2));
}

#[tokio::test]
async fn new_mail_takes_the_place_of_a_deferred_one() {
    let mut server = smtp::Server::start();
    let mailer = TestMailer::open(&config::Mail { queue: 2, ..via(&server) });
    server.refuse("450 4.1.2 domain not found");
    mailer.handle.enqueue(code("first@example.org"));
    mailer.handle.enqueue(code("second@example.org"));
    // Pauses last for seconds by then.
    until("the deliveries were tried", async || mailer.count("signet_mail_failed_tries_total") >= 8).await;
    mailer.handle.enqueue(code("third@example.org"));
    server.accept();
    mailer.wait_for("sent", 2).await;
    let accepted = server.accepted();
    let mut to: Vec<_> = accepted.iter().map(|mail| mail["to"][0].as_str().unwrap()).collect();
    to.sort_unstable();
    assert_eq!(to, ["second@example.org", "third@example.org"]);
    assert_eq!((mailer.count_mails("dropped"), mailer.count("signet_mail_queue")), (1, 0));
}

#[tokio::test]
async fn drain_sends_all_queued_mails() {
    let server = smtp::Server::start();
    let mailer = TestMailer::open(&via(&server));
    for number in 0..50 {
        mailer.handle.enqueue(code(&format!("ada-{number}@example.org")));
    }
    mailer.handle.enqueue(code("later@example.org"));
    assert_eq!(mailer.handle.drain(WAIT_TIMEOUT).await, 0);
    assert_eq!(server.accepted().len(), 51);
    mailer.handle.enqueue(code("ada@example.org"));
    assert_eq!(
        mailer.handle.send_and_wait(code("ada@example.org"), WAIT_TIMEOUT).await,
        Err(DeliveryError::ShuttingDown)
    );
    assert_eq!((server.accepted().len(), mailer.count_mails("dropped")), (51, 2));
}

#[tokio::test]
async fn drain_ends_at_its_timeout() {
    let (_listener, settings) = silent_server();
    let mailer = TestMailer::open(&settings);
    for _ in 0..3 {
        mailer.handle.enqueue(code("ada@example.org"));
    }
    assert_eq!(mailer.handle.drain(Duration::from_millis(50)).await, 3);
    assert_eq!(mailer.count_mails("left"), 3);
}

#[tokio::test]
async fn delivery_to_an_unwritable_outbox_is_retried() {
    let mailer = TestMailer::open(&settings());
    let outbox = mailer.dir.path().join("outbox");
    std::fs::write(&outbox, "in the way").unwrap();
    mailer.handle.enqueue(code("ada@example.org"));
    until("the delivery was tried", async || mailer.count("signet_mail_failed_tries_total") > 0).await;
    std::fs::remove_file(&outbox).unwrap();
    mailer.wait_for("sent", 1).await;
    assert_eq!(mailer.outbox().len(), 1);
}

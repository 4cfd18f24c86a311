//! When the mail server hangs, refuses, is gone or is slow, and when there is too much or no time left.

use std::net::TcpListener;
use std::time::Instant;

use signet::config;
use signet::mail::DeliveryError;

use super::*;

/// A server that accepts connections and never says a word: the kernel accepts for it.
fn silent() -> (TcpListener, config::Mail) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}?tls=none", listener.local_addr().unwrap());
    (listener, config::Mail { smtp_url: Some(SecretUrl(url)), ..settings() })
}

#[tokio::test]
async fn who_waits_for_a_server_that_hangs_waits_no_longer_than_he_said() {
    let (_listener, settings) = silent();
    let room = Room::open(&config::Mail { timeout: Duration::from_millis(100), ..settings });
    let handed = room.mailer.send_and_wait(code("ada@example.org"), Duration::from_millis(50)).await;
    assert_eq!(handed, Err(DeliveryError::TimedOut));
    // Who was told that it was not sent does not get it after all.
    room.until_ended("withdrawn", 1).await;
}

#[tokio::test]
async fn mails_that_hang_do_not_hold_up_the_others() {
    let server = smtp::Server::start();
    let room = Room::open(&through(&server));
    // One fewer than are sent at once: the last way is enough for all the others.
    for number in 0..7 {
        let address = format!("hang@{number}.example.org");
        room.mailer.enqueue(code(&address));
        until("it hangs", async || server.has("hung", &address)).await;
    }
    for number in 0..20 {
        room.mailer.send_and_wait(code(&format!("ada-{number}@example.org")), PATIENCE).await.unwrap();
    }
    assert_eq!((server.taken().len(), room.count("signet_mail_queue")), (20, 7));
}

#[tokio::test]
async fn a_hang_costs_one_time_out_and_then_it_is_another_mails_turn() {
    let server = smtp::Server::start();
    let room = Room::open(&config::Mail { timeout: Duration::from_millis(300), ..through(&server) });
    for number in 0..24 {
        room.mailer.enqueue(code(&format!("hang@{number}.example.org")));
    }
    room.mailer.send_and_wait(code("ada@example.org"), PATIENCE).await.unwrap();
    assert_eq!(server.taken().len(), 1);
    assert!(room.count("signet_mail_failed_tries_total") >= 24 - 7, "those before it had their turn");
}

#[tokio::test]
async fn what_is_put_off_comes_through_once() {
    let server = smtp::Server::start();
    let room = Room::open(&through(&server));
    room.mailer.send_and_wait(code("later@example.org"), PATIENCE).await.unwrap();
    assert!(server.has("put_off", "later@example.org"));
    assert_eq!(room.mailer.drain(PATIENCE).await, 0);
    assert_eq!((server.taken().len(), room.ended("sent")), (1, 1));
    assert_eq!(room.count("signet_mail_failed_tries_total"), 1);
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_tried_again() {
    let server = smtp::Server::start();
    let room = Room::open(&through(&server));
    room.mailer.enqueue(code("never@example.org"));
    room.until_ended("refused", 1).await;
    assert_eq!(room.mailer.send_and_wait(code("never@example.org"), PATIENCE).await, Err(DeliveryError::Refused));
    room.mailer.send_and_wait(code("ada@example.org"), PATIENCE).await.unwrap();
    assert_eq!((server.taken().len(), room.count("signet_mail_failed_tries_total")), (1, 0));
    assert_eq!(room.count("signet_mail_queue"), 0);
}

#[tokio::test]
async fn a_server_that_was_down_gets_what_waited_for_it() {
    let mut server = smtp::Server::start();
    let room = Room::open(&through(&server));
    // The connection of the first is broken by the time of the second.
    room.mailer.send_and_wait(code("ada@example.org"), PATIENCE).await.unwrap();
    server.kill();
    room.mailer.enqueue(code("bob@example.org"));
    until("it was tried", async || room.count("signet_mail_failed_tries_total") > 0).await;
    server.restart();
    room.until_ended("sent", 2).await;
    let to = server.taken().iter().map(|mail| mail["to"][0].clone()).collect::<Vec<_>>();
    assert_eq!(to, ["ada@example.org", "bob@example.org"]);
}

#[tokio::test]
async fn who_was_tried_in_vain_hears_when_the_server_is_back() {
    let mut server = smtp::Server::start();
    let room = Room::open(&through(&server));
    server.kill();
    room.mailer.enqueue(code("ada@example.org"));
    // The fifth pause is of four seconds at the least.
    until("it was tried", async || room.count("signet_mail_failed_tries_total") >= 5).await;
    server.restart();
    let began = Instant::now();
    room.mailer.send_and_wait(code("bob@example.org"), PATIENCE).await.unwrap();
    room.until_ended("sent", 2).await;
    assert!(began.elapsed() < Duration::from_secs(2), "it waited for its pause to end");
}

#[tokio::test]
async fn what_is_of_no_use_any_more_is_never_sent() {
    let mut server = smtp::Server::start();
    let room = Room::open(&through(&server));
    room.mailer.enqueue(Mail { until: NOW - Duration::from_millis(1), ..code("ada@example.org") });
    room.until_ended("expired", 1).await;
    let late = Mail { until: NOW - Duration::from_secs(1), ..code("ada@example.org") };
    assert_eq!(room.mailer.send_and_wait(late, PATIENCE).await, Err(DeliveryError::TimedOut));

    server.kill();
    room.mailer.enqueue(code("bob@example.org"));
    until("it was tried", async || room.count("signet_mail_failed_tries_total") > 0).await;
    room.clock.advance(TEN_MINUTES + Duration::from_millis(1));
    server.restart();
    room.until_ended("expired", 3).await;
    assert_eq!((server.taken().len(), room.ended("sent")), (0, 0));
}

#[tokio::test]
async fn a_full_queue_drops_and_says_so() {
    let (_listener, settings) = silent();
    let room = Room::open(&config::Mail { queue: 2, ..settings });
    for _ in 0..5 {
        room.mailer.enqueue(code("ada@example.org"));
    }
    assert_eq!(room.mailer.send_and_wait(code("ada@example.org"), PATIENCE).await, Err(DeliveryError::QueueFull));
    assert_eq!((room.ended("dropped"), room.count("signet_mail_queue")), (4, 2));
}

#[tokio::test]
async fn what_was_promised_is_sent_before_the_end() {
    let server = smtp::Server::start();
    let room = Room::open(&through(&server));
    for number in 0..50 {
        room.mailer.enqueue(code(&format!("ada-{number}@example.org")));
    }
    room.mailer.enqueue(code("later@example.org"));
    assert_eq!(room.mailer.drain(PATIENCE).await, 0);
    assert_eq!(server.taken().len(), 51);
    room.mailer.enqueue(code("ada@example.org"));
    assert_eq!(room.mailer.send_and_wait(code("ada@example.org"), PATIENCE).await, Err(DeliveryError::ShuttingDown));
    assert_eq!((server.taken().len(), room.ended("dropped")), (51, 2));
}

#[tokio::test]
async fn the_end_waits_no_longer_than_it_is_told() {
    let (_listener, settings) = silent();
    let room = Room::open(&settings);
    for _ in 0..3 {
        room.mailer.enqueue(code("ada@example.org"));
    }
    assert_eq!(room.mailer.drain(Duration::from_millis(50)).await, 3);
    assert_eq!(room.ended("left"), 3);
}

#[tokio::test]
async fn an_outbox_that_cannot_be_written_is_tried_again() {
    let room = Room::open(&settings());
    let outbox = room.dir.path().join("outbox");
    std::fs::write(&outbox, "in the way").unwrap();
    room.mailer.enqueue(code("ada@example.org"));
    until("it was tried", async || room.count("signet_mail_failed_tries_total") > 0).await;
    std::fs::remove_file(&outbox).unwrap();
    room.until_ended("sent", 1).await;
    assert_eq!(room.outbox().len(), 1);
}

//! The drain: no request lost, no connection reset, and an end.

use super::*;
use std::io::ErrorKind;

#[tokio::test]
async fn a_request_in_flight_is_answered_and_told_to_close() {
    let served = serve(settings());
    let mut stream = served.connect().await;
    stream.write_all(b"GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let two = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let asked = tokio::spawn(two.get(served.url("/gate")).send());
    until("both wait", || served.waiting.load(Ordering::SeqCst) == 2).await;
    let (address, gate) = (served.address, served.gate.clone());
    let drained = tokio::spawn(served.drain());
    let begun = Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(begun.elapsed() < PATIENCE, "still accepting");
    }
    gate.send_replace(true);
    let said = to_the_end(&mut stream).await;
    assert!(said.contains("\r\nconnection: close\r\n") && said.ends_with("through"), "{said}");
    assert_eq!(asked.await.unwrap().unwrap().text().await.unwrap(), "through");
    assert_eq!(drained.await.unwrap(), 0);
}

#[tokio::test]
async fn idle_connections_do_not_hold_it_up() {
    let served = serve(settings());
    let mut used = served.connect().await;
    used.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    one_answer(&mut used).await.unwrap();
    let mut fresh = served.connect().await;
    let two = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    assert_eq!(two.get(served.url("/hello")).send().await.unwrap().status(), 200);
    let begun = Instant::now();
    let drained = tokio::spawn(served.drain());
    assert_eq!(to_the_end(&mut used).await, "");
    assert_eq!(to_the_end(&mut fresh).await, "");
    drop((used, fresh));
    assert_eq!(drained.await.unwrap(), 0);
    assert!(begun.elapsed() < PATIENCE / 4, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_question_put_as_it_stops_is_answered() {
    let served = serve(settings());
    let mut stream = served.connect().await;
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    one_answer(&mut stream).await.unwrap();
    let stopper = served.running.as_ref().unwrap().stopper();
    stopper.stop();
    stream.write_all(b"GET /items/late HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let said = to_the_end(&mut stream).await;
    assert!(said.ends_with("late") && said.contains("\r\nconnection: close\r\n"), "{said}");
    assert_eq!(served.drain().await, 0);
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_and_counted() {
    let served = serve(config::Server { drain_timeout: Duration::from_millis(200), ..settings() });
    let mut stream = served.connect().await;
    stream.write_all(b"GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    until("it waits", || served.waiting.load(Ordering::SeqCst) == 1).await;
    assert_eq!(served.drain().await, 1);
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    assert_eq!(said, b"");
}

/// What one client saw until the port was closed.
#[derive(Default, Debug)]
struct Tally {
    answered: usize,
    /// A kept connection was closed, cleanly and before a byte of the answer, as it was used again.
    closed: usize,
    wrong: Vec<ErrorKind>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_connection_is_reset_and_no_request_lost() {
    for keep in [true, false] {
        let served = serve(settings());
        let address = served.address;
        let clients: Vec<_> = (0..64).map(|_| tokio::spawn(client(address, keep))).collect();
        let log = served.log.clone();
        let many = || log.answered.lock().unwrap().len() > 2000;
        until("the load is on", many).await;
        assert_eq!(served.drain().await, 0);
        let mut total = Tally::default();
        for client in clients {
            let tally = client.await.unwrap();
            total.answered += tally.answered;
            total.closed += tally.closed;
            total.wrong.extend(tally.wrong);
        }
        assert!(total.wrong.is_empty(), "{total:?}");
        // All that was answered arrived.
        assert_eq!(total.answered, log.answered.lock().unwrap().len());
        // The moment that idle clients get is far longer than these take from one answer to the next question.
        assert_eq!(total.closed, 0);
    }
}

/// Asks and asks until nobody listens any more.
async fn client(address: SocketAddr, keep: bool) -> Tally {
    let mut tally = Tally::default();
    let mut kept: Option<TcpStream> = None;
    let ask: &[u8] = if keep {
        b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n"
    } else {
        b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    };
    loop {
        let reused = kept.is_some();
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(error) => {
                    if error.kind() != ErrorKind::ConnectionRefused {
                        tally.wrong.push(error.kind());
                    }
                    return tally;
                }
            },
        };
        let asked = stream.write_all(ask).await;
        match one_answer(&mut stream).await {
            Ok(answer) => {
                tally.answered += 1;
                asked.unwrap();
                if !answer.contains("\r\nconnection: close\r\n") {
                    kept = Some(stream);
                }
            }
            Err(error) if reused && error.kind() == ErrorKind::UnexpectedEof => tally.closed += 1,
            Err(error) => tally.wrong.push(error.kind()),
        }
    }
}

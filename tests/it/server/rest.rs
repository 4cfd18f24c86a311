//! Connections that rest: HTTP is taken off them and put back, and nobody notices.

use super::*;

async fn rested(served: &Served, times: usize) {
    until("it rests", || served.log.rested.load(Ordering::SeqCst) >= times).await;
}

#[tokio::test]
async fn whatever_wakes_a_connection_is_answered_whole() {
    let served = serve(settings());
    let mut stream = served.connect().await;
    let large = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\r\n{}", "y".repeat(9000));
    let questions: [&[&str]; 5] = [
        &["GET /hello HTTP/1.1\r\nhost: x\r\n\r\n"],
        &["G", "ET /hello HTTP/1.1\r\n", "host: x\r\n\r\n"],
        &["POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nabc", "def"],
        // More than is read at once of what wakes it.
        &[&large],
        &["\r\n", "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n"],
    ];
    for (times, question) in questions.into_iter().enumerate() {
        for piece in question {
            stream.write_all(piece.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
        }
        let answer = one_answer(&mut stream).await.unwrap();
        let expected = match times {
            2 => "\r\nabcdef".to_owned(),
            3 => "y".repeat(9000),
            _ => "\r\n\"hello\"".to_owned(),
        };
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&expected), "{times}: {answer}");
        rested(&served, times + 1).await;
    }
    assert_eq!(served.log.opened.load(Ordering::SeqCst), 1);
    drop(stream);
    until("it is closed", || served.open() == 0).await;
}

#[tokio::test]
async fn a_head_that_wakes_a_connection_has_no_more_time_than_another() {
    let short = Duration::from_millis(150);
    let served = serve(config::Server { header_timeout: short, ..settings() });
    let mut stream = served.connect().await;
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    one_answer(&mut stream).await.unwrap();
    rested(&served, 1).await;
    stream.write_all(b"GET /he").await.unwrap();
    let begun = Instant::now();
    assert_eq!(to_the_end(&mut stream).await, "");
    assert!(begun.elapsed() < PATIENCE / 2, "it had the idle time-out");
}

#[tokio::test]
async fn what_the_client_has_not_read_yet_is_not_forgotten() {
    const QUESTIONS: usize = 400;
    // Short, so that it would long be at rest if it could.
    let served = serve(config::Server { idle_timeout: Duration::from_secs(16), ..settings() });
    let (mut read, mut write) = served.connect().await.into_split();
    let body = "z".repeat(60_000);
    // Together far more than the kernel keeps for a client that does not read.
    let asked = tokio::spawn(async move {
        let question = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        for _ in 0..QUESTIONS {
            write.write_all(question.as_bytes()).await.unwrap();
        }
        write
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!asked.is_finished(), "the server took more than it could answer");
    let (mut said, mut piece) = (0, vec![0; 1 << 16]);
    while said < QUESTIONS * 60_000 {
        let some = tokio::time::timeout(PATIENCE, read.read(&mut piece)).await.expect("answers come").unwrap();
        assert!(some > 0, "the answers end after {said} bytes");
        said += piece[..some].iter().filter(|byte| **byte == b'z').count();
    }
    assert_eq!(said, QUESTIONS * 60_000);
    drop(asked.await.unwrap());
}

#[tokio::test]
async fn a_connection_at_rest_does_not_hold_up_the_end() {
    let served = serve(settings());
    let mut stream = served.connect().await;
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    one_answer(&mut stream).await.unwrap();
    rested(&served, 1).await;
    let begun = Instant::now();
    let end = tokio::spawn(served.drain());
    assert_eq!(to_the_end(&mut stream).await, "");
    drop(stream);
    assert_eq!(end.await.unwrap(), 0);
    assert!(begun.elapsed() < PATIENCE / 2);
}

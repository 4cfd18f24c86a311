//! Every time-out and every bound, each alone and short.

use super::*;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

const SHORT: Duration = Duration::from_millis(150);

#[tokio::test]
async fn a_head_that_does_not_arrive_ends_its_connection() {
    let served = serve(config::Server { header_timeout: SHORT, ..settings() });
    let begun = Instant::now();
    assert_eq!(served.say("").await, "");
    assert_eq!(served.say("PRI * HT").await, "");
    assert_eq!(served.say("GET /hello HTTP/1.1\r\nhost: x\r\nx: ").await, "");
    assert!(begun.elapsed() >= 3 * SHORT);
    // Nor does a second head get longer, or the idle time-out, which is long here.
    let mut stream = served.connect().await;
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\nGET /h").await.unwrap();
    stream.write_all(b"el").await.unwrap();
    one_answer(&mut stream).await.unwrap();
    stream.write_all(b"lo HTTP/1.1\r\n").await.unwrap();
    assert_eq!(to_the_end(&mut stream).await, "");
    until("all are closed", || served.open() == 0).await;
}

#[tokio::test]
async fn a_head_that_drips_gets_no_more_time() {
    let served = serve(config::Server { header_timeout: SHORT, ..settings() });
    let mut stream = served.connect().await;
    let begun = Instant::now();
    stream.write_all(b"GET /hello HTTP/1.1\r\n").await.unwrap();
    let mut read = [0; 1];
    loop {
        let closed = tokio::time::timeout(SHORT / 10, stream.read(&mut read)).await;
        if closed.is_ok() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "still open");
        let _ = stream.write_all(b"x: y\r\n").await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_used_one_is_not() {
    let served = serve(config::Server { idle_timeout: SHORT, ..settings() });
    for path in ["/hello", "/gate"] {
        let mut stream = served.connect().await;
        let begun = Instant::now();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        if path == "/gate" {
            // A request in flight is not idle, however long it takes.
            until("it waits", || served.waiting.load(Ordering::SeqCst) == 1).await;
            tokio::time::timeout(2 * SHORT, stream.readable()).await.expect_err("it waits for the gate");
            served.gate.send_replace(true);
        }
        one_answer(&mut stream).await.unwrap();
        assert_eq!(to_the_end(&mut stream).await, "");
        assert!(begun.elapsed() >= SHORT);
    }
    let two = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    assert_eq!(two.get(served.url("/hello")).send().await.unwrap().status(), 200);
    until("the HTTP/2 connection is closed as well", || served.open() == 0).await;
    assert_eq!(two.get(served.url("/hello")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_answered_for() {
    let served = serve(config::Server { body_timeout: SHORT, ..settings() });
    for head in ["content-length: 10", "transfer-encoding: chunked"] {
        let said = served.say(format!("POST /echo HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n5\r\nab")).await;
        assert!(said.starts_with("HTTP/1.1 408"), "{said}");
        assert!(said.ends_with("handler: the body did not arrive in time"), "{said}");
    }
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_answered_for() {
    let served = serve(config::Server { request_timeout: SHORT, ..settings() });
    let answer = reqwest::get(served.url("/gate")).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.text().await.unwrap(), "root: no answer within 150ms");
}

#[tokio::test]
async fn a_body_too_large_is_refused_and_the_refusal_arrives() {
    let served = serve(settings());
    let client = reqwest::Client::new();
    let two = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    for size in [64 * 1024 + 1, 4 * 1024 * 1024] {
        for client in [&client, &two] {
            let answer = client.post(served.url("/echo")).body("x".repeat(size)).send().await.unwrap();
            assert_eq!(answer.status(), 413);
            assert_eq!(answer.text().await.unwrap(), "handler: the body is larger than 65536 bytes");
        }
    }
    // One that does not say how large it is.
    let mut chunks = String::from("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..100 {
        chunks += &format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    }
    assert!(served.say(chunks + "0\r\n\r\n").await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_in_nobodys_way() {
    let served = serve(settings());
    let mut stream = served.connect().await;
    for path in ["/nobody", "/hello", "/nobody"] {
        let ask = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n12345");
        stream.write_all(ask.as_bytes()).await.unwrap();
        let answer = one_answer(&mut stream).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 40") && !answer.contains("connection: close"), "{answer}");
    }
    // What is still to come would be taken for the next request: the client is told, and the connection closed.
    for rest in ["content-length: 100000", "content-length: 5", "transfer-encoding: chunked"] {
        let said = served.say(format!("POST /nobody HTTP/1.1\r\nhost: x\r\n{rest}\r\n\r\n4\r\n")).await;
        assert!(said.starts_with("HTTP/1.1 404") && said.contains("\r\nconnection: close\r\n"), "{said}");
    }
}

#[tokio::test]
async fn no_more_connections_are_served_than_may_be() {
    let served = serve(config::Server { max_connections: 3, ..settings() });
    let ask = b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = served.connect().await;
        stream.write_all(ask).await.unwrap();
        one_answer(&mut stream).await.unwrap();
        open.push(stream);
    }
    let mut more = served.connect().await;
    more.write_all(ask).await.unwrap();
    tokio::time::timeout(SHORT, more.readable()).await.expect_err("there is no room");
    assert_eq!(served.open(), 3);
    drop(open.pop());
    one_answer(&mut more).await.unwrap();
}

/// Runs a server in a process of its own whose descriptors run out.
#[tokio::test]
async fn running_out_of_descriptors_is_survived() {
    let itself = std::env::current_exe().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\"", itself.to_str().unwrap()])
        .args(["--exact", "server::bounds::a_server_short_of_descriptors", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| line.rsplit_once("listening on ").map(|(_, at)| at.to_owned())).unwrap();
    let mut streams = Vec::new();
    for _ in 0..30 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        streams.push(stream);
    }
    // Those that were accepted make room one by one, and so all are answered in the end.
    for mut stream in streams {
        one_answer(&mut stream).await.unwrap();
    }
    child.stdin.take().unwrap().write_all(b"enough\n").unwrap();
    let refused = lines.find_map(|line| line.strip_prefix("not accepted: ").map(str::to_owned));
    assert!(refused.is_some_and(|times| times.parse::<usize>().unwrap() > 0), "descriptors never ran out");
    assert!(child.wait().unwrap().success());
}

#[test]
#[ignore = "run by running_out_of_descriptors_is_survived, under a low limit"]
#[allow(clippy::print_stdout, reason = "it talks to the test that started it")]
fn a_server_short_of_descriptors() {
    let served = serve(config::Server { workers: 1, ..settings() });
    let mut eaten = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        eaten.push(file);
    }
    eaten.truncate(eaten.len() - 5);
    println!("\nlistening on {}", served.address);
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    println!("not accepted: {}", served.log.not_accepted.load(Ordering::SeqCst));
}

//! The webhook of security events, with a real receiver: signatures, retries, and a receiver that is down.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::server::{PASSWORD, SendRequest, TestServer};
use crate::support::signet::Plan;
use crate::support::until;

/// The key of the webhook.
const KEY: [u8; 32] = [9; 32];

/// A request that arrived.
#[derive(Clone, Debug)]
struct Received {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks the signature as the Standard Webhooks specification says.
    fn assert_signed(&self) {
        let (id, time) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let age = signet::clock::Clock::system().now().secs() - time.parse::<i64>().unwrap();
        assert!((0..300).contains(&age), "{time}");
        let signed = [id.as_bytes(), b".", time.as_bytes(), b".", &self.body].concat();
        let signature = self.header("webhook-signature").strip_prefix("v1,").unwrap();
        let signature = BASE64_STANDARD.decode(signature).unwrap();
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), &signed, &signature).unwrap();
    }
}

/// A receiver that answers with these statuses, the first one first, and with 204 after them.
struct Receiver {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
    /// While it is false, requests are taken and not answered.
    is_answering: watch::Sender<bool>,
}

impl Receiver {
    async fn start(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?token=of-the-receiver", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let statuses = Arc::new(Mutex::new(VecDeque::from(statuses.to_vec())));
        let to = received.clone();
        let (is_answering, answers) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer_all(stream, statuses.clone(), to.clone(), answers.clone()));
            }
        });
        Self { url, received, is_answering }
    }

    fn plan(&self) -> impl Fn(Plan) -> Plan {
        let url = self.url.clone();
        move |plan| with_webhook(plan, &url)
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The types of the events that were accepted.
    fn types(&self) -> Vec<String> {
        let received = self.received();
        let bodies = received.iter().map(Received::json);
        let events = bodies.flat_map(|body| body["data"]["events"].as_array().unwrap().clone());
        events.map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }
}

/// Commands wait longer than the default of two seconds, which may be too few on a busy machine.
fn with_webhook(plan: Plan, url: &str) -> Plan {
    let plan = plan.set("SIGNET_AUDIT__WEBHOOK_URL", url).set("SIGNET_LOG__FILTER", "info");
    let plan = plan.set("SIGNET_AUDIT__COMMAND_TIMEOUT", "1m");
    plan.set("SIGNET_AUDIT__WEBHOOK_SECRET", &format!("whsec_{}", BASE64_STANDARD.encode(KEY)))
}

async fn answer_all(
    mut stream: TcpStream,
    statuses: Arc<Mutex<VecDeque<u16>>>,
    received: Arc<Mutex<Vec<Received>>>,
    mut is_answering: watch::Receiver<bool>,
) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break buffer.drain(..end + 4).collect::<Vec<_>>();
            }
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("POST /hook?token=of-the-receiver HTTP/1.1\r\n"), "{head}");
        let headers = head.lines().filter_map(|line| line.split_once(": "));
        let headers: Vec<_> = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let mut request = Received { headers, body: Vec::new() };
        let length: usize = request.header("content-length").parse().unwrap();
        while buffer.len() < length {
            stream.read_buf(&mut buffer).await.ok()?;
        }
        request.body = buffer.drain(..length).collect();
        received.lock().unwrap().push(request);
        is_answering.wait_for(|is_answering| *is_answering).await.ok()?;
        let status = statuses.lock().unwrap().pop_front().unwrap_or(204);
        stream.write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").as_bytes()).await.ok()?;
    }
}

#[tokio::test]
async fn events_are_signed_and_sent_again_after_a_500() {
    let receiver = Receiver::start(&[500, 302]).await;
    let server = TestServer::embedded(receiver.plan());
    let person = server.create_user(&[]);
    until("the command has sent its event", async || receiver.types() == ["user.created"]).await;
    // The next two tries of a batch are refused: the command's own was the first.
    server.try_sign_in(&person.email, "wrong and secret").await.is(401);
    server.sign_in(&person).await;
    until("both are accepted", async || server.metric(SENT).await == 2).await;
    let received = receiver.received();
    received.iter().for_each(Received::assert_signed);
    let refused = received.iter().filter(|request| request.header("webhook-id") == received[1].header("webhook-id"));
    assert!(refused.count() >= 2, "a try that was refused has the id of the next one");
    for request in &received {
        assert_eq!(request.header("content-type"), "application/json");
        let body = request.json();
        assert_eq!(body["type"], "audit.events");
        assert!(body["timestamp"].is_string());
    }
    let last = received.last().unwrap().json()["data"]["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["type"], &last["user"]), (&json!("sign_in.succeeded"), &json!({"id": person.id})));
    assert!(receiver.types().contains(&"sign_in.refused".to_owned()));
    assert!(server.metric("signet_audit_webhook_failed_tries_total").await >= 1);
    let text = received.iter().map(|request| String::from_utf8_lossy(&request.body)).collect::<String>();
    server.signet.wait_for_log("security events are being sent to the webhook again");
    let log = server.signet.log();
    for secret in [PASSWORD, "wrong and secret", &person.email, "of-the-receiver", &BASE64_STANDARD.encode(KEY)] {
        assert!(!text.contains(secret) && !log.contains(secret), "{secret}");
    }
}

/// More events than a batch has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_sends_all_its_events() {
    let receiver = Receiver::start(&[]).await;
    let plan = receiver.plan()(Plan::embedded());
    let file = plan.dir().join("data.json");
    let seed = ["seed", "--users", "101", "--sessions", "1", "--api-keys", "0", "--out", file.to_str().unwrap()];
    plan.json(&seed, "");
    plan.json(&["seed", "--remove"], "");
    assert_eq!(receiver.types().iter().filter(|of| *of == "user.deleted").count(), 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_says_that_its_events_were_refused() {
    let receiver = Receiver::start(&[500]).await;
    let plan = receiver.plan()(Plan::embedded());
    let output = plan.run(&["users", "create", "--email", "person@example.org"], "");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("security events of the command were not sent to the webhook"), "{stderr}");
    assert!(!stderr.contains("of-the-receiver"), "{stderr}");
}

/// The receiver takes the request and never answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_waits_no_longer_than_its_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let plan = with_webhook(Plan::embedded(), &url).set("SIGNET_AUDIT__COMMAND_TIMEOUT", "100ms");
    let output = plan.run(&["users", "create", "--email", "person@example.org"], "");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("security events of the command were not sent to the webhook"), "{stderr}");
}

/// Not by the command line, which would wait for the receiver.
async fn sign_up(server: &TestServer) {
    let body = json!({"email": "person@example.org", "password": PASSWORD});
    server.post("/users").json(&body).send_checked().await.is(201);
}

const SENT: &str = r#"signet_audit_webhook_events_total{end="sent"}"#;

/// A receiver that takes the request and never answers.
#[tokio::test]
async fn receiver_that_never_answers_delays_no_sign_in() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (taken, mut is_taken) = watch::channel(false);
    tokio::spawn(async move {
        let mut streams = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            streams.push(stream);
            taken.send_replace(true);
        }
    });
    let server = TestServer::embedded(|plan| with_webhook(plan, &url));
    sign_up(&server).await;
    is_taken.wait_for(|taken| *taken).await.unwrap();
    for _ in 0..20 {
        server.try_sign_in("person@example.org", PASSWORD).await.is(201);
    }
    assert_eq!(server.metric(SENT).await, 0, "the receiver has not answered the first request");
    assert_eq!(server.metric(r#"signet_sign_ins_total{method="password",outcome="success"}"#).await, 20);
    assert_eq!(server.metric("signet_audit_events_lost_total").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_wait_are_sent_before_a_node_stops() {
    let receiver = Receiver::start(&[]).await;
    receiver.is_answering.send_replace(false);
    let server = TestServer::embedded(|plan| receiver.plan()(plan).set("SIGNET_SERVER__DRAIN_TIMEOUT", "1m"));
    sign_up(&server).await;
    // The next one waits until it is answered.
    until("the first batch is sent", async || !receiver.received().is_empty()).await;
    server.try_sign_in("person@example.org", PASSWORD).await.is(201);
    server.signet.terminate();
    server.signet.wait_for_log("stopping");
    receiver.is_answering.send_replace(true);
    assert!(server.signet.wait_for_exit().success());
    assert!(receiver.types().contains(&"sign_in.succeeded".to_owned()), "{:?}", receiver.types());
}

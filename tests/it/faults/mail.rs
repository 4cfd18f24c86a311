//! The mail server is unreachable, silent, or refuses mail: requests for codes and links get the same responses in the
//! same time, the queue stays within its capacity, and queued mails are delivered when the server works again. A
//! permanent refusal of a mail (RFC 5321, 4.2.1: 5xx) is not retried.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::json;

use super::report::{as_millis, percentile};
use super::traffic::PAUSE;
use super::*;
use crate::support::metric;
use crate::support::smtp::{ParsedMail, Server};

/// The time-out for each reply of the mail server. In the short form, one that only a silent server reaches: a mail
/// whose acceptance is not read in time is sent again.
fn smtp_timeout() -> &'static str {
    short_or_long("5s", "2s")
}

/// A node, its mail server, and the number of requested mails.
struct MailSetup {
    server: Server,
    node: Signet,
    client: Client,
    queue_capacity: usize,
    requested: AtomicUsize,
}

/// A request for a mail, and its response.
struct MailRequest {
    address: String,
    is_code: bool,
    duration: Duration,
    response: String,
}

/// A listener that takes the place of the mail server, if there is one.
type Blocker = Option<TcpListener>;

impl MailSetup {
    fn new() -> Self {
        let server = Server::start();
        // Smaller than the number of mails requested during the fault.
        let queue_capacity = short_or_long(40, 1000);
        let plan =
            Plan::embedded().set("SMTP_URL", &server.url()).set("SIGNET_MAIL__QUEUE", &queue_capacity.to_string());
        let plan = with_patient("EMBEDDED", plan);
        let node = plan.set("SIGNET_MAIL__TIMEOUT", smtp_timeout()).set("USERS_OPEN_REGISTRATION", "true").start();
        let client = Client::new(&node);
        Self { server, node, client, queue_capacity, requested: AtomicUsize::new(0) }
    }

    /// Requests so many mails, each to its own address: half of them codes, the others links.
    async fn request_mails(&self, count: usize) -> Vec<MailRequest> {
        let end = self.requested.load(Ordering::Relaxed) + count;
        let client = async || {
            let mut requests = Vec::new();
            loop {
                let number = self.requested.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return requests;
                }
                requests.push(self.request_mail(number).await);
                tokio::time::sleep(PAUSE).await;
            }
        };
        let requests = join_all((0..CLIENTS).map(|_| client())).await.into_iter().flatten().collect();
        self.requested.store(end, Ordering::Relaxed);
        requests
    }

    async fn request_mail(&self, number: usize) -> MailRequest {
        let (address, is_code) = (format!("recipient-{number:06}@example.org"), number.is_multiple_of(2));
        let request = if is_code {
            self.client.post("/auth/verification/send-code").json(&json!({"email": address}))
        } else {
            self.client.post(&format!("/auth/login/magic/{address}"))
        };
        let began = Instant::now();
        let mut response = self.client.execute(request).await.expect("the node is up");
        let duration = began.elapsed();
        if let Some(claim) = response.body.get_mut("claim") {
            *claim = claim.as_str().expect("a claim is text").len().into();
        }
        MailRequest { address, is_code, duration, response: format!("{} {}", response.status, response.body) }
    }

    async fn metric(&self, series: &str) -> usize {
        let page = self.client.http.get(self.node.management_url("/metrics")).send().await.expect("the node is up");
        metric(&page.text().await.expect("it is text"), series) as usize
    }

    /// The number of mails with this end: `sent`, `dropped` or `refused`.
    async fn mails(&self, end: &str) -> usize {
        self.metric(&format!("signet_mails_total{{end=\"{end}\"}}")).await
    }

    /// Waits until the queue is empty; returns how long that took.
    async fn wait_until_sent(&self) -> Duration {
        // There may be a minute between two attempts.
        until_within("the queue is empty", TIMEOUT * 4, async || self.metric("signet_mail_queue").await == 0).await
    }

    /// The recipients of all delivered mails.
    fn delivered(&self) -> Vec<String> {
        let accepted = self.server.accepted();
        let mut to: Vec<_> =
            accepted.iter().map(|mail| mail["to"][0].as_str().expect("an address").to_owned()).collect();
        to.sort();
        to
    }
}

/// Requests mails before, during and after a fault. `is_queued`: mails requested during the fault wait for its end.
async fn run_fault(name: &str, is_queued: bool, inject: impl FnOnce(&mut Server) -> Blocker) {
    let mut setup = MailSetup::new();
    let before = setup.request_mails(short_or_long(40, 600)).await;
    setup.wait_until_sent().await;
    assert_eq!(setup.delivered().len(), before.len());

    let blocker = inject(&mut setup.server);
    let count = short_or_long(120, 5000);
    let (during, max_queued) = {
        let mut max_queued = 0;
        let watch = async {
            loop {
                max_queued = setup.metric("signet_mail_queue").await.max(max_queued);
                tokio::time::sleep(PAUSE * 5).await;
            }
        };
        let requested = tokio::select! {
            requested = setup.request_mails(count) => requested,
            () = watch => unreachable!("the loop is endless"),
        };
        (requested, max_queued.max(setup.metric("signet_mail_queue").await))
    };
    assert!(max_queued <= setup.queue_capacity, "{name}: {max_queued} mails in the queue");
    let failed_attempts = async || setup.metric("signet_mail_failed_tries_total").await;
    if is_queued {
        until_within("an attempt has failed", TIMEOUT, async || failed_attempts().await > 0).await;
    } else {
        setup.wait_until_sent().await;
    }
    let failed_attempts = failed_attempts().await;
    let sent = setup.mails("sent").await;
    assert_eq!(sent, before.len(), "{name}: mails are sent during the fault");

    drop(blocker);
    setup.server.accept();
    let ended = Instant::now();
    setup.wait_until_sent().await;
    let delivered_in = ended.elapsed();
    let after = setup.request_mails(short_or_long(20, 200)).await;
    setup.wait_until_sent().await;
    let [dropped, refused] = [setup.mails("dropped").await, setup.mails("refused").await];

    let delivered = setup.delivered();
    let recipients: BTreeSet<_> = delivered.iter().collect();
    assert_eq!(recipients.len(), delivered.len(), "{name}: a mail was delivered twice");
    let was_delivered = |request: &&MailRequest| recipients.contains(&request.address);
    assert_eq!(
        after.iter().filter(was_delivered).count(),
        after.len(),
        "{name}: a mail requested after the fault is missing"
    );
    let delivered_after = during.iter().filter(was_delivered).collect::<Vec<_>>();
    if is_queued {
        // The first requests fill the queue; the others are dropped.
        assert_eq!((max_queued, dropped, refused), (setup.queue_capacity, count - setup.queue_capacity, 0), "{name}");
        assert_eq!(delivered_after.len(), setup.queue_capacity, "{name}: a queued mail is missing");
    } else {
        assert_eq!((delivered_after.len(), dropped + refused), (0, count), "{name}: a refused mail was delivered");
    }
    // A code that was delivered late is valid.
    if let Some(late_request) = delivered_after.iter().find(|request| request.is_code) {
        let mails = setup.server.accepted();
        let mail = mails.iter().find(|mail| mail["to"][0] == late_request.address.as_str()).expect("it was delivered");
        let parsed = ParsedMail(mail["mail"].clone());
        let code = parsed.text().lines().find(|line| line.len() == 6 && line.bytes().all(|it| it.is_ascii_digit()));
        let body = json!({"email": late_request.address, "code": code.expect("it has a code")});
        let request = setup.client.post("/auth/verification/verify-code").json(&body);
        assert_eq!(setup.client.execute(request).await.expect("the node is up").status, 200);
    }

    let responses = |of: &[MailRequest]| of.iter().map(|request| request.response.clone()).collect::<BTreeSet<_>>();
    assert_eq!(responses(&during), responses(&before), "{name}: a response reveals the fault");
    let percentile_of =
        |of: &[MailRequest], percent| percentile(percent, of.iter().map(|request| request.duration).collect());
    let [p99_before, p99_during] = [&before, &during].map(|of| percentile_of(of, 99));
    let line = json!({
        "row": name,
        "requested_during": count,
        "response_median_before_ms": as_millis(percentile_of(&before, 50)),
        "response_median_during_ms": as_millis(percentile_of(&during, 50)),
        "response_p99_before_ms": as_millis(p99_before),
        "response_p99_during_ms": as_millis(p99_during),
        "queued_max": max_queued,
        "queue_capacity": setup.queue_capacity,
        "dropped": dropped,
        "refused": refused,
        "failed_attempts": failed_attempts,
        "delivered_after": delivered_after.len(),
        "all_delivered_after_ms": as_millis(delivered_in),
    });
    println!("fault {line}");
    assert!(
        !long() || p99_during <= p99_before * 2,
        "{name}: responses are slow: {p99_during:?}, {p99_before:?} before"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_mail_server_delays_mail_only() {
    let kill = |server: &mut Server| {
        server.kill();
        None
    };
    run_fault("mail server gone", true, kill).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_mail_server_delays_mail_only() {
    // The kernel accepts the connection, and no process replies.
    let silence = |server: &mut Server| {
        server.kill();
        Some(TcpListener::bind(server.address()).expect("its port is free"))
    };
    run_fault("mail server silent", true, silence).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporary_refusals_delay_mail_only() {
    let refuse_temporarily = |server: &mut Server| {
        server.refuse("451 4.3.2 not now");
        None
    };
    run_fault("mail server refuses temporarily (451)", true, refuse_temporarily).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permanent_refusals_are_not_retried() {
    let refuse_permanently = |server: &mut Server| {
        server.refuse("554 5.7.1 never");
        None
    };
    run_fault("mail server refuses permanently (554)", false, refuse_permanently).await;
}

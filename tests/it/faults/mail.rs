//! The mail server is gone, says nothing, or refuses: who asks for a code or a link is answered as before and as soon, no more mails
//! wait than may, and those that wait are delivered when it is back. What it refuses for good (RFC 5321, 4.2.1: 5yz) is not tried again.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::json;

use super::figures::{millis, part};
use super::traffic::PACE;
use super::*;
use crate::support::metric;
use crate::support::smtp::{ParsedMail, Server};

/// In what time the mail server must answer.
const TIMEOUT: &str = "2s";

/// A node, its mail server, and how many have asked for a mail.
struct House {
    server: Server,
    node: Signet,
    client: Client,
    room: usize,
    asked: AtomicUsize,
}

/// Somebody who asked for a mail.
struct Asker {
    address: String,
    wants_a_code: bool,
    took: Duration,
    answer: String,
}

/// What is in the way of the mail server, where something is.
type InTheWay = Option<TcpListener>;

impl House {
    fn new() -> Self {
        let server = Server::start();
        // Fewer than ask meanwhile.
        let room = short_or_long(40, 1000);
        let plan = Plan::embedded().set("SMTP_URL", &server.url()).set("SIGNET_MAIL__QUEUE", &room.to_string());
        let node = plan.set("SIGNET_MAIL__TIMEOUT", TIMEOUT).set("USERS_OPEN_REGISTRATION", "true").start();
        let client = Client::new(&node);
        Self { server, node, client, room, asked: AtomicUsize::new(0) }
    }

    /// As many as that ask, each for an address of its own: half of them for a code, the others for a link.
    async fn asked_by(&self, many: usize) -> Vec<Asker> {
        let end = self.asked.load(Ordering::Relaxed) + many;
        let client = async || {
            let mut askers = Vec::new();
            loop {
                let number = self.asked.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return askers;
                }
                askers.push(self.asks(number).await);
                tokio::time::sleep(PACE).await;
            }
        };
        let askers = join_all((0..CLIENTS).map(|_| client())).await.into_iter().flatten().collect();
        self.asked.store(end, Ordering::Relaxed);
        askers
    }

    async fn asks(&self, number: usize) -> Asker {
        let (address, wants_a_code) = (format!("asker-{number:06}@example.org"), number.is_multiple_of(2));
        let request = if wants_a_code {
            self.client.post("/auth/verification/send-code").json(&json!({"email": address}))
        } else {
            self.client.post(&format!("/auth/login/magic/{address}"))
        };
        let began = Instant::now();
        let mut answer = self.client.execute(request).await.expect("the node lives");
        let took = began.elapsed();
        if let Some(claim) = answer.body.get_mut("claim") {
            *claim = claim.as_str().expect("a claim is text").len().into();
        }
        Asker { address, wants_a_code, took, answer: format!("{} {}", answer.status, answer.body) }
    }

    async fn count(&self, series: &str) -> usize {
        let page = self.client.http.get(self.node.management_url("/metrics")).send().await.expect("the node lives");
        metric(&page.text().await.expect("it is text"), series) as usize
    }

    async fn ended(&self, end: &str) -> usize {
        self.count(&format!("signet_mails_total{{end=\"{end}\"}}")).await
    }

    /// Waits until no mail waits any more, and says how long that took.
    async fn done(&self) -> Duration {
        // A mail may pause for a minute between two tries.
        until_within("no mail waits", PATIENCE * 4, async || self.count("signet_mail_queue").await == 0).await
    }

    /// To whom mails were delivered, each as often as they were.
    fn delivered(&self) -> Vec<String> {
        let taken = self.server.accepted();
        let mut to: Vec<_> = taken.iter().map(|mail| mail["to"][0].as_str().expect("an address").to_owned()).collect();
        to.sort();
        to
    }
}

/// Something befalls the mail server and passes. `keeps`: what is mailed meanwhile waits until then.
async fn a_fault(name: &str, keeps: bool, befalls: impl FnOnce(&mut Server) -> InTheWay) {
    let mut house = House::new();
    let before = house.asked_by(short_or_long(40, 600)).await;
    house.done().await;
    assert_eq!(house.delivered().len(), before.len());

    let in_the_way = befalls(&mut house.server);
    let many = short_or_long(120, 5000);
    let (meanwhile, most) = {
        let mut most = 0;
        let watch = async {
            loop {
                most = house.count("signet_mail_queue").await.max(most);
                tokio::time::sleep(PACE * 5).await;
            }
        };
        let asked = tokio::select! {
            asked = house.asked_by(many) => asked,
            () = watch => unreachable!("it watches for ever"),
        };
        (asked, most.max(house.count("signet_mail_queue").await))
    };
    assert!(most <= house.room, "{name}: {most} mails wait");
    let tried = async || house.count("signet_mail_failed_tries_total").await;
    if keeps {
        until_within("it was tried", PATIENCE, async || tried().await > 0).await;
    }
    let tried = tried().await;
    let sent = house.ended("sent").await;
    assert_eq!(sent, before.len(), "{name}: it is not in the way");

    drop(in_the_way);
    house.server.accept();
    let over = Instant::now();
    house.done().await;
    let delivered_in = over.elapsed();
    let after = house.asked_by(short_or_long(20, 200)).await;
    house.done().await;
    let [dropped, refused] = [house.ended("dropped").await, house.ended("refused").await];

    let delivered = house.delivered();
    let once: BTreeSet<_> = delivered.iter().collect();
    assert_eq!(once.len(), delivered.len(), "{name}: a mail came twice");
    let has = |asker: &&Asker| once.contains(&asker.address);
    assert_eq!(after.iter().filter(has).count(), after.len(), "{name}: what is asked for now is delivered");
    let kept = meanwhile.iter().filter(has).collect::<Vec<_>>();
    if keeps {
        // Who asked first has a place, and there are no others.
        assert_eq!((most, dropped, refused), (house.room, many - house.room, 0), "{name}");
        assert_eq!(kept.len(), house.room, "{name}: what waited is delivered");
    } else {
        assert_eq!((kept.len(), dropped + refused), (0, many), "{name}: it was refused for good");
    }
    // What was mailed late is as good.
    if let Some(late) = kept.iter().find(|asker| asker.wants_a_code) {
        let mails = house.server.accepted();
        let mail = mails.iter().find(|mail| mail["to"][0] == late.address.as_str()).expect("it was delivered");
        let letter = ParsedMail(mail["mail"].clone());
        let code = letter.text().lines().find(|line| line.len() == 6 && line.bytes().all(|it| it.is_ascii_digit()));
        let body = json!({"email": late.address, "code": code.expect("it has a code")});
        let request = house.client.post("/auth/verification/verify-code").json(&body);
        assert_eq!(house.client.execute(request).await.expect("the node lives").status, 200);
    }

    let answers = |of: &[Asker]| of.iter().map(|asker| asker.answer.clone()).collect::<BTreeSet<_>>();
    assert_eq!(answers(&meanwhile), answers(&before), "{name}: it is told what becomes of a mail");
    let times = |of: &[Asker], hundredth| part(hundredth, of.iter().map(|asker| asker.took).collect());
    let [calm, slow] = [&before, &meanwhile].map(|of| times(of, 99));
    let line = json!({
        "row": name,
        "asked_meanwhile": many,
        "answered_median_calm_ms": millis(times(&before, 50)),
        "answered_median_meanwhile_ms": millis(times(&meanwhile, 50)),
        "answered_p99_calm_ms": millis(calm),
        "answered_p99_meanwhile_ms": millis(slow),
        "waiting_most": most,
        "may_wait": house.room,
        "dropped": dropped,
        "refused": refused,
        "tried_in_vain": tried,
        "delivered_when_back": kept.len(),
        "all_delivered_after_ms": millis(delivered_in),
    });
    println!("fault {line}");
    assert!(!long() || slow <= calm * 2, "{name}: answers wait for mails: {slow:?}, {calm:?} before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone() {
    let gone = |server: &mut Server| {
        server.kill();
        None
    };
    a_fault("mail server gone", true, gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent() {
    // The kernel accepts, and nobody answers.
    let silent = |server: &mut Server| {
        server.kill();
        Some(TcpListener::bind(server.address()).expect("its port is free"))
    };
    a_fault("mail server silent", true, silent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn puts_off() {
    let puts_off = |server: &mut Server| {
        server.refuse("451 4.3.2 not now");
        None
    };
    a_fault("mail server puts off (451)", true, puts_off).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses() {
    let refuses = |server: &mut Server| {
        server.refuse("554 5.7.1 never");
        None
    };
    a_fault("mail server refuses (554)", false, refuses).await;
}

//! One megabit a second of the most expensive requests that anyone may send: their effect on the response time of
//! `/verify`.
//!
//! The limits of the server are those of its defaults, and each request comes from another IPv6 /48, so that no limit
//! of a network stops it. The header field that names the network is not counted as traffic.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use signet::rng::Rng;
use signet::token::api_key::NewApiKey;

use crate::options::Options;
use crate::report::Report;
use crate::support::http::{build_request, post_json, verify_request};
use crate::support::job::JobProcess;
use crate::support::load::Histogram;
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::signet::{Signet, SignetSettings};
use crate::support::stats::median;
use crate::support::target::Target;
use crate::traffic::{Connections, JOB, TrafficJob, TrafficOutcome};

const PART: &str = "attack";

/// The rate at which the attacker sends: a megabit a second.
const BYTES_PER_SECOND: f64 = 125_000.0;

/// The rate at which the attacker receives: a gigabit a second.
const RECEIVED_PER_SECOND: f64 = 125_000_000.0;

/// Credentials in a batch, at most.
const BATCH: u64 = 1_024;

/// The knowledge of the attacker: an access token, whose header is that of a valid one.
struct Context {
    token_head: String,
}

struct Attack {
    name: &'static str,
    /// The request of this number. No two are the same unless their content does not matter.
    request: fn(&Context, u64) -> String,
    connections: Connections,
}

const fn attack(name: &'static str, request: fn(&Context, u64) -> String) -> Attack {
    Attack { name, request, connections: Connections::Kept }
}

const ATTACKS: [Attack; 13] = [
    attack("sign-ins of unknown accounts", |_, number| sign_in(&format!("{number}@a.io"))),
    attack("sign-ins of one account", |_, _| sign_in("victim@a.io")),
    attack("sign-ups", |_, number| {
        post_json("/users", &json!({"email": format!("{number}@b.io"), "password": "a quiet harbour"}).to_string())
    }),
    attack("requests for codes", |_, number| {
        post_json("/codes", &json!({"email": format!("{number}@c.io")}).to_string())
    }),
    attack("unknown API keys", |_, _| credential(&api_key())),
    attack("batches of unknown API keys", |_, _| batch(&|_| api_key())),
    attack("exchanges of unknown API keys", |_, _| {
        let headers =
            format!("authorization: Bearer {}\r\ncontent-type: application/x-www-form-urlencoded\r\n", api_key());
        build_request("POST", "/oauth/token", &headers, "grant_type=client_credentials")
    }),
    attack("tokens with a wrong signature", |context, number| credential(&forged(context, number))),
    attack("batches of such tokens", |context, number| batch(&|index| forged(context, (number + 1) << 32 | index))),
    attack("the OpenAPI document", |_, _| build_request("GET", "/openapi.json", "", "")),
    attack("unknown paths", |_, _| build_request("GET", "/a", "", "")),
    Attack {
        name: "unknown paths, each on a new connection",
        request: |_, _| build_request("GET", "/a", "", ""),
        connections: Connections::New,
    },
    Attack {
        name: "the page at /, over HTTP/2",
        request: |_, _| build_request("GET", "/", "", ""),
        connections: Connections::Http2,
    },
];

fn sign_in(email: &str) -> String {
    post_json("/sessions", &json!({"email": email, "password": "aaaaaaaa"}).to_string())
}

fn credential(credential: &str) -> String {
    build_request("GET", "/verify", &format!("authorization: Bearer {credential}\r\n"), "")
}

fn batch(item: &dyn Fn(u64) -> String) -> String {
    let items: Vec<String> = (0..BATCH).map(item).collect();
    post_json("/verify/batch", &json!({"tokens": items}).to_string())
}

/// A key that nobody has. Its checksum is right, because others are refused without a look at the store.
fn api_key() -> String {
    NewApiKey::generate(&Rng::system()).reveal().to_owned()
}

fn forged(context: &Context, number: u64) -> String {
    let payload = URL_SAFE_NO_PAD.encode(format!("{{\"a\":{number}}}"));
    format!("{}.{payload}.{}", context.token_head, "A".repeat(86))
}

/// A header field of fixed length that names the network of the client. The range is for documentation (RFC 9637).
fn network(number: u64) -> String {
    let number = number % 0xff_ffff;
    format!("x-forwarded-for: 3fff:{:04x}:{:04x}::1\r\n", number >> 16, number & 0xffff)
}

pub(crate) fn run(options: &Options, report: &mut Report) {
    let settings = || {
        let settings = SignetSettings::new(&options.server, &options.cores.server()).unset("SIGNET_LIMITS__ENABLED");
        settings.set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
    };
    measure(options, report, "embedded", &settings());
    let redis = Redis::start(&options.cores.client());
    let postgres = Postgres::start(&options.cores.client());
    measure(options, report, "servers", &settings().on_redis(&redis.url()).set("DATABASE_URL", &postgres.url()));
}

fn measure(options: &Options, report: &mut Report, stores: &str, settings: &SignetSettings) {
    let (rounds, seconds) = if options.quick { (2, 3.0) } else { (3, 20.0) };
    let signet = settings.start();
    let session = settings.seed_sessions(1).remove(0);
    let verify = verify_request(&session.access_token);
    let context = Context { token_head: session.access_token.split('.').next().expect("a token").to_owned() };
    let mut next = 0;
    let mut results: [Vec<Round>; ATTACKS.len()] = Default::default();
    for _ in 0..rounds {
        for (attack, results) in ATTACKS.iter().zip(&mut results) {
            let drive = |seconds, bytes_per_second, requests, free_bytes| {
                let job = TrafficJob {
                    address: signet.address,
                    seconds,
                    bytes_per_second,
                    received_per_second: RECEIVED_PER_SECOND,
                    requests,
                    free_bytes,
                    connections: attack.connections,
                    verify: verify.clone(),
                };
                let before = signet.process.cpu_time();
                let outcome: TrafficOutcome = JobProcess::start(JOB, &job, &options.cores.client()).wait();
                let cpu = (signet.process.cpu_time() - before).as_secs_f64() / outcome.seconds;
                (outcome, cpu)
            };
            let (calm, calm_cpu) = drive(seconds / 2.0, 0.0, Vec::new(), 0);
            let (requests, free_bytes) = requests(attack, &context, seconds, &mut next);
            let (attacked, cpu) = drive(seconds, BYTES_PER_SECOND, requests, free_bytes);
            results.push(Round { calm: calm.verify, attacked, cpu: cpu - calm_cpu });
        }
    }
    for (attack, rounds) in ATTACKS.iter().zip(results) {
        add(report, stores, attack, &rounds);
    }
    assert_serves(&signet, &verify);
}

/// Enough requests for the time, and the bytes of each that are not counted.
fn requests(attack: &Attack, context: &Context, seconds: f64, next: &mut u64) -> (Vec<String>, usize) {
    let (mut requests, mut bytes) = (Vec::new(), 0);
    let free_bytes = network(0).len();
    while (bytes as f64) < seconds * BYTES_PER_SECOND {
        let request = (attack.request)(context, *next);
        bytes += request.len();
        let (line, rest) = request.split_once("\r\n").expect("a head");
        requests.push(format!("{line}\r\n{}{rest}", network(*next)));
        *next += 1;
    }
    (requests, free_bytes)
}

/// One measurement without an attack, and one with it.
struct Round {
    calm: Histogram,
    attacked: TrafficOutcome,
    /// The CPU time of the server that the attack took, in cores.
    cpu: f64,
}

fn add(report: &mut Report, stores: &str, attack: &Attack, rounds: &[Round]) {
    let of = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    let mut statuses = std::collections::BTreeMap::new();
    for (status, count) in rounds.iter().flat_map(|round| &round.attacked.statuses) {
        *statuses.entry(status).or_insert(0) += count;
    }
    let all = statuses.iter().fold(String::new(), |mut text, (status, count)| {
        let _ = write!(text, " {status}×{count}");
        text
    });
    println!("{stores}, {}:{all}", attack.name);
    let title = |figure: &str| format!("{stores}, {}: {figure}", attack.name);
    let ratio = |fraction| {
        of(&|round: &Round| round.attacked.verify.percentile_micros(fraction) / round.calm.percentile_micros(fraction))
    };
    report.add(PART, title("p99 against calm"), ratio(0.99), "×", Target::AtMost(2.0));
    report.add(PART, title("p50 against calm"), ratio(0.5), "×", None);
    report.add(PART, title("p99 calm"), of(&|round| round.calm.percentile_micros(0.99)), "µs", None);
    report.add(PART, title("p99"), of(&|round| round.attacked.verify.percentile_micros(0.99)), "µs", None);
    report.add(PART, title("requests"), of(&|round| round.attacked.sent as f64 / round.attacked.seconds), "/s", None);
    let received = of(&|round| round.attacked.received_bytes as f64 * 8.0 / 1e6 / round.attacked.seconds);
    report.add(PART, title("responses"), received, "Mbit/s", None);
    report.add(PART, title("CPU of Signet"), of(&|round| round.cpu * 100.0), "%", None);
}

fn assert_serves(signet: &Signet, verify: &str) {
    assert_eq!(crate::support::http::send(signet.address, verify).0, 200, "the server serves as before");
}

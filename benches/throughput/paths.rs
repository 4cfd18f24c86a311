//! The measured paths: the requests to Signet and the equivalent work of the baseline.

use serde_json::json;

use crate::baseline::{Baseline, Session};
use crate::comparison::{Comparison, RequestSource, Side, Workload, compare};
use crate::curves;
use crate::durability;
use crate::memory;
use crate::report::Finding;
use crate::setup::{PreparedPath, ROTATED, SESSIONS, Setup, refresh_request};
use crate::support::http::{self, verify_request};
use crate::support::load::Protocol;
use crate::support::redis::Redis;
use crate::support::signet::SeededSession;
use crate::support::target::Target;
use crate::tls;
use crate::tokens::{self, TokenMinter};

/// The number of connections of most paths.
const CONNECTIONS: usize = 64;

/// Requests in flight over HTTP/2, and connections. A connection to Signet has at most 32 streams.
const HTTP2_STREAMS: [(usize, usize); 3] = [(1, 1), (8, 1), (64, 2)];

/// Text of every response to `/verify` with a valid token.
const ACTIVE: &str = r#"{"active":true,"claims":{"#;

/// The path of the keys, and text of every response to it.
pub(crate) const JWKS: &str = "/.well-known/jwks.json";
pub(crate) const JWKS_TEXT: &str = r#""keys":["#;

/// A path: its name on the command line, and its measurement.
pub(crate) type Path = (&'static str, fn(&Setup) -> Vec<Finding>);

/// All paths, in the order of the report.
pub(crate) const PATHS: [Path; 12] = [
    ("jwks", jwks),
    ("verify_seen", verify_seen),
    ("verify_unseen", |setup| {
        verify_unseen(setup, "verify_unseen", "/verify, new token", CONNECTIONS, Target::AtMost(0.60))
    }),
    ("verify_unseen_alone", |setup| {
        let title = "/verify, new token, one connection";
        verify_unseen(setup, "verify_unseen_alone", title, 1, Target::AtMost(1.10))
    }),
    ("verify_batch_256", verify_batch),
    ("refresh", refresh),
    ("refresh_embedded", refresh_embedded),
    ("two_workers", two_workers),
    ("h2", http2),
    ("tls", tls::tls),
    ("memory", memory::memory),
    ("curves", curves::curves),
];

fn workload<'a>(connections: usize, expected_text: &'a str, source: RequestSource<'a>) -> Workload<'a> {
    Workload { connections, protocol: Protocol::Http1, expected_text, source, redis_pid: None }
}

fn jwks(setup: &Setup) -> Vec<Finding> {
    let comparison = compare_jwks(setup, CONNECTIONS, Protocol::Http1);
    vec![Finding::cpu("jwks", "JWKS", Target::AtMost(1.08), comparison)]
}

fn compare_jwks(setup: &Setup, connections: usize, protocol: Protocol) -> Comparison {
    with_jwks(setup, |path| setup.compare_with_baseline(path, connections, protocol))
}

pub(crate) fn with_jwks<T>(setup: &Setup, run: impl FnOnce(PreparedPath<'_>) -> T) -> T {
    let signet = setup.settings().start();
    let request = http::build_request("GET", JWKS, "", "");
    let (_, body) = http::send(signet.address, &request);
    run(PreparedPath {
        signet: &signet,
        baseline: Baseline::Canned { body },
        baseline_name: "canned response",
        expected_text: JWKS_TEXT,
        source: RequestSource::Same(vec![request]),
        redis_pid: None,
    })
}

fn verify_seen(setup: &Setup) -> Vec<Finding> {
    let comparison = compare_verify_seen(setup, CONNECTIONS, Protocol::Http1);
    vec![Finding::cpu("verify_seen", "/verify, cached token", Target::AtMost(1.12), comparison)]
}

fn compare_verify_seen(setup: &Setup, connections: usize, protocol: Protocol) -> Comparison {
    with_verify_seen(setup, |path| setup.compare_with_baseline(path, connections, protocol))
}

pub(crate) fn with_verify_seen<T>(setup: &Setup, run: impl FnOnce(PreparedPath<'_>) -> T) -> T {
    let (_, signet, sessions) = setup.start_seeded();
    let requests: Vec<_> = sessions.iter().map(|session| verify_request(&session.access_token)).collect();
    let response = |session: &SeededSession| {
        let claims = tokens::payload(&session.access_token);
        (session.access_token.clone(), format!(r#"{{"active":true,"claims":{claims}}}"#))
    };
    run(PreparedPath {
        signet: &signet,
        baseline: Baseline::LookUp { known: sessions.iter().map(response).collect() },
        baseline_name: "parse + lookup",
        expected_text: ACTIVE,
        source: RequestSource::Same(requests),
        redis_pid: None,
    })
}

/// The same two paths over HTTP/2, by the number of requests in flight.
fn http2(setup: &Setup) -> Vec<Finding> {
    let target = Target::AtMost(1.15);
    let mut findings = Vec::new();
    for (in_flight, connections) in HTTP2_STREAMS {
        let protocol = Protocol::Http2 { streams: in_flight / connections };
        let title = format!("JWKS over HTTP/2, {in_flight} streams");
        let comparison = compare_jwks(setup, connections, protocol);
        findings.push(Finding::cpu(&format!("h2_jwks_{in_flight}"), &title, target, comparison));
        let title = format!("/verify, cached token, over HTTP/2, {in_flight} streams");
        let comparison = compare_verify_seen(setup, connections, protocol);
        findings.push(Finding::cpu(&format!("h2_verify_{in_flight}"), &title, target, comparison));
    }
    findings
}

fn verify_unseen(setup: &Setup, name: &str, title: &str, connections: usize, target: Target) -> Vec<Finding> {
    let comparison = with_verify_unseen(setup, |path| setup.compare_with_baseline(path, connections, Protocol::Http1));
    vec![Finding::cpu(name, title, target, comparison)]
}

pub(crate) fn with_verify_unseen<T>(setup: &Setup, run: impl FnOnce(PreparedPath<'_>) -> T) -> T {
    let (settings, signet, sessions) = setup.start_seeded();
    let mut minter = TokenMinter::new(&settings, &sessions);
    let key = minter.public;
    let mut fresh = || verify_request(&minter.next());
    run(PreparedPath {
        signet: &signet,
        baseline: Baseline::Verify { key },
        baseline_name: "parse + one verification",
        expected_text: ACTIVE,
        source: RequestSource::Fresh(&mut fresh),
        redis_pid: None,
    })
}

fn verify_batch(setup: &Setup) -> Vec<Finding> {
    let (settings, signet, sessions) = setup.start_seeded();
    let mut minter = TokenMinter::new(&settings, &sessions);
    let key = minter.public;
    let mut fresh = || {
        let tokens: Vec<_> = (0..256).map(|_| minter.next()).collect();
        http::post_json("/verify/batch", &json!({ "tokens": tokens }).to_string())
    };
    let path = PreparedPath {
        signet: &signet,
        baseline: Baseline::Batch { key },
        baseline_name: "256 single verifications",
        expected_text: r#"{"results":[{"active":true,"#,
        source: RequestSource::Fresh(&mut fresh),
        redis_pid: None,
    };
    // Few connections, because each request is a batch already.
    let comparison = setup.compare_with_baseline(path, 4, Protocol::Http1);
    vec![Finding::cpu("verify_batch_256", "/verify/batch, 256 new tokens", Target::AtMost(0.60), comparison)]
}

fn rotating<'a>(first: &[SeededSession], second: &[SeededSession]) -> RequestSource<'a> {
    let (prefix, suffix) = refresh_request();
    let tokens = |sessions: &[SeededSession]| sessions.iter().map(|session| session.refresh_token.clone()).collect();
    RequestSource::Rotating { prefix, suffix, tokens: [tokens(first), tokens(second)] }
}

fn refresh(setup: &Setup) -> Vec<Finding> {
    let comparison = with_refresh(setup, |path| setup.compare_with_baseline(path, CONNECTIONS, Protocol::Http1));
    vec![Finding::cpu("refresh", "refresh (myauth, Redis)", Target::AtMost(1.25), comparison)]
}

pub(crate) fn with_refresh<T>(setup: &Setup, run: impl FnOnce(PreparedPath<'_>) -> T) -> T {
    let redis = Redis::start(&setup.cores.client());
    let settings = setup.settings().on_redis(&redis.url());
    let signet = settings.start();
    let sessions = settings.seed_sessions(SESSIONS);
    let minter = TokenMinter::new(&settings, &sessions);
    // The payload before `sub` is the same in all tokens of the issuer. The payload after `jti` is the user's claims.
    let split = |session: &SeededSession| {
        let payload = tokens::payload(&session.access_token);
        let opening = payload[..payload.find(r#","sub""#).expect("a subject")].to_owned();
        let after_jti = payload.find(r#""jti":""#).expect("a jti") + r#""jti":""#.len() + 37;
        (opening, payload[after_jti..payload.len() - 1].to_owned())
    };
    let known =
        sessions.iter().map(|session| Session { token: session.refresh_token.clone(), claims: split(session).1 });
    let baseline = Baseline::Refresh {
        redis: redis.port(),
        seed: minter.seed,
        header: minter.header.clone(),
        opening: split(&sessions[0]).0,
        sessions: known.collect(),
    };
    run(PreparedPath {
        signet: &signet,
        baseline,
        baseline_name: "parse + one script + one signature",
        expected_text: ROTATED,
        source: rotating(&sessions, &sessions),
        redis_pid: Some(redis.process.pid()),
    })
}

fn refresh_embedded(setup: &Setup) -> Vec<Finding> {
    let redis = Redis::start(&setup.cores.client());
    let redis_settings = setup.settings().on_redis(&redis.url());
    let (_, embedded_signet, embedded_sessions) = setup.start_seeded();
    let redis_signet = redis_settings.start();
    let redis_sessions = redis_settings.seed_sessions(SESSIONS);
    let sides = [setup.side("embedded", &embedded_signet), setup.side("on Redis", &redis_signet)];
    let mut workload = workload(CONNECTIONS, ROTATED, rotating(&embedded_sessions, &redis_sessions));
    let comparison = compare(setup.schedule, [&sides[0], &sides[1]], &mut workload);
    let rate = Finding::rate("refresh_embedded", "refresh, embedded, by rate", Target::AtLeast(0.5), comparison);
    drop((embedded_signet, redis_signet));
    vec![rate, durability::check(setup)]
}

/// Compares one server with two workers to two servers with one worker each that run at the same time. Those two do
/// twice the work of one worker under the same conditions.
///
/// The comparison is by CPU time for each request. If the client shares a core with a worker, rates would measure how
/// they share it.
fn two_workers(setup: &Setup) -> Vec<Finding> {
    let cores = &setup.cores;
    // One fleet, so that all servers accept the same tokens.
    let redis = Redis::start(&cores.client_beside_pair());
    let settings_on = |cores: &str| setup.settings().on_redis(&redis.url()).on_cores(cores);
    let pair = settings_on(&cores.server_pair()).set("SIGNET_SERVER__WORKERS", "2").start();
    pair.process.pin_threads("worker-", &cores.server_pair());
    let first = settings_on(&cores.server());
    let singles = [first.start(), settings_on(&cores.second_server()).start()];
    let sessions = first.seed_sessions(SESSIONS);
    let requests = sessions.iter().map(|session| verify_request(&session.access_token)).collect();
    let one_server =
        Side { client_cores: cores.client_beside_pair(), ..setup.side("one server with two workers", &pair) };
    let two_servers = Side {
        name: "two servers with one worker each",
        addresses: singles.iter().map(|signet| signet.address).collect(),
        pids: singles.iter().map(|signet| signet.process.pid()).collect(),
        client_cores: cores.client_beside_pair(),
    };
    let mut workload = workload(CONNECTIONS, ACTIVE, RequestSource::Same(requests));
    vec![Finding::two_workers(compare(setup.schedule, [&one_server, &two_servers], &mut workload))]
}

//! `signet bench`: verifications, refreshes and sign-ins a second on this machine.
//!
//! It runs a server on a loopback address and drives it with the load generator that the benches use, on other threads
//! of the same process. The figures are those of a machine that server and client share.

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use signet_load::{Bound, Client, Histogram, Load, LoadError, Requests, post_form, post_json};

use super::arguments::Bench;
use super::demo::temporary_folder;
use super::output::{Columns, Output};
use super::seed::{self, SeededSession};
use super::users::{UserRecord, validate_record};
use super::{CliError, Settings};
use crate::auth;
use crate::auth::accounts::delete::delete_user;
use crate::auth::audit::Origin;
use crate::auth::context::Context;
use crate::config::{Api, Config, ConsoleListener};
use crate::node::serve::{Running, serve_during};
use crate::node::stores::store_names;
use crate::store::accounts::{Created, User};

/// Enough that sign-ins rarely exceed the sessions that a user may have.
const USERS: u32 = 64;

/// The number of the first user is random from here on, within this range, so that `seed --remove` finds users that were
/// left behind, and no seeded data set is that large.
const NUMBERS: std::ops::Range<u32> = 90_000_000..99_000_000;

/// Connections for verifications and refreshes: as in docs/performance.md.
const CONNECTIONS: usize = 64;

/// Sign-ins in flight for each hashing thread, so that none of them waits for one, and none is refused.
const SIGN_INS_PER_THREAD: usize = 2;

/// Clients of one thread each. One drives more than 150,000 requests a second, and the server needs the other cores.
const MAX_CLIENTS: usize = 8;

/// Requests of one operation at most, whatever the time: a bound for mistakes.
const MAX_REQUESTS: u64 = 100_000_000;

/// The share of the time that each operation has. The slowest has the most, because it is done the fewest times.
const SHARES: [f64; 3] = [0.3, 0.3, 0.4];

/// The share of an operation's time that fills caches and connections and is not counted.
const WARMUP: f64 = 0.1;

/// Tokens must outlive the longest run.
const MIN_ACCESS: Duration = Duration::from_secs(10 * 60);

/// The result, as printed.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    cores: usize,
    workers: usize,
    stores: &'static str,
    debug_build: bool,
    results: Vec<OperationResult>,
}

#[derive(Serialize)]
struct OperationResult {
    operation: &'static str,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    requests: u64,
    connections: usize,
}

const COLUMNS: Columns<OperationResult> = &[
    ("operation", |row| row.operation.to_owned()),
    ("per second", |row| format!("{:.0}", row.per_second)),
    ("p50 ms", |row| format!("{:.2}", row.p50_ms)),
    ("p99 ms", |row| format!("{:.2}", row.p99_ms)),
    ("connections", |row| row.connections.to_string()),
];

/// One measured operation: its requests, the expected response, and the connections that send them.
struct Operation {
    name: &'static str,
    requests: Requests,
    expected_status: u16,
    expected_text: &'static str,
    connections: usize,
}

pub(super) fn run(
    options: &Bench,
    load: impl FnOnce(Settings) -> Result<Config, CliError>,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    // Deleted on return.
    let mut folder = None;
    let config = if options.configured {
        let config = load(Settings::Configured)?;
        if !options.yes {
            let stores = store_names(&config);
            return Err(CliError::Usage {
                problem: format!("this creates {USERS} users in the configured stores ({stores}), and deletes them"),
                remedy: "add --yes, or leave out --config and --configured to measure in a temporary folder".to_owned(),
            });
        }
        config
    } else {
        let folder = folder.insert(temporary_folder("signet-bench-")?);
        load(Settings::Default(vec![format!("data_dir={}", folder.path().join("data").display())]))?
    };
    serve_during(for_measuring(config), async |running: Running<'_>| {
        let report = measure(options, &running).await?;
        print(&report, output)
    })
}

/// The settings of the measured server: on loopback and without effects outside of the stores. Stores, hashing and
/// workers stay as configured.
fn for_measuring(mut config: Config) -> Config {
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.server.management = None;
    config.server.tls = None;
    config.console.listener = ConsoleListener::Off;
    // All load comes from one client.
    config.limits.enabled = false;
    config.mail.new_sign_in_notice = false;
    config.audit.webhook = None;
    config.log.filter = "error".to_owned();
    config.log.otlp_endpoint = None;
    let Api { native, unturned, myauth, codes, ucontact, v1 } = &mut config.api;
    for dialect in [unturned, myauth, &mut codes.dialect, ucontact, v1] {
        dialect.enabled = false;
    }
    (native.enabled, native.prefix) = (true, String::new());
    native.access = native.access.max(MIN_ACCESS);
    config
}

async fn measure(options: &Bench, running: &Running<'_>) -> Result<Report, CliError> {
    let ctx = running.ctx;
    let config = &ctx.node.config;
    let (password, hash) = seed::generate_password(ctx).await?;
    let mut users = Vec::new();
    let measured = async {
        create_users(ctx, &hash.0, &mut users).await?;
        let owners = users.iter().cycle().take(CONNECTIONS);
        let sessions = seed::run_concurrently(owners.map(|user| seed::create_session(ctx, user))).await?;
        let mut results = Vec::new();
        for (operation, share) in operations(config, &users, &password, &sessions).into_iter().zip(SHARES) {
            let time = Duration::from_secs(options.seconds.into()).mul_f64(share);
            results.push(drive(running, operation, time).await?);
        }
        Ok(results)
    };
    let measured: Result<_, CliError> = measured.await;
    // Also after an error or a signal.
    let removed = if options.configured { remove(ctx, &users).await } else { Ok(()) };
    let results = measured?;
    removed?;
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        cores: cores(),
        workers: config.server.workers,
        stores: store_names(config),
        debug_build: cfg!(debug_assertions),
        results,
    })
}

/// Adds the users to `users` even if not all of them can be created, so that they are removed.
async fn create_users(ctx: &Context, hash: &str, users: &mut Vec<User>) -> Result<(), CliError> {
    let random = u32::from_ne_bytes(ctx.node.rng.bytes());
    let first = NUMBERS.start + random % (NUMBERS.end - NUMBERS.start);
    let rows = (first..first + USERS).map(|number| {
        let (email, password_hash) = (seed::address(number), Some(hash.to_owned()));
        let record = UserRecord { email, password_hash, verified: true, ..UserRecord::default() };
        validate_record(ctx, &record).map_err(|error| seed::conflict(error.to_string()))
    });
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    for created in ctx.accounts.import_users(&rows).await? {
        if let Created::Created(user) = created {
            users.push(*user);
        }
    }
    match users.len() == rows.len() {
        true => Ok(()),
        false => Err(seed::conflict("users of an earlier run are still there".to_owned())),
    }
}

async fn remove(ctx: &Context, users: &[User]) -> Result<(), CliError> {
    let deleted = users.iter().map(|user| async {
        match delete_user(ctx, user.id, Origin::process()).await {
            Ok(_) | Err(auth::Error::NotFound) => Ok(()),
            Err(error) => Err(seed::conflict(format!("{} was not deleted: {error}", user.email))),
        }
    });
    seed::run_concurrently(deleted).await.map(drop)
}

fn operations(config: &Config, users: &[User], password: &str, sessions: &[SeededSession]) -> [Operation; 3] {
    let verify = |session: &SeededSession| post_json("/verify", &json!({"token": &*session.access}).to_string());
    let sign_in = |user: &User| post_json("/sessions", &json!({"email": user.email, "password": password}).to_string());
    // The length of the request is that of any refresh token.
    let tokens = sessions.iter().map(|session| session.refresh.to_string()).collect::<Vec<_>>();
    let length = tokens.first().map_or(0, String::len);
    let placeholder = "x".repeat(length);
    let refresh = post_form("/oauth/token", &format!("grant_type=refresh_token&refresh_token={placeholder}"));
    let prefix = refresh.strip_suffix(&placeholder).unwrap_or_default().to_owned();
    [
        Operation {
            name: "verify",
            requests: Requests::Cycle(sessions.iter().map(verify).collect()),
            expected_status: 200,
            expected_text: r#""active":true"#,
            connections: CONNECTIONS,
        },
        Operation {
            name: "refresh",
            requests: Requests::Rotate { prefix, tokens, suffix: String::new() },
            expected_status: 200,
            expected_text: r#""access_token":""#,
            connections: CONNECTIONS,
        },
        Operation {
            name: "sign-in",
            requests: Requests::Cycle(users.iter().map(sign_in).collect()),
            expected_status: 201,
            expected_text: r#""access_token":""#,
            connections: (config.passwords.threads * SIGN_INS_PER_THREAD).min(CONNECTIONS),
        },
    ]
}

/// Drives an operation from threads of their own: this runtime follows revocations meanwhile.
async fn drive(running: &Running<'_>, operation: Operation, time: Duration) -> Result<OperationResult, CliError> {
    let (address, stop) = (running.address, Arc::new(AtomicBool::new(false)));
    let (name, connections) = (operation.name, operation.connections);
    let clients = split(operation, (cores() / 2).clamp(1, MAX_CLIENTS));
    let mut driven = tokio::task::spawn_blocking({
        let stop = stop.clone();
        move || {
            thread::scope(|scope| {
                let run = |client| scope.spawn(|| drive_client(address, client, time, &stop));
                let threads = clients.into_iter().map(run).collect::<Vec<_>>();
                let ended = threads.into_iter().map(|thread| thread.join());
                ended.map(|result| result.unwrap_or(Err(LoadError::Impossible("a client ended early")))).collect()
            })
        }
    });
    let ended: Result<Result<Vec<(Histogram, Duration)>, LoadError>, _> = tokio::select! {
        ended = &mut driven => ended,
        () = running.stop.requested() => {
            stop.store(true, Ordering::Relaxed);
            let _ = driven.await;
            return Err(failed("it was interrupted".to_owned()));
        }
    };
    let ended =
        ended.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(format!("{name}: {error}")))?;
    let (mut latency, mut per_second) = (Histogram::default(), 0.0);
    for (own, took) in ended {
        per_second += own.count() as f64 / took.as_secs_f64();
        latency.merge(&own);
    }
    Ok(OperationResult {
        operation: name,
        per_second,
        p50_ms: latency.percentile_micros(0.5) / 1000.0,
        p99_ms: latency.percentile_micros(0.99) / 1000.0,
        requests: latency.count(),
        connections,
    })
}

fn failed(problem: String) -> CliError {
    CliError::Failed { problem, remedy: "run `signet check` to test every part".to_owned() }
}

/// Distributes the connections, and tokens that are used once, over clients.
fn split(operation: Operation, clients: usize) -> Vec<Operation> {
    let clients = clients.min(operation.connections);
    let share = |index: usize| operation.connections / clients + usize::from(index < operation.connections % clients);
    let requests = |index: usize| match &operation.requests {
        Requests::Cycle(requests) => Requests::Cycle(requests.clone()),
        Requests::Rotate { prefix, tokens, suffix } => Requests::Rotate {
            prefix: prefix.clone(),
            tokens: tokens.iter().skip(index).step_by(clients).cloned().collect(),
            suffix: suffix.clone(),
        },
    };
    let client = |index| Operation { requests: requests(index), connections: share(index), ..operation };
    (0..clients).map(client).collect()
}

fn drive_client(
    address: SocketAddr,
    operation: Operation,
    time: Duration,
    stop: &AtomicBool,
) -> Result<(Histogram, Duration), LoadError> {
    let addresses = [address];
    let mut client = Client::connect(Load {
        addresses: &addresses,
        connections: operation.connections,
        requests: &operation.requests,
        expected_status: operation.expected_status,
        expected_text: operation.expected_text,
        stop_on_disconnect: false,
    })?;
    let bound = |time| Bound { requests: MAX_REQUESTS, time: Some(time), stop: Some(stop) };
    client.drive(bound(time.mul_f64(WARMUP)))?;
    client.take_latency();
    let started = Instant::now();
    client.drive(bound(time.mul_f64(1.0 - WARMUP)))?;
    Ok((client.take_latency(), started.elapsed()))
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

fn print(report: &Report, output: &mut Output<'_>) -> Result<(), CliError> {
    if output.is_json() {
        return output.json(report);
    }
    let Report { version, cores, workers, stores, .. } = report;
    output.line(&format!("Signet {version} on this machine: {cores} cores, {workers} workers, stores: {stores}"))?;
    if report.debug_build {
        output.line("This is a debug build: a release build is several times as fast.")?;
    }
    output.rows(&report.results, COLUMNS)
}

//! The cost of single operations, one at a time: Redis calls, bytes, CPU time. The server uses Redis, and the embedded
//! store for accounts, so the figures do not include Postgres.

use serde_json::{Value, json};

use crate::options::Options;
use crate::report::Report;
use crate::support::http::{post_form, post_json, send};
use crate::support::redis::Redis;
use crate::support::signet::{Signet, SignetSettings};

const PART: &str = "cost";

/// Redis commands that are not counted: the call of a script is counted as a round trip, and the others belong to this
/// bench and to the follower of the revocation stream.
const EXCLUDED_COMMANDS: [&str; 12] = [
    "evalsha",
    "eval",
    "info",
    "xread",
    "config",
    "ping",
    "client",
    "hello",
    "auth",
    "script",
    "function",
    "config|resetstat",
];

pub(crate) fn run(options: &Options, report: &mut Report) {
    let (refreshes, others) = if options.quick { (100, 10) } else { (2_000, 100) };
    let redis = Redis::start(&options.cores.client());
    let settings = SignetSettings::new(&options.server, &options.cores.server()).on_redis(&redis.url());
    // Rate limits that are never reached, because counting is part of the cost.
    let settings =
        settings.set("SIGNET_LIMITS__ENABLED", "true").set("SIGNET_LIMITS__SIGN_IN_ADDRESS", "100000 per 1h");
    let settings = settings.set("SIGNET_LIMITS__MAIL_ADDRESS", "100000 per 1h");
    let signet = settings.start();
    let file = settings.folder().join("seeded.json");
    let (count, path) = (others.to_string(), file.display().to_string());
    settings.run_cli(&["seed", "--users", &count, "--sessions", "1", "--api-keys", "0", "--out", &path]);
    let data: Value = serde_json::from_slice(&std::fs::read(file).expect("a file of `signet seed`")).expect("JSON");
    let emails: Vec<_> = data["users"].as_array().expect("a list").iter().collect();

    let mut token = data["sessions"][0]["refresh_token"].as_str().expect("a token").to_owned();
    let meter = CostMeter { redis: &redis, signet: &signet };
    meter.measure(report, "a refresh", refreshes, |_| {
        let form = format!("grant_type=refresh_token&refresh_token={token}");
        let (status, body) = send(signet.address, &post_form("/oauth/token", &form));
        assert_eq!(status, 200, "{body}");
        let response: Value = serde_json::from_str(&body).expect("JSON");
        token = response["refresh_token"].as_str().expect("a token").to_owned();
    });
    meter.measure(report, "a sign-in", others, |index| {
        let body = json!({"email": emails[index], "password": data["password"]}).to_string();
        assert_eq!(send(signet.address, &post_json("/sessions", &body)).0, 201);
    });
    meter.measure(report, "sending a code", others, |index| {
        let body = json!({"email": emails[index]}).to_string();
        assert_eq!(send(signet.address, &post_json("/auth/verification/send-code", &body)).0, 202);
    });
}

struct CostMeter<'a> {
    redis: &'a Redis,
    signet: &'a Signet,
}

impl CostMeter<'_> {
    fn measure(&self, report: &mut Report, name: &str, times: usize, mut operation: impl FnMut(usize)) {
        assert_eq!(self.redis.cli(&["CONFIG", "RESETSTAT"]), "OK");
        let cpu = || (self.signet.process.cpu_time().as_secs_f64(), self.redis.process.cpu_time().as_secs_f64());
        let before = cpu();
        (0..times).for_each(&mut operation);
        let after = cpu();
        let each = |total: f64| total / times as f64;
        let (server, redis) = (each(after.0 - before.0) * 1e6, each(after.1 - before.1) * 1e6);
        let (calls, scripts) = self.calls();
        let stats = self.redis.cli(&["INFO", "stats"]);
        report.add(PART, format!("{name}: server, all threads, including the connection"), server, "µs", None);
        report.add(PART, format!("{name}: Redis"), redis, "µs", None);
        report.add(PART, format!("{name}: scripts, one round trip each"), each(scripts), "", None);
        report.add(PART, format!("{name}: Redis calls, inside and outside of scripts"), each(calls), "", None);
        report.add(
            PART,
            format!("{name}: bytes to Redis"),
            each(number(&stats, "total_net_input_bytes:")),
            "bytes",
            None,
        );
        report.add(
            PART,
            format!("{name}: bytes from Redis"),
            each(number(&stats, "total_net_output_bytes:")),
            "bytes",
            None,
        );
    }

    /// The number of Redis calls and of script calls.
    fn calls(&self) -> (f64, f64) {
        let stats = self.redis.cli(&["INFO", "commandstats"]);
        let counts = stats.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name, rest.split(',').next()?.parse::<f64>().ok()?))
        });
        let counts: Vec<_> = counts.collect();
        let sum = |is_counted: &dyn Fn(&str) -> bool| {
            counts.iter().filter(|(name, _)| is_counted(name)).map(|(_, calls)| calls).sum::<f64>()
        };
        (sum(&|name| !EXCLUDED_COMMANDS.contains(&name)), sum(&|name| name == "evalsha"))
    }
}

fn number(info: &str, name: &str) -> f64 {
    let line = info.lines().find_map(|line| line.strip_prefix(name)).expect("a field of INFO");
    line.trim().parse().expect("a number")
}

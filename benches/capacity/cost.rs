//! What one operation asks of Redis and of the server, one at a time: calls, bytes, processor. Of the server on Redis and on the
//! embedded store for accounts, so that Postgres is no part of it.

use serde_json::{Value, json};

use crate::Bench;
use crate::report::Report;
use crate::support::redis::Redis;
use crate::support::signet::{Plan, Signet};
use crate::support::simple::{ask, post_json, request};

const PART: &str = "cost";

/// Commands that are not an operation's: the script's own call is its round trip, the others are this bench's and the follower's.
const NOT_OURS: [&str; 12] = [
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

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    let (refreshes, others) = if bench.quick { (100, 10) } else { (2_000, 100) };
    let redis = Redis::start(&bench.cores.load());
    let plan = Plan::new(&bench.server, &bench.cores.server()).on_redis(&redis.url());
    // With limits that nobody meets: counting is a part of what it costs.
    let plan = plan.set("SIGNET_LIMITS__ENABLED", "true").set("SIGNET_LIMITS__SIGN_IN_ADDRESS", "100000 per 1h");
    let plan = plan.set("SIGNET_LIMITS__MAIL_ADDRESS", "100000 per 1h");
    let signet = plan.start();
    let file = plan.dir().join("people.json");
    let (many, place) = (others.to_string(), file.display().to_string());
    plan.run(&["seed", "--users", &many, "--sessions", "1", "--api-keys", "0", "--out", &place]);
    let data: Value = serde_json::from_slice(&std::fs::read(file).expect("it was written")).expect("it is JSON");
    let people: Vec<_> = data["users"].as_array().expect("a list").iter().collect();

    let mut token = data["sessions"][0]["refresh_token"].as_str().expect("a token").to_owned();
    let scale = Scale { redis: &redis, signet: &signet };
    scale.weigh(report, "a refresh", refreshes, |_| {
        let form = format!("grant_type=refresh_token&refresh_token={token}");
        let form = request("POST", "/oauth/token", "content-type: application/x-www-form-urlencoded\r\n", &form);
        let (status, body) = ask(signet.address, &form);
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).expect("it is JSON");
        token = answer["refresh_token"].as_str().expect("a token").to_owned();
    });
    scale.weigh(report, "a sign-in", others, |turn| {
        let body = json!({"email": people[turn], "password": data["password"]}).to_string();
        assert_eq!(ask(signet.address, &post_json("/sessions", &body)).0, 201);
    });
    scale.weigh(report, "sending a code", others, |turn| {
        let body = json!({"email": people[turn]}).to_string();
        assert_eq!(ask(signet.address, &post_json("/auth/verification/send-code", &body)).0, 202);
    });
}

struct Scale<'a> {
    redis: &'a Redis,
    signet: &'a Signet,
}

impl Scale<'_> {
    fn weigh(&self, report: &mut Report, what: &str, times: usize, mut once: impl FnMut(usize)) {
        assert_eq!(self.redis.cli(&["CONFIG", "RESETSTAT"]), "OK");
        let used = || (self.signet.process.cpu().as_secs_f64(), self.redis.process.cpu().as_secs_f64());
        let (server, redis) = used();
        (0..times).for_each(&mut once);
        let each = |used: f64| used / times as f64;
        let (server, redis) = (each(used().0 - server) * 1e6, each(used().1 - redis) * 1e6);
        let (calls, scripts) = self.calls();
        let stats = self.redis.cli(&["INFO", "stats"]);
        report.note(PART, format!("{what}: server, with its connection and all threads"), server, "µs", None);
        report.note(PART, format!("{what}: Redis"), redis, "µs", None);
        report.note(PART, format!("{what}: scripts, each a round trip"), each(scripts), "", None);
        report.note(PART, format!("{what}: calls of Redis, by scripts or without"), each(calls), "", None);
        report.note(PART, format!("{what}: to Redis"), each(number(&stats, "total_net_input_bytes:")), "bytes", None);
        report.note(
            PART,
            format!("{what}: from Redis"),
            each(number(&stats, "total_net_output_bytes:")),
            "bytes",
            None,
        );
    }

    /// How often anything was called, and how often a script was.
    fn calls(&self) -> (f64, f64) {
        let told = self.redis.cli(&["INFO", "commandstats"]);
        let counted = told.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name, rest.split(',').next()?.parse::<f64>().ok()?))
        });
        let counted: Vec<_> = counted.collect();
        let sum = |wanted: &dyn Fn(&str) -> bool| {
            counted.iter().filter(|(name, _)| wanted(name)).map(|(_, calls)| calls).sum::<f64>()
        };
        (sum(&|name| !NOT_OURS.contains(&name)), sum(&|name| name == "evalsha"))
    }
}

fn number(told: &str, name: &str) -> f64 {
    let line = told.lines().find_map(|line| line.strip_prefix(name)).expect("Redis tells");
    line.trim().parse().expect("a number")
}

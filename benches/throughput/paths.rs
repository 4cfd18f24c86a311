//! The paths: what is asked of Signet, and what of the floor.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::json;
use tempfile::TempDir;

use crate::duel::{self, Contest, Pace, Side, Supply, Verdict};
use crate::durability;
use crate::floor::{Floor, Session};
use crate::memory;
use crate::report::{Aim, Finding};
use crate::support::cores::Cores;
use crate::support::folder;
use crate::support::process::{Process, pinned};
use crate::support::redis::Redis;
use crate::support::signet::{Plan, Seeded, Signet};
use crate::support::simple;
use crate::tokens::{self, Mint};

/// Sessions that there are: enough that nothing is found in the processor's nearest cache only because there is nothing else.
const SESSIONS: usize = 1024;

/// Connections of all paths but two.
const MANY: usize = 64;

/// With what a bench is run.
pub(crate) struct Ground {
    pub(crate) server: PathBuf,
    pub(crate) cores: Cores,
    pub(crate) pace: Pace,
    pub(crate) quick: bool,
}

/// Something that can be asked for by name.
pub(crate) type Path = (&'static str, fn(&Ground) -> Vec<Finding>);

/// All of them, in the order of the report.
pub(crate) const PATHS: [Path; 9] = [
    ("jwks", jwks),
    ("verify_seen", verify_seen),
    ("verify_unseen", |ground| verify_unseen(ground, "verify_unseen", MANY, 0.80)),
    ("verify_unseen_alone", |ground| verify_unseen(ground, "verify_unseen_alone", 1, 1.10)),
    ("verify_batch_256", verify_batch),
    ("refresh", refresh),
    ("refresh_embedded", refresh_embedded),
    ("two_workers", two_workers),
    ("memory", memory::memory),
];

impl Ground {
    pub(crate) fn plan(&self) -> Plan {
        Plan::new(&self.server, &self.cores.server())
    }

    /// An embedded Signet that runs, with sessions.
    fn seeded(&self) -> (Plan, Signet, Vec<Seeded>) {
        let plan = self.plan();
        let signet = plan.start();
        let sessions = plan.seed(SESSIONS);
        (plan, signet, sessions)
    }

    pub(crate) fn side<'a>(&self, name: &'a str, signet: &Signet) -> Side<'a> {
        Side { name, addresses: vec![signet.address], pids: vec![signet.process.pid()], load: self.cores.load() }
    }

    fn against(&self, signet: &Signet, floor: &Floor, what: &str, mut contest: Contest<'_>) -> Verdict {
        let floor = Standing::start(floor, &self.cores);
        let floor = Side {
            name: what,
            addresses: vec![floor.address],
            pids: vec![floor.process.pid()],
            load: self.cores.load(),
        };
        duel::hold(self.pace, [&self.side("signet", signet), &floor], &mut contest)
    }
}

/// A floor in a process of its own: this program again, with the word `floor`.
struct Standing {
    process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

impl Standing {
    fn start(floor: &Floor, cores: &Cores) -> Self {
        let folder = folder();
        let log = folder.path().join("log");
        let mut command = pinned(&cores.server(), std::env::current_exe().expect("it runs"), &log);
        command.arg("floor").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(command, &log);
        serde_json::to_writer(process.stdin(), floor).expect("the floor reads");
        let mut line = String::new();
        BufReader::new(process.stdout()).read_line(&mut line).expect("it writes text");
        let address = line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("the floor did not start: {}", process.said()));
        Self { process, address, _folder: folder }
    }
}

fn verify_request(token: &str) -> String {
    simple::post_json("/verify", &json!({ "token": token }).to_string())
}

fn contest<'a>(connections: usize, expect: &'a str, supply: Supply<'a>) -> Contest<'a> {
    Contest { connections, expect, supply, beside: None }
}

fn jwks(ground: &Ground) -> Vec<Finding> {
    let signet = ground.plan().start();
    let request = simple::request("GET", "/.well-known/jwks.json", "", "");
    let (_, body) = simple::ask(signet.address, &request);
    let contest = contest(MANY, r#""keys":["#, Supply::Same(vec![request]));
    let verdict = ground.against(&signet, &Floor::Canned { body }, "canned answer", contest);
    vec![Finding::cpu("jwks", "JWKS", Aim::AtMost(1.15), verdict)]
}

fn verify_seen(ground: &Ground) -> Vec<Finding> {
    let (_, signet, sessions) = ground.seeded();
    let requests: Vec<_> = sessions.iter().map(|session| verify_request(&session.access_token)).collect();
    let answer = |session: &Seeded| {
        let claims = tokens::payload(&session.access_token);
        (session.access_token.clone(), format!(r#"{{"active":true,"claims":{claims}}}"#))
    };
    let known = sessions.iter().map(answer).collect();
    let contest = contest(MANY, r#"{"active":true,"claims":{"#, Supply::Same(requests));
    let verdict = ground.against(&signet, &Floor::LookUp { known }, "parse + look-up", contest);
    vec![Finding::cpu("verify_seen", "/verify, token seen before", Aim::AtMost(1.20), verdict)]
}

fn verify_unseen(ground: &Ground, name: &str, connections: usize, aim: f64) -> Vec<Finding> {
    let (plan, signet, sessions) = ground.seeded();
    let mut mint = Mint::of(&plan, &sessions);
    let key = mint.public;
    let mut fresh = || verify_request(&mint.next());
    let contest = contest(connections, r#"{"active":true,"claims":{"#, Supply::Fresh(&mut fresh));
    let verdict = ground.against(&signet, &Floor::Verify { key }, "parse + one verification", contest);
    let what =
        if connections == 1 { "/verify, token never seen, without company" } else { "/verify, token never seen" };
    vec![Finding::cpu(name, what, Aim::AtMost(aim), verdict)]
}

fn verify_batch(ground: &Ground) -> Vec<Finding> {
    let (plan, signet, sessions) = ground.seeded();
    let mut mint = Mint::of(&plan, &sessions);
    let key = mint.public;
    let mut fresh = || {
        let tokens: Vec<_> = (0..256).map(|_| mint.next()).collect();
        simple::post_json("/verify/batch", &json!({ "tokens": tokens }).to_string())
    };
    // Few connections: each request is company enough.
    let contest = contest(4, r#"{"results":[{"active":true,"#, Supply::Fresh(&mut fresh));
    let verdict = ground.against(&signet, &Floor::Batch { key }, "256 single verifications", contest);
    vec![Finding::cpu("verify_batch_256", "/verify/batch, 256 unseen tokens", Aim::AtMost(0.60), verdict)]
}

/// The request of `myauth`, whose answers do not say more than the tokens, around a refresh token.
pub(crate) fn refresh_request() -> (String, String) {
    let request = simple::request("POST", "/auth/login/refresh", "authorization: Bearer TOKEN\r\n", "");
    let (before, after) = request.split_once("TOKEN").expect("it is there");
    (before.to_owned(), after.to_owned())
}

pub(crate) fn rotating(ours: &[Seeded], theirs: &[Seeded]) -> Supply<'static> {
    let (before, after) = refresh_request();
    let tokens = |sessions: &[Seeded]| sessions.iter().map(|session| session.refresh_token.clone()).collect();
    Supply::Rotating { before, after, tokens: [tokens(ours), tokens(theirs)] }
}

pub(crate) const ROTATED: &str = r#"","token_type":"bearer"}"#;

fn refresh(ground: &Ground) -> Vec<Finding> {
    let redis = Redis::start(&ground.cores.load());
    let plan = ground.plan().on_redis(&redis.url());
    let signet = plan.start();
    let sessions = plan.seed(SESSIONS);
    let mint = Mint::of(&plan, &sessions);
    // What stands before `sub` and after `jti` in every token: the issuer's words, and the profile.
    let cut = |session: &Seeded| {
        let payload = tokens::payload(&session.access_token);
        let opening = payload[..payload.find(r#","sub""#).expect("it has a subject")].to_owned();
        let jti = payload.find(r#""jti":""#).expect("it has an id") + r#""jti":""#.len() + 37;
        (opening, payload[jti..payload.len() - 1].to_owned())
    };
    let known =
        sessions.iter().map(|session| Session { token: session.refresh_token.clone(), profile: cut(session).1 });
    let floor = Floor::Refresh {
        redis: redis.port(),
        seed: mint.seed,
        header: mint.header.clone(),
        opening: cut(&sessions[0]).0,
        sessions: known.collect(),
    };
    let mut contest = contest(MANY, ROTATED, rotating(&sessions, &sessions));
    contest.beside = Some(redis.process.pid());
    let verdict = ground.against(&signet, &floor, "parse + one script + one signature", contest);
    vec![Finding::cpu("refresh", "refresh (myauth, Redis)", Aim::AtMost(1.25), verdict)]
}

fn refresh_embedded(ground: &Ground) -> Vec<Finding> {
    let redis = Redis::start(&ground.cores.load());
    let on_redis = ground.plan().on_redis(&redis.url());
    let (_, embedded_one, ours) = ground.seeded();
    let redis_one = on_redis.start();
    let theirs = on_redis.seed(SESSIONS);
    let (one, other) = (ground.side("embedded", &embedded_one), ground.side("on Redis", &redis_one));
    let verdict = duel::hold(ground.pace, [&one, &other], &mut contest(MANY, ROTATED, rotating(&ours, &theirs)));
    let rate = Finding::rate("refresh_embedded", "refresh, embedded, by rate", Aim::AtLeast(0.5), verdict);
    drop((embedded_one, redis_one));
    vec![rate, durability::check(ground)]
}

/// One server of two workers against two servers of one each, side by side: what those do is twice what one worker does, in the same
/// surroundings. By what a request costs: where the client shares a core with a worker, rates would tell how they share it.
fn two_workers(ground: &Ground) -> Vec<Finding> {
    let cores = &ground.cores;
    // One fleet, so that all of them know the tokens.
    let redis = Redis::start(&cores.load_beside_two());
    let node = |cores: &str| ground.plan().on_redis(&redis.url()).on(cores);
    let two = node(&cores.two()).set("SIGNET_SERVER__WORKERS", "2").start();
    two.process.spread("worker-", &cores.two());
    let first = node(&cores.server());
    let ones = [first.start(), node(&cores.second()).start()];
    let requests = first.seed(SESSIONS).iter().map(|session| verify_request(&session.access_token)).collect();
    let together = Side { load: cores.load_beside_two(), ..ground.side("one server of two workers", &two) };
    let apart = Side {
        name: "two servers of one worker",
        addresses: ones.iter().map(|one| one.address).collect(),
        pids: ones.iter().map(|one| one.process.pid()).collect(),
        load: cores.load_beside_two(),
    };
    let mut contest = contest(MANY, r#"{"active":true,"claims":{"#, Supply::Same(requests));
    vec![Finding::two_workers(duel::hold(ground.pace, [&together, &apart], &mut contest))]
}

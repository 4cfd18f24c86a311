//! Nodes and Redis servers on this machine: started and loaded for the measurement, and as a fleet of the model.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::model::{Arrivals, Fleet, Prediction, ProcessId, Random, Visit};
use crate::support::http;
use crate::support::load::{Job, Outcome, Protocol, Requests, run_in_process};
use crate::support::redis::Redis;
use crate::support::signet::{SeededSession, Signet, SignetSettings};
use crate::support::{free_port, stats};
use crate::{CONNECTIONS, Options};

/// Sessions that are refreshed in turn.
const SESSIONS: usize = 1024;

/// The longest wait for Redis to form a cluster or to connect a replica.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The number of processes. All have one thread for requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topology {
    pub(crate) nodes: usize,
    pub(crate) masters: usize,
    /// Each master has one.
    pub(crate) replicas: bool,
    /// Always, if there are several masters. In a Redis Cluster each refresh is a script of its own. With one Redis,
    /// those that arrive together share one.
    pub(crate) is_cluster: bool,
}

/// Processor time of each kind of process for a refresh, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    pub(crate) client: f64,
    pub(crate) node: f64,
    pub(crate) master: f64,
    pub(crate) replica: f64,
}

/// The figures of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measurement {
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) costs: Costs,
}

impl Topology {
    pub(crate) fn name(&self) -> String {
        let nodes = if self.nodes == 1 { "1 node".to_owned() } else { format!("{} nodes", self.nodes) };
        let redis = match (self.is_cluster, self.replicas) {
            (false, false) => "1 Redis".to_owned(),
            (false, true) => "1 Redis with a replica".to_owned(),
            (true, _) => format!("cluster of {}", self.servers()),
        };
        format!("{nodes}, {redis}")
    }

    fn servers(&self) -> usize {
        if self.replicas { 2 * self.masters } else { self.masters }
    }

    /// Starts everything and measures refreshes in rounds; returns the median of each figure.
    pub(crate) fn measure(&self, options: &Options) -> Measurement {
        let cores = options.cores.all();
        let (redis, url) = self.start_redis(&cores);
        let settings = |_| SignetSettings::new(&options.server, &cores).on_redis(&url);
        let settings: Vec<_> = (0..self.nodes).map(settings).collect();
        let nodes: Vec<Signet> = settings.iter().map(SignetSettings::start).collect();
        let mut sessions = settings[0].seed_sessions(SESSIONS);
        let rounds = (0..options.rounds).map(|_| self.load(options, &nodes, &redis, &mut sessions));
        let rounds: Vec<_> = rounds.collect();
        let median = |figure: fn(&Measurement) -> f64| stats::median(rounds.iter().map(figure).collect());
        Measurement {
            rate: median(|round| round.rate),
            p50_ms: median(|round| round.p50_ms),
            costs: Costs {
                client: median(|round| round.costs.client),
                node: median(|round| round.costs.node),
                master: median(|round| round.costs.master),
                replica: median(|round| round.costs.replica),
            },
        }
    }

    fn load(
        &self,
        options: &Options,
        nodes: &[Signet],
        redis: &[Redis],
        sessions: &mut [SeededSession],
    ) -> Measurement {
        let request = http::build_request("POST", "/auth/login/refresh", "authorization: Bearer TOKEN\r\n", "");
        let (prefix, suffix) = request.split_once("TOKEN").expect("the placeholder");
        let job = Job {
            addresses: nodes.iter().map(|node| node.address).collect(),
            connections: CONNECTIONS,
            protocol: Protocol::Http1,
            warmup: options.requests / 10,
            count: options.requests,
            requests: Requests::Rotate {
                prefix: prefix.to_owned(),
                tokens: sessions.iter().map(|session| session.refresh_token.clone()).collect(),
                suffix: suffix.to_owned(),
            },
            expected_text: r#""token_type":"bearer""#.to_owned(),
            watched_pids: nodes
                .iter()
                .map(|node| node.process.pid())
                .chain(redis.iter().map(|redis| redis.process.pid()))
                .collect(),
            stop_on_disconnect: false,
        };
        let outcome: Outcome = run_in_process(&job, &options.cores.all());
        for (session, token) in sessions.iter_mut().zip(&outcome.tokens) {
            session.refresh_token.clone_from(&token.newest);
        }
        let count = outcome.count as f64;
        let each = |nanos: &[u64]| nanos.iter().sum::<u64>() as f64 / count;
        let (of_nodes, of_redis) = outcome.watched_cpu_nanos.split_at(nodes.len());
        // The roles do not change during a run, and the masters come first.
        let (of_masters, of_replicas) = of_redis.split_at(self.masters);
        Measurement {
            rate: count / outcome.seconds,
            p50_ms: outcome.latency.percentile_micros(0.5) / 1e3,
            costs: Costs {
                client: outcome.client_cpu_nanos as f64 / count,
                node: each(of_nodes),
                master: each(of_masters),
                replica: each(of_replicas),
            },
        }
    }

    /// The masters, then their replicas, and the URL of the store.
    fn start_redis(&self, cores: &str) -> (Vec<Redis>, String) {
        if !self.is_cluster {
            let mut servers = vec![Redis::start(cores)];
            let url = servers[0].url();
            if self.replicas {
                let master = format!("127.0.0.1 {}", servers[0].port());
                servers.push(Redis::start_with(cores, &["--replicaof", &master, "--repl-diskless-sync-delay", "0"]));
                wait_until("the replica", || servers[1].cli(&["INFO", "replication"]).contains("link_status:up"));
            }
            return (servers, url);
        }
        let start = |_| {
            let bus = free_port().to_string();
            let options = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--repl-diskless-sync-delay", "0"];
            (Redis::start_with(cores, &options), bus)
        };
        let (servers, buses): (Vec<_>, Vec<_>) = (0..self.servers()).map(start).unzip();
        let addresses: Vec<_> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
        if self.masters == 1 {
            join_one_shard(&servers, &buses);
        } else {
            let mut arguments: Vec<_> = ["--cluster", "create"].into();
            arguments.extend(addresses.iter().map(String::as_str));
            arguments.extend(["--cluster-replicas", if self.replicas { "1" } else { "0" }, "--cluster-yes"]);
            servers[0].cli(&arguments);
        }
        wait_until("the cluster", || {
            servers.iter().all(|server| {
                let replication = server.cli(&["INFO", "replication"]);
                let linked = replication.contains("role:master") || replication.contains("link_status:up");
                linked && server.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
            })
        });
        // redis-cli makes masters of the addresses that come first.
        let is_master = |server: &Redis| server.cli(&["INFO", "replication"]).contains("role:master");
        assert!(servers[..self.masters].iter().all(is_master), "the first servers are the masters");
        let others: Vec<_> = addresses[1..].iter().map(|address| format!("node={address}")).collect();
        let url = format!("redis-cluster://{}?{}", addresses[0], others.join("&"));
        (servers, url)
    }

    /// The prediction for the same processes, which share the cores of one machine.
    pub(crate) fn predict(&self, costs: Costs, cores: usize) -> Prediction {
        let mut fleet = Fleet::default();
        let machine = fleet.add_machine(cores);
        let client = fleet.add_process(machine);
        let mut add = |count: usize| (0..count).map(|_| fleet.add_process(machine)).collect::<Vec<ProcessId>>();
        let (nodes, masters) = (add(self.nodes), add(self.masters));
        let replicas = add(if self.replicas { self.masters } else { 0 });
        let visit = |process, nanos| Visit { process, nanos, delay: 0.0, background: false };
        let path = |random: &mut Random, number: usize| {
            let (node, shard) = (nodes[number % nodes.len()], random.below(masters.len()));
            let mut visits = vec![visit(client, costs.client / 2.0), visit(node, costs.node / 2.0)];
            visits.push(visit(masters[shard], costs.master));
            if let Some(replica) = replicas.get(shard) {
                visits.push(Visit { background: true, ..visit(*replica, costs.replica) });
            }
            visits.extend([visit(node, costs.node / 2.0), visit(client, costs.client / 2.0)]);
            visits
        };
        fleet.simulate(Arrivals::Closed(CONNECTIONS), 100_000, path)
    }
}

/// Makes a cluster of one master, which `redis-cli` refuses, and of its replicas.
fn join_one_shard(servers: &[Redis], buses: &[String]) {
    let (master, replicas) = servers.split_first().expect("a master");
    master.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let id = master.cli(&["CLUSTER", "MYID"]);
    for replica in replicas {
        replica.cli(&["CLUSTER", "MEET", "127.0.0.1", &master.port().to_string(), &buses[0]]);
        wait_until("the master", || replica.cli(&["CLUSTER", "NODES"]).contains(id.trim()));
        replica.cli(&["CLUSTER", "REPLICATE", id.trim()]);
    }
}

fn wait_until(name: &str, ready: impl Fn() -> bool) {
    let started = Instant::now();
    while !ready() {
        assert!(started.elapsed() < TIMEOUT, "{name} was not ready within {TIMEOUT:?}");
        sleep(Duration::from_millis(20));
    }
}

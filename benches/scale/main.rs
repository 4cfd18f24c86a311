//! Checks a simulation of refreshes against measurements on this machine, and sizes larger fleets with it.
//!
//!     cargo bench --bench scale -- [--rounds N] [--requests N] [--server PATH]
//!     cargo bench --bench scale -- --costs NODE,REDIS
//!
//! The costs of the client, a node and a Redis are measured with one of each; those of a replica and of feeding it, with
//! one replica; those in a Redis Cluster, where each refresh is a script of its own, with a cluster of one shard. The
//! model then predicts the rates of two nodes, and of a Redis Cluster of six processes, which are measured as well. All
//! processes share the cores of this machine.
//!
//! The second table is simulated, not measured: a fleet in which each worker and each shard has a core of its own, with
//! random arrivals. `--costs` takes microseconds of a worker and of Redis from elsewhere, and measures nothing.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench")]

mod model;
#[path = "../support/mod.rs"]
mod support;
mod topology;

use std::path::PathBuf;

use model::{Arrivals, Fleet, Random, Visit};
use support::cores::Cores;
use support::{load, lock_machine};
use topology::{Costs, Topology};

/// Connections of the client.
const CONNECTIONS: usize = 64;

/// The time on the network for each direction between two machines of a data center, in nanoseconds. It is assumed.
const HOP: f64 = 100_000.0;

/// Refreshes a second of the fleets.
const RATES: [f64; 3] = [10_000.0, 100_000.0, 1_000_000.0];

/// The share of its core that each worker and each shard of these fleets uses.
const UTILIZATIONS: [f64; 4] = [0.5, 0.6, 0.7, 0.8];

struct Options {
    server: PathBuf,
    cores: Cores,
    rounds: usize,
    requests: u64,
}

fn main() {
    let mut args = std::env::args().skip(1).peekable();
    if args.peek().map(String::as_str) == Some(load::JOB) {
        return load::serve();
    }
    let mut options = Options {
        server: PathBuf::from(env!("CARGO_BIN_EXE_signet")),
        cores: Cores::detect(),
        rounds: 5,
        requests: 60_000,
    };
    let mut costs = None;
    while let Some(option) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{option} needs a value"));
        match option.as_str() {
            "--rounds" => options.rounds = value().parse().expect("a number"),
            "--requests" => options.requests = value().parse().expect("a number"),
            "--server" => options.server = std::path::absolute(value()).expect("a path"),
            "--costs" => {
                let text = value();
                let (node, redis) = text.split_once(',').expect("two numbers, such as 22.5,9.2");
                let nanos = |text: &str| text.parse::<f64>().expect("microseconds") * 1e3;
                costs = Some((nanos(node), nanos(redis)));
            }
            // `cargo bench` passes this to every bench.
            "--bench" => {}
            _ => panic!("unknown option: {option}"),
        }
    }
    let (node, redis) = costs.unwrap_or_else(|| compare(&options));
    print_fleets(node, redis);
}

/// Prints measured and predicted rates. Returns the costs of a node and of a Redis in a cluster.
fn compare(options: &Options) -> (f64, f64) {
    let _lock = lock_machine();
    let one_redis = |nodes, replicas| Topology { nodes, masters: 1, replicas, is_cluster: false };
    let cluster = |nodes, masters| Topology { nodes, masters, replicas: true, is_cluster: true };
    let measured = [one_redis(1, false), one_redis(1, true), cluster(1, 1)];
    let measured = measured.map(|topology| (topology, topology.measure(options)));
    let [single, replicated, shard] = measured.map(|(_, measurement)| measurement.costs);
    let costs = |topology: &Topology| match (topology.is_cluster, topology.replicas) {
        (true, _) => shard,
        (false, true) => Costs { master: replicated.master, replica: replicated.replica, ..single },
        (false, false) => single,
    };
    for (name, Costs { client, node, master, replica }) in
        [("With one Redis", single), ("With a replica", replicated), ("In a cluster of one shard", shard)]
    {
        let [client, node, master, replica] = [client, node, master, replica].map(|nanos| nanos / 1e3);
        println!(
            "{name}, a refresh costs the client {client:.1} µs, the node {node:.1}, Redis {master:.1}, a replica \
             {replica:.1}."
        );
    }
    println!();
    println!("| processes | predicted a second | measured | measured / predicted | p50 ms, predicted | measured |");
    println!("|---|---|---|---|---|---|");
    let rest = [one_redis(2, false), cluster(1, 3), cluster(2, 3)];
    let rest = rest.map(|topology| (topology, topology.measure(options)));
    for (topology, measured) in measured.into_iter().chain(rest) {
        let predicted = topology.predict(costs(&topology), options.cores.count());
        println!(
            "| {} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} |",
            topology.name(),
            predicted.rate,
            measured.rate,
            measured.rate / predicted.rate,
            predicted.percentile_ms(0.5),
            measured.p50_ms
        );
    }
    println!();
    (shard.node, shard.master)
}

/// Prints the sizes of fleets and what the model says of their latencies.
fn print_fleets(node: f64, redis: f64) {
    println!("| refreshes a second | use of each core | cores of Signet | Redis shards | p50 ms | p99 ms | p99.9 ms |");
    println!("|---|---|---|---|---|---|---|");
    for rate in RATES {
        for utilization in UTILIZATIONS {
            let needed = |nanos: f64| (rate * nanos / 1e9 / utilization).ceil().max(1.0) as usize;
            let (workers, shards) = (needed(node), needed(redis));
            let mut fleet = Fleet::default();
            let mut add = |count: usize| -> Vec<_> {
                let alone = |_| {
                    let machine = fleet.add_machine(1);
                    fleet.add_process(machine)
                };
                (0..count).map(alone).collect()
            };
            let (worker_ids, shard_ids) = (add(workers), add(shards));
            let path = |random: &mut Random, _| {
                let (worker, shard) = (worker_ids[random.below(workers)], shard_ids[random.below(shards)]);
                let visit = |process, nanos, delay| Visit { process, nanos, delay, background: false };
                vec![visit(worker, node / 2.0, HOP), visit(shard, redis, HOP), visit(worker, node / 2.0, HOP)]
            };
            let result = fleet.simulate(Arrivals::Open(rate), 400_000, path);
            println!(
                "| {rate:.0} | {:.0} % | {workers} | {shards} | {:.2} | {:.2} | {:.2} |",
                utilization * 100.0,
                result.percentile_ms(0.5),
                result.percentile_ms(0.99),
                result.percentile_ms(0.999)
            );
        }
    }
}

//! The previous release and this one on the same stores: a fleet of two nodes behind a balancer is upgraded node by node
//! under load, and rolled back. `./test upgrade` builds the previous program and runs this with `SIGNET_PREVIOUS`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::ledger::{AuditScope, Ledger};
use super::traffic::{Endpoint, LoadProfile, Outbox, ROOT, summary};
use super::{ALL_CALLS, CLIENTS, TIMEOUT, Traffic, with_long_lifetimes};
use crate::support::client::{Client, PASSWORD, until_within};
use crate::support::signet::{Plan, Signet};
use crate::support::{postgres, redis};

/// How often each call must succeed in each step.
const TIMES: usize = 20;

/// A program, and the name of its release in the report.
#[derive(Clone)]
struct Program {
    name: &'static str,
    path: PathBuf,
}

impl Program {
    #[allow(clippy::disallowed_methods, reason = "the location of the program is not a setting of Signet")]
    fn previous() -> Self {
        let path = std::env::var_os("SIGNET_PREVIOUS").expect("SIGNET_PREVIOUS names a program: run ./test upgrade");
        Self { name: "previous", path: std::path::absolute(Path::new(&path)).expect("the path is valid") }
    }

    fn current() -> Self {
        Self { name: "current", path: Plan::default_program() }
    }
}

/// Sends each connection to the next of its nodes, as a load balancer does with those that are ready.
struct Balancer {
    url: String,
    state: Arc<Mutex<Connections>>,
}

#[derive(Default)]
struct Connections {
    /// The nodes that get new connections.
    nodes: Vec<SocketAddr>,
    /// The number of connections that each node has.
    open: HashMap<SocketAddr, usize>,
    accepted: usize,
}

impl Connections {
    /// Counts a connection to the next node.
    fn assign(&mut self) -> SocketAddr {
        self.accepted += 1;
        let node = self.nodes[self.accepted % self.nodes.len()];
        *self.open.entry(node).or_default() += 1;
        node
    }

    fn release(&mut self, node: SocketAddr) {
        *self.open.entry(node).or_default() -= 1;
    }
}

impl Balancer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(Connections::default()));
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let state = shared.clone();
                tokio::spawn(async move {
                    let node = state.lock().unwrap().assign();
                    if let Ok(mut far) = TcpStream::connect(node).await {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                    state.lock().unwrap().release(node);
                });
            }
        });
        Self { url, state }
    }

    /// New connections go to these nodes.
    fn set(&self, nodes: &[&Signet]) {
        self.state.lock().unwrap().nodes = nodes.iter().map(|node| address(node)).collect();
    }

    /// Waits until a node that gets no new connections has none left.
    async fn wait_until_idle(&self, node: &Signet) {
        let node = address(node);
        let is_idle = async || self.state.lock().unwrap().open.get(&node).is_none_or(|open| *open == 0);
        until_within("the node has no connections", TIMEOUT, is_idle).await;
    }
}

fn address(node: &Signet) -> SocketAddr {
    node.url_of("").trim_start_matches("http://").parse().unwrap()
}

/// Starts a node, or fails with what the program says.
async fn start(plan: &Plan, program: &Program) -> Signet {
    let node = plan.clone().with_program(&program.path).try_start();
    if !node.has_url() {
        node.wait_for_exit();
        panic!("the {} program does not start on these stores:\n{}", program.name, node.log());
    }
    let client = Client::new(&node);
    until_within("the node is ready", TIMEOUT, async || client.failing_conditions().await.is_empty()).await;
    node
}

/// Two nodes of `first`; then one after the other is replaced by `second`, and then back.
async fn replace_and_return(first: Program, second: Program) {
    let (redis, postgres) = (redis::Server::start(), postgres::Server::start());
    // Both nodes have the same folder, so that the clients find the mails of both.
    let plan = with_long_lifetimes(Plan::on(&redis, &postgres).with_patient_stores());
    let mut nodes = [start(&plan, &first).await, start(&plan, &first).await];
    plan.clone().with_program(&first.path).create_user(ROOT, PASSWORD, &["--superuser", "--verified"]);
    let balancer = Balancer::start().await;
    let outbox = Outbox::of(nodes[0].data_dir());
    let mut ledger = Ledger::new(CLIENTS);
    let profile = LoadProfile { is_balanced: true, ..LoadProfile::default() };
    let (first_only, second_only) = ([&first, &first], [&second, &second]);
    let steps = [first_only, [&second, &first], second_only, [&first, &second], first_only, [&first, &second]];
    let mut running = first_only.map(|program| program.name);
    for programs in steps {
        balancer.set(&[&nodes[0], &nodes[1]]);
        let client = Client { base: balancer.url.clone(), ..Client::new(&nodes[0]) };
        let endpoint = Endpoint { client, outbox: outbox.clone() };
        let traffic = Traffic::with(profile, &[endpoint], ledger);
        traffic.wait_for_success(&ALL_CALLS, TIMES, TIMEOUT * 4).await;
        for number in 0..nodes.len() {
            if programs[number].name != running[number] {
                running[number] = programs[number].name;
                // Out of the balancer, SIGTERM, the other program, and in again: as docs/operate/upgrade.md says.
                balancer.set(&[&nodes[1 - number]]);
                balancer.wait_until_idle(&nodes[number]).await;
                nodes[number].terminate();
                let status = nodes[number].wait_for_exit();
                assert!(status.success(), "{status:?}: {}", nodes[number].log());
                nodes[number] = start(&plan, programs[number]).await;
                balancer.set(&[&nodes[0], &nodes[1]]);
            }
        }
        traffic.wait_for_success(&ALL_CALLS, TIMES, TIMEOUT * 4).await;
        let (stopped, outcomes) = traffic.stop().await;
        ledger = stopped;
        ledger.assert_undisturbed();
        let failed: Vec<_> =
            outcomes.iter().filter(|outcome| outcome.status == 0 || outcome.status >= 500).copied().collect();
        let clients = nodes.each_ref().map(Client::new);
        ledger.audit(&clients, AuditScope::All).await;
        let [users, open, ended, codes, keys] = ledger.counts();
        let line = serde_json::json!({
            "row": running.join(" and "), "responses": outcomes.len(), "failed": failed.len(), "users": users,
            "open": open, "ended": ended, "used_codes": codes, "deactivated_keys": keys,
        });
        println!("upgrade {line}");
        assert!(failed.is_empty(), "no response may be lost or a 5xx: {}", summary(&failed));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the previous program: ./test upgrade"]
async fn fleet_of_the_previous_release_is_upgraded_and_rolled_back() {
    replace_and_return(Program::previous(), Program::current()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the previous program: ./test upgrade"]
async fn previous_release_joins_a_fleet_of_this_one_and_leaves() {
    replace_and_return(Program::current(), Program::previous()).await;
}

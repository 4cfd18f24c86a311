//! The setup that all paths share: the server, the baseline in its own process, and the requests that several paths
//! use.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

use crate::baseline::Baseline;
use crate::comparison::{Comparison, RequestSource, Schedule, Side, Workload, compare};
use crate::support::cores::Cores;
use crate::support::http;
use crate::support::load::Protocol;
use crate::support::process::{Process, pinned_command};
use crate::support::signet::{SeededSession, Signet, SignetSettings};
use crate::support::temp_folder;

/// Sessions of each path: too many for the L1 cache of the processor.
pub(crate) const SESSIONS: usize = 1024;

/// Text that every response to [`refresh_request`] contains.
pub(crate) const ROTATED: &str = r#"","token_type":"bearer"}"#;

/// The options of the run.
pub(crate) struct Setup {
    pub(crate) server: PathBuf,
    pub(crate) cores: Cores,
    pub(crate) schedule: Schedule,
    pub(crate) quick: bool,
    /// The folder of the report.
    pub(crate) out: PathBuf,
}

/// A path that is ready to be driven: the server, the work of the baseline, and the load for both.
pub(crate) struct PreparedPath<'a> {
    pub(crate) signet: &'a Signet,
    pub(crate) baseline: Baseline,
    /// Describes the work of the baseline.
    pub(crate) baseline_name: &'static str,
    pub(crate) expected_text: &'static str,
    pub(crate) source: RequestSource<'a>,
    /// The process of a Redis that serves both.
    pub(crate) redis_pid: Option<u32>,
}

impl<'a> PreparedPath<'a> {
    pub(crate) fn workload(self, connections: usize, protocol: Protocol) -> Workload<'a> {
        let Self { expected_text, source, redis_pid, .. } = self;
        Workload { connections, protocol, expected_text, source, redis_pid }
    }
}

impl Setup {
    /// The server was given by `--server`.
    pub(crate) fn is_other_server(&self) -> bool {
        self.server != Path::new(env!("CARGO_BIN_EXE_signet"))
    }

    pub(crate) fn settings(&self) -> SignetSettings {
        SignetSettings::new(&self.server, &self.cores.server())
    }

    /// Starts an embedded Signet and seeds sessions.
    pub(crate) fn start_seeded(&self) -> (SignetSettings, Signet, Vec<SeededSession>) {
        let settings = self.settings();
        let signet = settings.start();
        let sessions = settings.seed_sessions(SESSIONS);
        (settings, signet, sessions)
    }

    pub(crate) fn side<'a>(&self, name: &'a str, signet: &Signet) -> Side<'a> {
        Side {
            name,
            addresses: vec![signet.address],
            pids: vec![signet.process.pid()],
            client_cores: self.cores.client(),
        }
    }

    /// Compares a server with the baseline.
    pub(crate) fn compare_with_baseline(
        &self,
        path: PreparedPath<'_>,
        connections: usize,
        protocol: Protocol,
    ) -> Comparison {
        let baseline = self.start_baseline(&path.baseline, protocol);
        let sides = [&self.side("signet", path.signet), &baseline.side(path.baseline_name, &self.cores)];
        compare(self.schedule, sides, &mut path.workload(connections, protocol))
    }

    pub(crate) fn start_baseline(&self, baseline: &Baseline, protocol: Protocol) -> BaselineServer {
        BaselineServer::start(baseline, matches!(protocol, Protocol::Http2 { .. }), &self.cores)
    }
}

/// The baseline in its own process: this program with the argument `baseline` or `baseline-http2`.
pub(crate) struct BaselineServer {
    process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

impl BaselineServer {
    fn start(baseline: &Baseline, http2: bool, cores: &Cores) -> Self {
        let folder = temp_folder();
        let log = folder.path().join("log");
        let program = std::env::current_exe().expect("the path of the running bench");
        let mut command = pinned_command(&cores.server(), program, &log);
        command.arg(if http2 { "baseline-http2" } else { "baseline" }).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(command, &log);
        serde_json::to_writer(process.stdin(), baseline).expect("the baseline reads its description");
        let mut line = String::new();
        BufReader::new(process.stdout()).read_line(&mut line).expect("the baseline writes text");
        let address = line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("the baseline did not start: {}", process.log_text()));
        Self { process, address, _folder: folder }
    }

    /// The baseline as a side of a comparison.
    pub(crate) fn side<'a>(&self, name: &'a str, cores: &Cores) -> Side<'a> {
        Side { name, addresses: vec![self.address], pids: vec![self.process.pid()], client_cores: cores.client() }
    }
}

/// A refresh in the dialect `myauth`, whose responses contain only tokens: the texts before and after the refresh
/// token.
pub(crate) fn refresh_request() -> (String, String) {
    let request = http::build_request("POST", "/auth/login/refresh", "authorization: Bearer TOKEN\r\n", "");
    let (prefix, suffix) = request.split_once("TOKEN").expect("the placeholder");
    (prefix.to_owned(), suffix.to_owned())
}

//! This program again, on cores of its own, for one job: told by a word, a job as JSON in, what came of it as JSON out.

use std::io::{Read, stdin, stdout};
use std::process::Stdio;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::support::folder;
use crate::support::process::{Process, pinned};

/// A job under way.
pub(crate) struct Apart {
    process: Process,
    _folder: TempDir,
}

impl Apart {
    /// Begins it on these cores.
    pub(crate) fn begin(word: &str, job: &impl Serialize, cores: &str) -> Self {
        Self::begin_in(word, job, cores, &[])
    }

    /// The same with more in its environment.
    pub(crate) fn begin_in(word: &str, job: &impl Serialize, cores: &str, environment: &[(&str, &str)]) -> Self {
        let folder = folder();
        let log = folder.path().join("log");
        let mut command = pinned(cores, std::env::current_exe().expect("it runs"), &log);
        command.arg(word).envs(environment.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(command, &log);
        serde_json::to_writer(process.stdin(), job).expect("it reads its job");
        Self { process, _folder: folder }
    }

    /// Waits until it is done.
    pub(crate) fn end<T: DeserializeOwned>(mut self) -> T {
        let mut told = String::new();
        self.process.stdout().read_to_string(&mut told).expect("it writes text");
        assert!(self.process.ended_well(), "{}", self.process.said());
        serde_json::from_str(&told).expect("it writes JSON")
    }
}

/// The other side.
pub(crate) fn serve<J: DeserializeOwned, T: Serialize>(work: impl FnOnce(J) -> T) {
    let job = serde_json::from_reader(stdin().lock()).expect("a job");
    serde_json::to_writer(stdout().lock(), &work(job)).expect("somebody reads");
}

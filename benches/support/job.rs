//! Jobs in separate processes: the bench starts itself again, pinned to other cores, with the name of the job as its
//! argument. The job goes in as JSON on stdin; its result comes out as JSON on stdout.

use std::io::{Read, stdin, stdout};
use std::process::Stdio;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::process::{Process, pinned_command};
use super::temp_folder;

/// A running job.
pub(crate) struct JobProcess {
    process: Process,
    _folder: TempDir,
}

impl JobProcess {
    /// Starts the job on the given cores.
    pub(crate) fn start(name: &str, job: &impl Serialize, cores: &str) -> Self {
        Self::start_with_env(name, job, cores, &[])
    }

    /// Starts the job with additional environment variables.
    pub(crate) fn start_with_env(name: &str, job: &impl Serialize, cores: &str, env: &[(&str, &str)]) -> Self {
        let folder = temp_folder();
        let log = folder.path().join("log");
        let mut command = pinned_command(cores, std::env::current_exe().expect("the path of the running bench"), &log);
        command.arg(name).envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(command, &log);
        serde_json::to_writer(process.stdin(), job).expect("the process reads its job");
        Self { process, _folder: folder }
    }

    /// Waits for the end of the job.
    ///
    /// # Panics
    /// If the job failed. The message contains its log.
    pub(crate) fn wait<T: DeserializeOwned>(mut self) -> T {
        let mut output = String::new();
        self.process.stdout().read_to_string(&mut output).expect("the job writes text");
        assert!(self.process.wait_success(), "a job failed:\n{}", self.process.log_text());
        serde_json::from_str(&output).expect("the job writes JSON")
    }
}

/// Runs in the started process: reads the job, does it, and writes the result.
pub(crate) fn serve<J: DeserializeOwned, T: Serialize>(run: impl FnOnce(J) -> T) {
    let job = serde_json::from_reader(stdin().lock()).expect("a job on stdin");
    serde_json::to_writer(stdout().lock(), &run(job)).expect("the parent reads the result");
}

//! The processor time of a password hash with each implementation of Argon2 that this processor has. They take turns in
//! one process, so that other work on the machine affects all of them.

use serde::{Deserialize, Serialize};
use signet_argon2::{Algorithm, Argon2, Block, Implementation, Params, Version};

use rustix::time::{ClockId, clock_gettime};

use crate::support::cores::Cores;
use crate::support::job::JobProcess;
use crate::support::process::huge_kib;
use crate::support::stats::median;

/// The name of this job for [`JobProcess`].
pub(crate) const JOB: &str = "hash";

/// The default parameters of the server.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;

#[derive(Serialize, Deserialize)]
pub(crate) struct HashJob {
    rounds: usize,
}

/// The result of one implementation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HashTime {
    pub(crate) implementation: String,
    pub(crate) is_reference: bool,
    /// The median, in milliseconds.
    pub(crate) millis: f64,
    /// The fraction of the memory that was in huge pages.
    huge_fraction: f64,
}

/// Measures in a process on the core of the server, with memory in huge pages as the server requests them.
pub(crate) fn measure_in_process(rounds: usize, cores: &Cores) -> Vec<HashTime> {
    let huge_pages = ("_RJEM_MALLOC_CONF", "thp:always");
    JobProcess::start_with_env(JOB, &HashJob { rounds }, &cores.server(), &[huge_pages]).wait()
}

/// Runs in the started process. The reference comes first.
pub(crate) fn measure(job: HashJob) -> Vec<HashTime> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap();
    let mut memory = vec![Block::new(); MEMORY_KIB as usize];
    let mut implementations: Vec<_> = Implementation::available().collect();
    implementations.reverse();
    let mut times = vec![Vec::new(); implementations.len()];
    // The first round fills the page tables and is not counted.
    for round in 0..=job.rounds {
        for (implementation, times) in implementations.iter().zip(&mut times) {
            let argon2 = Argon2::new(*implementation, Algorithm::Argon2id, Version::V0x13, params.clone());
            let mut out = [0; 32];
            let begin = thread_millis();
            argon2.hash_into(&round.to_le_bytes(), b"some salt", &mut out, &mut memory).unwrap();
            let end = thread_millis();
            std::hint::black_box(out);
            if round > 0 {
                times.push(end - begin);
            }
        }
    }
    let huge_fraction = (huge_kib() / f64::from(MEMORY_KIB)).min(1.0);
    let result = |(implementation, times): (Implementation, Vec<f64>)| HashTime {
        implementation: implementation.to_string(),
        is_reference: implementation.is_reference(),
        millis: median(times),
        huge_fraction,
    };
    implementations.into_iter().zip(times).map(result).collect()
}

/// CPU time of this thread.
fn thread_millis() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

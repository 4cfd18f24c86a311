//! The time of a hash with each implementation, relative to the reference in the same run:
//!
//! ```text
//! cargo bench -p signet-argon2 -- [ROUNDS] [MEMORY_KIB] [PASSES] [LANES]
//! ```
//!
//! The implementations take turns, so that other load on the machine affects all of them. CPU time of the thread is
//! counted, and the minimum and the median are printed: the minimum is the cost of the code, and the median includes
//! the effects of other load.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for developers")]

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use signet_argon2::{Algorithm, Argon2, Block, Implementation, Params, Version};

fn main() {
    let numbers: Vec<u32> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let number = |at: usize, default| numbers.get(at).copied().unwrap_or(default);
    let rounds = number(0, 60);
    let params = Params::new(number(1, 19_456), number(2, 2), number(3, 1), None).unwrap();
    let mut memory = vec![Block::new(); params.m_cost() as usize];
    let implementations: Vec<_> = Implementation::available().collect();
    let mut times = vec![Vec::new(); implementations.len()];
    for round in 0..rounds {
        for (implementation, times) in implementations.iter().zip(&mut times) {
            let argon2 = Argon2::new(*implementation, Algorithm::Argon2id, Version::V0x13, params.clone());
            let mut out = [0; 32];
            let begin = cpu_time();
            argon2.hash_into(&round.to_le_bytes(), b"some salt", &mut out, &mut memory).unwrap();
            times.push(cpu_time() - begin);
        }
    }
    times.iter_mut().for_each(|times| times.sort());
    let pick = |at: usize| (times[at][0], times[at][times[at].len() / 2]);
    let reference = pick(times.len() - 1);
    println!("implementation   minimum    median   ratio of minima   ratio of medians");
    for (at, implementation) in implementations.iter().enumerate() {
        let (minimum, median) = pick(at);
        let ratio = |ours: Duration, theirs: Duration| ours.as_secs_f64() / theirs.as_secs_f64();
        println!(
            "{:<14} {:>6.2} ms {:>6.2} ms {:>17.3} {:>18.3}",
            implementation.to_string(),
            minimum.as_secs_f64() * 1e3,
            median.as_secs_f64() * 1e3,
            ratio(minimum, reference.0),
            ratio(median, reference.1),
        );
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
}

//! Counts the instructions of the parts of the hot path, which do not depend on the load of the machine:
//! `cargo bench --bench instructions [PART…]`, where `PART` is the beginning of a name.
//!
//! The bench runs itself under callgrind, with two different numbers of repetitions of each part. The difference is the
//! cost of the part without its setup. Install valgrind from the system (`apt install valgrind`). Valgrind emulates a
//! processor with AVX2 and without AVX-512, so a newer processor may execute fewer instructions.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

mod parts;

use std::process::Command;

use parts::bench::Bench;

/// Repetitions that fill caches and are not counted.
const WARMUP: u64 = 4;

/// The minimum of counted repetitions.
const MIN_COUNTED: u64 = 16;

/// The minimum of instructions to count. Two runs of the same part differ by about ten thousand instructions, in the
/// start and exit of the process. So cheap parts are repeated until this difference is negligible.
const MIN_INSTRUCTIONS: u64 = 20_000_000;

/// Collects the names of the parts.
struct PartNames(Vec<String>);

impl Bench for PartNames {
    fn part(&mut self, name: &str, _: &mut dyn FnMut()) {
        self.0.push(name.to_owned());
    }
}

/// Repeats one part and skips the others.
struct RepeatPart {
    name: String,
    times: u64,
}

impl Bench for RepeatPart {
    fn part(&mut self, name: &str, run: &mut dyn FnMut()) {
        if name == self.name {
            (0..self.times).for_each(|_| run());
        }
    }
}

fn main() {
    // `cargo bench` adds `--bench` before the arguments.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [option, name, times] = &args[..]
        && option == "--only"
    {
        parts::run_all(&mut RepeatPart { name: name.clone(), times: times.parse().unwrap() });
        return;
    }
    let mut names = PartNames(Vec::new());
    parts::run_all(&mut names);
    println!("{:<32} {:>14}", "part", "instructions");
    for name in names.0 {
        if args.is_empty() || args.iter().any(|prefix| name.starts_with(prefix)) {
            let before = count_instructions(&name, WARMUP);
            let per_call = |times| count_instructions(&name, WARMUP + times).saturating_sub(before) / times;
            let estimate = per_call(MIN_COUNTED);
            let times = (MIN_INSTRUCTIONS / estimate.max(1)).clamp(MIN_COUNTED, 100_000);
            println!("{name:<32} {:>14}", if times == MIN_COUNTED { estimate } else { per_call(times) });
        }
    }
}

/// Counts the instructions of a separate process that runs the part `times` times.
fn count_instructions(name: &str, times: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["--only", name, &times.to_string()])
        .output()
        .unwrap_or_else(|error| panic!("cannot run valgrind ({error}): apt install valgrind"));
    let output = String::from_utf8_lossy(&output.stderr);
    let count = output.lines().find_map(|line| line.split_once("Collected :"));
    count.unwrap_or_else(|| panic!("the output of valgrind has no count:\n{output}")).1.trim().parse().unwrap()
}

//! How many instructions the parts of the hot path execute, which is the same on a busy machine as on an idle one:
//! `cargo bench --bench instructions [PART…]`, where `PART` is the beginning of a name.
//!
//! It runs itself under callgrind, each part a few times and then some times more: the difference is what the part costs,
//! without what its making did. Valgrind comes with the system (`apt install valgrind`); it shows programs a processor
//! with AVX2 and without AVX-512, so a newer one may execute fewer.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on panics")]

mod parts;

use std::process::Command;

/// The first calls fill caches and are not counted.
const FIRST: u64 = 4;

/// So many calls are, at the least.
const COUNTED: u64 = 16;

/// Two runs of the same differ by some ten thousand, in what a process does to begin and to end. Of what takes little, so many calls are
/// counted that this does not show.
const ENOUGH: u64 = 20_000_000;

struct Names(Vec<String>);

impl parts::Bench for Names {
    fn part(&mut self, name: &str, _: &mut dyn FnMut()) {
        self.0.push(name.to_owned());
    }
}

struct Only {
    name: String,
    times: u64,
}

impl parts::Bench for Only {
    fn part(&mut self, name: &str, part: &mut dyn FnMut()) {
        if name == self.name {
            (0..self.times).for_each(|_| part());
        }
    }
}

fn main() {
    // `cargo bench` puts `--bench` before what it is given.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [word, name, times] = &words[..]
        && word == "--only"
    {
        parts::each(&mut Only { name: name.clone(), times: times.parse().unwrap() });
        return;
    }
    let mut names = Names(Vec::new());
    parts::each(&mut names);
    println!("{:<32} {:>14}", "part", "instructions");
    for name in names.0 {
        if words.is_empty() || words.iter().any(|word| name.starts_with(word)) {
            let before = instructions(&name, FIRST);
            let each = |times| instructions(&name, FIRST + times).saturating_sub(before) / times;
            let roughly = each(COUNTED);
            let times = (ENOUGH / roughly.max(1)).clamp(COUNTED, 100_000);
            println!("{name:<32} {:>14}", if times == COUNTED { roughly } else { each(times) });
        }
    }
}

/// What a process of its own executes that does the part so many times.
fn instructions(name: &str, times: u64) -> u64 {
    let told = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["--only", name, &times.to_string()])
        .output()
        .unwrap_or_else(|fault| panic!("valgrind, which counts, does not run ({fault}): apt install valgrind"));
    let told = String::from_utf8_lossy(&told.stderr);
    let counted = told.lines().find_map(|line| line.split_once("Collected :"));
    counted.unwrap_or_else(|| panic!("valgrind told no count:\n{told}")).1.trim().parse().unwrap()
}

//! The targets of `fuzz/`, driven for some seconds by seeded mutations of their seeds: so that what libFuzzer once found stays found,
//! and a target that no longer builds or holds is noticed by `./test`. Which bytes lead to new code it does not see.

#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

/// SplitMix64 (Steele, Lea and Flood, 2014): the same mutations in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below.max(1) as u64) as usize
    }
}

/// What parsers stumble over.
const PIECES: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\r\n",
    b"\n",
    b" ",
    b"\t",
    b"\"",
    b"\\",
    b"%",
    b"%00",
    b"%ff",
    b"=",
    b"&",
    b";",
    b".",
    b"/",
    b"//",
    b"..",
    b"@",
    b"--",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"-1",
    b"1e400",
    b"99999999999999999999",
    b"\\u0000",
    b"\\ud800",
    b"true",
    b"\xc3\xa9",
    b"\xe2\x80\xae",
    b"\xef\xbc\xa0",
    b"\xed\xa0\x80",
    b"'",
    b"#",
    b"$",
    b"+",
    b"A",
    b"a",
];

fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seeds[dice.roll(seeds.len())].clone();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len() + 1);
        match dice.roll(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
            1 if at < bytes.len() => bytes[at] = dice.roll(256) as u8,
            2 => drop(bytes.drain(at..(at + dice.roll(8)).min(bytes.len()))),
            3 => bytes.truncate(at),
            4 => {
                let again = bytes[at..(at + dice.roll(32)).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
            5 => {
                let other = &seeds[dice.roll(seeds.len())];
                let from = dice.roll(other.len() + 1);
                bytes.splice(at..at, other[from..(from + dice.roll(64)).min(other.len())].iter().copied());
            }
            _ => drop(bytes.splice(at..at, PIECES[dice.roll(PIECES.len())].iter().copied())),
        }
    }
    bytes
}

fn tried(target: &str, run: fn(&[u8]), times: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(seeds.len() > 2, "{target} has seeds");
    seeds.iter().for_each(|seed| run(seed));
    let mut dice = Dice(target.len() as u64);
    for _ in 0..times {
        let bytes = mutated(&seeds, &mut dice);
        let held = std::panic::catch_unwind(|| run(&bytes)).is_ok();
        assert!(held, "{target} breaks on {:?}", String::from_utf8_lossy(&bytes));
    }
}

macro_rules! targets {
    ($($target:ident: $times:expr),+ $(,)?) => {
        $(#[test]
        fn $target() {
            tried(stringify!($target), targets::$target::run, $times);
        })+

        /// Whoever adds a target to `fuzz/` adds it here.
        #[test]
        fn every_target_is_tried() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/targets");
            let there = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
            let there: std::collections::BTreeSet<String> = there.collect();
            assert_eq!(there, [$(concat!(stringify!($target), ".rs")),+].map(str::to_owned).into());
        }
    };
}

// A token costs several signatures; the others are a matter of microseconds.
targets! { token: 3000, refresh: 20_000, form: 20_000, multipart: 20_000, json: 20_000, email: 20_000, router: 20_000, config: 5000 }

//! Runs the targets of `fuzz/` for some seconds on mutations of their seeds, always the same ones. `./test` thereby
//! notices a regression of a bug that libFuzzer once found, and a target that no longer builds. The mutations are not
//! guided by coverage.

#[path = "../../../fuzz/src/lib.rs"]
pub(crate) mod targets;

use std::path::Path;

use signet::config::Config;

use crate::support::generated::assert_generated;

/// SplitMix64 (Steele, Lea and Flood, 2014): the same mutations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }
}

/// Fragments that often break parsers.
const FRAGMENTS: &[&[u8]] = &[
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

fn mutate(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            2 => drop(bytes.drain(at..(at + random.below(8)).min(bytes.len()))),
            3 => bytes.truncate(at),
            4 => {
                let repeated = bytes[at..(at + random.below(32)).min(bytes.len())].to_vec();
                bytes.splice(at..at, repeated);
            }
            5 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                bytes.splice(at..at, other[from..(from + random.below(64)).min(other.len())].iter().copied());
            }
            _ => drop(bytes.splice(at..at, FRAGMENTS[random.below(FRAGMENTS.len())].iter().copied())),
        }
    }
    bytes
}

fn run_with_mutations(target: &str, run: fn(&[u8]), times: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(seeds.len() > 2, "{target} has seeds");
    seeds.iter().for_each(|seed| run(seed));
    let mut random = Random(target.len() as u64);
    for _ in 0..times {
        let bytes = mutate(&seeds, &mut random);
        let passed = std::panic::catch_unwind(|| run(&bytes)).is_ok();
        assert!(passed, "{target} panics on {:?}", String::from_utf8_lossy(&bytes));
    }
}

macro_rules! targets {
    ($($target:ident: $times:expr),+ $(,)?) => {
        $(#[test]
        fn $target() {
            run_with_mutations(stringify!($target), targets::$target::run, $times);
        })+

        /// A new target of `fuzz/` must be added to the list below.
        #[test]
        fn every_target_is_listed() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/targets");
            let actual = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
            let actual: std::collections::BTreeSet<String> = actual.collect();
            assert_eq!(actual, [$(concat!(stringify!($target), ".rs")),+].map(str::to_owned).into());
        }
    };
}

// A run of `argon2` computes several hashes, one of `token` several signatures, and one of `cost` parses a text of 64 KiB;
// the other targets take microseconds.
targets! { argon2: 300, token: 3000, refresh: 20_000, form: 20_000, multipart: 20_000, json: 20_000, email: 20_000, router: 20_000, config: 5000, cost: 600 }

/// The settings of `config.toml` without its texts, those that it has only as an example included. Without
/// `log.otlp_endpoint`, which a build without the feature `otlp` refuses: most inputs are to be accepted.
fn every_setting() -> String {
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let is_example = |shown: &&str| {
        shown.starts_with("[audiences.") || shown.split_once(" = ").is_some_and(|(name, _)| is_name(name))
    };
    let lines = include_str!("../../../config.toml").lines().filter(|line| !line.contains("otlp_endpoint = "));
    let settings = lines.filter_map(|line| match line.strip_prefix("# ") {
        Some(shown) => Some(shown).filter(is_example),
        None => Some(line).filter(|line| !line.is_empty() && !line.starts_with('#')),
    });
    let secret = format!("{}=", targets::config::SECRET);
    settings.map(|setting| setting.replace('…', &secret) + "\n").collect()
}

#[test]
fn seed_with_every_setting_is_generated() {
    let seed = every_setting();
    // `fuzz/run` cuts longer inputs off.
    assert!(seed.len() <= 4096, "{} bytes", seed.len());
    Config::from_toml(&seed).expect("it is accepted");
    assert_generated("fuzz/seeds/config/many-settings", &seed);
}

//! Every implementation that this processor can run against known answers and against the crate `argon2`.
//!
//! ```text
//! ARGON2_SETS=10000 cargo test --release -p signet-argon2     # more random parameters
//! ```

#![allow(clippy::unwrap_used, reason = "tests")]

use std::ops::RangeInclusive;

use signet_argon2::Algorithm::{self, Argon2d, Argon2i, Argon2id};
use signet_argon2::Version::{self, V0x10, V0x13};
use signet_argon2::{Argon2, AssociatedData, Block, Implementation, Params, ParamsBuilder};

#[path = "../../../fuzz/src/argon2.rs"]
#[allow(unreachable_pub, reason = "a module of another crate")]
mod against_reference;

/// The number of random sets of parameters, unless `ARGON2_SETS` has another one.
const SETS: usize = 1_000;

/// The answers that need more memory are the own tests of the crate `argon2`, and take a second.
const MAX_OF_REFERENCE: u32 = 10_000;

const LONG_SALT: &[u8; 64] = b"saltsaltsaltsaltsaltsaltsaltsaltsaltsaltsaltsaltsaltsaltsaltsalt";

type Answer = (Algorithm, Version, [u32; 3], &'static [u8], &'static [u8], &'static str);

/// Computed with the reference implementation's C (argon2-cffi 25.1, argon2-cffi-bindings 26.2): memory, passes and
/// lanes, password, salt, and the output. Those of `password` with `somesalt` and the two after them are from its own
/// tests.
#[rustfmt::skip]
const ANSWERS: &[Answer] = &[
    (Argon2i, V0x10, [256, 2, 1], b"password", b"somesalt", "fd4dd83d762c49bdeaf57c47bdcd0c2f1babf863fdeb490df63ede9975fccf06"),
    (Argon2i, V0x10, [256, 2, 2], b"password", b"somesalt", "b6c11560a6a9d61eac706b79a2f97d68b4463aa3ad87e00c07e2b01e90c564fb"),
    (Argon2i, V0x13, [256, 2, 1], b"password", b"somesalt", "89e9029f4637b295beb027056a7336c414fadd43f6b208645281cb214a56452f"),
    (Argon2i, V0x13, [256, 2, 2], b"password", b"somesalt", "4ff5ce2769a1d7f4c8a491df09d41a9fbe90e5eb02155a13e4c01e20cd4eab61"),
    (Argon2id, V0x13, [65536, 2, 1], b"password", b"somesalt", "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"),
    (Argon2id, V0x13, [256, 2, 1], b"password", b"somesalt", "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"),
    (Argon2id, V0x13, [256, 2, 2], b"password", b"somesalt", "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037"),
    (Argon2id, V0x13, [65536, 1, 1], b"password", b"somesalt", "f6a5adc1ba723dddef9b5ac1d464e180fcd9dffc9d1cbf76cca2fed795d9ca98"),
    (Argon2id, V0x13, [65536, 2, 1], b"differentpassword", b"somesalt", "0b84d652cf6b0c4beaef0dfe278ba6a80df6696281d7e0d2891b817d8c458fde"),
    (Argon2id, V0x13, [65536, 2, 1], b"password", b"diffsalt", "bdf32b05ccc42eb15d58fd19b1f856b113da1e9a5874fdcc544308565aa8141c"),
    (Argon2d, V0x10, [1000, 3, 3], b"", b"\xff\xff\xff\xff\xff\xff\xff\xff", "474887cf"),
    (Argon2d, V0x10, [8, 1, 1], &[b'a'; 129], LONG_SALT, "c8211055dbc6d767ec4f6a1f737d21072165a850b2b67834e571386fc6d9953f61453725d1cf5d1f61e1d36889f2eedca252ed8737bb157266a28b99c143fece"),
    (Argon2d, V0x10, [2053, 2, 7], b"\x00\x01", b"saltsalt", "57d818c87abb043a80e2b08a60516b7195c596d82edfd74eb76504e674de8126cd49dac0c68b18e37f0deda14bfc366895d676467c5efe01c5164e3546975e6a03"),
    (Argon2d, V0x13, [1000, 3, 3], b"", b"\xff\xff\xff\xff\xff\xff\xff\xff", "4e264ae9"),
    (Argon2d, V0x13, [8, 1, 1], &[b'a'; 129], LONG_SALT, "f9b002c3522c48b98597b7401bcd1840749827d80b19d8ff379c00af8fe6a039404ba55200ba218fd658f465b8300dfa80027ab6e9f7a0ac38b5a66899751e74"),
    (Argon2d, V0x13, [2053, 2, 7], b"\x00\x01", b"saltsalt", "7f438e6cc769c08b1f1027af615e3f0253c7876d07dc32aa6223d0d2ce84cd2be7bc874a0d157639a57f3732f52005f2433f087d19c125ed0b84cc04912150da81"),
    (Argon2i, V0x10, [1000, 3, 3], b"", b"\xff\xff\xff\xff\xff\xff\xff\xff", "6cda1213"),
    (Argon2i, V0x10, [8, 1, 1], &[b'a'; 129], LONG_SALT, "ad9c4f47d2d248ed213aaf5e9019ff7035d3e623ea2cb2bcc5f3cbbdd59bc2e97e74f9305cac077f620e889e02072f36bfccc0e4fa87f073b10abe84e1fc45e8"),
    (Argon2i, V0x10, [2053, 2, 7], b"\x00\x01", b"saltsalt", "d4d320f919601a66bf39c52a16c55c5d09b42a8dab83c3a64fad8735e7da5ffedbcf88dcfdd5c925be05a4c89fc82cc5d377e3487be5874a10cf480e769c0f749b"),
    (Argon2i, V0x13, [1000, 3, 3], b"", b"\xff\xff\xff\xff\xff\xff\xff\xff", "a6aad451"),
    (Argon2i, V0x13, [8, 1, 1], &[b'a'; 129], LONG_SALT, "a89a13896cc19de579adc232adbf5907d9343b6d7d3241d8e1a7d4a03cc661e486850f326afb88dcadde0806649090175e89c94703c92a0f4a42561fbd45967a"),
    (Argon2i, V0x13, [2053, 2, 7], b"\x00\x01", b"saltsalt", "58fc3a6091f684d8f00d03026e62654103d23f30c88c9bd5be12cc6b424b2c652b505936c29bcfcb8bafc7c9813425b0a6e75f7fd311fffaea633bf5f35c4e1c30"),
    (Argon2id, V0x10, [1000, 3, 3], b"", b"\xff\xff\xff\xff\xff\xff\xff\xff", "a14f6bf8"),
    (Argon2id, V0x10, [8, 1, 1], &[b'a'; 129], LONG_SALT, "940de48046b6ab792a7ff463954015e6543926ed38ad0f464d12e763aa590999ce1e1589c508c5c7c3f2f6fbccbbf817dc88a7b1bf9f5ddcc166497bfa0b1ed8"),
    (Argon2id, V0x10, [2053, 2, 7], b"\x00\x01", b"saltsalt", "6197522db256b460bfcb1d965a74fbc2df473b8607345b1e29b18e9d402c5f1381d5d702545463091f14871ccb2b27778728c702c03f1b75cfffbee5ca9bc10753"),
    (Argon2id, V0x13, [1000, 3, 3], b"", b"\xff\xff\xff\xff\xff\xff\xff\xff", "53063c29"),
    (Argon2id, V0x13, [8, 1, 1], &[b'a'; 129], LONG_SALT, "d91bceed6f331d66b482e2e230e5a8929c01af91aab7e943a92729af1270d8122b96a27c81e6aba45d68b8c66a0050e08a44f568091f4666f8e90017ab3e59a9"),
    (Argon2id, V0x13, [2053, 2, 7], b"\x00\x01", b"saltsalt", "edb773fdf8abf020c97fb533d2e53925fde420726daaee7957bc44398092ec5de2ab130cb1bafd6838f0d590a877bfe8fbd57dbae9e92f84470ac90a11a6f457c4"),
];

fn hash(argon2: &Argon2<'_>, memory_kib: u32, password: &[u8], salt: &[u8], output: usize) -> String {
    let mut out = vec![0; output];
    argon2.hash_into(password, salt, &mut out, &mut vec![Block::new(); memory_kib as usize]).unwrap();
    out.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn answers_are_those_of_the_reference_implementation() {
    for implementation in Implementation::available() {
        for &(algorithm, version, [memory_kib, passes, lanes], password, salt, expected) in ANSWERS {
            if implementation.is_reference() && memory_kib > MAX_OF_REFERENCE {
                continue;
            }
            let params = Params::new(memory_kib, passes, lanes, None).unwrap();
            let argon2 = Argon2::new(implementation, algorithm, version, params);
            let found = hash(&argon2, memory_kib, password, salt, expected.len() / 2);
            assert_eq!(found, expected, "{implementation} {algorithm:?} m={memory_kib} t={passes} p={lanes}");
        }
    }
}

/// RFC 9106, 5.1 to 5.3.
#[test]
fn answers_are_those_of_the_rfc() {
    let data = AssociatedData::new(&[4; 12]).unwrap();
    let params = ParamsBuilder::new().m_cost(32).t_cost(3).p_cost(4).data(data).build().unwrap();
    for implementation in Implementation::available() {
        for (algorithm, expected) in [
            (Argon2d, "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb"),
            (Argon2i, "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8"),
            (Argon2id, "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"),
        ] {
            let argon2 = Argon2::new(implementation, algorithm, V0x13, params.clone()).with_secret(&[3; 8]);
            assert_eq!(hash(&argon2, 32, &[1; 32], &[2; 16], 32), expected, "{implementation} {algorithm:?}");
        }
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test has no other setting")]
fn random_parameters_give_what_the_crate_argon2_gives() {
    let sets = std::env::var("ARGON2_SETS").map_or(SETS, |sets| sets.parse().unwrap());
    let mut state = 0;
    for _ in 0..sets {
        let length = number(&mut state, against_reference::HEAD..=against_reference::HEAD + 300);
        let bytes: Vec<u8> = (0..length).map(|_| number(&mut state, 0..=255) as u8).collect();
        against_reference::run(&bytes);
    }
}

/// SplitMix64: the sets are the same in each run.
fn number(state: &mut u64, range: RangeInclusive<usize>) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    range.start() + (mixed ^ (mixed >> 31)) as usize % (range.end() - range.start() + 1)
}

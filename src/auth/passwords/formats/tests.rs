//! Test vectors: published ones, and ones created with the programs from which users are imported (passlib 1.7, Django
//! 5.2, argon2-cffi 25, bcrypt 5, Python's hashlib).

use super::*;
use crate::rng::Rng;

#[rustfmt::skip]
/// Hashes of `correct horse`.
const OF_CORRECT_HORSE: &[&str] = &[
    "$pbkdf2-sha256$1000$/19Laa0VgrDW2huj1BoDIA$MIzFNyAWRZkQ6FdWYI3ooER7W.GZZWzq3y9DW71OHMw", // passlib pbkdf2
    "$scrypt$ln=4,r=8,p=2$YyxFSKmVMgZA6N2bkxKC8A$HGhQMbyCDkd8wT3SFqqGXKBrj3ncqoOmN1b8l+IKFL8", // passlib scrypt
    "pbkdf2_sha256$1000$seasalt2$oksQ9Bdi8Bce0okH61Cis7qICJfP+cYfDOnMdNPMzK8=", // django pbkdf2
    "scrypt$16$seasalt2$8$5$s8l/PuQl6j4mDUkcob+VV+ea64cSjv1dk5ijFm/ovmr2+4Siiptt5tBS4I8bC4VrY8oe/cDN2VApv1Bz3blVeA==", // django scrypt
    "argon2$argon2id$v=19$m=64,t=2,p=8$c2Vhc2FsdDI$W5xovBBVhg2P00NaTPPLWY0QNSA64Bl1zL90oZPpOJ4", // django argon2
    "bcrypt$$2b$04$4KsHTqZAvpjqB1FqNg4GNepICd2DfyPh6MvftiJzlNLwHi4OAzYzi", // django bcrypt
    "bcrypt_sha256$$2b$04$TKtPiAL1lh1Oa38FQMGX9uPVjuXI4QdQu4dvcZrV6KW8tvZBP5p3q", // django bcrypt_sha256
    "$argon2id$v=19$m=64,t=3,p=4$7npOvPByjqK+mOdEH4gs0g$o9zFni6ZclSsvVcyfPYzfLH0d01XXu4r0byydf1TcE0", // argon2-cffi
    "$argon2i$v=19$m=64,t=3,p=4$b8+AUqY8B0w6VpAQ6Z7GPw$68+3ulOtB9sDAbTZVoDrmJlXSuFuKZp+egtwn/hUkcw", // argon2-cffi
    "$argon2d$v=19$m=64,t=3,p=4$GmM/hBlp1WZSPUAi2PfFdA$dbLcymDcz762stt8aMAwSwxI2vSXRDn1MoXKpg9x/JA", // argon2-cffi
    "$argon2i$v=16$m=64,t=2,p=1$c29tZXNhbHQ$IdoUoWReKnsmJfP+oIlMHA", // argon2-cffi, version 16
    "$2b$04$YXpCTVM8S5jhlTAxQ1xjGO/kXsjEvD9qN6QuhxHmQO2770JfbyI6.", // bcrypt
    "$2a$04$A8Wfqh1A7GBjkKvYb1YyaehtR7aNSwMTVl4NudAy1DewPrLH06Uyy", // bcrypt
    "$pbkdf2-sha256$i=1000,l=32$c29tZXNhbHRzb21lc2FsdA$f2yJk+Dph1FxQ+yhQ5KLmg1c5wfFtFU14dLQONYBoAE", // Python's hashlib
    "$pbkdf2$i=1000$c29tZXNhbHRzb21lc2FsdA$42+d12kt/KU+Ky2S7cI6iQS2OFc", // Python's hashlib
    "$pbkdf2-sha1$i=1000$c29tZXNhbHRzb21lc2FsdA$42+d12kt/KU+Ky2S7cI6iQS2OFc", // the same by its other name
    "$pbkdf2-sha512$i=1000$c29tZXNhbHRzb21lc2FsdA$RbkohYpABhrVf6dAjV1mgswjeaDcEw/Z9Lqqoc7ZO6eeqGc4EIBheeCgNOsc3H1ATsxkis9nQ04P4KAKB0FMcA", // Python's hashlib
    "$pbkdf2-sha512$1000$c29tZXNhbHRzb21lc2FsdA$RbkohYpABhrVf6dAjV1mgswjeaDcEw/Z9Lqqoc7ZO6eeqGc4EIBheeCgNOsc3H1ATsxkis9nQ04P4KAKB0FMcA", // Python's hashlib
    "pbkdf2_sha1$1000$seasalt2$z8uI+Wl4zj9ngVTOBcFxL2SxGng=", // Python's hashlib
];

#[rustfmt::skip]
/// Hashes of `пароль 🦀 №7`.
const OF_RUSSIAN: &[&str] = &[
    "$pbkdf2-sha256$1000$sVbq3TtnbE1pTekdQ6i11g$Qfs4Bw5QDc1xD.vYzQT357YuQTny8fGRnIojROGDJLs", // passlib pbkdf2
    "$scrypt$ln=4,r=8,p=2$1VrL+Z9zjnGOcY5xLkUIwQ$1BPfFzMLtqEPUrqO5so4qfKjLgiN3YaXE7Xio2ECzgI", // passlib scrypt
    "pbkdf2_sha256$1000$seasalt2$x4ipqVlrBt/OsO958zfN40woZZohdVkmdEJv9IgCH8Q=", // django pbkdf2
    "scrypt$16$seasalt2$8$5$B6QH8TLsXE+6GcmTDOVVNp8fFv9mlkkON8vw5V+nCD+8hxr+ukDCjx5YxGGTKsPCGopF9KhJKqJmbm06Mdy0Qg==", // django scrypt
    "argon2$argon2id$v=19$m=64,t=2,p=8$c2Vhc2FsdDI$IFU0sGwH5texzDktbTZUw2CW0xqxjqaAyV3uEi6CPN8", // django argon2
    "bcrypt$$2b$04$M1FRntWllJFq7qN8P97B0.3Knc7ySGqLbP3MQxpGxk7MKzywp357e", // django bcrypt
    "bcrypt_sha256$$2b$04$kFRhAozNeWPKOr.hMwn59uumHmMucdw8/.jUWBnM5tehu4JNxOdwW", // django bcrypt_sha256
    "$argon2id$v=19$m=64,t=3,p=4$5nLfCcHOWHuSq2QErvmX1A$7z9BJ01Or4KM/OV/3LGMymyEJ9PD0cDUAXzInTGWagQ", // argon2-cffi
    "$argon2i$v=19$m=64,t=3,p=4$Y0xeuNzM5B1DFUttK/tI/A$1XR4t4m5rw4CWlt2NnnAGAyWL5aW7TGFepCG13mj/aE", // argon2-cffi
    "$argon2d$v=19$m=64,t=3,p=4$RHHa3whUZi9dNZWcGLWIGg$DrszujNhvo+pmuiBsbpKC6EGGwuL2JnMYM/+Jf5cAcc", // argon2-cffi
    "$argon2i$v=16$m=64,t=2,p=1$c29tZXNhbHQ$nki53C1qhV2k7Cp+UPAdGw", // argon2-cffi, version 16
    "$2b$04$qiLAx7DEuKRBYjvvfn35CeSGokDQ584vOcrNcqwWWFUiVz6YMI6Q2", // bcrypt
    "$2a$04$L3C3fO7HH9JWTTLVkDU5FOLGdrFmRUcU69eHEr5YvF6gz4iPF41Dm", // bcrypt
    "$pbkdf2-sha256$i=1000,l=32$c29tZXNhbHRzb21lc2FsdA$TN9DHww6GVxeMSL/KPFRGCE8YfKi6MOHFYs1M4DPrcA", // Python's hashlib
    "$pbkdf2$i=1000$c29tZXNhbHRzb21lc2FsdA$5Byr6aj29/tH3/3kPGsLmtReM0s", // Python's hashlib
    "$pbkdf2-sha512$i=1000$c29tZXNhbHRzb21lc2FsdA$O6qa+87YlSgooGx6+STeF8KutTQm8lU4EUkojij2PGTuL/jGW2uFlhTWLEI/vYjJjJSJ3f0NmrIQ+UrNsr4t1g", // Python's hashlib
    "$pbkdf2-sha512$1000$c29tZXNhbHRzb21lc2FsdA$O6qa.87YlSgooGx6.STeF8KutTQm8lU4EUkojij2PGTuL/jGW2uFlhTWLEI/vYjJjJSJ3f0NmrIQ.UrNsr4t1g", // Python's hashlib
    "pbkdf2_sha1$1000$seasalt2$TQG/2t5lXTtnAqGsILQekJTgR5k=", // Python's hashlib
];

/// From the documentation of the formats.
#[rustfmt::skip]
const PUBLISHED: &[(&str, &str)] = &[
    // The tests of the Argon2 reference implementation.
    ("password", "$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ"),
    ("password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"),
    // The tests of crypt_blowfish.
    ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("U*U*", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"),
    // RFC 7914, sections 12 and 11.
    ("password", "$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA"),
    ("Password", "$pbkdf2-sha256$i=80000,l=64$TmFDbA$TdzY9guYviGDDO5e8icB+WQaRBjQTAQUrv8Ih2s0q1ah1CWhIlgzVJrbhBtRybMXaicr3ruh0HhHj2Kzl/M8jQ"),
    // The example of firebase/scrypt.
    ("user1password", "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="),
];

fn matches(password: &str, text: &str) -> bool {
    let stored = StoredHash::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    stored.matches(&Password::new(password.to_owned()), Implementation::fastest(), &mut Memory::default())
}

fn parse_error(text: &str) -> InvalidHash {
    StoredHash::parse(text).err().unwrap_or_else(|| panic!("{text} is accepted"))
}

#[test]
fn hash_of_another_system_matches_only_its_password() {
    let ours = OF_CORRECT_HORSE.iter().map(|text| ("correct horse", *text));
    let russian = OF_RUSSIAN.iter().map(|text| ("пароль 🦀 №7", *text));
    for (password, text) in ours.chain(russian).chain(PUBLISHED.iter().copied()) {
        assert!(matches(password, text), "{text}");
        assert!(!matches(&format!("{password}!"), text), "{text}");
        assert!(!matches("", text), "{text}");
    }
}

#[test]
fn bcrypt_uses_72_bytes_and_refuses_nul() {
    let long = "$2b$04$ecyLhiq8z/7UM6PMJacsuuLOvrIr.Ujl4G/3swOoGw08UH/nrKLG6";
    assert!(matches(&"x".repeat(72), long) && matches(&format!("{}y", "x".repeat(72)), long));
    assert!(!matches(&"x".repeat(71), long));
    let digested = "bcrypt_sha256$$2b$04$c5vP7iLTNd/nHjZGXjL1Xe9uQf8nSRoU92oiCNzzNESMsG.JnFqrS";
    assert!(matches(&"x".repeat(73), digested) && !matches(&"x".repeat(74), digested));
    let abc = "$2b$04$HH5ldMHFTTFgISliGVlsH.zQGSumA9QraYX35gUhBzq/zHZcY2hIW";
    assert!(matches("abc", abc) && !matches("abc\0", abc) && !matches("abc\0d", abc));
    let empty = "$2b$04$Qd1NQKKRJBO5kztKR72fIu0jiGrZJPNikt.9NwGY1i3Q7mw425/CG";
    assert!(matches("", empty) && !matches("\0", empty));
    // The last character of the salt has four spare bits, which some programs set.
    assert!(matches("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCCCE5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
}

#[test]
fn unknown_and_malformed_hashes_are_refused() {
    use InvalidHash::*;
    for text in
        ["", "$", "$$", "plain", "md5$salt$0123", "$1$salt$hash", "$2x$05$CCCC", "$6$salt$hash", "$argon2$", "sha1$$"]
    {
        assert_eq!(parse_error(text), UnknownFormat, "{text}");
    }
    let hash = "c29tZXNhbHRzb21lc2FsdA";
    for text in [
        // Truncated, duplicated or misspelt.
        "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ".to_owned(),
        format!("$argon2id$v=18$m=64,t=2,p=1$c29tZXNhbHQ${hash}"),
        format!("$argon2id$v=19$m=64,t=2$c29tZXNhbHQ${hash}"),
        format!("$argon2id$v=19$t=2,m=64,p=1$c29tZXNhbHQ${hash}"),
        format!("$argon2id$v=19$m=64,t=2,p=1,keyid=AA$c29tZXNhbHQ${hash}"),
        format!("$argon2id$v=19$m=+64,t=2,p=1$c29tZXNhbHQ${hash}"),
        format!("$argon2id$v=19$m=064,t=2,p=1$c29tZXNhbHQ${hash}"),
        format!("$argon2id$v=19$m=99999999999,t=2,p=1$c29tZXNhbHQ${hash}"),
        format!("$argon2id$v=19$m=7,t=2,p=1$c29tZXNhbHQ${hash}"),
        format!("$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ${hash}"),
        format!("$argon2id$v=19$m=64,t=2,p=0$c29tZXNhbHQ${hash}"),
        // Multiplied by eight, this is 0 in 32 bits.
        format!("$argon2id$v=19$m=64,t=2,p=536870912$c29tZXNhbHQ${hash}"),
        format!("$argon2id$v=19$m=64,t=2,p=1$c2FsdA${hash}"),
        "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$c2hvcnQ".to_owned(),
        format!("$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ${hash}$"),
        format!("$argon2id$v=19$m=64,t=2,p=1$c29t*XNhbHQ${hash}"),
        format!("$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ${}", "A".repeat(1000)),
        format!("argon2$scrypt$ln=4,r=8,p=1${hash}${hash}"),
        "$2b$4$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(),
        "$2b$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(),
        "$2b$32$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(),
        "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe".to_owned(),
        "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeWW".to_owned(),
        "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyO+W".to_owned(),
        "$2b$05$CCCCCCCCCCCCCCCCCCCCé.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(),
        format!("bcrypt_sha256$$scrypt$ln=4,r=8,p=1${hash}${hash}"),
        format!("$scrypt$ln=0,r=8,p=1${hash}${hash}"),
        format!("$scrypt$ln=4,r=0,p=1${hash}${hash}"),
        format!("$scrypt$ln=4,r=8,p=0${hash}${hash}"),
        format!("$scrypt$ln=4,r=8,p=1,q=1${hash}${hash}"),
        format!("scrypt$15$salt$8$1${hash}"),
        format!("scrypt$0$salt$8$1${hash}"),
        format!("$fbscrypt$v=2,n=14,r=8,p=1,ss=Bw==,sk={hash}$42xEC+ixf3L2lw==${hash}"),
        format!("$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk={hash}AAAA$42xEC+ixf3L2lw==${hash}"),
        format!("$pbkdf2-sha256$i=0$c29tZXNhbHQ${hash}"),
        format!("$pbkdf2-sha256$i=1000,l=32$c29tZXNhbHQ${hash}"),
        format!("$pbkdf2-sha256$-1$c29tZXNhbHQ${hash}"),
        format!("pbkdf2_sha256$$salt${hash}"),
    ] {
        assert!(matches!(parse_error(&text), Malformed(_)), "{text}");
    }
}

#[test]
fn too_expensive_hash_is_refused_when_parsed() {
    let hash = "c29tZXNhbHRzb21lc2FsdA";
    for text in [
        format!("$argon2id$v=19$m=262145,t=1,p=1$c29tZXNhbHQ${hash}"),
        format!("$argon2id$v=19$m=4294967295,t=4294967295,p=1$c29tZXNhbHQ${hash}"),
        format!("$argon2id$v=19$m=65536,t=17,p=1$c29tZXNhbHQ${hash}"),
        "$2b$16$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(),
        format!("$scrypt$ln=19,r=8,p=1${hash}${hash}"),
        format!("$scrypt$ln=4294967295,r=8,p=1${hash}${hash}"),
        format!("$scrypt$ln=57,r=8,p=1${hash}${hash}"),
        format!("$scrypt$ln=14,r=8,p=65${hash}${hash}"),
        format!("$scrypt$ln=1,r=4294967295,p=4294967295${hash}${hash}"),
        // Writes little, but 512 MiB are allocated for the blocks.
        format!("$scrypt$ln=1,r=1,p=4194304${hash}${hash}"),
        format!("scrypt$2147483648$salt$8$1${hash}"),
        format!("$fbscrypt$v=1,n=30,r=8,p=1,ss=Bw==,sk={hash}$42xEC+ixf3L2lw==${hash}"),
        format!("$pbkdf2-sha256$i=5000001$c29tZXNhbHQ${hash}"),
        format!("pbkdf2_sha256$2500001$salt${}", "A".repeat(44)),
        format!("$pbkdf2$i=5000001$c29tZXNhbHQ${hash}"),
        // Two blocks of SHA-1.
        format!("$pbkdf2$i=2500001$c29tZXNhbHQ${}", "A".repeat(43)),
        format!("$pbkdf2-sha512$i=2500001$c29tZXNhbHQ${hash}"),
    ] {
        assert!(matches!(parse_error(&text), InvalidHash::TooExpensive(_)), "{text}");
    }
}

#[test]
fn defaults_of_common_programs_are_affordable() {
    let hash = "A".repeat(43);
    for text in [
        format!("$argon2id$v=19$m=262144,t=3,p=1$c29tZXNhbHQ${hash}"), // libsodium, moderate
        format!("argon2$argon2id$v=19$m=102400,t=2,p=8$c29tZXNhbHQ${hash}"), // Django
        format!("$scrypt$ln=17,r=8,p=1$c29tZXNhbHQ${hash}"),           // OWASP
        format!("scrypt$16384$salt$8$5${hash}="),                      // Django
        format!("pbkdf2_sha256$1200000$salt${hash}="),                 // Django
        format!("$pbkdf2-sha512$i=210000$c29tZXNhbHQ${hash}"),         // Keycloak
        format!("$pbkdf2$i=1300000,l=20$c29tZXNhbHQ${}", &hash[..27]), // Keycloak with SHA-1
    ] {
        assert!(StoredHash::parse(&text).is_ok(), "{text}");
    }
}

#[test]
fn memory_is_retained_up_to_a_limit() {
    let rng = Rng::system();
    let password = Password::new("correct horse".to_owned());
    let mut memory = Memory::retaining(64);
    assert_eq!(memory.kib(), 0, "none is allocated before it is needed");
    let hash = |kib, memory: &mut Memory| {
        let cost = Argon2Cost { memory_kib: kib, passes: 1, lanes: 1 };
        let hash = Argon2Hash::create(&password, cost, rng.bytes(), Implementation::fastest(), memory);
        assert!(matches("correct horse", &hash.0));
        let taken = memory.kib();
        memory.release_excess();
        (taken, memory.kib())
    };
    assert_eq!(hash(32, &mut memory), (32, 32));
    assert_eq!(hash(64, &mut memory), (64, 64));
    assert_eq!(hash(32, &mut memory), (64, 64), "a smaller hash uses the retained memory");
    assert_eq!(hash(256, &mut memory), (256, 0), "memory beyond the limit is released");
    assert_eq!(hash(64, &mut memory), (64, 64));
}

//! The settings of sign-in and of the dialects: each once, with its type, its bounds and its default.

use super::super::reader::{Reader, Section};
use super::super::{
    Accounts, Api, Argon2Implementation, Codes, Dialect, Limits, Mailed, Passwords, RotationPolicy, SecondFactor,
};
use super::{days, minutes, ms, seconds};
use crate::config::values::{Bool, Cores, DurationRange, Integer, LinkAddress, OneOf, Prefix, RateSpec, Text};

pub(super) fn passwords(from: &mut Section<'_>) -> Passwords {
    const IMPLEMENTATIONS: OneOf<Argon2Implementation> =
        OneOf(&[("auto", Argon2Implementation::Auto), ("reference", Argon2Implementation::Reference)]);
    Passwords {
        memory_kib: from.read("memory_kib", Integer(8, 4 << 20), 19_456) as u32,
        passes: from.read("passes", Integer(1, 1_000), 2) as u32,
        lanes: from.read("lanes", Integer(1, 64), 1) as u32,
        implementation: from.read("implementation", IMPLEMENTATIONS, Argon2Implementation::Auto),
        threads: from.read("threads", Cores, Cores::here()),
        queue: from.read("queue", Integer(1, 1_000_000), 256) as usize,
        deadline: from.read("deadline", DurationRange(ms(10), minutes(1)), seconds(2)),
        min_length: from.read("min_length", Integer(1, 128), 8) as usize,
        max_length: from.read("max_length", Integer(1, 4_096), 128) as usize,
        refusal_step: from.read("refusal_step", DurationRange(ms(5), seconds(5)), ms(5)),
    }
}

pub(super) fn accounts(from: &mut Section<'_>) -> Accounts {
    Accounts { open_registration: from.read("open_registration", Bool, true) }
}

/// `pages`: the URL of Signet's own pages, for links whose page no setting names.
pub(super) fn mailed(from: &mut Section<'_>, pages: &str) -> Mailed {
    Mailed {
        code: from.read("code", DurationRange(seconds(1), days(1)), minutes(10)),
        magic: from.read("magic", DurationRange(seconds(1), days(1)), minutes(15)),
        reset: from.read("reset", DurationRange(seconds(1), days(7)), minutes(60)),
        confirm: from.read("confirm", DurationRange(seconds(1), days(30)), days(1)),
        confirm_by_get: from.read("confirm_by_get", Bool, true),
        daily_tries: from.read("daily_tries", Integer(5, 1_000), 20) as u32,
        magic_url: from.read("magic_url", LinkAddress, format!("{pages}/links/magic")),
        reset_url: from.read("reset_url", LinkAddress, format!("{pages}/links/reset")),
    }
}

pub(super) fn second_factor(from: &mut Section<'_>) -> SecondFactor {
    SecondFactor {
        issuer: from.read("issuer", Text, "Signet".to_owned()),
        recovery_codes: from.read("recovery_codes", Integer(1, 50), 10) as u32,
    }
}

pub(super) fn limits(from: &mut Section<'_>) -> Limits {
    let enabled = from.read("enabled", Bool, true);
    Limits::new(enabled, |action| from.read(action.setting(), RateSpec, action.default_rate()))
}

pub(super) fn api(from: &mut Reader, passwords: &Passwords) -> Api {
    let usual = |prefix, access, idle, absolute| Dialect {
        enabled: true,
        prefix: String::from(prefix),
        access,
        idle,
        absolute,
        verified_only: false,
        min_password_length: passwords.min_length,
        refuse_common_passwords: true,
        rotation: RotationPolicy::Rotate,
    };
    let shorter = passwords.min_length.min(6);
    Api {
        native: dialect(&mut from.section("api.native"), usual("", minutes(15), days(30), days(90))),
        unturned: dialect(&mut from.section("api.unturned"), usual("/auth", minutes(15), days(30), days(90))),
        myauth: dialect(&mut from.section("api.myauth"), usual("/auth", minutes(30), days(30), days(90))),
        codes: codes(
            &mut from.section("api.codes"),
            Dialect { rotation: RotationPolicy::Keep, ..usual("/auth", minutes(15), days(30), days(30)) },
        ),
        ucontact: dialect(
            &mut from.section("api.ucontact"),
            Dialect { verified_only: true, ..usual("/api/auth", minutes(15), days(7), days(90)) },
        ),
        v1: dialect(
            &mut from.section("api.v1"),
            Dialect {
                min_password_length: shorter,
                refuse_common_passwords: false,
                rotation: RotationPolicy::Keep,
                ..usual("/api/v1", minutes(60), days(3), days(3))
            },
        ),
    }
}

fn codes(from: &mut Section<'_>, usual: Dialect) -> Codes {
    const STATUSES: OneOf<bool> = OneOf(&[("documented", false), ("in-band", true)]);
    Codes {
        in_band: from.read("status", STATUSES, false),
        backup_codes: from.read("backup_codes", Integer(1, 20), 3) as u32,
        dialect: dialect(from, usual),
    }
}

fn dialect(from: &mut Section<'_>, usual: Dialect) -> Dialect {
    let shortest = usual.min_password_length as u64;
    Dialect {
        enabled: from.read("enabled", Bool, usual.enabled),
        prefix: from.read("prefix", Prefix, usual.prefix),
        access: from.read("access", DurationRange(seconds(1), days(1)), usual.access),
        idle: from.read("idle", DurationRange(seconds(1), days(3650)), usual.idle),
        absolute: from.read("absolute", DurationRange(seconds(1), days(3650)), usual.absolute),
        verified_only: from.read("verified_only", Bool, usual.verified_only),
        min_password_length: from.read("min_password_length", Integer(1, 128), shortest) as usize,
        refuse_common_passwords: from.read("refuse_common_passwords", Bool, usual.refuse_common_passwords),
        rotation: usual.rotation,
    }
}

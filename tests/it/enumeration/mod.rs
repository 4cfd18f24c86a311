//! User enumeration: no call may reveal whether an address has an account, by status, header fields, body or response
//! time.
//!
//! For every call, 100 samples are taken of known and 100 of unknown users, one after the other over kept
//! connections. They are interleaved in pairs with a random order, so that background load, and work that one request
//! leaves for the next, affect both kinds alike. A call whose kinds hardly differ after 40 samples needs no more: with
//! that many the standard deviation of the effect is 0.065. Statuses, header fields and bodies must be equal; of the
//! random device secret (`claim`, `device_secret`), only the length and the alphabet. Times are compared by the Mann-Whitney U test (see
//! [`separation`]). Two kinds count as separable if the result has a chance of less than one in a million, and if of
//! two responses the one of the slower kind is slower with a probability beyond 0.7. With 100 samples the two
//! conditions are equally strict: the second is five standard deviations from 0.5.
//!
//! **Detected**: one hash more or less, which costs at least two steps of the response time here, and anything else
//! that moves a response to another step (see `auth::timing`; without it, 200 samples told known from unknown users
//! by half a millisecond, and by a twentieth of one). The control tests prove the first; the tests of [`separation`]
//! show which differences are detected.
//!
//! **Not detected**: differences that are a fraction of the variation, which take thousands of requests to find and
//! meet the rate limits first; effects of sending a mail on concurrent requests of others; and, with the built-in
//! `passwords.refusal_step`, a password hash that was imported or has other parameters, whose check takes its own time
//! until the user signs in (the control test uses such hashes).

mod bodies;
mod calls;
mod mail;
mod separation;
mod times;

use std::collections::BTreeSet;
use std::time::Instant;

use crate::support::server::{HttpResponse, SendRequest, TestServer, TestUser};
use crate::support::signet::{CLIENT_LIMITS, NEVER_REACHED, Plan};
use calls::Call;
use separation::{Separation, median};

/// The number of samples of each kind.
const SAMPLE_PAIRS: usize = 100;

/// The number of samples after which most calls have shown no difference.
const FIRST_PAIRS: usize = 40;

/// The number of known users, and of unknown users, that take turns.
const GROUP_SIZE: usize = 20;

/// A random generator with a fixed seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number between 0 and 1.
    pub(crate) fn next_f64(&mut self) -> f64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Hashing is slow enough to move a response to another step on a machine that is twice as fast as this one. The
/// limits are enabled, because counting is part of the measured time, but they are never reached.
fn plan(plan: Plan) -> Plan {
    plan.limits(&CLIENT_LIMITS, NEVER_REACHED)
        .limits(&["SIGN_IN_ACCOUNT", "MAIL_ACCOUNT", "MAIL_TOTAL", "CODE_ACCOUNT"], NEVER_REACHED)
        .set("SIGNET_MAILED__DAILY_TRIES", "1000")
        .set("SIGNET_PASSWORDS__MEMORY_KIB", "24576")
}

/// The same with closed registration: only accounts get mail.
fn closed(base: Plan) -> Plan {
    plan(base).set("USERS_OPEN_REGISTRATION", "false")
}

/// The same with a limit of sign-ins that one attempt exhausts.
fn limited(base: Plan) -> Plan {
    closed(base).limits(&["SIGN_IN_ACCOUNT"], "1 per 1h")
}

/// Users that do not exist, with logins as long as those of existing users.
fn unknown_users() -> Vec<TestUser> {
    let one = |number| TestUser {
        id: String::new(),
        email: format!("nobody-{number}@example.org"),
        username: format!("nobody-{number}"),
    };
    (0..GROUP_SIZE).map(one).collect()
}

/// The whole response without the parts that differ between any two: of a claim, only the length is compared, and
/// `Retry-After` depends on the moment.
fn form(response: HttpResponse) -> String {
    let mut response = response.without_per_response_headers();
    if response.status == 429 {
        response.headers.remove("retry-after").expect("a 429 has Retry-After");
    }
    let claim = serde_json::from_str(&response.text).ok().and_then(|body: serde_json::Value| {
        let claim = body.get("claim").or_else(|| body.get("device_secret"))?;
        Some(claim.as_str().expect("a device secret is text").to_owned())
    });
    if let Some(claim) = claim {
        assert!(claim.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{claim}");
        response.text = response.text.replace(&claim, &"*".repeat(claim.len()));
    }
    let mut fields = response.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect::<Vec<_>>();
    fields.sort();
    format!("{}\n{}\n\n{}", response.status, fields.join("\n"), response.text)
}

/// The samples of a call.
#[derive(Default)]
struct Samples {
    forms: BTreeSet<String>,
    /// The response times in milliseconds, for known and for unknown users.
    times: [Vec<f64>; 2],
    skipped_pairs: usize,
}

impl Samples {
    fn extend(&mut self, more: Self) {
        self.forms.extend(more.forms);
        self.times.iter_mut().zip(more.times).for_each(|(all, times)| all.extend(times));
        self.skipped_pairs += more.skipped_pairs;
    }

    fn separation(&self) -> Separation {
        Separation::of(&self.times[0], &self.times[1])
    }

    /// A report of what distinguishes the kinds, if anything does.
    fn find_difference(&self, call: &str) -> Option<String> {
        let [known, unknown] = &self.times;
        let (separation, known, unknown) = (self.separation(), median(known), median(unknown));
        println!("{call}: {known:.2} ms known, {unknown:.2} ms unknown, {separation:?}");
        if self.forms.len() > 1 {
            return Some(format!("{call}: {:#?}", self.forms));
        }
        let report = || format!("{call}: {known:.2} ms known, {unknown:.2} ms unknown, {separation:?}");
        separation.is_separable().then(report)
    }
}

/// Takes `count` interleaved samples of each kind.
async fn sample(server: &TestServer, call: &Call, known: &[TestUser], unknown: &[TestUser], count: usize) -> Samples {
    let (mut samples, mut dice) = (Samples::default(), Dice::new(count as u64));
    for number in 0..count {
        let first = usize::from(dice.next_f64() < 0.5);
        let (mut times, mut responses) = ([0.0; 2], Vec::new());
        for kind in [first, 1 - first] {
            let users = [known, unknown][kind];
            let request = (call.request)(server, &users[number % users.len()]);
            let start = Instant::now();
            responses.push(request.send_checked().await);
            times[kind] = start.elapsed().as_secs_f64() * 1000.0;
        }
        // On a busy machine a store may respond too late: such a pair is not a sample of the call.
        if responses.iter().any(|response| response.status == 503) {
            samples.skipped_pairs += 1;
            continue;
        }
        samples.forms.extend(responses.into_iter().map(form));
        samples.times.iter_mut().zip(times).for_each(|(all, time)| all.push(time));
    }
    assert!(samples.skipped_pairs * 20 <= count, "{}: {} of {count} pairs got 503", call.name, samples.skipped_pairs);
    samples
}

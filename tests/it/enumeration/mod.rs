//! Whether a call tells an address that has an account from one that has none: by its status, its header fields, its body, or by the
//! time that it takes.
//!
//! Two hundred samples of each kind are taken of every call, one by one over connections that are kept. They are interleaved in pairs
//! of which chance says who comes first: what the machine does besides, and what one request leaves to do for the next, falls
//! on both kinds alike. Statuses, fields and bodies must all be one; of a claim, which is drawn each time, the length and the
//! letters. The times are compared by the U test of Mann and Whitney (see [`separation`]): told apart is what would come by
//! accident once in a million times, and has a chance beyond 0.7 that of two answers the one of the slower kind is slower.
//! With 200 samples the second is the stricter: it is seven standard deviations off a half, so a false alarm is not to be expected
//! in the life of this test.
//!
//! **What it sees**: a hash more or less, which costs two beats and more here, and whatever else moves an answer to another beat (see
//! `auth::evenly`, without which two hundred samples told people from nobody by half a millisecond, and by a twentieth of one). The
//! canary shows the first, and [`separation`] says in numbers what is told apart. **What it does not see**: what is a fraction of
//! what times vary by, which takes thousands of requests to find, and limits stand before those; what shows on the other
//! requests of a machine that is busy with sending a mail; a password hash that was imported or is of an earlier cost, whose check
//! takes as long as it takes until its user signs in (that one is the canary).

mod bodies;
mod calls;
mod mail;
mod separation;
mod times;

use std::collections::BTreeSet;
use std::time::Instant;

use crate::support::server::{HttpResponse, Person, SendRequest, TestServer};
use crate::support::signet::Plan;
use calls::Call;
use separation::{Separation, median};

/// How many samples of each kind.
const SAMPLES: usize = 200;

/// How many people and how many who are none take turns.
const CAST: usize = 20;

/// Chance that is the same each time.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Between 0 and 1.
    pub(crate) fn share(&mut self) -> f64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A hash moves an answer to another beat also on a machine that is twice as fast, and limits are counted and never met: what
/// counting takes belongs to what is measured.
fn plan(plan: Plan) -> Plan {
    let limits = ["SIGN_IN_ACCOUNT", "SIGN_IN_ADDRESS", "MAIL_ACCOUNT", "MAIL_ADDRESS", "CODE_ACCOUNT", "CODE_ADDRESS"];
    let plan = limits.iter().fold(plan, |plan, limit| plan.set(&format!("SIGNET_LIMITS__{limit}"), "1000000 per 1s"));
    plan.set("SIGNET_LIMITS__ENABLED", "true")
        .set("SIGNET_MAILED__DAILY_TRIES", "1000")
        .set("SIGNET_PASSWORDS__MEMORY_KIB", "24576")
}

/// The same, and only who has an account is mailed anything.
fn closed(it: Plan) -> Plan {
    plan(it).set("USERS_OPEN_REGISTRATION", "false")
}

/// The same, and each name has been tried as often as it may be as soon as it was tried once.
fn limited(it: Plan) -> Plan {
    closed(it).set("SIGNET_LIMITS__SIGN_IN_ACCOUNT", "1 per 1h")
}

/// Some who are nobody, with names as long as those of people.
fn strangers() -> Vec<Person> {
    let one = |number| Person {
        id: String::new(),
        email: format!("nobody-{number}@example.org"),
        username: format!("nobody-{number}"),
    };
    (0..CAST).map(one).collect()
}

/// All that an answer says, but for what differs between any two: a claim is only as long as another, and when to come again was said
/// of another moment.
fn form(answer: HttpResponse) -> String {
    let mut answer = answer.without_names();
    if answer.status == 429 {
        answer.headers.remove("retry-after").expect("it says when to come again");
    }
    let claim = serde_json::from_str(&answer.text)
        .ok()
        .and_then(|body: serde_json::Value| Some(body.get("claim")?.as_str().expect("a claim is text").to_owned()));
    if let Some(claim) = claim {
        assert!(claim.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{claim}");
        answer.text = answer.text.replace(&claim, &"*".repeat(claim.len()));
    }
    let mut fields = answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect::<Vec<_>>();
    fields.sort();
    format!("{}\n{}\n\n{}", answer.status, fields.join("\n"), answer.text)
}

/// What was seen of a call.
#[derive(Default)]
struct Seen {
    forms: BTreeSet<String>,
    /// How long each answer took, in milliseconds: to people, and to those who are none.
    times: [Vec<f64>; 2],
    left_out: usize,
}

impl Seen {
    fn separation(&self) -> Separation {
        Separation::of(&self.times[0], &self.times[1])
    }

    /// What told the ones from the others, if anything did.
    fn tells(&self, call: &str) -> Option<String> {
        let [known, unknown] = &self.times;
        let (separation, known, unknown) = (self.separation(), median(known), median(unknown));
        println!("{call}: {known:.2} ms known, {unknown:.2} ms unknown, {separation:?}");
        if self.forms.len() > 1 {
            return Some(format!("{call}: {:#?}", self.forms));
        }
        let told = || format!("{call}: {known:.2} ms known, {unknown:.2} ms unknown, {separation:?}");
        separation.is_separable().then(told)
    }
}

/// Takes `many` samples of each kind of a call, interleaved.
async fn watch(server: &TestServer, call: &Call, known: &[Person], unknown: &[Person], many: usize) -> Seen {
    let (mut seen, mut dice) = (Seen::default(), Dice::new(many as u64));
    for number in 0..many {
        let first = usize::from(dice.share() < 0.5);
        let (mut times, mut answers) = ([0.0; 2], Vec::new());
        for kind in [first, 1 - first] {
            let people = [known, unknown][kind];
            let request = (call.ask)(server, &people[number % people.len()]);
            let begun = Instant::now();
            answers.push(request.send_checked().await);
            times[kind] = begun.elapsed().as_secs_f64() * 1000.0;
        }
        // A machine so busy that a store's answer came too late for one of a pair has said nothing of the call.
        if answers.iter().any(|answer| answer.status == 503) {
            seen.left_out += 1;
            continue;
        }
        seen.forms.extend(answers.into_iter().map(form));
        seen.times.iter_mut().zip(times).for_each(|(all, time)| all.push(time));
    }
    assert!(seen.left_out * 20 <= many, "{}: {} of {many} pairs were not answered", call.name, seen.left_out);
    seen
}

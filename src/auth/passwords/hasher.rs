//! Creating and checking password hashes: Argon2id with the configured parameters, and the imported formats.
//!
//! The time must not reveal whether a user exists, so checking a password without a stored hash does the same work as
//! checking it against a fresh one. Knows nothing of users and stores nothing: storing an upgraded hash is the caller's
//! task.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use signet_argon2::Implementation;

use super::Memory;
use super::formats::{Argon2Cost, Argon2Hash, StoredHash};
use super::pool::{self, Busy, Limits, Pool};
use super::{InvalidHash, Password};
use crate::config::{self, Argon2Implementation};
use crate::rng::Rng;
use crate::store::accounts::PasswordHash;
use crate::telemetry::metrics::Hashing;

/// How long a request is held if the queue has no free slot, or a quarter of the deadline if that is shorter. Slows
/// down a client that repeats refused sign-ins without a pause: it then sends two a second. Short, because a person may
/// be waiting for the response.
const MAX_HOLD: Duration = Duration::from_millis(500);

/// Creates and checks password hashes on its own threads. All workers of a process share one.
pub struct Hasher {
    pool: Pool,
    cost: Argon2Cost,
    implementation: Implementation,
    dummy: Arc<StoredHash>,
    rng: Rng,
}

/// A reserved slot in the queue, for one job. Dropping it releases the slot.
pub struct QueueSlot<'a> {
    hasher: &'a Hasher,
    slot: pool::Slot,
}

/// The result of checking a password against a stored hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password matches.
    Correct {
        /// A new hash of the password, if the stored one has another format or other parameters than today's. The
        /// caller replaces the checked hash with it.
        upgrade: Option<PasswordHash>,
    },
    /// The password does not match, or there is no hash.
    Wrong,
}

/// Why the hashing threads could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Argon2 does not allow these parameters (RFC 9106, 3.1), or there would be no thread or no queue.
    #[error("passwords cannot be hashed with {0}")]
    Parameters(&'static str),
    /// The system refused to start a thread.
    #[error("cannot start the threads that hash passwords")]
    Threads(#[source] std::io::Error),
}

impl Hasher {
    /// Starts the threads. They allocate memory when they first need it, so that an idle server stays small.
    pub fn start(settings: &config::Passwords, rng: Rng) -> Result<Self, StartError> {
        let cost = Argon2Cost { memory_kib: settings.memory_kib, passes: settings.passes, lanes: settings.lanes };
        cost.check().map_err(StartError::Parameters)?;
        if settings.threads == 0 || settings.queue == 0 {
            return Err(StartError::Parameters("no thread or no queue"));
        }
        let limits = Limits {
            threads: settings.threads,
            queue: settings.queue,
            deadline: settings.deadline,
            hold: MAX_HOLD.min(settings.deadline / 4),
            initial_estimate: cost.estimate(),
            retained_kib: settings.memory_kib as usize,
        };
        let pool = Pool::start(limits).map_err(StartError::Threads)?;
        let dummy = Argon2Hash::dummy(cost, rng.bytes(), rng.bytes());
        let implementation = choose(settings.implementation, Implementation::agrees_with_reference);
        Ok(Self { pool, cost, implementation, dummy: Arc::new(StoredHash::Argon2(dummy)), rng })
    }

    /// Reserves a slot in the queue before the stored hash is known. If the queue is full, the request is held for a
    /// moment and then rejected, before the user is looked up: the response time reveals nothing of the user, and the
    /// stores are spared the lookup. `client`: the address of the client that the password came from, so that nobody
    /// keeps others out; `None` if no request asked for the hash.
    pub async fn acquire_slot(&self, client: Option<IpAddr>) -> Result<QueueSlot<'_>, Busy> {
        Ok(QueueSlot { hasher: self, slot: self.pool.acquire_slot(client).await? })
    }

    /// Hashes a new password that came from no client. Dropping the future before the job starts cancels it.
    pub async fn hash(&self, password: &Password) -> Result<PasswordHash, Busy> {
        self.acquire_slot(None).await?.hash(password).await
    }

    /// Checks a password that came from no client, as [`QueueSlot::verify`] does.
    pub async fn verify(&self, password: &Password, stored: Option<&PasswordHash>) -> Result<Verdict, Busy> {
        self.acquire_slot(None).await?.verify(password, stored).await
    }

    /// Hashes several new passwords in one job, so that it is rejected as a whole or not at all.
    pub async fn hash_all(&self, passwords: Vec<Password>, client: IpAddr) -> Result<Vec<PasswordHash>, Busy> {
        let slot = self.pool.acquire_slot(Some(client)).await?;
        let (cost, implementation) = (self.cost, self.implementation);
        let hashes = u32::try_from(passwords.len()).unwrap_or(u32::MAX);
        let salted: Vec<_> = passwords.into_iter().map(|password| (password, self.rng.bytes())).collect();
        let hash_all = move |memory: &mut Memory| {
            let create = |(password, salt): &(_, _)| Argon2Hash::create(password, cost, *salt, implementation, memory);
            salted.iter().map(create).collect()
        };
        slot.run(hashes, hash_all).await
    }

    /// Finds the first of these hashes that matches the password, in one job.
    pub async fn find_match(
        &self,
        password: &Password,
        stored: &[PasswordHash],
        client: IpAddr,
    ) -> Result<Option<usize>, Busy> {
        let slot = self.pool.acquire_slot(Some(client)).await?;
        let hashes = u32::try_from(stored.len()).unwrap_or(u32::MAX);
        let parse = |hash: &PasswordHash| StoredHash::parse(&hash.0).map_err(log_invalid_hash).ok();
        let (password, stored) = (password.clone(), stored.iter().map(parse).collect::<Vec<_>>());
        let implementation = self.implementation;
        let find_match = move |memory: &mut Memory| {
            let mut matches = |hash: &StoredHash| hash.matches(&password, implementation, memory);
            stored.iter().position(|hash| hash.as_ref().is_some_and(&mut matches))
        };
        slot.run(hashes, find_match).await
    }

    /// The load of the threads.
    pub fn load(&self) -> Hashing {
        self.pool.load()
    }
}

impl QueueSlot<'_> {
    /// Hashes a new password. Dropping the future before the job starts cancels it.
    pub async fn hash(self, password: &Password) -> Result<PasswordHash, Busy> {
        let (password, cost, salt) = (password.clone(), self.hasher.cost, self.hasher.rng.bytes());
        let implementation = self.hasher.implementation;
        self.slot.run(1, move |memory| Argon2Hash::create(&password, cost, salt, implementation, memory)).await
    }

    /// Checks the current password and hashes the new one, in one job; `None` if the current one is wrong.
    pub async fn verify_and_hash(
        self,
        current: &Password,
        stored: &PasswordHash,
        new: &Password,
    ) -> Result<Option<PasswordHash>, Busy> {
        let stored = StoredHash::parse(&stored.0).map_err(log_invalid_hash).ok();
        let (current, new) = (current.clone(), new.clone());
        let (cost, salt, implementation) = (self.hasher.cost, self.hasher.rng.bytes(), self.hasher.implementation);
        let verify_and_hash = move |memory: &mut Memory| {
            let correct = stored.is_some_and(|stored| stored.matches(&current, implementation, memory));
            correct.then(|| Argon2Hash::create(&new, cost, salt, implementation, memory))
        };
        self.slot.run(2, verify_and_hash).await
    }

    /// Checks a password against a stored hash. Without one (no such user, or a user without a password) the result is
    /// [`Verdict::Wrong`] after as much work. Dropping the future before the job starts cancels it.
    ///
    /// Checking an imported hash takes as long as its parameters say, until the first sign-in has replaced it. The
    /// setting `passwords.refusal_step` hides the difference.
    pub async fn verify(self, password: &Password, stored: Option<&PasswordHash>) -> Result<Verdict, Busy> {
        let parsed = stored.and_then(|hash| StoredHash::parse(&hash.0).map_err(log_invalid_hash).ok());
        let has_hash = parsed.is_some();
        let stored = parsed.map_or_else(|| Arc::clone(&self.hasher.dummy), Arc::new);
        let (password, cost, salt) = (password.clone(), self.hasher.cost, self.hasher.rng.bytes());
        let implementation = self.hasher.implementation;
        self.slot
            .run(1, move |memory| {
                let matches = stored.matches(&password, implementation, memory);
                if !(matches && has_hash) {
                    Verdict::Wrong
                } else if stored.has_cost(cost) {
                    Verdict::Correct { upgrade: None }
                } else {
                    // In the same job: a second job might miss its deadline, and the old hash would stay.
                    let upgrade = Argon2Hash::create(&password, cost, salt, implementation, memory);
                    Verdict::Correct { upgrade: Some(upgrade) }
                }
            })
            .await
    }
}

/// Chooses the code that computes Argon2. Compares it with the reference first, because a wrong hash is worse than a
/// slow one: a correct password would be refused, and a new one would match on this node only.
fn choose(setting: Argon2Implementation, agrees: impl Fn(Implementation) -> bool) -> Implementation {
    let fastest = match setting {
        Argon2Implementation::Auto => Implementation::fastest(),
        Argon2Implementation::Reference => Implementation::REFERENCE,
    };
    if fastest.is_reference() || agrees(fastest) {
        tracing::debug!(implementation = %fastest, "implementation of Argon2");
        return fastest;
    }
    tracing::error!(implementation = %fastest, "Argon2 computes a wrong hash: the slower reference is used instead");
    Implementation::REFERENCE
}

/// Imported hashes are parsed before they are stored, so another program wrote this row. It is logged here, in the
/// caller's span, because the response is the same as for a wrong password.
fn log_invalid_hash(error: InvalidHash) {
    tracing::error!(%error, "stored password hash cannot be checked: its user cannot sign in with a password");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> config::Passwords {
        config::Passwords {
            memory_kib: 64,
            passes: 1,
            lanes: 1,
            implementation: Argon2Implementation::Auto,
            threads: 2,
            queue: 8,
            deadline: Duration::from_secs(60),
            min_length: 8,
            max_length: 128,
            refusal_step: Duration::from_millis(5),
        }
    }

    fn hasher(settings: &config::Passwords) -> Hasher {
        Hasher::start(settings, Rng::system()).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    #[tokio::test]
    async fn password_matches_only_its_own_hash() {
        let hasher = hasher(&settings());
        let (right, wrong) = (password("correct horse"), password("correct house"));
        let hash = hasher.hash(&right).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{}", hash.0);
        assert_ne!(hasher.hash(&right).await.unwrap(), hash, "each hash has a salt of its own");
        assert_eq!(hasher.verify(&right, Some(&hash)).await, Ok(Verdict::Correct { upgrade: None }));
        assert_eq!(hasher.verify(&wrong, Some(&hash)).await, Ok(Verdict::Wrong));
    }

    #[tokio::test]
    async fn unknown_user_costs_the_work_of_a_known_one() {
        let hasher = hasher(&settings());
        let fresh = hasher.hash(&password("correct horse")).await.unwrap();
        let Ok(StoredHash::Argon2(fresh)) = StoredHash::parse(&fresh.0) else { panic!("not Argon2") };
        let StoredHash::Argon2(dummy) = &*hasher.dummy else { panic!("not Argon2") };
        assert_eq!(dummy.shape(), fresh.shape());
        assert!(hasher.dummy.has_cost(hasher.cost));
        assert_eq!(hasher.verify(&password("correct horse"), None).await, Ok(Verdict::Wrong));
        let began = std::time::Instant::now();
        // A job is counted after its result is sent, so the count may lag.
        while hasher.load().done != 2 {
            assert!(began.elapsed() < Duration::from_secs(20), "the jobs were not run");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn invalid_hash_is_a_wrong_password_after_the_same_work() {
        let hasher = hasher(&settings());
        for text in ["", "plain", "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"] {
            let verdict = hasher.verify(&password("plain"), Some(&PasswordHash(text.to_owned()))).await;
            assert_eq!(verdict, Ok(Verdict::Wrong), "{text}");
        }
        let began = std::time::Instant::now();
        while hasher.load().done != 3 {
            assert!(began.elapsed() < Duration::from_secs(20), "the jobs were not run");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn correct_password_upgrades_an_outdated_hash() {
        let old = hasher(&settings());
        let new = hasher(&config::Passwords { memory_kib: 128, passes: 2, ..settings() });
        let right = password("correct horse");
        let bcrypt = "$2b$04$CCCCCCCCCCCCCCCCCCCCC..o66Ba.o65rt06KXeSpKWfObOB7QJIe";
        let mine = old.hash(&right).await.unwrap();
        for stored in [mine, PasswordHash(bcrypt.to_owned())] {
            assert_eq!(new.verify(&password("correct house"), Some(&stored)).await, Ok(Verdict::Wrong));
            let Ok(Verdict::Correct { upgrade: Some(upgrade) }) = new.verify(&right, Some(&stored)).await else {
                panic!("{} is not upgraded", stored.0)
            };
            assert!(upgrade.0.starts_with("$argon2id$v=19$m=128,t=2,p=1$"), "{}", upgrade.0);
            assert_eq!(new.verify(&right, Some(&upgrade)).await, Ok(Verdict::Correct { upgrade: None }));
        }
    }

    #[tokio::test]
    async fn job_past_the_deadline_is_busy_and_not_hashed() {
        let hasher = hasher(&config::Passwords { deadline: Duration::ZERO, ..settings() });
        assert_eq!(hasher.hash(&password("correct horse")).await, Err(Busy));
        assert_eq!(hasher.verify(&password("correct horse"), None).await, Err(Busy));
        assert_eq!((hasher.load().shed_late, hasher.load().done), (2, 0));
    }

    #[test]
    fn implementation_that_differs_from_the_reference_is_not_used() {
        use Argon2Implementation::{Auto, Reference};
        assert!(choose(Auto, |_| false).is_reference());
        assert!(choose(Reference, |_| true).is_reference());
        assert_eq!(choose(Auto, |_| true).to_string(), Implementation::fastest().to_string());
        assert_eq!(hasher(&settings()).implementation.to_string(), Implementation::fastest().to_string());
    }

    #[tokio::test]
    async fn every_implementation_checks_hashes_of_the_others() {
        let fastest = hasher(&settings());
        let reference = config::Passwords { implementation: Argon2Implementation::Reference, ..settings() };
        let reference = hasher(&reference);
        for (create, check) in [(&fastest, &reference), (&reference, &fastest)] {
            let hash = create.hash(&password("correct horse")).await.unwrap();
            let verdict = check.verify(&password("correct horse"), Some(&hash)).await;
            assert_eq!(verdict, Ok(Verdict::Correct { upgrade: None }));
        }
    }

    #[test]
    fn invalid_argon2_parameters_do_not_start() {
        for bad in [
            config::Passwords { memory_kib: 7, ..settings() },
            config::Passwords { memory_kib: 31, lanes: 4, ..settings() },
            config::Passwords { passes: 0, ..settings() },
            config::Passwords { lanes: 0, ..settings() },
            config::Passwords { threads: 0, ..settings() },
            config::Passwords { queue: 0, ..settings() },
        ] {
            assert!(matches!(Hasher::start(&bad, Rng::system()), Err(StartError::Parameters(_))), "{bad:?}");
        }
    }
}

//! Making and checking password hashes: Argon2id with the parameters of the settings, and whatever else was stored.
//!
//! Whether there is a user at all must not show: a check against nothing does the work of a check against a fresh hash.
//! Knows nothing of users, and keeps nothing: an upgraded hash is the caller's to store.

use std::sync::Arc;

use super::Memory;
use super::formats::{Argon2Cost, Argon2Hash, Stored};
use super::pool::{self, Bounds, Busy, Pool};
use super::{Password, Unreadable};
use crate::config;
use crate::rng::Rng;
use crate::store::accounts::PasswordHash;
use crate::telemetry::metrics::Hashing;

/// Makes and checks password hashes on threads of its own. One is shared by all workers, whatever their runtimes.
pub struct Hasher {
    pool: Pool,
    cost: Argon2Cost,
    dummy: Arc<Stored>,
    rng: Rng,
}

/// A place in the queue for one password. Dropping it gives it up.
pub struct QueueSlot<'a> {
    hasher: &'a Hasher,
    place: pool::Place<'a>,
}

/// Whether a password is the one that a hash was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Right {
        /// The same password hashed anew, if the stored hash is not what would be made today: another format, or other
        /// parameters. To be put in the place of the hash that was checked, by `Accounts::rehash`.
        upgrade: Option<PasswordHash>,
    },
    /// It is not, or there was no hash to check it against.
    Wrong,
}

/// Why no hashing threads could be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Argon2 does not take these parameters (RFC 9106, 3.1), or there would be no thread or no queue.
    #[error("passwords cannot be hashed with {0}")]
    Parameters(&'static str),
    /// The system gives no threads.
    #[error("no threads to hash passwords on")]
    Threads(#[source] std::io::Error),
}

impl Hasher {
    /// Starts the threads. The memory for hashing is taken when it is first needed: an idle server stays small.
    pub fn start(settings: &config::Passwords, rng: Rng) -> Result<Self, StartError> {
        let cost = Argon2Cost { memory_kib: settings.memory_kib, passes: settings.passes, lanes: settings.lanes };
        cost.check().map_err(StartError::Parameters)?;
        if settings.threads == 0 || settings.queue == 0 {
            return Err(StartError::Parameters("no thread or no queue"));
        }
        let bounds = Bounds {
            threads: settings.threads,
            room: settings.queue,
            deadline: settings.deadline,
            guess: cost.guess(),
            keep_kib: settings.memory_kib as usize,
        };
        let pool = Pool::start(bounds).map_err(StartError::Threads)?;
        let dummy = Argon2Hash::of_nothing(cost, rng.bytes(), rng.bytes());
        Ok(Self { pool, cost, dummy: Arc::new(Stored::Argon2(dummy)), rng })
    }

    /// A place in the queue, for who has yet to find out what to check a password against. Taken before the user is looked
    /// up, it turns away in a time that tells nothing of the user, and spares the stores what would be looked up in vain.
    pub fn place(&self) -> Result<QueueSlot<'_>, Busy> {
        Ok(QueueSlot { hasher: self, place: self.pool.place()? })
    }

    /// Hashes a new password. Dropping the future before its turn comes costs nothing.
    pub async fn hash(&self, password: &Password) -> Result<PasswordHash, Busy> {
        self.place()?.hash(password).await
    }

    /// Checks a password against a stored hash, as [`QueueSlot::verify`] does.
    pub async fn verify(&self, password: &Password, stored: Option<&PasswordHash>) -> Result<Verdict, Busy> {
        self.place()?.verify(password, stored).await
    }

    /// Hashes new passwords in one turn: who has some to hash is turned away before the first or not at all.
    pub async fn hash_each(&self, passwords: Vec<Password>) -> Result<Vec<PasswordHash>, Busy> {
        let (place, cost) = (self.pool.place()?, self.cost);
        let hashes = u32::try_from(passwords.len()).unwrap_or(u32::MAX);
        let each: Vec<_> = passwords.into_iter().map(|password| (password, self.rng.bytes())).collect();
        let make = move |memory: &mut Memory| {
            each.iter().map(|(password, salt)| Argon2Hash::make(password, cost, *salt, memory)).collect()
        };
        place.run(hashes, make).await
    }

    /// Which of these hashes was made of the password, all in one turn.
    pub async fn which(&self, password: &Password, stored: &[PasswordHash]) -> Result<Option<usize>, Busy> {
        let (place, hashes) = (self.pool.place()?, u32::try_from(stored.len()).unwrap_or(u32::MAX));
        let read = |hash: &PasswordHash| Stored::parse(&hash.0).map_err(complain).ok();
        let (password, stored) = (password.clone(), stored.iter().map(read).collect::<Vec<_>>());
        let right = move |memory: &mut Memory| {
            stored.iter().position(|hash| hash.as_ref().is_some_and(|hash| hash.matches(&password, memory)))
        };
        place.run(hashes, right).await
    }

    /// How the threads are doing.
    pub fn load(&self) -> Hashing {
        self.pool.load()
    }
}

impl QueueSlot<'_> {
    /// Hashes a new password. Dropping the future before its turn comes costs nothing.
    pub async fn hash(self, password: &Password) -> Result<PasswordHash, Busy> {
        let (password, cost, salt) = (password.clone(), self.hasher.cost, self.hasher.rng.bytes());
        self.place.run(1, move |memory| Argon2Hash::make(&password, cost, salt, memory)).await
    }

    /// Hashes a new password if the present one is right, in the same turn; `None` if it is wrong.
    pub async fn replace(
        self,
        present: &Password,
        stored: &PasswordHash,
        new: &Password,
    ) -> Result<Option<PasswordHash>, Busy> {
        let stored = Stored::parse(&stored.0).map_err(complain).ok();
        let (present, new) = (present.clone(), new.clone());
        let (cost, salt) = (self.hasher.cost, self.hasher.rng.bytes());
        let replace = move |memory: &mut Memory| {
            let right = stored.is_some_and(|stored| stored.matches(&present, memory));
            right.then(|| Argon2Hash::make(&new, cost, salt, memory))
        };
        self.place.run(2, replace).await
    }

    /// Checks a password against a stored hash; against `None` (no such user, or one without a password) it is wrong after
    /// as much work. Dropping the future before its turn comes costs nothing.
    ///
    /// A hash of another system takes the time it takes there, until the first sign-in has replaced it.
    pub async fn verify(self, password: &Password, stored: Option<&PasswordHash>) -> Result<Verdict, Busy> {
        let subject = stored.and_then(|hash| match Stored::parse(&hash.0) {
            Ok(stored) => Some(stored),
            Err(fault) => {
                complain(fault);
                None
            }
        });
        let known = subject.is_some();
        let subject = subject.map_or_else(|| Arc::clone(&self.hasher.dummy), Arc::new);
        let (password, cost, salt) = (password.clone(), self.hasher.cost, self.hasher.rng.bytes());
        self.place
            .run(1, move |memory| {
                let matches = subject.matches(&password, memory);
                if !(matches && known) {
                    Verdict::Wrong
                } else if subject.is_of(cost) {
                    Verdict::Right { upgrade: None }
                } else {
                    // In the same turn: a second one might not come in time, and the old hash would stay.
                    Verdict::Right { upgrade: Some(Argon2Hash::make(&password, cost, salt, memory)) }
                }
            })
            .await
    }
}

/// Imports are parsed before they are stored, so this is a row that something else wrote. It is said here, inside the
/// caller's span, because outside it is a wrong password like any other.
fn complain(fault: Unreadable) {
    tracing::error!(%fault, "a stored password hash cannot be checked: its user cannot sign in with a password");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings() -> config::Passwords {
        config::Passwords {
            memory_kib: 64,
            passes: 1,
            lanes: 1,
            threads: 2,
            queue: 8,
            deadline: Duration::from_secs(60),
            min_length: 8,
            max_length: 128,
        }
    }

    fn hasher(settings: &config::Passwords) -> Hasher {
        Hasher::start(settings, Rng::system()).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_is_right_for_its_own_hash_only() {
        let hasher = hasher(&settings());
        let (right, wrong) = (password("correct horse"), password("correct house"));
        let hash = hasher.hash(&right).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{}", hash.0);
        assert_ne!(hasher.hash(&right).await.unwrap(), hash, "each hash has a salt of its own");
        assert_eq!(hasher.verify(&right, Some(&hash)).await, Ok(Verdict::Right { upgrade: None }));
        assert_eq!(hasher.verify(&wrong, Some(&hash)).await, Ok(Verdict::Wrong));
    }

    #[tokio::test]
    async fn nobody_is_checked_with_the_work_of_somebody() {
        let hasher = hasher(&settings());
        let fresh = hasher.hash(&password("correct horse")).await.unwrap();
        let Ok(Stored::Argon2(fresh)) = Stored::parse(&fresh.0) else { panic!("not Argon2") };
        let Stored::Argon2(dummy) = &*hasher.dummy else { panic!("not Argon2") };
        assert_eq!(dummy.shape(), fresh.shape());
        assert!(hasher.dummy.is_of(hasher.cost));
        assert_eq!(hasher.verify(&password("correct horse"), None).await, Ok(Verdict::Wrong));
        let began = std::time::Instant::now();
        // An answer comes before it is counted: the first one's may be counted only now.
        while hasher.load().done != 2 {
            assert!(began.elapsed() < Duration::from_secs(20), "the threads were not asked");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_unreadable_hash_is_a_wrong_password_after_the_same_work() {
        let hasher = hasher(&settings());
        for text in ["", "plain", "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"] {
            let verdict = hasher.verify(&password("plain"), Some(&PasswordHash(text.to_owned()))).await;
            assert_eq!(verdict, Ok(Verdict::Wrong), "{text}");
        }
        let began = std::time::Instant::now();
        while hasher.load().done != 3 {
            assert!(began.elapsed() < Duration::from_secs(20), "the threads were not asked");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn other_parameters_and_other_formats_are_upgraded_at_a_right_password() {
        let old = hasher(&settings());
        let new = hasher(&config::Passwords { memory_kib: 128, passes: 2, ..settings() });
        let right = password("correct horse");
        let bcrypt = "$2b$04$CCCCCCCCCCCCCCCCCCCCC..o66Ba.o65rt06KXeSpKWfObOB7QJIe";
        let mine = old.hash(&right).await.unwrap();
        for stored in [mine, PasswordHash(bcrypt.to_owned())] {
            assert_eq!(new.verify(&password("correct house"), Some(&stored)).await, Ok(Verdict::Wrong));
            let Ok(Verdict::Right { upgrade: Some(upgrade) }) = new.verify(&right, Some(&stored)).await else {
                panic!("{} is not upgraded", stored.0)
            };
            assert!(upgrade.0.starts_with("$argon2id$v=19$m=128,t=2,p=1$"), "{}", upgrade.0);
            assert_eq!(new.verify(&right, Some(&upgrade)).await, Ok(Verdict::Right { upgrade: None }));
        }
    }

    #[tokio::test]
    async fn past_the_deadline_it_is_busy_and_nothing_is_hashed() {
        let hasher = hasher(&config::Passwords { deadline: Duration::ZERO, ..settings() });
        assert_eq!(hasher.hash(&password("correct horse")).await, Err(Busy));
        assert_eq!(hasher.verify(&password("correct horse"), None).await, Err(Busy));
        assert_eq!((hasher.load().shed_late, hasher.load().done), (2, 0));
    }

    #[test]
    fn parameters_that_argon2_does_not_take_do_not_start() {
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

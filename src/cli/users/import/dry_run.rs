//! A dry run: finds the users who would be created, and creates nobody.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use futures_util::future::try_join_all;

use super::reason::ReasonCode;
use crate::auth::context::Context;
use crate::id::UserId;
use crate::store;
use crate::store::accounts::{Find, NewUser};

/// Users looked up at the same time, each by address and by username.
const CONCURRENCY: usize = 16;

/// The ids, addresses and usernames of the users who would have been created. Holds eight bytes for each name, not the names.
#[derive(Default)]
pub(super) struct DryRun {
    state: RandomState,
    taken: HashSet<u64>,
}

/// A value that only one user can have.
#[derive(Hash)]
enum Unique<'a> {
    Id(UserId),
    Email(&'a str),
    Username(&'a str),
}

impl DryRun {
    pub(super) fn has_id(&self, id: UserId) -> bool {
        self.is_taken(&Unique::Id(id))
    }

    /// The value of each user that is taken; `None` if the user would be created.
    pub(super) async fn check(
        &mut self,
        ctx: &Context,
        users: &[NewUser],
    ) -> Result<Vec<Option<ReasonCode>>, store::Error> {
        let mut results = Vec::with_capacity(users.len());
        for some in users.chunks(CONCURRENCY) {
            let stored = try_join_all(some.iter().map(|user| find_taken(ctx, user))).await?;
            results.extend(some.iter().zip(stored).map(|(user, stored)| stored.or_else(|| self.take(user))));
        }
        Ok(results)
    }

    fn take(&mut self, user: &NewUser) -> Option<ReasonCode> {
        let (email, username) = (Unique::Email(&user.email), user.username_key.as_deref().map(Unique::Username));
        if self.is_taken(&email) {
            return Some(ReasonCode::EmailTaken);
        }
        if username.as_ref().is_some_and(|username| self.is_taken(username)) {
            return Some(ReasonCode::UsernameTaken);
        }
        for unique in [Some(Unique::Id(user.id)), Some(email), username].into_iter().flatten() {
            self.taken.insert(self.state.hash_one(unique));
        }
        None
    }

    fn is_taken(&self, unique: &Unique<'_>) -> bool {
        self.taken.contains(&self.state.hash_one(unique))
    }
}

async fn find_taken(ctx: &Context, user: &NewUser) -> Result<Option<ReasonCode>, store::Error> {
    if ctx.accounts.user(Find::Email(&user.email)).await?.is_some() {
        return Ok(Some(ReasonCode::EmailTaken));
    }
    match &user.username_key {
        Some(key) if ctx.accounts.user(Find::UsernameKey(key)).await?.is_some() => Ok(Some(ReasonCode::UsernameTaken)),
        _ => Ok(None),
    }
}

//! An API key's row. The columns that the stores read are listed here once, for both of them.

use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};

/// An API key's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The id.
    pub id: ApiKeyId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// The user who created it and on whose behalf it acts.
    pub user: UserId,
    /// The visible beginning of the key, unique.
    pub prefix: String,
    /// SHA-256 of the whole key.
    pub digest: [u8; 32],
    /// The name that its owner gave it.
    pub name: String,
    /// The scopes. Without any, the key only reads its owner's account and API keys.
    pub scopes: Vec<String>,
    /// When it was last used, to within a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When it was deactivated.
    pub deactivated_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl ApiKey {
    /// Returns true if the key is neither deactivated nor expired.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.deactivated_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

/// The select list of an API key, as a literal, for the table `$table`.
macro_rules! api_key_select_list {
    ($table:literal) => {
        select_list!(
            $table,
            id project_id user_id prefix digest name scopes last_used_at expires_at deactivated_at created_at updated_at
        )
    };
}

pub(super) use api_key_select_list;

/// An order of API keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyOrder {
    /// The newest first, by their ids.
    Created,
    /// The one that was used last first; those that were never used come last, the newest first.
    LastUsed,
}

impl ApiKeyOrder {
    /// The position of a key in this order.
    pub fn position(self, key: &ApiKey) -> (Timestamp, ApiKeyId) {
        match self {
            Self::Created => (Timestamp::default(), key.id),
            Self::LastUsed => (key.last_used_at.unwrap_or_default(), key.id),
        }
    }
}

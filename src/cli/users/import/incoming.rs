//! A user as another system exports it, in the terms of Signet, before it is checked.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::reason::{Reason, ReasonCode};
use crate::auth::accounts::MAX_FULL_NAME;
use crate::auth::accounts::create::CreateUser;
use crate::auth::accounts::import::{ImportError, ImportUser, validate_import};
use crate::auth::context::Context;
use crate::auth::identity::Username;
use crate::auth::mfa::SECRET_LENGTHS;
use crate::auth::passwords::import_hash;
use crate::clock::Timestamp;
use crate::encoding::{decode_base32, sha256};
use crate::id::UserId;
use crate::store::accounts::{Billing, NewUser, PasswordHash};
use crate::token::custom_claims::CustomClaims;

/// The data of the other system to take besides the account itself.
pub(super) struct Selection {
    /// The names of claims.
    pub(super) claims: Vec<String>,
    /// The names of roles.
    pub(super) roles: Vec<String>,
    /// The claim that keeps the id of the other system.
    pub(super) id_claim: Option<String>,
}

/// A user of another system.
#[derive(Default)]
pub(super) struct Incoming {
    pub(super) id: Option<String>,
    pub(super) email: Option<String>,
    pub(super) username: Option<String>,
    pub(super) full_name: Option<String>,
    pub(super) password_hash: Option<Zeroizing<String>>,
    pub(super) totp_secret: Option<Zeroizing<Vec<u8>>>,
    pub(super) verified: bool,
    pub(super) disabled: bool,
    pub(super) roles: Vec<String>,
    pub(super) claims: Map<String, Value>,
    pub(super) created_at: Option<Timestamp>,
    /// The reasons why data is not imported.
    pub(super) missing: Vec<Reason>,
}

impl Incoming {
    /// Notes data that is not imported, with the reason.
    pub(super) fn add_missing(&mut self, code: ReasonCode, detail: impl Into<String>) {
        self.missing.push(Reason::new(code, detail));
    }

    /// Takes the selected members of an object as claims.
    pub(super) fn take_claims(&mut self, object: &str, members: Map<String, Value>, selection: &Selection) {
        let mut others = Vec::new();
        for (name, value) in members {
            if selection.claims.contains(&name) {
                self.claims.insert(name, value);
            } else {
                others.push(name);
            }
        }
        if !others.is_empty() {
            self.add_missing(ReasonCode::Metadata, format!("{object}: {}", others.join(", ")));
        }
    }

    /// Takes the secret of an authenticator app in base32 (RFC 4648).
    pub(super) fn take_base32_secret(&mut self, secret: &str) {
        match decode_base32(secret) {
            Some(bytes) => self.totp_secret = Some(Zeroizing::new(bytes)),
            None => self.add_missing(ReasonCode::SecondFactor, "the secret is not base32; it may be encrypted"),
        }
    }

    /// Checks the user. Data that Signet does not take is left out, and the reason is added to `missing`.
    pub(super) fn into_new_user(
        mut self,
        ctx: &Context,
        system: &str,
        selection: &Selection,
    ) -> Result<(NewUser, Vec<Reason>), Reason> {
        let Some(email) = self.email.take() else {
            return Err(Reason::new(ReasonCode::NoEmail, ""));
        };
        self.drop_invalid_names(&email);
        if let Some(error) = self.password_hash.as_ref().and_then(|hash| import_hash(hash).err()) {
            self.add_missing(ReasonCode::Password, error.to_string());
            self.password_hash = None;
        }
        if let Some(length) = self.totp_secret.as_ref().map(|secret| secret.len())
            && !SECRET_LENGTHS.contains(&length)
        {
            self.add_missing(ReasonCode::SecondFactor, format!("the secret has {length} bytes"));
            self.totp_secret = None;
        }
        let custom_claims = self.claims(selection);
        let imported = ImportUser {
            user: CreateUser {
                email,
                username: self.username,
                full_name: self.full_name,
                password: None,
                verified: self.verified,
                disabled: self.disabled,
                superuser: false,
                roles: self.roles,
                custom_claims,
            },
            id: self.id.as_deref().map(|id| user_id(system, id)),
            password_hash: self.password_hash.map(|hash| PasswordHash(hash.to_string())),
            totp_secret: self.totp_secret,
            billing: Billing::default(),
            created_at: self.created_at,
        };
        match validate_import(ctx, imported) {
            Ok(user) => Ok((user, self.missing)),
            Err(error @ ImportError::Email(_)) => Err(Reason::new(ReasonCode::InvalidEmail, error.to_string())),
            Err(error) => Err(Reason::invalid(error.to_string())),
        }
    }

    /// Some systems set the username or the name to the address if there is none.
    fn drop_invalid_names(&mut self, email: &str) {
        let is_email = |name: &String| name.eq_ignore_ascii_case(email);
        self.username = self.username.take().filter(|name| !is_email(name));
        self.full_name = self.full_name.take().filter(|name| !is_email(name));
        if let Some(error) = self.username.as_deref().and_then(|name| Username::parse(name).err()) {
            self.add_missing(ReasonCode::Username, error.to_string());
            self.username = None;
        }
        if self.full_name.as_ref().is_some_and(|name| name.contains('\0') || name.chars().count() > MAX_FULL_NAME) {
            self.add_missing(ReasonCode::FullName, "");
            self.full_name = None;
        }
    }

    /// The claims, or the id alone if they are too many.
    fn claims(&mut self, selection: &Selection) -> CustomClaims {
        let mut id_alone = Map::new();
        if let (Some(name), Some(id)) = (&selection.id_claim, &self.id) {
            id_alone.insert(name.clone(), Value::String(id.clone()));
        }
        self.claims.extend(id_alone.clone());
        match CustomClaims::new(&self.claims) {
            Ok(claims) => claims,
            Err(error) => {
                self.add_missing(ReasonCode::Claim, format!("claims {error}"));
                CustomClaims::new(&id_alone).unwrap_or_default()
            }
        }
    }
}

/// The first and the last name, as one.
pub(super) fn join_names(first: Option<&str>, last: Option<&str>) -> Option<String> {
    match (first, last) {
        (Some(first), Some(last)) => Some(format!("{first} {last}")),
        (first, last) => first.or(last).map(str::to_owned),
    }
}

/// The user id for an id of another system: a UUID stays, and another id always gives the same UUID (RFC 9562, 5.8), so
/// that a repeated import recognizes users whose address has changed since.
fn user_id(system: &str, id: &str) -> UserId {
    UserId::parse(id).unwrap_or_else(|| {
        let digest = sha256(format!("signet import\0{system}\0{id}").as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        UserId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_if_they_are_uuids() {
        let uuid = "8f8c1e0a-7c50-4f5e-9a0e-0d7a3b5c2f11";
        assert_eq!(user_id("keycloak", uuid).to_string(), uuid);
        let derived = user_id("auth0", "auth0|5dea9f9c82dd7c0e76e4ec93");
        assert_eq!(derived, user_id("auth0", "auth0|5dea9f9c82dd7c0e76e4ec93"));
        assert_ne!(derived, user_id("clerk", "auth0|5dea9f9c82dd7c0e76e4ec93"));
        assert_eq!((derived.0.get_version_num(), derived.created_at()), (8, None));
    }
}

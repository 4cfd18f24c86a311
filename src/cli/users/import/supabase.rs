//! Users of Supabase: rows of `auth.users` as CSV with a heading, a JSON array or JSON Lines. A column `totp_secret` can
//! be added from `auth.mfa_factors`.

use zeroize::Zeroizing;

use super::fields::Fields;
use super::incoming::{Incoming, Selection};
use super::reason::{Reason, ReasonCode};
use crate::clock::Timestamp;

/// Members of `raw_app_meta_data` that Supabase sets itself.
const OWN_METADATA: &[&str] = &["provider", "providers"];

/// Providers of Supabase itself. All others are external.
const OWN_PROVIDERS: &[&str] = &["email", "phone"];

/// Members of `raw_user_meta_data` that Supabase sets, or of which the full name is made.
const KNOWN_USER_METADATA: &[&str] =
    &["sub", "iss", "email", "email_verified", "phone_verified", "full_name", "name", "provider_id"];

pub(super) fn read(fields: &Fields, selection: &Selection, now: Timestamp) -> Result<Incoming, Reason> {
    if fields.time("deleted_at")?.is_some() {
        return Err(Reason::new(ReasonCode::Deleted, ""));
    }
    let metadata = Fields::new(fields.object("raw_user_meta_data")?);
    let confirmed = fields.time("email_confirmed_at")?.or(fields.time("confirmed_at")?);
    let full_name = metadata.text("full_name").ok().flatten().or(metadata.text("name").ok().flatten());
    let mut user = Incoming {
        id: fields.text("id")?.map(str::to_owned),
        email: fields.text("email")?.map(str::to_owned),
        full_name: full_name.map(str::to_owned),
        password_hash: fields.text("encrypted_password")?.map(|hash| Zeroizing::new(hash.to_owned())),
        verified: confirmed.is_some(),
        created_at: fields.time("created_at")?,
        ..Incoming::default()
    };
    if fields.time("banned_until")?.is_some_and(|until| until > now) {
        user.disabled = true;
        user.add_missing(ReasonCode::Ban, fields.text("banned_until")?.unwrap_or_default());
    }
    if let Some(secret) = fields.text("totp_secret")? {
        user.take_base32_secret(secret);
    }
    let mut app_metadata = fields.object("raw_app_meta_data")?;
    let mut providers = Fields::new(app_metadata.clone()).texts("providers")?;
    providers.retain(|provider| !OWN_PROVIDERS.contains(&provider.as_str()));
    if !providers.is_empty() {
        user.add_missing(ReasonCode::SocialIdentity, providers.join(", "));
    }
    if fields.text("phone")?.is_some() {
        user.add_missing(ReasonCode::PhoneNumber, "");
    }
    app_metadata.retain(|name, _| !OWN_METADATA.contains(&name.as_str()));
    user.take_claims("raw_app_meta_data", app_metadata, selection);
    let own = fields.object("raw_user_meta_data")?.into_iter().map(|(name, _)| name);
    let own: Vec<_> = own.filter(|name| !KNOWN_USER_METADATA.contains(&name.as_str())).collect();
    if !own.is_empty() {
        user.add_missing(ReasonCode::Metadata, format!("raw_user_meta_data: {}", own.join(", ")));
    }
    Ok(user)
}

//! Users of Clerk: the CSV that its dashboard exports.

use zeroize::Zeroizing;

use super::fields::Fields;
use super::incoming::{Incoming, join_names};
use super::reason::{Reason, ReasonCode};

/// The separators of the values of one column: of Clerk, and of programs that change the file.
const SEPARATORS: [char; 4] = ['|', ',', ';', ' '];

/// Hashers whose digest is written in a format that Signet reads.
const SAME_FORMAT: &[&str] = &["bcrypt", "argon2i", "argon2id", "bcrypt_sha256_django", "pbkdf2_sha256_django"];

pub(super) fn read(fields: &Fields) -> Result<Incoming, Reason> {
    let (verified, unverified) =
        (list(fields, "verified_email_addresses")?, list(fields, "unverified_email_addresses")?);
    let email = fields.text("primary_email_address")?.or(verified.first().copied()).or(unverified.first().copied());
    let mut user = Incoming {
        id: fields.text("id")?.map(str::to_owned),
        email: email.map(str::to_owned),
        username: fields.text("username")?.map(str::to_owned),
        full_name: join_names(fields.text("first_name")?, fields.text("last_name")?),
        // An address is verified only if the export says so.
        verified: email.is_some_and(|email| verified.contains(&email)),
        disabled: fields.flag("banned")?,
        created_at: fields.time("created_at")?,
        ..Incoming::default()
    };
    let further = verified.iter().chain(&unverified).filter(|address| Some(**address) != email).count();
    if further > 0 {
        user.add_missing(ReasonCode::FurtherEmail, further.to_string());
    }
    for name in ["primary_phone_number", "verified_phone_numbers", "unverified_phone_numbers"] {
        if fields.text(name)?.is_some() {
            user.add_missing(ReasonCode::PhoneNumber, "");
            break;
        }
    }
    if let Some(secret) = fields.text("totp_secret")? {
        user.take_base32_secret(secret);
    }
    let (digest, hasher) = (fields.text("password_digest")?, fields.text("password_hasher")?.unwrap_or_default());
    match (digest, hasher) {
        (None, _) => {}
        (Some(digest), "scrypt_firebase") => match firebase_hash(digest) {
            Some(hash) => user.password_hash = Some(hash),
            None => user.add_missing(ReasonCode::Password, "a digest of scrypt_firebase has six parts"),
        },
        (Some(digest), hasher) if SAME_FORMAT.contains(&hasher) => {
            user.password_hash = Some(Zeroizing::new(digest.to_owned()));
        }
        (Some(_), hasher) => user.add_missing(ReasonCode::Password, format!("the hasher {hasher:?} is not supported")),
    }
    Ok(user)
}

/// The values of one column.
fn list<'a>(fields: &'a Fields, name: &str) -> Result<Vec<&'a str>, Reason> {
    let values = fields.text(name)?.unwrap_or_default().split(SEPARATORS);
    Ok(values.filter(|value| !value.is_empty()).collect())
}

/// `hash$salt$signer key$salt separator$rounds$memory cost`.
fn firebase_hash(digest: &str) -> Option<Zeroizing<String>> {
    let [hash, salt, key, separator, rounds, memory] =
        <[&str; 6]>::try_from(digest.split('$').collect::<Vec<_>>()).ok()?;
    Some(Zeroizing::new(format!("$fbscrypt$v=1,n={memory},r={rounds},p=1,ss={separator},sk={key}${salt}${hash}")))
}

//! Users of Firebase: the JSON or CSV of `firebase auth:export`, and the project's parameters of password hashes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;
use zeroize::Zeroizing;

use super::fields::Fields;
use super::incoming::{Incoming, Selection};
use super::reason::{Reason, ReasonCode};
use crate::auth::passwords::import_hash;

/// The columns of the CSV, which has no heading, by the names of the JSON. The last ends each line with a comma.
pub(super) const COLUMNS: &[&str] = &[
    "localId",
    "email",
    "emailVerified",
    "passwordHash",
    "salt",
    "displayName",
    "photoUrl",
    "google.com",
    "googleEmail",
    "googleDisplayName",
    "googlePhotoUrl",
    "facebook.com",
    "facebookEmail",
    "facebookDisplayName",
    "facebookPhotoUrl",
    "twitter.com",
    "twitterEmail",
    "twitterDisplayName",
    "twitterPhotoUrl",
    "github.com",
    "githubEmail",
    "githubDisplayName",
    "githubPhotoUrl",
    "createdAt",
    "lastSignedInAt",
    "phoneNumber",
    "disabled",
    "customAttributes",
];

/// Columns and values of `providerId` that stand for an identity.
const PROVIDERS: &[&str] = &["google.com", "facebook.com", "twitter.com", "github.com"];

/// Providers that are not others: a password, and a phone number, which has a field of its own.
const OWN_PROVIDERS: &[&str] = &["password", "phone"];

/// The largest file of parameters.
const MAX_CONFIG: u64 = 64 << 10;

/// The parameters of a project's password hashes, as far as all users share them: the first part of a stored hash.
pub(super) struct HashConfig(Zeroizing<String>);

impl HashConfig {
    /// Reads the text that the Firebase console shows. The inner error says what is wrong with it.
    pub(super) fn open(path: &Path) -> io::Result<Result<Self, String>> {
        let mut text = Zeroizing::new(String::new());
        File::open(path)?.take(MAX_CONFIG).read_to_string(&mut text)?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Result<Self, String> {
        if let Some(algorithm) = parameter(text, "algorithm").filter(|algorithm| *algorithm != "SCRYPT") {
            return Err(format!("its algorithm is {algorithm}, not SCRYPT"));
        }
        let required = |name: &str| parameter(text, name).ok_or_else(|| format!("it has no {name}"));
        let (key, separator) = (required("base64_signer_key")?, required("base64_salt_separator")?);
        let (rounds, memory) = (required("rounds")?, required("mem_cost")?);
        let project = format!("$fbscrypt$v=1,n={memory},r={rounds},p=1,ss={separator},sk={key}");
        // With a hash as long as the key, so that only the parameters can be wrong.
        import_hash(&format!("{project}$AA==${key}")).map_err(|error| error.to_string())?;
        Ok(Self(Zeroizing::new(project)))
    }

    fn hash(&self, salt: &str, hash: &str) -> Zeroizing<String> {
        Zeroizing::new(format!("{}${salt}${hash}", *self.0))
    }
}

/// The value of `name: value`, up to a comma, a brace or a space.
fn parameter<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(name)?;
    let rest = rest.trim_start_matches(['"', ':', ' ', '\t']);
    let end = rest.find([',', '}', '"', ' ', '\t', '\r', '\n']).unwrap_or(rest.len());
    rest.get(..end).filter(|value| !value.is_empty())
}

pub(super) fn read(fields: &Fields, selection: &Selection, config: Option<&HashConfig>) -> Result<Incoming, Reason> {
    let mut user = Incoming {
        id: fields.text("localId")?.map(str::to_owned),
        email: fields.text("email")?.map(str::to_owned),
        full_name: fields.text("displayName")?.map(str::to_owned),
        verified: fields.flag("emailVerified")?,
        disabled: fields.flag("disabled")?,
        created_at: fields.time("createdAt")?,
        ..Incoming::default()
    };
    match (fields.text("passwordHash")?, fields.text("salt")?, config) {
        (None, ..) => {}
        (Some(hash), salt, Some(config)) => user.password_hash = Some(config.hash(salt.unwrap_or_default(), hash)),
        (Some(_), _, None) => user.add_missing(ReasonCode::Password, "the parameters of the hashes were not given"),
    }
    let mut providers: Vec<String> = Vec::new();
    for identity in fields.objects("providerUserInfo")? {
        providers.extend(identity.text("providerId")?.map(str::to_owned));
    }
    for provider in PROVIDERS {
        if fields.text(provider)?.is_some() {
            providers.push((*provider).to_owned());
        }
    }
    providers.retain(|provider| !OWN_PROVIDERS.contains(&provider.as_str()));
    if !providers.is_empty() {
        user.add_missing(ReasonCode::SocialIdentity, providers.join(", "));
    }
    if fields.text("phoneNumber")?.is_some() {
        user.add_missing(ReasonCode::PhoneNumber, "");
    }
    // `auth:export` leaves it out; exports by the Admin SDK may have it.
    let factors = fields.objects("mfaInfo")?.len();
    if factors > 0 {
        user.add_missing(ReasonCode::SecondFactor, format!("{factors} enrolled"));
    }
    // A list or a text here is nothing that a token can carry.
    let attributes = fields.object("customAttributes")?.into_iter().filter(|(_, value)| *value != Value::Null);
    user.take_claims("customAttributes", attributes.collect(), selection);
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_the_console_shows_them() {
        let key = "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==";
        let shown = format!(
            "hash_config {{\n  algorithm: SCRYPT,\n  base64_signer_key: {key},\n  base64_salt_separator: Bw==,\n  \
             rounds: 8,\n  mem_cost: 14,\n}}\n"
        );
        let expected = format!("$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk={key}");
        assert_eq!(HashConfig::parse(&shown).map(|config| config.0.to_string()), Ok(expected.clone()));
        let json =
            format!(r#"{{"base64_signer_key":"{key}","base64_salt_separator":"Bw==","rounds":8,"mem_cost":14}}"#);
        assert_eq!(HashConfig::parse(&json).map(|config| config.0.to_string()), Ok(expected));
        for (change, why) in [
            (("SCRYPT", "BCRYPT"), "its algorithm is BCRYPT"),
            (("mem_cost", "memory"), "it has no mem_cost"),
            (("mem_cost: 14", "mem_cost: 30"), "too expensive"),
            (("rounds: 8", "rounds: eight"), "malformed"),
        ] {
            let error = HashConfig::parse(&shown.replace(change.0, change.1)).err().unwrap();
            assert!(error.contains(why), "{error}");
        }
    }
}

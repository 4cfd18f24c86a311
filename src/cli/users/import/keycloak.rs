//! Users of a Keycloak export: the member `users` of a realm (`kc.sh export`), with credentials whose data is JSON in
//! text.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::fields::Fields;
use super::incoming::{Incoming, Selection, join_names};
use super::reason::{Reason, ReasonCode};

/// Roles that Keycloak gives everybody.
const BUILT_IN_ROLES: &[&str] = &["offline_access", "uma_authorization"];
const DEFAULT_ROLES_PREFIX: &str = "default-roles-";

/// The action that an unverified address stands for here.
const VERIFY_EMAIL: &str = "VERIFY_EMAIL";

pub(super) fn read(fields: &Fields, selection: &Selection) -> Result<Incoming, Reason> {
    if fields.text("serviceAccountClientId")?.is_some() {
        return Err(Reason::new(ReasonCode::ServiceAccount, ""));
    }
    let mut user = Incoming {
        id: fields.text("id")?.map(str::to_owned),
        email: fields.text("email")?.map(str::to_owned),
        username: fields.text("username")?.map(str::to_owned),
        full_name: join_names(fields.text("firstName")?, fields.text("lastName")?),
        verified: fields.flag("emailVerified")?,
        disabled: !fields.flag("enabled")?,
        created_at: fields.time("createdTimestamp")?,
        ..Incoming::default()
    };
    read_credentials(&mut user, fields)?;
    let identities = fields.objects("federatedIdentities")?;
    if !identities.is_empty() {
        let providers: Vec<_> = identities.iter().filter_map(|one| one.text("identityProvider").ok()?).collect();
        user.add_missing(ReasonCode::SocialIdentity, providers.join(", "));
    }
    let actions: Vec<_> =
        fields.texts("requiredActions")?.into_iter().filter(|action| action != VERIFY_EMAIL).collect();
    if !actions.is_empty() {
        user.add_missing(ReasonCode::RequiredAction, actions.join(", "));
    }
    read_roles(&mut user, fields, selection)?;
    let one_value = |(name, values)| match values {
        Value::Array(mut values) if values.len() == 1 => (name, values.remove(0)),
        values => (name, values),
    };
    let attributes: Map<_, _> = fields.object("attributes")?.into_iter().map(one_value).collect();
    user.take_claims("attributes", attributes, selection);
    Ok(user)
}

fn read_roles(user: &mut Incoming, fields: &Fields, selection: &Selection) -> Result<(), Reason> {
    let is_built_in = |role: &String| BUILT_IN_ROLES.contains(&role.as_str()) || role.starts_with(DEFAULT_ROLES_PREFIX);
    let roles = fields.texts("realmRoles")?.into_iter().filter(|role| !is_built_in(role));
    let (roles, mut others): (Vec<_>, Vec<_>) = roles.partition(|role| selection.roles.contains(role));
    user.roles = roles;
    for (client, roles) in fields.object("clientRoles")? {
        let names = roles.as_array().into_iter().flatten().filter_map(Value::as_str);
        others.extend(names.map(|role| format!("{client}/{role}")));
    }
    others.extend(fields.texts("groups")?);
    if !others.is_empty() {
        user.add_missing(ReasonCode::Role, others.join(", "));
    }
    Ok(())
}

fn read_credentials(user: &mut Incoming, fields: &Fields) -> Result<(), Reason> {
    for credential in fields.objects("credentials")? {
        let kind = credential.text("type")?.unwrap_or_default();
        match kind {
            // The first is the one that Keycloak asks for.
            "password" if user.password_hash.is_none() => match password_hash(&credential) {
                Ok(hash) => user.password_hash = Some(hash),
                Err(why) => user.add_missing(ReasonCode::Password, why.detail),
            },
            "otp" | "totp" | "hotp" if user.totp_secret.is_none() => match totp_secret(&credential) {
                Ok(secret) => user.totp_secret = Some(secret),
                Err(why) => user.add_missing(ReasonCode::SecondFactor, why.detail),
            },
            "password" | "password-history" => {}
            other => user.add_missing(ReasonCode::SecondFactor, other),
        }
    }
    if user.password_hash.is_none()
        && let Some(federation) = fields.text("federationLink")?
    {
        user.add_missing(ReasonCode::Password, format!("it is in the user federation {federation}"));
    }
    Ok(())
}

/// The hash as a PHC string.
fn password_hash(credential: &Fields) -> Result<Zeroizing<String>, Reason> {
    let (secret, data) = (nested(credential, "secretData")?, nested(credential, "credentialData")?);
    let part = |name: &str| {
        let text = secret.text(name)?.ok_or_else(|| Reason::invalid(format!("secretData has no {name}")))?;
        STANDARD.decode(text).map_err(|_| Reason::invalid(format!("{name} of secretData is not base64")))
    };
    let (hash, salt) = (Zeroizing::new(part("value")?), part("salt")?);
    let rounds = data.number("hashIterations").ok_or_else(|| Reason::invalid("no hashIterations"))?;
    let algorithm = data.text("algorithm")?.unwrap_or_default();
    let salt = STANDARD_NO_PAD.encode(salt);
    let text = match algorithm {
        "pbkdf2" => pbkdf2("pbkdf2", 20, rounds, &salt, &hash),
        "pbkdf2-sha256" => pbkdf2(algorithm, 32, rounds, &salt, &hash),
        "pbkdf2-sha512" => pbkdf2(algorithm, 64, rounds, &salt, &hash),
        "argon2" => {
            let parameters = Fields::new(data.object("additionalParameters")?);
            let parameter = |name: &str| parameters.texts(name).ok()?.into_iter().next();
            let version = match parameter("version").as_deref() {
                Some("1.0") => 16,
                Some("1.3") | None => 19,
                Some(_) => return Err(Reason::invalid("an unknown version of Argon2")),
            };
            let (kind, memory) = (parameter("type"), parameter("memory"));
            let (Some(kind), Some(memory), Some(lanes)) = (kind, memory, parameter("parallelism")) else {
                return Err(Reason::invalid("the parameters of Argon2 are incomplete"));
            };
            let hash = STANDARD_NO_PAD.encode(&*hash);
            format!("$argon2{kind}$v={version}$m={memory},t={rounds},p={lanes}${salt}${hash}")
        }
        other => return Err(Reason::invalid(format!("the algorithm {other:?} is not known"))),
    };
    Ok(Zeroizing::new(text))
}

/// Keycloak derives 64 bytes, each block of which costs all rounds again (RFC 8018, 5.2). The first block is as hard to
/// guess as all of them, so it is enough to check that.
fn pbkdf2(name: &str, block: usize, rounds: u64, salt: &str, hash: &[u8]) -> String {
    let first = hash.get(..block).unwrap_or(hash);
    format!("${name}$i={rounds},l={}${salt}${}", first.len(), STANDARD_NO_PAD.encode(first))
}

/// The secret of an authenticator app that shows six digits of SHA-1 for thirty seconds.
fn totp_secret(credential: &Fields) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let (secret, data) = (nested(credential, "secretData")?, nested(credential, "credentialData")?);
    let found = (data.text("subType")?, data.text("algorithm")?, data.number("digits"), data.number("period"));
    match found {
        (Some("totp") | None, Some("HmacSHA1") | None, Some(6) | None, Some(30) | None) => {}
        (sub_type, algorithm, digits, period) => {
            let why = format!(
                "{} with {}, {} digits, {} s",
                sub_type.unwrap_or("totp"),
                algorithm.unwrap_or("HmacSHA1"),
                digits.unwrap_or(6),
                period.unwrap_or(30)
            );
            return Err(Reason::invalid(why));
        }
    }
    let value = secret.text("value")?.ok_or_else(|| Reason::invalid("secretData has no value"))?;
    match data.text("secretEncoding")? {
        None => Ok(Zeroizing::new(value.as_bytes().to_vec())),
        Some("BASE32") => crate::encoding::decode_base32(value)
            .map(Zeroizing::new)
            .ok_or_else(|| Reason::invalid("the secret is not base32")),
        Some(other) => Err(Reason::invalid(format!("the encoding {other:?} of the secret is not known"))),
    }
}

/// An object that is JSON in a text.
fn nested(credential: &Fields, name: &str) -> Result<Fields, Reason> {
    match credential.object(name)? {
        object if object.is_empty() => Err(Reason::invalid(format!("the credential has no {name}"))),
        object => Ok(Fields::new(object)),
    }
}

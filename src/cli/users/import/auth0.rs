//! Users of Auth0: the bulk export in JSON (`users-exports`), which has no passwords, and the file of password hashes
//! that Auth0's support sends on request. Both have one object on each line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use zeroize::Zeroizing;

use super::fields::Fields;
use super::incoming::{Incoming, Selection, join_names};
use super::json::MAX_RECORD;
use super::reason::{Reason, ReasonCode};
use crate::encoding::sha256;

/// The prefix of the ids of users with a password.
const DATABASE: &str = "auth0|";

/// The place of each user's hash in the file of hashes: 16 bytes for each, not the hashes themselves.
pub(super) struct HashFile {
    input: BufReader<File>,
    /// Digests of the ids with the beginnings of their lines, sorted.
    lines: Vec<(u64, u64)>,
}

impl HashFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut input = BufReader::new(File::open(path)?);
        let (mut lines, mut at) = (Vec::new(), 0);
        while let Some((line, length)) = read_line(&mut input)? {
            if let Some(id) = Fields::from_json(&line).ok().and_then(|fields| id(&fields).ok()?) {
                lines.push((digest(&id), at));
            }
            at += length;
        }
        lines.sort_unstable();
        Ok(Self { input, lines })
    }

    /// True if no line is that of a user.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn hash_of(&mut self, user: &str) -> io::Result<Option<Zeroizing<String>>> {
        let wanted = digest(user);
        let first = self.lines.partition_point(|(digest, _)| *digest < wanted);
        let same = self.lines.iter().skip(first).take_while(|(digest, _)| *digest == wanted);
        for (_, start) in same {
            self.input.seek(SeekFrom::Start(*start))?;
            let Some((line, _)) = read_line(&mut self.input)? else { continue };
            let Ok(fields) = Fields::from_json(&line) else { continue };
            if id(&fields).ok().flatten().as_deref() == Some(user) {
                return Ok(fields.text("passwordHash").ok().flatten().map(|hash| Zeroizing::new(hash.to_owned())));
            }
        }
        Ok(None)
    }
}

/// A line, empty if it is too long, and its length in the file.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<(Zeroizing<Vec<u8>>, u64)>> {
    let (mut line, mut length) = (Zeroizing::new(Vec::new()), 0_u64);
    loop {
        let piece = input.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        let end = piece.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(piece.len(), |end| end + 1);
        if line.len() <= MAX_RECORD {
            line.extend_from_slice(&piece[..taken]);
        }
        length += taken as u64;
        input.consume(taken);
        if end.is_some() {
            break;
        }
    }
    if line.len() > MAX_RECORD {
        line.clear();
    }
    Ok((length > 0).then_some((line, length)))
}

fn digest(id: &str) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = sha256(id.as_bytes());
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The id as tokens have it. The file of hashes has it in parts: `alt_id` if the id was chosen, `_id` otherwise.
pub(super) fn id(fields: &Fields) -> Result<Option<String>, Reason> {
    if let Some(id) = fields.text("user_id")? {
        return Ok(Some(id.to_owned()));
    }
    let object = Fields::new(fields.object("_id")?);
    let part = fields.text("alt_id")?.or(object.text("$oid")?);
    Ok(part.map(|part| format!("{DATABASE}{part}")))
}

/// True if the user has a password in Auth0 and no hash of it was found.
pub(super) fn lacks_hash(user: &Incoming) -> bool {
    user.password_hash.is_none() && user.id.as_ref().is_some_and(|id| id.starts_with(DATABASE))
}

/// Reads a user. `hashes` is `None` if no file of hashes was given.
pub(super) fn read(
    fields: &Fields,
    selection: &Selection,
    hashes: Option<&mut HashFile>,
) -> io::Result<Result<Incoming, Reason>> {
    let mut user = match read_fields(fields, selection) {
        Ok(user) => user,
        Err(reason) => return Ok(Err(reason)),
    };
    if let (true, Some(hashes), Some(id)) = (lacks_hash(&user), hashes, &user.id) {
        user.password_hash = hashes.hash_of(id)?;
    }
    if lacks_hash(&user) {
        user.add_missing(ReasonCode::Password, "there is no hash of it");
    }
    Ok(Ok(user))
}

fn read_fields(fields: &Fields, selection: &Selection) -> Result<Incoming, Reason> {
    let name = fields.text("name")?.map(str::to_owned);
    let mut user = Incoming {
        id: id(fields)?,
        email: fields.text("email")?.map(str::to_owned),
        username: fields.text("username")?.map(str::to_owned),
        full_name: join_names(fields.text("given_name")?, fields.text("family_name")?).or(name),
        password_hash: fields.text("passwordHash")?.map(|hash| Zeroizing::new(hash.to_owned())),
        verified: fields.flag("email_verified")?,
        disabled: fields.flag("blocked")?,
        created_at: fields.time("created_at")?,
        ..Incoming::default()
    };
    let identities = fields.objects("identities")?;
    let mut providers: Vec<_> = identities.iter().filter_map(|one| one.text("provider").ok()?).collect();
    let by_id = user.id.clone().unwrap_or_default();
    providers.extend(by_id.split_once('|').map(|(provider, _)| provider));
    providers.retain(|provider| *provider != "auth0");
    providers.sort_unstable();
    providers.dedup();
    if !providers.is_empty() {
        user.add_missing(ReasonCode::SocialIdentity, providers.join(", "));
    }
    let factors = fields.texts("multifactor")?;
    if !factors.is_empty() {
        user.add_missing(ReasonCode::SecondFactor, factors.join(", "));
    }
    if fields.text("phone_number")?.is_some() {
        user.add_missing(ReasonCode::PhoneNumber, "");
    }
    user.take_claims("app_metadata", fields.object("app_metadata")?, selection);
    let own: Vec<_> = fields.object("user_metadata")?.into_iter().map(|(name, _)| name).collect();
    if !own.is_empty() {
        user.add_missing(ReasonCode::Metadata, format!("user_metadata: {}", own.join(", ")));
    }
    Ok(user)
}

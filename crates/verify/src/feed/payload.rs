//! The payload of a frame as JSON, read in one pass: each member once, whether known or not, and none that is null.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::json::{AnyValue, Names, Text, read_once};

#[derive(Serialize)]
pub(super) struct Payload<'a> {
    pub(super) iss: Cow<'a, str>,
    pub(super) time: i64,
    pub(super) epoch: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Cow<'a, str>>,
    pub(super) to: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_before: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) jwks: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) revoked: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) revoked_before: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) segments: Option<Cow<'a, [String]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parts: Option<u32>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Payload<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(PayloadVisitor)
    }
}

/// Not derived: a derived visitor would not check the names and the values of other members.
struct PayloadVisitor;

impl<'de> Visitor<'de> for PayloadVisitor {
    type Value = Payload<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the payload of a frame")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Payload<'de>, A::Error> {
        let (mut iss, mut epoch, mut from, mut to, mut jwks) = (None, None, None, None, None);
        let (mut revoked, mut revoked_before, mut segments) = (None, None, None);
        let (mut time, mut not_before, mut part, mut parts) = (None, None, None, None);
        let mut others = Names::default();
        while let Some(name) = object.next_key::<Text<'de>>()? {
            match &*name {
                "iss" => read_once(&mut iss, &mut object),
                "time" => read_once(&mut time, &mut object),
                "epoch" => read_once(&mut epoch, &mut object),
                "from" => read_once(&mut from, &mut object),
                "to" => read_once(&mut to, &mut object),
                "not_before" => read_once(&mut not_before, &mut object),
                "jwks" => read_once(&mut jwks, &mut object),
                "revoked" => read_once(&mut revoked, &mut object),
                "revoked_before" => read_once(&mut revoked_before, &mut object),
                "segments" => read_once::<Vec<String>, _>(&mut segments, &mut object),
                "part" => read_once(&mut part, &mut object),
                "parts" => read_once(&mut parts, &mut object),
                _ => {
                    others.add(name)?;
                    object.next_value::<AnyValue>().map(drop)
                }
            }?;
        }
        let missing = A::Error::missing_field;
        let text = |text: Text<'de>| text.0;
        Ok(Payload {
            iss: iss.map(text).ok_or_else(|| missing("iss"))?,
            time: time.ok_or_else(|| missing("time"))?,
            epoch: epoch.map(text).ok_or_else(|| missing("epoch"))?,
            from: from.map(text),
            to: to.map(text).ok_or_else(|| missing("to"))?,
            not_before,
            jwks: jwks.map(text),
            revoked: revoked.map(text).unwrap_or_default(),
            revoked_before: revoked_before.map(text).unwrap_or_default(),
            segments: segments.map(Cow::Owned),
            part,
            parts,
        })
    }
}

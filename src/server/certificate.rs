//! Reads when an X.509 certificate expires (RFC 5280, 4.1), and nothing else of it.

use time::{Date, Month, PrimitiveDateTime, Time};

use crate::clock::Timestamp;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The end of the validity of a certificate in DER; `None` if it cannot be read.
pub(super) fn expiry(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (fields, _) = element(certificate, SEQUENCE)?;
    let fields = element(fields, VERSION).map_or(fields, |(_, rest)| rest);
    let (_serial, fields) = element(fields, INTEGER)?;
    let (_signature, fields) = element(fields, SEQUENCE)?;
    let (_issuer, fields) = element(fields, SEQUENCE)?;
    let (validity, _) = element(fields, SEQUENCE)?;
    let (_not_before, validity) = element(validity, UTC_TIME).or_else(|| element(validity, GENERALIZED_TIME))?;
    match element(validity, UTC_TIME) {
        // RFC 5280, 4.1.2.5.1: two digits from 50 on are of the last century.
        Some((text, _)) => {
            let century = if text.first()? >= &b'5' { "19" } else { "20" };
            parse_time(&format!("{century}{}", std::str::from_utf8(text).ok()?))
        }
        None => parse_time(std::str::from_utf8(element(validity, GENERALIZED_TIME)?.0).ok()?),
    }
}

/// The content of the first element, if it has this tag, and what follows it.
fn element(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, input) = input.split_first()?;
    if first != tag {
        return None;
    }
    let (&short, mut input) = input.split_first()?;
    let mut length = usize::from(short);
    if short & 0x80 != 0 {
        let count = usize::from(short & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (bytes, rest) = input.split_at_checked(count)?;
        length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        input = rest;
    }
    input.split_at_checked(length)
}

/// Reads `YYYYMMDDHHMMSSZ`.
fn parse_time(text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.len() == 14)?;
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<u16>().ok();
    let part = |from: usize| u8::try_from(number(from, from + 2)?).ok();
    let date = Date::from_calendar_date(number(0, 4)?.into(), Month::try_from(part(4)?).ok()?, part(6)?).ok()?;
    let time = Time::from_hms(part(8)?, part(10)?, part(12)?).ok()?;
    Some(Timestamp::from_secs(PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 2, 28);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn expiry_is_read_in_both_forms_of_time() {
        assert_eq!(expiry(&certificate(2031)), Some(Timestamp::from_secs(1_930_003_200)));
        assert_eq!(expiry(&certificate(2051)), Some(Timestamp::from_secs(2_561_155_200)));
    }

    #[test]
    fn broken_certificate_has_no_expiry_and_does_not_panic() {
        let whole = certificate(2031);
        for length in 0..whole.len().min(200) {
            let _ = expiry(&whole[..length]);
        }
        assert_eq!(expiry(b""), None);
        assert_eq!(expiry(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(parse_time("20310230000000Z"), None);
    }
}

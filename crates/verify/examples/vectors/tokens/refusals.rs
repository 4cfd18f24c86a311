//! Tokens that are refused for their header, form or signature.

use super::*;

impl Cases<'_> {
    pub(super) fn headers(&mut self) {
        let message = |alg: &str, kid: &str| format!("{}.{}", encode(header(alg, kid)), encode(object(&claims())));
        for alg in ["none", "None", "", "eddsa", "Ed448", "es256", "ES384", "ES256K", "RS256", "PS256"] {
            self.refused(format!("alg {alg:?}"), self.with_header(&header(alg, "ed")), "unsupported_algorithm");
        }
        self.refused("alg none without a signature", format!("{}.", message("none", "ed")), "unsupported_algorithm");
        let unsigned = message("HS256", "ed");
        let key = ed25519("ed").verifying_key().to_bytes();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), unsigned.as_bytes());
        let token = format!("{unsigned}.{}", encode(tag));
        self.refused("HS256 with the public key as the secret", token, "unsupported_algorithm");
        for (alg, kid, signer) in [
            ("ES256", "ed", "ed"),
            ("ES256", "ed", "ec"),
            ("EdDSA", "ec", "ec"),
            ("EdDSA", "ec", "ed"),
            ("Ed25519", "ec", "ed"),
        ] {
            let token = self.keys.jws(signer, &header(alg, kid), object(&claims()));
            self.refused(format!("{alg} with the key {kid}, signed by {signer}"), token, "unsupported_algorithm");
        }
        for kid in ["", "ED", "ed ", "nobody", "rsa", "enc", "small"] {
            self.refused(format!("kid {kid:?}"), self.with_header(&header("EdDSA", kid)), "unknown_key");
        }
        let with = |name: &'static str, value: Value| {
            let mut members = vec![("alg", json!("EdDSA")), ("typ", json!("at+jwt")), ("kid", json!("ed"))];
            members.retain(|(own, _)| *own != name);
            members.push((name, value));
            object(&members)
        };
        for name in ["alg", "typ", "kid"] {
            let header = with(name, json!(5));
            self.refused(format!("{name} is a number"), self.with_header(&header), "malformed");
        }
        let no_kid = object(&vec![("alg", json!("EdDSA")), ("typ", json!("at+jwt"))]);
        self.refused("no kid", self.with_header(&no_kid), "unknown_key");
        let no_typ = object(&vec![("alg", json!("EdDSA")), ("kid", json!("ed"))]);
        self.refused("no typ", self.with_header(&no_typ), "wrong_type");
        let no_alg = object(&vec![("typ", json!("at+jwt")), ("kid", json!("ed"))]);
        self.refused("no alg", self.with_header(&no_alg), "malformed");
        for typ in [
            "JWT",
            "at+jwt ",
            "x/at+jwt",
            "application/application/at+jwt",
            "signet-revocations+jws",
            "signet-second-factor+jwt",
            "signet-magic-link+jwt",
            "signet-confirm-email+jwt",
            "signet-reset-password+jwt",
        ] {
            self.refused(format!("typ {typ:?}"), self.with_header(&with("typ", json!(typ))), "wrong_type");
        }
        for (name, value) in [
            ("crit", json!(["exp"])),
            ("crit", json!([])),
            ("crit", Value::Null),
            ("b64", json!(true)),
            ("jku", json!("https://id.example.org/.well-known/jwks.json")),
            ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": encode(ed25519("ed").verifying_key().as_bytes())})),
            ("x5u", json!("https://id.example.org/x")),
            ("x5c", json!([])),
            ("zip", json!("DEF")),
        ] {
            let header = with(name, value.clone());
            self.refused(format!("header with {name} {value}"), self.with_header(&header), "malformed");
        }
        for (name, header) in [
            ("two alg", r#"{"alg":"EdDSA","typ":"at+jwt","kid":"ed","alg":"EdDSA"}"#),
            ("two kid, one with an escape", r#"{"kid":"ed-2","alg":"EdDSA","typ":"at+jwt","\u006bid":"ed"}"#),
            ("header is a list", "[]"),
            ("header is empty", ""),
            ("header with a byte order mark", "\u{feff}{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"ed\"}"),
            ("header with more text", r#"{"alg":"EdDSA","typ":"at+jwt","kid":"ed"}{}"#),
            ("header with a comma at the end", r#"{"alg":"EdDSA","typ":"at+jwt","kid":"ed",}"#),
        ] {
            self.refused(name, self.with_header(header), "malformed");
        }
    }

    pub(super) fn forms(&mut self) {
        let good = self.token(&claims());
        let parts: Vec<&str> = good.split('.').collect();
        let [header, payload, signature] = [parts[0], parts[1], parts[2]];
        for (name, token) in [
            ("one segment", header.to_owned()),
            ("two segments", format!("{header}.{payload}")),
            ("four segments", format!("{good}.{signature}")),
            ("four segments, the last empty", format!("{good}.")),
            ("five segments", format!("{good}.{payload}.{signature}")),
            ("no payload", format!("{header}..{signature}x")),
            ("no signature", format!("{header}.{payload}.")),
            ("only dots", "..".to_owned()),
            ("white space before", format!(" {good}")),
            ("line feed after", format!("{good}\n")),
            ("padding of the signature", format!("{good}==")),
            ("padding of the header", format!("{header}==.{payload}.{signature}")),
            ("truncated signature", good[..good.len() - 1].to_owned()),
            ("longer signature", format!("{good}AA")),
            ("standard alphabet", format!("{header}.{payload}.{}+/", &signature[..84])),
            ("character that is not ASCII", format!("é{good}")),
            ("percent encoding", good.replace('.', "%2E")),
        ] {
            self.refused(name, token, "malformed");
        }
        // The last character of 64 bytes has four unused bits.
        let last = signature.as_bytes()[85];
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let value = alphabet.iter().position(|one| *one == last).unwrap_or_default();
        let other = char::from(alphabet[value | 1]);
        let token = format!("{}{other}", &good[..good.len() - 1]);
        self.refused("unused bits of the signature are set", token, "malformed");
        let mut members = claims();
        members.push(("pad", json!("")));
        while object(&members).len() % 3 != 1 {
            members
                .last_mut()
                .into_iter()
                .for_each(|(_, pad)| *pad = json!(format!("{}x", pad.as_str().unwrap_or_default())));
        }
        let mut odd = encode(object(&members));
        let last = odd.pop().unwrap_or_default();
        let value = alphabet.iter().position(|one| char::from(*one) == last).unwrap_or_default();
        odd.push(char::from(alphabet[value | 1]));
        let message = format!("{header}.{odd}");
        let token = format!("{message}.{}", encode(self.keys.sign("ed", &message)));
        self.refused("unused bits of the payload are set", token, "malformed");
        for (name, payload) in [
            ("payload is empty", &b""[..]),
            ("payload is a list", b"[]"),
            ("payload is a text", b"\"{}\""),
            ("payload is not UTF-8", b"{\"sub\":\"\xff\"}"),
        ] {
            self.refused(name, self.payload(payload), "malformed");
        }
        let payload = object(&claims());
        for (name, payload) in [
            ("payload with a byte order mark", format!("\u{feff}{payload}")),
            ("payload with more text", format!("{payload}{payload}")),
            ("payload with NaN", payload.replacen('{', "{\"x\":NaN,", 1)),
            ("payload with a comment", payload.replacen('{', "{/**/", 1)),
            ("two sub", payload.replacen('{', "{\"sub\":\"user-2\",", 1)),
            ("two sub, one with an escape", payload.replacen('{', "{\"s\\u0075b\":\"user-2\",", 1)),
            ("two exp", payload.replacen('{', "{\"exp\":1,", 1)),
            ("two aud", payload.replacen('{', "{\"aud\":\"orders\",", 1)),
            ("sub with half of a character", payload.replace("user-1", r"\ud83d")),
            ("sid with half of a character", payload.replace(SID, r"\ude00")),
        ] {
            self.refused(name, self.payload(payload), "malformed");
        }
    }

    pub(super) fn signatures(&mut self) {
        let payload = object(&claims());
        for (alg, kid) in [("EdDSA", "ed"), ("ES256", "ec")] {
            let header = header(alg, kid);
            let other = object(&with("sub", json!("user-2")));
            let (one, two) = (self.keys.jws(kid, &header, &payload), self.keys.jws(kid, &header, &other));
            let (message, _) = one.rsplit_once('.').unwrap_or_default();
            let (_, signature) = two.rsplit_once('.').unwrap_or_default();
            // An ES256 signature of another token is random, so it is not used.
            let wrong = if kid == "ec" { encode([0x11; 64]) } else { signature.to_owned() };
            self.refused(format!("{alg}: signature of another token"), format!("{message}.{wrong}"), "bad_signature");
            self.refused(
                format!("{alg}: signature of zeros"),
                format!("{message}.{}", encode([0; 64])),
                "bad_signature",
            );
            self.refused(
                format!("{alg}: signature of ones"),
                format!("{message}.{}", encode([255; 64])),
                "bad_signature",
            );
        }
        let token = self.keys.jws("stranger", &header("EdDSA", "ed"), &payload);
        self.refused("signed by a key that is not in the set", token, "bad_signature");
        let token = self.keys.jws("ed-2", &header("EdDSA", "ed"), &payload);
        self.refused("signed by another key of the set", token, "bad_signature");
        let message = format!("{}.{}", encode(header("EdDSA", "ed")), encode(&payload));
        let mut signature = self.keys.sign("ed", &message);
        // RFC 8032, 5.1: the order of the group, little-endian.
        let order =
            b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10";
        let mut carry = 0;
        for (byte, more) in signature[32..].iter_mut().zip(order) {
            carry += u16::from(*byte) + u16::from(*more);
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        self.refused("EdDSA: S is not reduced", format!("{message}.{}", encode(signature)), "bad_signature");
        // R is the neutral element, and S fits: the equation holds.
        let key = ed25519("ed");
        let mut signature = [0; 64];
        signature[0] = 1;
        let hashed = [&signature[..32], key.verifying_key().as_bytes(), message.as_bytes()].concat();
        let mut wide = [0; 64];
        wide.copy_from_slice(digest(&SHA512, &hashed).as_ref());
        let s = Scalar::from_bytes_mod_order_wide(&wide) * key.to_scalar();
        signature[32..].copy_from_slice(s.as_bytes());
        self.refused("EdDSA: R has a small order", format!("{message}.{}", encode(signature)), "bad_signature");
        // With the neutral element as the key, R = B and S = 1 is a signature of everything.
        let message = format!("{}.{}", encode(header("EdDSA", "small")), encode(&payload));
        let mut signature = [0x66; 64];
        signature[0] = 0x58;
        signature[32..].copy_from_slice(Scalar::ONE.as_bytes());
        let token = format!("{message}.{}", encode(signature));
        self.refused("EdDSA: the key has a small order", token, "unknown_key");

        let message = format!("{}.{}", encode(header("ES256", "ec")), encode(&payload));
        let raw = self.keys.sign_es256(&message, false);
        self.refused("ES256: signature in DER", format!("{message}.{}", encode(der(&raw))), "malformed");
        let members = with("jti", json!("019a82df-8000-7000-8000-000000000003"));
        let message = format!("{}.{}", encode(header("ES256", "ec")), encode(object(&members)));
        let token = format!("{message}.{}", encode(self.keys.sign_es256(&message, true)));
        let jti = [("jti", json!("019a82df-8000-7000-8000-000000000003"))];
        self.valid("ES256: signature with a high s", token, &jti);
    }
}

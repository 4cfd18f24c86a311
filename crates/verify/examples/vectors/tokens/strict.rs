//! Tokens that some JSON parsers accept and others do not, and tokens with several faults.

use super::*;

/// The largest whole number of all implementations: 2⁵³ − 1.
const MAX_INTEGER: i64 = (1 << 53) - 1;

impl Cases<'_> {
    /// Texts that no implementation may read in its own way, whether it uses the member or not.
    pub(super) fn json(&mut self) {
        let (payload, header) = (object(&claims()), header("EdDSA", "ed"));
        let put = |json: &str, members: &str| json.replacen('{', &format!("{{{members},"), 1);
        let lists = |depth: usize| format!("\"x\":{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = |depth: usize| format!("\"x\":{}0{}", "{\"x\":".repeat(depth), "}".repeat(depth));
        for (name, members) in [
            ("two members of one name", r#""x":1,"x":2"#.to_owned()),
            ("two members of one name, one with an escape", r#""x":1,"\u0078":2"#.to_owned()),
            ("two members of one name in a member", r#""x":{"a":1,"b":2,"a":1}"#.to_owned()),
            ("two members of one name in a list", r#""x":[[{"a":1,"a":1}]]"#.to_owned()),
            ("half of a character", r#""x":"\ud83d""#.to_owned()),
            ("half of a character in a list", r#""x":["\ude00"]"#.to_owned()),
            ("half of a character in a name", r#""\ud83d":1"#.to_owned()),
            ("halves of a character in the wrong order", r#""x":"\ude00\ud83d""#.to_owned()),
            ("a number beyond a double", r#""x":1e400"#.to_owned()),
            ("an integer beyond a double", format!("\"x\":[{}]", "9".repeat(400))),
            ("128 levels of lists", lists(127)),
            ("128 levels of objects", objects(127)),
        ] {
            self.refused(format!("payload: {name}"), self.payload(put(&payload, &members)), "malformed");
            self.refused(format!("header: {name}"), self.with_header(&put(&header, &members)), "malformed");
        }
        for (name, members) in [
            ("a character as two escapes", r#""x":"\ud83d\ude00""#.to_owned()),
            ("brackets and colons in a text", format!("\"x\":\"{}:\\\"{{\\\\\"", "[".repeat(200))),
            ("numbers of all kinds", r#""x":[1e308,-0,0.0,1E+2,123456789012345678901234567890]"#.to_owned()),
            ("127 levels of lists", lists(126)),
            ("127 levels of objects", objects(126)),
            ("one name in two objects", r#""x":{"a":{"a":1}},"y":{"a":1}"#.to_owned()),
        ] {
            self.valid(format!("payload: {name}"), self.payload(put(&payload, &members)), &[]);
            self.valid(format!("header: {name}"), self.with_header(&put(&header, &members)), &[]);
        }
    }

    /// The ways to write a time.
    pub(super) fn numbers(&mut self) {
        let write = |name: &'static str, text: &str| {
            let mark = "\"a number\"";
            object(&with(name, json!("a number"))).replacen(mark, text, 1)
        };
        for name in ["exp", "nbf", "iat", "auth_time"] {
            for text in
                ["1763130321.0", "1763130321e0", "17631303210E-1", "-0", "9007199254740992", "-9007199254740992"]
            {
                self.refused(format!("{name} is {text}"), self.payload(write(name, text)), "malformed");
            }
        }
        let changed = [("expires_at", json!(MAX_INTEGER))];
        self.valid("exp is the largest integer", self.token(&with("exp", json!(MAX_INTEGER))), &changed);
        self.valid("nbf is the smallest integer", self.token(&with("nbf", json!(-MAX_INTEGER))), &[]);
        let changed = [("issued_at", json!(0))];
        self.valid("iat is zero", self.token(&with("iat", json!(0))), &changed);
    }

    /// Tokens with two faults: the reason is the first one in the order of README.
    pub(super) fn order(&mut self) {
        let message = |alg: &str, kid: &str, payload: &str| format!("{}.{}", encode(header(alg, kid)), encode(payload));
        let payload = object(&claims());
        let unsigned = |alg: &str, kid: &str, signature: &str| format!("{}.{signature}", message(alg, kid, &payload));
        self.refused("order: alg, then the signature's form", unsigned("RS256", "ed", "x"), "unsupported_algorithm");
        self.refused("order: kid, then the signature's form", unsigned("EdDSA", "nobody", "x"), "unknown_key");
        self.refused(
            "order: the key's alg, then the signature's form",
            unsigned("ES256", "ed", "x"),
            "unsupported_algorithm",
        );
        let header_of = |alg: &str, typ: &str, kid: &str| {
            object(&vec![("alg", json!(alg)), ("typ", json!(typ)), ("kid", json!(kid))])
        };
        let token = self.with_header(&header_of("none", "JWT", "ed"));
        self.refused("order: alg, then typ", token, "unsupported_algorithm");
        let token = self.with_header(&header_of("EdDSA", "JWT", "nobody"));
        self.refused("order: typ, then kid", token, "wrong_type");
        let zeros = encode([0; 64]);
        let token = format!("{}.{zeros}", message("EdDSA", "ed", "{"));
        self.refused("order: the signature, then the payload's form", token, "bad_signature");
        let token = format!("{}.!.{zeros}", encode(header("EdDSA", "ed")));
        self.refused("order: the signature, then the payload's encoding", token, "bad_signature");
        let both = |one: (&'static str, Value), two: (&'static str, Value)| {
            let mut members = with(one.0, one.1);
            members.retain(|(name, _)| *name != two.0);
            members.push(two);
            members
        };
        let issuer = ("iss", json!("https://id.example.com"));
        let token = self.token(&both(issuer.clone(), ("email", json!(5))));
        self.refused("order: the claims' form, then iss", token, "malformed");
        let token = self.token(&both(issuer, ("aud", json!("billing"))));
        self.refused("order: iss, then aud", token, "wrong_issuer");
        let token = self.token(&both(("aud", json!("billing")), ("exp", json!(1))));
        self.refused("order: aud, then exp", token, "wrong_audience");
        let token = self.token(&both(("exp", json!(1)), ("nbf", json!(NOW + 600))));
        self.refused("order: exp, then nbf", token, "expired");
        let options = [("subject", json!("client")), ("scopes", json!(["admin"]))];
        let token = self.token(&with("nbf", json!(NOW + 600)));
        self.add("order: nbf, then the subject", token, &options, ("error", json!("not_yet_valid")));
        let token = self.token(&claims());
        self.add("order: the subject, then the scopes", token, &options, ("error", json!("wrong_subject")));
    }
}

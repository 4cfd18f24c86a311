//! Near misses of a token: claims of other types, other serializations, and tokens that are cut, extended or
//! re-encoded.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::jwt::Forger;
use crate::support::forge::{sign, sign_text, with};
use crate::support::server::SendRequest;

fn labelled(what: impl std::fmt::Display, token: String) -> (String, String) {
    (what.to_string(), token)
}

/// Signed by the right key: claims that another signer, or a bug in Signet, might write.
#[tokio::test]
async fn claims_of_a_wrong_type_are_refused() {
    let forger = Forger::start().await;
    let header = forger.header.to_string();
    let now = forger.claims["iat"].as_i64().unwrap();
    let late = now + 600;
    let mut forged = Vec::new();
    // As text, because `serde_json::Value` cannot hold some of these.
    let mut add = |claim: &str, text: &str| {
        let changed = with(forger.claims.clone(), &json!({claim: "HERE"})).to_string().replace("\"HERE\"", text);
        forged.push(labelled(format!("{claim}: {text}"), sign_text(&forger.key, &header, &changed)));
    };
    for date in ["exp", "nbf", "iat"] {
        for text in [
            &format!("\"{late}\""),
            &format!("{late}.0"),
            &format!("{late}.5"),
            "1.9e9",
            "1e400",
            "-1e400",
            "null",
            "true",
            "\"\"",
            "[]",
            "{}",
            &format!("[{late}]"),
            "9223372036854775808",
            "18446744073709551616",
            "-9223372036854775809",
            "NaN",
            "Infinity",
            "0x7fffffff",
            &format!("0{late}"),
            &format!("+{late}"),
        ] {
            add(date, text);
        }
    }
    for text in ["-1", "0", "-9223372036854775808", &(now - 600).to_string()] {
        add("exp", text);
    }
    for text in [&late.to_string(), "9223372036854775807"] {
        add("nbf", text);
    }
    for text in [
        "null",
        "7",
        "[]",
        "{}",
        "\"\"",
        "\"Signet\"",
        "\"signet \"",
        "\" signet\"",
        "\"signet,other\"",
        "\"other signet\"",
        "[\"other\"]",
        "[\"signet\", 7]",
        "[null]",
        "[[\"signet\"]]",
        "{\"signet\":1}",
        "\"*\"",
    ] {
        add("aud", text);
    }
    let iss = forger.claims["iss"].as_str().unwrap();
    for text in [
        "null",
        "7",
        "[]",
        "\"\"",
        &format!("[{}]", json!(iss)),
        &json!(format!("{iss}/")).to_string(),
        &json!(iss.to_uppercase()).to_string(),
        &json!(format!("{iss}#")).to_string(),
        &json!(&iss[..iss.len() - 1]).to_string(),
    ] {
        add("iss", text);
    }
    for text in ["null", "7", "[]", "{}"] {
        add("sub", text);
    }
    for claims in ["", "null", "7", "\"\"", "[]", "{}", "{", "\u{feff}{}", &format!("[{}]", forger.claims)] {
        forged.push(labelled(claims, sign_text(&forger.key, &header, claims)));
    }
    let text = forger.claims.to_string();
    for claims in [format!("{text}{text}"), format!("{text}\0"), format!("{text},"), text.replace('"', "'")] {
        forged.push(labelled(&claims, sign_text(&forger.key, &header, &claims)));
    }
    for typ in [
        "JWT",
        "jwt",
        "at",
        "at+jwt ",
        " at+jwt",
        "at+jwt;v=1",
        "application/",
        "application/jwt",
        "text/at+jwt",
        "dpop+jwt",
        "logout+jwt",
        "signet-second-factor+jwt",
        "signet-magic-link+jwt",
        "signet-confirm-email+jwt",
        "signet-reset-password+jwt",
        "",
    ] {
        forged
            .push(labelled(typ, sign(&forger.key, &with(forger.header.clone(), &json!({"typ": typ})), &forger.claims)));
    }
    forger.assert_all_refused(&forged).await;
    // The unchanged claims are valid when signed the same way, so nothing else caused the refusals.
    let same = sign_text(&forger.key, &header, &text);
    forger.server.verify(&same).await.is(200);
}

/// RFC 7515, 7.2: neither as text nor as JSON within JSON.
#[tokio::test]
async fn json_serializations_are_refused() {
    let forger = Forger::start().await;
    let parts: Vec<&str> = forger.valid.split('.').collect();
    let signature = json!({"protected": parts[0], "signature": parts[2]});
    let forms = [
        json!({"payload": parts[1], "protected": parts[0], "signature": parts[2]}),
        json!({"payload": parts[1], "header": forger.header, "signature": parts[2]}),
        json!({"payload": parts[1], "signatures": [signature]}),
        json!({"payload": parts[1], "signatures": [{"protected": parts[0], "signature": ""}, signature]}),
        json!([forger.valid]),
        json!({"token": forger.valid}),
    ];
    let forged: Vec<_> = forms.iter().map(|form| labelled("as text", form.to_string())).collect();
    forger.assert_all_refused(&forged).await;
    for form in &forms {
        for (path, body) in [
            ("/verify", json!({"token": form})),
            ("/verify/batch", json!({"tokens": form})),
            ("/verify/batch", json!({"tokens": [form]})),
            ("/verify", form.clone()),
            ("/api/v1/verify", json!({"token": form})),
        ] {
            // A list that contains a valid token is a batch.
            if (path, &body["tokens"]) != ("/verify/batch", &json!([forger.valid]))
                && body["token"] != json!(forger.valid)
            {
                let response = forger.server.post(path).json(&body).send_checked().await;
                assert!((400..500).contains(&response.status), "{path} {body}: {response:?}");
            }
        }
    }
    let chained = ["~", ",", "\n", " ", "&", ";", "\0"].map(|between| format!("{0}{between}{0}", forger.valid));
    let nested = sign(&forger.key, &with(forger.header.clone(), &json!({"cty": "JWT"})), &json!(forger.valid));
    let jwe = format!("{}.{}.{}.{}.{}", parts[0], "", "AA", parts[1], parts[2]);
    let mut forged: Vec<_> = chained.into_iter().map(|token| labelled("chained", token)).collect();
    forged.extend([labelled("nested", nested), labelled("five parts", jwe)]);
    forger.assert_all_refused(&forged).await;
}

#[tokio::test]
async fn token_has_exactly_one_encoding() {
    let forger = Forger::start().await;
    let valid = &forger.valid;
    let mut forged = Vec::new();
    for at in 0..valid.len() {
        forged.push(labelled("cut", valid[..at].to_owned()));
        forged.push(labelled("cut at the front", valid[valid.len() - at..].to_owned()));
        forged.push(labelled("one byte removed", format!("{}{}", &valid[..at], &valid[at + 1..])));
        for extra in ["A", ".", "=", "\n"] {
            forged.push(labelled("one byte added", format!("{}{extra}{}", &valid[..at], &valid[at..])));
        }
        let other = valid.as_bytes()[at] ^ if valid.as_bytes()[at] == b'.' { 0 } else { 1 };
        forged.push(labelled("one byte changed", format!("{}{}{}", &valid[..at], char::from(other), &valid[at + 1..])));
    }
    for extra in
        ["=", "==", ".", "A", "AAAA", " ", "\n", "\r\n", "\t", "\0", "%00", "%20", "\u{a0}", "\u{feff}", ";", "#"]
    {
        forged.push(labelled("suffix", format!("{valid}{extra}")));
        forged.push(labelled("prefix", format!("{extra}{valid}")));
    }
    let parts: Vec<&str> = valid.split('.').collect();
    for (at, part) in parts.iter().enumerate() {
        let with_part = |other: String| {
            let mut all = parts.clone();
            all[at] = &other;
            all.join(".")
        };
        let padded = format!("{part}{}", "=".repeat((4 - part.len() % 4) % 4));
        let percent: String = part.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for other in
            [padded, part.replace('-', "+").replace('_', "/"), percent, format!(" {part}"), format!("{part}\n")]
        {
            forged.push(labelled("re-encoded", with_part(other)));
        }
        // The unused bits of the last character: RFC 4648, 3.5.
        let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
        let alphabet = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*b"-_");
        let lax = base64::engine::GeneralPurpose::new(
            &base64::alphabet::URL_SAFE,
            base64::engine::GeneralPurposeConfig::new()
                .with_decode_allow_trailing_bits(true)
                .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
        );
        for last in alphabet.map(char::from) {
            let other = format!("{}{last}", &part[..part.len() - 1]);
            if lax.decode(&other).unwrap() == bytes {
                forged.push(labelled("unused bits", with_part(other)));
            }
        }
    }
    forged.push(labelled("encoded twice", URL_SAFE_NO_PAD.encode(valid)));
    forged.push(labelled("long", format!("{valid}{}", "A".repeat(20_000))));
    forged.push(labelled("dots", ".".repeat(5000)));
    forged.retain(|(_, token)| token != valid);
    assert!(forged.len() > 3000, "{}", forged.len());
    let values: Vec<Value> = forged.iter().map(|(_, token)| json!(token)).collect();
    // All tokens in batches; as bearers only the last 200, which include every kind: prefixes, suffixes, re-encodings.
    for chunk in values.chunks(60) {
        let mut tokens = chunk.to_vec();
        tokens.push(json!(valid));
        let response =
            forger.server.post("/verify/batch").json(&json!({"tokens": tokens})).send_checked().await.is(200).json();
        let active: Vec<&Value> =
            response["results"].as_array().unwrap().iter().map(|result| &result["active"]).collect();
        for (token, active) in chunk.iter().zip(&active) {
            assert_eq!(**active, false, "{token}");
        }
        assert_eq!(active[chunk.len()], true);
    }
    let few: Vec<_> = forged.iter().rev().take(200).cloned().collect();
    forger.assert_all_refused(&few).await;
}

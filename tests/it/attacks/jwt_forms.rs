//! Texts that are nearly a token: claims of other types, other serialisations, cut, lengthened and respelt at every byte.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::jwt::Forge;
use crate::support::forge::{sign, sign_text, with};
use crate::support::server::SendRequest;

fn named(what: impl std::fmt::Display, token: String) -> (String, String) {
    (what.to_string(), token)
}

/// Signed by the right key: what a signer that is not Signet, or a bug of its own, might write.
#[tokio::test]
async fn claims_are_of_their_type_or_nothing() {
    let forge = Forge::open().await;
    let header = forge.header.to_string();
    let now = forge.claims["iat"].as_i64().unwrap();
    let late = now + 600;
    let mut forged = Vec::new();
    // JSON that `serde_json::Value` cannot hold is written as text.
    let mut written = |claim: &str, text: &str| {
        let changed = with(forge.claims.clone(), &json!({claim: "HERE"})).to_string().replace("\"HERE\"", text);
        forged.push(named(format!("{claim}: {text}"), sign_text(&forge.key, &header, &changed)));
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
            written(date, text);
        }
    }
    for text in ["-1", "0", "-9223372036854775808", &(now - 600).to_string()] {
        written("exp", text);
    }
    for text in [&late.to_string(), "9223372036854775807"] {
        written("nbf", text);
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
        written("aud", text);
    }
    let iss = forge.claims["iss"].as_str().unwrap();
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
        written("iss", text);
    }
    for text in ["null", "7", "[]", "{}"] {
        written("sub", text);
    }
    for claims in ["", "null", "7", "\"\"", "[]", "{}", "{", "\u{feff}{}", &format!("[{}]", forge.claims)] {
        forged.push(named(claims, sign_text(&forge.key, &header, claims)));
    }
    let text = forge.claims.to_string();
    for claims in [format!("{text}{text}"), format!("{text}\0"), format!("{text},"), text.replace('"', "'")] {
        forged.push(named(&claims, sign_text(&forge.key, &header, &claims)));
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
        forged.push(named(typ, sign(&forge.key, &with(forge.header.clone(), &json!({"typ": typ})), &forge.claims)));
    }
    forge.believes_none(&forged).await;
    // The same, written as they should be, are good: it was not something else that was refused.
    let same = sign_text(&forge.key, &header, &text);
    forge.server.verify(&same).await.is(200);
}

/// RFC 7515, 7.2: neither in a text nor as JSON in JSON.
#[tokio::test]
async fn no_other_serialisation() {
    let forge = Forge::open().await;
    let parts: Vec<&str> = forge.good.split('.').collect();
    let signature = json!({"protected": parts[0], "signature": parts[2]});
    let forms = [
        json!({"payload": parts[1], "protected": parts[0], "signature": parts[2]}),
        json!({"payload": parts[1], "header": forge.header, "signature": parts[2]}),
        json!({"payload": parts[1], "signatures": [signature]}),
        json!({"payload": parts[1], "signatures": [{"protected": parts[0], "signature": ""}, signature]}),
        json!([forge.good]),
        json!({"token": forge.good}),
    ];
    let forged: Vec<_> = forms.iter().map(|form| named("as text", form.to_string())).collect();
    forge.believes_none(&forged).await;
    for form in &forms {
        for (path, body) in [
            ("/verify", json!({"token": form})),
            ("/verify/batch", json!({"tokens": form})),
            ("/verify/batch", json!({"tokens": [form]})),
            ("/verify", form.clone()),
            ("/api/v1/verify", json!({"token": form})),
        ] {
            // A list with a good token in it is a batch.
            if (path, &body["tokens"]) != ("/verify/batch", &json!([forge.good])) && body["token"] != json!(forge.good)
            {
                let answer = forge.server.post(path).json(&body).send_checked().await;
                assert!((400..500).contains(&answer.status), "{path} {body}: {answer:?}");
            }
        }
    }
    let chained = ["~", ",", "\n", " ", "&", ";", "\0"].map(|between| format!("{0}{between}{0}", forge.good));
    let nested = sign(&forge.key, &with(forge.header.clone(), &json!({"cty": "JWT"})), &json!(forge.good));
    let jwe = format!("{}.{}.{}.{}.{}", parts[0], "", "AA", parts[1], parts[2]);
    let mut forged: Vec<_> = chained.into_iter().map(|token| named("chained", token)).collect();
    forged.extend([named("nested", nested), named("five parts", jwe)]);
    forge.believes_none(&forged).await;
}

#[tokio::test]
async fn a_token_has_one_spelling() {
    let forge = Forge::open().await;
    let good = &forge.good;
    let mut forged = Vec::new();
    for at in 0..good.len() {
        forged.push(named("cut", good[..at].to_owned()));
        forged.push(named("cut from the front", good[good.len() - at..].to_owned()));
        forged.push(named("one less", format!("{}{}", &good[..at], &good[at + 1..])));
        for more in ["A", ".", "=", "\n"] {
            forged.push(named("one more", format!("{}{more}{}", &good[..at], &good[at..])));
        }
        let other = good.as_bytes()[at] ^ if good.as_bytes()[at] == b'.' { 0 } else { 1 };
        forged.push(named("another", format!("{}{}{}", &good[..at], char::from(other), &good[at + 1..])));
    }
    for more in
        ["=", "==", ".", "A", "AAAA", " ", "\n", "\r\n", "\t", "\0", "%00", "%20", "\u{a0}", "\u{feff}", ";", "#"]
    {
        forged.push(named("more behind", format!("{good}{more}")));
        forged.push(named("more before", format!("{more}{good}")));
    }
    let parts: Vec<&str> = good.split('.').collect();
    for (at, part) in parts.iter().enumerate() {
        let respelt = |other: String| {
            let mut all = parts.clone();
            all[at] = &other;
            all.join(".")
        };
        let padded = format!("{part}{}", "=".repeat((4 - part.len() % 4) % 4));
        let percent: String = part.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for other in
            [padded, part.replace('-', "+").replace('_', "/"), percent, format!(" {part}"), format!("{part}\n")]
        {
            forged.push(named("respelt", respelt(other)));
        }
        // The bits over of the last character: RFC 4648, 3.5.
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
                forged.push(named("bits over", respelt(other)));
            }
        }
    }
    forged.push(named("all of it encoded", URL_SAFE_NO_PAD.encode(good)));
    forged.push(named("long", format!("{good}{}", "A".repeat(20_000))));
    forged.push(named("dots", ".".repeat(5000)));
    forged.retain(|(_, token)| token != good);
    assert!(forged.len() > 3000, "{}", forged.len());
    let values: Vec<Value> = forged.iter().map(|(_, token)| json!(token)).collect();
    // The bearer's sake is served by a few of each kind: what is before and behind, and what is respelt.
    for some in values.chunks(60) {
        let mut tokens = some.to_vec();
        tokens.push(json!(good));
        let answer =
            forge.server.post("/verify/batch").json(&json!({"tokens": tokens})).send_checked().await.is(200).json();
        let active: Vec<&Value> =
            answer["results"].as_array().unwrap().iter().map(|result| &result["active"]).collect();
        for (token, active) in some.iter().zip(&active) {
            assert_eq!(**active, false, "{token}");
        }
        assert_eq!(active[some.len()], true);
    }
    let few: Vec<_> = forged.iter().rev().take(200).cloned().collect();
    forge.believes_none(&few).await;
}

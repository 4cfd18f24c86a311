//! What is in a mail, and what never is.

use std::os::unix::fs::PermissionsExt;

use super::*;

const LINK: &str = "https://id.example.com/reset?token=eyJhbGciOiJFZERTQSJ9.eyJhIjoiYiJ9-_~.sig&a=%20b";

fn all() -> [(Letter, Option<&'static str>); 9] {
    let (code, link) = (|| "031415".to_owned(), || LINK.to_owned());
    [
        (Letter::SignInCode { code: code() }, Some("031415")),
        (Letter::ConfirmCode { code: code() }, Some("031415")),
        (Letter::MagicLink { link: link() }, Some(LINK)),
        (Letter::ResetPassword { link: link() }, Some(LINK)),
        (Letter::ConfirmEmail { link: link() }, Some(LINK)),
        (Letter::EmailChanged { new: "byron@example.net".to_owned() }, None),
        (Letter::PasswordChanged, None),
        (Letter::SecondFactorOn, None),
        (Letter::SecondFactorOff, None),
    ]
}

#[tokio::test]
async fn every_letter_is_whole_in_every_language() {
    let room = Room::open(&settings());
    for (accept, hello) in [("en", "Hello,"), ("zh-TW", "您好：")] {
        let language = room.mailer.language(Some(accept));
        for (letter, alone) in all() {
            let named = format!("{letter:?} {accept}");
            let read = room.written(letter, language).await;
            assert_eq!(read.0["defects"], serde_json::json!([]), "{named}");
            assert_eq!(read.0["type"], "multipart/alternative");
            assert_eq!(read.0["parts"].as_array().unwrap().len(), 2);
            assert_eq!(read.0["parts"][0]["type"], "text/plain", "the plain one first: RFC 2046, 5.1.4");
            assert_eq!(read.header("from"), "Signet <signet@localhost>");
            assert_eq!(read.header("to"), "ada@example.org");
            assert_eq!(read.header("date"), "Sat, 21 Nov 2026 04:00:00 +0000");
            assert_eq!(read.header("auto-submitted"), "auto-generated");
            assert!(read.header("message-id").ends_with("@localhost>"));
            assert!(!read.header("subject").is_empty() && read.headers("reply-to").is_empty());
            let (text, html) = (read.text(), read.html());
            assert!(text.starts_with(hello), "{named}: {text}");
            assert!(html.starts_with("<!doctype html>") && html.contains(&format!("lang=\"{accept}\"")));
            assert!(!text.contains("{{") && !html.contains("{{"), "{named}");
            assert!(
                !html.contains("src=") && !html.contains("<link") && !html.contains("<script"),
                "nothing is fetched"
            );
            assert!(text.contains("ada@example.org") && html.contains("ada@example.org"), "{named}");
            if let Some(alone) = alone {
                assert_eq!(text.lines().filter(|line| *line == alone).count(), 1, "{named}: {text}");
                assert!(html.contains(&alone.replace('&', "&amp;")), "{named}");
                let words = text.split_whitespace().collect::<Vec<_>>();
                let long = words.contains(&"10") || text.contains("2026-11-21 04:10 UTC");
                assert!(long, "for how long: {named}: {text}");
            }
        }
    }
    let ids = room.outbox().into_iter().map(|file| {
        let mail = std::fs::read_to_string(file).unwrap();
        mail.lines().find(|line| line.starts_with("Message-ID")).unwrap().to_owned()
    });
    assert_eq!(ids.collect::<std::collections::BTreeSet<_>>().len(), 18);
}

#[tokio::test]
async fn an_english_mail_can_be_read_as_it_lies_in_the_outbox() {
    let room = Room::open(&settings());
    let link = format!("{LINK}{}", "x".repeat(800));
    room.written(Letter::ResetPassword { link: link.clone() }, Language::default()).await;
    let raw = std::fs::read_to_string(&room.outbox()[0]).unwrap();
    assert!(raw.lines().any(|line| line == link), "{raw}");
    assert_eq!(raw.matches("Content-Transfer-Encoding: 7bit").count(), 2);
    assert!(raw.lines().all(|line| line.len() <= 998) && raw.matches('\n').count() == raw.matches("\r\n").count());

    // RFC 5322, 2.1.1: what does not fit a line is broken up on the way, and whole again when it is read.
    let link = format!("{LINK}{}", "x".repeat(2_000));
    let read = room.written(Letter::ResetPassword { link: link.clone() }, Language::default()).await;
    let raw = std::fs::read_to_string(&room.outbox()[1]).unwrap();
    assert!(raw.lines().all(|line| line.len() <= 998) && read.text().lines().any(|line| line == link));
}

#[tokio::test]
async fn a_code_in_chinese_stands_alone_on_a_line_of_the_file_too() {
    let room = Room::open(&settings());
    let language = room.mailer.language(Some("zh-HK"));
    room.written(Letter::ConfirmCode { code: "271828".to_owned() }, language).await;
    let raw = std::fs::read_to_string(&room.outbox()[0]).unwrap();
    assert!(raw.is_ascii() && raw.lines().any(|line| line == "271828"), "{raw}");
}

#[tokio::test]
async fn the_outbox_is_its_owners_and_in_order() {
    let room = Room::open(&settings());
    for number in 0..30 {
        let mail = mail("ada@example.org", Letter::SignInCode { code: format!("{number:06}") });
        room.mailer.send_and_wait(mail, PATIENCE).await.unwrap();
        room.clock.advance(Duration::from_millis(number % 3));
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&room.dir.path().join("outbox")), 0o700);
    for (number, file) in room.outbox().iter().enumerate() {
        assert_eq!((mode(file), file.extension().unwrap().to_str()), (0o600, Some("eml")));
        let mail = std::fs::read_to_string(file).unwrap();
        assert!(mail.lines().any(|line| line == format!("{number:06}")), "{}", file.display());
    }
}

#[tokio::test]
async fn a_file_in_the_outbox_is_whole_whenever_it_is_seen() {
    let room = Room::open(&settings());
    for _ in 0..200 {
        room.mailer.enqueue(code("ada@example.org"));
    }
    let outbox = room.dir.path().join("outbox");
    until("all are there", async || {
        let files = std::fs::read_dir(&outbox).into_iter().flatten().map(|entry| entry.unwrap().path());
        let shown = files.filter(|file| file.extension().is_some_and(|it| it == "eml")).collect::<Vec<_>>();
        for file in &shown {
            assert!(std::fs::read_to_string(file).unwrap().ends_with("--\r\n"), "{}", file.display());
        }
        shown.len() == 200
    })
    .await;
}

#[tokio::test]
async fn the_old_address_is_not_told_the_whole_of_the_new_one() {
    let room = Room::open(&settings());
    for (new, shown) in [("byron@example.net", "b***@example.net"), ("δοκιμή@example.net", "δ***@example.net")] {
        let read = room.written(Letter::EmailChanged { new: new.to_owned() }, Language::default()).await;
        assert!(read.text().contains(shown) && read.html().contains(shown), "{}", read.text());
        assert!(!read.0.to_string().contains(new));
    }
}

#[tokio::test]
async fn nothing_that_is_said_becomes_a_header() {
    let room = Room::open(&settings());
    let mut refused = 0;
    for trick in ["\r\nBcc: eve@example.org", "\nBcc: eve@example.org", "\rBcc: eve@example.org", "\0", "\u{85}Bcc: e"]
    {
        for mail in [
            code(&format!("ada@example.org{trick}")),
            code(&format!("ada{trick}@example.org")),
            mail("ada@example.org", Letter::SignInCode { code: format!("1{trick}") }),
            mail("ada@example.org", Letter::MagicLink { link: format!("https://x/{trick}") }),
            mail("ada@example.org", Letter::EmailChanged { new: format!("b{trick}@example.net") }),
        ] {
            assert_eq!(
                room.mailer.send_and_wait(mail, PATIENCE).await,
                Err(signet::mail::DeliveryError::Refused),
                "{trick:?}"
            );
            refused += 1;
        }
    }
    for nobody in ["", "ada", "ada@", "@example.org", "a b@example.org", "ada@example.org, eve@example.org", "<a@b.c>"]
    {
        assert!(room.mailer.send_and_wait(code(nobody), PATIENCE).await.is_err(), "{nobody}");
        refused += 1;
    }
    assert_eq!(room.ended("refused"), refused);
    assert!(!room.dir.path().join("outbox").exists(), "nothing was written");
}

#[tokio::test]
async fn every_address_that_an_account_can_have_gets_mail() {
    let room = Room::open(&settings());
    for address in [
        "o'hara+tag.x@example.org",
        "!#$%&'*+-/=?^_`{|}~@example.org",
        "a@xn--bcher-kva.example",
        "δοκιμή@xn--hxajbheg2az3al.xn--jxalpdlp",
        "用户@xn--fsqu00a.xn--4gqp21l",
    ] {
        assert_eq!(room.mailer.send_and_wait(code(address), PATIENCE).await, Ok(()), "{address}");
        let read = smtp::Letter::read(&std::fs::read(room.outbox().pop().unwrap()).unwrap());
        assert_eq!(read.header("to"), address);
    }
}

#[test]
fn what_is_written_to_a_log_shows_no_code_and_no_link() {
    let shown = format!("{:?}", all().map(|(letter, _)| mail("ada@example.org", letter)));
    for secret in ["031415", "token", "byron"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("sign-in-code"));
}

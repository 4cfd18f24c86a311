//! The contents of mails: every letter in every language, headers, encodings, and the outbox.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use super::*;

const LINK: &str = "https://id.example.com/reset?token=eyJhbGciOiJFZERTQSJ9.eyJhIjoiYiJ9-_~.sig&a=%20b";

/// Every letter, with the code or link that must be alone on a line.
fn all_letters() -> [(Letter, Option<&'static str>); 16] {
    let (code, link) = (|| "031415".to_owned(), || LINK.to_owned());
    [
        (Letter::SignInCode { code: code() }, Some("031415")),
        (Letter::ConfirmCode { code: code() }, Some("031415")),
        (Letter::MagicLink { link: link() }, Some(LINK)),
        (Letter::ResetPassword { link: link() }, Some(LINK)),
        (Letter::ConfirmEmail { link: link() }, Some(LINK)),
        (Letter::EmailChangeRequested { new: "byron@example.net".to_owned() }, None),
        (Letter::EmailChanged { new: "byron@example.net".to_owned() }, None),
        (Letter::PasswordChanged, None),
        (Letter::SecondFactorOn, None),
        (Letter::SecondFactorOff, None),
        (Letter::RecoveryCodesReplaced, None),
        (credentials_removed(), None),
        (Letter::ApiKeyCreated { prefix: "sk_4k8wq0zj2m7n".to_owned() }, None),
        (Letter::AccountDeleted, None),
        (Letter::NewSignIn, None),
        (Letter::Test, None),
    ]
}

#[test]
fn list_of_letters_is_complete() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mail/letters/en");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let subjects = files.filter(|file| file.extension().is_some_and(|extension| extension == "subject"));
    let built_in: BTreeSet<_> = subjects.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let listed: BTreeSet<_> = all_letters().iter().map(|(letter, _)| format!("{letter:?}")).collect();
    assert_eq!(listed, built_in);
}

fn credentials_removed() -> Letter {
    Letter::CredentialsRemoved { passwords: "1".to_owned(), second_factors: "0".to_owned(), api_keys: "17".to_owned() }
}

#[tokio::test]
async fn removed_credentials_are_counted() {
    let mailer = TestMailer::open(&settings());
    for (accept, lines) in [
        ("en", ["Passwords: 1", "Second factors, with their recovery codes: 0", "API keys: 17"]),
        ("zh-TW", ["密碼：1", "兩步驟驗證（含復原碼）：0", "API 金鑰：17"]),
    ] {
        let read = mailer.deliver(credentials_removed(), mailer.handle.language(Some(accept))).await;
        for line in lines {
            assert!(read.text().lines().any(|it| it == line), "{accept}: {}", read.text());
            assert!(read.html().contains(&format!("<li>{line}</li>")), "{accept}: {}", read.html());
        }
    }
}

#[tokio::test]
async fn every_letter_is_complete_in_every_language() {
    let mailer = TestMailer::open(&settings());
    for (accept, hello) in [("en", "Hello,"), ("zh-TW", "您好：")] {
        let language = mailer.handle.language(Some(accept));
        for (letter, alone) in all_letters() {
            let case = format!("{letter:?} {accept}");
            let read = mailer.deliver(letter, language).await;
            assert_eq!(read.0["defects"], serde_json::json!([]), "{case}");
            assert_eq!(read.0["type"], "multipart/alternative");
            assert_eq!(read.0["parts"].as_array().unwrap().len(), 2);
            assert_eq!(read.0["parts"][0]["type"], "text/plain", "RFC 2046, 5.1.4: the plain text comes first");
            assert_eq!(read.header("from"), "Signet <signet@localhost>");
            assert_eq!(read.header("to"), "ada@example.org");
            assert_eq!(read.header("date"), "Sat, 21 Nov 2026 04:00:00 +0000");
            assert_eq!(read.header("auto-submitted"), "auto-generated");
            assert!(read.header("message-id").ends_with("@localhost>"));
            assert!(!read.header("subject").is_empty() && read.headers("reply-to").is_empty());
            let (text, html) = (read.text(), read.html());
            assert!(text.starts_with(hello), "{case}: {text}");
            assert!(html.starts_with("<!doctype html>") && html.contains(&format!("lang=\"{accept}\"")));
            assert!(!text.contains("{{") && !html.contains("{{"), "{case}");
            assert!(
                !html.contains("src=") && !html.contains("<link") && !html.contains("<script"),
                "a mail loads no resources"
            );
            assert!(text.contains("ada@example.org") && html.contains("ada@example.org"), "{case}");
            if let Some(alone) = alone {
                assert_eq!(text.lines().filter(|line| *line == alone).count(), 1, "{case}: {text}");
                assert!(html.contains(&alone.replace('&', "&amp;")), "{case}");
                let words = text.split_whitespace().collect::<Vec<_>>();
                let has_lifetime = words.contains(&"10") || text.contains("2026-11-21 04:10 UTC");
                assert!(has_lifetime, "no lifetime: {case}: {text}");
            }
        }
    }
    let ids = mailer.outbox().into_iter().map(|file| {
        let mail = std::fs::read_to_string(file).unwrap();
        mail.lines().find(|line| line.starts_with("Message-ID")).unwrap().to_owned()
    });
    assert_eq!(ids.collect::<std::collections::BTreeSet<_>>().len(), 2 * all_letters().len());
}

/// The text of an HTML part that its reader sees: without tags, styles and white space.
fn visible(html: &str) -> String {
    let body = html.split_once("<body").expect("it has a body").1;
    let mut text = String::new();
    let mut rest = body.split_once('>').expect("it has a body").1;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        rest = tag.split_once('>').expect("the tag ends").1;
    }
    let text = text.replace("&#39;", "'").replace("&quot;", "\"").replace("&amp;", "&");
    without_spacing(&text)
}

/// A text without white space and colons: the text part has colons where the HTML part has a table.
fn without_spacing(text: &str) -> String {
    text.split_whitespace().collect::<String>().replace([':', '：'], "")
}

#[tokio::test]
async fn both_parts_of_a_letter_say_the_same() {
    let mailer = TestMailer::open(&settings());
    for accept in ["en", "zh-TW"] {
        let language = mailer.handle.language(Some(accept));
        for (letter, _) in all_letters() {
            let case = format!("{letter:?} {accept}");
            let read = mailer.deliver(letter, language).await;
            let html = visible(read.html());
            let text = read.text().replace('\r', "");
            for paragraph in text.split("\n\n").flat_map(|paragraph| {
                // A line of its own is an item; the other lines of a paragraph are one text.
                if paragraph.contains(": ") || paragraph.contains('：') {
                    paragraph.lines().collect()
                } else {
                    vec![paragraph]
                }
            }) {
                let words = without_spacing(paragraph);
                assert!(html.contains(&words), "{case}: {paragraph} is not in {html}");
            }
        }
    }
}

#[tokio::test]
async fn code_is_in_the_subject_and_links_are_not() {
    let mailer = TestMailer::open(&config::Mail { service_name: "Äpfel".to_owned(), ..settings() });
    for accept in ["en", "zh-TW"] {
        let language = mailer.handle.language(Some(accept));
        for (letter, alone) in all_letters() {
            let case = format!("{letter:?} {accept}");
            let read = mailer.deliver(letter, language).await;
            let subject = read.header("subject");
            assert!(subject.contains("Äpfel"), "{case}: {subject}");
            assert_eq!(subject.starts_with("031415 "), alone == Some("031415"), "{case}: {subject}");
            assert!(!subject.contains("http"), "{case}: {subject}");
            // Phones show some forty characters.
            assert!(subject.chars().count() <= 75, "{case}: {subject}");
        }
    }
}

#[tokio::test]
async fn every_letter_has_a_preheader_and_the_design() {
    let mailer = TestMailer::open(&settings());
    for accept in ["en", "zh-TW"] {
        let language = mailer.handle.language(Some(accept));
        let mut seen = std::collections::BTreeSet::new();
        for (letter, _) in all_letters() {
            let case = format!("{letter:?} {accept}");
            let read = mailer.deliver(letter, language).await;
            let html = read.html();
            let hidden = html.split_once("<div style=\"display:none").expect(&case).1;
            let preheader = hidden.split_once('>').unwrap().1.trim_start().lines().next().unwrap().to_owned();
            assert!(preheader.chars().count() >= 15 && preheader.chars().count() <= 110, "{case}: {preheader}");
            assert!(!preheader.contains("031415"), "{case}: the code is in the subject already");
            assert!(html.contains(">Signet</p>") && html.contains(">Signet</td>"), "{case}: the name, twice");
            assert!(html.contains("prefers-color-scheme: dark") && html.contains("role=\"presentation\""), "{case}");
            assert!(!html.contains("url(") && !html.contains("@import"), "{case}: a mail loads no resources");
            seen.insert(preheader);
        }
        assert_eq!(seen.len(), all_letters().len(), "each letter has its own");
    }
}

#[tokio::test]
async fn notices_tell_time_device_and_what_to_do() {
    let mailer = TestMailer::open(&settings());
    for (accept, lines, operator) in [
        (
            "en",
            ["Time: 2026-11-21 04:00 UTC", "Device: Firefox, Linux", "IP address: 192.0.2.7"],
            ["Device: an administrator", "IP address: –"],
        ),
        (
            "zh-TW",
            ["時間：2026-11-21 04:00 UTC", "裝置：Firefox, Linux", "IP 位址：192.0.2.7"],
            ["裝置：管理人員", "IP 位址：–"],
        ),
    ] {
        let language = mailer.handle.language(Some(accept));
        for (letter, _) in all_letters().into_iter().filter(|(_, alone)| alone.is_none()) {
            let case = format!("{letter:?} {accept}");
            let read = mailer.deliver(letter.clone(), language).await;
            for line in lines {
                assert!(read.text().lines().any(|it| it == line), "{case}: {}", read.text());
            }
            let html = read.html();
            assert!(html.contains("Firefox, Linux") && html.contains("192.0.2.7"), "{case}");
            let account = read.text().lines().filter(|line| *line == "http://127.0.0.1:8000/account").count();
            let support = read.text().contains("support") || read.text().contains("管理人員");
            assert!(account == 1 || support, "{case}: what to do: {}", read.text());

            let by_operator = Origin { at: NOW, by: OriginBy::Operator };
            let read = mailer.deliver_mail(Mail { language, origin: by_operator, ..mail("ada@example.org", letter) });
            let read = read.await;
            for line in operator {
                assert!(read.text().lines().any(|it| it == line), "{case}: {}", read.text());
            }
        }
    }
}

#[tokio::test]
async fn user_agent_cannot_write_into_a_notice() {
    let mailer = TestMailer::open(&settings());
    for agent in ["Call +1 555 0100", "<b>Firefox</b>", "Chrome/1 https://evil.example\r\nBcc: eve@example.org"] {
        let origin = Origin { at: NOW, by: OriginBy::client([192, 0, 2, 7].into(), Some(agent)) };
        let read = mailer.deliver_mail(Mail { origin, ..mail("ada@example.org", Letter::NewSignIn) }).await;
        let device = read.text().lines().find_map(|line| line.strip_prefix("Device: ")).unwrap().to_owned();
        assert!(["unknown", "Chrome"].contains(&device.as_str()), "{agent}: {device}");
        assert!(!read.0.to_string().contains("evil") && !read.0.to_string().contains("555 0100"));
    }
}

#[tokio::test]
async fn logo_is_the_only_remote_content() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("logo.png");
    std::fs::write(&path, b"\x89PNG\r\n\x1a\n and pixels").unwrap();
    let logo = config::Logo { path: path.clone(), url: "https://id.example.com/pages/logo?a&b".to_owned() };
    let with_logo = config::Mail { logo: Some(logo), service_name: "A \"B\"".to_owned(), ..settings() };
    let mailer = TestMailer::open(&with_logo);
    for (letter, _) in all_letters() {
        let case = format!("{letter:?}");
        let html = mailer.deliver(letter, Language::default()).await.html().to_owned();
        let image = "<img src=\"https://id.example.com/pages/logo?a&amp;b\" alt=\"A &quot;B&quot;\"";
        assert!(html.contains(image) && html.matches("src=").count() == 1, "{case}: {html}");
    }
    for (content, problem) in [
        (&b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], "is neither a PNG nor a JPEG file"),
        (&[&b"\x89PNG\r\n\x1a\n"[..], &[0; 64 * 1024]].concat(), "is larger than 64 KiB"),
    ] {
        std::fs::write(&path, content).unwrap();
        let metrics = Arc::new(Metrics::new::<&str>(&[], NOW));
        let error = try_open(&with_logo, dir.path(), &Clock::manual(NOW), &metrics).err().expect(problem).to_string();
        assert!(error.starts_with("mail.logo: ") && error.ends_with(problem), "{error}");
    }
}

#[tokio::test]
async fn english_mail_is_readable_in_the_outbox_file() {
    let mailer = TestMailer::open(&settings());
    let link = format!("{LINK}{}", "x".repeat(800));
    mailer.deliver(Letter::ResetPassword { link: link.clone() }, Language::default()).await;
    let raw = std::fs::read_to_string(&mailer.outbox()[0]).unwrap();
    assert!(raw.lines().any(|line| line == link), "{raw}");
    assert_eq!(raw.matches("Content-Transfer-Encoding: 7bit").count(), 2);
    assert!(raw.lines().all(|line| line.len() <= 998) && raw.matches('\n').count() == raw.matches("\r\n").count());

    // RFC 5322, 2.1.1: longer lines are folded in transit and restored by the reader.
    let link = format!("{LINK}{}", "x".repeat(2_000));
    let read = mailer.deliver(Letter::ResetPassword { link: link.clone() }, Language::default()).await;
    let raw = std::fs::read_to_string(&mailer.outbox()[1]).unwrap();
    assert!(raw.lines().all(|line| line.len() <= 998) && read.text().lines().any(|line| line == link));
}

#[tokio::test]
async fn code_is_alone_on_a_line_in_chinese_files() {
    let mailer = TestMailer::open(&settings());
    let language = mailer.handle.language(Some("zh-HK"));
    mailer.deliver(Letter::ConfirmCode { code: "271828".to_owned() }, language).await;
    let raw = std::fs::read_to_string(&mailer.outbox()[0]).unwrap();
    assert!(raw.is_ascii() && raw.lines().any(|line| line == "271828"), "{raw}");
}

#[tokio::test]
async fn the_outbox_is_its_owners_and_in_order() {
    let mailer = TestMailer::open(&settings());
    for number in 0..30 {
        let mail = mail("ada@example.org", Letter::SignInCode { code: format!("{number:06}") });
        mailer.handle.send_and_wait(mail, WAIT_TIMEOUT).await.unwrap();
        mailer.clock.advance(Duration::from_millis(number % 3));
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&mailer.dir.path().join("outbox")), 0o700);
    let files = mailer.outbox();
    assert_eq!(files.len(), 30);
    for (number, file) in files.iter().enumerate() {
        assert_eq!((mode(file), file.extension().unwrap().to_str()), (0o600, Some("eml")));
        let mail = std::fs::read_to_string(file).unwrap();
        assert!(mail.lines().any(|line| line == format!("{number:06}")), "{}", file.display());
    }
}

#[tokio::test]
async fn outbox_file_is_always_complete() {
    let mailer = TestMailer::open(&settings());
    for _ in 0..200 {
        mailer.handle.enqueue(code("ada@example.org"));
    }
    let outbox = mailer.dir.path().join("outbox");
    until("all mails are there", async || {
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
async fn new_address_is_masked_in_the_mail_to_the_old_one() {
    let mailer = TestMailer::open(&settings());
    for (new, shown) in [("byron@example.net", "b***@example.net"), ("δοκιμή@example.net", "δ***@example.net")] {
        let read = mailer.deliver(Letter::EmailChanged { new: new.to_owned() }, Language::default()).await;
        assert!(read.text().contains(shown) && read.html().contains(shown), "{}", read.text());
        assert!(!read.0.to_string().contains(new));
    }
}

#[tokio::test]
async fn content_cannot_inject_headers() {
    let mailer = TestMailer::open(&settings());
    let mut refused = 0;
    for injection in
        ["\r\nBcc: eve@example.org", "\nBcc: eve@example.org", "\rBcc: eve@example.org", "\0", "\u{85}Bcc: e"]
    {
        for mail in [
            code(&format!("ada@example.org{injection}")),
            code(&format!("ada{injection}@example.org")),
            mail("ada@example.org", Letter::SignInCode { code: format!("1{injection}") }),
            mail("ada@example.org", Letter::MagicLink { link: format!("https://x/{injection}") }),
            mail("ada@example.org", Letter::EmailChanged { new: format!("b{injection}@example.net") }),
        ] {
            assert_eq!(
                mailer.handle.send_and_wait(mail, WAIT_TIMEOUT).await,
                Err(signet::mail::DeliveryError::Refused),
                "{injection:?}"
            );
            refused += 1;
        }
    }
    for invalid in ["", "ada", "ada@", "@example.org", "a b@example.org", "ada@example.org, eve@example.org", "<a@b.c>"]
    {
        assert!(mailer.handle.send_and_wait(code(invalid), WAIT_TIMEOUT).await.is_err(), "{invalid}");
        refused += 1;
    }
    assert_eq!(mailer.count_mails("refused"), refused);
    assert!(!mailer.dir.path().join("outbox").exists(), "nothing was written");
}

#[tokio::test]
async fn every_valid_address_gets_mail() {
    let mailer = TestMailer::open(&settings());
    for address in [
        "o'hara+tag.x@example.org",
        "!#$%&'*+-/=?^_`{|}~@example.org",
        "a@xn--bcher-kva.example",
        "δοκιμή@xn--hxajbheg2az3al.xn--jxalpdlp",
        "用户@xn--fsqu00a.xn--4gqp21l",
    ] {
        assert_eq!(mailer.handle.send_and_wait(code(address), WAIT_TIMEOUT).await, Ok(()), "{address}");
        let read = smtp::ParsedMail::parse(&std::fs::read(mailer.outbox().pop().unwrap()).unwrap());
        assert_eq!(read.header("to"), address);
    }
}

#[test]
fn debug_output_contains_no_code_and_no_link() {
    let output = format!("{:?}", all_letters().map(|(letter, _)| mail("ada@example.org", letter)));
    for secret in ["031415", "token", "byron"] {
        assert!(!output.contains(secret), "{output}");
    }
    assert!(output.contains("sign-in-code"));
}

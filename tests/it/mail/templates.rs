//! An operator's own letters.

use signet::config;

use super::*;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn with(folder: &TempDir) -> config::Mail {
    config::Mail { templates: Some(folder.path().to_owned()), ..settings() }
}

fn link(link: &str) -> Letter {
    Letter::MagicLink { link: link.to_owned() }
}

#[tokio::test]
async fn one_file_is_enough_to_change_a_letter_of_a_built_in_language() {
    let own = folder(&[("en/sign-in-code.subject", "{{service}}: your code\n"), (".DS_Store", "")]);
    let settings = config::Mail { service_name: "Äpfel & Birnen".to_owned(), ..with(&own) };
    let read = Room::open(&settings).written(code("").letter, Language::default()).await;
    assert_eq!(read.header("subject"), "Äpfel & Birnen: your code");
    assert!(read.text().contains("sign in to Äpfel & Birnen as ada@example.org"), "the rest is as it was");
}

#[tokio::test]
async fn a_language_can_be_added_and_lacks_what_it_lacks_in_english() {
    let own = folder(&[
        ("de/magic-link.subject", "Anmelden bei {{service}}"),
        ("de/magic-link.txt", "Hallo {{email}}, {{minutes}} Minuten, bis {{until}}:\n\n{{link}}\n"),
        ("de/magic-link.html", "<p><a href=\"{{link}}\">Anmelden</a></p>"),
    ]);
    let room = Room::open(&with(&own));
    let german = room.mailer.language(Some("de-AT, en;q=0.5"));
    let read = room.written(link("https://x/?a=1&b=\"<c>'"), german).await;
    assert_eq!(read.header("subject"), "Anmelden bei Signet");
    let lines = read.text().lines().collect::<Vec<_>>();
    assert_eq!(lines, ["Hallo ada@example.org, 10 Minuten, bis 2026-11-21 04:10 UTC:", "", "https://x/?a=1&b=\"<c>'"]);
    assert!(
        read.html().contains("<a href=\"https://x/?a=1&amp;b=&quot;&lt;c&gt;&#39;\">Anmelden</a>"),
        "{}",
        read.html()
    );
    assert!(read.html().contains("lang=\"de\""));
    assert!(room.written(Letter::PasswordChanged, german).await.text().starts_with("Hello,"));
    assert_eq!(room.mailer.language(Some("fr")), Language::default());
}

#[tokio::test]
async fn the_page_around_can_be_changed_and_a_letter_can_bring_its_own() {
    let own = folder(&[
        ("layout.html", "<html lang=\"{{language}}\"><title>{{subject}}</title>{{body}}<i>{{service}}</i></html>"),
        ("zh-tw/second-factor-on.html", "<!DOCTYPE html><p>{{email}}</p>"),
    ]);
    let room = Room::open(&config::Mail { service_name: "<b>".to_owned(), ..with(&own) });
    let html = room.written(Letter::PasswordChanged, Language::default()).await.html().to_owned();
    assert!(html.starts_with("<html lang=\"en\"><title>Your &lt;b&gt; password was changed</title><p>"), "{html}");
    assert!(html.trim_end().ends_with("<i>&lt;b&gt;</i></html>"), "{html}");
    let chinese = room.mailer.language(Some("zh"));
    let html = room.written(Letter::SecondFactorOn, chinese).await.html().to_owned();
    assert_eq!(html.trim_end(), "<!DOCTYPE html><p>ada@example.org</p>");
}

#[tokio::test]
async fn what_is_put_into_a_template_is_not_read_as_one() {
    let room = Room::open(&config::Mail { service_name: "{{code}}".to_owned(), ..settings() });
    let read = room.written(code("").letter, Language::default()).await;
    assert_eq!(read.header("subject"), "Your {{code}} sign-in code");
    assert!(read.text().contains("sign in to {{code}} as") && read.html().contains("<p style"), "{}", read.text());
}

#[test]
fn letters_that_cannot_be_used_keep_the_server_from_starting() {
    let code_text = "Hello\n\n{{code}}\n";
    for (files, told) in [
        (&[("en/sign-in-code.txt", "{{code}}\n{{cod}}")][..], "en/sign-in-code.txt has {{cod}}"),
        (
            &[("en/sign-in-code.txt", "{{code}}\n{{link}}")],
            "it can have {{service}}, {{email}}, {{minutes}}, {{until}}, {{code}}",
        ),
        (&[("en/sign-in-code.txt", "Your code is {{code}}.")], "must have {{code}} alone on a line"),
        (&[("en/magic-link.txt", "{{link")], "must have {{link}} alone on a line"),
        (&[("en/magic-link.html", "<p>")], "en/magic-link.html must have {{link}}"),
        (&[("en/password-changed.txt", "{{email")], "has {{ without }}"),
        (&[("en/sign-in-code.subject", "Hello\r\nBcc: eve@example.org")], "en/sign-in-code.subject must be one line"),
        (&[("en/sign-in-code.subject", "\n")], "must be one line"),
        (&[("en/sign-in.txt", code_text)], "en/sign-in.txt is unexpected there"),
        (&[("en/sign-in-code.md", code_text)], "en/sign-in-code.md is unexpected there"),
        (&[("english/sign-in-code.txt", code_text)], "english is unexpected there"),
        (&[("README", "")], "README is unexpected there"),
        (&[("de/sign-in-code.txt", code_text)], "de/sign-in-code.subject is missing"),
        (&[("layout.html", "{{code}}")], "layout.html has {{code}}"),
    ] {
        let own = folder(files);
        let metrics = Arc::new(Metrics::new::<&str>(&[], NOW));
        let opened = try_open(&with(&own), own.path(), &Clock::manual(NOW), &metrics);
        let said = opened.err().expect(told).to_string();
        assert!(said.starts_with("mail.templates: ") && said.contains(told), "{told}: {said}");
    }
}

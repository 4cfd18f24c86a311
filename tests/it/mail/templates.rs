//! Mail templates of an operator.

use signet::config;

use super::*;

fn template_dir(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn with_templates(folder: &TempDir) -> config::Mail {
    config::Mail { templates: Some(folder.path().to_owned()), ..settings() }
}

fn link(link: &str) -> Letter {
    Letter::MagicLink { link: link.to_owned() }
}

#[tokio::test]
async fn single_file_of_a_letter_can_be_replaced() {
    let own = template_dir(&[("en/sign-in-code.subject", "{{service}}: your code\n"), (".DS_Store", "")]);
    let settings = config::Mail { service_name: "Äpfel & Birnen".to_owned(), ..with_templates(&own) };
    let read = TestMailer::open(&settings).deliver(code("").letter, Language::default()).await;
    assert_eq!(read.header("subject"), "Äpfel & Birnen: your code");
    assert!(read.text().contains("sign in to Äpfel & Birnen as ada@example.org"), "the text is the built-in one");
}

#[tokio::test]
async fn added_language_falls_back_to_english() {
    let own = template_dir(&[
        ("de/magic-link.subject", "Anmelden bei {{service}}"),
        ("de/magic-link.txt", "Hallo {{email}}, {{minutes}} Minuten, bis {{until}}:\n\n{{link}}\n"),
        ("de/magic-link.html", "<p><a href=\"{{link}}\">Anmelden</a></p>"),
    ]);
    let mailer = TestMailer::open(&with_templates(&own));
    let german = mailer.handle.language(Some("de-AT, en;q=0.5"));
    let read = mailer.deliver(link("https://x/?a=1&b=\"<c>'"), german).await;
    assert_eq!(read.header("subject"), "Anmelden bei Signet");
    let lines = read.text().lines().collect::<Vec<_>>();
    assert_eq!(lines, ["Hallo ada@example.org, 10 Minuten, bis 2026-11-21 04:10 UTC:", "", "https://x/?a=1&b=\"<c>'"]);
    assert!(
        read.html().contains("<a href=\"https://x/?a=1&amp;b=&quot;&lt;c&gt;&#39;\">Anmelden</a>"),
        "{}",
        read.html()
    );
    assert!(read.html().contains("lang=\"de\""));
    assert!(mailer.deliver(Letter::PasswordChanged, german).await.text().starts_with("Hello,"));
    assert_eq!(mailer.handle.language(Some("fr")), Language::default());
}

#[tokio::test]
async fn layout_can_be_replaced_globally_or_per_letter() {
    let own = template_dir(&[
        ("layout.html", "<html lang=\"{{language}}\"><title>{{subject}}</title>{{body}}<i>{{service}}</i></html>"),
        ("zh-tw/second-factor-on.html", "<!DOCTYPE html><p>{{email}}</p>"),
    ]);
    let mailer = TestMailer::open(&config::Mail { service_name: "<b>".to_owned(), ..with_templates(&own) });
    let html = mailer.deliver(Letter::PasswordChanged, Language::default()).await.html().to_owned();
    assert!(html.starts_with("<html lang=\"en\"><title>Your &lt;b&gt; password was changed</title><p>"), "{html}");
    assert!(html.trim_end().ends_with("<i>&lt;b&gt;</i></html>"), "{html}");
    let chinese = mailer.handle.language(Some("zh"));
    let html = mailer.deliver(Letter::SecondFactorOn, chinese).await.html().to_owned();
    assert_eq!(html.trim_end(), "<!DOCTYPE html><p>ada@example.org</p>");
}

#[tokio::test]
async fn values_are_not_parsed_as_templates() {
    let mailer = TestMailer::open(&config::Mail { service_name: "{{code}}".to_owned(), ..settings() });
    let read = mailer.deliver(code("").letter, Language::default()).await;
    assert_eq!(read.header("subject"), "314159 is your {{code}} sign-in code");
    assert!(read.text().contains("sign in to {{code}} as") && read.html().contains("<p style"), "{}", read.text());
}

#[test]
fn invalid_templates_prevent_the_start() {
    let code_text = "Hello\n\n{{code}}\n";
    for (files, expected) in [
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
        (&[("en/sign-in-code.preheader", "one\ntwo")], "en/sign-in-code.preheader must be one line"),
        (&[("en/sign-in-code.preheader", "{{device}}")], "has {{device}}, which does not exist there"),
        (&[("de/sign-in-code.txt", code_text)], "de/sign-in-code.subject is missing"),
        (&[("layout.html", "{{code}}")], "layout.html has {{code}}"),
    ] {
        let own = template_dir(files);
        let metrics = Arc::new(Metrics::new::<&str>(&[], NOW));
        let opened = try_open(&with_templates(&own), own.path(), &Clock::manual(NOW), &metrics);
        let message = opened.err().expect(expected).to_string();
        assert!(message.starts_with("mail.templates: ") && message.contains(expected), "{expected}: {message}");
    }
}

//! `users import --from`: exports of other systems. The files in the folder of this name were written after the
//! documented formats, with hashes of `correct horse` by Python's hashlib, cryptography 50, bcrypt 5 and argon2-cffi 25.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use super::*;
use crate::support::totp::code;
use crate::support::wait_until;

/// The password of every fixture.
const IMPORTED: &str = "correct horse";

/// The secret of an app in base32.
const APP_KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// The secret of ada in Keycloak, whose bytes are characters, in base32.
const KEYCLOAK_KEY: &str = "IRFG2ULGIM3TGVSHIZUHON2EGRIUUOCD";

fn fixture(name: &str) -> String {
    format!("{}/tests/it/commands/import/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Imports fixtures and returns the report on stdout, and the lines of the file.
fn import(plan: &Plan, words: &[&str], code: i32) -> (Value, Vec<Value>) {
    let file = plan.dir().join("report.jsonl");
    let words = words.iter().map(|word| match word.split_once('.') {
        Some((_, "json" | "csv" | "txt")) => fixture(word),
        _ => (*word).to_owned(),
    });
    let words: Vec<_> = ["--json", "users", "import", "--report", file.to_str().unwrap()]
        .map(str::to_owned)
        .into_iter()
        .chain(words)
        .collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let output = plan.run(&words, "");
    assert_eq!(output.status.code(), Some(code), "{words:?}: {}", text(&output.stderr));
    let lines = std::fs::read_to_string(file).unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (report, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The users as exported, without hashes, by the part of the address before the `@`.
fn user(plan: &Plan, name: &str) -> Value {
    let lines = done(plan, &["users", "export", "--with-hashes"], "");
    let users = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut found = users.filter(|user| user["email"].as_str().unwrap().starts_with(&format!("{name}@")));
    found.next().unwrap_or_else(|| panic!("no {name} among {lines}"))
}

/// The entry of the report for a record: the result and the codes of its reasons.
fn reasons(lines: &[Value], record: u64) -> String {
    let Some(line) = lines.iter().find(|line| line["record"] == record) else { return String::new() };
    let codes = line["reasons"].as_array().unwrap().iter().map(|reason| reason["code"].as_str().unwrap());
    format!("{}: {}", line["result"].as_str().unwrap(), codes.collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn passwords_and_apps_of_other_systems_sign_in() {
    let server = TestServer::embedded(|plan| plan);
    let sources: [(&[&str], &[&str], &[&str]); 5] = [
        (&["--from", "keycloak", "keycloak.json"], &["ada", "cyd", "dan", "ivy"], &["ada", "ivy"]),
        (&["--from", "auth0", "--passwords", "auth0-hashes.json", "auth0-users.json"], &["ada"], &[]),
        (&["--from", "firebase", "--hash-config", "firebase-hash-config.txt", "firebase.json"], &["ada"], &[]),
        (&["--from", "supabase", "supabase.json"], &["ada"], &["ada"]),
        (&["--from", "clerk", "clerk.csv"], &["ada", "cyd"], &["ada"]),
    ];
    for (words, users, with_app) in sources {
        let has_broken_records = ["keycloak", "auth0", "firebase"].contains(&words[1]);
        import(server.plan(), words, i32::from(has_broken_records));
        for name in users {
            let email = format!("{name}@example.org");
            let stored = user(server.plan(), name)["password_hash"].clone();
            server.try_sign_in(&email, "wrong horse").await.is_problem(401, "invalid_credentials");
            if with_app.contains(name) {
                server.try_sign_in(&email, IMPORTED).await.is_problem(401, "mfa_required");
                let key = if words[1] == "keycloak" && *name == "ada" { KEYCLOAK_KEY } else { APP_KEY };
                let body = json!({"email": email, "password": IMPORTED, "totp_code": code(key, 0)});
                server.post("/sessions").json(&body).send_checked().await.is(201);
            } else {
                server.try_sign_in(&email, IMPORTED).await.is(201);
            }
            let upgraded = user(server.plan(), name)["password_hash"].clone();
            assert!(upgraded.as_str().unwrap().starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored} of {name}");
            assert_ne!(stored, upgraded);
        }
        // The next system has users with the same addresses.
        server.sql("PRAGMA foreign_keys = ON; DELETE FROM users").await;
    }
}

#[test]
fn keycloak_realm_is_imported() {
    let plan = Plan::embedded();
    let words = ["--from", "keycloak", "--claim", "plan", "--role", "editor", "keycloak.json"];
    let (report, lines) = import(&plan, &words, 1);
    assert_eq!((&report["imported"], &report["in_part"]), (&8.into(), &7.into()), "{report}");
    let ada = user(&plan, "ada");
    let expected = json!({"username": "ada", "full_name": "Ada Example", "verified": true, "disabled": false,
        "roles": ["editor"], "claims": {"plan": "pro"}, "second_factor": true, "created_at": "2024-01-31T12:00:00Z"});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&ada[name], value, "{name}");
    }
    let exported: Value = serde_json::from_str(&std::fs::read_to_string(fixture("keycloak.json")).unwrap()).unwrap();
    assert_eq!(ada["id"], exported["users"][0]["id"], "a UUID stays");
    assert_eq!(user(&plan, "bob")["disabled"], true);
    let dan = user(&plan, "dan");
    assert_eq!((&dan["username"], &dan["verified"]), (&Value::Null, &false.into()));
    let (fay, gus) = (user(&plan, "fay"), user(&plan, "gus"));
    assert_eq!(
        (&fay["password_hash"], &fay["second_factor"], &gus["password_hash"]),
        (&Value::Null, &false.into(), &Value::Null)
    );
    for (record, expected) in [
        (1, "in_part: metadata"),
        (2, "in_part: social_identity"),
        (3, "in_part: second_factor"),
        (4, "in_part: required_action"),
        (5, "left_out: no_email"),
        (6, "left_out: service_account"),
        (7, "in_part: password second_factor role"),
        (8, "in_part: password"),
        (9, "left_out: invalid_record"),
        (10, "left_out: invalid_email"),
        (11, ""),
        (12, "in_part: password"),
        (13, "left_out: email_taken"),
    ] {
        assert_eq!(reasons(&lines, record), expected, "record {record}");
    }
    let too_expensive = lines.iter().find(|line| line["record"] == 8).unwrap();
    assert!(too_expensive["reasons"][0]["detail"].as_str().unwrap().contains("too expensive"), "{too_expensive}");
}

#[test]
fn auth0_users_are_joined_with_their_hashes() {
    let plan = Plan::embedded();
    let words = ["--from", "auth0", "auth0-users.json"];
    let printed = refused(&plan, &["users", "import", "--from", "auth0", &fixture("auth0-users.json")], 2);
    assert!(printed.contains("--passwords FILE"), "{printed}");
    let joined =
        [&words[..2], &["--passwords", "auth0-hashes.json", "--claim", "plan", "--id-claim", "auth0_id"], &words[2..]];
    let (report, lines) = import(&plan, &joined.concat(), 1);
    assert_eq!(report["imported"], 4, "{report}");
    let ada = user(&plan, "ada");
    assert_eq!((&ada["username"], &ada["full_name"]), (&"ada".into(), &"Ada Example".into()));
    assert!(ada["claims"]["auth0_id"].as_str().unwrap().starts_with("auth0|"), "{ada}");
    assert_eq!((&ada["claims"]["plan"], &ada["created_at"]), (&"pro".into(), &"2024-01-31T12:00:00.5Z".into()));
    let bob = user(&plan, "bob");
    assert!(bob["password_hash"].as_str().unwrap().starts_with("$2b$"), "an id that was chosen: {bob}");
    assert_eq!((&bob["disabled"], &bob["verified"]), (&true.into(), &false.into()));
    assert_eq!(
        (&user(&plan, "cyd")["password_hash"], &user(&plan, "dan")["password_hash"]),
        (&Value::Null, &Value::Null)
    );
    let expected = [
        "in_part: metadata metadata",
        "",
        "in_part: social_identity",
        "left_out: invalid_record",
        "left_out: no_email",
        "in_part: second_factor password",
    ];
    for (record, expected) in (1..).zip(expected) {
        assert_eq!(reasons(&lines, record), expected, "record {record}");
    }
    // The file of hashes is an export of its own: it adds the one user whom the other file does not have.
    let (report, _) = import(&plan, &["--from", "auth0", "auth0-hashes.json"], 0);
    assert_eq!((&report["imported"], &report["existing"]), (&1.into(), &2.into()));
    assert!(user(&plan, "zoe")["password_hash"].as_str().unwrap().starts_with("$2b$"));
}

#[test]
fn firebase_json_and_csv_are_imported() {
    let plan = Plan::embedded();
    let printed = refused(&plan, &["users", "import", "--from", "firebase", &fixture("firebase.json")], 2);
    assert!(printed.contains("--hash-config FILE"), "{printed}");
    let words = ["--from", "firebase", "--hash-config", "firebase-hash-config.txt", "--claim", "plan"];
    let (report, lines) = import(&plan, &[&words[..], &["firebase.json"]].concat(), 1);
    assert_eq!(report["imported"], 2, "{report}");
    let ada = user(&plan, "ada");
    assert_eq!((&ada["full_name"], &ada["claims"]), (&"Ada Example".into(), &json!({"plan": "pro"})));
    assert_eq!((&ada["verified"], &ada["created_at"]), (&true.into(), &"2024-01-31T12:00:00.5Z".into()));
    assert_eq!(user(&plan, "bob")["disabled"], true);
    let expected = ["in_part: metadata", "in_part: social_identity", "left_out: no_email", "left_out: invalid_record"];
    for (record, expected) in (1..).zip(expected) {
        assert_eq!(reasons(&lines, record), expected, "record {record}");
    }

    let other = Plan::embedded();
    let (report, lines) = import(&other, &[&words[..], &["firebase.csv"]].concat(), 1);
    assert_eq!(report["imported"], 1, "{report}");
    let ada = user(&other, "ada");
    assert_eq!((&ada["full_name"], &ada["claims"]), (&"Example, \"Ada\" B".into(), &json!({"plan": "pro"})));
    assert!(ada["password_hash"].as_str().unwrap().starts_with("$fbscrypt$v=1,n=4,r=8,p=1,ss=Bw==,sk="), "{ada}");
    let expected = ["in_part: social_identity", "left_out: no_email", "left_out: invalid_record"];
    for (record, expected) in (1..).zip(expected) {
        assert_eq!(reasons(&lines, record), expected, "record {record}");
    }
    import(&Plan::embedded(), &["--from", "firebase", "--without-passwords", "firebase.csv"], 1);
}

#[test]
fn supabase_csv_and_json_are_the_same_users() {
    for (file, first) in [("supabase.json", 1), ("supabase.csv", 2)] {
        let plan = Plan::embedded();
        let (report, lines) = import(&plan, &["--from", "supabase", "--claim", "plan", file], 0);
        assert_eq!((&report["imported"], &report["other_hash_formats"]), (&2.into(), &2.into()), "{report}");
        let (ada, bob) = (user(&plan, "ada"), user(&plan, "bob"));
        assert_eq!((&ada["full_name"], &ada["claims"]), (&"Ada Example".into(), &json!({"plan": "pro"})));
        assert_eq!((&ada["verified"], &ada["second_factor"]), (&true.into(), &true.into()));
        assert_eq!(ada["created_at"], "2024-01-31T12:00:00.5Z");
        assert_eq!((&bob["verified"], &bob["disabled"]), (&false.into(), &true.into()));
        let expected = [
            "in_part: social_identity metadata",
            "in_part: ban",
            "left_out: no_email",
            "left_out: no_email",
            "left_out: deleted",
        ];
        for (record, expected) in (first..).zip(expected) {
            assert_eq!(reasons(&lines, record), expected, "{file}, record {record}");
        }
    }
}

#[test]
fn clerk_csv_is_imported() {
    let plan = Plan::embedded();
    let (report, lines) = import(&plan, &["--from", "clerk", "--id-claim", "clerk_id", "clerk.csv"], 0);
    assert_eq!(report["imported"], 3, "{report}");
    let ada = user(&plan, "ada");
    assert_eq!((&ada["username"], &ada["claims"]), (&"ada".into(), &json!({"clerk_id": "user_ada"})));
    assert_eq!((&ada["verified"], &ada["second_factor"]), (&true.into(), &true.into()));
    assert_eq!(user(&plan, "bob")["verified"], false, "Clerk has not verified the address");
    let expected = ["", "in_part: further_email phone_number password", "in_part: second_factor", "left_out: no_email"];
    for (record, expected) in (2..).zip(expected) {
        assert_eq!(reasons(&lines, record), expected, "record {record}");
    }
}

#[test]
fn dry_run_says_what_an_import_would_do() {
    let plan = Plan::embedded();
    plan.create_user("bob@example.org", PASSWORD, &["--username", "cyd"]);
    let before = done(&plan, &["users", "export", "--with-hashes"], "");
    let (dry, dry_lines) = import(&plan, &["--from", "keycloak", "--dry-run", "keycloak.json"], 1);
    assert_eq!(done(&plan, &["users", "export", "--with-hashes"], ""), before);
    let (real, lines) = import(&plan, &["--from", "keycloak", "keycloak.json"], 1);
    let mut expected = real.clone();
    expected["dry_run"] = true.into();
    assert_eq!((&dry, &dry_lines), (&expected, &lines));
    assert_eq!(
        (reasons(&lines, 2), reasons(&lines, 3)),
        ("left_out: email_taken".into(), "left_out: username_taken".into())
    );

    let own = "{\"email\":\"new@example.org\"}\n{\"email\":\"NEW@example.org\"}\n";
    let dry = plan.json(&["users", "import", "--dry-run", "-"], own);
    assert_eq!((&dry["imported"], &dry["left_out"][0]["line"]), (&1.into(), &2.into()));
}

#[test]
fn repeated_import_changes_nothing() {
    let plan = Plan::embedded();
    let words = ["--from", "keycloak", "keycloak.json"];
    let (first, lines) = import(&plan, &words, 1);
    let before = done(&plan, &["users", "export", "--with-hashes"], "");
    let (second, again) = import(&plan, &words, 1);
    assert_eq!(done(&plan, &["users", "export", "--with-hashes"], ""), before);
    assert_eq!((&second["imported"], &second["existing"]), (&0.into(), &first["imported"]));
    // The report is complete although nobody was created.
    let name = |line: &Value| (line["record"].clone(), line["reasons"].clone());
    assert_eq!(again.iter().map(name).collect::<Vec<_>>(), lines.iter().map(name).collect::<Vec<_>>());
    assert_eq!(reasons(&again, 2), "exists: social_identity");
    let private = std::fs::metadata(plan.dir().join("report.jsonl")).unwrap();
    assert_eq!(private.permissions().mode() & 0o777, 0o600);
}

/// Users are stored in batches of 500. The process is killed after the first, while it waits for the rest of the file.
#[test]
fn an_interrupted_import_is_continued() {
    let plan = Plan::embedded();
    plan.json(&["users", "create", "--email", "first@example.org"], "");
    let lines: Vec<_> =
        (0..700).map(|at| format!("{}\n", json!({"email": format!("user-{at}@example.org")}))).collect();
    let mut command = plan.command();
    command.args(["users", "import", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut killed = command.spawn().unwrap();
    let mut input = killed.stdin.take().unwrap();
    input.write_all(lines[..600].concat().as_bytes()).unwrap();
    let count = || done(&plan, &["users", "export"], "").lines().count();
    wait_until("the first batch is stored", Duration::from_secs(60), || count() > 1);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(count(), 501);
    let report = plan.json(&["users", "import", "-"], &lines.concat());
    assert_eq!((&report["imported"], report["left_out"].as_array().unwrap().len()), (&200.into(), 500));
    assert_eq!(count(), 701);
}

#[test]
fn own_format_has_second_factors_and_lists() {
    let plan = Plan::embedded();
    let id = "8f8c1e0a-7c50-4f5e-9a0e-0d7a3b5c2f11";
    let users = json!([
        {"email": "a@example.org", "id": id, "totp_secret": APP_KEY},
        {"email": "b@example.org", "id": id},
        {"email": "c@example.org", "totp_secret": "GEZDGNBV"},
        {"email": "d@example.org", "totp_secret": "1"},
        {"email": "e@example.org", "full_name": "\0"},
    ]);
    let output = plan.run(&["--json", "users", "import", "-"], &users.to_string());
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let why: Vec<_> = report["left_out"].as_array().unwrap().iter().map(|one| one["why"].as_str().unwrap()).collect();
    assert_eq!(report["imported"], 1);
    assert_eq!(why[0], format!("b@example.org: a user has the id {id}"));
    for (why, expected) in why[1..].iter().zip(["has 5 bytes", "not base32", "contains NUL"]) {
        assert!(why.contains(expected), "{why}");
    }
    assert_eq!(plan.json(&["users", "show", "a@example.org"], "")["second_factor"], true);
}

#[test]
fn options_of_another_system_are_refused() {
    let plan = Plan::embedded();
    let file = fixture("clerk.csv");
    for words in [
        &["--from", "clerk", "--role", "x"][..],
        &["--from", "clerk", "--claim", "x"],
        &["--from", "clerk", "--hash-config", &file],
        &["--from", "clerk", "--passwords", &file],
        &["--from", "clerk", "--id-claim", "sub"],
        &["--from", "keycloak", "--claim", "email"],
        &["--id-claim", "x"],
        &["--without-passwords"],
        &["--from", "nobody"],
        &["--from", "auth0", "--passwords", &file],
        &["--from", "firebase", "--hash-config", &file],
    ] {
        refused(&plan, &[&["users", "import"][..], words, &[file.as_str()]].concat(), 2);
    }
    let printed = refused(&plan, &["users", "import", "--from", "clerk", &fixture("firebase.csv")], 1);
    assert!(printed.contains("does not name a column id"), "{printed}");
}

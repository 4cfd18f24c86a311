//! Settings from flags, the environment and a file, and settings that a start refuses.

use std::net::TcpListener;

use super::*;

#[test]
fn invalid_settings_refuse_to_start_and_are_named() {
    let plan = Plan::embedded();
    for (name, value, names) in [
        ("SIGNET_SERVER__WORKERS", "none", &["server.workers", "SIGNET_SERVER__WORKERS", "none", "1 to 1024"][..]),
        ("SIGNET_SERVER__WORKER", "1", &["SIGNET_SERVER__WORKER", "did you mean SIGNET_SERVER__WORKERS"]),
        ("SIGNET_NOTHING", "1", &["SIGNET_NOTHING"]),
        ("SIGNET_KEYS__ANNOUNCE", "1m", &["keys.announce", "keys.jwks_max_age (5m)"]),
        ("SIGNET_LOG__FILTER", "nonsense=[", &["log.filter"]),
        ("SIGNET_SECRET", "hunter2hunter2", &["SIGNET_SECRET", "openssl rand -base64 32"]),
        ("REDIS_URL", "http://:hunter2hunter2@127.0.0.1", &["redis.url", "REDIS_URL", "redis://"]),
        ("DATABASE_URL", "postgres://u:hunter2hunter2@127.0.0.1/x", &["secret", "SIGNET_SECRET"]),
    ] {
        let plan = plan.clone().set(name, value);
        for words in [&[][..], &["serve"], &["check"], &["users", "list"], &["--json", "keys", "list"]] {
            let printed = refused(&plan, words, 2);
            assert!(names.iter().all(|name| printed.contains(name)), "{name}: {printed}");
            assert!(!printed.contains("hunter2"), "{printed}");
        }
    }
    assert!(!plan.dir().join("data").exists(), "nothing was created");
    // All invalid settings are reported together.
    let printed = refused(&plan.clone().set("SIGNET_A", "1").set("SIGNET_B", "1"), &["check"], 2);
    assert!(printed.contains("SIGNET_A") && printed.contains("SIGNET_B"));
    // Flags override the environment, which overrides the file.
    std::fs::write(plan.dir().join("config.toml"), "[server]\nworkers = 0\n[tokens]\naudience = \"\"\n").unwrap();
    let printed = refused(&plan, &["check"], 2);
    assert!(printed.contains("config.toml, line 4") && !printed.contains("server.workers"), "{printed}");
    let printed = refused(&plan, &["--set", "server.workers=x", "--set", "tokens.audience=a", "check"], 2);
    assert!(printed.contains("server.workers (--set)") && !printed.contains("tokens.audience"), "{printed}");
    done(&plan, &["--set", "tokens.audience=a", "check"], "");
    let printed = refused(&plan, &["--set", "nonsense", "check"], 2);
    assert!(printed.contains("a key, `=` and a value"), "{printed}");
    // No setting is such a number, so it could be a misplaced secret.
    std::fs::write(plan.dir().join("config.toml"), "[tokens]\naudience = 7.25\n").unwrap();
    let printed = refused(&plan, &["check"], 2);
    assert!(printed.contains("it may be secret") && !printed.contains("7.25"), "{printed}");
    assert!(refused(&plan, &["--config", "missing.toml", "check"], 2).contains("missing.toml"));
}

/// Docker makes a folder where the file to mount is missing.
#[test]
fn a_folder_in_place_of_the_settings_file_is_an_error() {
    let plan = Plan::embedded();
    std::fs::create_dir(plan.dir().join("config.toml")).unwrap();
    let printed = refused(&plan, &["check"], 2);
    assert!(printed.contains("config.toml") && printed.contains("cannot be read"), "{printed}");
}

#[test]
fn a_taken_port_is_named_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let free = ["server.listen=127.0.0.1:0", "server.management=off"];
    for setting in ["server.listen", "server.management"] {
        let wanted = format!("{setting}={address}");
        let words = free.into_iter().filter(|it| !it.starts_with(setting)).chain([&*wanted]);
        let words = words.flat_map(|it| ["--set", it]).chain(["serve"]).collect::<Vec<_>>();
        let printed = refused(&Plan::embedded(), &words, 1);
        assert!(printed.contains(&format!("cannot listen on {address}")) && printed.contains(setting), "{printed}");
        let other = if setting == "server.listen" { "server.management" } else { "server.listen" };
        assert!(!printed.contains(other), "{printed}");
    }
    // The same holds for a second server on the same port.
    let first = Plan::embedded().start();
    let address = first.url_of("").strip_prefix("http://").unwrap().to_owned();
    let second = Plan::embedded().set("SIGNET_SERVER__LISTEN", &address).try_start();
    assert_eq!(second.wait_for_exit().code(), Some(1));
    assert!(second.log().contains(&format!("cannot listen on {address}")), "{}", second.log());
}

#[tokio::test]
async fn flags_and_environment_change_settings() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_TOKENS__AUDIENCE", "from the environment"));
    let tokens = server.sign_in(&server.create_user(&[])).await;
    assert_eq!(server.verify(&tokens.access).await.json()["claims"]["aud"], "from the environment");
    server.get("/verify?aud=from+the+environment").bearer_auth(&tokens.access).send_checked().await.is(200);
    let printed = text(&server.plan().run(&["--set", "limits.enabled=true", "--json", "check"], "").stdout);
    assert!(!printed.contains("limits.enabled"), "{printed}");
    let printed = text(&server.plan().run(&["--json", "check"], "").stdout);
    assert!(printed.contains("limits.enabled is false"), "{printed}");
}

//! Passwords whose hashes others made, or Signet itself with other settings: they sign in, and are brought up to date.

use serde_json::{Value, json};

use crate::support::server::{PASSWORD, TestServer, over_both_stores};

over_both_stores!(|plan| plan; imported_hashes_are_upgraded, other_parameters_are_renewed);

/// Of `correct horse`: bcrypt 5, Django 5.2, passlib 1.7.
const IMPORTED: &[&str] = &[
    "$2b$04$YXpCTVM8S5jhlTAxQ1xjGO/kXsjEvD9qN6QuhxHmQO2770JfbyI6.",
    "pbkdf2_sha256$1000$seasalt2$oksQ9Bdi8Bce0okH61Cis7qICJfP+cYfDOnMdNPMzK8=",
    "scrypt$16$seasalt2$8$5$s8l/PuQl6j4mDUkcob+VV+ea64cSjv1dk5ijFm/ovmr2+4Siiptt5tBS4I8bC4VrY8oe/cDN2VApv1Bz3blVeA==",
    "bcrypt_sha256$$2b$04$TKtPiAL1lh1Oa38FQMGX9uPVjuXI4QdQu4dvcZrV6KW8tvZBP5p3q",
    "$pbkdf2-sha256$1000$/19Laa0VgrDW2huj1BoDIA$MIzFNyAWRZkQ6FdWYI3ooER7W.GZZWzq3y9DW71OHMw",
];

/// The hash that is kept now.
fn kept(server: &TestServer, email: &str) -> String {
    let output = server.plan().run(&["users", "export", "--with-hashes"], "");
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let users = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let user = users.into_iter().find(|user| user["email"] == email).unwrap();
    user["password_hash"].as_str().unwrap().to_owned()
}

const OURS: &str = "$argon2id$v=19$m=64,t=1,p=1$";

async fn imported_hashes_are_upgraded(server: &TestServer) {
    let email = |at: usize| format!("imported-{at}@example.org");
    let lines = IMPORTED.iter().enumerate().map(|(at, hash)| {
        format!("{}\n", json!({"email": email(at), "password_hash": hash, "username": format!("imported-{at}")}))
    });
    let told = server.plan().json(&["users", "import", "-"], &lines.collect::<String>());
    assert_eq!(told, json!({"imported": IMPORTED.len(), "left_out": []}));
    for (at, hash) in IMPORTED.iter().enumerate() {
        let email = email(at);
        server.try_sign_in(&email, "wrong horse").await.is_problem(401, "wrong-password");
        assert_eq!(kept(server, &email), *hash, "a wrong password changes nothing");
        server.try_sign_in(&email, "correct horse").await.is(201);
        let upgraded = kept(server, &email);
        assert!(upgraded.starts_with(OURS), "{hash} became {upgraded}");
        server.try_sign_in(&email, "correct horse").await.is(201);
        assert_eq!(kept(server, &email), upgraded, "and stays");
        server.try_sign_in(&email, "wrong horse").await.is_problem(401, "wrong-password");
    }
}

async fn other_parameters_are_renewed(server: &TestServer) {
    let elsewhere =
        server.plan().clone().set("SIGNET_PASSWORDS__MEMORY_KIB", "128").set("SIGNET_PASSWORDS__PASSES", "2");
    elsewhere.user("renewed@example.org", PASSWORD, &[]);
    assert!(kept(server, "renewed@example.org").starts_with("$argon2id$v=19$m=128,t=2,p=1$"));
    let tokens = server.try_sign_in("renewed@example.org", PASSWORD).await.is(201).tokens();
    let renewed = kept(server, "renewed@example.org");
    assert!(renewed.starts_with(OURS), "{renewed}");
    server.verify(&tokens.access).await.is(200);
    server.refresh(&tokens.refresh).await.is(200);
    server.try_sign_in("renewed@example.org", PASSWORD).await.is(201);
    assert_eq!(kept(server, "renewed@example.org"), renewed);
}

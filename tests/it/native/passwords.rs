//! Imported password hashes, and hashes with other parameters: they are accepted and upgraded at sign-in.

use serde_json::{Value, json};

use crate::support::server::{PASSWORD, TestServer, over_both_stores};

over_both_stores!(|plan| plan; imported_hash_is_upgraded_at_sign_in, hash_with_other_parameters_is_upgraded);

/// Hashes of `correct horse` by bcrypt 5, Django 5.2 and passlib 1.7.
const IMPORTED: &[&str] = &[
    "$2b$04$YXpCTVM8S5jhlTAxQ1xjGO/kXsjEvD9qN6QuhxHmQO2770JfbyI6.",
    "pbkdf2_sha256$1000$seasalt2$oksQ9Bdi8Bce0okH61Cis7qICJfP+cYfDOnMdNPMzK8=",
    "scrypt$16$seasalt2$8$5$s8l/PuQl6j4mDUkcob+VV+ea64cSjv1dk5ijFm/ovmr2+4Siiptt5tBS4I8bC4VrY8oe/cDN2VApv1Bz3blVeA==",
    "bcrypt_sha256$$2b$04$TKtPiAL1lh1Oa38FQMGX9uPVjuXI4QdQu4dvcZrV6KW8tvZBP5p3q",
    "$pbkdf2-sha256$1000$/19Laa0VgrDW2huj1BoDIA$MIzFNyAWRZkQ6FdWYI3ooER7W.GZZWzq3y9DW71OHMw",
];

/// The hash stored for a user.
fn stored_hash(server: &TestServer, email: &str) -> String {
    let output = server.plan().run(&["users", "export", "--with-hashes"], "");
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let users = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let user = users.into_iter().find(|user| user["email"] == email).unwrap();
    user["password_hash"].as_str().unwrap().to_owned()
}

/// The beginning of a hash with the test server's parameters.
const CURRENT_PREFIX: &str = "$argon2id$v=19$m=64,t=1,p=1$";

async fn imported_hash_is_upgraded_at_sign_in(server: &TestServer) {
    let email = |at: usize| format!("imported-{at}@example.org");
    let lines = IMPORTED.iter().enumerate().map(|(at, hash)| {
        format!("{}\n", json!({"email": email(at), "password_hash": hash, "username": format!("imported-{at}")}))
    });
    let report = server.plan().json(&["users", "import", "-"], &lines.collect::<String>());
    assert_eq!(report, json!({"imported": IMPORTED.len(), "left_out": [], "other_hash_formats": IMPORTED.len()}));
    for (at, hash) in IMPORTED.iter().enumerate() {
        let email = email(at);
        server.try_sign_in(&email, "wrong horse").await.is_problem(401, "invalid_credentials");
        assert_eq!(stored_hash(server, &email), *hash, "a wrong password changes nothing");
        server.try_sign_in(&email, "correct horse").await.is(201);
        let upgraded = stored_hash(server, &email);
        assert!(upgraded.starts_with(CURRENT_PREFIX), "{hash} became {upgraded}");
        server.try_sign_in(&email, "correct horse").await.is(201);
        assert_eq!(stored_hash(server, &email), upgraded, "an upgraded hash stays as it is");
        server.try_sign_in(&email, "wrong horse").await.is_problem(401, "invalid_credentials");
    }
}

async fn hash_with_other_parameters_is_upgraded(server: &TestServer) {
    let other_parameters =
        server.plan().clone().set("SIGNET_PASSWORDS__MEMORY_KIB", "128").set("SIGNET_PASSWORDS__PASSES", "2");
    other_parameters.create_user("upgraded@example.org", PASSWORD, &[]);
    assert!(stored_hash(server, "upgraded@example.org").starts_with("$argon2id$v=19$m=128,t=2,p=1$"));
    let tokens = server.try_sign_in("upgraded@example.org", PASSWORD).await.is(201).tokens();
    let upgraded = stored_hash(server, "upgraded@example.org");
    assert!(upgraded.starts_with(CURRENT_PREFIX), "{upgraded}");
    server.verify(&tokens.access).await.is(200);
    server.refresh(&tokens.refresh).await.is(200);
    server.try_sign_in("upgraded@example.org", PASSWORD).await.is(201);
    assert_eq!(stored_hash(server, "upgraded@example.org"), upgraded);
}

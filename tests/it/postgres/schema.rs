//! The schema of Postgres: migrations, and which programs work on it.

use signet::config::{self, SecretUrl};
use signet::encoding::{hex, sha256};
use signet::store::Accounts;
use signet::store::accounts::postgres::migrate;
use signet::store::migrations::Schema;

use super::{expect_corrupt, expect_unavailable, start_migrated, store};
use crate::conformance::accounts::new_user;
use crate::support::migrations;
use crate::support::postgres::Server;

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_migrations_are_applied_once() {
    let server = Server::start();
    let nodes: Vec<_> = (0..10)
        .map(|_| {
            let settings = server.settings();
            tokio::spawn(async move { migrate(&settings).await.map(|migrated| migrated.applied.len()) })
        })
        .collect();
    let mut applied = Vec::new();
    for node in nodes {
        applied.push(node.await.unwrap().unwrap());
    }
    applied.sort_unstable();
    let number = migrations("postgres").len();
    assert_eq!(applied, [0, 0, 0, 0, 0, 0, 0, 0, 0, number]);
    let migrated = migrate(&server.settings()).await.unwrap();
    assert_eq!((migrated.schema.number, migrated.schema.known), (number as i32, number as i32));
    assert!((1..=number as i32).contains(&migrated.schema.oldest_reader));
    assert!(migrated.applied.is_empty());
    store(&server.settings(), 1).check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn up_to_date_database_needs_only_read_access() {
    let (server, settings) = start_migrated().await;
    let setup = "CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT SELECT ON signet_migrations TO reader";
    server.client().await.batch_execute(setup).await.unwrap();
    let url = server.url();
    let url = SecretUrl(format!("postgres://reader:reader@{}", url.rsplit_once('@').unwrap().1));
    assert!(migrate(&config::Postgres { url, ..settings }).await.unwrap().applied.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_schema_is_reported_as_corrupt() {
    let server = Server::start();
    let store = store(&server.settings(), 2);
    assert!(expect_corrupt(store.check().await).contains("signet migrate"));
    assert!(expect_corrupt(store.create_user(&new_user("ada")).await).contains("signet migrate"));
    migrate(&server.settings()).await.unwrap();
    store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_schema_is_refused_unless_it_allows_this_program() {
    let (server, settings) = start_migrated().await;
    let client = server.client().await;
    let store = store(&settings, 1);

    let next = migrations("postgres").len() + 1;
    let newer = format!("INSERT INTO signet_migrations (number, name, checksum) VALUES ({next}, 'to come', '')");
    client.batch_execute(&newer).await.unwrap();
    for refusal in [expect_corrupt(migrate(&settings).await), expect_corrupt(store.check().await)] {
        assert!(refusal.contains(&format!("migration {next} (to come)")), "{refusal}");
        assert!(refusal.contains("newer signet") && refusal.contains("does not say"), "{refusal}");
    }
    for (oldest_reader, is_allowed) in [(0, true), (next - 1, true), (next, false)] {
        let record = format!("UPDATE signet_migrations SET oldest_reader = {oldest_reader} WHERE number = {next}");
        client.batch_execute(&record).await.unwrap();
        assert_eq!(migrate(&settings).await.is_ok(), is_allowed, "{oldest_reader}");
        assert_eq!(store.check().await.is_ok(), is_allowed, "{oldest_reader}");
    }
    let refusal = expect_corrupt(migrate(&settings).await);
    assert!(refusal.contains(&format!("know migration {next}")), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_schema_is_refused() {
    let (server, settings) = start_migrated().await;
    let store = store(&settings, 1);
    server.client().await.batch_execute("UPDATE signet_migrations SET checksum = 'another'").await.unwrap();
    for refusal in [expect_corrupt(migrate(&settings).await), expect_corrupt(store.check().await)] {
        assert!(refusal.contains("migration 1 (accounts)"), "{refusal}");
    }
}

/// The table as programs left it that did not record which programs can work on the schema.
#[tokio::test(flavor = "multi_thread")]
async fn table_without_records_is_read_and_gets_them() {
    let (server, settings) = start_migrated().await;
    let client = server.client().await;
    let (store, number) = (store(&settings, 1), migrations("postgres").len() as i32);
    store.check().await.unwrap();
    client.batch_execute("ALTER TABLE signet_migrations DROP COLUMN oldest_reader").await.unwrap();
    store.check().await.expect("the statement that is prepared already works without the column");
    let migrated = migrate(&settings).await.unwrap();
    assert_eq!(migrated.schema, Schema { number, known: number, oldest_reader: number });
    assert!(migrated.applied.is_empty());
}

/// The programs of the time of the first three migrations created the table without the column.
#[tokio::test(flavor = "multi_thread")]
async fn table_without_records_gets_those_of_new_migrations() {
    const TABLE: &str = "CREATE TABLE signet_migrations (number integer PRIMARY KEY, name text NOT NULL,
        checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())";
    let server = Server::start();
    let client = server.client().await;
    client.batch_execute(TABLE).await.unwrap();
    let files = migrations("postgres");
    for (file, number) in files[..3].iter().zip(1..) {
        let sql = std::fs::read_to_string(file).unwrap();
        client.batch_execute(&sql).await.unwrap();
        let name = &file.file_stem().unwrap().to_str().unwrap()[5..];
        let row = "INSERT INTO signet_migrations (number, name, checksum) VALUES ($1, $2, $3)";
        client.execute(row, &[&number, &name, &hex(&sha256(sql.as_bytes()))]).await.unwrap();
    }
    assert_eq!(migrate(&server.settings()).await.unwrap().applied.len(), files.len() - 3);
    let records = client.query("SELECT oldest_reader FROM signet_migrations ORDER BY number", &[]).await.unwrap();
    let records: Vec<Option<i32>> = records.iter().map(|row| row.get(0)).collect();
    assert_eq!(records[..4], [None, None, None, Some(4)]);
    assert!(records[4..].iter().all(Option::is_some), "{records:?}");
    store(&server.settings(), 1).check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_migration_is_rolled_back() {
    let server = Server::start();
    let client = server.client().await;
    // The last table of the first migration exists already.
    client.batch_execute("CREATE TABLE api_keys ()").await.unwrap();
    let refusal = expect_unavailable(migrate(&server.settings()).await);
    assert!(refusal.contains("migration 1 (accounts)") && refusal.contains("api_keys"), "{refusal}");
    client.batch_execute("DROP TABLE api_keys").await.unwrap();
    assert_eq!(migrate(&server.settings()).await.unwrap().applied.len(), migrations("postgres").len());
}

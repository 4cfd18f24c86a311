//! The limits of statements where a pooler drops what Signet asks for when it connects.

use std::net::SocketAddr;

use serde_json::Value;
use signet::config::{self, SecretUrl};
use signet::store::accounts::postgres::{limits_not_in_force, migrate};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::until;
use crate::support::migrations;
use crate::support::postgres::Server;
use crate::support::redis;
use crate::support::signet::Plan;

/// The request for TLS that precedes the startup message.
const TLS_REQUEST: u32 = 80_877_103;

/// Passes connections on to a server without the `options` in their startup messages, as PgBouncer does with
/// `ignore_startup_parameters = options`.
async fn start_pooler(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass_on(client, server));
        }
    });
    address
}

async fn pass_on(mut client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let parameters = loop {
        let length = client.read_u32().await?;
        let mut message = vec![0; length as usize - 4];
        client.read_exact(&mut message).await?;
        if message[..4] != TLS_REQUEST.to_be_bytes() {
            break message;
        }
        client.write_all(b"N").await?;
    };
    let (version, pairs) = parameters.split_at(4);
    let texts = pairs.split(|byte| *byte == 0).collect::<Vec<_>>();
    let kept = texts.chunks_exact(2).filter(|pair| !pair[0].is_empty() && pair[0] != b"options");
    let kept = kept.flat_map(|pair| [pair[0], &[0], pair[1], &[0]].concat()).collect::<Vec<_>>();
    let message = [version, &kept, &[0]].concat();
    let mut server = TcpStream::connect(server).await?;
    server.write_u32(message.len() as u32 + 4).await?;
    server.write_all(&message).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// The settings of a server through a pooler.
async fn through_pooler(server: &Server) -> config::Postgres {
    let url = server.url();
    let (credentials, address) = url.rsplit_once('@').unwrap();
    let (address, database) = address.split_once('/').unwrap();
    let pooler = start_pooler(address.parse().unwrap()).await;
    config::Postgres { url: SecretUrl(format!("{credentials}@{pooler}/{database}")), ..server.settings() }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_limits_that_a_pooler_drops() {
    let (redis, server) = (redis::Server::start(), Server::start());
    let settings = through_pooler(&server).await;
    migrate(&settings).await.unwrap();
    assert_eq!(limits_not_in_force(&server.settings()).await.unwrap(), [""; 0]);
    let plan = Plan::on(&redis, &server).with_patient_stores().set("DATABASE_URL", &settings.url.0);
    let notes = || {
        let findings: Vec<Value> = serde_json::from_slice(&plan.run(&["--json", "check"], "").stdout).unwrap();
        let notes = findings.iter().filter(|it| it["part"] == "accounts" && it["result"] == "note");
        notes.map(|note| note["detail"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let named = notes();
    assert_eq!(named.len(), 2, "{named:?}");
    // The statements in the notes solve the problem.
    for (note, name) in named.iter().zip(["statement_timeout", "idle_in_transaction_session_timeout"]) {
        let (found, statement) = note.split_once(": a pooler has dropped it; run ").unwrap();
        assert!(found == format!("{name} is 0, not 10000"), "{note}");
        let statement = statement.strip_suffix(", then RECONNECT in the pooler").unwrap();
        assert!(statement.starts_with(&format!("ALTER ROLE \"signet\" SET {name} = '")), "{note}");
        server.client().await.batch_execute(statement).await.unwrap();
    }
    assert_eq!(notes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_notes_that_it_cannot_read_the_limits() {
    let (redis, server) = (redis::Server::start(), Server::start());
    migrate(&server.settings()).await.unwrap();
    let hide = "SET allow_system_table_mods = on; ALTER VIEW pg_catalog.pg_settings RENAME TO hidden_settings";
    server.client().await.batch_execute(hide).await.unwrap();
    let output = Plan::on(&redis, &server).with_patient_stores().run(&["--json", "check"], "");
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let of_accounts = findings.iter().filter(|it| it["part"] == "accounts").collect::<Vec<_>>();
    assert_eq!((&of_accounts[0]["result"], &of_accounts[1]["result"]), (&"ok".into(), &"note".into()));
    let note = of_accounts[1]["detail"].as_str().unwrap();
    assert!(note.contains("could not be read") && note.contains("pg_settings"), "{note}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_in_the_url_are_the_operators_choice() {
    let server = Server::start();
    let url = format!("{}?options=-c%20statement_timeout%3D7s", server.url());
    let settings = config::Postgres { url: SecretUrl(url), ..server.settings() };
    assert_eq!(limits_not_in_force(&settings).await.unwrap(), [""; 0]);
}

/// The role has the limits of requests. A node that starts waits longer for another one that migrates.
#[tokio::test(flavor = "multi_thread")]
async fn limits_of_the_role_do_not_end_a_migration() {
    let server = Server::start();
    let settings = through_pooler(&server).await;
    let other = server.client().await;
    let limits = "ALTER ROLE signet SET statement_timeout = '1s'; ALTER ROLE signet SET lock_timeout = '1s'";
    other.batch_execute(limits).await.unwrap();
    // The lock of migrations: `signet` in ASCII.
    other.batch_execute("SELECT pg_advisory_lock(x'7369676e6574'::bigint)").await.unwrap();
    let migrating = tokio::spawn(async move { migrate(&settings).await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                 AND clock_timestamp() - query_start > interval '1500 ms'";
    until("it has waited for longer than the role may", async || {
        assert!(!migrating.is_finished());
        other.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    other.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    assert_eq!(migrating.await.unwrap().unwrap().applied.len(), migrations("postgres").len());
}

//! Stopping under load: no request is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::support::client::client_builder;

fn plan(plan: Plan) -> Plan {
    // A hash that takes long enough to be under way when the signal arrives.
    plan.set("SIGNET_PASSWORDS__MEMORY_KIB", "65536")
        .set("SIGNET_PASSWORDS__PASSES", "8")
        .set("SIGNET_SERVER__WORKERS", "2")
}

over_both_stores!(plan; shutdown_loses_no_request);

const CLIENTS: usize = 8;

/// If the machine is so busy that a client takes longer to connect and send, it may find its connection closed.
const LATE: Duration = Duration::from_millis(200);

async fn shutdown_loses_no_request(server: &TestServer) {
    let person = server.create_user(&[]);
    let tokens = server.sign_in(&person).await;
    let (answered, signalled) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let clients = (0..CLIENTS).map(|at| {
        let (answered, signalled) = (answered.clone(), signalled.clone());
        // Every other client opens a connection per request.
        let http = client_builder().pool_max_idle_per_host(at % 2).build().unwrap();
        let request = http.post(server.signet.url_of("/verify")).json(&json!({"token": tokens.access}));
        tokio::spawn(async move {
            loop {
                let (again, began) = (request.try_clone().unwrap(), Instant::now());
                match again.send().await {
                    Ok(answer) => {
                        assert_eq!(answer.status(), 200);
                        assert!(answer.bytes().await.is_ok(), "the response is incomplete");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) if error.is_connect() && signalled.load(Ordering::SeqCst) => return,
                    // A server that stops waits for 250 ms for the request of a client that has connected.
                    Err(_) if began.elapsed() >= LATE && signalled.load(Ordering::SeqCst) => return,
                    Err(error) => panic!("a request was lost: {error:?}"),
                }
            }
        })
    });
    let clients = clients.collect::<Vec<_>>();
    // Before the hash begins, which may take less time than the load needs on a busy machine.
    until("there is load", async || answered.load(Ordering::Relaxed) > 10 * CLIENTS).await;
    let sign_in = || tokio::spawn(server.sign_in_request(&person.email, PASSWORD).send_checked());
    let mut slow = sign_in();
    until("a hash is running", async || {
        // The last one may have ended before this thread looked.
        if slow.is_finished() {
            slow = sign_in();
        }
        metrics(server).await["signet_hash_queue_running"] == 1.0
    })
    .await;
    signalled.store(true, Ordering::SeqCst);
    server.signet.terminate();
    // The clients go on meanwhile.
    until("the server stops", async || server.signet.log().contains("stopping")).await;
    server.signet.terminate();
    assert_eq!(slow.await.unwrap().status, 201, "a request in flight is finished");
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(server.signet.wait_for_exit().code(), Some(0), "{}", server.signet.log());
    let log = server.signet.log();
    assert!(log.contains("\"stopped\"") && !log.contains("cut off"), "{log}");
    // Acknowledged changes are stored.
    let again = server.plan().start();
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
    let request = client_builder().build().unwrap().post(again.url_of("/oauth/token")).form(&refresh);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

//! How a fleet begins: many nodes at once on nothing, and a node that brings something along.

use super::{Client, Ground, PASSWORD, SOON, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_nodes_at_once_on_empty_stores_agree_on_one_keyring() {
    let ground = Ground::new();
    let mut nodes = (0..10).map(|_| ground.plan.another().launch()).collect::<Vec<_>>();
    for node in &mut nodes {
        if !node.listening() {
            node.ended();
            panic!("a node did not start:\n{}", node.log());
        }
    }
    let clients = nodes.iter().map(Client::of).collect::<Vec<_>>();
    let kids = clients[0].kids().await;
    assert_eq!(kids.len(), 1, "{kids:?}");
    ground.plan.user("ann@example.org", PASSWORD, &[]);
    for node in &clients {
        assert_eq!(node.kids().await, kids);
        let pair = node.sign_in("ann@example.org").await;
        for other in &clients {
            assert_eq!(other.verify(&pair.access).await.status, 200);
        }
        until("the node is ready", SOON * 2, async || node.not_ready().await.is_empty()).await;
    }
}

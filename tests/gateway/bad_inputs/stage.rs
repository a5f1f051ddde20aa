//! A gateway on which bad inputs are tried, and all that they could change.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::access::ADMIN_KEY;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;

/// A gateway with a topic `orders` of one empty partition.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    /// May do everything.
    pub(crate) root: Client,
    props: BTreeMap<&'static str, String>,
}

impl Stage {
    pub(crate) async fn set(backend: Backend) -> Self {
        let gateway = Gateway::start(backend).await;
        let root = gateway.client();
        Self::around(gateway, root).await
    }

    /// One with these flags.
    pub(crate) async fn with(backend: Backend, flags: &[&str]) -> Self {
        let gateway = Gateway::with(backend, flags).await;
        let root = gateway.client();
        Self::around(gateway, root).await
    }

    /// One where every call needs a key.
    pub(crate) async fn guarded(backend: Backend, flags: &[&str]) -> Self {
        let gateway = Gateway::with(backend, &[&["--admin-key", ADMIN_KEY], flags].concat()).await;
        let root = gateway.with_key(ADMIN_KEY);
        Self::around(gateway, root).await
    }

    async fn around(gateway: Gateway, root: Client) -> Self {
        root.put("/v1/topics/orders").json(&json!({ "partition_count": 1 })).send().await.is(201);
        Self { gateway, root, props: BTreeMap::new() }
    }

    /// Keeps what inputs are made of: a cursor, a key.
    pub(crate) fn keep(&mut self, name: &'static str, text: impl Into<String>) {
        self.props.insert(name, text.into());
    }

    /// What was kept.
    pub(crate) fn kept(&self, name: &str) -> &str {
        self.props.get(name).unwrap_or_else(|| panic!("{name} was not kept"))
    }

    /// The gateway's own name, as it stands in `Host`.
    pub(crate) fn host(&self) -> String {
        self.gateway.address().to_string()
    }

    /// All that a request could have changed. Asked for on a new connection, so it says as well that the next is served.
    pub(crate) async fn state(&self) -> Value {
        let client = self.root.another();
        let ask = async |path: &str| client.get(path).send().await.is(200).json();
        let mut state = json!({ "topics": [], "groups": [], "keys": ask("/v1/keys").await });
        for topic in ask("/v1/topics?limit=1000").await["topics"].as_array().expect("a list of topics") {
            let told = ask(&format!("/v1/topics/{}", topic["topic"].as_str().expect("a name"))).await;
            state["topics"].as_array_mut().expect("a list").push(told);
        }
        for group in ask("/v1/groups?limit=1000").await["groups"].as_array().expect("a list of groups") {
            let path = format!("/v1/groups/{}", group["group"].as_str().expect("a name"));
            let (told, offsets) = (ask(&path).await, ask(&format!("{path}/offsets")).await);
            let members = told["members"].as_array().expect("a list of members").iter();
            let members: Vec<Value> = members.map(|one| json!([one["member_id"], one["epoch"]])).collect();
            // Lag grows, and a lease is renewed by whoever calls as its holder, also where the call is refused.
            let offsets = offsets["offsets"].as_array().expect("a list of offsets").iter();
            let kept = |one: &Value| {
                ["topic", "partition", "owner", "epoch", "next_offset", "metadata"].map(|name| one[name].clone())
            };
            let offsets: Vec<_> = offsets.map(kept).collect();
            let told = json!({ "group": group["group"], "members": members, "offsets": offsets });
            state["groups"].as_array_mut().expect("a list").push(told);
        }
        state
    }
}

//! A gateway whose calls need keys, and clients with them.

use std::ops::Deref;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde_json::Value;
use serde_json::json;

use crate::harness::Backend;
use crate::harness::client::Answer;
use crate::harness::client::Client;
use crate::harness::gateway::Gateway;

/// The operator's key of these gateways.
pub(crate) const ADMIN_KEY: &str = "the.admin.key.of.these.tests.0123456789";

/// A gateway with an operator's key; calls on it are made with that.
pub(crate) struct Guarded {
    pub(crate) gateway: Gateway,
    root: Client,
}

impl Guarded {
    pub(crate) async fn start(backend: Backend) -> Self {
        Self::with(backend, &[]).await
    }

    pub(crate) async fn with(backend: Backend, flags: &[&str]) -> Self {
        let gateway = Gateway::with(backend, &[&["--admin-key", ADMIN_KEY], flags].concat()).await;
        let root = gateway.with_key(ADMIN_KEY);
        Self { gateway, root }
    }

    /// A client with a new key that permits so much: `["consume:pub-*:g"]`.
    pub(crate) async fn client(&self, permissions: &[&str]) -> Client {
        self.gateway.with_key(text(&create_key(&self.root, permissions).await.json()["key"]))
    }

    /// Somebody without a key.
    pub(crate) fn nobody(&self) -> Client {
        self.gateway.client()
    }
}

impl Deref for Guarded {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.root
    }
}

/// Milliseconds since 1970 by the clock of this machine, which is the gateway's too.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(now.as_millis()).expect("a time of today")
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}"))
}

/// `VERB:TOPIC:GROUP` as the API takes it.
pub(crate) fn permission(written: &str) -> Value {
    let mut permission = json!({});
    for (member, part) in ["verb", "topic", "group"].into_iter().zip(written.split(':')) {
        if !part.is_empty() {
            permission[member] = part.into();
        }
    }
    permission
}

/// Makes a key; the answer to that.
pub(crate) async fn create_key(client: &Client, permissions: &[&str]) -> Answer {
    let permissions: Vec<Value> = permissions.iter().copied().map(permission).collect();
    let body = json!({"name": "test", "permissions": permissions});
    client.post("/v1/keys").json(&body).send().await.is(201)
}

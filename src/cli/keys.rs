//! `tidegate keys`: making, listing and deleting API keys, through a gateway or on its database.

use anyhow::Context;
use anyhow::bail;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::access::error::AccessError;
use crate::access::keys;
use crate::access::keys::KeyPlace;
use crate::access::keys::NewKey;
use crate::cli::client::Client;
use crate::cli::client::Gateway;
use crate::cli::output::print;
use crate::cli::output::say;
use crate::cli::output::table;
use crate::model::key::Key;
use crate::model::key::KeyLimits;
use crate::model::permission::Permission;
use crate::model::secret::KeyId;
use crate::model::time::now;
use crate::store;
use crate::store::OpenError;

/// Where the keys are, and what to do.
#[derive(Debug, Clone)]
pub struct Command {
    /// Where they are.
    pub place: Place,
    /// What to do.
    pub action: Action,
}

/// Where the keys are.
#[derive(Debug, Clone)]
pub enum Place {
    /// Behind a gateway that runs.
    Gateway(Gateway),
    /// In a database.
    Database(Box<store::Options>),
}

/// What to do with them.
#[derive(Debug, Clone)]
pub enum Action {
    /// Make one.
    Create(NewKey),
    /// Show all.
    List {
        /// As JSON, one a line, instead of a table.
        json: bool,
    },
    /// Delete one.
    Delete {
        /// Its id.
        id: KeyId,
    },
}

/// Does it, and prints what came of it: of a new key, the key alone.
///
/// # Errors
/// If the gateway or the database refuses, or standard output cannot be written.
pub async fn run(command: Command) -> anyhow::Result<()> {
    match command.place {
        Place::Gateway(gateway) => through_gateway(&mut Client::new(gateway), command.action).await,
        Place::Database(options) => on_database(&options, command.action).await,
    }
}

/// What is read of a key.
#[derive(Deserialize)]
struct ShownKey {
    id: String,
    name: String,
    permissions: Vec<Permission>,
    expires_at: Option<u64>,
}

#[derive(Deserialize)]
struct CreatedKey {
    id: String,
    key: String,
}

#[derive(Deserialize)]
struct KeyList {
    keys: Vec<Box<RawValue>>,
    next_page_token: Option<String>,
}

async fn through_gateway(client: &mut Client, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Create(NewKey { name, rights, limits, expires_at }) => {
            let mut body = json!({"name": name.as_str(), "permissions": rights.permissions()});
            if let Some(expires_at) = expires_at {
                body["expires_at"] = expires_at.into();
            }
            if limits != KeyLimits::default() {
                body["limits"] = serde_json::to_value(limits)?;
            }
            // The first call of its client, so it is never sent twice.
            let answer = client.post("/v1/keys", &body).await?;
            let CreatedKey { id, key } = client.read(&answer)?;
            tell(&id, &key)
        }
        Action::List { json } => {
            let mut all = Vec::new();
            let mut path = "/v1/keys?limit=1000".to_owned();
            loop {
                let answer = client.get(&path).await?;
                let page: KeyList = client.read(&answer)?;
                all.extend(page.keys.iter().map(|key| key.get().to_owned()));
                match page.next_page_token {
                    // A token is of letters, digits, `-` and `_`.
                    Some(token) => path = format!("/v1/keys?limit=1000&page_token={token}"),
                    None => break,
                }
            }
            if json {
                return Ok(print(&all.iter().map(|key| format!("{key}\n")).collect::<String>())?);
            }
            let shown = all.iter().map(|key| client.read(key.as_bytes())).collect::<Result<Vec<_>, _>>()?;
            Ok(print(&keys_table(&shown))?)
        }
        Action::Delete { id } => {
            client.delete(&format!("/v1/keys/{id}")).await?;
            Ok(())
        }
    }
}

async fn on_database(options: &store::Options, action: Action) -> anyhow::Result<()> {
    let store = match store::open_for_keys(options).await {
        Err(OpenError::Locked(directory)) => bail!(
            "a running gateway has {}: let it do this, by --url and --key here or by POST /v1/keys",
            directory.display()
        ),
        opened => opened?,
    };
    let outcome = match action {
        Action::Create(new) => match keys::create(&*store, new).await {
            Ok((secret, key)) => tell(key.id.as_str(), secret.reveal()),
            Err(error) => Err(error.into()),
        },
        Action::List { json } => store.access().await.context("the database").and_then(|state| list(state.keys, json)),
        Action::Delete { id } => match store.delete_key(id).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(AccessError::UnknownKey(id).into()),
            Err(error) => Err(error.into()),
        },
    };
    store.close().await;
    outcome
}

/// Says what was made: the key alone is what a script takes.
fn tell(id: &str, key: &str) -> anyhow::Result<()> {
    say(&format!("made key {id}; it is shown this once"));
    Ok(print(&format!("{key}\n"))?)
}

fn list(mut keys: Vec<Key>, json: bool) -> anyhow::Result<()> {
    keys.sort_by_cached_key(KeyPlace::of);
    if json {
        let line = |key: &Key| {
            let mut line = json!({"id": key.id.as_str(), "name": key.name.as_str(),
                "permissions": key.rights.permissions(), "created_at": key.created_at});
            if let Some(expires_at) = key.expires_at {
                line["expires_at"] = expires_at.into();
            }
            format!("{line}\n")
        };
        return Ok(print(&keys.iter().map(line).collect::<String>())?);
    }
    let shown = |key: &Key| ShownKey {
        id: key.id.to_string(),
        name: key.name.to_string(),
        permissions: key.rights.permissions().to_vec(),
        expires_at: key.expires_at,
    };
    Ok(print(&keys_table(&keys.iter().map(shown).collect::<Vec<_>>()))?)
}

fn keys_table(keys: &[ShownKey]) -> String {
    let now = now();
    let row = |key: &ShownKey| {
        let permissions: Vec<String> = key.permissions.iter().map(Permission::to_string).collect();
        [key.id.clone(), key.name.clone(), ends(key.expires_at, now), permissions.join(" ")]
    };
    table(["ID", "NAME", "EXPIRES", "PERMISSIONS"], &keys.iter().map(row).collect::<Vec<_>>())
}

/// How long it is until a key ends.
fn ends(expires_at: Option<u64>, now: u64) -> String {
    const HOUR_MS: u64 = 3_600_000;
    match expires_at.map(|end| end.saturating_sub(now)) {
        None => "never".to_owned(),
        Some(0) => "expired".to_owned(),
        Some(left) if left < HOUR_MS => format!("in {} min", left.div_ceil(60_000)),
        Some(left) if left < 48 * HOUR_MS => format!("in {} h", left / HOUR_MS),
        Some(left) => format!("in {} days", left / (24 * HOUR_MS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shown_by_what_they_allow_and_until_when() {
        let key = |id: &str, permissions: &[&str]| ShownKey {
            id: id.to_owned(),
            name: "shop".to_owned(),
            permissions: permissions.iter().map(|text| text.parse().expect("good")).collect(),
            expires_at: None,
        };
        let table = keys_table(&[key("k3F0aZ81mQwX", &["produce:orders", "consume:pub-*:*"])]);
        let row = table.lines().nth(1).expect("a row");
        assert_eq!(
            row.split_whitespace().collect::<Vec<_>>().join(" "),
            "k3F0aZ81mQwX shop never produce:orders consume:pub-*:*"
        );
        for (left, text) in [(0, "expired"), (1, "in 1 min"), (7_200_000, "in 2 h"), (200_000_000, "in 2 days")] {
            assert_eq!(ends(Some(1_000 + left), 1_000), text);
        }
    }
}

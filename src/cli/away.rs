//! Taking a command's own topic away again.

use std::time::Duration;

use tokio::time::sleep;

use crate::cli::client::Client;
use crate::cli::output::say;

/// How often it is tried, and the pause between: a proxy may leave its nodes alone for some seconds after a call that it cut.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Deletes the topic, if it is there. That it cannot be is said, and nothing else comes of it.
pub async fn delete_topic(client: &mut Client, topic: &str) {
    let path = format!("/v1/topics/{topic}");
    for n in 1..=TRIES {
        match client.delete(&path).await {
            Ok(_) => return,
            // It was not made.
            Err(error) if error.is_refusal() && !error.is_passing() => return,
            Err(error) if n == TRIES => say(&format!("the topic {topic} is left behind: {error}")),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

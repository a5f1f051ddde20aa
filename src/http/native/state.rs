//! What the handlers of this API share.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::access::hold::Hold;
use crate::broker::Broker;
use crate::http::native::consume::feed::Feeds;
use crate::http::native::consume::pulse::Pulse;
use crate::http::native::consume::stream::Streams;
use crate::model::limits::Limits;
use crate::tasks::Tasks;

/// How this API behaves where its contract leaves it open.
#[derive(Debug, Clone)]
pub struct Options {
    /// The longest silence of a stream: then an id, an empty line or an empty receipt says that it lives.
    pub heartbeat: Duration,
    /// How long an answer that never changes may be kept by the client; zero turns caching off.
    pub cache_max_age: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { heartbeat: Duration::from_secs(15), cache_max_age: Duration::from_secs(3600) }
    }
}

/// The state of every handler here. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    /// What the gateway does.
    pub broker: Broker,
    /// Who may do it, and for how long.
    pub access: Access,
    /// The bounds of requests.
    pub limits: Arc<Limits>,
    /// Cancelled when the node begins to shut down: waits answer, streams end.
    pub draining: CancellationToken,
    /// Where the contract leaves it open.
    pub options: Arc<Options>,
    /// The live edges that streams share.
    pub feeds: Feeds,
    /// What every stream works with.
    pub streams: Arc<Streams>,
}

impl Api {
    /// The state over a broker; `tasks` run its feeds.
    pub fn new(broker: Broker, access: Access, options: Options, draining: CancellationToken, tasks: &Tasks) -> Self {
        let limits = Arc::new(broker.limits().clone());
        let pulse = Pulse::start(options.heartbeat, draining.clone(), tasks);
        let feeds = Feeds::new(broker.clone(), pulse.clone(), draining.clone(), tasks.clone());
        let streams =
            Arc::new(Streams { broker: broker.clone(), pulse, draining: draining.clone(), tasks: tasks.clone() });
        Self { broker, access, limits, draining, options: Arc::new(options), feeds, streams }
    }
}

impl Api {
    /// Ends when a wait has to: the node shuts down, or the caller's rights end.
    pub async fn cut_short(&self, hold: &Hold) {
        tokio::select! {
            () = self.draining.cancelled() => {}
            () = hold.ended() => {}
        }
    }
}

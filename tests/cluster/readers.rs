//! Readers of the whole topic, by cursor and by event stream, each going on at any node.

use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::DEADLINE;
use crate::TOPIC;
use crate::answers::Call;
use crate::answers::Said;
use crate::check::Place;
use crate::check::Seen;
use crate::clients::Clients;
use crate::clients::id;
use crate::clients::number;

/// How long a plain reader lets a node wait for records.
const WAIT: Duration = Duration::from_millis(500);

/// How long a stream that is cut lasts, in milliseconds.
const CUT_AFTER_MS: std::ops::Range<u64> = 200..3000;

/// How soon a stream sees that the test is over.
const LOOK: Duration = Duration::from_millis(100);

/// Before a stream that failed is opened again. Shorter than a browser is told to wait.
const PAUSE: Duration = Duration::from_millis(100);

/// A reader that goes on until it is told to stop.
pub(crate) struct Reader {
    pub(crate) seen: Mutex<Seen>,
    /// How its streams ended: cut by itself, broken, or ended by the node with a problem.
    pub(crate) ends: Mutex<[usize; 3]>,
    clients: Arc<Clients>,
}

impl Reader {
    pub(crate) fn new(who: String, clients: &Arc<Clients>) -> Arc<Self> {
        let seen = Mutex::new(Seen { who, records: Vec::new() });
        Arc::new(Self { seen, ends: Mutex::default(), clients: Arc::clone(clients) })
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().expect("nobody panics with what was seen").records.len()
    }

    fn push(&self, record: &Value) {
        let place = Place { partition: number(&record["partition"]), offset: number(&record["offset"]) };
        self.seen.lock().expect("nobody panics with what was seen").records.push((place, id(record)));
    }

    /// Reads page after page.
    pub(crate) async fn pages(self: Arc<Self>, mut random: fastrand::Rng, stop: CancellationToken) {
        let mut cursor: Option<String> = None;
        while !stop.is_cancelled() {
            let node = self.clients.any(&mut random);
            let begin = cursor.as_ref().map_or_else(|| "from=earliest".to_owned(), |cursor| format!("cursor={cursor}"));
            let max = random.usize(1..200);
            let wait = WAIT.as_millis();
            let path = format!("/v1/topics/{TOPIC}/records?{begin}&max_records={max}&wait_ms={wait}");
            let request = self.clients.request(node, Method::GET, &path);
            let reply = self.clients.call(node, Call::Read, WAIT, request).await;
            if reply.said == Said::Fine {
                reply.body["records"]
                    .as_array()
                    .expect("a list of records")
                    .iter()
                    .for_each(|record| self.push(record));
                cursor = Some(reply.body["cursor"].as_str().expect("a cursor").to_owned());
            }
        }
    }

    /// Reads streams, one after the other; each is cut after a while, unless `keeps` them as long as they last.
    pub(crate) async fn streams(self: Arc<Self>, mut random: fastrand::Rng, keeps: bool, stop: CancellationToken) {
        let mut last: Option<String> = None;
        while !stop.is_cancelled() {
            let node = self.clients.any(&mut random);
            let cut = if keeps { Duration::MAX } else { Duration::from_millis(random.u64(CUT_AFTER_MS)) };
            let end = self.stream(node, &mut last, cut, &stop).await;
            self.ends.lock().expect("nobody panics with the ends")[end] += 1;
            if end != 0 {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// One stream to its end; says which of the three it was.
    async fn stream(&self, node: usize, last: &mut Option<String>, cut: Duration, stop: &CancellationToken) -> usize {
        let request = self.clients.request(node, Method::GET, &format!("/v1/topics/{TOPIC}/records?from=earliest"));
        let mut request = request.header("accept", "text/event-stream").timeout(DEADLINE * 100);
        if let Some(id) = &*last {
            request = request.header("last-event-id", id);
        }
        let begun = Instant::now();
        let Ok(response) = request.send().await else { return 1 };
        assert_eq!(response.status(), 200, "a browser gives up for ever on any other status");
        let mut events = pin!(response.bytes_stream().eventsource());
        while !stop.is_cancelled() && begun.elapsed() < cut {
            let event = match timeout(LOOK, events.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(_)) | None) => return 1,
                Err(_) => continue,
            };
            let data: Value = serde_json::from_str(&event.data).unwrap_or_else(|error| panic!("{error}: {event:?}"));
            if event.event == "problem" {
                assert_eq!(data["retry"], "later", "{data}");
                return 2;
            }
            assert_eq!(event.event, "message", "{event:?}");
            self.push(&data);
            *last = Some(event.id);
        }
        0
    }
}

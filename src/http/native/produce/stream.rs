//! Streamed NDJSON: lines are written in order while more of them arrive, and each is answered by a receipt as soon as
//! it is durable (api.md §3).
//!
//! One future does it all, inside the body of the answer, and is driven by whoever sends that body. So a client that
//! takes no receipts stops the reading of its lines, and one that hangs up ends the session; nothing is queued without
//! bound on either side. At most two chunks of lines are in memory: one that is being written, one that is gathered.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::access::hold::Hold;
use crate::http::kit::body::Chunks;
use crate::http::kit::body::STREAM_IDLE_MAX;
use crate::http::kit::caller::Asking;
use crate::http::kit::caller::unauthorized;
use crate::http::kit::context::RequestId;
use crate::http::kit::problem::Outcome;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::native::input::lines::Line;
use crate::http::native::input::lines::LineSplitter;
use crate::http::native::produce::answer;
use crate::http::native::produce::chunk::Target;
use crate::http::native::produce::chunk::Written;
use crate::http::native::state::Api;
use crate::model::name::TopicName;
use crate::telemetry::metrics::OpenStream;
use crate::telemetry::metrics::labels::StreamKind;

/// Lines of a chunk at most. A chunk is one commit, and its receipts come together.
const CHUNK_LINES_MAX: usize = 4096;
/// A chunk takes no further line once it holds this much.
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Bytes of a receipt as a rule.
const RECEIPT_BYTES_HINT: usize = 64;

const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// Tells nginx to pass receipts on as they come.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const NO: HeaderValue = HeaderValue::from_static("no");

/// One request whose lines are written as they come.
pub struct Session {
    target: Arc<Target>,
    request_id: RequestId,
    /// Receipts are sent; else only the last line.
    receipts: bool,
    draining: CancellationToken,
    /// How long its sender may go on.
    hold: Hold,
    heartbeat: Duration,
    /// What still arrives; `None` once no more lines are taken.
    input: Option<Input>,
    gathered: Vec<Line>,
    gathered_bytes: usize,
    writing: Option<Pin<Box<dyn Future<Output = Written> + Send>>>,
    /// Records written and readable.
    records: u64,
    /// Topics made since the head of the answer was last asked for them.
    created: Vec<TopicName>,
    /// Why not all lines are written.
    problem: Option<Problem>,
    /// Fires when the client should hear that the stream lives.
    silence: Pin<Box<Sleep>>,
    _open: OpenStream,
}

struct Input {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes, Problem>> + Send>>,
    splitter: LineSplitter,
    /// The splitter has no complete line left.
    hungry: bool,
}

/// What happened that the client is to be told.
enum Step {
    /// Lines are durable: their receipts, one a line.
    Receipts(Vec<u8>),
    /// Nothing, for as long as a heartbeat.
    Silence,
    /// All is done that will be done.
    End,
}

impl Session {
    /// A session over the lines of `body`, which may be silent for [`STREAM_IDLE_MAX`].
    pub fn new(
        api: &Api,
        topic: Option<TopicName>,
        create: bool,
        receipts: bool,
        asking: Asking,
        request_id: RequestId,
        body: Body,
    ) -> Self {
        // The idle limit counts across heartbeats, so the wait for a piece must outlive each look at it.
        let pieces = stream::try_unfold(Chunks::new(body, STREAM_IDLE_MAX), async |mut chunks| {
            Ok(chunks.next().await?.map(|piece| (piece, chunks)))
        });
        let splitter = LineSplitter::new(&api.limits);
        let heartbeat = api.options.heartbeat;
        let hold = api.access.hold(&asking.0);
        let (broker, limits) = (api.broker.clone(), Arc::clone(&api.limits));
        Self {
            target: Arc::new(Target { broker, asking, limits, topic, create }),
            request_id,
            receipts,
            draining: api.draining.clone(),
            hold,
            heartbeat,
            input: Some(Input { pieces: Box::pin(pieces), splitter, hungry: true }),
            gathered: Vec::new(),
            gathered_bytes: 0,
            writing: None,
            records: 0,
            created: Vec::new(),
            problem: None,
            silence: Box::pin(sleep(heartbeat)),
            _open: api.broker.metrics().stream(StreamKind::Produce),
        }
    }

    /// Goes on until there is something to tell.
    async fn step(&mut self) -> Step {
        loop {
            self.gather();
            if self.writing.is_none() {
                if !self.gathered.is_empty() {
                    self.gathered_bytes = 0;
                    let lines = mem::take(&mut self.gathered);
                    self.writing = Some(Arc::clone(&self.target).write(lines).boxed());
                    continue; // gather the next one meanwhile
                }
                if self.input.is_none() {
                    return Step::End;
                }
            }
            let event = {
                let taking_lines = self.input.is_some();
                let piece = async {
                    match &mut self.input {
                        Some(input) if input.hungry => input.pieces.next().await,
                        _ => std::future::pending().await,
                    }
                };
                let written = async {
                    match &mut self.writing {
                        Some(writing) => writing.await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    written = written => Event::Written(written),
                    () = self.draining.cancelled(), if taking_lines => Event::Draining,
                    () = self.hold.ended(), if taking_lines => Event::RightsEnded,
                    piece = piece => Event::Piece(piece),
                    () = &mut self.silence => Event::Silence,
                }
            };
            match event {
                Event::Written(written) => {
                    self.writing = None;
                    if let Some(receipts) = self.take_note(written) {
                        self.begin_silence();
                        return Step::Receipts(receipts);
                    }
                }
                Event::Draining => {
                    self.stop(Some(Problem::new(Code::Draining, "This node is shutting down: go on with the rest.")));
                }
                Event::RightsEnded => self.stop(Some(unauthorized())),
                Event::Piece(piece) => self.take_piece(piece),
                Event::Silence => {
                    self.begin_silence();
                    return Step::Silence;
                }
            }
        }
    }

    fn begin_silence(&mut self) {
        let due = Instant::now() + self.heartbeat;
        self.silence.as_mut().reset(due);
    }

    /// Fills the next chunk from what has arrived.
    fn gather(&mut self) {
        while let Some(input) = &mut self.input
            && !input.hungry
            && self.gathered.len() < CHUNK_LINES_MAX
            && self.gathered_bytes < CHUNK_BYTES_MAX
        {
            match input.splitter.next_line() {
                Ok(Some(line)) => {
                    self.gathered_bytes += line.text.len();
                    self.gathered.push(line);
                }
                Ok(None) => input.hungry = true,
                Err(refusal) => self.close_input(Some(refusal.into())),
            }
        }
    }

    fn take_piece(&mut self, piece: Option<Result<Bytes, Problem>>) {
        match (piece, self.input.as_mut()) {
            (Some(Ok(piece)), Some(input)) => {
                input.splitter.push(piece);
                input.hungry = false;
            }
            (Some(Err(problem)), _) => self.close_input(Some(problem)),
            (None, _) => {
                let last = self.input.take().map(|input| input.splitter.finish());
                match last {
                    Some(Ok(Some(line))) => self.gathered.push(line),
                    Some(Err(refusal)) => self.problem = Some(refusal.into()),
                    _ => {}
                }
            }
            (Some(Ok(_)), None) => {}
        }
    }

    /// Takes no more lines, but writes those that are gathered.
    fn close_input(&mut self, problem: Option<Problem>) {
        self.input = None;
        self.problem = problem;
    }

    /// Writes nothing more but what is being written.
    fn stop(&mut self, problem: Option<Problem>) {
        self.gathered = Vec::new();
        self.close_input(problem);
    }

    /// Counts a chunk that was written, and makes its receipts.
    fn take_note(&mut self, written: Written) -> Option<Vec<u8>> {
        let Written { topics, produced, problem } = written;
        if problem.is_some() {
            self.stop(problem);
        }
        let produced = produced?;
        self.records += produced.records.len() as u64;
        let mut receipts = Vec::new();
        if self.receipts {
            receipts.reserve(produced.records.len() * RECEIPT_BYTES_HINT);
            for placed in &produced.records {
                let topic = self.target.topic.is_none().then(|| &topics[placed.topic]);
                answer::receipt(placed, topic).write(&mut receipts);
                receipts.push(b'\n');
            }
        }
        self.created.extend(produced.created);
        self.receipts.then_some(receipts)
    }

    /// The last line.
    fn last_line(&mut self) -> Vec<u8> {
        let mut line = format!("{{\"records\":{}", self.records);
        if let Some(problem) = self.problem.take() {
            let problem = told(problem, self.request_id.as_str());
            line.push_str(",\"problem\":");
            line.push_str(&problem.to_json(self.request_id.as_str()));
        }
        line.push_str("}\n");
        line.into_bytes()
    }
}

enum Event {
    Written(Written),
    Draining,
    RightsEnded,
    Piece(Option<Result<Bytes, Problem>>),
    Silence,
}

/// Says of a problem in the last line what the front says of one that is an answer: what became of the line it is
/// about, and, if it is ours, the log of it.
fn told(problem: Problem, request_id: &str) -> Problem {
    let ours = problem.status() == StatusCode::INTERNAL_SERVER_ERROR;
    if ours || problem.outcome() == Some(Outcome::Unknown) {
        tracing::error!(request_id, code = problem.code().row().code, "a stream of lines ended: {}", problem.detail());
    }
    if problem.outcome().is_none() && !ours { problem.not_written() } else { problem }
}

/// Runs the session until there is something to tell, and answers with that and all that follows.
///
/// # Errors
/// What was refused before anything was written.
pub async fn respond(mut session: Session) -> Result<Response, Problem> {
    let mut at_end = false;
    let first = match session.step().await {
        Step::Receipts(receipts) => Some(receipts),
        Step::Silence => None,
        Step::End => {
            if session.records == 0
                && let Some(problem) = session.problem.take()
            {
                return Err(problem);
            }
            at_end = true;
            Some(session.last_line())
        }
    };
    let created = mem::take(&mut session.created);
    let first = stream::iter(first.map(|bytes| Ok::<_, std::convert::Infallible>(Bytes::from(bytes))));
    let rest = stream::unfold((session, at_end), async |(mut session, at_end)| {
        if at_end {
            return None;
        }
        let (bytes, at_end) = match session.step().await {
            Step::Receipts(receipts) => (receipts, false),
            Step::Silence => (b"\n".to_vec(), false),
            Step::End => (session.last_line(), true),
        };
        session.created.clear(); // the head, which tells them, is sent
        Some((Ok(Bytes::from(bytes)), (session, at_end)))
    });
    let mut response = Response::new(Body::from_stream(first.chain(rest)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, NDJSON);
    headers.insert(X_ACCEL_BUFFERING, NO);
    answer::tell_created(headers, &created);
    Ok(response)
}

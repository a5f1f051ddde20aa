//! Membership as an event stream: a named member that goes on where its last event was, or the one-line form whose member
//! lives as long as the connection.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::Uri;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::sleep;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::hold::Hold;
use crate::broker::error::Error;
use crate::broker::groups::presence::Presence;
use crate::broker::groups::session::Session;
use crate::broker::reader::Page;
use crate::broker::reader::PageLimit;
use crate::broker::reader::Reader;
use crate::groups::Urgency;
use crate::http::kit::caller::Asking;
use crate::http::kit::caller::unauthorized;
use crate::http::kit::context::Context;
use crate::http::kit::context::RequestId;
use crate::http::kit::path::GroupPath;
use crate::http::kit::path::MemberPath;
use crate::http::kit::problem::Problem;
use crate::http::native::consume::docs::RecordAnswer;
use crate::http::native::consume::frames::DATABASE_AWAY;
use crate::http::native::consume::frames::Ending;
use crate::http::native::consume::frames::StreamFormat;
use crate::http::native::consume::frames::stream_head;
use crate::http::native::consume::render::RecordWriter;
use crate::http::native::consume::stream::Streams;
use crate::http::native::error::for_stream;
use crate::http::native::groups::bodies::MembershipBody;
use crate::http::native::groups::consume::made_name;
use crate::http::native::groups::rights::may_subscribe;
use crate::http::native::groups::stream_query::StreamQuery;
use crate::http::native::groups::terms::topic_list;
use crate::http::native::state::Api;
use crate::model::member_cursor::MemberCursor;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::permission::Rights;
use crate::model::topic::PartitionId;
use crate::signal::Signal;
use crate::store::group_contract::Commit;
use crate::tasks;
use crate::telemetry::metrics::OpenStream;
use crate::telemetry::metrics::labels::StreamKind;

/// How much is sent at once; with `commit=on_send`, how much is committed at once.
const PIECE: PageLimit = PageLimit { records: 1_000, bytes: 256 << 10 };

/// The calls of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(stream_member)).routes(routes!(stream_group))
}

/// The parameters of a member's stream.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
struct StreamParams {
    /// The topics (repeatable).
    #[param(explode = true, style = Form, required = false, schema_with = topic_list, example = json!(["clicks"]))]
    topic: Option<Vec<String>>,
    /// Instead of `topic`: all topics whose names begin so, now and later.
    #[param(max_length = 249, pattern = "^[A-Za-z0-9._-]*$")]
    topic_prefix: Option<String>,
    /// The id of the last event, for clients that cannot send `Last-Event-ID`.
    #[param(max_length = 1535, pattern = "^[A-Za-z0-9_-]+$")]
    last_event_id: Option<String>,
    /// The same.
    #[param(max_length = 1535, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Where to begin in a partition in which the group has committed nothing.
    #[param(
        default = "earliest",
        max_length = 64,
        pattern = "^(earliest|latest|-(0|[1-9][0-9]{0,14})|[1-9][0-9]{11,14}|[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))$"
    )]
    from: Option<String>,
    /// How long the member is kept after its connection ends, in milliseconds.
    #[param(minimum = 1000, maximum = 900000, default = 10000)]
    lease_ms: Option<u64>,
    /// How the group shares its partitions out from now on.
    #[param(pattern = "^(sticky|range|round_robin)$")]
    strategy: Option<String>,
    /// `on_send`: an event is committed just before it is sent, so it comes at most once.
    #[param(pattern = "^on_send$")]
    commit: Option<String>,
    /// `sse`, if it is given; the header `Accept: text/event-stream` is needed all the same.
    #[param(pattern = "^sse$")]
    format: Option<String>,
}

/// Stream as a member
///
/// Records are pushed; `id` is a member's cursor, to be committed by `POST …/offsets {"cursor": id}`. Without
/// `Last-Event-ID` a run begins, with one it goes on. The first event is `assignment`, and again on every change.
#[utoipa::path(get, path = "/v1/groups/{group}/members/{member}/records", operation_id = "stream_member",
    tag = "groups", params(MemberPath, StreamParams),
    responses((status = 200, description = "Events that do not end", content_type = "text/event-stream",
        body = RecordAnswer), Problem),
    extensions(("x-stream" = json!(true))))]
async fn stream_member(
    State(api): State<Api>,
    context: Context,
    asking: Asking,
    MemberPath { group, member }: MemberPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = StreamQuery::parse(uri.query(), &headers)?;
    open(&api, &context, asking, group, member, query, Stay::Leased).await
}

/// Stream as a member of no name
///
/// The short form, for one line of JavaScript: the server makes the name, and the member leaves when the connection
/// ends.
#[utoipa::path(get, path = "/v1/groups/{group}/records", operation_id = "stream_group", tag = "groups",
    params(GroupPath, StreamParams),
    responses((status = 200, description = "Events that do not end", content_type = "text/event-stream",
        body = RecordAnswer), Problem),
    extensions(("x-stream" = json!(true))))]
async fn stream_group(
    State(api): State<Api>,
    context: Context,
    asking: Asking,
    GroupPath { group }: GroupPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // The member of the last event has left with its connection: there is no run to go on with.
    let query = StreamQuery { cursor: None, ..StreamQuery::parse(uri.query(), &headers)? };
    open(&api, &context, asking, group, made_name(), query, Stay::Connected).await
}

/// How long a member stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stay {
    /// Until its lease runs out after the connection has ended.
    Leased,
    /// As long as the connection.
    Connected,
}

async fn open(
    api: &Api,
    context: &Context,
    asking: Asking,
    group: GroupName,
    member: MemberName,
    query: StreamQuery,
    stay: Stay,
) -> Result<Response, Problem> {
    may_subscribe(&asking, &query.terms)?;
    let mut response = stream_head(StreamFormat::Sse);
    if context.head_only {
        return Ok(response);
    }
    let commit_on_send = query.commit_on_send;
    let rights = asking.0.rights.clone();
    let begun = Begin { streams: Arc::clone(&api.streams), group, member, rights, query };
    // In a task of its own: a client that hangs up while its member joins leaves a member that leaves.
    let begun = tasks::run(async move {
        match stay {
            Stay::Leased => begun.go_on().await.map(|session| (session, None)),
            Stay::Connected => begun.join().await.map(|(session, leaving)| (session, Some(leaving))),
        }
    });
    let (mut session, leaving) = begun.await.map_err(for_stream)?;
    session.stream();
    let (epoch, lease_ms) = (session.epoch(), session.lease_ms());
    let broker = &api.broker;
    let presence = broker.keep_present(session.group(), session.member(), epoch, lease_ms, session.changes());
    let pulse = Signal::new();
    api.streams.pulse.add(&pulse);
    let subscriber = Subscriber {
        streams: Arc::clone(&api.streams),
        hold: api.access.hold(&asking.0),
        session,
        presence,
        _leaving: leaving,
        pulse,
        commit_on_send,
        request_id: context.request_id.clone(),
        phase: Phase::Opening,
        told: 0,
        _open: broker.metrics().stream(StreamKind::Member),
    };
    *response.body_mut() = Body::from_stream(stream::unfold(subscriber, |subscriber| subscriber.next()));
    Ok(response)
}

/// A stream that is to begin.
struct Begin {
    streams: Arc<Streams>,
    group: GroupName,
    member: MemberName,
    rights: Rights,
    query: StreamQuery,
}

impl Begin {
    /// Goes on in the run of the last event, or begins one.
    async fn go_on(mut self) -> Result<Session, Error> {
        if let Some(cursor) = self.query.cursor.take() {
            match self.resume(cursor).await {
                // That run is over and nobody has its name: another begins from the committed offsets.
                Err(Error::LeaseLost { .. } | Error::UnknownMember { .. } | Error::UnknownGroup(_)) => {}
                outcome => return outcome,
            }
        }
        let (terms, from) = (self.query.terms, self.query.from);
        self.streams.broker.join_group(&self.group, &self.member, terms, from, &self.rights).await
    }

    async fn resume(&self, cursor: MemberCursor) -> Result<Session, Error> {
        let (terms, from) = (self.query.terms.clone(), self.query.from);
        let Self { streams, group, member, rights, .. } = self;
        let mut session = streams.broker.resume_member(group, member, cursor, terms, from, rights).await?;
        session.step(Commit::Nothing, Urgency::Now).await?;
        Ok(session)
    }

    /// Begins a run that ends with what is returned beside it.
    async fn join(self) -> Result<(Session, Leaving), Error> {
        let Self { streams, group, member, rights, query } = self;
        let leaving = Leaving { streams: Arc::clone(&streams), group: group.clone(), member: member.clone() };
        let session = streams.broker.join_group(&group, &member, query.terms, query.from, &rights).await?;
        Ok((session, leaving))
    }
}

/// Takes its member out of the group when it is dropped.
struct Leaving {
    streams: Arc<Streams>,
    group: GroupName,
    member: MemberName,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let broker = self.streams.broker.clone();
        let (group, member) = (self.group.clone(), self.member.clone());
        self.streams.tasks.spawn("leave", async move {
            match broker.leave(&group, &member, None).await {
                Ok(()) | Err(Error::UnknownGroup(_) | Error::UnknownMember { .. }) => {}
                // Its lease runs out by itself.
                Err(error) => tracing::debug!(%group, %member, %error, "a member could not leave: {error}"),
            }
        });
    }
}

enum Phase {
    /// The opening and the first assignment are to be said.
    Opening,
    /// Records.
    Going,
    /// Everything was said.
    Over,
}

/// One member's stream.
struct Subscriber {
    streams: Arc<Streams>,
    hold: Hold,
    session: Session,
    presence: Arc<Presence>,
    _leaving: Option<Leaving>,
    pulse: Arc<Signal>,
    commit_on_send: bool,
    request_id: RequestId,
    phase: Phase,
    /// The assignments that were said last.
    told: u32,
    _open: OpenStream,
}

impl Subscriber {
    /// The next piece of the body.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let piece = match self.phase {
            Phase::Over => return None,
            Phase::Opening => {
                self.phase = Phase::Going;
                let mut piece = StreamFormat::Sse.opening(self.session.cursor()).to_vec();
                piece.extend_from_slice(&self.assignment());
                Bytes::from(piece)
            }
            Phase::Going => match self.go_on().await {
                Ok(Some(piece)) => piece,
                Ok(None) => return None,
                Err(ending) => {
                    self.phase = Phase::Over;
                    StreamFormat::Sse.ending(&ending, self.request_id.as_str())
                }
            },
        };
        Some((Ok(piece), self))
    }

    /// Waits for something to say; `None` if another stream has taken this one's place.
    async fn go_on(&mut self) -> Result<Option<Bytes>, Ending> {
        loop {
            if self.streams.draining.is_cancelled() {
                return Err(Ending::Draining);
            }
            if self.hold.has_ended() {
                return Err(Ending::Refused(unauthorized()));
            }
            if self.presence.is_replaced() {
                return Ok(None);
            }
            if self.session.changes().is_raised() {
                self.step(Commit::Nothing).await?;
            }
            if self.session.assigned() != self.told {
                return Ok(Some(self.assignment()));
            }
            self.session.records().lower();
            let before = self.session.cursor().clone();
            match self.session.page(PIECE).await {
                Ok((page, reader)) if page.records > 0 => {
                    let piece = events(&before, self.session.cursor(), &page, &reader);
                    // Before it is sent: what is lost on the way does not come again.
                    if self.commit_on_send {
                        self.step(Commit::Cursor(self.session.returned())).await?;
                    }
                    return Ok(Some(piece));
                }
                Ok(_) => {}
                Err(Error::OffsetExpired { .. }) => {
                    let gaps = self.session.skip_gaps();
                    return Ok(Some(StreamFormat::Sse.gaps(&gaps, self.session.cursor())));
                }
                Err(Error::DatabaseUnavailable) => {
                    sleep(DATABASE_AWAY).await;
                    return Ok(Some(StreamFormat::Sse.heartbeat(self.session.cursor())));
                }
                Err(error) => return Err(Ending::Failed(error)),
            }
            let records = Arc::clone(self.session.records());
            let changes = Arc::clone(self.session.changes());
            tokio::select! {
                () = self.hold.ended() => {}
                () = records.raised() => {}
                () = changes.raised() => {}
                () = self.pulse.raised() => {
                    self.pulse.lower();
                    // What was committed meanwhile makes room in the cursor, if there is anything in it.
                    if !self.session.cursor().partitions.is_empty() {
                        self.step(Commit::Nothing).await?;
                    }
                    if self.session.assigned() == self.told {
                        return Ok(Some(StreamFormat::Sse.heartbeat(self.session.cursor())));
                    }
                }
            }
        }
    }

    async fn step(&mut self, commit: Commit) -> Result<(), Ending> {
        loop {
            match self.session.step(commit.clone(), Urgency::Now).await {
                // The stream stays open, and goes on when it is back.
                Err(Error::DatabaseUnavailable) if !self.streams.draining.is_cancelled() && !self.hold.has_ended() => {
                    sleep(DATABASE_AWAY).await;
                }
                done => return done.map_err(Ending::Failed),
            }
        }
    }

    fn assignment(&mut self) -> Bytes {
        self.told = self.session.assigned();
        let body = MembershipBody::from(&self.session);
        let json = serde_json::to_string(&body).expect("names and numbers always serialize");
        Bytes::from(format!("event: assignment\nid: {}\ndata: {json}\n\n", self.session.cursor()))
    }
}

/// The records of a page; the id of each is the member's cursor after it.
fn events(before: &MemberCursor, after: &MemberCursor, page: &Page, reader: &Reader) -> Bytes {
    let size: usize = page.slices.iter().map(|slice| slice.batch.bytes().len()).sum();
    let mut out = Vec::with_capacity(size.min(1 << 20) + 256);
    let mut cursor = before.clone();
    for slice in &page.slices {
        let read = &reader.topics()[slice.topic];
        let partition = reader.cursor().topics[slice.topic].partitions[slice.place].partition;
        let topic = read.topic.as_ref().expect("only topics that exist are read").id;
        let id = PartitionId { topic, partition };
        let writer = RecordWriter::new(&read.name, partition);
        let mut returned = after.partitions[&id];
        for record in reader.records(slice) {
            returned.next_offset = record.offset + 1;
            cursor.partitions.insert(id, returned);
            out.extend_from_slice(b"id: ");
            cursor.write(&mut out);
            out.extend_from_slice(b"\ndata: ");
            writer.write(&mut out, &record, None);
            out.extend_from_slice(b"\n\n");
        }
    }
    Bytes::from(out)
}

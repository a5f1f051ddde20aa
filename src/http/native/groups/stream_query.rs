//! The query of a member's event stream: the members of a poll that have a meaning there.

use axum::http::HeaderMap;

use crate::broker::groups::membership::Terms;
use crate::http::kit::event_id::last_event_id;
use crate::http::kit::media::Format;
use crate::http::kit::media::negotiate;
use crate::http::kit::problem::Problem;
use crate::http::kit::query::Query;
use crate::http::kit::query::invalid;
use crate::http::native::groups::terms::member_cursor;
use crate::http::native::groups::terms::needs_topics;
use crate::http::native::groups::terms::strategy;
use crate::http::native::groups::terms::subscription;
use crate::model::group::LEASE_MS;
use crate::model::member_cursor::MemberCursor;
use crate::model::position::Position;

/// What a stream is asked for.
#[derive(Debug)]
pub struct StreamQuery {
    /// How the member takes part.
    pub terms: Terms,
    /// The last event that came.
    pub cursor: Option<MemberCursor>,
    /// Where the group begins.
    pub from: Position,
    /// Whether an event is committed when it is sent.
    pub commit_on_send: bool,
}

impl StreamQuery {
    /// Reads and checks the query. Only an explicit `Accept: text/event-stream` opens a stream: it changes the group.
    ///
    /// # Errors
    /// `not_acceptable`; `unknown_parameter`, `invalid_parameter`, `missing_parameter`, `invalid_name`,
    /// `invalid_cursor`.
    pub fn parse(raw: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        negotiate(None, headers, &[Format::Sse])?;
        let known =
            &["topic", "topic_prefix", "cursor", "last_event_id", "from", "lease_ms", "strategy", "commit", "format"];
        let query = Query::parse(raw, known)?;
        query.choice("format", &[("sse", ())])?;
        let topics: Vec<String> = query.all("topic").map(str::to_owned).collect();
        let topics = (!topics.is_empty()).then_some(&topics[..]);
        let terms = Terms {
            subscription: subscription(topics, query.get("topic_prefix"))?,
            lease_ms: query.number("lease_ms", LEASE_MS)?,
            strategy: query.get("strategy").map(strategy).transpose()?,
        };
        // Also with an id: if that run is over, this begins another.
        needs_topics(&terms, "topic")?;
        let from = match query.literal("from") {
            Some(text) => text.parse().map_err(|why| invalid("from", format!("`from`: {why}.")))?,
            None => Position::Earliest,
        };
        let commit_on_send = query.choice("commit", &[("on_send", true)])?.unwrap_or(false);
        let given = query.get("cursor").map(|text| member_cursor("`cursor`", text)).transpose()?;
        let in_query = query.get("last_event_id").map(|text| member_cursor("The last event id", text)).transpose()?;
        let in_header = last_event_id(headers)?.map(|text| member_cursor("The last event id", text)).transpose()?;
        Ok(Self { terms, cursor: in_header.or(in_query).or(given), from, commit_on_send })
    }
}

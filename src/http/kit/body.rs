//! Reading a request's body: bounded in size, bounded in silence, and strict about what JSON it takes.

use std::time::Duration;
use std::time::Instant;

use axum::body::Body;
use axum::extract::FromRequest;
use axum::extract::Request;
use axum::http::request::Parts;
use bytes::Bytes;
use bytes::BytesMut;
use http_body::Body as _;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::IgnoredAny;
use serde_json::error::Category;
use tokio::time::timeout;

use crate::http::kit::coding::decoded::Refused;
use crate::http::kit::context::Context;
use crate::http::kit::media::ContentType;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::query::invalid;

/// How long an ordinary body may be silent before the request is given up.
pub const BODY_IDLE_MAX: Duration = Duration::from_secs(30);

/// What an ordinary body must come to on average, in bytes a second, after the first [`BODY_IDLE_MAX`]: what the slowest
/// networks give (Apache's mod_reqtimeout asks for as much), and far more than those send who only want to be waited for.
const BODY_BYTES_PER_S_MIN: u64 = 500;

/// How long a streamed body may be silent: its client sends when it has something.
pub const STREAM_IDLE_MAX: Duration = Duration::from_secs(10 * 60);

/// A body that comes in pieces, as a stream of any length.
pub struct Chunks {
    body: Body,
    idle_max: Duration,
    /// Since when, and how many bytes came since; `None` where a body may be as slow as it likes.
    pace: Option<(Instant, u64)>,
}

impl Chunks {
    /// Reads `body` piece by piece; a silence of `idle_max` ends it.
    pub fn new(body: Body, idle_max: Duration) -> Self {
        Self { body, idle_max, pace: None }
    }

    /// Reads `body` as one that its sender has ready: it may be silent for [`BODY_IDLE_MAX`], and not much slower than
    /// networks are.
    fn of_ready(body: Body) -> Self {
        Self { body, idle_max: BODY_IDLE_MAX, pace: Some((Instant::now(), 0)) }
    }

    /// How long the next piece may take.
    fn patience(&self) -> Duration {
        self.pace.map_or(self.idle_max, |(begun, bytes)| patience_with(bytes, begun.elapsed()))
    }

    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// What unpacking it came to; `request_timeout` after a silence, or if it comes too slowly; `invalid_parameter` if the body breaks off or is framed wrongly.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            match timeout(self.patience(), self.body.frame()).await {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => {
                        if let Some((_, bytes)) = &mut self.pace {
                            *bytes += data.len() as u64;
                        }
                        return Ok(Some(data));
                    }
                    Err(_trailers) => {} // trailers say nothing here
                },
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => {
                    if let Some(problem) = Refused::find(&error) {
                        return Err(problem.clone());
                    }
                    tracing::debug!(%error, "a body broke off");
                    return Err(invalid("body", "The body broke off before its end, or is framed wrongly."));
                }
                Err(_) => {
                    let seconds = self.idle_max.as_secs();
                    let detail = match self.pace {
                        Some((_, 1..)) => format!(
                            "The body came too slowly: nothing for {seconds} seconds, or fewer than \
                             {BODY_BYTES_PER_S_MIN} bytes a second."
                        ),
                        _ => format!("No byte of the body came for {seconds} seconds."),
                    };
                    return Err(Problem::new(Code::RequestTimeout, detail));
                }
            }
        }
    }
}

/// How long a ready body may be silent of which so many bytes came in that time.
fn patience_with(bytes: u64, elapsed: Duration) -> Duration {
    let earned = Duration::from_millis(bytes.saturating_mul(1_000) / BODY_BYTES_PER_S_MIN);
    (BODY_IDLE_MAX + earned).saturating_sub(elapsed).min(BODY_IDLE_MAX)
}

/// Reads a whole body, no larger than its call takes. One whose announced length is more is refused without being read, so
/// a client that asked `Expect: 100-continue` never sends it.
///
/// # Errors
/// `request_too_large`, `request_timeout`; `rate_limited` or `overloaded` if there is no memory for it; what [`unpack`] finds wrong with it.
///
/// [`unpack`]: crate::http::kit::coding::decoded::unpack
pub async fn read_all(parts: &Parts, body: Body) -> Result<Bytes, Problem> {
    let Context { body_bytes_max: bytes_max, room, .. } = Context::of(parts);
    let announced = body.size_hint();
    if announced.lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    let mut chunks = Chunks::of_ready(body);
    let Some(first) = chunks.next().await? else { return Ok(Bytes::new()) };
    if announced.exact() == Some(first.len() as u64) {
        return Ok(first); // the usual case: all of it came in one piece, and is not copied
    }
    // It grows with what comes, not with what was announced: an announcement costs the sender nothing.
    let mut held = room.hold();
    let mut all = BytesMut::from(first);
    loop {
        if all.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        held.grow_to(all.len())?;
        match chunks.next().await? {
            Some(chunk) => all.extend_from_slice(&chunk),
            None => return Ok(held.with(all.freeze())),
        }
    }
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(Code::RequestTooLarge, format!("The body is larger than {bytes_max} bytes.")).with("limit", bytes_max)
}

/// An extractor: the body as JSON. Taken are `application/json`, `…+json` and no type (curl's default form type counts
/// as none). Types that are read so deny unknown fields.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        parse_json(&json_body(request).await?).map(Json)
    }
}

/// An extractor as [`Json`]; a body that is missing is the default.
#[derive(Debug)]
pub struct OptionalJson<T>(pub T);

impl<S, T> FromRequest<S> for OptionalJson<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Default,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let body = json_body(request).await?;
        if body.is_empty() { Ok(Self(T::default())) } else { parse_json(&body).map(Self) }
    }
}

async fn json_body(request: Request) -> Result<Bytes, Problem> {
    let (parts, body) = request.into_parts();
    ContentType::of(&parts.headers)?.require_json()?;
    read_all(&parts, body).await
}

/// Reads JSON strictly.
///
/// # Errors
/// `malformed_json` with line and column; `unknown_field` with the known ones; `missing_parameter` and
/// `invalid_parameter` with the path of the member.
pub fn parse_json<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Problem> {
    // serde would take an array for a struct, member by member in the order of our source.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(invalid("body", "The body is a JSON object, not an array."));
    }
    let error = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if error.classify() != Category::Data {
        return Err(malformed_json(&error));
    }
    // What is refused may not be JSON further on, and that is to be told first.
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(bytes) {
        return Err(malformed_json(&error));
    }
    // Read again for the path of the member: only what is refused pays for it.
    let path = match serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(bytes)) {
        Err(error) => error.path().to_string(),
        Ok(_) => ".".to_owned(),
    };
    let parameter = if path == "." { "body".to_owned() } else { path };
    let text = error.to_string();
    // serde hands its findings over as text only.
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    if let Some(rest) = reason.strip_prefix("unknown field ") {
        let mut names = rest.split('`').skip(1).step_by(2);
        let field = names.next().unwrap_or_default().to_owned();
        let known: Vec<_> = names.collect();
        let detail = format!("There is no member `{field}`; there are {}.", known.join(", "));
        return Err(Problem::new(Code::UnknownField, detail).with("field", parameter).with("known", known));
    }
    if let Some(rest) = reason.strip_prefix("missing field ") {
        let field = rest.trim_matches('`').to_owned();
        return Err(
            Problem::new(Code::MissingParameter, format!("The member `{field}` is needed.")).with("parameter", field)
        );
    }
    Err(Problem::new(Code::InvalidParameter, format!("{parameter}: {reason}.")).with("parameter", parameter))
}

/// The refusal of what does not parse, with line and column, counted from 1.
pub fn malformed_json(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    let (line, column) = (error.line(), error.column());
    Problem::new(Code::MalformedJson, format!("Not JSON: {reason} at line {line}, column {column}."))
        .with("line", line)
        .with("column", column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Order {
        amount: u8,
        #[serde(default)]
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Item {
        name: String,
    }

    fn refusal(body: &str) -> serde_json::Value {
        let problem = parse_json::<Order>(body.as_bytes()).expect_err("a refusal");
        serde_json::from_str(&problem.to_json("")).expect("JSON")
    }

    #[test]
    fn members_are_named() {
        let unknown = refusal(r#"{"amount":1,"itms":[]}"#);
        assert_eq!(unknown["code"], "unknown_field");
        assert_eq!(unknown["field"], "itms");
        assert_eq!(unknown["known"], serde_json::json!(["amount", "items"]));
        let deep = refusal(r#"{"amount":1,"items":[{"name":"a"},{"nam":"b"}]}"#);
        assert_eq!((deep["code"].as_str(), deep["field"].as_str()), (Some("unknown_field"), Some("items[1].nam")));
        assert_eq!(deep["known"], serde_json::json!(["name"]));
        let missing = refusal("{}");
        assert_eq!(
            (missing["code"].as_str(), missing["parameter"].as_str()),
            (Some("missing_parameter"), Some("amount"))
        );
        let wrong = refusal(r#"{"amount":300}"#);
        assert_eq!((wrong["code"].as_str(), wrong["parameter"].as_str()), (Some("invalid_parameter"), Some("amount")));
        assert_eq!(refusal("[1]")["code"], "invalid_parameter");
    }

    #[test]
    fn what_is_not_json_says_where() {
        let broken = refusal("{\n \"amount\": x}");
        assert_eq!(broken["code"], "malformed_json");
        assert_eq!((broken["line"].as_u64(), broken["column"].as_u64()), (Some(2), Some(12)));
        for body in ["", "{", r#"{"amount":1} x"#, "\u{feff}{}", "\u{0}"] {
            assert_eq!(refusal(body)["code"], "malformed_json", "{body:?}");
        }
    }

    #[tokio::test]
    async fn bodies_are_bounded() {
        let mut parts = Request::new(Body::empty()).into_parts().0;
        let context = Context { body_bytes_max: 10, ..Context::of(&parts) };
        parts.extensions.insert(context);
        let read = async |size: usize| read_all(&parts, Body::from(vec![b'x'; size])).await;
        assert_eq!(read(10).await.expect("fits").len(), 10);
        assert_eq!(read(11).await.expect_err("too large").code(), Code::RequestTooLarge);
        let pieces = futures_util::stream::iter(["abcdef", "ghijkl"].map(Ok::<_, std::convert::Infallible>));
        let refused = read_all(&parts, Body::from_stream(pieces)).await;
        assert_eq!(refused.expect_err("too large").code(), Code::RequestTooLarge);
    }

    #[test]
    fn a_ready_body_earns_its_time() {
        let patience = |bytes, seconds| patience_with(bytes, Duration::from_secs(seconds)).as_secs();
        assert_eq!(patience(0, 0), 30);
        assert_eq!(patience(0, 20), 10);
        assert_eq!(patience(0, 31), 0);
        assert_eq!(patience(5_000, 20), 20);
        assert_eq!(patience(100_000, 100), 30, "never more than a silence may last");
        assert_eq!(patience(100_000, 231), 0);
    }

    #[tokio::test]
    async fn silence_ends_a_body() {
        let silent = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::convert::Infallible>>());
        let refused = Chunks::new(silent, Duration::from_millis(10)).next().await;
        assert_eq!(refused.expect_err("silent").code(), Code::RequestTimeout);
    }
}

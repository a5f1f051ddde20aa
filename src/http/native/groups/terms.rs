//! What a member asks for, as it stands in a body: which topics, how long a lease, how much at once.

use std::time::Duration;

use serde::Deserialize;
use serde::Deserializer;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::schema::Array;
use utoipa::openapi::schema::Object;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::schema::Type;

use crate::broker::groups::membership::Terms;
use crate::broker::reader::PageLimit;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::query::invalid;
use crate::http::kit::query::lowered;
use crate::http::kit::query::lowered_schema;
use crate::http::kit::query::missing;
use crate::http::kit::query::whole_number;
use crate::http::native::consume::docs::topic_names;
use crate::model::group::LEASE_MS;
use crate::model::group::SUBSCRIBED_TOPICS_MAX;
use crate::model::group::Strategy;
use crate::model::group::Subscription;
use crate::model::limits::Limits;
use crate::model::member_cursor::MemberCursor;
use crate::model::name::NAME_BYTES_MAX;
use crate::model::name::TopicName;
use crate::model::name::is_begin_of_name;
use crate::model::position::Position;

/// Records in an answer that names no number.
const RECORDS_DEFAULT: usize = 500;

/// Bytes in an answer that names no size.
const BYTES_DEFAULT: usize = 1 << 20;

macro_rules! terms_body {
    ($(#[$about:meta])* $name:ident as $title:ident { $($(#[$meta:meta])* $member:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Default, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields, expecting = "a JSON object")]
        #[schema(as = $title)]
        pub struct $name {
            $($(#[$meta])* pub $member: $kind,)*
            /// The topics to read; those that do not exist yet count from when they do.
            #[serde(default, deserialize_with = "given")]
            #[schema(schema_with = topic_list)]
            topics: Option<Vec<String>>,
            /// Instead of `topics`: all topics whose names begin so, now and later.
            #[serde(default, deserialize_with = "given")]
            #[schema(nullable = false, max_length = 249, pattern = "^[A-Za-z0-9._-]*$", examples("click"))]
            topic_prefix: Option<String>,
            /// Records in the answer. More than the server's bound is lowered to it.
            #[serde(default, deserialize_with = "given")]
            #[schema(schema_with = lowered_schema::<1, 500>)]
            max_records: Option<Box<RawValue>>,
            /// Bytes of keys, headers and values in the answer; at least one record comes all the same.
            #[serde(default, deserialize_with = "given")]
            #[schema(schema_with = lowered_schema::<1, 1048576>)]
            max_bytes: Option<Box<RawValue>>,
            /// How long the answer waits for its first record, in milliseconds; at most half the lease.
            #[serde(default, deserialize_with = "given")]
            #[schema(schema_with = lowered_schema::<0, 0>)]
            wait_ms: Option<Box<RawValue>>,
            /// How long the member may be silent, in milliseconds, counted from the answer.
            #[serde(default, deserialize_with = "given")]
            #[schema(value_type = Option<u64>, nullable = false, minimum = 1000, maximum = 900000, default = 10000)]
            lease_ms: Option<Box<RawValue>>,
            /// Where to begin in a partition in which the group has committed nothing: `earliest`, `latest`, `-N` (N
            /// records before the end), an RFC 3339 time, or integer milliseconds.
            #[serde(default, deserialize_with = "given")]
            #[schema(schema_with = position_schema)]
            from: Option<Box<RawValue>>,
            /// How the group shares its partitions out from now on; each poll that names one sets it for all.
            #[serde(default, deserialize_with = "given")]
            #[schema(value_type = Option<StrategyName>, nullable = false)]
            strategy: Option<String>,
        }

        impl $name {
            /// How the member takes part.
            ///
            /// # Errors
            /// `invalid_parameter`, `invalid_name`.
            pub fn terms(&self) -> Result<Terms, Problem> {
                let lease_ms = self.lease_ms.as_deref().map(|text| whole_number("lease_ms", text.get(), LEASE_MS));
                Ok(Terms {
                    subscription: subscription(self.topics.as_deref(), self.topic_prefix.as_deref())?,
                    lease_ms: lease_ms.transpose()?,
                    strategy: self.strategy.as_deref().map(strategy).transpose()?,
                })
            }

            /// Where the group begins.
            ///
            /// # Errors
            /// `invalid_parameter`.
            pub fn from(&self) -> Result<Position, Problem> {
                Ok(self.from.as_deref().map(|text| position("from", text)).transpose()?.unwrap_or(Position::Earliest))
            }

            /// How much is taken at once.
            ///
            /// # Errors
            /// `invalid_parameter`.
            pub fn limit(&self, limits: &Limits) -> Result<PageLimit, Problem> {
                let bound = |name, given: Option<&RawValue>, default: usize, maximum: usize| match given {
                    None => Ok(default.min(maximum)),
                    Some(text) => lowered(name, text.get(), 1, maximum as u64).map(|n| n as usize),
                };
                let records = bound("max_records", self.max_records.as_deref(), RECORDS_DEFAULT, limits.max_records)?;
                let bytes = bound("max_bytes", self.max_bytes.as_deref(), BYTES_DEFAULT, limits.max_bytes)?;
                Ok(PageLimit { records, bytes })
            }

            /// How long to wait for the first record.
            ///
            /// # Errors
            /// `invalid_parameter`.
            pub fn wait(&self, limits: &Limits) -> Result<Duration, Problem> {
                let wait = self.wait_ms.as_deref().map(|text| lowered("wait_ms", text.get(), 0, limits.wait_ms));
                Ok(Duration::from_millis(wait.transpose()?.unwrap_or(0)))
            }
        }
    };
}

terms_body! {
    /// What a member polls for.
    PollBody as GroupPoll {
        /// Go on: where the last answer ended. Without it a run begins.
        #[serde(default, deserialize_with = "given")]
        #[schema(nullable = false, max_length = 1535, pattern = "^[A-Za-z0-9_-]+$")]
        cursor: Option<String>,
        /// Whether everything before the cursor is committed.
        #[serde(default, deserialize_with = "given")]
        #[schema(nullable = false, default = true)]
        commit: Option<bool>,
    }
}

terms_body! {
    /// How a member joins.
    JoinBody as GroupJoin {
        /// Has no meaning yet: nothing was returned. Taken so that the body of a poll can be sent as it is.
        #[serde(default, deserialize_with = "given")]
        #[schema(nullable = false, default = true)]
        commit: Option<bool>,
    }
}

impl JoinBody {
    /// Checks what has no meaning for a join as strictly as what has.
    ///
    /// # Errors
    /// `invalid_parameter`.
    pub fn check(&self, limits: &Limits) -> Result<(), Problem> {
        let _ = (self.commit, self.limit(limits)?, self.wait(limits)?);
        Ok(())
    }
}

/// The names of strategies.
#[derive(ToSchema)]
#[schema(as = Strategy, rename_all = "snake_case")]
#[allow(dead_code)]
enum StrategyName {
    Sticky,
    Range,
    RoundRobin,
}

/// Takes a member that is there; `null` is no value.
pub fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The topics of a subscription, as the OpenAPI document describes them.
pub fn topic_list() -> Array {
    topic_names(SUBSCRIBED_TOPICS_MAX)
}

/// What the OpenAPI document says of `from` and `to`.
pub fn position_schema() -> Object {
    let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(64)).examples(["latest"]);
    text.pattern(Some(
        "^(earliest|latest|-(0|[1-9][0-9]{0,14})|[1-9][0-9]{11,14}|[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))$",
    ))
    .build()
}

/// Reads a position.
///
/// # Errors
/// `invalid_parameter`.
pub fn position(name: &'static str, given: &RawValue) -> Result<Position, Problem> {
    let text = serde_json::from_str::<String>(given.get()).unwrap_or_else(|_| given.get().to_owned());
    text.parse().map_err(|why| invalid(name, format!("`{name}`: {why}.")))
}

/// Reads the name of a strategy.
///
/// # Errors
/// `invalid_parameter`.
pub fn strategy(text: &str) -> Result<Strategy, Problem> {
    let words: Vec<_> = Strategy::ALL.iter().map(|strategy| strategy.as_str()).collect();
    text.parse().map_err(|_| {
        invalid("strategy", format!("`strategy` is one of {}.", words.join(", "))).with("allowed", words.clone())
    })
}

/// Reads which topics are meant; `None` if nothing is said of them.
///
/// # Errors
/// `invalid_parameter`, `invalid_name`.
pub fn subscription(topics: Option<&[String]>, prefix: Option<&str>) -> Result<Option<Subscription>, Problem> {
    match (topics, prefix) {
        (Some(_), Some(_)) => Err(invalid("topic_prefix", "Either `topics` or `topic_prefix` is given, not both.")),
        (None, None) => Ok(None),
        (None, Some(prefix)) => {
            if !is_begin_of_name(prefix) {
                let detail =
                    format!("`topic_prefix` is the beginning of a name: at most {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ -");
                return Err(invalid("topic_prefix", detail));
            }
            Ok(Some(Subscription::Prefix(prefix.to_owned())))
        }
        (Some(topics), None) => {
            if topics.is_empty() || topics.len() > SUBSCRIBED_TOPICS_MAX {
                let detail =
                    format!("`topics` are 1 to {SUBSCRIBED_TOPICS_MAX} names; `topic_prefix` stands for any number.");
                return Err(invalid("topics", detail).with("minimum", 1).with("maximum", SUBSCRIBED_TOPICS_MAX));
            }
            let mut names: Vec<TopicName> = Vec::with_capacity(topics.len());
            for (i, text) in topics.iter().enumerate() {
                let refused =
                    |why| Problem::new(Code::InvalidName, format!("`topics[{i}]`: {why}.")).with("parameter", "topics");
                names.push(text.parse().map_err(refused)?);
            }
            names.sort_unstable();
            names.dedup();
            Ok(Some(Subscription::Topics(names)))
        }
    }
}

/// Refuses to begin without topics, which would be named by `name`.
///
/// # Errors
/// `missing_parameter`.
pub fn needs_topics(terms: &Terms, name: &'static str) -> Result<(), Problem> {
    if terms.subscription.is_some() { Ok(()) } else { Err(missing(name).with("instead", ["topic_prefix"])) }
}

/// Reads the cursor of a member.
///
/// # Errors
/// `invalid_cursor`.
pub fn member_cursor(name: &str, text: &str) -> Result<MemberCursor, Problem> {
    MemberCursor::read(text).map_err(|why| Problem::new(Code::InvalidCursor, format!("{name}: {why}.")))
}

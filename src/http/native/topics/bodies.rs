//! Topics and partitions as they stand in bodies: what a caller sets, and what is told.

use axum::http::StatusCode;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::schema::Type;

use crate::broker::topics::PartitionState;
use crate::broker::topics::Setting;
use crate::broker::topics::TopicSettings;
use crate::http::kit::problem::Problem;
use crate::http::kit::query::invalid;
use crate::http::kit::query::whole_number;
use crate::model::limits::INTEGER_MAX;
use crate::model::topic::PARTITION_COUNT_MAX;
use crate::model::topic::Topic;

/// What stands for "no limit" where a limit is asked for.
const NO_LIMIT: &str = "-1";

/// A topic and its settings.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Topic)]
pub struct TopicBody {
    /// Its name.
    #[schema(examples("clicks"))]
    pub topic: String,
    /// How many partitions it has.
    #[schema(minimum = 1, examples(4))]
    pub partition_count: u32,
    /// How long records are kept, in milliseconds since the server took them; -1 is for ever.
    #[schema(minimum = -1, examples(604800000))]
    pub retention_ms: i64,
    /// How many bytes each partition keeps at least; -1 sets no limit.
    #[schema(minimum = -1, examples(-1))]
    pub retention_bytes: i64,
    /// When it was made, in milliseconds since 1970.
    #[schema(minimum = 0, examples(1732233600000_u64))]
    pub created_at: u64,
}

impl From<&Topic> for TopicBody {
    fn from(topic: &Topic) -> Self {
        let limit = |value: Option<u64>| value.map_or(-1, |value| i64::try_from(value).unwrap_or(i64::MAX));
        Self {
            topic: topic.name.to_string(),
            partition_count: topic.config.partition_count,
            retention_ms: limit(topic.config.retention.ms),
            retention_bytes: limit(topic.config.retention.bytes),
            created_at: topic.created_at,
        }
    }
}

/// A partition: what can be read of it, and its size.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Partition)]
pub struct PartitionBody {
    /// Its number, from 0.
    #[schema(minimum = 0, examples(0))]
    pub partition: u32,
    /// The first offset still kept.
    #[schema(minimum = 0, examples(0))]
    pub log_start_offset: u64,
    /// One past the last record.
    #[schema(minimum = 0, examples(43))]
    pub high_watermark: u64,
    /// Bytes kept.
    #[schema(minimum = 0, examples(6204))]
    pub bytes: u64,
    /// Records kept.
    #[schema(minimum = 0, examples(43))]
    pub records: u64,
}

impl From<PartitionState> for PartitionBody {
    fn from(state: PartitionState) -> Self {
        let bounds = state.bounds;
        Self {
            partition: state.partition,
            log_start_offset: bounds.log_start_offset,
            high_watermark: bounds.high_watermark,
            bytes: bounds.bytes,
            records: bounds.high_watermark.saturating_sub(bounds.log_start_offset),
        }
    }
}

/// A topic with its partitions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopicWithPartitions)]
pub struct TopicDetailBody {
    /// The topic.
    #[serde(flatten)]
    pub topic: TopicBody,
    /// All its partitions, by number.
    pub partitions: Vec<PartitionBody>,
}

/// A page of topics, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopicList)]
pub struct TopicListBody {
    /// The topics.
    pub topics: Vec<TopicBody>,
    /// Gets the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("Y2xpY2tz"))]
    pub next_page_token: Option<String>,
}

/// Where a log begins.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogStart)]
pub struct LogStartBody {
    /// The first offset still kept.
    #[schema(minimum = 0, examples(42))]
    pub log_start_offset: u64,
}

/// An offset.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Offset)]
pub struct OffsetBody {
    /// The offset that the position stands for.
    #[schema(minimum = 0, examples(42))]
    pub offset: u64,
}

/// Settings of a topic. A member that is absent stays as it is (for a new topic: the default); `null` is the default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TopicSettings)]
pub struct SettingsBody {
    /// How many partitions. May only grow.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 100_000, examples(4))]
    partition_count: Option<Box<RawValue>>,
    /// How long records are kept, in milliseconds since the server took them: at least 1, or -1 for ever. The default
    /// is 7 days.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = bound, examples(604800000))]
    retention_ms: Option<Box<RawValue>>,
    /// How many bytes each partition keeps at least: at least 1, or -1 for no limit, which is the default.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = bound, examples(-1))]
    retention_bytes: Option<Box<RawValue>>,
}

/// At least 1, or -1 for no bound, or `null` for the default.
fn bound() -> Schema {
    let integer = || ObjectBuilder::new().schema_type(Type::Integer);
    let number = integer().minimum(Some(1)).maximum(Some(9_007_199_254_740_991_i64));
    let none = integer().enum_values(Some([-1]));
    OneOfBuilder::new().item(number).item(none).item(ObjectBuilder::new().schema_type(Type::Null)).into()
}

/// Tells `null` from absent, and keeps the token as it stands: whatever is no number in bounds gets the same answer.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

impl SettingsBody {
    /// The settings, each within its bounds.
    ///
    /// # Errors
    /// `invalid_parameter` with `minimum` and `maximum`.
    pub fn settings(&self) -> Result<TopicSettings, Problem> {
        Ok(TopicSettings {
            partition_count: setting(self.partition_count.as_deref(), |text| {
                let count = whole_number("partition_count", text, 1..=u64::from(PARTITION_COUNT_MAX))?;
                Ok(u32::try_from(count).expect("the bound is a u32"))
            })?,
            retention_ms: setting(self.retention_ms.as_deref(), |text| limit("retention_ms", text))?,
            retention_bytes: setting(self.retention_bytes.as_deref(), |text| limit("retention_bytes", text))?,
        })
    }
}

fn setting<T>(given: Option<&RawValue>, read: impl Fn(&str) -> Result<T, Problem>) -> Result<Setting<T>, Problem> {
    match given.map(RawValue::get) {
        None => Ok(Setting::Absent),
        Some("null") => Ok(Setting::Default),
        Some(text) => read(text).map(Setting::Given),
    }
}

/// A limit of retention. 0 is none: some systems mean "no limit" by it, and here it would delete everything.
fn limit(name: &'static str, text: &str) -> Result<Option<u64>, Problem> {
    if text == NO_LIMIT {
        return Ok(None);
    }
    whole_number(name, text, 1..=INTEGER_MAX).map(Some).map_err(|_| {
        invalid(name, format!("`{name}` is -1 (no limit) or a whole number from 1 to {INTEGER_MAX}."))
            .with("minimum", -1)
            .with("maximum", INTEGER_MAX)
    })
}

/// The status of a PUT: made, or there already.
pub fn put_status(new: bool) -> StatusCode {
    if new { StatusCode::CREATED } else { StatusCode::OK }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::kit::body::parse_json;
    use crate::http::kit::problem_codes::Code;

    fn settings(body: &str) -> Result<TopicSettings, Problem> {
        parse_json::<SettingsBody>(body.as_bytes())?.settings()
    }

    #[test]
    fn absent_null_and_no_limit_differ() {
        let read = |body| settings(body).expect(body);
        assert_eq!(read("{}"), TopicSettings::default());
        assert_eq!(
            read(r#"{"partition_count":4,"retention_ms":-1,"retention_bytes":null}"#),
            TopicSettings {
                partition_count: Setting::Given(4),
                retention_ms: Setting::Given(None),
                retention_bytes: Setting::Default,
            }
        );
        assert_eq!(read(r#"{"retention_bytes": 1}"#).retention_bytes, Setting::Given(Some(1)));
    }

    #[test]
    fn what_is_out_of_bounds_is_told_them() {
        for (body, bounds) in [
            (r#"{"partition_count":0}"#, r#""maximum":100000,"minimum":1"#),
            (r#"{"partition_count":100001}"#, r#""maximum":100000,"minimum":1"#),
            (r#"{"partition_count":"4"}"#, r#""maximum":100000,"minimum":1"#),
            (r#"{"partition_count":1.5}"#, r#""maximum":100000,"minimum":1"#),
            (r#"{"partition_count":[4]}"#, r#""maximum":100000,"minimum":1"#),
            (r#"{"retention_ms":0}"#, r#""minimum":-1,"maximum":9007199254740991"#),
            (r#"{"retention_ms":-2}"#, r#""minimum":-1,"maximum":9007199254740991"#),
            (r#"{"retention_bytes":1e400}"#, r#""minimum":-1,"maximum":9007199254740991"#),
            (r#"{"retention_bytes":9007199254740992}"#, r#""minimum":-1,"maximum":9007199254740991"#),
        ] {
            let problem = settings(body).expect_err(body);
            assert_eq!(problem.code(), Code::InvalidParameter, "{body}");
            assert!(problem.to_json("").contains(bounds), "{body}: {}", problem.to_json(""));
        }
        assert_eq!(settings(r#"{"partitions":4}"#).expect_err("a typo").code(), Code::UnknownField);
        assert_eq!(settings("[]").expect_err("no object").code(), Code::InvalidParameter);
        assert_eq!(settings("{").expect_err("no JSON").code(), Code::MalformedJson);
    }
}

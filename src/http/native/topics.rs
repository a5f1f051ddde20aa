//! Topics and their partitions as resources.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::topic::Topic;

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

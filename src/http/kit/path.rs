//! The names and numbers that stand in a path, checked before a handler sees them.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::extract::RawPathParams;
use axum::http::request::Parts;
use utoipa::IntoParams;

use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::query::whole_number;
use crate::model::limits::INTEGER_MAX;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::name::NameError;
use crate::model::name::TopicName;

/// `/v1/topics/{topic}/…`
#[derive(Debug, Clone, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct TopicPath {
    /// Name of the topic.
    #[param(value_type = String, min_length = 1, max_length = 249, pattern = "^[A-Za-z0-9._-]+$", example = "clicks")]
    pub topic: TopicName,
}

/// `/v1/topics/{topic}/partitions/{partition}/…`
#[derive(Debug, Clone, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct PartitionPath {
    /// Name of the topic.
    #[param(value_type = String, min_length = 1, max_length = 249, pattern = "^[A-Za-z0-9._-]+$", example = "clicks")]
    pub topic: TopicName,
    /// Number of the partition, from 0.
    #[param(minimum = 0, maximum = 2147483647, example = 0)]
    pub partition: u32,
}

/// `/v1/topics/{topic}/partitions/{partition}/records/{offset}/…`
#[derive(Debug, Clone, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct RecordPath {
    /// Name of the topic.
    #[param(value_type = String, min_length = 1, max_length = 249, pattern = "^[A-Za-z0-9._-]+$", example = "clicks")]
    pub topic: TopicName,
    /// Number of the partition, from 0.
    #[param(minimum = 0, maximum = 2147483647, example = 0)]
    pub partition: u32,
    /// Offset of the record, from 0.
    #[param(minimum = 0, maximum = 9007199254740991_u64, example = 42)]
    pub offset: u64,
}

/// `/v1/groups/{group}/…`
#[derive(Debug, Clone, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct GroupPath {
    /// Name of the group.
    #[param(value_type = String, min_length = 1, max_length = 249, pattern = "^[A-Za-z0-9._-]+$", example = "billing")]
    pub group: GroupName,
}

/// `/v1/groups/{group}/members/{member}/…`
#[derive(Debug, Clone, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct MemberPath {
    /// Name of the group.
    #[param(value_type = String, min_length = 1, max_length = 249, pattern = "^[A-Za-z0-9._-]+$", example = "billing")]
    pub group: GroupName,
    /// Name of the member: the consumer's own choice.
    #[param(value_type = String, min_length = 1, max_length = 249, pattern = "^[A-Za-z0-9._-]+$", example = "worker-1")]
    pub member: MemberName,
}

/// `/v1/keys/{id}`
#[derive(Debug, Clone, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct KeyPath {
    /// Id of the key.
    #[param(min_length = 1, example = "k3F0aZ81mQwX")]
    pub id: String,
}

impl<S: Send + Sync> FromRequestParts<S> for KeyPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Raw::of(parts, state).await?;
        Ok(Self { id: path.get("id").to_owned() })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TopicPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Raw::of(parts, state).await?;
        Ok(Self { topic: path.name("topic")? })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for GroupPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Raw::of(parts, state).await?;
        Ok(Self { group: path.name("group")? })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MemberPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Raw::of(parts, state).await?;
        Ok(Self { group: path.name("group")?, member: path.name("member")? })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PartitionPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Raw::of(parts, state).await?;
        Ok(Self { topic: path.name("topic")?, partition: path.partition()? })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RecordPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Raw::of(parts, state).await?;
        let offset = whole_number("offset", path.get("offset"), 0..=INTEGER_MAX)?;
        Ok(Self { topic: path.name("topic")?, partition: path.partition()?, offset })
    }
}

struct Raw(RawPathParams);

impl Raw {
    async fn of<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // The one way it fails on a route of ours: a segment that is no UTF-8 once decoded.
        let params = RawPathParams::from_request_parts(parts, state).await;
        params.map(Self).map_err(|_| Problem::new(Code::InvalidName, "The path is not UTF-8."))
    }

    /// What stands for the name in the path; nothing where the route has no such segment.
    fn get(&self, name: &str) -> &str {
        self.0.iter().find_map(|(key, value)| (key == name).then_some(value)).unwrap_or_default()
    }

    fn name<N: FromStr<Err = NameError>>(&self, segment: &'static str) -> Result<N, Problem> {
        let refused =
            |error| Problem::new(Code::InvalidName, format!("`{segment}`: {error}.")).with("parameter", segment);
        self.get(segment).parse().map_err(refused)
    }

    fn partition(&self) -> Result<u32, Problem> {
        let number = whole_number("partition", self.get("partition"), 0..=i32::MAX as u64)?;
        Ok(u32::try_from(number).expect("at most i32::MAX"))
    }
}

//! Rows of the tables of groups as values. What is read is checked.

use serde::Deserialize;
use serde::Serialize;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::model::group::GroupId;
use crate::model::group::GroupPartition;
use crate::model::group::Member;
use crate::model::group::Subscription;
use crate::model::name::TopicName;
use crate::model::topic::PartitionId;
use crate::model::topic::TopicId;
use crate::store::error::StoreError;
use crate::store::group_rows::GroupRows;
use crate::store::postgres::values::number;
use crate::store::postgres::values::optional_number;
use crate::store::postgres::values::small_number;

/// The columns of a group `g`, as [`group`] reads them.
macro_rules! group_columns {
    () => {
        "g.id, g.name, g.version, g.last_epoch, g.strategy"
    };
}

/// The columns of a member `m`, as [`member`] reads them.
macro_rules! member_columns {
    () => {
        "m.group_id, m.member, m.epoch, m.subscription, m.lease_ms, m.lease_end"
    };
}

/// The columns of a partition `p`, as [`partition`] reads them.
macro_rules! partition_columns {
    () => {
        "p.group_id, p.topic_id, p.partition, p.assignee, p.owner, p.epoch, p.lease_end, p.committed_offset, p.metadata"
    };
}

pub(super) use group_columns;
pub(super) use member_columns;
pub(super) use partition_columns;

/// A group without members and partitions.
pub(super) fn group(row: &PgRow) -> Result<GroupRows, StoreError> {
    let strategy = text(row, 4)?.parse().map_err(StoreError::corrupt)?;
    Ok(GroupRows::new(group_id(row)?, parsed(row, 1)?, number(row, 2)?, number(row, 3)?, strategy))
}

/// Whose row a member or partition is: the first column.
pub(super) fn group_id(row: &PgRow) -> Result<GroupId, StoreError> {
    row.try_get(0).map(GroupId).map_err(StoreError::corrupt)
}

pub(super) fn member(row: &PgRow) -> Result<Member, StoreError> {
    Ok(Member {
        name: parsed(row, 1)?,
        epoch: number(row, 2)?,
        subscription: subscription(&text(row, 3)?)?,
        lease_ms: number(row, 4)?,
        lease_end: optional_number(row, 5)?,
    })
}

pub(super) fn partition(row: &PgRow) -> Result<GroupPartition, StoreError> {
    let name = |column| {
        let name: Option<String> = row.try_get(column).map_err(StoreError::corrupt)?;
        name.map(|name| name.parse().map_err(StoreError::corrupt)).transpose()
    };
    let metadata: Option<Vec<u8>> = row.try_get(8).map_err(StoreError::corrupt)?;
    Ok(GroupPartition {
        id: PartitionId {
            topic: TopicId(row.try_get(1).map_err(StoreError::corrupt)?),
            partition: small_number(row, 2)?,
        },
        assignee: name(3)?,
        owner: name(4)?,
        epoch: number(row, 5)?,
        lease_end: number(row, 6)?,
        committed: optional_number(row, 7)?,
        metadata: metadata.map(String::from_utf8).transpose().map_err(StoreError::corrupt)?,
    })
}

/// A subscription as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kept {
    Topics(Vec<String>),
    TopicPrefix(String),
}

pub(super) fn subscription_text(subscription: &Subscription) -> String {
    let kept = match subscription {
        Subscription::Topics(names) => Kept::Topics(names.iter().map(TopicName::to_string).collect()),
        Subscription::Prefix(prefix) => Kept::TopicPrefix(prefix.clone()),
    };
    serde_json::to_string(&kept).expect("texts can be written as JSON")
}

fn subscription(text: &str) -> Result<Subscription, StoreError> {
    match serde_json::from_str(text).map_err(StoreError::corrupt)? {
        Kept::TopicPrefix(prefix) => Ok(Subscription::Prefix(prefix)),
        Kept::Topics(names) => {
            let names: Result<Vec<TopicName>, _> = names.iter().map(|name| name.parse()).collect();
            let names = names.map_err(StoreError::corrupt)?;
            // Whether a topic is covered is found by halving.
            if !names.is_sorted_by(|one, next| one < next) {
                return Err(StoreError::corrupt("the topics of a subscription are not in order"));
            }
            Ok(Subscription::Topics(names))
        }
    }
}

fn text(row: &PgRow, column: usize) -> Result<String, StoreError> {
    row.try_get(column).map_err(StoreError::corrupt)
}

pub(super) fn parsed<T>(row: &PgRow, column: usize) -> Result<T, StoreError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text(row, column)?.parse().map_err(StoreError::corrupt)
}

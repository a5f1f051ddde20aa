//! Reading the rows that a call concerns.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use crate::model::group::GroupId;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::topic::PartitionId;
use crate::store::error::StoreError;
use crate::store::group_rows::GroupRows;
use crate::store::sqlite::groups::rows;
use crate::store::sqlite::groups::rows::group_columns;
use crate::store::sqlite::groups::rows::json;
use crate::store::sqlite::groups::rows::member_columns;
use crate::store::sqlite::groups::rows::partition_columns;
use crate::store::sqlite::writer::store_error;

/// Groups of which rows were read.
pub(super) type Groups = HashMap<GroupId, GroupRows>;

/// A cross join keeps the order: what is asked for comes first and is looked up, never the table searched for it.
pub(super) const BY_NAME: &str =
    concat!("select ", group_columns!(), " from json_each(?1) asked cross join groups g on g.name = asked.value");

pub(super) const BY_ID: &str = concat!("select ", group_columns!(), " from groups g where g.id = ?1");

pub(super) const MEMBERS: &str = concat!(
    "select ",
    member_columns!(),
    " from json_each(?1) asked cross join group_members m
          on m.group_id = asked.value ->> 0 and m.member = asked.value ->> 1"
);

/// Left to itself, SQLite would walk over all partitions of the group, since they lie in the order of the primary key.
pub(super) const PARTITIONS: &str = concat!(
    "select ",
    partition_columns!(),
    " from json_each(?1) asked cross join group_partitions p indexed by group_partitions_by_owner
          on p.group_id = asked.value ->> 0 and p.owner = asked.value ->> 1
      union all
      select ",
    partition_columns!(),
    " from json_each(?1) asked cross join group_partitions p indexed by group_partitions_by_assignee
          on p.group_id = asked.value ->> 0 and p.assignee = asked.value ->> 1 and p.owner is not p.assignee
      union all
      select ",
    partition_columns!(),
    " from json_each(?2) asked cross join group_partitions p
          on p.group_id = asked.value ->> 0 and p.topic_id = asked.value ->> 1 and p.partition = asked.value ->> 2"
);

/// The groups of those names that exist, their own rows only.
pub(super) async fn by_name(connection: &mut SqliteConnection, names: &[&GroupName]) -> Result<Groups, StoreError> {
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    let found = sqlx::query(BY_NAME).bind(json(&names)).fetch_all(connection).await.map_err(store_error)?;
    found.iter().map(|row| rows::group(row).map(|group| (group.id, group))).collect()
}

/// The group of that number, its own row only.
pub(super) async fn by_id(connection: &mut SqliteConnection, id: GroupId) -> Result<Groups, StoreError> {
    let found = sqlx::query(BY_ID).bind(id.0).fetch_all(connection).await.map_err(store_error)?;
    found.iter().map(|row| rows::group(row).map(|group| (group.id, group))).collect()
}

/// Reads into `groups` the members named, all partitions that they have or are to have, and the partitions named.
pub(super) async fn details(
    connection: &mut SqliteConnection,
    groups: &mut Groups,
    members: &[(GroupId, &MemberName)],
    partitions: &[(GroupId, PartitionId)],
) -> Result<(), StoreError> {
    let members: Vec<_> = members.iter().map(|(group, member)| (group.0, member.as_str())).collect();
    let partitions: Vec<_> = partitions.iter().map(|(group, id)| (group.0, id.topic.0, id.partition)).collect();
    let (members, partitions) = (json(&members), json(&partitions));
    for row in sqlx::query(MEMBERS).bind(&members).fetch_all(&mut *connection).await.map_err(store_error)? {
        if let Some(group) = groups.get_mut(&rows::group_id(&row)?) {
            group.add_member(rows::member(&row)?);
        }
    }
    let found = sqlx::query(PARTITIONS).bind(&members).bind(&partitions).fetch_all(connection).await;
    for row in found.map_err(store_error)? {
        if let Some(group) = groups.get_mut(&rows::group_id(&row)?) {
            group.add_partition(rows::partition(&row)?);
        }
    }
    Ok(())
}

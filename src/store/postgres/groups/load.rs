//! Locking the groups that a call concerns, and reading the rows of them that it concerns.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::model::group::GroupId;
use crate::model::name::GroupName;
use crate::model::name::MemberName;
use crate::model::topic::PartitionId;
use crate::store::error::StoreError;
use crate::store::group_rows::GroupRows;
use crate::store::postgres::error::read_error;
use crate::store::postgres::groups::rows;
use crate::store::postgres::groups::rows::group_columns;
use crate::store::postgres::groups::rows::member_columns;
use crate::store::postgres::groups::rows::partition_columns;
use crate::store::postgres::values::integer;

/// Groups of which rows were read.
pub(super) type Groups = HashMap<GroupId, GroupRows>;

pub(in crate::store::postgres) const BY_NAME: &str =
    concat!("select ", group_columns!(), " from groups g where g.name = any ($1) order by g.name for update");

pub(in crate::store::postgres) const BY_ID: &str =
    concat!("select ", group_columns!(), " from groups g where g.id = $1 for update");

pub(in crate::store::postgres) const MEMBERS: &str = concat!(
    "select ",
    member_columns!(),
    " from unnest($1::bigint[], $2::text[]) asked (group_id, member)
      join group_members m on m.group_id = asked.group_id and m.member = asked.member"
);

pub(in crate::store::postgres) const PARTITIONS: &str = concat!(
    "select ",
    partition_columns!(),
    " from unnest($1::bigint[], $2::text[]) asked (group_id, member)
      join group_partitions p on p.group_id = asked.group_id and p.owner = asked.member
      union all
      select ",
    partition_columns!(),
    " from unnest($1::bigint[], $2::text[]) asked (group_id, member)
      join group_partitions p on p.group_id = asked.group_id and p.assignee = asked.member
          and p.owner is distinct from p.assignee
      union all
      select ",
    partition_columns!(),
    " from unnest($3::bigint[], $4::bigint[], $5::integer[]) asked (group_id, topic_id, partition)
      join group_partitions p on p.group_id = asked.group_id and p.topic_id = asked.topic_id
          and p.partition = asked.partition"
);

/// Locks the groups of those names that exist, until the transaction is over; reads their own rows only.
pub(super) async fn lock_by_name(connection: &mut PgConnection, names: &[&GroupName]) -> Result<Groups, StoreError> {
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    let found = sqlx::query(BY_NAME).bind(&names).fetch_all(connection).await.map_err(read_error)?;
    found.iter().map(|row| rows::group(row).map(|group| (group.id, group))).collect()
}

/// The same for the group of that number.
pub(super) async fn lock_by_id(connection: &mut PgConnection, id: GroupId) -> Result<Groups, StoreError> {
    let found = sqlx::query(BY_ID).bind(id.0).fetch_all(connection).await.map_err(read_error)?;
    found.iter().map(|row| rows::group(row).map(|group| (group.id, group))).collect()
}

/// Reads into `groups` the members named, all partitions that they have or are to have, and the partitions named.
pub(super) async fn details(
    connection: &mut PgConnection,
    groups: &mut Groups,
    members: &[(GroupId, &MemberName)],
    partitions: &[(GroupId, PartitionId)],
) -> Result<(), StoreError> {
    let (of, members): (Vec<i64>, Vec<&str>) = members.iter().map(|(group, member)| (group.0, member.as_str())).unzip();
    let found = sqlx::query(MEMBERS).bind(&of).bind(&members).fetch_all(&mut *connection).await;
    for row in found.map_err(read_error)? {
        if let Some(group) = groups.get_mut(&rows::group_id(&row)?) {
            group.add_member(rows::member(&row)?);
        }
    }
    let groups_named: Vec<i64> = partitions.iter().map(|(group, _)| group.0).collect();
    let topics: Vec<i64> = partitions.iter().map(|(_, id)| id.topic.0).collect();
    let numbers: Vec<i32> = partitions.iter().map(|(_, id)| integer(id.partition)).collect();
    let found = sqlx::query(PARTITIONS)
        .bind(&of)
        .bind(&members)
        .bind(&groups_named)
        .bind(&topics)
        .bind(&numbers)
        .fetch_all(connection)
        .await;
    for row in found.map_err(read_error)? {
        if let Some(group) = groups.get_mut(&rows::group_id(&row)?) {
            group.add_partition(rows::partition(&row)?);
        }
    }
    Ok(())
}

//! Writing back the rows that a call changed.

use sqlx::PgConnection;

use crate::model::name::MemberName;
use crate::model::time::Millis;
use crate::model::topic::PartitionId;
use crate::store::error::StoreError;
use crate::store::group_rows::GroupRows;
use crate::store::postgres::error::read_error;
use crate::store::postgres::groups::rows::subscription_text;
use crate::store::postgres::values::bigint;
use crate::store::postgres::values::integer;

const SAVE_MEMBERS: &str = "
    insert into group_members (group_id, member, epoch, subscription, lease_ms, lease_end, ended_at)
    select * from unnest(
        $1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
    on conflict (group_id, member) do update set
        epoch = excluded.epoch, subscription = excluded.subscription, lease_ms = excluded.lease_ms,
        lease_end = excluded.lease_end, ended_at = excluded.ended_at";

/// A row of a topic that was purged meanwhile is not made.
const SAVE_PARTITIONS: &str = "
    insert into group_partitions
        (group_id, topic_id, partition, assignee, owner, epoch, lease_end, committed_offset, metadata)
    select * from unnest(
        $1::bigint[], $2::bigint[], $3::integer[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
        $9::bytea[]) changed (group_id, topic_id)
    where exists (select 1 from topics t where t.id = changed.topic_id)
    on conflict (group_id, topic_id, partition) do update set
        assignee = excluded.assignee, owner = excluded.owner, epoch = excluded.epoch, lease_end = excluded.lease_end,
        committed_offset = excluded.committed_offset, metadata = excluded.metadata";

/// Keeps the topics from being purged before rows that name them are committed. For calls that make rows.
pub(super) async fn keep_topics(
    connection: &mut PgConnection,
    partitions: impl Iterator<Item = PartitionId>,
) -> Result<(), StoreError> {
    let mut topics: Vec<i64> = partitions.map(|id| id.topic.0).collect();
    topics.sort_unstable();
    topics.dedup();
    if topics.is_empty() {
        return Ok(());
    }
    let sql = "select 1 from topics where id = any ($1) order by id for key share";
    sqlx::query(sql).bind(&topics).execute(connection).await.map(drop).map_err(read_error)
}

/// Writes what was changed of `groups`; false if that is nothing. A member whose run is over is written in the call that
/// ended it: at `now`.
pub(super) async fn save(
    connection: &mut PgConnection,
    groups: impl Iterator<Item = &GroupRows> + Clone,
    now: Millis,
) -> Result<bool, StoreError> {
    let members: Vec<_> =
        groups.clone().flat_map(|group| group.changed_members().map(|member| (group.id.0, member))).collect();
    if !members.is_empty() {
        let ended_at = |is_running: bool| if is_running { None } else { Some(bigint(now)) };
        sqlx::query(SAVE_MEMBERS)
            .bind(members.iter().map(|(group, _)| *group).collect::<Vec<_>>())
            .bind(members.iter().map(|(_, member)| member.name.as_str()).collect::<Vec<_>>())
            .bind(members.iter().map(|(_, member)| bigint(member.epoch)).collect::<Vec<_>>())
            .bind(members.iter().map(|(_, member)| subscription_text(&member.subscription)).collect::<Vec<_>>())
            .bind(members.iter().map(|(_, member)| bigint(member.lease_ms)).collect::<Vec<_>>())
            .bind(members.iter().map(|(_, member)| member.lease_end.map(bigint)).collect::<Vec<_>>())
            .bind(members.iter().map(|(_, member)| ended_at(member.is_running())).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await
            .map_err(read_error)?;
    }
    let partitions: Vec<_> = groups.flat_map(|group| group.changed_partitions().map(|row| (group.id.0, row))).collect();
    if !partitions.is_empty() {
        let name = |name: &Option<MemberName>| name.as_ref().map(|name| name.as_str().to_owned());
        sqlx::query(SAVE_PARTITIONS)
            .bind(partitions.iter().map(|(group, _)| *group).collect::<Vec<_>>())
            .bind(partitions.iter().map(|(_, row)| row.id.topic.0).collect::<Vec<_>>())
            .bind(partitions.iter().map(|(_, row)| integer(row.id.partition)).collect::<Vec<_>>())
            .bind(partitions.iter().map(|(_, row)| name(&row.assignee)).collect::<Vec<_>>())
            .bind(partitions.iter().map(|(_, row)| name(&row.owner)).collect::<Vec<_>>())
            .bind(partitions.iter().map(|(_, row)| bigint(row.epoch)).collect::<Vec<_>>())
            .bind(partitions.iter().map(|(_, row)| bigint(row.lease_end)).collect::<Vec<_>>())
            .bind(partitions.iter().map(|(_, row)| row.committed.map(bigint)).collect::<Vec<_>>())
            .bind(partitions.iter().map(|(_, row)| row.metadata.as_ref().map(|m| m.as_bytes())).collect::<Vec<_>>())
            .execute(connection)
            .await
            .map_err(read_error)?;
    }
    Ok(!members.is_empty() || !partitions.is_empty())
}

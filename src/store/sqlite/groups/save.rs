//! Writing back the rows that a call changed.

use sqlx::Arguments;
use sqlx::sqlite::SqliteArguments;

use crate::model::time::Millis;
use crate::store::error::StoreError;
use crate::store::group_rows::GroupRows;
use crate::store::sqlite::groups::rows::json;
use crate::store::sqlite::groups::rows::subscription_text;
use crate::store::sqlite::writer::integer;

/// Writes members and partitions, [`bind`] has the arguments. A row of a topic that was purged meanwhile is not made.
pub(super) const SAVE: &str = "
    insert into group_members (group_id, member, epoch, subscription, lease_ms, lease_end, ended_at)
    select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
    from json_each(?) where true
    on conflict (group_id, member) do update set
        epoch = excluded.epoch, subscription = excluded.subscription, lease_ms = excluded.lease_ms,
        lease_end = excluded.lease_end, ended_at = excluded.ended_at;
    insert into group_partitions
        (group_id, topic_id, partition, assignee, owner, epoch, lease_end, committed_offset, metadata)
    select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
        value ->> 8
    from json_each(?) where exists (select 1 from topics where id = value ->> 1)
    on conflict (group_id, topic_id, partition) do update set
        assignee = excluded.assignee, owner = excluded.owner, epoch = excluded.epoch, lease_end = excluded.lease_end,
        committed_offset = excluded.committed_offset, metadata = excluded.metadata;";

/// Binds what [`SAVE`] is to write; returns how many bytes that is, or 0 if it is nothing. A member whose run is over is
/// written in the call that ended it: at `now`.
pub(super) fn bind<'a>(
    arguments: &mut SqliteArguments,
    groups: impl Iterator<Item = &'a GroupRows> + Clone,
    now: Millis,
) -> Result<u64, StoreError> {
    let members = groups.clone().flat_map(|group| group.changed_members().map(|member| (group.id.0, member)));
    let members: Vec<_> = members
        .map(|(group, member)| {
            let ended_at = if member.is_running() { None } else { Some(integer(now)) };
            let subscription = subscription_text(&member.subscription);
            let (epoch, lease_ms) = (integer(member.epoch), integer(member.lease_ms));
            (group, member.name.as_str(), epoch, subscription, lease_ms, member.lease_end.map(integer), ended_at)
        })
        .collect();
    let partitions = groups.flat_map(|group| group.changed_partitions().map(|row| (group.id.0, row)));
    let partitions: Vec<_> = partitions
        .map(|(group, row)| {
            let (assignee, owner) = (row.assignee.as_ref(), row.owner.as_ref());
            (
                group,
                row.id.topic.0,
                row.id.partition,
                assignee.map(|name| name.as_str()),
                owner.map(|name| name.as_str()),
                integer(row.epoch),
                integer(row.lease_end),
                row.committed.map(integer),
                row.metadata.as_deref(),
            )
        })
        .collect();
    let nothing = members.is_empty() && partitions.is_empty();
    let (members, partitions) = (json(&members), json(&partitions));
    let bytes = if nothing { 0 } else { (members.len() + partitions.len()) as u64 };
    arguments.add(members).map_err(StoreError::corrupt)?;
    arguments.add(partitions).map_err(StoreError::corrupt)?;
    Ok(bytes)
}

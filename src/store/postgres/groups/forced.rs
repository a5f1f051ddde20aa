//! What members may stand in the way of: setting offsets, deleting a group.

use sqlx::PgConnection;

use crate::model::group::GroupPartition;
use crate::model::name::GroupName;
use crate::store::error::StoreError;
use crate::store::group_changes;
use crate::store::group_contract::Forced;
use crate::store::group_contract::Reset;
use crate::store::postgres::error::read_error;
use crate::store::postgres::groups::load;
use crate::store::postgres::groups::read;
use crate::store::postgres::groups::save;
use crate::store::postgres::groups::transaction;

pub(in crate::store::postgres) async fn reset(
    connection: &mut PgConnection,
    name: &GroupName,
    resets: &[Reset],
    force: bool,
) -> Result<Forced, StoreError> {
    let mut transaction = transaction::begin(connection).await?;
    let mut groups = load::lock_by_name(&mut transaction, &[name]).await?;
    let now = transaction::now(&mut transaction).await?;
    let Some(id) = groups.keys().next().copied() else { return Ok(Forced::Unknown) };
    let partitions: Vec<_> = resets.iter().map(|reset| (id, reset.partition)).collect();
    load::details(&mut transaction, &mut groups, &[], &partitions).await?;
    let Some(group) = groups.get_mut(&id) else { return Ok(Forced::Unknown) };
    let done = group_changes::reset(group, now, resets, force);
    save::keep_topics(&mut transaction, resets.iter().map(|reset| reset.partition)).await?;
    if save::save(&mut transaction, groups.values(), now).await? {
        transaction::commit(transaction).await?;
    }
    Ok(done)
}

pub(in crate::store::postgres) async fn delete(
    connection: &mut PgConnection,
    name: &GroupName,
    force: bool,
) -> Result<Forced, StoreError> {
    let mut transaction = transaction::begin(connection).await?;
    // Before the group, as whoever makes one does.
    let locked = sqlx::query("select 1 from group_epochs where id = 1 for update").execute(&mut *transaction).await;
    locked.map_err(read_error)?;
    let Some(rows) = load::lock_by_name(&mut transaction, &[name]).await?.into_values().next() else {
        return Ok(Forced::Unknown);
    };
    let now = transaction::now(&mut transaction).await?;
    let group = read::whole(&mut transaction, rows, now).await?;
    if !force && group.is_active() {
        let is_held = |row: &GroupPartition| row.owner.is_some() && row.lease_end >= now;
        return Ok(Forced::Active(group.partitions.into_iter().filter(is_held).collect()));
    }
    let deletions = [
        "update group_epochs set last_epoch = greatest(last_epoch, (select last_epoch from groups where id = $1))",
        "delete from group_partitions where group_id = $1",
        "delete from group_members where group_id = $1",
        "delete from groups where id = $1",
    ];
    for sql in deletions {
        sqlx::query(sql).bind(group.id.0).execute(&mut *transaction).await.map_err(read_error)?;
    }
    transaction::commit(transaction).await?;
    // Those that hold nothing wait for a partition and have to learn of it, too.
    Ok(Forced::Done(group.members.into_iter().filter(|member| member.is_running()).map(|member| member.name).collect()))
}

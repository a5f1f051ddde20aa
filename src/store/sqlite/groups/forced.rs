//! What members may stand in the way of: setting offsets, deleting a group.

use sqlx::Arguments;
use sqlx::sqlite::SqliteArguments;

use crate::model::group::GroupPartition;
use crate::model::name::GroupName;
use crate::model::time::Millis;
use crate::store::error::StoreError;
use crate::store::group_changes;
use crate::store::group_contract::Forced;
use crate::store::group_contract::Reset;
use crate::store::sqlite::groups::load;
use crate::store::sqlite::groups::read;
use crate::store::sqlite::groups::save;
use crate::store::sqlite::writer::Writer;

/// What came of it, and how many bytes of rows it wrote.
pub(in crate::store::sqlite) async fn reset(
    writer: &mut Writer,
    now: Millis,
    name: &GroupName,
    resets: &[Reset],
    force: bool,
) -> Result<(Forced, u64), StoreError> {
    let mut groups = load::by_name(&mut writer.connection, &[name]).await?;
    let Some(id) = groups.keys().next().copied() else { return Ok((Forced::Unknown, 0)) };
    let partitions: Vec<_> = resets.iter().map(|reset| (id, reset.partition)).collect();
    load::details(&mut writer.connection, &mut groups, &[], &partitions).await?;
    let Some(group) = groups.get_mut(&id) else { return Ok((Forced::Unknown, 0)) };
    let done = group_changes::reset(group, now, resets, force);
    let mut arguments = SqliteArguments::default();
    let bytes = save::bind(&mut arguments, groups.values(), now)?;
    if bytes > 0 {
        writer.commit(format!("begin immediate; {} commit", save::SAVE), arguments).await?;
    }
    Ok((done, bytes))
}

pub(in crate::store::sqlite) async fn delete(
    writer: &mut Writer,
    now: Millis,
    name: &GroupName,
    force: bool,
) -> Result<Forced, StoreError> {
    let Some(group) = read::group(&mut writer.connection, now, name).await? else { return Ok(Forced::Unknown) };
    if !force && group.is_active() {
        let is_held = |row: &GroupPartition| row.owner.is_some() && row.lease_end >= now;
        return Ok(Forced::Active(group.partitions.into_iter().filter(is_held).collect()));
    }
    let sql = "begin immediate;
               update group_epochs set last_epoch = max(last_epoch, (select last_epoch from groups where id = ?));
               delete from group_partitions where group_id = ?;
               delete from group_members where group_id = ?;
               delete from groups where id = ?;
               commit";
    let mut arguments = SqliteArguments::default();
    for _ in 0..4 {
        arguments.add(group.id.0).map_err(StoreError::corrupt)?;
    }
    writer.commit(sql.to_owned(), arguments).await?;
    // Those that hold nothing wait for a partition and have to learn of it, too.
    Ok(Forced::Done(group.members.into_iter().filter(|member| member.is_running()).map(|member| member.name).collect()))
}

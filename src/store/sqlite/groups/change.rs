//! Making a group, and changing who is in it and who is to hold what.

use sqlx::Arguments;
use sqlx::sqlite::SqliteArguments;

use crate::model::group::Group;
use crate::model::group::Strategy;
use crate::model::name::GroupName;
use crate::model::time::Millis;
use crate::store::error::StoreError;
use crate::store::group_changes;
use crate::store::group_contract::Changed;
use crate::store::group_contract::GroupChange;
use crate::store::sqlite::groups::load;
use crate::store::sqlite::groups::read;
use crate::store::sqlite::groups::rows::json;
use crate::store::sqlite::groups::save;
use crate::store::sqlite::writer::Writer;
use crate::store::sqlite::writer::integer;
use crate::store::sqlite::writer::store_error;

pub(in crate::store::sqlite) async fn create(
    writer: &mut Writer,
    now: Millis,
    name: &GroupName,
) -> Result<Group, StoreError> {
    if let Some(group) = read::group(&mut writer.connection, now, name).await? {
        return Ok(group);
    }
    let count = sqlx::query_scalar::<_, i64>("select count(*) from groups").fetch_one(&mut writer.connection).await;
    if count.map_err(store_error)? >= integer(writer.groups_max) {
        return Err(StoreError::TooManyGroups { limit: writer.groups_max });
    }
    let sql = "
        insert into groups (name, version, last_epoch, strategy)
        select ?1, 0, last_epoch, ?2 from group_epochs";
    sqlx::query(sql)
        .bind(name.as_str())
        .bind(Strategy::default().as_str())
        .execute(&mut writer.connection)
        .await
        .map_err(store_error)?;
    let made = read::group(&mut writer.connection, now, name).await?;
    made.ok_or_else(|| StoreError::corrupt("a group that was just made is missing"))
}

/// What came of a change, and how many bytes of rows it wrote.
pub(in crate::store::sqlite) async fn change(
    writer: &mut Writer,
    now: Millis,
    change: &GroupChange,
) -> Result<(Changed, u64), StoreError> {
    let mut groups = load::by_id(&mut writer.connection, change.group).await?;
    let members: Vec<_> = group_changes::members(change).map(|name| (change.group, name)).collect();
    let partitions: Vec<_> = group_changes::partitions(change).map(|id| (change.group, id)).collect();
    load::details(&mut writer.connection, &mut groups, &members, &partitions).await?;
    let Some(group) = groups.get(&change.group) else { return Ok((Changed::Conflict, 0)) };
    let owners = group_changes::owners(group, change);
    let owners: Vec<_> = owners.iter().map(|name| (change.group, name)).collect();
    load::details(&mut writer.connection, &mut groups, &owners, &[]).await?;
    let group = groups.get_mut(&change.group).expect("it was read");
    if group_changes::change(group, now, change) == Changed::Conflict {
        return Ok((Changed::Conflict, 0));
    }
    let sql = format!(
        "begin immediate;
         update groups set version = ?, last_epoch = ?, strategy = ? where id = ?;
         delete from group_members where group_id = ? and member in (select value from json_each(?));
         {}
         commit",
        save::SAVE
    );
    let left: Vec<&str> = change.left.iter().map(|name| name.as_str()).collect();
    let mut arguments = SqliteArguments::default();
    arguments.add(integer(group.version)).map_err(StoreError::corrupt)?;
    arguments.add(integer(group.last_epoch)).map_err(StoreError::corrupt)?;
    arguments.add(group.strategy.as_str()).map_err(StoreError::corrupt)?;
    arguments.add(group.id.0).map_err(StoreError::corrupt)?;
    arguments.add(group.id.0).map_err(StoreError::corrupt)?;
    arguments.add(json(&left)).map_err(StoreError::corrupt)?;
    let bytes = save::bind(&mut arguments, groups.values(), now)?;
    writer.commit(sql, arguments).await?;
    Ok((Changed::Done, bytes))
}

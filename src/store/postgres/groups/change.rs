//! Making a group, and changing who is in it and who is to hold what.

use sqlx::PgConnection;

use crate::model::group::Group;
use crate::model::group::Strategy;
use crate::model::name::GroupName;
use crate::store::error::StoreError;
use crate::store::group_changes;
use crate::store::group_contract::Changed;
use crate::store::group_contract::GroupChange;
use crate::store::postgres::error::read_error;
use crate::store::postgres::groups::load;
use crate::store::postgres::groups::read;
use crate::store::postgres::groups::save;
use crate::store::postgres::groups::transaction;
use crate::store::postgres::values::bigint;

pub(in crate::store::postgres) async fn create(
    connection: &mut PgConnection,
    groups_max: u64,
    name: &GroupName,
) -> Result<Group, StoreError> {
    if let Some(group) = read::group(connection, name).await? {
        return Ok(group);
    }
    let mut transaction = transaction::begin(connection).await?;
    // A deletion that is under way raises it: that is waited for.
    let locked = sqlx::query("select 1 from group_epochs where id = 1 for share").execute(&mut *transaction).await;
    locked.map_err(read_error)?;
    // Nodes that make groups at once may be over by as many as they are.
    let count = sqlx::query_scalar::<_, i64>("select count(*) from groups").fetch_one(&mut *transaction).await;
    if count.map_err(read_error)? >= bigint(groups_max) {
        return Err(StoreError::TooManyGroups { limit: groups_max });
    }
    let sql = "
        insert into groups (name, version, last_epoch, strategy)
        select $1, 0, last_epoch, $2 from group_epochs where id = 1
        on conflict (name) do nothing";
    sqlx::query(sql)
        .bind(name.as_str())
        .bind(Strategy::default().as_str())
        .execute(&mut *transaction)
        .await
        .map_err(read_error)?;
    transaction::commit(transaction).await?;
    let made = read::group(connection, name).await?;
    made.ok_or_else(|| StoreError::Unavailable("the group was deleted as soon as it was made".into()))
}

/// What came of a change, and the name of the group if it was changed.
pub(in crate::store::postgres) async fn change(
    connection: &mut PgConnection,
    change: &GroupChange,
) -> Result<(Changed, Option<GroupName>), StoreError> {
    let mut transaction = transaction::begin(connection).await?;
    let mut groups = load::lock_by_id(&mut transaction, change.group).await?;
    let now = transaction::now(&mut transaction).await?;
    let members: Vec<_> = group_changes::members(change).map(|name| (change.group, name)).collect();
    let partitions: Vec<_> = group_changes::partitions(change).map(|id| (change.group, id)).collect();
    load::details(&mut transaction, &mut groups, &members, &partitions).await?;
    let Some(group) = groups.get(&change.group) else { return Ok((Changed::Conflict, None)) };
    let owners = group_changes::owners(group, change);
    let owners: Vec<_> = owners.iter().map(|name| (change.group, name)).collect();
    load::details(&mut transaction, &mut groups, &owners, &[]).await?;
    let group = groups.get_mut(&change.group).expect("it was read");
    if group_changes::change(group, now, change) == Changed::Conflict {
        return Ok((Changed::Conflict, None));
    }
    let sql = "update groups set version = $1, last_epoch = $2, strategy = $3 where id = $4";
    sqlx::query(sql)
        .bind(bigint(group.version))
        .bind(bigint(group.last_epoch))
        .bind(group.strategy.as_str())
        .bind(group.id.0)
        .execute(&mut *transaction)
        .await
        .map_err(read_error)?;
    if !change.left.is_empty() {
        let left: Vec<&str> = change.left.iter().map(|name| name.as_str()).collect();
        let sql = "delete from group_members where group_id = $1 and member = any ($2)";
        sqlx::query(sql).bind(group.id.0).bind(&left).execute(&mut *transaction).await.map_err(read_error)?;
    }
    let name = group.name.clone();
    save::keep_topics(&mut transaction, change.assigned.iter().map(|(id, _)| *id)).await?;
    save::save(&mut transaction, groups.values(), now).await?;
    transaction::commit(transaction).await?;
    Ok((Changed::Done, Some(name)))
}

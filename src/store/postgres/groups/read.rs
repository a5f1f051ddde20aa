//! Groups as they stand: one whole, a list, and those with a lease that ran out.

use sqlx::Connection;
use sqlx::PgConnection;

use crate::model::group::Group;
use crate::model::name::GroupName;
use crate::model::time::Millis;
use crate::store::error::StoreError;
use crate::store::group_contract::GroupSummary;
use crate::store::group_contract::Lapses;
use crate::store::group_rows::GroupRows;
use crate::store::postgres::error::read_error;
use crate::store::postgres::groups::rows;
use crate::store::postgres::groups::rows::group_columns;
use crate::store::postgres::groups::rows::member_columns;
use crate::store::postgres::groups::rows::partition_columns;
use crate::store::postgres::groups::transaction;
use crate::store::postgres::values::bigint;
use crate::store::postgres::values::limit;
use crate::store::postgres::values::number;

/// Groups that one look for lapses returns at most.
const LAPSED_GROUPS: usize = 1000;

pub(in crate::store::postgres) const BY_NAME: &str =
    concat!("select ", group_columns!(), " from groups g where g.name = $1");

pub(in crate::store::postgres) const MEMBERS: &str =
    concat!("select ", member_columns!(), " from group_members m where m.group_id = $1 order by m.member");

pub(in crate::store::postgres) const PARTITIONS: &str = concat!(
    "select ",
    partition_columns!(),
    " from group_partitions p where p.group_id = $1 order by p.topic_id, p.partition"
);

/// A group as it stands in one snapshot, which takes no lock.
pub(in crate::store::postgres) async fn group(
    connection: &mut PgConnection,
    name: &GroupName,
) -> Result<Option<Group>, StoreError> {
    let begin = "begin isolation level repeatable read read only";
    // Dropped on the way out, it is rolled back.
    let mut snapshot = connection.begin_with(begin).await.map_err(read_error)?;
    let found = sqlx::query(BY_NAME).bind(name.as_str()).fetch_optional(&mut *snapshot).await.map_err(read_error)?;
    let group = match found {
        None => None,
        Some(row) => {
            let now = transaction::now(&mut snapshot).await?;
            Some(whole(&mut snapshot, rows::group(&row)?, now).await?)
        }
    };
    snapshot.commit().await.map_err(read_error)?;
    Ok(group)
}

/// A group with all its members and partitions, within a transaction that keeps them as they are.
pub(super) async fn whole(connection: &mut PgConnection, group: GroupRows, now: Millis) -> Result<Group, StoreError> {
    let members = sqlx::query(MEMBERS).bind(group.id.0).fetch_all(&mut *connection).await.map_err(read_error)?;
    let partitions = sqlx::query(PARTITIONS).bind(group.id.0).fetch_all(connection).await.map_err(read_error)?;
    Ok(Group {
        id: group.id,
        name: group.name,
        version: group.version,
        last_epoch: group.last_epoch,
        strategy: group.strategy,
        members: members.iter().map(rows::member).collect::<Result<_, _>>()?,
        partitions: partitions.iter().map(rows::partition).collect::<Result<_, _>>()?,
        now,
    })
}

pub(in crate::store::postgres) const LIST: &str = "
    select g.name, g.strategy, (
        select count(*) from group_members m where m.group_id = g.id and m.lease_end >= tidegate_now())
    from groups g where g.name > $1 order by g.name limit $2";

pub(in crate::store::postgres) async fn list(
    connection: &mut PgConnection,
    after: Option<&str>,
    limit_to: usize,
) -> Result<Vec<GroupSummary>, StoreError> {
    let rows = sqlx::query(LIST)
        .bind(after.unwrap_or(""))
        .bind(limit(limit_to))
        .fetch_all(connection)
        .await
        .map_err(read_error)?;
    rows.iter()
        .map(|row| {
            Ok(GroupSummary { name: rows::parsed(row, 0)?, strategy: rows::parsed(row, 1)?, members: number(row, 2)? })
        })
        .collect()
}

/// Groups by their first lapse, so that where the list is cut, nothing that lies before was left out.
pub(in crate::store::postgres) const LAPSES: &str = "
    select g.name, lapse.first
    from (
        select group_id, min(lease_end) as first
        from (
            select group_id, lease_end from group_members where lease_end >= $1 and lease_end < $2
            union all
            select group_id, lease_end from group_partitions
            where owner is not null and assignee is not null and owner <> assignee
              and lease_end >= $1 and lease_end < $2) lapsed
        group by group_id order by first limit $3) lapse
    join groups g on g.id = lapse.group_id
    order by lapse.first";

/// Looks from `since` to now. A transaction that is under way may still give a lease that ends before now: the next look
/// begins no later than such a one did.
pub(in crate::store::postgres) async fn lapses(
    connection: &mut PgConnection,
    since: Millis,
) -> Result<Lapses, StoreError> {
    let now = transaction::now(connection).await?;
    let settled = transaction::settled_until(connection, now).await?;
    let rows = sqlx::query(LAPSES)
        .bind(bigint(since))
        .bind(bigint(now))
        .bind(limit(LAPSED_GROUPS + 1))
        .fetch_all(connection)
        .await
        .map_err(read_error)?;
    let until = rows.get(LAPSED_GROUPS).map_or(Ok(now), |next| number(next, 1))?;
    let until = until.min(settled).max(since);
    let groups = rows.iter().take(LAPSED_GROUPS).map(|row| rows::parsed(row, 0)).collect::<Result<_, _>>()?;
    Ok(Lapses { groups, until })
}

//! Groups as they stand: one whole, a list, and those with a lease that ran out.

use sqlx::Connection;
use sqlx::SqliteConnection;

use crate::model::group::Group;
use crate::model::name::GroupName;
use crate::model::time::Millis;
use crate::store::error::StoreError;
use crate::store::group_contract::GroupSummary;
use crate::store::group_contract::Lapses;
use crate::store::sqlite::groups::load;
use crate::store::sqlite::groups::rows;
use crate::store::sqlite::groups::rows::member_columns;
use crate::store::sqlite::groups::rows::partition_columns;
use crate::store::sqlite::writer::integer;
use crate::store::sqlite::writer::number;
use crate::store::sqlite::writer::read_error;
use crate::store::sqlite::writer::store_error;

/// Groups that one look for lapses returns at most.
const LAPSED_GROUPS: usize = 1000;

pub(super) const MEMBERS: &str =
    concat!("select ", member_columns!(), " from group_members m where m.group_id = ?1 order by m.member");

pub(super) const PARTITIONS: &str = concat!(
    "select ",
    partition_columns!(),
    " from group_partitions p where p.group_id = ?1 order by p.topic_id, p.partition"
);

/// A group as it stands in one read transaction: the writer may go on between two statements.
pub(in crate::store::sqlite) async fn group(
    connection: &mut SqliteConnection,
    now: Millis,
    name: &GroupName,
) -> Result<Option<Group>, StoreError> {
    // Dropped on the way out, it is rolled back.
    let mut snapshot = connection.begin().await.map_err(store_error)?;
    let found = load::by_name(&mut snapshot, &[name]).await?.into_values().next();
    let Some(group) = found else {
        snapshot.commit().await.map_err(store_error)?;
        return Ok(None);
    };
    let members = sqlx::query(MEMBERS).bind(group.id.0).fetch_all(&mut *snapshot).await.map_err(store_error)?;
    let partitions = sqlx::query(PARTITIONS).bind(group.id.0).fetch_all(&mut *snapshot).await.map_err(store_error)?;
    snapshot.commit().await.map_err(store_error)?;
    Ok(Some(Group {
        id: group.id,
        name: group.name,
        version: group.version,
        last_epoch: group.last_epoch,
        strategy: group.strategy,
        members: members.iter().map(rows::member).collect::<Result<_, _>>()?,
        partitions: partitions.iter().map(rows::partition).collect::<Result<_, _>>()?,
        now,
    }))
}

pub(super) const LIST: &str = "
    select g.name, g.strategy, (select count(*) from group_members m where m.group_id = g.id and m.lease_end >= ?1)
    from groups g where g.name > ?2 order by g.name limit ?3";

pub(in crate::store::sqlite) async fn list(
    connection: &mut SqliteConnection,
    now: Millis,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<GroupSummary>, StoreError> {
    let rows = sqlx::query(LIST)
        .bind(integer(now))
        .bind(after.unwrap_or(""))
        .bind(limit as i64)
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
pub(super) const LAPSES: &str = "
    select g.name, lapse.first
    from (
        select group_id, min(lease_end) as first
        from (
            select group_id, lease_end from group_members where lease_end >= ?1 and lease_end < ?2
            union all
            select group_id, lease_end from group_partitions
            where owner is not null and assignee is not null and owner <> assignee
              and lease_end >= ?1 and lease_end < ?2)
        group by group_id order by first limit ?3) lapse
    cross join groups g on g.id = lapse.group_id
    order by lapse.first";

/// Looks from `since` to `now`. Whatever gave a lease before `now` must be committed.
pub(in crate::store::sqlite) async fn lapses(
    connection: &mut SqliteConnection,
    since: Millis,
    now: Millis,
) -> Result<Lapses, StoreError> {
    let rows = sqlx::query(LAPSES)
        .bind(integer(since))
        .bind(integer(now))
        .bind(LAPSED_GROUPS as i64 + 1)
        .fetch_all(connection)
        .await
        .map_err(read_error)?;
    let until = rows.get(LAPSED_GROUPS).map_or(Ok(now.max(since)), |next| number(next, 1))?;
    let groups = rows.iter().take(LAPSED_GROUPS).map(|row| rows::parsed(row, 0)).collect::<Result<_, _>>()?;
    Ok(Lapses { groups, until })
}

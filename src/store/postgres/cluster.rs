//! What a node asks of the database because others write to it too.

use sqlx::PgConnection;
use sqlx::Row;

use crate::store::cluster_contract::ChangedTopics;
use crate::store::cluster_contract::Waiting;
use crate::store::error::StoreError;
use crate::store::postgres::error::read_error;
use crate::store::postgres::values::bigint;
use crate::store::postgres::values::limit;
use crate::store::postgres::values::number;

/// Versions are given under one lock, which is held until the commit: a higher one is never seen before a lower.
pub(super) const CHANGED: &str = "select name, version from topics where version > $1 order by version limit $2";

pub(super) async fn changed_topics(
    connection: &mut PgConnection,
    version: u64,
    limit_to: usize,
) -> Result<ChangedTopics, StoreError> {
    let rows = sqlx::query(CHANGED)
        .bind(bigint(version))
        .bind(limit(limit_to))
        .fetch_all(connection)
        .await
        .map_err(read_error)?;
    let mut changed = ChangedTopics { names: Vec::with_capacity(rows.len()), version };
    for row in &rows {
        let name: String = row.try_get(0).map_err(StoreError::corrupt)?;
        changed.names.push(name.parse().map_err(StoreError::corrupt)?);
        changed.version = number(row, 1)?;
    }
    Ok(changed)
}

pub(super) const TO_WAKE: &str = "
    select w.at from unnest($1::text[], $2::text[], $3::bigint[]) with ordinality w (group_name, member, epoch, at)
    left join groups g on g.name = w.group_name
    left join group_members m on m.group_id = g.id and m.member = w.member
    where m.epoch is distinct from w.epoch or m.lease_end is null
        or exists (
            select 1 from group_partitions p
            where p.group_id = g.id and p.assignee = w.member and p.owner is null)
        or exists (
            select 1 from group_partitions p
            where p.group_id = g.id and p.owner = w.member and p.assignee is distinct from w.member)";

pub(super) async fn members_to_wake(
    connection: &mut PgConnection,
    waiting: &[Waiting],
) -> Result<Vec<Waiting>, StoreError> {
    let groups: Vec<&str> = waiting.iter().map(|one| one.group.as_str()).collect();
    let members: Vec<&str> = waiting.iter().map(|one| one.member.as_str()).collect();
    // It may be of a cursor that somebody made up: no run has such a one.
    let epochs: Vec<i64> = waiting.iter().map(|one| i64::try_from(one.epoch).unwrap_or(i64::MAX)).collect();
    let query = sqlx::query(TO_WAKE).bind(&groups).bind(&members).bind(&epochs);
    let rows = query.fetch_all(connection).await.map_err(read_error)?;
    let mut to_wake = Vec::with_capacity(rows.len());
    for row in &rows {
        let at = number(row, 0)?.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        let one = at.and_then(|at| waiting.get(at));
        to_wake.push(one.cloned().ok_or_else(|| StoreError::corrupt("a member nobody asked for"))?);
    }
    Ok(to_wake)
}

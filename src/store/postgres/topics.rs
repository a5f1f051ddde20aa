//! Topics: create, look up, list, configure, delete. Whoever changes how many partitions there are locks the one row that
//! says so first; it is held for a few statements, and by a node that is paused for five seconds at most.

use sqlx::Connection;
use sqlx::PgConnection;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::model::name::TopicName;
use crate::model::topic::Retention;
use crate::model::topic::Topic;
use crate::model::topic::TopicConfig;
use crate::model::topic::TopicId;
use crate::store::contract::Configuration;
use crate::store::contract::Creation;
use crate::store::error::StoreError;
use crate::store::postgres::error::read_error;
use crate::store::postgres::error::write_error;
use crate::store::postgres::values::bigint;
use crate::store::postgres::values::integer;
use crate::store::postgres::values::limit;
use crate::store::postgres::values::number;
use crate::store::postgres::values::optional_number;
use crate::store::postgres::values::small_number;

/// The columns of a topic, as [`topic`] reads them.
macro_rules! columns {
    () => {
        "id, name, incarnation, partition_count, retention_ms, retention_bytes, created_at, former_partition_counts"
    };
}

pub(super) async fn create(
    connection: &mut PgConnection,
    partitions_max: u64,
    name: &TopicName,
    config: TopicConfig,
) -> Result<Creation, StoreError> {
    if let Some(topic) = by_name(connection, name).await? {
        return Ok(Creation::Exists(topic));
    }
    let mut transaction = connection.begin().await.map_err(read_error)?;
    let partitions = lock_total(&mut transaction).await? + u64::from(config.partition_count);
    // Now nobody else makes one.
    if let Some(topic) = by_name(&mut transaction, name).await? {
        return Ok(Creation::Exists(topic));
    }
    if partitions > partitions_max {
        return Ok(Creation::TooManyPartitions);
    }
    let version = set_totals(&mut transaction, partitions).await?;
    let sql = concat!(
        "insert into topics (name, incarnation, partition_count, retention_ms, retention_bytes, version, created_at)
         values ($1, $2, $3, $4, $5, $6, tidegate_now()) returning ",
        columns!()
    );
    let rows = sqlx::query(sql)
        .bind(name.as_str())
        .bind(fastrand::u64(1..).cast_signed())
        .bind(integer(config.partition_count))
        .bind(config.retention.ms.map(bigint))
        .bind(config.retention.bytes.map(bigint))
        .bind(version)
        .fetch_all(&mut *transaction)
        .await
        .map_err(read_error)?;
    let made = rows.first().map(topic).transpose()?;
    let made = made.ok_or_else(|| StoreError::corrupt("a topic that was just made is missing"))?;
    transaction.commit().await.map_err(write_error)?;
    Ok(Creation::Created(made))
}

pub(super) const BY_NAME: &str = concat!("select ", columns!(), " from topics where name = $1 and deleted_at is null");

pub(super) async fn by_name(connection: &mut PgConnection, name: &TopicName) -> Result<Option<Topic>, StoreError> {
    let row = sqlx::query(BY_NAME).bind(name.as_str()).fetch_optional(connection).await.map_err(read_error)?;
    row.as_ref().map(topic).transpose()
}

pub(super) async fn by_id(connection: &mut PgConnection, id: TopicId) -> Result<Option<Topic>, StoreError> {
    let sql = concat!("select ", columns!(), " from topics where id = $1 and deleted_at is null");
    let row = sqlx::query(sql).bind(id.0).fetch_optional(connection).await.map_err(read_error)?;
    row.as_ref().map(topic).transpose()
}

/// Names are ASCII and sort by their bytes, so `~` sorts after every character of a name: the range holds just the names
/// with the prefix.
pub(super) const LIST: &str = concat!(
    "select ",
    columns!(),
    " from topics
      where deleted_at is null and name >= $1 and name < $1 || '~' and name > $2
      order by name limit $3"
);

pub(super) async fn list(
    connection: &mut PgConnection,
    prefix: &str,
    after: Option<&str>,
    limit_to: usize,
) -> Result<Vec<Topic>, StoreError> {
    let rows = sqlx::query(LIST)
        .bind(prefix)
        .bind(after.unwrap_or(""))
        .bind(limit(limit_to))
        .fetch_all(connection)
        .await
        .map_err(read_error)?;
    rows.iter().map(topic).collect()
}

pub(super) async fn configure(
    connection: &mut PgConnection,
    partitions_max: u64,
    id: TopicId,
    config: TopicConfig,
) -> Result<Configuration, StoreError> {
    let mut transaction = connection.begin().await.map_err(read_error)?;
    let mut total = lock_total(&mut transaction).await?;
    let Some(current) = by_id(&mut transaction, id).await? else { return Ok(Configuration::Unknown) };
    if config.partition_count < current.config.partition_count {
        return Ok(Configuration::Shrinks(current));
    }
    let mut former_partition_counts = current.former_partition_counts.clone();
    if config.partition_count > current.config.partition_count {
        total += u64::from(config.partition_count - current.config.partition_count);
        if total > partitions_max {
            return Ok(Configuration::TooManyPartitions);
        }
        former_partition_counts.push(current.config.partition_count);
    }
    let version = set_totals(&mut transaction, total).await?;
    let counts: Vec<String> = former_partition_counts.iter().map(u32::to_string).collect();
    let sql = "
        update topics
        set partition_count = $2, retention_ms = $3, retention_bytes = $4, former_partition_counts = $5, version = $6
        where id = $1";
    sqlx::query(sql)
        .bind(id.0)
        .bind(integer(config.partition_count))
        .bind(config.retention.ms.map(bigint))
        .bind(config.retention.bytes.map(bigint))
        .bind(counts.join(","))
        .bind(version)
        .execute(&mut *transaction)
        .await
        .map_err(read_error)?;
    transaction.commit().await.map_err(write_error)?;
    Ok(Configuration::Changed(Topic { config, former_partition_counts, ..current }))
}

/// Ends a topic; its name, if it was living.
pub(super) async fn delete(connection: &mut PgConnection, id: TopicId) -> Result<Option<TopicName>, StoreError> {
    let mut transaction = connection.begin().await.map_err(read_error)?;
    let total = lock_total(&mut transaction).await?;
    let Some(topic) = by_id(&mut transaction, id).await? else { return Ok(None) };
    let total = total.saturating_sub(u64::from(topic.config.partition_count));
    let version = set_totals(&mut transaction, total).await?;
    let sql = "update topics set deleted_at = tidegate_now(), version = $2 where id = $1";
    sqlx::query(sql).bind(id.0).bind(version).execute(&mut *transaction).await.map_err(read_error)?;
    transaction.commit().await.map_err(write_error)?;
    Ok(Some(topic.name))
}

/// The partitions of all living topics, which stay as many until the transaction is over.
async fn lock_total(connection: &mut PgConnection) -> Result<u64, StoreError> {
    let sql = "select partition_count from topic_totals where id = 1 for update";
    let row = sqlx::query(sql).fetch_one(connection).await.map_err(read_error)?;
    number(&row, 0)
}

/// Sets it, and counts a change of topics: its version.
async fn set_totals(connection: &mut PgConnection, partitions: u64) -> Result<i64, StoreError> {
    let sql = "update topic_totals set partition_count = $1, version = version + 1 where id = 1 returning version";
    sqlx::query_scalar(sql).bind(bigint(partitions)).fetch_one(connection).await.map_err(read_error)
}

fn topic(row: &PgRow) -> Result<Topic, StoreError> {
    let text = |column: usize| row.try_get::<String, _>(column).map_err(StoreError::corrupt);
    Ok(Topic {
        id: TopicId(row.try_get(0).map_err(StoreError::corrupt)?),
        name: text(1)?.parse().map_err(StoreError::corrupt)?,
        incarnation: row.try_get::<i64, _>(2).map_err(StoreError::corrupt)?.cast_unsigned(),
        config: TopicConfig {
            partition_count: small_number(row, 3)?,
            retention: Retention { ms: optional_number(row, 4)?, bytes: optional_number(row, 5)? },
        },
        created_at: number(row, 6)?,
        former_partition_counts: text(7)?
            .split_terminator(',')
            .map(|count| count.parse().map_err(StoreError::corrupt))
            .collect::<Result<_, _>>()?,
    })
}

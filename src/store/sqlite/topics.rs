//! Topics: create, look up, list, configure, delete.

use sqlx::Row;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::model::name::TopicName;
use crate::model::time;
use crate::model::topic::Retention;
use crate::model::topic::Topic;
use crate::model::topic::TopicConfig;
use crate::model::topic::TopicId;
use crate::store::contract::Configuration;
use crate::store::contract::Creation;
use crate::store::error::StoreError;
use crate::store::sqlite::writer::Writer;
use crate::store::sqlite::writer::integer;
use crate::store::sqlite::writer::number;
use crate::store::sqlite::writer::read_error;
use crate::store::sqlite::writer::store_error;

pub(super) async fn create(writer: &mut Writer, name: &TopicName, config: TopicConfig) -> Result<Creation, StoreError> {
    if let Some(topic) = by_name(&mut writer.connection, name).await? {
        return Ok(Creation::Exists(topic));
    }
    let partitions = writer.partitions + u64::from(config.partition_count);
    if partitions > writer.partitions_max {
        return Ok(Creation::TooManyPartitions);
    }
    let incarnation = fastrand::u64(1..);
    let created_at = time::now();
    let sql = "
        insert into topics (name, incarnation, partition_count, retention_ms, retention_bytes, created_at)
        values (?1, ?2, ?3, ?4, ?5, ?6)";
    let done = sqlx::query(sql)
        .bind(name.as_str())
        .bind(incarnation.cast_signed())
        .bind(i64::from(config.partition_count))
        .bind(config.retention.ms.map(integer))
        .bind(config.retention.bytes.map(integer))
        .bind(integer(created_at))
        .execute(&mut writer.connection)
        .await
        .map_err(store_error)?;
    let id = TopicId(done.last_insert_rowid());
    writer.partitions = partitions;
    let (name, former_partition_counts) = (name.clone(), Vec::new());
    Ok(Creation::Created(Topic { id, incarnation, name, config, former_partition_counts, created_at }))
}

pub(super) const BY_NAME: &str = "
    select id, name, incarnation, partition_count, retention_ms, retention_bytes, created_at, former_partition_counts
    from topics where name = ?1 and deleted_at is null";

pub(super) async fn by_name(connection: &mut SqliteConnection, name: &TopicName) -> Result<Option<Topic>, StoreError> {
    let row = sqlx::query(BY_NAME).bind(name.as_str()).fetch_optional(connection).await.map_err(store_error)?;
    row.as_ref().map(topic).transpose()
}

pub(super) async fn by_id(connection: &mut SqliteConnection, id: TopicId) -> Result<Option<Topic>, StoreError> {
    let sql = "
        select id, name, incarnation, partition_count, retention_ms, retention_bytes, created_at, former_partition_counts
        from topics where id = ?1 and deleted_at is null";
    let row = sqlx::query(sql).bind(id.0).fetch_optional(connection).await.map_err(store_error)?;
    row.as_ref().map(topic).transpose()
}

/// Names are ASCII, so `~` sorts after every character of a name: the range holds just the names with the prefix.
pub(super) const LIST: &str = "
    select id, name, incarnation, partition_count, retention_ms, retention_bytes, created_at, former_partition_counts
    from topics
    where deleted_at is null and name >= ?1 and name < ?1 || '~' and name > ?2
    order by name limit ?3";

pub(super) async fn list(
    connection: &mut SqliteConnection,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Topic>, StoreError> {
    let rows = sqlx::query(LIST)
        .bind(prefix)
        .bind(after.unwrap_or(""))
        .bind(limit as i64)
        .fetch_all(connection)
        .await
        .map_err(read_error)?;
    rows.iter().map(topic).collect()
}

pub(super) async fn configure(
    writer: &mut Writer,
    id: TopicId,
    config: TopicConfig,
) -> Result<Configuration, StoreError> {
    let Some(current) = by_id(&mut writer.connection, id).await? else { return Ok(Configuration::Unknown) };
    if config.partition_count < current.config.partition_count {
        return Ok(Configuration::Shrinks(current));
    }
    let partitions = writer.partitions + u64::from(config.partition_count - current.config.partition_count);
    if partitions > writer.partitions_max && config.partition_count > current.config.partition_count {
        return Ok(Configuration::TooManyPartitions);
    }
    let mut former_partition_counts = current.former_partition_counts.clone();
    if config.partition_count > current.config.partition_count {
        former_partition_counts.push(current.config.partition_count);
    }
    let counts: Vec<String> = former_partition_counts.iter().map(u32::to_string).collect();
    let sql = "
        update topics
        set partition_count = ?2, retention_ms = ?3, retention_bytes = ?4, former_partition_counts = ?5
        where id = ?1";
    sqlx::query(sql)
        .bind(id.0)
        .bind(i64::from(config.partition_count))
        .bind(config.retention.ms.map(integer))
        .bind(config.retention.bytes.map(integer))
        .bind(counts.join(","))
        .execute(&mut writer.connection)
        .await
        .map_err(store_error)?;
    writer.partitions = partitions;
    Ok(Configuration::Changed(Topic { config, former_partition_counts, ..current }))
}

pub(super) async fn delete(writer: &mut Writer, id: TopicId) -> Result<bool, StoreError> {
    let sql = "update topics set deleted_at = ?2 where id = ?1 and deleted_at is null returning partition_count";
    // All rows are fetched, not one: a statement that is left halfway commits without saying whether it could.
    let partitions: Vec<i64> = sqlx::query_scalar(sql)
        .bind(id.0)
        .bind(integer(time::now()))
        .fetch_all(&mut writer.connection)
        .await
        .map_err(store_error)?;
    let Some(partitions) = partitions.first() else { return Ok(false) };
    writer.partitions = writer.partitions.saturating_sub(partitions.unsigned_abs());
    writer.forget_topic(id);
    Ok(true)
}

fn topic(row: &SqliteRow) -> Result<Topic, StoreError> {
    let text: String = row.try_get(1).map_err(StoreError::corrupt)?;
    let limit = |column: usize| -> Result<Option<u64>, StoreError> {
        let value: Option<i64> = row.try_get(column).map_err(StoreError::corrupt)?;
        value.map(|v| u64::try_from(v).map_err(StoreError::corrupt)).transpose()
    };
    Ok(Topic {
        id: TopicId(row.try_get(0).map_err(StoreError::corrupt)?),
        name: text.parse().map_err(StoreError::corrupt)?,
        incarnation: row.try_get::<i64, _>(2).map_err(StoreError::corrupt)?.cast_unsigned(),
        config: TopicConfig {
            partition_count: u32::try_from(number(row, 3)?).map_err(StoreError::corrupt)?,
            retention: Retention { ms: limit(4)?, bytes: limit(5)? },
        },
        created_at: number(row, 6)?,
        former_partition_counts: row
            .try_get::<String, _>(7)
            .map_err(StoreError::corrupt)?
            .split_terminator(',')
            .map(|count| count.parse().map_err(StoreError::corrupt))
            .collect::<Result<_, _>>()?,
    })
}

//! API keys, and the row that says whether they are asked for. Whoever changes a key locks that row first.

use sqlx::Connection;
use sqlx::PgConnection;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::model::key::Key;
use crate::model::secret::KeyId;
use crate::model::secret::SigningSecret;
use crate::store::access_contract::AccessState;
use crate::store::access_contract::KeyCreation;
use crate::store::access_rows;
use crate::store::access_rows::KeyRow;
use crate::store::error::StoreError;
use crate::store::postgres::error::read_error;
use crate::store::postgres::error::write_error;
use crate::store::postgres::values::bigint;
use crate::store::postgres::values::number;
use crate::store::postgres::values::optional_number;

/// Gives a database that has none yet what its tickets are signed with. Of nodes that start at once, one does.
pub(super) async fn prepare(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("update access set ticket_secret = $1 where ticket_secret is null")
        .bind(SigningSecret::generate().as_bytes())
        .execute(connection)
        .await
        .map(drop)
}

pub(super) async fn version(connection: &mut PgConnection) -> Result<u64, StoreError> {
    let row = sqlx::query("select version from access where id = 1").fetch_one(connection).await.map_err(read_error)?;
    number(&row, 0)
}

/// One statement, so that the keys are those of the version. Without keys it is one row.
const READ: &str = "
    select a.version, a.is_on, a.ticket_secret,
        k.id, k.name, k.digest, k.permissions, k.limits, k.created_at, k.expires_at
    from access a left join api_keys k on true
    where a.id = 1 order by k.id";

pub(super) async fn read(connection: &mut PgConnection) -> Result<AccessState, StoreError> {
    let rows = sqlx::query(READ).fetch_all(connection).await.map_err(read_error)?;
    let first = rows.first().ok_or_else(|| StoreError::corrupt("the row of `access` is missing"))?;
    Ok(AccessState {
        version: number(first, 0)?,
        is_on: first.try_get(1).map_err(StoreError::corrupt)?,
        ticket_secret: access_rows::ticket_secret(first.try_get(2).map_err(StoreError::corrupt)?)?,
        keys: rows.iter().filter_map(|row| key(row).transpose()).collect::<Result<_, _>>()?,
    })
}

fn key(row: &PgRow) -> Result<Option<Key>, StoreError> {
    let text = |column: usize| row.try_get::<String, _>(column).map_err(StoreError::corrupt);
    let Some(id) = row.try_get::<Option<String>, _>(3).map_err(StoreError::corrupt)? else { return Ok(None) };
    let row = KeyRow {
        id,
        name: text(4)?,
        digest: row.try_get(5).map_err(StoreError::corrupt)?,
        permissions: text(6)?,
        limits: text(7)?,
        created_at: number(row, 8)?,
        expires_at: optional_number(row, 9)?,
    };
    row.key().map(Some)
}

pub(super) async fn create(
    connection: &mut PgConnection,
    key: &Key,
    keys_max: usize,
) -> Result<KeyCreation, StoreError> {
    let mut transaction = connection.begin().await.map_err(read_error)?;
    let sql = "select is_on, (select count(*) from api_keys) from access where id = 1 for update";
    let state = sqlx::query(sql).fetch_one(&mut *transaction).await.map_err(read_error)?;
    let is_on: bool = state.try_get(0).map_err(StoreError::corrupt)?;
    if !is_on && !key.rights.may_administer_keys() {
        return Ok(KeyCreation::FirstIsNotRoot);
    }
    if number(&state, 1)? >= keys_max as u64 {
        return Ok(KeyCreation::TooMany);
    }
    let sql = "update access set version = version + 1, is_on = true where id = 1";
    sqlx::query(sql).execute(&mut *transaction).await.map_err(read_error)?;
    let sql = "
        insert into api_keys (id, name, digest, permissions, limits, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(sql)
        .bind(key.id.as_str())
        .bind(key.name.as_str())
        .bind(key.digest.as_bytes())
        .bind(access_rows::permissions(key))
        .bind(access_rows::limits(key))
        .bind(bigint(key.created_at))
        .bind(key.expires_at.map(bigint))
        .execute(&mut *transaction)
        .await
        .map_err(read_error)?;
    transaction.commit().await.map_err(write_error)?;
    Ok(KeyCreation::Created)
}

pub(super) async fn delete(connection: &mut PgConnection, id: KeyId) -> Result<bool, StoreError> {
    let mut transaction = connection.begin().await.map_err(read_error)?;
    let sql = "update access set version = version + 1 where id = 1";
    sqlx::query(sql).execute(&mut *transaction).await.map_err(read_error)?;
    let sql = "delete from api_keys where id = $1";
    let gone = sqlx::query(sql).bind(id.as_str()).execute(&mut *transaction).await.map_err(read_error)?;
    if gone.rows_affected() == 0 {
        return Ok(false);
    }
    transaction.commit().await.map_err(write_error)?;
    Ok(true)
}

pub(super) async fn require(connection: &mut PgConnection) -> Result<(), StoreError> {
    let sql = "update access set version = version + 1, is_on = true where id = 1 and not is_on";
    sqlx::query(sql).execute(connection).await.map_err(write_error)?;
    Ok(())
}

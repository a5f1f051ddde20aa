//! API keys, and the row that says whether they are asked for. There is one writer: what it reads first still holds when
//! it writes.

use sqlx::Arguments;
use sqlx::Connection;
use sqlx::Row;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteArguments;
use sqlx::sqlite::SqliteRow;

use crate::model::key::Key;
use crate::model::secret::KeyId;
use crate::model::secret::SigningSecret;
use crate::store::access_contract::AccessState;
use crate::store::access_contract::KeyCreation;
use crate::store::access_rows;
use crate::store::access_rows::KeyRow;
use crate::store::error::StoreError;
use crate::store::sqlite::writer::Writer;
use crate::store::sqlite::writer::integer;
use crate::store::sqlite::writer::number;
use crate::store::sqlite::writer::read_error;
use crate::store::sqlite::writer::store_error;

const STATE: &str = "select version, is_on, ticket_secret, (select count(*) from api_keys) from access where id = 1";

/// Gives a database that has none yet what its tickets are signed with.
pub(super) async fn prepare(writer: &mut Writer) -> Result<(), StoreError> {
    sqlx::query("update access set ticket_secret = ?1 where ticket_secret is null")
        .bind(SigningSecret::generate().as_bytes().to_vec())
        .execute(&mut writer.connection)
        .await
        .map_err(store_error)?;
    Ok(())
}

pub(super) async fn version(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    let row = sqlx::query(STATE).fetch_one(connection).await.map_err(read_error)?;
    number(&row, 0)
}

pub(super) async fn read(connection: &mut SqliteConnection) -> Result<AccessState, StoreError> {
    let mut moment = connection.begin().await.map_err(read_error)?;
    let state = sqlx::query(STATE).fetch_one(&mut *moment).await.map_err(read_error)?;
    let sql = "select id, name, digest, permissions, limits, created_at, expires_at from api_keys order by id";
    let rows = sqlx::query(sql).fetch_all(&mut *moment).await.map_err(read_error)?;
    moment.rollback().await.map_err(read_error)?;
    Ok(AccessState {
        version: number(&state, 0)?,
        is_on: number(&state, 1)? != 0,
        ticket_secret: access_rows::ticket_secret(state.try_get(2).map_err(StoreError::corrupt)?)?,
        keys: rows.iter().map(key).collect::<Result<_, _>>()?,
    })
}

fn key(row: &SqliteRow) -> Result<Key, StoreError> {
    let text = |column: usize| row.try_get::<String, _>(column).map_err(StoreError::corrupt);
    let expires_at: Option<i64> = row.try_get(6).map_err(StoreError::corrupt)?;
    let row = KeyRow {
        id: text(0)?,
        name: text(1)?,
        digest: row.try_get(2).map_err(StoreError::corrupt)?,
        permissions: text(3)?,
        limits: text(4)?,
        created_at: number(row, 5)?,
        expires_at: expires_at.map(u64::try_from).transpose().map_err(StoreError::corrupt)?,
    };
    row.key()
}

pub(super) async fn create(writer: &mut Writer, key: &Key, keys_max: usize) -> Result<KeyCreation, StoreError> {
    let state = sqlx::query(STATE).fetch_one(&mut writer.connection).await.map_err(store_error)?;
    if number(&state, 1)? == 0 && !key.rights.may_administer_keys() {
        return Ok(KeyCreation::FirstIsNotRoot);
    }
    if number(&state, 3)? >= keys_max as u64 {
        return Ok(KeyCreation::TooMany);
    }
    let sql = "
        begin immediate;
        update access set version = version + 1, is_on = 1 where id = 1;
        insert into api_keys (id, name, digest, permissions, limits, created_at, expires_at)
        values (?, ?, ?, ?, ?, ?, ?);
        commit";
    let mut arguments = SqliteArguments::default();
    arguments.add(key.id.as_str()).map_err(StoreError::corrupt)?;
    arguments.add(key.name.as_str()).map_err(StoreError::corrupt)?;
    arguments.add(key.digest.as_bytes()).map_err(StoreError::corrupt)?;
    arguments.add(access_rows::permissions(key)).map_err(StoreError::corrupt)?;
    arguments.add(access_rows::limits(key)).map_err(StoreError::corrupt)?;
    arguments.add(integer(key.created_at)).map_err(StoreError::corrupt)?;
    arguments.add(key.expires_at.map(integer)).map_err(StoreError::corrupt)?;
    writer.commit(sql.to_owned(), arguments).await?;
    Ok(KeyCreation::Created)
}

pub(super) async fn delete(writer: &mut Writer, id: KeyId) -> Result<bool, StoreError> {
    let found: i64 = sqlx::query_scalar("select count(*) from api_keys where id = ?1")
        .bind(id.as_str())
        .fetch_one(&mut writer.connection)
        .await
        .map_err(store_error)?;
    if found == 0 {
        return Ok(false);
    }
    let sql = "
        begin immediate;
        update access set version = version + 1 where id = 1;
        delete from api_keys where id = ?;
        commit";
    let mut arguments = SqliteArguments::default();
    arguments.add(id.as_str()).map_err(StoreError::corrupt)?;
    writer.commit(sql.to_owned(), arguments).await?;
    Ok(true)
}

pub(super) async fn require(writer: &mut Writer) -> Result<(), StoreError> {
    let sql = "update access set version = version + 1, is_on = 1 where id = 1 and is_on = 0";
    sqlx::query(sql).execute(&mut writer.connection).await.map_err(store_error)?;
    Ok(())
}

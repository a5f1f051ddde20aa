//! API keys as resources: make, list, describe, delete.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::keys::KeyPlace;
use crate::http::kit::body;
use crate::http::kit::caller::Asking;
use crate::http::kit::page::PageQuery;
use crate::http::kit::path::KeyPath;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::query::Query;
use crate::http::native::access::bodies::CreatedKeyBody;
use crate::http::native::access::bodies::KeyBody;
use crate::http::native::access::bodies::KeyListBody;
use crate::http::native::access::bodies::NewKeyBody;
use crate::http::native::state::Api;
use crate::model::key::Key;
use crate::model::secret::KEY_ID_CHARS;
use crate::model::time;

/// The calls of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_keys, create_key)).routes(routes!(get_key, delete_key))
}

/// Make a key
///
/// From the first key on every call needs one, for good; so the first must have `admin` on the topics `*`. The key itself
/// is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/keys", operation_id = "create_key", tag = "access",
    request_body(content = NewKeyBody, example = json!({"name": "shop", "permissions": [
        {"verb": "produce", "topic": "orders"}, {"verb": "consume", "topic": "pub-*", "group": "*"}]})),
    responses(
        (status = 201, description = "The key", body = CreatedKeyBody,
            headers(("location" = String, description = "Path of the key")),
            example = json!({"key": "tg_k3F0aZ81mQwX_5wTqRj0mF3tVh2kXo8yZc1bN6aLs9dGfHpQeUiW7vMx4rKA0S3F1",
                "id": "k3F0aZ81mQwX", "name": "shop", "permissions": [{"verb": "produce", "topic": "orders"}],
                "created_at": 1732233600000_u64})),
        Problem))]
async fn create_key(
    State(api): State<Api>,
    asking: Asking,
    uri: Uri,
    body::Json(body): body::Json<NewKeyBody>,
) -> Result<Response, Problem> {
    Query::parse(uri.query(), &[])?;
    let (secret, key) = api.access.create_key(body.read(time::now())?).await?;
    tracing::info!(key = %key.id, name = %key.name, by = %asking.0.identity, "made key `{}`", key.id);
    let location = HeaderValue::try_from(format!("/v1/keys/{}", key.id)).expect("letters and digits");
    let body = CreatedKeyBody { key: secret.reveal().to_owned(), about: KeyBody::from(&key) };
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(body)).into_response())
}

/// List keys
///
/// By name. Where there are more, `next_page_token` and `Link rel="next"` lead to the next page.
#[utoipa::path(get, path = "/v1/keys", operation_id = "list_keys", tag = "access",
    params(
        ("limit" = Option<u32>, Query, description = "Keys a page, 100 by default; more than 1000 is lowered to it",
            minimum = 1, example = 100),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before",
            max_length = 332, example = "c2hvcAFrM0YwYVo4MW1Rd1g")),
    responses(
        (status = 200, description = "A page of keys, without their secrets", body = KeyListBody,
            headers(("link" = String, description = "The next page, if there is one"))),
        Problem))]
async fn list_keys(State(api): State<Api>, uri: Uri) -> Result<Response, Problem> {
    let query = Query::parse(uri.query(), &["limit", "page_token"])?;
    let page = PageQuery::<KeyPlace>::of(&query)?;
    let mut filling = page.fill();
    while let Some((after, count)) = filling.next_look() {
        let found = api.access.keys(after, count).into_iter().map(|key| (KeyPlace::of(&key), key)).collect();
        filling.take(found, |(place, _): &(KeyPlace, Key)| place.as_ref(), |_| true);
    }
    let (keys, next_page_token, headers) = page.finish(filling, &[]);
    let body = KeyListBody { keys: keys.iter().map(|(_, key)| KeyBody::from(key)).collect(), next_page_token };
    Ok((headers, Json(body)).into_response())
}

/// Describe a key
///
/// Without its secret, which nobody knows.
#[utoipa::path(get, path = "/v1/keys/{id}", operation_id = "get_key", tag = "access", params(KeyPath),
    responses((status = 200, description = "The key", body = KeyBody), Problem))]
async fn get_key(State(api): State<Api>, path: KeyPath, uri: Uri) -> Result<Json<KeyBody>, Problem> {
    Query::parse(uri.query(), &[])?;
    let id = path.id.parse().map_err(|_| unknown(&path))?;
    Ok(Json(KeyBody::from(&api.access.key(id).await?)))
}

/// Delete a key
///
/// No request with it is taken from now on, nor with a ticket that was asked for with it; open streams end within 5 s. On
/// other nodes it counts for a second more at most. That calls need a key is not undone by deleting the last.
#[utoipa::path(delete, path = "/v1/keys/{id}", operation_id = "delete_key", tag = "access", params(KeyPath),
    responses((status = 204, description = "The key is gone"), Problem))]
async fn delete_key(State(api): State<Api>, asking: Asking, path: KeyPath, uri: Uri) -> Result<StatusCode, Problem> {
    Query::parse(uri.query(), &[])?;
    let id = path.id.parse().map_err(|_| unknown(&path))?;
    api.access.delete_key(id).await?;
    tracing::info!(key = %id, by = %asking.0.identity, "deleted key `{id}`");
    Ok(StatusCode::NO_CONTENT)
}

/// What cannot be the id of a key is the id of none.
fn unknown(path: &KeyPath) -> Problem {
    let id: String = path.id.chars().take(KEY_ID_CHARS * 2).collect();
    Problem::new(Code::UnknownApiKey, format!("There is no key `{id}`.")).with("id", id)
}

//! Who one is to the gateway.

use axum::Json;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::caller::Identity;
use crate::http::kit::caller::Asking;
use crate::http::kit::problem::Problem;
use crate::http::kit::query::Query;
use crate::http::native::access::bodies::LimitsBody;
use crate::http::native::access::bodies::PermissionBody;
use crate::http::native::access::bodies::limits;
use crate::http::native::access::bodies::permissions;
use crate::http::native::state::Api;

/// The call of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(whoami))
}

/// A caller.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Caller)]
struct CallerBody {
    /// The name of the key, or the subject of the token; `anonymous` while calls need no credentials.
    #[schema(examples("shop"))]
    name: String,
    /// Whether calls need credentials, and these are good.
    authenticated: bool,
    /// The key, if it is one of the gateway's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("k3F0aZ81mQwX"))]
    key_id: Option<String>,
    /// What the caller may do.
    permissions: Vec<PermissionBody>,
    /// How much of it; absent if there are no limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    limits: Option<LimitsBody>,
    /// From when on the credentials count no more, in milliseconds since 1970; absent if they do not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    expires_at: Option<u64>,
}

/// Who am I
///
/// What the gateway makes of the credentials of this request.
#[utoipa::path(get, path = "/v1/whoami", operation_id = "whoami", tag = "access",
    responses(
        (status = 200, description = "The caller", body = CallerBody,
            example = json!({"name": "shop", "authenticated": true, "key_id": "k3F0aZ81mQwX",
                "permissions": [{"verb": "produce", "topic": "orders"}]})),
        Problem))]
async fn whoami(Asking(caller): Asking, uri: Uri) -> Result<Json<CallerBody>, Problem> {
    Query::parse(uri.query(), &[])?;
    let key_id = match &caller.identity {
        Identity::Key(id) => Some(id.to_string()),
        Identity::Anonymous | Identity::Operator | Identity::Subject(_) => None,
    };
    Ok(Json(CallerBody {
        name: caller.name.to_string(),
        authenticated: caller.identity != Identity::Anonymous,
        key_id,
        permissions: permissions(&caller.rights),
        limits: limits(caller.limits),
        expires_at: caller.expires_at,
    }))
}

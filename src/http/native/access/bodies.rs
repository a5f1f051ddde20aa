//! Keys and permissions as they stand in requests and answers.

use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::access::keys::NewKey;
use crate::http::kit::problem::Problem;
use crate::http::kit::query::invalid;
use crate::http::kit::query::whole_number;
use crate::http::native::groups::terms::given;
use crate::model::key::Key;
use crate::model::key::KeyLimits;
use crate::model::limits::INTEGER_MAX;
use crate::model::permission::PERMISSIONS_MAX;
use crate::model::permission::Pattern;
use crate::model::permission::Permission;
use crate::model::permission::PermissionError;
use crate::model::permission::Rights;
use crate::model::permission::Verb;
use crate::model::time::Millis;

/// One thing that a caller may do, on some names: a name, or the beginning of names followed by `*`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = Permission)]
pub struct PermissionBody {
    /// `produce`, `consume`, `admin` (which includes both on the same names) or `metrics`.
    #[schema(value_type = VerbName)]
    verb: Verb,
    /// The topics. All but `metrics` need it; `consume` and `admin` may have a group instead.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_length = 1, max_length = 250, pattern = "^[A-Za-z0-9._-]*[*]?$", examples("pub-*"))]
    topic: Option<String>,
    /// The consumer groups; without it none.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_length = 1, max_length = 250, pattern = "^[A-Za-z0-9._-]*[*]?$", examples("*"))]
    group: Option<String>,
}

/// What may be done.
#[derive(ToSchema)]
#[schema(as = Verb, rename_all = "snake_case")]
#[allow(dead_code)]
enum VerbName {
    Produce,
    Consume,
    Admin,
    Metrics,
}

impl From<&Permission> for PermissionBody {
    fn from(permission: &Permission) -> Self {
        Self {
            verb: permission.verb(),
            topic: permission.topic().map(Pattern::to_string),
            group: permission.group().map(Pattern::to_string),
        }
    }
}

impl PermissionBody {
    fn permission(&self) -> Result<Permission, PermissionError> {
        let pattern = |text: &Option<String>| text.as_deref().map(str::parse).transpose();
        Permission::new(self.verb, pattern(&self.topic)?, pattern(&self.group)?)
    }
}

/// The permissions of a caller.
pub fn permissions(rights: &Rights) -> Vec<PermissionBody> {
    rights.permissions().iter().map(PermissionBody::from).collect()
}

/// How much the bearer of a key may do; what is absent is bounded by the gateway's own settings alone.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = NewKeyLimits)]
pub struct NewLimitsBody {
    /// Requests per second.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>, nullable = false, minimum = 1, maximum = 9007199254740991_u64)]
    requests_per_second: Option<Box<RawValue>>,
    /// Records written per second.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>, nullable = false, minimum = 1, maximum = 9007199254740991_u64)]
    records_per_second: Option<Box<RawValue>>,
    /// Bytes of request bodies per second, as they come.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>, nullable = false, minimum = 1, maximum = 9007199254740991_u64)]
    bytes_per_second: Option<Box<RawValue>>,
    /// Endless answers that are open at once, at each node.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>, nullable = false, minimum = 1, maximum = 9007199254740991_u64)]
    streams: Option<Box<RawValue>>,
}

impl NewLimitsBody {
    fn limits(&self) -> Result<KeyLimits, Problem> {
        let number = |name, given: &Option<Box<RawValue>>| {
            given.as_ref().map(|text| whole_number(name, text.get(), 1..=INTEGER_MAX)).transpose()
        };
        Ok(KeyLimits {
            requests_per_second: number("limits.requests_per_second", &self.requests_per_second)?,
            records_per_second: number("limits.records_per_second", &self.records_per_second)?,
            bytes_per_second: number("limits.bytes_per_second", &self.bytes_per_second)?,
            streams: number("limits.streams", &self.streams)?,
        })
    }
}

/// How much the bearer of a key may do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyLimits)]
pub struct LimitsBody {
    /// Requests per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    requests_per_second: Option<u64>,
    /// Records written per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    records_per_second: Option<u64>,
    /// Bytes of request bodies per second, as they come.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    bytes_per_second: Option<u64>,
    /// Endless answers that are open at once, at each node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    streams: Option<u64>,
}

/// Limits, if there are any.
pub fn limits(limits: KeyLimits) -> Option<LimitsBody> {
    let KeyLimits { requests_per_second, records_per_second, bytes_per_second, streams } = limits;
    let body = LimitsBody { requests_per_second, records_per_second, bytes_per_second, streams };
    (limits != KeyLimits::default()).then_some(body)
}

/// A key that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = NewKey)]
pub struct NewKeyBody {
    /// What people call it. Several keys may have one name, so that one can take over from the other.
    #[schema(min_length = 1, max_length = 128, examples("shop"))]
    name: String,
    /// What its bearer may do.
    #[schema(max_items = 64)]
    permissions: Vec<PermissionBody>,
    /// From when on it counts no more, in milliseconds since 1970.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>, nullable = false, minimum = 0, maximum = 9007199254740991_u64)]
    expires_at: Option<Box<RawValue>>,
    /// How much of it.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    limits: Option<NewLimitsBody>,
}

impl NewKeyBody {
    /// The key that is meant, at the time `now`.
    ///
    /// # Errors
    /// `invalid_parameter`.
    pub fn read(self, now: Millis) -> Result<NewKey, Problem> {
        let name = self.name.parse().map_err(|why| invalid("name", format!("`name`: {why}.")))?;
        if self.permissions.len() > PERMISSIONS_MAX {
            let detail = format!("`permissions` are at most {PERMISSIONS_MAX}.");
            return Err(invalid("permissions", detail).with("maximum", PERMISSIONS_MAX));
        }
        let mut permissions = Vec::with_capacity(self.permissions.len());
        for (i, body) in self.permissions.iter().enumerate() {
            let refused = |why| invalid("permissions", format!("`permissions[{i}]`: {why}."));
            permissions.push(body.permission().map_err(refused)?);
        }
        let rights =
            Rights::new(permissions).map_err(|why| invalid("permissions", format!("`permissions`: {why}.")))?;
        let expires_at = self.expires_at.map(|text| whole_number("expires_at", text.get(), now + 1..=INTEGER_MAX));
        let limits = self.limits.map(|limits| limits.limits()).transpose()?;
        Ok(NewKey { name, rights, limits: limits.unwrap_or_default(), expires_at: expires_at.transpose()? })
    }
}

/// A key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyBody {
    /// What is public of it; it stands in the key as well.
    #[schema(examples("k3F0aZ81mQwX"))]
    id: String,
    /// What people call it.
    #[schema(examples("shop"))]
    name: String,
    /// What its bearer may do.
    permissions: Vec<PermissionBody>,
    /// How much of it; absent if there are no limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    limits: Option<LimitsBody>,
    /// When it was made, in milliseconds since 1970.
    #[schema(minimum = 0, examples(1732233600000_u64))]
    created_at: u64,
    /// From when on it counts no more; absent if it does not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    expires_at: Option<u64>,
}

impl From<&Key> for KeyBody {
    fn from(key: &Key) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name.to_string(),
            permissions: permissions(&key.rights),
            limits: limits(key.limits),
            created_at: key.created_at,
            expires_at: key.expires_at,
        }
    }
}

/// A key that was made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedKey)]
pub struct CreatedKeyBody {
    /// The key itself. It is shown this once, and kept by nobody but whoever reads this.
    #[schema(examples("tg_k3F0aZ81mQwX_5wTqRj0mF3tVh2kXo8yZc1bN6aLs9dGfHpQeUiW7vMx4rKA0S3F1"))]
    pub key: String,
    /// All else.
    #[serde(flatten)]
    pub about: KeyBody,
}

/// A page of keys, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyList)]
pub struct KeyListBody {
    /// The keys.
    pub keys: Vec<KeyBody>,
    /// Gets the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("c2hvcAFrM0YwYVo4MW1Rd1g"))]
    pub next_page_token: Option<String>,
}

//! What a handler adds to the audit line of its call.

use axum::response::IntoResponseParts;
use axum::response::ResponseParts;

/// A part of an answer that is not sent: what was asked for, or came of it, as `name=value` of numbers and words of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail(pub String);

impl IntoResponseParts for Detail {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        parts.extensions_mut().insert(self);
        Ok(parts)
    }
}

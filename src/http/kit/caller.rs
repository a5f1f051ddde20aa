//! Who sent the request, as the front found out; and the two ways to say no to them.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::header;
use axum::http::request::Parts;

use crate::access::caller::Caller;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::model::name::GroupName;
use crate::model::name::TopicName;

/// The cookie with a ticket.
pub const TICKET_COOKIE: &str = "tidegate_ticket";

/// An extractor: the caller of this request. The front puts it in, and has seen to the names that stand in the path
/// (`http::rights`); names that stand elsewhere are for the handler to ask about. Without the front it is nobody.
#[derive(Debug, Clone)]
pub struct Asking(pub Caller);

impl<S: Sync> FromRequestParts<S> for Asking {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self(Caller::nobody())))
    }
}

impl Asking {
    /// Lets pass who may write to all of these topics.
    ///
    /// # Errors
    /// `forbidden`, for the first that they may not.
    pub fn produces<'a>(&self, topics: impl IntoIterator<Item = &'a TopicName>) -> Result<(), Problem> {
        match topics.into_iter().find(|topic| !self.0.rights.may_produce(topic)) {
            Some(topic) => Err(no_right("write to", "topic", topic.as_str())),
            None => Ok(()),
        }
    }

    /// Lets pass who may read all of these topics.
    ///
    /// # Errors
    /// `forbidden`, for the first that they may not.
    pub fn consumes<'a>(&self, topics: impl IntoIterator<Item = &'a TopicName>) -> Result<(), Problem> {
        match topics.into_iter().find(|topic| !self.0.rights.may_consume(topic)) {
            Some(topic) => Err(no_right("read", "topic", topic.as_str())),
            None => Ok(()),
        }
    }

    /// Lets pass who may read all topics whose names begin so.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn consumes_prefix(&self, prefix: &str) -> Result<(), Problem> {
        if self.0.rights.may_consume_prefix(prefix) {
            return Ok(());
        }
        let detail = format!("These credentials do not permit to read every topic that begins with `{prefix}`.");
        Err(Problem::new(Code::Forbidden, detail))
    }

    /// Lets pass who may be a member of that group.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn uses(&self, group: &GroupName) -> Result<(), Problem> {
        if self.0.rights.may_use_group(group) { Ok(()) } else { Err(no_right("use", "group", group.as_str())) }
    }
}

/// The refusal of somebody whose rights end at that name. It is the same whether or not there is anything of that name.
pub fn no_right(to: &str, what: &str, name: &str) -> Problem {
    Problem::new(Code::Forbidden, format!("These credentials do not permit to {to} the {what} `{name}`."))
}

/// The refusal of somebody who did not say who they are, or is not known. It is the same for all of these.
pub fn unauthorized() -> Problem {
    let detail = "The request shows no credentials that are good: send `Authorization: Bearer` with a key.";
    let challenge = HeaderValue::from_static("Bearer"); // RFC 6750 section 3
    Problem::new(Code::Unauthorized, detail).header(header::WWW_AUTHENTICATE, challenge)
}

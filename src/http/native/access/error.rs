//! The table from what the keys refuse to what a client is told.

use crate::access::error::AccessError;
use crate::broker::error::Error;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::query::invalid;
use crate::model::key::KEYS_MAX;

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        let text = error.to_string();
        let mut letters = text.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        let detail = first.into_iter().chain(letters).chain(['.']).collect::<String>();
        match error {
            AccessError::FirstIsNotRoot => invalid("permissions", detail),
            AccessError::TooManyKeys => Self::new(Code::QuotaExceeded, detail).with("limit", KEYS_MAX),
            AccessError::UnknownKey(id) => Self::new(Code::UnknownApiKey, detail).with("id", id.as_str()),
            AccessError::NotPermitted => Self::new(Code::Forbidden, detail),
            AccessError::TicketTooLong => invalid("group", detail),
            AccessError::Store(error) => Error::from(error).into(),
        }
    }
}

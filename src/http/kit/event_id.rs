//! Where a stream goes on, as a browser says it.

use axum::http::HeaderMap;

use crate::http::kit::problem::Problem;
use crate::http::kit::query::invalid;

/// The value of `Last-Event-ID`, if the header is there. What is not visible ASCII is no id of ours, and is empty here.
///
/// # Errors
/// `invalid_parameter` if the header is repeated: a stream goes on in one place.
pub fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut given = headers.get_all("last-event-id").iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(id), None) => Ok(Some(id.to_str().unwrap_or_default())),
        (Some(_), Some(_)) => Err(invalid("last-event-id", "`Last-Event-ID` is given more than once.")),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn there_is_one_id_or_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(last_event_id(&headers).expect("none"), None);
        headers.append("last-event-id", HeaderValue::from_static("a"));
        assert_eq!(last_event_id(&headers).expect("one"), Some("a"));
        headers.append("last-event-id", HeaderValue::from_static("a"));
        assert!(last_event_id(&headers).is_err(), "two, even if they are the same");
        headers.insert("last-event-id", HeaderValue::from_bytes(b"\xe9").expect("a value"));
        assert_eq!(last_event_id(&headers).expect("one"), Some(""));
    }
}

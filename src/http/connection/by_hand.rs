//! Answers written by hand, because there is no request that could be answered: they end the connection.

use axum::http::StatusCode;

use crate::http::kit::context::RequestId;
use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::http::kit::query::invalid;

/// To a head that did not come.
pub(crate) fn head_late() -> Vec<u8> {
    write(Problem::new(Code::RequestTimeout, "The head of the request did not come in time."))
}

/// To HTTP in the clear where TLS is spoken.
pub(crate) fn tls_wanted() -> Vec<u8> {
    write(invalid("scheme", "This port speaks TLS: ask for https://, not http://."))
}

/// To a head that hyper refuses, in place of its own answer, which has this status and no body. `None` for a status that
/// it is not known to give.
pub(crate) fn refused_head(status: StatusCode) -> Option<Vec<u8>> {
    let problem = match status {
        StatusCode::BAD_REQUEST => invalid("request", "The head of the request is no HTTP as RFC 9112 has it."),
        StatusCode::URI_TOO_LONG => Problem::new(Code::UriTooLong, "Path and query are far too long."),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            Problem::new(Code::HeadersTooLarge, "There are far too many headers, or too many bytes of them.")
        }
        _ => return None,
    };
    Some(write(problem))
}

fn write(problem: Problem) -> Vec<u8> {
    let status = problem.status();
    let retry_after = if status == StatusCode::REQUEST_TIMEOUT { "retry-after: 1\r\n" } else { "" };
    let request_id = RequestId::from_number(fastrand::u64(..));
    let request_id = request_id.as_str();
    let body = problem.not_written().to_json(request_id);
    format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\nx-content-type-options: nosniff\r\n\
         cache-control: no-store\r\nx-request-id: {request_id}\r\n{retry_after}connection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        status.as_str(),
        status.canonical_reason().unwrap_or_default(),
        body.len()
    )
    .into_bytes()
}

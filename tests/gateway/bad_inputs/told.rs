//! What the gateway says to a bad input, and whether that is what it should say.

use serde_json::Value;

use crate::bad_inputs::input::Input;
use crate::harness::raw::Head;

/// How much is shown of an answer that is not what it should be.
const SHOWN: usize = 500;

/// How an input has to be answered.
pub(crate) enum Answer {
    /// With a problem of this status and code.
    Refused(u16, &'static str),
    /// With a problem of one of these: which of them depends on where the input breaks.
    RefusedAs(&'static [(u16, &'static str)]),
    /// With a problem of this status and code that says nothing of what was written: it may come behind a commit. Here
    /// there was none.
    RefusedLate(u16, &'static str),
    /// It is harmless, and is done.
    Taken(u16),
    /// It is harmless, and the answer holds this.
    Says(u16, &'static str),
    /// It is harmless, and the answer has these headers.
    Shows(u16, &'static [(&'static str, &'static str)]),
    /// It is harmless, and opens what does not end; the head of the answer holds this.
    Opens(u16),
    /// It is no HTTP/1.1 at all: no word of that is said, and the connection ends.
    Cut,
}

impl Answer {
    /// Whether it must change nothing.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(..) | Self::RefusedAs(_) | Self::RefusedLate(..) | Self::Cut)
    }

    /// What is wrong with what was told.
    pub(crate) fn fault(&self, input: &Input, told: &Told) -> Option<String> {
        let status = told.status();
        if status.is_some_and(|status| status >= 500) {
            return Some(format!("a failure of ours: {}", told.short()));
        }
        let right = match self {
            Self::Refused(status, code) => told.is_refusal(input.is_write(), *status, code),
            Self::RefusedAs(each) => each.iter().any(|(status, code)| told.is_refusal(input.is_write(), *status, code)),
            Self::RefusedLate(status, code) => told.is_refusal(false, *status, code),
            Self::Taken(wanted) | Self::Opens(wanted) => status == Some(*wanted) && !told.is_more,
            Self::Says(wanted, text) => status == Some(*wanted) && told.body.contains(text),
            Self::Shows(wanted, headers) => {
                status == Some(*wanted) && headers.iter().all(|(name, value)| told.header(name) == Some(value))
            }
            Self::Cut => status.is_none(),
        };
        // No part of a request becomes a header or a second answer.
        let injected = told.head.as_ref().is_some_and(|head| head.header("injected").is_some());
        (!right || injected).then(|| told.short())
    }
}

/// What was answered.
pub(crate) struct Told {
    /// All of it.
    text: String,
    head: Option<Head>,
    body: String,
    /// There is something behind the answer, as if there had been two requests.
    is_more: bool,
}

impl Told {
    pub(crate) fn parse(text: &str) -> Self {
        let whole = text.starts_with("HTTP/1.").then(|| text.split_once("\r\n\r\n")).flatten();
        let head = whole.map(|(head, _)| Head::parse(head));
        let length = head.as_ref().and_then(|head| head.header("content-length")?.parse().ok());
        let (body, rest) = match (whole, length) {
            (Some((_, body)), Some(length)) => body.split_at_checked(length).unwrap_or((body, "")),
            (Some((_, body)), None) => (body, ""),
            (None, _) => ("", ""),
        };
        Self { body: body.to_owned(), is_more: !rest.is_empty(), head, text: text.to_owned() }
    }

    /// The first line and the body, as far as it is of use.
    fn short(&self) -> String {
        let line = self.text.lines().next().unwrap_or("nothing");
        format!("{line} {}", self.body.chars().take(SHOWN).collect::<String>())
    }

    fn status(&self) -> Option<u16> {
        self.head.as_ref().map(|head| head.status)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.as_ref()?.header(name)
    }

    /// Whether it is a refusal of that status and code, whole, and with all that belongs to it.
    fn is_refusal(&self, of_write: bool, status: u16, code: &str) -> bool {
        let Ok(problem) = serde_json::from_str::<Value>(&self.body) else { return false };
        let needed = match status {
            401 => Some("www-authenticate"),
            405 => Some("allow"),
            429 => Some("retry-after"),
            _ => None,
        };
        self.status() == Some(status)
            && problem["code"] == code
            && problem["status"] == status
            && problem["type"] == format!("/problems/{code}")
            && ["title", "detail", "retry"]
                .iter()
                .all(|name| problem[name].as_str().is_some_and(|text| !text.is_empty()))
            && (!of_write || problem["outcome"] == "not_written")
            && self.header("content-type") == Some("application/problem+json")
            && self.header("x-content-type-options") == Some("nosniff")
            && self.header("x-request-id") == problem["request_id"].as_str()
            && self.header("access-control-allow-origin").is_none()
            && needed.is_none_or(|name| self.header(name).is_some())
            && !self.is_more
    }
}

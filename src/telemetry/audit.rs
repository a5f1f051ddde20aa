//! The audit log: one line for every call that administers something, whatever came of it, and for failed
//! authentication. Its lines have the target `audit`, so that they can be kept apart (`--log warn,audit=info`), and never
//! hold a key, a ticket, a query or a body.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::model::unseen::escape;

/// What was done, or tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A topic was made, by hand or by a produce.
    TopicCreate,
    /// A topic got other settings.
    TopicChange,
    /// A topic was deleted.
    TopicDelete,
    /// Old records were deleted.
    RecordsDelete,
    /// The offsets of a group were set.
    GroupReset,
    /// A group was deleted.
    GroupDelete,
    /// An API key was made.
    KeyCreate,
    /// An API key was revoked.
    KeyDelete,
    /// A ticket was given.
    TicketCreate,
}

impl Action {
    /// As it stands in the line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TopicCreate => "topic.create",
            Self::TopicChange => "topic.change",
            Self::TopicDelete => "topic.delete",
            Self::RecordsDelete => "records.delete",
            Self::GroupReset => "group.reset",
            Self::GroupDelete => "group.delete",
            Self::KeyCreate => "key.create",
            Self::KeyDelete => "key.delete",
            Self::TicketCreate => "ticket.create",
        }
    }
}

/// Who did it, and where they are.
#[derive(Debug, Clone, Copy)]
pub struct Actor<'a> {
    /// What people call the caller; `anonymous` where nobody has to say who they are. Others may be called the same.
    pub caller: &'a str,
    /// Who it is, as nobody else is written: `operator`, `key` and its id, `subject` and what the issuer of tokens calls them;
    /// `anonymous` and `nobody` are whoever came while nobody had to say it, and whoever was not known.
    pub identity: &'a str,
    /// The address that the request came from; a proxy's, if one is in front.
    pub address: IpAddr,
    /// The name of the request, as it stands in the answer.
    pub request_id: &'a str,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is done (or was so already); the HTTP status says which.
    Done(u16),
    /// It was refused, with this status and code.
    Refused(u16, &'static str),
}

/// Longest text of a caller's that is written: beyond it, it is cut.
const TEXT_BYTES_MAX: usize = 1024;

/// Writes the line. `target` is what it was done to; `detail` what else is worth knowing, from a closed set of words and
/// numbers.
pub fn record(actor: Actor<'_>, action: Action, target: &str, detail: &str, outcome: Outcome) {
    let Actor { caller, identity, address, request_id } = actor;
    let (caller, identity) = (&*escape(caller), &*escape(identity));
    let target = cut(target);
    let action = action.as_str();
    match outcome {
        Outcome::Done(status) => tracing::info!(
            target: "audit", action, to = target, detail, caller, identity, %address, status, request_id,
            "done: {action}"
        ),
        Outcome::Refused(status, code) => tracing::warn!(
            target: "audit", action, to = target, detail, caller, identity, %address, status, code, request_id,
            "refused: {action}"
        ),
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Failed authentication, sampled: whoever guesses keys can fill no disk.
#[derive(Debug, Default)]
pub struct Failures(Mutex<Window>);

/// The failures of a while.
#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    told: u32,
    untold: u64,
}

impl Failures {
    /// Lines in one window at most.
    const TOLD_MAX: u32 = 10;
    /// How long a window is.
    const WINDOW: Duration = Duration::from_secs(60);

    /// Takes note of a failure to be let in on that route. The line says how many were passed over since the last one.
    pub fn note(&self, address: IpAddr, request_id: &str, route: &'static str) {
        if let Some(passed_over) = self.admit(Instant::now()) {
            tracing::warn!(
                target: "audit", action = "authenticate", %address, request_id, route, passed_over,
                "refused: authenticate"
            );
        }
    }

    /// Whether one more may be told, and how many were not.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.began.is_none_or(|began| now.duration_since(began) >= Self::WINDOW) {
            (window.began, window.told) = (Some(now), 0);
        }
        if window.told == Self::TOLD_MAX {
            window.untold += 1;
            return None;
        }
        window.told += 1;
        Some(std::mem::take(&mut window.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_failures_is_told_in_a_few_lines() {
        let (failures, begin) = (Failures::default(), Instant::now());
        let told = (0..1_000).filter_map(|_| failures.admit(begin)).count();
        assert_eq!(told, 10);
        let later = begin + Duration::from_secs(60);
        assert_eq!(failures.admit(later), Some(990), "the next line says how many were passed over");
        assert_eq!(failures.admit(later), Some(0));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ä".repeat(600)).len(), 1024);
        assert_eq!(cut(&format!("x{}", "ä".repeat(600))).len(), 1023);
    }
}

//! Why a call came to nothing, and what its caller may do about it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// A refusal of the gateway, or of a proxy before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What the gateway says of itself.
    pub body: ProblemBody,
    /// When to try again, by `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// What is read of an `application/problem+json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ProblemBody {
    /// The code; empty if it is not an answer of a gateway.
    pub code: String,
    /// A sentence.
    pub detail: String,
    /// `never`, `later`, `same_key` or `rejoin`.
    pub retry: String,
    /// Of a write: `not_written` or `unknown`.
    pub outcome: String,
    /// Where to go on, behind what is gone.
    pub cursor: Option<String>,
}

impl Problem {
    /// Reads an answer that is no success.
    pub fn read(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        Self { status, body: serde_json::from_slice(body).unwrap_or_default(), retry_after }
    }

    /// Whether a call that changes nothing when it is repeated may be sent again as it is.
    fn is_passing(&self) -> bool {
        match self.body.retry.as_str() {
            "later" | "same_key" => true,
            // No gateway's sentence: a proxy that does not reach it.
            "" => matches!(self.status, 429 | 502 | 503 | 504),
            _ => false,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProblemBody { code, detail, .. } = &self.body;
        match (code.is_empty(), detail.is_empty()) {
            (false, false) => write!(f, "{detail} ({code})"),
            (false, true) => write!(f, "the gateway refuses: {code}"),
            (true, _) => write!(f, "HTTP status {} without a word of the gateway's", self.status),
        }
    }
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It was answered by a refusal.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// There was no answer, or it broke off.
    #[error("no answer from {address}: {why}")]
    Unreachable {
        /// Who was asked.
        address: String,
        /// What is in the way.
        why: String,
    },
    /// The answer is not one of the API's.
    #[error("{address} does not answer as a gateway does: {why}")]
    Foreign {
        /// Who was asked.
        address: String,
        /// What is wrong with the answer.
        why: String,
    },
}

impl CallError {
    /// The refusal, if it is one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            Self::Unreachable { .. } | Self::Foreign { .. } => None,
        }
    }

    /// Whether the gateway said no, so that nothing was done: not if the outcome is open, nor if a proxy spoke.
    pub fn is_refusal(&self) -> bool {
        self.problem().is_some_and(|problem| !problem.body.code.is_empty() && problem.body.outcome != "unknown")
    }

    /// Whether the same call may do better later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Refused(problem) => problem.is_passing(),
            Self::Unreachable { .. } => true,
            Self::Foreign { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, body: &str) -> CallError {
        CallError::Refused(Box::new(Problem::read(status, None, body.as_bytes())))
    }

    #[test]
    fn what_passes_is_told_from_what_lasts() {
        assert!(problem(503, r#"{"code":"draining","detail":"It ends.","retry":"later"}"#).is_passing());
        assert!(problem(500, r#"{"code":"outcome_unknown","retry":"same_key"}"#).is_passing());
        assert!(problem(502, "<html>bad gateway</html>").is_passing());
        for (status, body) in
            [(404, r#"{"code":"unknown_group","retry":"never"}"#), (409, r#"{"retry":"rejoin"}"#), (404, "")]
        {
            assert!(!problem(status, body).is_passing(), "{status} {body}");
        }
    }

    #[test]
    fn a_refusal_is_told_from_an_open_outcome() {
        assert!(problem(404, r#"{"code":"unknown_group","retry":"never"}"#).is_refusal());
        assert!(problem(503, r#"{"code":"draining","retry":"later","outcome":"not_written"}"#).is_refusal());
        assert!(!problem(500, r#"{"code":"outcome_unknown","outcome":"unknown"}"#).is_refusal());
        assert!(!problem(504, "<html>").is_refusal());
    }

    #[test]
    fn it_is_one_sentence_with_its_code() {
        let refused = problem(404, r#"{"code":"unknown_group","detail":"There is no group `g`.","status":404}"#);
        assert_eq!(refused.to_string(), "There is no group `g`. (unknown_group)");
        assert_eq!(problem(502, "<html>").to_string(), "HTTP status 502 without a word of the gateway's");
    }
}

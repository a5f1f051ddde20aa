//! Who pays for a request: the address it came from, and later the key it bears. The front lets them pay for the request
//! itself; handlers let them pay for what only they know, the records.

use std::time::Duration;

use crate::http::kit::problem::Problem;
use crate::http::kit::problem_codes::Code;
use crate::quota::Cost;
use crate::quota::Measure;
use crate::quota::Payer;
use crate::quota::Refused;

/// All who pay; nobody where nothing is bounded.
#[derive(Debug, Clone, Default)]
pub struct Payers(Vec<Payer>);

impl Payers {
    /// One more.
    pub fn add(&mut self, payer: Payer) {
        self.0.push(payer);
    }

    /// Pays for records that are about to be written.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn records(&self, count: usize) -> Result<(), Problem> {
        let cost = Cost { records: count as u64, ..Cost::default() };
        self.0.iter().try_for_each(|payer| payer.take(cost)).map_err(rate_limited)
    }

    /// Pays for records of a stream of lines. Returns how long to wait before they are written.
    pub fn streamed_records(&self, count: usize) -> Duration {
        self.spend(Cost { records: count as u64, ..Cost::default() })
    }

    /// Pays for a piece of a body whose length nobody knew. Returns how long to wait before the next is read.
    pub fn streamed_bytes(&self, count: usize) -> Duration {
        self.spend(Cost { bytes: count as u64, ..Cost::default() })
    }

    /// Whether anybody pays for bytes.
    pub fn pay_for_bytes(&self) -> bool {
        self.0.iter().any(|payer| payer.allowance().bytes_per_s.is_some())
    }

    fn spend(&self, cost: Cost) -> Duration {
        self.0.iter().map(|payer| payer.spend(cost)).max().unwrap_or_default()
    }
}

/// What a caller is told who has used up what it may.
pub fn rate_limited(refused: Refused) -> Problem {
    let Refused { measure, limit, wait } = refused;
    let what = match measure {
        Measure::Requests => "requests a second",
        Measure::Records => "records a second",
        Measure::Bytes => "bytes a second",
        Measure::Streams => "open streams",
        Measure::Connections => "connections",
    };
    let problem = Problem::new(Code::RateLimited, format!("This caller may have {limit} {what}."));
    let problem = problem.with("limit", limit);
    match wait {
        Some(wait) => problem.retry_after(wait),
        None => problem,
    }
}

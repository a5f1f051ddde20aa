//! What the nodes answered, how fast, and whether they may answer so while a node or the database is away.

use serde_json::Value;

/// How long a node may take to say that the database is away, in milliseconds, beyond what it was asked to wait.
const ANSWER_MS_MAX: u64 = 5000;

/// What this machine may add to that while it also runs the clients and the database.
const BUSY_MS: u64 = 1000;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Produce,
    Read,
    /// A member's poll, commit or leave.
    Group,
}

/// How it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Fine,
    /// 503 with `Retry-After`: nothing was written.
    Away,
    /// 500 `outcome_unknown`.
    Unknown,
    /// Nobody listened: nothing was written.
    NoNode,
    /// The connection broke, and whether it was written is unknown.
    Broken,
    /// A member must begin anew.
    Fenced,
}

/// One answer. Times are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) node: usize,
    pub(crate) call: Call,
    pub(crate) said: Said,
    /// Since 1970.
    pub(crate) sent: u64,
    /// Since 1970.
    pub(crate) at: u64,
    /// For how long the node was asked to wait.
    pub(crate) wait: u64,
}

/// When the database was away, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) from: u64,
    pub(crate) until: u64,
}

/// What an answer says; `Err` with what is wrong about it.
pub(crate) fn classify(call: Call, status: u16, has_retry_after: bool, body: &Value) -> Result<Said, String> {
    match (status, body["code"].as_str(), body["retry"].as_str()) {
        (200..=299, _, _) => Ok(Said::Fine),
        (503, Some(_), Some("later")) if has_retry_after => Ok(Said::Away),
        (500, Some("outcome_unknown"), _) if call != Call::Read => Ok(Said::Unknown),
        (409, Some(_), Some("rejoin")) if call == Call::Group => Ok(Said::Fenced),
        _ => Err(format!("{call:?} was answered {status} {body}")),
    }
}

/// Checks that no answer came late, and says in numbers what they were.
pub(crate) fn check(answers: &[Answer], outages: &[Outage]) -> String {
    let answered = |answer: &&Answer| answer.said != Said::Broken && answer.said != Said::NoNode;
    let took = |answer: &Answer| (answer.at - answer.sent).saturating_sub(answer.wait);
    for answer in answers.iter().filter(answered) {
        assert!(took(answer) <= ANSWER_MS_MAX + BUSY_MS, "{answer:?} took {} ms beyond its wait", took(answer));
    }
    let slowest = answers.iter().filter(answered).map(took).max().unwrap_or(0);
    let late = answers.iter().filter(answered).filter(|answer| took(answer) > ANSWER_MS_MAX).count();
    let during =
        |answer: &&Answer| outages.iter().any(|outage| outage.from <= answer.at && answer.sent <= outage.until);
    let away: Vec<Answer> = answers.iter().filter(during).copied().collect();
    let slowest_away = away.iter().filter(answered).filter(|answer| answer.said != Said::Fine).map(took).max();
    format!(
        "answers: {}; slowest {slowest} ms, {late} after 5 s. While PostgreSQL was away: {}; slowest refusal {} ms",
        tally(answers),
        tally(&away),
        slowest_away.unwrap_or(0)
    )
}

fn tally(answers: &[Answer]) -> String {
    let count = |said| answers.iter().filter(|answer| answer.said == said).count();
    format!(
        "{} 2xx, {} 503, {} unknown, {} broken, {} without a node, {} fenced",
        count(Said::Fine),
        count(Said::Away),
        count(Said::Unknown),
        count(Said::Broken),
        count(Said::NoNode),
        count(Said::Fenced)
    )
}

/// How long after each return of the database each node took its first write, in milliseconds; what was asked before counts
/// as well. None where a node answered none.
pub(crate) fn returns(answers: &[Answer], outages: &[Outage], nodes: usize) -> Vec<Option<u64>> {
    let first = |outage: &Outage, node| {
        let fine = answers.iter().filter(|answer| answer.said == Said::Fine && answer.call == Call::Produce);
        fine.filter(|answer| answer.node == node && answer.at >= outage.until)
            .map(|answer| answer.at - outage.until)
            .min()
    };
    outages.iter().flat_map(|outage| (0..nodes).map(move |node| first(outage, node))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(said: Said, sent: u64, at: u64) -> Answer {
        Answer { node: 0, call: Call::Produce, said, sent, at, wait: 500 }
    }

    #[test]
    fn only_what_the_contract_names_is_an_answer_to_an_outage() {
        let away = json!({ "code": "database_unavailable", "retry": "later" });
        assert_eq!(classify(Call::Read, 503, true, &away), Ok(Said::Away));
        assert!(classify(Call::Read, 503, false, &away).is_err(), "without Retry-After");
        assert!(classify(Call::Read, 503, true, &Value::Null).is_err(), "without a problem");
        let unknown = json!({ "code": "outcome_unknown", "retry": "same_key" });
        assert_eq!(classify(Call::Produce, 500, false, &unknown), Ok(Said::Unknown));
        assert!(classify(Call::Read, 500, false, &unknown).is_err(), "a read writes nothing");
        assert!(classify(Call::Produce, 500, false, &json!({ "code": "internal", "retry": "later" })).is_err());
        let fenced = json!({ "code": "lease_lost", "retry": "rejoin" });
        assert_eq!(classify(Call::Group, 409, false, &fenced), Ok(Said::Fenced));
        assert!(classify(Call::Produce, 409, false, &fenced).is_err(), "a producer is no member");
        assert!(classify(Call::Read, 404, false, &json!({ "code": "unknown_offset", "retry": "never" })).is_err());
    }

    #[test]
    #[should_panic(expected = "took 6001 ms beyond its wait")]
    fn a_late_answer_is_seen() {
        check(&[answer(Said::Away, 0, 6501)], &[]);
    }

    #[test]
    fn a_connection_that_broke_late_is_no_answer() {
        check(&[answer(Said::Broken, 0, 60_000)], &[]);
    }

    #[test]
    fn the_first_write_after_a_return_counts() {
        let outages = [Outage { from: 100, until: 200 }];
        let answers = [answer(Said::Fine, 90, 150), answer(Said::Away, 150, 210), answer(Said::Fine, 190, 230)];
        assert_eq!(returns(&answers, &outages, 2), [Some(30), None]);
    }
}

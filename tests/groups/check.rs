//! What must hold of everything that the members saw, and how long a partition was without an owner.

use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::line::Line;
use crate::line::Said;
use crate::line::Span;

/// What the clocks of this machine may differ by when they are read in whole milliseconds.
const ROUNDING_MS: u64 = 5;

/// One process, or the page, from its beginning to its end.
pub(crate) struct Witness {
    /// Tells it from all others, those of the same name included.
    pub(crate) label: String,
    /// Whether it was killed: what its last request did is then unknown.
    pub(crate) killed: bool,
    /// Whether it comes back before its lease is over, always: then it keeps its partitions.
    pub(crate) is_steady: bool,
    pub(crate) lines: Vec<Line>,
}

/// A member that was killed or paused.
pub(crate) struct Trouble {
    pub(crate) at: u64,
    pub(crate) label: String,
}

/// What came of one run of a member.
#[derive(Default)]
struct Run {
    confirmed: Vec<Span>,
    /// Read and not known to be committed.
    open: Vec<Span>,
    /// How many of those were handed in with a call whose answer was lost.
    handed_in: usize,
    fenced: Option<String>,
}

/// How often each offset of each partition was read, and by how many runs it was surely committed.
struct Tally {
    read: Vec<Vec<u8>>,
    confirmed: Vec<Vec<u8>>,
    /// Whether somebody read it whose commit was not answered.
    unknown: Vec<Vec<bool>>,
}

impl Tally {
    fn of(high_watermarks: &[usize]) -> Self {
        let zeroes = || high_watermarks.iter().map(|end| vec![0; *end]).collect();
        let unknown = high_watermarks.iter().map(|end| vec![false; *end]).collect();
        Self { read: zeroes(), confirmed: zeroes(), unknown }
    }
}

/// Checks all that was seen and says in numbers what it was.
pub(crate) fn check(witnesses: &[Witness], high_watermarks: &[usize], lease_ms: u64) -> String {
    let mut tally = Tally::of(high_watermarks);
    let (mut count, mut fenced) = (0, 0);
    for witness in witnesses {
        let runs = runs(witness, lease_ms);
        let last = runs.len().saturating_sub(1);
        for (number, (epoch, run)) in runs.into_iter().enumerate() {
            count += 1;
            let who = format!("{} in epoch {epoch}", witness.label);
            for span in &run.confirmed {
                add(&mut tally.read[span.partition], *span);
                add(&mut tally.confirmed[span.partition], *span);
            }
            for (index, span) in run.open.iter().enumerate() {
                add(&mut tally.read[span.partition], *span);
                let ended_well = run.fenced.is_none() && !(witness.killed && number == last);
                assert!(!ended_well, "{who} ended well without a commit of {span:?}");
                if run.fenced.is_none() || index < run.handed_in {
                    tally.unknown[span.partition][span.from..span.to].fill(true);
                }
            }
            if let Some(code) = &run.fenced {
                assert!(!witness.is_steady, "{who} came back in time, and yet lost its partitions: {code}");
                fenced += 1;
            }
        }
    }
    let mut repeated = 0;
    for (partition, end) in high_watermarks.iter().enumerate() {
        for offset in 0..*end {
            let place = format!("partition {partition} offset {offset}");
            let (read, confirmed) = (tally.read[partition][offset], tally.confirmed[partition][offset]);
            assert!(read > 0, "{place} was skipped");
            assert!(confirmed <= 1, "{place} was committed by {confirmed} runs: one of them had lost it");
            let known = confirmed == 1 || tally.unknown[partition][offset];
            assert!(known, "{place} was committed by nobody who may: only fenced runs read it");
            repeated += usize::from(read > 1);
        }
    }
    let records: usize = high_watermarks.iter().sum();
    format!("{records} records, {count} runs, {fenced} of them fenced, {repeated} records repeated")
}

fn add(times: &mut [u8], span: Span) {
    for time in &mut times[span.from..span.to] {
        *time = time.saturating_add(1);
    }
}

/// The runs of one witness in order, each by its epoch.
fn runs(witness: &Witness, lease_ms: u64) -> Vec<(u64, Run)> {
    let mut runs: Vec<(u64, Run)> = Vec::new();
    let mut next: HashMap<usize, usize> = HashMap::new();
    let mut renewed = 0;
    for line in &witness.lines {
        if runs.last().is_none_or(|(epoch, _)| *epoch != line.epoch) {
            assert!(runs.last().is_none_or(|(epoch, _)| *epoch < line.epoch), "epochs rise: {line:?}");
            runs.push((line.epoch, Run::default()));
            next.clear();
        }
        let (_, run) = runs.last_mut().expect("one was just made");
        let who = &witness.label;
        assert!(run.fenced.is_none(), "{who} was fenced, and yet was answered in the same epoch: {line:?}");
        match &line.said {
            Said::Fine { confirms, held: _, read } => {
                if *confirms {
                    run.confirmed.append(&mut run.open);
                    run.handed_in = 0;
                }
                for span in read {
                    let reached = next.insert(span.partition, span.to).unwrap_or(0);
                    assert!(span.from >= reached, "{who} read {span:?} again in one run, after {reached}");
                }
                run.open.extend(read);
                renewed = line.sent;
            }
            Said::Lost => run.handed_in = run.open.len(),
            Said::Fenced { code } => {
                // The lease ran from the last call that was well, which came in after it was sent.
                let silent = line.at.saturating_sub(renewed);
                assert!(silent + ROUNDING_MS >= lease_ms, "{who} was fenced ({code}) after {silent} ms of {lease_ms}");
                run.fenced = Some(code.clone());
            }
        }
    }
    runs
}

/// How long partitions waited for their next owner, in milliseconds, in ascending order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TakeOvers {
    /// Those of one member that was killed or paused while all others were well.
    pub(crate) alone: Vec<u64>,
    /// Those where another was killed or paused within a lease before or while they waited: it may have been the heir,
    /// whose own lease had to run out first.
    pub(crate) after_another: Vec<u64>,
}

/// The take-overs from those who were killed or paused.
pub(crate) fn take_overs(witnesses: &[Witness], troubles: &[Trouble], lease_ms: u64) -> TakeOvers {
    let by_label: BTreeMap<_, _> = witnesses.iter().map(|witness| (&witness.label, &witness.lines)).collect();
    let mut times = TakeOvers::default();
    for trouble in troubles {
        let lines = by_label[&trouble.label];
        let Some(last) = lines.iter().rfind(|line| line.at <= trouble.at) else { continue };
        let Said::Fine { held, .. } = &last.said else { continue };
        for partition in held {
            let others = witnesses.iter().filter(|witness| witness.label != trouble.label);
            let later = others.flat_map(|other| &other.lines).filter(|line| line.at >= trouble.at);
            let taken = later.filter(|line| line.holds(*partition)).map(|line| line.at).min();
            // What its owner kept, because its pause was over before its lease, is no take-over.
            let kept = lines.iter().find(|line| line.at > trouble.at && line.holds(*partition)).map(|line| line.at);
            if let Some(taken) = taken.filter(|taken| kept.is_none_or(|kept| *taken < kept)) {
                let others = troubles.iter().filter(|other| other.label != trouble.label);
                let near = trouble.at.saturating_sub(lease_ms)..=taken;
                let alone = others.filter(|other| near.contains(&other.at)).count() == 0;
                let list = if alone { &mut times.alone } else { &mut times.after_another };
                list.push(taken - trouble.at);
            }
        }
    }
    times.alone.sort_unstable();
    times.after_another.sort_unstable();
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE_MS: u64 = 1000;

    fn span(from: usize, to: usize) -> Vec<Span> {
        vec![Span { partition: 0, from, to }]
    }

    fn fine(at: u64, confirms: bool, read: Vec<Span>) -> Line {
        Line { at, sent: at, epoch: 1, said: Said::Fine { confirms, held: vec![0], read } }
    }

    fn fenced(at: u64) -> Line {
        Line { at, sent: at, epoch: 1, said: Said::Fenced { code: "lease_lost".to_owned() } }
    }

    fn witness(label: &str, killed: bool, lines: Vec<Line>) -> Witness {
        Witness { label: label.to_owned(), killed, is_steady: false, lines }
    }

    /// A member that reads all ten and commits them at its end.
    fn whole(label: &str, at: u64) -> Witness {
        witness(label, false, vec![fine(at, false, span(0, 10)), fine(at + 1, true, Vec::new())])
    }

    #[test]
    fn what_a_lease_ran_out_over_may_be_read_again() {
        let late = witness("late", false, vec![fine(0, false, span(0, 4)), fenced(3000)]);
        let told = check(&[late, whole("heir", 1100)], &[10], LEASE_MS);
        assert_eq!(told, "10 records, 2 runs, 1 of them fenced, 4 records repeated");
        let killed = witness("killed", true, vec![fine(0, false, span(0, 4))]);
        let rest = witness("heir", false, vec![fine(9, false, span(4, 10)), fine(10, true, Vec::new())]);
        check(&[killed, rest], &[10], LEASE_MS);
    }

    #[test]
    fn what_was_handed_in_and_not_answered_may_be_committed() {
        let lost = Line { at: 1, sent: 1, epoch: 1, said: Said::Lost };
        let late = witness("late", false, vec![fine(0, false, span(0, 4)), lost, fenced(3000)]);
        let rest = witness("heir", false, vec![fine(9, false, span(4, 10)), fine(10, true, Vec::new())]);
        check(&[late, rest], &[10], LEASE_MS);
    }

    #[test]
    #[should_panic(expected = "offset 3 was committed by nobody who may")]
    fn what_was_read_after_the_answer_that_was_lost_was_not_handed_in() {
        let lost = Line { at: 1, sent: 1, epoch: 1, said: Said::Lost };
        let late = [fine(0, false, span(0, 3)), lost, fine(2, false, span(3, 4)), fenced(3000)];
        let rest = witness("heir", false, vec![fine(9, false, span(4, 10)), fine(10, true, Vec::new())]);
        check(&[witness("late", false, late.to_vec()), rest], &[10], LEASE_MS);
    }

    #[test]
    #[should_panic(expected = "offset 4 was skipped")]
    fn a_record_that_nobody_read_is_seen() {
        let lines = vec![fine(0, false, span(0, 4)), fine(1, true, span(5, 10)), fine(2, true, Vec::new())];
        check(&[witness("m", false, lines)], &[10], LEASE_MS);
    }

    #[test]
    #[should_panic(expected = "only fenced runs read it")]
    fn a_commit_of_a_fenced_run_that_was_kept_is_seen() {
        let late = witness("late", false, vec![fine(0, false, span(0, 4)), fenced(3000)]);
        let heir = witness("heir", false, vec![fine(1100, false, span(4, 10)), fine(1101, true, Vec::new())]);
        check(&[late, heir], &[10], LEASE_MS);
    }

    #[test]
    #[should_panic(expected = "committed by 2 runs")]
    fn two_owners_are_seen() {
        check(&[whole("a", 0), whole("b", 1)], &[10], LEASE_MS);
    }

    #[test]
    #[should_panic(expected = "was fenced (lease_lost) after 300 ms")]
    fn a_member_that_is_fenced_before_its_lease_ran_out_is_seen() {
        let early = witness("early", false, vec![fine(0, false, span(0, 4)), fenced(300)]);
        check(&[early, whole("heir", 200)], &[10], LEASE_MS);
    }

    #[test]
    #[should_panic(expected = "again in one run")]
    fn a_repeat_without_a_reason_is_seen() {
        let lines = vec![fine(0, false, span(0, 10)), fine(1, true, span(9, 10)), fine(2, true, Vec::new())];
        check(&[witness("m", false, lines)], &[10], LEASE_MS);
    }

    #[test]
    fn a_take_over_is_timed_from_the_trouble_to_the_next_owner() {
        let dead = witness("dead", true, vec![fine(0, false, span(0, 4))]);
        let troubles = [Trouble { at: 100, label: "dead".to_owned() }];
        let witnesses = [dead, whole("heir", 1300)];
        assert_eq!(take_overs(&witnesses, &troubles, LEASE_MS).alone, [1200]);
        let [dead] = troubles;
        let troubles = [dead, Trouble { at: 900, label: "heir".to_owned() }];
        assert_eq!(take_overs(&witnesses, &troubles, LEASE_MS), TakeOvers { alone: vec![], after_another: vec![1200] });
    }
}

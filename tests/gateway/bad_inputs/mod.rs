//! The checklist of bad inputs in the threat model, line by line: one table a subject, each row with the numbers of the
//! lines that it proves. All inputs of a row get the same answer; none of them writes anything that is not acknowledged,
//! ends in a failure of ours, or harms the next request.
//!
//! What needs a set-up of its own is a test somewhere else, and listed here; no line is without either.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

mod bodies;
mod browsers;
mod credentials;
mod framing;
mod groups;
mod input;
mod names;
mod positions;
mod settings;
mod stage;
mod streams;
mod table;
mod told;

/// The numbers of the checklist.
const LINES: [RangeInclusive<u8>; 9] =
    [1..=19, 20..=36, 37..=59, 60..=67, 70..=79, 80..=88, 90..=98, 100..=108, 110..=113];

/// Lines that a test with a set-up of its own proves, or proves further than a table can: the file of the test, and its
/// name.
const ELSEWHERE: &[(u8, &str, &str)] = &[
    (9, "tests/gateway/bad_inputs/framing.rs", "one_request_is_never_taken_for_two"),
    (13, "tests/gateway/bad_inputs/framing.rs", "a_thousand_pipelined_requests_are_answered_in_order"),
    (18, "tests/gateway/bad_inputs/framing.rs", "a_body_that_is_cut_short_writes_nothing"),
    (18, "tests/gateway/bad_inputs/framing.rs", "a_body_that_stays_away_is_408_and_writes_nothing"),
    (35, "tests/gateway/values.rs", "any_bytes_come_back_as_they_were"),
    (40, "tests/gateway/compressed.rs", "a_bomb_is_refused_before_it_is_made"),
    (44, "tests/gateway/compressed.rs", "other_codings_are_refused_by_name"),
    (46, "tests/gateway/compressed.rs", "a_thousand_bombs_at_once_stay_within_the_memory"),
    (52, "tests/gateway/produce_stream.rs", "one_bad_atomic_line_and_nothing_is_written"),
    (52, "tests/gateway/produce_stream.rs", "a_bad_later_line_ends_the_stream_and_the_earlier_ones_stand"),
    (62, "tests/gateway/bad_inputs/streams.rs", "whatever_is_in_a_record_is_one_record_in_every_format"),
    (64, "tests/gateway/sse_resume.rs", "an_id_in_the_future_is_refused"),
    (64, "tests/gateway/sse.rs", "records_passed_by_retention_are_told_as_a_gap"),
    (85, "src/groups/plan/tests.rs", "a_full_group_takes_nobody_new_but_lets_old_names_begin_again"),
    (88, "tests/gateway/rights.rs", "idempotency_keys_belong_to_their_caller"),
    (91, "tests/gateway/rights.rs", "what_is_no_good_credential_gets_one_answer"),
    (91, "tests/gateway/api_keys.rs", "a_key_ends_when_it_says"),
    (93, "tests/gateway/jwt_refusals.rs", "every_bad_token_is_refused_alike"),
    (93, "tests/gateway/jwt_refusals.rs", "a_good_token_is_taken_however_its_scheme_is_written"),
    (94, "tests/gateway/logs.rs", "no_credential_is_in_a_log_a_metric_or_a_span"),
    (95, "tests/gateway/tickets.rs", "a_ticket_is_good_again_until_it_ends"),
    (96, "tests/gateway/rights.rs", "who_fails_too_often_is_told_to_wait"),
    (97, "tests/gateway/rights_end.rs", "all_that_is_open_ends_when_its_key_is_deleted"),
    (98, "src/access/jwt/tests/changing.rs", "known_keys_go_on_working_whatever_the_issuer_does"),
    (
        98,
        "src/access/jwt/tests/changing.rs",
        "unknown_keys_are_asked_for_once_in_a_while_and_refused_at_once_in_between",
    ),
    (98, "src/access/jwt/tests/changing.rs", "a_silent_issuer_is_waited_for_but_not_for_ever"),
    (110, "tests/gateway/logs.rs", "the_password_of_the_database_is_in_no_log"),
    (111, "src/segments/tests.rs", "a_directory_that_cannot_be_used_turns_the_cache_off"),
    (112, "tests/gateway/bad_inputs/settings.rs", "a_second_process_on_the_same_directory_ends_at_once"),
    (113, "tests/gateway/bad_inputs/settings.rs", "a_newer_schema_ends_the_start"),
    (113, "src/store/postgres/tests/start.rs", "a_newer_schema_is_refused"),
];

/// Every line number that a row of a table bears.
fn in_tables() -> BTreeSet<u8> {
    let tables = [
        framing::ROWS,
        names::ROWS,
        bodies::ROWS,
        streams::ROWS,
        positions::ROWS,
        groups::ROWS,
        credentials::UNKNOWN,
        credentials::ROWS,
        browsers::ROWS,
        browsers::COOKIES,
    ];
    let rows = tables.into_iter().flatten().map(|row| row.lines);
    let kept = streams::KEPT.iter().map(|(lines, ..)| *lines);
    let settings = settings::ROWS.iter().map(|(lines, ..)| *lines);
    rows.chain(kept).chain(settings).flatten().copied().collect()
}

/// Whether a source has a test of that name, which is run: by an attribute, or by a list of tests.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.contains(&format!("fn {name}(")));
    let attribute =
        at.and_then(|at| lines[..at].last()).is_some_and(|line| line.starts_with("#[") && line.contains("test"));
    let mut lists = lines.iter().filter(|line| !line.contains("fn "));
    let is_listed = lists.any(|line| line.split([',', '(', ')', ' ']).any(|word| word == name));
    at.is_some() && (attribute || is_listed)
}

#[test]
fn every_line_of_the_checklist_is_proved() {
    let known: BTreeSet<u8> = LINES.into_iter().flatten().collect();
    let proved: BTreeSet<u8> = in_tables().into_iter().chain(ELSEWHERE.iter().map(|(line, ..)| *line)).collect();
    let missing: Vec<_> = known.difference(&proved).collect();
    assert!(missing.is_empty(), "lines that nothing proves: {missing:?}");
    let unknown: Vec<_> = proved.difference(&known).collect();
    assert!(unknown.is_empty(), "lines that the checklist does not have: {unknown:?}");
}

#[test]
fn what_is_proved_elsewhere_is_a_test_there() {
    for (line, file, name) in ELSEWHERE {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let source = fs::read_to_string(&path).unwrap_or_else(|why| panic!("line {line}: {file}: {why}"));
        assert!(has_test(&source, name), "line {line}: {file} has no test {name}");
    }
    assert!(
        !has_test("async fn a_tool() {}\nfn other(a_tool: u8) {}", "other"),
        "a function that nothing runs is none"
    );
}

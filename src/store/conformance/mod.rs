//! One behaviour suite for every store: what `contract.rs`, `group_contract.rs` and `access_contract.rs`
//! promise, each promise a test.
//! `conformance!(sqlite, open)` makes the tests for one database; a behaviour that no list names is dead code, so the
//! compiler keeps it whole.

pub(super) mod access;
pub(super) mod append;
pub(super) mod bench;
pub(super) mod group_ends;
pub(super) mod groups;
pub(super) mod keys;
pub(super) mod model;
pub(super) mod read;
pub(super) mod retention;
pub(super) mod steps;
pub(super) mod topics;

/// Makes one test of every behaviour listed.
macro_rules! behaviours {
    ($open:path; $($file:ident { $($behaviour:ident)* })*) => {
        $(mod $file {
            $(#[tokio::test]
            async fn $behaviour() {
                let bench = $crate::store::conformance::bench::Bench::new($open).await;
                $crate::store::conformance::$file::$behaviour(bench).await;
            })*
        })*
        #[test]
        fn model_holds() {
            $crate::store::conformance::model::holds($open);
        }
    };
}

/// Holds a store to the contract: the name of the module of its tests, and the function that opens it.
macro_rules! conformance {
    ($name:ident, $open:path) => {
        mod $name {
            $crate::store::conformance::behaviours! { $open;
                topics {
                    creating_twice_finds_the_first
                    partitions_of_all_topics_are_bounded
                    lists_take_prefixes_literally
                    lists_come_in_pages
                    settings_change_and_partitions_only_grow
                    a_deleted_topic_is_unknown_and_its_name_free
                    topics_survive_a_reopen
                    a_closed_store_answers_with_an_error
                }
                append {
                    offsets_are_dense
                    writes_to_one_partition_become_one_batch
                    a_write_spans_partitions_and_topics
                    unknown_partitions_are_refused_whole
                    a_deleted_topic_takes_nothing_but_its_neighbours_do
                    flushes_of_many_batches_are_whole
                    an_empty_flush_does_nothing
                }
                keys {
                    a_retry_gets_the_first_answer
                    a_key_with_another_request_is_refused
                    an_expired_key_counts_no_more
                    a_key_goes_with_its_topic
                    a_key_is_kept_only_with_its_records
                    many_keys_in_one_flush
                    old_keys_are_purged_in_turns
                }
                read {
                    reading_begins_with_the_batch_that_holds_the_offset
                    reading_stops_at_the_byte_budget
                    bounds_tell_start_end_and_bytes
                    bounds_of_all_partitions_that_were_written
                    seeks_find_the_first_batch_in_time
                    seeks_pass_over_what_was_trimmed
                    sweeps_find_every_partition
                    everything_survives_a_reopen
                }
                retention {
                    the_start_moves_up_only
                    age_keeps_what_is_young
                    bytes_keep_at_least_the_limit
                    a_limit_of_no_bytes_keeps_the_newest_batch
                    purges_come_in_slices_and_offsets_go_on
                    a_purge_spares_the_batch_that_holds_the_start
                    what_deleted_topics_left_goes
                }
                groups {
                    a_group_is_made_once
                    groups_are_bounded
                    a_change_is_done_whole
                    of_changes_from_one_version_one_is_done
                    a_group_is_read_as_of_one_moment
                    a_new_run_frees_and_one_that_goes_on_keeps
                    who_leaves_is_forgotten_and_holds_nothing
                    a_run_is_ended_only_once_its_lease_is_over
                    a_partition_that_is_not_let_go_of_is_taken
                    a_partition_that_nobody_waits_for_may_stay
                    groups_are_listed_by_name_with_their_active_members
                }
                group_ends {
                    lapses_are_found_from_where_the_last_look_ended
                    ended_members_are_purged_in_turns
                    a_deleted_group_gives_no_epoch_again
                    offsets_are_reset_forward_and_back
                    a_deleted_topic_goes_from_its_groups
                    groups_survive_a_reopen
                    a_closed_store_refuses_groups
                }
                steps {
                    a_partition_moves_within_one_batch
                    a_refused_step_leaves_its_neighbours
                    a_partition_that_leaves_again_has_its_owners_lease
                    a_lease_that_ran_out_is_taken_up_again
                    notes_come_back_as_they_were
                    one_batch_serves_many_members_of_many_groups
                }
                access {
                    keys_come_back_as_they_were_made
                    the_first_key_can_make_others
                    nothing_turns_authentication_off
                    authentication_can_be_asked_for_without_a_key
                    keys_are_bounded
                }
            }
        }
    };
}

pub(super) use behaviours;
pub(super) use conformance;

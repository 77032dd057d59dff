//! The protocol of an outage as an executable model: processes, one server, links, one key.
//!
//! It is what `docs/fallback.md` promises, cut down to what decides: stamps, tombstones, the journal,
//! the replay, and everything that may happen in between. A model checker searches small worlds
//! exhaustively; each rule is also switched off in turn, and then the search must find what it prevents.
//! A world has one key, since no rule spans two.
//!
//! It runs with the core's tests only: the binding to Node changes nothing in it.
#![cfg(not(feature = "node"))]
#![allow(clippy::indexing_slicing, reason = "a model's states are made here")]

mod check;
mod rules;
mod steps;
mod world;

use stateright::{Checker, Model};

use rules::{Fault, Rules};
use steps::Search;

/// Every rule kept.
fn search(faults: &[Fault], calls: u8) -> Search {
    Search { rules: Rules::ALL, faults: faults.to_vec(), most_faults: 2, calls, processes: 2 }
}

fn holds(search: Search) {
    let checker = search.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    assert!(checker.unique_state_count() > 1_000, "the world is too small to say anything");
}

/// The search finds what the rule prevents.
fn breaks(search: Search, property: &'static str) {
    let checker = search.checker().threads(2).spawn_bfs().join();
    assert!(checker.discovery(property).is_some(), "nothing breaks '{property}' without the rule");
}

mod every_rule_kept {
    use super::*;

    #[test]
    fn a_cut_link_loses_nothing_and_brings_nothing_back() {
        holds(search(&[Fault::Cut], 3));
    }

    #[test]
    fn a_server_that_comes_back_with_its_data() {
        holds(search(&[Fault::Cut, Fault::Restart], 3));
    }

    #[test]
    fn a_server_that_comes_back_without_its_tail() {
        holds(search(&[Fault::Save, Fault::LoseTail], 3));
    }

    #[test]
    fn a_server_that_comes_back_empty() {
        holds(search(&[Fault::Cut, Fault::LoseAll], 3));
    }

    #[test]
    fn a_failover_to_a_server_whose_clock_is_behind() {
        holds(Search { processes: 1, ..search(&[Fault::Cut, Fault::Failover], 3) });
    }

    #[test]
    fn values_that_expire_and_tombstones_that_end_during_an_outage() {
        holds(search(&[Fault::Cut, Fault::Expiry, Fault::TombstonesEnd], 3));
    }

    #[test]
    fn a_server_that_restarts_and_then_runs_for_long() {
        let faults = [Fault::Restart, Fault::TombstonesEnd];
        holds(Search { most_faults: 3, ..search(&faults, 2) });
    }

    #[test]
    fn a_server_that_stays_dead_until_every_tombstone_has_ended() {
        holds(search(&[Fault::Cut, Fault::DeadForLong], 3));
    }

    #[test]
    fn a_server_that_is_flushed_during_an_outage() {
        holds(search(&[Fault::Cut, Fault::Flush], 3));
    }

    #[test]
    fn a_process_that_starts_while_the_server_is_absent_and_one_that_is_suspended() {
        holds(search(&[Fault::Cut, Fault::StartAbsent, Fault::Suspend], 3));
    }
}

mod one_rule_broken {
    use super::*;

    #[test]
    fn bytes_in_a_closed_connection_run_after_a_later_delete() {
        let rules = Rules { kills_old_connections: false, ..Rules::ALL };
        breaks(Search { rules, ..search(&[Fault::Cut], 2) }, check::NOTHING_RETURNS);
    }

    #[test]
    fn a_replay_that_does_not_compare_undoes_what_another_process_wrote() {
        let rules = Rules { compares: false, ..Rules::ALL };
        breaks(Search { rules, ..search(&[Fault::Cut], 2) }, check::NOTHING_IS_LOST);
    }

    #[test]
    fn a_delete_by_another_process_is_undone_without_tombstones() {
        let rules = Rules { leaves_tombstones: false, ..Rules::ALL };
        breaks(Search { rules, ..search(&[Fault::Cut], 2) }, check::NOTHING_RETURNS);
    }

    #[test]
    fn an_expired_write_uncovers_the_older_value_that_it_replaced() {
        let rules = Rules { expired_becomes_delete: false, ..Rules::ALL };
        breaks(Search { rules, ..search(&[Fault::Cut, Fault::Expiry], 2) }, check::NOTHING_RETURNS);
    }

    #[test]
    fn stamps_that_follow_a_clock_that_is_behind_lose_a_write() {
        let rules = Rules { stamps_never_fall: false, ..Rules::ALL };
        let search = search(&[Fault::Cut, Fault::Failover], 2);
        breaks(Search { rules, processes: 1, ..search }, check::NOTHING_IS_LOST);
    }

    #[test]
    fn stamps_from_before_the_first_contact_lose_a_write_when_they_are_not_moved() {
        let rules = Rules { settles_early_stamps: false, ..Rules::ALL };
        let search = search(&[Fault::Cut, Fault::StartAbsent], 2);
        breaks(Search { rules, ..search }, check::NOTHING_IS_LOST);
    }

    #[test]
    fn a_clock_that_stops_while_a_laptop_sleeps_loses_a_write() {
        let rules = Rules { clock_runs_in_sleep: false, ..Rules::ALL };
        let search = search(&[Fault::Cut, Fault::Suspend], 2);
        breaks(Search { rules, ..search }, check::NOTHING_IS_LOST);
    }

    #[test]
    fn a_write_older_than_the_tombstones_brings_back_what_was_deleted() {
        let rules = Rules { drops_what_is_too_old: false, ..Rules::ALL };
        let search = search(&[Fault::Cut, Fault::TombstonesEnd], 2);
        breaks(Search { rules, ..search }, check::NOTHING_RETURNS);
    }

    #[test]
    fn a_server_that_ran_for_long_and_restarted_forgot_what_was_deleted() {
        let rules = Rules { age_counts_after_a_restart: false, ..Rules::ALL };
        let faults = [Fault::Restart, Fault::TombstonesEnd];
        let search = Search { most_faults: 3, ..search(&faults, 2) };
        breaks(Search { rules, ..search }, check::NOTHING_RETURNS);
    }

    #[test]
    fn a_tombstone_that_ended_while_the_server_was_dead_says_nothing() {
        let rules = Rules { counts_every_moment: false, ..Rules::ALL };
        let search = search(&[Fault::Cut, Fault::DeadForLong], 2);
        breaks(Search { rules, ..search }, check::NOTHING_RETURNS);
    }

    #[test]
    fn a_flush_in_between_brings_back_what_was_deleted_after_it() {
        let rules = Rules { drops_after_a_flush: false, ..Rules::ALL };
        let search = search(&[Fault::Cut, Fault::Flush], 2);
        breaks(Search { rules, ..search }, check::NOTHING_RETURNS);
    }

    #[test]
    fn a_read_after_the_return_overtakes_the_journal() {
        let rules = Rules { intent_goes_first: false, ..Rules::ALL };
        breaks(Search { rules, ..search(&[Fault::Cut], 2) }, check::OWN_WRITES_ARE_SEEN);
    }

    #[test]
    fn a_call_on_a_link_that_broke_waits_for_ever_when_it_is_not_settled() {
        let rules = Rules { settles_what_is_in_flight: false, ..Rules::ALL };
        breaks(Search { rules, ..search(&[Fault::Cut], 2) }, check::NOBODY_WAITS_FOR_EVER);
    }

    #[test]
    fn what_was_sent_and_not_answered_is_lost_when_it_is_not_journalled() {
        let rules = Rules { journals_what_is_in_flight: false, ..Rules::ALL };
        breaks(Search { rules, ..search(&[Fault::Cut], 2) }, check::NOTHING_IS_LOST);
    }
}

/// Larger worlds, at random.
#[test]
fn random_walks_through_larger_worlds_break_nothing() {
    let faults = Fault::ALL.iter().copied().filter(|fault| *fault != Fault::Failover).collect();
    let search = Search { rules: Rules::ALL, faults, most_faults: 6, calls: 7, processes: 3 };
    let broken = steps::walk(&search, 4_000, 160);
    assert!(broken.is_none(), "{}", broken.unwrap_or_default());
}

//! The requirements that tests of the core prove: too many states for a wire.

/// Clause of 802.1AX-2014, requirement, file and name of the test.
pub type Row = (&'static str, &'static str, &'static str, &'static str);

/// The requirements in the order of the clauses.
pub const CORE: [Row; 28] = [
    (
        "6.3.4",
        "The port number is never 0.",
        "src/daemon/team/port_config.rs",
        "ethernet_n_has_port_number_n_plus_1_and_others_their_index",
    ),
    (
        "6.3.6",
        "Ports with different keys do not aggregate.",
        "runners/tests/pair/scenarios.rs",
        "ports_with_different_keys_do_not_aggregate",
    ),
    (
        "6.4.2.3",
        "Each field is at its offset.",
        "runners/src/wire/lacpdu.rs",
        "frame_puts_each_field_at_the_offset_of_the_standard",
    ),
    (
        "6.4.2.3",
        "A receiver checks lengths, but neither types nor reserved fields.",
        "runners/src/wire/lacpdu.rs",
        "parse_checks_lengths_but_neither_types_nor_reserved_fields",
    ),
    (
        "6.4.2.3",
        "TLVs that are unknown are skipped.",
        "runners/src/wire/lacpdu.rs",
        "parse_skips_unknown_tlvs_of_version_2",
    ),
    (
        "6.4.12",
        "The Receive machine handles each event in each state.",
        LACP_RECEIVE,
        "every_state_handles_every_event",
    ),
    (
        "6.4.12",
        "current_while_timer runs only in Expired and Current.",
        LACP_RECEIVE,
        "current_while_timer_runs_only_in_expired_and_current",
    ),
    (
        "6.4.12",
        "A port without LACPDUs expires, then defaults, and returns with the first LACPDU.",
        "runners/tests/pair/scenarios.rs",
        "a_port_without_pdus_expires_then_defaults_and_returns_with_the_first_pdu",
    ),
    (
        "6.4.12",
        "A malformed LACPDU changes nothing but its counter.",
        "runners/tests/pair/arbitrary_pdus.rs",
        "malformed_pdus_change_only_their_counter",
    ),
    (
        "6.4.12",
        "A half-duplex port is disabled.",
        "runners/tests/pair/scenarios.rs",
        "a_half_duplex_port_carries_no_traffic",
    ),
    (
        "6.4.13",
        "The Periodic Transmission machine handles each rate, with and without expiry.",
        "runners/src/lacp_machines/periodic.rs",
        "every_state_handles_every_rate_with_and_without_expiry",
    ),
    (
        "6.4.13",
        "A port sends in each period, and at once when the rate becomes fast.",
        "runners/src/lacp_machines/periodic.rs",
        "a_port_transmits_each_period_and_when_the_rate_becomes_fast",
    ),
    (
        "6.4.13",
        "Two passive ends send nothing; a passive end answers an active one.",
        "runners/tests/pair/scenarios.rs",
        "two_passive_ends_send_nothing_and_one_answers_an_active_end",
    ),
    (
        "6.4.13",
        "LACPDUs are 1 s or 30 s apart.",
        "integration/tests/port_channel.rs",
        "pdus_are_1_s_or_30_s_apart",
    ),
    (
        "6.4.14",
        "Selection depends on the receive state alone.",
        "runners/src/runner/lacp/selection.rs",
        "every_receive_state_with_and_without_fallback",
    ),
    (
        "6.4.14",
        "A looped port carries no traffic.",
        "runners/tests/pair/scenarios.rs",
        "a_looped_port_carries_no_traffic",
    ),
    (
        "6.4.15",
        "The Mux machine with independent control handles each condition in each state.",
        LACP_MUX,
        "every_state_handles_every_condition",
    ),
    (
        "6.4.15",
        "A selected port waits once, then follows its partner.",
        LACP_MUX,
        "a_selected_port_waits_once_and_then_follows_its_partner",
    ),
    (
        "6.4.15",
        "Two links distribute after wait_while_timer.",
        "runners/tests/pair/scenarios.rs",
        "two_links_distribute_after_wait_while_timer",
    ),
    (
        "6.4.15",
        "A port stops distributing when its partner stops collecting.",
        "runners/tests/pair/scenarios.rs",
        "a_port_stops_distributing_when_its_partner_stops_collecting",
    ),
    (
        "6.4.16",
        "NTT and the periodic machine send below the limit of three LACPDUs, not at it.",
        LACP_TRANSMIT,
        "every_ntt_and_periodic_state_below_and_at_the_limit",
    ),
    (
        "6.4.16",
        "A fourth LACPDU waits until the first is one period old.",
        LACP_TRANSMIT,
        "a_fourth_pdu_waits_until_the_first_is_one_period_old",
    ),
    (
        "6.4.16",
        "Without the daemon, only an LACPDU that shows no change is answered.",
        "integration/tests/lacp_keepalive/main.rs",
        "only_the_last_lacpdu_is_answered",
    ),
    (
        "6.4.17",
        "The Churn Detection machines handle each input in each state.",
        "runners/src/runner/lacp/churn.rs",
        "every_state_handles_every_input_with_and_without_expiry",
    ),
    (
        "6.4.17",
        "A minute out of sync is churn until the end is in sync.",
        "runners/src/runner/lacp/churn.rs",
        "a_minute_out_of_sync_is_churn_until_the_end_is_in_sync",
    ),
    (
        "6.5.3",
        "Moving flows wait for the Marker Response; other flows do not.",
        "runners/tests/pair/marker_generator.rs",
        "moving_flows_wait_for_the_response_and_others_do_not",
    ),
    (
        "6.5.3",
        "Moving flows without a Marker Response wait for a timeout.",
        "runners/tests/pair/marker_generator.rs",
        "moving_flows_without_a_response_wait_for_the_timeout",
    ),
    (
        "6.5.4",
        "The Marker Responder answers below its limit, not at it.",
        "runners/src/runner/lacp/marker_responder.rs",
        "every_pdu_below_and_at_the_limit",
    ),
];

const LACP_RECEIVE: &str = "runners/src/lacp_machines/receive.rs";
const LACP_MUX: &str = "runners/src/runner/lacp/mux.rs";
const LACP_TRANSMIT: &str = "runners/src/lacp_machines/transmit.rs";

//! The columns of IEEE8023-LAG-MIB, by the names of IEEE 802.1AX-2014, annex D, without the name of the
//! table at their beginning.

/// Columns of dot3adAggTable.
pub(super) mod agg {
    pub const MAC_ADDRESS: u32 = 2;
    pub const ACTOR_SYSTEM_PRIORITY: u32 = 3;
    pub const ACTOR_SYSTEM_ID: u32 = 4;
    pub const AGGREGATE_OR_INDIVIDUAL: u32 = 5;
    pub const ACTOR_ADMIN_KEY: u32 = 6;
    pub const ACTOR_OPER_KEY: u32 = 7;
    pub const PARTNER_SYSTEM_ID: u32 = 8;
    pub const PARTNER_SYSTEM_PRIORITY: u32 = 9;
    pub const PARTNER_OPER_KEY: u32 = 10;
    pub const COLLECTOR_MAX_DELAY: u32 = 11;
}

/// Columns of dot3adAggPortListTable.
pub(super) mod port_list {
    pub const PORTS: u32 = 1;
}

/// Columns of dot3adAggPortTable.
pub(super) mod agg_port {
    pub const ACTOR_SYSTEM_PRIORITY: u32 = 2;
    pub const ACTOR_SYSTEM_ID: u32 = 3;
    pub const ACTOR_ADMIN_KEY: u32 = 4;
    pub const ACTOR_OPER_KEY: u32 = 5;
    pub const PARTNER_ADMIN_SYSTEM_PRIORITY: u32 = 6;
    pub const PARTNER_OPER_SYSTEM_PRIORITY: u32 = 7;
    pub const PARTNER_ADMIN_SYSTEM_ID: u32 = 8;
    pub const PARTNER_OPER_SYSTEM_ID: u32 = 9;
    pub const PARTNER_ADMIN_KEY: u32 = 10;
    pub const PARTNER_OPER_KEY: u32 = 11;
    pub const SELECTED_AGG_ID: u32 = 12;
    pub const ATTACHED_AGG_ID: u32 = 13;
    pub const ACTOR_PORT: u32 = 14;
    pub const ACTOR_PORT_PRIORITY: u32 = 15;
    pub const PARTNER_ADMIN_PORT: u32 = 16;
    pub const PARTNER_OPER_PORT: u32 = 17;
    pub const PARTNER_ADMIN_PORT_PRIORITY: u32 = 18;
    pub const PARTNER_OPER_PORT_PRIORITY: u32 = 19;
    pub const ACTOR_ADMIN_STATE: u32 = 20;
    pub const ACTOR_OPER_STATE: u32 = 21;
    pub const PARTNER_ADMIN_STATE: u32 = 22;
    pub const PARTNER_OPER_STATE: u32 = 23;
    pub const AGGREGATE_OR_INDIVIDUAL: u32 = 24;
}

/// Columns of dot3adAggPortStatsTable, without UnknownRx (4): such frames do not reach the daemon.
pub(super) mod stats {
    pub const LACPDUS_RX: u32 = 1;
    pub const MARKER_PDUS_RX: u32 = 2;
    pub const MARKER_RESPONSE_PDUS_RX: u32 = 3;
    pub const ILLEGAL_RX: u32 = 5;
    pub const LACPDUS_TX: u32 = 6;
    pub const MARKER_PDUS_TX: u32 = 7;
    pub const MARKER_RESPONSE_PDUS_TX: u32 = 8;
}

/// Columns of dot3adAggPortDebugTable.
pub(super) mod debug {
    pub const RX_STATE: u32 = 1;
    pub const LAST_RX_TIME: u32 = 2;
    pub const MUX_STATE: u32 = 3;
    pub const MUX_REASON: u32 = 4;
    pub const ACTOR_CHURN_STATE: u32 = 5;
    pub const PARTNER_CHURN_STATE: u32 = 6;
    pub const ACTOR_CHURN_COUNT: u32 = 7;
    pub const PARTNER_CHURN_COUNT: u32 = 8;
}

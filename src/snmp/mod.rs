//! The Link Aggregation MIB for an SNMP agent, as a subagent of AgentX.
//!
//! [`pdu`] reads and writes the PDUs, [`session`] exchanges them with the master agent, [`lag`] makes
//! object instances of the states of teams, and [`tree`] answers requests from these instances. The
//! master agent belongs to another program: every length is checked, and every PDU and every answer has
//! a limit.
//!
//! Standards: RFC 2741; IEEE 802.1AX-2014, annex D (IEEE8023-LAG-MIB).

mod columns;
pub mod lag;
pub mod pdu;
pub mod session;
pub mod tree;

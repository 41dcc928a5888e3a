//! The machines of LACP that concern one port alone (IEEE 802.1AX-2014, 6.4). Each file has one machine
//! with the standard's diagram.

pub(crate) mod periodic;
pub(crate) mod receive;
pub(crate) mod transmit;

//! Each runner, watch and shared rule in virtual time: events in, every action asserted.

mod activebackup;
mod addresses;
mod announcements;
mod arp_answers;
mod arp_ping;
mod asking;
mod carrier;
mod failovers;
mod link_watch;
mod loadbalance;
mod nsna_ping;
mod plain_runners;
mod play;
mod probing;
mod site;
mod slb;

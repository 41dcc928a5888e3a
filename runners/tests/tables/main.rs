//! Each runner, link watch and common rule in virtual time: events go in, every action is checked.

mod activebackup;
mod addresses;
mod announcements;
mod arp_answers;
mod arp_ping;
mod arp_watch;

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

//! Each runner, link watch and common rule in virtual time: events go in, every action is checked.

mod activebackup;
mod addresses;
mod announcements;
mod arp_answers;
mod arp_ping;
mod arp_watch;
mod bfd;
mod carrier;
mod corruption;
mod exclusions;
mod failovers;
mod lacp_watch;
mod link_watch;
mod loadbalance;
mod nsna_ping;
mod ping_retries;
mod plain_runners;
mod play;
mod probe_watch;
mod probing;
mod replaced_settings;
mod site;
mod slb;

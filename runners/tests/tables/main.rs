//! Each runner, watch and shared rule in virtual time: events in, every action asserted.

mod activebackup;
mod addresses;
mod announcements;
mod carrier;
mod link_watch;
mod loadbalance;
mod plain_runners;
mod play;
mod slb;

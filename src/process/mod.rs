//! The daemon as a process: background, log, pid file, run directory, signals, rights, and the
//! service manager that started it.
//!
//! Nothing here knows what a team is.

pub mod daemonize;
pub mod logging;
pub mod pidfile;
pub mod run_dir;
pub mod sandbox;
pub mod service_manager;
pub mod signals;

//! The daemon as a process: background, log, pid file, run directory, signals, sandbox, and the
//! service manager.
//!
//! The modules know no team and no command line.

pub mod daemonize;
pub mod logging;
pub mod pidfile;
pub mod run_dir;
pub mod sandbox;
pub mod service_manager;
pub mod signals;

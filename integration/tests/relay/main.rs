//! The data path without the kernel's team driver, in network namespaces.
//!
//! Needs root and `ip`; without the right to open a lab every test is skipped with the reason.

mod forwarding;
mod frames;
mod lab;
mod port;
mod stack;
mod switching;
mod taking;

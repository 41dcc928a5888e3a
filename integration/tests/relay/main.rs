//! The userspace data path against the kernel, in network namespaces of its own.
//!
//! Needs root and `ip`; without the right to make a namespace every test says so and passes.

mod forwarding;
mod frames;
mod lab;
mod port;
mod stack;
mod switching;
mod taking;

//! The key `data_path` as a type.

/// `data_path`: the part of the system that forwards frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataPathChoice {
    /// The first of the others that works on the host, in this order.
    #[default]
    Auto,
    /// The kernel's team driver.
    Kernel,
    /// eBPF programs that teamr loads into the kernel.
    Programs,
    /// The daemon itself.
    Relay,
}

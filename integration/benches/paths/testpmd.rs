//! DPDK's bonding over packet sockets; testpmd forwards frames between the bond and a TAP device.
//!
//! The packet-socket driver supports neither segmentation nor checksum offload, so the far ends of
//! the cables do both in software. Nor does the driver report a lost link.

use std::cell::RefCell;

use integration::{Namespace, Process, comes_true};
use nix::sys::signal::Signal;

use super::installed;

pub struct Testpmd {
    process: RefCell<Process>,
}

impl Testpmd {
    pub fn start(
        near: &Namespace,
        far: &Namespace,
        device: &str,
        ports: &[&str],
    ) -> Result<Testpmd, String> {
        installed(near, "dpdk-testpmd", "dpdk-dev")?;
        installed(far, "ethtool", "ethtool")?;
        let (mut sockets, mut members) = (String::new(), String::new());
        for (number, port) in ports.iter().enumerate() {
            far.run(&format!("ethtool -K {port} tx off"));
            near.up(port);
            sockets += &format!(" --vdev=net_af_packet{number},iface={port},blocksz=65536");
            members += &format!(",slave=net_af_packet{number}");
        }
        // One thread forwards and another waits, on any processor. testpmd polls without a pause:
        // with real-time priority it would take the processor from its users.
        let bond = ports.len();
        let line = format!(
            "chrt --other 0 dpdk-testpmd --no-huge --no-pci --no-telemetry -m 256 \
             --lcores=0@(0-{last}),1@(0-{last}) {sockets} --vdev=net_bonding0,mode=1{members} \
             --vdev=net_tap0,iface={device} -- --auto-start --forward-mode=io \
             --portlist={bond},{tap} --total-num-mbufs=16384 --stats-period=3600",
            last = std::thread::available_parallelism().map_or(1, usize::from) - 1,
            tap = bond + 1,
        );
        let mut process = near.start(&line);
        let started = comes_true(|| process.ended().is_some() || near.has_interface(device));
        match process.ended() {
            None if started => Ok(Testpmd { process: RefCell::new(process) }),
            None => Err("testpmd makes no device".into()),
            Some(status) => {
                let log = process.log();
                let last = log.trim_end().lines().next_back().unwrap_or_default();
                Err(format!("testpmd ended with {status} {last}"))
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.borrow().pid()
    }

    pub fn resume(&self) {
        self.process.borrow_mut().signal(Signal::SIGCONT);
    }

    pub fn pause(&self) {
        self.process.borrow_mut().signal(Signal::SIGSTOP);
    }
}

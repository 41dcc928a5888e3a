//! `runner.broadcast_neighbor`: ARP and neighbour discovery leave on every port of an aggregate,
//! because two switches that act as one LACP partner without shared state each need these frames.
//!
//! Owns the instructions that recognize these frames, and the program beside the kernel's driver.

use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use runners::wire::{ethertype, icmpv6_type, protocol};

use super::TRANSMIT;
use super::assembler::{Alu, Assembler, If, Label, Reg, Size};
use super::context;
use super::headers::{self, COPY, ETHERTYPE, half};
use super::hook::{self, AttachMode, AttachedProgram};
use super::team_hook::{Redirect, TeamHook};
use super::team_program::{redirect, send_copy};
use crate::netlink::RouteSocket;
use crate::sys::bpf::Program;

use Reg::{R1, R2, R6, R9, R10};

/// Continues at `other` unless [`is_address_resolution`](runners::wire::is_address_resolution)
/// holds for the frame in R6. Overwrites R0 to R5 and R9.
pub fn unless_address_resolution(asm: &mut Assembler, other: Label) {
    let (found, ipv6) = (asm.label(), asm.label());
    asm.set(R9, 0);
    headers::copy(asm, headers::ETHERNET, other);
    headers::tags(asm);
    asm.load(Size::Half, R2, R10, ETHERTYPE);
    asm.jump_if(If::Equal, R2, half(ethertype::ARP), found);
    asm.jump_if(If::Equal, R2, half(ethertype::IPV6), ipv6);
    asm.jump(other);
    asm.place(ipv6);
    headers::ipv6(asm, other);
    asm.load(Size::Byte, R2, R10, COPY + 6);
    asm.jump_if(If::NotEqual, R2, i32::from(protocol::ICMPV6), other);
    asm.alu(Alu::Add, R9, 40);
    headers::copy(asm, 1, other);
    asm.load(Size::Byte, R2, R10, COPY);
    asm.jump_if(If::Equal, R2, i32::from(icmpv6_type::NEIGHBOUR_SOLICITATION), found);
    asm.jump_if(If::NotEqual, R2, i32::from(icmpv6_type::NEIGHBOUR_ADVERTISEMENT), other);
    asm.place(found);
}

/// Returns the program for frames that a device of the kernel's driver sends: ARP and neighbour
/// discovery leave on each of the interfaces `ports`, and the driver sends the other frames.
/// Without a port the driver sends all frames.
pub fn to_all_ports(ports: &[u32]) -> Vec<u64> {
    let mut asm = Assembler::default();
    let next = asm.label();
    asm.set(R6, R1);
    if let Some((last, others)) = ports.split_last() {
        unless_address_resolution(&mut asm, next);
        for port in others {
            send_copy(&mut asm, Redirect { ifindex: *port, ingress: false });
        }
        asm.set(R1, *last as i32);
        redirect(&mut asm, false);
    }
    asm.place(next);
    asm.exit_with(context::NEXT);
    asm.finish()
}

/// The program at the egress hook of a device of the kernel's driver.
#[derive(Debug)]
pub struct NeighbourProgram {
    team: TeamHook,
    /// How the program is attached where the kernel offers both ways.
    mode: AttachMode,
    attached: Option<AttachedProgram>,
    /// The interfaces that the attached program names.
    ports: Vec<u32>,
}

impl NeighbourProgram {
    /// Returns no program yet for the team device `ifindex`; `mode` is how the program is attached where
    /// the kernel offers both ways.
    pub fn new(ifindex: u32, mode: AttachMode) -> Self {
        let team = TeamHook::DriverEgress(ifindex);
        NeighbourProgram { team, mode, attached: None, ports: Vec::new() }
    }

    /// Has ARP and neighbour discovery leave on the interfaces `ports` from now on.
    ///
    /// # Errors
    /// The errors of bpf(2) and of attaching; the frames then leave as before.
    pub fn apply(&mut self, route: &mut RouteSocket, ports: Vec<u32>) -> io::Result<()> {
        if self.attached.is_some() && ports == self.ports {
            return Ok(());
        }
        let program = Rc::new(Program::load(&to_all_ports(&ports), TRANSMIT)?);
        match &mut self.attached {
            Some(attached) => attached.replace(route, program, TRANSMIT)?,
            none => {
                let at = self.team.attach_point();
                let mode = AttachMode::find(self.mode, &program, at);
                *none = Some(mode.attach(route, at, program, TRANSMIT, None)?);
            }
        }
        self.ports = ports;
        Ok(())
    }

    /// Attaches the program again if another program of the host has detached it. Returns whether
    /// the program was detached.
    ///
    /// # Errors
    /// The error of attaching.
    pub fn restore(&self, route: &mut RouteSocket, ifindex: u32) -> io::Result<bool> {
        match &self.attached {
            Some(attached) if attached.ifindex() == ifindex => attached.restore(route, TRANSMIT),
            _ => Ok(false),
        }
    }

    /// Returns whether the kernel does not report that another program of the host has detached the
    /// program.
    pub fn detaches_silently(&self) -> bool {
        self.attached.as_ref().is_some_and(AttachedProgram::detaches_silently)
    }

    /// Returns the team device if another program of the host has detached the program from its TCX
    /// hook.
    pub fn detached(&self) -> BTreeSet<u32> {
        hook::detached_silently(&self.attached)
    }

    /// Detaches the program.
    ///
    /// # Errors
    /// The error of detaching.
    pub fn close(&mut self, route: &mut RouteSocket) -> io::Result<()> {
        self.attached.take().map_or(Ok(()), |attached| attached.detach(route))
    }
}

//! System calls that a traced process (ptrace(2)) executes for a test, to find out whether its sandbox
//! refuses them.

use std::fs::File;
use std::os::unix::fs::FileExt;

use libc::{c_long, user_regs_struct};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::wait::wait_for;

/// The instruction `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// Distance of the calls' memory from the end of the stack in use.
const BELOW_STACK: u64 = 0x4000;

/// The end of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The call succeeded.
    Value(i64),
    /// The call failed.
    Failed(Errno),
    /// The kernel killed the process for the call.
    Killed,
}

impl Outcome {
    /// Returns whether a sandbox refused the call.
    pub fn is_refused(self) -> bool {
        matches!(self, Outcome::Killed | Outcome::Failed(Errno::EPERM | Errno::EACCES))
    }
}

/// A process that is stopped inside a system call.
pub struct Traced {
    pid: Pid,
    memory: File,
    registers: user_regs_struct,
}

impl Traced {
    /// Stops a process whose one thread waits in a system call.
    pub fn stop(pid: u32) -> Traced {
        let path = format!("/proc/{pid}/mem");
        let memory = File::options().read(true).write(true).open(path).expect("open the memory");
        let pid = Pid::from_raw(pid.try_into().expect("a pid"));
        let registers = wait_for("the process to be in a system call", || {
            ptrace::attach(pid).expect("trace the process");
            assert_eq!(wait(pid), WaitStatus::Stopped(pid, Signal::SIGSTOP));
            let registers = ptrace::getregs(pid).expect("read registers");
            let mut code = [0; 2];
            memory.read_exact_at(&mut code, registers.rip - 2).expect("read code");
            if code == SYSCALL {
                return Some(registers);
            }
            ptrace::detach(pid, None).expect("continue the process");
            None
        });
        Traced { pid, memory, registers }
    }

    /// Writes a string to the memory of the process and returns its address.
    pub fn string(&self, text: &str) -> u64 {
        let at = self.registers.rsp - BELOW_STACK;
        let bytes = [text.as_bytes(), &[0]].concat();
        self.memory.write_all_at(&bytes, at).expect("write a string");
        at
    }

    /// Has the process execute a system call.
    pub fn call(&self, number: c_long, arguments: [u64; 6]) -> Outcome {
        let [rdi, rsi, rdx, r10, r8, r9] = arguments;
        let registers = user_regs_struct {
            rip: self.registers.rip - 2,
            rax: number.unsigned_abs(),
            // The kernel restarts no call.
            orig_rax: u64::MAX,
            rdi,
            rsi,
            rdx,
            r10,
            r8,
            r9,
            ..self.registers
        };
        ptrace::setregs(self.pid, registers).expect("write registers");
        ptrace::step(self.pid, None).expect("execute the call");
        match wait(self.pid) {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
            WaitStatus::Signaled(_, Signal::SIGSYS, _) => return Outcome::Killed,
            other => panic!("{other:?}"),
        }
        let result = ptrace::getregs(self.pid).expect("read registers").rax as i64;
        match result {
            -4095..0 => Outcome::Failed(Errno::from_raw((-result) as i32)),
            value => Outcome::Value(value),
        }
    }

    /// Lets the process go on with its own call.
    pub fn resume(self) {
        ptrace::setregs(self.pid, self.registers).expect("write registers");
        ptrace::detach(self.pid, None).expect("continue the process");
    }
}

/// Waits until a traced process stops or ends. The end is left for the parent to see.
fn wait(pid: Pid) -> WaitStatus {
    let either = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
    match waitid(Id::Pid(pid), either).expect("wait for a traced process") {
        ended @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => ended,
        _ => waitpid(pid, None).expect("wait for a traced process"),
    }
}

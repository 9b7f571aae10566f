//! The system calls that an engine may make: one list, for bubblewrap as a BPF program and for systemd by name.
//!
//! Refuses whatever is not listed, with "operation not permitted": no debugger, no keyring, no BPF, no mount, no namespace,
//! no socket but a Unix one. Invariant: both ways of starting an engine take the list from here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Flags of clone(2) that make a namespace: time, mount, control group, host name, IPC, user, process, network.
const NAMESPACES: u64 =
    0x80 | 0x2_0000 | 0x200_0000 | 0x400_0000 | 0x800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000;

/// `AF_UNIX` of socket(2).
const UNIX: u64 = 1;

macro_rules! calls {
    ($($name:ident $number:ident),* $(,)?) => { &[$((stringify!($name), libc::$number)),*] };
}

/// What a threaded program needs that reads files, computes and listens at a Unix socket; `execve` starts the engine itself, whose
/// root holds nothing else worth starting. The C library's fallbacks are among them. Measured with llama-server of the lock file
/// (chat, grammar, embeddings), and widened by what Mesa's drivers use to reach an accelerator that was given.
const EVERYWHERE: &[(&str, libc::c_long)] = calls![
    accept SYS_accept, accept4 SYS_accept4, bind SYS_bind, brk SYS_brk, clock_getres SYS_clock_getres,
    clock_gettime SYS_clock_gettime, clock_nanosleep SYS_clock_nanosleep, clone SYS_clone, clone3 SYS_clone3,
    close SYS_close, connect SYS_connect, dup SYS_dup, dup3 SYS_dup3, epoll_create1 SYS_epoll_create1,
    epoll_ctl SYS_epoll_ctl, epoll_pwait SYS_epoll_pwait, eventfd2 SYS_eventfd2, execve SYS_execve, exit SYS_exit,
    exit_group SYS_exit_group, faccessat SYS_faccessat, faccessat2 SYS_faccessat2, fadvise64 SYS_fadvise64,
    fcntl SYS_fcntl, fdatasync SYS_fdatasync, fstat SYS_fstat, fstatfs SYS_fstatfs, fsync SYS_fsync,
    ftruncate SYS_ftruncate, futex SYS_futex, get_mempolicy SYS_get_mempolicy, get_robust_list SYS_get_robust_list,
    getcpu SYS_getcpu, getcwd SYS_getcwd, getdents64 SYS_getdents64, getegid SYS_getegid, geteuid SYS_geteuid,
    getgid SYS_getgid, getgroups SYS_getgroups, getpeername SYS_getpeername, getpid SYS_getpid, getppid SYS_getppid,
    getpriority SYS_getpriority, getrandom SYS_getrandom, getresgid SYS_getresgid, getresuid SYS_getresuid,
    getrlimit SYS_getrlimit, getrusage SYS_getrusage, getsockname SYS_getsockname, getsockopt SYS_getsockopt,
    gettid SYS_gettid, gettimeofday SYS_gettimeofday, getuid SYS_getuid, ioctl SYS_ioctl, kill SYS_kill,
    listen SYS_listen, lseek SYS_lseek, madvise SYS_madvise, membarrier SYS_membarrier, memfd_create SYS_memfd_create,
    mincore SYS_mincore, mlock SYS_mlock, mlock2 SYS_mlock2, mmap SYS_mmap, mprotect SYS_mprotect, mremap SYS_mremap,
    munlock SYS_munlock, munmap SYS_munmap, nanosleep SYS_nanosleep, newfstatat SYS_newfstatat, openat SYS_openat,
    pipe2 SYS_pipe2, ppoll SYS_ppoll, prctl SYS_prctl, pread64 SYS_pread64, preadv SYS_preadv,
    prlimit64 SYS_prlimit64, pselect6 SYS_pselect6, pwrite64 SYS_pwrite64, pwritev SYS_pwritev, read SYS_read,
    readahead SYS_readahead, readlinkat SYS_readlinkat, readv SYS_readv, recvfrom SYS_recvfrom, recvmsg SYS_recvmsg,
    restart_syscall SYS_restart_syscall, rseq SYS_rseq, rt_sigaction SYS_rt_sigaction,
    rt_sigpending SYS_rt_sigpending, rt_sigprocmask SYS_rt_sigprocmask, rt_sigreturn SYS_rt_sigreturn,
    rt_sigsuspend SYS_rt_sigsuspend, rt_sigtimedwait SYS_rt_sigtimedwait,
    sched_get_priority_max SYS_sched_get_priority_max, sched_get_priority_min SYS_sched_get_priority_min,
    sched_getaffinity SYS_sched_getaffinity, sched_getparam SYS_sched_getparam,
    sched_getscheduler SYS_sched_getscheduler, sched_setaffinity SYS_sched_setaffinity, sched_yield SYS_sched_yield,
    sendmsg SYS_sendmsg, sendto SYS_sendto, set_robust_list SYS_set_robust_list, set_tid_address SYS_set_tid_address,
    setsockopt SYS_setsockopt, shutdown SYS_shutdown, sigaltstack SYS_sigaltstack, socket SYS_socket,
    socketpair SYS_socketpair, statfs SYS_statfs, statx SYS_statx, sysinfo SYS_sysinfo, tgkill SYS_tgkill,
    timerfd_create SYS_timerfd_create, timerfd_gettime SYS_timerfd_gettime, timerfd_settime SYS_timerfd_settime,
    times SYS_times, umask SYS_umask, uname SYS_uname, wait4 SYS_wait4, waitid SYS_waitid, write SYS_write,
    writev SYS_writev,
];

/// The older names of the same, which only this architecture has.
#[cfg(target_arch = "x86_64")]
const OLDER: &[(&str, libc::c_long)] = calls![
    access SYS_access, arch_prctl SYS_arch_prctl, creat SYS_creat, dup2 SYS_dup2, epoll_create SYS_epoll_create,
    epoll_wait SYS_epoll_wait, eventfd SYS_eventfd, getpgrp SYS_getpgrp, lstat SYS_lstat, open SYS_open,
    pipe SYS_pipe, poll SYS_poll, readlink SYS_readlink, select SYS_select, stat SYS_stat, time SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[(&str, libc::c_long)] = &[];

/// The calls by name, as `SystemCallFilter=` takes them. systemd narrows two of them further, as [`Filters`] does:
/// `RestrictAddressFamilies=AF_UNIX` and `RestrictNamespaces=yes`.
pub fn names() -> Vec<String> {
    EVERYWHERE
        .iter()
        .chain(OLDER)
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

/// The calls as BPF programs in memory, for `bwrap --add-seccomp-fd`. They live as long as this value.
#[derive(Debug)]
pub struct Filters {
    listed: File,
    threads: File,
}

impl Filters {
    /// Makes both programs.
    ///
    /// # Errors
    /// Those of memory files; an architecture without a system-call table is `Unsupported`.
    pub fn make() -> io::Result<Self> {
        Ok(Self {
            listed: kept("engine-calls", &listed()?)?,
            threads: kept("engine-threads", &threads()?)?,
        })
    }

    /// Where a child process opens them.
    pub fn paths(&self) -> [String; 2] {
        let own = std::process::id();
        [&self.listed, &self.threads].map(|file| format!("/proc/{own}/fd/{}", file.as_raw_fd()))
    }
}

/// The list: sockets of one family only, threads and processes without namespaces only.
fn listed() -> io::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = EVERYWHERE
        .iter()
        .chain(OLDER)
        .map(|(_, number)| (*number, Vec::new()))
        .collect();
    let first = |operator, value| {
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, operator, value).map_err(unsupported)?;
        SeccompRule::new(vec![condition]).map_err(unsupported)
    };
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        rules.insert(call, vec![first(SeccompCmpOp::Eq, UNIX)?]);
    }
    rules.insert(libc::SYS_clone, vec![first(SeccompCmpOp::MaskedEq(NAMESPACES), 0)?]);
    program(rules, errno(libc::EPERM), SeccompAction::Allow)
}

/// clone3 takes its flags in memory, where a filter cannot see them: it is said not to exist, and the C library uses clone.
fn threads() -> io::Result<BpfProgram> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    program(rules, SeccompAction::Allow, errno(libc::ENOSYS))
}

fn errno(number: i32) -> SeccompAction {
    SeccompAction::Errno(number.unsigned_abs())
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> io::Result<BpfProgram> {
    let machine = std::env::consts::ARCH.try_into().map_err(unsupported)?;
    let filter = SeccompFilter::new(rules, otherwise, listed, machine).map_err(unsupported)?;
    filter.try_into().map_err(unsupported)
}

fn unsupported(error: seccompiler::BackendError) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, error.to_string())
}

/// The program as the kernel takes it: `struct sock_filter` after `struct sock_filter` (linux/filter.h).
fn kept(name: &str, program: &BpfProgram) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?);
    for line in program {
        let mut bytes = [0u8; 8];
        let (code, rest) = bytes.split_at_mut(2);
        code.copy_from_slice(&line.code.to_ne_bytes());
        let (jumps, value) = rest.split_at_mut(2);
        jumps.copy_from_slice(&[line.jt, line.jf]);
        value.copy_from_slice(&line.k.to_ne_bytes());
        file.write_all(&bytes)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_holds_nothing_that_reaches_outside() {
        for list in [EVERYWHERE, OLDER] {
            assert!(list.is_sorted_by_key(|(name, _)| name), "sorted by name");
        }
        let names = names();
        for forbidden in [
            "ptrace",
            "keyctl",
            "add_key",
            "request_key",
            "bpf",
            "mount",
            "umount2",
            "fsopen",
            "move_mount",
            "pivot_root",
            "chroot",
            "unshare",
            "setns",
            "perf_event_open",
            "io_uring_setup",
            "userfaultfd",
            "process_vm_readv",
            "process_vm_writev",
            "init_module",
            "finit_module",
            "kexec_load",
            "open_by_handle_at",
            "reboot",
            "swapon",
            "settimeofday",
            "clock_settime",
            "personality",
            "pidfd_getfd",
            "seccomp",
            "mknod",
            "mknodat",
            "setuid",
        ] {
            assert!(!names.iter().any(|name| name == forbidden), "{forbidden}");
        }
    }

    #[test]
    fn both_programs_have_whole_instructions() {
        let filters = Filters::make().unwrap();
        for path in filters.paths() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(
                !bytes.is_empty() && bytes.len() % 8 == 0 && bytes.len() / 8 <= 4096,
                "{path}: {}",
                bytes.len()
            );
        }
    }
}

//! The thread of one engine: starts its sandbox, watches it, ends it.
//!
//! Refuses to release the sandbox before its control groups are set. Invariant: it returns only when no process of the
//! engine is left (or the kernel would not end one within the limit).

use super::{Exit, ProcessState};
use crate::bounds::{Bounds, ControlGroups, MemoryBound};
use crate::calls::Filters;
use crate::journal::{self, LastWords};
use crate::launch::{LaunchSpec, UserNamespace};
use crate::tree;
use rustix::process::Signal;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// How often the engine is looked at: whether it is there, and how large it is.
const TICK: Duration = Duration::from_millis(100);

/// How long an engine may take to end by itself once it was told.
const GRACE: Duration = Duration::from_millis(700);

/// How long the kernel may take to end it after that; both together stay below two seconds.
const KILL: Duration = Duration::from_millis(1000);

/// How long what it wrote last may still be on its way after it ended.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Between looks while something is about to happen.
const SOON: Duration = Duration::from_millis(2);

/// How long bubblewrap may take to make its inner process.
const INNER: Duration = Duration::from_secs(5);

/// Makes control-group names unique within this process.
static COUNT: AtomicU64 = AtomicU64::new(0);

type Started = std::io::Result<(u32, Bounds)>;

pub(super) fn run(
    spec: &LaunchSpec,
    namespace: UserNamespace,
    last: &LastWords,
    started: &Sender<Started>,
    stopped: &Receiver<()>,
    state: &tokio::sync::watch::Sender<ProcessState>,
) {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let group = format!("freehold-{}-{number}-{}", std::process::id(), spec.name);
    let mut groups = ControlGroups::make(&group, spec.memory_bytes, spec.threads);
    let (mut child, log_ended) = match release(spec, namespace, last, &mut groups) {
        Ok(released) => released,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let bounds = groups.bounds();
    let _ = started.send(Ok((child.id(), bounds)));
    let exit = watch(spec, bounds, &groups, &mut child, stopped);
    drop(groups);
    // Its last words are wanted by whoever hears of its end.
    let _ = log_ended.recv_timeout(LAST_WORDS);
    tracing::info!(engine = spec.name, %exit, "engine ended");
    state.send_replace(ProcessState::Ended(exit));
}

/// Starts the sandbox, which waits; puts it into its control groups; lets it go on.
fn release(
    spec: &LaunchSpec,
    namespace: UserNamespace,
    last: &LastWords,
    groups: &mut ControlGroups,
) -> std::io::Result<(Child, Receiver<()>)> {
    let (reader, writer) = std::io::pipe()?;
    let filters = Filters::make()?;
    let mut command = spec.command(namespace, &filters.paths());
    command
        .stdin(Stdio::piped())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .env_clear();
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let mut child = command.spawn()?;
    drop(command); // holds the writing end, whose close ends the log
    let (log, words) = (spec.log.clone(), last.clone());
    let (log_ends, log_ended) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .name(format!("engine-log-{}", spec.name))
        .spawn(move || {
            journal::keep(reader, &log, &words);
            let _ = log_ends.send(());
        })?;
    let begun = Instant::now();
    while tree::children(child.id()).is_empty() && begun.elapsed() < INNER && child.try_wait()?.is_none() {
        std::thread::sleep(SOON);
    }
    for pid in std::iter::once(child.id()).chain(tree::descendants(child.id())) {
        groups.take(pid);
    }
    if let Some(mut gate) = child.stdin.take() {
        // A sandbox that failed already has no reader; its exit says so.
        let _ = gate.write_all(b"1");
    }
    Ok((child, log_ended))
}

fn watch(spec: &LaunchSpec, bounds: Bounds, groups: &ControlGroups, child: &mut Child, stopped: &Receiver<()>) -> Exit {
    loop {
        match stopped.recv_timeout(TICK) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                end(child);
                return Exit::Stopped;
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(_)) if groups.out_of_memory() => {
                return Exit::MemoryBound {
                    bound: spec.memory_bytes,
                };
            }
            Ok(Some(status)) => return exit_of(status),
            Err(_) => return Exit::Unknown,
        }
        if bounds.memory == MemoryBound::Watched {
            let resident = tree::descendants(child.id())
                .into_iter()
                .map(tree::resident_bytes)
                .fold(0, u64::saturating_add);
            if resident > spec.memory_bytes {
                kill(child);
                return Exit::MemoryBound {
                    bound: spec.memory_bytes,
                };
            }
        }
    }
}

/// bubblewrap answers 128 + n where its program was ended by signal n, as shells do.
fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) if code > 128 => Exit::Signal(code.saturating_sub(128)),
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}

/// Asks the engine itself to end (not the sandbox around it, which would leave it no time), then does not ask.
fn end(child: &mut Child) {
    let all = tree::descendants(child.id());
    let engine = all.get(1..).unwrap_or_default();
    tree::signal(engine, Signal::TERM);
    if !wait(child, &all, GRACE) {
        kill(child);
    }
}

/// Ends the sandbox's first inner process; with it the kernel ends every process in its namespace.
fn kill(child: &mut Child) {
    let all = tree::descendants(child.id());
    tree::signal(&all, Signal::KILL);
    if !wait(child, &all, KILL) {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn wait(child: &mut Child, all: &[u32], limit: Duration) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        let gone = !matches!(child.try_wait(), Ok(None));
        if gone && !all.iter().any(|pid| tree::alive(*pid)) {
            return true;
        }
        std::thread::sleep(SOON);
    }
    false
}

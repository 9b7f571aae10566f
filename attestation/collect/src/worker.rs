//! The thread that owns the connection.
//!
//! Refuses to queue behind a stuck command: while one is over its limit, callers are told so at once. Invariant: after any
//! fault the connection is made anew before the next command, not more often than the pause allows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::device::Device;
use crate::error::TpmError;
use crate::keys::Keys;
use crate::tpm::Limits;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// What the thread keeps: the address, the keys, and the connection while there is one.
pub(crate) struct Connection {
    address: String,
    keys: Option<Keys>,
    device: Option<Device>,
    limits: Limits,
    pause: Duration,
    last_fault: Option<(Instant, TpmError)>,
}

impl Connection {
    fn open(&mut self) -> Result<&mut Device, TpmError> {
        if self.device.is_none() {
            if let Some((at, fault)) = &self.last_fault
                && at.elapsed() < self.pause
            {
                return Err(fault.clone());
            }
            match Device::open(&self.address, self.keys.clone()) {
                Ok((device, keys)) => {
                    self.keys = Some(keys);
                    self.device = Some(device);
                    self.last_fault = None;
                    self.pause = self.limits.first_pause;
                }
                Err(fault) => {
                    self.pause = (self.pause * 2).min(self.limits.longest_pause);
                    self.last_fault = Some((Instant::now(), fault.clone()));
                    return Err(fault);
                }
            }
        }
        self.device.as_mut().ok_or_else(|| TpmError::Unavailable {
            address: self.address.clone(),
            detail: "closed".to_owned(),
        })
    }

    /// Runs `command`; when the connection turns out to be broken (a TPM that was restarted has forgotten our handles), once
    /// more over a new one.
    fn run<T>(&mut self, command: &dyn Fn(&mut Device) -> Result<T, TpmError>) -> Result<T, TpmError> {
        let fresh = self.device.is_none();
        match self.open().and_then(command) {
            Err(fault) if fault.breaks_connection() => {
                let had_device = self.device.take().is_some();
                if fresh || !had_device {
                    Err(fault)
                } else {
                    self.open().and_then(command)
                }
            }
            answer => answer,
        }
    }
}

/// A handle to the thread.
pub(crate) struct Worker {
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Option<JoinHandle<()>>,
    /// Set by a command that went over its limit, while it goes on.
    late: Mutex<Option<Arc<AtomicBool>>>,
    limits: Limits,
}

impl Worker {
    /// Starts the thread; nothing is opened before the first command.
    pub(crate) fn start(address: String, keys: Option<Keys>, limits: Limits) -> Result<Self, TpmError> {
        let (jobs, inbox) = channel::<Job>();
        let pause = limits.first_pause;
        let mut connection = Connection {
            address: address.clone(),
            keys,
            device: None,
            limits,
            pause,
            last_fault: None,
        };
        let thread = std::thread::Builder::new()
            .name("tpm".to_owned())
            .spawn(move || {
                while let Ok(job) = inbox.recv() {
                    job(&mut connection);
                }
            })
            .map_err(|error| TpmError::Unavailable {
                address,
                detail: error.to_string(),
            })?;
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            thread: Some(thread),
            late: Mutex::new(None),
            limits,
        })
    }

    /// Runs `command` on the thread and waits for its answer, at most as long as the limit.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        name: &'static str,
        command: impl Fn(&mut Device) -> Result<T, TpmError> + Send + 'static,
    ) -> Result<T, TpmError> {
        self.with(name, move |connection| connection.run(&command))
    }

    /// The keys, once the TPM was open.
    pub(crate) fn keys(&self) -> Result<Keys, TpmError> {
        self.with("open", |connection| {
            connection.open()?;
            connection.keys.clone().ok_or(TpmError::Lockout)
        })
    }

    fn with<T: Send + 'static>(
        &self,
        name: &'static str,
        job: impl FnOnce(&mut Connection) -> Result<T, TpmError> + Send + 'static,
    ) -> Result<T, TpmError> {
        let slow = || TpmError::Slow {
            command: name,
            limit_s: self.limits.command.as_secs(),
        };
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        if late.take_if(|done| done.load(Ordering::Acquire)).is_none() && late.is_some() {
            return Err(slow());
        }
        drop(late);
        let (answer, result) = channel();
        let done = Arc::new(AtomicBool::new(false));
        let finished = Arc::clone(&done);
        let work: Job = Box::new(move |connection| {
            let outcome = job(connection);
            finished.store(true, Ordering::Release);
            // The caller may have given up.
            let _ = answer.send(outcome);
        });
        let gone = || TpmError::Garbage {
            command: name,
            detail: "the TPM thread has ended".to_owned(),
        };
        match self.jobs.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(jobs) => jobs.send(work).map_err(|_| gone())?,
            None => return Err(gone()),
        }
        match result.recv_timeout(self.limits.command) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => {
                *self.late.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
                Err(slow())
            }
            Err(RecvTimeoutError::Disconnected) => Err(TpmError::Garbage {
                command: name,
                detail: "the TPM thread has ended".to_owned(),
            }),
        }
    }
}

impl Drop for Worker {
    /// Waits until the connection is closed: who opens the TPM next must not meet the end of this one, which flushes its
    /// handles. A thread that is stuck in a command is left behind.
    fn drop(&mut self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let stuck = self
            .late
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .is_some_and(|done| !done.load(Ordering::Acquire));
        if let Some(thread) = self.thread.take()
            && !stuck
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

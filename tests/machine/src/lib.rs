//! The operating system in a virtual machine: what must happen there, each case named by it.
//!
//! Refuses to stand in for anything: firmware, boot loader, kernel, TPM commands, console and programs are those that ship;
//! only the TPM's silicon and the processor are software. Invariant: each case has a process, a network namespace and a
//! machine of its own, and all of them end with it.

pub mod cases;
pub mod chip;
pub mod frames;
pub mod image;
pub mod interactive;
pub mod machine;
pub mod member;
pub mod person;
pub mod run;
pub mod screen;
pub mod site;

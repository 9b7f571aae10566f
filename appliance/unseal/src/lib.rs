//! Opening the sealed data volume of a box in its initrd, making it on the first boot, or saying why not.
//!
//! Refuses to loop, to guess, and to show a secret anywhere but on the console. The one invariant: a volume is open only when
//! the TPM, or a person with the recovery key in an image that is in order, opened it; and then its key was measured first.

mod arguments;
mod console;
mod find;
mod firmware;
mod luks;
mod make;
mod open;
mod outcome;
mod partition;
mod recover;
mod run;
mod stop;
mod watchdog;

pub use arguments::Arguments;
pub use stop::Stop;

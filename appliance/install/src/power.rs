//! Restarting the machine: a call to systemd over D-Bus.
//!
//! Refuses to cut the power by itself: systemd stops what runs first. Invariant: nothing is started to do this.

use std::time::Duration;

use crate::rejection::InstallRejection;

/// A systemd that says nothing for so long does not restart the machine.
const LIMIT: Duration = Duration::from_secs(10);

/// What can restart a machine.
pub trait Power {
    /// Restarts it.
    ///
    /// # Errors
    /// `install.restart`: it goes on running.
    fn restart(&self) -> Result<(), InstallRejection>;
}

/// systemd on a bus; `None` is the system's own.
#[derive(Debug, Clone)]
struct Systemd {
    bus: Option<String>,
}

/// systemd on the bus at `address` (D-Bus address, `unix:path=…`), or on the system's own.
#[must_use]
pub fn restart_through(address: Option<&str>) -> impl Power + use<> {
    Systemd {
        bus: address.map(str::to_owned),
    }
}

impl Power for Systemd {
    fn restart(&self) -> Result<(), InstallRejection> {
        let refused = |why: String| InstallRejection::Restart { why };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| refused(error.to_string()))?;
        match runtime.block_on(async { tokio::time::timeout(LIMIT, self.call()).await }) {
            Ok(called) => called.map_err(|error| refused(error.to_string())),
            Err(_) => Err(refused(format!("no answer within {} s", LIMIT.as_secs()))),
        }
    }
}

impl Systemd {
    async fn call(&self) -> zbus::Result<()> {
        let connection = match self.bus.as_deref() {
            Some(address) => zbus::connection::Builder::address(address).build().await?,
            None => zbus::Connection::system().await?,
        };
        // org.freedesktop.systemd1(5): `Manager.Reboot()` starts reboot.target.
        connection
            .call_method(
                Some("org.freedesktop.systemd1"),
                "/org/freedesktop/systemd1",
                Some("org.freedesktop.systemd1.Manager"),
                "Reboot",
                &(),
            )
            .await?;
        Ok(())
    }
}

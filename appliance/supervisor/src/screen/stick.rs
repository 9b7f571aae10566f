//! The stick in the machine: mounted for as long as somebody reads it, by systemd, read-only.
//!
//! Refuses to mount anything itself, and to leave it mounted. Invariant: a stick is never mounted except while this value lives
//! between [`Stick::mount`] and [`Stick::unmount`]; the mount's options (`ro,nosuid,nodev,noexec`) stand in the image's unit.

use std::path::{Path, PathBuf};

use freehold_engine::unit::Bus;

use super::ScreenRejection;

/// Where a stick appears, and who mounts it.
#[derive(Debug, Clone)]
pub(crate) struct Stick {
    folder: Option<PathBuf>,
    unit: Option<String>,
    bus: Option<String>,
}

impl Stick {
    pub(crate) fn new(folder: Option<&Path>, unit: Option<&str>, bus: Option<&str>) -> Self {
        Self {
            folder: folder.map(Path::to_owned),
            unit: unit.map(str::to_owned),
            bus: bus.map(str::to_owned),
        }
    }

    /// Mounts it and answers its folder.
    ///
    /// # Errors
    /// [`ScreenRejection::NoStick`].
    pub(crate) async fn mount(&self) -> Result<PathBuf, ScreenRejection> {
        let folder = self.folder.clone().ok_or(ScreenRejection::NoStick)?;
        if let Some(unit) = &self.unit {
            let mounted = async { Bus::connect(self.bus.as_deref()).await?.start_unit(unit).await };
            mounted.await.map_err(|fault| {
                tracing::warn!(code = fault.code(), %fault, "the stick was not mounted");
                ScreenRejection::NoStick
            })?;
        }
        Ok(folder)
    }

    /// Takes it out again; what cannot be unmounted is in the log, and the next mount says so.
    pub(crate) async fn unmount(&self) {
        let Some(unit) = &self.unit else { return };
        let unmounted = async { Bus::connect(self.bus.as_deref()).await?.stop_unit(unit).await };
        if let Err(fault) = unmounted.await {
            tracing::warn!(code = fault.code(), %fault, "the stick was not unmounted");
        }
    }
}

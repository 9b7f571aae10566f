//! Why systemd did not do what was asked.
//!
//! Refuses to guess from a message's text: each case comes from a D-Bus error name or a job's result. Invariant: every
//! variant has a stable code.

use std::time::Duration;

use thiserror::Error;

/// Why systemd did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnitFault {
    /// No bus, or nobody on it who is systemd.
    #[error("systemd cannot be reached over D-Bus ({reason})")]
    BusMissing {
        /// The reason.
        reason: String,
    },
    /// The connection broke while something was under way.
    #[error("the bus went away while systemd was asked to {what} ({reason})")]
    BusGone {
        /// What was asked.
        what: &'static str,
        /// The reason.
        reason: String,
    },
    /// No answer.
    #[error("systemd did not answer within {} ms when asked to {what}", limit.as_millis())]
    Silent {
        /// What was asked.
        what: &'static str,
        /// The time it was given.
        limit: Duration,
    },
    /// It said no.
    #[error("systemd refuses the unit `{unit}`: {name}: {message}")]
    Refused {
        /// The unit.
        unit: String,
        /// The D-Bus error's name.
        name: String,
        /// Its message.
        message: String,
    },
    /// A unit of that name is there and does not go away.
    #[error("a unit `{unit}` is there already and does not end")]
    Exists {
        /// The unit.
        unit: String,
    },
    /// A job on it did not end well.
    #[error("the job on the unit `{unit}` ended with `{job}`, the unit with `{result}`")]
    Failed {
        /// The unit.
        unit: String,
        /// The job's result.
        job: String,
        /// The unit's result.
        result: String,
    },
    /// An image without its root hash: the kernel could not hold it to anything.
    #[error("the engine's image `{image}` has no usable root hash beside it ({reason})")]
    NoRootHash {
        /// The image.
        image: String,
        /// What is wrong.
        reason: String,
    },
}

impl UnitFault {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "engine.bus_missing",
        "engine.bus_gone",
        "engine.unit_silent",
        "engine.unit_refused",
        "engine.unit_exists",
        "engine.unit_failed",
        "engine.root_hash",
    ];

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BusMissing { .. } => "engine.bus_missing",
            Self::BusGone { .. } => "engine.bus_gone",
            Self::Silent { .. } => "engine.unit_silent",
            Self::Refused { .. } => "engine.unit_refused",
            Self::Exists { .. } => "engine.unit_exists",
            Self::Failed { .. } => "engine.unit_failed",
            Self::NoRootHash { .. } => "engine.root_hash",
        }
    }

    /// What a D-Bus call's error means: a reply that says no, or a connection that is none.
    pub(crate) fn of(error: zbus::Error, what: &'static str, unit: &str) -> Self {
        let unit = unit.to_owned();
        match error {
            zbus::Error::MethodError(name, _, _) if name.as_str() == "org.freedesktop.systemd1.UnitExists" => {
                Self::Exists { unit }
            }
            zbus::Error::MethodError(name, message, _) => Self::Refused {
                unit,
                name: name.to_string(),
                message: message.unwrap_or_default(),
            },
            zbus::Error::FDO(error) => match *error {
                zbus::fdo::Error::NoReply(reason)
                | zbus::fdo::Error::Disconnected(reason)
                | zbus::fdo::Error::ServiceUnknown(reason)
                | zbus::fdo::Error::NameHasNoOwner(reason)
                | zbus::fdo::Error::IOError(reason) => Self::BusGone { what, reason },
                other => Self::Refused {
                    unit,
                    name: zbus::DBusError::name(&other).to_string(),
                    message: zbus::DBusError::description(&other).unwrap_or_default().to_owned(),
                },
            },
            other => Self::BusGone {
                what,
                reason: other.to_string(),
            },
        }
    }
}

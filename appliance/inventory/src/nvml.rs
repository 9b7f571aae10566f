//! What NVIDIA's management library says, when its library is on the machine.
//!
//! Refuses to require it: the library is opened at run time. It is asked for facts only; no setting is changed, and neither
//! UUID nor serial number is read. Invariant: without the library there is a reason instead.

use nvml_wrapper::Nvml as Library;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;

/// The library's answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Nvml {
    /// Its devices.
    pub devices: Vec<NvmlDevice>,
    /// Version of the driver.
    pub driver_version: Option<String>,
    /// Why there is no answer.
    pub absent: Option<String>,
}

/// One device as the library knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NvmlDevice {
    /// PCI address as the kernel writes it, `0000:41:00.0`.
    pub address: String,
    /// Its name.
    pub name: Option<String>,
    /// Its memory, bytes.
    pub memory_bytes: Option<u64>,
    /// Its memory in use, bytes.
    pub memory_used_bytes: Option<u64>,
    /// Power drawn, watts.
    pub power_watts: Option<u64>,
    /// Temperature, degrees Celsius.
    pub temperature_celsius: Option<u64>,
}

impl Nvml {
    /// For a folder that is not this machine's file system.
    #[must_use]
    pub fn not_asked() -> Self {
        Self {
            absent: Some("not asked, this is not the running machine's tree".to_owned()),
            ..Self::default()
        }
    }

    pub(crate) fn device(&self, address: &str) -> Option<&NvmlDevice> {
        self.devices.iter().find(|device| device.address == address)
    }

    pub(crate) fn driver_version(&self) -> Option<&str> {
        self.driver_version.as_deref()
    }

    pub(crate) fn reason(&self) -> &str {
        self.absent.as_deref().unwrap_or("the library does not say")
    }
}

pub(crate) fn ask() -> Nvml {
    let library = match Library::init() {
        Ok(library) => library,
        Err(error) => {
            return Nvml {
                absent: Some(error.to_string()),
                ..Nvml::default()
            };
        }
    };
    let devices = (0..library.device_count().unwrap_or(0))
        .filter_map(|index| {
            let device = library.device_by_index(index).ok()?;
            let memory = device.memory_info().ok();
            Some(NvmlDevice {
                address: address(&device.pci_info().ok()?.bus_id)?,
                name: device.name().ok(),
                memory_bytes: memory.as_ref().map(|memory| memory.total),
                memory_used_bytes: memory.as_ref().map(|memory| memory.used),
                // NVML API reference, nvmlDeviceGetPowerUsage: milliwatts.
                power_watts: device.power_usage().ok().map(|milliwatts| u64::from(milliwatts) / 1000),
                temperature_celsius: device.temperature(TemperatureSensor::Gpu).ok().map(u64::from),
            })
        })
        .collect();
    Nvml {
        devices,
        driver_version: library.sys_driver_version().ok(),
        absent: None,
    }
}

/// `00000000:41:00.0` (NVML, eight digits of domain) → `0000:41:00.0` (the kernel, four).
fn address(bus_id: &str) -> Option<String> {
    let (domain, rest) = bus_id.split_once(':')?;
    let domain = u32::from_str_radix(domain, 16).ok()?;
    Some(format!("{domain:04x}:{}", rest.to_ascii_lowercase()))
}

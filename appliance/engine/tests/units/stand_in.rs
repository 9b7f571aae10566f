//! A stand-in for systemd's manager on a private bus: it answers as `org.freedesktop.systemd1` does, and keeps what it was given.
//!
//! Refuses to judge: tests do. systemd itself runs in no development machine; the real one is asked in the image's tests.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use zbus::object_server::SignalEmitter;
use zbus::{Connection, OwnedObjectPath, OwnedVariant, Variant};

/// A bus of one's own.
pub struct PrivateBus {
    daemon: Child,
    pub address: String,
}

impl PrivateBus {
    pub fn start(folder: &Path) -> Self {
        let socket = folder.join("bus");
        let configuration = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\" \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\
             <busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>\
             <allow own=\"*\"/></policy></busconfig>",
            socket.display()
        );
        let file = folder.join("bus.conf");
        std::fs::write(&file, configuration).unwrap();
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", file.display()))
            .args(["--nofork", "--nopidfile", "--nosyslog", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed");
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        Self {
            daemon,
            address: address.trim().to_owned(),
        }
    }

    pub fn kill(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Drop for PrivateBus {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the stand-in does when it is asked to start a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Habit {
    /// Starts it.
    Start,
    /// Says no.
    Refuse,
    /// Takes the job, which fails.
    JobFails,
    /// Takes the job and never tells of its end.
    Silent,
    /// Starts units that do not end when they are told, only when they are killed.
    Stubborn,
    /// Has a unit of every name, which nothing ends.
    Immortal,
}

/// One unit.
#[derive(Debug)]
pub struct Kept {
    pub state: String,
    pub result: String,
    pub code: i32,
    pub status: i32,
    pub properties: BTreeMap<String, OwnedVariant>,
}

/// What the stand-in knows.
#[derive(Debug)]
pub struct World {
    pub habit: Habit,
    pub units: BTreeMap<String, Kept>,
    pub calls: Vec<String>,
    /// What reloading a unit runs; its exit decides how the job ends.
    pub reload: Vec<String>,
    /// What networkd answers when it is asked to read its files again, where it does not do so.
    pub links: Option<String>,
}

pub type Shared = Arc<Mutex<World>>;

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.systemd1")]
#[allow(clippy::enum_variant_names, reason = "systemd's own names")]
enum No {
    #[zbus(error)]
    ZBus(zbus::Error),
    UnitExists(String),
    NoSuchUnit(String),
    InvalidProperty(String),
}

struct Manager(Shared);

struct Links(Shared);

struct Unit(Shared, String);

struct Service(Shared, String);

fn path_of(unit: &str) -> OwnedObjectPath {
    let plain: String = unit
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    OwnedObjectPath::try_from(format!("/org/freedesktop/systemd1/unit/{plain}")).unwrap()
}

/// Changes a unit's state and tells whoever listens.
pub async fn turn(connection: &Connection, shared: &Shared, unit: &str, state: &str, end: (&str, i32, i32)) {
    if let Some(kept) = shared.lock().unwrap().units.get_mut(unit) {
        kept.state = state.to_owned();
        (kept.result, kept.code, kept.status) = (end.0.to_owned(), end.1, end.2);
    }
    let found = connection.object_server().interface::<_, Unit>(path_of(unit)).await;
    if let Ok(interface) = found {
        let _ = interface
            .get()
            .await
            .active_state_changed(interface.signal_emitter())
            .await;
    }
}

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn subscribe(&self) {}

    #[zbus(property)]
    fn version(&self) -> String {
        "257.9-1~deb13u1".to_owned()
    }

    async fn start_transient_unit(
        &self,
        name: String,
        mode: String,
        properties: Vec<(String, OwnedVariant)>,
        _aux: Vec<(String, Vec<(String, OwnedVariant)>)>,
        #[zbus(connection)] connection: &Connection,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<OwnedObjectPath, No> {
        assert_eq!(mode, "fail");
        let habit = {
            let mut world = self.0.lock().unwrap();
            world.calls.push(format!("start {name}"));
            if world.units.contains_key(&name) || world.habit == Habit::Immortal {
                return Err(No::UnitExists(name));
            }
            world.habit.clone()
        };
        if habit == Habit::Refuse {
            return Err(No::InvalidProperty("no such property".to_owned()));
        }
        let properties: BTreeMap<String, OwnedVariant> = properties.into_iter().collect();
        if let Some(Variant::Fd(fd)) = properties.get("StandardOutputFileDescriptor").map(|value| &**value) {
            let mut file = std::fs::File::from(std::os::fd::AsFd::as_fd(fd).try_clone_to_owned().unwrap());
            writeln!(file, "words of the engine").unwrap();
        }
        let failing = habit == Habit::JobFails;
        let kept = Kept {
            state: if failing { "failed" } else { "active" }.to_owned(),
            result: if failing { "exit-code" } else { "success" }.to_owned(),
            code: 0,
            status: 0,
            properties: properties
                .into_iter()
                .filter(|(name, _)| !name.ends_with("FileDescriptor"))
                .collect(),
        };
        self.0.lock().unwrap().units.insert(name.clone(), kept);
        let server = connection.object_server();
        let _ = server.at(path_of(&name), Unit(self.0.clone(), name.clone())).await;
        let _ = server.at(path_of(&name), Service(self.0.clone(), name.clone())).await;
        let job = OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/7").unwrap();
        if habit != Habit::Silent {
            let result = if failing { "failed" } else { "done" };
            Self::job_removed(&emitter, 7, job.clone(), name, result.to_owned()).await?;
        }
        Ok(job)
    }

    async fn stop_unit(
        &self,
        name: String,
        _mode: String,
        #[zbus(connection)] connection: &Connection,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<OwnedObjectPath, No> {
        let habit = {
            let mut world = self.0.lock().unwrap();
            world.calls.push(format!("stop {name}"));
            world.habit.clone()
        };
        if habit == Habit::Immortal {
            return Ok(OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/8").unwrap());
        }
        let job = OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/8").unwrap();
        if !name.starts_with("freehold-engine-") {
            Self::job_removed(&emitter, 8, job.clone(), name, "done".to_owned()).await?;
            return Ok(job);
        }
        self.known(&name)?;
        if habit != Habit::Stubborn {
            turn(connection, &self.0, &name, "inactive", ("success", 1, 0)).await;
        }
        Ok(job)
    }

    async fn kill_unit(
        &self,
        name: String,
        whom: String,
        signal: i32,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), No> {
        self.0
            .lock()
            .unwrap()
            .calls
            .push(format!("kill {name} {whom} {signal}"));
        turn(connection, &self.0, &name, "failed", ("signal", 2, 9)).await;
        Ok(())
    }

    async fn reload_unit(
        &self,
        name: String,
        mode: String,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<OwnedObjectPath, No> {
        assert_eq!(mode, "replace");
        let command = {
            let mut world = self.0.lock().unwrap();
            world.calls.push(format!("reload {name}"));
            world.reload.clone()
        };
        let well = match command.split_first() {
            Some((program, arguments)) => Command::new(program).args(arguments).status().unwrap().success(),
            None => self.0.lock().unwrap().habit != Habit::JobFails,
        };
        self.over(&emitter, name, well).await
    }

    async fn start_unit(
        &self,
        name: String,
        _mode: String,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<OwnedObjectPath, No> {
        let well = {
            let mut world = self.0.lock().unwrap();
            world.calls.push(format!("start {name}"));
            world.habit != Habit::JobFails
        };
        self.over(&emitter, name, well).await
    }

    fn power_off(&self) {
        self.0.lock().unwrap().calls.push("power off".to_owned());
    }

    fn reboot(&self) {
        self.0.lock().unwrap().calls.push("reboot".to_owned());
    }

    fn reset_failed_unit(&self, name: String) -> Result<(), No> {
        let mut world = self.0.lock().unwrap();
        world.calls.push(format!("reset {name}"));
        match world.units.get(&name).map(|kept| kept.state == "active") {
            None => return Err(No::NoSuchUnit(name)),
            // Nothing has failed.
            Some(true) => {}
            Some(false) => {
                world.units.remove(&name);
            }
        }
        Ok(())
    }

    fn unref_unit(&self, name: String) -> Result<(), No> {
        self.known(&name)
    }

    fn get_unit(&self, name: String) -> Result<OwnedObjectPath, No> {
        if self.0.lock().unwrap().habit == Habit::Immortal {
            return Ok(path_of("immortal"));
        }
        self.known(&name).map(|()| path_of(&name))
    }

    #[allow(clippy::type_complexity, reason = "systemd's own signature")]
    fn list_units_by_patterns(
        &self,
        _states: Vec<String>,
        patterns: Vec<String>,
    ) -> Vec<(
        String,
        String,
        String,
        String,
        String,
        String,
        OwnedObjectPath,
        u32,
        String,
        OwnedObjectPath,
    )> {
        assert_eq!(patterns, ["freehold-engine-*.service"]);
        let none = OwnedObjectPath::try_from("/").unwrap();
        let word = String::new;
        self.0
            .lock()
            .unwrap()
            .units
            .keys()
            .map(|name| {
                (
                    name.clone(),
                    word(),
                    word(),
                    word(),
                    word(),
                    word(),
                    path_of(name),
                    0,
                    word(),
                    none.clone(),
                )
            })
            .collect()
    }

    #[zbus(signal)]
    async fn job_removed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: OwnedObjectPath,
        unit: String,
        result: String,
    ) -> zbus::Result<()>;
}

impl Manager {
    /// Tells of a job's end, and answers the job.
    async fn over(&self, emitter: &SignalEmitter<'_>, unit: String, well: bool) -> Result<OwnedObjectPath, No> {
        let job = OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/9").unwrap();
        let result = if well { "done" } else { "failed" };
        Self::job_removed(emitter, 9, job.clone(), unit, result.to_owned()).await?;
        Ok(job)
    }

    fn known(&self, name: &str) -> Result<(), No> {
        let world = self.0.lock().unwrap();
        if world.units.contains_key(name) {
            Ok(())
        } else {
            Err(No::NoSuchUnit(name.to_owned()))
        }
    }
}

#[zbus::interface(name = "org.freedesktop.network1.Manager")]
impl Links {
    fn reload(&self) -> zbus::fdo::Result<()> {
        let mut world = self.0.lock().unwrap();
        world.calls.push("links".to_owned());
        world
            .links
            .clone()
            .map_or(Ok(()), |why| Err(zbus::fdo::Error::Failed(why)))
    }
}

#[zbus::interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn active_state(&self) -> String {
        let world = self.0.lock().unwrap();
        world.units.get(&self.1).map_or("active", |kept| &kept.state).to_owned()
    }
}

#[zbus::interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property, name = "MainPID")]
    fn main_pid(&self) -> u32 {
        4711
    }

    #[zbus(property)]
    fn result(&self) -> String {
        let world = self.0.lock().unwrap();
        world.units.get(&self.1).map_or("", |kept| &kept.result).to_owned()
    }

    #[zbus(property)]
    fn exec_main_code(&self) -> i32 {
        self.0.lock().unwrap().units.get(&self.1).map_or(0, |kept| kept.code)
    }

    #[zbus(property)]
    fn exec_main_status(&self) -> i32 {
        self.0.lock().unwrap().units.get(&self.1).map_or(0, |kept| kept.status)
    }
}

/// Puts the stand-in onto the bus.
pub async fn serve(address: &str, habit: Habit) -> (Connection, Shared) {
    let shared: Shared = Arc::new(Mutex::new(World {
        habit,
        units: BTreeMap::new(),
        calls: Vec::new(),
        reload: Vec::new(),
        links: None,
    }));
    let connection = zbus::connection::Builder::address(address)
        .serve_at("/org/freedesktop/systemd1", Manager(shared.clone()))
        .serve_at(path_of("immortal"), Unit(shared.clone(), "immortal".to_owned()))
        .serve_at("/org/freedesktop/network1", Links(shared.clone()))
        .name("org.freedesktop.systemd1")
        .name("org.freedesktop.network1")
        .build()
        .await
        .unwrap();
    (connection, shared)
}

//! The two verbs, from beginning to end.
//!
//! Refuses to go on after any doubt. Invariant: whatever happens, a person reads what it was and what to do next.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use freehold_seal::{AuthValue, SealingTpm};
use freehold_trust::{PublicKey, Sha256Digest};
use freehold_verify::sealing::{BootState, Contents, Floor, Level, PcrPolicies, SealRejection};
use zeroize::Zeroizing;

use crate::arguments::{self, Places};
use crate::console::Console;
use crate::luks::Luks;
use crate::outcome::{By, OWNER_FILE, Opened, finish};
use crate::stop::Stop;
use crate::watchdog::Watchdog;
use crate::{find, firmware, make, open, outcome, partition, recover};

/// PCRs that matter here.
const PCRS: [u8; 4] = [7, 11, 12, 13];

/// What there is to decide over.
pub struct Scene {
    pub device: PathBuf,
    pub tpm: SealingTpm,
    pub state: BootState,
    pub policies: PcrPolicies,
    pub key: PublicKey,
}

/// `open`.
pub fn open(places: Places) -> ExitCode {
    let _watchdog = Watchdog::start(Duration::from_secs(places.limit));
    let mut console = match Console::open(&places.console, Duration::from_secs(places.patience)) {
        Ok(console) => console,
        Err(stop) => {
            eprintln!("error: {}", stop.words());
            return stop.exit();
        }
    };
    match open_volume(&places, &mut console) {
        Ok(by) => {
            let how = match by {
                By::Tpm => "by the TPM",
                By::Recovery => "by the recovery key",
            };
            eprintln!("freehold: the data volume is open, {how}");
            ExitCode::SUCCESS
        }
        Err(stop) => {
            console.say(&format!("\nfreehold: the data volume stays closed\n{}\n", stop.words()));
            eprintln!("{}: {stop}", stop.code());
            outcome::closed(&places.runtime, &stop);
            stop.exit()
        }
    }
}

fn open_volume(places: &Places, console: &mut Console) -> Result<By, Stop> {
    let device = find::data_partition(places)?;
    let luks = Luks::new(&places.cryptsetup, &device);
    let found = partition::look(&device)?;
    if let Contents::Foreign(what) = found {
        return Err(SealRejection::Foreign(what).into());
    }
    let mut scene = scene(places, device)?;
    let uuid = match found {
        Contents::Volume { uuid } => uuid,
        _ => {
            make::make(places, console, &mut scene, &luks)?;
            scene.state.floor = scene.tpm.floor()?;
            match partition::look(&scene.device)? {
                Contents::Volume { uuid } => uuid,
                _ => return Err(SealRejection::Seal("it is not there after it was made".to_owned()).into()),
            }
        }
    };
    let header = luks.header()?;
    let sealed = header.sealed.as_ref().map_err(Clone::clone);
    let by_tpm = sealed
        .map_err(Stop::from)
        .and_then(|sealed| open::by_tpm(console, &mut scene, &luks, sealed));
    let escrow = header.recovery.as_ref().ok().and_then(|slot| slot.escrow.clone());
    let level = |scene: &Scene| {
        let policies = &scene.policies.policies;
        let current = policies.iter().find(|policy| policy.pcr11 == scene.state.pcr(11));
        current.map_or(Level::default(), |policy| policy.level)
    };
    match by_tpm {
        Ok(key) => {
            recover::tidy(&luks, &header)?;
            let opened = Opened {
                luks: &luks,
                uuid: &uuid,
                key: &key,
                by: By::Tpm,
                level: level(&scene),
                escrow: escrow.as_ref(),
            };
            finish(places, console, &mut scene.tpm, &opened)?;
            Ok(By::Tpm)
        }
        Err(Stop::Refused(refusal)) if refusal.recoverable() => {
            let typed = recover::ask(console, &scene, &luks, &header, &Stop::Refused(refusal))?;
            let mended = recover::mend(places, console, &mut scene, &luks, &uuid, &typed);
            if let Err(stop) = &mended {
                console.say(&format!(
                    "warning: the volume opens, but was not sealed anew: {}",
                    stop.words()
                ));
            }
            // After mending, the typed key is gone, and the new sealed one opens. Otherwise the typed one still does.
            let key = mended.map_or_else(
                |_| Zeroizing::new(typed.as_bytes().to_vec()),
                |key| Zeroizing::new(key.to_vec()),
            );
            let escrow = luks.header()?.recovery.ok().and_then(|slot| slot.escrow);
            let opened = Opened {
                luks: &luks,
                uuid: &uuid,
                key: &key,
                by: By::Recovery,
                level: level(&scene),
                escrow: escrow.as_ref(),
            };
            finish(places, console, &mut scene.tpm, &opened)?;
            Ok(By::Recovery)
        }
        Err(stop) => Err(stop),
    }
}

fn scene(places: &Places, device: PathBuf) -> Result<Scene, Stop> {
    let signature = |text: String| Stop::from(SealRejection::Signature(text));
    let policies =
        fs::read(&places.signature).map_err(|error| signature(format!("`{}`: {error}", places.signature.display())))?;
    let policies = PcrPolicies::parse(&policies)?;
    let key = fs::read_to_string(&places.public_key)
        .map_err(|error| signature(format!("`{}`: {error}", places.public_key.display())))?;
    let key = PublicKey::from_spki_pem(&key).map_err(|error| signature(error.to_string()))?;
    let mut tpm = SealingTpm::open(&places.tcti)?;
    let pcrs: BTreeMap<u8, Sha256Digest> = tpm.pcrs(&PCRS)?;
    let state = BootState {
        pcrs,
        floor: tpm.floor()?,
        secure_boot: firmware::secure_boot(&places.efivars),
    };
    Ok(Scene {
        device,
        tpm,
        state,
        policies,
        key,
    })
}

/// `raise-floor`.
pub fn raise_floor(floor: &arguments::Floor) -> ExitCode {
    match raise(floor) {
        Ok(Floor::At(now)) => {
            println!("the floor is {now}");
            ExitCode::SUCCESS
        }
        Ok(_) => {
            let stop = Stop::from(SealRejection::FloorIndex("missing or not this project's"));
            eprintln!("{}", stop.words());
            stop.exit()
        }
        Err(stop) => {
            eprintln!("{}", stop.words());
            stop.exit()
        }
    }
}

fn raise(floor: &arguments::Floor) -> Result<Floor, Stop> {
    let path = floor.runtime.join(OWNER_FILE);
    let text = Zeroizing::new(fs::read_to_string(&path).map_err(Stop::file(&path))?);
    let owner: Sha256Digest = text
        .trim()
        .parse()
        .map_err(|_| Stop::file(&path)(std::io::ErrorKind::InvalidData.into()))?;
    let level = Level::new(floor.level).unwrap_or_default();
    let mut tpm = SealingTpm::open(&floor.tcti)?;
    Ok(tpm.raise_floor(&AuthValue::from_digest(&owner), level)?)
}

//! Making the volume, on the first boot.
//!
//! Refuses without Secure Boot, on a TPM with an unknown owner, and on a partition that is not empty. Invariant: the label
//! that says "made" is written last, after the seal was opened once as a start would open it; cut off anywhere before, the
//! next start begins anew.

use std::process::{Command, Stdio};

use freehold_seal::{AuthValue, Opening, SealingTpm};
use freehold_trust::PublicKey;
use freehold_verify::sealing::volume::literal;
use freehold_verify::sealing::{
    Escrow, Floor, Level, PcrPolicy, Pin, RecoveryKey, RecoverySlot, SealRejection, SealedKey, policy_key_public,
    volume_policy,
};
use zeroize::Zeroizing;

use crate::arguments::Places;
use crate::console::{Console, Echo};
use crate::luks::Luks;
use crate::partition;
use crate::run::Scene;
use crate::stop::Stop;

/// Key slots of a new volume.
const SEALED_SLOT: u8 = 0;
const RECOVERY_SLOT: u8 = 1;
/// Shortest PIN. The TPM counts, so six digits are a million guesses at ten, then one in ten minutes.
const SHORTEST_PIN: usize = 6;
/// How often a person may mistype a new PIN or the block.
const TRIES: usize = 5;

/// Makes the volume, up to and including its label.
pub fn make(places: &Places, console: &mut Console, scene: &mut Scene, luks: &Luks) -> Result<(), Stop> {
    let policy = freehold_verify::sealing::may_make(&scene.state, &scene.policies, &scene.key)?.clone();
    if scene.tpm.state()?.owned {
        return Err(SealRejection::Owned.into());
    }
    let persons = persons(places)?;
    console.say("freehold: the data partition is empty; the volume is made now");
    let pin = if places.pin { new_pin(console)? } else { None };
    let device = scene.device.clone();
    scene.tpm.prepare(&AuthValue::empty(), Level::default())?;
    partition::mark(&device, true)?;
    let key = scene.tpm.random()?;
    luks.format(key.as_slice())?;
    partition::mark(&device, false)?;
    let uuid = luks.uuid()?;
    let sealed = seal(scene, SEALED_SLOT, key.as_slice(), pin.as_ref(), Level::default())?;
    luks.put_sealed(&sealed)?;
    let (recovery, escrow) = new_recovery(&mut scene.tpm, &uuid, &persons)?;
    luks.add(key.as_slice(), recovery.text().as_bytes(), RECOVERY_SLOT)?;
    luks.put_recovery(&RecoverySlot::new(RECOVERY_SLOT, escrow.clone()))?;
    if !places.no_mapping {
        file_system(places, luks, key.as_slice())?;
    }
    confirm(console, &uuid, &recovery, escrow.as_ref())?;
    prove(scene, luks, &sealed, &policy, pin.as_ref())?;
    luks.finish()?;
    console.say("freehold: the volume is made");
    Ok(())
}

/// Seals `key` to this boot: the image's key, PCR 7 as it is, and the PIN.
pub fn seal(
    scene: &mut Scene,
    slot: u8,
    key: &[u8],
    pin: Option<&AuthValue>,
    at_least: Level,
) -> Result<SealedKey, Stop> {
    let pcr7 = scene.state.pcr(7);
    let asked = if pin.is_some() { Pin::Asked } else { Pin::None };
    let name = policy_key_public(&scene.key)
        .and_then(|public| public.name())
        .ok_or_else(|| SealRejection::Signature("the image's key is no p-256 key".to_owned()))?;
    let policy = volume_policy(&name, &literal(pcr7), asked);
    let parts = scene.tpm.seal(key, &policy, pin)?;
    let floor = match scene.tpm.floor()? {
        Floor::At(floor) => floor.max(at_least),
        Floor::Missing | Floor::Foreign => at_least,
    };
    Ok(SealedKey::new(slot, parts, &scene.key, pcr7, asked, floor))
}

/// Opens the seal as the next start will, and tries what comes out.
pub fn prove(
    scene: &mut Scene,
    luks: &Luks,
    sealed: &SealedKey,
    policy: &PcrPolicy,
    pin: Option<&AuthValue>,
) -> Result<(), Stop> {
    let key = match scene.tpm.unseal(&Opening { sealed, policy, pin }) {
        Ok(key) => key,
        Err(fault) => {
            let state = scene.tpm.state()?;
            return Err(SealingTpm::refusal(&fault, &state).map_or(Stop::Tpm(fault), Stop::from));
        }
    };
    let slot = freehold_verify::sealing::volume::slot_of(&sealed.keyslots)?;
    if luks.opens(&key, Some(slot))? {
        Ok(())
    } else {
        Err(SealRejection::OtherVolume.into())
    }
}

/// The persons of the escrow, by the files that the image brings.
pub fn persons(places: &Places) -> Result<Vec<(String, PublicKey)>, Stop> {
    let mut persons = Vec::new();
    for path in &places.escrow_to {
        let text = std::fs::read_to_string(path).map_err(Stop::file(path))?;
        let key = PublicKey::from_spki_pem(&text)
            .map_err(|error| SealRejection::Escrow(format!("`{}`: {error}", path.display())))?;
        // `ada.pub.pem` is ada's.
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let name = file.split('.').next().unwrap_or_default().to_owned();
        persons.push((name, key));
    }
    Ok(persons)
}

/// A new recovery key, and its escrow when there are persons.
pub fn new_recovery(
    tpm: &mut SealingTpm,
    uuid: &str,
    persons: &[(String, PublicKey)],
) -> Result<(RecoveryKey, Option<Escrow>), Stop> {
    let mut half = || -> Result<[u8; 16], Stop> {
        let random = tpm.random()?;
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(random.iter()) {
            *to = *from;
        }
        Ok(bytes)
    };
    let key = RecoveryKey::from_random(half()?);
    if persons.is_empty() {
        return Ok((key, None));
    }
    let pairs = persons.len().saturating_mul(persons.len());
    let mut halves = (0..pairs).map(|_| half()).collect::<Result<Vec<_>, _>>()?;
    let escrow = Escrow::seal(uuid, &key, persons, || halves.pop().unwrap_or_default())?;
    Ok((key, Some(escrow)))
}

/// Shows the key once, and asks for one of its blocks.
pub fn confirm(console: &mut Console, uuid: &str, key: &RecoveryKey, escrow: Option<&Escrow>) -> Result<(), Stop> {
    let text = Zeroizing::new(key.text());
    console.say(&format!(
        "\nRecovery key of volume {uuid}. It is shown this once. Write it down, and keep it away from the box.\n\n    {}\n",
        text.as_str()
    ));
    if let Some(escrow) = escrow {
        let names: Vec<&str> = escrow.persons().iter().map(|person| person.name.as_str()).collect();
        console.say(&format!(
            "Any two of {} can read it out of the escrow.",
            names.join(", ")
        ));
    }
    // Which block is asked for follows from the volume, so that "the last one" is not what everybody types.
    let number = uuid
        .bytes()
        .fold(0_usize, |sum, byte| sum.wrapping_add(usize::from(byte)))
        % 8;
    let block = text.split('-').nth(number).unwrap_or_default();
    let question = format!("Type block {} to go on:", number.wrapping_add(1));
    for _ in 0..TRIES {
        match console.ask(&question, Echo::Shown) {
            Some(typed) if typed.eq_ignore_ascii_case(block) => return Ok(()),
            Some(_) => console.say("That is not the block."),
            None => break,
        }
    }
    if escrow.is_some() {
        console.say("Nobody confirmed it; the escrow has it.");
        return Ok(());
    }
    Err(SealRejection::Unconfirmed.into())
}

/// Asks for a new PIN, twice; none when nothing is typed.
pub fn new_pin(console: &mut Console) -> Result<Option<AuthValue>, Stop> {
    for _ in 0..TRIES {
        let Some(first) = console.ask(
            "Choose a boot PIN of six or more characters (nothing: no PIN):",
            Echo::Hidden,
        ) else {
            return Ok(None);
        };
        if first.chars().count() < SHORTEST_PIN {
            console.say("That is too short.");
            continue;
        }
        match console.ask("Once more:", Echo::Hidden) {
            Some(second) if *second == *first => return Ok(Some(AuthValue::of_pin(&first))),
            _ => console.say("These two differ."),
        }
    }
    Err(SealRejection::PinMissing.into())
}

/// The file system: ext4, with room for fs-verity digests.
fn file_system(places: &Places, luks: &Luks, key: &[u8]) -> Result<(), Stop> {
    let name = format!("{}-making", places.name);
    if !luks.map(key, &name)? {
        return Err(SealRejection::OtherVolume.into());
    }
    let made = Command::new(&places.mkfs)
        .args(["-q", "-O", "verity", "-L", "data", "-m", "1"])
        .arg(format!("/dev/mapper/{name}"))
        .stdin(Stdio::null())
        .output();
    let closed = luks.unmap(&name);
    let output = made.map_err(Stop::file(&places.mkfs))?;
    if !output.status.success() {
        return Err(Stop::Tool {
            program: places.mkfs.display().to_string(),
            verb: "-O verity".to_owned(),
            detail: String::from_utf8_lossy(&output.stderr).chars().take(300).collect(),
        });
    }
    closed
}

//! Opening the volume with the recovery key, and mending what made that necessary.
//!
//! Refuses where the image itself is not in order: there the key is not even asked for. Invariant: a new key slot and its
//! note stand before the old one goes, so that a power cut leaves at least one way in; and a key that was typed is replaced.

use freehold_seal::AuthValue;
use freehold_verify::sealing::volume::slot_of;
use freehold_verify::sealing::{Level, RecoveryKey, RecoverySlot, SealRejection, may_recover};
use zeroize::Zeroizing;

use crate::arguments::Places;
use crate::console::{Console, Echo};
use crate::luks::{Header, Luks};
use crate::make::{confirm, new_pin, new_recovery, persons, prove, seal};
use crate::outcome::Authorisations;
use crate::run::Scene;
use crate::stop::Stop;

/// How often the key may be mistyped in one start.
const TRIES: usize = 10;

/// Asks for the recovery key until it opens the volume.
pub fn ask(
    console: &mut Console,
    scene: &Scene,
    luks: &Luks,
    header: &Header,
    because: &Stop,
) -> Result<Zeroizing<String>, Stop> {
    may_recover(&scene.state, &scene.policies, &scene.key, header.sealed.as_ref().ok())?;
    console.say(&format!("\n{}\n", because.words()));
    let mut last = SealRejection::RecoveryMissing;
    for _ in 0..TRIES {
        let Some(typed) = console.ask("Recovery key, eight blocks of six letters:", Echo::Shown) else {
            break;
        };
        match RecoveryKey::parse(&typed) {
            Ok(key) => {
                let text = Zeroizing::new(key.text());
                if luks.opens(text.as_bytes(), None)? {
                    return Ok(text);
                }
                last = SealRejection::RecoveryWrong;
            }
            Err(refusal) => last = refusal,
        }
        console.say(&format!("{last}"));
    }
    Err(last.into())
}

/// Seals the volume to this TPM and boot, with a new key; then replaces the recovery key that was typed. The new sealed
/// key comes back.
pub fn mend(
    places: &Places,
    console: &mut Console,
    scene: &mut Scene,
    luks: &Luks,
    uuid: &str,
    typed: &str,
) -> Result<Zeroizing<[u8; 32]>, Stop> {
    let header = luks.header()?;
    let noted = header.sealed.as_ref().ok();
    let policy = may_recover(&scene.state, &scene.policies, &scene.key, noted)?.clone();
    let floor = noted.map_or(Level::default(), |sealed| sealed.floor);
    let had_pin = noted.is_some_and(|sealed| sealed.pin);
    let volume_key = luks.volume_key(typed.as_bytes())?;
    let owner = if scene.tpm.state()?.owned {
        Authorisations::of(&volume_key, uuid).owner()
    } else {
        AuthValue::empty()
    };
    scene.tpm.prepare(&owner, floor)?;
    let pin = if places.pin || had_pin { new_pin(console)? } else { None };

    let key = scene.tpm.random()?;
    let slot = header.free();
    luks.add(typed.as_bytes(), key.as_slice(), slot)?;
    let sealed = seal(scene, slot, key.as_slice(), pin.as_ref(), floor)?;
    prove(scene, luks, &sealed, &policy, pin.as_ref())?;
    luks.put_sealed(&sealed)?;
    if let Some(old) = noted {
        kill(luks, slot_of(&old.keyslots)?)?;
    }
    console.say("freehold: the volume is sealed to this machine as it is now");

    let header = luks.header()?;
    let (recovery, escrow) = new_recovery(&mut scene.tpm, uuid, &persons(places)?)?;
    let slot = header.free();
    luks.add(key.as_slice(), recovery.text().as_bytes(), slot)?;
    if let Err(stop) = confirm(console, uuid, &recovery, escrow.as_ref()) {
        // The old key is still good, and nobody has the new one.
        luks.kill(slot)?;
        return Err(stop);
    }
    luks.put_recovery(&RecoverySlot::new(slot, escrow))?;
    if let Ok(old) = header.recovery {
        kill(luks, slot_of(&old.keyslots)?)?;
    }
    console.say("freehold: the recovery key that was typed no longer opens the volume; the new one does");
    Ok(key)
}

/// Takes a slot away that may be gone already.
fn kill(luks: &Luks, slot: u8) -> Result<(), Stop> {
    if luks.header()?.slots.contains(&slot) {
        luks.kill(slot)?;
    }
    Ok(())
}

/// Takes away key slots that no note names: what a power cut left of an earlier mending.
pub fn tidy(luks: &Luks, header: &Header) -> Result<(), Stop> {
    let (Ok(sealed), Ok(recovery)) = (&header.sealed, &header.recovery) else {
        return Ok(());
    };
    let named = [slot_of(&sealed.keyslots)?, slot_of(&recovery.keyslots)?];
    for slot in header.slots.iter().filter(|slot| !named.contains(slot)) {
        luks.kill(*slot)?;
    }
    Ok(())
}

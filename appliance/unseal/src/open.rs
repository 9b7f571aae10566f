//! Opening the volume: by the TPM, with the PIN where one is asked for.
//!
//! Refuses what the TPM refuses. Invariant: the key that the TPM gives is tried on the very slot that the seal names before
//! anything else is done with it.

use freehold_seal::{AuthValue, Opening, SealingTpm};
use freehold_verify::sealing::volume::slot_of;
use freehold_verify::sealing::{PcrPolicy, Pin, SealRejection, SealedKey, may_open};
use zeroize::Zeroizing;

use crate::console::{Console, Echo};
use crate::luks::Luks;
use crate::run::Scene;
use crate::stop::Stop;

/// How often a PIN is asked for in one start.
const TRIES: usize = 3;

/// The key of the sealed slot.
pub fn by_tpm(
    console: &mut Console,
    scene: &mut Scene,
    luks: &Luks,
    sealed: &SealedKey,
) -> Result<Zeroizing<Vec<u8>>, Stop> {
    let policy = may_open(&scene.state, &scene.policies, sealed)?.clone();
    let key = match sealed.pin() {
        Pin::None => unseal(scene, sealed, &policy, None)?,
        Pin::Asked => with_pin(console, scene, sealed, &policy)?,
    };
    if luks.opens(&key, Some(slot_of(&sealed.keyslots)?))? {
        Ok(key)
    } else {
        Err(SealRejection::OtherVolume.into())
    }
}

fn with_pin(
    console: &mut Console,
    scene: &mut Scene,
    sealed: &SealedKey,
    policy: &PcrPolicy,
) -> Result<Zeroizing<Vec<u8>>, Stop> {
    let mut last = Stop::from(SealRejection::PinMissing);
    for _ in 0..TRIES {
        let state = scene.tpm.state()?;
        if state.locked {
            return Err(SealRejection::Lockout {
                recovery_s: state.recovery_s,
            }
            .into());
        }
        let Some(pin) = console.ask("Boot PIN (nothing: use the recovery key):", Echo::Hidden) else {
            return Err(last);
        };
        match unseal(scene, sealed, policy, Some(&AuthValue::of_pin(&pin))) {
            Err(Stop::Refused(refusal @ SealRejection::PinWrong { .. })) => {
                console.say(&format!("{refusal}"));
                last = refusal.into();
            }
            answer => return answer,
        }
    }
    Err(last)
}

fn unseal(
    scene: &mut Scene,
    sealed: &SealedKey,
    policy: &PcrPolicy,
    pin: Option<&AuthValue>,
) -> Result<Zeroizing<Vec<u8>>, Stop> {
    match scene.tpm.unseal(&Opening { sealed, policy, pin }) {
        Ok(key) => Ok(key),
        Err(fault) => {
            let state = scene.tpm.state()?;
            Err(SealingTpm::refusal(&fault, &state).map_or(Stop::Tpm(fault), Stop::from))
        }
    }
}

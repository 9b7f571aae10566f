//! Power cuts: the program is killed at each step of making a volume, and the next start goes on from there.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;

use freehold_verify::sealing::Contents;
use freehold_verify::sealing::contents;
use freehold_verify::sealing::volume::{HEAD, TAIL};

use crate::world::World;

/// When, in the life of one step, the power goes.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Before,
    After,
}

fn on_disk(world: &World) -> Contents {
    let bytes = fs::read(world.disk()).unwrap();
    contents(&bytes[..HEAD], &bytes[bytes.len() - TAIL..])
}

/// After a cut: what is there is no volume, or a whole one; and the next two starts open it.
fn converges(world: &mut World, what: &str) {
    let found = on_disk(world);
    assert!(!matches!(found, Contents::Foreign(_)), "{what} left {found:?}");
    world.plain_boot();
    let said = world.run_alone();
    assert_eq!(
        said.code,
        Some(0),
        "after {what} ({found:?}): {}{}",
        said.console,
        said.log
    );
    let made_now = said.console.contains("is made now");
    assert_eq!(made_now, !matches!(found, Contents::Volume { .. }), "{what}: {found:?}");
    let measured = world.measured();
    world.plain_boot();
    let said = world.run_alone();
    assert_eq!(
        said.code,
        Some(0),
        "second start after {what}: {}{}",
        said.console,
        said.log
    );
    assert_eq!(world.measured(), measured);
}

fn fresh(world: &mut World) {
    world.empty_disk();
    world.tool("tpm2_clear -c p");
    world.plain_boot();
}

// promise S-95
#[test]
fn a_power_cut_at_any_step_on_the_disk_leaves_no_half_volume() {
    let mut world = World::new();
    world.with_escrow();
    let (count, at, script) = (world.at("count"), world.at("kill-at"), world.at("cutting"));
    fs::write(
        &script,
        format!(
            "#!/bin/sh\nn=$(($(cat {count} 2>/dev/null || echo 0) + 1)); echo $n > {count}\nread when where < {at}\n\
             if [ \"$where\" = $n ] && [ $when = Before ]; then kill -9 $PPID; exit 9; fi\n\
             cryptsetup \"$@\"; code=$?\n\
             if [ \"$where\" = $n ] && [ $when = After ]; then kill -9 $PPID; fi\nexit $code\n",
            count = count.display(),
            at = at.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let real = world.cryptsetup.clone();
    let mut steps = 0;
    for step in 1.. {
        let mut ended = false;
        for cut in [Cut::Before, Cut::After] {
            fresh(&mut world);
            let _ = fs::remove_file(&count);
            fs::write(&at, format!("{cut:?} {step}\n")).unwrap();
            world.cryptsetup = script.clone();
            let said = world.run_alone();
            world.cryptsetup = real.clone();
            if said.code == Some(0) {
                ended = true;
                break;
            }
            assert_eq!(said.code, None, "killed: {}{}", said.console, said.log);
            converges(&mut world, &format!("a cut {cut:?} disk step {step}"));
            steps += 1;
        }
        if ended {
            break;
        }
    }
    assert!(steps >= 20, "only {steps} cuts were made");
}

/// Commands that change the TPM: CreatePrimary, EvictControl, NV_DefineSpace, NV_SetBits, Create, HierarchyChangeAuth,
/// DictionaryAttackParameters, PCR_Extend.
const CHANGING: [u32; 8] = [0x131, 0x120, 0x12a, 0x135, 0x153, 0x129, 0x13a, 0x182];

// promise S-95
#[test]
fn a_power_cut_at_any_step_in_the_tpm_leaves_no_half_volume() {
    let mut world = World::new();
    world.with_escrow();
    let mut steps = 0;
    for step in 1.. {
        let mut ended = false;
        for cut in [Cut::Before, Cut::After] {
            fresh(&mut world);
            let wire = Wire::cut(&world.swtpm.tcti(), step, cut);
            world.tcti = Some(wire.tcti.clone());
            let said = world.run_alone();
            world.tcti = None;
            if said.code == Some(0) {
                ended = true;
                break;
            }
            converges(&mut world, &format!("a cut {cut:?} TPM step {step}"));
            steps += 1;
        }
        if ended {
            break;
        }
    }
    assert!(steps >= 14, "only {steps} cuts were made");
}

/// A wire to the TPM that breaks at the given changing command: for the TPM and the disk, that is a power cut.
struct Wire {
    tcti: String,
}

impl Wire {
    fn cut(tcti: &str, step: usize, cut: Cut) -> Self {
        let port: u16 = tcti.rsplit('=').next().unwrap().parse().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let own = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut program, _) = listener.accept().unwrap();
            let mut tpm = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut buffer, mut changes) = ([0; 4096], 0);
            loop {
                let Ok(length @ 1..) = program.read(&mut buffer) else {
                    return;
                };
                let command = u32::from_be_bytes(buffer[6..10].try_into().unwrap());
                changes += usize::from(CHANGING.contains(&command));
                let now = changes == step && CHANGING.contains(&command);
                if now && matches!(cut, Cut::Before) {
                    return;
                }
                tpm.write_all(&buffer[..length]).unwrap();
                let mut answer = vec![0; 10];
                tpm.read_exact(&mut answer).unwrap();
                let size = u32::from_be_bytes(answer[2..6].try_into().unwrap()) as usize;
                answer.resize(size, 0);
                tpm.read_exact(&mut answer[10..]).unwrap();
                if now || program.write_all(&answer).is_err() {
                    return;
                }
            }
        });
        Self {
            tcti: format!("swtpm:host=127.0.0.1,port={own}"),
        }
    }
}

//! After the acts: the demonstration stays up until Ctrl-C, and carries out wishes of `freehold demo`.

use std::fs;
use std::time::Duration;

use crate::forward;
use crate::network::Network;
use crate::summary::Summary;
use crate::world::World;

/// Says what to try, then waits.
pub fn until_interrupted(world: &mut World, summary: &Summary) -> anyhow::Result<()> {
    let profile = world.path("operator/profile.json");
    println!("\n     It stays up. To try next, in another terminal:\n");
    println!("       {}", summary.console_url);
    println!(
        "         sign in as admin, password: {}",
        fs::read_to_string(world.folder.join("operator/password"))?.trim()
    );
    println!("         (the certificate is the demonstration's own: your browser will ask)");
    println!(
        "       sudo ip netns exec {} {} --profile {profile} ask box1 \"Who are you?\"",
        world.operator,
        world.program("freehold").display()
    );
    println!(
        "       {} demo tamper box2 --folder {}",
        world.program("freehold").display(),
        world.folder.display()
    );
    println!("\n     Ctrl-C ends everything that was started here.");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut look = tokio::time::interval(Duration::from_millis(500));
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        loop {
            tokio::select! {
                _ = &mut interrupted => return Ok(()),
                _ = look.tick() => carry_out(world)?,
            }
        }
    })
}

fn carry_out(world: &mut World) -> anyhow::Result<()> {
    for index in 0..world.boxes.len() {
        let wish = world
            .folder
            .join("wishes")
            .join(format!("tamper-{}", world.boxes[index].label));
        if wish.exists() {
            fs::remove_file(&wish)?;
            println!(
                "     {}: one byte of its boot log is changed; it restarts",
                world.boxes[index].label
            );
            world.tamper(index)?;
        }
    }
    Ok(())
}

/// Opens the door for the person's browser and returns its address.
pub fn open_door(world: &World) -> anyhow::Result<String> {
    let target = world.people_url().trim_start_matches("https://").to_owned();
    let port = forward::open(Network::handle(&world.console), target)?;
    Ok(format!("https://127.0.0.1:{port}/"))
}

//! The six acts, in order, and what happens after them.

mod ask;
mod attack;
mod check;
mod fleet;
mod island;
mod prove;
mod roll;
mod stay;

pub use fleet::SYSTEM;

use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::stage::Stage;
use crate::summary::Summary;
use crate::world::World;

/// Plays the acts; true when every step did what it says.
pub fn run(folder: &Path, once: bool) -> anyhow::Result<bool> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "the tour makes network namespaces and has to be root"
    );
    let mut stage = Stage::new();
    let mut summary = Summary::default();
    let mut world = World::new(folder)?;
    let played = play(&mut stage, &mut world, &mut summary);
    summary.seconds.total = stage.seconds();
    let file = world.folder.join("summary.json");
    std::fs::write(&file, serde_json::to_vec_pretty(&summary)?).context("writing summary.json")?;
    if let Err(error) = played {
        println!("\n     The tour ended early: {error:#}");
        println!("     Logs are in {}", world.folder.join("logs").display());
        return Ok(false);
    }
    println!(
        "\n     Six acts in {:.0} s. Summary: {}",
        stage.seconds(),
        file.display()
    );
    if !stage.failures().is_empty() {
        println!(
            "     These steps did not do what they say: {}",
            stage.failures().join("; ")
        );
        return Ok(false);
    }
    if !once {
        stay::until_interrupted(&mut world, &summary)?;
    }
    Ok(true)
}

fn play(stage: &mut Stage, world: &mut World, summary: &mut Summary) -> anyhow::Result<()> {
    fleet::play(stage, world, summary)?;
    summary.console_url = stay::open_door(world)?;
    prove::play(stage, world, summary)?;
    ask::play(stage, world, summary)?;
    island::play(stage, world, summary)?;
    attack::play(stage, world, summary)?;
    roll::play(stage, world, summary)?;
    check::play(stage, world, summary)
}

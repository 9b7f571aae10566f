//! A console that stops and starts: everything acknowledged is there, nothing is trusted anew, timestamps go on.

#[path = "support/world.rs"]
mod support;

use std::time::Duration;

use freehold_console::run::open;
use freehold_console::state::StateDir;
use freehold_protocol::status::VerdictWord;
use support::paper_tpm::PaperBox;
use support::{World, challenge, code, evidence, now, self_signed, show};

#[tokio::test]
async fn j03_after_a_restart_a_box_is_unknown_until_it_proves_itself_again() {
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let dialer = world.at_boxes(Some(self_signed(&paper.tls, Duration::from_secs(86_400))));
    let nonce = challenge(&dialer).await;
    assert_eq!(code(&show(&dialer, &evidence(&paper, nonce)).await), "200");
    // A second is the clock's grain: the start has to be after the verdict.
    let reached = now().unix_timestamp();
    while now().unix_timestamp() == reached {
        tokio::task::yield_now().await;
    }
    let open_nonce = challenge(&dialer).await;
    let World { folder, running, .. } = world;
    running.stop().await;
    let console = open(StateDir::new(&folder.path().join("state"))).await.unwrap();
    let fleet = console.fleet();
    let member = fleet.member("amber-fox-9d1e").unwrap();
    assert!(member.is_approved());
    assert_eq!(
        fleet.verdict_of(member, now().unix_timestamp()).word,
        VerdictWord::Unknown
    );
    assert!(fleet.wants_evidence(member, now().unix_timestamp()));
    assert!(
        member.challenge.is_none(),
        "the nonce {open_nonce:02x?} of before is worth nothing"
    );
    assert!(member.last_good.is_some(), "and what was proven then is not forgotten");
}

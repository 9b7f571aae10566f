//! Verify evidence, per core: beside the raw signature check of the same library, and beside `tpm2_checkquote` as a process.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use freehold_decide::{BundleData, EvidenceFacts, OsStanding, PolicySet, RecordStanding, Verdict};
use freehold_harness::Swtpm;
use freehold_trust::key::KeyKind;
use freehold_trust::signing::SigningKey;
use freehold_verify::boot::{BootDescription, generate};
use freehold_verify::evidence::verify_evidence;

use crate::paper_tpm::{NOW, PaperBox};
use crate::row::Row;
use crate::timing::{best_of, rate};

/// Slices of 0.2 s that a rate is the median of.
const SLICES: usize = 15;

/// Measures.
pub fn measure(scratch: &Path) -> anyhow::Result<Vec<Row>> {
    let key = SigningKey::generate(KeyKind::P256)?;
    let public = key.public();
    let message = [7_u8; 145];
    let signature = key.sign(&message);
    let raw = rate(SLICES, || assert!(public.verify_default(&message, &signature).is_ok()));

    // A boot of 100 events and more: firmware that measures many volumes.
    let mut boot = BootDescription::demonstration("freehold", "1.0.0");
    for volume in 0..60 {
        boot.volumes
            .push((format!("FV{volume}"), format!("volume {volume}").into_bytes()));
    }
    let (log, manifest) = generate(&boot);
    let events = freehold_verify::event_log::EventLog::parse(&log)?.events().len();
    let paper = PaperBox {
        log,
        manifests: vec![manifest],
        ..PaperBox::new("bench-box-0001")
    };
    let evidence = paper.evidence().encode();
    let claims = verify_evidence(&evidence, &paper.expectation(), NOW)?;
    let verified = rate(SLICES, || {
        assert!(verify_evidence(&evidence, &paper.expectation(), NOW).is_ok());
    });
    let policies = PolicySet::shipped(BundleData::default())?;
    let decided = rate(SLICES, || {
        let claims = verify_evidence(&evidence, &paper.expectation(), NOW).expect("verified before");
        let facts = EvidenceFacts {
            record: RecordStanding::Extends,
            os_release: OsStanding::Current,
            age_limit_seconds: 3600,
            ..EvidenceFacts::accepted(claims.get(), true)
        };
        let decision = policies.accept_evidence(&facts);
        assert!(
            matches!(decision.answer, Verdict::Trusted | Verdict::TrustedSimulated),
            "{decision:?}"
        );
    });
    drop(claims);

    let per = |what: f64| format!("{what:.0} a second");
    let peer = format!("raw P-256 verify: {}", per(raw));
    let mut rows = vec![
        Row::at_least(
            &format!("verify evidence, log of {events} events, one core"),
            per(verified),
            peer.clone(),
            verified / raw,
            0.5,
        ),
        Row::at_least(
            "the same with the Cedar decision",
            per(decided),
            peer,
            decided / raw,
            1.0 / 3.0,
        ),
    ];
    let process = 1.0 / checkquote(scratch)?;
    rows.push(Row::at_least(
        "verify evidence, beside a process",
        per(verified),
        format!("tpm2_checkquote: {}", per(process)),
        verified / process,
        50.0,
    ));
    Ok(rows)
}

/// Seconds of one `tpm2_checkquote` over a quote of a real software TPM.
fn checkquote(scratch: &Path) -> anyhow::Result<f64> {
    let folder = scratch.join("checkquote");
    fs::create_dir_all(&folder)?;
    let tpm = Swtpm::start(&folder)?;
    let run = |program: &str, arguments: &[&str]| -> anyhow::Result<()> {
        let output = Command::new(program)
            .args(arguments)
            .env("TPM2TOOLS_TCTI", tpm.tcti())
            .current_dir(&folder)
            .output()
            .with_context(|| format!("running {program}"))?;
        ensure!(
            output.status.success(),
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    };
    run("tpm2_createek", &["-c", "ek.ctx", "-G", "rsa", "-u", "ek.pub"])?;
    run("tpm2_flushcontext", &["-t"])?;
    run(
        "tpm2_createak",
        &[
            "-C", "ek.ctx", "-c", "ak.ctx", "-G", "ecc", "-g", "sha256", "-s", "ecdsa", "-u", "ak.pem", "-f", "pem",
        ],
    )?;
    // A bare TPM keeps what it loaded, and has room for three.
    run("tpm2_flushcontext", &["-t"])?;
    let nonce = "00112233445566778899aabbccddeeff";
    run(
        "tpm2_quote",
        &[
            "-c",
            "ak.ctx",
            "-l",
            "sha256:0,1,2,3,4,5,6,7",
            "-q",
            nonce,
            "-m",
            "q.msg",
            "-s",
            "q.sig",
            "-o",
            "q.pcr",
            "-g",
            "sha256",
        ],
    )?;
    let at = |name: &str| folder.join(name).display().to_string();
    best_of(
        20,
        Path::new("tpm2_checkquote"),
        &[
            "-u",
            &at("ak.pem"),
            "-m",
            &at("q.msg"),
            "-s",
            &at("q.sig"),
            "-f",
            &at("q.pcr"),
            "-g",
            "sha256",
            "-q",
            nonce,
        ],
    )
}

//! Hash and verify a model of 1 GiB, warm.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::row::Row;
use crate::timing::best_of;

fn fill(path: &Path, mebibytes: usize, seed: u8) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut file = fs::File::create(path)?;
    // Content does not matter to SHA-256's speed; it only must not be sparse.
    let block: Vec<u8> = (0..1 << 20)
        .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8 ^ seed)
        .collect();
    for _ in 0..mebibytes {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    Ok(())
}

/// One file of 1 GiB beside openssl; verification beside model-signing; two files beside one after the other.
pub fn measure(scratch: &Path, programs: &Path, python: Option<&Path>) -> anyhow::Result<Vec<Row>> {
    let freehold = programs.join("freehold");
    let one = scratch.join("one");
    let two = scratch.join("two");
    fs::create_dir_all(&one)?;
    fs::create_dir_all(&two)?;
    fill(&one.join("weights.bin"), 1024, 1)?;
    fill(&two.join("a.bin"), 1024, 2)?;
    fill(&two.join("b.bin"), 1024, 3)?;
    let text = |path: &Path| path.display().to_string();

    let ours = best_of(3, &freehold, &["model", "digest", &text(&one)])?;
    let openssl = best_of(
        3,
        Path::new("openssl"),
        &["dgst", "-sha256", &text(&one.join("weights.bin"))],
    )?;
    let mut rows = vec![Row::at_least(
        "hash a model of one file of 1 GiB, warm",
        format!("{:.2} GiB/s", 1.0 / ours),
        format!("openssl dgst -sha256: {:.2} GiB/s", 1.0 / openssl),
        openssl / ours,
        0.85,
    )];

    let both = best_of(3, &freehold, &["model", "digest", &text(&two)])?;
    rows.push(Row::at_least(
        "two files of 1 GiB on two cores",
        format!("{:.2} GiB/s", 2.0 / both),
        format!("one file: {:.2} GiB/s", 1.0 / ours),
        2.0 * ours / both,
        1.8,
    ));

    if let Some(python) = python {
        let key = scratch.join("key.pem");
        let public = scratch.join("key.pub");
        let signature = scratch.join("model.sig");
        let run = |program: &str, arguments: &[&str]| -> anyhow::Result<()> {
            let status = std::process::Command::new(program)
                .args(arguments)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .status()?;
            anyhow::ensure!(status.success(), "{program} {arguments:?} failed");
            Ok(())
        };
        run(
            "openssl",
            &[
                "ecparam",
                "-name",
                "prime256v1",
                "-genkey",
                "-noout",
                "-out",
                &text(&key),
            ],
        )?;
        let pkcs8 = scratch.join("key8.pem");
        run(
            "openssl",
            &["pkcs8", "-topk8", "-nocrypt", "-in", &text(&key), "-out", &text(&pkcs8)],
        )?;
        run(
            "openssl",
            &["ec", "-in", &text(&key), "-pubout", "-out", &text(&public)],
        )?;
        best_of(
            0,
            &freehold,
            &[
                "model",
                "sign",
                &text(&one),
                "--key",
                &text(&pkcs8),
                "--bundle",
                &text(&signature),
                "--no-bom",
            ],
        )
        .context("signing")?;
        let ours = best_of(
            3,
            &freehold,
            &[
                "model",
                "verify",
                &text(&one),
                "--bundle",
                &text(&signature),
                "--key",
                &text(&public),
            ],
        )?;
        let theirs = best_of(
            2,
            python,
            &[
                "-m",
                "model_signing",
                "verify",
                "key",
                &text(&one),
                "--signature",
                &text(&signature),
                "--public_key",
                &text(&public),
            ],
        )?;
        rows.push(Row::at_least(
            "verify a signed model of 1 GiB, warm",
            format!("{ours:.2} s ({:.2} GiB/s)", 1.0 / ours),
            format!("model-signing verify: {theirs:.2} s"),
            theirs / ours,
            1.0,
        ));
    }
    fs::remove_dir_all(&one)?;
    fs::remove_dir_all(&two)?;
    Ok(rows)
}

//! Hash and verify a model of 1 GiB, warm.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::row::Row;
use crate::timing::best_of;

/// Writes a GGUF file of one tensor with so many mebibytes of signed bytes: what the format gate takes for a model.
fn fill(path: &Path, mebibytes: u64, seed: u8) -> anyhow::Result<()> {
    use std::io::Write as _;
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    let mut header = b"GGUF".to_vec();
    header.extend(3_u32.to_le_bytes());
    header.extend(1_u64.to_le_bytes()); // tensors
    header.extend(1_u64.to_le_bytes()); // metadata
    text(&mut header, "general.architecture");
    header.extend(8_u32.to_le_bytes()); // a string
    text(&mut header, "llama");
    text(&mut header, "token_embd.weight");
    header.extend(1_u32.to_le_bytes()); // dimensions
    header.extend((mebibytes << 20).to_le_bytes());
    header.extend(24_u32.to_le_bytes()); // GGML_TYPE_I8
    header.extend(0_u64.to_le_bytes()); // offset
    header.resize(header.len().next_multiple_of(32), 0);
    let mut file = fs::File::create(path)?;
    file.write_all(&header)?;
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
    fill(&one.join("weights.gguf"), 1024, 1)?;
    fill(&two.join("a.gguf"), 1024, 2)?;
    fill(&two.join("b.gguf"), 1024, 3)?;
    let text = |path: &Path| path.display().to_string();

    let ours = best_of(3, &freehold, &["model", "digest", &text(&one)])?;
    let openssl = best_of(
        3,
        Path::new("openssl"),
        &["dgst", "-sha256", &text(&one.join("weights.gguf"))],
    )?;
    let mut rows = vec![Row::at_least(
        "hash a model of one file of 1 GiB, warm",
        format!("{:.2} GiB/s", 1.0 / ours),
        format!("openssl dgst -sha256: {:.2} GiB/s", 1.0 / openssl),
        openssl / ours,
        0.85,
    )];

    let both = best_of(3, &freehold, &["model", "digest", &text(&two)])?;
    // What the machine itself gives: two cores of a virtual machine may be two threads of one.
    let pair = format!(
        "openssl dgst -sha256 {} & openssl dgst -sha256 {} & wait",
        text(&two.join("a.gguf")),
        text(&two.join("b.gguf"))
    );
    let openssl_pair = best_of(3, Path::new("sh"), &["-c", &pair])?;
    rows.push(Row::at_least(
        "two files of 1 GiB on two cores",
        format!("{:.2} GiB/s", 2.0 / both),
        format!(
            "one file: {:.2} GiB/s; two openssl at once: {:.2} times one",
            1.0 / ours,
            2.0 * openssl / openssl_pair
        ),
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

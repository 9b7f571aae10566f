//! `freehold model new-key` and `new-certificate`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use freehold_sign::certificate::{Validity, signer_leaf, signer_root, to_pem};
use freehold_sign::files::{FileError, write_atomic, write_new_key};
use freehold_trust::key::KeyKind;
use freehold_trust::signing::SigningKey;
use serde_json::json;

use super::{now, unknown};
use crate::answer::Fault;
use crate::arguments::Setting;

const DAY: i64 = 24 * 60 * 60;

/// Make a root and a code-signing certificate.
#[derive(Debug, Args)]
pub struct NewCertificate {
    /// A folder for `root.pem`, `root-key.pem`, `signer.pem`, `signer-key.pem`.
    dir: PathBuf,
    /// The signer's name, e.g. `Radiology models`.
    #[arg(long)]
    name: String,
    /// Days that the signer's certificate is valid; the root ten times as long.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=3650))]
    days: i64,
}

fn fresh() -> Result<SigningKey, Fault> {
    SigningKey::generate(KeyKind::P256).map_err(|error| unknown(&error, ""))
}

impl NewCertificate {
    pub fn run(self, setting: &Setting) -> Result<(), Fault> {
        let write = |source| FileError::Write {
            path: self.dir.clone(),
            source,
        };
        fs::create_dir_all(&self.dir).map_err(write)?;
        let (root_key, key) = (fresh()?, fresh()?);
        // An hour back: clocks differ.
        let from = now().saturating_sub(3600);
        let until = |days: i64| Validity {
            from,
            until: from.saturating_add(days.saturating_mul(DAY)),
        };
        let built = signer_root(
            &format!("{} root", self.name),
            &root_key,
            until(self.days.saturating_mul(10)),
        );
        let root = built.map_err(|error| unknown(&error, ""))?;
        let leaf = signer_leaf(&root, &root_key, &self.name, &key, until(self.days));
        let leaf = leaf.map_err(|error| unknown(&error, ""))?;
        write_new_key(&self.dir.join("root-key.pem"), &root_key)?;
        write_new_key(&self.dir.join("signer-key.pem"), &key)?;
        write_atomic(&self.dir.join("root.pem"), to_pem(&root).as_bytes())?;
        write_atomic(&self.dir.join("signer.pem"), to_pem(&leaf).as_bytes())?;
        if setting.json {
            println!(
                "{}",
                json!({ "root": root.fingerprint(), "signer": leaf.public_key().fingerprint() })
            );
        } else {
            println!(
                "root   {}\nsigner {}",
                root.fingerprint(),
                leaf.public_key().fingerprint()
            );
            println!("keep root-key.pem away from everyday machines; verifiers need root.pem only");
        }
        Ok(())
    }
}

pub fn new_key(file: &Path, setting: &Setting) -> Result<(), Fault> {
    let key = fresh()?;
    write_new_key(file, &key)?;
    let (public, fingerprint) = (file.with_extension("pub.pem"), key.public().fingerprint());
    if setting.json {
        println!(
            "{}",
            json!({ "key": file, "public": public, "fingerprint": fingerprint })
        );
    } else {
        println!(
            "key         {} (keep it)\npublic      {}\nfingerprint {fingerprint}",
            file.display(),
            public.display()
        );
    }
    Ok(())
}

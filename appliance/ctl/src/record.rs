//! `freehold record`: show, prove, verify and export a record, the console's or a copied folder.
//!
//! Refuses to write a proof that it has not verified itself. Invariant: a folder is read as it lies, a console is asked over its
//! API; both give the same entries.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use freehold_record::tlog_proof::TLOG_PROOF_LIMIT;
use freehold_record::{EntryView, RecordRejected, SignedNote, TlogProof, VerifierKey};
use freehold_record_files::{RecordFault, RecordReader, verify_folder};
use http::Method;
use serde_json::{Value, json};

use crate::answer::{Fault, Refused, visible};
use crate::arguments::Setting;
use crate::console::{Console, list, show};
use crate::profile::Profile;
use crate::table;

mod export;

/// Entries that are asked for at once.
const PAGE: u64 = 1000;

/// Verbs about records.
#[derive(Debug, Subcommand)]
pub enum RecordVerb {
    /// Show entries, oldest first.
    Show(Show),
    /// Write the proof that an entry is in the record, and the entry beside it.
    Prove(Prove),
    /// Check a proof, or a record's whole folder.
    Verify(Verify),
    /// Write entries for other programs.
    Export(Export),
}

/// Whose record.
#[derive(Debug, Args)]
pub struct Source {
    /// A copied folder; without it, the console's own record.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    source: Source,
    /// Begin with this entry; without it, show the last ones.
    #[arg(long, value_name = "INDEX")]
    from: Option<u64>,
    /// How many.
    #[arg(long, default_value_t = 20)]
    last: u64,
    /// Only entries of this kind, for example `verdict.reached`.
    #[arg(long)]
    kind: Option<String>,
}

/// Arguments of `prove`.
#[derive(Debug, Args)]
pub struct Prove {
    #[command(flatten)]
    source: Source,
    /// Which entry.
    index: u64,
    /// Where to write the proof; the entry goes beside it, with `.entry` at its end.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The record's key, `name+hash+base64`; without it, the record's own word is taken for it.
    #[arg(long)]
    key: Option<VerifierKey>,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// A `.tlog-proof` file with its `.entry` beside it, or a record's folder.
    path: PathBuf,
    /// The record's key, `name+hash+base64`. A proof needs it; a folder is checked with its own key without it.
    #[arg(long)]
    key: Option<VerifierKey>,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    source: Source,
    /// Which form.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Begin with this entry.
    #[arg(long, default_value_t = 0, value_name = "INDEX")]
    from: u64,
    /// Where to write; without it, to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A form of export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// One entry a line, exactly as it is in the record: hashes can be computed from it.
    #[default]
    Jsonl,
    /// Comma-separated values (RFC 4180): index, when, who, what, about, code, and the rest as JSON.
    Csv,
    /// Syslog lines (RFC 5424) with structured data.
    Rfc5424,
}

/// Runs a verb.
pub async fn run(verb: RecordVerb, setting: &Setting) -> Result<(), Fault> {
    match verb {
        RecordVerb::Show(wish) => shown(&wish, setting).await,
        RecordVerb::Prove(wish) => prove(&wish, setting).await,
        RecordVerb::Verify(wish) => verify(&wish, setting),
        RecordVerb::Export(wish) => export_to(&wish, setting).await,
    }
}

/// A record that is read page by page.
enum Record {
    Folder(RecordReader, u64),
    Console(Box<Console>, u64),
}

impl Record {
    async fn open(source: &Source, setting: &Setting) -> Result<Self, Fault> {
        match &source.dir {
            Some(folder) => {
                let reader = RecordReader::open(folder);
                let size = reader.checkpoint()?.1.size;
                Ok(Self::Folder(reader, size))
            }
            None => {
                let console = Console::open(&Profile::load(&setting.profile)?)?;
                let answer = console
                    .call(Method::GET, "/api/v1/record/entries?limit=0", None)
                    .await?;
                Ok(Self::Console(Box::new(console), answer["size"].as_u64().unwrap_or(0)))
            }
        }
    }

    const fn size(&self) -> u64 {
        match self {
            Self::Folder(_, size) | Self::Console(_, size) => *size,
        }
    }

    /// Entries from `from`, at most a page of them, as their exact bytes.
    async fn page(&self, from: u64, until: u64) -> Result<Vec<Vec<u8>>, Fault> {
        let until = until.min(from.saturating_add(PAGE)).min(self.size());
        match self {
            Self::Folder(reader, size) => Ok(reader.entries(from, until, *size)?),
            Self::Console(console, _) => {
                let path = format!(
                    "/api/v1/record/entries?from={from}&limit={}",
                    until.saturating_sub(from)
                );
                let answer = console.call(Method::GET, &path, None).await?;
                // Entries are canonical: their names are sorted and numbers whole, so that encoding gives their bytes back.
                list(&answer, "entries")
                    .iter()
                    .map(|one| Ok(canonical(&one["entry"])?))
                    .collect()
            }
        }
    }
}

/// The canonical bytes of an entry that came as JSON.
fn canonical(entry: &Value) -> Result<Vec<u8>, RecordRejected> {
    let mut text = String::new();
    freehold_record::entry::write_canonical(&mut text, &freehold_record::Value::from(entry));
    EntryView::parse(text.as_bytes())?;
    Ok(text.into_bytes())
}

async fn shown(wish: &Show, setting: &Setting) -> Result<(), Fault> {
    let record = Record::open(&wish.source, setting).await?;
    let size = record.size();
    let from = wish.from.unwrap_or_else(|| size.saturating_sub(wish.last));
    let until = match wish.from {
        Some(from) => from.saturating_add(wish.last).min(size),
        None => size,
    };
    let (mut rows, mut all, mut at) = (Vec::new(), Vec::new(), from);
    while at < until {
        let page = record.page(at, until).await?;
        if page.is_empty() {
            break;
        }
        for bytes in page {
            if let Ok(view) = EntryView::parse(&bytes)
                && wish.kind.as_ref().is_none_or(|kind| *kind == view.what)
            {
                all.push(json!({"index": at, "entry": serde_json::from_slice::<Value>(&bytes)?}));
                rows.push(vec![
                    at.to_string(),
                    view.at.clone(),
                    view.who.clone(),
                    view.what.clone(),
                    view.text("about").unwrap_or_default().to_owned(),
                    view.refusal.map(|refusal| refusal.code).unwrap_or_default(),
                ]);
            }
            at = at.saturating_add(1);
        }
    }
    show(setting, &json!({"size": size, "entries": all}), |_| {
        table::print(&["INDEX", "WHEN", "WHO", "WHAT", "ABOUT", "REFUSED"], &rows);
    });
    Ok(())
}

/// Where the entry lies beside its proof.
fn entry_path(proof: &Path) -> PathBuf {
    let mut name = proof.as_os_str().to_owned();
    name.push(".entry");
    PathBuf::from(name)
}

async fn prove(wish: &Prove, setting: &Setting) -> Result<(), Fault> {
    let (entry, proof, own) = match &wish.source.dir {
        Some(folder) => {
            let reader = RecordReader::open(folder);
            let (note, checkpoint) = reader.checkpoint()?;
            let proof = TlogProof {
                extra: None,
                index: wish.index,
                path: reader.inclusion(wish.index, checkpoint.size)?,
                checkpoint: SignedNote::parse(&note)?,
            };
            let entry = reader
                .entries(wish.index, wish.index.saturating_add(1), checkpoint.size)?
                .pop()
                .unwrap_or_default();
            (entry, proof, own_key(folder)?)
        }
        None => {
            let console = Console::open(&Profile::load(&setting.profile)?)?;
            let path = format!("/api/v1/record/proof/{}", wish.index);
            let answer = console.call(Method::GET, &path, None).await?;
            let plain = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
            let proof = TlogProof::parse(plain("proof").as_bytes())?;
            (plain("entry").into_bytes(), proof, VerifierKey::parse(&plain("key"))?)
        }
    };
    let key = wish.key.as_ref().unwrap_or(&own);
    let checkpoint = proof.verify(&entry, key.name(), key)?;
    std::fs::write(&wish.out, proof.to_string())?;
    std::fs::write(entry_path(&wish.out), &entry)?;
    let said = json!({
        "index": proof.index, "size": checkpoint.size, "root": checkpoint.root.to_hex(), "key": key.to_string(),
        "proof": wish.out, "entry": entry_path(&wish.out),
    });
    show(setting, &said, |_| {
        println!(
            "entry {} is in {}: proven in {} and {}",
            proof.index,
            visible(&checkpoint.origin),
            wish.out.display(),
            entry_path(&wish.out).display()
        );
        println!(
            "check it anywhere: freehold-inspect proof {} --entry {} --key '{key}'",
            wish.out.display(),
            entry_path(&wish.out).display()
        );
    });
    Ok(())
}

fn own_key(folder: &Path) -> Result<VerifierKey, Fault> {
    let text = std::fs::read_to_string(folder.join("verifier"))
        .map_err(|error| Fault::could_not_tell(format!("the record's key: {error}"), "give it with --key"))?;
    Ok(VerifierKey::parse(text.trim())?)
}

fn verify(wish: &Verify, setting: &Setting) -> Result<(), Fault> {
    if wish.path.is_dir() {
        let report = verify_folder(&wish.path, wish.key.as_ref())?;
        if let Some(finding) = report.findings.first() {
            return Err(refused(finding.code, &finding.message));
        }
        let said = json!({"size": report.entries, "root": report.root.to_hex(), "origin": report.origin});
        show(setting, &said, |_| {
            println!("whole: {} entries of {}", report.entries, visible(&report.origin));
            println!("  root {}", report.root);
        });
        return Ok(());
    }
    let key = wish.key.as_ref().ok_or_else(|| {
        Fault::could_not_tell(
            "a proof is checked with the record's key",
            "give it with --key; the console shows it on its record page",
        )
    })?;
    let size = std::fs::metadata(&wish.path)?.len();
    if size > u64::try_from(TLOG_PROOF_LIMIT).unwrap_or(u64::MAX) {
        return Err(refused(
            "record.tlog_proof_malformed",
            "not a tlog-proof: it is too long",
        ));
    }
    let proof = TlogProof::parse(&std::fs::read(&wish.path)?)?;
    let entry = std::fs::read(entry_path(&wish.path))?;
    let checkpoint = proof.verify(&entry, key.name(), key)?;
    let said = json!({"index": proof.index, "size": checkpoint.size, "root": checkpoint.root.to_hex()});
    show(setting, &said, |_| {
        println!("entry {} is in {}", proof.index, visible(&checkpoint.origin));
        println!("  {}", visible(&String::from_utf8_lossy(&entry)));
    });
    Ok(())
}

async fn export_to(wish: &Export, setting: &Setting) -> Result<(), Fault> {
    let record = Record::open(&wish.source, setting).await?;
    let mut out: Box<dyn std::io::Write> = match &wish.out {
        Some(path) => Box::new(std::io::BufWriter::new(std::fs::File::create(path)?)),
        None => Box::new(std::io::stdout().lock()),
    };
    out.write_all(export::head(wish.format).as_bytes())?;
    let (mut at, size) = (wish.from, record.size());
    while at < size {
        let page = record.page(at, size).await?;
        if page.is_empty() {
            break;
        }
        for bytes in page {
            out.write_all(&export::line(wish.format, at, &bytes))?;
            at = at.saturating_add(1);
        }
    }
    out.flush()?;
    Ok(())
}

fn refused(code: &str, message: &str) -> Fault {
    Fault::Refused(Refused {
        code: code.to_owned(),
        message: message.to_owned(),
        ..Refused::default()
    })
}

impl From<RecordRejected> for Fault {
    fn from(rejected: RecordRejected) -> Self {
        refused(rejected.code(), &rejected.to_string())
    }
}

impl From<RecordFault> for Fault {
    fn from(fault: RecordFault) -> Self {
        match fault {
            RecordFault::Rejected(rejected) => rejected.into(),
            other => Self::could_not_tell(other.to_string(), "is the folder a record, and may you read it?"),
        }
    }
}

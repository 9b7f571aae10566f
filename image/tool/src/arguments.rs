//! What was typed, what it resolves to, and the one call that does it.
//!
//! Refuses to hold any policy: defaults are paths, never hosts. Invariant: every command can be run again without harm.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use freehold_image::{cache::Cache, fetch, lock::Lock, manifest::Manifest, mirror, solver, unpack};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

/// Locks, fetches and unpacks the packages that Freehold's images and engines are made of.
#[derive(Debug, Parser)]
#[command(name = "freehold-image", version)]
pub struct Arguments {
    /// The folder with `inputs.lock` and `packages/`.
    #[arg(long, global = true, default_value = "image")]
    image: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Resolve a set's manifest with apt's own solver and write the lock.
    Lock {
        /// The set: `packages/SET.txt`.
        #[arg(long, default_value = "engine-llama-cpu")]
        set: String,
    },
    /// Bring the locked packages of a set into the cache, checking size and SHA-256.
    Fetch {
        #[command(flatten)]
        source: Source,
    },
    /// Unpack a set from the cache into a root folder; does nothing when the root already is that set.
    Unpack {
        /// The set to unpack.
        #[arg(long, default_value = "engine-llama-cpu")]
        set: String,
        /// Where the packages are.
        #[arg(long, env = "FREEHOLD_PACKAGE_CACHE", default_value = "target/cache/packages")]
        cache: PathBuf,
        /// The folder to make.
        #[arg(long)]
        root: PathBuf,
    },
    /// Fetch what is missing, then unpack: what `make engine` calls.
    Engine {
        #[command(flatten)]
        source: Source,
        /// The folder to make.
        #[arg(long, default_value = "target/engine/llama-cpu")]
        root: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Source {
    /// The set to bring.
    #[arg(long, default_value = "engine-llama-cpu")]
    set: String,
    /// Where packages are kept; a package that lies here with the right digest is not asked for again.
    #[arg(long, env = "FREEHOLD_PACKAGE_CACHE", default_value = "target/cache/packages")]
    cache: PathBuf,
    /// A dated archive to ask when the machine's own mirror no longer has a package: `BASE/<date>/pool/…`. Nothing by default.
    #[arg(long, env = "FREEHOLD_SNAPSHOT_BASE")]
    snapshot: Option<String>,
}

/// An error with its exit code and what to do about it.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub error: anyhow::Error,
    /// What to try.
    pub hint: Option<String>,
    /// 1 refused, 2 could not.
    pub code: u8,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            error,
            hint: None,
            code: 2,
        }
    }
}

impl Arguments {
    /// Runs the command and answers with the one line that says what was done.
    pub fn run(self) -> Result<String, Failure> {
        let lock_path = self.image.join("inputs.lock");
        match self.command {
            Command::Lock { set } => {
                let path = self.image.join("packages").join(format!("{set}.txt"));
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read the manifest `{}`", path.display()))?;
                let manifest = Manifest::parse(&text).with_context(|| format!("in `{}`", path.display()))?;
                let bases = mirror::configured_bases().context("cannot read this machine's apt configuration")?;
                let resolved = solver::resolve(&manifest, &set, &bases).context("apt could not resolve the set")?;
                let mut lock = if lock_path.exists() {
                    read_lock(&lock_path)?
                } else {
                    Lock::empty()
                };
                let count = resolved.packages.len();
                lock.replace_set(&set, resolved);
                write_atomically(&lock_path, lock.to_text().as_bytes()).context("cannot write the lock")?;
                Ok(format!("{set}: {count} packages locked in {}", lock_path.display()))
            }
            Command::Fetch { source } => fetch_set(&lock_path, &source),
            Command::Unpack { set, cache, root } => unpack_set(&lock_path, &set, &cache, &root),
            Command::Engine { source, root } => {
                let lock = read_lock(&lock_path)?;
                if let Some(done) = already(&lock, &source.set, &root) {
                    return Ok(done);
                }
                let fetched = fetch_set(&lock_path, &source)?;
                println!("{fetched}");
                unpack_set(&lock_path, &source.set, &source.cache, &root)
            }
        }
    }
}

fn read_lock(path: &Path) -> Result<Lock, Failure> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read the lock `{}`", path.display()))?;
    Ok(Lock::parse(&bytes).with_context(|| format!("in `{}`", path.display()))?)
}

fn already(lock: &Lock, set: &str, root: &Path) -> Option<String> {
    let digest = lock.set_digest(set).ok()?;
    (unpack::unpacked_digest(root)? == digest).then(|| format!("{set}: already in {}", root.display()))
}

fn fetch_set(lock_path: &Path, source: &Source) -> Result<String, Failure> {
    let lock = read_lock(lock_path)?;
    let wanted = lock.packages_of(&source.set).context("nothing to fetch")?;
    let cache = Cache::open(&source.cache).context("cannot use the package cache")?;
    let total: u64 = wanted.iter().map(|package| package.size).sum();
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:32}] {bytes}/{total_bytes}, {eta} left")
        .map(|s| s.progress_chars("=> "))
    {
        bar.set_style(style);
    }
    bar.set_message(source.set.clone());
    let outcome = fetch::fetch(&lock, &wanted, &cache, source.snapshot.as_deref(), &|bytes| {
        bar.set_position(bytes)
    });
    bar.finish_and_clear();
    match outcome {
        Ok(brought) => Ok(format!(
            "{}: {} packages, {:.1} MB ({} were there, {} fetched)",
            source.set,
            wanted.len(),
            total as f64 / 1e6,
            brought.already,
            brought.fetched
        )),
        Err(error) => {
            let hint = error.hint(&source.set);
            let code = error.exit_code();
            Err(Failure {
                error: error.into(),
                hint,
                code,
            })
        }
    }
}

fn unpack_set(lock_path: &Path, set: &str, cache: &Path, root: &Path) -> Result<String, Failure> {
    let lock = read_lock(lock_path)?;
    if let Some(done) = already(&lock, set, root) {
        return Ok(done);
    }
    let cache = Cache::open(cache).context("cannot use the package cache")?;
    match unpack::unpack(&lock, set, &cache, root) {
        Ok(digest) => Ok(format!("{set}: unpacked into {} (set digest {digest})", root.display())),
        Err(error) => {
            let code = error.exit_code();
            Err(Failure {
                error: error.into(),
                hint: Some("run `freehold-image fetch` first".to_owned()),
                code,
            })
        }
    }
}

fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("lock.new");
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, path)
}

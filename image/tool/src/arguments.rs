//! What was typed, what it resolves to, and the one call that does it.
//!
//! Refuses to hold any policy: defaults are paths, never hosts. Invariant: every command can be run again without harm.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use freehold_image::inputs::{self, Inputs, InputsError};
use freehold_image::{cache::Cache, fetch, lock::Lock, manifest::Manifest, mirror, seed, sign, solver, unpack};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

/// What files are dated that are written here; the same as in image/nix/build.nix.
const EPOCH: &str = "1763683200";

/// Locks, fetches, signs and unpacks the packages that Freehold's images and engines are made of.
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
    /// Resolve manifests with apt's own solver and write the lock.
    Lock {
        /// The set: `packages/SET.txt`. May be given several times.
        #[arg(long = "set", required = true)]
        sets: Vec<String>,
    },
    /// Bring everything that the image is built from and put it into the Nix store by hash.
    Inputs {
        #[command(flatten)]
        place: Place,
        /// A dated archive, as for `fetch`.
        #[arg(long, env = "FREEHOLD_SNAPSHOT_BASE")]
        snapshot: Option<String>,
    },
    /// Sign an unsigned image outside of Nix and write its disk and manifest. Makes development keys where there are none.
    Sign {
        /// The flake's output `image`.
        #[arg(long)]
        unsigned: PathBuf,
        /// The folder of keys; outside the repository and the Nix store.
        #[arg(long, env = "FREEHOLD_IMAGE_KEYS")]
        keys: PathBuf,
        /// The folder that is written.
        #[arg(long, default_value = "target/image")]
        to: PathBuf,
        /// The image's level: boxes whose floor is above it never open their data with it.
        #[arg(long, default_value_t = 1)]
        level: u8,
        /// The floor that boxes are to take over once both slots hold an image at or above it: older ones never run again.
        #[arg(long, default_value_t = 0)]
        floor: u8,
        /// Size of the disk.
        #[arg(long, default_value = "4G")]
        size: String,
    },
    /// Copy every input into a folder, for a machine without a network.
    Export {
        /// The folder.
        folder: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Take what `export` wrote into the cache.
    Import {
        /// The folder.
        folder: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Hash every input that is here against the locks.
    Verify {
        #[command(flatten)]
        place: Place,
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

/// Where inputs lie.
#[derive(Debug, clap::Args)]
struct Place {
    /// Where packages are kept, and crates in `crates/` below it when cargo's own cache does not have them.
    #[arg(long, env = "FREEHOLD_PACKAGE_CACHE", default_value = "target/cache/packages")]
    cache: PathBuf,
    /// The folder with `Cargo.lock`.
    #[arg(long, default_value = ".")]
    workspace: PathBuf,
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
            Command::Lock { sets } => sets
                .iter()
                .map(|set| lock_set(&self.image, &lock_path, set))
                .collect::<Result<Vec<_>, _>>()
                .map(|lines| lines.join("\n")),
            Command::Inputs { place, snapshot } => bring_inputs(&lock_path, &place, snapshot.as_deref()),
            Command::Sign {
                unsigned,
                keys,
                to,
                level,
                floor,
                size,
            } => {
                std::fs::create_dir_all(&to).context("cannot make the folder")?;
                let written = sign::sign(&sign::Request {
                    image: &unsigned,
                    keys: &keys,
                    to: &to,
                    level,
                    floor,
                    size: &size,
                    epoch: EPOCH,
                })
                .context("the image was not signed")?;
                let development = if written.made_keys {
                    "; development keys were made"
                } else {
                    ""
                };
                Ok(format!(
                    "{}: signed, kernel image {:.1} MB{development}",
                    written.disk.display(),
                    written.kernel_image as f64 / 1e6
                ))
            }
            Command::Export { folder, place } => {
                let (_, found) = found_inputs(&lock_path, &place)?;
                found.export(&folder)?;
                let (packages, crates) = found.count();
                Ok(format!(
                    "{packages} packages and {crates} crates in {}",
                    folder.display()
                ))
            }
            Command::Import { folder, place } => {
                let cache = Cache::open(&place.cache).context("cannot use the package cache")?;
                let count = inputs::import(&folder, &cache)?;
                Ok(format!("{count} files taken into {}", cache.folder().display()))
            }
            Command::Verify { place } => {
                let (packages, crates) = found_inputs(&lock_path, &place)?.1.count();
                Ok(format!(
                    "{packages} packages and {crates} crates have their locked digests"
                ))
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

impl From<InputsError> for Failure {
    fn from(error: InputsError) -> Self {
        let code = error.exit_code();
        Self {
            error: error.into(),
            hint: None,
            code,
        }
    }
}

fn lock_set(image: &Path, lock_path: &Path, set: &str) -> Result<String, Failure> {
    let path = image.join("packages").join(format!("{set}.txt"));
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("cannot read the manifest `{}`", path.display()))?;
    let manifest = Manifest::parse(&text).with_context(|| format!("in `{}`", path.display()))?;
    let bases = mirror::configured_bases().context("cannot read this machine's apt configuration")?;
    let resolved = solver::resolve(&manifest, set, &bases).context("apt could not resolve the set")?;
    let mut lock = if lock_path.exists() {
        read_lock(lock_path)?
    } else {
        Lock::empty()
    };
    let count = resolved.packages.len();
    lock.replace_set(set, resolved);
    if set == seed::SET {
        // The seed's digest is over the unpacked program, so the package is needed now.
        let below = tempfile::tempdir().context("no temporary folder")?;
        let cache = Cache::open(below.path()).context("cannot use a temporary cache")?;
        let wanted = lock.packages_of(set).context("nothing to fetch")?;
        fetch::fetch(&lock, &wanted, &cache, None, &|_| ()).context("cannot fetch the seed")?;
        let package = wanted.first().map(|package| cache.path_of(package)).unwrap_or_default();
        let (_, digest) = seed::unpack(&package, below.path()).context("cannot unpack the seed")?;
        lock.set_seed(digest);
    }
    write_atomically(lock_path, lock.to_text().as_bytes()).context("cannot write the lock")?;
    Ok(format!("{set}: {count} packages locked in {}", lock_path.display()))
}

fn found_inputs(lock_path: &Path, place: &Place) -> Result<(Lock, Inputs), Failure> {
    let lock = read_lock(lock_path)?;
    let cache = Cache::open(&place.cache).context("cannot use the package cache")?;
    let found = Inputs::found(&lock, &place.workspace, &cache)?;
    Ok((lock, found))
}

fn bring_inputs(lock_path: &Path, place: &Place, snapshot: Option<&str>) -> Result<String, Failure> {
    let lock = read_lock(lock_path)?;
    for set in lock.sets() {
        let source = Source {
            set: set.to_owned(),
            cache: place.cache.clone(),
            snapshot: snapshot.map(str::to_owned),
        };
        println!("{}", fetch_set(lock_path, &source)?);
    }
    let (lock, found) = found_inputs(lock_path, place)?;
    let (packages, crates) = found.count();
    let bar = ProgressBar::new(packages.saturating_add(crates) as u64);
    bar.set_message("Nix store");
    found.store(&lock, &|done| bar.set_position(done))?;
    bar.finish_and_clear();
    Ok(format!("{packages} packages and {crates} crates are in the Nix store"))
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

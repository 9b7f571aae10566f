//! Making a fleet: identifier, keys, database, record, the first administrator.
//!
//! Refuses a folder that holds a console already. Invariant: whether software TPMs are accepted is written here and nowhere
//! else; `console.json` is written last, so that half a fleet is none.

use std::path::{Path, PathBuf};

use freehold_channel::FleetAuthority;
use freehold_fleet::{Rules, TpmKind};
use freehold_store::{AccountChange, AccountRow, Change, Store};
use freehold_trust::certificate::Certificate;
use freehold_trust::{KeyKind, SigningKey};
use time::OffsetDateTime;

use crate::book::Book;
use crate::people::password;
use crate::random;
use crate::repository::import;
use crate::state::{ConsoleFile, EkRoot, LAYOUT, StateDir, write_new_secret};

/// What a fleet is made from.
#[derive(Debug)]
pub struct Wish {
    /// The state folder.
    pub state: PathBuf,
    /// The fleet's name.
    pub name: String,
    /// The site.
    pub site: String,
    /// Whether software TPMs are accepted.
    pub accept_simulated: bool,
    /// Files of EK roots (PEM, one or more certificates each), and what they stand for.
    pub ek_roots: Vec<(PathBuf, TpmKind)>,
    /// The publisher's first root metadata.
    pub tuf_root: Option<PathBuf>,
    /// Name of the first account.
    pub administrator: String,
    /// Where to write the one-time password instead of printing it.
    pub password_file: Option<PathBuf>,
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// The fleet's identifier.
    pub fleet: String,
    /// The one-time password, unless it was written to a file.
    pub password: Option<String>,
    /// SHA-256 of the fleet CA's certificate, hex.
    pub fleet_ca: String,
    /// SHA-256 of the director's key, hex.
    pub director: String,
}

/// A site's or fleet's name: short, printable, for paths and pages alike.
pub(crate) fn check_name(what: &str, name: &str) -> anyhow::Result<()> {
    // `*` stands for every site.
    let fits = !name.is_empty() && name != "*" && name.len() <= 64 && !name.chars().any(char::is_control);
    anyhow::ensure!(
        fits,
        "the {what} `{}` has 1 to 64 printable characters, and is not `*`",
        name.escape_debug()
    );
    Ok(())
}

fn read_roots(files: &[(PathBuf, TpmKind)]) -> anyhow::Result<Vec<EkRoot>> {
    use anyhow::Context as _;
    let mut roots = Vec::new();
    for (file, kind) in files {
        let text = std::fs::read_to_string(file).with_context(|| format!("`{}`", file.display()))?;
        let found =
            Certificate::all_from_pem(&text).map_err(|error| anyhow::anyhow!("`{}`: {error}", file.display()))?;
        anyhow::ensure!(!found.is_empty(), "`{}` holds no certificate", file.display());
        // Kept one by one, so that each is named on the settings page.
        for block in text
            .split_inclusive("-----END CERTIFICATE-----")
            .filter(|block| block.contains("BEGIN CERTIFICATE"))
        {
            let start = block.find("-----BEGIN CERTIFICATE-----").unwrap_or(0);
            let pem = block.get(start..).unwrap_or_default().to_owned();
            roots.push(EkRoot {
                pem: format!("{pem}\n"),
                kind: *kind,
            });
        }
    }
    Ok(roots)
}

/// Makes the fleet.
///
/// # Errors
/// When the folder is taken or anything cannot be written.
pub async fn init(wish: &Wish) -> anyhow::Result<Made> {
    use anyhow::Context as _;
    check_name("fleet's name", &wish.name)?;
    check_name("site", &wish.site)?;
    let ek_roots = read_roots(&wish.ek_roots)?;
    let dir = StateDir::new(&wish.state);
    dir.create()?;
    let now = OffsetDateTime::now_utc();
    let fleet = random::hex::<8>()?;

    let authority = FleetAuthority::generate(&wish.name, now)?;
    dir.write_secret("keys/fleet-ca.pem", authority.key_pem().as_bytes())?;
    write_public(&dir, "fleet-ca.pem", authority.certificate_pem().as_bytes())?;
    let mut director = String::new();
    for (name, kind) in [
        ("director", KeyKind::P256),
        ("timestamp", KeyKind::P256),
        ("record", KeyKind::Ed25519),
    ] {
        let key = SigningKey::generate(kind)?;
        dir.write_secret(&format!("keys/{name}.pem"), key.to_pkcs8_pem()?.as_bytes())?;
        write_public(&dir, &format!("{name}.pem"), key.public().to_spki_pem().as_bytes())?;
        if name == "director" {
            director = key.public().fingerprint().to_hex();
        }
    }
    if let Some(root) = &wish.tuf_root {
        import::pin(&dir, root).with_context(|| format!("`{}`", root.display()))?;
    }

    let file = ConsoleFile {
        v: LAYOUT,
        fleet: fleet.clone(),
        name: wish.name.clone(),
        site: wish.site.clone(),
        made_at: now.unix_timestamp(),
        rules: Rules {
            accept_simulated: wish.accept_simulated,
            ..Rules::default()
        },
        ek_roots,
    };
    let password = random::password()?;
    let store = Store::open(&dir.path("console.db"), &file.site).await?;
    let row = AccountRow {
        site: file.site.clone(),
        name: wish.administrator.clone(),
        role: "administrator".to_owned(),
        password: password::hash(&password)?,
        must_change: true,
        made_at: file.made_at,
        changed_at: file.made_at,
        sites: "*".to_owned(),
        kind: "person".to_owned(),
        ..AccountRow::default()
    };
    // The record is opened here first, so that the fleet's beginning is its first entry.
    let book = open_book(&dir, &fleet)?;
    let entry = freehold_fleet::Entry::new("fleet.made", file.made_at, &file.site, "console")
        .about(&fleet)
        .fact("name", file.name.clone())
        .fact("simulated_allowed", file.rules.accept_simulated)
        .fact("administrator", wish.administrator.clone());
    store
        .commit(&[Change::Account(&AccountChange::Made(row))], book.append(vec![entry]))
        .await?;
    store.close().await;
    dir.replace("console.json", &serde_json::to_vec_pretty(&file)?)?;
    let shown = match &wish.password_file {
        Some(path) => {
            write_new_secret(path, format!("{password}\n").as_bytes())?;
            None
        }
        None => Some(password),
    };
    Ok(Made {
        fleet,
        password: shown,
        fleet_ca: authority.fingerprint().to_hex(),
        director,
    })
}

/// Opens the record with its key, read once for the log and once for cosignatures.
///
/// # Errors
/// When key or folder cannot be used.
pub fn open_book(dir: &StateDir, fleet: &str) -> anyhow::Result<Book> {
    let keys = (dir.keys()?.record, dir.keys()?.record);
    Ok(Book::open(&dir.path("record"), fleet, keys)?)
}

fn write_public(dir: &StateDir, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    use anyhow::Context as _;
    use std::os::unix::fs::PermissionsExt as _;
    let path: &Path = &dir.path("public").join(name);
    std::fs::write(path, bytes).with_context(|| format!("`{}`", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
        .with_context(|| format!("`{}`", path.display()))
}

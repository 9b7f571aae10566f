//! A real TPM 2.0: swtpm, driven by tpm2-tools, and by hand for the one command that they cannot give a challenge to.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use freehold_harness::Swtpm;
use freehold_trust::certificate::Certificate;
use freehold_verify::tpm::reader::sized_contents;

/// Handles at which the keys of this world are kept.
pub const EK_RSA: &str = "0x81010001";
pub const EK_P384: &str = "0x81010016";
pub const AK: &str = "0x81010020";
pub const TLS: &str = "0x81010021";

/// A software TPM with an EK (two, in fact), an AK and a TLS key.
pub struct RealTpm {
    pub dir: tempfile::TempDir,
    pub swtpm: Swtpm,
}

impl RealTpm {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let swtpm = Swtpm::start(dir.path()).unwrap();
        let tpm = Self { dir, swtpm };
        tpm.tool(
            "tpm2_createak",
            &[
                "-C", EK_RSA, "-c", "ak.ctx", "-G", "ecc", "-g", "sha256", "-s", "ecdsa", "-u", "ak.pub",
            ],
        );
        tpm.tool("tpm2_evictcontrol", &["-C", "o", "-c", "ak.ctx", AK]);
        let attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign";
        tpm.tool(
            "tpm2_createprimary",
            &[
                "-C",
                "o",
                "-G",
                "ecc256:ecdsa-sha256:null",
                "-a",
                attributes,
                "-c",
                "tls.ctx",
            ],
        );
        tpm.tool("tpm2_evictcontrol", &["-C", "o", "-c", "tls.ctx", TLS]);
        tpm
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Runs a tool and frees what it left in the TPM.
    pub fn tool(&self, program: &str, args: &[&str]) {
        assert!(self.try_tool(program, args), "{program} {args:?}");
    }

    pub fn try_tool(&self, program: &str, args: &[&str]) -> bool {
        let run = |program: &str, args: &[&str]| {
            let mut command = Command::new(program);
            command
                .args(args)
                .env("TPM2TOOLS_TCTI", self.swtpm.tcti())
                .current_dir(self.dir.path())
                .output()
                .unwrap()
        };
        let made = run(program, args);
        if !made.status.success() {
            println!("{program}: {}", String::from_utf8_lossy(&made.stderr));
        }
        run("tpm2_flushcontext", &["-t"]);
        made.status.success()
    }

    /// TPMT_PUBLIC of a persistent key.
    pub fn public(&self, handle: &str) -> Vec<u8> {
        self.tool("tpm2_readpublic", &["-c", handle, "-o", "public.out", "-Q"]);
        sized_contents(&self.read("public.out")).unwrap().to_vec()
    }

    /// The EK certificate in the TPM's NV memory: RSA at 0x01c00002, P-384 at 0x01c00016.
    pub fn ek_certificate(&self, index: &str) -> Vec<u8> {
        self.tool("tpm2_nvread", &[index, "-C", "o", "-o", "ek.crt"]);
        self.read("ek.crt")
    }

    pub fn roots(&self) -> (Vec<Certificate>, Vec<Vec<u8>>) {
        let authority = self.swtpm.authority();
        let between = Certificate::all_from_pem(&authority.intermediate_pem().unwrap()).unwrap();
        let roots = Certificate::all_from_pem(&authority.root_pem().unwrap()).unwrap();
        (roots, between.iter().map(|c| c.der().to_vec()).collect())
    }

    /// TPM2_ActivateCredential with the EK at `ek`, for the AK.
    pub fn activate(&self, ek: &str, id_object: &[u8], encrypted_secret: &[u8]) -> Option<Vec<u8>> {
        let mut file = vec![0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];
        file.extend_from_slice(id_object);
        file.extend_from_slice(encrypted_secret);
        std::fs::write(self.path("credential"), file).unwrap();
        let _ = std::fs::remove_file(self.path("secret.out"));
        let mut args = vec!["-c", AK, "-C", ek, "-i", "credential", "-o", "secret.out"];
        if ek == EK_RSA {
            self.tool("tpm2_startauthsession", &["--policy-session", "-S", "session.ctx"]);
            self.tool("tpm2_policysecret", &["-S", "session.ctx", "-c", "e"]);
            args.extend(["-P", "session:session.ctx"]);
        }
        let opened = self.try_tool("tpm2_activatecredential", &args);
        if ek == EK_RSA {
            self.try_tool("tpm2_flushcontext", &["session.ctx"]);
        }
        opened.then(|| self.read("secret.out"))
    }

    /// TPM2_Certify of the TLS key by the AK with `qualifying`: TPMS_ATTEST and TPMT_SIGNATURE. By hand, because
    /// tpm2-tools always qualify with the same four bytes.
    pub fn certify(&self, qualifying: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut body = 0x8101_0021_u32.to_be_bytes().to_vec();
        body.extend(0x8101_0020_u32.to_be_bytes());
        let password = [0x40, 0, 0, 9, 0, 0, 0, 0, 0];
        body.extend(18_u32.to_be_bytes());
        body.extend(password);
        body.extend(password);
        body.extend(u16::try_from(qualifying.len()).unwrap().to_be_bytes());
        body.extend(qualifying);
        body.extend([0, 0x10]);
        let answer = self.command(0x148, &body);
        let parameters = usize::try_from(u32::from_be_bytes(answer[..4].try_into().unwrap())).unwrap();
        let answer = &answer[4..4 + parameters];
        let length = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
        (answer[2..2 + length].to_vec(), answer[2 + length..].to_vec())
    }

    /// Sends one command with sessions; gives what follows the response code.
    fn command(&self, code: u32, body: &[u8]) -> Vec<u8> {
        let tcti = self.swtpm.tcti();
        let (_, port) = tcti.rsplit_once('=').unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
        let mut command = vec![0x80, 0x02];
        command.extend(u32::try_from(body.len() + 10).unwrap().to_be_bytes());
        command.extend(code.to_be_bytes());
        command.extend(body);
        stream.write_all(&command).unwrap();
        let mut head = [0; 10];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head[6..], [0; 4], "the TPM refused: {head:02x?}");
        let mut rest = vec![0; usize::try_from(u32::from_be_bytes(head[2..6].try_into().unwrap())).unwrap() - 10];
        stream.read_exact(&mut rest).unwrap();
        rest
    }

    /// TPM2_Quote by the AK: TPMS_ATTEST and TPMT_SIGNATURE.
    pub fn quote(&self, pcrs: &str, qualifying: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let selection = format!("sha256:{pcrs}");
        let data = hex::encode(qualifying);
        self.tool(
            "tpm2_quote",
            &[
                "-c",
                AK,
                "-l",
                &selection,
                "-q",
                &data,
                "-m",
                "quote.out",
                "-s",
                "quote.sig",
                "-Q",
            ],
        );
        (self.read("quote.out"), self.read("quote.sig"))
    }
}

/// A path of a vector made by others, when it is there.
pub fn vector(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/vectors")
        .join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: ../shared/vectors is not here");
    None
}

//! Signing in at an identity provider that we did not write (PyPI `oidc-provider-mock`, on Authlib), over real TLS.

#[path = "support/world.rs"]
mod support;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use freehold_channel::{Clock, Dates, FleetAuthority, Protocols, ServerPin, client_config};
use freehold_dial::{Answer, Dialer};
use http::{Method, StatusCode};
use serde_json::json;
use support::{ANSWER, World, call, code, now};

/// The judges' Python, when it is there.
fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/judges/bin/python3");
    let there = Command::new(&python)
        .args(["-c", "import oidc_provider_mock"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    there.then_some(python)
}

const PROGRAM: &str = r#"
import sys, ssl, werkzeug.serving
from oidc_provider_mock import app, User
people = [User(sub="248289761001", claims={"preferred_username": "ann"}), User(sub="7", claims={"preferred_username": "ann"}),
          User(sub="8", claims={"preferred_username": "nobody-here"})]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server = werkzeug.serving.make_server("127.0.0.1", 0, app(user_claims=people, require_nonce=True), threaded=True, ssl_context=context)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// A provider that runs.
struct Provider {
    child: Child,
    port: u16,
    authority: FleetAuthority,
    _folder: tempfile::TempDir,
    roots: PathBuf,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Provider {
    fn start(python: &Path) -> Self {
        freehold_channel::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let authority = FleetAuthority::generate("provider", now()).unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = authority
            .issue_server(&names, now(), Duration::from_secs(86_400))
            .unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("chain.pem"), made.chain_pem()).unwrap();
        std::fs::write(at("key.pem"), made.key_pem().as_bytes()).unwrap();
        std::fs::write(at("root.pem"), authority.certificate_pem()).unwrap();
        let mut child = Command::new(python)
            .args(["-c", PROGRAM])
            .args([at("chain.pem"), at("key.pem")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            port: line.trim().parse().unwrap(),
            child,
            authority,
            roots: at("root.pem"),
            _folder: folder,
        }
    }

    /// Somebody says who they are at the provider's page; answers the address that the provider sends them to.
    async fn consent(&self, to: &str, sub: &str) -> String {
        let pin = ServerPin::FleetAuthority(self.authority.fingerprint());
        let clock = Clock::new(|| now().unix_timestamp());
        let config = client_config(pin, Dates::Enforced, None, Protocols::Http1, &clock).unwrap();
        let dialer = Dialer::new(&format!("https://127.0.0.1:{}", self.port), config).unwrap();
        let path = to.strip_prefix(&format!("https://localhost:{}", self.port)).unwrap();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let body = Bytes::from(format!("sub={sub}"));
        let answer = dialer.ask(Method::POST, path, &headers, body, ANSWER).await.unwrap();
        assert!(answer.status.is_redirection(), "{} {:?}", answer.status, answer.body);
        answer.headers["location"].to_str().unwrap().to_owned()
    }
}

async fn get(world: &World, path: &str, cookie: &str) -> Answer {
    let headers = [("cookie", cookie)];
    world
        .person()
        .ask(Method::GET, path, &headers, Bytes::new(), ANSWER)
        .await
        .unwrap()
}

fn cookies(answer: &Answer) -> Vec<String> {
    let all = answer.headers.get_all("set-cookie").iter();
    all.map(|value| value.to_str().unwrap().split(';').next().unwrap().to_owned())
        .collect()
}

// promise S-209
#[tokio::test]
async fn a_person_whom_the_provider_names_signs_in_to_the_account_that_was_made_for_them() {
    let Some(python) = python() else {
        println!("skipped: target/judges has no oidc-provider-mock (tests/judges.sh makes it)");
        return;
    };
    let provider = Provider::start(&python);
    let world = World::prepared(Vec::new(), None, |state| {
        let file = json!({"v": 1, "name": "the directory", "issuer": format!("https://localhost:{}", provider.port),
            "client_id": "freehold", "client_secret_file": state.join("outside.secret"), "roots": provider.roots});
        std::fs::write(state.join("outside.secret"), "a secret: of+this/client\n").unwrap();
        std::fs::write(state.join("outside.json"), file.to_string()).unwrap();
    })
    .await;
    let page = get(&world, "/sign-in", "").await;
    assert!(String::from_utf8_lossy(&page.body).contains("Sign in with the directory"));
    let leave = async || {
        let answer = get(&world, "/sign-in/outside?next=%2Fboxes", "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        let to = answer.headers["location"].to_str().unwrap().to_owned();
        (to, cookies(&answer).remove(0))
    };
    let back_path = |location: &str| location[location.find("/sign-in/").unwrap()..].to_owned();

    // Nobody made an account yet.
    let (to, browser) = leave().await;
    let back = back_path(&provider.consent(&to, "248289761001").await);
    assert_eq!(get(&world, &back, &browser).await.status, StatusCode::UNAUTHORIZED);

    let (admin, _) = world.session("administrator", "api").await;
    let wish = json!({"name": "ann", "role": "viewer", "kind": "outside"});
    assert_eq!(
        code(&call(&world, &admin, Method::POST, "/api/v1/accounts", Some(wish)).await),
        "201"
    );
    // Another browser comes back with what this one fetched.
    let (to, browser) = leave().await;
    let back = back_path(&provider.consent(&to, "248289761001").await);
    let (_, other) = leave().await;
    assert_eq!(get(&world, &back, &other).await.status, StatusCode::UNAUTHORIZED);
    // ... and with that the way back is used up.
    assert_eq!(get(&world, &back, &browser).await.status, StatusCode::UNAUTHORIZED);

    let (to, browser) = leave().await;
    assert!(
        to.contains("code_challenge_method=S256") && to.contains("nonce="),
        "{to}"
    );
    let back = back_path(&provider.consent(&to, "248289761001").await);
    let entered = get(&world, &back, &browser).await;
    assert_eq!(
        entered.status,
        StatusCode::OK,
        "{}",
        String::from_utf8_lossy(&entered.body)
    );
    assert!(String::from_utf8_lossy(&entered.body).contains("url=/boxes"));
    let session = cookies(&entered)
        .into_iter()
        .find(|cookie| cookie.starts_with("__Host-freehold="))
        .unwrap();
    let boxes = get(&world, "/boxes", &session).await;
    assert!(String::from_utf8_lossy(&boxes.body).contains("ann"));
    // The same answer again is worth nothing.
    assert_eq!(get(&world, &back, &browser).await.status, StatusCode::UNAUTHORIZED);

    // A second person whom the provider calls by the same name is not the first.
    for sub in ["7", "8"] {
        let (to, browser) = leave().await;
        let back = back_path(&provider.consent(&to, sub).await);
        assert_eq!(
            get(&world, &back, &browser).await.status,
            StatusCode::UNAUTHORIZED,
            "{sub}"
        );
    }
    // An outside account has no password here.
    let guess = json!({"name": "ann", "password": "whatever it is"}).to_string();
    let answer = support::ask(&world.person(), Method::POST, "/api/v1/session", &[], guess).await;
    assert_eq!(code(&answer), "console.sign_in_refused");
    // Switched off here, whatever the provider says.
    assert_eq!(
        code(&call(&world, &admin, Method::POST, "/api/v1/accounts/ann/disable", None).await),
        "204"
    );
    let (to, browser) = leave().await;
    let back = back_path(&provider.consent(&to, "248289761001").await);
    let answer = get(&world, &back, &browser).await;
    assert!(String::from_utf8_lossy(&answer.body).contains("console.outside_unknown"));
    let broken = get(&world, "/sign-in/outside/back?error=access_denied", &browser).await;
    assert!(String::from_utf8_lossy(&broken.body).contains("console.outside_refused"));
}

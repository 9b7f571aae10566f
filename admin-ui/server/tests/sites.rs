//! Accounts of some sites: what they see and do, and that nothing of another site is in any list, count, stream or answer.

#[path = "support/world.rs"]
mod support;

use std::fmt::Write as _;

use bytes::Bytes;
use freehold_console::people::action::ROLES;
use freehold_console::people::guard::Access;
use freehold_console::people::routes::table;
use freehold_console::people::session::{Door, Visitor};
use freehold_console::rollouts::Wish;
use freehold_console::stick;
use freehold_sign::repository::{Expiry, OtherPublication, export, publish_other};
use freehold_trust::sha256;
use freehold_verify::release::ReleaseKind;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use support::paper_tpm::PaperBox;
use support::{ANSWER, World, ask, call, code, json as body_of, now};

const OWN: &str = "ward-7";
const OTHER: &str = "annex";
const RELEASE: &str = "policies/ward/1.0.0/release.json";

/// A fleet of two sites. At each there is a box, a plan about it, a rollout to it and a bundle for it.
struct Two {
    world: World,
    here: Site,
    there: Site,
}

struct Site {
    name: &'static str,
    paper: PaperBox,
    plan: String,
    rollout: String,
    bundle: u64,
}

impl Site {
    /// What an address of this kind names here.
    fn id(&self, route: &str) -> &str {
        match route.strip_prefix("/api/v1").unwrap_or(route).split('/').nth(1) {
            Some("boxes") => &self.paper.id,
            Some("plans") => &self.plan,
            Some("rollouts") => &self.rollout,
            _ => "none",
        }
    }

    /// Everything that names something here.
    fn names(&self) -> [&str; 3] {
        [&self.paper.id, &self.plan, &self.rollout]
    }
}

async fn publish(world: &World) {
    let file = world.folder.path().join("policy.json");
    std::fs::write(&file, "{}").unwrap();
    let release = OtherPublication {
        kind: ReleaseKind::Policy,
        name: "ward",
        version: "1.0.0",
        counter: None,
        files: vec![("policy.json".to_owned(), file)],
        licence: None,
        hardware: Vec::new(),
    };
    publish_other(&world.publisher, &release, &Expiry::default(), now().unix_timestamp()).unwrap();
    let out = world.folder.path().join("published");
    export(&world.publisher, &out).unwrap();
    world.console().import(&out, None, "test").await.unwrap();
}

async fn site(world: &World, name: &'static str, id: &str) -> Site {
    let paper = PaperBox::new(id);
    let ek = sha256(paper.id.as_bytes()).to_hex();
    let key = support::record_key(&paper.id).public().spki_der().to_vec();
    world.enrol_at(&paper, &ek, key, name).await.unwrap();
    world.approve(&paper).await;
    let (operator, _) = world.session("operator", "api").await;
    let path = format!("/api/v1/boxes/{id}/plans");
    let plan = call(
        world,
        &operator,
        Method::POST,
        &path,
        Some(json!({"targets": [RELEASE]})),
    )
    .await;
    let plan = body_of(&plan)["id"].as_str().unwrap().to_owned();
    let wish = json!({"release": RELEASE, "boxes": format!("site={name}"), "waves": [{"percent": 100}]});
    let wish: Wish = serde_json::from_value(wish).unwrap();
    let rollout = world.console().propose_rollout(&wish, "mia").await.unwrap();
    let wish = stick::Wish {
        boxes: vec![id.to_owned()],
        part_size: None,
        days: None,
    };
    let bundle = world.console().make_bundle(&wish, "mia").await.unwrap();
    Site {
        name,
        paper,
        plan,
        rollout,
        bundle: bundle["number"].as_u64().unwrap(),
    }
}

async fn two() -> Two {
    let world = World::prepared(Vec::new(), None, |state| {
        let file = state.join("console.json");
        let mut console: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        console["rules"]["sites"] = json!([OTHER]);
        std::fs::write(&file, console.to_string()).unwrap();
    })
    .await;
    publish(&world).await;
    let here = site(&world, OWN, "amber-fox-0001").await;
    let there = site(&world, OTHER, "coral-owl-0002").await;
    Two { world, here, there }
}

// promise S-208
#[tokio::test]
async fn the_matrix_of_roles_routes_and_sites_is_the_golden_one() {
    let Two { world, here, there } = two().await;
    let mut said = format!("{:<8}{:<44}{:<20}", "method", "route", "account of ward-7");
    for role in ROLES {
        let _ = write!(said, "{role:<16}");
    }
    said.push('\n');
    let guarded = |access| matches!(access, Access::May(_));
    for route in table().into_iter().filter(|route| guarded(route.gate.access)) {
        let names_one = route.path.contains("/{id}") && here.id(route.path) != "none";
        let places = if !names_one {
            vec![("fleet".to_owned(), "none")]
        } else {
            [&here, &there]
                .map(|site| (format!("at {}", site.name), site.id(route.path)))
                .to_vec()
        };
        for (place, id) in places {
            let _ = write!(said, "{:<8}{:<44}{place:<20}", route.method, route.path);
            for role in ROLES {
                let path = route
                    .path
                    .replace("{id}", id)
                    .replace("{wave}", "1")
                    .replace("{tab}", "boot")
                    .replace("{number}", "0")
                    .replace("{part}", "1")
                    .replace("{*path}", "0/000")
                    .replace("{name}", "none")
                    .replace("{version}", "none")
                    .replace("{token}", "none");
                // What is here stays: the box in the fleet, the plan waiting.
                let ends = names_one && (path.ends_with("/remove") || path.ends_with("/withdraw"));
                let heard = if ends && id == here.id(route.path) {
                    "(not tried)"
                } else {
                    hears(&world, role, route.gate.door, route.method, &path).await
                };
                let _ = write!(said, "{heard:<16}");
            }
            said = format!("{}\n", said.trim_end());
        }
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sites.golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &said).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        said, expected,
        "hint: UPDATE_GOLDEN=1 writes sites.golden; read the difference first"
    );
}

/// What an account of one site in this role hears: `yes` when the guard lets it through, whatever the handler makes of it.
async fn hears(world: &World, role: &str, door: Door, method: &str, path: &str) -> &'static str {
    let (mut headers, mut body) = (Vec::new(), String::new());
    let secret;
    match door {
        Door::Api => {
            let (token, _) = world.session_at(role, "api", OWN).await;
            secret = format!("Bearer {token}");
            headers.push(("authorization", secret.as_str()));
        }
        Door::Page => {
            let (token, session) = world.session_at(role, "page", OWN).await;
            secret = format!("__Host-freehold={token}");
            headers.push(("cookie", secret.as_str()));
            headers.push(("content-type", "application/x-www-form-urlencoded"));
            body = format!("csrf={}", session.csrf);
        }
    }
    // The head is enough: an event stream has no end.
    let answer = world
        .person()
        .open(method.parse().unwrap(), path, &headers, body.into())
        .await
        .unwrap();
    match answer.status() {
        StatusCode::FORBIDDEN => "-",
        _ => "yes",
    }
}

/// A page or an answer of the API, as text.
async fn read(world: &World, token: &str, path: &str) -> (StatusCode, String) {
    let secret = if path.starts_with("/api/") {
        ("authorization", format!("Bearer {token}"))
    } else {
        ("cookie", format!("__Host-freehold={token}"))
    };
    let headers = [(secret.0, secret.1.as_str())];
    let answer = world
        .person()
        .ask(Method::GET, path, &headers, Bytes::new(), ANSWER)
        .await
        .unwrap();
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

// promise S-208
#[tokio::test]
async fn an_account_of_one_site_sees_and_does_nothing_at_another() {
    let Two { world, here, there } = two().await;
    let (operator, _) = world.session_at("operator", "api", OWN).await;
    let (page, _) = world.session_at("operator", "page", OWN).await;
    let lists = [
        "/api/v1/boxes",
        "/api/v1/fleet",
        "/api/v1/plans",
        "/api/v1/rollouts",
        "/api/v1/bundles",
        "/api/v1/advisories",
        "/api/v1/components?package=pkg%3Adeb%2Fdebian%2Fzlib",
        "/api/v1/models",
        "/api/v1/releases",
        "/",
        "/boxes",
        "/approvals",
        "/rollouts",
        "/sticks",
        "/models",
        "/releases",
        "/releases/advisories",
        "/access",
        "/account",
    ];
    for path in lists {
        let token = if path.starts_with("/api/") { &operator } else { &page };
        let (status, text) = read(&world, token, path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        for name in there.names().into_iter().chain([there.name]) {
            assert!(!text.contains(name), "{path} shows {name} of another site:\n{text}");
        }
    }
    for (site, found) in [(&here, true), (&there, false)] {
        let (_, text) = read(&world, &page, &format!("/search?q={}", site.paper.id)).await;
        // What was asked for is said again; a hit leads somewhere.
        let hit = text.contains(&format!("href=\"/boxes/{}\"", site.paper.id));
        assert_eq!((hit, text.contains("Nothing found")), (found, !found), "{text}");
    }
    // The same lists show what is here.
    for (path, name) in [
        ("/api/v1/boxes", &here.paper.id),
        ("/api/v1/plans", &here.plan),
        ("/api/v1/rollouts", &here.rollout),
        ("/api/v1/bundles", &here.paper.id),
    ] {
        assert!(read(&world, &operator, path).await.1.contains(name.as_str()), "{path}");
    }
    for (path, name) in [
        ("/", &here.rollout),
        ("/rollouts", &here.rollout),
        ("/sticks", &here.paper.id),
    ] {
        assert!(read(&world, &page, path).await.1.contains(name.as_str()), "{path}");
    }
    let fleet: Value = serde_json::from_str(&read(&world, &operator, "/api/v1/fleet").await.1).unwrap();
    assert_eq!((&fleet["boxes"], &fleet["sites"]), (&json!(1), &json!([OWN])));
    let (every, _) = world.session("operator", "api").await;
    let fleet: Value = serde_json::from_str(&read(&world, &every, "/api/v1/fleet").await.1).unwrap();
    assert_eq!((&fleet["boxes"], &fleet["sites"]), (&json!(2), &json!([OWN, OTHER])));

    let get = async |path: &str| code(&call(&world, &operator, Method::GET, path, None).await);
    for kind in ["boxes", "plans", "rollouts"] {
        let path = format!("/api/v1/{kind}/");
        assert_eq!(get(&format!("{path}{}", here.id(&path))).await, "200", "{kind}");
        assert_eq!(
            get(&format!("{path}{}", there.id(&path))).await,
            "policy.site",
            "{kind}"
        );
        // The same thing, written otherwise.
        let written: String = there.id(&path).bytes().map(|byte| format!("%{byte:02x}")).collect();
        assert_eq!(get(&format!("{path}{written}")).await, "policy.site", "{kind}");
        assert_eq!(get(&format!("{path}none")).await, "console.not_found", "{kind}");
    }
    let parts = format!("/api/v1/bundles/{}/parts/1", there.bundle);
    assert_eq!(get(&parts).await, "policy.site");
    let post =
        async |path: String, body: Option<Value>| code(&call(&world, &operator, Method::POST, &path, body).await);
    for (site, wanted) in [(&here, "202"), (&there, "policy.site")] {
        assert_eq!(
            post(format!("/api/v1/boxes/{}/attest", site.paper.id), None).await,
            wanted
        );
    }
    for (site, wanted) in [(&here, "200"), (&there, "policy.site")] {
        assert_eq!(
            post(format!("/api/v1/rollouts/{}/abort", site.rollout), None).await,
            wanted
        );
    }
    // The fleet as a whole is nobody's who is not for all of it.
    let import = ask(
        &world.person(),
        Method::POST,
        "/api/v1/repository",
        &[("authorization", &format!("Bearer {operator}"))],
        String::new(),
    )
    .await;
    assert_eq!(code(&import), "policy.site");
    let both = json!({"release": RELEASE, "boxes": "all", "waves": [{"percent": 100}]});
    assert_eq!(post("/api/v1/rollouts".to_owned(), Some(both)).await, "policy.site");
    let pairing = async |site: &str| get(&format!("/api/v1/pairing?site={site}")).await;
    assert_eq!(pairing(OWN).await, "200");
    assert_eq!(pairing(OTHER).await, "console.not_found");
    assert_eq!(pairing("nowhere").await, "console.not_found");
}

// promise S-208
#[tokio::test]
async fn what_several_sites_have_a_part_in_takes_an_account_for_each_of_them() {
    let Two { world, here, there } = two().await;
    let bundle = stick::Wish {
        boxes: vec![here.paper.id.clone(), there.paper.id.clone()],
        part_size: None,
        days: None,
    };
    let number = world.console().make_bundle(&bundle, "mia").await.unwrap()["number"]
        .as_u64()
        .unwrap();
    let sees = async |sites: &str| {
        let (token, _) = world.session_at("viewer", "api", sites).await;
        let bundles: Value = serde_json::from_str(&read(&world, &token, "/api/v1/bundles").await.1).unwrap();
        let bundles = bundles["bundles"].as_array().unwrap().clone();
        bundles.iter().any(|one| one["number"].as_u64() == Some(number))
    };
    assert!(!sees(OWN).await && !sees(OTHER).await);
    assert!(sees("ward-7\nannex").await && sees("*").await);
    // What a box that nobody knows any more had a part in is the fleet's.
    let (operator, _) = world.session("operator", "api").await;
    let remove = format!("/api/v1/boxes/{}/remove", there.paper.id);
    call(&world, &operator, Method::POST, &remove, None).await;
    assert!(!sees("ward-7\nannex").await && sees("*").await);
    let (scoped, _) = world.session_at("viewer", "api", "ward-7\nannex").await;
    let listed = read(&world, &scoped, "/api/v1/plans").await.1;
    assert!(!listed.contains(&there.plan), "{listed}");

    // Findings are counted over what is seen.
    let visitor = async |sites: &str| {
        let (_, session) = world.session_at("viewer", "api", sites).await;
        let account = world
            .console()
            .store()
            .account(&session.account)
            .await
            .unwrap()
            .unwrap();
        Visitor {
            account,
            session,
            scope: None,
        }
    };
    let (one, all) = (visitor(OWN).await, visitor("*").await);
    world.member(&PaperBox::new("dusty-elk-0003")).await;
    let boxes = |visitor: &Visitor| {
        let parts = world.console().fleet_parts(&world.console().fleet_of(visitor));
        parts.boxes().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(boxes(&one), ["amber-fox-0001", "dusty-elk-0003"]);
    assert_eq!(boxes(&all), boxes(&one), "the box at the annex is gone");
    let nobody = visitor("elsewhere").await;
    assert!(boxes(&nobody).is_empty());
}

// promise S-208
#[tokio::test]
async fn a_stream_tells_of_no_box_at_another_site_and_ends_with_its_session() {
    let Two { world, here, there } = two().await;
    let (token, session) = world.session_at("viewer", "api", OWN).await;
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let dialer = world.person();
    let mut stream = dialer
        .open(Method::GET, "/api/v1/events", &headers, Bytes::new())
        .await
        .unwrap()
        .into_body();
    let (operator, _) = world.session("operator", "api").await;
    for site in [&there, &here] {
        let path = format!("/api/v1/boxes/{}/attest", site.paper.id);
        assert_eq!(code(&call(&world, &operator, Method::POST, &path, None).await), "202");
    }
    let mut heard = String::new();
    while !heard.contains(&here.paper.id) {
        let frame = stream.frame().await.unwrap().unwrap();
        heard.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
    }
    assert!(!heard.contains(&there.paper.id), "{heard}");
    let path = format!("/api/v1/sessions/{}", session.id);
    assert_eq!(code(&call(&world, &token, Method::DELETE, &path, None).await), "204");
    // What is told now ends the stream: nothing of it is sent.
    let path = format!("/api/v1/boxes/{}/attest", here.paper.id);
    call(&world, &operator, Method::POST, &path, None).await;
    let rest = stream.collect().await.unwrap().to_bytes();
    let rest = String::from_utf8_lossy(&rest).into_owned();
    assert!(rest.len() < 2000, "the stream went on: {rest}");
}

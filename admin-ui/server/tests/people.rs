//! The people's door over real TLS: roles (G09), sessions and other sites (G10), bodies without end, and passwords.

#[path = "support/world.rs"]
mod support;

use std::fmt::Write as _;

use freehold_console::people::action::ROLES;
use freehold_console::people::guard::Access;
use freehold_console::people::routes::table;
use freehold_console::people::session::Door;
use http::{Method, StatusCode};
use serde_json::json;
use support::{World, ask, call, code, json as body_of};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// One path for each route, with names that exist nowhere.
fn concrete(path: &str) -> String {
    path.replace("{id}", "none-none-0000")
        .replace("{token}", "none")
        .replace("{wave}", "1")
        .replace("{name}", "none")
        .replace("{version}", "none")
        .replace("{tab}", "boot")
        .replace("{number}", "0")
        .replace("{part}", "1")
        .replace("{*path}", "0/000")
}

#[tokio::test]
async fn g09_the_matrix_of_roles_and_routes_is_the_golden_one() {
    let world = World::new().await;
    let mut said = format!("{:<8}{:<44}{:<20}{:<8}", "method", "route", "action", "nobody");
    for role in ROLES {
        let _ = write!(said, "{role:<15}");
    }
    said.push('\n');
    for route in table() {
        let action = match route.gate.access {
            Access::Anyone => "-",
            Access::SignedIn => "signed in",
            Access::May(action) => action.word(),
        };
        let _ = write!(said, "{:<8}{:<44}{action:<20}", route.method, route.path);
        let nobody = enters(&world, &route.method.parse().unwrap(), &concrete(route.path), None).await;
        let _ = write!(said, "{nobody:<8}");
        for role in ROLES {
            // A session of its own for each: some routes end it.
            let door = if route.gate.door == Door::Page { "page" } else { "api" };
            let (token, session) = world.session(role, door).await;
            let heard = enters(
                &world,
                &route.method.parse().unwrap(),
                &concrete(route.path),
                Some((&token, &session.csrf, door)),
            )
            .await;
            let _ = write!(said, "{heard:<15}");
        }
        said = format!("{}\n", said.trim_end());
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix.golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &said).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        said, expected,
        "hint: UPDATE_GOLDEN=1 writes matrix.golden; read the difference first"
    );
}

/// `yes` when the guard lets it through, whatever the handler makes of a request about nothing.
async fn enters(world: &World, method: &Method, path: &str, session: Option<(&str, &str, &str)>) -> &'static str {
    let (mut headers, mut body) = (Vec::new(), String::new());
    let bearer;
    match session {
        Some((token, _, "api")) => {
            bearer = format!("Bearer {token}");
            headers.push(("authorization", bearer.as_str()));
        }
        Some((token, csrf, _)) => {
            bearer = format!("__Host-freehold={token}");
            headers.push(("cookie", bearer.as_str()));
            headers.push(("content-type", "application/x-www-form-urlencoded"));
            body = format!("csrf={csrf}");
        }
        None => {}
    }
    // The head is enough: an event stream has no end.
    let response = world
        .person()
        .open(method.clone(), path, &headers, body.into())
        .await
        .unwrap();
    let to_sign_in = response
        .headers()
        .get("location")
        .is_some_and(|to| to.to_str().unwrap_or("").starts_with("/sign-in?"));
    match response.status() {
        StatusCode::UNAUTHORIZED if path != "/api/v1/session" || method != Method::POST => "-",
        StatusCode::FORBIDDEN => "-",
        _ if to_sign_in => "-",
        _ => "yes",
    }
}

#[tokio::test]
async fn every_route_of_the_api_is_described() {
    let document = freehold_console::api::openapi::whole();
    for route in table().into_iter().filter(|route| route.gate.door == Door::Api) {
        let path = route.path.replace("{*", "{");
        let said = &document["paths"][&path][route.method.to_lowercase()];
        assert!(said.is_object(), "{} {path}", route.method);
    }
    assert!(
        document["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3."))
    );
}

#[tokio::test]
async fn the_one_time_password_opens_nothing_but_its_own_change() {
    let world = World::new().await;
    let dialer = world.person();
    let sign_in = |password: &str| json!({"name": "admin", "password": password}).to_string();
    let wrong = ask(&dialer, Method::POST, "/api/v1/session", &[], sign_in("guess")).await;
    assert_eq!(
        (wrong.status, code(&wrong).as_str()),
        (StatusCode::UNAUTHORIZED, "console.sign_in_refused")
    );
    let nobody = json!({"name": "nobody", "password": "guess"}).to_string();
    let nobody = ask(&dialer, Method::POST, "/api/v1/session", &[], nobody).await;
    let mut texts = [body_of(&wrong), body_of(&nobody)];
    for text in &mut texts {
        text.as_object_mut().unwrap().remove("request_id");
    }
    assert_eq!(texts[0], texts[1], "the answer does not tell whether a name exists");

    let signed = body_of(&ask(&dialer, Method::POST, "/api/v1/session", &[], sign_in(&world.password)).await);
    assert_eq!(signed["must_change_password"], true);
    let token = signed["token"].as_str().unwrap();
    assert_eq!(
        code(&call(&world, token, Method::GET, "/api/v1/boxes", None).await),
        "console.password_must_change"
    );
    let short = json!({"old": world.password, "new": "short"});
    assert_eq!(
        code(&call(&world, token, Method::POST, "/api/v1/account/password", Some(short)).await),
        "console.bad_password"
    );
    let new = json!({"old": world.password, "new": "a calm instrument"});
    assert_eq!(
        code(&call(&world, token, Method::POST, "/api/v1/account/password", Some(new)).await),
        "204"
    );
    assert_eq!(
        code(&call(&world, token, Method::GET, "/api/v1/boxes", None).await),
        "200"
    );
    let again = ask(&dialer, Method::POST, "/api/v1/session", &[], sign_in(&world.password)).await;
    assert_eq!(
        code(&again),
        "console.sign_in_refused",
        "the one-time password is worth nothing now"
    );

    for _ in 0..4 {
        ask(&dialer, Method::POST, "/api/v1/session", &[], sign_in("guess")).await;
    }
    let waits = ask(
        &dialer,
        Method::POST,
        "/api/v1/session",
        &[],
        sign_in("a calm instrument"),
    )
    .await;
    assert_eq!(
        (waits.status, code(&waits).as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "console.too_many_failures")
    );
    assert!(waits.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn g10_a_session_ends_when_the_role_changes() {
    let world = World::new().await;
    let (admin, _) = world.session("administrator", "api").await;
    let (operator, row) = world.session("operator", "api").await;
    assert_eq!(
        code(&call(&world, &operator, Method::GET, "/api/v1/boxes", None).await),
        "200"
    );
    let path = format!("/api/v1/accounts/{}/role", row.account);
    assert_eq!(
        code(
            &call(
                &world,
                &operator,
                Method::POST,
                &path,
                Some(json!({"role": "administrator"}))
            )
            .await
        ),
        "policy.no_permit"
    );
    assert_eq!(
        code(&call(&world, &admin, Method::POST, &path, Some(json!({"role": "viewer"}))).await),
        "204"
    );
    assert_eq!(
        code(&call(&world, &operator, Method::GET, "/api/v1/boxes", None).await),
        "console.not_signed_in"
    );
}

#[tokio::test]
async fn g10_a_change_from_another_site_or_without_the_forms_token_is_refused() {
    let world = World::new().await;
    let (token, session) = world.session("administrator", "page").await;
    let cookie = format!("__Host-freehold={token}");
    let cookie = cookie.as_str();
    let form = ("content-type", "application/x-www-form-urlencoded");
    let post = async |headers: &[(&str, &str)], body: String| {
        let answer = ask(
            &world.person(),
            Method::POST,
            "/boxes/none-none-0000/propose",
            headers,
            body,
        )
        .await;
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    };
    let good = format!("csrf={}&action=approve", session.csrf);
    let cases = [
        (
            "console.other_origin",
            vec![("cookie", cookie), form, ("origin", "https://evil.example")],
            good.clone(),
            StatusCode::FORBIDDEN,
        ),
        (
            "console.other_origin",
            vec![("cookie", cookie), form, ("sec-fetch-site", "cross-site")],
            good.clone(),
            StatusCode::FORBIDDEN,
        ),
        (
            "console.csrf",
            vec![("cookie", cookie), form],
            "action=approve".to_owned(),
            StatusCode::FORBIDDEN,
        ),
        (
            "console.csrf",
            vec![("cookie", cookie), form],
            format!("csrf={}&action=approve", "d".repeat(64)),
            StatusCode::FORBIDDEN,
        ),
        (
            "console.not_found",
            vec![("cookie", cookie), form],
            good.clone(),
            StatusCode::NOT_FOUND,
        ),
    ];
    for (expected, headers, body, status) in cases {
        let (heard, page) = post(&headers, body).await;
        assert_eq!(heard, status, "{expected}");
        assert!(page.contains(expected), "{expected} is on the page");
    }
    // A page's cookie is nothing to the API, and a program's token nothing to a page.
    let api = ask(&world.person(), Method::GET, "/api/v1/boxes", &[("cookie", cookie)], "").await;
    assert_eq!(code(&api), "console.not_signed_in");
    let (bearer, _) = world.session("administrator", "api").await;
    let page = ask(
        &world.person(),
        Method::GET,
        "/boxes",
        &[("authorization", &format!("Bearer {bearer}"))],
        "",
    )
    .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn pages_carry_strict_headers_and_render_for_a_viewer() {
    let world = World::new().await;
    let (token, _) = world.session("administrator", "page").await;
    let cookie = format!("__Host-freehold={token}");
    for path in [
        "/",
        "/boxes",
        "/approvals",
        "/models",
        "/releases",
        "/record",
        "/settings",
        "/search?q=x",
        "/password",
        "/nothing-here",
    ] {
        let answer = ask(&world.person(), Method::GET, path, &[("cookie", &cookie)], "").await;
        let expected = if path == "/nothing-here" {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::OK
        };
        assert_eq!(answer.status, expected, "{path}");
        let policy = answer
            .headers
            .get("content-security-policy")
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(answer.headers.contains_key("x-request-id"), "{path}");
        let page = String::from_utf8_lossy(&answer.body);
        assert!(page.contains("<html"), "{path}");
        assert!(
            !page.contains("<script>") && !page.contains(" style="),
            "{path} has nothing inline"
        );
    }
}

#[tokio::test]
async fn a_body_of_ten_gigabytes_is_refused_before_it_is_read() {
    let world = World::new().await;
    let connector = tokio_rustls::TlsConnector::from(world.tls(None));
    for path in ["/api/v1/session", "/sign-in"] {
        let tcp = tokio::net::TcpStream::connect(world.running.people).await.unwrap();
        let name = freehold_channel::server_name("127.0.0.1").unwrap();
        let mut tls = connector.connect(name, tcp).await.unwrap();
        let kind = if path == "/sign-in" {
            "application/x-www-form-urlencoded"
        } else {
            "application/json"
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: {kind}\r\ncontent-length: 10737418240\r\n\r\n",
            world.running.people
        );
        tls.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0u8; 64];
        let read = tokio::time::timeout(std::time::Duration::from_secs(5), tls.read(&mut answer))
            .await
            .unwrap()
            .unwrap();
        let said = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(said.starts_with("HTTP/1.1 413"), "{path}: {said}");
    }
}

#[tokio::test]
async fn signing_in_and_refusals_are_entries_of_the_record() {
    let world = World::new().await;
    let guess = json!({"name": "admin\n[31m", "password": "guess"}).to_string();
    ask(&world.person(), Method::POST, "/api/v1/session", &[], guess).await;
    let (viewer, _) = world.session("viewer", "api").await;
    call(
        &world,
        &viewer,
        Method::POST,
        "/api/v1/boxes/none-none-0000/remove",
        None,
    )
    .await;
    let (auditor, _) = world.session("auditor", "api").await;
    let entries = body_of(&call(&world, &auditor, Method::GET, "/api/v1/record/entries?limit=50", None).await);
    let kinds: Vec<(String, String)> = entries["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let entry = &entry["entry"];
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            (text(&entry["what"]), text(&entry["refusal"]["code"]))
        })
        .collect();
    for (what, code) in [
        ("fleet.made", ""),
        ("console.started", ""),
        ("session.sign_in", "console.sign_in_refused"),
        ("console.request", "policy.no_permit"),
    ] {
        assert!(
            kinds.contains(&(what.to_owned(), code.to_owned())),
            "{what} {code} in {kinds:?}"
        );
    }
    let checkpoint = call(&world, &auditor, Method::GET, "/api/v1/record/checkpoint", None).await;
    let origin = format!("freehold/console/{}", world.console().file().fleet);
    assert!(String::from_utf8_lossy(&checkpoint.body).starts_with(&origin));
    assert_eq!(
        code(&call(&world, &viewer, Method::GET, "/api/v1/record/entries", None).await),
        "policy.no_permit"
    );
}

#[tokio::test]
async fn accounts_are_made_with_a_one_time_password_and_one_administrator_stays() {
    let world = World::new().await;
    let (admin, row) = world.session("administrator", "api").await;
    let make = async |name: &str, role: &str| {
        call(
            &world,
            &admin,
            Method::POST,
            "/api/v1/accounts",
            Some(json!({"name": name, "role": role})),
        )
        .await
    };
    assert_eq!(code(&make("bad name", "viewer").await), "console.bad_account");
    assert_eq!(code(&make("grace", "owner").await), "console.bad_role");
    let made = make("grace", "viewer").await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert!(
        body_of(&made)["password"]
            .as_str()
            .is_some_and(|password| password.len() > 20)
    );
    assert_eq!(code(&make("grace", "viewer").await), "console.conflict");
    assert_eq!(
        code(&call(&world, &admin, Method::DELETE, "/api/v1/accounts/admin", None).await),
        "204"
    );
    let path = format!("/api/v1/accounts/{}", row.account);
    assert_eq!(
        code(&call(&world, &admin, Method::DELETE, &path, None).await),
        "console.last_administrator"
    );
    assert_eq!(
        code(
            &call(
                &world,
                &admin,
                Method::POST,
                &format!("{path}/role"),
                Some(json!({"role": "viewer"}))
            )
            .await
        ),
        "console.last_administrator"
    );
}

/// A page's form, as a browser sends it.
async fn send(world: &World, session: (&str, &str), path: &str, fields: &str) -> (StatusCode, String, String) {
    let cookie = format!("__Host-freehold={}", session.0);
    let headers = [
        ("cookie", cookie.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let body = format!("csrf={}&{fields}", session.1);
    let answer = ask(&world.person(), Method::POST, path, &headers, body).await;
    let to = answer
        .headers
        .get("location")
        .and_then(|to| to.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    (answer.status, to, String::from_utf8_lossy(&answer.body).into_owned())
}

#[tokio::test]
async fn a_change_is_proposed_shown_and_confirmed_by_its_digest_once() {
    let world = World::new().await;
    let paper = support::paper_tpm::PaperBox::new("amber-fox-9d1e");
    world
        .enrol(&paper, &freehold_trust::sha256(b"ek").to_hex())
        .await
        .unwrap();
    let (token, session) = world.session("operator", "page").await;
    let who = (token.as_str(), session.csrf.as_str());
    let (status, plan, _) = send(&world, who, "/boxes/amber-fox-9d1e/propose", "action=approve").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let cookie = format!("__Host-freehold={token}");
    let page = ask(&world.person(), Method::GET, &plan, &[("cookie", &cookie)], "").await;
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let digest = text
        .split("name=\"digest\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap()
        .to_owned();
    let (status, _, page) = send(
        &world,
        who,
        &format!("{plan}/confirm"),
        &format!("digest={}", "0".repeat(64)),
    )
    .await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(page.contains("console.plan_changed"));
    let (viewer, looking) = world.session("viewer", "page").await;
    let (status, ..) = send(
        &world,
        (&viewer, &looking.csrf),
        &format!("{plan}/confirm"),
        &format!("digest={digest}"),
    )
    .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, to, page) = send(&world, who, &format!("{plan}/confirm"), &format!("digest={digest}")).await;
    assert_eq!((status, to), (StatusCode::SEE_OTHER, plan.clone()), "{page}");
    assert!(world.console().fleet().member("amber-fox-9d1e").unwrap().is_approved());
    let (status, _, page) = send(&world, who, &format!("{plan}/confirm"), &format!("digest={digest}")).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(page.contains("console.plan_decided"));
    for path in [
        "/boxes/amber-fox-9d1e",
        "/boxes/amber-fox-9d1e/boot",
        "/boxes/amber-fox-9d1e/models",
        "/boxes/amber-fox-9d1e/record",
    ] {
        let page = ask(&world.person(), Method::GET, path, &[("cookie", &cookie)], "").await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_plan_whose_ground_has_changed_is_outdated() {
    let world = World::new().await;
    let paper = support::paper_tpm::PaperBox::new("amber-fox-9d1e");
    world
        .enrol(&paper, &freehold_trust::sha256(b"ek").to_hex())
        .await
        .unwrap();
    let (token, session) = world.session("operator", "page").await;
    let who = (token.as_str(), session.csrf.as_str());
    let (_, plan, _) = send(&world, who, "/boxes/amber-fox-9d1e/propose", "action=approve").await;
    let digest = {
        let cookie = format!("__Host-freehold={token}");
        let page = ask(&world.person(), Method::GET, &plan, &[("cookie", &cookie)], "").await;
        let text = String::from_utf8_lossy(&page.body).into_owned();
        text.split("name=\"digest\" value=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap()
            .to_owned()
    };
    // The box starts again with other keys while the person is looking.
    let again = support::paper_tpm::PaperBox::new("amber-fox-9d1e");
    world
        .enrol(&again, &freehold_trust::sha256(b"ek").to_hex())
        .await
        .unwrap();
    let (status, _, page) = send(&world, who, &format!("{plan}/confirm"), &format!("digest={digest}")).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(page.contains("console.plan_changed"));
    assert!(!world.console().fleet().member("amber-fox-9d1e").unwrap().is_approved());
}

#[tokio::test]
async fn a_passkey_without_a_purpose_is_refused() {
    let world = World::new().await;
    let (token, session) = world.session("viewer", "page").await;
    let cookie = format!("__Host-freehold={token}");
    let headers = [
        ("cookie", cookie.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let body = format!(
        "csrf={}&name=key&purpose=anything&password=x&client_data=e30&attestation=oA",
        session.csrf
    );
    let answer = ask(&world.person(), Method::POST, "/account/passkeys", &headers, body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let page = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(page.contains("console.bad_passkey"), "{page}");
    let code = "console.bad_passkey";
    assert!(freehold_explain::explain(code).is_some());
}

//! Second factors, tokens, the envelope in the safe, and accounts that are changed by plan: over real TLS.

#[path = "support/world.rs"]
mod support;

use bytes::Bytes;
use freehold_console::people::totp;
use freehold_harness::Passkey;
use freehold_trust::{KeyKind, sha256};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use support::{ANSWER, World, ask, call, code, json as body_of};

const OWN: &str = "a calm instrument";
const NAME: &str = "https://console.test:8443";

/// An account with its own password; answers its name.
async fn person(world: &World, name: &str, role: &str) -> String {
    let (admin, _) = world.session("administrator", "api").await;
    let wish = json!({"name": name, "role": role});
    let made = body_of(&call(world, &admin, Method::POST, "/api/v1/accounts", Some(wish)).await);
    let first = made["password"].as_str().unwrap();
    let signed = body_of(&sign_in(world, name, first, None).await);
    let change = json!({"old": first, "new": OWN});
    let token = signed["token"].as_str().unwrap();
    let done = call(world, token, Method::POST, "/api/v1/account/password", Some(change)).await;
    assert_eq!(code(&done), "204");
    name.to_owned()
}

async fn sign_in(world: &World, name: &str, password: &str, second: Option<&str>) -> freehold_dial::Answer {
    let mut body = json!({"name": name, "password": password});
    if let Some(second) = second {
        body["code"] = json!(second);
    }
    ask(&world.person(), Method::POST, "/api/v1/session", &[], body.to_string()).await
}

/// A browser without scripts: a cookie, and forms.
struct Page<'a> {
    world: &'a World,
    cookie: String,
    csrf: String,
}

impl Page<'_> {
    /// Signs in over the pages; the account has no second factor yet.
    async fn of<'a>(world: &'a World, name: &str) -> Page<'a> {
        let mut page = Page {
            world,
            cookie: String::new(),
            csrf: String::new(),
        };
        let answer = page
            .post("/sign-in", &[("name", name), ("password", OWN), ("next", "/")])
            .await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", text(&answer));
        page.keep(&answer);
        page
    }

    fn keep(&mut self, answer: &freehold_dial::Answer) {
        let set = answer.headers.get("set-cookie").unwrap().to_str().unwrap();
        self.cookie = set.split(';').next().unwrap().to_owned();
    }

    async fn get(&mut self, path: &str) -> String {
        let headers = [("cookie", self.cookie.as_str())];
        let answer = self
            .world
            .person()
            .ask(Method::GET, path, &headers, Bytes::new(), ANSWER)
            .await
            .unwrap();
        let html = text(&answer);
        if let Some(csrf) = between(&html, "name=\"csrf\" value=\"", "\"") {
            self.csrf = csrf;
        }
        html
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> freehold_dial::Answer {
        let mut all = vec![("csrf", self.csrf.as_str())];
        all.extend(fields);
        let headers = [
            ("cookie", self.cookie.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let body = serde_urlencoded::to_string(&all).unwrap();
        let dialer = self.world.person();
        dialer
            .ask(Method::POST, path, &headers, body.into(), ANSWER)
            .await
            .unwrap()
    }
}

fn text(answer: &freehold_dial::Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0.to_owned())
}

fn unbase32(text: &str) -> Vec<u8> {
    let (mut bits, mut number, mut out) = (0, 0_u64, Vec::new());
    for letter in text.chars().filter(char::is_ascii_alphanumeric) {
        let value = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(letter).unwrap();
        number = (number << 5) | u64::try_from(value).unwrap();
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from((number >> bits) & 0xff).unwrap());
        }
    }
    out
}

fn now() -> i64 {
    support::now().unix_timestamp()
}

// promise S-204
#[tokio::test]
async fn who_has_an_app_signs_in_with_a_code_that_counts_once_or_a_recovery_code() {
    let world = World::new().await;
    let name = person(&world, "ann", "operator").await;
    let mut page = Page::of(&world, &name).await;
    page.get("/account").await;
    let refused = page.post("/account/codes/begin", &[("password", "guess")]).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let begun = text(&page.post("/account/codes/begin", &[("password", OWN)]).await);
    let secret = unbase32(&between(&begun, "<p class=\"mono\">", "</p>").unwrap());
    // A wrong first code switches nothing on.
    let wrong = page.post("/account/codes/confirm", &[("code", "000000")]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert_eq!(code(&sign_in(&world, &name, OWN, None).await), "200");
    let begun = text(&page.post("/account/codes/begin", &[("password", OWN)]).await);
    let second = unbase32(&between(&begun, "<p class=\"mono\">", "</p>").unwrap());
    assert_ne!(secret, second);
    let first = totp::code(&second, now() / totp::PERIOD - 1);
    let shown = text(&page.post("/account/codes/confirm", &[("code", &first)]).await);
    assert!(shown.contains("This is shown once"), "{shown}");
    let recovery = shown
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-')
        .find(|word| word.len() == 24 && word.matches('-').count() == 4)
        .unwrap()
        .to_owned();

    assert_eq!(code(&sign_in(&world, &name, OWN, None).await), "console.second_factor");
    assert_eq!(
        code(&sign_in(&world, &name, OWN, Some("000000")).await),
        "console.second_factor"
    );
    assert_eq!(
        code(&sign_in(&world, &name, OWN, Some(&first)).await),
        "console.second_factor",
        "used"
    );
    let good = totp::code(&second, now() / totp::PERIOD);
    let signed = sign_in(&world, &name, OWN, Some(&good)).await;
    assert_eq!(code(&signed), "200");
    let token = body_of(&signed)["token"].as_str().unwrap().to_owned();
    let who = body_of(&call(&world, &token, Method::GET, "/api/v1/session", None).await);
    assert_eq!(who["factor"], "totp");
    assert_eq!(
        code(&sign_in(&world, &name, OWN, Some(&recovery.to_uppercase())).await),
        "200"
    );
    assert_eq!(
        code(&sign_in(&world, &name, OWN, Some(&recovery)).await),
        "console.second_factor",
        "used"
    );

    // The database alone makes no codes.
    let account = world.console().store().account(&name).await.unwrap().unwrap();
    let salt = account.totp.unwrap();
    assert_ne!(totp::secret(b"", &name, &salt), second);

    // An administrator who was asked takes everything away.
    let (admin, _) = world.session("administrator", "api").await;
    let reset = call(&world, &admin, Method::POST, "/api/v1/accounts/ann/reset", None).await;
    let password = body_of(&reset)["password"].as_str().unwrap().to_owned();
    assert_eq!(
        code(&call(&world, &token, Method::GET, "/api/v1/boxes", None).await),
        "console.not_signed_in"
    );
    let again = body_of(&sign_in(&world, &name, &password, None).await);
    assert_eq!(again["must_change_password"], true);
}

// promise S-204
#[tokio::test]
async fn who_guesses_the_second_step_waits_and_a_ticket_counts_once() {
    let world = World::new().await;
    let name = person(&world, "ann", "operator").await;
    let mut page = Page::of(&world, &name).await;
    page.get("/account").await;
    let begun = text(&page.post("/account/codes/begin", &[("password", OWN)]).await);
    let secret = unbase32(&between(&begun, "<p class=\"mono\">", "</p>").unwrap());
    let first = totp::code(&secret, now() / totp::PERIOD - 1);
    page.post("/account/codes/confirm", &[("code", &first)]).await;
    let stranger = Page {
        world: &world,
        cookie: String::new(),
        csrf: String::new(),
    };
    let step = stranger
        .post("/sign-in", &[("name", &name), ("password", OWN), ("next", "/boxes")])
        .await;
    let step = text(&step);
    assert!(step.contains("Second step"), "{step}");
    let ticket = between(&step, "name=\"ticket\" value=\"", "\"").unwrap();
    let guess = [("ticket", ticket.as_str()), ("next", "/boxes"), ("code", "000000")];
    assert_eq!(
        stranger.post("/sign-in/second", &guess).await.status,
        StatusCode::UNAUTHORIZED
    );
    // The ticket is spent, whatever comes with it now.
    let good = totp::code(&secret, now() / totp::PERIOD);
    let late = [("ticket", ticket.as_str()), ("next", "/boxes"), ("code", good.as_str())];
    assert_eq!(
        stranger.post("/sign-in/second", &late).await.status,
        StatusCode::UNAUTHORIZED
    );
    // A recovery code that nobody has is a wrong one like any other: it frees nobody from waiting.
    let mut heard = Vec::new();
    for guess in ["000000", "nobody-has-this-code-at-all"].into_iter().cycle().take(12) {
        heard.push(code(&sign_in(&world, &name, OWN, Some(guess)).await));
        if heard.last().is_some_and(|code| code == "console.too_many_failures") {
            break;
        }
    }
    let (last, before) = heard.split_last().unwrap();
    assert_eq!(last, "console.too_many_failures", "{heard:?}");
    assert!(before.iter().all(|code| code == "console.second_factor"), "{heard:?}");
}

// promise S-205
#[tokio::test]
async fn a_passkey_signs_in_on_its_own_page_and_an_approving_one_never_does() {
    let world = World::prepared(Vec::new(), Some(NAME.to_owned()), |_| {}).await;
    let name = person(&world, "ann", "approver").await;
    let mut page = Page::of(&world, &name).await;
    let (key, approving) = (
        Passkey::new(KeyKind::P256, NAME).unwrap(),
        Passkey::new(KeyKind::P256, NAME).unwrap(),
    );
    let mut register = async |key: &Passkey, purpose: &str, password: &str| {
        let html = page.get("/account").await;
        let challenge = challenge_of(&html);
        let made = key.register(&challenge);
        let fields = [
            ("name", "blue key"),
            ("purpose", purpose),
            ("password", password),
            ("client_data", made.client_data.as_str()),
            ("attestation", made.attestation.as_str()),
        ];
        let first = page.post("/account/passkeys", &fields).await;
        // The same answer again: its challenge is spent.
        let second = page.post("/account/passkeys", &fields).await;
        (first.status, text(&second))
    };
    let (status, _) = register(&key, "sign_in", "guess").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, again) = register(&key, "sign_in", OWN).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(again.contains("console.bad_passkey"), "{again}");
    assert_eq!(register(&approving, "approval", OWN).await.0, StatusCode::SEE_OTHER);
    let html = page.get("/account").await;
    let line = between(&html, "<pre>", "</pre>").unwrap();
    assert!(line.starts_with("freehold-approver:1:ann:"), "{line}");

    assert_eq!(code(&sign_in(&world, &name, OWN, None).await), "console.second_factor");
    let stranger = Page {
        world: &world,
        cookie: String::new(),
        csrf: String::new(),
    };
    // One that approves, one whose counter did not rise, as when it was copied, and the one that was registered.
    for (passkey, copied, wanted) in [
        (&approving, false, StatusCode::UNAUTHORIZED),
        (&key, true, StatusCode::UNAUTHORIZED),
        (&key, false, StatusCode::SEE_OTHER),
    ] {
        let step = stranger
            .post("/sign-in", &[("name", &name), ("password", OWN), ("next", "/")])
            .await;
        let step = text(&step);
        let offered = between(&step, "data-credential=\"", "\"").unwrap();
        assert_eq!(offered, key.listed().credential, "an approving passkey is not asked");
        let ticket = between(&step, "name=\"ticket\" value=\"", "\"").unwrap();
        let mut ceremony = passkey.ceremony();
        if copied {
            ceremony.count = 1;
        }
        let answer = passkey.answer_with(&challenge_of(&step), &ceremony);
        let fields = [
            ("ticket", ticket.as_str()),
            ("next", "/"),
            ("credential", answer.credential.as_str()),
            ("authenticator_data", answer.authenticator_data.as_str()),
            ("client_data", answer.client_data.as_str()),
            ("signature", answer.signature.as_str()),
        ];
        let status = stranger.post("/sign-in/second", &fields).await.status;
        assert_eq!(status, wanted, "copied: {copied}");
    }
    // A second factor is taken away with the password in hand; what only approves is not one.
    let remove = async |key: &Passkey, password: &str| {
        let credential = key.listed().credential;
        let fields = [("credential", credential.as_str()), ("password", password)];
        page.post("/account/passkeys/remove", &fields).await.status
    };
    assert_eq!(remove(&key, "guess").await, StatusCode::BAD_REQUEST);
    assert_eq!(code(&sign_in(&world, &name, OWN, None).await), "console.second_factor");
    assert_eq!(remove(&approving, "").await, StatusCode::SEE_OTHER);
    assert_eq!(remove(&key, OWN).await, StatusCode::SEE_OTHER);
    assert_eq!(code(&sign_in(&world, &name, OWN, None).await), "200");
}

fn challenge_of(html: &str) -> Vec<u8> {
    let text = between(html, "data-challenge=\"", "\"").unwrap();
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

// promise S-206
#[tokio::test]
async fn a_token_does_what_it_lists_and_what_its_account_may_and_no_more() {
    let world = World::new().await;
    let (admin, _) = world.session("administrator", "api").await;
    let machine = json!({"name": "dashboard", "role": "operator", "kind": "machine"});
    let made = body_of(&call(&world, &admin, Method::POST, "/api/v1/accounts", Some(machine)).await);
    assert_eq!(made["password"], Value::Null, "a machine has no password");
    let path = "/api/v1/accounts/dashboard/tokens";
    let wish = |actions: &[&str], days: u32| Some(json!({"name": "wall", "actions": actions, "days": days}));
    let bad = call(&world, &admin, Method::POST, path, wish(&["everything"], 9)).await;
    assert_eq!(code(&bad), "console.bad_token");
    assert_eq!(
        code(&call(&world, &admin, Method::POST, path, wish(&["look"], 0)).await),
        "console.bad_token"
    );
    // Nor what takes a person, whatever its account may.
    for action in ["decide_plan", "decide_enrolment", "manage_accounts", "accept_findings"] {
        let refused = call(&world, &admin, Method::POST, path, wish(&["look", action], 9)).await;
        assert_eq!(code(&refused), "console.bad_token", "{action}");
    }
    let wished = wish(&["look", "import_releases", "read_record"], 9);
    let token = body_of(&call(&world, &admin, Method::POST, path, wished).await);
    let (id, token) = (token["id"].as_str().unwrap(), token["token"].as_str().unwrap());
    let with =
        async |method: Method, path: &str, body: Option<Value>| code(&call(&world, token, method, path, body).await);
    assert_eq!(with(Method::GET, "/api/v1/boxes", None).await, "200");
    // Not listed, though the role may.
    let attest = with(Method::POST, "/api/v1/boxes/none-none-0000/attest", None).await;
    assert_eq!(attest, "console.token_scope");
    // Listed, though the role may not.
    assert_eq!(
        with(Method::GET, "/api/v1/record/checkpoint", None).await,
        "policy.no_permit"
    );
    let change = json!({"old": "x", "new": OWN});
    assert_eq!(
        with(Method::POST, "/api/v1/account/password", Some(change)).await,
        "console.token_scope"
    );
    assert_eq!(
        with(Method::POST, path, wish(&["look"], 9)).await,
        "console.token_scope"
    );
    let gone = call(&world, &admin, Method::DELETE, &format!("{path}/{id}"), None).await;
    assert_eq!(code(&gone), "204");
    assert_eq!(with(Method::GET, "/api/v1/boxes", None).await, "console.not_signed_in");
    // A token stands in no database in clear.
    let rows = world.console().store().api_tokens().await.unwrap();
    assert!(
        rows.iter()
            .all(|row| row.sha256 != token && row.sha256 != sha256(b"").to_hex())
    );
}

// promise S-207
#[tokio::test]
async fn whoever_opens_the_envelope_raises_an_alarm_that_stands_until_it_is_settled() {
    let world = World::new().await;
    let (admin, session) = world.session("administrator", "api").await;
    let wish = json!({"name": "envelope", "role": "administrator", "kind": "break_glass"});
    let made = body_of(&call(&world, &admin, Method::POST, "/api/v1/accounts", Some(wish)).await);
    let alarms = async || body_of(&call(&world, &admin, Method::GET, "/api/v1/alarms", None).await)["alarms"].clone();
    assert_eq!(alarms().await, json!([]));
    let signed = sign_in(&world, "envelope", made["password"].as_str().unwrap(), None).await;
    assert_eq!(body_of(&signed)["must_change_password"], false);
    let raised = alarms().await;
    assert_eq!(
        (&raised[0]["kind"], &raised[0]["about"]),
        (&json!("break_glass"), &json!("envelope"))
    );
    let (cookie, _) = world.session("viewer", "page").await;
    let headers = [("cookie", format!("__Host-freehold={cookie}"))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let overview = async || {
        text(
            &world
                .person()
                .ask(Method::GET, "/", &headers, Bytes::new(), ANSWER)
                .await
                .unwrap(),
        )
    };
    assert!(overview().await.contains("break-glass account"));
    // A restart forgets no alarm.
    let stored = world.console().store().alarms().await.unwrap();
    assert_eq!(stored.len(), 1);
    let path = format!("/api/v1/alarms/{}/settle", stored[0].id);
    assert_eq!(code(&call(&world, &admin, Method::POST, &path, None).await), "204");
    assert_eq!(alarms().await, json!([]));
    assert!(!overview().await.contains("break-glass account"));
    assert!(!session.account.is_empty());
}

#[tokio::test]
async fn an_account_that_is_switched_off_is_out_at_once_and_the_last_administrator_stays() {
    let world = World::new().await;
    let (admin, row) = world.session("administrator", "api").await;
    let (operator, victim) = world.session("operator", "api").await;
    let path = format!("/api/v1/accounts/{}", victim.account);
    let wish = json!({"name": "own", "actions": ["look"], "days": 1});
    let made = body_of(&call(&world, &operator, Method::POST, &format!("{path}/tokens"), Some(wish)).await);
    let token = made["token"].as_str().unwrap();
    assert_eq!(
        code(&call(&world, token, Method::GET, "/api/v1/boxes", None).await),
        "200"
    );
    assert_eq!(
        code(&call(&world, &admin, Method::POST, &format!("{path}/disable"), None).await),
        "204"
    );
    for gone in [operator.as_str(), token] {
        assert_eq!(
            code(&call(&world, gone, Method::GET, "/api/v1/boxes", None).await),
            "console.not_signed_in"
        );
    }
    let bad = json!({"sites": ["nowhere"]});
    let answer = call(&world, &admin, Method::POST, &format!("{path}/sites"), Some(bad)).await;
    assert_eq!(code(&answer), "console.bad_site");
    // `admin` of the set-up and this one; one of them may go, not both.
    let gone = call(&world, &admin, Method::POST, "/api/v1/accounts/admin/disable", None).await;
    assert_eq!(code(&gone), "204");
    let me = format!("/api/v1/accounts/{}", row.account);
    for change in ["disable"] {
        let refused = call(&world, &admin, Method::POST, &format!("{me}/{change}"), None).await;
        assert_eq!(code(&refused), "console.last_administrator");
    }
    let narrow = json!({"sites": ["ward-7"]});
    let refused = call(&world, &admin, Method::POST, &format!("{me}/sites"), Some(narrow)).await;
    assert_eq!(code(&refused), "console.last_administrator");
}

#[tokio::test]
async fn an_account_is_changed_by_a_plan_that_is_confirmed_by_its_digest() {
    let world = World::new().await;
    let name = person(&world, "root", "administrator").await;
    let mut page = Page::of(&world, &name).await;
    let html = page.get("/access").await;
    assert!(html.contains("manage accounts"), "{html}");
    let wish = [
        ("change", "make"),
        ("name", "ben"),
        ("role", "viewer"),
        ("sites", "ward-7"),
        ("kind", "person"),
    ];
    let answer = page.post("/access/propose", &wish).await;
    let at = answer.headers["location"].to_str().unwrap().to_owned();
    let plan = page.get(&at).await;
    assert!(plan.contains("Make the account ben"), "{plan}");
    let digest = between(&plan, "name=\"digest\" value=\"", "\"").unwrap();
    let other = page
        .post(&format!("{at}/confirm"), &[("digest", &"0".repeat(64))])
        .await;
    assert_eq!(other.status, StatusCode::CONFLICT);
    assert!(world.console().store().account("ben").await.unwrap().is_none());
    let done = text(&page.post(&format!("{at}/confirm"), &[("digest", &digest)]).await);
    assert!(done.contains("This is shown once"), "{done}");
    let ben = world.console().store().account("ben").await.unwrap().unwrap();
    assert_eq!((ben.role.as_str(), ben.sites.as_str()), ("viewer", "ward-7"));
    // Two plans about one account: the first one done makes the second one outdated.
    let mut plans = Vec::new();
    for change in ["disable", "remove"] {
        let answer = page
            .post("/access/propose", &[("change", change), ("name", "ben")])
            .await;
        plans.push(answer.headers["location"].to_str().unwrap().to_owned());
    }
    let mut outcomes = Vec::new();
    for at in &plans {
        let plan = page.get(at).await;
        let digest = between(&plan, "name=\"digest\" value=\"", "\"").unwrap();
        outcomes.push(page.post(&format!("{at}/confirm"), &[("digest", &digest)]).await.status);
    }
    // Within one second a change is not told from the one before by its time.
    assert_eq!(outcomes[0], StatusCode::SEE_OTHER);
    let ben = world.console().store().account("ben").await.unwrap();
    assert!(ben.is_none_or(|ben| ben.disabled));
    // Somebody who does not manage accounts sees no such plan.
    let (viewer, _) = world.session("viewer", "api").await;
    let listed = body_of(&call(&world, &viewer, Method::GET, "/api/v1/plans", None).await);
    assert_eq!(listed["plans"], json!([]));
}

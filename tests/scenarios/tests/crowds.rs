//! Strangers in great number and of great length: ten gigabytes at every endpoint, ten thousand half-open connections.

use std::fs;
use std::time::{Duration, Instant};

use freehold_harness::World;
use freehold_harness::publisher::repository_root;
use freehold_scenarios::client::{Server, code_of, runtime};
use freehold_scenarios::crowd::{CROWD, Crowd};
use freehold_scenarios::explained;
use freehold_scenarios::flood::{Length, flood};
use freehold_scenarios::memory::Mark;
use http::Method;

/// What one process may grow by while strangers push ten gigabytes at it.
const GROWTH: u64 = 50 << 20;
/// What a server may take of ten gigabytes before it says no: its own limit, what the kernel holds on the way, and what it
/// throws away so that the client sees the answer.
const TAKEN: u64 = 80 << 20;
/// How long somebody else may wait meanwhile.
const SERVED: Duration = Duration::from_secs(5);

/// Method and path of every route, from the golden tables of the console's tests.
fn routes(table: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(repository_root().join("admin-ui/server/tests").join(table)).unwrap();
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (method, path) = (words.next()?, words.next()?);
        let known = matches!(method, "GET" | "POST" | "DELETE");
        (known && path.starts_with('/')).then(|| (method.to_owned(), path.to_owned()))
    });
    let filled = lines.map(|(method, path)| {
        let parts: Vec<&str> = path
            .split('/')
            .map(|part| if part.starts_with('{') { "one" } else { part })
            .collect();
        (method, parts.join("/"))
    });
    let all: Vec<_> = filled.collect();
    assert!(!all.is_empty(), "{table}");
    all
}

/// Floods every route in both ways while somebody else is served.
fn flood_all(server: &Server, routes: &[(String, String)], pid: u32, other: &Server, asked: &str) {
    let runtime = runtime();
    let mark = Mark::set(pid).unwrap();
    // How far each route took it, so that a growth can be laid at a door.
    let mut grown: Vec<(u64, String)> = Vec::new();
    for (method, path) in routes {
        for length in [Length::Announced, Length::Unknown] {
            let what = format!("{method} {path} {length:?}");
            let (refused, slowest) = runtime.block_on(async {
                let flooding = flood(server, method, path, "application/json", length);
                tokio::pin!(flooding);
                let mut slowest = Duration::ZERO;
                loop {
                    let began = Instant::now();
                    let asking = other.ask(Method::GET, asked, None);
                    tokio::pin!(asking);
                    let refused = tokio::select! {
                        refused = &mut flooding => Some(refused),
                        (status, answer) = async { asking.as_mut().await.unwrap() } => {
                            assert_eq!(status, 200, "{what}: {answer}");
                            slowest = slowest.max(began.elapsed());
                            None
                        }
                    };
                    if let Some(refused) = refused {
                        // Whoever asked meanwhile gets an answer.
                        if slowest.is_zero() {
                            let (status, answer) = asking.await.unwrap();
                            assert_eq!(status, 200, "{what}: {answer}");
                            slowest = began.elapsed();
                        }
                        break (refused.unwrap(), slowest);
                    }
                }
            });
            assert!(refused.sent <= TAKEN, "{what}: {} bytes were taken", refused.sent);
            assert!(slowest < SERVED, "{what}: another client waited {slowest:?}");
            if method == "POST" && refused.status.is_some_and(|status| status >= 400) {
                let json = serde_json::from_str(refused.body.trim()).unwrap_or_default();
                let code = code_of(&json);
                if !code.is_empty() {
                    explained(&code);
                }
            }
            if method == "POST" {
                assert!(
                    refused.status.is_none_or(|status| (300..500).contains(&status)),
                    "{what}: {refused:?}"
                );
            }
            let to = mark.growth().unwrap();
            if grown.last().is_none_or(|(before, _)| to > *before) {
                grown.push((to, what));
            }
        }
    }
    let growth = mark.growth().unwrap();
    let steps: Vec<String> = grown.iter().map(|(to, what)| format!("{to} after {what}")).collect();
    assert!(growth < GROWTH, "it grew by {growth} bytes:\n{}", steps.join("\n"));
}

// promise S-70
#[test]
fn ten_gigabytes_at_every_route_of_the_consoles_people_are_refused_early() {
    let world = World::new().unwrap();
    let pid = world.console.as_ref().unwrap().pid();
    let signed_in = Server::people(&world).unwrap();
    // Signing out would end the session that asks; it is flooded by somebody without one below.
    let mut routes = routes("matrix.golden");
    let all = routes.clone();
    routes.retain(|(method, path)| (method.as_str(), path.as_str()) != ("DELETE", "/api/v1/session"));
    flood_all(&signed_in, &routes, pid, &signed_in, "/api/v1/boxes");
    let nobody = signed_in.as_nobody();
    flood_all(&nobody, &all, pid, &signed_in, "/api/v1/boxes");
}

// promise S-70
#[test]
fn ten_gigabytes_at_every_route_of_the_consoles_boxes_are_refused_early() {
    let mut world = World::new().unwrap();
    world.join().unwrap();
    let pid = world.console.as_ref().unwrap().pid();
    let people = Server::people(&world).unwrap();
    let stranger = Server::boxes(&world).unwrap();
    flood_all(&stranger, &routes("box_routes.golden"), pid, &people, "/api/v1/boxes");
    // The box was not kept waiting either.
    let before = world.seen().unwrap()["report"]["sequence"].as_u64().unwrap_or(0);
    world
        .wait_seen("another report", |seen| {
            seen["report"]["sequence"].as_u64().is_some_and(|now| now > before)
        })
        .unwrap();
}

// promise S-70
#[test]
fn ten_gigabytes_at_every_route_of_a_gateway_are_refused_early() {
    let mut world = World::new().unwrap();
    world.join().unwrap();
    let address = world.one.start_gateway().unwrap();
    let pid = world.one.gateway.as_ref().unwrap().pid();
    let server = Server::gateway(&world, address).unwrap();
    wait_known(&server);
    let routes: Vec<(String, String)> = [
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/embeddings"),
        ("GET", "/api/version"),
        ("GET", "/api/tags"),
        ("POST", "/api/show"),
        ("POST", "/api/chat"),
        ("POST", "/api/generate"),
        ("POST", "/api/embed"),
        ("POST", "/nowhere"),
    ]
    .iter()
    .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
    .collect();
    flood_all(&server, &routes, pid, &server, "/v1/models");
    let nobody = server.as_nobody();
    flood_all(&nobody, &routes, pid, &server, "/v1/models");
}

/// Waits until the gateway has heard of the token.
fn wait_known(server: &Server) {
    let runtime = runtime();
    freehold_harness::wait_for("the token to be known", freehold_harness::PATIENCE, || {
        let answer = runtime.block_on(server.ask(Method::GET, "/v1/models", None));
        Ok(answer.ok().filter(|(status, _)| *status == 200).map(|_| ()))
    })
    .unwrap();
}

/// Holds the crowd at a door while `other` asks there, again and again.
fn crowd_at(server: &Server, asked: &str, expected: u16) {
    let runtime = runtime();
    runtime.block_on(async {
        let crowd = Crowd::at(server.address).await.unwrap();
        if crowd.len() < CROWD {
            println!(
                "skipped: {CROWD} connections, because this machine's limits gave {}",
                crowd.len()
            );
        }
        for _ in 0..20 {
            let began = Instant::now();
            let (status, answer) = server.ask(Method::GET, asked, None).await.unwrap();
            assert_eq!(status, expected, "{answer}");
            assert!(
                began.elapsed() < SERVED,
                "{:?} with {} others",
                began.elapsed(),
                crowd.len()
            );
        }
    });
}

// promise S-71
#[test]
fn b08_ten_thousand_half_open_connections_at_each_door_keep_nobody_out() {
    let mut world = World::new().unwrap();
    world.join().unwrap();
    let address = world.one.start_gateway().unwrap();
    let gateway = Server::gateway(&world, address).unwrap();
    wait_known(&gateway);
    crowd_at(&gateway, "/v1/models", 200);
    crowd_at(&Server::people(&world).unwrap(), "/api/v1/boxes", 200);
    // A stranger that finishes its handshake is answered as a stranger.
    crowd_at(&Server::boxes(&world).unwrap(), "/box/v1/enrol/status", 200);
    let before = world.seen().unwrap()["report"]["sequence"].as_u64().unwrap_or(0);
    world
        .wait_seen("another report", |seen| {
            seen["report"]["sequence"].as_u64().is_some_and(|now| now > before)
        })
        .unwrap();
}

//! A signed-in person: loads the fleet page again and again, and keeps one page open that follows the fleet.
//!
//! Invariant: a latency is the time from the request to the last byte of the body, over a connection that is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use freehold_dial::Dialer;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use tokio::task::JoinHandle;

use super::world::World;

/// Bounds a page.
const PAGE: usize = 1 << 20;
/// Pause between two pages: a person who turns pages faster than anybody does.
const PAUSE: Duration = Duration::from_millis(200);
/// What is looked at, in turns: whole, sorted, filtered, searched, a later page.
const ADDRESSES: [&str; 6] = [
    "/boxes",
    "/boxes?sort=label",
    "/boxes?q=crane",
    "/boxes?page=7",
    "/boxes?sort=proof&dir=down",
    "/boxes?verdict=refused",
];

/// Somebody who is signed in.
pub struct Visitor {
    cookie: String,
    looks: Dialer,
    follows: Dialer,
    fetches: Dialer,
}

/// What was seen, in milliseconds.
#[derive(Debug, Default)]
pub struct Seen {
    /// Whole fleet pages.
    pub fleet: Vec<f64>,
    /// The fragments that the live page fetched.
    pub live: Vec<f64>,
}

/// Percentiles of latencies, milliseconds.
#[derive(Debug)]
pub struct Latencies {
    /// Median.
    pub p50: f64,
    /// 99 of 100 are no longer.
    pub p99: f64,
    /// The longest.
    pub most: f64,
    /// How many.
    pub count: usize,
}

impl Latencies {
    /// Of these.
    pub fn of(all: &[f64]) -> Self {
        let mut sorted = all.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (sorted.len() as f64 * share).ceil() as usize;
            sorted.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
        };
        Self {
            p50: at(0.5),
            p99: at(0.99),
            most: at(1.0),
            count: sorted.len(),
        }
    }
}

impl Visitor {
    /// Signs in as a browser does.
    pub async fn sign_in(world: &World) -> anyhow::Result<Self> {
        let dialer = world.person()?;
        let form = format!("name=admin&password={}&next=%2F", World::PASSWORD.replace(' ', "+"));
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = dialer
            .ask(Method::POST, "/sign-in", &headers, form.into(), PAGE)
            .await?;
        ensure!(answer.status == StatusCode::SEE_OTHER, "signing in: {}", answer.status);
        let cookie = answer.headers.get("set-cookie").context("no cookie")?.to_str()?;
        Ok(Self {
            cookie: cookie.split(';').next().unwrap_or_default().to_owned(),
            looks: dialer,
            follows: world.person()?,
            fetches: world.person()?,
        })
    }

    /// Starts to look, and to follow.
    pub fn keep_looking(self) -> Looking {
        let counts = Arc::new(AtomicBool::new(false));
        let ends = Arc::new(AtomicBool::new(false));
        let Self {
            cookie,
            looks,
            follows,
            fetches,
        } = self;
        Looking {
            pages: tokio::spawn(turn_pages(cookie.clone(), looks, counts.clone(), ends.clone())),
            live: tokio::spawn(follow(cookie, follows, fetches, counts.clone(), ends.clone())),
            counts,
            ends,
        }
    }
}

/// The two tasks of a visitor.
pub struct Looking {
    counts: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    pages: JoinHandle<anyhow::Result<Vec<f64>>>,
    live: JoinHandle<anyhow::Result<Vec<f64>>>,
}

impl Looking {
    /// From now on latencies count.
    pub fn begin(&self) {
        self.counts.store(true, Ordering::Relaxed);
    }

    /// Ends looking.
    pub async fn end(self) -> anyhow::Result<Seen> {
        self.ends.store(true, Ordering::Relaxed);
        Ok(Seen {
            fleet: self.pages.await?.context("turning pages")?,
            live: self.live.await?.context("following")?,
        })
    }
}

async fn turn_pages(
    cookie: String,
    dialer: Dialer,
    counts: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
) -> anyhow::Result<Vec<f64>> {
    let mut seen = Vec::new();
    for address in ADDRESSES.iter().cycle() {
        if ends.load(Ordering::Relaxed) {
            break;
        }
        let took = page(&dialer, address, &[("cookie", &cookie)]).await?;
        if counts.load(Ordering::Relaxed) {
            seen.push(took);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(seen)
}

/// Asks for a page; milliseconds until its last byte.
async fn page(dialer: &Dialer, address: &str, headers: &[(&str, &str)]) -> anyhow::Result<f64> {
    let asked = Instant::now();
    let answer = dialer.ask(Method::GET, address, headers, Bytes::new(), PAGE).await?;
    let took = asked.elapsed().as_secs_f64() * 1000.0;
    ensure!(answer.status == StatusCode::OK, "{address}: {}", answer.status);
    ensure!(
        String::from_utf8_lossy(&answer.body).contains("id=\"live\""),
        "{address}: no fleet page"
    );
    Ok(took)
}

/// An open page: listens, and fetches its fragment when the fleet has changed, as htmx does.
async fn follow(
    cookie: String,
    follows: Dialer,
    fetches: Dialer,
    counts: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
) -> anyhow::Result<Vec<f64>> {
    let mut seen = Vec::new();
    let stream = follows
        .open(Method::GET, "/events", &[("cookie", &cookie)], Bytes::new())
        .await?;
    ensure!(stream.status() == StatusCode::OK, "events: {}", stream.status());
    let mut body = stream.into_body();
    let headers = [
        ("cookie", cookie.as_str()),
        ("hx-request", "true"),
        ("hx-target", "live"),
    ];
    while !ends.load(Ordering::Relaxed) {
        let Some(frame) = body.frame().await else { break };
        let Ok(data) = frame?.into_data() else { continue };
        if String::from_utf8_lossy(&data).contains("event: fleet") {
            let took = page(&fetches, "/boxes", &headers).await?;
            if counts.load(Ordering::Relaxed) {
                seen.push(took);
            }
        }
    }
    Ok(seen)
}

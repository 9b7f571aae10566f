//! How much each token asks: at the same time, and in a minute.
//!
//! Refuses above either number. Invariant: a place is given back when its guard is dropped, whatever happened to the request.

use crate::refusal::GatewayRejection;
use freehold_protocol::local::ApiToken;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// What every token uses at the moment.
#[derive(Debug, Clone, Default)]
pub struct Quotas(Arc<Mutex<HashMap<String, Use>>>);

#[derive(Debug)]
struct Use {
    running: u32,
    window: Instant,
    in_window: u32,
}

/// A token's place among its concurrent requests.
#[derive(Debug)]
pub struct Place {
    quotas: Quotas,
    token: String,
}

impl Quotas {
    /// Takes a place, or says what is used up.
    pub fn take(&self, token: &ApiToken, now: Instant) -> Result<Place, GatewayRejection> {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = uses.entry(token.id.clone()).or_insert(Use {
            running: 0,
            window: now,
            in_window: 0,
        });
        let since = now.saturating_duration_since(used.window);
        if since >= MINUTE {
            used.window = now;
            used.in_window = 0;
        }
        if used.running >= token.quota.concurrent {
            return Err(GatewayRejection::Quota {
                what: "requests at the same time",
                retry_after: 1,
            });
        }
        if used.in_window >= token.quota.per_minute {
            let left = MINUTE.saturating_sub(since).as_secs().saturating_add(1);
            let retry_after = u32::try_from(left).unwrap_or(60);
            return Err(GatewayRejection::Quota {
                what: "requests in a minute",
                retry_after,
            });
        }
        used.running = used.running.saturating_add(1);
        used.in_window = used.in_window.saturating_add(1);
        Ok(Place {
            quotas: self.clone(),
            token: token.id.clone(),
        })
    }

    /// Forgets tokens that the box no longer has and that run nothing.
    pub fn keep_only(&self, tokens: &[Arc<ApiToken>]) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.retain(|id, used| used.running > 0 || tokens.iter().any(|token| token.id == *id));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut uses = self.quotas.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = uses.get_mut(&self.token) {
            used.running = used.running.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freehold_protocol::local::Quota;

    #[test]
    fn both_numbers_hold_and_places_come_back() {
        let token = ApiToken {
            id: "t".to_owned(),
            name: String::new(),
            sha256: freehold_trust::sha256(b""),
            scopes: vec![],
            models: vec![],
            quota: Quota {
                concurrent: 1,
                per_minute: 2,
            },
            not_after: None,
        };
        let quotas = Quotas::default();
        let begun = Instant::now();
        let place = quotas.take(&token, begun).unwrap();
        assert_eq!(quotas.take(&token, begun).unwrap_err().code(), "gateway.quota");
        drop(place);
        drop(quotas.take(&token, begun).unwrap());
        let refused = quotas.take(&token, begun + Duration::from_secs(10)).unwrap_err();
        assert_eq!(refused.retry_after(), Some(51));
        assert!(quotas.take(&token, begun + MINUTE).is_ok());
        quotas.keep_only(&[]);
        assert!(quotas.0.lock().unwrap().is_empty());
    }
}

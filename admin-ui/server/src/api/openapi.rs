//! The description of the API.
//!
//! Refuses to describe a route that is not in the table: paths are taken from it. Invariant: every route of the table stands in
//! the document (a test compares).

use axum::Json;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::people::guard::Access;
use crate::people::routes::table;
use crate::people::session::Door;

/// The schemas of what goes in and out.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Freehold console",
        version = "1",
        description = "Everything that the pages do. Refusals are `Problem`."
    ),
    components(schemas(
        crate::refused::Problem,
        super::summary::BoxSummary,
        super::summary::FingerprintSeen,
        super::account::SignIn,
        super::account::NewSession,
        super::account::NewPassword,
        super::account::NewAccount,
        super::account::NewRole,
        super::account::NewSites,
        super::account::NewApiToken,
        super::change::Approval,
        super::change::Wish,
        super::change::NewToken,
        super::supply::NewAcceptance,
        super::reports::NewReport,
        super::change::LeaseWish,
        super::change::LeaseVerb,
        super::rollouts::SeenPlan,
        super::rollouts::RolloutApproval,
        crate::rollouts::Wish,
        crate::rollouts::shown::RolloutShown,
        crate::rollouts::shown::WaveShown,
        crate::rollouts::shown::BoxShown,
        crate::rollouts::shown::CountsShown,
        crate::rollouts::shown::ApprovalShown,
        crate::rollouts::shown::GivenShown,
        super::plans::Proposed,
        super::plans::PasskeyAnswer,
        super::plans::Confirmation
    ))
)]
pub struct Description;

/// `GET /api/v1/openapi.json`.
pub async fn document() -> Json<Value> {
    Json(whole())
}

/// The schema of a route's body, by path.
fn body_of(method: &str, path: &str) -> Option<&'static str> {
    match (method, path) {
        ("POST", "/api/v1/session") => Some("SignIn"),
        ("POST", "/api/v1/account/password") => Some("NewPassword"),
        ("POST", "/api/v1/accounts") => Some("NewAccount"),
        ("POST", "/api/v1/accounts/{name}/role") => Some("NewRole"),
        ("POST", "/api/v1/accounts/{name}/sites") => Some("NewSites"),
        ("POST", "/api/v1/accounts/{name}/tokens") => Some("NewApiToken"),
        ("POST", "/api/v1/boxes/{id}/approve") => Some("Approval"),
        ("POST", "/api/v1/boxes/{id}/assign") => Some("Wish"),
        ("POST", "/api/v1/boxes/{id}/plans") => Some("Proposed"),
        ("POST", "/api/v1/plans/{id}/approvals" | "/api/v1/rollouts/{id}/approvals") => Some("PasskeyAnswer"),
        ("POST", "/api/v1/plans/{id}/confirm") => Some("Confirmation"),
        ("POST", "/api/v1/boxes/{id}/tokens") => Some("NewToken"),
        ("POST", "/api/v1/acceptances") => Some("NewAcceptance"),
        ("POST", "/api/v1/reports") => Some("NewReport"),
        ("POST", "/api/v1/boxes/{id}/lease") => Some("LeaseWish"),
        ("POST", "/api/v1/rollouts" | "/api/v1/rollouts/plan") => Some("RolloutWish"),
        ("POST", "/api/v1/rollouts/{id}/approve") => Some("RolloutApproval"),
        ("POST", "/api/v1/rollouts/{id}/start") => Some("SeenPlan"),
        _ => None,
    }
}

/// The schema of a route's answer, by path.
fn answer_of(method: &str, path: &str) -> Option<&'static str> {
    match (method, path) {
        ("POST", "/api/v1/session") => Some("NewSession"),
        ("POST", "/api/v1/boxes/{id}/approve" | "/api/v1/boxes/{id}/refuse") => Some("BoxSummary"),
        ("GET", "/api/v1/rollouts/{id}") => Some("RolloutShown"),
        ("POST", path) if path.starts_with("/api/v1/rollouts") => Some("RolloutShown"),
        _ => None,
    }
}

/// Sets a field of an object; anything else stays as it is.
fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// The whole document.
#[must_use]
pub fn whole() -> Value {
    let mut document = serde_json::to_value(Description::openapi()).unwrap_or_default();
    let mut paths: Map<String, Value> = Map::new();
    for route in table().into_iter().filter(|route| route.gate.door == Door::Api) {
        let schema = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
        let content = |schema: Value| json!({ "application/json": { "schema": schema } });
        let path = route.path.replace("{*", "{");
        let parameters: Vec<Value> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        let answer = answer_of(route.method, route.path).map_or_else(|| json!({}), schema);
        let mut operation = json!({
            "summary": route.says,
            "parameters": parameters,
            "responses": {
                "2XX": { "description": "done", "content": content(answer) },
                "default": { "description": "refused", "content": content(schema("Problem")) },
            },
        });
        if let Some(body) = body_of(route.method, route.path) {
            put(
                &mut operation,
                "requestBody",
                json!({ "required": true, "content": content(schema(body)) }),
            );
        }
        match route.gate.access {
            Access::Anyone => put(&mut operation, "security", json!([])),
            Access::SignedIn => put(&mut operation, "x-freehold-action", json!("signed_in")),
            Access::May(action) => put(&mut operation, "x-freehold-action", json!(action.word())),
        }
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        put(entry, &route.method.to_lowercase(), operation);
    }
    put(&mut document, "paths", Value::Object(paths));
    put(&mut document, "security", json!([{ "bearer": [] }]));
    if let Some(components) = document.get_mut("components") {
        put(
            components,
            "securitySchemes",
            json!({ "bearer": { "type": "http", "scheme": "bearer" } }),
        );
    }
    document
}

//! The golden tables in `policies/cases`: what a security officer reads, and what the policies must do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use freehold_decide::{
    BundleData, ConsoleFacts, Decision, EvidenceFacts, GatewayFacts, Level, ModelFacts, Permission, PolicySet,
    RunFacts, Verdict,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// `words = facts` of a table, as JSON that a facts struct reads.
fn facts<F: DeserializeOwned>(table: &str, base: &Value, row: &str, text: &str) -> F {
    let mut value = base.clone();
    for word in text.split_whitespace().filter(|word| *word != "-") {
        let (name, set) = word
            .split_once('=')
            .unwrap_or_else(|| panic!("{table}, {row}: `{word}` is not name=value"));
        put(&mut value, name, set);
    }
    serde_json::from_value(value).unwrap_or_else(|error| panic!("{table}, {row}: {error}"))
}

fn put(value: &mut Value, name: &str, set: &str) {
    let map = value.as_object_mut().unwrap();
    let claims = [
        "tpm",
        "boot",
        "secure_boot",
        "development_keys",
        "firmware_changed",
        "firmware_notes",
    ];
    let map = if claims.contains(&name) && map.contains_key("claims") {
        map["claims"].as_object_mut().unwrap()
    } else {
        map
    };
    assert!(map.contains_key(name), "there is no fact `{name}`");
    let of = match (&map[name], set) {
        (Value::Bool(_), _) => json!(set == "yes"),
        (Value::Number(_), _) => json!(set.parse::<i64>().unwrap()),
        (Value::Array(_), "none") => json!([]),
        (Value::Array(_), _) => json!(set.split(',').collect::<Vec<_>>()),
        (_, "empty") => json!(""),
        (_, _) if name == "quote" && set.starts_with("refused:") => {
            json!({"refused": set.trim_start_matches("refused:")})
        }
        _ => json!(set),
    };
    map.insert(name.to_owned(), of);
}

struct Table {
    name: &'static str,
    rows: Vec<[String; 4]>,
    base: String,
}

/// A table: lines `case | facts that differ from the base | answer | policies`, the base in a line `base: …`, `#` comments.
fn table(name: &'static str) -> Table {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../cases")
        .join(name)
        .with_extension("txt");
    let text = std::fs::read_to_string(path).unwrap();
    let mut base = String::new();
    let mut rows = Vec::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(rest) = line.strip_prefix("base:") {
            base.push(' ');
            base.push_str(rest);
            continue;
        }
        let cells: Vec<String> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        rows.push(
            cells
                .try_into()
                .unwrap_or_else(|cells| panic!("{name}: four columns are wanted: {cells:?}")),
        );
    }
    Table { name, rows, base }
}

fn data() -> BundleData {
    BundleData {
        model_signers: ["publisher".to_owned()].into(),
        licences: ["Apache-2.0".to_owned(), "MIT".to_owned()].into(),
        base_models_forbidden: ["leaked-base".to_owned()].into(),
        engine_advisories_accepted: Some(Level::Medium),
        engine_advisories: [("patched", Level::Low), ("neglected", Level::Critical)]
            .map(|(name, level)| (name.to_owned(), level))
            .into(),
        leased_models: ["triage".to_owned()].into(),
    }
}

fn check<F: DeserializeOwned + serde::Serialize + Default, A>(
    table: &Table,
    decide: impl Fn(&F) -> Decision<A>,
    word: impl Fn(&A) -> &'static str,
    seen: &mut BTreeSet<String>,
) {
    let default = serde_json::to_value(F::default()).unwrap();
    let base: F = facts(table.name, &default, "base", &table.base);
    let base = serde_json::to_value(base).unwrap();
    let mut names = BTreeSet::new();
    for [case, changes, answer, policies] in &table.rows {
        assert!(names.insert(case), "{}: `{case}` is there twice", table.name);
        let decision = decide(&facts(table.name, &base, case, changes));
        let (wanted, code) = answer
            .split_once(' ')
            .map_or((answer.as_str(), None), |(a, code)| (a, Some(code.trim())));
        let found: Vec<&str> = decision.policies().collect();
        assert_eq!(
            (word(&decision.answer), decision.code.as_deref(), found.join(" ")),
            (wanted, code, policies.clone()),
            "{}: {case}",
            table.name
        );
        seen.extend(found.into_iter().map(str::to_owned));
    }
}

fn permission(answer: &Permission) -> &'static str {
    match answer {
        Permission::Allowed => "allowed",
        Permission::Denied => "denied",
    }
}

#[test]
fn every_case_of_the_tables_holds_and_every_policy_has_a_case() {
    let set = PolicySet::shipped(data()).unwrap();
    let mut seen = BTreeSet::new();
    check::<EvidenceFacts, _>(
        &table("evidence"),
        |f| set.accept_evidence(f),
        |verdict: &Verdict| verdict.word(),
        &mut seen,
    );
    check::<ModelFacts, _>(&table("model"), |f| set.admit_model(f), permission, &mut seen);
    check::<RunFacts, _>(&table("run"), |f| set.run_model(f), permission, &mut seen);
    check::<GatewayFacts, _>(&table("gateway"), |f| set.use_gateway(f), permission, &mut seen);
    check::<ConsoleFacts, _>(&table("console"), |f| set.use_console(f), permission, &mut seen);
    let missing: Vec<String> = set
        .summaries()
        .into_iter()
        .map(|policy| policy.id)
        .filter(|id| !seen.contains(id))
        .collect();
    assert!(missing.is_empty(), "policies without a case: {missing:?}");
}

/// The matrix of roles and actions: every cell is written down (G09, the part of policies).
#[test]
fn g09_matrix_of_roles_and_actions() {
    let set = PolicySet::shipped(data()).unwrap();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../cases/roles.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let roles: Vec<&str> = lines.next().unwrap().split_whitespace().skip(1).collect();
    let mut found: BTreeMap<(String, String), bool> = BTreeMap::new();
    for line in lines {
        let mut cells = line.split_whitespace();
        let action = cells.next().unwrap();
        for (role, cell) in roles.iter().zip(cells) {
            let mut map = Map::new();
            for (name, value) in [
                ("role", *role),
                ("action", action),
                ("account", "active"),
                ("session", "fresh"),
                ("site", "north"),
                ("proposer", "other"),
            ] {
                map.insert(name.to_owned(), json!(value));
            }
            map.insert("sites".to_owned(), json!(["north"]));
            let facts: ConsoleFacts = serde_json::from_value(Value::Object(map)).unwrap();
            let allowed = set.use_console(&facts).is_allowed();
            assert_eq!(allowed, cell == "yes", "{role} × {action}");
            let elsewhere = ConsoleFacts {
                site: "south".into(),
                ..facts.clone()
            };
            assert!(
                !set.use_console(&elsewhere).is_allowed(),
                "{role} × {action} at another site"
            );
            found.insert(((*role).to_owned(), action.to_owned()), allowed);
        }
    }
    assert_eq!(roles.len(), 5);
    assert!(
        found
            .iter()
            .all(|((_, action), allowed)| action != "read_prompts" || !allowed),
        "nobody reads prompts"
    );
    // Every action that a policy names is a row.
    for policy in freehold_decide::shipped_policies()["console.cedar"]
        .split('"')
        .skip(1)
        .step_by(2)
    {
        let is_action = policy.contains('_') || policy == "look" || policy == "assign" || policy == "attest";
        if is_action && policy != "use_console" && !policy.contains('.') {
            assert!(
                found.keys().any(|(_, action)| action == policy),
                "`{policy}` is not in roles.txt"
            );
        }
    }
}

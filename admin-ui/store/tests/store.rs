//! The database on a real disk: what is written comes back, races lose, a seal that fails leaves nothing.

use freehold_fleet::member::{AssignmentHead, CosignedHead, TokenRow};
use freehold_fleet::{Effect, EkTrust, Fleet, Keys, Member, Membership, Rules, TpmKind, Verdict};
use freehold_protocol::status::VerdictWord;
use freehold_store::{
    AccountChange, AccountRow, Change, CommitFault, FailureRow, PendingChange, PlanRow, SessionRow, Store,
};

const NOW: i64 = 1_800_000_000;

async fn sealed() -> Result<(), std::io::Error> {
    Ok(())
}

async fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&folder.path().join("console.db"), "ward-7")
        .await
        .expect("opens")
}

fn fleet() -> Fleet {
    Fleet::new("f1", "ward-7", Rules::default(), NOW)
}

fn keys(name: &str) -> Keys {
    Keys {
        record_spki_der: Vec::new(),
        ak_public: name.as_bytes().to_vec(),
        tls_public: name.as_bytes().to_vec(),
        tls_spki: name.to_owned(),
        tls_spki_der: name.as_bytes().to_vec(),
        fingerprint: format!("fp-{name}"),
    }
}

fn member(box_id: &str, ek: &str, key: &str) -> Member {
    Member {
        box_id: box_id.to_owned(),
        site: "ward-7".to_owned(),
        label: "Radiology B".to_owned(),
        ek: ek.to_owned(),
        ek_public: ek.as_bytes().to_vec(),
        ek_trust: EkTrust::Chain {
            root: "root".to_owned(),
            kind: TpmKind::Software,
        },
        membership: Membership::Approved {
            by: "ada".to_owned(),
            at: NOW,
        },
        active: Some(keys(key)),
        pending: None,
        enrolled_at: NOW,
        verdict: None,
        last_good: None,
        assignment: None,
        cosigned: None,
        tokens: Vec::new(),
        attest_wanted: false,
        report: None,
        report_at: None,
        inventory: None,
        challenge: None,
        spent: Vec::new(),
    }
}

fn saved(member: &Member) -> Effect {
    Effect::BoxSaved(Box::new(member.clone()))
}

fn verdict(word: VerdictWord, at: i64) -> Verdict {
    Verdict {
        word,
        because: vec!["because".to_owned()],
        refusals: Vec::new(),
        at,
        evidence: format!("e{at}"),
        claims: serde_json::json!({"boot": "measured"}),
        policies: vec!["evidence.trusted".to_owned()],
    }
}

#[tokio::test]
async fn what_is_written_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let mut memory = fleet();
    let head = AssignmentHead {
        counter: 1,
        targets: vec!["models/a/1/release.json".to_owned()],
        not_after: NOW + 9,
        at: NOW,
        by: "ada".to_owned(),
    };
    let token = TokenRow {
        id: "t1".to_owned(),
        name: "app".to_owned(),
        sha256: "s".to_owned(),
        models: vec!["a".to_owned()],
        expires: Some(NOW + 5),
        made_at: NOW,
        made_by: "ada".to_owned(),
    };
    let box_id = "amber-fox-9d1e".to_owned();
    let effects = vec![
        saved(&member(&box_id, "ek1", "k1")),
        saved(&member("blue-owl-0001", "ek2", "k2")),
        Effect::VerdictReached {
            box_id: box_id.clone(),
            verdict: Box::new(verdict(VerdictWord::Trusted, NOW)),
            evidence: vec![1],
        },
        Effect::VerdictReached {
            box_id: box_id.clone(),
            verdict: Box::new(verdict(VerdictWord::Refused, NOW + 1)),
            evidence: vec![2],
        },
        Effect::Assigned {
            box_id: box_id.clone(),
            head,
            envelope: b"envelope".to_vec(),
        },
        Effect::Cosigned {
            box_id: box_id.clone(),
            head: CosignedHead {
                size: 3,
                root: "r".to_owned(),
                at: NOW,
            },
        },
        Effect::TokenMade {
            box_id: box_id.clone(),
            token,
        },
    ];
    let changes: Vec<Change<'_>> = effects.iter().map(Change::Fleet).collect();
    store.commit(&changes, sealed()).await.unwrap();
    for effect in &effects {
        memory.apply(effect);
    }
    store.close().await;
    let store = open(&folder).await;
    let mut loaded = fleet();
    store.load(&mut loaded).await.unwrap();
    assert_eq!(loaded.boxes(), memory.boxes());
    assert_eq!(loaded.next_counter(&box_id), 2);
    assert_eq!(
        store.assignment_of(&box_id, 1).await.unwrap().as_deref(),
        Some(b"envelope".as_slice())
    );
    assert_eq!(store.evidence_of(&box_id, None).await.unwrap(), Some(vec![2]));
    let past: Vec<_> = store
        .verdicts_of(&box_id, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.verdict.word)
        .collect();
    assert_eq!(past, [VerdictWord::Refused, VerdictWord::Trusted]);
}

#[tokio::test]
async fn b05_fifty_attempts_at_once_from_two_processes_give_one_row() {
    let folder = tempfile::tempdir().unwrap();
    // Two handles on one file: what one process's memory says about the other's is worth nothing.
    let stores = [open(&folder).await, open(&folder).await];
    let mut attempts = Vec::new();
    for number in 0..50usize {
        let store = stores[number % 2].clone();
        attempts.push(tokio::spawn(async move {
            let effect = saved(&member("amber-fox-9d1e", &format!("ek{number}"), &format!("k{number}")));
            store.commit(&[Change::Fleet(&effect)], sealed()).await
        }));
    }
    let (mut won, mut lost) = (0, 0);
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(()) => won += 1,
            Err(CommitFault::Conflict { .. }) => lost += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((won, lost), (1, 49));
}

#[tokio::test]
async fn b06_one_ek_or_key_never_has_two_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let first = saved(&member("amber-fox-9d1e", "ek1", "k1"));
    store.commit(&[Change::Fleet(&first)], sealed()).await.unwrap();
    for other in [
        member("blue-owl-0001", "ek1", "k2"),
        member("blue-owl-0001", "ek2", "k1"),
    ] {
        let effect = saved(&other);
        let fault = store.commit(&[Change::Fleet(&effect)], sealed()).await.unwrap_err();
        assert!(matches!(fault, CommitFault::Conflict { .. }), "{fault}");
    }
    let mut loaded = fleet();
    store.load(&mut loaded).await.unwrap();
    assert_eq!(loaded.boxes().len(), 1);
}

#[tokio::test]
async fn what_is_not_sealed_did_not_happen() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let effect = saved(&member("amber-fox-9d1e", "ek1", "k1"));
    let broken = async { Err(std::io::Error::other("no room for the record")) };
    let fault = store.commit(&[Change::Fleet(&effect)], broken).await.unwrap_err();
    assert!(matches!(fault, CommitFault::NotSealed(_)), "{fault}");
    let mut loaded = fleet();
    store.load(&mut loaded).await.unwrap();
    assert!(loaded.boxes().is_empty());
}

#[tokio::test]
async fn a_counter_is_used_once_and_outlives_its_box() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let head = AssignmentHead {
        counter: 1,
        targets: vec!["a".to_owned()],
        not_after: NOW,
        at: NOW,
        by: "ada".to_owned(),
    };
    let assigned = Effect::Assigned {
        box_id: "amber-fox-9d1e".to_owned(),
        head,
        envelope: vec![1],
    };
    let kept = saved(&member("amber-fox-9d1e", "ek1", "k1"));
    store
        .commit(&[Change::Fleet(&kept), Change::Fleet(&assigned)], sealed())
        .await
        .unwrap();
    assert!(matches!(
        store.commit(&[Change::Fleet(&assigned)], sealed()).await,
        Err(CommitFault::Conflict { .. })
    ));
    let gone = Effect::BoxRemoved {
        box_id: "amber-fox-9d1e".to_owned(),
    };
    store.commit(&[Change::Fleet(&gone)], sealed()).await.unwrap();
    let mut loaded = fleet();
    store.load(&mut loaded).await.unwrap();
    assert!(loaded.boxes().is_empty());
    assert_eq!(loaded.next_counter("amber-fox-9d1e"), 2);
}

fn account(role: &str) -> AccountRow {
    AccountRow {
        site: "ward-7".to_owned(),
        name: "ada".to_owned(),
        role: role.to_owned(),
        password: "$argon2id$".to_owned(),
        must_change: true,
        made_at: NOW,
        changed_at: NOW,
        sites: "*".to_owned(),
        kind: "person".to_owned(),
        ..AccountRow::default()
    }
}

fn session(token: &str) -> AccountChange {
    AccountChange::SignedIn(SessionRow {
        token: token.to_owned(),
        id: format!("id-{token}"),
        account: "ada".to_owned(),
        door: "api".to_owned(),
        csrf: "c".to_owned(),
        made_at: NOW,
        expires: NOW + 100,
        address: "127.0.0.1".to_owned(),
        factor: "password".to_owned(),
    })
}

#[tokio::test]
async fn g10_sessions_end_with_the_role_the_password_and_the_account() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let run = async |change: AccountChange| store.commit(&[Change::Account(&change)], sealed()).await.unwrap();
    run(AccountChange::Made(account("operator"))).await;
    run(session("one")).await;
    run(session("two")).await;
    assert!(store.session("one", NOW).await.unwrap().is_some());
    assert!(store.session("one", NOW + 101).await.unwrap().is_none(), "ran out");
    let password = AccountChange::Password {
        name: "ada".to_owned(),
        password: "$new".to_owned(),
        must_change: false,
        at: NOW,
        keep: Some("two".to_owned()),
    };
    run(password).await;
    assert!(store.session("one", NOW).await.unwrap().is_none());
    assert!(
        store.session("two", NOW).await.unwrap().is_some(),
        "the one that changed it goes on"
    );
    run(AccountChange::Role {
        name: "ada".to_owned(),
        role: "viewer".to_owned(),
        at: NOW,
    })
    .await;
    assert!(store.session("two", NOW).await.unwrap().is_none());
    run(session("three")).await;
    run(AccountChange::Removed { name: "ada".to_owned() }).await;
    assert!(store.session("three", NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn old_verdicts_become_lean_and_then_only_their_turns_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let kept = saved(&member("amber-fox-9d1e", "ek1", "k1"));
    store.commit(&[Change::Fleet(&kept)], sealed()).await.unwrap();
    let reached = |word: VerdictWord, at: i64| {
        let mut verdict = verdict(word, at);
        verdict.claims = serde_json::json!({"boot_kind": "measured", "pcrs": [1, 2], "events": {"total": 3}});
        Effect::VerdictReached {
            box_id: "amber-fox-9d1e".to_owned(),
            verdict: Box::new(verdict),
            evidence: vec![1],
        }
    };
    // One good verdict, then faults for days, with one turn among them.
    let mut effects = vec![reached(VerdictWord::Trusted, NOW)];
    effects.extend((1..=320).map(|at| {
        let word = if at == 10 {
            VerdictWord::Attention
        } else {
            VerdictWord::Refused
        };
        reached(word, NOW + at)
    }));
    let changes: Vec<Change<'_>> = effects.iter().map(Change::Fleet).collect();
    store.commit(&changes, sealed()).await.unwrap();
    let all = store.verdicts_of("amber-fox-9d1e", 1000).await.unwrap();
    let whole = |row: &freehold_store::VerdictRow| row.verdict.claims.get("events").is_some();
    assert!(all.iter().take(8).all(whole));
    assert!(!all.iter().skip(8).any(whole));
    assert!(all.iter().all(|row| row.verdict.claims["boot_kind"] == "measured"));
    let old: Vec<i64> = all.iter().skip(288).map(|row| row.verdict.at - NOW).collect();
    assert_eq!(
        old,
        [11, 10, 1, 0],
        "the turns, and the one that came before the last 288"
    );
    let mut loaded = fleet();
    store.load(&mut loaded).await.unwrap();
    let good = loaded.member("amber-fox-9d1e").unwrap().last_good.clone().unwrap();
    assert_eq!(good.at, NOW + 10, "attention allowed a change");
}

#[tokio::test]
async fn plans_and_failures_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let plan = |id: &str, document: &str| {
        PendingChange::Plan(PlanRow {
            id: id.to_owned(),
            at: NOW,
            document: document.to_owned(),
        })
    };
    let failed = |name: &str, count: i64, last: i64| {
        PendingChange::Failed(FailureRow {
            name: name.to_owned(),
            count,
            last,
        })
    };
    let all = [
        plan("a", "waits"),
        plan("b", "waits"),
        plan("a", "done"),
        failed("account ada", 4, NOW),
        failed("account ada", 5, NOW + 1),
        failed("address 10.0.0.1", 1, NOW - 1000),
        failed("account bob", 2, NOW),
        PendingChange::Succeeded {
            name: "account bob".to_owned(),
        },
    ];
    let changes: Vec<Change<'_>> = all.iter().map(Change::Pending).collect();
    store.commit(&changes, sealed()).await.unwrap();
    store.close().await;
    let store = open(&folder).await;
    let plans: Vec<_> = store
        .plans()
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.id, row.document))
        .collect();
    assert_eq!(
        plans,
        [
            ("a".to_owned(), "done".to_owned()),
            ("b".to_owned(), "waits".to_owned())
        ]
    );
    let failures = store.failures(NOW - 900).await.unwrap();
    assert_eq!(failures.len(), 1);
    assert_eq!((failures[0].count, failures[0].last), (5, NOW + 1));
    for number in 0..600 {
        let change = plan(&format!("p{number}"), "waits");
        store.commit(&[Change::Pending(&change)], sealed()).await.unwrap();
    }
    assert_eq!(store.plans().await.unwrap().len(), 500, "the oldest are forgotten");
}

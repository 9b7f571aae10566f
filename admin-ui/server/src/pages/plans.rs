//! Proposing, showing, confirming and withdrawing a change.
//!
//! Refuses a confirmation whose digest is not that of the plan as it would be made now. Invariant: what is done is what the
//! plan says, by the same functions that the API calls.

mod told;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use freehold_fleet::{EkTrust, Event, LeaseChange, Member};
use freehold_protocol::fingerprint::Fingerprint as Words;
use freehold_verify::approval::ApprovalRejection;
use freehold_verify::webauthn::{Assertion, encoded};
use freehold_views::one_box::Tab;
use freehold_views::plan::{ApprovalPart, Approved, PlanState};
use freehold_views::shell::{Fingerprint, Notice, Outcome};
use freehold_views::{PlanPage, SecretPage, address};

pub use self::told::title;
use self::told::told;
use super::see;
use super::shell::{digest, fault, fingerprint};
use crate::approvals::Asked;
use crate::body::Form;
use crate::console::Console;
use crate::people::guard::SafeForm;
use crate::people::place::{OwnedPlace, Place};
use crate::people::proposal::account_of;
use crate::people::session::Visitor;
use crate::plan::{Plan, Proposal, Stand};
use crate::random;
use crate::refused::Refused;

/// Longest life of a token that the form offers, in days.
const TOKEN_DAYS: u32 = 3660;

fn nothing_waits() -> Refused {
    Refused::new(
        StatusCode::CONFLICT,
        "enrol.nothing_waits",
        "no enrolment of this box waits for a person",
    )
}

fn pending(member: &Member) -> Result<String, Refused> {
    member
        .pending
        .as_ref()
        .map(|keys| keys.fingerprint.clone())
        .ok_or_else(nothing_waits)
}

impl Console {
    /// The proposal as it would be made now: what `old` asks for, from the fleet as it is.
    fn renewed(&self, old: &Proposal) -> Result<Proposal, Refused> {
        let member = self
            .fleet()
            .member(old.box_id())
            .cloned()
            .ok_or_else(|| Refused::not_found("box"))?;
        let box_id = member.box_id.clone();
        Ok(match old {
            Proposal::Approve { .. } => Proposal::Approve {
                fingerprint: pending(&member)?,
                ek: (member.ek_trust == EkTrust::Hash).then(|| member.ek.clone()),
                box_id,
            },
            Proposal::Refuse { .. } => Proposal::Refuse {
                fingerprint: pending(&member)?,
                box_id,
            },
            Proposal::Assign { targets, .. } => {
                let names: Vec<String> = targets.keys().cloned().collect();
                let judged = self.judge_targets(&names)?;
                let targets = judged
                    .into_iter()
                    .map(|target| (target.name, target.sha256.to_hex()))
                    .collect();
                let counter = self.fleet().next_counter(&box_id);
                Proposal::Assign {
                    box_id,
                    targets,
                    counter,
                }
            }
            Proposal::MakeToken { name, days, .. } => Proposal::MakeToken {
                box_id,
                name: name.clone(),
                days: *days,
                tokens: member.tokens.len(),
            },
            Proposal::WithdrawToken { token, .. } => {
                if !member.tokens.iter().any(|row| row.id == *token) {
                    return Err(Refused::not_found("token"));
                }
                Proposal::WithdrawToken {
                    box_id,
                    token: token.clone(),
                }
            }
            Proposal::Lease { change, .. } => Proposal::Lease {
                changes: self.fleet().lease_order(&box_id).map_or(0, |order| order.changes),
                change: change.clone(),
                box_id,
            },
            Proposal::Account { .. } => old.clone(),
            Proposal::Remove { .. } => {
                let key = member
                    .shown_keys()
                    .map(|keys| keys.tls_spki.clone())
                    .unwrap_or_default();
                Proposal::Remove { box_id, key }
            }
        })
    }
}

/// `POST /boxes/{id}/propose`.
///
/// # Errors
/// 400 for an unknown action, 403, 404, 409, and the release's own code.
pub async fn propose(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(box_id): Path<String>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    let by = visitor.account.name.clone();
    let site = console.site_of(&box_id).ok_or_else(|| Refused::not_found("box"))?;
    let place = Place::Site(&site);
    let wish = match form.need("action")? {
        "attest" => {
            console
                .allow_at(&visitor, crate::people::action::Action::Attest, place)
                .await?;
            console
                .happen(Event::AttestWanted {
                    box_id: box_id.clone(),
                    by,
                })
                .await?;
            return Ok(see(&address::one_box(&box_id, Tab::Summary)));
        }
        "approve" => Proposal::Approve {
            box_id,
            fingerprint: String::new(),
            ek: None,
        },
        "refuse" => Proposal::Refuse {
            box_id,
            fingerprint: String::new(),
        },
        "assign" => {
            let targets = [(form.need("target")?.to_owned(), String::new())].into();
            Proposal::Assign {
                box_id,
                targets,
                counter: 0,
            }
        }
        "token" => {
            let days = form
                .need("days")?
                .trim()
                .parse()
                .ok()
                .filter(|days| (1..=TOKEN_DAYS).contains(days));
            let days = days.ok_or_else(|| Refused::unreadable(format!("`days` is a number from 1 to {TOKEN_DAYS}")))?;
            Proposal::MakeToken {
                box_id,
                name: form.need("name")?.trim().to_owned(),
                days,
                tokens: 0,
            }
        }
        "revoke_token" => Proposal::WithdrawToken {
            box_id,
            token: form.need("token")?.to_owned(),
        },
        "lease_withdraw" => Proposal::Lease {
            box_id,
            change: LeaseChange::Withdraw {
                models: form
                    .field("model")
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .into_iter()
                    .collect(),
            },
            changes: 0,
        },
        "lease_grant" => Proposal::Lease {
            box_id,
            change: LeaseChange::Grant,
            changes: 0,
        },
        "retire" => Proposal::Remove {
            box_id,
            key: String::new(),
        },
        _ => return Err(Refused::unreadable("there is no such action")),
    };
    console.allow_at(&visitor, wish.action(), place).await?;
    let plan = propose_plan(&console, &wish, &by).await?;
    Ok(see(&address::plan(&plan.id)))
}

/// Makes a plan of a wish, with what approvers are asked, and keeps it.
///
/// # Errors
/// As [`propose`], without the form's.
pub async fn propose_plan(console: &Console, wish: &Proposal, by: &str) -> Result<Plan, Refused> {
    let proposal = renew(console, wish).await?;
    let id = random::hex::<8>().map_err(|error| Refused::inside(&error))?;
    let plan = Plan {
        asked: console.ask_about(&id, &proposal, by),
        id,
        digest: proposal.digest(),
        stand: Stand::Waiting,
        by: by.to_owned(),
        at: console.now(),
        decided_by: String::new(),
        decided: None,
        proposal,
    };
    let entry = console
        .entry("plan.proposed", by)
        .about(plan.proposal.subject())
        .fact("plan", plan.digest.clone());
    let entry = entry.fact("title", title(&plan.proposal));
    console.pending_change(vec![plan.row()], vec![entry]).await?;
    console.0.plans.add(plan.clone());
    console.0.live.tell(crate::live::Changed::Approvals);
    Ok(plan)
}

async fn renew(console: &Console, wish: &Proposal) -> Result<Proposal, Refused> {
    if let Some((name, proposal)) = account_of(wish) {
        return Ok(Proposal::Account {
            proposal: console.renewed_account(name, proposal).await?,
            name: name.to_owned(),
        });
    }
    let (console, wish) = (console.clone(), wish.clone());
    tokio::task::spawn_blocking(move || console.renewed(&wish))
        .await
        .map_err(|error| Refused::inside(&error))?
}

/// `GET /plans/{id}`.
///
/// # Errors
/// 404.
pub async fn show(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Html<String>, Refused> {
    let plan = console.plan_of(&visitor, &id)?;
    Ok(Html(page(&console, &visitor, &plan).render()))
}

/// `POST /plans/{id}/confirm`.
///
/// # Errors
/// 403, 404, 409 when it stands elsewhere or has changed.
pub async fn confirm(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    let secret = confirm_plan(&console, &visitor, &id, form.need("digest")?).await?;
    match secret {
        Some(secret) => Ok(Html(secret.render()).into_response()),
        None => Ok(see(&address::plan(&id))),
    }
}

/// Confirms a plan by its digest, and does it.
///
/// # Errors
/// As [`confirm`].
pub async fn confirm_plan(
    console: &Console,
    visitor: &Visitor,
    id: &str,
    digest: &str,
) -> Result<Option<SecretPage>, Refused> {
    let plan = console.plan_of(visitor, id)?;
    console.allow_proposal(visitor, &plan.proposal).await?;
    let by = visitor.account.name.clone();
    let now = console.now();
    if plan.stand != Stand::Waiting {
        return Err(Refused::new(
            StatusCode::CONFLICT,
            "console.plan_decided",
            "the plan was decided already",
        ));
    }
    let outdated = match renew(console, &plan.proposal).await {
        Ok(renewed) => renewed.digest() != plan.digest,
        Err(_) => true,
    };
    if digest != plan.digest || outdated {
        let moved = if outdated {
            console.0.plans.advance(id, &Stand::Waiting, Stand::Outdated, &by, now)
        } else {
            None
        };
        let entry = console
            .entry("plan.confirmed", &by)
            .about(plan.proposal.subject())
            .refused("console.plan_changed");
        console.pending_change(moved.into_iter().collect(), vec![entry]).await?;
        let message = "what the plan was made from has changed since it was shown";
        return Err(Refused::new(StatusCode::CONFLICT, "console.plan_changed", message));
    }
    if let Some(refused) = lacks_people(&plan, now) {
        let entry = console.entry("plan.confirmed", &by).about(plan.proposal.subject());
        console.record(entry.refused(&refused.report.code)).await?;
        return Err(refused);
    }
    let Some(in_work) = console.0.plans.advance(id, &Stand::Waiting, Stand::InWork, &by, now) else {
        return Err(Refused::new(
            StatusCode::CONFLICT,
            "console.plan_decided",
            "the plan was decided already",
        ));
    };
    if let Err(refused) = console.pending_change(vec![in_work], Vec::new()).await {
        // Nothing was begun: the plan waits on.
        let _ = console.0.plans.advance(id, &Stand::InWork, Stand::Waiting, "", now);
        return Err(refused);
    }
    let done = carry_out(console, visitor, &plan, &by).await;
    let stand = match &done {
        Ok(_) => Stand::Done,
        Err(refused) => Stand::Refused(refused.report.clone()),
    };
    let ended = console.0.plans.advance(id, &Stand::InWork, stand, &by, console.now());
    // It was done or refused, and the record says so; a plan's row that cannot be written now says "interrupted" after a restart.
    let _ = console.pending_change(ended.into_iter().collect(), Vec::new()).await;
    console.0.live.tell(crate::live::Changed::Approvals);
    done
}

/// A plan that still needs people, or whose time with them is over.
fn lacks_people(plan: &Plan, now: i64) -> Option<Refused> {
    let asked = plan.asked.as_ref()?;
    let not_after = asked.read().map_or(i64::MIN, |statement| statement.not_after);
    if not_after < now {
        return Some(Refused::of(&ApprovalRejection::Expired { not_after, now }));
    }
    (asked.missing() > 0).then(|| {
        Refused::of(&ApprovalRejection::Missing {
            release: title(&plan.proposal),
            needed: asked.needed,
            found: asked.given.len(),
        })
    })
}

/// `POST /plans/{id}/approve`.
///
/// # Errors
/// 403, 404, 409, 422 with the box's own code.
pub async fn approve(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    console.approve_plan(&visitor, &id, assertion(&form)?).await?;
    Ok(see(&address::plan(&id)))
}

/// What the page's script put into the form after the passkey had signed.
pub(super) fn assertion(form: &Form) -> Result<Assertion, Refused> {
    Ok(Assertion {
        credential: form.need("credential")?.to_owned(),
        authenticator_data: form.need("authenticator_data")?.to_owned(),
        client_data: form.need("client_data")?.to_owned(),
        signature: form.need("signature")?.to_owned(),
    })
}

async fn carry_out(console: &Console, visitor: &Visitor, plan: &Plan, by: &str) -> Result<Option<SecretPage>, Refused> {
    let by = by.to_owned();
    match plan.proposal.clone() {
        Proposal::Approve {
            box_id,
            fingerprint,
            ek,
        } => {
            console
                .happen(Event::Approved {
                    box_id,
                    fingerprint,
                    ek,
                    by,
                })
                .await?;
        }
        Proposal::Refuse { box_id, .. } => {
            console.happen(Event::Refused { box_id, by }).await?;
        }
        Proposal::Assign { box_id, targets, .. } => {
            let names: Vec<String> = targets.into_keys().collect();
            let lines = console.plan_lines(&plan.proposal);
            let package = plan.asked.as_ref().and_then(|asked| asked.package(&lines, &box_id));
            let packages = package.into_iter().collect();
            console.assign_approved(&box_id, &names, None, &by, packages).await?;
        }
        Proposal::MakeToken { box_id, name, days, .. } => {
            let made = console.make_token(&box_id, &name, Vec::new(), Some(days), &by).await?;
            return Ok(Some(SecretPage {
                shell: console.shell(Some(visitor), &address::one_box(&box_id, Tab::Models)),
                title: format!("Token for \"{name}\""),
                secret: made.token,
                facts: vec![("box".to_owned(), box_id.clone()), ("id".to_owned(), made.row.id)],
                command: format!("freehold ask {box_id} \"…\""),
                back_href: address::one_box(&box_id, Tab::Models),
                back: format!("Back to {box_id}"),
            }));
        }
        Proposal::WithdrawToken { box_id, token } => {
            console.happen(Event::TokenWithdrawn { box_id, id: token, by }).await?;
        }
        Proposal::Lease { box_id, change, .. } => {
            console.happen(Event::LeaseChanged { box_id, change, by }).await?;
        }
        Proposal::Account { name, proposal } => {
            return console.carry_out_account(visitor, &name, &proposal, &by).await;
        }
        Proposal::Remove { box_id, .. } => {
            console.happen(Event::Removed { box_id, by }).await?;
        }
    }
    Ok(None)
}

/// `POST /plans/{id}/withdraw`.
///
/// # Errors
/// 404, 409.
pub async fn withdraw(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    SafeForm(_): SafeForm,
) -> Result<Response, Refused> {
    let plan = console.plan_of(&visitor, &id)?;
    console.allow_proposal(&visitor, &plan.proposal).await?;
    let by = &visitor.account.name;
    let now = console.now();
    let Some(withdrawn) = console.0.plans.advance(&id, &Stand::Waiting, Stand::Withdrawn, by, now) else {
        return Err(Refused::new(
            StatusCode::CONFLICT,
            "console.plan_decided",
            "the plan was decided already",
        ));
    };
    let entry = console
        .entry("plan.withdrawn", by)
        .about(plan.proposal.subject())
        .fact("plan", plan.digest.clone());
    if let Err(refused) = console.pending_change(vec![withdrawn], vec![entry]).await {
        let _ = console.0.plans.advance(&id, &Stand::Withdrawn, Stand::Waiting, "", now);
        return Err(refused);
    }
    console.0.live.tell(crate::live::Changed::Approvals);
    Ok(see(&address::plan(&id)))
}

fn page(console: &Console, visitor: &Visitor, plan: &Plan) -> PlanPage {
    let mut shell = console.shell(Some(visitor), &address::plan(&plan.id));
    // Before the fleet is held: both look into it.
    let may_confirm = console.permits_proposal(visitor, &plan.proposal);
    let places = [console.place_of_proposal(&plan.proposal)];
    let approval = (plan.asked.as_ref()).map(|asked| approval(console, visitor, asked, &plan.by, &places));
    let fleet = console.fleet();
    let box_id = plan.proposal.box_id().to_owned();
    let member = fleet.member(&box_id);
    let (lines, consequences, undo, verb) = told(&plan.proposal, member);
    let about = account_of(&plan.proposal);
    let (state, faults) = match &plan.stand {
        Stand::Waiting | Stand::InWork => (PlanState::Waiting, Vec::new()),
        Stand::Done => (PlanState::Done, Vec::new()),
        Stand::Refused(report) => (PlanState::Refused, vec![fault(report, plan.decided)]),
        Stand::Withdrawn => (PlanState::Withdrawn, Vec::new()),
        Stand::Outdated => (PlanState::Outdated, Vec::new()),
    };
    if plan.stand == Stand::Done {
        shell.notice = Some(Notice {
            text: format!("Done: {}.", title(&plan.proposal)),
            outcome: Outcome::Done,
        });
    }
    let compare = match (&plan.proposal, member) {
        (Proposal::Approve { .. }, Some(member)) => member
            .shown_keys()
            .map(|keys| {
                let all = Words::over(&member.ek_public, &keys.ak_public, &keys.tls_public);
                vec![Fingerprint {
                    of: "EK, AK and TLS key together".to_owned(),
                    hex: all.hex(),
                    words: all.words(),
                }]
            })
            .unwrap_or_default(),
        _ => Vec::new(),
    };
    PlanPage {
        id: plan.id.clone(),
        title: title(&plan.proposal),
        verb: verb.to_owned(),
        grave: matches!(plan.proposal, Proposal::Remove { .. } | Proposal::Refuse { .. })
            || about.is_some_and(|(_, proposal)| proposal.told().grave),
        state,
        lines,
        consequences,
        undo: undo.to_owned(),
        compare,
        approval,
        digest: fingerprint("plan (SHA-256)", &plan.digest),
        proposed_by: plan.by.clone(),
        proposed: plan.at,
        decided_by: plan.decided_by.clone(),
        decided: plan.decided,
        faults,
        may_confirm,
        why_not: if may_confirm {
            String::new()
        } else {
            format!("your role `{}` may look", visitor.account.role)
        },
        subject_href: if about.is_some() {
            address::ACCESS.to_owned()
        } else if member.is_some() {
            address::one_box(&box_id, Tab::Summary)
        } else {
            address::BOXES.to_owned()
        },
        subject: about.map_or(box_id, |(name, _)| name.to_owned()),
        shell,
    }
}

/// What approvers see of a plan, or of a rollout, that `proposer` made and that needs them.
pub(super) fn approval(
    console: &Console,
    visitor: &Visitor,
    asked: &Asked,
    proposer: &str,
    places: &[OwnedPlace],
) -> ApprovalPart {
    let approvers = console.shelf().approvers.clone();
    let me = &visitor.account.name;
    let listed = approvers
        .as_ref()
        .and_then(|list| list.approvers.iter().find(|approver| approver.name == *me));
    let why_not = if proposer == *me {
        "You proposed this plan: somebody else has to approve it.".to_owned()
    } else if !console.permits_deciding(visitor, proposer, places) {
        format!("Your role `{}` does not approve.", visitor.account.role)
    } else if asked.given.iter().any(|given| given.name == *me) {
        "You have approved this plan.".to_owned()
    } else if listed.is_none() {
        "The publisher's policy lists no passkey of yours: register one on your account page, and send its line to the publisher."
            .to_owned()
    } else {
        String::new()
    };
    let keys = listed.map(|approver| {
        approver
            .keys
            .iter()
            .map(|key| key.credential.clone())
            .collect::<Vec<_>>()
    });
    ApprovalPart {
        needed: asked.needed,
        given: asked
            .given
            .iter()
            .map(|given| Approved {
                name: given.name.clone(),
                at: given.at,
            })
            .collect(),
        digest: digest("what approvers sign (SHA-256)", asked.digest()),
        until: asked.read().map(|statement| statement.not_after).unwrap_or_default(),
        may_approve: why_not.is_empty(),
        why_not,
        challenge: encoded(asked.digest().as_bytes()),
        relying_party: approvers.map(|list| list.relying_party.clone()).unwrap_or_default(),
        credentials: keys.unwrap_or_default(),
    }
}

//! Every kind of entry, in the order of their names.
//!
//! Refuses nothing by itself. Invariant: sorted, and the table in docs/record.md says the same (a test compares).

use super::{Field, Form, Kind};

/// `kinds! { "what" "says" { has name: Form, may name: Form } … }`: what an entry has, and what it may have.
macro_rules! kinds {
    (@needed has) => { true };
    (@needed may) => { false };
    ($($what:literal $says:literal { $($need:ident $name:ident : $form:ident),* $(,)? })*) => {
        /// Every kind of entry that boxes and consoles of this version write.
        pub const KINDS: &[Kind] = &[$(Kind {
            what: $what,
            says: $says,
            fields: &[$(Field { name: stringify!($name), form: Form::$form, needed: kinds!(@needed $need) }),*],
        }),*];
    };
}

kinds! {
    "account.disabled" "A person switched an account off." {}
    "account.enabled" "A person switched an account on." {}
    "account.made" "A person made an account." { has role: Text, may kind: Text, may sites: Texts }
    "account.password" "A person changed a password, or tried to." {}
    "account.removed" "A person removed an account." {}
    "account.reset" "A person gave an account a new one-time password and took its second factors away." {}
    "account.role" "A person changed an account's role." { has role: Text }
    "account.sites" "A person changed the sites that an account is for." { has sites: Texts }
    "alarm.settled" "A person settled an alarm." { has alarm: Text, has kind: Text }
    "api_token.made" "A person made a token for the console's API." { has token_id: Text, has actions: Texts, has until: Number }
    "api_token.withdrawn" "A person withdrew a token for the console's API." { has token_id: Text }
    "assignment.accepted" "The box accepted a signed assignment." { has counter: Number, has envelope: Digest, has targets: Texts, may approved_by: Texts }
    "assignment.achieved" "The box runs what its assignment says." { has counter: Number }
    "assignment.made" "The console signed an assignment for a box." { may counter: Number, has targets: Texts }
    "assignment.refused" "The box refused an assignment." { may envelope: Digest }
    "boot.replayed" "A simulated box replayed its boot log into its software TPM." { may events: Number }
    "box.refused" "A box reported that it refused something." {}
    "bundle.made" "The console wrote a bundle for a stick." { has number: Number, has set: Digest, has boxes: Texts }
    "bundle.refused" "The box refused a bundle on a stick." {}
    "bundle.returned" "The box wrote its answer on a stick, or the console read one." { may number: Number, may achieved: Number, may sequence: Number, may taken: Texts }
    "bundle.taken" "The box begins to take in a bundle." { has number: Number, has set: Digest, has made_at: Number }
    "codes.made" "A person switched on codes of an authenticator app, or tried to." {}
    "codes.removed" "A person switched off codes of an authenticator app, or tried to." {}
    "console.conflict" "Two changes met; the later one did not happen." { may constraint: Text }
    "console.conversation" "What the console said was refused by the box." {}
    "console.request" "A request to the console was refused." { may action: Text, may role: Text }
    "console.started" "The console began to serve." { has version: Text }
    "console.stopped" "The console stopped serving." {}
    "console.undone" "An entry before this one tells of a change that did not happen." {}
    "engine.start" "The box begins to start an engine." { has model: Digest, has name: Text, has purpose: Text, may release: Digest }
    "engine.stop" "The box begins to stop an engine." { has model: Digest, has purpose: Text, has because: Text }
    "enrol.approved" "A person approved a box." { may ek: Text, may fingerprint: Text }
    "enrol.begin" "The box asks a console to take it in." { has fingerprint: Text }
    "enrol.begun" "A computer asked to be taken in, and was refused." { may ek: Text, may tls_key: Text }
    "enrol.proof" "A computer could not prove what it claimed." { may ek: Text, may tls_key: Text }
    "enrol.proven" "A computer proved its TPM, or the box heard that it did." { may ek: Text, may tls_key: Text, may fingerprint: Text, may tpm: Text }
    "enrol.refused" "A person refused a box." {}
    "enrol.removed" "A person took a box out of the fleet." {}
    "enrol.state" "The box heard where its enrolment stands." { has state: Text }
    "evidence.read" "A person took an evidence package." { may evidence: Digest }
    "evidence.shown" "A box showed evidence that answers no challenge." {}
    "evidence.wanted" "A person asked a box for evidence." {}
    "finding.accepted" "A person accepted a known fault of a component for a time." { has package: Text, has reason: Text, has until: Number, has severity: Text }
    "fleet.learnt" "The box learnt the keys of its fleet." { has fleet: Text, has director: Digest, has tuf_root: Digest }
    "fleet.made" "The fleet was made." { has name: Text, has simulated_allowed: Flag, has administrator: Text }
    "fleet.site" "A person added a site that the console serves." {}
    "health.check" "The box begins to ask a release its own questions." { has model: Digest, has name: Text, may release: Digest }
    "health.confirmed" "A release answered as it should; the box keeps it." { has model: Digest, has name: Text, may release: Digest, has version: Text, may right: Number, may questions: Number, may milli_tokens_per_second: Number }
    "health.went_back" "A release did not answer as it should; the box goes back." { has model: Digest, has name: Text, may release: Digest, has version: Text, may right: Number, may questions: Number, may milli_tokens_per_second: Number }
    "lease.granted" "A person lets a box have verdict leases again." {}
    "lease.held" "The box holds a verdict lease." { may until: Number, has models: Texts }
    "lease.lost" "The box holds no verdict lease any more." { may models: Texts }
    "lease.refused" "The box refused a verdict lease." {}
    "lease.withdrawn" "A person withdrew a box's verdict lease, for some models or for all." { has models: Texts }
    "model.admit" "The box begins to decide about a model." { has model: Digest, has name: Text, may release: Digest }
    "model.admitted" "A policy admitted a model." { has model: Digest, has name: Text, may release: Digest, has signer: Text, has because: Texts }
    "model.remove" "The box begins to remove a model." { has model: Digest, has name: Text, may release: Digest, has because: Text }
    "model.store" "The box begins to store a model." { has model: Digest, has name: Text, may release: Digest }
    "model.verify" "The box begins to verify a model." { has model: Digest, has name: Text, may release: Digest }
    "passkey.made" "A person added a passkey, or tried to." { has purpose: Text }
    "passkey.removed" "A person removed a passkey." { has credential: Text }
    "plan.approved" "A person approved a plan with a passkey, or tried to." { has plan: Text, has statement: Digest, has credential: Text }
    "plan.begun" "The box begins to carry out a plan." { has plan: Digest, may assignment: Number, has steps: Number }
    "plan.confirmed" "A person confirmed a plan." { may plan: Text }
    "plan.proposed" "A person proposed a plan." { has plan: Text, has title: Text }
    "plan.withdrawn" "A person withdrew a plan." { may plan: Text }
    "policy.taken" "The box decides by another policy bundle from now on." { has target: Text, has release: Digest }
    "record.counted" "The TPM's counter goes to this number; the entry is written first." { has count: Number, has index: Text, has because: Text, has reset_count: Number, has restart_count: Number, has clock_ms: Number }
    "record.read" "Somebody read the record." { may from: Number, may entries: Number, may as_file: Text }
    "record.rolled_back" "The TPM has counted further than this record: it is an older copy." { may count: Number, may counted: Number }
    "record.shown" "A box showed the head of its record, and the console cosigned it or refused." { may size: Number, may root: Digest }
    "record.witnessed" "A box cosigned a head of another record as its witness." { has origin: Text, has size: Number, has root: Digest }
    "recovery.made" "A person took new recovery codes, or tried to." {}
    "release.cancel" "The box begins to cancel a download." { has release: Digest, has because: Text }
    "release.discard" "The box begins to delete what it had fetched of a release." { has release: Digest }
    "release.fetch" "The box begins to fetch a file of a release." { has release: Digest, has path: Text, has chunks: Number }
    "release.imported" "The console took in what the publisher exported, or refused it." { has releases: Texts, may root_version: Number, may targets_version: Number }
    "release.refused" "The box refused what it was assigned." { has target: Text }
    "release.reuse" "The box takes a file from a release that it has." { has release: Digest, has path: Text, has from: Digest }
    "report.made" "A person made an auditor's report." { has sha256: Digest, has scope: Text }
    "request.abandoned" "A client went away before its answer was whole." { has request: Text, has route: Text, may model: Digest, may first_token_ms: Number, has total_ms: Number, may prompt_tokens: Number, may answer_tokens: Number, may verdict: Text, may policy: Text, may prompt_commitment: Digest, may reply_commitment: Digest }
    "request.answered" "A client was answered." { has request: Text, has route: Text, may model: Digest, may first_token_ms: Number, has total_ms: Number, may prompt_tokens: Number, may answer_tokens: Number, may verdict: Text, may policy: Text, may prompt_commitment: Digest, may reply_commitment: Digest }
    "request.refused" "A client was refused." { has request: Text, has route: Text, may model: Digest, may first_token_ms: Number, has total_ms: Number, may prompt_tokens: Number, may answer_tokens: Number, may verdict: Text, may policy: Text, may prompt_commitment: Digest, may reply_commitment: Digest }
    "revocations.seen" "The box saw a newer list of revocations." { has counter: Number }
    "rollout.aborted" "A person ended a rollout." { has plan: Digest }
    "rollout.approved" "A person approved a rollout, or tried to." { has plan: Digest, may statement: Digest, may credential: Text }
    "rollout.box" "A box went on in a rollout." { has box: Text, has stage: Text, may gate: Text }
    "rollout.paused" "A person paused a rollout." { has plan: Digest }
    "rollout.phase" "A rollout went on by itself, or stopped." { has phase: Text, may failed: Number, may box: Text }
    "rollout.proposed" "A person proposed a rollout." { has plan: Digest, has release: Text, has boxes: Number }
    "rollout.resumed" "A person resumed a rollout." { has plan: Digest }
    "rollout.rolled_back" "A person sent the boxes of a rollout back." { has plan: Digest }
    "rollout.started" "A person started a rollout." { has plan: Digest }
    "rollout.wave" "A wave of a rollout began." { has wave: Number }
    "rollout.wave_allowed" "A person allowed the next wave of a rollout." { has plan: Digest, has wave: Number }
    "screen.console_confirmed" "A person at the box confirmed its console." { has fingerprint: Text }
    "screen.recovery_key_written" "A person at the box wrote down the recovery key." {}
    "screen.settings_typed" "A person at the box typed its settings." { has fingerprint: Text }
    "screen.shut_down" "A person at the box shut it down." {}
    "session.again" "A person gave the password again, or tried to." {}
    "session.ended" "A person ended a session." { has session_id: Text }
    "session.sign_in" "A person signed in, or tried to." { has from: Text, may door: Text, may factor: Text, may session_id: Text }
    "session.sign_out" "A person signed out." { has session_id: Text }
    "step.failed" "A step of a plan did not work; it will be tried again." { has step: Text }
    "step.refused" "A step of a plan was refused; it will not be tried again." { has step: Text }
    "supervisor.started" "The box's supervisor began." { has version: Text, has fleet: Text }
    "supervisor.stopped" "The box's supervisor stopped as it was told." {}
    "token.made" "A person made a token for an application." { has token_id: Text, has name: Text, has models: Texts }
    "token.withdrawn" "A person withdrew a token." { has token_id: Text }
    "tpm.fault" "The TPM does not answer as it should." {}
    "update.confirmed" "The box found its new system healthy." { has release: Digest, has name: Text, has version: Text }
    "update.floor" "The box begins to raise the floor below which no system starts." { has level: Number }
    "update.restart" "The box begins to restart into another system." { has release: Digest, has name: Text, has version: Text }
    "update.stage" "The box begins to lay a system ready." { has release: Digest, has name: Text, has version: Text }
    "update.went_back" "The box runs the system before again." { has release: Digest }
    "update.write" "The box begins to write a system beside the one that runs." { has release: Digest, has name: Text, has version: Text }
    "verdict.reached" "The console reached a verdict about evidence." { has verdict: Text, has evidence: Digest, has policies: Texts }
    "verdict.received" "The box heard the console's verdict." { has verdict: Text, has because: Texts }
}

//! Reading the fleet back at start.
//!
//! Refuses to bring back open challenges and sessions: a console that starts again, from whatever copy of its state, accepts
//! no nonce of the past. Invariant: what was written by [`crate::change`] and loaded again equals what was in memory.

use std::collections::HashMap;

use freehold_fleet::member::{AssignmentHead, CosignedHead, Membership, TokenRow};
use freehold_fleet::{Effect, Fleet, LeaseOrder, Member, Verdict};
use freehold_protocol::report::BoxReport;
use sqlx::FromRow;

use crate::fault::{StoreFault, document, query};
use crate::open::Store;

#[derive(FromRow)]
struct BoxRow {
    document: String,
}

#[derive(FromRow)]
struct OwnedDocument {
    box_id: String,
    document: String,
}

#[derive(FromRow)]
struct AssignmentRow {
    box_id: String,
    counter: i64,
    not_after: i64,
    at: i64,
    made_by: String,
    targets: String,
}

#[derive(FromRow)]
struct CosignedRow {
    box_id: String,
    size: i64,
    root: String,
    at: i64,
}

#[derive(FromRow)]
struct TokenDbRow {
    id: String,
    box_id: String,
    sha256: String,
    name: String,
    models: String,
    expires: Option<i64>,
    made_at: i64,
    made_by: String,
}

#[derive(FromRow)]
struct ReportRow {
    box_id: String,
    at: i64,
    document: String,
    inventory: Option<String>,
}

impl Store {
    /// Fills an empty fleet with everything stored.
    ///
    /// # Errors
    /// When the database fails or holds a document that this program cannot read.
    pub async fn load(&self, fleet: &mut Fleet) -> Result<(), StoreFault> {
        let last =
            "SELECT box_id, document FROM verdicts WHERE number IN (SELECT max(number) FROM verdicts GROUP BY box_id)";
        let good = "SELECT box_id, document FROM verdicts WHERE number IN
                    (SELECT max(number) FROM verdicts WHERE good = 1 GROUP BY box_id)";
        let mut verdicts = self.verdicts(last).await?;
        let mut goods = self.verdicts(good).await?;
        let mut heads = self.heads().await?;
        let mut cosigned = self.cosigned().await?;
        let mut tokens = self.tokens().await?;
        let rows: Vec<BoxRow> = sqlx::query_as("SELECT document FROM boxes ORDER BY box_id")
            .fetch_all(&self.readers)
            .await
            .map_err(query("boxes"))?;
        for (box_id, head) in &heads {
            fleet.restore_counter(box_id, head.counter);
        }
        for row in rows {
            let mut member: Member = serde_json::from_str(&row.document).map_err(document("box"))?;
            // What was proven or assigned before this approval was about other keys.
            let since = match member.membership {
                Membership::Approved { at, .. } => at,
                Membership::Waiting | Membership::Refused { .. } => i64::MAX,
            };
            let id = member.box_id.clone();
            let last = verdicts.remove(&id).filter(|verdict| verdict.at >= since);
            member.verdict = last.map(|verdict| verdict.lean());
            member.last_good = goods.remove(&id).map(|good| good.lean());
            member.assignment = heads.remove(&id).filter(|head| head.at >= member.enrolled_at);
            member.cosigned = cosigned.remove(&id);
            member.tokens = tokens.remove(&id).unwrap_or_default();
            fleet.restore(member);
        }
        for (box_id, order) in self.leases().await? {
            fleet.apply(&Effect::LeaseSaved { box_id, order });
        }
        for (box_id, report, at) in self.reports().await? {
            fleet.apply(&Effect::ReportTaken {
                box_id,
                report: Box::new(report),
                at,
            });
        }
        Ok(())
    }

    async fn verdicts(&self, statement: &'static str) -> Result<HashMap<String, Verdict>, StoreFault> {
        let rows: Vec<OwnedDocument> = sqlx::query_as(statement)
            .fetch_all(&self.readers)
            .await
            .map_err(query("verdicts"))?;
        rows.into_iter()
            .map(|row| {
                Ok((
                    row.box_id,
                    serde_json::from_str(&row.document).map_err(document("verdict"))?,
                ))
            })
            .collect()
    }

    async fn heads(&self) -> Result<HashMap<String, AssignmentHead>, StoreFault> {
        let rows: Vec<AssignmentRow> = sqlx::query_as(
            "SELECT a.box_id, a.counter, a.not_after, a.at, a.made_by, a.targets FROM assignments a
             JOIN (SELECT box_id, max(counter) AS counter FROM assignments GROUP BY box_id) m
             ON a.box_id = m.box_id AND a.counter = m.counter",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(query("assignments"))?;
        rows.into_iter()
            .map(|row| {
                let targets = serde_json::from_str(&row.targets).map_err(document("assignment"))?;
                let head = AssignmentHead {
                    counter: u64::try_from(row.counter).unwrap_or(0),
                    targets,
                    not_after: row.not_after,
                    at: row.at,
                    by: row.made_by,
                };
                Ok((row.box_id, head))
            })
            .collect()
    }

    async fn cosigned(&self) -> Result<HashMap<String, CosignedHead>, StoreFault> {
        let rows: Vec<CosignedRow> = sqlx::query_as("SELECT box_id, size, root, at FROM cosigned")
            .fetch_all(&self.readers)
            .await
            .map_err(query("cosigned"))?;
        let head = |row: CosignedRow| {
            (
                row.box_id,
                CosignedHead {
                    size: u64::try_from(row.size).unwrap_or(0),
                    root: row.root,
                    at: row.at,
                },
            )
        };
        Ok(rows.into_iter().map(head).collect())
    }

    async fn leases(&self) -> Result<Vec<(String, LeaseOrder)>, StoreFault> {
        let rows: Vec<OwnedDocument> = sqlx::query_as("SELECT box_id, document FROM leases")
            .fetch_all(&self.readers)
            .await
            .map_err(query("leases"))?;
        let read = |row: OwnedDocument| {
            let order = serde_json::from_str(&row.document).map_err(document("lease"))?;
            Ok((row.box_id, order))
        };
        rows.into_iter().map(read).collect()
    }

    async fn tokens(&self) -> Result<HashMap<String, Vec<TokenRow>>, StoreFault> {
        let rows: Vec<TokenDbRow> = sqlx::query_as(
            "SELECT id, box_id, sha256, name, models, expires, made_at, made_by FROM tokens ORDER BY made_at, id",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(query("tokens"))?;
        let mut tokens: HashMap<String, Vec<TokenRow>> = HashMap::new();
        for row in rows {
            let models = serde_json::from_str(&row.models).map_err(document("token"))?;
            tokens.entry(row.box_id).or_default().push(TokenRow {
                id: row.id,
                name: row.name,
                sha256: row.sha256,
                models,
                expires: row.expires,
                made_at: row.made_at,
                made_by: row.made_by,
            });
        }
        Ok(tokens)
    }

    async fn reports(&self) -> Result<Vec<(String, BoxReport, i64)>, StoreFault> {
        let rows: Vec<ReportRow> = sqlx::query_as("SELECT box_id, at, document, inventory FROM reports")
            .fetch_all(&self.readers)
            .await
            .map_err(query("reports"))?;
        rows.into_iter()
            .map(|row| {
                let mut report: BoxReport = serde_json::from_str(&row.document).map_err(document("report"))?;
                report.inventory = row
                    .inventory
                    .map(|text| serde_json::from_str(&text))
                    .transpose()
                    .map_err(document("inventory"))?;
                Ok((row.box_id, report, row.at))
            })
            .collect()
    }
}

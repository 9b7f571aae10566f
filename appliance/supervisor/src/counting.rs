//! The TPM counts with the record: so a disk that was put back to an earlier day is found.
//!
//! An entry says which number comes next, is durable, and only then the TPM counts. At every start the two are compared. Refuses
//! to serve on a record that the TPM has outlived, until a person has looked and started the box again; refuses to count more
//! than ten times a day, because such memory wears out. Invariant: the last counted entry is at most one ahead of the TPM, and
//! never behind it.

use freehold_collect::{RECORD_COUNTER, Tpm};
use freehold_record::EntryView;
use freehold_record_files::Recorder;
use freehold_verify::RefusalReport;

use crate::enrol::blocking;
use crate::fault::Fault;
use crate::supervisor::Supervisor;

/// Counts in a day at most: a TPM's memory bears about a hundred thousand writes, which is then 27 years.
const A_DAY: usize = 10;
/// How many of them are kept for starts and for the day itself.
const KEPT: usize = 3;
/// A day, milliseconds.
const DAY_MS: i64 = 86_400_000;
/// After a TPM that did not count, so long until the next try.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(60);
/// Where the last counted entry stands, so that a start need not read the whole record. Only a hint.
const HINT: &str = "counted.json";

/// The TPM is ahead of the record.
const ROLLED_BACK: &str = "record.rolled_back";
/// The TPM is behind the record.
const COUNTER_LOST: &str = "record.counter_lost";

/// Why the TPM counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Because {
    /// The machine has started.
    Boot,
    /// A day has gone by.
    Day,
    /// Something was changed that somebody might like to undo.
    Change,
}

impl Because {
    const fn word(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Day => "day",
            Self::Change => "change",
        }
    }
}

/// What the record says about counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    index: u64,
    count: u64,
    reset_count: u64,
    at_ms: i64,
}

/// What the supervisor remembers of counting.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    compared: bool,
    /// When it counted, newest last, milliseconds.
    times: Vec<i64>,
    last: Option<Counted>,
    /// After a TPM that did not count: not before then again.
    again: Option<std::time::Instant>,
    /// Why this record may not be served on.
    pub(crate) trouble: Option<RefusalReport>,
}

impl Supervisor {
    /// Compares record and TPM once after a start, then counts when it is time to. A TPM that does not count is said, and stops
    /// nothing: what it did not count, others saw.
    ///
    /// # Errors
    /// When the record does not take the entry.
    pub(crate) async fn keep_count(&mut self) -> Result<(), Fault> {
        if self
            .counting
            .again
            .is_some_and(|again| std::time::Instant::now() < again)
        {
            return Ok(());
        }
        match self.count_if_due().await {
            Err(fault) if fault.code().starts_with("tpm.") => {
                let report = fault.report();
                tracing::warn!(code = %report.code, message = %report.message, "the TPM does not count");
                self.counting.again = Some(std::time::Instant::now() + AGAIN);
                self.remember(report);
                Ok(())
            }
            other => other,
        }
    }

    async fn count_if_due(&mut self) -> Result<(), Fault> {
        if !self.counting.compared {
            self.compare_count().await?;
        }
        let Some(last) = self.counting.last else {
            return self.count(Because::Boot).await;
        };
        if self.clock.now_ms().saturating_sub(last.at_ms) >= DAY_MS {
            return self.count(Because::Day).await;
        }
        Ok(())
    }

    /// Something was changed that somebody might like to undo.
    ///
    /// # Errors
    /// When the record does not take the entry.
    pub(crate) async fn count_change(&mut self) -> Result<(), Fault> {
        if !self.counting.compared || self.counting.last.is_none() {
            return Ok(());
        }
        match self.count(Because::Change).await {
            Err(fault) if fault.code().starts_with("tpm.") => {
                self.remember(fault.report());
                Ok(())
            }
            other => other,
        }
    }

    async fn compare_count(&mut self) -> Result<(), Fault> {
        let (tpm, recorder) = (self.tpm.clone(), self.chronicle.recorder().clone());
        let hint: u64 = self.state.json(HINT)?.unwrap_or(0);
        let looked = tokio::task::spawn_blocking(move || last_counted(&recorder, hint)).await;
        let (last, times) = looked.map_err(|error| Fault::of("record.files", error.to_string()))??;
        let (counter, clock) = blocking(move || Ok((tpm.counter()?, tpm.clock()?))).await?;
        self.counting.times = times;
        self.counting.last = last;
        let said = last.map(|last| last.count);
        let report = match (said, counter) {
            // The entry was written, and the machine died before the TPM counted.
            (Some(said), Some(counted)) if said == counted.saturating_add(1) => {
                self.tpm_counts().await?;
                None
            }
            (Some(said), Some(counted)) if said == counted => None,
            (None, None) => None,
            (said, Some(counted)) if said.unwrap_or(0) < counted => Some(report(
                ROLLED_BACK,
                "the TPM has counted further than this record: it is an older copy, or another installation ran here",
                counted,
                said,
            )),
            (Some(said), counted) => Some(report(
                COUNTER_LOST,
                "the record has counted further than the TPM: the TPM was cleared, or is another one",
                counted.unwrap_or(0),
                Some(said),
            )),
            (None, Some(_)) => None,
        };
        if let Some(report) = report {
            tracing::error!(code = %report.code, message = %report.message, "record and TPM do not fit together");
            self.chronicle
                .entry("record.rolled_back")
                .with("count", said)
                .with("counted", counter)
                .refused(&report)
                .write()
                .await?;
            self.remember(report.clone());
            self.counting.trouble = Some(report);
            // From here on they go together again; the entry stays.
            self.counting.last = None;
            self.counting.compared = true;
            return self.count(Because::Boot).await;
        }
        self.counting.compared = true;
        let rebooted = last.is_some_and(|last| last.reset_count != u64::from(clock.reset_count));
        if rebooted {
            return self.count(Because::Boot).await;
        }
        Ok(())
    }

    /// Writes the entry, then lets the TPM count. Over the day's limit nothing happens: the next day, or start, counts again.
    async fn count(&mut self, because: Because) -> Result<(), Fault> {
        let now = self.clock.now_ms();
        self.counting.times.retain(|at| now.saturating_sub(*at) < DAY_MS);
        let room = match because {
            Because::Boot | Because::Day => A_DAY,
            Because::Change => A_DAY.saturating_sub(KEPT),
        };
        if self.counting.times.len() >= room {
            return Ok(());
        }
        let tpm = self.tpm.clone();
        let (counter, clock) = blocking(move || Ok((tpm.counter()?, tpm.clock()?))).await?;
        // A counter that never counted does not say where it will begin: it counts once, and the entry follows.
        let count = match counter {
            Some(counted) => counted.saturating_add(1),
            None => self.tpm_counts().await?,
        };
        let index = self
            .chronicle
            .entry("record.counted")
            .with("count", count)
            .with("index", format!("{RECORD_COUNTER:#010x}"))
            .with("because", because.word())
            .with("reset_count", clock.reset_count)
            .with("restart_count", clock.restart_count)
            .with("clock_ms", clock.clock)
            .write()
            .await?;
        self.counting.times.push(now);
        self.counting.last = Some(Counted {
            index,
            count,
            reset_count: clock.reset_count.into(),
            at_ms: now,
        });
        self.state.put_json(HINT, &index)?;
        if counter.is_some() {
            self.tpm_counts().await?;
        }
        Ok(())
    }

    async fn tpm_counts(&self) -> Result<u64, Fault> {
        let owner = match &self.settings.tpm_owner {
            None => Vec::new(),
            Some(path) => owner_value(path)?,
        };
        let tpm: Tpm = self.tpm.clone();
        blocking(move || tpm.count(&owner)).await
    }
}

/// The owner's value as `freehold-unseal` left it: hex; a TPM drops trailing zeros.
fn owner_value(path: &std::path::Path) -> Result<Vec<u8>, Fault> {
    let bad = |detail: &str| Fault::State {
        path: path.to_owned(),
        detail: detail.to_owned(),
    };
    let text = std::fs::read_to_string(path).map_err(|error| bad(&error.to_string()))?;
    let mut value = hex::decode(text.trim()).map_err(|_| bad("not hex"))?;
    while value.last() == Some(&0) {
        value.pop();
    }
    Ok(value)
}

fn report(code: &str, message: &str, counted: u64, said: Option<u64>) -> RefusalReport {
    RefusalReport {
        code: code.to_owned(),
        message: message.to_owned(),
        expected: Some(format!("the record speaks of count {counted}")),
        found: Some(said.map_or_else(|| "no count".to_owned(), |said| format!("count {said}"))),
    }
}

/// The last entry that counted, and when the ones of the last day did. Begins at the hint when an entry that counted stands there.
fn last_counted(recorder: &Recorder, hint: u64) -> Result<(Option<Counted>, Vec<i64>), Fault> {
    let size = recorder.head().size;
    let first = recorder.entries(hint, hint.saturating_add(1))?;
    let believed = first.iter().any(|(index, bytes)| counted(*index, bytes).is_some());
    let mut at = if believed { hint } else { 0 };
    let (mut last, mut times) = (None, Vec::new());
    while at < size {
        let until = at.saturating_add(1024).min(size);
        for (index, bytes) in recorder.entries(at, until)? {
            if let Some(found) = counted(index, &bytes) {
                times.push(found.at_ms);
                last = Some(found);
            }
        }
        at = until;
    }
    Ok((last, times))
}

fn counted(index: u64, bytes: &[u8]) -> Option<Counted> {
    let view = EntryView::parse(bytes).ok()?;
    if view.what != "record.counted" || view.text("index") != Some(format!("{RECORD_COUNTER:#010x}").as_str()) {
        return None;
    }
    let at = time::OffsetDateTime::parse(&view.at, &time::format_description::well_known::Rfc3339).ok()?;
    Some(Counted {
        index,
        count: view.number("count")?,
        reset_count: view.number("reset_count")?,
        at_ms: i64::try_from(at.unix_timestamp_nanos().checked_div(1_000_000)?).ok()?,
    })
}

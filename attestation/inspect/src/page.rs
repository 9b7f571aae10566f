//! An answer as one page to print: everything in one file, nothing from elsewhere.
//!
//! Refuses scripts and links to anywhere. Invariant: text from outside is escaped, whatever it holds.

use std::fmt::Write as _;

use freehold_audit::escaped;

use crate::answer::{Answer, Ending, Mark, Part, Table};

/// The style: dark on white, for paper.
const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;color:#1a1d21;background:#fff;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.35rem;border-left:.5rem solid #767b82;padding-left:.8rem}h1.yes{border-color:#1a7f37}h1.no{border-color:#b42318}\
h2{font-size:1rem;margin-top:2rem}dl{display:grid;grid-template-columns:9rem 1fr;gap:.2rem 1rem;margin:1rem 0}dt{color:#4d5359}\
dd{margin:0;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%;font-size:.85rem}th{text-align:left;color:#4d5359}\
th,td{border-bottom:1px solid #d8dbdf;padding:.25rem .6rem .25rem 0;vertical-align:top;overflow-wrap:anywhere}\
td{font-variant-numeric:tabular-nums}tr.bad td{color:#b42318}footer{margin-top:3rem;color:#4d5359;font-size:.8rem}\
@media print{body{margin:0;max-width:none}tr{break-inside:avoid}}";

/// The page. `what` names the file that was inspected, `by` the program and its version.
pub fn page(answer: &Answer, what: &str, by: &str) -> String {
    let class = match answer.ending() {
        Ending::Yes => "yes",
        Ending::No => "no",
        Ending::CouldNotTell => "unknown",
    };
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1 class=\"{class}\">{}</h1>\n",
        escaped(what),
        escaped(answer.head())
    );
    let mut in_list = false;
    for part in answer.parts() {
        let fact = matches!(part, Part::Fact(..));
        if fact != in_list {
            out.push_str(if fact { "<dl>\n" } else { "</dl>\n" });
            in_list = fact;
        }
        match part {
            Part::Fact(name, said) => {
                let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(said));
            }
            Part::Line(line) => {
                let _ = writeln!(out, "<p>{}</p>", escaped(line.trim()));
            }
            Part::Table(table) => table_of(&mut out, table),
        }
    }
    if in_list {
        out.push_str("</dl>\n");
    }
    let _ = writeln!(
        out,
        "<footer>{} was inspected by {}, without a network.</footer>\n</body>\n</html>",
        escaped(what),
        escaped(by)
    );
    out
}

fn table_of(out: &mut String, table: &Table) {
    let _ = writeln!(out, "<h2>{}</h2>\n<table>\n<thead><tr><th></th>", escaped(table.title));
    for head in table.heads {
        let _ = write!(out, "<th>{}</th>", escaped(head));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (mark, cells) in &table.rows {
        let class = if *mark == Mark::Bad { " class=\"bad\"" } else { "" };
        let _ = write!(out, "<tr{class}><td>{}</td>", mark.symbol());
        for cell in cells {
            let _ = write!(out, "<td>{}</td>", escaped(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
}

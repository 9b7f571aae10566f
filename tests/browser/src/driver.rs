//! One chromedriver process and the few W3C WebDriver commands that the tests need (W3C WebDriver, Level 2).
//!
//! Refuses anything but loopback. Invariant: the process is killed when the value is dropped; the kernel then ends the
//! browser, which chromedriver starts with a death signal.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Longest wait for one command; a page that takes longer is a failure.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// Largest answer: a screenshot of a long page in base64; bounds a driver gone wild.
const ANSWER_LIMIT: u64 = 64 << 20;

/// A running chromedriver.
pub struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    /// Starts chromedriver on a free port.
    ///
    /// # Errors
    /// When the program is not there or does not say its port.
    pub fn start() -> Result<Self> {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("chromedriver does not start; hint: install the packages of image/packages/development.txt")?;
        let out = child.stdout.take().context("no output of chromedriver")?;
        let mut lines = BufReader::new(out).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.rsplit_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        // Keep reading, so that the driver never blocks on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        match port {
            Some(port) => Ok(Self { child, port }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                bail!("chromedriver did not say its port")
            }
        }
    }

    /// Sends one command and returns `value` of the answer.
    ///
    /// # Errors
    /// When the driver does not answer, or answers with an error (its message is in the text).
    pub fn command(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(COMMAND_LIMIT))?;
        let body = if method == "POST" {
            body.to_string()
        } else {
            String::new()
        };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        let mut reader = BufReader::new(stream.take(ANSWER_LIMIT));
        let mut length = None;
        let mut line = String::new();
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse::<usize>().ok();
            }
        }
        let mut answer = Vec::new();
        match length {
            Some(length) => {
                answer.resize(length, 0);
                reader.read_exact(&mut answer)?;
            }
            None => {
                reader.read_to_end(&mut answer)?;
            }
        }
        let answer: Value =
            serde_json::from_slice(&answer).with_context(|| format!("answer of chromedriver to {method} {path}"))?;
        let value = answer.get("value").cloned().unwrap_or_default();
        match value.get("error").and_then(Value::as_str) {
            Some(error) => bail!(
                "{method} {path}: {error}: {}",
                value.get("message").and_then(Value::as_str).unwrap_or_default()
            ),
            None => Ok(value),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

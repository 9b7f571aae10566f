//! Something at the TPM's port that can turn bad: it passes a real TPM's bytes on, or speaks nonsense.
//!
//! Refuses to be a TPM itself. Invariant: the two ports stay the same whatever it speaks, as a chip stays on its bus.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// What the real TPM says.
    Truth,
    /// Bytes that are no answer.
    Noise,
    /// The beginning of an answer, and then nothing.
    Half,
    /// An answer that says it is four gigabytes long, and goes on and on.
    Endless,
}

/// The chip.
#[derive(Debug)]
pub struct Chip {
    port: u16,
    speaks: watch::Sender<Speaks>,
    _runtime: tokio::runtime::Runtime,
}

/// Two neighbouring ports.
async fn pair() -> Result<(TcpListener, TcpListener)> {
    for _ in 0..200 {
        let first = TcpListener::bind("127.0.0.1:0").await?;
        let port = first.local_addr()?.port();
        if let Some(next) = port.checked_add(1)
            && let Ok(second) = TcpListener::bind(("127.0.0.1", next)).await
        {
            return Ok((first, second));
        }
    }
    anyhow::bail!("no two neighbouring ports are free")
}

impl Chip {
    /// A chip before the TPM that `tcti` names, truthful at first.
    ///
    /// # Errors
    /// When no ports are free.
    pub fn before(tcti: &str) -> Result<Self> {
        let port: u16 = tcti.rsplit("port=").next().context("no port")?.parse()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let (server, control) = runtime.block_on(pair())?;
        let own = server.local_addr()?.port();
        let (speaks, heard) = watch::channel(Speaks::Truth);
        for (listener, to, control) in [(server, port, false), (control, port + 1, true)] {
            let heard = heard.clone();
            runtime.spawn(async move {
                while let Ok((near, _)) = listener.accept().await {
                    tokio::spawn(talk(
                        near,
                        SocketAddr::from(([127, 0, 0, 1], to)),
                        control,
                        heard.clone(),
                    ));
                }
            });
        }
        Ok(Self {
            port: own,
            speaks,
            _runtime: runtime,
        })
    }

    /// How a supervisor is told to reach it.
    #[must_use]
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// From now on it speaks so; connections that were open are broken.
    pub fn speak(&self, what: Speaks) {
        self.speaks.send_replace(what);
    }
}

async fn talk(mut near: TcpStream, to: SocketAddr, control: bool, mut heard: watch::Receiver<Speaks>) {
    let what = *heard.borrow_and_update();
    let talking = async {
        if what == Speaks::Truth {
            if let Ok(mut far) = TcpStream::connect(to).await {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
            return;
        }
        let mut buffer = vec![0; 8 << 10];
        while let Ok(1..) = near.read(&mut buffer).await {
            // The control port's answers are one number; 0 is yes. The nonsense is for the commands.
            let said: Arc<[u8]> = match what {
                _ if control => Arc::from([0_u8; 4].as_slice()),
                Speaks::Noise => Arc::from([0x5a_u8; 64].as_slice()),
                Speaks::Half => Arc::from([0x80_u8, 0x01, 0, 0].as_slice()),
                _ => Arc::from([0x80_u8, 0x01, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0].as_slice()),
            };
            if near.write_all(&said).await.is_err() {
                return;
            }
            if what == Speaks::Half && !control {
                return;
            }
            if what == Speaks::Endless && !control {
                let block = vec![0xee_u8; 64 << 10];
                while near.write_all(&block).await.is_ok() {}
                return;
            }
        }
    };
    tokio::select! {
        () = talking => {}
        _ = heard.changed() => {}
    }
}

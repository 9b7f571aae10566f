//! A wire between a box and its console that a test can hold: TCP bytes, passed on as they are.
//!
//! Refuses to look into them: they are TLS. Invariant: a held wire drops nothing; what waits goes on when it is let go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The wire.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    limit: watch::Sender<u64>,
    held: Arc<AtomicUsize>,
    passed: Arc<AtomicU64>,
    // Ends everything when dropped.
    _runtime: tokio::runtime::Runtime,
}

impl Wire {
    /// A wire to `to`, let go.
    ///
    /// # Errors
    /// When no port is free.
    pub fn to(to: SocketAddr) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let (limit, limits) = watch::channel(u64::MAX);
        let (held, passed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let (held_too, passed_too) = (held.clone(), passed.clone());
        runtime.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (limits, held, passed) = (limits.clone(), held_too.clone(), passed_too.clone());
                tokio::spawn(async move {
                    if let Ok(far) = TcpStream::connect(to).await {
                        pass(near, far, limits, held, passed).await;
                    }
                });
            }
        });
        Ok(Self {
            address,
            limit,
            held,
            passed,
            _runtime: runtime,
        })
    }

    /// Where it begins.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds every answer that is longer than `bytes`, after so many of them: downloads, and nothing else that is said.
    pub fn hold_after(&self, bytes: u64) {
        self.limit.send_replace(bytes);
    }

    /// Lets everything go.
    pub fn let_go(&self) {
        self.limit.send_replace(u64::MAX);
    }

    /// How many connections are held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// How many bytes went to the box.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}

/// Counts one held connection while it is there.
struct Held(Arc<AtomicUsize>);

impl Held {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn pass(
    near: TcpStream,
    far: TcpStream,
    mut limits: watch::Receiver<u64>,
    held: Arc<AtomicUsize>,
    passed: Arc<AtomicU64>,
) {
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    // Bytes of the answer that is under way: counted from the last question on.
    let answer = Arc::new(AtomicU64::new(0));
    let asked = answer.clone();
    let asking = async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = near_read.read(&mut buffer).await {
            asked.store(0, Ordering::Relaxed);
            if far_write.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
    };
    let answering = async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = far_read.read(&mut buffer).await {
            let bytes = u64::try_from(count).unwrap_or(0);
            let so_far = answer.fetch_add(bytes, Ordering::Relaxed) + bytes;
            if so_far > *limits.borrow() {
                let _held = Held::new(&held);
                if limits.wait_for(|limit| so_far <= *limit).await.is_err() {
                    break;
                }
            }
            passed.fetch_add(bytes, Ordering::Relaxed);
            if near_write.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = asking => {}
        () = answering => {}
    }
}

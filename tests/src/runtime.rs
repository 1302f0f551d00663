//! A tokio runtime on a thread of its own inside a network namespace, to which work is sent from outside.
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::netns::Namespace;

/// Runs futures inside a namespace. Dropping it ends all of them at once and closes their sockets.
#[derive(Debug)]
pub struct Runtime {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Work sent to a [`Runtime`].
#[derive(Debug)]
pub struct Task<T>(mpsc::Receiver<T>);

impl Runtime {
    /// Starts the thread in `namespace`.
    pub fn new(namespace: &Namespace) -> Result<Self> {
        let namespace = namespace.clone();
        let (ready, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let inside = move || {
            let built =
                namespace.enter_for_good().and_then(|()| Ok(Builder::new_current_thread().enable_all().build()?));
            match built {
                Ok(runtime) => {
                    // Nobody listens if the caller is gone; then `stopped` ends at once.
                    let _ = ready.send(Ok(runtime.handle().clone()));
                    // An error means that the sender was dropped, which says stop as well.
                    let _ = runtime.block_on(stopped);
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        };
        let thread = thread::Builder::new().name("runtime".into()).spawn(inside)?;
        let handle = started.recv().context("the runtime's thread did not start")??;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Starts `work` and returns at once.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Task<T> {
        let (result, receiver) = mpsc::channel();
        self.handle.spawn(async move {
            // Nobody may be waiting for it any more.
            let _ = result.send(work.await);
        });
        Task(receiver)
    }

    /// Runs `work` to its end.
    ///
    /// # Errors
    ///
    /// The error of `work`, or if it panicked.
    pub fn run<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        self.spawn(work).join()?
    }
}

impl<T> Task<T> {
    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// If it panicked or its runtime was stopped.
    pub fn join(self) -> Result<T> {
        self.0.recv().map_err(|_| anyhow!("the work was stopped before its end"))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It cannot panic outside the futures, whose panics tokio catches.
            let _ = thread.join();
        }
    }
}

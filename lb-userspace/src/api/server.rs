//! The side of the controller: requests become messages to its loop.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use tokio::{
    net::UnixListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{RUN_DIR, ReloadAnswer, ReloadRequest, socket_path};
use crate::controller::status::Status;

/// A request for the controller's loop, with where the answer goes.
#[derive(Debug)]
pub enum Request {
    /// The status.
    Status(oneshot::Sender<Status>),
    /// Read the configuration again.
    Reload(ReloadRequest, oneshot::Sender<ReloadAnswer>),
}

/// The server; gone, with its socket, when dropped.
#[derive(Debug)]
pub struct Server {
    path: std::path::PathBuf,
    task: JoinHandle<()>,
}

impl Server {
    /// Begins to listen for `node`. Whoever calls holds the node's lock, so a socket that is there belongs to nobody.
    pub fn start(node: &str, requests: mpsc::Sender<Request>) -> io::Result<Self> {
        fs::create_dir_all(RUN_DIR)?;
        let path = socket_path(node);
        let listener = listen(&path)?;
        let router =
            Router::new().route("/v1/status", get(status)).route("/v1/reload", post(reload)).with_state(requests);
        let task = tokio::spawn(async move {
            // Serving ends only when the task is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { path, task })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        // Nobody can do anything about a socket that cannot be removed, and the next controller replaces it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Listens under another name first, so that the socket is never there with wrong rights or without anyone behind it.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let new = path.with_extension("sock.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o660))?;
    fs::rename(&new, path)?;
    Ok(listener)
}

type Requests = State<mpsc::Sender<Request>>;

async fn status(State(requests): Requests) -> Result<Json<Status>, StatusCode> {
    let (answer, answered) = oneshot::channel();
    ask(&requests, Request::Status(answer), answered).await
}

async fn reload(State(requests): Requests, Json(wish): Json<ReloadRequest>) -> Result<Json<ReloadAnswer>, StatusCode> {
    let (answer, answered) = oneshot::channel();
    ask(&requests, Request::Reload(wish, answer), answered).await
}

async fn ask<T>(
    requests: &mpsc::Sender<Request>,
    request: Request,
    answered: oneshot::Receiver<T>,
) -> Result<Json<T>, StatusCode> {
    // Either fails only when the controller is stopping.
    requests.send(request).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    answered.await.map(Json).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

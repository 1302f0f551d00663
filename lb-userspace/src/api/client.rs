//! The side of the commands.

use std::{io, time::Duration};

use anyhow::{Context, bail};
use serde::{Serialize, de::DeserializeOwned};

use super::{ReloadAnswer, ReloadRequest, socket_path};
use crate::controller::status::Status;

/// A controller that is asked something.
#[derive(Debug)]
pub struct Client {
    node: String,
    http: reqwest::Client,
}

impl Client {
    /// The controller of `node`. Fails when there is none.
    pub fn new(node: &str) -> anyhow::Result<Self> {
        let path = socket_path(node);
        match std::os::unix::net::UnixStream::connect(&path) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => bail!(
                "no controller is running for node {node}: start it with `caslb run`, name another node with --node, or \
                 look at the kernel's maps with `caslb dump`"
            ),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                bail!("{} may only be used by root and its group: run this command as root", path.display())
            }
            Err(error) => return Err(error).with_context(|| format!("{} cannot be used", path.display())),
        }
        let http = reqwest::Client::builder()
            .unix_socket(path)
            .timeout(Duration::from_secs(30))
            .build()
            .context("the HTTP client cannot be set up")?;
        Ok(Self { node: node.to_owned(), http })
    }

    /// Its status.
    pub async fn status(&self) -> anyhow::Result<Status> {
        self.exchange(self.http.get("http://caslb/v1/status")).await
    }

    /// Has it read its configuration again.
    pub async fn reload(&self, request: &ReloadRequest) -> anyhow::Result<ReloadAnswer> {
        self.exchange(json(self.http.post("http://caslb/v1/reload"), request)?).await
    }

    async fn exchange<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> anyhow::Result<T> {
        let node = &self.node;
        let response =
            request.send().await.with_context(|| format!("the controller of node {node} does not answer"))?;
        if !response.status().is_success() {
            bail!("the controller of node {node} answered {}: is it stopping?", response.status());
        }
        let body = response.bytes().await.with_context(|| format!("the controller of node {node} broke off"))?;
        serde_json::from_slice(&body)
            .with_context(|| format!("the controller of node {node} is of another version than this command"))
    }
}

fn json(request: reqwest::RequestBuilder, body: &impl Serialize) -> anyhow::Result<reqwest::RequestBuilder> {
    Ok(request.header("content-type", "application/json").body(serde_json::to_vec(body)?))
}

//! The result of `caslb check` as JSON. The field names are stable: scripts rely on them.

use std::{collections::BTreeSet, fmt::Write as _, net::IpAddr};

use serde::Serialize;

use crate::{
    config::{
        ConfigError, Loaded,
        deployment::{Array, Check, CheckKind, Deployment, HttpCheck, Server, Service, Verify},
        diagnostic::{Report, Severity},
        words::{Announce, Word as _},
    },
    dataplane::sizing::{MapSize, sizes},
};

#[derive(Serialize)]
pub(super) struct Document<'a> {
    file: &'a str,
    valid: bool,
    diagnostics: Vec<DiagnosticView>,
    #[serde(flatten)]
    resolved: Option<Resolved<'a>>,
}

#[derive(Serialize)]
struct DiagnosticView {
    severity: &'static str,
    message: String,
    /// Absent when the message has the remedy in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
}

#[derive(Serialize)]
struct Resolved<'a> {
    node: NodeView<'a>,
    arrays: Vec<ArrayView<'a>>,
    maps: Vec<MapView>,
}

#[derive(Serialize)]
struct NodeView<'a> {
    name: &'a str,
    interfaces: &'a [String],
    xdp: &'static str,
    hash_seed: &'a str,
    slots: u32,
}

#[derive(Serialize)]
struct ArrayView<'a> {
    name: &'a str,
    namespaces: &'a [String],
    servers: Vec<ServerView<'a>>,
    services: Vec<ServiceView<'a>>,
}

#[derive(Serialize)]
struct ServerView<'a> {
    name: &'a str,
    /// The IPv4 address of two.
    address: IpAddr,
    addresses: Vec<IpAddr>,
    weight: u16,
}

#[derive(Serialize)]
struct ServiceView<'a> {
    name: &'a str,
    /// The IPv4 address of two.
    vip: IpAddr,
    vips: Vec<IpAddr>,
    port: u16,
    protocol: &'static str,
    server_port: u16,
    mode: &'static str,
    hash: &'static str,
    all_down: &'static str,
    announce: &'static str,
    unknown_port: &'static str,
    checks: Vec<CheckView<'a>>,
}

#[derive(Serialize)]
struct CheckView<'a> {
    r#type: String,
    port: u16,
    interval_ms: u128,
    timeout_ms: u128,
    rise: u32,
    fall: u32,
    #[serde(flatten)]
    http: Option<HttpView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verify: Option<String>,
}

#[derive(Serialize)]
struct HttpView<'a> {
    host: Option<&'a str>,
    path: &'a str,
    status: &'a BTreeSet<u16>,
    body: Option<&'a str>,
}

#[derive(Serialize)]
struct MapView {
    name: &'static str,
    entries: u64,
    bytes: u64,
    per_cpu: bool,
}

/// The result for the file shown as `file`.
pub(super) fn document<'a>(file: &'a str, result: &'a Result<Loaded, ConfigError>) -> Document<'a> {
    match result {
        Ok(loaded) => Document {
            file,
            valid: true,
            diagnostics: diagnostics(&loaded.warnings),
            resolved: Some(resolved(&loaded.deployment)),
        },
        Err(ConfigError::Invalid(report)) => {
            Document { file, valid: false, diagnostics: diagnostics(report), resolved: None }
        }
        Err(ConfigError::Source(error)) => {
            let diagnostic = DiagnosticView {
                severity: severity(Severity::Error),
                message: error.to_string(),
                remedy: None,
                line: None,
                column: None,
            };
            Document { file, valid: false, diagnostics: vec![diagnostic], resolved: None }
        }
    }
}

/// How the file names the way a certificate is judged.
pub(super) fn verify(verify: &Verify) -> String {
    match verify {
        Verify::Full => "full".to_owned(),
        Verify::Warn => "warn".to_owned(),
        Verify::None => "none".to_owned(),
        Verify::Fingerprint(bytes) => bytes.iter().fold("sha256:".to_owned(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}

fn diagnostics(report: &Report) -> Vec<DiagnosticView> {
    let view = |diagnostic| {
        let (line, column) = report.position(diagnostic).unzip();
        DiagnosticView {
            severity: severity(diagnostic.severity),
            message: diagnostic.message.clone(),
            remedy: Some(diagnostic.remedy.clone()),
            line,
            column,
        }
    };
    report.diagnostics().iter().map(view).collect()
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn resolved(deployment: &Deployment) -> Resolved<'_> {
    let Deployment { node, arrays } = deployment;
    let map = |MapSize { name, entries, bytes, per_cpu }| MapView { name, entries: entries.into(), bytes, per_cpu };
    Resolved {
        node: NodeView {
            name: &node.name,
            interfaces: &node.interfaces,
            xdp: node.xdp.word(),
            hash_seed: &node.hash_seed,
            slots: node.slots,
        },
        arrays: arrays.iter().map(array).collect(),
        maps: sizes(deployment).into_iter().map(map).collect(),
    }
}

// Taken apart without `..`, so that a new field can't be forgotten here.

fn array(Array { name, namespaces, servers, services }: &Array) -> ArrayView<'_> {
    ArrayView {
        name,
        namespaces,
        servers: servers.iter().map(server).collect(),
        services: services.iter().map(service).collect(),
    }
}

fn server(Server { name, address, weight }: &Server) -> ServerView<'_> {
    ServerView { name, address: address.first(), addresses: address.iter().collect(), weight: *weight }
}

fn service(service: &Service) -> ServiceView<'_> {
    let Service { name, vip, port, protocol, server_port, mode, hash, all_down, announce, unknown_port, checks } =
        service;
    ServiceView {
        name,
        vip: vip.first(),
        vips: vip.iter().collect(),
        port: *port,
        protocol: protocol.word(),
        server_port: *server_port,
        mode: mode.word(),
        hash: hash.word(),
        all_down: all_down.word(),
        announce: Announce::from(*announce).word(),
        unknown_port: unknown_port.word(),
        checks: checks.iter().map(check).collect(),
    }
}

fn check(check: &Check) -> CheckView<'_> {
    let Check { kind, port, interval, timeout, rise, fall } = check;
    let (http, verified) = match kind {
        CheckKind::Tcp => (None, None),
        CheckKind::Http(http) => (Some(http), None),
        CheckKind::Https(http, verified) => (Some(http), Some(verify(verified))),
    };
    CheckView {
        r#type: kind.to_string(),
        port: *port,
        interval_ms: interval.as_millis(),
        timeout_ms: timeout.as_millis(),
        rise: *rise,
        fall: *fall,
        http: http.map(|HttpCheck { host, path, status, body }| HttpView {
            host: host.as_deref(),
            path,
            status,
            body: body.as_deref(),
        }),
        verify: verified,
    }
}

//! The raw shape of the file: its tables and keys with their types, and nothing about what the values mean.
//!
//! The keys are those of the configuration reference (`docs/config.md`) that this version does; the others are listed
//! here as not supported yet.

use toml::{Spanned, de::DeTable};

use super::{
    diagnostic::{Findings, Span},
    fields::{Field, Fields, Listed},
};

const REMOVE: &str = "remove it";
const NODE_NOT_YET: &[(&str, &str)] = &[("listen", REMOVE)];
const DEFAULTS_NOT_YET: &[(&str, &str)] =
    &[("drain", REMOVE), ("idle", REMOVE), ("slow_start", REMOVE), ("tunnel", REMOVE)];
const ARRAY_NOT_YET: &[(&str, &str)] = &[("profile", "remove it, and write port, protocol and checks of each service")];
const SERVICE_NOT_YET: &[(&str, &str)] = &[("tunnel", REMOVE)];
const CHECK_NOT_YET: &[(&str, &str)] = &[("role", "remove it; every check is required")];

/// The whole file.
pub(super) struct RawFile {
    pub(super) node: RawNode,
    pub(super) defaults: RawDefaults,
    pub(super) arrays: Listed<RawArray>,
}

/// `[node]`
pub(super) struct RawNode {
    pub(super) span: Option<Span>,
    pub(super) name: Field<String>,
    pub(super) interfaces: Field<Vec<Spanned<String>>>,
    pub(super) xdp: Field<String>,
    pub(super) hash_seed: Field<String>,
}

/// `[defaults]`
pub(super) struct RawDefaults {
    pub(super) mode: Field<String>,
    pub(super) all_down: Field<String>,
    pub(super) announce: Field<String>,
    pub(super) unknown_port: Field<String>,
    pub(super) slots: Field<i64>,
}

/// `[[array]]`
pub(super) struct RawArray {
    pub(super) span: Option<Span>,
    pub(super) name: Field<String>,
    pub(super) namespaces: Field<Vec<Spanned<String>>>,
    pub(super) servers: Listed<RawServer>,
    pub(super) services: Listed<RawService>,
}

/// `[[array.server]]`
pub(super) struct RawServer {
    pub(super) span: Option<Span>,
    pub(super) name: Field<String>,
    pub(super) address: Field<Vec<Spanned<String>>>,
    pub(super) weight: Field<i64>,
}

/// `[[array.service]]`
pub(super) struct RawService {
    pub(super) span: Option<Span>,
    pub(super) name: Field<String>,
    pub(super) vip: Field<Vec<Spanned<String>>>,
    pub(super) port: Field<i64>,
    pub(super) protocol: Field<String>,
    pub(super) server_port: Field<i64>,
    pub(super) mode: Field<String>,
    pub(super) hash: Field<String>,
    pub(super) all_down: Field<String>,
    pub(super) announce: Field<String>,
    pub(super) unknown_port: Field<String>,
    pub(super) checks: Listed<RawCheck>,
}

/// `[[array.service.check]]`
pub(super) struct RawCheck {
    pub(super) span: Option<Span>,
    pub(super) kind: Field<String>,
    pub(super) port: Field<i64>,
    pub(super) verify: Field<String>,
    pub(super) path: Field<String>,
    pub(super) host: Field<String>,
    pub(super) status: Field<Vec<Spanned<i64>>>,
    pub(super) body: Field<String>,
    pub(super) interval: Field<String>,
    pub(super) timeout: Field<String>,
    pub(super) rise: Field<i64>,
    pub(super) fall: Field<i64>,
}

impl RawFile {
    /// Reads the whole file; what has the wrong type and what is unknown goes to `findings`.
    pub(super) fn read(table: &DeTable<'_>, findings: &mut Findings) -> Self {
        let mut file = Fields::of_file(table);
        let read = Self {
            node: RawNode::read(file.table("node", "[node]", findings), findings),
            defaults: RawDefaults::read(file.table("defaults", "[defaults]", findings), findings),
            arrays: file.tables("array", "[[array]]", findings).map(|array| RawArray::read(array, findings)),
        };
        file.finish(&[], findings);
        read
    }
}

impl RawNode {
    fn read(mut node: Fields<'_, '_>, findings: &mut Findings) -> Self {
        let read = Self {
            span: node.span(),
            name: node.text("name", "\"lb1\"", findings),
            interfaces: node.texts("interfaces", "[\"eth0\"]", findings),
            xdp: node.text("xdp", "\"auto\"", findings),
            hash_seed: node.text("hash_seed", "\"contoso\"", findings),
        };
        node.finish(NODE_NOT_YET, findings);
        read
    }
}

impl RawDefaults {
    fn read(mut defaults: Fields<'_, '_>, findings: &mut Findings) -> Self {
        let read = Self {
            mode: defaults.text("mode", "\"dsr\"", findings),
            all_down: defaults.text("all_down", "\"keep-last\"", findings),
            announce: defaults.text("announce", "\"arp\"", findings),
            unknown_port: defaults.text("unknown_port", "\"drop\"", findings),
            slots: defaults.integer("slots", "65537", findings),
        };
        defaults.finish(DEFAULTS_NOT_YET, findings);
        read
    }
}

impl RawArray {
    fn read(mut array: Fields<'_, '_>, findings: &mut Findings) -> Self {
        let servers = array.tables("server", "[[array.server]]", findings);
        let services = array.tables("service", "[[array.service]]", findings);
        let read = Self {
            span: array.span(),
            name: array.text("name", "\"ams\"", findings),
            namespaces: array.texts("namespaces", "[\"mail.contoso.com\"]", findings),
            servers: servers.map(|server| RawServer::read(server, findings)),
            services: services.map(|service| RawService::read(service, findings)),
        };
        array.finish(ARRAY_NOT_YET, findings);
        read
    }
}

impl RawServer {
    fn read(mut server: Fields<'_, '_>, findings: &mut Findings) -> Self {
        let read = Self {
            span: server.span(),
            name: server.text("name", "\"EX01.contoso.com\"", findings),
            address: server.text_or_texts("address", "\"10.1.0.11\"", findings),
            weight: server.integer("weight", "100", findings),
        };
        server.finish(&[], findings);
        read
    }
}

impl RawService {
    fn read(mut service: Fields<'_, '_>, findings: &mut Findings) -> Self {
        let checks = service.tables("check", "[[array.service.check]]", findings);
        let read = Self {
            span: service.span(),
            name: service.text("name", "\"https\"", findings),
            vip: service.text_or_texts("vip", "\"10.1.0.100\"", findings),
            port: service.port("port", "443", findings),
            protocol: service.text("protocol", "\"tcp\"", findings),
            server_port: service.port("server_port", "8443", findings),
            mode: service.text("mode", "\"dsr\"", findings),
            hash: service.text("hash", "\"flow\"", findings),
            all_down: service.text("all_down", "\"keep-last\"", findings),
            announce: service.text("announce", "\"arp\"", findings),
            unknown_port: service.text("unknown_port", "\"drop\"", findings),
            checks: checks.map(|check| RawCheck::read(check, findings)),
        };
        service.finish(SERVICE_NOT_YET, findings);
        read
    }
}

impl RawCheck {
    fn read(mut check: Fields<'_, '_>, findings: &mut Findings) -> Self {
        let read = Self {
            span: check.span(),
            kind: check.text("type", "\"https\"", findings),
            port: check.port("port", "443", findings),
            verify: check.text("verify", "\"full\"", findings),
            path: check.text("path", "\"/health\"", findings),
            host: check.text("host", "\"mail.contoso.com\"", findings),
            status: check.integers("status", "[200]", findings),
            body: check.text("body", "\"OK\"", findings),
            interval: check.text("interval", "\"5s\"", findings),
            timeout: check.text("timeout", "\"4s\"", findings),
            rise: check.integer("rise", "2", findings),
            fall: check.integer("fall", "3", findings),
        };
        check.finish(CHECK_NOT_YET, findings);
        read
    }
}

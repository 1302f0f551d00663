//! Rules about one `[[array.service]]`, and the `[defaults]` that fill it in.

use toml::Spanned;

use crate::config::{
    addresses::Given,
    deployment::{AllDown, Check, HashKind, Mode, Protocol, UnknownPort},
    diagnostic::Findings,
    fields::Field,
    names,
    raw::{RawDefaults, RawService},
    words::Announce,
};

use super::{
    array::LABEL,
    check, draft,
    values::{Key, choice, in_range, name, required},
};

/// What a service has that does not say otherwise; `None` where `[defaults]` has been reported.
pub(super) struct Defaults {
    mode: Option<Mode>,
    all_down: Option<AllDown>,
    announce: Option<Announce>,
    unknown_port: Option<UnknownPort>,
}

impl Defaults {
    pub(super) fn validate(raw: &RawDefaults, findings: &mut Findings) -> Self {
        Self {
            mode: choice(&raw.mode, "mode", Some(Mode::Dsr), findings),
            all_down: choice(&raw.all_down, "all_down", Some(AllDown::KeepLast), findings),
            announce: choice(&raw.announce, "announce", Some(Announce::Arp), findings),
            unknown_port: choice(&raw.unknown_port, "unknown_port", Some(UnknownPort::Drop), findings),
        }
    }
}

/// `host` is what checks ask for that name no host.
pub(super) fn validate(
    raw: &RawService,
    defaults: &Defaults,
    host: Option<&str>,
    findings: &mut Findings,
) -> draft::Service {
    let key = |key, example| Key { table: "[[array.service]]", span: raw.span.as_ref(), name: key, example };
    let name = name(&raw.name, key("name", "\"https\""), names::label, LABEL, findings);
    let vip = required(&raw.vip, key("vip", "\"10.1.0.100\""), findings);
    let vip = vip.and_then(|values| Given::read(values, "vip", findings));
    let port = required(&raw.port, key("port", "443"), findings).and_then(|value| port(value, "port", findings));
    let protocol = choice(&raw.protocol, "protocol", Some(Protocol::Tcp), findings);
    let mode = choice(&raw.mode, "mode", defaults.mode, findings);
    let server_port = match &raw.server_port {
        Field::Absent => port.clone(),
        Field::Reported => None,
        Field::Given(value) => self::port(value, "server_port", findings),
    };
    server_port_fits_mode(port.as_ref(), server_port.as_ref(), mode, findings);
    let checks = checks(raw, protocol, server_port.as_ref().map(|port| *port.get_ref()), host, findings);
    draft::Service {
        span: raw.span.clone(),
        name,
        vip,
        port,
        protocol,
        server_port,
        mode,
        hash: choice(&raw.hash, "hash", Some(HashKind::Flow), findings),
        all_down: choice(&raw.all_down, "all_down", defaults.all_down, findings),
        announce: choice(&raw.announce, "announce", defaults.announce, findings),
        unknown_port: choice(&raw.unknown_port, "unknown_port", defaults.unknown_port, findings),
        announce_span: raw.announce.given_span(),
        unknown_port_span: raw.unknown_port.given_span(),
        checks,
    }
}

/// A port from 1 to 65535, with its place.
pub(super) fn port(value: &Spanned<i64>, key: &str, findings: &mut Findings) -> Option<Spanned<u16>> {
    in_range(value, key, 1..=i64::from(u16::MAX), findings).map(|port| Spanned::new(value.span(), port))
}

fn server_port_fits_mode(
    port: Option<&Spanned<u16>>,
    server_port: Option<&Spanned<u16>>,
    mode: Option<Mode>,
    findings: &mut Findings,
) {
    if let (Some(port), Some(server_port), Some(Mode::Dsr)) = (port, server_port, mode)
        && port.get_ref() != server_port.get_ref()
    {
        let message =
            format!("`server_port` is {}, but in dsr mode packets keep port {}", server_port.get_ref(), port.get_ref());
        findings.error(server_port.span(), message, "remove it, or write mode = \"nat\" for this service");
    }
}

fn checks(
    raw: &RawService,
    protocol: Option<Protocol>,
    server_port: Option<u16>,
    host: Option<&str>,
    findings: &mut Findings,
) -> Vec<Option<Check>> {
    if !raw.checks.items.is_empty() || raw.checks.reported {
        return raw.checks.items.iter().map(|raw| check::validate(raw, server_port, host, findings)).collect();
    }
    match protocol {
        Some(Protocol::Udp) => {
            findings.error(
                raw.span.clone(),
                "a UDP service needs a check of its own: whether a UDP port answers can't be told in general",
                "add an [[array.service.check]] with type = \"tcp\", or \"https\", and a `port` that is open on the \
                 servers while the service works",
            );
            Vec::new()
        }
        Some(Protocol::Tcp) => vec![server_port.map(check::default_tcp)],
        None => Vec::new(),
    }
}

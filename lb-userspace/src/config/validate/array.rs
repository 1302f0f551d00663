//! Rules within one `[[array]]`: its names, its servers, and that nothing in it is there twice.

use crate::config::{
    addresses::Given,
    diagnostic::{Findings, quoted},
    fields::Field,
    names,
    raw::{RawArray, RawServer},
};

use super::{
    draft, service,
    values::{Key, name, obeys, required, unique, whole},
};

/// Default of `weight`.
const DEFAULT_WEIGHT: u16 = 100;

/// What an array or a service may be called.
pub(super) const LABEL: &str = "1 to 63 bytes of printable text without a slash";

pub(super) fn validate(raw: &RawArray, defaults: &service::Defaults, findings: &mut Findings) -> draft::Array {
    let key = Key { table: "[[array]]", span: raw.span.as_ref(), name: "name", example: "\"ams\"" };
    let name = name(&raw.name, key, names::label, LABEL, findings);
    let namespaces = namespaces(&raw.namespaces, findings);
    let host = namespaces.as_ref().and_then(|names| names.first()).cloned();
    let servers: Vec<_> = raw.servers.items.iter().map(|raw| server(raw, findings)).collect();
    let services: Vec<_> =
        raw.services.items.iter().map(|raw| service::validate(raw, defaults, host.as_deref(), findings)).collect();

    let array = draft::Array { name, namespaces, servers, services };
    let title = array.title();
    if array.servers.is_empty() && !raw.servers.reported {
        let remedy = "add an [[array.server]] with name and address";
        findings.error(raw.span.clone(), format!("{title} has no server"), remedy);
    }
    if array.services.is_empty() && !raw.services.reported {
        let remedy = "add an [[array.service]] with name, vip and port";
        findings.error(raw.span.clone(), format!("{title} has no service"), remedy);
    }
    if !array.servers.is_empty() && array.servers.iter().all(|server| server.weight == Some(0)) {
        let remedy = "no server gets any traffic; give one of them a weight from 1 to 1000";
        findings.warning(raw.span.clone(), format!("all servers of {title} have weight 0"), remedy);
    }
    unique_within(&array, &title, findings);
    array
}

impl draft::Array {
    /// The array for messages.
    fn title(&self) -> String {
        self.name.as_ref().map_or("the array".to_owned(), |name| format!("array {}", quoted(name.get_ref())))
    }
}

fn unique_within(array: &draft::Array, title: &str, findings: &mut Findings) {
    unique(
        array.servers.iter().filter_map(|server| server.name.as_ref()),
        |name| name.to_ascii_lowercase(),
        |name| format!("server {} is listed twice in {title}", quoted(name)),
        "remove one of them, or give it a name of its own (upper and lower case are the same)",
        findings,
    );
    unique(
        array.servers.iter().filter_map(|server| server.address.as_ref()).flat_map(Given::iter),
        |address| *address,
        |address| format!("address {address} is listed twice in {title}"),
        "give each server its own address, or remove one of them",
        findings,
    );
    unique(
        array.services.iter().filter_map(|service| service.name.as_ref()),
        String::clone,
        |name| format!("service {} is listed twice in {title}", quoted(name)),
        "give each service of an array a name of its own",
        findings,
    );
}

fn namespaces(field: &Field<Vec<toml::Spanned<String>>>, findings: &mut Findings) -> Option<Vec<String>> {
    let listed = match field {
        Field::Absent => return Some(Vec::new()),
        Field::Reported => return None,
        Field::Given(listed) => listed,
    };
    let allowed = "a DNS name such as mail.contoso.com (names with other letters in their xn-- form)";
    let names: Vec<_> =
        listed.get_ref().iter().map(|name| obeys(name, "namespaces", names::host, allowed, findings)).collect();
    unique(
        names.iter().flatten(),
        |name| name.to_ascii_lowercase(),
        |name| format!("namespace {} is listed twice", quoted(name)),
        "remove one of them",
        findings,
    );
    names.into_iter().map(|name| name.map(toml::Spanned::into_inner)).collect()
}

fn server(raw: &RawServer, findings: &mut Findings) -> draft::Server {
    let key = |key, example| Key { table: "[[array.server]]", span: raw.span.as_ref(), name: key, example };
    let allowed = "letters, digits, hyphens and dots, as in EX01.contoso.com, at most 253 bytes";
    let name = name(&raw.name, key("name", "\"EX01.contoso.com\""), names::server, allowed, findings);
    let address = required(&raw.address, key("address", "\"10.1.0.11\""), findings);
    draft::Server {
        span: raw.span.clone(),
        name,
        address: address.and_then(|values| Given::read(values, "address", findings)),
        weight: whole(&raw.weight, "weight", 0..=1000, DEFAULT_WEIGHT, findings),
    }
}

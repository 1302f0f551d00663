//! Rules between tables: addresses and ports that may be used once in a deployment, and how much fits in one.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
};

use toml::Spanned;

use crate::config::{
    addresses::Given,
    deployment::{Mode, Protocol},
    diagnostic::{Findings, Span, quoted},
    words::Word as _,
};

use super::{draft, node, values::unique};

/// Most servers of a deployment: their ids and a flag share 16 bits of a slot.
const MAX_SERVERS: usize = 32_767;

/// Most services of a deployment.
const MAX_SERVICES: usize = 4_096;

/// A service, with the array it belongs to.
type Member<'d> = (&'d draft::Array, &'d draft::Service);

pub(super) fn validate(node: &draft::Node, arrays: &[draft::Array], findings: &mut Findings) {
    unique(
        arrays.iter().filter_map(|array| array.name.as_ref()),
        String::clone,
        |name| format!("array {} is there twice", quoted(name)),
        "give each array a name of its own",
        findings,
    );
    let services: Vec<Member<'_>> =
        arrays.iter().flat_map(|array| array.services.iter().map(move |service| (array, service))).collect();
    limits(arrays, &services, findings);
    sockets(&services, findings);
    vips_are_no_servers(arrays, &services, findings);
    agree_on_vips(&services, findings);
    nat_keeps_families(&services, findings);
    nat_replies(&services, findings);
    if let Some(largest) = arrays.iter().max_by_key(|array| array.servers.len()) {
        let name = largest.name.as_ref().map_or("", |name| name.get_ref());
        node::slots_suffice(node, largest.servers.len(), name, findings);
    }
}

fn limits(arrays: &[draft::Array], services: &[Member<'_>], findings: &mut Findings) {
    let mut servers = arrays.iter().flat_map(|array| &array.servers);
    if let Some(server) = servers.nth(MAX_SERVERS) {
        let message = format!("this is one server more than the {MAX_SERVERS} of one node");
        findings.error(server.span.clone(), message, "move some arrays to another node");
    }
    if let Some((_, service)) = services.get(MAX_SERVICES) {
        let message = format!("this is one service more than the {MAX_SERVICES} of one node");
        findings.error(service.span.clone(), message, "move some arrays to another node");
    }
}

/// A VIP, port and protocol belong to one service.
fn sockets(services: &[Member<'_>], findings: &mut Findings) {
    let mut taken: HashMap<(SocketAddr, Protocol), (Member<'_>, Span)> = HashMap::new();
    for (array, service) in services {
        let (Some(vips), Some(port), Some(protocol)) = (&service.vip, &service.port, service.protocol) else {
            continue;
        };
        for vip in vips.iter() {
            let socket = SocketAddr::new(*vip.get_ref(), *port.get_ref());
            let Some((first, there)) = taken.insert((socket, protocol), ((*array, *service), vip.span())) else {
                continue;
            };
            let message = format!("{socket} {} already belongs to {}", protocol.word().to_uppercase(), title(first));
            let remedy = "give this service another VIP or port, or remove one of the two";
            findings.conflict(vip.span(), (there, "first here"), message, remedy);
        }
    }
}

/// In `dsr` mode a server that had the VIP as its own address would answer ARP for it; in any mode the balancer would
/// steer its own health checks.
fn vips_are_no_servers(arrays: &[draft::Array], services: &[Member<'_>], findings: &mut Findings) {
    let servers: HashMap<IpAddr, Span> = arrays
        .iter()
        .flat_map(|array| &array.servers)
        .filter_map(|server| server.address.as_ref())
        .flat_map(Given::iter)
        .map(|address| (*address.get_ref(), address.span()))
        .collect();
    for vip in services.iter().filter_map(|(_, service)| service.vip.as_ref()).flat_map(Given::iter) {
        if let Some(server) = servers.get(vip.get_ref()) {
            findings.conflict(
                vip.span(),
                (server.clone(), "the server"),
                format!("the VIP {} is the address of a server", vip.get_ref()),
                "choose a VIP that no host has as its own address",
            );
        }
    }
}

/// What is said for each service, but holds for its VIP.
fn agree_on_vips(services: &[Member<'_>], findings: &mut Findings) {
    let mut first: HashMap<IpAddr, (Member<'_>, Span)> = HashMap::new();
    let vips = services.iter().flat_map(|&member| {
        let vips = member.1.vip.iter().flat_map(Given::iter);
        vips.map(move |vip| (member, vip))
    });
    for (member, vip) in vips {
        let (_, service) = member;
        let ((array, other), there) = first.entry(*vip.get_ref()).or_insert((member, vip.span())).clone();
        let differ = [
            ("unknown_port", differs(service.unknown_port, other.unknown_port), &service.unknown_port_span),
            ("announce", differs(service.announce, other.announce), &service.announce_span),
        ];
        for (key, values, span) in differ {
            let Some((this, that)) = values else { continue };
            findings.conflict(
                span.clone().unwrap_or_else(|| vip.span()),
                (there.clone(), "the other service"),
                format!(
                    "`{key}` is {this:?} here and {that:?} in {}, but it holds for the whole VIP {}",
                    title((array, other)),
                    vip.get_ref()
                ),
                format!("write the same `{key}` in both, or set it in [defaults]"),
            );
        }
    }
}

/// Both words, when they are known and not the same.
fn differs<W: crate::config::words::Word + PartialEq>(
    here: Option<W>,
    there: Option<W>,
) -> Option<(&'static str, &'static str)> {
    let (here, there) = (here?, there?);
    (here != there).then(|| (here.word(), there.word()))
}

/// In `nat` mode the destination is rewritten within its family.
fn nat_keeps_families(services: &[Member<'_>], findings: &mut Findings) {
    for (array, service) in services.iter().filter(|(_, service)| service.mode == Some(Mode::Nat)) {
        let Some(vips) = &service.vip else { continue };
        for server in &array.servers {
            let Some(addresses) = &server.address else { continue };
            let Some(vip) = vips.iter().find(|vip| !addresses.has_family(vip)) else {
                continue;
            };
            let family = if vip.get_ref().is_ipv4() { "IPv4" } else { "IPv6" };
            let name = server.name.as_ref().map_or("", |name| name.get_ref());
            findings.conflict(
                vip.span(),
                (addresses.span(), "the server"),
                format!(
                    "{} uses nat and has the {family} VIP {}, but server {} has no {family} address",
                    title((array, service)),
                    vip.get_ref(),
                    quoted(name)
                ),
                format!("add the server's {family} address, remove this VIP, or write mode = \"dsr\" for this service"),
            );
        }
    }
}

/// A reply in `nat` mode names its service by the server's address, port and protocol alone.
fn nat_replies(services: &[Member<'_>], findings: &mut Findings) {
    let mut groups: BTreeMap<(u16, Protocol), Vec<Member<'_>>> = BTreeMap::new();
    for member in services {
        let (_, service) = member;
        if let (Some(Mode::Nat), Some(port), Some(protocol)) = (service.mode, &service.server_port, service.protocol) {
            groups.entry((*port.get_ref(), protocol)).or_default().push(*member);
        }
    }
    // Only services that have their port on the servers in common can clash; most deployments end here.
    for ((port, protocol), members) in groups.into_iter().filter(|(_, members)| members.len() > 1) {
        let mut owners: HashMap<IpAddr, Member<'_>> = HashMap::new();
        for member in members {
            // One finding a service, however many servers it shares.
            let of_family =
                |address: &&Spanned<IpAddr>| member.1.vip.as_ref().is_some_and(|vip| vip.has_family(address));
            let addresses = member.0.servers.iter().filter_map(|server| server.address.as_ref());
            let clash = addresses.flat_map(Given::iter).filter(of_family).find_map(|address| {
                let owner = *owners.entry(*address.get_ref()).or_insert(member);
                (!std::ptr::eq(owner.1, member.1) && !same_socket(owner.1, member.1)).then_some((address, owner))
            });
            if let Some((address, owner)) = clash {
                report_nat_clash(member, owner, *address.get_ref(), port, protocol, findings);
            }
        }
    }
}

fn report_nat_clash(
    (array, service): Member<'_>,
    owner: Member<'_>,
    address: IpAddr,
    port: u16,
    protocol: Protocol,
    findings: &mut Findings,
) {
    let message = format!(
        "replies of {} {} could belong to {} or to {}",
        SocketAddr::new(address, port),
        protocol.word().to_uppercase(),
        title((array, service)),
        title(owner)
    );
    let remedy = "in nat mode give each of the two its own `server_port`, or servers of its own";
    let place = |service: &draft::Service| service.server_port.as_ref().map(Spanned::span);
    match (place(service), place(owner.1)) {
        (Some(here), Some(there)) => {
            findings.conflict(here, (there, "the other service"), message, remedy);
        }
        _ => findings.error(service.span.clone(), message, remedy),
    }
}

/// Two services on one VIP, port and protocol are reported as that.
fn same_socket(one: &draft::Service, other: &draft::Service) -> bool {
    let (Some(vip), Some(others)) = (&one.vip, &other.vip) else {
        return false;
    };
    one.port == other.port && vip.iter().any(|vip| others.iter().any(|other| vip.get_ref() == other.get_ref()))
}

/// A service for messages.
fn title((array, service): Member<'_>) -> String {
    let service = service.name.as_ref().map_or("", |name| name.get_ref());
    let array = array.name.as_ref().map_or("", |name| name.get_ref());
    format!("service {} of array {}", quoted(service), quoted(array))
}

//! A deployment in the making: values in range with their places in the file, and `None` for what has been reported.

use toml::Spanned;

use crate::config::{
    addresses::Given,
    deployment::{self, AllDown, Check, HashKind, Mode, Protocol, UnknownPort, XdpMode},
    diagnostic::Span,
    words::Announce,
};

pub(super) struct Node {
    pub(super) name: Option<String>,
    pub(super) interfaces: Option<Vec<String>>,
    pub(super) xdp: Option<XdpMode>,
    pub(super) hash_seed: Option<String>,
    pub(super) slots: Option<u32>,
    /// Where the file says `slots`, when it does.
    pub(super) slots_span: Option<Span>,
}

pub(super) struct Array {
    pub(super) name: Option<Spanned<String>>,
    pub(super) namespaces: Option<Vec<String>>,
    pub(super) servers: Vec<Server>,
    pub(super) services: Vec<Service>,
}

pub(super) struct Server {
    pub(super) span: Option<Span>,
    pub(super) name: Option<Spanned<String>>,
    pub(super) address: Option<Given>,
    pub(super) weight: Option<u16>,
}

pub(super) struct Service {
    pub(super) span: Option<Span>,
    pub(super) name: Option<Spanned<String>>,
    pub(super) vip: Option<Given>,
    pub(super) port: Option<Spanned<u16>>,
    pub(super) protocol: Option<Protocol>,
    pub(super) server_port: Option<Spanned<u16>>,
    pub(super) mode: Option<Mode>,
    pub(super) hash: Option<HashKind>,
    pub(super) all_down: Option<AllDown>,
    pub(super) announce: Option<Announce>,
    pub(super) unknown_port: Option<UnknownPort>,
    /// Where the service says `announce`, when it does.
    pub(super) announce_span: Option<Span>,
    /// Where the service says `unknown_port`, when it does.
    pub(super) unknown_port_span: Option<Span>,
    pub(super) checks: Vec<Option<Check>>,
}

impl Node {
    pub(super) fn finish(self) -> Option<deployment::Node> {
        Some(deployment::Node {
            name: self.name?,
            interfaces: self.interfaces?,
            xdp: self.xdp?,
            hash_seed: self.hash_seed?,
            slots: self.slots?,
        })
    }
}

impl Array {
    pub(super) fn finish(self) -> Option<deployment::Array> {
        Some(deployment::Array {
            name: self.name?.into_inner(),
            namespaces: self.namespaces?,
            servers: self.servers.into_iter().map(Server::finish).collect::<Option<_>>()?,
            services: self.services.into_iter().map(Service::finish).collect::<Option<_>>()?,
        })
    }
}

impl Server {
    fn finish(self) -> Option<deployment::Server> {
        Some(deployment::Server {
            name: self.name?.into_inner(),
            address: self.address?.addresses()?,
            weight: self.weight?,
        })
    }
}

impl Service {
    fn finish(self) -> Option<deployment::Service> {
        Some(deployment::Service {
            name: self.name?.into_inner(),
            vip: self.vip?.addresses()?,
            port: self.port?.into_inner(),
            protocol: self.protocol?,
            server_port: self.server_port?.into_inner(),
            mode: self.mode?,
            hash: self.hash?,
            all_down: self.all_down?,
            announce: self.announce? == Announce::Arp,
            unknown_port: self.unknown_port?,
            checks: self.checks.into_iter().collect::<Option<_>>()?,
        })
    }
}

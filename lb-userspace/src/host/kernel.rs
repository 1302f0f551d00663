//! Questions to the kernel by route netlink, and its announcements of changes. Translates and decides nothing.

use std::net::IpAddr;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream::BoxStream};
use rtnetlink::{
    Error, Handle, MulticastGroup,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        link::LinkExtentMask,
        neighbour::{NeighbourFlags, NeighbourState},
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteType},
    },
    sys::SocketAddr,
};
use tokio::task::JoinHandle;

use super::{
    HostError, Link, links,
    paths::{self, Hop, Neighbours, Route},
};

/// A netlink socket for questions.
pub(super) struct Kernel {
    handle: Handle,
    _connection: Connection,
}

/// A netlink socket on which the kernel announces changes of links, neighbours, addresses, routes and rules.
///
/// Its own socket, so that a flood of announcements cannot crowd out an answer. Changes of next-hop objects are not among
/// them: the library cannot read these messages.
pub(super) struct Changes {
    messages: BoxStream<'static, (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    _connection: Connection,
}

/// What the kernel announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A neighbour's entry.
    Neighbour(Hop),
    /// Something else, or announcements were lost.
    Any,
}

/// The task that serves a socket; ends with its owner.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Kernel {
    /// Opens a socket in the network namespace of this thread.
    pub(super) fn connect() -> Result<Self, HostError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(HostError::Socket)?;
        Ok(Self { handle, _connection: Connection(tokio::spawn(connection)) })
    }

    /// All NICs with their addresses.
    pub(super) async fn links(&self) -> Result<Vec<Link>, HostError> {
        let skip_statistics = vec![LinkExtentMask::SkipStats];
        let request = self.handle.link().get().set_filter_mask(AddressFamily::Unspec, skip_statistics);
        let found: Vec<_> = request.execute().try_collect().await.map_err(refused("list the interfaces"))?;
        let addresses: Vec<_> =
            self.handle.address().get().execute().try_collect().await.map_err(refused("list the addresses"))?;
        Ok(links::links(&found, &addresses))
    }

    /// The neighbour table.
    pub(super) async fn neighbours(&self) -> Result<Neighbours, HostError> {
        let request = self.handle.neighbours().get();
        let found: Vec<_> = request.execute().try_collect().await.map_err(refused("list the neighbours"))?;
        Ok(paths::neighbours(&found))
    }

    /// Where a packet of this host to `address` would go.
    pub(super) async fn route(&self, address: IpAddr) -> Result<Route, HostError> {
        let mut request = RouteMessage::default();
        (request.header.address_family, request.header.destination_prefix_length) = match address {
            IpAddr::V4(_) => (AddressFamily::Inet, 32),
            IpAddr::V6(_) => (AddressFamily::Inet6, 128),
        };
        // As iproute2 asks; the builder of the library would leave more than the question behind.
        request.header.kind = RouteType::Unspec;
        request.attributes.push(RouteAttribute::Destination(RouteAddress::from(address)));
        match self.handle.route().get(request).execute().try_next().await {
            Ok(Some(message)) => Ok(Route::from(&message)),
            Ok(None) => Ok(Route::Nowhere),
            Err(Error::NetlinkError(error)) if is_no_route(error.raw_code()) => Ok(Route::Nowhere),
            Err(error) => Err(refused("look up a route")(error)),
        }
    }

    /// Makes the kernel resolve or confirm a next hop, as a packet to it would. Needs `CAP_NET_ADMIN`.
    ///
    /// Not for permanent entries: the kernel would make them ordinary ones.
    pub(super) async fn resolve(&self, (ifindex, address): Hop) -> Result<(), HostError> {
        self.handle
            .neighbours()
            .add(ifindex, address)
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace()
            .execute()
            .await
            .map_err(refused("resolve a neighbour"))
    }
}

impl Changes {
    /// Subscribes in the network namespace of this thread.
    pub(super) fn subscribe() -> Result<Self, HostError> {
        let (connection, _, messages) = rtnetlink::new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv4Rule,
            MulticastGroup::Ipv6Rule,
        ])
        .map_err(HostError::Socket)?;
        Ok(Self { messages: messages.boxed(), _connection: Connection(tokio::spawn(connection)) })
    }

    /// The next announcement; `None` once the socket has failed.
    pub(super) async fn next(&mut self) -> Option<Change> {
        self.messages.next().await.map(|(message, _)| change(&message))
    }

    /// Drops the announcements that have arrived already.
    pub(super) fn drain(&mut self) {
        while let Some(Some(_)) = self.messages.next().now_or_never() {}
    }
}

fn change(message: &NetlinkMessage<RouteNetlinkMessage>) -> Change {
    // An overrun (the socket's buffer was full) is not an inner message: anything may have changed.
    let NetlinkPayload::InnerMessage(
        RouteNetlinkMessage::NewNeighbour(message) | RouteNetlinkMessage::DelNeighbour(message),
    ) = &message.payload
    else {
        return Change::Any;
    };
    paths::neighbour(message).map_or(Change::Any, |(hop, _)| Change::Neighbour(hop))
}

/// Whether an error of a route lookup means that there is no route: none at all, unreachable, prohibited, blackhole
/// (ip-route(8)), or the address family is off.
fn is_no_route(code: i32) -> bool {
    matches!(
        code.abs(),
        libc::ENETUNREACH
            | libc::EHOSTUNREACH
            | libc::EACCES
            | libc::EINVAL
            | libc::ESRCH
            | libc::EAFNOSUPPORT
            | libc::EOPNOTSUPP
    )
}

fn refused(operation: &'static str) -> impl Fn(Error) -> HostError {
    move |source| HostError::Refused { operation, source }
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};

    use super::*;

    #[test]
    fn announcements_about_neighbours_name_them_and_a_lost_one_means_anything() {
        let mut neighbour = NeighbourMessage::default();
        neighbour.header.ifindex = 2;
        neighbour.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet([10, 1, 0, 12].into())));
        let hop = (2, IpAddr::from([10, 1, 0, 12]));
        for message in
            [RouteNetlinkMessage::NewNeighbour(neighbour.clone()), RouteNetlinkMessage::DelNeighbour(neighbour)]
        {
            assert_eq!(change(&NetlinkMessage::from(message)), Change::Neighbour(hop));
        }
        let route = NetlinkMessage::from(RouteNetlinkMessage::NewRoute(RouteMessage::default()));
        assert_eq!(change(&route), Change::Any);
        let mut overrun = route;
        overrun.payload = NetlinkPayload::Overrun(Vec::new());
        assert_eq!(change(&overrun), Change::Any);
    }

    #[tokio::test]
    async fn the_kernel_answers_without_privileges() {
        let kernel = Kernel::connect().unwrap();
        let links = kernel.links().await.unwrap();
        assert!(links.iter().any(|link| link.name == "lo" && link.mac.is_none()));
        assert_eq!(kernel.route([127, 0, 0, 1].into()).await.unwrap(), Route::Local);
        kernel.neighbours().await.unwrap();
        Changes::subscribe().unwrap().drain();
    }
}

//! What the program did with a packet and why. The reason is the index of its counter as well.

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Out of the NIC it came in by (`XDP_TX`).
    Transmit,
    /// Out of another NIC (`XDP_REDIRECT`).
    Redirect(u32),
    /// To the network stack of the host (`XDP_PASS`).
    Pass,
    /// Nowhere (`XDP_DROP`).
    Drop,
}

/// Which of the two a reason leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The packet was answered or sent on.
    Send,
    /// The host's stack gets the packet.
    Pass,
    /// Nobody gets it.
    Drop,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $action:ident;)+) => {
        /// Why a packet was not steered to a server. The numbers are frozen: they index the counters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name users see.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// What happens to a packet with this reason.
            #[inline(always)]
            pub const fn action(self) -> Action {
                match self {
                    $(Self::$name => Action::$action,)+
                }
            }
        }
    };
}

reasons! {
    /// An ARP request for a VIP, answered.
    ArpAnswered = "arp-answered", Send;
    /// An echo request for a VIP, answered.
    EchoAnswered = "echo-answered", Send;
    /// A `nat` server's reply, sent on to the client with the VIP as source.
    Replied = "replied", Send;
    /// A `nat` server's reply, rewritten, but the kernel must resolve the next hop's MAC first.
    ReplyNoNeighbour = "reply-no-neighbour", Pass;
    /// A `nat` server's reply to a connection that the client made to the server's own address.
    ReplyDirect = "reply-direct", Pass;
    /// A `nat` server's packet to an address the kernel would not forward to, such as the balancer's own.
    ReplyLocal = "reply-local", Pass;
    /// A `nat` server's reply, but the NIC it came in by does not forward (`net.ipv4.conf.NIC.forwarding`).
    ReplyForwardingOff = "reply-forwarding-off", Pass;
    /// A `nat` server's reply that may not be fragmented and is too large for the way back: the stack tells the server.
    ReplyTooLarge = "reply-too-large", Pass;
    /// To a VIP, but to no service, and `unknown_port` is `pass`.
    UnknownPassed = "unknown-passed", Pass;
    /// To a VIP on a port without a service.
    UnknownPort = "unknown-port", Drop;
    /// To a VIP with a protocol other than TCP, UDP and ICMP.
    UnknownProtocol = "unknown-protocol", Drop;
    /// ICMP to a VIP that is not an echo request.
    IcmpIgnored = "icmp-ignored", Drop;
    /// An echo request to a VIP that is not announced.
    VipInactive = "vip-inactive", Drop;
    /// An echo request above the rate that is answered.
    EchoLimited = "echo-limited", Drop;
    /// To a service that has no server.
    NoServer = "no-server", Drop;
    /// To a server whose MAC address or NIC is not known.
    NoPath = "no-path", Drop;
    /// A fragment.
    Fragment = "fragment", Drop;
    /// Cut short: a header ends beyond the frame.
    Truncated = "truncated", Drop;
    /// A length field that cannot be true.
    BadLength = "bad-length", Drop;
    /// A header that makes no sense.
    BadHeader = "bad-header", Drop;
    /// From an address that nobody can have here: 0.0.0.0/8, loopback, multicast, broadcast, or the destination itself.
    Martian = "martian", Drop;
    /// TTL used up on the way through the balancer (`nat`).
    TtlExpired = "ttl-expired", Drop;
    /// The tables contradict each other: a defect of caslb.
    Defect = "defect", Drop;
    /// A `nat` server's reply, rewritten, that is too large for the way back and may be fragmented: the kernel does that.
    ReplyFragmented = "reply-fragmented", Pass;
    /// More IPv6 extension headers than are looked through.
    Extensions = "extension-headers", Drop;
    /// A neighbour solicitation for a VIP, answered.
    NeighbourAnswered = "neighbour-answered", Send;
}

/// Counters reserved for each service; more than there are reasons, so that reasons can be added without a new layout.
pub const REASONS_PER_SERVICE: u32 = 64;

impl Reason {
    /// Number of the counter, below [`REASONS_PER_SERVICE`].
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positions_and_names_are_unique() {
        assert!(Reason::ALL.len() < REASONS_PER_SERVICE as usize);
        for (position, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index() as usize, position);
            assert!(Reason::ALL[..position].iter().all(|other| other.name() != reason.name()));
        }
    }

    #[test]
    fn numbers_are_frozen() {
        assert_eq!(Reason::ArpAnswered.index(), 0);
        assert_eq!(Reason::UnknownPort.index(), 9);
        assert_eq!(Reason::Defect.index(), 22);
        assert_eq!(Reason::ReplyFragmented.index(), 23);
    }
}

//! The words by which the file names a choice: one list for reading and for printing.

use super::deployment::{AllDown, HashKind, Mode, Protocol, UnknownPort, Verify, XdpMode};

/// A choice that the file makes by a word.
pub trait Word: Copy + 'static {
    /// Every choice.
    const ALL: &'static [Self];
    /// Words of the full product that this version does not do, with what to do instead.
    const NOT_YET: &'static [(&'static str, &'static str)] = &[];
    /// The word.
    fn word(self) -> &'static str;
}

impl Word for XdpMode {
    const ALL: &'static [Self] = &[Self::Auto, Self::Driver, Self::Generic];
    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Driver => "driver",
            Self::Generic => "generic",
        }
    }
}

impl Word for Mode {
    const ALL: &'static [Self] = &[Self::Dsr, Self::Nat];
    const NOT_YET: &'static [(&'static str, &'static str)] = &[
        ("tunnel", "use \"dsr\" for servers on the balancer's own segment, or \"nat\" behind it"),
        ("snat", "use \"nat\", with the balancer as the servers' gateway"),
    ];
    fn word(self) -> &'static str {
        match self {
            Self::Dsr => "dsr",
            Self::Nat => "nat",
        }
    }
}

impl Word for Protocol {
    const ALL: &'static [Self] = &[Self::Tcp, Self::Udp];
    fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl Word for HashKind {
    const ALL: &'static [Self] = &[Self::Flow, Self::Client];
    fn word(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Client => "client",
        }
    }
}

impl Word for AllDown {
    const ALL: &'static [Self] = &[Self::KeepLast, Self::Withdraw];
    fn word(self) -> &'static str {
        match self {
            Self::KeepLast => "keep-last",
            Self::Withdraw => "withdraw",
        }
    }
}

impl Word for UnknownPort {
    const ALL: &'static [Self] = &[Self::Drop, Self::Pass];
    fn word(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Pass => "pass",
        }
    }
}

/// Whether a VIP is announced; the deployment keeps it as a yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announce {
    /// ARP requests are answered.
    Arp,
    /// Routers send the VIP here.
    Off,
}

impl Word for Announce {
    const ALL: &'static [Self] = &[Self::Arp, Self::Off];
    fn word(self) -> &'static str {
        match self {
            Self::Arp => "arp",
            Self::Off => "off",
        }
    }
}

impl From<bool> for Announce {
    fn from(announced: bool) -> Self {
        if announced { Self::Arp } else { Self::Off }
    }
}

/// The type of a check, without what it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckType {
    Tcp,
    Http,
    Https,
}

impl Word for CheckType {
    const ALL: &'static [Self] = &[Self::Tcp, Self::Http, Self::Https];
    const NOT_YET: &'static [(&'static str, &'static str)] = &[
        ("tls", "use \"https\", or \"tcp\" for a service that does not speak HTTP"),
        ("smtp", "use \"tcp\""),
        ("imap", "use \"tcp\""),
        ("pop3", "use \"tcp\""),
        ("icmp", "use \"tcp\" with a `port` the servers listen on"),
    ];
    fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// How a certificate is judged, of what the file names by a word; the other way is a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VerifyWord {
    Full,
    Warn,
    None,
}

impl VerifyWord {
    pub(super) fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|choice| choice.word() == word)
    }
}

impl Word for VerifyWord {
    const ALL: &'static [Self] = &[Self::Full, Self::Warn, Self::None];
    fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Warn => "warn",
            Self::None => "none",
        }
    }
}

impl From<VerifyWord> for Verify {
    fn from(word: VerifyWord) -> Self {
        match word {
            VerifyWord::Full => Self::Full,
            VerifyWord::Warn => Self::Warn,
            VerifyWord::None => Self::None,
        }
    }
}

//! caslb: the controller of an XDP load balancer.

pub mod config;
pub mod dataplane {
    //! The data plane's owner: the only module that touches aya.
    pub mod object;
}

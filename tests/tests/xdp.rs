//! What a balancer sends by XDP reaches the segment.
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use caslb_tests::capture::Wire;
use caslb_tests::frames::Ends;
use caslb_tests::layouts::Layout;
use caslb_tests::topology::{Host, Segment};
use caslb_tests::wait;
use caslb_tests::xdp::{Attached, Program};

const SOON: Duration = Duration::from_secs(5);

fn between(client: &Host, balancer: &Host) -> Result<Ends> {
    Ok(Ends {
        src_mac: client.nic(0)?.mac,
        dst_mac: balancer.nic(0)?.mac,
        src: SocketAddr::new(client.ip()?, 40_000),
        dst: SocketAddr::new([10, 1, 0, 100].into(), 443),
    })
}

/// What comes back of `count` frames of 60 to 1,500 bytes that the client sends to the balancer.
fn bounced(client: &Host, balancer: &Host, count: u16, within: Duration) -> Result<u16> {
    let ends = between(client, balancer)?;
    let back = Ends { src_mac: ends.dst_mac, dst_mac: ends.src_mac, ..ends };
    let mut wire = Wire::open(client.namespace(), "eth0")?;
    let mut came = 0;
    for number in 0..count {
        let sent = ends.data(1, 1, &vec![7; usize::from(number) * 1440 / usize::from(count)])?;
        wire.send(&sent)?;
        if let Ok(got) = wire.expect(within, |view| view.ends() == Some(back)) {
            assert_eq!(got.bytes[12..], sent[12..]);
            came += 1;
        }
    }
    Ok(came)
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn frames_sent_back_by_xdp_arrive_in_every_layout() -> Result<()> {
    for layout in [Layout::lan(1)?, Layout::nat(1)?, Layout::two_nics(1)?] {
        let _bounce = Attached::new(layout.balancer.namespace(), "eth0", Program::Bounce)?;
        assert_eq!(bounced(&layout.client, &layout.balancer, 100, SOON)?, 100);
    }
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn without_the_pass_program_they_are_lost_and_a_dropped_program_is_detached() -> Result<()> {
    let mut segment = Segment::new("lan")?;
    let mut client = Host::new("client")?;
    client.join(&mut segment, &["10.1.0.50/24"])?;
    let mut balancer = Host::new("balancer")?;
    balancer.join(&mut segment, &["10.1.0.2/24"])?;
    let bounce = Attached::new(balancer.namespace(), "eth0", Program::Bounce)?;
    assert_eq!(bounced(&client, &balancer, 1, Duration::from_millis(300))?, 0);
    segment.take_xdp_from(balancer.nic(0)?)?;
    assert_eq!(bounced(&client, &balancer, 10, SOON)?, 10);
    drop(bounce);
    // A child that another test is just starting may hold the link for a moment.
    wait::until("the end of the program", SOON, || {
        let link = balancer.namespace().run("ip", &["-details", "link", "show", "eth0"])?;
        Ok((!link.contains("prog/xdp")).then_some(()))
    })
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_host_with_the_pass_program_is_reachable_as_before() -> Result<()> {
    let layout = Layout::lan(1)?;
    let _pass = Attached::new(layout.balancer.namespace(), "eth0", Program::Pass)?;
    let listener = layout.balancer.namespace().enter(|| std::net::TcpListener::bind("0.0.0.0:0"))??;
    let address = SocketAddr::new(layout.balancer.ip()?, listener.local_addr()?.port());
    layout.client.namespace().enter(|| std::net::TcpStream::connect_timeout(&address, SOON))??;
    Ok(())
}

//! Hosts on segments reach whom they should, by the paths they should.
use std::net::{IpAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caslb_tests::layouts::Layout;
use caslb_tests::topology::{Host, Segment};

const SOON: Duration = Duration::from_secs(5);

/// Opens a connection from one host to an address of another.
fn connect(from: &Host, to: &Host, address: IpAddr, within: Duration) -> Result<()> {
    let listener = to.namespace().enter(|| TcpListener::bind((address, 0)))??;
    let address = listener.local_addr()?;
    from.namespace()
        .enter(|| TcpStream::connect_timeout(&address, within))?
        .with_context(|| format!("to {address}"))?;
    Ok(())
}

fn reaches(from: &Host, to: &Host) -> Result<()> {
    connect(from, to, to.ip()?, SOON)
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn hosts_on_a_segment_reach_each_other_with_ipv4_and_ipv6_at_once() -> Result<()> {
    let mut segment = Segment::new("lan")?;
    let mut one = Host::new("one")?;
    one.join(&mut segment, &["10.1.0.11/24", "2001:db8:1::11/64"])?;
    let mut other = Host::new("other")?;
    other.join(&mut segment, &["10.1.0.12/24", "2001:db8:1::12/64"])?;
    connect(&one, &other, "10.1.0.12".parse()?, SOON)?;
    connect(&one, &other, "2001:db8:1::12".parse()?, SOON)?;
    let neighbours = one.namespace().run("ip", &["neighbour"])?;
    ensure!(neighbours.contains("10.1.0.12 dev eth0 lladdr 02:00:0a:01:00:0c"), "{neighbours}");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn nothing_is_left_to_hardware() -> Result<()> {
    let layout = Layout::lan(1)?;
    for (namespace, device) in [
        (layout.client.namespace(), "eth0"),
        (layout.lan.namespace(), layout.client.nic(0)?.port.as_str()),
        (layout.balancer.namespace(), "eth0"),
    ] {
        let offloads = namespace.run("ethtool", &["-k", device])?;
        for line in offloads.lines().filter(|line| line.ends_with(": on")) {
            for offload in ["checksumming", "segmentation-offload", "generic-receive-offload", "vlan-offload"] {
                ensure!(!line.contains(offload), "{device}: {line}");
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_router_forwards_between_its_segments() -> Result<()> {
    let layout = Layout::routed_client(1)?;
    reaches(&layout.client, &layout.balancer)?;
    reaches(&layout.servers[0], &layout.client)?;
    layout.router.as_ref().context("no router")?.namespace().sysctls(&[("ipv4/ip_forward", "0")])?;
    let blink = Duration::from_millis(300);
    let past_it = connect(&layout.client, &layout.balancer, layout.balancer.ip()?, blink);
    ensure!(past_it.is_err(), "there is a way past the router");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn the_nat_balancer_is_the_servers_way_out() -> Result<()> {
    let layout = Layout::nat(2)?;
    for server in &layout.servers {
        reaches(server, &layout.client)?;
        let route = server.namespace().run("ip", &["route", "get", "192.0.2.50"])?;
        ensure!(route.contains("via 10.1.0.2 "), "{route}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn servers_behind_the_second_nic_answer_past_the_balancer() -> Result<()> {
    let layout = Layout::two_nics(1)?;
    let route = layout.servers[0].namespace().run("ip", &["route", "get", "192.0.2.50"])?;
    ensure!(route.contains("via 10.1.0.1 "), "{route}");
    reaches(&layout.servers[0], &layout.client)?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn servers_of_direct_return_hold_the_vip_and_keep_quiet_about_it() -> Result<()> {
    let layout = Layout::lan(2)?;
    let vip = layout.vip.to_string();
    for server in &layout.servers {
        connect(server, server, layout.vip.into(), SOON)?;
        let asked = connect(&layout.client, server, layout.vip.into(), Duration::from_millis(300));
        ensure!(asked.is_err(), "somebody answered for the VIP");
    }
    let neighbours = layout.client.namespace().run("ip", &["neighbour", "show", &vip])?;
    ensure!(!neighbours.contains("lladdr"), "{neighbours}");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn an_unplugged_host_is_unreachable_until_it_is_plugged_again() -> Result<()> {
    let layout = Layout::lan(1)?;
    let server = &layout.servers[0];
    reaches(&layout.client, server)?;
    server.plug(&layout.lan, 0, false)?;
    ensure!(connect(&layout.client, server, server.ip()?, Duration::from_millis(300)).is_err(), "still reachable");
    server.plug(&layout.lan, 0, true)?;
    reaches(&layout.client, server)?;
    Ok(())
}

//! Raw frames go out and come in as they are, and a capture finds what is wrong with them.
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caslb_tests::capture::{Capture, Direction, Wire};
use caslb_tests::frames::{Ends, arp_request};
use caslb_tests::layouts::Layout;
use caslb_tests::topology::Mac;
use caslb_tests::view::{Net, Transport, View};

const SOON: Duration = Duration::from_secs(5);

fn client_to_server(layout: &Layout, port: u16) -> Result<Ends> {
    let (client, server) = (layout.client.nic(0)?, layout.servers[0].nic(0)?);
    Ok(Ends {
        src_mac: client.mac,
        dst_mac: server.mac,
        src: SocketAddr::new(client.ip()?, 40_000),
        dst: SocketAddr::new(server.ip()?, port),
    })
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_host_answers_raw_frames() -> Result<()> {
    let layout = Layout::lan(1)?;
    let ends = client_to_server(&layout, 9)?;
    let mut wire = Wire::open(layout.client.namespace(), "eth0")?;

    wire.send(&arp_request(ends.src_mac, [10, 1, 0, 50].into(), [10, 1, 0, 11].into())?)?;
    let reply = wire.expect(SOON, |view| matches!(view.net, Net::Arp { operation: 2, .. }))?;
    let Some(Net::Arp { sender, .. }) = reply.view().map(|view| view.net) else { unreachable!("expected ARP") };
    assert_eq!(sender, (ends.dst_mac, [10, 1, 0, 11].into()));

    wire.send(&ends.icmp_echo(1, 1, b"are you there")?)?;
    let is_echo_reply = |net: &Net| matches!(net, Net::Ip { transport: Transport::Icmp { kind: (0, 0) }, .. });
    wire.expect(SOON, |view| is_echo_reply(&view.net))?;

    // Nobody listens: reset.
    wire.send(&ends.syn()?)?;
    let reset = wire.expect(SOON, |view| view.ends().is_some_and(|got| got == ends.reversed()))?;
    let text = reset.view().context("unreadable")?.to_string();
    ensure!(text.contains("TCP R. seq 0 ack 1001"), "{text}");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn captures_verify_real_traffic_and_keep_both_directions_unless_asked() -> Result<()> {
    let layout = Layout::lan(1)?;
    let (client, server) = (&layout.client, &layout.servers[0]);
    let both = Capture::start(client.namespace(), "eth0", Direction::Both)?;
    let incoming = Capture::start(client.namespace(), "eth0", Direction::Incoming)?;
    let port = Capture::start(layout.lan.namespace(), &client.nic(0)?.port, Direction::Both)?;

    let listening = server.namespace().enter(|| UdpSocket::bind("10.1.0.11:0"))??;
    let calling = client.namespace().enter(|| UdpSocket::bind("10.1.0.50:0"))??;
    for socket in [&listening, &calling] {
        socket.set_read_timeout(Some(SOON))?;
    }
    for length in 1..50 {
        calling.send_to(&vec![7; length], listening.local_addr()?)?;
        let mut buffer = [0; 64];
        let (_, from) = listening.recv_from(&mut buffer)?;
        listening.send_to(&buffer[..length], from)?;
        calling.recv_from(&mut buffer)?;
    }

    let is_udp = |view: &View| view.ends().is_some();
    both.wait_for(98, SOON, is_udp)?;
    let (both, incoming, port) = (both.stop()?, incoming.stop()?, port.stop()?);
    assert_eq!(both.matching(is_udp).len(), 98);
    assert_eq!(port.matching(is_udp).len(), 98);
    assert_eq!(incoming.matching(is_udp).len(), 49);
    assert!(incoming.all().iter().all(|frame| !frame.outgoing));
    for frames in [both, port] {
        let verified = frames.verify_checksums()?;
        ensure!(verified >= 98 * 2, "only {verified} checksums");
    }
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_bad_checksum_is_found_and_described() -> Result<()> {
    let layout = Layout::lan(1)?;
    let ends = client_to_server(&layout, 53)?;
    let capture = Capture::start(layout.servers[0].namespace(), "eth0", Direction::Incoming)?;
    let wire = Wire::open(layout.client.namespace(), "eth0")?;
    wire.send(&ends.udp(b"good")?)?;
    let mut bad = ends.udp(b"bad")?;
    *bad.last_mut().context("empty")? ^= 1;
    wire.send(&bad)?;

    let ours = |view: &View| view.ends() == Some(ends);
    capture.wait_for(2, SOON, ours)?;
    let frames = capture.stop()?;
    let error = frames.verify_checksums().err().context("nothing found")?;
    let text = error.to_string();
    let flow = "02:00:0a:01:00:32 > 02:00:0a:01:00:0b 10.1.0.50:40000 > 10.1.0.11:53 UDP length 3";
    ensure!(text.contains("\n  frame ") && text.contains(flow) && text.contains("UDP checksum is 0x"), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn frames_arrive_as_they_were_sent_also_those_for_nobody() -> Result<()> {
    let layout = Layout::lan(1)?;
    let ends = client_to_server(&layout, 53)?;
    let plain = ends.udp(&[0x5a; 1400])?;
    let mut server = Wire::open(layout.servers[0].namespace(), "eth0")?;
    let client = Wire::open(layout.client.namespace(), "eth0")?;
    client.send(&plain)?;
    let got = server.expect(SOON, |view| view.ends() == Some(ends))?;
    assert_eq!(got.bytes, plain);
    let nobody = Ends { dst_mac: Mac([2, 0, 0, 0, 0, 1]), ..ends };
    client.send(&nobody.udp(b"flooded")?)?;
    server.expect(SOON, |view| view.ends() == Some(nobody))?;
    Ok(())
}

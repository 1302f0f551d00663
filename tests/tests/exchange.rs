//! Simulated servers answer as Exchange does, stop as a killed process does, and clients know where each answer came from.
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caslb_tests::capture::{Capture, Direction};
use caslb_tests::certificates::{Authority, Identity};
use caslb_tests::client::{Client, Taken};
use caslb_tests::exchange::Exchange;
use caslb_tests::layouts::Layout;
use caslb_tests::pages::{Health, VIRTUAL_DIRECTORIES};
use caslb_tests::plain::{TcpEcho, UdpEcho};
use caslb_tests::wait;

const NAMESPACE: &str = "mail.contoso.com";
const EX01: &str = "EX01.contoso.com";
const SOON: Duration = Duration::from_secs(10);

/// A client and one server that can talk to each other without a balancer.
struct Pair {
    client: Client,
    exchange: Exchange,
    authority: Authority,
    layout: Layout,
    address: SocketAddr,
}

impl Pair {
    fn new() -> Result<Self> {
        let layout = Layout::lan(1)?;
        let authority = Authority::new()?;
        let server = layout.servers[0].namespace();
        let exchange = Exchange::https(server, EX01, &authority.issue(&[NAMESPACE])?)?;
        let client = Client::https(layout.client.namespace(), &authority, NAMESPACE)?;
        let address = SocketAddr::new(layout.servers[0].ip()?, 443);
        Ok(Self { client, exchange, authority, layout, address })
    }
}

/// What an error says, with all its causes.
fn failure<T>(result: Result<T>) -> Result<String> {
    Ok(format!("{:#}", result.err().context("it should fail")?))
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn every_virtual_directory_has_its_health_page() -> Result<()> {
    let pair = Pair::new()?;
    for directory in VIRTUAL_DIRECTORIES {
        let answer = pair.client.get(pair.address, &format!("/{directory}/healthcheck.htm"))?;
        assert_eq!(
            (answer.status, answer.content_type.as_str(), answer.body.as_str()),
            (200, "text/html", "200 OK<br/>EX01.contoso.com"),
            "{directory}"
        );
    }
    assert_eq!(pair.client.get(pair.address, "/nothing/healthcheck.htm")?.status, 404);
    assert_eq!(pair.exchange.requests(), 9);
    assert_eq!(pair.exchange.connections(), 9);
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn health_pages_are_switched_while_the_server_runs() -> Result<()> {
    let pair = Pair::new()?;
    let client = Client::https(pair.layout.client.namespace(), &pair.authority, NAMESPACE)?
        .with_timeout(Duration::from_millis(300));
    let owa = || client.get(pair.address, "/owa/healthcheck.htm");
    for status in [503, 401, 302] {
        pair.exchange.set_health("owa", Health::Status(status))?;
        let answer = owa()?;
        assert_eq!((answer.status, answer.body.as_str()), (status, ""));
    }
    pair.exchange.set_health("owa", Health::Closed)?;
    let text = failure(owa())?;
    ensure!(text.contains("no answer to /owa/healthcheck.htm"), "{text}");
    pair.exchange.set_health("owa", Health::Silent)?;
    let text = failure(owa())?;
    ensure!(text.contains("no answer within 300ms"), "{text}");
    // The others are not concerned.
    assert_eq!(client.get(pair.address, "/ews/healthcheck.htm")?.status, 200);
    pair.exchange.set_all_health(Health::Healthy)?;
    assert_eq!(owa()?.status, 200);
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_stopped_server_cuts_connections_and_refuses_new_ones_until_it_starts_again() -> Result<()> {
    let mut pair = Pair::new()?;
    let download = pair.client.download(pair.address, 1 << 30, Some(100_000))?;
    let kept = pair.client.connect(pair.address)?;
    assert_eq!(kept.get("/whoami")?.body, EX01);
    wait::until("the first bytes", SOON, || Ok((download.received() > 0).then_some(())))?;

    pair.exchange.stop();
    let text = failure(pair.client.get(pair.address, "/whoami"))?;
    ensure!(text.contains("Connection refused"), "{text}");
    assert!(kept.get("/whoami").is_err());
    let text = failure(download.finish())?;
    ensure!(text.contains("of 1073741824 bytes"), "{text}");

    pair.exchange.start()?;
    assert_eq!(pair.client.get(pair.address, "/whoami")?.body, EX01);
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_kept_connection_stays_one_and_the_server_sees_where_it_comes_from() -> Result<()> {
    let pair = Pair::new()?;
    let from = SocketAddr::new(pair.layout.client.ip()?, 50_123);
    let kept = pair.client.connect_from(from, pair.address)?;
    assert_eq!(kept.local(), from);
    for _ in 0..3 {
        let answer = kept.get("/whoami")?;
        assert_eq!((answer.local, answer.seen_as), (from, Some(from)));
    }
    assert_eq!((pair.exchange.connections(), pair.exchange.requests()), (1, 3));
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn an_echo_returns_what_was_posted() -> Result<()> {
    let pair = Pair::new()?;
    let text = "Grüße ".repeat(10_000);
    assert_eq!(pair.client.post(pair.address, "/echo", &text)?.body, text);
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_spread_tells_who_took_each_port_and_leaves_right_checksums() -> Result<()> {
    let layout = Layout::lan(2)?;
    let authority = Authority::new()?;
    let identity = authority.issue(&[NAMESPACE])?;
    let capture = Capture::start(layout.client.namespace(), "eth0", Direction::Both)?;
    let client = Client::https(layout.client.namespace(), &authority, NAMESPACE)?;
    let own: IpAddr = layout.client.ip()?;
    for (number, server) in layout.servers.iter().enumerate() {
        let fqdn = format!("EX{number:02}.contoso.com");
        let _exchange = Exchange::https(server.namespace(), &fqdn, &identity)?;
        let address = SocketAddr::new(server.ip()?, 443);
        // Twice from the same ports: they must be free again at once.
        for _ in 0..2 {
            let ports = 20_000..20_100;
            let taken = client.spread_from(ports.clone().map(|port| SocketAddr::new(own, port)), address)?;
            let expected: Vec<_> =
                ports.map(|port| Taken { from: SocketAddr::new(own, port), server: fqdn.clone() }).collect();
            assert_eq!(taken, expected);
        }
        let taken = client.spread(address, 50)?;
        let ports: BTreeSet<_> = taken.iter().map(|taken| taken.from).collect();
        // The kernel may choose one again that has become free.
        ensure!(ports.len() > 40, "{ports:?}");
        assert!(ports.iter().all(|from| from.ip() == own && from.port() != 0));
    }
    let verified = capture.stop()?.verify_checksums()?;
    ensure!(verified > 500 * 2 * 6, "only {verified} checksums");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn downloads_are_verified_to_the_last_byte_and_keep_their_rate() -> Result<()> {
    let pair = Pair::new()?;
    assert_eq!(pair.client.download(pair.address, 3_000_001, None)?.finish()?, 3_000_001);
    let started = std::time::Instant::now();
    assert_eq!(pair.client.download(pair.address, 50_000, Some(100_000))?.finish()?, 50_000);
    let took = started.elapsed();
    ensure!(took > Duration::from_millis(400), "50 kB at 100 kB/s took {took:?}");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn clients_refuse_certificates_of_other_names_and_of_nobody() -> Result<()> {
    let pair = Pair::new()?;
    let server = pair.layout.servers[0].namespace();
    for (port, identity, problem) in [
        (8443, pair.authority.issue(&["other.contoso.com"])?, "not valid for name"),
        (9443, Identity::self_signed(&[NAMESPACE])?, "UnknownIssuer"),
    ] {
        let listen = SocketAddr::from(([0, 0, 0, 0], port));
        let _exchange = Exchange::on(listen, server, EX01, Some(&identity))?;
        let text = failure(pair.client.get(SocketAddr::new(pair.address.ip(), port), "/whoami"))?;
        ensure!(text.contains(problem), "{text}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn plain_servers_answer() -> Result<()> {
    let layout = Layout::lan(1)?;
    let server = layout.servers[0].namespace();
    let address = layout.servers[0].ip()?;
    let _web = Exchange::http(server, EX01, 80)?;
    let client = Client::http(layout.client.namespace(), NAMESPACE)?;
    assert_eq!(client.get(SocketAddr::new(address, 80), "/whoami")?.body, EX01);

    let _udp = UdpEcho::start(server, "EX01", layout.vip, 5353)?;
    let answer = layout.servers[0].namespace().enter(|| -> Result<Vec<u8>> {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(SOON))?;
        socket.send_to(b"hello", (layout.vip, 5353))?;
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer)?;
        Ok(buffer[..length].to_vec())
    })??;
    assert_eq!(answer, b"EX01 hello");

    let _tcp = TcpEcho::start(server, 7)?;
    let echoed = layout.client.namespace().enter(|| -> Result<Vec<u8>> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect((address, 7))?;
        stream.set_read_timeout(Some(SOON))?;
        stream.write_all(b"to and fro")?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut echoed = Vec::new();
        stream.read_to_end(&mut echoed)?;
        Ok(echoed)
    })??;
    assert_eq!(echoed, b"to and fro");
    Ok(())
}

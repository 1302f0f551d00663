//! Tests of the `https` check: what the server is told, and how its certificate is judged.

use super::*;
use crate::health::testserver::{Authority, Identity};

async fn https(verify: Verify, server: &TestServer, tls: &Tls) -> Outcome {
    run(CheckKind::Https(page(), verify), server.address, Duration::from_secs(5), tls).await
}

#[tokio::test]
async fn tls_to_a_plain_server_and_a_silent_handshake_are_named() {
    let tls = Tls::new().unwrap();
    // The handshake is taken for a request without an end.
    let server = TestServer::plain(Answer::Silence).await;
    let timeout = Duration::from_millis(300);
    let failed = run(CheckKind::Https(page(), Verify::None), server.address, timeout, &tls).await.unwrap_err();
    assert_eq!(failed, Failed::new(FailureKind::Timeout, "no TCP and TLS connection within 300ms"));
    // One that answers in the clear at once.
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 mail.contoso.com ESMTP\r\n").await.unwrap();
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.unwrap();
        }
    });
    let failed = run(CheckKind::Https(page(), Verify::None), address, Duration::from_secs(5), &tls).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::Tls, "{failed:?}");
    assert_eq!(failed.detail, "TLS handshake failed: wrong version number");
}

#[tokio::test]
async fn sni_and_host_are_the_configured_name() {
    let server = TestServer::tls(Identity::self_signed(NAME), ok("")).await;
    https(Verify::None, &server, &Tls::new().unwrap()).await.unwrap();
    let asked = &server.asked()[0];
    assert_eq!(asked.sni.as_deref(), Some(NAME));
    assert!(asked.request.to_ascii_lowercase().contains("\r\nhost: mail.contoso.com\r\n"));
}

#[tokio::test]
async fn without_a_host_there_is_no_sni() {
    let server = TestServer::tls(Identity::self_signed(NAME), ok("")).await;
    let request = HttpCheck { host: None, ..page() };
    let kind = CheckKind::Https(request, Verify::None);
    run(kind, server.address, Duration::from_secs(5), &Tls::new().unwrap()).await.unwrap();
    assert_eq!(server.asked()[0].sni, None);
}

#[tokio::test]
async fn full_verification_takes_a_trusted_certificate_of_the_right_name_only() {
    let authority = Authority::new();
    let tls = Tls::with_roots(&authority.pem()).unwrap();
    let good = TestServer::tls(authority.issue(&["autodiscover.contoso.com", NAME]), ok("")).await;
    assert_eq!(https(Verify::Full, &good, &tls).await.unwrap().warning, None);

    let other = TestServer::tls(authority.issue(&["ex01.contoso.com"]), ok("")).await;
    let failed = https(Verify::Full, &other, &tls).await.unwrap_err();
    let mismatch = "certificate name mismatch: the certificate is not valid for mail.contoso.com";
    assert_eq!(failed, Failed::new(FailureKind::Tls, mismatch));

    let own = TestServer::tls(Identity::self_signed(NAME), ok("")).await;
    let failed = https(Verify::Full, &own, &tls).await.unwrap_err();
    assert_eq!(failed, Failed::new(FailureKind::Tls, "certificate is self-signed and not trusted by this host"));

    let failed = https(Verify::Full, &good, &Tls::new().unwrap()).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::Tls);
    assert!(failed.detail.contains("does not trust"), "{failed:?}");
    assert_eq!(own.asked().len() + other.asked().len(), 0, "a server that is not trusted got a request");
}

#[tokio::test]
async fn no_verification_takes_any_certificate_without_a_word() {
    let server = TestServer::tls(Identity::self_signed("ex01.contoso.com"), ok("")).await;
    assert_eq!(https(Verify::None, &server, &Tls::new().unwrap()).await.unwrap().warning, None);
}

#[tokio::test]
async fn a_pinned_certificate_must_be_that_one() {
    let identity = Identity::self_signed("ex01.contoso.com");
    let pinned = Verify::Fingerprint(Fingerprint::of(&identity.der).0);
    let server = TestServer::tls(identity.clone(), ok("")).await;
    let tls = Tls::new().unwrap();
    assert_eq!(https(pinned.clone(), &server, &tls).await.unwrap().warning, None);
    let next = Identity::self_signed("ex01.contoso.com");
    server.replace(next.clone());
    let failed = https(pinned, &server, &tls).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::Tls);
    assert!(failed.detail.contains(&Fingerprint::of(&next.der).to_string()), "{failed:?}");
    assert!(failed.detail.contains(&Fingerprint::of(&identity.der).to_string()), "{failed:?}");
}

#[tokio::test]
async fn a_warning_costs_a_second_handshake_once_a_certificate() {
    let authority = Authority::new();
    let tls = Tls::with_roots(&authority.pem()).unwrap();
    let server = TestServer::tls(authority.issue(&["ex01.contoso.com"]), ok("")).await;
    let check = Check {
        kind: CheckKind::Https(page(), Verify::Warn),
        port: server.address.port(),
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
        rise: 1,
        fall: 1,
    };
    let probe = probe_of(&check, server.address, &tls).unwrap_or_else(|failed| panic!("{failed:?}"));
    let mismatch = "certificate name mismatch: the certificate is not valid for mail.contoso.com";
    for _ in 0..4 {
        assert_eq!(probe.probe().await.unwrap().warning.as_deref(), Some(mismatch));
    }
    assert_eq!((server.connections(), server.asked().len()), (5, 4));
    server.replace(authority.issue(&[NAME]));
    for _ in 0..3 {
        assert_eq!(probe.probe().await.unwrap().warning, None);
    }
    assert_eq!((server.connections(), server.asked().len()), (9, 7));
}

/// The probes of 20 servers with 10 checks each take a few megabytes at most.
#[tokio::test]
async fn many_probes_are_small() {
    let tls = Tls::new().unwrap();
    let before = resident_kib();
    let probes: Vec<_> = (0..200_u16)
        .map(|n| {
            let server = SocketAddr::from(([127, 0, 0, 1], 1000 + n));
            HttpProbe::tls(&page(), &Verify::Warn, server, Duration::from_secs(4), &tls)
                .unwrap_or_else(|failed| panic!("{failed:?}"))
        })
        .collect();
    let grown = resident_kib().saturating_sub(before);
    println!("{} probes: {grown} KiB", probes.len());
    // Tests run beside each other and add to this.
    assert!(grown < 16 * 1024, "{grown} KiB");
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

//! Tests of the `http` check against real servers on the loopback interface, friendly and hostile.

use std::{collections::BTreeSet, net::Ipv4Addr};

use super::*;
use crate::{
    config::deployment::{Check, CheckKind},
    health::{
        probe_of,
        testserver::{Answer, TestServer},
    },
};

#[path = "https_tests.rs"]
mod https;

const NAME: &str = "mail.contoso.com";

fn ok(body: &str) -> Answer {
    status(200, body)
}

fn status(status: u16, body: &str) -> Answer {
    let length = body.len();
    Answer::Bytes(format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes())
}

fn page() -> HttpCheck {
    HttpCheck {
        host: Some(NAME.to_owned()),
        path: "/owa/healthcheck.htm".to_owned(),
        status: BTreeSet::from([200]),
        body: None,
    }
}

fn with_body(text: &str) -> HttpCheck {
    HttpCheck { body: Some(text.to_owned()), ..page() }
}

/// Runs a check once, the way the scheduler does.
async fn run(kind: CheckKind, server: SocketAddr, timeout: Duration, tls: &Tls) -> Outcome {
    let check = Check { kind, port: server.port(), interval: timeout, timeout, rise: 1, fall: 1 };
    let probe = probe_of(&check, server, tls)?;
    tokio::time::timeout(timeout, probe.probe()).await.unwrap_or_else(|_| Err(Failed::no_answer(timeout)))
}

async fn http(request: HttpCheck, server: &TestServer) -> Outcome {
    run(CheckKind::Http(request), server.address, Duration::from_secs(5), &Tls::new().unwrap()).await
}

#[tokio::test]
async fn a_status_of_the_set_passes_and_any_other_fails() {
    for (answer, accepted, passes) in
        [(200, vec![200], true), (503, vec![200], false), (401, vec![200, 401], true), (204, vec![200, 401], false)]
    {
        let server = TestServer::plain(status(answer, "")).await;
        let outcome = http(HttpCheck { status: accepted.into_iter().collect(), ..page() }, &server).await;
        let answered = format!("GET /owa/healthcheck.htm answered {answer}");
        if passes {
            assert_eq!(outcome, Ok(Passed { detail: answered, warning: None }));
        } else {
            assert_eq!(outcome, Err(Failed::new(FailureKind::Status, answered)));
        }
    }
}

#[tokio::test]
async fn the_request_is_a_plain_get_with_the_configured_host() {
    let server = TestServer::plain(ok("")).await;
    http(page(), &server).await.unwrap();
    let request = server.asked()[0].request.to_ascii_lowercase();
    assert!(request.starts_with("get /owa/healthcheck.htm http/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nhost: mail.contoso.com\r\n"), "{request}");
    assert!(request.contains("\r\nuser-agent: caslb/"), "{request}");
    assert!(request.contains(" (health check)\r\n"), "{request}");
    assert!(request.contains("\r\nconnection: close\r\n"), "{request}");
    assert_eq!(request.matches("host:").count(), 1, "{request}");
}

#[tokio::test]
async fn without_a_host_the_server_is_asked_by_its_address() {
    let server = TestServer::plain(ok("")).await;
    http(HttpCheck { host: None, ..page() }, &server).await.unwrap();
    let host = format!("\r\nhost: {}\r\n", server.address);
    assert!(server.asked()[0].request.to_ascii_lowercase().contains(&host));
}

#[tokio::test]
async fn a_host_that_is_an_address_does_not_redirect_the_check() {
    let server = TestServer::plain(ok("")).await;
    // Nothing answers there.
    http(HttpCheck { host: Some("192.0.2.1".to_owned()), ..page() }, &server).await.unwrap();
    assert!(server.asked()[0].request.to_ascii_lowercase().contains("\r\nhost: 192.0.2.1\r\n"));
}

#[tokio::test]
async fn every_run_opens_a_connection_of_its_own() {
    // The server would keep the connection open.
    let server =
        TestServer::plain(Answer::Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(), Duration::ZERO)).await;
    let check = Check {
        kind: CheckKind::Http(page()),
        port: server.address.port(),
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
        rise: 1,
        fall: 1,
    };
    let probe = probe_of(&check, server.address, &Tls::new().unwrap()).unwrap_or_else(|failed| panic!("{failed:?}"));
    for runs in 1..=4 {
        probe.probe().await.unwrap();
        assert_eq!(server.connections(), runs);
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = TestServer::plain(ok("")).await;
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n", elsewhere.address);
    let server = TestServer::plain(Answer::Bytes(redirect.into_bytes())).await;
    let failed = http(page(), &server).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::Status);
    assert_eq!(elsewhere.connections(), 0);
    assert_eq!(server.connections(), 1);
    assert!(http(HttpCheck { status: BTreeSet::from([302]), ..page() }, &server).await.is_ok());
}

#[tokio::test]
async fn the_body_must_contain_the_text() {
    let server = TestServer::plain(ok("<html>200 OK<br/>EX01</html>")).await;
    assert!(http(with_body("200 OK"), &server).await.is_ok());
    let failed = http(with_body("all is well"), &server).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::Body);
    assert_eq!(failed.detail, "GET /owa/healthcheck.htm: the body does not contain \"all is well\"");
}

#[tokio::test]
async fn text_that_comes_in_pieces_is_found() {
    let body = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nxxx200 OKxxx".to_vec();
    let server = TestServer::plain(Answer::Drip(body, Duration::from_millis(1))).await;
    assert!(http(with_body("200 OK"), &server).await.is_ok());
}

#[tokio::test]
async fn an_endless_body_is_cut_off_and_the_server_let_go() {
    let header = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let server = TestServer::plain(Answer::Endless(header, vec![b'x'; 1000])).await;
    let failed = http(with_body("OK"), &server).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::Body);
    assert!(failed.detail.ends_with("within its first 64 KiB"), "{failed:?}");
    let_go(&server).await;
    // Without a text to look for the body is of no interest at all.
    assert!(http(page(), &server).await.is_ok());
    let_go(&server).await;
}

#[tokio::test]
async fn text_beyond_the_limit_is_not_looked_for() {
    for (before, found) in [(BODY_LIMIT - 2, true), (BODY_LIMIT - 1, false)] {
        let server = TestServer::plain(ok(&format!("{}OK", "x".repeat(before)))).await;
        assert_eq!(http(with_body("OK"), &server).await.is_ok(), found, "{before}");
    }
}

#[tokio::test]
async fn endless_headers_are_cut_off() {
    for rest in [&b"X-Filler: y\r\n"[..], &[b'x'; 1000]] {
        let server = TestServer::plain(Answer::Endless(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), rest.to_vec())).await;
        let failed = http(page(), &server).await.unwrap_err();
        assert_eq!(failed, Failed::new(FailureKind::Protocol, "the answer's header is too large"));
        let_go(&server).await;
    }
}

#[tokio::test]
async fn a_slow_drip_ends_with_the_timeout_and_the_server_is_let_go() {
    let drip = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".repeat(100);
    for (text, pause) in [(None, 100), (Some("never"), 1)] {
        let server = TestServer::plain(Answer::Drip(drip.clone(), Duration::from_millis(pause))).await;
        let request = HttpCheck { body: text.map(str::to_owned), ..page() };
        let timeout = Duration::from_millis(300);
        let began = Instant::now();
        let outcome = run(CheckKind::Http(request), server.address, timeout, &Tls::new().unwrap()).await;
        assert_eq!(outcome, Err(Failed::new(FailureKind::Timeout, "no answer within 300ms")));
        assert!(began.elapsed() < timeout * 3);
        let_go(&server).await;
    }
}

#[tokio::test]
async fn silence_refusal_and_a_hang_up_are_told_apart() {
    let tls = Tls::new().unwrap();
    let timeout = Duration::from_millis(200);
    let server = TestServer::plain(Answer::Silence).await;
    let failed = run(CheckKind::Http(page()), server.address, timeout, &tls).await.unwrap_err();
    assert_eq!(failed, Failed::new(FailureKind::Timeout, "no answer within 200ms"));
    let server = TestServer::plain(Answer::Close).await;
    let failed = http(page(), &server).await.unwrap_err();
    assert_eq!(failed, Failed::new(FailureKind::Reset, "connection closed before an answer"));
    let closed = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let failed = run(CheckKind::Http(page()), closed, timeout, &tls).await.unwrap_err();
    assert_eq!(failed, Failed::new(FailureKind::Refused, "connection refused"));
    let failed = run(CheckKind::Https(page(), Verify::Full), closed, timeout, &tls).await.unwrap_err();
    assert_eq!(failed, Failed::new(FailureKind::Refused, "connection refused"));
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_protocol_failure() {
    let server = TestServer::plain(Answer::Bytes(b"220 mail.contoso.com ESMTP\r\n\r\n".to_vec())).await;
    let failed = http(page(), &server).await.unwrap_err();
    assert_eq!(failed, Failed::new(FailureKind::Protocol, "the answer is not HTTP"));
}

#[tokio::test]
async fn a_request_that_cannot_be_made_is_this_hosts_fault() {
    let server = TestServer::plain(ok("")).await;
    let failed = http(HttpCheck { host: Some("not a name".to_owned()), ..page() }, &server).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::Local);
}

/// The server noticed that nobody reads any more.
async fn let_go(server: &TestServer) {
    let deadline = Instant::now() + Duration::from_secs(3);
    while !server.asked().iter().all(|asked| asked.closed) {
        assert!(Instant::now() < deadline, "a connection stays open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

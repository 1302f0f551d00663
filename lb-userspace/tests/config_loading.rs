//! What a good configuration comes to, how a bad one is shown, and that no text at all breaks the parser.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helper functions too")]

use std::{collections::BTreeSet, path::Path, time::Duration};

use caslb::config::{
    ConfigError,
    deployment::{
        AllDown, Array, Check, CheckKind, Deployment, HashKind, HttpCheck, Mode, Node, Protocol, Server, Service,
        UnknownPort, Verify, XdpMode,
    },
    load, parse,
};
use proptest::prelude::*;

/// Every key of the file, none with its default.
const FULL: &str = r#"
[node]
name       = "lb1"
interfaces = ["eth0", "eth1"]
xdp        = "driver"
hash_seed  = "contoso"

[defaults]
mode         = "nat"
all_down     = "withdraw"
announce     = "off"
unknown_port = "pass"
slots        = 997

[[array]]
name       = "ams"
namespaces = ["mail.contoso.com", "autodiscover.contoso.com"]

  [[array.server]]
  name    = "EX01.contoso.com"
  address = ["10.1.0.11"]

  [[array.server]]
  name    = "EX02.contoso.com"
  address = "10.1.0.12"
  weight  = 200

  [[array.service]]
  name         = "intranet"
  vip          = ["10.1.0.101"]
  port         = 443
  protocol     = "tcp"
  server_port  = 8443
  mode         = "nat"
  hash         = "client"
  all_down     = "keep-last"
  announce     = "arp"
  unknown_port = "drop"

    [[array.service.check]]
    type     = "https"
    port     = 9443
    verify   = "sha256:00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13:14:15:16:17:18:19:1a:1b:1c:1d:1E:1F"
    path     = "/health?full=1"
    host     = "intranet.contoso.com"
    status   = [204, 200]
    body     = "OK"
    interval = "1m30s"
    timeout  = "250ms"
    rise     = 1
    fall     = 100

    [[array.service.check]]
    type = "http"
    interval = "1s"

  [[array.service]]
  name     = "dns"
  vip      = "10.1.0.102"
  port     = 53
  protocol = "udp"

    [[array.service.check]]
    type = "tcp"
"#;

fn http(host: &str, path: &str, status: &[u16], body: Option<&str>) -> HttpCheck {
    HttpCheck {
        host: Some(host.to_owned()),
        path: path.to_owned(),
        status: status.iter().copied().collect(),
        body: body.map(str::to_owned),
    }
}

fn check(kind: CheckKind, port: u16, interval_ms: u64, timeout_ms: u64) -> Check {
    let (interval, timeout) = (Duration::from_millis(interval_ms), Duration::from_millis(timeout_ms));
    Check { kind, port, interval, timeout, rise: 2, fall: 3 }
}

#[test]
fn every_key_reaches_the_deployment() {
    let fingerprint: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
    let thorough = CheckKind::Https(
        http("intranet.contoso.com", "/health?full=1", &[200, 204], Some("OK")),
        Verify::Fingerprint(fingerprint),
    );
    let expected = Deployment {
        node: Node {
            name: "lb1".to_owned(),
            interfaces: vec!["eth0".to_owned(), "eth1".to_owned()],
            xdp: XdpMode::Driver,
            hash_seed: "contoso".to_owned(),
            slots: 997,
        },
        arrays: vec![Array {
            name: "ams".to_owned(),
            namespaces: vec!["mail.contoso.com".to_owned(), "autodiscover.contoso.com".to_owned()],
            servers: vec![
                Server {
                    name: "EX01.contoso.com".to_owned(),
                    address: std::net::Ipv4Addr::from([10, 1, 0, 11]).into(),
                    weight: 100,
                },
                Server {
                    name: "EX02.contoso.com".to_owned(),
                    address: std::net::Ipv4Addr::from([10, 1, 0, 12]).into(),
                    weight: 200,
                },
            ],
            services: vec![
                Service {
                    name: "intranet".to_owned(),
                    vip: std::net::Ipv4Addr::from([10, 1, 0, 101]).into(),
                    port: 443,
                    protocol: Protocol::Tcp,
                    server_port: 8443,
                    mode: Mode::Nat,
                    hash: HashKind::Client,
                    all_down: AllDown::KeepLast,
                    announce: true,
                    unknown_port: UnknownPort::Drop,
                    checks: vec![
                        Check { rise: 1, fall: 100, ..check(thorough, 9443, 90_000, 250) },
                        check(CheckKind::Http(http("mail.contoso.com", "/", &[200], None)), 8443, 1_000, 1_000),
                    ],
                },
                Service {
                    name: "dns".to_owned(),
                    vip: std::net::Ipv4Addr::from([10, 1, 0, 102]).into(),
                    port: 53,
                    protocol: Protocol::Udp,
                    server_port: 53,
                    mode: Mode::Nat,
                    hash: HashKind::Flow,
                    all_down: AllDown::Withdraw,
                    announce: false,
                    unknown_port: UnknownPort::Pass,
                    checks: vec![check(CheckKind::Tcp, 53, 5_000, 4_000)],
                },
            ],
        }],
    };
    assert_eq!(parse("caslb.toml", FULL).unwrap().deployment, expected);
}

#[test]
fn what_is_left_out_has_its_default() {
    let text = "[node]\ninterfaces = [\"eth0\"]\n[[array]]\nname = \"a\"\n[[array.server]]\nname = \"s\"\n\
                address = \"10.0.0.1\"\n[[array.service]]\nname = \"web\"\nvip = \"10.0.0.9\"\nport = 80\n";
    let Deployment { node, arrays } = parse("caslb.toml", text).unwrap().deployment;
    let expected = Node {
        name: "default".to_owned(),
        interfaces: vec!["eth0".to_owned()],
        xdp: XdpMode::Auto,
        hash_seed: "caslb".to_owned(),
        slots: 65_537,
    };
    assert_eq!(node, expected);
    assert_eq!(arrays[0].namespaces, Vec::<String>::new());
    assert_eq!(arrays[0].servers[0].weight, 100);
    let expected = Service {
        name: "web".to_owned(),
        vip: std::net::Ipv4Addr::from([10, 0, 0, 9]).into(),
        port: 80,
        protocol: Protocol::Tcp,
        server_port: 80,
        mode: Mode::Dsr,
        hash: HashKind::Flow,
        all_down: AllDown::KeepLast,
        announce: true,
        unknown_port: UnknownPort::Drop,
        checks: vec![check(CheckKind::Tcp, 80, 5_000, 4_000)],
    };
    assert_eq!(arrays[0].services, [expected]);

    let text = text.to_owned() + "[[array.service.check]]\ntype = \"https\"\n";
    let deployment = parse("caslb.toml", &text).unwrap().deployment;
    let page = HttpCheck { host: None, path: "/".to_owned(), status: BTreeSet::from([200]), body: None };
    let expected = check(CheckKind::Https(page, Verify::Full), 80, 5_000, 4_000);
    assert_eq!(deployment.arrays[0].services[0].checks, [expected]);
}

#[test]
fn the_example_loads_without_a_warning() {
    let example = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/caslb.toml"));
    let loaded = load(example).unwrap();
    assert_eq!(loaded.warnings.diagnostics(), []);
    let [array] = loaded.deployment.arrays.as_slice() else { panic!("one array") };
    assert_eq!(array.servers.len(), 3);
    assert!(array.services.iter().all(|service| service.mode == Mode::Dsr));
    assert!(matches!(array.services[0].checks[0].kind, CheckKind::Https(..)));
}

#[track_caller]
fn assert_shown(text: &str, expected: &str) {
    let error = parse("caslb.toml", text).unwrap_err();
    assert_eq!(error.to_string(), expected, "shown as\n{error}");
}

#[test]
fn errors_are_shown_with_their_line_and_a_caret() {
    assert_shown(
        &FULL.replace("  weight  = 200", "  wieght  = 200").replace("\"10.1.0.12\"", "\"10.1.0.11\""),
        r#"error: address 10.1.0.11 is listed twice in array "ams"
  --> caslb.toml:25:13
   |
21 |   address = ["10.1.0.11"]
   |              ----------- first here
...
25 |   address = "10.1.0.11"
   |             ^^^^^^^^^^^
   |
   = help: give each server its own address, or remove one of them

error: unknown key "wieght" in [[array.server]]
  --> caslb.toml:26:3
   |
26 |   wieght  = 200
   |   ^^^^^^
   |
   = help: did you mean `weight`?"#,
    );
}

#[test]
fn errors_about_the_whole_file_are_shown_with_its_name() {
    assert_shown(
        "[node]\ninterfaces = [\"eth0\"]\n",
        "error: the file has no [[array]]
--> caslb.toml
 = help: add one, with its [[array.server]] and [[array.service]] tables",
    );
}

#[test]
fn warnings_are_shown_like_errors() {
    let text = FULL.replace("997", "251").replace("name    = \"EX02", "name    = \"ex02");
    let loaded = parse("caslb.toml", &text).unwrap();
    assert_eq!(loaded.warnings.to_string(), "");
    let loaded = parse(
        "caslb.toml",
        &FULL.replace("weight  = 200", "weight = 0").replace("[\"10.1.0.11\"]", "\"10.1.0.11\"\nweight = 0"),
    );
    assert_eq!(
        loaded.unwrap().warnings.to_string(),
        r#"warning: all servers of array "ams" have weight 0
  --> caslb.toml:15:1
   |
15 | [[array]]
   | ^^^^^^^^^
   |
   = help: no server gets any traffic; give one of them a weight from 1 to 1000"#
    );
}

#[test]
fn text_that_is_no_toml_is_shown_the_same_way() {
    assert_shown(
        "[node]\nname = \"lb1\ninterfaces = []\n",
        r#"error: this is not TOML: invalid basic string, expected `"`
 --> caslb.toml:2:12
  |
2 | name = "lb1
  |            ^
  |
  = help: correct the line; text stands in double quotes, lists in brackets (https://toml.io has the syntax)"#,
    );
}

#[test]
fn colour_is_for_whoever_asks() {
    let error = parse("caslb.toml", "x = 1").unwrap_err();
    assert!(!error.render(false).contains('\x1b'));
    assert!(error.render(true).contains('\x1b'));
}

#[test]
fn a_flood_of_errors_is_cut_and_counted() {
    let text = (0..50_000).map(|i| format!("key{i} = 1\n")).collect::<Vec<_>>().concat();
    let shown = parse("caslb.toml", &text).unwrap_err().to_string();
    assert_eq!(shown.matches("unknown key").count(), 98);
    assert!(shown.ends_with("\n\nand 49902 more in caslb.toml"), "{}", &shown[shown.len() - 100..]);
}

#[test]
fn deep_nesting_is_an_error() {
    let text = format!("a = {}", "[".repeat(100_000));
    assert!(parse("caslb.toml", &text).is_err());
}

/// The law: a text either loads or says why not, and what it says can be shown.
fn loads_or_explains(text: &str) -> Result<(), TestCaseError> {
    match parse("caslb.toml", text) {
        Ok(loaded) => {
            let _ = loaded.warnings.render(true);
        }
        Err(ConfigError::Source(_)) => {}
        Err(ConfigError::Invalid(report)) => {
            prop_assert!(!report.diagnostics().is_empty());
            for diagnostic in report.diagnostics() {
                prop_assert!(!diagnostic.message.is_empty() && !diagnostic.remedy.is_empty());
            }
            prop_assert!(report.render(false).contains("caslb.toml"));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_loads_or_explains(text in any::<String>()) {
        loads_or_explains(&text)?;
    }

    #[test]
    fn any_text_of_toml_characters_loads_or_explains(text in "([a-z]{1,3}|[\\[\\]{}=.,\"'#\\\\0-9\\r\\n\té -])*") {
        loads_or_explains(&text)?;
    }

    #[test]
    fn any_edit_of_a_good_file_loads_or_explains(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, "[ -~\\n\\té]{0,6}"), 1..4)
    ) {
        let mut text = FULL.to_owned();
        for (place, removed, inserted) in edits {
            let start = text.floor_char_boundary(place.index(text.len() + 1));
            let end = text.ceil_char_boundary((start + removed).min(text.len()));
            text.replace_range(start..end, &inserted);
        }
        loads_or_explains(&text)?;
    }

    #[test]
    fn any_value_in_place_of_another_loads_or_explains(
        line in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![
            "0", "-1", "70000", "1.5", "true", "1979-05-27", "\"\"", "\"é\\u0007\"", "\"::1\"", "[]", "[[]]", "[1, \"a\"]",
            "{}", "{ a = 1 }", "\"any\"", "\"0s\"", "inf", "9223372036854775808", "\"\"\"\na\nb\"\"\"",
        ])
    ) {
        let assignments: Vec<usize> =
            FULL.lines().enumerate().filter(|(_, line)| line.contains('=')).map(|(number, _)| number).collect();
        let chosen = assignments[line.index(assignments.len())];
        let lines: Vec<String> = FULL
            .lines()
            .enumerate()
            .map(|(number, line)| match line.split_once('=') {
                Some((key, _)) if number == chosen => format!("{key}= {value}"),
                _ => line.to_owned(),
            })
            .collect();
        loads_or_explains(&lines.join("\n"))?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        prop_assert!(!load(file.path()).unwrap_err().to_string().is_empty());
    }
}

#[test]
fn the_example_of_the_reference_loads_without_a_warning() {
    let reference = include_str!("../../docs/config.md");
    let example = reference.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let loaded = parse("config.md", example).unwrap();
    assert_eq!(loaded.warnings.diagnostics(), []);
    assert_eq!(loaded.deployment.arrays[0].services[1].server_port, 8443);
}

#[test]
fn the_reference_has_every_key() {
    let reference = include_str!("../../docs/config.md");
    for line in FULL.lines() {
        if let Some((key, _)) = line.split_once('=').filter(|_| !line.contains("verify")) {
            assert!(reference.contains(&format!("| `{}` |", key.trim())), "{key}");
        }
    }
}

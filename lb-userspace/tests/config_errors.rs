//! Each rule of the configuration: what breaks it gets its message, at its line, with a remedy, and nothing else.
//!
//! A case replaces one line of a good file. Whole renderings are compared in `config_rendering.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, in its helper functions too"
)]

use caslb::config::{ConfigError, diagnostic::Severity, parse};

/// A good file. Line 1 is `[node]`; cases count from there.
const GOOD: &str = r#"[node]
interfaces = ["eth0"]
[defaults]
all_down = "keep-last"
[[array]]
name = "ams"
namespaces = ["mail.contoso.com"]
[[array.server]]
name = "EX01"
address = "10.1.0.11"
[[array.server]]
name = "EX02"
address = "10.1.0.12"
[[array.service]]
name = "https"
vip = "10.1.0.100"
port = 443
[[array.service.check]]
type = "https"
port = 443
[[array.service]]
name = "smtp"
vip = "10.1.0.100"
port = 25
"#;

/// Severity, line (0 for none), message, remedy.
type Finding = (Severity, usize, String, String);

fn replaced(line: usize, with: &str) -> String {
    let mut lines: Vec<&str> = GOOD.lines().collect();
    lines[line - 1] = with;
    lines.join("\n") + "\n"
}

fn findings(text: &str) -> Vec<Finding> {
    let report = match parse("caslb.toml", text) {
        Ok(loaded) => loaded.warnings,
        Err(ConfigError::Invalid(report)) => report,
        Err(ConfigError::Source(error)) => panic!("{error}"),
    };
    let finding = |diagnostic: &caslb::config::diagnostic::Diagnostic| {
        let line = report.position(diagnostic).map_or(0, |(line, _)| line);
        (
            diagnostic.severity,
            line,
            diagnostic.message.clone(),
            diagnostic.remedy.clone(),
        )
    };
    report.diagnostics().iter().map(finding).collect()
}

/// Expects these findings and no others: line, the message, a part of the remedy.
#[track_caller]
fn expect(text: &str, severity: Severity, expected: &[(usize, &str, &str)]) {
    let found = findings(text);
    let matches = found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(found, (line, message, remedy))| {
                found.0 == severity
                    && found.1 == *line
                    && found.2 == *message
                    && found.3.contains(remedy)
            });
    assert!(
        matches,
        "found {found:#?}\nexpected {expected:#?}\nin\n{text}"
    );
}

#[track_caller]
fn errors(text: &str, expected: &[(usize, &str, &str)]) {
    expect(text, Severity::Error, expected);
}

/// Replaces line `line` by `with`; one error is expected there.
#[track_caller]
fn at(line: usize, with: &str, message: &str, remedy: &str) {
    errors(&replaced(line, with), &[(line, message, remedy)]);
}

/// Adds the line `with` below line `line`; one error is expected there.
#[track_caller]
fn below(line: usize, with: &str, message: &str, remedy: &str) {
    let above = GOOD.lines().nth(line - 1).unwrap();
    errors(
        &replaced(line, &format!("{above}\n{with}")),
        &[(line + 1, message, remedy)],
    );
}

#[test]
fn the_good_file_is_good() {
    assert_eq!(findings(GOOD), []);
}

#[test]
fn the_file_has_a_node_and_an_array() {
    let no_interfaces = (
        0,
        "[node] has no `interfaces`",
        "add it, with interfaces = [\"eth0\"]",
    );
    let no_array = (0, "the file has no [[array]]", "[[array.server]]");
    errors("", &[no_interfaces, no_array]);
    errors("[node]\ninterfaces = [\"eth0\"]\n", &[no_array]);
    errors(
        "node = 1\narray = [1]\n",
        &[
            (
                1,
                "`node` must be a table, not a whole number",
                "write [node] on a line of its own",
            ),
            (
                2,
                "`array` must be a list of tables, not of a whole number",
                "[[array]]",
            ),
        ],
    );
    at(
        5,
        "[array]",
        "`array` must be a list of tables, not a table",
        "two brackets",
    );
    below(
        4,
        "[default]",
        "unknown key \"default\" in the file",
        "did you mean `defaults`?",
    );
}

#[test]
fn node_rules() {
    below(
        1,
        "name = \"lb/1\"",
        "\"lb/1\" in `name` has the character '/'",
        "letters, digits, - and _",
    );
    below(1, "name = \"\"", "\"\" in `name` is empty", "use 1 to 32");
    let long = "a".repeat(33);
    below(
        1,
        &format!("name = \"{long}\""),
        &format!("\"{long}\" in `name` has 33 bytes, of at most 32"),
        "use 1 to 32",
    );
    below(
        1,
        "xdp = \"native\"",
        "`xdp` is \"native\", which is none of \"auto\", \"driver\", \"generic\"",
        "write one of \"auto\"",
    );
    below(1, "hash_seed = \"\"", "`hash_seed` is empty", "remove it");
    below(
        1,
        &format!("hash_seed = \"{}\"", "x".repeat(256)),
        "`hash_seed` has 256 bytes",
        "at most 255",
    );
    below(
        1,
        "hash-seed = \"x\"",
        "unknown key \"hash-seed\" in [node]",
        "did you mean `hash_seed`?",
    );
    below(
        1,
        "colour = 1",
        "unknown key \"colour\" in [node]",
        "the keys of [node] are name, interfaces, xdp, hash_seed",
    );
    below(
        1,
        "listen = \"\"",
        "`listen` in [node] is not supported by this version yet",
        "remove it",
    );
}

#[test]
fn interfaces_are_named_once_each() {
    errors(
        &replaced(2, ""),
        &[(
            1,
            "[node] has no `interfaces`",
            "add interfaces = [\"eth0\"]",
        )],
    );
    at(
        2,
        "interfaces = []",
        "`interfaces` is an empty list",
        "name the NICs",
    );
    at(
        2,
        "interfaces = \"eth0\"",
        "`interfaces` must be a list of strings, not a string",
        "like interfaces = [\"eth0\"]",
    );
    at(
        2,
        "interfaces = [1]",
        "`interfaces` must be a list of strings, and this is a whole number",
        "[\"eth0\"]",
    );
    at(
        2,
        "interfaces = [\"eth0\", \"eth0\"]",
        "interface \"eth0\" is listed twice",
        "remove one",
    );
    at(
        2,
        "interfaces = [\"a b\"]",
        "\"a b\" in `interfaces` has the character ' '",
        "`ip link`",
    );
    let long = "abcdefghijklmnop";
    let message = format!("\"{long}\" in `interfaces` has 16 bytes, of at most 15");
    at(
        2,
        &format!("interfaces = [\"{long}\"]"),
        &message,
        "15 bytes",
    );
}

#[test]
fn defaults_rules() {
    at(
        4,
        "mode = \"dsrr\"",
        "`mode` is \"dsrr\", which is none of \"dsr\", \"nat\"",
        "did you mean \"dsr\"?",
    );
    at(
        4,
        "mode = \"tunnel\"",
        "mode = \"tunnel\" is not supported by this version yet",
        "use \"dsr\"",
    );
    at(
        4,
        "mode = \"snat\"",
        "mode = \"snat\" is not supported by this version yet",
        "use \"nat\"",
    );
    at(
        4,
        "announce = true",
        "`announce` must be a string, not true or false",
        "like announce = \"arp\"",
    );
    at(
        4,
        "all_down = \"keep_last\"",
        "`all_down` is \"keep_last\", which is none of \"keep-last\", \"withdraw\"",
        "did you mean \"keep-last\"?",
    );
    at(
        4,
        "unknown_port = \"reject\"",
        "`unknown_port` is \"reject\", which is none of \"drop\", \"pass\"",
        "write one of \"drop\", \"pass\"",
    );
    for key in ["drain", "idle", "slow_start", "tunnel"] {
        let message = format!("`{key}` in [defaults] is not supported by this version yet");
        at(4, &format!("{key} = \"5m\""), &message, "remove it");
    }
}

#[test]
fn slots_are_a_prime_that_suffices() {
    at(
        4,
        "slots = 250",
        "`slots` is 250, which is out of range",
        "from 251 to 65537",
    );
    at(
        4,
        "slots = 65538",
        "`slots` is 65538, which is out of range",
        "from 251 to 65537",
    );
    at(
        4,
        "slots = -251",
        "`slots` is -251, which is out of range",
        "from 251 to 65537",
    );
    at(
        4,
        "slots = 1000",
        "`slots` is 1000, which is not a prime",
        "write 997 or 1009",
    );
    at(
        4,
        "slots = 251.0",
        "`slots` must be a whole number, not a decimal number",
        "like slots = 65537",
    );
    at(
        4,
        "slots = 99999999999999999999",
        "`slots` is too large a number",
        "smaller",
    );
    let with_servers = |slots: u32, servers: u32| {
        let server = |i| {
            format!(
                "[[array.server]]\nname = \"s{i}\"\naddress = \"10.2.{}.{}\"\n",
                i / 200,
                i % 200 + 1
            )
        };
        let servers = (0..servers).map(server).collect::<Vec<_>>().concat();
        replaced(4, &format!("slots = {slots}")).replacen(
            "[[array.service]]",
            &(servers + "[[array.service]]"),
            1,
        )
    };
    let few = "251 slots are few for the 126 servers of array \"ams\"";
    errors(
        &with_servers(251, 124),
        &[(4, few, "write slots = 12601, or leave it out")],
    );
    let few = "251 slots are few for the 125 servers of array \"ams\"";
    expect(
        &with_servers(251, 123),
        Severity::Warning,
        &[(4, few, "write slots = 12503")],
    );
    expect(&with_servers(251, 0), Severity::Warning, &[]);
    assert_eq!(
        findings(&with_servers(65_537, 998)),
        [],
        "there is nothing better to advise"
    );
}

#[test]
fn array_rules() {
    at(
        6,
        "name = \"a/b\"",
        "\"a/b\" in `name` has the character '/'",
        "without a slash",
    );
    at(
        6,
        "name = \" \"",
        "\" \" in `name` is empty",
        "1 to 63 bytes",
    );
    errors(
        &replaced(6, ""),
        &[(5, "[[array]] has no `name`", "add name = \"ams\"")],
    );
    below(
        6,
        "profile = \"exchange-2019\"",
        "`profile` in [[array]] is not supported by this version yet",
        "port, protocol and checks",
    );
    at(
        7,
        "namespaces = [\"10.1.0.1\"]",
        "\"10.1.0.1\" in `namespaces` is an address",
        "DNS name",
    );
    at(
        7,
        "namespaces = [\"*.contoso.com\"]",
        "\"*.contoso.com\" in `namespaces` is a wildcard",
        "DNS name",
    );
    at(
        7,
        "namespaces = [\"a.de\", \"A.de\"]",
        "namespace \"A.de\" is listed twice",
        "remove one",
    );
    at(
        7,
        "namespcaes = []",
        "unknown key \"namespcaes\" in [[array]]",
        "did you mean `namespaces`?",
    );
    errors(
        &(GOOD.to_owned() + "[[array]]\nname = \"ams\"\n"),
        &[
            (25, "array \"ams\" has no server", "add an [[array.server]]"),
            (
                25,
                "array \"ams\" has no service",
                "add an [[array.service]]",
            ),
            (26, "array \"ams\" is there twice", "a name of its own"),
        ],
    );
}

#[test]
fn server_rules() {
    at(
        9,
        "name = \"EX 01\"",
        "\"EX 01\" in `name` has the character ' '",
        "hyphens and dots",
    );
    errors(
        &replaced(9, "name = \"ex02\""),
        &[(
            12,
            "server \"EX02\" is listed twice in array \"ams\"",
            "upper and lower case are the same",
        )],
    );
    errors(
        &replaced(9, ""),
        &[(
            8,
            "[[array.server]] has no `name`",
            "add name = \"EX01.contoso.com\"",
        )],
    );
    errors(
        &replaced(10, ""),
        &[(
            8,
            "[[array.server]] has no `address`",
            "add address = \"10.1.0.11\"",
        )],
    );
    errors(
        &replaced(10, "adress = \"10.1.0.11\""),
        &[
            (8, "[[array.server]] has no `address`", "add address"),
            (
                10,
                "unknown key \"adress\" in [[array.server]]",
                "did you mean `address`?",
            ),
        ],
    );
    errors(
        &replaced(10, "address = \"10.1.0.12\""),
        &[(
            13,
            "address 10.1.0.12 is listed twice in array \"ams\"",
            "its own address",
        )],
    );
    below(
        10,
        "weight = 1001",
        "`weight` is 1001, which is out of range",
        "from 0 to 1000",
    );
    below(
        10,
        "weight = -1",
        "`weight` is -1, which is out of range",
        "from 0 to 1000",
    );
    below(
        10,
        "weight = \"100\"",
        "`weight` must be a whole number, not a string",
        "like weight = 100",
    );
    let all_zero = GOOD.replace(
        "address = \"10.1.0.11\"",
        "address = \"10.1.0.11\"\nweight = 0",
    );
    assert_eq!(findings(&all_zero), []);
    let all_zero = all_zero.replace(
        "address = \"10.1.0.12\"",
        "address = \"10.1.0.12\"\nweight = 0",
    );
    expect(
        &all_zero,
        Severity::Warning,
        &[(
            5,
            "all servers of array \"ams\" have weight 0",
            "a weight from 1 to 1000",
        )],
    );
}

#[test]
fn addresses_are_one_unicast_ipv4_address() {
    for (value, message, remedy) in [
        (
            "\"10.1.0\"",
            "`address` is \"10.1.0\", which is not an IPv4 address",
            "like address = \"10.1.0.11\"",
        ),
        (
            "\"010.1.0.1\"",
            "`address` is \"010.1.0.1\", which is not an IPv4 address",
            "write it like",
        ),
        (
            "\"ex01\"",
            "`address` is \"ex01\", which is not an IPv4 address",
            "write it like",
        ),
        (
            "\"10.1.0.9/24\"",
            "`address` is \"10.1.0.9/24\", an address with a prefix length",
            "address = \"10.1.0.9\"",
        ),
        (
            "\"10.1.0.9:80\"",
            "`address` is \"10.1.0.9:80\", an address with a port",
            "address = \"10.1.0.9\"",
        ),
        (
            "\"2001:db8::1\"",
            "`address` is \"2001:db8::1\"; IPv6 is not supported by this version yet",
            "use an IPv4 address",
        ),
        ("[]", "`address` is an empty list", "one IPv4 address"),
        (
            "[\"10.1.0.9\", \"2001:db8::1\"]",
            "`address` with addresses of both families is not supported by this version yet",
            "keep the IPv4 address alone",
        ),
        (
            "[\"10.1.0.8\", \"10.1.0.9\"]",
            "`address` has 2 addresses",
            "keep one",
        ),
        (
            "10",
            "`address` must be a string, or a list of strings, not a whole number",
            "write it like",
        ),
        (
            "\"0.0.0.0\"",
            "`address` is 0.0.0.0, an address of \"this network\" (0.0.0.0/8)",
            "unicast",
        ),
        (
            "\"127.0.0.1\"",
            "`address` is 127.0.0.1, a loopback address",
            "unicast",
        ),
        (
            "\"224.0.0.1\"",
            "`address` is 224.0.0.1, a multicast address",
            "unicast",
        ),
        (
            "\"255.255.255.255\"",
            "`address` is 255.255.255.255, the broadcast address",
            "unicast",
        ),
        (
            "\"240.0.0.1\"",
            "`address` is 240.0.0.1, a reserved address (240.0.0.0/4)",
            "unicast",
        ),
        (
            "\"169.254.0.1\"",
            "`address` is 169.254.0.1, a link-local address",
            "unicast",
        ),
    ] {
        at(10, &format!("address = {value}"), message, remedy);
        at(
            16,
            &format!("vip = {value}"),
            &message.replace("`address`", "`vip`"),
            &remedy.replace("address = ", "vip = "),
        );
    }
    assert_eq!(findings(&replaced(10, "address = [\"10.1.0.9\"]")), []);
}

#[test]
fn service_rules() {
    errors(
        &replaced(15, "name = \"smtp\""),
        &[(
            22,
            "service \"smtp\" is listed twice in array \"ams\"",
            "a name of its own",
        )],
    );
    at(
        15,
        "name = \"a\\tb\"",
        "\"a\\tb\" in `name` has the character '\\t'",
        "printable text",
    );
    errors(
        &replaced(14, "[[array.service]]\n[[array.service]]"),
        &[
            (
                14,
                "[[array.service]] has no `name`",
                "add name = \"https\"",
            ),
            (
                14,
                "[[array.service]] has no `vip`",
                "add vip = \"10.1.0.100\"",
            ),
            (14, "[[array.service]] has no `port`", "add port = 443"),
        ],
    );
    below(
        17,
        "protocol = \"sctp\"",
        "`protocol` is \"sctp\", which is none of \"tcp\", \"udp\"",
        "write one of",
    );
    below(
        17,
        "hash = \"source\"",
        "`hash` is \"source\", which is none of \"flow\", \"client\"",
        "write one of",
    );
    below(
        17,
        "mode = \"tunnel\"",
        "mode = \"tunnel\" is not supported by this version yet",
        "use \"dsr\"",
    );
    below(
        17,
        "tunnel = \"gue\"",
        "`tunnel` in [[array.service]] is not supported by this version yet",
        "remove it",
    );
}

#[test]
fn ports_are_single_and_in_range() {
    for value in ["0", "65536", "-1"] {
        let message = format!("`port` is {value}, which is out of range");
        at(17, &format!("port = {value}"), &message, "from 1 to 65535");
    }
    for value in ["\"any\"", "\"8000-8010\"", "[80, 443]"] {
        let message = "`port` with several ports is not supported by this version yet";
        at(
            17,
            &format!("port = {value}"),
            message,
            "a service for each",
        );
    }
    at(
        17,
        "port = \"443\"",
        "`port` must be a whole number, not a string",
        "like port = 443",
    );
    below(
        17,
        "server_port = 8443",
        "`server_port` is 8443, but in dsr mode packets keep port 443",
        "mode = \"nat\"",
    );
    assert_eq!(findings(&replaced(17, "port = 443\nserver_port = 443")), []);
    assert_eq!(
        findings(&replaced(
            17,
            "port = 443\nserver_port = 8443\nmode = \"nat\""
        )),
        []
    );
}

#[test]
fn a_udp_service_names_its_check() {
    let message = "a UDP service needs a check of its own: whether a UDP port answers can't be told in general";
    let text = replaced(24, "port = 25\nprotocol = \"udp\"");
    errors(
        &text,
        &[(21, message, "[[array.service.check]] with type = \"tcp\"")],
    );
    assert_eq!(
        findings(&(text + "[[array.service.check]]\ntype = \"tcp\"\nport = 53\n")),
        []
    );
}

#[test]
fn vips_and_sockets_belong_to_one() {
    errors(
        &replaced(24, "port = 443"),
        &[(
            23,
            "10.1.0.100:443 TCP already belongs to service \"https\" of array \"ams\"",
            "another VIP or port",
        )],
    );
    at(
        16,
        "vip = \"10.1.0.11\"",
        "the VIP 10.1.0.11 is the address of a server",
        "no host has",
    );
    let second = "[[array]]\nname = \"fra\"\n[[array.server]]\nname = \"EX01\"\naddress = \"10.1.0.100\"\n\
                  [[array.service]]\nname = \"https\"\nvip = \"10.1.0.101\"\nport = 443\n";
    errors(
        &(GOOD.to_owned() + second),
        &[
            (
                16,
                "the VIP 10.1.0.100 is the address of a server",
                "choose a VIP",
            ),
            (
                23,
                "the VIP 10.1.0.100 is the address of a server",
                "choose a VIP",
            ),
        ],
    );
    let udp = replaced(
        24,
        "port = 443\nprotocol = \"udp\"\n[[array.service.check]]\ntype = \"tcp\"",
    );
    assert_eq!(findings(&udp), [], "TCP and UDP are apart");
}

#[test]
fn services_of_a_vip_agree_on_what_holds_for_the_vip() {
    below(
        24,
        "unknown_port = \"pass\"",
        "`unknown_port` is \"pass\" here and \"drop\" in service \"https\" of array \"ams\", but it holds for the whole \
         VIP 10.1.0.100",
        "the same `unknown_port` in both",
    );
    below(
        24,
        "announce = \"off\"",
        "`announce` is \"off\" here and \"arp\" in service \"https\" of array \"ams\", but it holds for the whole VIP \
         10.1.0.100",
        "[defaults]",
    );
    assert_eq!(
        findings(&replaced(4, "unknown_port = \"pass\"\nannounce = \"off\"")),
        []
    );
}

#[test]
fn replies_in_nat_mode_name_one_service() {
    let nat = replaced(4, "mode = \"nat\"");
    assert_eq!(findings(&nat), []);
    let message = "replies of 10.1.0.11:443 TCP could belong to service \"smtp\" of array \"ams\" or to service \"https\" \
                   of array \"ams\"";
    let same = nat.clone() + "server_port = 443\n";
    errors(
        &same,
        &[(25, message, "its own `server_port`, or servers of its own")],
    );
    assert_eq!(
        findings(&same.replace("[defaults]\nmode = \"nat\"", "[defaults]\nmode = \"dsr\"")).len(),
        1
    );

    let other_array = |address: &str, mode: &str| {
        nat.clone()
            + &format!(
                "[[array]]\nname = \"fra\"\n[[array.server]]\nname = \"FX\"\naddress = \"10.3.0.1\"\n[[array.server]]\n\
                 name = \"EX\"\naddress = \"{address}\"\n[[array.service]]\nname = \"web\"\nvip = \"10.1.0.200\"\n\
                 port = 443\nmode = \"{mode}\"\n"
            )
    };
    let message = "replies of 10.1.0.12:443 TCP could belong to service \"web\" of array \"fra\" or to service \"https\" \
                   of array \"ams\"";
    errors(
        &other_array("10.1.0.12", "nat"),
        &[(36, message, "its own `server_port`")],
    );
    assert_eq!(findings(&other_array("10.3.0.2", "nat")), []);
    assert_eq!(
        findings(&other_array("10.1.0.12", "dsr")),
        [],
        "in dsr mode replies don't come back"
    );
}

#[test]
fn check_rules() {
    errors(
        &replaced(19, ""),
        &[(
            18,
            "[[array.service.check]] has no `type`",
            "add type = \"https\"",
        )],
    );
    at(
        19,
        "type = \"htps\"",
        "`type` is \"htps\", which is none of \"tcp\", \"http\", \"https\"",
        "did you mean \"https\"?",
    );
    for kind in ["tls", "smtp", "imap", "pop3", "icmp"] {
        let message = format!("type = \"{kind}\" is not supported by this version yet");
        at(19, &format!("type = \"{kind}\""), &message, "\"tcp\"");
    }
    below(
        20,
        "role = \"advisory\"",
        "`role` in [[array.service.check]] is not supported by this version yet",
        "every check is required",
    );
    at(
        20,
        "port = 0",
        "`port` is 0, which is out of range",
        "from 1 to 65535",
    );
    for key in ["rise", "fall"] {
        for value in ["0", "101"] {
            let message = format!("`{key}` is {value}, which is out of range");
            below(20, &format!("{key} = {value}"), &message, "from 1 to 100");
        }
    }
}

#[test]
fn check_durations_are_in_range() {
    for value in ["99ms", "61m", "0s", "99999999999999999999s"] {
        let message = format!("`interval` is \"{value}\", which is out of range");
        below(
            20,
            &format!("interval = \"{value}\""),
            &message,
            "from 100ms to 1h",
        );
    }
    below(
        20,
        "interval = 5",
        "`interval` must be a string, not a whole number",
        "interval = \"5s\"",
    );
    for (value, wrong) in [
        ("5", "has a number without a unit"),
        ("", "is empty"),
        ("5 s", "is not a duration"),
        ("1.5s", "is not a duration"),
        ("5d", "has an unknown unit"),
        ("5s1m", "has its units out of order or twice"),
    ] {
        let message = format!("\"{value}\" in `interval` {wrong}");
        below(
            20,
            &format!("interval = \"{value}\""),
            &message,
            "\"1m30s\"",
        );
    }
    below(
        20,
        "timeout = \"1ms\"",
        "`timeout` is \"1ms\", which is out of range",
        "from 10ms to 1h",
    );
    below(
        20,
        "timeout = \"6s\"",
        "`timeout` is \"6s\", longer than the interval of 5s",
        "at most 5s",
    );
    errors(
        &replaced(20, "interval = \"1s\"\ntimeout = \"1500ms\""),
        &[(
            21,
            "`timeout` is \"1500ms\", longer than the interval of 1s",
            "at most 1s",
        )],
    );
    assert_eq!(
        findings(&replaced(20, "interval = \"1s\"\ntimeout = \"1s\"")),
        []
    );
}

#[test]
fn http_checks_ask_for_something_that_exists() {
    below(
        20,
        "path = \"health\"",
        "\"health\" in `path` does not begin with a slash",
        "such as \"/health\"",
    );
    below(
        20,
        "path = \"/a b\"",
        "\"/a b\" in `path` has the character ' '",
        "%20",
    );
    below(
        20,
        "path = \"/a\\n\"",
        "\"/a\\n\" in `path` has the character '\\n'",
        "percent-encoded",
    );
    below(
        20,
        "path = \"/a#b\"",
        "\"/a#b\" in `path` has the character '#'",
        "percent-encoded",
    );
    below(
        20,
        "host = \"10.1.0.11\"",
        "\"10.1.0.11\" in `host` is an address",
        "first namespace",
    );
    below(
        20,
        "host = \"a_b\"",
        "\"a_b\" in `host` has the character '_'",
        "DNS name",
    );
    below(20, "status = []", "`status` is an empty list", "[200, 204]");
    below(
        20,
        "status = 200",
        "`status` must be a list of whole numbers, not a whole number",
        "status = [200]",
    );
    below(
        20,
        "status = [\"OK\"]",
        "`status` must be a list of whole numbers, and this is a string",
        "[200]",
    );
    errors(
        &replaced(20, "status = [99, 200, 600]"),
        &[
            (
                20,
                "`status` is 99, which is out of range",
                "from 100 to 599",
            ),
            (
                20,
                "`status` is 600, which is out of range",
                "from 100 to 599",
            ),
        ],
    );
    below(20, "body = \"\"", "`body` is empty", "remove it");
    below(
        20,
        &format!("body = \"{}\"", "x".repeat(4097)),
        "`body` has 4097 bytes",
        "at most 4096",
    );
    for (key, value) in [
        ("path", "\"/\""),
        ("host", "\"a.de\""),
        ("status", "[200]"),
        ("body", "\"OK\""),
    ] {
        let message = format!("`{key}` has no meaning in a tcp check");
        errors(
            &replaced(19, &format!("type = \"tcp\"\n{key} = {value}")),
            &[(20, &message, "type = \"http\" or \"https\"")],
        );
    }
}

#[test]
fn certificates_are_judged_by_a_word_or_a_sha256_fingerprint() {
    let digits = "0123456789abcdef".repeat(4);
    let colons = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| str::from_utf8(pair).unwrap())
        .collect::<Vec<_>>()
        .join(":");
    for good in [
        "full",
        "warn",
        "none",
        &digits,
        &format!("sha256:{digits}"),
        &colons.to_uppercase(),
    ] {
        assert_eq!(
            findings(&replaced(20, &format!("verify = \"{good}\""))),
            [],
            "{good}"
        );
    }
    below(
        20,
        "verify = \"ful\"",
        "`verify` is \"ful\", which is none of \"full\", \"warn\", \"none\"",
        "did you mean \"full\"?",
    );
    let short = &digits[1..];
    below(
        20,
        &format!("verify = \"sha256:{}\"", "0g".repeat(32)),
        &format!(
            "`verify` is \"sha256:{}\"…, which is not a SHA-256 fingerprint of 64 hexadecimal digits",
            &"0g".repeat(32)[..53]
        ),
        "openssl x509",
    );
    below(
        20,
        &format!("verify = \"{short}\""),
        &format!(
            "`verify` is \"{}\"…, which is not a SHA-256 fingerprint of 64 hexadecimal digits",
            &short[..60]
        ),
        "openssl x509",
    );
    below(
        20,
        &format!("verify = \"{}\"", &digits[..40]),
        "`verify` is a SHA-1 fingerprint (the \"thumbprint\" of Windows), which is not accepted",
        "-fingerprint -sha256",
    );
    for (kind, article) in [("tcp", "a"), ("http", "an")] {
        errors(
            &replaced(19, &format!("type = \"{kind}\"\nverify = \"full\"")),
            &[(
                20,
                &format!("`verify` has no meaning in {article} {kind} check"),
                "type = \"https\"",
            )],
        );
    }
}

#[test]
fn one_node_has_room_for_4096_services() {
    let services: Vec<String> = (1..=4097)
        .map(|i| format!("\n{{name=\"{i}\",vip=\"8.0.0.1\",port={i}}}"))
        .collect();
    let text = format!(
        "node.interfaces=[\"e\"]\narray=[{{name=\"a\",server=[{{name=\"s\",address=\"9.0.0.1\"}}],service=[{}]}}]",
        services.join(",")
    );
    errors(
        &text,
        &[(
            4099,
            "this is one service more than the 4096 of one node",
            "another node",
        )],
    );
}

#[test]
fn one_node_has_room_for_32767_servers() {
    // Names and addresses are the shortest there are: the file must stay below 1 MiB.
    let digits: Vec<char> = ('0'..='9').chain('a'..='z').collect();
    let name = |mut number: usize| {
        let mut name = String::new();
        while number > 0 || name.is_empty() {
            name.push(digits[number % digits.len()]);
            number /= digits.len();
        }
        name
    };
    let address = |i: usize| format!("{}.{}.{}.{}", i % 9 + 1, i / 9 % 10, i / 90 % 10, i / 900);
    let server = |i: usize| format!("{{name=\"{}\",address=\"{}\"}}", name(i), address(i));
    let text = |servers: usize| {
        let servers: Vec<String> = (0..servers).map(server).collect();
        format!(
            "node.interfaces=[\"e\"]\narray=[{{name=\"a\",service=[{{name=\"s\",vip=\"9.9.9.99\",port=1}}],server=[{}]}}]",
            servers.join(",")
        )
    };
    assert_eq!(findings(&text(32_767)), []);
    errors(
        &text(32_768),
        &[(
            2,
            "this is one server more than the 32767 of one node",
            "another node",
        )],
    );
}

#[test]
fn every_error_of_a_file_is_reported() {
    let text = GOOD
        .replace("\"eth0\"", "\"\"")
        .replace("443", "0")
        .replace("10.1.0.12", "::1")
        .replace("smtp", "");
    let lines: Vec<usize> = findings(&text).iter().map(|finding| finding.1).collect();
    assert_eq!(lines, [2, 13, 17, 20, 22]);
}

#[test]
fn what_is_no_toml_is_reported_at_its_place() {
    for (text, line) in [
        ("[node\n", 1),
        ("a = \n", 1),
        ("[node]\nname = \"x\nb = 1", 2),
        ("[node]\n[node]\n", 2),
    ] {
        let found = findings(text);
        assert!(
            found.first().is_some_and(
                |finding| finding.1 == line && finding.2.starts_with("this is not TOML: ")
            ),
            "{found:#?}"
        );
    }
}

#[test]
fn warnings_do_not_forbid() {
    let loaded = parse(
        "caslb.toml",
        &replaced(4, "slots = 251").replace("[\"eth0\"]", "[\"eth0\", \"eth1\"]"),
    )
    .unwrap();
    assert_eq!(loaded.deployment.node.slots, 251);
}

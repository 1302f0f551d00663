//! Rules of `[node]` and `[defaults]`.

use caslb::config::{diagnostic::Severity, parse};

use crate::{at, below, errors, expect, findings, replaced};

#[test]
fn node_rules() {
    below(1, "name = \"lb/1\"", "\"lb/1\" in `name` has the character '/'", "letters, digits, - and _");
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
    below(1, &format!("hash_seed = \"{}\"", "x".repeat(256)), "`hash_seed` has 256 bytes", "at most 255");
    below(1, "hash-seed = \"x\"", "unknown key \"hash-seed\" in [node]", "did you mean `hash_seed`?");
    below(
        1,
        "colour = 1",
        "unknown key \"colour\" in [node]",
        "the keys of [node] are name, interfaces, xdp, hash_seed",
    );
    below(1, "listen = \"\"", "`listen` in [node] is not supported by this version yet", "remove it");
}

#[test]
fn interfaces_are_named_once_each() {
    errors(&replaced(2, ""), &[(1, "[node] has no `interfaces`", "add interfaces = [\"eth0\"]")]);
    at(2, "interfaces = []", "`interfaces` is an empty list", "name the NICs");
    at(
        2,
        "interfaces = \"eth0\"",
        "`interfaces` must be a list of strings, not a string",
        "like interfaces = [\"eth0\"]",
    );
    at(2, "interfaces = [1]", "`interfaces` must be a list of strings, and this is a whole number", "[\"eth0\"]");
    at(2, "interfaces = [\"eth0\", \"eth0\"]", "interface \"eth0\" is listed twice", "remove one");
    at(2, "interfaces = [\"a b\"]", "\"a b\" in `interfaces` has the character ' '", "`ip link`");
    let long = "abcdefghijklmnop";
    let message = format!("\"{long}\" in `interfaces` has 16 bytes, of at most 15");
    at(2, &format!("interfaces = [\"{long}\"]"), &message, "15 bytes");
}

#[test]
fn defaults_rules() {
    at(4, "mode = \"dsrr\"", "`mode` is \"dsrr\", which is none of \"dsr\", \"nat\"", "did you mean \"dsr\"?");
    at(4, "mode = \"tunnel\"", "mode = \"tunnel\" is not supported by this version yet", "use \"dsr\"");
    at(4, "mode = \"snat\"", "mode = \"snat\" is not supported by this version yet", "use \"nat\"");
    at(4, "announce = true", "`announce` must be a string, not true or false", "like announce = \"arp\"");
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
    at(4, "slots = 250", "`slots` is 250, which is out of range", "from 251 to 65537");
    at(4, "slots = 65538", "`slots` is 65538, which is out of range", "from 251 to 65537");
    at(4, "slots = -251", "`slots` is -251, which is out of range", "from 251 to 65537");
    at(4, "slots = 1000", "`slots` is 1000, which is not a prime", "write 997 or 1009");
    at(4, "slots = 251.0", "`slots` must be a whole number, not a decimal number", "like slots = 65537");
    at(4, "slots = 99999999999999999999", "`slots` is too large a number", "smaller");
    let with_servers = |slots: u32, servers: u32| {
        let server = |i| format!("[[array.server]]\nname = \"s{i}\"\naddress = \"10.2.{}.{}\"\n", i / 200, i % 200 + 1);
        let servers = (0..servers).map(server).collect::<Vec<_>>().concat();
        replaced(4, &format!("slots = {slots}")).replacen("[[array.service]]", &(servers + "[[array.service]]"), 1)
    };
    let few = "251 slots are few for the 126 servers of array \"ams\"";
    errors(&with_servers(251, 124), &[(4, few, "write slots = 12601, or leave it out")]);
    let few = "251 slots are few for the 125 servers of array \"ams\"";
    expect(&with_servers(251, 123), Severity::Warning, &[(4, few, "write slots = 12503")]);
    expect(&with_servers(251, 0), Severity::Warning, &[]);
    assert_eq!(findings(&with_servers(65_537, 998)), [], "there is nothing better to advise");
}

#[test]
fn warnings_do_not_forbid() {
    let loaded =
        parse("caslb.toml", &replaced(4, "slots = 251").replace("[\"eth0\"]", "[\"eth0\", \"eth1\"]")).unwrap();
    assert_eq!(loaded.deployment.node.slots, 251);
}

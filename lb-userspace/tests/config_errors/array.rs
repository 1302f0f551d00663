//! Rules of `[[array]]` and `[[array.server]]`.

use caslb::config::diagnostic::Severity;

use crate::{GOOD, at, below, errors, expect, findings, replaced};

#[test]
fn array_rules() {
    at(6, "name = \"a/b\"", "\"a/b\" in `name` has the character '/'", "without a slash");
    at(6, "name = \" \"", "\" \" in `name` is empty", "1 to 63 bytes");
    errors(&replaced(6, ""), &[(5, "[[array]] has no `name`", "add name = \"ams\"")]);
    below(
        6,
        "profile = \"exchange-2019\"",
        "`profile` in [[array]] is not supported by this version yet",
        "port, protocol and checks",
    );
    at(7, "namespaces = [\"10.1.0.1\"]", "\"10.1.0.1\" in `namespaces` is an address", "DNS name");
    at(7, "namespaces = [\"*.contoso.com\"]", "\"*.contoso.com\" in `namespaces` is a wildcard", "DNS name");
    at(7, "namespaces = [\"a.de\", \"A.de\"]", "namespace \"A.de\" is listed twice", "remove one");
    at(7, "namespcaes = []", "unknown key \"namespcaes\" in [[array]]", "did you mean `namespaces`?");
    errors(
        &(GOOD.to_owned() + "[[array]]\nname = \"ams\"\n"),
        &[
            (25, "array \"ams\" has no server", "add an [[array.server]]"),
            (25, "array \"ams\" has no service", "add an [[array.service]]"),
            (26, "array \"ams\" is there twice", "a name of its own"),
        ],
    );
}

#[test]
fn server_rules() {
    at(9, "name = \"EX 01\"", "\"EX 01\" in `name` has the character ' '", "hyphens and dots");
    errors(
        &replaced(9, "name = \"ex02\""),
        &[(12, "server \"EX02\" is listed twice in array \"ams\"", "upper and lower case are the same")],
    );
    errors(&replaced(9, ""), &[(8, "[[array.server]] has no `name`", "add name = \"EX01.contoso.com\"")]);
    errors(&replaced(10, ""), &[(8, "[[array.server]] has no `address`", "add address = \"10.1.0.11\"")]);
    errors(
        &replaced(10, "adress = \"10.1.0.11\""),
        &[
            (8, "[[array.server]] has no `address`", "add address"),
            (10, "unknown key \"adress\" in [[array.server]]", "did you mean `address`?"),
        ],
    );
    errors(
        &replaced(10, "address = \"10.1.0.12\""),
        &[(13, "address 10.1.0.12 is listed twice in array \"ams\"", "its own address")],
    );
    below(10, "weight = 1001", "`weight` is 1001, which is out of range", "from 0 to 1000");
    below(10, "weight = -1", "`weight` is -1, which is out of range", "from 0 to 1000");
    below(10, "weight = \"100\"", "`weight` must be a whole number, not a string", "like weight = 100");
    let all_zero = GOOD.replace("address = \"10.1.0.11\"", "address = \"10.1.0.11\"\nweight = 0");
    assert_eq!(findings(&all_zero), []);
    let all_zero = all_zero.replace("address = \"10.1.0.12\"", "address = \"10.1.0.12\"\nweight = 0");
    expect(
        &all_zero,
        Severity::Warning,
        &[(5, "all servers of array \"ams\" have weight 0", "a weight from 1 to 1000")],
    );
}

#[test]
fn addresses_are_unicast_and_one_of_each_family() {
    for (value, message, remedy) in [
        ("\"10.1.0\"", "`address` is \"10.1.0\", which is not an IP address", "like address = \"10.1.0.11\""),
        ("\"010.1.0.1\"", "`address` is \"010.1.0.1\", which is not an IP address", "write it like"),
        ("\"ex01\"", "`address` is \"ex01\", which is not an IP address", "write it like"),
        ("\"10.1.0.9/24\"", "`address` is \"10.1.0.9/24\", an address with a prefix length", "address = \"10.1.0.9\""),
        ("\"10.1.0.9:80\"", "`address` is \"10.1.0.9:80\", an address with a port", "address = \"10.1.0.9\""),
        (
            "\"2001:db8::11/64\"",
            "`address` is \"2001:db8::11/64\", an address with a prefix length",
            "\"2001:db8::11\"",
        ),
        ("\"[2001:db8::11]:80\"", "`address` is \"[2001:db8::11]:80\", an address with a port", "\"2001:db8::11\""),
        ("\"[2001:db8::11]\"", "`address` is \"[2001:db8::11]\", an address in brackets", "address = \"2001:db8::11\""),
        ("[]", "`address` is an empty list", "one IPv4 and one IPv6"),
        ("[\"10.1.0.8\", \"10.1.0.9\"]", "`address` has 2 IPv4 addresses", "keep one of each family"),
        ("[\"2001:db8::8\", \"2001:db8::9\", \"10.1.0.9\"]", "`address` has 2 IPv6 addresses", "keep one"),
        ("\"::\"", "`address` is ::, the unspecified address", "unicast"),
        ("\"::1\"", "`address` is ::1, the loopback address", "unicast"),
        ("\"ff02::1\"", "`address` is ff02::1, a multicast address", "unicast"),
        ("\"fe80::11\"", "`address` is fe80::11, a link-local address", "unicast"),
        (
            "[\"10.1.0.9\", \"::ffff:10.1.0.9\"]",
            "`address` is ::ffff:10.1.0.9, an IPv4 address written as IPv6 (::ffff:0:0/96)",
            "unicast",
        ),
        ("10", "`address` must be a string, or a list of strings, not a whole number", "write it like"),
        ("\"0.0.0.0\"", "`address` is 0.0.0.0, an address of \"this network\" (0.0.0.0/8)", "unicast"),
        ("\"127.0.0.1\"", "`address` is 127.0.0.1, a loopback address", "unicast"),
        ("\"224.0.0.1\"", "`address` is 224.0.0.1, a multicast address", "unicast"),
        ("\"255.255.255.255\"", "`address` is 255.255.255.255, the broadcast address", "unicast"),
        ("\"240.0.0.1\"", "`address` is 240.0.0.1, a reserved address (240.0.0.0/4)", "unicast"),
        ("\"169.254.0.1\"", "`address` is 169.254.0.1, a link-local address", "unicast"),
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
    errors(&text(32_768), &[(2, "this is one server more than the 32767 of one node", "another node")]);
}

#[test]
fn addresses_of_both_families_are_held_to_the_same_rules() {
    let dual = |line: usize, with: &str| {
        let text = replaced(10, "address = [\"10.1.0.11\", \"2001:db8:1::11\"]");
        let text = text.replace("address = \"10.1.0.12\"", "address = [\"2001:db8:1::12\", \"10.1.0.12\"]");
        let text = text.replace("vip = \"10.1.0.100\"", "vip = [\"10.1.0.100\", \"2001:db8:1::100\"]");
        let mut lines: Vec<_> = text.lines().collect();
        lines[line - 1] = with;
        lines.join("\n") + "\n"
    };
    assert_eq!(findings(&dual(1, "[node]")), []);
    errors(
        &dual(13, "address = [\"10.1.0.12\", \"2001:db8:1::11\"]"),
        &[(13, "address 2001:db8:1::11 is listed twice in array \"ams\"", "its own address")],
    );
    errors(
        &dual(16, "vip = [\"10.1.0.101\", \"2001:db8:1::12\"]"),
        &[(16, "the VIP 2001:db8:1::12 is the address of a server", "choose a VIP")],
    );
    errors(
        &dual(24, "port = 443"),
        &[
            (23, "10.1.0.100:443 TCP already belongs to service \"https\" of array \"ams\"", "another VIP or port"),
            (
                23,
                "[2001:db8:1::100]:443 TCP already belongs to service \"https\" of array \"ams\"",
                "another VIP or port",
            ),
        ],
    );
}

#[test]
fn nat_needs_servers_of_the_vips_families() {
    let text = replaced(16, "mode = \"nat\"\nvip = [\"10.1.0.100\", \"2001:db8:1::100\"]");
    let text = text.replace("address = \"10.1.0.12\"", "address = [\"2001:db8:1::12\", \"10.1.0.12\"]");
    errors(
        &text,
        &[(
            17,
            "service \"https\" of array \"ams\" uses nat and has the IPv6 VIP 2001:db8:1::100, but server \"EX01\" has no IPv6 \
             address",
            "add the server's IPv6 address",
        )],
    );
    assert_eq!(findings(&text.replace("mode = \"nat\"", "mode = \"dsr\"")), [], "dsr can do without");
}

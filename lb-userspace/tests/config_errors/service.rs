//! Rules of `[[array.service]]`, alone and between services.

use crate::{GOOD, at, below, errors, findings, replaced};

#[test]
fn service_rules() {
    errors(
        &replaced(15, "name = \"smtp\""),
        &[(22, "service \"smtp\" is listed twice in array \"ams\"", "a name of its own")],
    );
    at(15, "name = \"a\\tb\"", "\"a\\tb\" in `name` has the character '\\t'", "printable text");
    errors(
        &replaced(14, "[[array.service]]\n[[array.service]]"),
        &[
            (14, "[[array.service]] has no `name`", "add name = \"https\""),
            (14, "[[array.service]] has no `vip`", "add vip = \"10.1.0.100\""),
            (14, "[[array.service]] has no `port`", "add port = 443"),
        ],
    );
    below(17, "protocol = \"sctp\"", "`protocol` is \"sctp\", which is none of \"tcp\", \"udp\"", "write one of");
    below(17, "hash = \"source\"", "`hash` is \"source\", which is none of \"flow\", \"client\"", "write one of");
    below(17, "mode = \"tunnel\"", "mode = \"tunnel\" is not supported by this version yet", "use \"dsr\"");
    below(17, "tunnel = \"gue\"", "`tunnel` in [[array.service]] is not supported by this version yet", "remove it");
}

#[test]
fn ports_are_single_and_in_range() {
    for value in ["0", "65536", "-1"] {
        let message = format!("`port` is {value}, which is out of range");
        at(17, &format!("port = {value}"), &message, "from 1 to 65535");
    }
    for value in ["\"any\"", "\"8000-8010\"", "[80, 443]"] {
        let message = "`port` with several ports is not supported by this version yet";
        at(17, &format!("port = {value}"), message, "a service for each");
    }
    at(17, "port = \"443\"", "`port` must be a whole number, not a string", "like port = 443");
    below(17, "server_port = 8443", "`server_port` is 8443, but in dsr mode packets keep port 443", "mode = \"nat\"");
    assert_eq!(findings(&replaced(17, "port = 443\nserver_port = 443")), []);
    assert_eq!(findings(&replaced(17, "port = 443\nserver_port = 8443\nmode = \"nat\"")), []);
}

#[test]
fn a_udp_service_names_its_check() {
    let message = "a UDP service needs a check of its own: whether a UDP port answers can't be told in general";
    let text = replaced(24, "port = 25\nprotocol = \"udp\"");
    errors(&text, &[(21, message, "[[array.service.check]] with type = \"tcp\"")]);
    assert_eq!(findings(&(text + "[[array.service.check]]\ntype = \"tcp\"\nport = 53\n")), []);
}

#[test]
fn vips_and_sockets_belong_to_one() {
    errors(
        &replaced(24, "port = 443"),
        &[(23, "10.1.0.100:443 TCP already belongs to service \"https\" of array \"ams\"", "another VIP or port")],
    );
    at(16, "vip = \"10.1.0.11\"", "the VIP 10.1.0.11 is the address of a server", "no host has");
    let second = "[[array]]\nname = \"fra\"\n[[array.server]]\nname = \"EX01\"\naddress = \"10.1.0.100\"\n\
                  [[array.service]]\nname = \"https\"\nvip = \"10.1.0.101\"\nport = 443\n";
    errors(
        &(GOOD.to_owned() + second),
        &[
            (16, "the VIP 10.1.0.100 is the address of a server", "choose a VIP"),
            (23, "the VIP 10.1.0.100 is the address of a server", "choose a VIP"),
        ],
    );
    let udp = replaced(24, "port = 443\nprotocol = \"udp\"\n[[array.service.check]]\ntype = \"tcp\"");
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
    assert_eq!(findings(&replaced(4, "unknown_port = \"pass\"\nannounce = \"off\"")), []);
}

#[test]
fn replies_in_nat_mode_name_one_service() {
    let nat = replaced(4, "mode = \"nat\"");
    assert_eq!(findings(&nat), []);
    let message = "replies of 10.1.0.11:443 TCP could belong to service \"smtp\" of array \"ams\" or to service \"https\" \
                   of array \"ams\"";
    let same = nat.clone() + "server_port = 443\n";
    errors(&same, &[(25, message, "its own `server_port`, or servers of its own")]);
    assert_eq!(findings(&same.replace("[defaults]\nmode = \"nat\"", "[defaults]\nmode = \"dsr\"")).len(), 1);

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
    errors(&other_array("10.1.0.12", "nat"), &[(36, message, "its own `server_port`")]);
    assert_eq!(findings(&other_array("10.3.0.2", "nat")), []);
    assert_eq!(findings(&other_array("10.1.0.12", "dsr")), [], "in dsr mode replies don't come back");
}

#[test]
fn one_node_has_room_for_4096_services() {
    let services: Vec<String> = (1..=4097).map(|i| format!("\n{{name=\"{i}\",vip=\"8.0.0.1\",port={i}}}")).collect();
    let text = format!(
        "node.interfaces=[\"e\"]\narray=[{{name=\"a\",server=[{{name=\"s\",address=\"9.0.0.1\"}}],service=[{}]}}]",
        services.join(",")
    );
    errors(&text, &[(4099, "this is one service more than the 4096 of one node", "another node")]);
}

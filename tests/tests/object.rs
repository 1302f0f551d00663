//! The BPF object: it parses, the verifier takes it in every variant, and without rights the refusal is plain.

use std::{env, process::Command};

use aya_obj::{Object, ProgramSection};
use caslb::dataplane::{
    DataPlane,
    object::object,
    sizing::{Need, Sizes},
};
use caslb_tests::{
    netns::Namespace,
    own_node::OwnNode,
    packets::tables::{NETWORK, Setup, nic},
};

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn the_object_has_one_xdp_program_its_maps_and_btf() {
    let object = Object::parse(object().expect("the embedded object")).unwrap();
    let programs: Vec<_> = object.programs.keys().map(String::as_str).collect();
    assert_eq!(programs, ["caslb"]);
    let program = &object.programs["caslb"];
    assert!(matches!(program.section, ProgramSection::Xdp { frags: false, .. }), "{:?}", program.section);
    assert_eq!(program.license.to_str().unwrap(), "Dual MIT/GPL");
    assert!(object.btf.is_some(), "no BTF");

    let need = Need { slots: 251, services: 1, servers: 1, largest_array: 1, vips: 1, nat: 0 };
    for map in Sizes::for_need(&need).maps() {
        assert!(object.maps.contains_key(map.name), "no map {}", map.name);
    }
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn the_verifier_takes_the_program_in_every_variant() {
    let network = Namespace::new("object").unwrap();
    network.ip(NETWORK).unwrap();
    let variants = || {
        let mut translated_by_variant = Vec::new();
        for (setup, nat) in [(Setup::Dsr, "dsr only"), (Setup::Nat, "with nat")] {
            for (log, logged) in [(false, ""), (true, ", logging")] {
                let node = OwnNode::new().unwrap();
                let mut data_plane = DataPlane::open(node.name(), log).unwrap();
                data_plane.apply(&setup.target()).unwrap();
                let mut program = data_plane.load_program(&nic()).unwrap().unwrap();
                let (translated, verified) = program.instruction_counts().unwrap();
                let (translated, verified) = (translated.unwrap(), verified.unwrap());
                println!("{nat}{logged}: {translated} instructions, the verifier looked at {verified}");
                assert!(translated > 0 && verified > 0);
                translated_by_variant.push(translated);
            }
        }
        // What is off is not in the program: its constant is known to the verifier, which removes the code.
        let [dsr, dsr_logging, nat, nat_logging] = translated_by_variant[..] else { unreachable!() };
        assert!(dsr < nat && dsr < dsr_logging && nat < nat_logging, "{translated_by_variant:?}");
    };
    network.enter(variants).unwrap();
}

/// Says to this test that it runs without rights.
const WITHOUT_RIGHTS: &str = "CASLB_TEST_WITHOUT_RIGHTS";

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn loading_without_rights_is_refused_with_a_plain_error_and_leaves_nothing() {
    if let Ok(node) = env::var(WITHOUT_RIGHTS) {
        let mut data_plane = DataPlane::open(&node, false).unwrap();
        println!("refused: {}", data_plane.apply(&Setup::Dsr.target()).unwrap_err());
        return;
    }
    let node = OwnNode::new().unwrap();
    let test = "loading_without_rights_is_refused_with_a_plain_error_and_leaves_nothing";
    let output = Command::new("setpriv")
        .args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"])
        .arg(env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env(WITHOUT_RIGHTS, node.name())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let refusal = said.lines().find_map(|line| line.split_once("refused: ")).expect("a refusal").1;
    assert!(refusal.contains("root"), "{refusal}");
    assert_eq!(node.pins().sets().unwrap(), []);
}

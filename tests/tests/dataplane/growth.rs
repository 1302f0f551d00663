//! Counters, and new maps where the old ones are too small.

use caslb::dataplane::{CounterTotals, DataPlane};
use caslb_tests::packets::frames::{tcp, udp};
use caslb_tests::packets::tables::{DNS, EX01, EX02, HTTPS, Setup, VIP};
use lb_common::Reason;

use crate::fixture::{
    TRANSMIT, all_to, applied, counted, grown, link_id, on_lan, open, run, service, set_numbers, steered, view,
    with_network,
};

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn counters_of_an_id_that_is_used_again_begin_at_zero() {
    with_network(|_| {
        let mut target = Setup::Dsr.target();
        let (_node, mut data_plane) = applied(&target);
        let no_server = |data_plane: &DataPlane, service| counted(data_plane, service, Reason::NoServer);
        run(&data_plane, &tcp());
        run(&data_plane, &udp());
        service(&mut target, DNS).table = None;
        data_plane.apply(&target).unwrap();
        run(&data_plane, &udp());
        assert_eq!(
            (steered(&data_plane, HTTPS, 0), steered(&data_plane, DNS, 0), no_server(&data_plane, DNS)),
            (1, 1, 1)
        );

        // Another service takes the id, at once or after a while.
        for pause in [false, true] {
            if pause {
                run(&data_plane, &udp().to((VIP, 54)));
                let mut without = target.clone();
                without.services.retain(|service| service.id != DNS);
                data_plane.apply(&without).unwrap();
            }
            let dns = service(&mut target, DNS);
            (dns.port, dns.name, dns.table) = (dns.port + 1, format!("dns{}", dns.port), Some(all_to(EX01.id)));
            data_plane.apply(&target).unwrap();
            assert_eq!(data_plane.steered(DNS, 0), CounterTotals::default(), "pause: {pause}");
            assert_eq!(no_server(&data_plane, DNS), 0, "pause: {pause}");
        }
        // Another server takes the position of one that went.
        target.servers[0].id = 7;
        target.servers[0].name = "EX07.contoso.com".to_owned();
        service(&mut target, HTTPS).table = Some(all_to(7));
        service(&mut target, DNS).table = Some(all_to(7));
        data_plane.apply(&target).unwrap();
        assert_eq!(steered(&data_plane, HTTPS, 0), 0);
        run(&data_plane, &tcp());
        assert_eq!(steered(&data_plane, HTTPS, 0), 1);
        data_plane.apply(&target).unwrap();
        assert_eq!(steered(&data_plane, HTTPS, 0), 1, "a server that stays keeps its counters");
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_deployment_that_outgrows_its_maps_gets_new_ones_and_keeps_its_counters() {
    with_network(|_| {
        let (node, mut data_plane) = applied(&on_lan(Setup::Dsr.target()));
        let link = link_id(&node, "lan0");
        run(&data_plane, &tcp());
        run(&data_plane, &udp());
        run(&data_plane, &udp());
        let counted_before = data_plane.steered(HTTPS, 0);

        let mut target = on_lan(grown(40));
        // An id that is given to another service on the same occasion.
        let dns = service(&mut target, DNS);
        (dns.port, dns.name) = (54, "dns2".to_owned());
        data_plane.apply(&target).unwrap();
        assert_eq!(set_numbers(&node), [2]);
        assert_eq!(data_plane.steered(HTTPS, 0), counted_before);
        assert_eq!(data_plane.steered(DNS, 0), CounterTotals::default(), "the id has another owner");
        assert_eq!(link_id(&node, "lan0"), link, "the link stays, its program is another");
        assert_eq!(run(&data_plane, &tcp().to((VIP, 1040))), (TRANSMIT, EX01.mac));

        drop(data_plane);
        let data_plane = open(&node);
        assert_eq!(data_plane.adopted().unwrap().services.len(), 40);
        assert_eq!(data_plane.steered(HTTPS, 0), counted_before);
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn counters_of_a_server_that_is_replaced_while_maps_are_rebuilt_begin_at_zero() {
    with_network(|_| {
        let (_node, mut data_plane) = applied(&Setup::Dsr.target());
        run(&data_plane, &tcp());
        let mut target = grown(40);
        target.servers[0].name = "EX07.contoso.com".to_owned();
        data_plane.apply(&target).unwrap();
        assert_eq!(data_plane.steered(HTTPS, 0), CounterTotals::default());
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn another_hash_seed_or_table_size_gets_new_maps() {
    with_network(|_| {
        let mut target = Setup::Dsr.target();
        let (node, mut data_plane) = applied(&target);
        run(&data_plane, &tcp());
        "fabrikam".clone_into(&mut target.node.hash_seed);
        data_plane.apply(&target).unwrap();
        assert_eq!((set_numbers(&node), steered(&data_plane, HTTPS, 0)), (vec![2], 1));
        target.node.slots = 1009;
        for service in &mut target.services {
            service.table = Some(vec![EX02.id; 1009].into());
        }
        data_plane.apply(&target).unwrap();
        assert_eq!((set_numbers(&node), view(&node).slots_per_table()), (vec![3], 1009));
        assert_eq!(run(&data_plane, &tcp()), (TRANSMIT, EX02.mac));
    });
}

//! What caslb must refuse: with its exit status, a plain sentence with the remedy, and nothing changed.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use caslb_tests::caslb::{Caslb, Output};
use caslb_tests::config::{Config, Server, Service};
use caslb_tests::layouts::Layout;
use caslb_tests::site::{SOON, Site};
use caslb_tests::wait;
use caslb_tests::xdp::{Attached, Program};

/// What is wrong, the change that makes it so, and what must be said.
type Case = (&'static str, fn(&mut Config), &'static [&'static str]);

/// A network with one server, and a node that does not run.
fn idle() -> Result<Site> {
    let layout = Layout::lan(1)?;
    let config = Config::dsr(&layout)?;
    Site::prepare(layout, config)
}

/// It ended with `code` and said all of `wanted`, as an error and not as a crash.
fn refused(output: &Output, code: i32, wanted: &[&str]) -> Result<()> {
    let Output { code: ended, stderr, .. } = output;
    ensure!(*ended == Some(code), "exit status {ended:?} instead of {code}: {stderr}");
    ensure!(stderr.contains("error: ") && !stderr.contains("panicked"), "no plain error: {stderr}");
    for wanted in wanted {
        ensure!(stderr.contains(wanted), "no {wanted:?} in: {stderr}");
    }
    Ok(())
}

/// [`refused`] in one line.
fn refused_in_one_line(output: &Output, code: i32, wanted: &[&str]) -> Result<()> {
    let errors = output.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    ensure!(errors == 1 && output.stderr.lines().last().is_some_and(|line| line.starts_with("error: ")), "{output:?}");
    refused(output, code, wanted)
}

/// Nothing of the node is in the kernel, nor its socket.
fn nothing_there(site: &Site) -> Result<()> {
    ensure!(site.caslb.pins()?.is_empty(), "pins: {:?}", site.caslb.pins()?);
    let link = site.layout.balancer.namespace().run("ip", &["-details", "link", "show", "eth0"])?;
    ensure!(!link.contains("xdp"), "{link}");
    let socket = Path::new("/run/caslb").join(format!("{}.sock", site.caslb.node()));
    ensure!(!socket.exists(), "{} is there", socket.display());
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn files_that_cannot_be_used() -> Result<()> {
    const CASES: &[Case] = &[
        (
            "a VIP that is a server",
            |config| config.services[0].vip = config.servers[0].address,
            &["the VIP 10.1.0.11 is the address of a server", "choose a VIP"],
        ),
        (
            "two services on one VIP and port",
            |config| config.services.push(Service { name: "more".into(), ..config.services[0].clone() }),
            &["10.1.0.100:443 TCP already belongs to", "another VIP or port"],
        ),
        (
            "a server twice",
            |config| config.servers.push(config.servers[0].clone()),
            &["server \"EX01.contoso.com\" is listed twice", "address 10.1.0.11 is listed twice", "remove one of them"],
        ),
        (
            "a server twice, in other letters",
            |config| {
                let name = "ex01.CONTOSO.com".to_owned();
                config.servers.push(Server { name, address: [10, 1, 0, 12].into(), weight: 1 });
            },
            &["server \"ex01.CONTOSO.com\" is listed twice"],
        ),
        ("a weight out of range", |config| config.servers[0].weight = 1001, &["`weight` is 1001", "from 0 to 1000"]),
        (
            "a duration out of range",
            |config| config.services[0].check[3] = "interval = \"2h\"".into(),
            &["`interval` is \"2h\", which is out of range", "from 100ms to 1h"],
        ),
        (
            "a duration that is none",
            |config| config.services[0].check[3] = "interval = \"soon\"".into(),
            &["\"soon\" in `interval`", "such as \"5s\""],
        ),
        (
            "an unknown key",
            |config| config.node.push("intrefaces = [\"eth0\"]".into()),
            &["intrefaces", "did you mean `interfaces`?"],
        ),
        (
            "nat replies that belong to two services",
            |config| {
                let other = Service::https("more", [10, 1, 0, 101].into(), 443);
                config.services.push(other);
                config.defaults.push("mode = \"nat\"".into());
            },
            &["replies of 10.1.0.11:443 TCP could belong to", "server_port"],
        ),
    ];
    let mut site = idle()?;
    let good = site.config.clone();
    for (what, change, wanted) in CASES {
        site.config = good.clone();
        change(&mut site.config);
        site.write_config()?;
        let path = site.caslb.config().display().to_string();
        let check = site.caslb.command(&["check", "--config", &path])?;
        for output in [check, site.caslb.refusal(&[])?] {
            // With the file and the line.
            refused(&output, 2, &[wanted, [format!("{path}:").as_str()].as_slice()].concat()).context(*what)?;
        }
        nothing_there(&site).context(*what)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn files_that_are_no_text_or_not_there() -> Result<()> {
    let site = idle()?;
    let path = site.caslb.config();
    let mut text = site.config.text(site.caslb.node()).into_bytes();
    text.extend(b"\n# Caf\xe9\n");
    let line = text.split(|byte| *byte == b'\n').count() - 1;
    fs::write(&path, text)?;
    refused_in_one_line(
        &site.caslb.refusal(&[])?,
        2,
        &["UTF-8", &path.display().to_string(), &format!(":{line}:"), "save"],
    )?;
    fs::remove_file(&path)?;
    refused_in_one_line(&site.caslb.refusal(&[])?, 2, &[&path.display().to_string(), "--config"])?;
    nothing_there(&site)
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn hosts_that_do_not_fit_the_file() -> Result<()> {
    let mut site = idle()?;
    let good = site.config.clone();
    let cases: [Case; 4] = [
        (
            "a NIC that does not exist",
            |config| config.node[0] = "interfaces = [\"eth0\", \"eth7\"]".into(),
            &["interface eth7 of `node.interfaces` does not exist on this host", "eth0"],
        ),
        (
            "a NIC without Ethernet",
            |config| config.node[0] = "interfaces = [\"lo\"]".into(),
            &["interface lo of `node.interfaces` is no Ethernet interface", "eth0"],
        ),
        (
            "a VIP that is the host's own",
            |config| config.services[0].vip = [10, 1, 0, 2].into(),
            &["the VIP 10.1.0.2 of service ams/https is this host's own address on eth0", "another VIP"],
        ),
        (
            "a server that is the host",
            |config| config.servers[0].address = [10, 1, 0, 2].into(),
            &["the address 10.1.0.2 of server EX01.contoso.com in array ams is this host's own", "give the server's"],
        ),
    ];
    for (what, change, wanted) in cases {
        site.config = good.clone();
        change(&mut site.config);
        site.write_config()?;
        refused_in_one_line(&site.caslb.refusal(&[])?, 2, wanted).context(what)?;
        nothing_there(&site).context(what)?;
    }

    // The same in a reload: nothing changes.
    site.config = good.clone();
    site.write_config()?;
    site.run()?;
    let (plane, pins) = (site.caslb.plane()?, site.caslb.pins()?);
    for (what, change, wanted) in cases {
        site.config = good.clone();
        change(&mut site.config);
        site.write_config()?;
        let wanted = [wanted, ["nothing was changed"].as_slice()].concat();
        refused_in_one_line(&site.caslb.command(&["reload"])?, 2, &wanted).context(what)?;
        ensure!(site.caslb.plane()? == plane, "{what}: the data plane changed");
        assert_eq!(site.caslb.pins()?, pins);
    }
    site.client.get(site.vip(), "/whoami")?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn users_without_rights() -> Result<()> {
    let mut site = idle()?;
    // The binary and the file where everybody can read them.
    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let (binary, config) = (folder.path().join("caslb"), folder.path().join("caslb.toml"));
    caslb_tests::process::run(Command::new("cp").args([site.caslb.binary(), &binary]))?;
    caslb_tests::process::run(Command::new("cp").args([&site.caslb.config(), &config]))?;
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644))?;
    let as_nobody = |site: &Site, arguments: &[&str]| -> Result<Output> {
        let mut command = site.layout.balancer.namespace().command("setpriv")?;
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&binary);
        site.caslb.refusal_of(command.args(["--node", site.caslb.node()]).args(arguments))
    };
    let output = as_nobody(&site, &["run", "--config", &config.display().to_string()])?;
    refused_in_one_line(&output, 1, &["needs root", "run it as root"])?;
    nothing_there(&site)?;

    site.run()?;
    let plane = site.caslb.plane()?;
    for arguments in [["status"].as_slice(), &["reload"], &["detach"], &["dump", "all"]] {
        refused_in_one_line(&as_nobody(&site, arguments)?, 1, &["root"]).with_context(|| arguments.join(" "))?;
    }
    ensure!(site.caslb.plane()? == plane, "the data plane changed");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_second_controller_for_the_same_node() -> Result<()> {
    let mut site = idle()?;
    site.run()?;
    let (plane, pid) = (site.caslb.plane()?, site.caslb.process()?.pid());
    let wanted = [&format!("(pid {pid})"), site.caslb.node(), "stop it first"];
    refused_in_one_line(&site.caslb.refusal(&[])?, 1, &wanted)?;
    refused_in_one_line(&site.caslb.refusal(&["--detach-on-exit"])?, 1, &wanted)?;
    ensure!(site.caslb.plane()? == plane, "the data plane changed");
    site.client.get(site.vip(), "/whoami")?;
    assert_eq!(site.caslb.status()?["pid"], pid.as_raw());
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_nic_that_has_another_xdp_program() -> Result<()> {
    let mut site = idle()?;
    let other = Attached::new(site.layout.balancer.namespace(), "eth0", Program::Pass)?;
    let output = site.caslb.refusal(&[])?;
    refused(&output, 1, &["another XDP program is attached to eth0", "ip link set dev eth0 xdp off"])?;
    ensure!(site.caslb.pins()?.is_empty(), "pins: {:?}", site.caslb.pins()?);
    let link = site.layout.balancer.namespace().run("ip", &["-details", "link", "show", "eth0"])?;
    ensure!(link.contains("xdp"), "the other program is gone: {link}");
    drop(other);
    site.run()?;
    site.client.get(site.vip(), "/whoami")?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_socket_that_cannot_be_made() -> Result<()> {
    let site = idle()?;
    // A folder that is in the way stands for whatever keeps the socket from being made; the real folder is everybody's.
    let socket = Path::new("/run/caslb").join(format!("{}.sock", site.caslb.node()));
    fs::create_dir_all(socket.join("in-the-way"))?;
    let output = site.caslb.refusal(&[]);
    fs::remove_dir_all(&socket)?;
    refused_in_one_line(&output?, 1, &[&socket.display().to_string()])?;
    nothing_there(&site)
}

/// The node's folder of pins.
fn folder(caslb: &Caslb) -> std::path::PathBuf {
    Path::new("/sys/fs/bpf/caslb").join(caslb.node())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn maps_of_an_old_layout_are_not_read_but_taken_over() -> Result<()> {
    let mut site = idle()?;
    let old = folder(&site.caslb).join("v0-1");
    fs::create_dir_all(&old)?;
    let output = site.caslb.command(&["dump", "all"])?;
    refused_in_one_line(&output, 1, &["layout version 0", "caslb run"])?;
    assert_eq!(site.caslb.pins()?, std::slice::from_ref(&old));
    site.run()?;
    let log = site.caslb.log()?;
    let warned = log.lines().any(|line| line.contains("WARN") && line.contains("another version of caslb"));
    ensure!(warned, "{log}");
    ensure!(!old.exists(), "{} is still there", old.display());
    site.client.get(site.vip(), "/whoami")?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn maps_of_another_shape_are_refused_and_go_on_until_they_are_detached() -> Result<()> {
    let mut site = idle()?;
    site.run()?;
    site.caslb.stop()?;
    let set = folder(&site.caslb).join("v1-1");
    // Two maps change places under their pins; the program holds on to the maps themselves.
    for (from, to) in [("servers", "between"), ("vips", "servers"), ("between", "vips")] {
        fs::rename(set.join(from), set.join(to))?;
    }
    let pins = site.caslb.pins()?;
    for output in [site.caslb.command(&["dump", "all"])?, site.caslb.refusal(&[])?] {
        refused_in_one_line(&output, 1, &["has another shape than layout version 1", "caslb detach"])?;
        assert_eq!(site.caslb.pins()?, pins);
    }
    site.client.get(site.vip(), "/whoami")?;
    site.caslb.command(&["detach"])?.success()?;
    nothing_there(&site)?;
    site.run()?;
    site.client.get(site.vip(), "/whoami")?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn maps_that_were_never_finished_are_replaced() -> Result<()> {
    let mut site = idle()?;
    fs::create_dir_all(folder(&site.caslb).join("v1-1"))?;
    let output = site.caslb.command(&["dump", "all"])?;
    ensure!(output.code == Some(1) && output.stderr.starts_with("error: "), "{output:?}");
    site.run()?;
    site.client.get(site.vip(), "/whoami")?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_changed_seed_needs_force_at_the_start_as_well() -> Result<()> {
    let mut site = idle()?;
    site.run()?;
    let (plane, tables) = (site.caslb.plane()?, site.prediction()?);
    site.caslb.stop()?;
    site.config.node.push("hash_seed = \"another\"".into());
    site.write_config()?;
    refused_in_one_line(&site.caslb.refusal(&[])?, 2, &["hash_seed", "--force"])?;
    ensure!(site.caslb.plane()? == plane, "the data plane changed");
    site.caslb.run(&["--force"])?;
    wait::until("tables of the new seed", SOON, || Ok((site.prediction()? != tables).then_some(())))?;
    site.spread(20)?;
    Ok(())
}

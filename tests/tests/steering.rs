//! Real requests through a real balancer.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use caslb_tests::{caslb::Caslb, certificates::Authority, client::Client, exchange::Exchange, layouts::Layout};

fn config(node: &str) -> String {
    format!(
        r#"
[node]
name = "{node}"
interfaces = ["eth0"]

[[array]]
name = "ams"
namespaces = ["mail.contoso.com"]

  [[array.server]]
  name = "EX01.contoso.com"
  address = "10.1.0.11"

  [[array.server]]
  name = "EX02.contoso.com"
  address = "10.1.0.12"

  [[array.server]]
  name = "EX03.contoso.com"
  address = "10.1.0.13"

  [[array.service]]
  name = "https"
  vip = "10.1.0.100"
  port = 443

    [[array.service.check]]
    type = "https"
    path = "/owa/healthcheck.htm"
    verify = "none"
    interval = "500ms"
    timeout = "400ms"
"#
    )
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn requests_reach_servers() -> Result<()> {
    let layout = Layout::lan(3)?;
    let authority = Authority::new()?;
    let mut servers = Vec::new();
    for (index, host) in layout.servers.iter().enumerate() {
        let fqdn = format!("EX0{}.contoso.com", index + 1);
        servers.push(Exchange::https(host.namespace(), &fqdn, &authority.issue(&["mail.contoso.com"])?)?);
    }
    println!("{:?}", layout.balancer.nics());
    let caslb = Caslb::start(layout.balancer.namespace(), config)?;
    for name in ["EX01.contoso.com", "EX02.contoso.com", "EX03.contoso.com"] {
        let state = caslb.wait_for_state(name, "up", Duration::from_secs(10));
        if state.is_err() {
            println!("{}", caslb.log()?);
            println!("{}", caslb.command(&["status"])?.stdout);
        }
        state?;
    }
    let client = Client::https(layout.client.namespace(), &authority, "mail.contoso.com")?;
    let vip: SocketAddr = "10.1.0.100:443".parse()?;
    let spread = client.spread(vip, 12);
    println!("{}", caslb.log()?);
    println!("{}", caslb.command(&["status"])?.stdout);
    println!("{}", caslb.command(&["dump", "all"])?.stdout);
    println!("{spread:?}");
    spread?;
    Ok(())
}

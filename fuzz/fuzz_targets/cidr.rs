//! An address block that is read is shown in a form that reads back, and holds
//! exactly the addresses that share its first bits.

#![no_main]

use std::net::IpAddr;

use engine::{Cidr, CidrError, ClientAddr};
use libfuzzer_sys::fuzz_target;

/// The leading bits of an address.
fn bits(ip: IpAddr, len: usize) -> Vec<u8> {
    let octets = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    (0..len)
        .map(|bit| octets[bit / 8] >> (7 - bit % 8) & 1)
        .collect()
}

fuzz_target!(|input: (&str, [u8; 16], [u8; 4])| {
    let (text, v6, v4) = input;
    let block = match text.parse::<Cidr>() {
        Ok(block) => block,
        Err(CidrError::HostBits(_, meant)) => meant,
        Err(_) => return,
    };
    let shown = block.to_string();
    assert_eq!(shown.parse::<Cidr>(), Ok(block), "{text:?}");
    let (base, len) = shown.split_once('/').expect("a length is shown");
    let base: IpAddr = base.parse().expect("an address is shown");
    let len: usize = len.parse().expect("a number is shown");
    for ip in [IpAddr::from(v6), IpAddr::from(v4), base] {
        let ip = ip.to_canonical();
        let expected = ip.is_ipv4() == base.is_ipv4() && bits(ip, len) == bits(base, len);
        assert_eq!(
            block.contains(ClientAddr::from(ip)),
            expected,
            "{shown} {ip}"
        );
    }
});

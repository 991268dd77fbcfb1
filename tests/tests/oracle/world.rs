//! A small world, in which what is done meets what was done before: few keys,
//! addresses, origins and tokens.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

use engine::{CidrList, KeyPolicy, Limit, OriginList, SecretKey};
use tests::ips::IPS;
use trace::Trace;

pub(crate) const START: u64 = 1_790_000_000;

/// Keys of the world; those that are there from the start come first.
pub(crate) const KEYS: usize = 8;
pub(crate) const FIRST_KEYS: usize = 5;
/// Keys that may be minted besides.
pub(crate) const MINTED: usize = 3;

/// The world's keys, and behind them one that is never put in and one of a
/// prefix that is not taken.
pub(crate) static SECRETS: LazyLock<Vec<SecretKey>> = LazyLock::new(|| {
    let number = |i: usize| tests::keys::key(["tk_live", "tk_test"][i % 2], i as u64);
    let strangers = [
        tests::keys::key("tk_live", 1000),
        tests::keys::key("tk_other", 1001),
    ];
    (0..KEYS).map(number).chain(strangers).collect()
});

/// Networks of a /64 each, from which any address may come.
pub(crate) const NETS: [u128; 3] = [
    0x2001_0db8_0000_0001_u128 << 64,
    0x2001_0db8_0000_0002_u128 << 64,
    0x2001_0db8_ffff_0000_u128 << 64,
];

pub(crate) const ORIGINS: [&str; 13] = [
    "https://app.example.com",
    "https://APP.example.com:443",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://a.b.shop.example",
    "https://shop.example",
    "https://evilshop.example",
    "https://console.example.com",
    "null",
    "garbage",
    "",
    " ",
    "https://",
];

pub(crate) const PROJECTS: [&str; 2] = ["p1", "p2"];

pub(crate) const TOKENS: [&str; 7] = [
    "token-a", "token-b", "token-c", "token-d", "never", "", REPEATED,
];

/// What stands for a header that comes twice: whoever takes lines for one text
/// sees this, and it is neither a key nor a token.
pub(crate) const REPEATED: &str = "one, another";

/// What may be exempt besides what always is: at first nothing.
pub(crate) const EXEMPT: [&[&str]; 4] = [
    &[],
    &["192.0.2.0/24"],
    &["198.51.100.0/24", "2001:db8:0:1::/64"],
    &["0.0.0.0/0"],
];

const CONFIG: &str = r#"{"trace": 1, "config": {
    "prefixes": ["tk_live", "tk_test"],
    "origins": ["https://console.example.com"],
    "failures": {"threshold": 3, "window_s": WINDOW, "block_s": BLOCK, "exempt": ["192.0.2.128/25"]}},
    "steps": []}"#;

/// A set-up as a trace without steps. Its failures table is small enough to be
/// made often; that more of the world's 14 addresses fall into one of its 128
/// sets than the 7 which that holds happens once in 10^11 worlds.
pub(crate) fn config(window_s: u32, block_s: u32) -> Trace {
    let text = CONFIG
        .replace("WINDOW", &window_s.to_string())
        .replace("BLOCK", &block_s.to_string());
    let mut trace = Trace::parse(text.as_bytes()).unwrap();
    trace.config.failures.max_addresses = 7 * 128;
    trace
}

/// One of the policies that a key may have.
pub(crate) fn policy(number: usize) -> KeyPolicy {
    let mut policy = KeyPolicy::new(PROJECTS[number / 2 % 2].parse().unwrap());
    let limits = [Some(3), None, Some(u64::from(u32::MAX)), Some(10)];
    policy.hourly_limit = limits[number % 4].map(limit);
    let origins: &[&str] = [
        &[][..],
        &["https://app.example.com", "https://*.shop.example"],
        &[],
        &["null", "http://app.example.com:80"],
    ][number % 4];
    policy.origins = OriginList::parse(origins).unwrap();
    policy.require_origin = number % 4 == 1 || number == 6;
    let ips: &[&str] = [&[][..], &["198.51.100.0/24", "2001:db8::/48"], &["::/0"]][number % 3];
    policy.ips = CidrList::parse(ips).unwrap();
    policy.expires_at = (number == 3).then_some(START + 4000);
    policy
}

pub(crate) fn limit(units: u64) -> Limit {
    Limit::try_from(units).unwrap()
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    /// One of [`IPS`].
    Listed(usize),
    /// Any address of one of [`NETS`].
    Within(usize, u64),
}

impl From {
    pub(crate) fn ip(self) -> IpAddr {
        match self {
            Self::Listed(ip) => IPS[ip].parse().unwrap(),
            Self::Within(net, low) => IpAddr::V6(Ipv6Addr::from_bits(NETS[net] | u128::from(low))),
        }
    }
}

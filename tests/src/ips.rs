//! Client addresses that tests draw from.

/// Some of each kind, among them one address in two spellings, neighbours on
/// both sides of a network's edge, and two of one /64.
pub const IPS: [&str; 12] = [
    "198.51.100.7",
    "::ffff:198.51.100.7",
    "198.51.100.8",
    "192.0.2.127",
    "192.0.2.128",
    "::ffff:192.0.2.200",
    "2001:db8:0:1::1",
    "2001:db8:0:1:ffff::2",
    "2001:db8:0:2::1",
    "::1",
    "0.0.0.0",
    "ffff:ffff:ffff:ffff::",
];

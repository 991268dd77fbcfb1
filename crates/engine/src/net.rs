//! Client addresses and lists of address blocks (CIDR).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use smallvec::SmallVec;

/// A client's address. IPv4-mapped IPv6 (`::ffff:a.b.c.d`) is IPv4.
///
/// Failures of IPv6 addresses are counted by their /64. Those of
/// `ffff:fffe::/31`, a reserved range of multicast from which no client speaks,
/// count as one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddr {
    /// Made of the address when that is known, as a word of its own: a decision
    /// begins with it, and would wait for an address that was just written byte
    /// by byte.
    unit: u64,
    ip: IpAddr,
}

impl ClientAddr {
    // IPv4 has the words of ffff:ffff::/32, and the all-zero /64 (that of `::1`)
    // that of ffff:fffe::/64. Both are multicast (RFC 4291, 2.7), from which no
    // client speaks. Who is said to do so all the same shares one further word,
    // so that nobody is counted as an IPv4 address who is none.
    const V4: u64 = 0xFFFF_FFFF_0000_0000;
    const ZERO: u64 = 0xFFFF_FFFE_0000_0000;
    const RESERVED: u64 = Self::ZERO + 1;

    /// `ip` is no IPv4-mapped one.
    const fn new(ip: IpAddr) -> Self {
        let unit = match ip {
            IpAddr::V4(ip) => Self::V4 | ip.to_bits() as u64,
            IpAddr::V6(ip) => match (ip.to_bits() >> 64) as u64 {
                0 => Self::ZERO,
                Self::ZERO.. => Self::RESERVED,
                prefix => prefix,
            },
        };
        Self { unit, ip }
    }

    /// An address that is counted in a unit, the first where several are.
    pub(crate) fn of_unit(unit: u64) -> Self {
        let ip = match unit {
            Self::ZERO => Ipv6Addr::UNSPECIFIED.into(),
            v4 if v4 & Self::V4 == Self::V4 => Ipv4Addr::from_bits(unit as u32).into(),
            prefix => Ipv6Addr::from_bits(u128::from(prefix) << 64).into(),
        };
        Self { unit, ip }
    }

    /// The address, IPv4-mapped ones as IPv4.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    /// The unit by which failures are counted, as one word that is never 0:
    /// a whole IPv4 address, or the upper 64 bits of an IPv6 one.
    pub(crate) fn unit(self) -> u64 {
        self.unit
    }
}

impl fmt::Debug for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientAddr({})", self.ip)
    }
}

impl From<IpAddr> for ClientAddr {
    #[inline]
    fn from(ip: IpAddr) -> Self {
        Self::new(ip.to_canonical())
    }
}

impl From<Ipv4Addr> for ClientAddr {
    #[inline]
    fn from(ip: Ipv4Addr) -> Self {
        Self::new(IpAddr::V4(ip))
    }
}

impl From<Ipv6Addr> for ClientAddr {
    #[inline]
    fn from(ip: Ipv6Addr) -> Self {
        IpAddr::V6(ip).into()
    }
}

/// A block of addresses in CIDR notation; a bare address is a block of one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    base: IpAddr,
    len: u8,
}

/// Why a text is no [`Cidr`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CidrError {
    /// Neither an address nor an address with a prefix length.
    Form(String),
    /// The prefix length is larger than the address.
    TooLong(String),
    /// Bits are set behind the prefix; the second text is the block meant.
    HostBits(String, Cidr),
}

impl Cidr {
    /// The addresses that are counted as one with this: itself alone, or the
    /// /64 of an IPv6 one; see [`ClientAddr`].
    #[must_use]
    pub fn of_client(client: ClientAddr) -> Self {
        let len = match client.ip {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) if client.unit == ClientAddr::RESERVED => 31,
            IpAddr::V6(_) => 64,
        };
        Self {
            base: mask(client.ip, len),
            len,
        }
    }

    /// The first address of the block.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.base
    }

    /// Whether the block holds an address.
    #[must_use]
    pub fn contains(&self, addr: ClientAddr) -> bool {
        match (self.base, addr.ip) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => {
                let differing = u32::from(base) ^ u32::from(ip);
                u64::from(differing) >> (32 - self.len) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(ip)) => {
                let differing = u128::from(base) ^ u128::from(ip);
                differing
                    .checked_shr(128 - u32::from(self.len))
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }

    /// Whether the block holds every address of another.
    fn contains_all(&self, other: Self) -> bool {
        self.len <= other.len && self.contains(other.base.into())
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let form = || CidrError::Form(text.into());
        let (ip, len) = match text.split_once('/') {
            Some((ip, len)) => (ip, Some(len)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| form())?;
        let width: u8 = if ip.is_ipv4() { 32 } else { 128 };
        let len = match len {
            None => width,
            Some(digits) if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) => {
                return Err(form());
            }
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|len| *len <= width)
                .ok_or_else(|| CidrError::TooLong(text.into()))?,
        };
        // A block of IPv4-mapped addresses is a block of IPv4.
        let (ip, len) = match ip.to_canonical() {
            v4 @ IpAddr::V4(_) if ip.is_ipv6() && len >= 96 => (v4, len - 96),
            _ => (ip, len),
        };
        let base = mask(ip, len);
        let block = Self { base, len };
        if base == ip {
            Ok(block)
        } else {
            Err(CidrError::HostBits(text.into(), block))
        }
    }
}

/// Clears every bit behind the first `len`.
fn mask(ip: IpAddr, len: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let bits = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & bits).into())
        }
        IpAddr::V6(ip) => {
            let bits = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & bits).into())
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.len)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(text) => write!(
                f,
                "{text:?} is no address block: write 203.0.113.0/24, 2001:db8::/32 or one address"
            ),
            Self::TooLong(text) => write!(
                f,
                "{text:?} is no address block: a prefix length goes up to 32 for IPv4 and 128 for IPv6"
            ),
            Self::HostBits(text, block) => {
                write!(f, "{text:?} has bits set behind its prefix: write {block}")
            }
        }
    }
}

impl std::error::Error for CidrError {}

/// A list of address blocks. One stays inline.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CidrList(SmallVec<[Cidr; 1]>);

impl CidrList {
    /// Reads a list of texts.
    ///
    /// # Errors
    ///
    /// That of the first text that is no block.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, CidrError> {
        texts
            .into_iter()
            .map(|text| text.as_ref().parse())
            .collect()
    }

    /// Whether a block of the list holds an address. Linear in the list.
    #[must_use]
    pub fn contains(&self, addr: ClientAddr) -> bool {
        self.0.iter().any(|block| block.contains(addr))
    }

    /// Whether one block of the list holds every address of another.
    pub(crate) fn contains_all(&self, other: Cidr) -> bool {
        self.0.iter().any(|block| block.contains_all(other))
    }

    /// Whether the list names no block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The blocks in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &Cidr> {
        self.0.iter()
    }
}

impl FromIterator<Cidr> for CidrList {
    fn from_iter<I: IntoIterator<Item = Cidr>>(blocks: I) -> Self {
        Self(blocks.into_iter().collect())
    }
}

impl fmt::Debug for CidrList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn addr(text: &str) -> ClientAddr {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn blocks_hold_what_they_say() {
        let cases = [
            ("203.0.113.0/24", "203.0.113.255", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("203.0.113.0/24", "::ffff:203.0.113.4", true),
            ("::ffff:203.0.113.0/120", "203.0.113.9", true),
            ("::ffff:203.0.113.0/120", "203.0.112.9", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "10.0.0.1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.2", false),
            ("2001:db8:7::/48", "2001:db8:7:ffff::1", true),
            ("2001:db8:7::/48", "2001:db8:8::1", false),
            ("::1", "::1", true),
            ("::1", "::2", false),
        ];
        for (block, ip, expected) in cases {
            let block: Cidr = block.parse().unwrap();
            assert_eq!(block.contains(addr(ip)), expected, "{block} {ip}");
        }
    }

    #[test]
    fn bad_blocks_are_named() {
        for bad in [
            "",
            "x",
            "1.2.3",
            "1.2.3.4/",
            "1.2.3.4/+8",
            "1.2.3.4/8/8",
            "/8",
            "1.2.3.4 ",
        ] {
            assert_eq!(
                bad.parse::<Cidr>(),
                Err(CidrError::Form(bad.into())),
                "{bad}"
            );
        }
        for bad in ["1.2.3.4/33", "::/129", "::/999"] {
            assert_eq!(bad.parse::<Cidr>(), Err(CidrError::TooLong(bad.into())));
        }
        let error = "203.0.113.5/24".parse::<Cidr>().unwrap_err();
        assert!(error.to_string().contains("203.0.113.0/24"), "{error}");
    }

    #[test]
    fn failures_are_counted_by_ipv4_address_and_ipv6_prefix() {
        assert_eq!(
            addr("::ffff:203.0.113.9").unit(),
            addr("203.0.113.9").unit()
        );
        assert_eq!(
            addr("2001:db8:7:1::1").unit(),
            addr("2001:db8:7:1:ffff::2").unit()
        );
        assert_ne!(
            addr("2001:db8:7:1::1").unit(),
            addr("2001:db8:7:2::1").unit()
        );
        let all = [
            "::1",
            "0.0.0.0",
            "255.255.255.255",
            "::ffff:0:0",
            "1::",
            "10.0.0.1",
            "ffff:fffd::",
            "ffff:ffff::",
        ];
        let mut units: Vec<u64> = all.map(|text| addr(text).unit()).to_vec();
        units.sort_unstable();
        units.dedup();
        assert_eq!(
            units.len(),
            all.len() - 1,
            "0.0.0.0 and its mapped form are one"
        );
        assert!(!units.contains(&0));
        for reserved in ["ffff:fffe::1", "ffff:ffff:ffff:ffff::", "ffff:ffff:a00:1::"] {
            assert_eq!(addr(reserved).unit(), addr("ffff:ffff::").unit());
        }
        for (text, block) in [
            ("10.0.0.1", "10.0.0.1/32"),
            ("255.255.255.255", "255.255.255.255/32"),
            ("::1", "::/64"),
            ("2001:db8:7:1::9", "2001:db8:7:1::/64"),
            ("ffff:fffd:ffff:ffff::9", "ffff:fffd:ffff:ffff::/64"),
            ("ffff:ffff:a00:1::9", "ffff:fffe::/31"),
        ] {
            assert_eq!(Cidr::of_client(addr(text)).to_string(), block);
            let again = ClientAddr::of_unit(addr(text).unit());
            assert_eq!(again.unit(), addr(text).unit());
            assert_eq!(Cidr::of_client(again).to_string(), block);
        }
    }
}

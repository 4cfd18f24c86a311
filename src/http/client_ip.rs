//! A request's client IP address: the peer's, or the one that a trusted proxy forwards.
//!
//! Reads only `X-Forwarded-For`, and only from a peer that the settings trust. Reads it from the right, because each
//! proxy appends the address it saw, and the client can invent everything to the left. Knows nothing of rate limits.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName};

use crate::config::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The most hops read from the right. A request passes a few proxies; a client that can name a trusted network could
/// otherwise have thousands of addresses parsed for each request.
const MAX_HOPS: usize = 32;

/// Networks whose `X-Forwarded-For` is trusted.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// Trusts these networks and no others.
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// The client's address: the last one on the request's path that is not a trusted proxy.
    pub fn client_ip(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let mut client_ip = peer.ip().to_canonical();
        if self.0.is_empty() || !self.is_trusted(client_ip) {
            return client_ip;
        }
        let hops =
            headers.get_all(X_FORWARDED_FOR).iter().rev().flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
        for hop in hops.take(MAX_HOPS) {
            match std::str::from_utf8(hop).ok().and_then(parse_address) {
                Some(address) => client_ip = address,
                // A trusted proxy writes a valid address, so the hop that forwarded this value is the client.
                None => break,
            }
            if !self.is_trusted(client_ip) {
                break;
            }
        }
        client_ip
    }

    /// Returns true if the address is a trusted proxy's.
    pub fn is_trusted(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| contains(network, address))
    }
}

/// The address that rate limits count: for IPv6 the /64, because a client can choose any address in its /64.
pub fn rate_limit_ip(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

/// Parses an address as proxies write it: alone, with a port, or in brackets.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bracketed {
        Some(v6) => v6.parse::<Ipv6Addr>().ok()?.into(),
        None => text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|with_port| with_port.ip())).ok()?,
    };
    Some(address.to_canonical())
}

fn contains(network: &Network, address: IpAddr) -> bool {
    let same = |one: u128, other: u128, width: u32| {
        let bits = u32::from(network.bits).min(width);
        bits == 0 || (one ^ other) >> (width - bits) == 0
    };
    match (network.address, address) {
        (IpAddr::V4(one), IpAddr::V4(other)) => same(one.to_bits().into(), other.to_bits().into(), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => same(one.to_bits(), other.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn client(peer: &str, lines: &[&str]) -> String {
        let network = |address: &str, bits| Network { address: address.parse().unwrap(), bits };
        let proxies = TrustedProxies::new(vec![network("10.0.0.0", 8), network("fd00::", 8), network("192.0.2.7", 32)]);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        proxies.client_ip(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn client_is_the_last_untrusted_hop() {
        let through = |hops: usize| format!("198.51.100.1{}", ",10.7.7.7".repeat(hops));
        for (peer, lines, expected) in [
            // The peer is not trusted.
            ("203.0.113.1:1", &["198.51.100.1"][..], "203.0.113.1"),
            ("192.0.2.8:1", &["198.51.100.1"], "192.0.2.8"),
            ("10.1.2.3:1", &[], "10.1.2.3"),
            ("10.1.2.3:1", &["198.51.100.1"], "198.51.100.1"),
            ("192.0.2.7:1", &["198.51.100.1"], "198.51.100.1"),
            // Everything further left is the client's own claim.
            ("10.1.2.3:1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.1.2.3:1", &["1.1.1.1, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
            ("10.1.2.3:1", &["1.1.1.1", "198.51.100.1 ,10.9.9.9"], "198.51.100.1"),
            ("10.1.2.3:1", &["198.51.100.1", "10.9.9.9", "10.9.9.8"], "198.51.100.1"),
            // The hops beyond the bound are not read.
            ("10.1.2.3:1", &[&through(MAX_HOPS - 1)], "198.51.100.1"),
            ("10.1.2.3:1", &[&through(MAX_HOPS)], "10.7.7.7"),
            // All hops are trusted: the first one is the client.
            ("10.1.2.3:1", &["10.4.4.4, 10.9.9.9"], "10.4.4.4"),
            // An invalid value: the hop that forwarded it is the client.
            ("10.1.2.3:1", &["198.51.100.1, unknown, 10.9.9.9"], "10.9.9.9"),
            ("10.1.2.3:1", &["unknown"], "10.1.2.3"),
            ("10.1.2.3:1", &[""], "10.1.2.3"),
            // With ports, in brackets, IPv4-mapped.
            ("10.1.2.3:1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("[fd12::1]:1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("[fd12::1]:1", &["[2001:db8::1]"], "2001:db8::1"),
            ("[::ffff:10.1.2.3]:1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("[::ffff:203.0.113.1]:1", &["198.51.100.1"], "203.0.113.1"),
        ] {
            assert_eq!(client(peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn ipv6_clients_are_counted_by_their_64() {
        let counted = |address: &str| rate_limit_ip(address.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("198.51.100.1"), "198.51.100.1");
        assert_eq!(counted("::ffff:198.51.100.1"), "198.51.100.1");
    }

    #[test]
    fn a_network_of_zero_bits_contains_every_address() {
        let everywhere = Network { address: "0.0.0.0".parse().unwrap(), bits: 0 };
        assert!(contains(&everywhere, "203.0.113.1".parse().unwrap()));
        assert!(!contains(&everywhere, "2001:db8::1".parse().unwrap()));
    }
}

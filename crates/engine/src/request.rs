//! What a decision is asked about, borrowed from wherever the bytes lie.

use crate::net::ClientAddr;

/// A header that carries a secret, as the adapter found it.
#[derive(Clone, Copy, Default)]
pub enum Credential<'a> {
    /// The header was not sent.
    #[default]
    Absent,
    /// The header was sent once, with these bytes.
    One(&'a [u8]),
    /// The header was sent more than once, equal or not.
    Repeated,
}

/// One request to decide about. Cheap to copy; borrows all it names.
///
/// ```
/// use std::net::Ipv4Addr;
/// use engine::Request;
///
/// let request = Request::new(Ipv4Addr::LOCALHOST)
///     .api_key(b"tk_live_...")
///     .origin(b"https://app.example.com")
///     .needs_user(true)
///     .cost(5);
/// # let _ = request;
/// ```
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub(crate) api_key: Credential<'a>,
    pub(crate) bearer: Credential<'a>,
    pub(crate) origin: Option<&'a [u8]>,
    pub(crate) client: ClientAddr,
    pub(crate) needs_user: bool,
    pub(crate) cost: u32,
}

impl<'a> Request<'a> {
    /// A request from a client address that carries nothing, wants no user and
    /// costs 1 unit.
    #[must_use]
    pub fn new(client: impl Into<ClientAddr>) -> Self {
        Self {
            api_key: Credential::Absent,
            bearer: Credential::Absent,
            origin: None,
            client: client.into(),
            needs_user: false,
            cost: 1,
        }
    }

    /// The value of the `api-key` header.
    #[must_use]
    pub fn api_key(self, value: &'a [u8]) -> Self {
        self.api_key_header(Credential::One(value))
    }

    /// The `api-key` header as the adapter found it.
    #[must_use]
    pub fn api_key_header(mut self, header: Credential<'a>) -> Self {
        self.api_key = header;
        self
    }

    /// The token behind `Authorization: Bearer`, without that word.
    #[must_use]
    pub fn bearer(self, token: &'a [u8]) -> Self {
        self.bearer_header(Credential::One(token))
    }

    /// The bearer token as the adapter found it; another scheme than `Bearer`
    /// counts as absent.
    #[must_use]
    pub fn bearer_header(mut self, header: Credential<'a>) -> Self {
        self.bearer = header;
        self
    }

    /// The value of the `Origin` header. An adapter that found several passes
    /// one that is no origin, such as the empty one.
    #[must_use]
    pub fn origin(mut self, origin: &'a [u8]) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Whether the endpoint wants a user's session token.
    #[must_use]
    pub fn needs_user(mut self, needs_user: bool) -> Self {
        self.needs_user = needs_user;
        self
    }

    /// The units that the request takes from the key's hour; 0 is allowed.
    #[must_use]
    pub fn cost(mut self, units: u32) -> Self {
        self.cost = units;
        self
    }

    /// The key that it shows, if it shows one and no more.
    #[must_use]
    pub fn shown_key(&self) -> Option<&'a [u8]> {
        match self.api_key {
            Credential::One(key) => Some(key),
            Credential::Absent | Credential::Repeated => None,
        }
    }

    /// The client's address.
    #[must_use]
    pub fn client(&self) -> ClientAddr {
        self.client
    }
}

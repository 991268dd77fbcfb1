//! A request as C describes it, and as the engine wants it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use engine::wire::{API_KEY_HEADER, bearer_token};
use engine::{ClientAddr, Credential, Request};

use crate::bytes::tk_bytes;
use crate::guard;
use crate::ptr::{Caller, Described};
use crate::result::tk_result::{TK_ERR_NULL, TK_ERR_VALUE};
use crate::result::{Refusal, tk_result};

/// One request to decide about. Set it up with `tk_request_init`, then give
/// the client's address and the headers. All that it points to is the
/// caller's, and needed only for the length of the call that it is handed to.
///
/// `tk_request_header` fills in `api_key`, `origin` and `authorization` from
/// headers as they come, repeated ones included.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tk_request {
    /// `sizeof(tk_request)`.
    pub size: u32,
    /// Units that the request takes from the key's hour; `tk_request_init`
    /// sets 1, and 0 is allowed.
    pub cost: u32,
    /// The value of the `api-key` header; `data` NULL where it was not sent.
    pub api_key: tk_bytes,
    /// The value of the `Origin` header; `data` NULL where it was not sent.
    pub origin: tk_bytes,
    /// The value of the `Authorization` header, of which a bearer token is
    /// read and any other scheme is ignored; `data` NULL where it was not sent.
    /// Of several headers, one that is a bearer's if there is one.
    pub authorization: tk_bytes,
    /// The bearer token alone, for who has taken it out of its header already:
    /// where its `data` is not NULL, `authorization` is not looked at. Either
    /// way a token of more than 512 bytes is invalid.
    pub bearer: tk_bytes,
    /// The client's address in network byte order, IPv4 in the first 4 bytes.
    /// That of the peer, or what a trusted proxy says it is.
    pub client: [u8; 16],
    /// How many bytes of `client` count: 4 or 16.
    pub client_len: u8,
    /// Not 0: the endpoint wants a user's session token.
    pub needs_user: u8,
    /// Not 0: the `api-key` header was sent more than once.
    pub api_key_repeated: u8,
    /// Not 0: the `Origin` header was sent more than once.
    pub origin_repeated: u8,
    /// Not 0: the `Authorization` header was sent more than once.
    pub authorization_repeated: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

// SAFETY: repr(C), the size first, integers and pointers.
unsafe impl Described for tk_request {
    const LEAST: usize = 96;
}

impl tk_request {
    /// The request as the engine takes it. Made in one go and in its place, for
    /// to hand a half-made one on costs as much as all the checks.
    #[inline(always)]
    pub(crate) fn asked<'a>(&self, caller: Caller<'a>) -> Result<Request<'a>, Refusal> {
        if self.reserved != [0; 3] {
            return Err(Refusal::unknown_members("tk_request"));
        }
        let [a, b, c, d, ..] = self.client;
        let client: ClientAddr = match self.client_len {
            4 => Ipv4Addr::new(a, b, c, d).into(),
            16 => Ipv6Addr::from(self.client).into(),
            _ => return Err(NO_CLIENT),
        };
        let key = caller.bytes(self.api_key, "api_key")?;
        let origin = caller.bytes(self.origin, "origin")?;
        let token = caller.bytes(self.bearer, "bearer")?;
        let authorization = caller.bytes(self.authorization, "authorization")?;
        let repeated = self.authorization_repeated != 0;
        let bearer = match (token, authorization) {
            (None, None) => Credential::Absent,
            (Some(token), _) => credential(Some(token), repeated),
            (None, Some(value)) => bearer_of(value, repeated),
        };
        let request = Request::new(client)
            .api_key_header(credential(key, self.api_key_repeated != 0))
            .bearer_header(bearer)
            .needs_user(self.needs_user != 0)
            .cost(self.cost);
        Ok(match origin {
            None => request,
            // An empty one is no origin, which is what several are.
            Some(_) if self.origin_repeated != 0 => request.origin(b""),
            Some(origin) => request.origin(origin),
        })
    }

    /// Adds a header of the client's.
    fn add(&mut self, name: &[u8], value: tk_bytes, bytes: &[u8]) {
        if name.eq_ignore_ascii_case(API_KEY_HEADER.as_bytes()) {
            put(&mut self.api_key, &mut self.api_key_repeated, value);
        } else if name.eq_ignore_ascii_case(b"origin") {
            put(&mut self.origin, &mut self.origin_repeated, value);
        } else if name.eq_ignore_ascii_case(b"authorization") {
            let first = self.authorization.data.is_null();
            if bearer_token(bytes).is_some() {
                self.authorization = value;
            } else if first {
                put(
                    &mut self.authorization,
                    &mut self.authorization_repeated,
                    value,
                );
            }
            self.authorization_repeated |= u8::from(!first);
        }
    }
}

/// Keeps the first value, and notes that there are more.
fn put(place: &mut tk_bytes, repeated: &mut u8, value: tk_bytes) {
    if place.data.is_null() {
        *place = value;
    } else {
        *repeated = 1;
    }
}

/// What a value of `Authorization` holds.
fn bearer_of(value: &[u8], repeated: bool) -> Credential<'_> {
    match bearer_token(value) {
        Some(_) if repeated => Credential::Repeated,
        Some(token) if !token.is_empty() => Credential::One(token),
        _ => Credential::Absent,
    }
}

#[inline(always)]
fn credential(value: Option<&[u8]>, repeated: bool) -> Credential<'_> {
    match value {
        None => Credential::Absent,
        Some(_) if repeated => Credential::Repeated,
        Some(value) => Credential::One(value),
    }
}

const NO_CLIENT: Refusal = Refusal::of(
    TK_ERR_VALUE,
    "tk_request has no client address: client_len must be 4 or 16, as tk_request_ipv4, \
     tk_request_ipv6 and tk_request_address set it",
);

/// An address given as text.
pub(crate) fn address(caller: Caller<'_>, text: tk_bytes) -> Result<IpAddr, Refusal> {
    let text = caller
        .text(text, "client address")?
        .ok_or(Refusal::of(TK_ERR_NULL, "the client address is NULL"))?;
    text.parse::<IpAddr>().map_err(|_| {
        Refusal::told(
            TK_ERR_VALUE,
            format!("{text:?} is no IP address, such as 192.0.2.7 or 2001:db8::7"),
        )
    })
}

/// Tells a request of one header that its client sent. Call it for each, in
/// any order: names that no decision rests on are left alone, and what is sent
/// more than once is noted.
///
/// Ownership: the bytes of `value` stay the caller's and must last until the
/// request was decided about. Thread safety: as any other write to `request`.
/// Errors: TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_LENGTH; TK_ERR_STRUCT for a
/// request that is of another version or was not set up.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_request_header(
    name: tk_bytes,
    value: tk_bytes,
    request: *mut tk_request,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let Some(name) = caller.bytes(name, "name")? else {
            return Err(Refusal::of(TK_ERR_NULL, "name is NULL"));
        };
        let Some(bytes) = caller.bytes(value, "value")? else {
            return Err(Refusal::of(TK_ERR_NULL, "value is NULL"));
        };
        caller.change(request, "tk_request", |request| {
            request.add(name, value, bytes);
            Ok(())
        })
    })
}

/// Sets a request's client address from text, such as "192.0.2.7" or
/// "2001:db8::7". `tk_request_ipv4` and `tk_request_ipv6` take it in bytes.
///
/// Thread safety: as any other write to `request`.
/// Errors: TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_LENGTH, TK_ERR_UTF8;
/// TK_ERR_STRUCT for a request that is of another version or was not set up;
/// TK_ERR_VALUE for what is no address.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_request_address(text: tk_bytes, request: *mut tk_request) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let ip = address(caller, text)?;
        caller.change(request, "tk_request", |request| {
            request.client = [0; 16];
            match ip {
                IpAddr::V4(ip) => {
                    request.client[..4].copy_from_slice(&ip.octets());
                    request.client_len = 4;
                }
                IpAddr::V6(ip) => {
                    request.client = ip.octets();
                    request.client_len = 16;
                }
            }
            Ok(())
        })
    })
}

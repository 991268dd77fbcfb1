//! The tower layer, and how it is set up.

use std::net::IpAddr;
use std::sync::Arc;

use engine::wire::Wire;
use engine::{CidrList, Engine};
use http::Extensions;
use tower_layer::Layer;

use crate::answer_headers::Constants;
use crate::client_addr::{ForwardedHeader, PeerAddr, TrustedProxies};
use crate::gate::Gate;
use crate::routes::RoutePolicy;
use crate::service::Auth;

/// Puts [`Auth`] before a service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    gate: Arc<Gate>,
}

impl AuthLayer {
    /// Starts setting up a layer over an engine: realm `tokenkit`, the older
    /// rate limit headers beside the new ones, no trusted proxy, no route
    /// rules, the key kept from the service behind, preflights good for 600
    /// seconds.
    pub fn builder(engine: Arc<Engine>) -> AuthLayerBuilder {
        AuthLayerBuilder {
            engine,
            wire: Wire::default(),
            routes: RoutePolicy::default(),
            proxies: TrustedProxies::default(),
            peer: |extensions| extensions.get::<PeerAddr>().map(|peer| peer.0.ip()),
            forward_key: false,
            preflight_max_age_s: 600,
        }
    }

    /// The gate that the layer's services share.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth::new(inner, self.gate.clone())
    }
}

/// Sets up an [`AuthLayer`].
#[must_use]
#[derive(Debug)]
pub struct AuthLayerBuilder {
    engine: Arc<Engine>,
    wire: Wire,
    routes: RoutePolicy,
    proxies: TrustedProxies,
    peer: fn(&Extensions) -> Option<IpAddr>,
    forward_key: bool,
    preflight_max_age_s: u32,
}

impl AuthLayerBuilder {
    /// The realm, and which rate limit headers are sent.
    pub fn wire(mut self, wire: Wire) -> Self {
        self.wire = wire;
        self
    }

    /// Which endpoints want a user, and what requests cost.
    pub fn routes(mut self, routes: RoutePolicy) -> Self {
        self.routes = routes;
        self
    }

    /// The proxies that are believed about who their peer is, and the header
    /// that they write it into. They must append to what a client sent there,
    /// or replace it; one that passes it on unread is not to be trusted.
    ///
    /// All that comes through a proxy which is not named here counts as that
    /// proxy's own: wrong keys that one client sends through it block everybody
    /// behind it.
    pub fn trusted_proxies(mut self, proxies: CidrList, header: ForwardedHeader) -> Self {
        self.proxies = TrustedProxies { proxies, header };
        self
    }

    /// Where the peer's address is found, instead of in a [`PeerAddr`]. Where
    /// it says `None` the request is answered 500. With axum:
    ///
    /// ```
    /// use std::net::{IpAddr, SocketAddr};
    /// use axum::extract::ConnectInfo;
    ///
    /// fn peer(extensions: &http::Extensions) -> Option<IpAddr> {
    ///     extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
    /// }
    /// ```
    pub fn peer(mut self, peer: fn(&Extensions) -> Option<IpAddr>) -> Self {
        self.peer = peer;
        self
    }

    /// Whether the service behind gets the `api-key` header too.
    pub fn forward_key(mut self, forward: bool) -> Self {
        self.forward_key = forward;
        self
    }

    /// How long a browser may keep the answer to a preflight, in seconds.
    pub fn preflight_max_age_s(mut self, seconds: u32) -> Self {
        self.preflight_max_age_s = seconds;
        self
    }

    /// Builds the layer.
    #[must_use]
    pub fn build(self) -> AuthLayer {
        AuthLayer {
            gate: Arc::new(Gate {
                constants: Constants::new(&self.wire),
                engine: self.engine,
                wire: self.wire,
                routes: self.routes,
                proxies: self.proxies,
                peer: self.peer,
                forward_key: self.forward_key,
                preflight_max_age_s: self.preflight_max_age_s,
            }),
        }
    }
}

//! The settings that a reload can change, ready for use, and the reload.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::wire::Wire;
use engine::{CidrList, ClientAddr, Engine};
use engine_hyper::{AuthLayer, ForwardedHeader, Gate};

use super::proxy::Behalf;
use super::watch::Limits;
use crate::error::OperatorError;
use crate::settings::{self, Settings, route_policy};

/// What every request looks at. Replaced as a whole, so that a request sees
/// either the old settings or the new ones.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) gate: Arc<Gate>,
    trusted: CidrList,
    /// In which they name their client.
    forwarded: ForwardedHeader,
    /// Of client connections opened from now on.
    pub(super) limits: Limits,
    pub(super) upstream_timeout: Duration,
    pub(super) shutdown_grace: Duration,
    /// Whether each request is logged.
    pub(super) access_log: bool,
}

impl Live {
    /// Makes settings ready for use.
    ///
    /// # Errors
    ///
    /// A realm or a route that does not work, named.
    pub(super) fn new(settings: &Settings, engine: &Arc<Engine>) -> Result<Self, OperatorError> {
        let http = &settings.http;
        let wire = Wire::new(&http.realm, http.legacy_headers)
            .map_err(|error| OperatorError::wrap("http.realm", error))?;
        let forwarded = match http.forwarded_header {
            settings::ForwardedHeader::XForwardedFor => ForwardedHeader::XForwardedFor,
            settings::ForwardedHeader::Forwarded => ForwardedHeader::Forwarded,
        };
        let layer = AuthLayer::builder(Arc::clone(engine))
            .wire(wire)
            .routes(route_policy(&settings.routes)?)
            .trusted_proxies(http.trusted_proxies.clone(), forwarded)
            .forward_key(http.forward_key)
            .preflight_max_age_s(settings.cors.max_age_s)
            .build();
        Ok(Self {
            gate: Arc::clone(layer.gate()),
            trusted: http.trusted_proxies.clone(),
            forwarded,
            limits: Limits {
                header: settings.server.header_timeout,
                idle: settings.server.idle_timeout,
            },
            upstream_timeout: settings.server.upstream_timeout,
            shutdown_grace: settings.server.shutdown_grace,
            access_log: settings.log.access,
        })
    }

    /// Whether a peer is believed about whom it speaks for.
    pub(super) fn trusts(&self, peer: impl Into<ClientAddr>) -> bool {
        self.trusted.contains(peer.into())
    }

    /// On whose behalf a peer speaks that is believed: that client's.
    pub(super) fn behalf(&self, peer: IpAddr, client: ClientAddr) -> Option<Behalf> {
        self.trusts(peer).then(|| Behalf {
            client: client.ip(),
            header: self.forwarded,
        })
    }
}

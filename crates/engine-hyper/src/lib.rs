//! API-key decisions for HTTP: a tower [`AuthLayer`] over any service of
//! [`http::Request`]s, for hyper and axum alike, and the [`Gate`] beneath it
//! for whoever answers otherwise, such as a forward-auth endpoint.
//!
//! An admitted request reaches the service with its [`engine::Decision`] in
//! its extensions, with the identity headers `x-tokenkit-key`,
//! `x-tokenkit-project` and `x-tokenkit-user`, without the key, and without
//! whatever a client sent under those names. No `Debug` of it shows its bearer
//! token, nor the key where that is to be forwarded ([`mark_sensitive`]): so
//! none is in the message of a panic over a request. Only headers are cleansed: a
//! service must not take an identity from the trailers of a body. Nor is
//! `Connection` looked at: a proxy that takes out what it names does so *before*
//! the layer. Behind it, a client has its identity removed by naming it there,
//! and the request goes on as nobody's.
//!
//! ```no_run
//! use std::sync::Arc;
//! use engine::{Engine, ServerSecret};
//! use engine_hyper::{AuthLayer, RouteNeeds, RoutePolicy, RouteRule};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Arc::new(Engine::builder(ServerSecret::generate()?).build()?);
//! let user = RouteNeeds { needs_user: true, cost: 1 };
//! let layer = AuthLayer::builder(engine)
//!     .routes(RoutePolicy::new(vec![RouteRule::new([], "/v1/me/**", user)?]))
//!     .build();
//! # Ok(())
//! # }
//! ```
//!
//! The server says who its peer is by a [`PeerAddr`] in the extensions of each
//! request; `examples/hyper.rs` and `examples/axum.rs` are whole servers.

#![forbid(unsafe_code)]

mod answer_headers;
mod body;
mod client_addr;
mod gate;
mod layer;
mod path;
mod pattern;
mod request_headers;
mod routes;
mod service;
#[cfg(test)]
mod steps;
mod words;

pub use body::AuthBody;
pub use client_addr::{ForwardedHeader, PeerAddr};
pub use gate::{Checked, Gate, RequestFacts, Verdict};
pub use layer::{AuthLayer, AuthLayerBuilder};
pub use pattern::{PathPattern, PatternError};
pub use request_headers::mark_sensitive;
pub use routes::{RouteError, RouteNeeds, RoutePolicy, RouteRule};
pub use service::{Auth, AuthFuture};

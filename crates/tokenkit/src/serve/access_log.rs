//! One line for each request, where a setting asks for it. It says the path
//! without the query and, of the headers, none: both may hold secrets. What
//! could be a secret in the path or in place of the method is hidden.

use std::net::IpAddr;
use std::time::Instant;

use engine::{Decision, KeyId, Reason};
use http::{Method, Request, StatusCode};

use crate::error::without_whole_secrets;

/// A line under way.
pub(super) struct Entry {
    begun: Instant,
    peer: IpAddr,
    method: Method,
    path: String,
    client: Option<IpAddr>,
    reason: Option<Reason>,
    key: Option<KeyId>,
}

impl Entry {
    /// Begins the line of a request.
    pub(super) fn new<B>(request: &Request<B>, peer: IpAddr) -> Self {
        Self {
            begun: Instant::now(),
            peer,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            client: None,
            reason: None,
            key: None,
        }
    }

    /// Names the request that a proxy asks about, in place of its question.
    pub(super) fn about(&mut self, method: &Method, path: &str) {
        self.method = method.clone();
        path.clone_into(&mut self.path);
    }

    /// Adds who asked, and what was decided.
    pub(super) fn decided(&mut self, client: IpAddr, decision: &Decision) {
        self.client = Some(client);
        self.reason = Some(decision.reason());
        self.key = decision.key();
    }

    /// Writes the line; the time is that until the answer's head was ready.
    pub(super) fn write(self, status: StatusCode) {
        let Self {
            begun,
            peer,
            method,
            path,
            client,
            reason,
            key,
        } = self;
        tracing::info!(
            target: TARGET,
            method = without_whole_secrets(method.as_str()),
            path = without_whole_secrets(&path),
            status = status.as_u16(),
            reason = reason.map(Reason::as_str),
            key = key.map(tracing::field::display),
            client = %client.unwrap_or(peer),
            duration_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
            "request"
        );
    }
}

/// What the lines are filed under.
const TARGET: &str = "tokenkit::access";
